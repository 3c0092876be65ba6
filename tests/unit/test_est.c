/*
 * The EST handlers between a request and the pipeline: what is asked of it,
 * and what a client is told.  The pipeline itself is replaced at link time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include "base/b64.h"
#include "ca/authn.h"
#include "ca/renewal.h"
#include "ca/revoke.h"
#include "protocols/est/codec.h"
#include "protocols/est/est.h"
#include "tests/unit/ca_fixture.h"

#define PROFILE                                                                \
	"name: %s\nissuers: [tls]\nallow:\n- protocols: [%s]\n"                \
	"keys: {ec: [P-256]}\nvalidity: {default: 1d, max: 1d}\n"              \
	"key-usage: [digitalSignature]\n"

/* What the pipeline is made to do, and what it was asked. */
static struct {
	enum err_kind cert, secret, renewal, submit;
	enum request_evidence_kind kind;
	enum enroll_status status;
	bool other_key;
	int certs, secrets, renewals, submits, superseded;
	char name[64], text[64], txn[100], profile[32];
	int64_t repeat_s;
	size_t spki_n;
} fake;

static struct ca_fixture ca;
static struct http_request http;
static struct http_reply reply;
static struct settings_est settings;
static struct profile profiles[3];

int __wrap_authn_cert(struct ctx *ctx, const struct profile *p,
    const struct span *chain, size_t n, struct request_evidence *out,
    struct err *e);
int __wrap_authn_secret(struct ctx *ctx, const struct profile *p,
    const char *name, struct span text, struct request_evidence *out,
    struct err *e);
int __wrap_renewal_check(const struct profile *p,
    const struct request_evidence *ev, struct request_want *want,
    struct err *e);
int __wrap_enroll_submit(struct ctx *ctx, const struct request *req,
    struct enroll_result *res, struct err *e);
int __wrap_enroll_explain(struct ctx *ctx, const struct request *req,
    struct policy_trail *trail, struct policy_plan *plan, struct span *tbs,
    struct err *e);
int __wrap_revoke_superseded(
    struct ctx *ctx, const char *protocol, const char *txn, struct err *e);
const struct profile *__wrap_profile_get(
    const struct profile_set *s, const char *name);

static void
keep(char *to, size_t size, const char *text)
{
	(void)snprintf(to, size, "%s", text);
}

static int
outcome(enum err_kind kind, struct err *e)
{
	if (kind == ERR_NONE)
		return 0;
	return err_set(e, kind, "the pipeline says why");
}

int
__wrap_authn_cert(struct ctx *ctx, const struct profile *p,
    const struct span *chain, size_t n, struct request_evidence *out,
    struct err *e)
{
	(void)ctx;
	(void)p;
	fake.certs++;
	assert_int_equal(n, 1);
	assert_true(span_is(chain[0], "cert"));
	*out = (struct request_evidence){ .kind = fake.kind, .name = "c" };
	return outcome(fake.cert, e);
}

int
__wrap_authn_secret(struct ctx *ctx, const struct profile *p, const char *name,
    struct span text, struct request_evidence *out, struct err *e)
{
	(void)ctx;
	(void)p;
	fake.secrets++;
	keep(fake.name, sizeof(fake.name), name);
	memcpy(fake.text, text.p, text.n);
	*out =
	    (struct request_evidence){ .kind = EVIDENCE_SECRET, .name = "s" };
	return outcome(fake.secret, e);
}

int
__wrap_renewal_check(const struct profile *p, const struct request_evidence *ev,
    struct request_want *want, struct err *e)
{
	(void)p;
	(void)ev;
	(void)want;
	fake.renewals++;
	return outcome(fake.renewal, e);
}

int
__wrap_revoke_superseded(
    struct ctx *ctx, const char *protocol, const char *txn, struct err *e)
{
	(void)ctx;
	(void)txn;
	(void)e;
	assert_string_equal(protocol, "est");
	/* before there is another one */
	assert_int_equal(fake.submits, 0);
	fake.superseded++;
	return 0;
}

int
__wrap_enroll_submit(struct ctx *ctx, const struct request *req,
    struct enroll_result *res, struct err *e)
{
	struct tbs_maker m;

