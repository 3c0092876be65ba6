/* Requests that are held until another thread lets them go. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "hsm/sign_client.h"
#include "tests/attack/signd_fixture.h"

#define TIMEOUT_MS 3000

/* The other thread: when, and what it says. */
struct other {
	struct sign_client *c;
	useconds_t after_us;
	bool go;
};

static struct fixture f;
static struct sign_client *c;
static uint8_t fill;

static void *
let_go(void *arg)
{
	struct other *o = arg;

	(void)usleep(o->after_us);
	sign_client_let_go(o->c, o->go);
	return NULL;
}

static void
new_request(struct sign_request *req)
{
	struct fixture_tbs t = { .fill = ++fill };
	struct err e;

	*req = (struct sign_request){
		.kind = SIGN_CERT, .key = "ca", .request_id = "held"
	};
	if (sign_client_slot(c, &req->slot, &e) != 0)
		fail_msg("%s", e.text);
	t.slot = req->slot;
	req->tbs = fixture_tbs(&f, &t);
}

/* Holds the request and waits while the other thread decides. */
static void
hold(struct sign_request *req, useconds_t after_us, bool go)
{
	struct other o = { c, after_us, go };
	pthread_t thread;
	struct err e;

	if (sign_client_hold(c, req, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(pthread_create(&thread, NULL, let_go, &o), 0);
	sign_client_wait(c);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static uint64_t
records(uint8_t slot)
{
	struct sign_status s;
	struct err e;

	if (sign_client_status(c, f.a, slot, &s, &e) != 0)
		fail_msg("%s", e.text);
	return s.seq;
}

static void
test_let_go(void **state)
{
	struct sign_request req;
	struct sign_reply r;
	struct err e;
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		new_request(&req);
		hold(&req, i % 2 == 0 ? 0 : 20000, true);
		if (sign_client_sign(c, f.a, &req, &r, &e) != 0)
			fail_msg("%s", e.text);
		assert_true(r.signature.n > 0);
		/* its one record is the last: it was asked for once */
		assert_int_equal(r.receipt.seq, records(req.slot));
	}
}

static void
test_dropped(void **state)
{
	struct sign_request req, next;
	struct sign_reply r;
	uint64_t before;
	struct err e;

	(void)state;
	new_request(&req);
	before = records(req.slot);
	hold(&req, 20000, false);
	assert_int_equal(records(req.slot), before);
	/* another request after it gets its own reply */
	new_request(&next);
	if (sign_client_sign(c, f.a, &next, &r, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(r.receipt.slot, next.slot);
	/* and the dropped one can still be asked for */
	if (sign_client_sign(c, f.a, &req, &r, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(r.receipt.slot, req.slot);
}

/* The slots die while the request is held back. */
static void
test_slot_dies(void **state)
{
	struct sign_request req;
	struct sign_reply r;
	int64_t from;
	struct err e;
	int rc, i;

	(void)state;
	new_request(&req);
	if (sign_client_hold(c, &req, &e) != 0)
		fail_msg("%s", e.text);
	fixture_stop(&f);
	from = clock_mono_us();
	sign_client_let_go(c, true);
	sign_client_wait(c);
	assert_int_equal(sign_client_sign(c, f.a, &req, &r, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_true(clock_mono_us() - from < (int64_t)TIMEOUT_MS * 1000);
	fixture_start(&f, 2);
	for (i = 0, rc = -1; i < 100 && rc != 0; i++) {
		rc = sign_client_sign(c, f.a, &req, &r, &e);
		(void)usleep(20000);
	}
	if (rc != 0)
		fail_msg("%s", e.text);
}

static void
signal_slots(const char *name)
{
	char command[64], shell[] = "/bin/sh", option[] = "-c";
	char *argv[] = { shell, option, command, NULL };

	(void)snprintf(
	    command, sizeof(command), "pkill -%s -P %d", name, (int)f.signd);
	assert_int_equal(fixture_run(&f, NULL, argv), 0);
}

/* A slot that hangs is given up after the client's time. */
static void
test_slot_hangs(void **state)
{
	struct sign_client *hasty = sign_client_new(f.run, "enroll", 300);
	struct sign_client *kept = c;
	struct sign_request req;
	struct sign_reply r;
	struct err e;

	(void)state;
	c = hasty;
	new_request(&req);
	signal_slots("STOP");
	hold(&req, 1000, true);
	assert_int_equal(sign_client_sign(c, f.a, &req, &r, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	signal_slots("CONT");
	sign_client_free(hasty);
	c = kept;
}

static int
set_up(void **state)
{
	(void)state;
	fixture_token(&f);
	fixture_ca(&f, fixture_classes);
	fixture_start(&f, 1);
	c = sign_client_new(f.run, "enroll", TIMEOUT_MS);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	sign_client_free(c);
	fixture_clear(&f);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_let_go),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_slot_dies),
		cmocka_unit_test(test_slot_hangs),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
