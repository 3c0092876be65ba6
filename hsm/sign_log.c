#include "hsm/sign_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "hsm/sign_index.h"
#include "hsm/sign_record.h"

#define US ((int64_t)1000000)

/* A leaf's record waits this long for others before it goes to disk. */
#define SYNC_AFTER_US ((int64_t)80000)
#define REFUSAL_WINDOW_US (60 * US)

/* How far back a good record is looked for when the end is torn. */
#define TORN_MAX ((uint64_t)16 * 1024 * 1024)

struct sign_log {
	int fd;
	uint8_t slot;
	int64_t horizon_s;
	uint64_t size, seq, last_bar;
	int64_t last_us;
	uint8_t head[SIGN_HASH_SIZE];
	struct sign_index *index;
	uint8_t (*bars)[SIGN_HASH_SIZE]; /* sorted: every signature looks */
	size_t n_bars;
	struct sign_hasher hasher;
	struct buf out, in;
	int64_t sync_due_us; /* -1: everything is on disk */
	int64_t refusals_since_us;
	uint32_t refusals, left_out;
};

static bool
add_bar(struct sign_log *l, const uint8_t hash[SIGN_HASH_SIZE])
{
	void *more = realloc(l->bars, (l->n_bars + 1) * sizeof(l->bars[0]));

	if (more == NULL)
		return false;
	l->bars = more;
	memcpy(l->bars[l->n_bars++], hash, SIGN_HASH_SIZE);
	return true;
}

static int
compare_bars(const void *x, const void *y)
{
	return memcmp(x, y, SIGN_HASH_SIZE);
}

/* A new bar into its place among the sorted ones. */
static bool
insert_bar(struct sign_log *l, const uint8_t hash[SIGN_HASH_SIZE])
{
	size_t i = l->n_bars;

	if (!add_bar(l, hash))
		return false;
	while (i > 0 && compare_bars(l->bars[i - 1], hash) > 0)
		i--;
	memmove(l->bars + i + 1, l->bars + i,
	    (l->n_bars - 1 - i) * sizeof(l->bars[0]));
	memcpy(l->bars[i], hash, SIGN_HASH_SIZE);
	return true;
}

static bool
is_barred(const struct sign_log *l, const uint8_t hash[SIGN_HASH_SIZE])
{
	return l->n_bars > 0 && bsearch(hash, l->bars, l->n_bars,
				    sizeof(l->bars[0]), compare_bars) != NULL;
}

static bool
index_record(struct sign_log *l, const struct sign_record *r, uint64_t offset)
{
	struct sign_index_entry entry = { .offset = offset };

	if (r->serial.n > sizeof(entry.serial))
		return false;
	memcpy(entry.tbs_hash, r->tbs_hash, SIGN_HASH_SIZE);
	if (r->serial.n > 0) /* a CRL has none */
		memcpy(entry.serial, r->serial.p, r->serial.n);
	entry.serial_n = (uint8_t)r->serial.n;
	return sign_index_add(l->index, &entry, clock_now());
}

/*
 * The largest end of a whole record at or before 'size': what a crash left
 * behind it is torn.
 */
static int
find_end(struct sign_log *l, uint64_t size, uint64_t *end, struct err *e)
{
	uint64_t lowest = size > TORN_MAX ? size - TORN_MAX : 0;
	struct sign_record r;

	for (*end = size; *end > lowest; (*end)--) {
		if (sign_record_read_back(&l->hasher, l->fd, *end, &l->in, &r))
			return 0;
	}
	if (lowest == 0 && size <= SIGN_RECORD_MAX)
		return 0;
	return err_set(e, ERR_INTERNAL,
	    "no whole record in the last %llu bytes",
	    (unsigned long long)TORN_MAX);
}

static void
take_over(struct sign_log *l, const struct sign_record *r, uint64_t offset)
{
	l->seq = r->seq;
	l->last_us = r->time_us;
	memcpy(l->head, r->head, SIGN_HASH_SIZE);
	l->last_bar = r->type == SIGN_LOG_BAR ? offset : r->bar;
}

