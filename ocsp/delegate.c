#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "ocsp/delegate_int.h"
#include "ocsp/responder.h"

/* Clocks of signer and responder may differ. */
#define CLOCK_SKEW_S 60

static int64_t
seconds(const ASN1_TIME *t)
{
	struct clock_civil c;
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return 0;
	c = (struct clock_civil){ tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		tm.tm_hour, tm.tm_min, tm.tm_sec };
	return clock_from_civil(&c);
}

static X509 *
open_cert(struct span der)
{
	const uint8_t *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.n);

	if (x != NULL && p == der.p + der.n)
		return x;
	X509_free(x);
	return NULL;
}

/* What is wrong with it, or NULL. */
static const char *
find_fault(X509 *x, X509 *issuer, EVP_PKEY *key)
{
	int64_t now = clock_now();

	if (EVP_PKEY_eq(X509_get0_pubkey(x), key) != 1)
		return "is not for our key";
	if (X509_NAME_cmp(
		X509_get_issuer_name(x), X509_get_subject_name(issuer)) != 0 ||
	    X509_verify(x, X509_get0_pubkey(issuer)) != 1)
		return "is not signed by the issuer";
	if (X509_check_ca(x) != 0)
		return "is that of a CA";
	if ((X509_get_extension_flags(x) & EXFLAG_XKUSAGE) == 0 ||
	    X509_get_extended_key_usage(x) != XKU_OCSP_SIGN)
		return "is not for OCSP signing alone";
	if ((X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE) == 0)
		return "is not for signatures";
	if (X509_get_ext_by_NID(x, NID_id_pkix_OCSP_noCheck, -1) < 0)
		return "lacks id-pkix-ocsp-nocheck";
	if (seconds(X509_get0_notBefore(x)) > now + CLOCK_SKEW_S ||
	    seconds(X509_get0_notAfter(x)) <= now)
		return "is not valid now";
	return NULL;
}

static struct delegate *
make(X509 *x, struct span cert, EVP_PKEY *key)
{
	struct delegate *d = calloc(1, sizeof(*d));
	uint8_t *copy = malloc(cert.n);

	if (d == NULL || copy == NULL ||
	    X509_pubkey_digest(x, EVP_sha1(), d->key_hash, NULL) != 1 ||
	    EVP_PKEY_up_ref(key) != 1)
		abort();
	memcpy(copy, cert.p, cert.n);
	d->cert = span_of(copy, cert.n);
	d->key = key;
	/* ours may be a little behind the signer's clock */
	d->not_before = seconds(X509_get0_notBefore(x)) - CLOCK_SKEW_S;
	d->not_after = seconds(X509_get0_notAfter(x));
	return d;
}

int
responder_check(const struct authority *issuer, struct span cert, EVP_PKEY *key,
    struct delegate **out, struct err *e)
{
	AUTO(X509) x = open_cert(cert);
	AUTO(X509) ca = open_cert(issuer->cert);
	const char *fault;

	if (x == NULL || ca == NULL)
		return err_set(e, ERR_MALFORMED, "no certificate");
	fault = find_fault(x, ca, key);
	if (fault != NULL)
		return err_set(
		    e, ERR_REFUSED, "the responder's certificate %s", fault);
	*out = make(x, cert, key);
	return 0;
}

void
delegate_free(void *delegate)
{
	struct delegate *d = delegate;

	if (d == NULL)
		return;
	EVP_PKEY_free(d->key);
	free((void *)(uintptr_t)d->cert.p);
	free(d);
}
