/* Slots that die, tokens that vanish, PINs that are wrong. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "hsm/sign_client.h"
#include "tests/attack/signd_fixture.h"

/* Two of keys.yaml, and that of the pub role. */
#define SLOTS 3
#define PUB_SLOT 0x1a

static uint8_t next_fill = 1;

/* One new certificate; 0 when it was signed. */
static int
sign_one(struct fixture *f, struct sign_client *c, struct err *e)
{
	struct sign_request req = {
		.kind = SIGN_CERT, .key = "ca", .request_id = "fault"
	};
	struct fixture_tbs t = { .fill = next_fill };
	struct sign_reply r;

	next_fill = (uint8_t)(next_fill % 100 + 1);
	if (sign_client_slot(c, &req.slot, e) != 0)
		return -1;
	t.slot = req.slot;
	req.tbs = fixture_tbs(f, &t);
	return sign_client_sign(c, f->a, &req, &r, e);
}

static void
signs_within(struct fixture *f, struct sign_client *c, int64_t seconds)
{
	int64_t until = clock_mono_us() + seconds * 1000000;
	struct err e;
	int good = 0;

	/* twice in a row: both slots */
	while (good < 2) {
		good = sign_one(f, c, &e) == 0 ? good + 1 : 0;
		if (clock_mono_us() > until)
			fail_msg("no signature: %s", e.text);
		if (good == 0)
			usleep(20000);
	}
}

/* The slot processes in the order of their numbers, while none has died. */
static int
slot_pids(struct fixture *f, pid_t pids[SLOTS])
{
	const char *path = arena_printf(
	    f->a, "/proc/%d/task/%d/children", (int)f->signd, (int)f->signd);
	FILE *list = fopen(path, "re");
	char text[256] = "", *p = text, *end;
	int n = 0;
	long pid;

	assert_non_null(list);
	assert_non_null(fgets(text, sizeof(text), list));
	(void)fclose(list);
	while ((pid = strtol(p, &end, 10)) > 0) {
		assert_true(n < SLOTS);
		pids[n++] = (pid_t)pid;
		p = end;
	}
	return n;
}

/* Sends 'sig' to every slot process. */
static void
kill_slots(struct fixture *f, int sig)
{
	pid_t pids[SLOTS] = { 0 };
	int i;

	assert_int_equal(slot_pids(f, pids), SLOTS);
	for (i = 0; i < SLOTS; i++)
		assert_int_equal(kill(pids[i], sig), 0);
}

/* Enrollment never waits for the slot of the pub role, nor that for it. */
static void
test_own_slot(void **state)
{
	struct sign_client *enroll, *pub;
	pid_t pids[SLOTS];
	struct sign_status st;
	struct fixture f;
	uint8_t slot;
	struct err e;
	int i;

	(void)state;
	fixture_token(&f);
	fixture_ca(&f, fixture_classes);
	fixture_start(&f, 1);
	enroll = sign_client_new(f.run, "enroll", 3000);
	pub = sign_client_new(f.run, "pub", 1000);
	assert_int_equal(slot_pids(&f, pids), SLOTS);
	for (i = 0; i < 4; i++) {
		assert_int_equal(sign_client_slot(pub, &slot, &e), 0);
		assert_int_equal(slot, PUB_SLOT);
		assert_int_equal(sign_client_slot(enroll, &slot, &e), 0);
		assert_int_not_equal(slot, PUB_SLOT);
	}
	assert_int_equal(kill(pids[SLOTS - 1], SIGSTOP), 0);
	for (i = 0; i < 10; i++)
		assert_int_equal(sign_one(&f, enroll, &e), 0);
	assert_int_equal(sign_client_slot(pub, &slot, &e), 0);
	assert_int_equal(sign_client_status(pub, f.a, slot, &st, &e), -1);
	assert_int_equal(kill(pids[SLOTS - 1], SIGCONT), 0);
	for (i = 0; i < SLOTS - 1; i++)
		assert_int_equal(kill(pids[i], SIGSTOP), 0);
	assert_int_equal(sign_client_slot(pub, &slot, &e), 0);
	assert_int_equal(sign_client_status(pub, f.a, slot, &st, &e), 0);
	for (i = 0; i < SLOTS - 1; i++)
		assert_int_equal(kill(pids[i], SIGCONT), 0);
	sign_client_free(enroll);
	sign_client_free(pub);
	fixture_clear(&f);
}

static void
test_killed_slots(void **state)
{
	struct sign_client *c;
	struct fixture f;

	(void)state;
	fixture_token(&f);
	fixture_ca(&f, fixture_classes);
	fixture_start(&f, 1);
	c = sign_client_new(f.run, "enroll", 3000);
	signs_within(&f, c, 5);
	kill_slots(&f, SIGKILL);
	signs_within(&f, c, 5);
	/* and a restart of the whole signer, with the same client */
	fixture_stop(&f);
	fixture_start(&f, 2);
	signs_within(&f, c, 5);
	/* SIGHUP with a broken file keeps the rules */
	(void)fixture_write(&f, "keys.yaml", span_str("node: nonsense\n"));
	assert_int_equal(kill(f.signd, SIGHUP), 0);
	fixture_wait_log(&f, "configuration kept", 1);
	signs_within(&f, c, 5);
	sign_client_free(c);
	fixture_clear(&f);
}

/* The token is not there at the start, and then comes. */
static void
test_absent_token(void **state)
{
	char *from, *to;
	struct sign_client *c;
	struct fixture f;
	struct err e;

	(void)state;
	fixture_token(&f);
	fixture_ca(&f, fixture_classes);
	from = arena_printf(f.a, "%s/tokens", f.dir);
	to = arena_printf(f.a, "%s/away", f.dir);
	fixture_start(&f, 1);
	c = sign_client_new(f.run, "enroll", 3000);
	signs_within(&f, c, 5);
	assert_int_equal(rename(from, to), 0);
	kill_slots(&f, SIGKILL);
	fixture_wait_log(&f, "slot cannot sign", 3);
	assert_int_equal(sign_one(&f, c, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(rename(to, from), 0);
	signs_within(&f, c, 8);
	sign_client_free(c);
	fixture_clear(&f);
}

/* A wrong PIN is tried once by all slots together, until SIGHUP. */
static void
test_wrong_pin(void **state)
{
	struct sign_status st;
	struct sign_client *c;
	struct fixture f;
	struct err e;
	uint8_t slot;

	(void)state;
	fixture_token(&f);
	fixture_ca(&f, fixture_classes);
	(void)fixture_write(&f, "pin", span_str("00000000\n"));
	fixture_start(&f, 0);
	fixture_wait_log(&f, "slot cannot sign", 3);
	c = sign_client_new(f.run, "enroll", 3000);
	assert_int_equal(sign_client_slot(c, &slot, &e), 0);
	assert_int_equal(sign_client_status(c, f.a, slot, &st, &e), 0);
	assert_non_null(st.fault);
	assert_int_equal(sign_one(&f, c, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	(void)fixture_write(&f, "pin", span_str(FIXTURE_PIN "\n"));
	usleep(1500000);
	/* the right PIN alone changes nothing: an operator has to act */
	assert_int_equal(sign_one(&f, c, &e), -1);
	assert_int_equal(kill(f.signd, SIGHUP), 0);
	signs_within(&f, c, 5);
	sign_client_free(c);
	fixture_clear(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_slot),
		cmocka_unit_test(test_killed_slots),
		cmocka_unit_test(test_absent_token),
		cmocka_unit_test(test_wrong_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