/* Reads backwards to the horizon, checking each link of the chain. */
static int
read_horizon(struct sign_log *l, struct err *e)
{
	int64_t oldest = (clock_now() - l->horizon_s) * US;
	uint8_t want[SIGN_HASH_SIZE];
	uint64_t end, seq = 0;
	struct sign_record r;

	for (end = l->size; end > 0; end -= r.length) {
		if (!sign_record_read_back(
			&l->hasher, l->fd, end, &l->in, &r) ||
		    r.slot != l->slot ||
		    (end != l->size &&
			(memcmp(r.head, want, SIGN_HASH_SIZE) != 0 ||
			    r.seq + 1 != seq)))
			return err_set(e, ERR_INTERNAL,
			    "chain is broken before offset %llu",
			    (unsigned long long)end);
		if (end == l->size)
			take_over(l, &r, end - r.length);
		if (r.time_us < oldest)
			break;
		if (r.type == SIGN_LOG_SIGNATURE &&
		    !index_record(l, &r, end - r.length))
			return err_set(e, ERR_INTERNAL, "index is full");
		seq = r.seq;
		memcpy(want, r.prev, SIGN_HASH_SIZE);
	}
	return 0;
}

/* All bars, along their list through the file. */
static int
read_bars(struct sign_log *l, struct err *e)
{
	uint64_t at = l->last_bar;
	struct sign_record r;

	for (; at != SIGN_RECORD_NO_BAR; at = r.bar) {
		if (at >= l->size ||
		    !sign_record_read(&l->hasher, l->fd, at, &l->in, &r) ||
		    r.type != SIGN_LOG_BAR ||
		    (r.bar != SIGN_RECORD_NO_BAR && r.bar >= at) ||
		    !add_bar(l, r.tbs_hash))
			return err_set(e, ERR_INTERNAL,
			    "list of bars is broken at offset %llu",
			    (unsigned long long)at);
	}
	if (l->n_bars > 0)
		qsort(l->bars, l->n_bars, sizeof(l->bars[0]), compare_bars);
	return 0;
}

static int
open_file(struct sign_log *l, const char *path, uint64_t *cut, struct err *e)
{
	struct stat st;
	uint64_t end;

	l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->fd < 0 || fstat(l->fd, &st) != 0)
		return err_set(e, ERR_UNAVAILABLE, "%s", strerror(errno));
	if (flock(l->fd, LOCK_EX | LOCK_NB) != 0)
		return err_set(e, ERR_UNAVAILABLE, "in use by another process");
	if (find_end(l, (uint64_t)st.st_size, &end, e) != 0)
		return -1;
	*cut = (uint64_t)st.st_size - end;
	l->size = end;
	if (*cut > 0 &&
	    (ftruncate(l->fd, (off_t)end) != 0 || fsync(l->fd) != 0))
		return err_set(e, ERR_UNAVAILABLE, "%s", strerror(errno));
	return 0;
}

int
sign_log_open(const struct sign_log_conf *conf, struct sign_log **out,
    uint64_t *cut, struct err *e)
{
	struct sign_log *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return err_set(e, ERR_INTERNAL, "no memory");
	l->fd = -1;
	l->slot = conf->slot;
	l->horizon_s = conf->horizon_s;
	l->last_bar = SIGN_RECORD_NO_BAR;
	l->sync_due_us = -1;
	buf_init(&l->out, SIGN_RECORD_MAX);
	buf_init(&l->in, SIGN_RECORD_MAX);
	l->index = sign_index_new(conf->horizon_s);
	if (l->index == NULL || sign_hasher_init(&l->hasher, e) != 0 ||
	    open_file(l, conf->path, cut, e) != 0 || read_horizon(l, e) != 0 ||
	    read_bars(l, e) != 0) {
		sign_log_close(l);
		return err_prefix(e, "signature log \"%s\"", conf->path);
	}
	*out = l;
	return 0;
}

