/* chancery-ocspd from outside: a real process, database and HTTP client. */
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

#include "base/auto.h"
#include "base/b64.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/sha256.h"
#include "db/db.h"
#include "db/store_crl.h"
#include "db/store_status.h"
#include "tests/db/ocspd_fixture.h"

AUTO_DEFINE(OCSP_REQUEST, OCSP_REQUEST_free);

#define GOOD V_OCSP_CERTSTATUS_GOOD
#define REVOKED V_OCSP_CERTSTATUS_REVOKED
#define UNKNOWN V_OCSP_CERTSTATUS_UNKNOWN
#define TRY_LATER (-13)

static struct ocspd *d;
static struct ocspd_reply r;
static const struct span none = { NULL, 0 };

/* Certificate 'n' has this serial. */
static void
set_status(int n, const char *set)
{
	ocspd_sql(
	    d, arena_printf(d->arena,
		   "WITH t AS (UPDATE cert_status SET %s WHERE cert_id = %d"
		   " RETURNING *)" OCSPD_FEED "; NOTIFY chancery_status",
		   set, n));
}

#define REVOKE "status = 1, reason = 1, revoked_at = date_trunc('s', now())"
#define HOLD "status = 1, reason = 6, revoked_at = date_trunc('s', now())"
#define RELEASE "status = 0, reason = -1, revoked_at = NULL"

static int
set_up(void **state)
{
	(void)state;
	d = ocspd_new();
	ocspd_issue(d, 1, 20);
	ocspd_start(d);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ocspd_free(d);
	return 0;
}

static void
test_certificate(void **state)
{
	(void)state;
	/* without one, and with a wrong one, there is no answer */
	assert_true(ocspd_health(d, 503, "no certificate"));
	assert_true(ocspd_becomes(d, ocspd_serial(1), TRY_LATER));
	ocspd_certify(d, 86400, true);
	(void)usleep(1500000);
	assert_int_equal(ocspd_status(d, ocspd_serial(1)), TRY_LATER);
	assert_true(ocspd_health(d, 503, "no certificate"));
	ocspd_sql(d, "UPDATE responder SET cert = NULL");
	ocspd_certify(d, 86400, false);
	assert_true(ocspd_becomes(d, ocspd_serial(1), GOOD));
	assert_true(ocspd_health(d, 200, "ok"));
	assert_int_equal(ocspd_status(d, ocspd_serial(99)), UNKNOWN);
}

static const char *
get_path(const char *prefix, bool escaped, int n)
{
	AUTO(OCSP_REQUEST) req =
	    ocsp_ca_request(&d->ca, EVP_sha256(), ocspd_serial(n), 0);
	const char *b64 =
	    b64_encode(d->arena, ocsp_ca_request_der(d->arena, req));
	char *out = arena_alloc(d->arena, 4 * strlen(b64) + 100), *p;

	p = stpncpy(out, prefix, 90);
	for (; *b64 != '\0'; b64++) {
		if (escaped && strchr("+/=", *b64) != NULL) {
			(void)snprintf(p, 4, "%%%02X", *b64);
			p += 3;
		} else {
			*p++ = *b64;
		}
	}
	return out;
}

static void
is_success(void)
{
	assert_int_equal(r.status, 200);
	assert_true(r.n > 100);
	assert_int_equal(r.body[6], 0); /* responseStatus */
	assert_non_null(
	    strstr(r.headers, "Content-Type: application/ocsp-response"));
}

/* RFC 9110 13.1: who has the answer is not sent it again. */
static void
unchanged(void)
{
	const char *path = get_path("/status/", true, 2), *tag, *since;

	ocspd_ask(d, path, none, NULL, &r);
	is_success();
	tag =
	    arena_printf(d->arena, "%.66s", strstr(r.headers, "ETag: \"") + 6);
	/* its date would not tell a revocation in the same second */
	since = strstr(r.headers, "Last-Modified: ") + 15;
	ocspd_ask(d, path, none,
	    arena_printf(d->arena, "If-Modified-Since: %.29s", since), &r);
	is_success();
	ocspd_ask(d, path, none,
	    arena_printf(d->arena, "If-None-Match: \"x\", W/%s", tag), &r);
	assert_int_equal(r.status, 304);
	assert_null(strstr(r.headers, "Content-Length: 0"));
	assert_int_equal(r.n, 0);
	assert_non_null(strstr(r.headers, tag));
	assert_non_null(strstr(r.headers, "Expires: "));
	assert_non_null(strstr(r.headers, "max-age="));
	ocspd_ask(d, path, none, "If-None-Match: \"x\"", &r);
	is_success();
	/* what is not known is for no cache to keep, nor is it compared */
	ocspd_ask(
	    d, get_path("/status/", true, 77), none, "If-None-Match: *", &r);
	is_success();
	assert_null(strstr(r.headers, "ETag"));
	assert_non_null(strstr(r.headers, "Cache-Control: max-age=0\r"));
}

