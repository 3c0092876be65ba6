#include "ocsp/feed.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "db/db.h"
#include "db/store_status.h"
#include "ocsp/crl_bound.h"
#include "ocsp/snapshot.h"

#define WAIT_MS 50
#define RETRY_MS 200

/* A replica whose rows do not contain those of the CRLs is asked again. */
#define BOUND_US ((int64_t)2 * 1000 * 1000)
/* A database that has not answered for this long is away, too. */
#define SILENT_US ((int64_t)3 * 1000 * 1000)

struct feed {
	struct feed_conf conf;
	struct db *db, *wait_db;
	/* of 'marks' and of the table's pointer; never held while waiting for
	 * the database, which may not answer */
	pthread_mutex_t lock;
	struct store_status_marks marks;
	struct status_table *loading; /* where rows go */
	struct epoch_reader *reader;  /* of feed_save */
	bool unrevoked; /* a row wanted to make a revoked certificate good */
	bool replica, more; /* as the last look at the changes found */
	bool accepting;     /* an operator said so, and it is not done yet */
	bool contradicted;  /* the last look found less than was known */
	int64_t bound_us;   /* when the CRLs are looked at again */
	size_t bad;
	atomic_size_t n_certs, n_revoked;
	enum store_status_found last; /* what was logged */
	atomic_bool bounded;          /* the CRLs were looked at */
	atomic_bool connected, down_told;
	_Atomic int64_t heard_us; /* when the database answered last */
	struct metric *rows, *faults, *certs, *revoked, *age, *trust;
};

static void
on_expect(void *arg, size_t rows)
{
	struct feed *f = arg;

	if (f->loading == NULL)
		f->loading = status_table_new(f->conf.world->epoch, rows);
}

static int
on_row(void *arg, const struct store_status_row *row, struct err *e)
{
	struct feed *f = arg;
	struct status s = { .issuer = row->issuer,
		.not_after = row->not_after,
		.revoked = row->revoked,
		.reason = row->reason,
		.revoked_at = row->revoked_at };

	(void)e;
	switch (status_table_put(f->loading, row->serial, &s)) {
	case STATUS_PUT_BAD:
		f->bad++;
		break;
	case STATUS_PUT_REFUSED:
		f->unrevoked = true;
		break;
	default:
		break;
	}
	return 0;
}

static struct status_table *
table_of(const struct feed *f)
{
	return atomic_load(&f->conf.world->table);
}

static enum answer_trust
trust_of(const struct feed *f)
{
	return (enum answer_trust)atomic_load(&f->conf.world->trust);
}

static void
set_trust(struct feed *f, enum answer_trust trust)
{
	atomic_store(&f->conf.world->trust, (int)trust);
	metric_set(f->trust, trust == ANSWER_CURRENT);
}

static void
free_table(void *t)
{
	status_table_free(t);
}

static void
copy_marks(const struct store_status_marks *from, struct store_status_marks *to)
{
	size_t i;

	*to = (struct store_status_marks){ 0 };
	for (i = 0; i < from->n; i++)
		store_status_marks_add(to, &from->list[i]);
}

/* Takes the marks over; what they stand for is in the table already. */
static void
set_marks(struct feed *f, const struct store_status_marks *marks)
{
	struct store_status_marks old;

	(void)pthread_mutex_lock(&f->lock);
	old = f->marks;
	f->marks = *marks;
	(void)pthread_mutex_unlock(&f->lock);
	store_status_marks_clear(&old);
}

/* Takes both over. */
static void
publish(struct feed *f, struct status_table *t,
    const struct store_status_marks *marks)
{
	struct store_status_marks old_marks;
	struct status_table *old;

	(void)pthread_mutex_lock(&f->lock);
	old = atomic_exchange(&f->conf.world->table, t);
	old_marks = f->marks;
	f->marks = *marks;
	(void)pthread_mutex_unlock(&f->lock);
	store_status_marks_clear(&old_marks);
	if (old != NULL)
		epoch_retire(f->conf.world->epoch, old, free_table);
}

static void
take_snapshot(struct feed *f)
{
	struct status_table *t;
	struct snapshot s;
	struct err e;

	if (snapshot_load(f->conf.snapshot, f->conf.world->epoch, &t, &s, &e) ==
	    -1) {
		if (e.kind != ERR_NOT_FOUND)
			log_event(
			    LOG_WARN, "snapshot not used", "msg", e.text, NULL);
		return;
	}
	/* it answers nothing before the feed and the CRLs were looked at */
	publish(f, t, &s.marks);
	f->more = true;
	set_trust(f, ANSWER_CURRENT);
	log_msg(LOG_INFO, "snapshot loaded",
	    "%zu certificates as of %" PRId64 " s ago", status_table_count(t),
	    clock_now() - s.synced_at);
}