void
sign_log_close(struct sign_log *l)
{
	if (l == NULL)
		return;
	if (l->fd >= 0) {
		(void)fdatasync(l->fd);
		(void)close(l->fd);
	}
	sign_index_free(l->index);
	sign_hasher_clear(&l->hasher);
	buf_clear(&l->out);
	buf_clear(&l->in);
	free(l->bars);
	free(l);
}

uint64_t
sign_log_seq(const struct sign_log *l)
{
	return l->seq;
}

int
sign_log_clock_check(const struct sign_log *l, struct err *e)
{
	int64_t behind = l->last_us - clock_now_us();

	if (behind > SIGN_LOG_CLOCK_S * US)
		return err_set(e, ERR_UNAVAILABLE,
		    "clock is %lld s before the last record of the log",
		    (long long)(behind / US));
	return 0;
}

int
sign_log_hash(struct sign_log *l, struct span data,
    uint8_t hash[SIGN_HASH_SIZE], struct err *e)
{
	if (!sign_hasher_run(&l->hasher, data, hash))
		return err_set(e, ERR_INTERNAL, "SHA-256 failed");
	return 0;
}

/* Starts a record with the next number. */
static void
begin(struct sign_log *l, enum sign_log_type type, struct sign_record *r)
{
	memset(r, 0, sizeof(*r));
	r->type = (uint8_t)type;
	r->slot = l->slot;
	r->seq = l->seq + 1;
	r->time_us = clock_now_us();
	r->bar = l->last_bar;
	memcpy(r->prev, l->head, SIGN_HASH_SIZE);
	sign_record_begin(&l->out, r);
}

static int
flush(struct sign_log *l, struct err *e)
{
	if (fdatasync(l->fd) != 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "signature log: %s", strerror(errno));
	l->sync_due_us = -1;
	return 0;
}

/* Ends the record, writes it, and takes it into the state. */
static int
append(struct sign_log *l, struct sign_record *r, bool sync, struct err *e)
{
	uint64_t offset = l->size;
	ssize_t put;

	if (!sign_record_end(&l->hasher, &l->out, r->head))
		return err_set(e, ERR_INTERNAL, "log record is too large");
	put = pwrite(l->fd, l->out.p, l->out.n, (off_t)offset);
	if (put != (ssize_t)l->out.n) {
		(void)err_set(e, ERR_UNAVAILABLE,
		    "signature log cannot be written: %s",
		    put < 0 ? strerror(errno) : "disk full");
		if (ftruncate(l->fd, (off_t)offset) != 0)
			return err_set(e, ERR_INTERNAL, "signature log: %s",
			    strerror(errno));
		return -1;
	}
	l->size += l->out.n;
	take_over(l, r, offset);
	if (sync)
		return flush(l, e);
	if (l->sync_due_us < 0)
		l->sync_due_us = clock_mono_us() + SYNC_AFTER_US;
	return 0;
}

/* What the record at 'offset' says was signed. */
static int
reply_from(struct sign_log *l, struct arena *a, uint64_t offset,
    struct sign_reply *out, struct err *e)
{
	struct sign_record r;

	if (!sign_record_read(&l->hasher, l->fd, offset, &l->in, &r) ||
	    r.type != SIGN_LOG_SIGNATURE)
		return err_set(e, ERR_INTERNAL,
		    "signature log is damaged at offset %llu",
		    (unsigned long long)offset);
	out->tbs = span_dup(a, r.tbs);
	out->signature = span_dup(a, r.signature);
	out->receipt.slot = l->slot;
	out->receipt.seq = r.seq;
	memcpy(out->receipt.head, r.head, SIGN_HASH_SIZE);
	return 0;
}

int
sign_log_find(struct sign_log *l, struct arena *a,
    const struct sign_log_query *q, bool *found, struct sign_reply *out,
    struct err *e)
{
	const struct sign_index_entry *t =
	    sign_index_hash(l->index, q->tbs_hash);