	fake.submits++;
	keep(fake.txn, sizeof(fake.txn), req->txn);
	keep(fake.profile, sizeof(fake.profile), req->profile);
	assert_string_equal(req->protocol, "est");
	assert_null(req->issuer);
	fake.repeat_s = req->repeat_s;
	fake.spki_n = req->want.spki.n;
	ca_fixture_leaf(&ca, "tls",
	    fake.other_key ? maker_spki(ca.a, ca.key) : req->want.spki, &m);
	*res = (struct enroll_result){ .status = fake.status };
	res->cert = maker_sign(ctx->arena, maker_tbs(&m), m.sig_alg, ca.key);
	return outcome(fake.submit, e);
}

int
__wrap_enroll_explain(struct ctx *ctx, const struct request *req,
    struct policy_trail *trail, struct policy_plan *plan, struct span *tbs,
    struct err *e)
{
	(void)ctx;
	(void)trail;
	(void)plan;
	(void)tbs;
	assert_true(req->want.spki.n > 0);
	return outcome(fake.submit, e);
}

const struct profile *
__wrap_profile_get(const struct profile_set *s, const char *name)
{
	size_t i;

	(void)s;
	for (i = 0; i < 3; i++) {
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	}
	return NULL;
}

static void
make_profile(struct profile *p, const char *name, const char *protocol)
{
	char *text = arena_printf(ca.a, PROFILE, name, protocol);
	struct err e;

	if (profile_parse(ca.a, arena_printf(ca.a, "%s.yaml", name),
		span_str(text), p, &e) == -1)
		fail_msg("%s", e.text);
}

static int
set_up(void **state)
{
	(void)state;
	ca_fixture_init(&ca);
	make_profile(&profiles[0], "device", "est");
	make_profile(&profiles[1], "linked", "est");
	make_profile(&profiles[2], "web", "cli");
	profiles[1].est.binding_required = true;
	profiles[1].est.server_key = "P-256";
	profiles[1].est.wrap = true;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ca_fixture_clear(&ca);
	return 0;
}

/* A request's body. */
static struct span
make_body(const char *challenge)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_REQ *req = X509_REQ_new();
	unsigned char *der = NULL;
	struct span out;
	int n;

	assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
	if (challenge != NULL)
		assert_int_equal(
		    X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword,
			MBSTRING_UTF8, (const uint8_t *)challenge, -1),
		    1);
	assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	n = i2d_X509_REQ(req, &der);
	assert_true(n > 0);
	out = span_str(b64_encode(ca.a, span_of(der, (size_t)n)));
	OPENSSL_free(der);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
	return out;
}

/* A good request; the test spoils it. */
static void
prepare(const char *path)
{
	bool post =
	    strstr(path, "enroll") != NULL || strstr(path, "keygen") != NULL;

	memset(&fake, 0, sizeof(fake));
	fake.kind = EVIDENCE_CERT;
	settings = (struct settings_est){
		.profile = "device", .repeat_s = 86400, .retry_after_s = 60
	};
	http = (struct http_request){ .arena = ca.a,
		.method = post ? "POST" : "GET",
		.path = path,
		.content_type = "application/pkcs10",
		.peer = "127.0.0.1",
		.tls = true,
		.client_chain = { span_str("cert") },
		.n_client_chain = 1 };
	if (post)
		http.body = make_body(NULL);
}

static const char *
header(const char *name)
{
	size_t i;

	for (i = 0; i < reply.n_headers; i++) {
		if (strcmp(reply.headers[i].name, name) == 0)
			return reply.headers[i].value;
	}
	return NULL;
}

static void
serve(int status)
{
	struct ctx ctx = { .arena = ca.a, .issuers = ca.issuers };
	struct est_worker w = { &settings, &ctx };

	reply = (struct http_reply){ 0 };
	est_handle(&w, &http, &reply);
	if (reply.status != status)
		fail_msg("%s %s is %d, not %d: %.*s", http.method, http.path,
		    reply.status, status, (int)reply.body.n,
		    (const char *)reply.body.p);
	if (status != 200 && reply.body.n > 0 &&
	    strncmp(reply.content_type, "text/plain", 10) != 0)
		fail_msg("%s", reply.content_type);
}

