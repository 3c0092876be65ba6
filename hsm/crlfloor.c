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

/* A record: one octet of length, the serial, when it left. */
#define RECORD_MAX (1 + SERIAL_MAX + 8)

static const char floor_magic[] = "chancery crl floor 1\n";
static const char set_magic[] = "chancery crl serials 1\n";

/* The floor file. */
struct floor {
	bool known;
	struct span number, complete; /* complete: of the last complete list */
	int64_t this_update;
	uint64_t entries; /* of the last complete list */
};

struct paths {
	const char *lock, *floor, *set, *fresh;
};

/* One serial of the serials file. */
struct record {
	struct span serial;
	int64_t left_at; /* 0: it is on the last complete list */
};

/* The new serials file on its way to the disk, and what it counts. */
struct merge {
	const struct crlfloor_conf *conf;
	int fd;
	struct buf out;
	struct span old;   /* records that are left to read */
	uint64_t total;    /* on a list within a day */
	uint64_t lost;     /* of these, gone */
	uint64_t lost_now; /* of these, gone with this list */
};

static int
failed(struct err *e, const char *what)
{
	return err_set(
	    e, ERR_UNAVAILABLE, "CRL floor: %s: %s", what, strerror(errno));
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
	    !span_u64(&s, &f->entries) || s.n != 0)
		return err_set(
		    e, ERR_INTERNAL, "CRL floor: \"%s\" is damaged", path);
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
	buf_u64(&b, f->entries);
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

/* 'lost' of 'total' is more than a list may lose in a day. */
static int
check_loss(const struct crlfloor_conf *conf, uint64_t lost, uint64_t total,
    struct err *e)
{
	if (lost <= CRLFLOOR_LOSS_FREE ||
	    lost * 100 <= total * (uint64_t)conf->loss_percent)
		return 0;
	return err_set(e, ERR_REFUSED,
	    "crl-loss-allowance: %llu of %llu entries would be lost within a "
	    "day, more than %d percent",
	    (unsigned long long)lost, (unsigned long long)total,
	    conf->loss_percent);
}

/* The old serials, mapped; empty when there are none yet. */
static int
map_set(
    const char *path, struct span *whole, struct span *records, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct span magic;
	struct stat st;
	void *p;

	*whole = *records = span_of(NULL, 0);
	if (fd < 0)
		return errno == ENOENT ? 0 : failed(e, path);
	if (fstat(fd, &st) != 0 || st.st_size <= 0)
		return err_set(
		    e, ERR_INTERNAL, "CRL floor: \"%s\" is damaged", path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return failed(e, path);
	*whole = *records = span_of(p, (size_t)st.st_size);
	if (!span_take(records, sizeof(set_magic) - 1, &magic) ||
	    !span_is(magic, set_magic)) {
		crlcheck_unmap(*whole);
		return err_set(
		    e, ERR_INTERNAL, "CRL floor: \"%s\" is damaged", path);
	}
	return 0;
}

static bool
next_record(struct span *s, struct record *r)
{
	struct span t = *s;
	uint8_t n;

	if (!span_u8(&t, &n) || n > SERIAL_MAX ||
	    !span_take(&t, n, &r->serial) || !span_i64(&t, &r->left_at))
		return false;
	*s = t;
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

static int
put_record(struct merge *m, struct span serial, int64_t left_at, struct err *e)
{
	uint8_t record[RECORD_MAX];
	size_t n = 0;
	int shift;

	record[n++] = (uint8_t)serial.n;
	memcpy(record + n, serial.p, serial.n);
	n += serial.n;
	for (shift = 56; shift >= 0; shift -= 8)
		record[n++] = (uint8_t)((uint64_t)left_at >> shift);
	buf_add(&m->out, record, n);
	return m->out.n < FLUSH_AT ? 0 : flush(m, e);
}

/* A serial of the old set that is not on the new list. */
static int
put_lost(struct merge *m, const struct record *r, struct err *e)
{
	int64_t left_at = r->left_at == 0 ? m->conf->now : r->left_at;

	if (left_at < m->conf->now - DAY_S)
		return 0;
	m->total++;
	m->lost++;
	m->lost_now += r->left_at == 0;
	return put_record(m, r->serial, left_at, e);
}

/* Both are in the same order, so one walk tells what is new and lost. */
static int
merge_sets(struct merge *m, const struct crlcheck *c, struct err *e)
{
	struct span list = c->list, serial = span_of(NULL, 0);
	struct record r = { .left_at = 0 };
	bool has_old = next_record(&m->old, &r);
	bool has_new = crlcheck_next_serial(&list, &serial);
	int order;

	while (has_old || has_new) {
		order = !has_old   ? 1
			: !has_new ? -1
				   : span_cmp(r.serial, serial);
		if (order < 0) {
			if (put_lost(m, &r, e) == -1)
				return -1;
		} else {
			/* what is new today does not make a loss smaller */
			m->total += order == 0;
			if (put_record(m, serial, 0, e) == -1)
				return -1;
			has_new = crlcheck_next_serial(&list, &serial);
		}
		if (order <= 0)
			has_old = next_record(&m->old, &r);
	}
	if (m->old.n != 0)
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

static int
raise_set(const struct crlfloor_conf *conf, const struct paths *p,
    const struct crlcheck *c, struct err *e)
{
	AUTO_FD int fd = open(p->fresh,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct merge m = { .conf = conf, .fd = fd };
	struct span whole;
	int r;

	if (fd < 0)
		return failed(e, p->fresh);
	if (map_set(p->set, &whole, &m.old, e) == -1)
		return -1;
	buf_init(&m.out, FLUSH_AT + RECORD_MAX);
	r = write_set(&m, c, e);
	buf_clear(&m.out);
	crlcheck_unmap(whole);
	if (r == 0 && rename(p->fresh, p->set) != 0)
		r = failed(e, p->set);
	if (r != 0)
		(void)unlink(p->fresh);
	return r;
}

static int
raise_floor(struct arena *a, const struct crlfloor_conf *conf,
    const struct paths *p, const struct crlcheck *c, struct err *e)
{
	struct floor f;

	if (read_floor(a, p->floor, &f, e) == -1 || check_order(&f, c, e) == -1)
		return -1;
	if (c->delta && check_loss(conf, c->removed, f.entries, e) == -1)
		return -1;
	if (f.complete.n > 0 && access(p->set, F_OK) != 0)
		return err_set(
		    e, ERR_INTERNAL, "CRL floor: \"%s\" is missing", p->set);
	if (!c->delta && raise_set(conf, p, c, e) == -1)
		return -1;
	f.number = c->number;
	f.this_update = c->this_update;
	if (!c->delta) {
		f.complete = c->number;
		f.entries = c->entries;
	}
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
