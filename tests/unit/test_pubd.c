/* chancery-pubd on real parts: PostgreSQL, signd and a SoftHSM token. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/sha.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/clock.h"
#include "base/crl_partition.h"
#include "base/file.h"
#include "db/db_int.h"
#include "db/store_crl.h"
#include "db/store_revoke.h"
#include "tests/unit/pubd_fixture.h"

AUTO_DEFINE(X509_CRL, X509_CRL_free);
AUTO_DEFINE(ASN1_INTEGER, ASN1_INTEGER_free);

static void
good(int rc, const struct err *e)
{
	if (rc != 0)
		fail_msg("%s", e->text);
}

/* The bytes of a list, which must be those that its row tells. */
static struct span
bytes_of(const struct store_crl *c)
{
	uint8_t *p = arena_alloc(pubd.a, c->size), hash[32];
	struct span piece;
	size_t n = 0;
	struct err e;
	int i;

	for (i = 0; n < c->size; i++) {
		good(
		    store_crl_piece(pubd.db, pubd.a, c->id, i, &piece, &e), &e);
		assert_true(n + piece.n <= c->size);
		memcpy(p + n, piece.p, piece.n);
		n += piece.n;
	}
	(void)SHA256(p, n, hash);
	assert_memory_equal(hash, c->sha256, 32);
	return span_of(p, n);
}

static X509_CRL *
open_crl(const struct store_crl *c)
{
	struct span der = bytes_of(c);
	const uint8_t *p = der.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.n);

	assert_non_null(crl);
	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(pubd.ca)), 1);
	return crl;
}

/* The reason of certificate 'n' on a list: -2 when it is not there. */
static long
listed(const struct store_crl *c, int n)
{
	AUTO(X509_CRL) crl = open_crl(c);
	struct span s = pubd.samples[n].cert.serial;
	const uint8_t *p;
	AUTO(ASN1_INTEGER) serial = NULL;
	ASN1_ENUMERATED *reason;
	X509_REVOKED *r = NULL;
	uint8_t der[32] = { 0x02, (uint8_t)s.n };
	long v = -1;

	memcpy(der + 2, s.p, s.n);
	p = der;
	serial = d2i_ASN1_INTEGER(NULL, &p, (long)s.n + 2);
	if (X509_CRL_get0_by_serial(crl, &r, serial) == 0 || r == NULL)
		return -2;
	reason = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
	if (reason != NULL)
		v = ASN1_ENUMERATED_get(reason);
	ASN1_ENUMERATED_free(reason);
	return v;
}

static void
do_revoke(int n, int reason)
{
	struct store_revocation r = { .issuer = pubd.issuer,
		.serial = pubd.samples[n].cert.serial,
		.reason = reason,
		.at = clock_now(),
		.actor = "t",
		.request_id = "t" };
	struct err e;

	good(store_revoke(pubd.writer, &r, &e), &e);
}

static void
release(int n)
{
	struct store_revocation r = { .issuer = pubd.issuer,
		.serial = pubd.samples[n].cert.serial,
		.actor = "t",
		.request_id = "t" };
	struct err e;

	good(store_revoke_release(pubd.writer, &r, &e), &e);
}

/* Waits until the scope's list says this of a certificate. */
static struct store_crl
wait_listed(const char *scope, int n, long want)
{
	int64_t until = clock_mono_us() + PUBD_WAIT_US;
	struct store_crl c = { .number = 0 };

	do {
		if (clock_mono_us() > until)
			fail_msg("%s never says %ld of %d", scope, want, n);
		c = pubd_wait(&pubd, scope, c.number);
	} while (listed(&c, n) != want);
	return c;
}

static void
reset(void)
{
	struct db *owner = db_new_bare(pg_conninfo(pubd.pg, "postgres"), "t");
	struct err e;

	good(db_script(owner,
		 "DELETE FROM chancery.crl WHERE scope LIKE '%-%'"
		 " OR scope = 'delta'",
		 &e),
	    &e);
	db_free(owner);
}

/* The hook has got the bytes of this list. */
static void
wait_hook(const struct store_crl *c)
{
	const char *copy = arena_printf(pubd.a, "%s/copied", pubd.fx.dir);
	int64_t until = clock_mono_us() + PUBD_WAIT_US;
	struct span want = bytes_of(c), got = { NULL, 0 };
	struct err e;

	while (file_read(pubd.a, copy, 1 << 20, &got, &e) == -1 ||
	       !span_eq(got, want)) {
		if (clock_mono_us() > until)
			fail_msg("the hook has not run");
		usleep(50000);
	}
}