	*found = t != NULL;
	if (t != NULL)
		return reply_from(l, a, t->offset, out, e);
	if (is_barred(l, q->tbs_hash))
		return err_set(e, ERR_REFUSED,
		    "barred: a recall has given this object up");
	if (q->serial.n > 0 && sign_index_serial(l->index, q->serial) != NULL)
		return err_set(e, ERR_REFUSED,
		    "serial: another object was signed under it");
	return 0;
}

int
sign_log_add(struct sign_log *l, const struct sign_log_entry *entry,
    struct sign_receipt *receipt, struct err *e)
{
	uint64_t offset = l->size;
	struct sign_record r;

	begin(l, SIGN_LOG_SIGNATURE, &r);
	buf_u8(&l->out, (uint8_t)entry->kind);
	buf_u8(&l->out, (uint8_t)entry->role);
	buf_block(&l->out, span_str(entry->class));
	buf_block(&l->out, span_str(entry->key));
	buf_block(&l->out, span_str(entry->request_id));
	buf_add(&l->out, entry->profile_hash, SIGN_HASH_SIZE);
	buf_block(&l->out, entry->serial);
	buf_add(&l->out, entry->tbs_hash, SIGN_HASH_SIZE);
	buf_block(&l->out, entry->tbs);
	buf_block(&l->out, entry->signature);
	memcpy(r.tbs_hash, entry->tbs_hash, SIGN_HASH_SIZE);
	r.serial = entry->serial;
	if (append(l, &r, entry->sync, e) != 0)
		return -1;
	if (!index_record(l, &r, offset))
		return err_set(e, ERR_INTERNAL, "index is full");
	receipt->slot = l->slot;
	receipt->seq = r.seq;
	memcpy(receipt->head, r.head, SIGN_HASH_SIZE);
	return 0;
}

/* Looks for the hash in what is older than the index, down to 'since'. */
static int
scan_back(struct sign_log *l, const uint8_t hash[SIGN_HASH_SIZE], int64_t since,
    uint64_t *offset, struct err *e)
{
	int64_t oldest = (since - SIGN_LOG_CLOCK_S) * US;
	struct sign_record r;
	uint64_t end = sign_index_lowest(l->index);

	*offset = UINT64_MAX;
	if (end == UINT64_MAX)
		end = l->size;
	for (; end > 0; end -= r.length) {
		if (!sign_record_read_back(&l->hasher, l->fd, end, &l->in, &r))
			return err_set(e, ERR_INTERNAL,
			    "signature log is damaged before offset %llu",
			    (unsigned long long)end);
		if (r.time_us < oldest)
			break;
		if (r.type == SIGN_LOG_SIGNATURE &&
		    memcmp(r.tbs_hash, hash, SIGN_HASH_SIZE) == 0) {
			*offset = end - r.length;
			break;
		}
	}
	return 0;
}

static int
bar(struct sign_log *l, const uint8_t hash[SIGN_HASH_SIZE], struct err *e)
{
	struct sign_record r;

	if (is_barred(l, hash))
		return 0;
	begin(l, SIGN_LOG_BAR, &r);
	buf_add(&l->out, hash, SIGN_HASH_SIZE);
	if (append(l, &r, true, e) != 0)
		return -1;
	if (!insert_bar(l, hash))
		return err_set(e, ERR_INTERNAL, "no memory for a bar");
	return 0;
}

int
sign_log_recall(struct sign_log *l, struct arena *a,
    const struct sign_log_query *q, bool *found, struct sign_reply *out,
    struct err *e)
{
	const struct sign_index_entry *t =
	    sign_index_hash(l->index, q->tbs_hash);
	uint64_t offset;

	if (t != NULL)
		offset = t->offset;
	else if (scan_back(l, q->tbs_hash, q->since, &offset, e) != 0)
		return -1;
	*found = offset != UINT64_MAX;
	if (*found)
		return reply_from(l, a, offset, out, e);
	return bar(l, q->tbs_hash, e);
}

