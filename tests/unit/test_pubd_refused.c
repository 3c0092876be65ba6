/* A list that signd refuses keeps chancery-pubd from no other one. */
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/crl_partition.h"
#include "base/file.h"
#include "db/store_revoke.h"
#include "tests/unit/pubd_fixture.h"

#define PARTS                                                                  \
	"  crl-urls: [\"http://c.test/{partition}.crl\"]\n"                    \
	"  crl-partitions: 2\n"

/* What signd says of part-0 when its serials are damaged. */
#define REFUSED "kind=\"internal\" msg=\"part-0: signer: CRL floor"

/* signd's serials of part-0, and what they were while they are damaged. */
static const char *serials;
static struct span before;

static uint64_t revoked[2]; /* in the partitions */

static void
good(int rc, const struct err *e)
{
	if (rc != 0)
		fail_msg("%s", e->text);
}

/* Revokes a certificate of the partition that is not revoked; its serial. */
static struct span
revoke_in(uint32_t partition)
{
	static bool used[PUBD_CERTS];
	struct store_revocation r = { .issuer = pubd.issuer,
		.reason = 4,
		.at = clock_now(),
		.actor = "t",
		.request_id = "t" };
	struct err e;
	int n;

	/* the first one has a wrong serial */
	for (n = 1; n < PUBD_CERTS; n++) {
		r.serial = pubd.samples[n].cert.serial;
		if (!used[n] && crl_partition_of(r.serial, 2) == partition)
			break;
	}
	assert_true(n < PUBD_CERTS);
	used[n] = true;
	good(store_revoke(pubd.writer, &r, &e), &e);
	revoked[partition]++;
	return r.serial;
}

/* Waits for a list of the scope with so many entries. */
static struct store_crl
wait_entries(const char *scope, uint64_t n)
{
	int64_t until = clock_mono_us() + PUBD_WAIT_US;
	struct store_crl c = { .number = 0 };

	while (!pubd_current(&pubd, scope, &c) || c.entries != n) {
		if (clock_mono_us() > until)
			fail_msg("%s never has %d entries", scope, (int)n);
		(void)usleep(20000);
	}
	return c;
}

/* Finds the file by a serial that is on part-0 alone. */
static void
find_serials(struct span serial)
{
	glob_t found;
	struct span s;
	struct err e;
	size_t i;

	assert_int_equal(
	    glob(arena_printf(pubd.a, "%s/crl/*.serials", pubd.fx.state), 0,
		NULL, &found),
	    0);
	for (i = 0; i < found.gl_pathc; i++) {
		good(file_read(
			 pubd.a, found.gl_pathv[i], (size_t)1 << 20, &s, &e),
		    &e);
		if (memmem(s.p, s.n, serial.p, serial.n) == NULL)
			continue;
		serials = arena_strdup(pubd.a, found.gl_pathv[i]);
		break;
	}
	assert_non_null(serials);
	globfree(&found);
}

static void
damage(void)
{
	struct err e;

	good(file_read(pubd.a, serials, (size_t)1 << 20, &before, &e), &e);
	good(file_replace(serials, span_str("damaged"), 0600, &e), &e);
}

static void
repair(void)
{
	struct err e;

	good(file_replace(serials, before, 0600, &e), &e);
	before = span_of(NULL, 0);
}

/* A test that has failed leaves neither damage nor process behind. */
static int
undo(void **state)
{
	(void)state;
	if (before.n > 0)
		repair();
	if (pubd.pids[0] != 0)
		pubd_stop(&pubd, 0, SIGKILL);
	return 0;
}

/* Complete lists: all others are made, once, and this one when it can be. */
static void
test_complete(void **state)
{
	struct store_crl part, same;
	struct span serial = revoke_in(0);

	(void)state;
	pubd_conf(
	    &pubd, PARTS "  crl: {interval: 1h, overlap: 1h, min-gap: 1s}\n");
	pubd_start(&pubd, 0);
	part = wait_entries("part-0", 1);
	(void)wait_entries("part-1", 0);
	find_serials(serial);
	damage();
	(void)revoke_in(0);
	fixture_wait_file(&pubd.fx, "pubd0.log", REFUSED, 1);
	(void)revoke_in(1);
	same = wait_entries("part-1", revoked[1]);
	/* the next try is of this one alone */
	fixture_wait_file(&pubd.fx, "pubd0.log", REFUSED, 3);
	part = pubd_wait(&pubd, "part-1", 0);
	assert_int_equal(part.number, same.number);
	(void)revoke_in(1);
	(void)wait_entries("part-1", revoked[1]);
	assert_true(pubd_current(&pubd, "part-0", &part));
	assert_int_equal(part.entries, 1);
	repair();
	(void)wait_entries("part-0", revoked[0]);
	pubd_stop(&pubd, 0, SIGTERM);
}

/* Deltas are made although a complete list is due and refused, its own too. */
static void
test_deltas(void **state)
{
	struct store_crl part, delta;

	(void)state;
	pubd_conf(&pubd,
	    PARTS "  freshest-crl-urls: [\"http://c.test/d{partition}.crl\"]\n"
		  "  crl: {interval: 10s, overlap: 1h, min-gap: 1s,\n"
		  "    delta-interval: 10m}\n");
	pubd_start(&pubd, 0);
	(void)wait_entries("delta-0", 0);
	damage();
	(void)unlink(arena_printf(pubd.a, "%s/pubd0.log", pubd.fx.dir));
	pubd_stop(&pubd, 0, SIGTERM);
	pubd_start(&pubd, 0);
	fixture_wait_file(&pubd.fx, "pubd0.log", REFUSED, 1);
	assert_true(pubd_current(&pubd, "part-0", &part));
	(void)revoke_in(0);
	(void)revoke_in(1);
	delta = wait_entries("delta-0", 1);
	assert_int_equal(delta.base_number, part.number);
	(void)wait_entries("part-1", revoked[1]);
	repair();
	(void)wait_entries("part-0", revoked[0]);
	pubd_stop(&pubd, 0, SIGTERM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_complete, undo),
		cmocka_unit_test_teardown(test_deltas, undo),
	};

	return cmocka_run_group_tests(
	    tests, pubd_group_setup, pubd_group_teardown);
}