/* Each list has an audit row that names it, written by the pub role. */
static void
audited(const struct store_crl *c)
{
	struct db *oper = db_new(pg_conninfo(pubd.pg, "chancery_oper"), "t");
	const struct db_args none = { .n = 0 };
	AUTO(PGresult) r = NULL;
	struct err e;

	good(db_query(oper,
		 arena_printf(pubd.a,
		     "SELECT (SELECT count(*) FROM audit WHERE kind = 'crl'),"
		     " (SELECT count(*) FROM crl), count(*) FROM audit"
		     " WHERE kind = 'crl' AND actor = 'chancery_pub'"
		     " AND convert_from(leaf, 'UTF8') LIKE"
		     " '%%issuer=ca_scope=%s_number=%lld_%%_entries=%lld_%%"
		     "_sha256=%s_slot=26_%%'",
		     c->scope, (long long)c->number, (long long)c->entries,
		     hex_encode(pubd.a, span_of(c->sha256, 32))),
		 &none, &r, &e),
	    &e);
	assert_int_equal(db_i8(r, 0, 0), db_i8(r, 0, 1));
	assert_int_equal(db_i8(r, 0, 2), 1);
	db_free(oper);
}

/* The first list is there by itself; revocations show soon, holds go. */
static void
test_complete(void **state)
{
	struct store_crl first, c;

	(void)state;
	pubd_conf(&pubd, PUBD_PLAIN);
	pubd_start(&pubd, 0);
	first = pubd_wait(&pubd, "full", 0);
	assert_int_equal(first.entries, 0);
	assert_in_range(first.number, clock_now() - 60, clock_now() + 60);
	assert_int_equal(first.next_update - first.this_update, 7200);
	assert_int_equal(listed(&first, 0), -2);
	usleep(1200000);
	do_revoke(0, 1);
	do_revoke(22, 1);
	c = wait_listed("full", 22, 1);
	assert_true(c.number > first.number);
	do_revoke(1, 6);
	(void)wait_listed("full", 1, 6);
	release(1);
	c = wait_listed("full", 1, -2);
	assert_int_equal(c.entries, 1);
	assert_int_equal(listed(&c, 0), -2);
	wait_hook(&c);
	audited(&c);
	pubd_stop(&pubd, 0, SIGTERM);
}

/* Numbers rise over a restart. */
static void
test_restart(void **state)
{
	struct store_crl before = { .number = 0 }, after;

	(void)state;
	assert_true(pubd_current(&pubd, "full", &before));
	pubd_start(&pubd, 0);
	fixture_wait_file(&pubd.fx, "pubd0.log", " ready\n", 2);
	do_revoke(2, -1);
	after = wait_listed("full", 2, -1);
	assert_true(after.number > before.number);
	pubd_stop(&pubd, 0, SIGKILL);
}

/* The entries of a list, as they are encoded. */
static struct span
entries_of(const struct store_crl *c)
{
	AUTO(X509_CRL) crl = open_crl(c);
	STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(crl);
	AUTO_BUF(b, 1 << 20);
	uint8_t *der;
	int i, n;

	for (i = 0; i < sk_X509_REVOKED_num(list); i++) {
		der = NULL;
		n = i2d_X509_REVOKED(sk_X509_REVOKED_value(list, i), &der);
		assert_true(n > 0);
		buf_add(&b, der, (size_t)n);
		OPENSSL_free(der);
	}
	assert_true(buf_ok(&b));
	return span_dup(pubd.a, buf_get(&b));
}

/* Lists made from the one before say what one made of all rows says. */
static void
test_kept(void **state)
{
	struct store_crl c, anew;

	(void)state;
	pubd_start(&pubd, 0);
	do_revoke(16, 6);
	(void)wait_listed("full", 16, 6);
	do_revoke(17, 6);
	do_revoke(18, 5);
	do_revoke(19, -1);
	(void)wait_listed("full", 19, -1);
	release(16);
	release(17);
	do_revoke(18, 1);
	(void)wait_listed("full", 18, 1);
	(void)wait_listed("full", 17, -2);
	do_revoke(17, 4);
	c = wait_listed("full", 17, 4);
	c = wait_listed("full", 16, -2);
	pubd_stop(&pubd, 0, SIGTERM);
	(void)pubd_current(&pubd, "full", &c);
	/* a new process reads all rows */
	pubd_start(&pubd, 0);
	anew = pubd_wait(&pubd, "full", c.number);
	assert_int_equal(anew.entries, c.entries);
	assert_true(span_eq(entries_of(&c), entries_of(&anew)));
	pubd_stop(&pubd, 0, SIGTERM);
}

