#include "ocsp/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 64
#define WAYS 8

struct entry {
	uint64_t hash, word;
	int64_t fresh_until;
	uint64_t used; /* by the shard's clock: the oldest goes */
	void *value;   /* NULL: free */
	uint8_t *key;
	size_t key_n;
};

/* Keys of the same part of a hash share a few places. */
struct set {
	struct entry ways[WAYS];
	uint64_t refused[WAYS]; /* hashes of what had no place, the last ones */
	size_t next;
};

struct shard {
	pthread_mutex_t lock;
	uint64_t clock;
	struct set *sets;
};

struct cache {
	void (*drop)(void *value);
	size_t n_sets; /* of a shard */
	atomic_size_t count;
	struct shard shards[SHARDS];
};

static uint64_t
hash_of(struct span key)
{
	uint64_t h = key.n, word;
	size_t i, n;

	for (i = 0; i < key.n; i += n) {
		n = key.n - i < 8 ? key.n - i : 8;
		word = 0;
		memcpy(&word, key.p + i, n);
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 31;
	}
	return h * UINT64_C(0xbf58476d1ce4e5b9);
}

struct cache *
cache_new(size_t entries, void (*drop)(void *value))
{
	struct cache *c = calloc(1, sizeof(*c));
	size_t i;

	if (c == NULL)
		abort();
	c->drop = drop;
	c->n_sets = (entries + (size_t)SHARDS * WAYS - 1) / (SHARDS * WAYS);
	for (i = 0; i < SHARDS; i++) {
		(void)pthread_mutex_init(&c->shards[i].lock, NULL);
		c->shards[i].sets = calloc(c->n_sets, sizeof(struct set));
		if (c->shards[i].sets == NULL)
			abort();
	}
	return c;
}

static void
empty(struct cache *c, struct entry *en)
{
	if (en->value == NULL)
		return;
	c->drop(en->value);
	free(en->key);
	en->value = NULL;
	en->key = NULL;
	atomic_fetch_sub(&c->count, 1);
}

void
cache_free(struct cache *c)
{
	size_t i, j;

	if (c == NULL)
		return;
	for (i = 0; i < SHARDS; i++) {
		for (j = 0; j < c->n_sets * WAYS; j++)
			empty(c, &c->shards[i].sets[j / WAYS].ways[j % WAYS]);
		free(c->shards[i].sets);
		(void)pthread_mutex_destroy(&c->shards[i].lock);
	}
	free(c);
}

static struct shard *
shard_of(struct cache *c, uint64_t hash)
{
	return &c->shards[hash >> 58];
}

static struct set *
set_of(const struct cache *c, const struct shard *s, uint64_t hash)
{
	return &s->sets[(hash >> 20 & UINT32_MAX) % c->n_sets];
}

static struct entry *
find(struct set *set, uint64_t hash, struct span key)
{
	struct entry *en;

	for (en = set->ways; en < set->ways + WAYS; en++) {
		if (en->value != NULL && en->hash == hash &&
		    en->key_n == key.n && memcmp(en->key, key.p, key.n) == 0)
			return en;
	}
	return NULL;
}

bool
cache_use(struct cache *c, const struct cache_ask *ask,
    void (*use)(void *arg, void *value), void *arg)
{
	uint64_t hash = hash_of(ask->key);
	struct shard *s = shard_of(c, hash);
	struct entry *en;
	bool hit;

	if (c->n_sets == 0 || pthread_mutex_trylock(&s->lock) != 0)
		return false;
	en = find(set_of(c, s, hash), hash, ask->key);
	hit = en != NULL && en->word == ask->word && en->fresh_until > ask->now;
	if (hit) {
		en->used = ++s->clock;
		use(arg, en->value);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return hit;
}

/* Whether the hash was refused a place before; if not, that is noted. */
static bool
asked_again(struct set *set, uint64_t hash)
{
	size_t i;

	for (i = 0; i < WAYS; i++) {
		if (set->refused[i] == hash)
			return true;
	}
	set->refused[set->next++ % WAYS] = hash;
	return false;
}

/*
 * The entry of the key, a free or aged one, or the one that was not used
 * longest.  That one goes only for what is asked again: answers that are
 * wanted once shall not drive out those that many want, and keeping them
 * costs more than it can bring.  NULL: no place.
 */
static struct entry *
choose(struct set *set, uint64_t hash, const struct cache_ask *ask)
{
	struct entry *en = find(set, hash, ask->key), *oldest = set->ways;

	if (en != NULL)
		return en;
	for (en = set->ways; en < set->ways + WAYS; en++) {
		if (en->value == NULL || en->fresh_until <= ask->now)
			return en;
		if (en->used < oldest->used)
			oldest = en;
	}
	return asked_again(set, hash) ? oldest : NULL;
}

static bool
fill(struct cache *c, struct entry *en, const struct entry *made,
    struct span key)
{
	uint8_t *copy = malloc(key.n);

	if (copy == NULL)
		return false;
	memcpy(copy, key.p, key.n);
	empty(c, en);
	*en = *made;
	en->key = copy;
	en->key_n = key.n;
	atomic_fetch_add(&c->count, 1);
	return true;
}

static bool
keep(struct cache *c, const struct cache_ask *ask, struct entry *made)
{
	struct shard *s = shard_of(c, made->hash);
	struct entry *en;
	bool kept;

	if (pthread_mutex_trylock(&s->lock) != 0)
		return false;
	en = choose(set_of(c, s, made->hash), made->hash, ask);
	made->used = ++s->clock;
	kept = en != NULL && fill(c, en, made, ask->key);
	(void)pthread_mutex_unlock(&s->lock);
	return kept;
}

void
cache_put(struct cache *c, const struct cache_ask *ask, int64_t fresh_until,
    void *value)
{
	struct entry made = { .hash = hash_of(ask->key),
		.word = ask->word,
		.fresh_until = fresh_until,
		.value = value };

	if (ask->key.n == 0 || ask->key.n > CACHE_KEY_MAX || c->n_sets == 0 ||
	    fresh_until <= ask->now || !keep(c, ask, &made))
		c->drop(value);
}

size_t
cache_count(const struct cache *c)
{
	return atomic_load(&c->count);
}
