#include "ocsp_ca.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/auto.h"

AUTO_DEFINE(BIO, BIO_free);
AUTO_DEFINE(X509_STORE, X509_STORE_free);
AUTO_DEFINE(OCSP_RESPONSE, OCSP_RESPONSE_free);
AUTO_DEFINE(OCSP_BASICRESP, OCSP_BASICRESP_free);
AUTO_DEFINE(OCSP_CERTID, OCSP_CERTID_free);
AUTO_DEFINE(ASN1_INTEGER, ASN1_INTEGER_free);
AUTO_DEFINE(BIGNUM, BN_free);

static void
must(bool ok)
{
	if (!ok) {
		ERR_print_errors_fp(stderr);
		abort();
	}
}

EVP_PKEY *
ocsp_ca_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	must(key != NULL);
	return key;
}

static void
add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(ext != NULL && X509_add_ext(cert, ext, -1) == 1);
	X509_EXTENSION_free(ext);
}

static X509 *
new_cert(const char *name, X509_NAME *issuer, EVP_PKEY *key, int64_t ttl_s)
{
	static long serial = 1000;
	X509 *c = X509_new();

	must(c != NULL && X509_set_version(c, 2) == 1 &&
	     ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial) == 1 &&
	     X509_gmtime_adj(X509_getm_notBefore(c), -60) != NULL &&
	     X509_gmtime_adj(X509_getm_notAfter(c), ttl_s) != NULL &&
	     X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN",
		 MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1 &&
	     X509_set_issuer_name(
		 c, issuer == NULL ? X509_get_subject_name(c) : issuer) == 1 &&
	     X509_set_pubkey(c, key) == 1);
	return c;
}

void
ocsp_ca_init(struct ocsp_ca *ca, const char *name)
{
	ca->key = ocsp_ca_key();
	ca->cert = new_cert(name, NULL, ca->key, 86400L * 365);
	add_ext(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE");
	add_ext(ca->cert, ca->cert, NID_subject_key_identifier, "hash");
	must(X509_sign(ca->cert, ca->key, EVP_sha256()) > 0);
}

void
ocsp_ca_clear(struct ocsp_ca *ca)
{
	EVP_PKEY_free(ca->key);
	X509_free(ca->cert);
}

X509 *
ocsp_ca_delegate(
    const struct ocsp_ca *ca, EVP_PKEY *key, int64_t ttl_s, bool eku)
{
	X509 *c =
	    new_cert("responder", X509_get_subject_name(ca->cert), key, ttl_s);

	add_ext(c, ca->cert, NID_key_usage, "critical,digitalSignature");
	add_ext(c, ca->cert, NID_authority_key_identifier, "keyid");
	if (eku)
		add_ext(c, ca->cert, NID_ext_key_usage, "OCSPSigning");
	add_ext(c, ca->cert, NID_id_pkix_OCSP_noCheck, "ignored");
	must(X509_sign(c, ca->key, EVP_sha256()) > 0);
	return c;
}

static void
add_number_and_aki(X509_CRL *crl, X509 *issuer, long n)
{
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	X509V3_CTX ctx;
	X509_EXTENSION *aki;

	X509V3_set_ctx(&ctx, issuer, NULL, NULL, crl, 0);
	aki = X509V3_EXT_conf_nid(
	    NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	must(aki != NULL && X509_CRL_add_ext(crl, aki, -1) == 1 &&
	     ASN1_INTEGER_set(number, n) == 1 &&
	     X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1);
	X509_EXTENSION_free(aki);
	ASN1_INTEGER_free(number);
}

static X509_REVOKED *
new_entry(struct span serial)
{
	AUTO(BIGNUM) n = BN_bin2bn(serial.p, (int)serial.n, NULL);
	AUTO(ASN1_INTEGER) i = BN_to_ASN1_INTEGER(n, NULL);
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, 0);

	must(X509_REVOKED_set_serialNumber(r, i) == 1 &&
	     X509_REVOKED_set_revocationDate(r, now) == 1 &&
	     ASN1_ENUMERATED_set(reason, 1) == 1 &&
	     X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, reason, 0, 0) == 1);
	ASN1_ENUMERATED_free(reason);
	ASN1_TIME_free(now);
	return r;
}