/* More changes than are looked up one by one; and a hold among them ends. */
static void
test_many(void **state)
{
	struct db *owner = db_new_bare(pg_conninfo(pubd.pg, "postgres"), "t");
	struct store_crl c;
	struct err e;

	(void)state;
	pubd_conf(&pubd, PUBD_PLAIN);
	pubd_start(&pubd, 0);
	do_revoke(20, 6);
	c = wait_listed("full", 20, 6);
	release(20);
	good(db_script(owner,
		 arena_printf(pubd.a,
		     "SET search_path = chancery; BEGIN;"
		     "INSERT INTO writer VALUES (20000, 1, 'x', 'x', now());"
		     "INSERT INTO cert_status (cert_id, not_after, revoked_at,"
		     " issuer, status, reason, serial) SELECT i,"
		     " now() + interval '9 days', now(), %d, 1, 1,"
		     " '\\x41'::bytea || substr(sha256(i::text::bytea), 1, 9)"
		     " FROM generate_series(1, %d) i;"
		     "INSERT INTO status_change (writer, seq, cert_id,"
		     " not_after, revoked_at, issuer, status, reason, serial)"
		     " SELECT 20000, cert_id, cert_id, not_after, revoked_at,"
		     " issuer, status, reason, serial FROM cert_status"
		     " WHERE length(serial) = 10; COMMIT",
		     pubd.issuer, STORE_CRL_CHANGES_MAX + 1),
		 &e),
	    &e);
	do {
		c = pubd_wait(&pubd, "full", c.number);
	} while (c.entries < STORE_CRL_CHANGES_MAX + 1);
	assert_int_equal(listed(&c, 20), -2);
	do_revoke(20, 4);
	(void)wait_listed("full", 20, 4);
	pubd_stop(&pubd, 0, SIGTERM);
	db_free(owner);
}

/* A list is public without its file; that one comes with another list. */
static void
test_file(void **state)
{
	const char *dir = arena_printf(pubd.a, "%s/pub", pubd.fx.state);
	const char *away = arena_printf(pubd.a, "%s/away", pubd.fx.state);
	struct store_crl c;

	(void)state;
	assert_true(pubd_current(&pubd, "full", &c));
	pubd_start(&pubd, 0);
	c = pubd_wait(&pubd, "full", c.number);
	wait_hook(&c);
	assert_int_equal(rename(dir, away), 0);
	do_revoke(21, 4);
	c = wait_listed("full", 21, 4);
	fixture_wait_file(&pubd.fx, "pubd0.log", "cannot write", 1);
	assert_int_equal(rename(away, dir), 0);
	c = pubd_wait(&pubd, "full", c.number);
	assert_int_equal(listed(&c, 21), 4);
	wait_hook(&c);
	pubd_stop(&pubd, 0, SIGTERM);
}

/* A hook that has failed is run again, with no other list made for it. */
static void
test_hook(void **state)
{
	struct store_crl c, last;

	(void)state;
	assert_true(pubd_current(&pubd, "full", &c));
	pubd_start(&pubd, 0);
	c = pubd_wait(&pubd, "full", c.number);
	wait_hook(&c);
	usleep(1200000);
	(void)fixture_write(&pubd.fx, "fail", span_str(""));
	do_revoke(23, 4);
	c = wait_listed("full", 23, 4);
	wait_hook(&c);
	fixture_wait_file(&pubd.fx, "pubd0.log", "hook failed", 1);
	assert_true(pubd_current(&pubd, "full", &last));
	assert_int_equal(last.number, c.number);
	pubd_stop(&pubd, 0, SIGTERM);
}

/* Another process takes over when one dies, and only then. */
static void
test_takeover(void **state)
{
	struct store_crl c;
	int64_t t;

	(void)state;
	pubd_start(&pubd, 0);
	do_revoke(3, 4);
	c = wait_listed("full", 3, 4);
	pubd_start(&pubd, 1);
	fixture_wait_file(&pubd.fx, "pubd1.log", " ready\n", 1);
	do_revoke(4, 4);
	c = wait_listed("full", 4, 4);
	pubd_stop(&pubd, 0, SIGKILL);
	t = clock_mono_us();
	do_revoke(5, 4);
	c = wait_listed("full", 5, 4);
	assert_true(clock_mono_us() - t < 12000000);
	assert_int_equal(listed(&c, 22), 1);
	pubd_stop(&pubd, 1, SIGTERM);
}

