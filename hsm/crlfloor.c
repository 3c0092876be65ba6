#include "hsm/crlfloor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/sha256.h"

#define DAY_S ((int64_t)86400)
#define FLUSH_AT ((size_t)256 * 1024)
#define FLOOR_MAX 1024
#define SERIAL_MAX 20

/* A record: an octet of length, the serial, when it came and when it left. */
#define TIME_SIZE 5
#define RECORD_MAX (1 + SERIAL_MAX + 2 * TIME_SIZE)

static const char floor_magic[] = "chancery crl floor 1\n";
static const char set_magic[] = "chancery crl serials 2\n";

/* Before that, a record did not say when it came, and the time was longer. */
static const char set_magic_1[] = "chancery crl serials 1\n";
#define TIME_SIZE_1 8

/* The floor file. */
struct floor {
	bool known;
	struct span number, complete; /* complete: of the last complete list */
	int64_t this_update;
	uint64_t total; /* struct merge's, of the last complete list */
};

struct paths {
	const char *lock, *floor, *set, *fresh;
};

/* One serial of the serials file. */
struct record {
	struct span serial;
	int64_t came_at; /* 0: with the first list */
	int64_t left_at; /* 0: it is on the last complete list */
};

/* A serials file, or none, and its records that are left to read. */
struct set {
	struct span whole, records;
	bool version_1;
};

/* The new serials file on its way to the disk, and what it counts. */
struct merge {
	const struct crlfloor_conf *conf;
	int fd;
	struct buf out;
	struct set old;
	uint64_t total;    /* on a list within a day, and came before that */
	uint64_t lost;     /* on a list within a day, and gone */
	uint64_t lost_now; /* of these, gone with this list */
};

static int
failed(struct err *e, const char *what)
{
	return err_set(
	    e, ERR_UNAVAILABLE, "CRL floor: %s: %s", what, strerror(errno));
}

static int
damaged(const char *path, struct err *e)
{
	return err_set(e, ERR_INTERNAL, "CRL floor: \"%s\" is damaged", path);
}

/* One set of files for each key and issuingDistributionPoint. */
static int
find_paths(struct arena *a, const struct crlfloor_conf *conf,
    const struct crlcheck *c, struct paths *p, struct err *e)
{
	const char *dir = arena_printf(a, "%s/crl", conf->state_dir), *base;
	uint8_t hash[SHA256_SIZE];
	AUTO_BUF(b, 65536);

	buf_block(&b, conf->spki);
	buf_block(&b, c->idp);
	if (!buf_ok(&b))
		return err_set(e, ERR_MALFORMED, "CRL: point is too long");
	sha256(buf_get(&b), hash);
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return failed(e, dir);
	base = arena_printf(a, "%s/%s", dir, hex_encode(a, span_of(hash, 16)));
	p->lock = arena_printf(a, "%s.lock", base);
	p->floor = arena_printf(a, "%s.floor", base);
	p->set = arena_printf(a, "%s.serials", base);
	p->fresh = arena_printf(a, "%s.serials.new", base);
	return 0;
}

