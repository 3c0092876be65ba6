/* Secrets and client certificates as evidence, on the real pipeline. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/x509v3.h>

#include "base/b64.h"
#include "base/clock.h"
#include "ca/authn.h"
#include "ca/renewal.h"
#include "ca/revoke.h"
#include "ca/secret.h"
#include "db/db_int.h"
#include "db/writer.h"
#include "tests/unit/pipeline_fixture.h"
#include "tests/unit/tbs_maker.h"

#define DAY_S 86400

static const char limited[] =
    "name: few\nissuers: [ca]\nper-hour: 2\n"
    "allow:\n- protocols: [cli]\n"
    "san: {dns: {patterns: [\"**.test\"]}}\nkeys: {ec: [P-256]}\n"
    "validity: {default: 1d, max: 10d, backdate: 5m}\n"
    "key-usage: [digitalSignature]\nextended-key-usage: [clientAuth]\n";

static const char device[] =
    "name: %s\nissuers: [ca]\n"
    "allow:\n- protocols: [cli]\n"
    "- protocols: [est]\n  principals: [\"secret:*\", \"cert:dev/*\","
    " \"cert:@vendor/*\"]\n"
    "subject: {allowed: [{type: CN}, {type: serialNumber}]}\n"
    "san: {dns: {patterns: [\"**.test\"]}}\n"
    "keys: {ec: [P-256]}\n"
    "validity: {default: 1d, max: 10d, backdate: 5m}\n"
    "key-usage: [digitalSignature]\nextended-key-usage: [clientAuth]\n"
    "clients: {expired: 1h, %s trust-anchors: [vendor.pem]}\n"
    "approval: %s\n";

static EVP_PKEY *vendor_key;
static X509 *vendor;
static struct writer *oper;

/* A certificate of another maker: 'by' NULL makes it a self-signed CA. */
static X509 *
make_signed(
    const char *cn, X509 *by, EVP_PKEY *key, EVP_PKEY *signer, const EVP_MD *md)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_NAME_new();
	X509_EXTENSION *ext;

	assert_int_equal(X509_set_version(x, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 77), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
			     (const unsigned char *)cn, -1, -1, 0),
	    1);
	(void)X509_set_subject_name(x, name);
	(void)X509_set_issuer_name(
	    x, by == NULL ? name : X509_get_subject_name(by));
	(void)X509_gmtime_adj(X509_getm_notBefore(x), -DAY_S);
	(void)X509_gmtime_adj(X509_getm_notAfter(x), DAY_S);
	(void)X509_set_pubkey(x, key);
	if (by == NULL) {
		ext = X509V3_EXT_conf_nid(
		    NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
		(void)X509_add_ext(x, ext, -1);
		X509_EXTENSION_free(ext);
	}
	assert_true(X509_sign(x, signer, md) > 0);
	X509_NAME_free(name);
	return x;
}

static X509 *
make_foreign(const char *cn, X509 *by, EVP_PKEY *key, EVP_PKEY *signer)
{
	return make_signed(cn, by, key, signer, EVP_sha256());
}

static struct span
der_of(X509 *x)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);
	struct span s = span_dup(fx.a, span_of(der, (size_t)n));

	OPENSSL_free(der);
	return s;
}

static int
setup(void **state)
{
	struct arena *a = arena_new();
	struct pipeline_file files[5];
	struct err e;

	(void)state;
	vendor_key = maker_key("P-256");
	vendor = make_foreign("Vendor CA", NULL, vendor_key, vendor_key);
	fx.a = a;
	files[0].name = "vendor.pem";
	files[0].bytes = span_str(pem_encode(a, "CERTIFICATE", der_of(vendor)));
	files[1].name = "dev.yaml";
	files[1].bytes = span_str(arena_printf(a, device, "dev", "", "false"));
	files[2].name = "any.yaml";
	files[2].bytes = span_str(
	    arena_printf(a, device, "any", "any-name: true,", "false"));
	files[3].name = "wait.yaml";
	files[3].bytes = span_str(arena_printf(a, device, "wait", "", "true"));
	files[4].name = "few.yaml";
	files[4].bytes = span_str(limited);
	pipeline_start(files, 5);
	arena_free(a);
	return writer_new(
	    pg_conninfo(pg, "chancery_oper"), "oper", "test", &oper, &e);
}