static void
test_transport(void **state)
{
	AUTO(OCSP_REQUEST) req =
	    ocsp_ca_request(&d->ca, EVP_sha1(), ocspd_serial(2), 16);
	AUTO(OCSP_REQUEST) foreign = NULL;
	struct ocsp_ca other;
	char *etag;

	(void)state;
	ocspd_ask(d, get_path("/status/", true, 2), none, NULL, &r);
	is_success();
	assert_non_null(strstr(r.headers, "Last-Modified: "));
	assert_non_null(strstr(r.headers, "Expires: "));
	assert_non_null(strstr(r.headers, "Date: "));
	assert_non_null(strstr(r.headers, "must-revalidate"));
	etag = strstr(r.headers, "ETag: \"");
	assert_non_null(etag);
	assert_int_equal(strspn(etag + 7, "0123456789abcdef"), 64);
	ocspd_ask(d, get_path("/status/", false, 2), none, NULL, &r);
	is_success();
	/* from the cache: the same answer */
	assert_non_null(
	    strstr(r.headers, arena_printf(d->arena, "%.60s", etag)));
	ocspd_ask(d, get_path("/status//", false, 2), none, NULL, &r);
	is_success();
	ocspd_ask(d, get_path("/ocsp/", false, 2), none, NULL, &r);
	is_success();
	unchanged();
	ocspd_ask(d, "/status", ocsp_ca_request_der(d->arena, req), NULL, &r);
	is_success();
	assert_null(strstr(r.headers, "Cache-Control"));
	ocspd_ask(d, "/status/", ocsp_ca_request_der(d->arena, req), NULL, &r);
	is_success();
	assert_int_equal(
	    ocsp_ca_judge(&d->ca, span_of(r.body, r.n), ocspd_serial(2)), GOOD);
	/* undecodable: an OCSP answer, not an HTTP one */
	ocspd_ask(d, "/status/AAAA", none, NULL, &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body[4], 1);
	assert_non_null(strstr(r.headers, "no-store"));
	ocspd_ask(d, "/status/%zz", none, NULL, &r);
	assert_int_equal(r.body[4], 1);
	ocspd_ask(d, "/status", span_str("rubbish"), NULL, &r);
	assert_int_equal(r.body[4], 1);
	ocsp_ca_init(&other, "other");
	foreign = ocsp_ca_request(&other, EVP_sha1(), ocspd_serial(2), 0);
	ocspd_ask(
	    d, "/status", ocsp_ca_request_der(d->arena, foreign), NULL, &r);
	assert_int_equal(r.body[4], 6);
	ocsp_ca_clear(&other);
	ocspd_ask(d, "/elsewhere", none, NULL, &r);
	assert_int_equal(r.status, 404);
	ocspd_ask(d, "/elsewhere", span_str("x"), NULL, &r);
	assert_int_equal(r.status, 405);
	ocspd_ask(d, "/metrics", none, NULL, &r);
	assert_non_null(strstr((char *)r.body, "kind=\"good\"} "));
	assert_non_null(
	    strstr((char *)r.body, "chancery_ocsp_certificates 20"));
}

/* Committed to visible; what is typical, and that it is never long. */
static void
test_changes(void **state)
{
	int64_t from, worst = 0, all = 0;
	int i;

	(void)state;
	assert_int_equal(ocspd_status(d, ocspd_serial(99)), UNKNOWN);
	ocspd_issue(d, 99, 99);
	assert_true(ocspd_becomes(d, ocspd_serial(99), GOOD));
	for (i = 3; i <= 12; i++) {
		assert_int_equal(ocspd_status(d, ocspd_serial(i)), GOOD);
		set_status(i, REVOKE);
		from = clock_mono_us();
		assert_true(ocspd_becomes(d, ocspd_serial(i), REVOKED));
		from = clock_mono_us() - from;
		worst = from > worst ? from : worst;
		all += from;
	}
	(void)printf("# revoked to visible: %ld us, at most %ld us\n",
	    (long)(all / 10), (long)worst);
	set_status(13, HOLD);
	assert_true(ocspd_becomes(d, ocspd_serial(13), REVOKED));
	set_status(13, RELEASE);
	assert_true(ocspd_becomes(d, ocspd_serial(13), GOOD));
}

