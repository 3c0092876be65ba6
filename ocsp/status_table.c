#include "ocsp/status_table.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SHARD_BITS 9
#define SHARDS ((size_t)1 << SHARD_BITS)
#define SLOTS_MIN 16
/* Full above nine tenths, then an eighth more room: 35.6 to 40 bytes each. */
#define FULL(slots) ((slots) - (slots) / 10)
#define GROWN(slots) ((slots) + (slots) / 9)

/* The word: time of revocation, then these; 0 is a free slot. */
#define ISSUER_SHIFT 32
#define LENGTH_SHIFT 48
#define REVOKED_SHIFT 53
#define REASON_SHIFT 54
#define KEY_MASK                                                               \
	((UINT64_C(0xffff) << ISSUER_SHIFT) | (UINT64_C(0x1f) << LENGTH_SHIFT))

struct slot {
	uint64_t serial[2]; /* zeros after its end */
	uint32_t rest;      /* octets 17 to 20 */
	uint32_t not_after;
	_Atomic uint64_t word;
};
_Static_assert(sizeof(struct slot) == 32, "a certificate is 32 bytes");

struct slots {
	size_t n;
	struct slot at[];
};

struct shard {
	struct slots *_Atomic slots;
	size_t used; /* the writer's */
};

struct status_table {
	struct epoch *epoch;
	atomic_size_t count, revoked, bytes;
	struct shard shards[SHARDS];
};

struct key {
	uint64_t serial[2];
	uint32_t rest;
	uint64_t word; /* issuer and length */
};

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 32;
}

static uint64_t
hash_of(const struct key *k)
{
	return mix(k->serial[0] ^
		   mix(k->serial[1] ^ mix(k->word ^ (uint64_t)k->rest << 1)));
}

static bool
make_key(int issuer, struct span serial, struct key *k)
{
	uint8_t octets[STATUS_SERIAL_MAX] = { 0 };

	while (serial.n > 1 && serial.p[0] == 0) {
		serial.p++;
		serial.n--;
	}
	if (serial.n == 0 || serial.n > STATUS_SERIAL_MAX || issuer < 1 ||
	    issuer > UINT16_MAX)
		return false;
	memcpy(octets, serial.p, serial.n);
	memcpy(k->serial, octets, sizeof(k->serial));
	memcpy(&k->rest, octets + sizeof(k->serial), sizeof(k->rest));
	k->word = (uint64_t)issuer << ISSUER_SHIFT | (uint64_t)serial.n
							 << LENGTH_SHIFT;
	return true;
}

static struct slots *
slots_new(struct status_table *t, size_t n)
{
	size_t size = sizeof(struct slots) + n * sizeof(struct slot);
	struct slots *s = calloc(1, size);

	if (s == NULL)
		abort();
	s->n = n;
	atomic_fetch_add(&t->bytes, size);
	return s;
}

struct status_table *
status_table_new(struct epoch *ep, size_t expected)
{
	struct status_table *t = calloc(1, sizeof(*t));
	size_t each = expected / SHARDS, i;

	if (t == NULL)
		abort();
	t->epoch = ep;
	/* shards differ by some standard deviations */
	each += each / 7;
	if (each < SLOTS_MIN)
		each = SLOTS_MIN;
	for (i = 0; i < SHARDS; i++)
		atomic_init(&t->shards[i].slots, slots_new(t, each));
	return t;
}

void
status_table_free(struct status_table *t)
{
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < SHARDS; i++)
		free(atomic_load(&t->shards[i].slots));
	free(t);
}

/*
 * The slot of the key, or the free one where it belongs; 'word' is what it was
 * judged by.  A reader must not look again: a free slot may be taken by another
 * certificate meanwhile.
 */
static struct slot *
seek(struct slots *s, const struct key *k, uint64_t hash, uint64_t *word)
{
	size_t i =
	    (size_t)(((unsigned __int128)(hash << SHARD_BITS) * s->n) >> 64);
	struct slot *at;

	for (;; i = i + 1 == s->n ? 0 : i + 1) {
		at = &s->at[i];
		*word = atomic_load_explicit(&at->word, memory_order_acquire);
		if (*word == 0)
			return at;
		if ((*word & KEY_MASK) == k->word &&
		    at->serial[0] == k->serial[0] &&
		    at->serial[1] == k->serial[1] && at->rest == k->rest)
			return at;
	}
}

static struct shard *
shard_of(struct status_table *t, uint64_t hash)
{
	return &t->shards[hash >> (64 - SHARD_BITS)];
}

static void
key_of_slot(const struct slot *at, uint64_t word, struct key *k)
{
	k->serial[0] = at->serial[0];
	k->serial[1] = at->serial[1];
	k->rest = at->rest;
	k->word = word & KEY_MASK;
}

static void
fill(struct slot *at, const struct key *k, uint32_t not_after, uint64_t word)
{
	at->serial[0] = k->serial[0];
	at->serial[1] = k->serial[1];
	at->rest = k->rest;
	at->not_after = not_after;
	atomic_store_explicit(&at->word, word, memory_order_release);
}

