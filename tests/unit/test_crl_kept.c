/* A list that is copied with changes is the list that is built anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/clock.h"
#include "crl/crl_kept.h"
#include "tests/unit/arena_fixture.h"
#include "tests/unit/crl_sample.h"

#define SERIALS 60
#define ROUNDS 300

static struct crl_head head;

/* What is revoked: the reason of each serial, or -2. */
struct world {
	int reason[SERIALS];
};

/* The same numbers in every run. */
static size_t
chance(void)
{
	static uint64_t v = 1;

	v = v * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (size_t)(v >> 33);
}

/* Serials of several lengths, ascending by bytes. */
static struct span
serial_of(size_t i)
{
	uint8_t *p = arena_alloc(a, 20);

	memset(p, 7, 20);
	p[0] = (uint8_t)(1 + i / 2);
	p[1] = (uint8_t)i;
	return span_of(p, i % 2 == 0 ? 2 : 2 + i % 19);
}

static struct crl_entry
entry_of(const struct world *w, size_t i)
{
	return (struct crl_entry){ .serial = serial_of(i),
		.revoked_at = 1000000 + w->reason[i],
		.reason = w->reason[i],
		.invalidity_at = i % 3 == 0 ? 77 : CRL_NO_TIME };
}

static struct crl_built
end(struct crl_build *b)
{
	struct crl_built built;
	struct err e;

	assert_int_equal(crl_build_end(b, &built, &e), 0);
	crl_build_free(b);
	return built;
}

static struct crl_built
build(const struct world *w)
{
	struct crl_build *b;
	struct crl_entry x;
	struct err e;
	size_t i;

	assert_int_equal(crl_build_new(&head, &b, &e), 0);
	for (i = 0; i < SERIALS; i++) {
		x = entry_of(w, i);
		if (w->reason[i] != -2)
			assert_int_equal(crl_build_add(b, &x, &e), 0);
	}
	return end(b);
}

/* The kept list with the changes that it has heard of. */
static struct crl_built
copy(struct crl_kept *k, const struct world *w)
{
	struct crl_entry now[SERIALS];
	struct crl_kept_patch p = { .now = now };
	struct crl_build *b;
	struct err e;
	size_t i, n;

	p.changes = crl_kept_changes(k, a, &p.n_changes);
	for (i = 0, n = 0; i < SERIALS && n < p.n_changes; i++) {
		if (!span_eq(serial_of(i), p.changes[n]))
			continue;
		n++;
		if (w->reason[i] != -2)
			now[p.n_now++] = entry_of(w, i);
	}
	assert_int_equal(n, p.n_changes);
	assert_int_equal(crl_build_new(&head, &b, &e), 0);
	assert_int_equal(crl_kept_copy(k, &p, b, &e), 0);
	return end(b);
}

static void
same(const struct crl_built *x, const struct crl_built *y)
{
	struct span v = crl_sample_bytes(a, x), w = crl_sample_bytes(a, y);

	assert_int_equal(x->entries, y->entries);
	assert_int_equal(x->at, y->at);
	assert_int_equal(x->bytes, y->bytes);
	assert_true(span_eq(v, w));
}

/* Nothing is on the list any more. */
static void
empty_all(struct crl_kept *k, struct world *w)
{
	int i;

	for (i = 0; i < SERIALS; i++) {
		w->reason[i] = -2;
		crl_kept_note(k, serial_of(i));
	}
}

/* Random changes, list after list; among them everything and nothing. */
static void
test_same(void **state)
{
	struct crl_kept k = { .changed = false };
	struct crl_built built, anew;
	struct world w;
	size_t i, round, n, at;

	(void)state;
	for (i = 0; i < SERIALS; i++)
		w.reason[i] = i % 2 == 0 ? 1 : -2;
	built = build(&w);
	crl_kept_take(&k, &built);
	for (round = 0; round < ROUNDS; round++) {
		arena_reset(a);
		n = chance() % (round % 10 == 0 ? 4 * SERIALS : 4);
		for (i = 0; i < n; i++) {
			at = chance() % SERIALS;
			w.reason[at] =
			    chance() % 3 == 0 ? -2 : 1 + (int)(chance() % 6);
			crl_kept_note(&k, serial_of(at));
		}
		if (round == ROUNDS / 2)
			empty_all(&k, &w);
		built = copy(&k, &w);
		anew = build(&w);
		same(&built, &anew);
		crl_kept_take(&k, &built);
		assert_int_equal(k.n, 0);
		assert_int_equal(close(anew.fd), 0);
	}
	crl_kept_drop(&k);
}

/* Runs longer than what the builder collects. */
static void
test_long(void **state)
{
	struct crl_kept k = { .changed = false };
	struct crl_built built = crl_sample_build(&head, 50000), copied;
	const uint8_t last[] = { 1, 0, 0, 0, 0, 0, 0xc3, 0x50 };
	const struct span changes[] = { span_of("\x01\0\0\0\0\0\0\x05", 8),
		span_of(last, sizeof(last)), span_of("\x02", 1) };
	struct crl_entry now = { .serial = changes[2],
		.revoked_at = 5,
		.reason = 1,
		.invalidity_at = CRL_NO_TIME };
	const struct crl_kept_patch p = { changes, 3, &now, 1 };
	struct crl_build *b;
	struct err e;

	(void)state;
	crl_kept_take(&k, &built);
	assert_int_equal(crl_build_new(&head, &b, &e), 0);
	assert_int_equal(crl_kept_copy(&k, &p, b, &e), 0);
	copied = end(b);
	assert_int_equal(copied.entries, 50000 - 2 + 1);
	assert_int_equal(close(copied.fd), 0);
	/* in front of what is there already */
	assert_int_equal(crl_build_new(&head, &b, &e), 0);
	now.serial = span_of("\x03", 1);
	assert_int_equal(crl_build_add(b, &now, &e), 0);
	assert_int_equal(crl_kept_copy(&k, &p, b, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	crl_build_free(b);
	crl_kept_drop(&k);
}

static void
test_stale(void **state)
{
	struct crl_kept k = { .changed = false };
	struct crl_built built = crl_sample_build(&head, 3);
	uint8_t serial[4] = { 1 };
	size_t i, n;

	(void)state;
	crl_kept_note(&k, span_of(serial, 4));
	assert_true(k.changed && !k.has && k.n == 0);
	k.changed = false;
	crl_kept_take(&k, &built);
	assert_true(k.has && !k.changed && !k.stale);
	/* no serial of a certificate: on no list */
	crl_kept_note(&k, span_of("\x80", 1));
	assert_int_equal(k.n, 0);
	for (i = 0; i < CRL_KEPT_CHANGES_MAX; i++) {
		serial[2] = (uint8_t)(i >> 8);
		serial[3] = (uint8_t)i;
		crl_kept_note(&k, span_of(serial, 4));
	}
	assert_true(!k.stale && k.changed);
	(void)crl_kept_changes(&k, a, &n);
	assert_int_equal(n, CRL_KEPT_CHANGES_MAX);
	crl_kept_note(&k, span_of(serial, 4));
	assert_true(k.stale);
	crl_kept_drop(&k);
	assert_true(!k.has && !k.stale && k.changed);
	built = crl_sample_build(&head, 3);
	crl_kept_take(&k, &built);
	crl_kept_note(&k, span_of(NULL, 0));
	assert_true(k.stale);
	crl_kept_drop(&k);
}

static int
begin(void **state)
{
	head = crl_sample_head(clock_now());
	return setup(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_stale),
	};

	return cmocka_run_group_tests(tests, begin, teardown);
}