/* The certificates of a certs-only answer. */
static int
certs_in(void)
{
	struct span der;
	struct err e;
	const uint8_t *p;
	PKCS7 *p7;
	int n;

	assert_string_equal(reply.content_type,
	    "application/pkcs7-mime; smime-type=certs-only");
	assert_string_equal(header("Content-Transfer-Encoding"), "base64");
	assert_int_equal(est_decode(ca.a, reply.body, &der, &e), 0);
	p = der.p;
	p7 = d2i_PKCS7(NULL, &p, (long)der.n);
	assert_non_null(p7);
	n = sk_X509_num(p7->d.sign->cert);
	PKCS7_free(p7);
	return n;
}

static void
test_resources(void **state)
{
	(void)state;
	prepare(EST_PREFIX "/cacerts");
	http.n_client_chain = 0;
	serve(200);
	assert_int_equal(certs_in(), 1);
	assert_null(memchr(reply.body.p, '\n', reply.body.n));
	http.user_agent = "Cisco EST client 1.0";
	serve(200);
	assert_non_null(memchr(reply.body.p, '\n', reply.body.n));
	prepare(EST_PREFIX "/linked/cacerts");
	serve(200);
	assert_non_null(memchr(reply.body.p, '\n', reply.body.n));
	prepare(EST_PREFIX "/csrattrs");
	http.method = "HEAD";
	serve(200);
	assert_string_equal(reply.content_type, "application/csrattrs");
	assert_int_equal(fake.certs + fake.secrets, 0);
	prepare(EST_PREFIX "/web/cacerts");
	serve(404);
	prepare(EST_PREFIX "/nobody/cacerts");
	serve(404);
	prepare(EST_PREFIX "/fullcmc");
	serve(404);
	prepare(EST_PREFIX "/serverkeygen");
	serve(404);
	prepare(EST_PREFIX "/cacerts");
	settings.profile = NULL;
	serve(404);
}

static void
test_form(void **state)
{
	static char big[EST_BODY_MAX + 1];

	(void)state;
	prepare(EST_PREFIX "/cacerts");
	http.method = "POST";
	serve(405);
	assert_string_equal(header("Allow"), "GET, HEAD");
	prepare(EST_PREFIX "/simpleenroll");
	http.method = "GET";
	serve(405);
	assert_string_equal(header("Allow"), "POST");
	prepare(EST_PREFIX "/simpleenroll");
	http.content_type = "text/plain";
	serve(415);
	http.content_type = NULL;
	serve(415);
	prepare(EST_PREFIX "/simpleenroll");
	http.body = span_of(big, sizeof(big));
	serve(413);
	/* nobody was asked who that is */
	assert_int_equal(fake.certs + fake.secrets, 0);
	prepare(EST_PREFIX "/simpleenroll");
	http.body = span_str("****");
	serve(400);
	http.body = span_str("AAAA");
	serve(400);
	http.body.n = 0;
	serve(400);
	assert_int_equal(fake.submits, 0);
}

static void
test_enroll(void **state)
{
	char txn[100];

	(void)state;
	prepare(EST_PREFIX "/simpleenroll");
	serve(200);
	assert_int_equal(certs_in(), 1);
	assert_string_equal(fake.profile, "device");
	assert_int_equal(fake.repeat_s, 86400);
	assert_int_equal(fake.renewals, 0);
	/* the same request again is the same transaction, another is not */
	memcpy(txn, fake.txn, sizeof(txn));
	serve(200);
	assert_string_equal(fake.txn, txn);
	http.path = EST_PREFIX "/simplereenroll";
	serve(200);
	assert_int_equal(fake.renewals, 1);
	assert_string_not_equal(fake.txn, txn);
	prepare(EST_PREFIX "/simpleenroll");
	serve(200);
	assert_string_not_equal(fake.txn, txn);
	fake.status = ENROLL_PENDING;
	serve(202);
	assert_string_equal(header("Retry-After"), "60");
	/* a client may drop it unread */
	assert_int_equal(reply.body.n, 0);
}