struct span
ocsp_ca_crl(
    const struct ocsp_ca *ca, struct arena *a, long number, struct span serial)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *from = X509_gmtime_adj(NULL, -60);
	ASN1_TIME *to = X509_gmtime_adj(NULL, 86400);
	unsigned char *der = NULL;
	struct span out;
	int n;

	must(crl != NULL && X509_CRL_set_version(crl, 1) == 1 &&
	     X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)) ==
		 1 &&
	     X509_CRL_set1_lastUpdate(crl, from) == 1 &&
	     X509_CRL_set1_nextUpdate(crl, to) == 1 &&
	     X509_CRL_add0_revoked(crl, new_entry(serial)) == 1);
	add_number_and_aki(crl, ca->cert, number);
	must(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0);
	n = i2d_X509_CRL(crl, &der);
	must(n > 0);
	out = span_of(arena_memdup(a, der, (size_t)n), (size_t)n);
	OPENSSL_free(der);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	X509_CRL_free(crl);
	return out;
}

struct span
ocsp_ca_der(struct arena *a, X509 *cert)
{
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der);
	struct span out;

	must(n > 0);
	out = span_of(arena_memdup(a, der, (size_t)n), (size_t)n);
	OPENSSL_free(der);
	return out;
}

const char *
ocsp_ca_pem(struct arena *a, X509 *cert)
{
	AUTO(BIO) b = BIO_new(BIO_s_mem());
	char *p;
	long n;

	must(b != NULL && PEM_write_bio_X509(b, cert) == 1);
	n = BIO_get_mem_data(b, &p);
	return arena_memdup(a, p, (size_t)n);
}

OCSP_CERTID *
ocsp_ca_id(const struct ocsp_ca *ca, const EVP_MD *md, struct span serial)
{
	AUTO(BIGNUM) n = BN_bin2bn(serial.p, (int)serial.n, NULL);
	AUTO(ASN1_INTEGER) i = BN_to_ASN1_INTEGER(n, NULL);
	OCSP_CERTID *id = OCSP_cert_id_new(md, X509_get_subject_name(ca->cert),
	    X509_get0_pubkey_bitstr(ca->cert), i);

	must(id != NULL);
	return id;
}

OCSP_REQUEST *
ocsp_ca_request(
    const struct ocsp_ca *ca, const EVP_MD *md, struct span serial, int nonce)
{
	OCSP_REQUEST *req = OCSP_REQUEST_new();

	must(req != NULL &&
	     OCSP_request_add0_id(req, ocsp_ca_id(ca, md, serial)) != NULL);
	if (nonce > 0)
		must(OCSP_request_add1_nonce(req, NULL, nonce) == 1);
	return req;
}

struct span
ocsp_ca_request_der(struct arena *a, OCSP_REQUEST *req)
{
	unsigned char *der = NULL;
	int n = i2d_OCSP_REQUEST(req, &der);
	struct span out;

	must(n > 0);
	out = span_of(arena_memdup(a, der, (size_t)n), (size_t)n);
	OPENSSL_free(der);
	return out;
}

static int
wrong(const char *what)
{
	(void)fprintf(stderr, "response: %s\n", what);
	ERR_print_errors_fp(stderr);
	return -1;
}

static int
verify(const struct ocsp_ca *ca, OCSP_BASICRESP *basic)
{
	AUTO(X509_STORE) store = X509_STORE_new();

	must(store != NULL && X509_STORE_add_cert(store, ca->cert) == 1);
	return OCSP_basic_verify(basic, NULL, store, 0);
}

int
ocsp_ca_judge(
    const struct ocsp_ca *ca, struct span response, struct span serial)
{
	const unsigned char *p = response.p;
	AUTO(OCSP_RESPONSE) r = d2i_OCSP_RESPONSE(NULL, &p, (long)response.n);
	AUTO(OCSP_BASICRESP) basic = NULL;
	AUTO(OCSP_CERTID) id = NULL;
	ASN1_GENERALIZEDTIME *at, *this_update, *next;
	int status, reason;

	if (r == NULL || p != response.p + response.n)
		return wrong("not DER");
	if (OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		return wrong("not successful");
	basic = OCSP_response_get1_basic(r);
	if (basic == NULL || verify(ca, basic) != 1)
		return wrong("the signature or its certificate");
	id = ocsp_ca_id(ca, EVP_sha1(), serial);
	if (OCSP_resp_find_status(
		basic, id, &status, &reason, &at, &this_update, &next) != 1)
		return wrong("no status for the serial");
	if (next == NULL || OCSP_check_validity(this_update, next, 2, -1) != 1)
		return wrong("its times");
	return status;
}
