#include "tests/unit/ca_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/der.h"
#include "ca/oid.h"
#include "ca/tbs.h"

#define ECDSA "300a06082a8648ce3d040302"
#define N_ISSUERS 5

static const struct {
	const char *name;
	const char *basic;       /* hex */
	const char *constraints; /* hex, or NULL */
} cas[N_ISSUERS] = {
	{ "tls", "30030101ff", NULL },
	{ "users", "30060101ff020100", NULL },
	{ "code", "30060101ff020100", NULL },
	{ "open", "30030101ff", NULL },
	/* permittedSubtrees [0] { { dNSName "test" } } */
	{ "limited", "30060101ff020100", "300aa0083006820474657374" },
};

static const char *crl_urls[] = { "http://crl.test/ca.crl" };
static const char *ocsp_urls[] = { "http://ocsp.test/" };
static const char *ca_urls[] = { "http://crl.test/ca.cer" };

static void
common(struct ca_fixture *f, struct span spki, struct tbs_maker *m)
{
	*m = (struct tbs_maker){ .a = f->a, .version = 2, .spki = spki };
	m->serial = maker_hex(f->a, "4003000102030405060708090a0b0c0d");
	m->sig_alg = maker_hex(f->a, ECDSA);
	m->not_before = maker_time(f->a, DER_UTC_TIME, "270115075500Z");
	m->not_after = maker_time(f->a, DER_UTC_TIME, "270415075459Z");
	maker_ski(m);
}

static void
issued_by(struct ca_fixture *f, const char *name, struct tbs_maker *m)
{
	const struct issuer *i = issuer_get(f->issuers, name);

	assert_non_null(i);
	m->issuer = i->subject;
	m->sig_alg = i->sig_alg;
	maker_set(m, OID_AUTHORITY_KEY_ID, false,
	    maker_san(f->a, DER_CONTEXT(0), i->key_id));
}

void
ca_fixture_leaf(struct ca_fixture *f, const char *issuer, struct span spki,
    struct tbs_maker *m)
{
	common(f, spki, m);
	issued_by(f, issuer, m);
	m->subject =
	    maker_name(f->a, "2.5.4.3", DER_UTF8_STRING, span_str("a.test"));
	maker_set(m, OID_KEY_USAGE, true, maker_hex(f->a, "03020780"));
	maker_set(
	    m, OID_EXT_KEY_USAGE, false, maker_eku(f->a, OID_EKU_SERVER_AUTH));
	maker_set(m, OID_SUBJECT_ALT_NAME, false,
	    maker_san(f->a, DER_CONTEXT(2), span_str("a.test")));
}

void
ca_fixture_ca(struct ca_fixture *f, const char *issuer, struct span spki,
    struct tbs_maker *m)
{
	common(f, spki, m);
	m->subject =
	    maker_name(f->a, "2.5.4.3", DER_UTF8_STRING, span_str("Some CA"));
	m->issuer = m->subject;
	if (issuer != NULL)
		issued_by(f, issuer, m);
	maker_set(m, OID_KEY_USAGE, true, maker_hex(f->a, "03020106"));
	maker_set(m, OID_BASIC_CONSTRAINTS, true,
	    maker_hex(f->a, "30060101ff020100"));
}

static const char *
write_pem(struct ca_fixture *f, const char *name, struct span der)
{
	const char *path = arena_printf(f->a, "%s/%s.pem", f->dir, name);
	const char *pem = pem_encode(f->a, "CERTIFICATE", der);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, pem, strlen(pem)), (ssize_t)strlen(pem));
	return path;
}

/* A self-signed CA certificate in a file. */
static const char *
make_ca(struct ca_fixture *f, size_t i)
{
	struct tbs_maker m;

	ca_fixture_ca(f, NULL, maker_spki(f->a, f->key), &m);
	m.issuer = m.subject = maker_name(f->a, "2.5.4.3", DER_UTF8_STRING,
	    span_str(arena_printf(f->a, "Test CA %s", cas[i].name)));
	m.not_before = maker_time(f->a, DER_UTC_TIME, "260101000000Z");
	m.not_after = maker_time(f->a, DER_GENERALIZED_TIME, "20591231235959Z");
	maker_set(
	    &m, OID_BASIC_CONSTRAINTS, true, maker_hex(f->a, cas[i].basic));
	if (cas[i].constraints != NULL)
		maker_set(&m, OID_NAME_CONSTRAINTS, true,
		    maker_hex(f->a, cas[i].constraints));
	return write_pem(
	    f, cas[i].name, maker_sign(f->a, maker_tbs(&m), m.sig_alg, f->key));
}

void
ca_fixture_init(struct ca_fixture *f)
{
	struct settings_issuer list[N_ISSUERS] = { 0 };
	struct settings s = { .issuers = list, .issuers_count = N_ISSUERS };
	const char *top = getenv("top_srcdir");
	struct err e;
	size_t i;

	*f = (struct ca_fixture){ .a = arena_new(), .dir = "/tmp/ca-XXXXXX" };
	clock_set_fake(CA_FIXTURE_NOW);
	assert_non_null(mkdtemp(f->dir));
	f->key = maker_key("P-256");
	for (i = 0; i < N_ISSUERS; i++) {
		list[i].name = cas[i].name;
		list[i].certificate = list[i].chain = make_ca(f, i);
		list[i].crl_urls = crl_urls;
		list[i].ocsp_urls = ocsp_urls;
		list[i].ca_issuers_urls = ca_urls;
		list[i].crl_urls_count = list[i].ocsp_urls_count = 1;
		list[i].ca_issuers_urls_count = 1;
	}
	if (issuer_set_load(&s, &f->issuers, &e) == -1 ||
	    profile_set_load(
		arena_printf(f->a, "%s/policies", top == NULL ? "." : top),
		&f->profiles, &e) == -1)
		fail_msg("%s", e.text);
}

void
ca_fixture_clear(struct ca_fixture *f)
{
	size_t i;

	for (i = 0; i < N_ISSUERS; i++)
		(void)unlink(
		    arena_printf(f->a, "%s/%s.pem", f->dir, cas[i].name));
	(void)rmdir(f->dir);
	issuer_set_free(f->issuers);
	profile_set_free(f->profiles);
	EVP_PKEY_free(f->key);
	arena_free(f->a);
	clock_set_fake(-1);
}