static int
teardown(void **state)
{
	writer_free(oper);
	X509_free(vendor);
	EVP_PKEY_free(vendor_key);
	return pipeline_teardown(state);
}

static const struct profile *
profile(const char *name)
{
	return profile_get(profiles, name);
}

static void
add_secret(const char *name, enum store_secret_kind kind, const char *text,
    bool one_time, const char *pattern)
{
	struct store_secret s = { .name = name,
		.one_time = one_time,
		.profile = "dev",
		.names = &pattern,
		.n_names = pattern == NULL ? 0 : 1,
		.operator= "alice",
		.expires_at = clock_now() + 3600 };
	struct err e;

	if (secret_hash(kind, span_str(text), &s, &e) == -1 ||
	    store_secret_add(oper, &s, "t", &e) == -1)
		fail_msg("%s", e.text);
}

static void
not_authentic(const char *p, const char *name, const char *text)
{
	struct request_evidence ev;
	struct err e;

	assert_int_equal(
	    authn_secret(&ctx, profile(p), name, span_str(text), &ev, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
}

/* A request over EST for one DNS name and a CN. */
static const struct request *
est(struct ask *q, const char *p, const struct request_evidence *ev,
    const char *raw, const char *name)
{
	(void)ask(q, "x", raw, name);
	q->req.protocol = "est";
	q->req.profile = p;
	q->req.evidence = *ev;
	q->req.repeat_s = 3600;
	q->req.txn = authn_txn(ctx.arena, &q->req, "enroll");
	return &q->req;
}

static void
set_cn(struct ask *q, const char *cn)
{
	q->req.want.subject.attrs =
	    arena_alloc(ctx.arena, sizeof(*q->req.want.subject.attrs));
	q->req.want.subject.attrs[0] =
	    (struct dn_attr){ dn_type_named("CN"), cn };
	q->req.want.subject.n = 1;
}

static void
secrets(void **state)
{
	char text[SECRET_TEXT_SIZE], other[SECRET_TEXT_SIZE];
	struct request_evidence ev;
	struct store_secret s;
	struct err e;

	(void)state;
	assert_int_equal(secret_generate(text, &e), 0);
	assert_int_equal(secret_generate(other, &e), 0);
	assert_int_equal(strlen(text), SECRET_TEXT_SIZE - 1);
	assert_string_not_equal(text, other);
	add_secret("gen", STORE_SECRET_GENERATED, text, false, NULL);
	add_secret("own", STORE_SECRET_CHOSEN, "correct horse", false, NULL);
	assert_int_equal(
	    authn_secret(&ctx, profile("dev"), "gen", span_str(text), &ev, &e),
	    0);
	assert_int_equal(ev.kind, EVIDENCE_SECRET);
	assert_string_equal(ev.name, "gen");
	assert_int_equal(authn_secret(&ctx, profile("dev"), "own",
			     span_str("correct horse"), &ev, &e),
	    0);
	not_authentic("dev", "gen", other);
	not_authentic("dev", "own", "correct hors");
	not_authentic("dev", "nobody", text);
	/* what no secret is called, the database need not read */
	not_authentic("dev", "\xff\xfe", text);
	not_authentic("any", "gen", text);
	assert_int_equal(
	    secret_hash(STORE_SECRET_CHOSEN, span_str("too short"), &s, &e),
	    -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
	assert_int_equal(store_secret_revoke(oper, "gen", "a", "t", &e), 0);
	not_authentic("dev", "gen", text);
	clock_set_fake(clock_now() + 3700);
	not_authentic("dev", "own", "correct horse");
	clock_set_fake(-1);
}

static void
secret_enrolls(void **state)
{
	struct enroll_result one, two;
	struct request_evidence ev;
	struct err e;
	struct ask q;

	(void)state;
	add_secret("once", STORE_SECRET_CHOSEN, "only one time", true,
	    "dns:*.once.good.test");
	assert_int_equal(authn_secret(&ctx, profile("dev"), "once",
			     span_str("only one time"), &ev, &e),
	    0);
	fails(est(&q, "dev", &ev, "s1", "a.good.test"), ERR_REFUSED);
	(void)est(&q, "dev", &ev, "s2", "a.once.good.test");
	set_cn(&q, "not mine");
	fails(&q.req, ERR_REFUSED);
	submit(est(&q, "dev", &ev, "s3", "a.once.good.test"), &one);
	/* its own repeat, not another use */
	submit(&q.req, &two);
	assert_true(span_eq(one.cert, two.cert));
	fails(
	    est(&q, "dev", &ev, "s4", "b.once.good.test"), ERR_UNAUTHENTICATED);
}

struct racer {
	pthread_t thread;
	const struct request *req;
	struct enroll_result res;
	struct ctx ctx;
	struct err e;
	int rc;
};

static void *
race(void *arg)
{
	struct racer *r = arg;

	r->rc = enroll_submit(&r->ctx, r->req, &r->res, &r->e);
	return NULL;
}

/* None fails but by being asked to come again. */
static void
race_all(struct racer *r, int n, const struct request *req)
{
	int i;

	for (i = 0; i < n; i++) {
		r[i].req = req;
		assert_int_equal(
		    pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
	}
	for (i = 0; i < n; i++) {
		(void)pthread_join(r[i].thread, NULL);
		if (r[i].rc == -1 && r[i].e.kind != ERR_UNAVAILABLE)
			fail_msg(
			    "%s: %s", err_kind_name(r[i].e.kind), r[i].e.text);
	}
}

/* The same request at the same moment is never another use of the secret. */
static void
at_once(void **state)
{
	static const char text[] = "abcdefghijklmnopqrstuvwxyz234567";
	struct request_evidence ev;
	struct enroll_result res;
	struct racer r[4];
	struct err e;
	struct ask q;
	char name[16];
	int i, k;

	(void)state;
	for (i = 0; i < 4; i++)
		ctx_open(&r[i].ctx, 5000);
	for (k = 0; k < 8; k++) {
		(void)snprintf(name, sizeof(name), "race%d", k);
		add_secret(name, STORE_SECRET_GENERATED, text, true, NULL);
		assert_int_equal(authn_secret(&ctx, profile("dev"), name,
				     span_str(text), &ev, &e),
		    0);
		(void)est(&q, "dev", &ev, name, "a.good.test");
		race_all(r, 4, &q.req);
		submit(&q.req, &res);
	}
	for (i = 0; i < 4; i++)
		ctx_close(&r[i].ctx);
}

/* Guessers do not keep each other, and nobody else, waiting for long. */
static void *
guess(void *arg)
{
	struct store_secret *s = arg;
	struct err e;
	bool matches;

	if (secret_matches(s, span_str("wrong guess 1"), &matches, &e) == 0)
		return matches ? NULL : s;
	return e.kind == ERR_UNAVAILABLE ? (void *)(uintptr_t)guess : NULL;
}

static void
guessing(void **state)
{
	struct store_secret s;
	pthread_t threads[12];
	void *result[12];
	unsigned i, compared = 0, turned_away = 0;
	struct err e;

	(void)state;
	assert_int_equal(secret_hash(STORE_SECRET_CHOSEN,
			     span_str("the real secret"), &s, &e),
	    0);
	for (i = 0; i < 12; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, guess, &s), 0);
	for (i = 0; i < 12; i++) {
		(void)pthread_join(threads[i], &result[i]);
		compared += result[i] == &s;
		turned_away += result[i] == (void *)(uintptr_t)guess;
	}
	assert_int_equal(compared + turned_away, 12);
	assert_true(compared >= 1);
	assert_true(turned_away >= 1);
}

static void
enroll_device(
    struct ask *q, const char *raw, const char *cn, struct enroll_result *res)
{
	(void)ask(q, raw, raw, "d.good.test");
	q->req.profile = "dev";
	set_cn(q, cn);
	submit(&q->req, res);
}

static void
no_cert(const char *p, struct span der, const char *why)
{
	struct request_evidence ev;
	struct err e;

	assert_int_equal(authn_cert(&ctx, profile(p), &der, 1, &ev, &e), -1);
	if (e.kind != ERR_UNAUTHENTICATED || strstr(e.text, why) == NULL)
		fail_msg("%s: %s", err_kind_name(e.kind), e.text);
}

static void
certificates(void **state)
{
	struct revoke_request rev = { .protocol = "cli", .reason = 4 };
	struct enroll_result res, more;
	struct request_evidence ev;
	struct err e;
	struct ask q, r;

	(void)state;
	enroll_device(&q, "c1", "router 1", &res);
	assert_int_equal(
	    authn_cert(&ctx, profile("dev"), &res.cert, 1, &ev, &e), 0);
	assert_int_equal(ev.kind, EVIDENCE_CERT);
	assert_string_equal(ev.name, "dev/CN=router 1");
	assert_string_equal(ev.holder->profile, "dev");
	assert_int_equal(ev.holder->n_sans, 1);
	/* its own names, no others */
	(void)est(&r, "dev", &ev, "n1", "d.good.test");
	set_cn(&r, "router 1");
	submit(&r.req, &more);
	assert_false(span_eq(res.cert, more.cert));
	(void)est(&r, "dev", &ev, "n2", "other.good.test");
	fails(&r.req, ERR_REFUSED);
	(void)est(&r, "dev", &ev, "n3", "d.good.test");
	set_cn(&r, "router 2");
	fails(&r.req, ERR_REFUSED);
	submit(est(&r, "any", &ev, "n4", "other.good.test"), &more);
	/* not one byte may differ from what was issued */
	no_cert("dev", span_of(res.cert.p, res.cert.n - 1), "decoded");
	((uint8_t *)(uintptr_t)res.cert.p)[res.cert.n - 1] ^= 1;
	no_cert("dev", res.cert, "signature");
	((uint8_t *)(uintptr_t)res.cert.p)[res.cert.n - 1] ^= 1;
	/* expired: in the grace for its own names only */
	clock_set_fake(clock_now() + DAY_S);
	assert_int_equal(
	    authn_cert(&ctx, profile("any"), &res.cert, 1, &ev, &e), 0);
	assert_true(ev.holder->expired);
	fails(est(&r, "any", &ev, "n5", "other.good.test"), ERR_REFUSED);
	clock_set_fake(clock_now() + 3600);
	no_cert("dev", res.cert, "expired");
	clock_set_fake(-1);
	/* revoked: at once */
	rev.evidence = &q.req.evidence;
	rev.issuer = res.issuer;
	rev.serial = res.serial;
	assert_int_equal(revoke_submit(&ctx, &rev, &e), 0);
	no_cert("dev", res.cert, "revoked");
	/* without a subject its first name says who it is */
	(void)ask(&q, "c3", "c3", "e.good.test");
	q.req.profile = "dev";
	submit(&q.req, &res);
	assert_int_equal(
	    authn_cert(&ctx, profile("dev"), &res.cert, 1, &ev, &e), 0);
	assert_string_equal(ev.name, "dev/dns:e.good.test");
	/* a server's certificate is no client's */
	submit(ask(&q, "c2", "c2", "srv.good.test"), &res);
	no_cert("dev", res.cert, "extKeyUsage");
}

static void
foreign(void **state)
{
	EVP_PKEY *key = maker_key("P-256"), *other = maker_key("P-256");
	X509 *good = make_foreign("sn-1", vendor, key, vendor_key);
	X509 *forged = make_foreign("sn-1", vendor, key, other);
	X509 *ca = make_foreign("Other CA", NULL, other, other);
	X509 *alien = make_foreign("sn-1", ca, key, other);
	struct request_evidence ev;
	struct enroll_result res;
	struct span chain[2];
	struct err e;
	struct ask q;

	(void)state;
	chain[0] = der_of(good);
	assert_int_equal(
	    authn_cert(&ctx, profile("any"), chain, 1, &ev, &e), 0);
	assert_string_equal(ev.name, "@vendor/CN=sn-1");
	assert_null(ev.holder->profile);
	submit(est(&q, "any", &ev, "f1", "new.good.test"), &res);
	fails(est(&q, "dev", &ev, "f2", "new.good.test"), ERR_REFUSED);
	no_cert("any", der_of(forged), "path");
	no_cert("any", der_of(alien), "path");
	chain[0] = der_of(alien);
	chain[1] = der_of(ca);
	assert_int_equal(
	    authn_cert(&ctx, profile("any"), chain, 2, &ev, &e), -1);
	no_cert("p", der_of(good), "ours");
	clock_set_fake(clock_now() + 2 * DAY_S);
	no_cert("any", der_of(good), "expired");
	clock_set_fake(-1);
	assert_int_equal(
	    authn_cert(&ctx, profile("any"), NULL, 0, &ev, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
	X509_free(good);
	X509_free(forged);
	X509_free(ca);
	X509_free(alien);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* What can be forged proves nothing. */
static void
weak(void **state)
{
	EVP_PKEY *key = maker_key("P-256"), *small = EVP_RSA_gen(1024);
	X509 *sha1 = make_signed("sn-1", vendor, key, vendor_key, EVP_sha1());
	X509 *rsa = make_foreign("sn-1", vendor, small, vendor_key);

	(void)state;
	no_cert("any", der_of(sha1), "weak");
	no_cert("any", der_of(rsa), "too weak");
	X509_free(sha1);
	X509_free(rsa);
	EVP_PKEY_free(key);
	EVP_PKEY_free(small);
}

/* RFC 7030 4.2.2: the same subject and the same names, as sets. */
static void
renewal(void **state)
{
	struct request_rename rename = { .has_subject = true };
	struct enroll_result res;
	struct request_evidence ev;
	struct request_san two[2];
	struct err e;
	struct ask q, r;

	(void)state;
	enroll_device(&q, "w1", "Router  One", &res);
	assert_int_equal(
	    authn_cert(&ctx, profile("dev"), &res.cert, 1, &ev, &e), 0);
	(void)est(&r, "dev", &ev, "w2", "d.good.test");
	set_cn(&r, "router one ");
	assert_int_equal(
	    renewal_check(profile("dev"), &ev, &r.req.want, &e), 0);
	/* another profile, subject, name, or one more */
	assert_int_equal(
	    renewal_check(profile("any"), &ev, &r.req.want, &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	set_cn(&r, "router two");
	assert_int_equal(
	    renewal_check(profile("dev"), &ev, &r.req.want, &e), -1);
	set_cn(&r, "Router One");
	two[0] = r.san;
	assert_int_equal(
	    request_san_parse(fx.a, "e.good.test", &two[1], &e), 0);
	r.req.want.sans = two;
	r.req.want.n_sans = 2;
	assert_int_equal(
	    renewal_check(profile("dev"), &ev, &r.req.want, &e), -1);
	r.req.want.n_sans = 0;
	assert_int_equal(
	    renewal_check(profile("dev"), &ev, &r.req.want, &e), -1);
	r.req.want.n_sans = 1;
	/* RFC 6402 2.8 */
	(void)set_cn(&q, "new");
	rename.subject = q.req.want.subject;
	r.req.want.rename = &rename;
	assert_int_equal(
	    renewal_check(profile("dev"), &ev, &r.req.want, &e), 0);
	assert_string_equal(dn_value(&r.req.want.subject, "CN"), "new");
	assert_int_equal(r.req.want.n_sans, 1);
	fails(&r.req, ERR_REFUSED);
	ev.holder = NULL;
	assert_int_equal(
	    renewal_check(profile("dev"), &ev, &r.req.want, &e), -1);
	assert_int_equal(e.kind, ERR_UNAUTHENTICATED);
}

/* One principal gets so many in an hour; repeats do not count. */
static void
rate(void **state)
{
	struct enroll_result one, two;
	struct ask first, q;

	(void)state;
	(void)ask(&first, "l1", "l1", "a.good.test");
	first.req.profile = "few";
	submit(&first.req, &one);
	(void)ask(&q, "l2", "l2", "b.good.test");
	q.req.profile = "few";
	submit(&q.req, &two);
	(void)ask(&q, "l3", "l3", "c.good.test");
	q.req.profile = "few";
	fails(&q.req, ERR_LIMITED);
	submit(&first.req, &two);
	assert_true(span_eq(one.cert, two.cert));
	q.req.evidence.name = "bob";
	submit(&q.req, &two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets),
		cmocka_unit_test(secret_enrolls),
		cmocka_unit_test(at_once),
		cmocka_unit_test(guessing),
		cmocka_unit_test(certificates),
		cmocka_unit_test(foreign),
		cmocka_unit_test(weak),
		cmocka_unit_test(renewal),
		cmocka_unit_test(rate),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
