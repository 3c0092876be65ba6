#include "ocsp/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"

#define MAGIC UINT64_C(0x315453504f484301)
#define CHUNK ((size_t)1 << 20)

struct head {
	uint64_t magic, marks, synced_at;
};

struct mark {
	int64_t writer, seq;
	uint8_t anchor[STORE_STATUS_ANCHOR_SIZE];
};

struct row {
	uint32_t revoked_at;
	uint32_t not_after;
	uint16_t issuer;
	uint8_t length, flags; /* reason + 1, and 0x80: revoked */
	uint8_t serial[STATUS_SERIAL_MAX];
};

struct tail {
	uint64_t rows, sum;
};
_Static_assert(sizeof(struct head) % 32 == 24 && sizeof(struct mark) == 32 &&
		   sizeof(struct row) == 32,
    "everything is made of 64-bit words");

/* A sum over 64-bit words that notices damage; no protection from malice. */
static uint64_t
add_up(uint64_t sum, const void *p, size_t n)
{
	const uint8_t *at = p;
	uint64_t word;

	for (; n >= 8; n -= 8, at += 8) {
		memcpy(&word, at, 8);
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 32;
	}
	return sum;
}

struct writing {
	int fd;
	uint64_t rows, sum;
	size_t n;
	uint8_t *chunk;
};

static int
flush(struct writing *w)
{
	const uint8_t *p = w->chunk;
	size_t n = w->n;
	ssize_t k;

	w->n = 0;
	while (n > 0) {
		k = write(w->fd, p, n);
		if (k == -1 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static int
put(struct writing *w, const void *p, size_t n)
{
	if (w->n + n > CHUNK && flush(w) == -1)
		return -1;
	memcpy(w->chunk + w->n, p, n);
	w->n += n;
	w->sum = add_up(w->sum, p, n);
	return 0;
}

static int
put_row(void *arg, struct span serial, const struct status *s)
{
	struct writing *w = arg;
	struct row r = { .revoked_at = (uint32_t)s->revoked_at,
		.not_after = (uint32_t)s->not_after,
		.issuer = (uint16_t)s->issuer,
		.length = (uint8_t)serial.n,
		.flags = (uint8_t)(s->reason + 1) };

	if (s->revoked)
		r.flags |= 0x80;
	memcpy(r.serial, serial.p, serial.n);
	w->rows++;
	return put(w, &r, sizeof(r));
}

static int
put_front(struct writing *w, const struct snapshot *s)
{
	struct head h = { MAGIC, s->marks.n, (uint64_t)s->synced_at };
	struct mark m;
	size_t i;

	if (put(w, &h, sizeof(h)) == -1)
		return -1;
	for (i = 0; i < s->marks.n; i++) {
		m.writer = s->marks.list[i].writer;
		m.seq = s->marks.list[i].seq;
		memcpy(m.anchor, s->marks.list[i].anchor, sizeof(m.anchor));
		if (put(w, &m, sizeof(m)) == -1)
			return -1;
	}
	return 0;
}

static int
put_tail(struct writing *w)
{
	struct tail t = { .rows = w->rows };

	t.sum = add_up(w->sum, &t.rows, sizeof(t.rows));
	return put(w, &t, sizeof(t)) == -1 ? -1 : flush(w);
}

static int
write_all(
    struct writing *w, const struct status_table *t, const struct snapshot *s)
{
	if (put_front(w, s) == -1 || status_table_each(t, put_row, w) == -1)
		return -1;
	return put_tail(w);
}

int
snapshot_write(const char *path, const struct status_table *t,
    const struct snapshot *s, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	const char *tmp = arena_printf(a, "%s.new", path);
	AUTO_FD int fd = open(
	    tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct writing w = { .fd = fd, .chunk = arena_alloc(a, CHUNK) };

	if (fd == -1 || write_all(&w, t, s) == -1 || fsync(fd) == -1 ||
	    rename(tmp, path) == -1) {
		(void)err_set(e, ERR_UNAVAILABLE, "cannot write \"%s\": %s",
		    path, strerror(errno));
		(void)unlink(tmp);
		return -1;
	}
	return 0;
}

static int
take_marks(struct span *in, uint64_t n, struct store_status_marks *out)
{
	struct store_status_mark mark;
	struct span bytes;
	struct mark m;

	for (; n > 0; n--) {
		if (!span_take(in, sizeof(m), &bytes))
			return -1;
		memcpy(&m, bytes.p, sizeof(m));
		mark.writer = (int)m.writer;
		mark.seq = m.seq;
		memcpy(mark.anchor, m.anchor, sizeof(m.anchor));
		store_status_marks_add(out, &mark);
	}
	return 0;
}

static int
take_rows(struct span in, struct status_table *t)
{
	struct status s;
	struct row r;

	for (; in.n > 0; in = span_of(in.p + sizeof(r), in.n - sizeof(r))) {
		memcpy(&r, in.p, sizeof(r));
		s = (struct status){ .issuer = r.issuer,
			.not_after = r.not_after,
			.revoked = (r.flags & 0x80) != 0,
			.reason = (r.flags & 0x0f) - 1,
			.revoked_at = r.revoked_at };
		if (r.length > STATUS_SERIAL_MAX ||
		    status_table_put(t, span_of(r.serial, r.length), &s) !=
			STATUS_PUT_NEW)
			return -1;
	}
	return 0;
}

static int
read_all(struct span in, struct epoch *ep, struct status_table **table,
    struct snapshot *s)
{
	struct span front, rows;
	struct head h;
	struct tail t;
	uint64_t sum;

	if (in.n < sizeof(h) + sizeof(t))
		return -1;
	memcpy(&t, in.p + in.n - sizeof(t), sizeof(t));
	in.n -= sizeof(t);
	sum = add_up(0, in.p, in.n);
	if (add_up(sum, &t.rows, sizeof(t.rows)) != t.sum ||
	    !span_take(&in, sizeof(h), &front))
		return -1;
	memcpy(&h, front.p, sizeof(h));
	if (h.magic != MAGIC || take_marks(&in, h.marks, &s->marks) == -1)
		return -1;
	rows = in;
	if (rows.n % sizeof(struct row) != 0 ||
	    rows.n / sizeof(struct row) != t.rows)
		return -1;
	s->synced_at = (int64_t)h.synced_at;
	*table = status_table_new(ep, t.rows);
	if (take_rows(rows, *table) == 0)
		return 0;
	status_table_free(*table);
	return -1;
}

int
snapshot_load(const char *path, struct epoch *ep, struct status_table **table,
    struct snapshot *s, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;
	int rc;

	memset(s, 0, sizeof(*s));
	if (fd == -1 || fstat(fd, &st) == -1)
		return err_set(e,
		    errno == ENOENT ? ERR_NOT_FOUND : ERR_UNAVAILABLE,
		    "cannot read \"%s\": %s", path, strerror(errno));
	if (st.st_size == 0)
		return err_set(e, ERR_MALFORMED, "\"%s\" is empty", path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, ERR_UNAVAILABLE, "cannot map \"%s\": %s",
		    path, strerror(errno));
	(void)madvise(p, (size_t)st.st_size, MADV_SEQUENTIAL);
	rc = read_all(span_of(p, (size_t)st.st_size), ep, table, s);
	(void)munmap(p, (size_t)st.st_size);
	if (rc == 0)
		return 0;
	store_status_marks_clear(&s->marks);
	return err_set(e, ERR_MALFORMED, "\"%s\" is damaged", path);
}
