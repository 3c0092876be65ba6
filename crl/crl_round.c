#include "crl/crl_round.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/crlcheck.h"
#include "hsm/tosign.h"

#define BASE 0
#define BEFORE 1

static void
put_be64(uint8_t out[CRL_NUMBER_SIZE], int64_t v)
{
	int i;

	for (i = 0; i < CRL_NUMBER_SIZE; i++)
		out[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
}

static int
start(const struct issuer *i, struct crl_list *l, struct err *e)
{
	struct crl_head h = { .sig_alg = i->sig_alg,
		.issuer = i->subject,
		.key_id = i->key_id,
		.number = span_of(l->number, CRL_NUMBER_SIZE),
		.this_update = l->row.this_update,
		.next_update = l->row.next_update,
		.point_urls = l->scope->point_urls,
		.freshest_urls = l->scope->freshest_urls,
		.expired_since = l->expired_since };

	put_be64(l->number, l->row.number);
	put_be64(l->base, l->row.base_number);
	if (l->row.base_number != 0)
		h.base = span_of(l->base, CRL_NUMBER_SIZE);
	return crl_build_new(&h, &l->build, e);
}

/* The bytes of a published list, on the heap. */
static int
read_bytes(
    struct db *db, int64_t id, uint8_t **bytes, size_t *size, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct span piece = { NULL, STORE_CRL_PIECE_MAX };
	uint8_t *more;
	int n;

	*size = 0;
	for (n = 0; piece.n == STORE_CRL_PIECE_MAX; n++) {
		arena_reset(a);
		if (store_crl_piece(db, a, id, n, &piece, e) == -1) {
			if (e->kind == ERR_NOT_FOUND && n > 0)
				return 0;
			return -1;
		}
		more = realloc(*bytes, *size + piece.n);
		if (more == NULL)
			return err_set(e, ERR_UNAVAILABLE, "out of memory");
		memcpy(more + *size, piece.p, piece.n);
		*bytes = more;
		*size += piece.n;
	}
	return 0;
}

static int
open_list(
    struct db *db, int64_t id, struct crl_list *l, int which, struct err *e)
{
	struct span tbs, alg, signature;
	struct crlcheck c;
	size_t size;

	if (id == 0)
		return 0;
	if (read_bytes(db, id, &l->bytes[which], &size, e) == -1 ||
	    tosign_unwrap(span_of(l->bytes[which], size), &tbs, &alg,
		&signature, e) == -1 ||
	    crlcheck_read(tbs, &c, e) == -1)
		return err_prefix(e, "published CRL");
	l->entries[which] = c.list;
	return 0;
}

static bool
peek(const struct crl_list *l, int which, struct crlcheck_entry *x)
{
	struct span s = l->entries[which];

	return crlcheck_next(&s, x);
}

static void
skip(struct crl_list *l, int which)
{
	struct crlcheck_entry x;

	(void)crlcheck_next(&l->entries[which], &x);
}

/*
 * What stood on the base or the delta before, below 'serial' (NULL: all that
 * is left), and is revoked no more.
 */
static int
remove_below(struct crl_list *l, const struct span *serial, struct err *e)
{
	struct crl_entry gone = { .revoked_at = l->row.this_update,
		.reason = CRL_REMOVE_FROM_CRL,
		.invalidity_at = CRL_NO_TIME };
	struct crlcheck_entry x[2];
	bool has[2];
	int order;

	for (;;) {
		has[BASE] = peek(l, BASE, &x[BASE]);
		has[BEFORE] = peek(l, BEFORE, &x[BEFORE]);
		if (!has[BASE] && !has[BEFORE])
			return 0;
		order = !has[BASE] ? 1
			: !has[BEFORE]
			    ? -1
			    : span_cmp(x[BASE].serial, x[BEFORE].serial);
		gone.serial = order <= 0 ? x[BASE].serial : x[BEFORE].serial;
		if (serial != NULL && span_cmp(gone.serial, *serial) >= 0)
			return 0;
		if (crl_build_add(l->build, &gone, e) == -1)
			return -1;
		if (order <= 0)
			skip(l, BASE);
		if (order >= 0)
			skip(l, BEFORE);
	}
}

/* Whether the base says the same and nothing said otherwise since. */
static bool
base_says(struct crl_list *l, const struct crl_entry *x)
{
	struct crlcheck_entry is;
	bool same = false;

	if (peek(l, BASE, &is) && span_eq(is.serial, x->serial)) {
		same = (is.reason < 0 ? 0 : is.reason) ==
		       (x->reason < 0 ? 0 : x->reason);
		skip(l, BASE);
	}
	if (peek(l, BEFORE, &is) && span_eq(is.serial, x->serial)) {
		same = false;
		skip(l, BEFORE);
	}
	return same;
}

static int
add(struct crl_list *l, const struct crl_entry *x, struct err *e)
{
	if (l->row.base_number != 0) {
		if (remove_below(l, &x->serial, e) == -1)
			return -1;
		if (base_says(l, x))
			return 0;
	}
	return crl_build_add(l->build, x, e);
}

/* The entry of a row; a time that cannot stand there becomes another. */
static struct crl_entry
entry_of(const struct store_crl_row *row, int64_t this_update)
{
	struct crl_entry x = { .serial = row->serial,
		.revoked_at = row->revoked_at,
		.reason = row->reason,
		.invalidity_at = row->invalidity_at };

	if (!crl_build_is_time(x.revoked_at))
		x.revoked_at = this_update;
	if (x.invalidity_at != CRL_NO_TIME &&
	    !crl_build_is_time(x.invalidity_at))
		x.invalidity_at = CRL_NO_TIME;
	return x;
}

static int
take(void *arg, const struct store_crl_row *row, struct err *e)
{
	struct crl_round *r = arg;
	struct crl_entry x = entry_of(row, r->lists[0].row.this_update);
	size_t i;

	/* one impossible row does not keep all others from being told */
	if (!crl_build_is_serial(x.serial)) {
		r->skipped++;
		return 0;
	}
	for (i = 0; i < r->n; i++) {
		if (crl_scope_has(r->lists[i].scope, r->issuer, row->serial) &&
		    add(&r->lists[i], &x, e) == -1)
			return -1;
	}
	return 0;
}

static int
finish(struct crl_list *l, struct err *e)
{
	if (l->row.base_number != 0 && remove_below(l, NULL, e) == -1)
		return -1;
	if (crl_build_end(l->build, &l->built, e) == -1)
		return -1;
	l->row.entries = l->built.entries;
	crl_build_free(l->build);
	l->build = NULL;
	if (l->kept != NULL)
		crl_kept_take(l->kept, &l->built);
	return 0;
}

int
crl_round_build(struct db *db, struct crl_round *r,
    const struct store_crl_mark *mark, struct err *e)
{
	const struct store_crl_query q = {
		.issuer = r->issuer->id, .mark = *mark, .take = take, .arg = r
	};
	size_t i;

	for (i = 0; i < r->n; i++) {
		if (start(r->issuer, &r->lists[i], e) == -1 ||
		    open_list(db, r->lists[i].base_id, &r->lists[i], BASE, e) ==
			-1 ||
		    open_list(db, r->lists[i].before_id, &r->lists[i], BEFORE,
			e) == -1)
			return -1;
	}
	if (store_crl_revoked(db, &q, e) == -1)
		return -1;
	for (i = 0; i < r->n; i++) {
		if (finish(&r->lists[i], e) == -1)
			return -1;
		if (r->lists[i].kept != NULL)
			r->lists[i].kept->read_at = clock_mono_us();
	}
	return 0;
}

/* The entries of the certificates that have changed, as they are now. */
struct patch {
	struct crl_kept_patch p;
	struct crl_entry *now;
	struct arena *a;
	int64_t this_update;
};

static int
take_patch(void *arg, const struct store_crl_row *row, struct err *e)
{
	struct patch *p = arg;

	(void)e;
	p->now[p->p.n_now] = entry_of(row, p->this_update);
	p->now[p->p.n_now++].serial = span_dup(p->a, row->serial);
	return 0;
}

static int
read_patch(struct db *db, const struct crl_round *r, struct crl_list *l,
    struct patch *p, struct err *e)
{
	const struct store_crl_query q = { .issuer = r->issuer->id,
		.mark = l->row.mark,
		.take = take_patch,
		.arg = p };

	p->p.changes = crl_kept_changes(l->kept, p->a, &p->p.n_changes);
	p->now = arena_array(p->a, p->p.n_changes, sizeof(*p->now));
	p->p.now = p->now;
	p->this_update = l->row.this_update;
	if (p->p.n_changes == 0)
		return 0;
	return store_crl_revoked_of(db, &q, p->p.changes, p->p.n_changes, e);
}

static int
patch_list(
    struct db *db, struct crl_round *r, struct crl_list *l, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct patch p = { .a = a };
	int64_t read_at = l->kept->read_at;

	if (read_patch(db, r, l, &p, e) == -1 || start(r->issuer, l, e) == -1 ||
	    crl_kept_copy(l->kept, &p.p, l->build, e) == -1 ||
	    finish(l, e) == -1)
		return -1;
	l->kept->read_at = read_at;
	l->kept->patched = true;
	return 0;
}

int
crl_round_patch(struct db *db, struct crl_round *r, struct err *e)
{
	struct crl_list *l;

	for (l = r->lists; l < r->lists + r->n; l++) {
		if (l->kept != NULL && !l->kept->stale &&
		    (l->kept->n > 0 || l->built.fd == -1) &&
		    patch_list(db, r, l, e) == -1)
			return -1;
	}
	return 0;
}

void
crl_round_clear(struct crl_round *r)
{
	struct crl_list *l;

	for (l = r->lists; l < r->lists + r->n; l++) {
		crl_build_free(l->build);
		free(l->bytes[BASE]);
		free(l->bytes[BEFORE]);
		if (l->built.fd >= 0 && l->kept == NULL)
			(void)close(l->built.fd);
		l->built.fd = -1;
	}
}