static void
test_files(void **state)
{
	const char *crl = arena_printf(d->arena, "%s/ocsp/files/x.crl", d->dir);
	struct span bytes = span_str("0123456789");
	const char *etag, *since;
	struct err e;

	(void)state;
	ocspd_ask(d, "/x.crl", none, NULL, &r);
	assert_int_equal(r.status, 404);
	assert_int_equal(file_replace(crl, bytes, 0644, &e), 0);
	ocspd_ask(d, "/x.crl", none, NULL, &r);
	assert_int_equal(r.status, 200);
	assert_true(span_eq(span_of(r.body, r.n), bytes));
	assert_non_null(strstr(r.headers, "application/pkix-crl"));
	assert_non_null(strstr(r.headers, "Cache-Control: max-age=60, "));
	since = strstr(r.headers, "Last-Modified: ");
	assert_non_null(since);
	since = arena_printf(d->arena, "If-Modified-Since: %.29s", since + 15);
	etag = strstr(r.headers, "ETag: ");
	assert_non_null(etag);
	etag = arena_printf(d->arena, "If-None-Match: %.*s",
	    (int)strcspn(etag + 6, "\r\n"), etag + 6);
	ocspd_ask(d, "/x.crl", none, etag, &r);
	assert_int_equal(r.status, 304);
	assert_int_equal(r.n, 0);
	assert_null(strstr(r.headers, "Content-Length: 0"));
	ocspd_ask(d, "/x.crl", none, since, &r);
	assert_int_equal(r.status, 304);
	ocspd_ask(d, "/x.crl", none,
	    "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT", &r);
	assert_int_equal(r.status, 200);
	ocspd_head(d, "/x.crl", &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.n, 0);
	assert_non_null(strstr(r.headers, "Content-Length: 10\r"));
	assert_non_null(strstr(r.headers, "ETag: "));
	ocspd_ask(d, "/x.crl", none, "Range: bytes=2-4", &r);
	assert_int_equal(r.status, 206);
	assert_string_equal((const char *)r.body, "234");
	assert_non_null(strstr(r.headers, "Content-Range: bytes 2-4/10"));
	ocspd_ask(d, "/x.crl", none, "Range: bytes=-3", &r);
	assert_string_equal((const char *)r.body, "789");
	ocspd_ask(d, "/x.crl", none, "Range: bytes=8-", &r);
	assert_string_equal((const char *)r.body, "89");
	ocspd_ask(d, "/x.crl", none, "Range: bytes=10-", &r);
	assert_int_equal(r.status, 416);
	ocspd_ask(d, "/x.crl", none, "Range: bytes=0-1,4-5", &r);
	assert_int_equal(r.status, 200);
	ocspd_ask(d, "/../status", none, NULL, &r);
	assert_int_equal(r.status, 404);
	ocspd_ask(d, "/ca/tls.cer", none, NULL, &r);
	assert_true(
	    span_eq(span_of(r.body, r.n), ocsp_ca_der(d->arena, d->ca.cert)));
	assert_non_null(strstr(r.headers, "application/pkix-cert"));
	ocspd_ask(d, "/ca/tls.p7c", none, NULL, &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.headers, "application/pkcs7-mime"));
}

static void
test_database_lost(void **state)
{
	(void)state;
	pg_stop(d->pg, false);
	assert_true(ocspd_health(d, 200, "degraded"));
	assert_int_equal(ocspd_status(d, ocspd_serial(1)), GOOD);
	assert_int_equal(ocspd_status(d, ocspd_serial(3)), REVOKED);
	pg_start(d->pg);
	set_status(14, REVOKE);
	assert_true(ocspd_becomes(d, ocspd_serial(14), REVOKED));
	assert_true(ocspd_health(d, 200, "ok"));
}

