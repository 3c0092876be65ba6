#include "crl/crl_file.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/file.h"
#include "hsm/tosign.h"

#define SERIAL_MAX 20
#define NUMBER_MAX 20

AUTO_DEFINE(X509_CRL, X509_CRL_free);
AUTO_DEFINE(ASN1_INTEGER, ASN1_INTEGER_free);
AUTO_DEFINE(ASN1_ENUMERATED, ASN1_ENUMERATED_free);
AUTO_DEFINE(ASN1_GENERALIZEDTIME, ASN1_GENERALIZEDTIME_free);
AUTO_DEFINE(ISSUING_DIST_POINT, ISSUING_DIST_POINT_free);
AUTO_DEFINE(AUTHORITY_KEYID, AUTHORITY_KEYID_free);

/* The arena and errors of one reading. */
struct reading {
	struct arena *a;
	struct err *e;
};

static int
malformed(const struct reading *r, const char *why)
{
	return err_set(r->e, ERR_MALFORMED, "CRL: %s", why);
}

static int
refused(const struct reading *r, const char *why)
{
	return err_set(r->e, ERR_REFUSED, "CRL: %s", why);
}

static bool
read_time(const ASN1_TIME *t, int64_t *out)
{
	struct clock_civil c;
	struct tm tm;

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	c = (struct clock_civil){ tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		tm.tm_hour, tm.tm_min, tm.tm_sec };
	*out = clock_from_civil(&c);
	return true;
}

/* The contents octets of a positive INTEGER. */
static bool
read_serial(struct arena *a, const ASN1_INTEGER *i, struct span *out)
{
	const uint8_t *p = ASN1_STRING_get0_data(i);
	size_t n = (size_t)ASN1_STRING_length(i), sign;
	uint8_t *bytes;

	if (ASN1_STRING_type(i) != V_ASN1_INTEGER || n == 0)
		return false;
	sign = p[0] >> 7;
	if (n + sign > SERIAL_MAX)
		return false;
	bytes = arena_alloc(a, n + sign);
	memcpy(bytes + sign, p, n);
	*out = span_of(bytes, n + sign);
	return true;
}

/* Reason and invalidity date; nothing critical beside them. */
static int
read_entry_exts(
    const struct reading *r, const X509_REVOKED *x, struct crl_entry *out)
{
	int critical, i, n = X509_REVOKED_get_ext_count(x);
	AUTO(ASN1_ENUMERATED) reason = NULL;
	AUTO(ASN1_GENERALIZEDTIME) since = NULL;

	reason = X509_REVOKED_get_ext_d2i(x, NID_crl_reason, &critical, NULL);
	if (reason == NULL && critical != -1)
		return malformed(r, "a reason that is none, or two of them");
	since =
	    X509_REVOKED_get_ext_d2i(x, NID_invalidity_date, &critical, NULL);
	if ((since == NULL && critical != -1) ||
	    (since != NULL && !read_time(since, &out->invalidity_at)))
		return malformed(r, "an invalidity date that is none");
	if (reason != NULL)
		out->reason = (int)ASN1_ENUMERATED_get(reason);
	if (out->reason == CRL_REMOVE_FROM_CRL || out->reason == 7 ||
	    out->reason > 10)
		return malformed(r, "a reason that cannot stand there");
	for (i = 0; i < n; i++) {
		X509_EXTENSION *ext = X509_REVOKED_get_ext(x, i);
		int nid = OBJ_obj2nid(X509_EXTENSION_get_object(ext));

		if (nid == NID_certificate_issuer)
			return refused(r, "it is of several issuers");
		if (X509_EXTENSION_get_critical(ext) && nid != NID_crl_reason &&
		    nid != NID_invalidity_date)
			return refused(r,
			    "an entry has a critical extension that is not "
			    "known");
	}
	return 0;
}

static int
order(const void *va, const void *vb)
{
	const struct crl_entry *x = va, *y = vb;

	return span_cmp(x->serial, y->serial);
}

