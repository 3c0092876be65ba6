/* chancery-pubd's schedule, and what it says when it cannot keep it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "db/store_revoke.h"
#include "tests/unit/pubd_fixture.h"

static struct pubd_world x;

/* Where revocations make no list, the next one is that of the schedule. */
static void
test_schedule(void **state)
{
	struct store_revocation r = { .issuer = x.issuer,
		.serial = x.samples[1].cert.serial,
		.reason = 4,
		.at = clock_now(),
		.actor = "t",
		.request_id = "t" };
	struct store_crl first, next;
	struct err e;

	(void)state;
	pubd_conf(&x, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
		      "  crl: {interval: 10s, overlap: 1h, min-gap: 1s,\n"
		      "    on-revocation: false}\n");
	pubd_start(&x, 0);
	first = pubd_wait(&x, "full", 0);
	assert_int_equal(first.entries, 0);
	if (store_revoke(x.writer, &r, &e) == -1)
		fail_msg("%s", e.text);
	next = pubd_wait(&x, "full", first.number);
	assert_int_equal(next.entries, 1);
	assert_true(next.this_update >= first.this_update + 10);
	pubd_stop(&x, 0, SIGTERM);
}

/* A list that cannot be renewed is an alarm long before it ends. */
static void
test_late(void **state)
{
	struct store_crl c;

	(void)state;
	pubd_conf(&x, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
		      "  crl: {interval: 10s, overlap: 1h}\n");
	assert_true(pubd_current(&x, "full", &c));
	pubd_start(&x, 0);
	c = pubd_wait(&x, "full", c.number);
	fixture_stop(&x.fx);
	pubd_stop(&x, 0, SIGTERM);
	pubd_conf(&x, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
		      "  crl: {interval: 10s, overlap: 10s}\n");
	pubd_start(&x, 0);
	fixture_wait_file(&x.fx, "pubd0.log", "CRL not published", 1);
	fixture_wait_file(
	    &x.fx, "pubd0.log", "CRL is late issuer=\"ca\" scope=\"full\"", 1);
	assert_true(clock_now() < c.next_update);
	fixture_wait_file(&x.fx, "state/pub/pubd.prom",
	    "\nchancery_crl_late_minutes_total 1\n", 1);
	fixture_start(&x.fx, 2);
	(void)pubd_wait(&x, "full", c.number);
	pubd_stop(&x, 0, SIGTERM);
}

static int
setup(void **state)
{
	(void)state;
	pubd_setup(&x);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pubd_teardown(&x);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schedule),
		cmocka_unit_test(test_late),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