/* A certificate that ends soon is replaced: it asks for another one. */
static void
asked_again(void)
{
	struct db *db = db_new(pg_conninfo(d->pg, "chancery_pub"), "test");
	struct store_responder row;
	struct err e;
	int i;

	for (i = 0;; i++) {
		if (store_responder_get(
			db, d->arena, "node1", d->issuer, &row, &e) == -1)
			fail_msg("%s", e.text);
		if (row.cert.n == 0)
			break;
		if (i == 100)
			fail_msg("nothing was asked for");
		(void)usleep(100000);
	}
	db_free(db);
}

/* A new key each time; what was known is known. */
static void
test_restart(void **state)
{
	(void)state;
	(void)usleep(1500000); /* a snapshot */
	ocspd_stop(d, SIGKILL);
	set_status(15, REVOKE);
	ocspd_start(d);
	assert_true(ocspd_becomes(d, ocspd_serial(1), TRY_LATER));
	(void)usleep(200000);
	ocspd_certify(d, 4, false);
	asked_again();
	ocspd_certify(d, 86400, false);
	assert_true(ocspd_becomes(d, ocspd_serial(1), GOOD));
	assert_int_equal(ocspd_status(d, ocspd_serial(15)), REVOKED);
}

/* A backup from before the last revocations is restored. */
static void
test_rollback(void **state)
{
	(void)state;
	set_status(16, REVOKE);
	set_status(17, HOLD);
	assert_true(ocspd_becomes(d, ocspd_serial(16), REVOKED));
	assert_true(ocspd_becomes(d, ocspd_serial(17), REVOKED));
	ocspd_sql(d, "BEGIN; ALTER TABLE status_change DISABLE TRIGGER ALL;"
		     " ALTER TABLE cert_status DISABLE TRIGGER ALL;"
		     " DELETE FROM status_change WHERE seq > (SELECT max(seq)"
		     " FROM status_change) - 2;"
		     " UPDATE cert_status SET status = 0, reason = -1,"
		     " revoked_at = NULL WHERE cert_id IN (16, 17);"
		     " ALTER TABLE cert_status ENABLE TRIGGER ALL; COMMIT");
	assert_true(ocspd_becomes(d, ocspd_serial(1), TRY_LATER));
	assert_true(ocspd_health(d, 503, "back in time"));
	assert_int_equal(ocspd_status(d, ocspd_serial(16)), REVOKED);
	assert_int_equal(ocspd_status(d, ocspd_serial(17)), TRY_LATER);
	/* its own restart changes nothing about that */
	ocspd_stop(d, SIGTERM);
	ocspd_start(d);
	assert_true(ocspd_health(d, 503, "back in time"));
	(void)usleep(200000);
	ocspd_certify(d, 86400, false);
	assert_true(ocspd_becomes(d, ocspd_serial(16), REVOKED));
	assert_int_equal(ocspd_status(d, ocspd_serial(1)), TRY_LATER);
	/* nor do new changes in the other history */
	ocspd_issue(d, 100, 110);
	(void)usleep(500000);
	assert_int_equal(ocspd_status(d, ocspd_serial(1)), TRY_LATER);
	assert_int_equal(ocspd_run(d, "--accept-database"), 0);
	assert_true(ocspd_becomes(d, ocspd_serial(1), GOOD));
	assert_int_equal(ocspd_status(d, ocspd_serial(16)), REVOKED);
	assert_int_equal(ocspd_status(d, ocspd_serial(17)), GOOD);
	assert_int_equal(ocspd_status(d, ocspd_serial(105)), GOOD);
	assert_true(ocspd_health(d, 200, "ok"));
}

static void
put_crl(const char *name, struct span der)
{
	struct err e;

	if (file_replace(
		arena_printf(d->arena, "%s/ocsp/files/%s", d->dir, name), der,
		0644, &e) == -1)
		fail_msg("%s", e.text);
}

/* As the publisher: records a complete list. */
static void
publish_crl(int64_t number, struct span der)
{
	struct db *db = db_new(pg_conninfo(d->pg, "chancery_pub"), "test");
	struct store_crl c = { .issuer = d->issuer,
		.scope = "full",
		.number = number,
		.this_update = clock_now(),
		.next_update = clock_now() + 86400,
		.size = der.n,
		.mark = { .at = STORE_CRL_NO_TIME } };
	struct err e;

	sha256(der, c.sha256);
	if (store_crl_begin(db, &c, &e) == -1 ||
	    store_crl_put(db, &c, 0, der, &e) == -1 ||
	    store_crl_commit(db, 0, &e) == -1)
		fail_msg("%s", e.text);
	db_free(db);
}

