/* The snapshot: what is written is read again, and no damaged byte passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "ocsp/snapshot.h"

#define ROWS 500

static struct epoch *ep;
static char dir[] = "/tmp/snapshot-XXXXXX";
static char path[64];

static int
set_up(void **state)
{
	(void)state;
	ep = epoch_new();
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/status", dir);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	(void)unlink(path);
	epoch_free(ep);
	return rmdir(dir);
}

static struct status
status_of(int i)
{
	return (struct status){ .issuer = 1 + i % 3,
		.not_after = INT64_C(1900000000) + i,
		.revoked = i % 2 == 0,
		.reason = i % 2 == 0 ? i % 7 - 1 : -1,
		.revoked_at = i % 2 == 0 ? 1700000000 + i : 0 };
}

static struct span
serial_of(int i, uint8_t out[STATUS_SERIAL_MAX])
{
	memset(out, 0x77, STATUS_SERIAL_MAX);
	out[0] = (uint8_t)(i / 256 + 1);
	out[1] = (uint8_t)i;
	return span_of(out, 2 + (size_t)i % 19);
}

static void
write_some(int rows, int marks)
{
	struct status_table *t = status_table_new(ep, 0);
	uint8_t octets[STATUS_SERIAL_MAX];
	struct snapshot s = { .synced_at = 1800000000 };
	struct store_status_mark m = { .anchor = { 9 } };
	struct status st;
	struct err e;
	int i;

	for (i = 0; i < rows; i++) {
		st = status_of(i);
		assert_int_equal(status_table_put(t, serial_of(i, octets), &st),
		    STATUS_PUT_NEW);
	}
	for (i = marks; i > 0; i--) {
		m.writer = 4096 + i;
		m.seq = i;
		store_status_marks_add(&s.marks, &m);
	}
	if (snapshot_write(path, t, &s, &e) == -1)
		fail_msg("%s", e.text);
	store_status_marks_clear(&s.marks);
	status_table_free(t);
}

static void
test_round_trip(void **state)
{
	struct epoch_reader *r = epoch_reader_new(ep);
	uint8_t octets[STATUS_SERIAL_MAX];
	struct status_table *t;
	struct status want, got;
	struct snapshot s;
	uint64_t word;
	struct err e;
	int i;

	(void)state;
	write_some(ROWS, 3);
	assert_int_equal(snapshot_load(path, ep, &t, &s, &e), 0);
	assert_int_equal(s.synced_at, 1800000000);
	assert_int_equal(s.marks.n, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(s.marks.list[i].writer, 4097 + i);
		assert_int_equal(s.marks.list[i].seq, 1 + i);
		assert_int_equal(s.marks.list[i].anchor[0], 9);
	}
	assert_int_equal(status_table_count(t), ROWS);
	for (i = 0; i < ROWS; i++) {
		want = status_of(i);
		epoch_enter(r);
		assert_true(status_table_find(
		    t, want.issuer, serial_of(i, octets), &got, &word));
		epoch_leave(r);
		assert_int_equal(got.issuer, want.issuer);
		assert_int_equal(got.not_after, want.not_after);
		assert_int_equal(got.revoked, want.revoked);
		assert_int_equal(got.reason, want.reason);
		assert_int_equal(got.revoked_at, want.revoked_at);
	}
	store_status_marks_clear(&s.marks);
	status_table_free(t);
	write_some(0, 0);
	assert_int_equal(snapshot_load(path, ep, &t, &s, &e), 0);
	assert_int_equal(status_table_count(t), 0);
	status_table_free(t);
	epoch_reader_free(r);
}

static void
refused(struct span bytes)
{
	struct status_table *t;
	struct snapshot s;
	struct err e;

	assert_int_equal(file_replace(path, bytes, 0600, &e), 0);
	assert_int_equal(snapshot_load(path, ep, &t, &s, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_null(s.marks.list);
}

static void
test_damage(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct status_table *t;
	struct snapshot s;
	struct span file;
	uint8_t *bytes;
	struct err e;
	size_t i;

	(void)state;
	write_some(10, 2);
	assert_int_equal(file_read(a, path, 100000, &file, &e), 0);
	bytes = arena_memdup(a, file.p, file.n);
	for (i = 0; i < file.n; i += 5) {
		bytes[i] ^= 0x10;
		refused(span_of(bytes, file.n));
		bytes[i] ^= 0x10;
	}
	for (i = 0; i < file.n; i += 8)
		refused(span_of(bytes, i));
	refused(span_of(bytes, file.n - 1));
	(void)unlink(path);
	assert_int_equal(snapshot_load(path, ep, &t, &s, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
