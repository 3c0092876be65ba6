#include "ocsp/crl_told.h"

#include <stdlib.h>
#include <string.h>

#include "base/crl_partition.h"
#include "hsm/tosign.h"

int64_t
crl_told_number(struct span crl, struct crlcheck *c)
{
	struct span tbs, alg, signature;
	int64_t n = 0;
	struct err e;
	size_t i;

	if (tosign_unwrap(crl, &tbs, &alg, &signature, &e) == -1 ||
	    crlcheck_read(tbs, c, &e) == -1)
		return 0;
	for (i = 0; i < c->number.n; i++) {
		if (n > INT64_MAX >> 8)
			return INT64_MAX;
		n = n << 8 | c->number.p[i];
	}
	return n;
}

/* Whether one of the issuer's URLs for this partition stands in the list. */
static bool
is_partition(const struct settings_issuer *s, uint32_t partition,
    const struct crlcheck *c)
{
	unsigned k;
	size_t i;

	for (k = 0; k < s->crl_urls_count; k++) {
		for (i = 0; i < c->point.n; i++) {
			if (crl_partition_marked(s->crl_urls[k]) &&
			    crl_partition_url_is(
				s->crl_urls[k], partition, c->point.url[i]))
				return true;
		}
	}
	return false;
}

bool
crl_told(const struct settings_issuer *s, const struct store_crl *row,
    struct span crl)
{
	const char *partition = strchr(row->scope, '-');
	struct crlcheck c;
	int64_t n = crl_told_number(crl, &c);

	if (n == 0 || n != row->number ||
	    c.delta != (strncmp(row->scope, "delta", 5) == 0) ||
	    c.has_idp != (partition != NULL))
		return false;
	return partition == NULL ||
	       is_partition(s, (uint32_t)strtoul(partition + 1, NULL, 10), &c);
}