static int
write_refusal(struct sign_log *l, int role, const char *request_id,
    const char *reason, struct err *e)
{
	struct sign_record r;

	begin(l, SIGN_LOG_REFUSAL, &r);
	buf_u32(&l->out, l->left_out);
	buf_u8(&l->out, (uint8_t)role);
	buf_block(&l->out, span_str(request_id));
	buf_block(&l->out, span_str(reason));
	l->left_out = 0;
	return append(l, &r, false, e);
}

int
sign_log_refuse(struct sign_log *l, int role, const char *request_id,
    const char *reason, struct err *e)
{
	int64_t now = clock_mono_us();

	if (now - l->refusals_since_us >= REFUSAL_WINDOW_US) {
		l->refusals_since_us = now;
		l->refusals = 0;
	}
	if (l->refusals++ < SIGN_LOG_REFUSALS)
		return write_refusal(l, role, request_id, reason, e);
	l->left_out++;
	return 0;
}

int64_t
sign_log_due_us(const struct sign_log *l)
{
	int64_t counted = l->refusals_since_us + REFUSAL_WINDOW_US;

	if (l->left_out == 0)
		return l->sync_due_us;
	if (l->sync_due_us < 0 || counted < l->sync_due_us)
		return counted;
	return l->sync_due_us;
}

int
sign_log_tick(struct sign_log *l, struct err *e)
{
	int64_t now = clock_mono_us();

	if (l->left_out > 0 &&
	    now >= l->refusals_since_us + REFUSAL_WINDOW_US &&
	    sign_log_refuse(l, 0, NULL, "only counted", e) != 0)
		return -1;
	if (l->sync_due_us >= 0 && now >= l->sync_due_us)
		return flush(l, e);
	return 0;
}

static void
count(struct sign_log_summary *s, const struct sign_record *r)
{
	s->records++;
	s->signatures += r->type == SIGN_LOG_SIGNATURE;
	s->bars += r->type == SIGN_LOG_BAR;
	s->refusals += r->type == SIGN_LOG_REFUSAL;
	memcpy(s->head, r->head, SIGN_HASH_SIZE);
}

/* Every record from the start, with the list of bars. */
static int
verify_all(int fd, uint64_t size, struct sign_hasher *h,
    struct sign_log_summary *out, struct err *e)
{
	uint64_t at, last_bar = SIGN_RECORD_NO_BAR;
	uint8_t hash[SIGN_HASH_SIZE];
	struct sign_record r;
	AUTO_BUF(b, SIGN_RECORD_MAX);

	for (at = 0; at < size; at += r.length) {
		if (!sign_record_read(h, fd, at, &b, &r) ||
		    r.seq != out->records + 1 || r.bar != last_bar ||
		    memcmp(r.prev, out->head, SIGN_HASH_SIZE) != 0)
			return err_set(e, ERR_INTERNAL,
			    "chain is broken at offset %llu",
			    (unsigned long long)at);
		/* of a CRL the record holds a summary */
		if (r.type == SIGN_LOG_SIGNATURE && r.kind != SIGN_CRL &&
		    (!sign_hasher_run(h, r.tbs, hash) ||
			memcmp(hash, r.tbs_hash, SIGN_HASH_SIZE) != 0))
			return err_set(e, ERR_INTERNAL,
			    "hash of the object at offset %llu is wrong",
			    (unsigned long long)at);
		if (r.type == SIGN_LOG_BAR)
			last_bar = at;
		count(out, &r);
	}
	return 0;
}

int
sign_log_verify(const char *path, struct sign_log_summary *out, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct sign_hasher h;
	struct stat st;
	int r;

	memset(out, 0, sizeof(*out));
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot read \"%s\": %s",
		    path, strerror(errno));
	if (sign_hasher_init(&h, e) != 0)
		return -1;
	r = verify_all(fd, (uint64_t)st.st_size, &h, out, e);
	sign_hasher_clear(&h);
	return r;
}