struct feed *
feed_new(const struct feed_conf *conf)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (f == NULL)
		abort();
	f->conf = *conf;
	f->db = db_new(conf->conninfo, "chancery-ocspd");
	f->wait_db = db_new(conf->conninfo, "chancery-ocspd wait");
	f->reader = epoch_reader_new(conf->world->epoch);
	(void)pthread_mutex_init(&f->lock, NULL);
	f->rows = metrics_counter("chancery_ocsp_feed_rows_total",
	    "Changes of status taken from the database.", NULL);
	f->faults = metrics_counter("chancery_ocsp_feed_faults_total",
	    "Rounds in which the database contradicted what was read before.",
	    NULL);
	f->certs = metrics_gauge("chancery_ocsp_certificates",
	    "Certificates whose status is known.", NULL);
	f->revoked = metrics_gauge(
	    "chancery_ocsp_revoked", "Of them revoked or on hold.", NULL);
	f->age = metrics_gauge("chancery_ocsp_age_seconds",
	    "Time since the database was last seen.", NULL);
	f->trust = metrics_gauge("chancery_ocsp_trusted",
	    "1 while the status table is trusted.", NULL);
	take_snapshot(f);
	return f;
}

void
feed_free(struct feed *f)
{
	if (f == NULL)
		return;
	db_free(f->db);
	db_free(f->wait_db);
	epoch_reader_free(f->reader);
	store_status_marks_clear(&f->marks);
	(void)pthread_mutex_destroy(&f->lock);
	status_table_free(atomic_exchange(&f->conf.world->table, NULL));
	free(f);
}

/* Logs that the database went or came back, once. */
static void
note_database(struct feed *f, const struct err *why)
{
	bool was = atomic_exchange(&f->connected, why == NULL);

	if (why == NULL)
		atomic_store(&f->heard_us, clock_mono_us());
	if (why != NULL && (was || !atomic_load(&f->down_told))) {
		atomic_store(&f->down_told, true);
		log_event(LOG_ERROR, "no database", "msg", why->text, NULL);
	} else if (why == NULL && !was && atomic_load(&f->down_told)) {
		atomic_store(&f->down_told, false);
		log_event(LOG_INFO, "database is back", NULL);
	}
}

/* A clock that was ahead once must not keep the table young. */
static void
synced(struct feed *f, int64_t at)
{
	int64_t now = clock_now(), was = atomic_load(&f->conf.world->synced_at);

	if (at > now)
		at = now;
	if (at > was || was > now)
		atomic_store(&f->conf.world->synced_at, at);
	set_trust(f, ANSWER_CURRENT);
}

/* What a table knows that another one lacks: revocations that never end. */
struct comparison {
	struct status_table *other;
	bool add;
	size_t missing;
};

static int
compare_one(void *arg, struct span serial, const struct status *s)
{
	struct comparison *c = arg;
	uint8_t number[STATUS_SERIAL_MAX + 1] = { 0 };
	struct status found = { .revoked = false };
	uint64_t word;

	if (!s->revoked || s->reason == STATUS_REASON_HOLD)
		return 0;
	memcpy(number + 1, serial.p, serial.n);
	if (status_table_find(c->other, s->issuer,
		span_of(number, serial.n + 1), &found, &word) &&
	    found.revoked && found.reason != STATUS_REASON_HOLD)
		return 0;
	c->missing++;
	if (c->add)
		(void)status_table_put(c->other, serial, s);
	return 0;
}

/*
 * How many certificates that were revoked for good the new table takes for
 * something else.  This thread alone changes both, so it needs no epoch.
 */
static size_t
lost_revocations(
    const struct status_table *old, struct status_table *new, bool add)
{
	struct comparison c = { .other = new, .add = add };

	if (old != NULL)
		(void)status_table_each(old, compare_one, &c);
	return c.missing;
}

static void
compare_entry(void *arg, const struct crl_bound_entry *entry)
{
	struct comparison *c = arg;
	struct status s = { .revoked = false };
	int id = atomic_load(&entry->issuer->id);
	uint64_t word;

	if (!status_table_find(c->other, id, entry->serial, &s, &word) ||
	    (s.revoked && s.reason != STATUS_REASON_HOLD))
		return;
	c->missing++;
	s.revoked = true;
	s.reason = entry->reason;
	s.revoked_at = entry->this_update;
	if (c->add)
		(void)status_table_put(c->other, entry->serial, &s);
}

