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

struct shard {
	pthread_mutex_t lock;
	uint64_t clock;
	struct entry *entries; /* sets of WAYS */
};

struct cache {
	void (*drop)(void *value);
	size_t sets; /* of a shard */
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
	c->sets = (entries + (size_t)SHARDS * WAYS - 1) / (SHARDS * WAYS);
	for (i = 0; i < SHARDS; i++) {
		(void)pthread_mutex_init(&c->shards[i].lock, NULL);
		c->shards[i].entries =
		    calloc(c->sets * WAYS, sizeof(struct entry));
		if (c->shards[i].entries == NULL)
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
		for (j = 0; j < c->sets * WAYS; j++)
			empty(c, &c->shards[i].entries[j]);
		free(c->shards[i].entries);
		(void)pthread_mutex_destroy(&c->shards[i].lock);
	}
	free(c);
}

static struct shard *
shard_of(struct cache *c, uint64_t hash)
{
	return &c->shards[hash >> 58];
}

static struct entry *
set_of(const struct cache *c, const struct shard *s, uint64_t hash)
{
	return &s->entries[(hash >> 20 & UINT32_MAX) % c->sets * WAYS];
}

static struct entry *
find(struct entry *set, uint64_t hash, struct span key)
{
	size_t i;

	for (i = 0; i < WAYS; i++) {
		if (set[i].value != NULL && set[i].hash == hash &&
		    set[i].key_n == key.n &&
		    memcmp(set[i].key, key.p, key.n) == 0)
			return &set[i];
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

	if (pthread_mutex_trylock(&s->lock) != 0)
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

/* The entry of the key, a free one, or the one that was not used longest. */
static struct entry *
choose(struct entry *set, uint64_t hash, struct span key)
{
	struct entry *en = find(set, hash, key), *best = set;
	size_t i;

	if (en != NULL)
		return en;
	for (i = 0; i < WAYS; i++) {
		if (set[i].value == NULL)
			return &set[i];
		if (set[i].used < best->used)
			best = &set[i];
	}
	return best;
}

static void
fill(struct cache *c, struct entry *en, struct span key, void *value)
{
	uint8_t *copy = malloc(key.n);

	empty(c, en);
	if (copy == NULL) {
		c->drop(value);
		return;
	}
	memcpy(copy, key.p, key.n);
	en->key = copy;
	en->key_n = key.n;
	en->value = value;
	atomic_fetch_add(&c->count, 1);
}

void
cache_put(struct cache *c, const struct cache_ask *ask, int64_t fresh_until,
    void *value)
{
	uint64_t hash = hash_of(ask->key);
	struct shard *s = shard_of(c, hash);
	struct entry *en;

	if (ask->key.n == 0 || ask->key.n > CACHE_KEY_MAX || c->sets == 0 ||
	    fresh_until <= ask->now || pthread_mutex_trylock(&s->lock) != 0) {
		c->drop(value);
		return;
	}
	en = choose(set_of(c, s, hash), hash, ask->key);
	fill(c, en, ask->key, value);
	en->hash = hash;
	en->word = ask->word;
	en->fresh_until = fresh_until;
	en->used = ++s->clock;
	(void)pthread_mutex_unlock(&s->lock);
}

size_t
cache_count(const struct cache *c)
{
	return atomic_load(&c->count);
}