static void
test_credentials(void **state)
{
	(void)state;
	prepare(EST_PREFIX "/simpleenroll");
	http.n_client_chain = 0;
	serve(401);
	assert_string_equal(
	    header("WWW-Authenticate"), "Basic realm=\"chancery\"");
	/* a client may drop a challenge unread */
	assert_int_equal(reply.body.n, 0);
	http.authorization = "Basic ZGV2OnB3";
	serve(200);
	assert_string_equal(fake.name, "dev");
	assert_string_equal(fake.text, "pw");
	http.authorization = "Basic ???";
	serve(401);
	assert_int_not_equal(reply.body.n, 0);
	/* a certificate that does not count hinders nobody */
	prepare(EST_PREFIX "/simpleenroll");
	fake.cert = ERR_UNAUTHENTICATED;
	serve(401);
	http.authorization = "Basic ZGV2OnB3";
	serve(200);
	fake.secret = ERR_UNAUTHENTICATED;
	serve(401);
	fake.cert = ERR_UNAVAILABLE;
	serve(503);
	assert_non_null(header("Retry-After"));
	/* one that counts is enough */
	prepare(EST_PREFIX "/simpleenroll");
	http.authorization = "Basic ZGV2OnB3";
	serve(200);
	assert_int_equal(fake.secrets, 0);
	/* renewal is by certificate alone */
	prepare(EST_PREFIX "/simplereenroll");
	http.authorization = "Basic ZGV2OnB3";
	fake.cert = ERR_UNAUTHENTICATED;
	serve(401);
	assert_int_equal(fake.secrets, 0);
}

static void
test_errors(void **state)
{
	static const struct {
		enum err_kind kind;
		int status;
		bool says_why;
	} rows[] = {
		{ ERR_MALFORMED, 400, true },
		{ ERR_REFUSED, 403, true },
		{ ERR_CONFLICT, 409, false },
		{ ERR_UNAVAILABLE, 503, false },
		{ ERR_INTERNAL, 500, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		prepare(EST_PREFIX "/simpleenroll");
		fake.submit = rows[i].kind;
		serve(rows[i].status);
		assert_int_equal(span_is(reply.body, "the pipeline says why\n"),
		    rows[i].says_why);
	}
	prepare(EST_PREFIX "/simplereenroll");
	fake.renewal = ERR_REFUSED;
	serve(403);
	assert_int_equal(fake.submits, 0);
}

/* Without TLS underneath there is no binding to show. */
static void
test_linking(void **state)
{
	(void)state;
	prepare(EST_PREFIX "/linked/simpleenroll");
	serve(400);
	assert_non_null(
	    memmem(reply.body.p, reply.body.n, "profile \"linked\"", 16));
	http.body = make_body("AAAAAAAAAAAAAAAA");
	serve(400);
	assert_int_equal(fake.submits, 0);
	fake.kind = EVIDENCE_RA;
	serve(200);
	assert_string_equal(fake.profile, "linked");
	prepare(EST_PREFIX "/device/simpleenroll");
	http.body = make_body("a secret of SCEP");
	serve(200);
}

static void
test_serverkeygen(void **state)
{
	(void)state;
	prepare(EST_PREFIX "/linked/serverkeygen");
	fake.kind = EVIDENCE_RA;
	serve(200);
	assert_int_equal(fake.superseded, 1);
	assert_int_equal(fake.repeat_s, REQUEST_REPEAT_NEVER);
	assert_int_equal(fake.spki_n, 91);
	assert_non_null(strstr(reply.content_type, "multipart/mixed"));
	assert_null(header("Content-Transfer-Encoding"));
	assert_string_equal(header("Cache-Control"), "no-store");
	assert_non_null(reply.body_free);
	reply.body_free(reply.body);
	/* what is refused leaves the earlier certificate alone */
	prepare(EST_PREFIX "/linked/serverkeygen");
	fake.kind = EVIDENCE_RA;
	fake.submit = ERR_REFUSED;
	serve(403);
	assert_int_equal(fake.submits, 1);
	assert_int_equal(fake.superseded, 0);
	/* somebody else's answer to the same request never has our key */
	prepare(EST_PREFIX "/linked/serverkeygen");
	fake.kind = EVIDENCE_RA;
	fake.other_key = true;
	serve(503);
	assert_null(reply.body_free);
	prepare(EST_PREFIX "/linked/serverkeygen");
	fake.kind = EVIDENCE_RA;
	fake.status = ENROLL_PENDING;
	serve(202);
	assert_null(reply.body_free);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resources),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_enroll),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_linking),
		cmocka_unit_test(test_serverkeygen),
	};

	return cmocka_run_group_tests_name("est", tests, set_up, tear_down);
}