/* The same for what the CRLs from before say. */
static size_t
lost_entries(const struct feed *f, struct status_table *t, bool add)
{
	struct comparison c = { .other = t, .add = add };

	if (f->conf.files != NULL)
		(void)crl_bound_each(f->conf.files, f->conf.world->authorities,
		    f->conf.world->n_authorities, compare_entry, &c);
	return c.missing;
}

static void
dispute(struct feed *f, const char *why)
{
	if (trust_of(f) != ANSWER_DISPUTED)
		log_event(LOG_ERROR, "the database went back in time", "msg",
		    why, "answer", "tryLater until an operator accepts it",
		    NULL);
	metric_add(f->faults, 1);
	set_trust(f, ANSWER_DISPUTED);
}

/* An issuer that is not registered yet has no certificates, either. */
static void
find_ids(struct feed *f)
{
	struct answer_world *w = f->conf.world;
	struct err ignored;
	size_t i;
	int id;

	for (i = 0; i < w->n_authorities; i++) {
		if (atomic_load(&w->authorities[i].id) == 0 &&
		    store_status_issuer(f->db, w->authorities[i].spki_sha256,
			&id, &ignored) == 0)
			atomic_store(&w->authorities[i].id, id);
	}
}

/*
 * Loads everything anew.  A database that has forgotten revocations is not
 * believed, unless an operator said so; even then they stay revoked here.
 */
static int
load(struct feed *f, bool accepted)
{
	const struct store_status_sink sink = { on_expect, on_row, f };
	struct store_status_marks marks = { 0 };
	int64_t from = clock_mono_us();
	struct err e;
	size_t lost;

	f->loading = NULL;
	if (store_status_load(f->db, &sink, &marks, &e) == -1) {
		status_table_free(f->loading);
		note_database(f, &e);
		return -1;
	}
	note_database(f, NULL);
	lost = lost_revocations(table_of(f), f->loading, accepted);
	/* unless accepted, the CRLs are looked at when all is current */
	find_ids(f);
	if (accepted)
		lost += lost_entries(f, f->loading, true);
	if (lost > 0 && !accepted) {
		status_table_free(f->loading);
		store_status_marks_clear(&marks);
		dispute(f, "certificates that were revoked are good");
		return -1;
	}
	if (lost > 0)
		log_msg(LOG_WARN, "accepted",
		    "%zu certificates stay revoked that the database has "
		    "as good: revoke them again",
		    lost);
	publish(f, f->loading, &marks);
	if (accepted)
		atomic_store(&f->bounded, true);
	f->accepting = false;
	/* how fresh it is, the next look at the changes tells */
	f->more = true;
	set_trust(f, ANSWER_CURRENT);
	log_msg(LOG_INFO, "loaded", "%zu certificates in %" PRId64 " ms",
	    status_table_count(f->loading), (clock_mono_us() - from) / 1000);
	return 0;
}

/* Tells of what is wrong, once. */
static void
judge(struct feed *f, const struct store_status_news *news)
{
	char text[100];

	if (news->found > STORE_STATUS_MORE && news->found != f->last) {
		(void)snprintf(text, sizeof(text), "%d", news->writer);
		log_event(LOG_ERROR, "feed", "msg",
		    news->found == STORE_STATUS_GAP
			? "a writer left out a number"
		    : news->found == STORE_STATUS_BEHIND
			? "the database lacks changes that were there"
			: "the database has another history",
		    "writer", text, NULL);
	}
	f->last = news->found;
	f->contradicted = news->found > STORE_STATUS_MORE ||
			  (f->contradicted && !atomic_load(&f->bounded));
	if (news->found == STORE_STATUS_ANOTHER ||
	    (news->found == STORE_STATUS_BEHIND && !news->replica))
		dispute(f, "its changes are not those that were read before");
	else if (news->found == STORE_STATUS_BEHIND)
		metric_add(f->faults, 1); /* a lagging replica, or too old */
}

/*
 * Once, when the table is current for the first time: it knows at least what
 * the CRLs from before know.  A replica may need a moment for that.
 */
static bool
is_bounded(struct feed *f)
{
	bool bounded = atomic_load(&f->bounded);

	if (bounded)
		return true;
	if (clock_mono_us() < f->bound_us)
		return false;
	find_ids(f);
	bounded = lost_entries(f, table_of(f), false) == 0;
	f->contradicted = !bounded;
	f->bound_us = clock_mono_us() + BOUND_US;
	if (!bounded && !f->replica)
		dispute(f, "certificates on CRLs from before are good");
	atomic_store(&f->bounded, bounded);
	return bounded;
}

