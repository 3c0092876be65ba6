#include "tests/unit/pipeline_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "db/db_int.h"
#include "db/store_cert.h"
#include "db/writer.h"
#include "hsm/sign_client.h"
#include "tests/unit/tbs_maker.h"

static const char classes[] =
    "classes:\n- name: server\n  key: ca\n  caller: enroll\n"
    "  kind: certificate\n  eku: [serverAuth]\n"
    "  key-usage: [digitalSignature]\n"
    "  extensions: [keyUsage, extendedKeyUsage, subjectAltName,\n"
    "    authorityKeyIdentifier, subjectKeyIdentifier]\n"
    "  san: {dns: [\"**.good.test\"]}\n  max-validity: 30d\n  backdate: 1h\n"
    "- name: client\n  key: ca\n  caller: enroll\n"
    "  kind: certificate\n  eku: [clientAuth]\n"
    "  key-usage: [digitalSignature]\n"
    "  extensions: [keyUsage, extendedKeyUsage, subjectAltName,\n"
    "    authorityKeyIdentifier, subjectKeyIdentifier]\n"
    "  subject: [{attribute: commonName, values: [\"*\"]},\n"
    "    {attribute: serialNumber, values: [\"*\"]}]\n"
    "  san: {dns: [\"**.good.test\"]}\n  max-validity: 30d\n  backdate: 1h\n";

static const char profile[] =
    "name: %s\nissuers: [ca]\nallow:\n- protocols: [acme, cli]\n"
    "san:\n  required: true\n  dns: {patterns: [\"**.test\"]}\n"
    "keys: {ec: [P-256]}\n"
    "validity: {default: 1d, max: 10d, backdate: 5m}\n"
    "key-usage: [digitalSignature]\nextended-key-usage: [serverAuth]\n"
    "approval: %s\n";

struct fixture fx;
struct pg *pg;
struct issuer_set *issuers;
struct profile_set *profiles;
struct writer *writer;
struct ctx ctx;
struct span spki;

void
ctx_open(struct ctx *c, int timeout_ms)
{
	*c = (struct ctx){ .arena = arena_new(),
		.writer = writer,
		.issuers = issuers,
		.profiles = profiles,
		.verify_leaves = true,
		.approval_lifetime_s = 3600,
		.request_id = "test" };
	c->db = db_new(pg_conninfo(pg, "chancery_enroll"), "test");
	c->signer = sign_client_new(fx.run, "enroll", timeout_ms);
}

void
ctx_close(struct ctx *c)
{
	db_free(c->db);
	sign_client_free(c->signer);
	arena_free(c->arena);
}

static void
load_issuer(void)
{
	struct settings_issuer ca = {
		.name = "ca", .certificate = fx.ca, .chain = fx.ca
	};
	struct settings s = { .issuers = &ca, .issuers_count = 1 };
	struct db *oper = db_new(pg_conninfo(pg, "chancery_oper"), "test");
	struct err e;

	if (issuer_set_load(&s, &issuers, &e) == -1 ||
	    issuer_set_register(issuers, oper, &e) == -1)
		fail_msg("%s", e.text);
	db_free(oper);
}

static void
load_profiles(const struct pipeline_file *extra, size_t n_extra)
{
	const char *dir = arena_printf(fx.a, "%s/policies", fx.dir);
	const struct profile *p;
	struct err e;
	size_t i;

	assert_int_equal(mkdir(dir, 0700), 0);
	(void)fixture_write(&fx, "policies/p.yaml",
	    span_str(arena_printf(fx.a, profile, "p", "false")));
	(void)fixture_write(&fx, "policies/held.yaml",
	    span_str(arena_printf(fx.a, profile, "held", "true")));
	for (i = 0; i < n_extra; i++)
		(void)fixture_write(&fx,
		    arena_printf(fx.a, "policies/%s", extra[i].name),
		    extra[i].bytes);
	if (profile_set_load(dir, &profiles, &e) == -1)
		fail_msg("%s", e.text);
	for (i = 0; i < profile_count(profiles); i++) {
		p = profile_at(profiles, i);
		if (store_profile_put(writer, p->hash, p->name, p->text, &e) ==
		    -1)
			fail_msg("%s", e.text);
	}
}

void
pipeline_start(const struct pipeline_file *extra, size_t n_extra)
{
	EVP_PKEY *key;
	struct err e;

	fixture_token(&fx);
	fixture_ca(&fx, classes);
	fixture_start(&fx, 1);
	pg = pg_new();
	assert_int_equal(writer_new(pg_conninfo(pg, "chancery_enroll"),
			     "enroll", "test", &writer, &e),
	    0);
	load_issuer();
	load_profiles(extra, n_extra);
	key = maker_key("P-256");
	spki = maker_spki(fx.a, key);
	EVP_PKEY_free(key);
	ctx_open(&ctx, 5000);
}

int
pipeline_setup(void **state)
{
	(void)state;
	pipeline_start(NULL, 0);
	return 0;
}

int
pipeline_teardown(void **state)
{
	(void)state;
	clock_set_fake(-1);
	ctx_close(&ctx);
	writer_free(writer);
	issuer_set_free(issuers);
	profile_set_free(profiles);
	pg_free(pg);
	fixture_clear(&fx);
	return 0;
}

const struct request *
ask(struct ask *q, const char *txn, const char *raw, const char *name)
{
	struct err e;

	*q = (struct ask){
		.req = { .protocol = "cli",
		    .txn = txn,
		    .profile = "p",
		    .evidence = { .kind = EVIDENCE_OPERATOR, .name = "alice" } }
	};
	assert_int_equal(request_san_parse(fx.a, name, &q->san, &e), 0);
	q->req.want.raw = span_str(raw);
	q->req.want.spki = spki;
	q->req.want.sans = &q->san;
	q->req.want.n_sans = 1;
	return &q->req;
}

void
submit(const struct request *req, struct enroll_result *res)
{
	struct err e;

	if (enroll_submit(&ctx, req, res, &e) == -1)
		fail_msg("%s: %s", req->txn, e.text);
}

void
fails(const struct request *req, enum err_kind kind)
{
	struct enroll_result res;
	struct err e;

	if (enroll_submit(&ctx, req, &res, &e) == 0)
		fail_msg("%s: no failure", req->txn);
	if (e.kind != kind)
		fail_msg("%s: %s: %s", req->txn, err_kind_name(e.kind), e.text);
}