static int
read_floor(struct arena *a, const char *path, struct floor *f, struct err *e)
{
	struct span s, magic;

	*f = (struct floor){ .known = false };
	if (file_read(a, path, FLOOR_MAX, &s, e) != 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (!span_take(&s, sizeof(floor_magic) - 1, &magic) ||
	    !span_is(magic, floor_magic) || !span_block(&s, &f->number) ||
	    !span_block(&s, &f->complete) || !span_i64(&s, &f->this_update) ||
	    !span_u64(&s, &f->total) || s.n != 0)
		return damaged(path, e);
	f->known = true;
	return 0;
}

static int
write_floor(const char *path, const struct floor *f, struct err *e)
{
	AUTO_BUF(b, FLOOR_MAX);

	buf_str(&b, floor_magic);
	buf_block(&b, f->number);
	buf_block(&b, f->complete);
	buf_u64(&b, (uint64_t)f->this_update);
	buf_u64(&b, f->total);
	return file_replace(path, buf_get(&b), 0600, e);
}

static int
check_order(const struct floor *f, const struct crlcheck *c, struct err *e)
{
	if (f->known && crlcheck_number_cmp(c->number, f->number) <= 0)
		return err_set(e, ERR_REFUSED,
		    "cRLNumber: not above that of the last list of this "
		    "distribution point");
	if (f->known && c->this_update < f->this_update)
		return err_set(e, ERR_REFUSED,
		    "thisUpdate: before that of the last list of this "
		    "distribution point");
	if (!c->delta)
		return 0;
	if (f->complete.n == 0 || crlcheck_number_cmp(c->base, f->complete) > 0)
		return err_set(e, ERR_REFUSED,
		    "deltaCRLIndicator: no complete list has this number");
	return 0;
}

/* Whether 'lost' is more than lists may lose in a day. */
static int
check_loss(const struct crlfloor_conf *conf, uint64_t lost, uint64_t total,
    struct err *e)
{
	if (lost <= CRLFLOOR_LOSS_FREE ||
	    lost * 100 <= total * (uint64_t)conf->loss_percent ||
	    conf->loss_percent >= 100)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "crl-loss-allowance: %llu entries would be lost within a day, "
	    "more than %d percent of the %llu that were there before",
	    (unsigned long long)lost, conf->loss_percent,
	    (unsigned long long)total);
}

/* The old serials, mapped; empty when there are none yet. */
static int
map_set(const char *path, struct set *out, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct span magic;
	struct stat st;
	void *p;

	*out = (struct set){ .version_1 = false };
	if (fd < 0)
		return errno == ENOENT ? 0 : failed(e, path);
	if (fstat(fd, &st) != 0 || st.st_size <= 0)
		return damaged(path, e);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return failed(e, path);
	out->whole = out->records = span_of(p, (size_t)st.st_size);
	if (span_take(&out->records, sizeof(set_magic) - 1, &magic)) {
		out->version_1 = span_is(magic, set_magic_1);
		if (out->version_1 || span_is(magic, set_magic))
			return 0;
	}
	crlcheck_unmap(out->whole);
	return damaged(path, e);
}

static bool
take_time(struct span *s, size_t size, int64_t *out)
{
	struct span octets;
	uint64_t v = 0;
	size_t i;

	if (!span_take(s, size, &octets))
		return false;
	for (i = 0; i < size; i++)
		v = v << 8 | octets.p[i];
	*out = (int64_t)v;
	return true;
}

/* What a file of version 1 has counts as come with the first list. */
static bool
next_record(struct set *set, struct record *r)
{
	const size_t size = set->version_1 ? TIME_SIZE_1 : TIME_SIZE;
	struct span t = set->records;
	uint8_t n;

	r->came_at = 0;
	if (!span_u8(&t, &n) || n > SERIAL_MAX ||
	    !span_take(&t, n, &r->serial) ||
	    (!set->version_1 && !take_time(&t, size, &r->came_at)) ||
	    !take_time(&t, size, &r->left_at))
		return false;
	set->records = t;
	return true;
}

static int
flush(struct merge *m, struct err *e)
{
	if (write(m->fd, m->out.p, m->out.n) != (ssize_t)m->out.n)
		return failed(e, "serials");
	buf_reset(&m->out);
	return 0;
}

static uint8_t *
put_time(uint8_t *p, int64_t at)
{
	int shift;

	for (shift = 8 * (TIME_SIZE - 1); shift >= 0; shift -= 8)
		*p++ = (uint8_t)((uint64_t)at >> shift);
	return p;
}

/*
 * Counts a record and keeps it.  Anybody can put invented serials on a list,
 * so what came within a day does not make a loss smaller; it is a loss when
 * it goes, though.
 */
static int
put_record(struct merge *m, const struct record *r, struct err *e)
{
	uint8_t record[RECORD_MAX], *p = record;

	m->total += r->came_at < m->conf->now - DAY_S;
	m->lost += r->left_at != 0;
	*p++ = (uint8_t)r->serial.n;
	memcpy(p, r->serial.p, r->serial.n);
	p = put_time(p + r->serial.n, r->came_at);
	p = put_time(p, r->left_at);
	buf_add(&m->out, record, (size_t)(p - record));
	return m->out.n < FLUSH_AT ? 0 : flush(m, e);
}