static void
grow(struct status_table *t, struct shard *sh)
{
	struct slots *old = atomic_load(&sh->slots), *s;
	uint64_t word, free_word;
	struct slot *to;
	struct key k;
	size_t i;

	s = slots_new(t, GROWN(old->n) + 1);
	for (i = 0; i < old->n; i++) {
		word = atomic_load(&old->at[i].word);
		if (word == 0)
			continue;
		key_of_slot(&old->at[i], word, &k);
		to = seek(s, &k, hash_of(&k), &free_word);
		fill(to, &k, old->at[i].not_after, word);
	}
	atomic_store(&sh->slots, s);
	atomic_fetch_sub(
	    &t->bytes, sizeof(struct slots) + old->n * sizeof(struct slot));
	epoch_retire(t->epoch, old, free);
}

static uint32_t
small_time(int64_t t)
{
	if (t < 0)
		return 0;
	return t > UINT32_MAX ? UINT32_MAX : (uint32_t)t;
}

static uint64_t
make_word(const struct key *k, const struct status *s)
{
	if (!s->revoked)
		return k->word;
	return k->word | small_time(s->revoked_at) |
	       UINT64_C(1) << REVOKED_SHIFT |
	       (uint64_t)(s->reason + 1) << REASON_SHIFT;
}

static void
read_word(uint64_t word, struct status *out)
{
	out->issuer = (int)(word >> ISSUER_SHIFT & 0xffff);
	out->revoked = (word >> REVOKED_SHIFT & 1) != 0;
	out->reason = (int)(word >> REASON_SHIFT & 0xf) - 1;
	out->revoked_at = (int64_t)(word & UINT32_MAX);
}

/* RFC 5280 5.3.1: certificateHold alone ends. */
static bool
is_final(uint64_t word)
{
	struct status s;

	read_word(word, &s);
	return s.revoked && s.reason != STATUS_REASON_HOLD;
}

static enum status_put
change(struct status_table *t, struct slot *at, uint64_t from, uint64_t to)
{
	uint64_t revoked = UINT64_C(1) << REVOKED_SHIFT;

	if (from == to)
		return STATUS_PUT_SAME;
	if (is_final(from) && !is_final(to))
		return STATUS_PUT_REFUSED;
	atomic_store_explicit(&at->word, to, memory_order_release);
	if ((from & revoked) < (to & revoked))
		atomic_fetch_add(&t->revoked, 1);
	else if ((from & revoked) > (to & revoked))
		atomic_fetch_sub(&t->revoked, 1);
	return STATUS_PUT_CHANGED;
}

enum status_put
status_table_put(
    struct status_table *t, struct span serial, const struct status *s)
{
	struct shard *sh;
	struct slots *slots;
	struct slot *at;
	struct key k;
	uint64_t hash, word;

	if (!make_key(s->issuer, serial, &k) || s->reason < -1 ||
	    s->reason > 10)
		return STATUS_PUT_BAD;
	hash = hash_of(&k);
	sh = shard_of(t, hash);
	slots = atomic_load_explicit(&sh->slots, memory_order_relaxed);
	at = seek(slots, &k, hash, &word);
	if (word != 0)
		return change(t, at, word, make_word(&k, s));
	if (sh->used >= FULL(slots->n)) {
		grow(t, sh);
		at = seek(atomic_load(&sh->slots), &k, hash, &word);
	}
	fill(at, &k, small_time(s->not_after), make_word(&k, s));
	sh->used++;
	atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
	if (s->revoked)
		atomic_fetch_add(&t->revoked, 1);
	return STATUS_PUT_NEW;
}

bool
status_table_find(const struct status_table *t, int issuer, struct span serial,
    struct status *out, uint64_t *word)
{
	const struct slot *at;
	struct slots *slots;
	struct key k;
	uint64_t hash;

	/* a negative number is none of ours */
	if (serial.n == 0 || serial.p[0] >= 0x80 ||
	    !make_key(issuer, serial, &k))
		return false;
	hash = hash_of(&k);
	slots = atomic_load_explicit(
	    &t->shards[hash >> (64 - SHARD_BITS)].slots, memory_order_seq_cst);
	at = seek(slots, &k, hash, word);
	if (*word == 0)
		return false;
	read_word(*word, out);
	out->not_after = at->not_after;
	return true;
}

size_t
status_table_count(const struct status_table *t)
{
	return atomic_load(&t->count);
}

size_t
status_table_revoked(const struct status_table *t)
{
	return atomic_load(&t->revoked);
}

size_t
status_table_bytes(const struct status_table *t)
{
	return sizeof(*t) + atomic_load(&t->bytes);
}

static int
each_slot(const struct slot *at,
    int (*fn)(void *arg, struct span serial, const struct status *s), void *arg)
{
	uint64_t word = atomic_load_explicit(&at->word, memory_order_acquire);
	uint8_t octets[STATUS_SERIAL_MAX];
	struct status s;

	if (word == 0)
		return 0;
	memcpy(octets, at->serial, sizeof(at->serial));
	memcpy(octets + sizeof(at->serial), &at->rest, sizeof(at->rest));
	read_word(word, &s);
	s.not_after = at->not_after;
	return fn(arg, span_of(octets, word >> LENGTH_SHIFT & 0x1f), &s);
}

int
status_table_each(const struct status_table *t,
    int (*fn)(void *arg, struct span serial, const struct status *s), void *arg)
{
	const struct slots *slots;
	size_t i, j;

	for (i = 0; i < SHARDS; i++) {
		slots = atomic_load(&t->shards[i].slots);
		for (j = 0; j < slots->n; j++) {
			if (each_slot(&slots->at[j], fn, arg) == -1)
				return -1;
		}
	}
	return 0;
}
