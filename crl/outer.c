#include "crl/outer.h"

#include <string.h>

#include "base/b64.h"
#include "base/clock.h"
#include "hsm/tosign.h"

#define OID_CRLDP "2.5.29.31"

/* The next list is due so long before the end, or with a quarter to go. */
#define SOON_S ((int64_t)30 * 86400)

static const char end_mark[] = "-----END CERTIFICATE-----";

bool
outer_next_cert(struct arena *a, const char **text, struct span *der)
{
	const char *end = strstr(*text, end_mark);
	struct span block;
	struct err ignored;

	if (end == NULL)
		return false;
	end += sizeof(end_mark) - 1;
	block = span_of(*text, (size_t)(end - *text));
	*text = end;
	return pem_decode(a, "CERTIFICATE", block, der, &ignored) == 0;
}

const char *
outer_chain(struct arena *a, const struct issuer *i)
{
	return arena_printf(a, "%s%s", i->chain_pem, i->root_pem);
}

/* The path of an http URL, if it may be one of a served file. */
static const char *
path_of(struct arena *a, struct span url)
{
	const char *text = arena_memdup(a, url.p, url.n), *path, *p;

	if (strlen(text) != url.n || strncmp(text, "http://", 7) != 0)
		return NULL;
	path = strchr(text + 7, '/');
	if (path == NULL || strlen(path) > 255 || strstr(path, "/.") != NULL ||
	    strstr(path, "//") != NULL || path[strlen(path) - 1] == '/')
		return NULL;
	for (p = path; *p != '\0'; p++) {
		if (strchr("/-_.", *p) == NULL && !(*p >= '0' && *p <= '9') &&
		    !(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z'))
			return NULL;
	}
	return path;
}

struct paths {
	struct arena *a;
	const char **list;
	size_t n;
};

static void
add_path(struct paths *p, const char *path)
{
	size_t i;

	if (path == NULL || p->n == STORE_AUTHORITY_PATHS_MAX)
		return;
	for (i = 0; i < p->n; i++) {
		if (strcmp(p->list[i], path) == 0)
			return;
	}
	p->list[p->n++] = path;
}

/* Where a certificate by this CA says that its CRL is. */
static void
add_points(struct paths *p, const struct issuer *ca, struct span der)
{
	struct span tbs, alg, signature;
	const struct tosign_ext *ext;
	struct tosign_cert cert;
	struct tosign_dp *dps;
	struct err ignored;
	size_t i, k, n;

	if (tosign_unwrap(der, &tbs, &alg, &signature, &ignored) == -1 ||
	    tosign_cert_parse(p->a, tbs, &cert, &ignored) == -1 ||
	    !span_eq(cert.issuer, ca->subject))
		return;
	ext = tosign_ext_find(&cert, OID_CRLDP);
	if (ext == NULL ||
	    tosign_crldp_parse(p->a, ext->value, &dps, &n, &ignored) == -1)
		return;
	for (i = 0; i < n; i++) {
		for (k = 0; k < dps[i].n_names; k++) {
			if (dps[i].names[k].tag == TOSIGN_GN_URI)
				add_path(
				    p, path_of(p->a, dps[i].names[k].value));
		}
	}
}

const char **
outer_paths(struct arena *a, const struct issuer_set *set,
    const struct issuer *ca, size_t *n)
{
	struct paths p = { .a = a,
		.list = arena_array(
		    a, STORE_AUTHORITY_PATHS_MAX, sizeof(*p.list)) };
	struct span der;
	const char *text;
	size_t i;

	for (i = 0; i < issuer_count(set); i++) {
		text = outer_chain(a, issuer_at(set, i));
		while (outer_next_cert(a, &text, &der))
			add_points(&p, ca, der);
	}
	*n = p.n;
	return p.list;
}

const char *
outer_name(struct arena *a, const char *path)
{
	const char *base = strrchr(path, '/') + 1, *dot = strrchr(base, '.');

	if (dot == NULL || dot == base)
		return base;
	return arena_printf(a, "%.*s", (int)(dot - base), base);
}

int64_t
outer_due(const struct store_crl *row)
{
	int64_t spare = (row->next_update - row->this_update) / 4;

	return row->next_update - (spare < SOON_S ? spare : SOON_S);
}

/* What is gathered. */
struct gathering {
	struct arena *a;
	const struct issuer_set *set;
	const struct store_crls *rows;
	const struct store_authority *cas;
	size_t n_cas;
	struct outer *list;
	size_t n;
	int64_t now;
	uint8_t (*seen)[STORE_HASH_SIZE]; /* keys without a list */
	size_t n_seen;
};

static const struct store_crl *
find_row(const struct gathering *g, int ca)
{
	size_t i;

	for (i = 0; i < g->rows->n; i++) {
		if (g->rows->list[i].issuer == ca)
			return &g->rows->list[i];
	}
	return NULL;
}

static void
add(struct gathering *g, const char *name, const struct store_crl *row)
{
	g->list[g->n++] =
	    (struct outer){ name, row, row == NULL || g->now > outer_due(row) };
}

/* Those that were imported once. */
static void
add_imported(struct gathering *g)
{
	const struct store_authority *ca;

	for (ca = g->cas; ca < g->cas + g->n_cas; ca++) {
		if (ca->n_paths > 0)
			add(g, ca->name, find_row(g, ca->id));
	}
}

/* Whether nothing is known of the list of this key. */
static bool
is_new(struct gathering *g, const struct issuer *ca)
{
	size_t i;

	if (issuer_owns_key(g->set, ca->spki))
		return false;
	for (i = 0; i < g->n_cas; i++) {
		if (g->cas[i].n_paths > 0 &&
		    memcmp(g->cas[i].spki_sha256, ca->spki_sha256,
			STORE_HASH_SIZE) == 0)
			return false;
	}
	for (i = 0; i < g->n_seen; i++) {
		if (memcmp(g->seen[i], ca->spki_sha256, STORE_HASH_SIZE) == 0)
			return false;
	}
	memcpy(g->seen[g->n_seen++], ca->spki_sha256, STORE_HASH_SIZE);
	return true;
}

/* A CA of a chain: is somebody told where its list is, and there is none? */
static void
add_missing(struct gathering *g, struct span der)
{
	const char **paths;
	struct issuer ca;
	struct err ignored;
	size_t n;

	if (issuer_open(g->a, "that CA", der, &ca, &ignored) == 0 &&
	    is_new(g, &ca)) {
		paths = outer_paths(g->a, g->set, &ca, &n);
		if (n > 0)
			add(g, outer_name(g->a, paths[0]), NULL);
	}
	pubkey_clear(&ca.key);
}

/* Certificates in all chains. */
static size_t
count_certs(struct arena *a, const struct issuer_set *set)
{
	struct span der;
	const char *text;
	size_t i, n = 0;

	for (i = 0; i < issuer_count(set); i++) {
		text = outer_chain(a, issuer_at(set, i));
		while (outer_next_cert(a, &text, &der))
			n++;
	}
	return n;
}

int
outer_list(struct arena *a, struct db *db, const struct issuer_set *set,
    const struct store_crls *rows, struct outers *out, struct err *e)
{
	struct gathering g = {
		.a = a, .set = set, .rows = rows, .now = clock_now()
	};
	size_t i, most = count_certs(a, set);
	struct store_authority *cas;
	struct span der;
	const char *text;

	if (store_authority_list(db, a, &cas, &g.n_cas, e) == -1)
		return -1;
	g.cas = cas;
	g.seen = arena_array(a, most, sizeof(*g.seen));
	g.list = arena_array(a, most + g.n_cas, sizeof(*g.list));
	add_imported(&g);
	for (i = 0; i < issuer_count(set); i++) {
		text = outer_chain(a, issuer_at(set, i));
		while (outer_next_cert(a, &text, &der))
			add_missing(&g, der);
	}
	out->list = g.list;
	out->n = g.n;
	return 0;
}
