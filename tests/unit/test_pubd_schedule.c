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

/* Where revocations make no list, the next one is that of the schedule. */
static void
test_schedule(void **state)
{
	struct store_revocation r = { .issuer = pubd.issuer,
		.serial = pubd.samples[1].cert.serial,
		.reason = 4,
		.at = clock_now(),
		.actor = "t",
		.request_id = "t" };
	struct store_crl first, next;
	struct err e;

	(void)state;
	pubd_conf(&pubd, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
			 "  crl: {interval: 10s, overlap: 1h, min-gap: 1s,\n"
			 "    on-revocation: false}\n");
	pubd_start(&pubd, 0);
	first = pubd_wait(&pubd, "full", 0);
	assert_int_equal(first.entries, 0);
	if (store_revoke(pubd.writer, &r, &e) == -1)
		fail_msg("%s", e.text);
	next = pubd_wait(&pubd, "full", first.number);
	assert_int_equal(next.entries, 1);
	assert_true(next.this_update >= first.this_update + 10);
	pubd_stop(&pubd, 0, SIGTERM);
}

/* A list that cannot be renewed is an alarm long before it ends. */
static void
test_late(void **state)
{
	struct store_crl c;

	(void)state;
	pubd_conf(&pubd, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
			 "  crl: {interval: 10s, overlap: 1h}\n");
	assert_true(pubd_current(&pubd, "full", &c));
	pubd_start(&pubd, 0);
	c = pubd_wait(&pubd, "full", c.number);
	fixture_stop(&pubd.fx);
	pubd_stop(&pubd, 0, SIGTERM);
	pubd_conf(&pubd, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
			 "  crl: {interval: 10s, overlap: 10s}\n");
	pubd_start(&pubd, 0);
	fixture_wait_file(&pubd.fx, "pubd0.log", "CRL not published", 1);
	fixture_wait_file(&pubd.fx, "pubd0.log",
	    "CRL is late issuer=\"ca\" scope=\"full\"", 1);
	assert_true(clock_now() < c.next_update);
	fixture_wait_file(&pubd.fx, "state/pub/pubd.prom",
	    "\nchancery_crl_late_minutes_total 1\n", 1);
	fixture_start(&pubd.fx, 2);
	(void)pubd_wait(&pubd, "full", c.number);
	pubd_stop(&pubd, 0, SIGTERM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schedule),
		cmocka_unit_test(test_late),
	};

	return cmocka_run_group_tests(
	    tests, pubd_group_setup, pubd_group_teardown);
}
