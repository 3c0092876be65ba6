#include "ctl/crl_import.h"

#include <inttypes.h>
#include <string.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/sha256.h"
#include "crl/outer.h"
#include "db/store_audit.h"
#include "db/store_crl.h"
#include "hsm/tosign.h"

#define AHEAD_S 300
#define NAME_MAX_CHARS 64

/*
 * Whether this certificate's CA made the list; 'why' says at least that it
 * has its name.  The key of 'x->ca' is the caller's to clear.
 */
static bool
is_by(struct ctl *c, struct crl_import *x, struct span der, struct err *why)
{
	struct err e;

	if (issuer_open(c->a, "that CA", der, &x->ca, &e) == -1) {
		pubkey_clear(&x->ca.key);
		return false;
	}
	if (crl_file_verify(&x->file, &x->ca, &e) == 0)
		return true;
	if (span_eq(x->file.issuer, x->ca.subject))
		*why = e;
	pubkey_clear(&x->ca.key);
	return false;
}

static int
find_ca(struct ctl *c, struct crl_import *x, struct err *e)
{
	const struct issuer_set *set = engine_issuers(c->engine);
	struct span der;
	const char *text;
	size_t i;

	(void)err_set(e, ERR_REFUSED,
	    "\"%s\": no CA in the chain files of chancery.yaml has made it",
	    x->path);
	for (i = 0; i < issuer_count(set); i++) {
		text = outer_chain(c->a, issuer_at(set, i));
		while (outer_next_cert(c->a, &text, &der)) {
			if (is_by(c, x, der, e))
				return 0;
		}
	}
	return -1;
}

/* What was asked for, or the file's name in the first path. */
static const char *
choose_name(struct ctl *c, const struct crl_import *x)
{
	return x->name != NULL || x->row.n_paths == 0
		   ? x->name
		   : outer_name(c->a, x->row.paths[0]);
}

static bool
is_name(const char *s)
{
	return *s != '.' && *s != '\0' && strlen(s) <= NAME_MAX_CHARS &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789-_.") == strlen(s);
}

/* The CA keeps the name that it has got once. */
static int
name_ca(struct ctl *c, struct crl_import *x, struct err *e)
{
	struct store_authority *known;
	size_t i, n;

	x->row.paths = outer_paths(
	    c->a, engine_issuers(c->engine), &x->ca, &x->row.n_paths);
	x->row.cert = x->ca.cert;
	memcpy(x->row.spki_sha256, x->ca.spki_sha256, STORE_HASH_SIZE);
	x->row.name = choose_name(c, x);
	if (store_authority_list(c->ctx->db, c->a, &known, &n, e) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		if (memcmp(known[i].spki_sha256, x->row.spki_sha256,
			STORE_HASH_SIZE) != 0)
			continue;
		if (x->name != NULL && strcmp(x->name, known[i].name) != 0)
			return err_set(e, ERR_CONFLICT,
			    "the CA is known as \"%s\"", known[i].name);
		x->row.name = known[i].name;
		x->row.id = known[i].id;
	}
	if (x->row.name == NULL || !is_name(x->row.name))
		return err_set(e, ERR_MALFORMED,
		    "no certificate says where the CRL of this CA is: give "
		    "the CA a plain name with --name");
	if (issuer_get(engine_issuers(c->engine), x->row.name) != NULL)
		return err_set(e, ERR_CONFLICT,
		    "\"%s\" is an issuer: choose another name with --name",
		    x->row.name);
	if (x->row.n_paths == 0)
		x->row.paths[x->row.n_paths++] =
		    arena_printf(c->a, "/crl/%s.crl", x->row.name);
	return 0;
}

static int
check_times(const struct crl_import *x, struct err *e)
{
	const struct crl_file *f = &x->file;
	char at[CLOCK_RFC3339_SIZE];

	if (f->next_update <= clock_now()) {
		clock_rfc3339(f->next_update, at);
		return err_set(e, ERR_REFUSED,
		    "\"%s\": its nextUpdate %s has passed", x->path, at);
	}
	if (f->this_update > clock_now() + AHEAD_S) {
		clock_rfc3339(f->this_update, at);
		return err_set(e, ERR_REFUSED,
		    "\"%s\": its thisUpdate %s is in the future", x->path, at);
	}
	return 0;
}

static int
read_number(struct crl_import *x, struct err *e)
{
	struct span s = x->file.number;
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < s.n && i <= sizeof(v); i++)
		v = v << 8 | s.p[i];
	if (s.n > sizeof(v) || v == 0 || v > INT64_MAX)
		return err_set(e, ERR_REFUSED,
		    "\"%s\": numbers from 1 to 2^63-1 can be recorded",
		    x->path);
	x->number = (int64_t)v;
	return 0;
}

