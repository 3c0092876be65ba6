#include "hsm/sign_index.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#define FIRST_CAPACITY ((size_t)1024)

/* Entries and two open-addressing tables over them, twice as large; a cell
 * holds the entry's number plus one. */
struct generation {
	struct sign_index_entry *entries;
	uint32_t *by_hash, *by_serial;
	size_t n, capacity;
	int64_t since_s;
	uint64_t lowest; /* offset of any entry */
	uint64_t seed;
};

struct sign_index {
	struct generation now, before;
	int64_t horizon_s;
};

struct sign_index *
sign_index_new(int64_t horizon_s)
{
	struct sign_index *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->horizon_s = horizon_s;
	if (RAND_bytes((unsigned char *)&x->now.seed, sizeof(x->now.seed)) !=
	    1) {
		free(x);
		return NULL;
	}
	return x;
}

static void
generation_clear(struct generation *g)
{
	free(g->entries);
	free(g->by_hash);
	free(g->by_serial);
	memset(g, 0, sizeof(*g));
}

void
sign_index_free(struct sign_index *x)
{
	if (x == NULL)
		return;
	generation_clear(&x->now);
	generation_clear(&x->before);
	free(x);
}

/* Seeded: a caller who chooses serials shall not choose their cells. */
static size_t
cell_of(uint64_t seed, const uint8_t *p, size_t n, size_t cells)
{
	uint64_t v = seed;
	size_t i;

	for (i = 0; i < n; i++)
		v = (v ^ p[i]) * 0x9e3779b97f4a7c15u + (v >> 29);
	return (size_t)(v >> 20) & (cells - 1);
}

static void
link_cell(uint32_t *table, size_t cells, size_t at, size_t number)
{
	while (table[at] != 0)
		at = (at + 1) & (cells - 1);
	table[at] = (uint32_t)(number + 1);
}

static void
link_entry(struct generation *g, size_t number)
{
	const struct sign_index_entry *t = &g->entries[number];
	size_t cells = g->capacity * 2;

	link_cell(g->by_hash, cells,
	    cell_of(g->seed, t->tbs_hash, SIGN_HASH_SIZE, cells), number);
	if (t->serial_n > 0) /* a CRL has none */
		link_cell(g->by_serial, cells,
		    cell_of(g->seed, t->serial, t->serial_n, cells), number);
}

static bool
grow(struct generation *g)
{
	size_t capacity = g->capacity == 0 ? FIRST_CAPACITY : g->capacity * 2;
	struct sign_index_entry *entries;
	uint32_t *by_hash, *by_serial;
	size_t i;

	if (capacity > UINT32_MAX / 4)
		return false;
	entries = realloc(g->entries, capacity * sizeof(*entries));
	if (entries == NULL)
		return false;
	g->entries = entries;
	by_hash = calloc(capacity * 2, sizeof(*by_hash));
	by_serial = calloc(capacity * 2, sizeof(*by_serial));
	if (by_hash == NULL || by_serial == NULL) {
		free(by_hash);
		free(by_serial);
		return false;
	}
	free(g->by_hash);
	free(g->by_serial);
	g->by_hash = by_hash;
	g->by_serial = by_serial;
	g->capacity = capacity;
	for (i = 0; i < g->n; i++)
		link_entry(g, i);
	return true;
}

bool
sign_index_add(
    struct sign_index *x, const struct sign_index_entry *entry, int64_t now_s)
{
	struct generation *g = &x->now;

	if (g->n > 0 && now_s > g->since_s + x->horizon_s) {
		generation_clear(&x->before);
		x->before = x->now;
		memset(&x->now, 0, sizeof(x->now));
		x->now.seed = x->before.seed;
	}
	if (g->n == 0) {
		g->since_s = now_s;
		g->lowest = entry->offset;
	}
	if (entry->offset < g->lowest)
		g->lowest = entry->offset;
	if (g->n == g->capacity && !grow(g))
		return false;
	g->entries[g->n] = *entry;
	link_entry(g, g->n++);
	return true;
}

static const struct sign_index_entry *
find_hash(const struct generation *g, const uint8_t *hash)
{
	size_t cells = g->capacity * 2, at;
	const struct sign_index_entry *t;

	if (g->n == 0)
		return NULL;
	at = cell_of(g->seed, hash, SIGN_HASH_SIZE, cells);
	for (; g->by_hash[at] != 0; at = (at + 1) & (cells - 1)) {
		t = &g->entries[g->by_hash[at] - 1];
		if (memcmp(t->tbs_hash, hash, SIGN_HASH_SIZE) == 0)
			return t;
	}
	return NULL;
}

static const struct sign_index_entry *
find_serial(const struct generation *g, struct span serial)
{
	size_t cells = g->capacity * 2, at;
	const struct sign_index_entry *t;

	if (g->n == 0)
		return NULL;
	at = cell_of(g->seed, serial.p, serial.n, cells);
	for (; g->by_serial[at] != 0; at = (at + 1) & (cells - 1)) {
		t = &g->entries[g->by_serial[at] - 1];
		if (span_eq(serial, span_of(t->serial, t->serial_n)))
			return t;
	}
	return NULL;
}

const struct sign_index_entry *
sign_index_hash(
    const struct sign_index *x, const uint8_t tbs_hash[SIGN_HASH_SIZE])
{
	const struct sign_index_entry *t = find_hash(&x->now, tbs_hash);

	return t != NULL ? t : find_hash(&x->before, tbs_hash);
}

const struct sign_index_entry *
sign_index_serial(const struct sign_index *x, struct span serial)
{
	const struct sign_index_entry *t = find_serial(&x->now, serial);

	return t != NULL ? t : find_serial(&x->before, serial);
}

uint64_t
sign_index_lowest(const struct sign_index *x)
{
	if (x->before.n > 0)
		return x->before.lowest;
	return x->now.n > 0 ? x->now.lowest : UINT64_MAX;
}