/* The delta tells what changed since its base, and takes holds back. */
static void
test_delta(void **state)
{
	struct store_crl c = { .number = 0 }, d;
	AUTO(X509_CRL) crl = NULL;
	AUTO(ASN1_INTEGER) base = NULL;

	(void)state;
	do_revoke(6, 6);
	pubd_conf(&pubd, "  crl-urls: [\"http://c.test/ca.crl\"]\n"
			 "  freshest-crl-urls: [\"http://c.test/d.crl\"]\n"
			 "  crl: {interval: 1h, overlap: 1h, min-gap: 1s,\n"
			 "    delta-interval: 10m}\n");
	{
		/* a complete list with the hold on it */
		struct db *pub =
		    db_new(pg_conninfo(pubd.pg, "chancery_pub"), "t");
		struct err e;

		assert_true(pubd_current(&pubd, "full", &c));
		good(db_script(pub, "DELETE FROM crl", &e), &e);
		db_free(pub);
	}
	pubd_start(&pubd, 0);
	d = pubd_wait(&pubd, "delta", 0);
	assert_true(pubd_current(&pubd, "full", &c));
	assert_int_equal(d.base_number, c.number);
	assert_true(d.number > c.number);
	assert_int_equal(d.entries, 0);
	assert_int_equal(listed(&c, 6), 6);
	{
		AUTO(X509_CRL) full = open_crl(&c);

		assert_true(
		    X509_CRL_get_ext_by_NID(full, NID_freshest_crl, -1) >= 0);
	}
	usleep(1200000);
	do_revoke(7, 6);
	d = wait_listed("delta", 7, 6);
	assert_int_equal(d.entries, 1);
	release(6);
	d = wait_listed("delta", 6, 8);
	release(7);
	/* it was on a delta, so a client may have put it on its list */
	d = wait_listed("delta", 7, 8);
	assert_int_equal(d.entries, 2);
	do_revoke(6, 6);
	d = wait_listed("delta", 6, 6);
	crl = open_crl(&d);
	base = X509_CRL_get_ext_d2i(crl, NID_delta_crl, NULL, NULL);
	assert_int_equal(ASN1_INTEGER_get(base), (long)c.number);
	assert_true(pubd_current(&pubd, "full", &c));
	assert_int_equal(d.base_number, c.number);
	pubd_stop(&pubd, 0, SIGTERM);
}

/* Each certificate is on the list of its partition and on no other. */
static void
test_partitions(void **state)
{
	struct store_crl part[2];
	int n, k;

	(void)state;
	reset();
	pubd_conf(&pubd,
	    "  crl-urls: [\"http://c.test/{partition}.crl\"]\n"
	    "  freshest-crl-urls: [\"http://c.test/d{partition}.crl\"]\n"
	    "  crl-partitions: 2\n"
	    "  crl: {interval: 1h, overlap: 1h, min-gap: 1s,\n"
	    "    keep-expired: true}\n");
	for (n = 8; n < 16; n++)
		do_revoke(n, 3);
	pubd_start(&pubd, 0);
	for (k = 0; k < 2; k++)
		part[k] =
		    pubd_wait(&pubd, arena_printf(pubd.a, "part-%d", k), 0);
	for (n = 8; n < 16; n++) {
		k = (int)crl_partition_of(pubd.samples[n].cert.serial, 2);
		assert_int_equal(listed(&part[k], n), 3);
		assert_int_equal(listed(&part[1 - k], n), -2);
	}
	for (k = 0; k < 2; k++) {
		AUTO(X509_CRL) crl = open_crl(&part[k]);
		int at, critical;
		ISSUING_DIST_POINT *idp = X509_CRL_get_ext_d2i(
		    crl, NID_issuing_distribution_point, &critical, NULL);
		GENERAL_NAME *name;

		assert_non_null(idp);
		assert_int_equal(critical, 1);
		name = sk_GENERAL_NAME_value(idp->distpoint->name.fullname, 0);
		assert_string_equal(
		    (const char *)ASN1_STRING_get0_data(name->d.ia5),
		    k == 0 ? "http://c.test/0.crl" : "http://c.test/1.crl");
		ISSUING_DIST_POINT_free(idp);
		at = X509_CRL_get_ext_count(crl);
		assert_int_equal(at, 5); /* AKI number IDP freshest expired */
		(void)pubd_wait(&pubd, arena_printf(pubd.a, "delta-%d", k), 0);
	}
	pubd_stop(&pubd, 0, SIGTERM);
}

/* A test that has failed leaves none behind that would hold the lease. */
static int
end_all(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		if (pubd.pids[i] != 0)
			pubd_stop(&pubd, i, SIGKILL);
	}
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_complete, end_all),
		cmocka_unit_test_teardown(test_restart, end_all),
		cmocka_unit_test_teardown(test_kept, end_all),
		cmocka_unit_test_teardown(test_takeover, end_all),
		cmocka_unit_test_teardown(test_file, end_all),
		cmocka_unit_test_teardown(test_hook, end_all),
		cmocka_unit_test_teardown(test_delta, end_all),
		cmocka_unit_test_teardown(test_partitions, end_all),
		cmocka_unit_test_teardown(test_many, end_all),
	};

	return cmocka_run_group_tests(
	    tests, pubd_group_setup, pubd_group_teardown);
}