/* It must be newer than what is recorded, or the same. */
static int
compare(struct ctl *c, struct crl_import *x, const uint8_t sum[SHA256_SIZE],
    struct err *e)
{
	const struct store_crl *r;
	struct store_crls all;

	if (store_crl_current(c->ctx->db, c->a, &all, e) == -1)
		return -1;
	for (r = all.list; r < all.list + all.n; r++) {
		if (x->row.id == 0 || r->issuer != x->row.id)
			continue;
		x->already = memcmp(r->sha256, sum, SHA256_SIZE) == 0;
		if (x->already)
			return 0;
		if (x->number == r->number)
			return err_set(e, ERR_CONFLICT,
			    "\"%s\": another list has number %" PRId64, x->path,
			    r->number);
		if (x->number < r->number ||
		    x->file.this_update < r->this_update)
			return err_set(e, ERR_REFUSED,
			    "\"%s\": it is older than the recorded list "
			    "%" PRId64,
			    x->path, r->number);
	}
	return 0;
}

/* Before the act: nothing is served that nobody has asked for. */
static int
audit(struct ctl *c, const struct crl_import *x, const uint8_t sum[SHA256_SIZE],
    struct err *e)
{
	char from[CLOCK_RFC3339_SIZE], until[CLOCK_RFC3339_SIZE];
	const struct audit_pair pairs[] = {
		{ "ca", x->row.name },
		{ "number", arena_printf(c->a, "%" PRId64, x->number) },
		{ "thisUpdate", from },
		{ "nextUpdate", until },
		{ "entries", arena_printf(c->a, "%zu", x->file.n) },
		{ "sha256", hex_encode(c->a, span_of(sum, SHA256_SIZE)) },
		{ "actor", arena_printf(c->a, "oper:%s", c->user) },
		{ "req", c->ctx->request_id },
	};
	const struct audit_event ev = { "crl-import", 0, pairs,
		sizeof(pairs) / sizeof(pairs[0]) };

	clock_rfc3339(x->file.this_update, from);
	clock_rfc3339(x->file.next_update, until);
	return store_audit_put(c->ctx->writer, &ev, e);
}

static int
put_pieces(
    struct db *db, const struct store_crl *row, struct span rest, struct err *e)
{
	struct span piece;
	size_t size;
	int n;

	for (n = 0; rest.n > 0; n++) {
		size =
		    rest.n < STORE_CRL_PIECE_MAX ? rest.n : STORE_CRL_PIECE_MAX;
		if (!span_take(&rest, size, &piece) ||
		    store_crl_put(db, row, n, piece, e) == -1)
			return -1;
	}
	return 0;
}

static int
record(struct ctl *c, const struct crl_import *x,
    const uint8_t sum[SHA256_SIZE], struct err *e)
{
	struct store_crl row = { .issuer = x->row.id,
		.scope = "full",
		.number = x->number,
		.this_update = x->file.this_update,
		.next_update = x->file.next_update,
		.entries = x->file.n,
		.size = x->file.der.n,
		.mark = { .at = STORE_CRL_NO_TIME } };
	struct db *db = c->ctx->db;

	memcpy(row.sha256, sum, SHA256_SIZE);
	if (store_crl_begin(db, &row, e) == -1)
		return -1;
	if (put_pieces(db, &row, x->file.der, e) == -1) {
		store_crl_abort(db);
		return -1;
	}
	return store_crl_commit(db, 0, e);
}

static int
take_in(struct ctl *c, struct crl_import *x, struct err *e)
{
	uint8_t sum[SHA256_SIZE];

	sha256(x->file.der, sum);
	if (issuer_owns_key(engine_issuers(c->engine), x->ca.spki))
		return err_set(e, ERR_REFUSED,
		    "\"%s\" is by an issuer: chancery-pubd makes its CRLs",
		    x->path);
	if (check_times(x, e) == -1 || read_number(x, e) == -1 ||
	    name_ca(c, x, e) == -1 || compare(c, x, sum, e) == -1)
		return -1;
	if (x->already)
		return 0;
	if (audit(c, x, sum, e) == -1 ||
	    store_authority_put(c->ctx->db, &x->row, e) == -1)
		return -1;
	return record(c, x, sum, e);
}

int
crl_import(struct ctl *c, struct crl_import *x, struct err *e)
{
	int rc;

	if (crl_file_open(c->a, x->path, &x->file, e) == -1 ||
	    find_ca(c, x, e) == -1)
		return -1;
	rc = take_in(c, x, e);
	pubkey_clear(&x->ca.key);
	return rc;
}
