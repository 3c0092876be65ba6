#include "base/crl_partition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SERIAL_TAIL 8
#define NUMBER_SIZE 16

uint32_t
crl_partition_of(struct span serial, uint32_t n)
{
	size_t i = serial.n > SERIAL_TAIL ? serial.n - SERIAL_TAIL : 0;
	uint64_t tail = 0;

	if (n == 0)
		return 0;
	for (; i < serial.n; i++)
		tail = tail << 8 | serial.p[i];
	return (uint32_t)(tail % n);
}

bool
crl_partition_marked(const char *url)
{
	return strstr(url, CRL_PARTITION_MARK) != NULL;
}

const char *
crl_partition_url(struct arena *a, const char *url, uint32_t partition)
{
	const char *mark = strstr(url, CRL_PARTITION_MARK);

	if (mark == NULL)
		return url;
	return arena_printf(a, "%.*s%" PRIu32 "%s", (int)(mark - url), url,
	    partition, mark + strlen(CRL_PARTITION_MARK));
}

/* Takes the string off the front; false when it does not stand there. */
static bool
take(struct span *s, const char *text, size_t n)
{
	struct span front;

	return span_take(s, n, &front) && span_eq(front, span_of(text, n));
}

bool
crl_partition_url_is(const char *url, uint32_t partition, struct span got)
{
	const char *mark = strstr(url, CRL_PARTITION_MARK);
	char number[NUMBER_SIZE];

	if (mark == NULL)
		return span_is(got, url);
	(void)snprintf(number, sizeof(number), "%" PRIu32, partition);
	return take(&got, url, (size_t)(mark - url)) &&
	       take(&got, number, strlen(number)) &&
	       span_is(got, mark + strlen(CRL_PARTITION_MARK));
}