static int
poll_changes(struct feed *f, struct err *e)
{
	const struct store_status_sink sink = { on_expect, on_row, f };
	int64_t at = clock_now();
	struct store_status_marks marks;
	struct store_status_news news;

	f->loading = table_of(f);
	f->unrevoked = false;
	/* this thread alone changes them */
	copy_marks(&f->marks, &marks);
	if (store_status_poll(f->db, &sink, &marks, &news, e) == -1) {
		store_status_marks_clear(&marks);
		return -1;
	}
	/* what is disputed is not known, also to the next start */
	if (f->unrevoked)
		store_status_marks_clear(&marks);
	else
		set_marks(f, &marks);
	metric_add(f->rows, news.rows);
	f->replica = news.replica;
	f->more = news.found == STORE_STATUS_MORE;
	judge(f, &news);
	if (f->unrevoked)
		dispute(f, "a revoked certificate became good");
	else if (news.found == STORE_STATUS_GAP)
		(void)load(f, false);
	else if (news.found == STORE_STATUS_OK && is_bounded(f))
		synced(f, news.replica ? news.as_of : at);
	return 0;
}

static void
pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void
wait_for_news(struct feed *f)
{
	struct err e;

	if (f->replica || store_status_wait(f->wait_db, WAIT_MS, &e) == -1)
		pause_ms(WAIT_MS);
}

/*
 * An operator's word counts once: for a database that is disputed, and for a
 * replica that lacks what was known, which may be late or gone back.
 */
static void
look_for_accept(struct feed *f)
{
	if ((trust_of(f) != ANSWER_DISPUTED && !f->contradicted) ||
	    access(f->conf.accept, F_OK) != 0)
		return;
	if (unlink(f->conf.accept) == -1) {
		log_event(LOG_ERROR, "accept", "msg", strerror(errno), NULL);
		return;
	}
	f->accepting = true;
	log_event(LOG_WARN, "an operator accepts the database as it is", NULL);
}

static void
measure(struct feed *f)
{
	int64_t synced_at = atomic_load(&f->conf.world->synced_at);
	const struct status_table *t = table_of(f);

	if (t != NULL) {
		atomic_store(&f->n_certs, status_table_count(t));
		atomic_store(&f->n_revoked, status_table_revoked(t));
	}
	metric_set(f->certs, atomic_load(&f->n_certs));
	metric_set(f->revoked, atomic_load(&f->n_revoked));
	metric_set(f->age,
	    clock_now() > synced_at ? (uint64_t)(clock_now() - synced_at) : 0);
}

/* Waits for changes, unless some are known to be there, and takes them. */
static void
follow(struct feed *f)
{
	struct err e;

	if (!f->more)
		wait_for_news(f);
	f->more = false;
	if (poll_changes(f, &e) == 0) {
		note_database(f, NULL);
		return;
	}
	note_database(f, &e);
	pause_ms(WAIT_MS);
}

void
feed_step(struct feed *f)
{
	look_for_accept(f);
	if (table_of(f) == NULL || f->accepting) {
		if (load(f, f->accepting) == -1)
			pause_ms(RETRY_MS);
	} else if (trust_of(f) == ANSWER_DISPUTED) {
		/* nothing is taken from it */
		pause_ms(RETRY_MS);
	} else {
		follow(f);
	}
	measure(f);
}

int
feed_save(struct feed *f, struct err *e)
{
	struct snapshot s = { .synced_at =
				  atomic_load(&f->conf.world->synced_at) };
	const struct status_table *t;
	int rc = 0;

	epoch_enter(f->reader);
	(void)pthread_mutex_lock(&f->lock);
	copy_marks(&f->marks, &s.marks);
	t = table_of(f);
	(void)pthread_mutex_unlock(&f->lock);
	if (t != NULL)
		rc = snapshot_write(f->conf.snapshot, t, &s, e);
	epoch_leave(f->reader);
	store_status_marks_clear(&s.marks);
	return rc;
}

void
feed_health(const struct feed *f, struct feed_health *out)
{
	out->trust = trust_of(f);
	out->bounded = atomic_load(&f->bounded);
	out->connected =
	    atomic_load(&f->connected) &&
	    clock_mono_us() < atomic_load(&f->heard_us) + SILENT_US;
	out->synced_at = atomic_load(&f->conf.world->synced_at);
	out->certificates = atomic_load(&f->n_certs);
	out->revoked = atomic_load(&f->n_revoked);
}
