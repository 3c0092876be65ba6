/* The feed of chancery-ocspd on a read replica, and on one that lags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "db/db_int.h"
#include "ocsp/feed.h"
#include "tests/db/sample.h"

#define CHANGES 60
#define PATIENCE_US 10000000

static struct pg *primary, *replica;
static struct db *super;
static struct writer *w;
static struct answer_world world;
static struct feed *feed;
static struct epoch_reader *reader;
static struct sample samples[CHANGES];
static char dir[] = "/tmp/feed-XXXXXX";
static char snapshot[64], accepted[64], conninfo[300];
static int issuer;

static int
set_up(void **state)
{
	struct feed_conf conf = { &world, conninfo, snapshot, accepted, NULL };
	struct db *oper;
	struct err e;

	(void)state;
	primary = pg_new();
	replica = pg_new_replica(primary);
	oper = db_new(pg_conninfo(primary, "chancery_oper"), "test");
	issuer = sample_issuer(oper, "tls");
	db_free(oper);
	super = db_new(pg_conninfo(primary, "postgres"), "test");
	if (mkdtemp(dir) == NULL ||
	    writer_new(pg_conninfo(primary, "chancery_enroll"), "enroll", "t",
		&w, &e) == -1)
		return -1;
	(void)snprintf(snapshot, sizeof(snapshot), "%s/status", dir);
	(void)snprintf(accepted, sizeof(accepted), "%s/accept", dir);
	(void)snprintf(conninfo, sizeof(conninfo),
	    "%s target_session_attrs=any",
	    pg_conninfo(replica, "chancery_ocsp"));
	world.epoch = epoch_new();
	world.stale_s = 600;
	world.validity_s = 3600;
	feed = feed_new(&conf);
	reader = epoch_reader_new(world.epoch);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	feed_free(feed);
	epoch_reader_free(reader);
	epoch_free(world.epoch);
	writer_free(w);
	db_free(super);
	pg_free(replica);
	pg_free(primary);
	(void)unlink(snapshot);
	return rmdir(dir);
}

static bool
is_known(const struct sample *s, bool revoked)
{
	struct status_table *t = atomic_load(&world.table);
	struct status st;
	uint64_t word;
	bool found;

	epoch_enter(reader);
	found = t != NULL &&
		status_table_find(t, issuer, s->intent.serial, &st, &word);
	epoch_leave(reader);
	return found && st.revoked == revoked;
}

/* Steps until the certificate has the status; how long that took. */
static int64_t
step_until(const struct sample *s, bool revoked)
{
	int64_t from = clock_mono_us();

	while (!is_known(s, revoked)) {
		feed_step(feed);
		if (clock_mono_us() - from > PATIENCE_US)
			fail_msg("the feed does not get there");
	}
	return clock_mono_us() - from;
}

static void
set_serial(struct sample *s, int n)
{
	sample_init(s, issuer, n);
	s->serial[0] = (uint8_t)((s->serial[0] & 0x3f) | 0x40);
}

static int
by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
test_replica(void **state)
{
	int64_t us[CHANGES];
	struct feed_health h;
	int i;

	(void)state;
	for (i = 0; i < CHANGES; i++) {
		set_serial(&samples[i], i);
		sample_issue(w, &samples[i]);
		us[i] = step_until(&samples[i], false);
	}
	qsort(us, CHANGES, sizeof(us[0]), by_value);
	(void)printf("# committed to known on a replica: p50 %ld us, at most "
		     "%ld us\n",
	    (long)us[CHANGES / 2], (long)us[CHANGES - 1]);
	for (i = 0; i < 3; i++)
		feed_step(feed);
	feed_health(feed, &h);
	assert_int_equal(h.trust, ANSWER_CURRENT);
	assert_true(h.connected);
	assert_int_equal(h.certificates, CHANGES);
	/* the time of what the replica has replayed, not of the question */
	assert_true(h.synced_at > clock_now() - 60);
	assert_true(h.synced_at <= clock_now());
}

static void
sql(const char *text)
{
	struct err e = { .text = "" };

	if (db_script(super, text, &e) == -1)
		fail_msg("%s: %s", text, e.text);
}

/* A replica that is cut off looks older and older; nothing is disputed. */
static void
test_cut_off(void **state)
{
	struct feed_health before, after;
	int i;

	(void)state;
	feed_health(feed, &before);
	pg_stop(primary, false);
	for (i = 0; i < 30; i++)
		feed_step(feed);
	feed_health(feed, &after);
	assert_true(after.connected);
	assert_int_equal(after.trust, ANSWER_CURRENT);
	assert_true(after.synced_at - before.synced_at <= 1);
	pg_start(primary);
	db_drop(super);
	while (db_ready(super, &(struct err){ .kind = ERR_NONE }) == -1)
		(void)usleep(20000);
	sql("UPDATE cert_status SET status = 1, reason = 1,"
	    " revoked_at = now() WHERE cert_id = (SELECT min(cert_id)"
	    " FROM cert_status)");
	sql("INSERT INTO status_change (writer, seq, cert_id, not_after,"
	    " revoked_at, issuer, status, reason, serial)"
	    " SELECT 4096, (SELECT max(seq) + 1 FROM status_change), cert_id,"
	    " not_after, revoked_at, issuer, status, reason, serial"
	    " FROM cert_status WHERE status = 1");
	(void)step_until(&samples[0], true);
}

/* The writer says UNAVAILABLE once after its server was away. */
static void
issue_again(struct sample *s)
{
	struct err e;
	int i;

	for (i = 0;
	     store_cert_reserve(w, &s->intent, NULL, &s->cert.id, &e) == -1 ||
	     store_cert_commit(w, &s->cert, "req", &e) == -1;
	     i++) {
		if (i == 200)
			fail_msg("%s", e.text);
		(void)usleep(20000);
	}
}

/* The same places as the database: the snapshot goes on where it ended. */
static void
test_snapshot(void **state)
{
	struct feed_conf conf = { &world, conninfo, snapshot, accepted, NULL };
	struct err e;
	int i = 0;

	(void)state;
	assert_int_equal(feed_save(feed, &e), 0);
	feed_free(feed);
	atomic_store(&world.trust, ANSWER_EMPTY);
	atomic_store(&world.synced_at, 0);
	feed = feed_new(&conf);
	/* what the database says now is not known yet */
	assert_int_equal(atomic_load(&world.synced_at), 0);
	assert_true(is_known(&samples[0], true));
	assert_true(is_known(&samples[1], false));
	set_serial(&samples[0], CHANGES + 1);
	issue_again(&samples[0]);
	(void)step_until(&samples[0], false);
	assert_true(atomic_load(&world.synced_at) > 0);
	/* a clock that was ahead does not make it young for long */
	atomic_store(&world.synced_at, clock_now() + 86400);
	while (atomic_load(&world.synced_at) > clock_now()) {
		if (i++ == 200)
			fail_msg("it stays in the future");
		feed_step(feed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replica),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_snapshot),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