/* A serial of the old set that is not on the new list. */
static int
put_lost(struct merge *m, struct record *r, struct err *e)
{
	if (r->left_at == 0) {
		r->left_at = m->conf->now;
		m->lost_now++;
	}
	return r->left_at < m->conf->now - DAY_S ? 0 : put_record(m, r, e);
}

/* Both are in the same order, so one walk tells what is new and lost. */
static int
merge_sets(struct merge *m, const struct crlcheck *c, struct err *e)
{
	const int64_t now = m->old.whole.n == 0 ? 0 : m->conf->now;
	struct span list = c->list;
	struct record r = { .left_at = 0 }, fresh = { .left_at = 0 };
	bool has_old = next_record(&m->old, &r);
	bool has_new = crlcheck_next_serial(&list, &fresh.serial);
	int order, rc;

	while (has_old || has_new) {
		order = !has_old   ? 1
			: !has_new ? -1
				   : span_cmp(r.serial, fresh.serial);
		if (order < 0) {
			rc = put_lost(m, &r, e);
		} else {
			fresh.came_at = order == 0 ? r.came_at : now;
			rc = put_record(m, &fresh, e);
			has_new = crlcheck_next_serial(&list, &fresh.serial);
		}
		if (rc == -1)
			return -1;
		if (order <= 0)
			has_old = next_record(&m->old, &r);
	}
	if (m->old.records.n != 0)
		return err_set(
		    e, ERR_INTERNAL, "CRL floor: the serials are damaged");
	return flush(m, e);
}

/* Writes the new serials beside the old ones and judges the loss. */
static int
write_set(struct merge *m, const struct crlcheck *c, struct err *e)
{
	buf_str(&m->out, set_magic);
	if (merge_sets(m, c, e) == -1)
		return -1;
	/* a list that loses nothing itself may follow one that was allowed */
	if (m->lost_now > 0 && check_loss(m->conf, m->lost, m->total, e) == -1)
		return -1;
	return fdatasync(m->fd) == 0 ? 0 : failed(e, "serials");
}

/* '*total': what the loss was measured by. */
static int
raise_set(const struct crlfloor_conf *conf, const struct paths *p,
    const struct crlcheck *c, uint64_t *total, struct err *e)
{
	AUTO_FD int fd = open(p->fresh,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct merge m = { .conf = conf, .fd = fd };
	int r;

	if (fd < 0)
		return failed(e, p->fresh);
	r = map_set(p->set, &m.old, e);
	if (r == 0) {
		buf_init(&m.out, FLUSH_AT + RECORD_MAX);
		r = write_set(&m, c, e);
		buf_clear(&m.out);
		crlcheck_unmap(m.old.whole);
	}
	if (r == 0 && rename(p->fresh, p->set) != 0)
		r = failed(e, p->set);
	if (r != 0)
		(void)unlink(p->fresh);
	*total = m.total;
	return r;
}

static int
raise_floor(struct arena *a, const struct crlfloor_conf *conf,
    const struct paths *p, const struct crlcheck *c, struct err *e)
{
	struct floor f;

	if (read_floor(a, p->floor, &f, e) == -1 || check_order(&f, c, e) == -1)
		return -1;
	if (c->delta && check_loss(conf, c->removed, f.total, e) == -1)
		return -1;
	if (f.complete.n > 0 && access(p->set, F_OK) != 0)
		return err_set(
		    e, ERR_INTERNAL, "CRL floor: \"%s\" is missing", p->set);
	if (!c->delta && raise_set(conf, p, c, &f.total, e) == -1)
		return -1;
	f.number = c->number;
	f.this_update = c->this_update;
	if (!c->delta)
		f.complete = c->number;
	return write_floor(p->floor, &f, e);
}

int
crlfloor_raise(
    const struct crlfloor_conf *conf, const struct crlcheck *c, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	AUTO_FD int lock = -1;
	struct paths p;

	if (find_paths(a, conf, c, &p, e) == -1)
		return -1;
	lock = open(p.lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) != 0)
		return failed(e, p.lock);
	return raise_floor(a, conf, &p, c, e);
}
