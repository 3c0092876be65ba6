#include "bench/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "db/db.h"
#include "db/embedded.h"
#include "tests/attack/signd_fixture.h"
#include "tests/db/pg.h"

static const char profile[] =
    "name: " WORLD_PROFILE "\n"
    "issuers: [ca]\n"
    "allow:\n"
    "- protocols: [" WORLD_PROTOCOL "]\n"
    "subject:\n"
    "  allowed:\n"
    "  - {type: CN, from-san: true}\n"
    "san:\n"
    "  required: true\n"
    "  dns: {patterns: [\"**.bench.test\"]}\n"
    "keys: {ec: [P-256, P-384]}\n"
    "validity: {default: 90d, max: 90d, backdate: 1h}\n"
    "key-usage: [digitalSignature]\n"
    "extended-key-usage: [serverAuth]\n"
    "crl-distribution-points: true\n"
    "authority-info-access: true\n";

static const char classes[] =
    "classes:\n"
    "- name: server\n"
    "  key: ca\n"
    "  caller: enroll\n"
    "  kind: certificate\n"
    "  eku: [serverAuth, \"serverAuth clientAuth\"]\n"
    "  key-usage: [digitalSignature]\n"
    "  extensions: [keyUsage, extendedKeyUsage, subjectAltName,\n"
    "    subjectKeyIdentifier, authorityKeyIdentifier,\n"
    "    crlDistributionPoints, authorityInfoAccess]\n"
    "  aia: [\"ocsp http://ocsp.bench.test/\",\n"
    "    \"caIssuers http://pki.bench.test/ca.cer\"]\n"
    "  crl-distribution-points: [\"http://pki.bench.test/ca.crl\"]\n"
    "  subject:\n"
    "  - {attribute: commonName, values: [\"*\"], from-san: true}\n"
    "  san: {dns: [\"**.bench.test\"]}\n"
    "  max-validity: 90d\n"
    "  backdate: 2h\n";

static const char *crl_urls[] = { "http://pki.bench.test/ca.crl" };
static const char *ocsp_urls[] = { "http://ocsp.bench.test/" };
static const char *ca_urls[] = { "http://pki.bench.test/ca.cer" };

static struct fixture fixture;
static struct pg *pg;
static struct settings settings;
static struct settings_issuer issuer = { .name = "ca",
	.crl_urls = crl_urls,
	.crl_urls_count = 1,
	.ocsp_urls = ocsp_urls,
	.ocsp_urls_count = 1,
	.ca_issuers_urls = ca_urls,
	.ca_issuers_urls_count = 1 };
static struct world world;

static void
need(int rc, const struct err *e)
{
	if (rc == 0)
		return;
	(void)fprintf(stderr, "bench: %s\n", e->text);
	exit(1);
}

/* SoftHSM has cleared itself up by now: the token is not closed. */
static void
take_down(void)
{
	engine_free(world.engine);
	if (pg != NULL)
		pg_free(pg);
	if (fixture.a != NULL)
		fixture_clear(&fixture);
}

static void
start_signer(void)
{
	fixture_token(&fixture);
	fixture_ca(&fixture, classes);
	fixture_start(&fixture, 1);
	world.signd = fixture.signd;
}

static void
fill_settings(void)
{
	const char *dir = arena_printf(fixture.a, "%s/policies", fixture.dir);

	if (mkdir(dir, 0700) == -1)
		exit(1);
	(void)fixture_write(
	    &fixture, "policies/" WORLD_PROFILE ".yaml", span_str(profile));
	issuer.certificate = fixture.ca;
	issuer.chain = fixture.ca;
	settings.policies = dir;
	settings.run_dir = fixture.run;
	settings.database = arena_printf(
	    fixture.a, "host=%s dbname=" EMBEDDED_DBNAME, pg_dir(pg));
	settings.issuers = &issuer;
	settings.issuers_count = 1;
	world.settings = &settings;
	world.dir = fixture.dir;
}

/* As the operator does before the first certificate. */
static void
register_issuer(void)
{
	struct db *db = db_new(pg_conninfo(pg, "chancery_oper"), "bench");
	struct issuer_set *set;
	struct err e;

	need(issuer_set_load(&settings, &set, &e), &e);
	need(issuer_set_register(set, db, &e), &e);
	issuer_set_free(set);
	db_free(db);
}

static void
open_token(void)
{
	struct token_conf conf = { .module = fixture_module(),
		.uri = &world.key,
		.pin = FIXTURE_PIN,
		.lock_path =
		    arena_printf(fixture.a, "%s/token.lock", fixture.state) };
	struct err e;

	need(token_uri_parse(FIXTURE_URI, &world.key, &e), &e);
	need(token_open(&conf, &world.token, &e), &e);
}

const struct world *
world_new(void)
{
	struct err e;

	if (fixture_module() == NULL) {
		(void)fputs("bench: SoftHSM is not installed\n", stderr);
		exit(1);
	}
	(void)atexit(take_down);
	start_signer();
	pg = pg_new();
	world.postgres = pg_pid(pg);
	fill_settings();
	register_issuer();
	open_token();
	need(engine_new(&settings, "enroll", "bench", &world.engine, &e), &e);
	need(engine_start(world.engine, &e), &e);
	return &world;
}