void
crl_file_sort(struct crl_entry *entries, size_t n)
{
	if (n > 1)
		qsort(entries, n, sizeof(*entries), order);
}

static int
read_entries(const struct reading *r, X509_CRL *crl, struct crl_file *out)
{
	STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(crl);
	int i, n = list == NULL ? 0 : sk_X509_REVOKED_num(list);
	size_t k;

	out->n = (size_t)n;
	out->entries = arena_array(r->a, out->n, sizeof(*out->entries));
	for (i = 0; i < n; i++) {
		const X509_REVOKED *x = sk_X509_REVOKED_value(list, i);
		struct crl_entry *y = &out->entries[i];

		*y = (struct crl_entry){ .reason = -1,
			.invalidity_at = CRL_NO_TIME };
		if (!read_serial(
			r->a, X509_REVOKED_get0_serialNumber(x), &y->serial) ||
		    !read_time(
			X509_REVOKED_get0_revocationDate(x), &y->revoked_at))
			return malformed(
			    r, "an entry without a usable serial or date");
		if (read_entry_exts(r, x, y) == -1)
			return -1;
	}
	crl_file_sort(out->entries, out->n);
	for (k = 1; k < out->n; k++) {
		if (order(&out->entries[k - 1], &out->entries[k]) == 0)
			return malformed(r, "a serial stands there twice");
	}
	return 0;
}

static int
read_number(const struct reading *r, X509_CRL *crl, struct crl_file *out)
{
	AUTO(ASN1_INTEGER)
	n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);

	if (n == NULL || ASN1_STRING_type(n) != V_ASN1_INTEGER ||
	    ASN1_STRING_length(n) < 1 || ASN1_STRING_length(n) > NUMBER_MAX)
		return malformed(r, "it has no usable cRLNumber");
	out->number = span_dup(r->a,
	    span_of(ASN1_STRING_get0_data(n), (size_t)ASN1_STRING_length(n)));
	return 0;
}

/* A list that says it is for CA certificates alone is what a root has. */
static int
check_point(const struct reading *r, X509_CRL *crl)
{
	int critical;
	AUTO(ISSUING_DIST_POINT)
	idp = X509_CRL_get_ext_d2i(
	    crl, NID_issuing_distribution_point, &critical, NULL);

	if (idp == NULL)
		return critical == -1
			   ? 0
			   : malformed(r, "its issuingDistributionPoint");
	if (idp->onlyuser > 0 || idp->onlyattr > 0 || idp->indirectCRL > 0 ||
	    idp->onlysomereasons != NULL)
		return refused(r,
		    "it is for some certificates or reasons only, or of "
		    "several issuers");
	return 0;
}

static int
check_exts(const struct reading *r, X509_CRL *crl)
{
	int i, n = X509_CRL_get_ext_count(crl);

	for (i = 0; i < n; i++) {
		X509_EXTENSION *ext = X509_CRL_get_ext(crl, i);
		int nid = OBJ_obj2nid(X509_EXTENSION_get_object(ext));

		if (nid == NID_delta_crl)
			return refused(r, "it is a delta");
		if (X509_EXTENSION_get_critical(ext) &&
		    nid != NID_issuing_distribution_point &&
		    nid != NID_authority_key_identifier &&
		    nid != NID_crl_number)
			return refused(
			    r, "it has a critical extension that is not known");
	}
	return check_point(r, crl);
}

/* Whether the signed part, encoded again, has the same octets. */
static bool
is_der(X509_CRL *crl, struct span der)
{
	struct span tbs, alg, signature;
	unsigned char *again = NULL;
	struct err ignored;
	bool same;
	int n;

	if (tosign_unwrap(der, &tbs, &alg, &signature, &ignored) == -1)
		return false;
	n = i2d_re_X509_CRL_tbs(crl, &again);
	same = n > 0 && span_eq(tbs, span_of(again, (size_t)n));
	OPENSSL_free(again);
	return same;
}

