#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/metrics.h"

static void *
count_many(void *arg)
{
	int i;

	for (i = 0; i < 10000; i++)
		metric_add(arg, 2);
	return NULL;
}

static void
assert_has(struct buf *b, const char *text)
{
	buf_u8(b, 0);
	if (strstr((const char *)b->p, text) == NULL)
		fail_msg("\"%s\" is not in:\n%s", text, (const char *)b->p);
	b->n--;
}

static void
test_counters(void **state)
{
	struct metric *a = metrics_counter("a_total", "Things.", "k=\"1\"");
	struct metric *other = metrics_counter("b_total", "Others.", NULL);
	struct metric *a2 = metrics_counter("a_total", "Things.", "k=\"2\"");
	pthread_t t[3];
	AUTO_BUF(b, 10000);
	int i;

	(void)state;
	assert_ptr_equal(a, metrics_counter("a_total", "Things.", "k=\"1\""));
	assert_ptr_not_equal(a, a2);
	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, count_many, a);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	metric_add(other, 7);
	metrics_render(&b);
	assert_has(&b,
	    "# HELP a_total Things.\n# TYPE a_total counter\n"
	    "a_total{k=\"1\"} 60000\na_total{k=\"2\"} 0\n# HELP b_total");
	assert_has(&b, "b_total 7\n");
}

static void
test_histogram(void **state)
{
	struct metric *h = metrics_histogram("h_seconds", "Time.", "s=\"x\"");
	AUTO_BUF(b, 10000);

	(void)state;
	metric_observe_us(h, 100);
	metric_observe_us(h, 101);
	metric_observe_us(h, 3000000);
	metric_observe_us(h, 20000000);
	metric_observe_us(h, -5);
	metrics_render(&b);
	assert_has(&b, "# TYPE h_seconds histogram\n");
	assert_has(&b, "h_seconds_bucket{s=\"x\",le=\"0.0001\"} 2\n");
	assert_has(&b, "h_seconds_bucket{s=\"x\",le=\"0.00025\"} 3\n");
	assert_has(&b, "h_seconds_bucket{s=\"x\",le=\"5\"} 4\n");
	assert_has(&b, "h_seconds_bucket{s=\"x\",le=\"10\"} 4\n");
	assert_has(&b, "h_seconds_bucket{s=\"x\",le=\"+Inf\"} 5\n");
	assert_has(&b, "h_seconds_sum{s=\"x\"} 23.000201\n");
	assert_has(&b, "h_seconds_count{s=\"x\"} 5\n");
}

static void
test_gauge(void **state)
{
	struct metric *g = metrics_gauge("g", "Now.", NULL);
	AUTO_BUF(b, 10000);

	(void)state;
	metric_set(g, 7);
	metric_set(g, 5);
	metrics_render(&b);
	assert_has(&b, "# TYPE g gauge\ng 5\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_gauge),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