static bool
serves_crl(struct span der)
{
	ocspd_ask(d, "/tls.crl", none, NULL, &r);
	return r.status == 200 && span_eq(span_of(r.body, r.n), der);
}

/*
 * Nothing is remembered but a CRL: what is on it is not good.  The lists of
 * such a database do not replace it, not even when an operator accepts it.
 */
static void
test_crl(void **state)
{
	struct span newest = ocsp_ca_crl(&d->ca, d->arena, 7, ocspd_serial(17));
	struct span next = ocsp_ca_crl(&d->ca, d->arena, 8, ocspd_serial(16));
	struct ocsp_ca other;
	int i;

	(void)state;
	ocsp_ca_init(&other, "tls"); /* another key under the same name */
	put_crl(
	    "other.crl", ocsp_ca_crl(&other, d->arena, 7, ocspd_serial(18)));
	ocsp_ca_clear(&other);
	ocspd_stop(d, SIGTERM);
	put_crl("tls.crl", newest);
	publish_crl(6, ocsp_ca_crl(&d->ca, d->arena, 6, ocspd_serial(16)));
	(void)unlink(arena_printf(d->arena, "%s/ocsp/status", d->dir));
	ocspd_start(d);
	assert_true(ocspd_health(d, 503, "back in time"));
	(void)usleep(200000);
	ocspd_certify(d, 86400, false);
	(void)usleep(1500000);
	assert_int_equal(ocspd_status(d, ocspd_serial(17)), TRY_LATER);
	assert_int_equal(ocspd_status(d, ocspd_serial(1)), TRY_LATER);
	assert_true(serves_crl(newest));
	/* nor does a new one from that history, which may lack anything */
	publish_crl(8, next);
	(void)usleep(2500000);
	assert_true(serves_crl(newest));
	assert_int_equal(ocspd_run(d, "--accept-database"), 0);
	assert_true(ocspd_becomes(d, ocspd_serial(17), REVOKED));
	assert_int_equal(ocspd_status(d, ocspd_serial(18)), GOOD);
	for (i = 0; i < 100 && !serves_crl(next); i++)
		(void)usleep(100000);
	assert_true(serves_crl(next));
}

/* The database is as it should be, but has an older list. */
static void
test_older_crl(void **state)
{
	struct span newest = ocsp_ca_crl(&d->ca, d->arena, 9, ocspd_serial(15));
	struct span next = ocsp_ca_crl(&d->ca, d->arena, 10, ocspd_serial(15));
	struct span last = ocsp_ca_crl(&d->ca, d->arena, 13, ocspd_serial(15));
	int i;

	(void)state;
	ocspd_stop(d, SIGTERM);
	put_crl("tls.crl", newest);
	ocspd_start(d);
	(void)usleep(2500000);
	assert_true(serves_crl(newest));
	publish_crl(10, next);
	for (i = 0; i < 100 && !serves_crl(next); i++)
		(void)usleep(100000);
	assert_true(serves_crl(next));
	/* nor does a row that calls an older list a newer one bring it back */
	publish_crl(12, newest);
	(void)usleep(2500000);
	assert_true(serves_crl(next));
	publish_crl(13, last);
	for (i = 0; i < 100 && !serves_crl(last); i++)
		(void)usleep(100000);
	assert_true(serves_crl(last));
}

/* RFC 6960 2.2: who wants it so has what was never issued revoked. */
static void
test_unknown(void **state)
{
	const char *conf = arena_printf(d->arena, "%s/chancery.yaml", d->dir);
	struct span s;
	struct err e;

	(void)state;
	assert_int_equal(file_read(d->arena, conf, 1 << 16, &s, &e), 0);
	/* its last lines are those of "ocsp:" */
	assert_int_equal(
	    file_replace(conf,
		span_str(arena_printf(d->arena, "%.*s  unknown: revoked\n",
		    (int)s.n, (const char *)s.p)),
		0600, &e),
	    0);
	ocspd_stop(d, SIGTERM);
	ocspd_start(d);
	assert_true(ocspd_becomes(d, ocspd_serial(1), TRY_LATER));
	(void)usleep(200000);
	ocspd_certify(d, 86400, false);
	assert_true(ocspd_becomes(d, ocspd_serial(250), REVOKED));
	assert_int_equal(ocspd_status(d, ocspd_serial(1)), GOOD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_database_lost),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_crl),
		cmocka_unit_test(test_older_crl),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