static X509_CRL *
decode(struct span der)
{
	const unsigned char *p = der.p;
	X509_CRL *crl;

	(void)ERR_set_mark();
	crl = d2i_X509_CRL(NULL, &p, (long)der.n);
	(void)ERR_pop_to_mark();
	if (crl != NULL && p != der.p + der.n) {
		X509_CRL_free(crl);
		return NULL;
	}
	return crl;
}

int
crl_file_read(
    struct arena *a, struct span bytes, struct crl_file *out, struct err *e)
{
	const struct reading r = { a, e };
	AUTO(X509_CRL) crl = NULL;
	unsigned char *name = NULL;
	int n;

	memset(out, 0, sizeof(*out));
	out->der = bytes;
	if (bytes.n > 0 && bytes.p[0] != 0x30 &&
	    pem_decode(a, "X509 CRL", bytes, &out->der, e) == -1)
		return malformed(&r, "neither DER nor PEM");
	crl = decode(out->der);
	if (crl == NULL || X509_CRL_get_version(crl) != 1)
		return malformed(&r, "not a CRL of version 2");
	if (!read_time(X509_CRL_get0_lastUpdate(crl), &out->this_update) ||
	    !read_time(X509_CRL_get0_nextUpdate(crl), &out->next_update))
		return malformed(&r, "no thisUpdate or no nextUpdate");
	if (check_exts(&r, crl) == -1 || read_number(&r, crl, out) == -1 ||
	    read_entries(&r, crl, out) == -1)
		return -1;
	n = i2d_X509_NAME(X509_CRL_get_issuer(crl), &name);
	out->issuer = span_dup(a, span_of(name, n < 0 ? 0 : (size_t)n));
	OPENSSL_free(name);
	if (!is_der(crl, out->der))
		return malformed(&r, "it is not in DER");
	return 0;
}

static bool
names_key(X509_CRL *crl, const struct issuer *by)
{
	AUTO(AUTHORITY_KEYID)
	aki =
	    X509_CRL_get_ext_d2i(crl, NID_authority_key_identifier, NULL, NULL);

	if (aki == NULL || aki->keyid == NULL)
		return true;
	return span_eq(by->key_id, span_of(ASN1_STRING_get0_data(aki->keyid),
				       (size_t)ASN1_STRING_length(aki->keyid)));
}

int
crl_file_verify(
    const struct crl_file *f, const struct issuer *by, struct err *e)
{
	AUTO(X509_CRL) crl = decode(f->der);
	struct span tbs, alg, signature;
	bool good;

	if (crl == NULL || !span_eq(f->issuer, by->subject))
		return err_set(
		    e, ERR_REFUSED, "CRL: the issuer is not \"%s\"", by->name);
	if (!names_key(crl, by))
		return err_set(e, ERR_REFUSED,
		    "CRL: the authorityKeyIdentifier is not that of \"%s\"",
		    by->name);
	/* the first also compares the two algorithms, the second judges them */
	(void)ERR_set_mark();
	good = X509_CRL_verify(crl, by->key.key) == 1;
	(void)ERR_pop_to_mark();
	if (!good || tosign_unwrap(f->der, &tbs, &alg, &signature, e) == -1 ||
	    pubkey_verify(&by->key, alg, tbs, signature, e) == -1)
		return err_set(e, ERR_REFUSED,
		    "CRL: the signature is not by the key of \"%s\"", by->name);
	return 0;
}

int
crl_file_open(
    struct arena *a, const char *path, struct crl_file *out, struct err *e)
{
	struct span bytes;

	if (file_read(a, path, CRL_FILE_MAX, &bytes, e) == -1)
		return -1;
	if (crl_file_read(a, bytes, out, e) == -1)
		return err_prefix(e, "\"%s\"", path);
	return 0;
}
