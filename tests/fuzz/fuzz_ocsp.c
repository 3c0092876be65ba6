/*
 * The reader of OCSP requests against libcrypto's template decoder: what the
 * reader accepts, the templates accept, and both see the same CertIDs and
 * extensions.  Parts that a responder ignores are taken out for that.  The
 * bytes are tried as a request, and as the path of a GET.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/ocsp.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/der.h"
#include "ocsp/ocsp_req.h"
#include "tests/fuzz/fuzz.h"

AUTO_DEFINE(OCSP_REQUEST, OCSP_REQUEST_free);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static OCSP_REQUEST *
decode(struct span der)
{
	const uint8_t *p = der.p;
	OCSP_REQUEST *r = d2i_OCSP_REQUEST(NULL, &p, (long)der.n);

	must(r == NULL || p == der.p + der.n);
	return r;
}

static void
same_octets(const ASN1_STRING *a, struct span s)
{
	must(span_eq(
	    span_of(ASN1_STRING_get0_data(a), (size_t)ASN1_STRING_length(a)),
	    s));
}

static void
same_serial(const ASN1_INTEGER *a, struct span contents)
{
	unsigned char *der = NULL;
	int n = i2d_ASN1_INTEGER(a, &der);

	must(n > 0 && (size_t)n > contents.n &&
	     memcmp(der + n - contents.n, contents.p, contents.n) == 0);
	OPENSSL_free(der);
}

static void
same_hash(const ASN1_OBJECT *o, enum ocsp_hash hash)
{
	static const int nids[] = { NID_sha1, NID_sha256, NID_sha384,
		NID_sha512 };
	int nid = OBJ_obj2nid(o);
	size_t i;

	for (i = 0; i < 4 && nids[i] != nid; i++)
		;
	must(hash == (enum ocsp_hash)i);
}

static void
same_id(OCSP_REQUEST *r, int i, const struct ocsp_certid *id)
{
	OCSP_CERTID *theirs =
	    OCSP_onereq_get0_id(OCSP_request_onereq_get0(r, i));
	ASN1_OCTET_STRING *name, *key;
	ASN1_INTEGER *serial;
	ASN1_OBJECT *hash;

	must(OCSP_id_get0_info(&name, &hash, &key, &serial, theirs) == 1);
	same_hash(hash, id->hash);
	same_octets(name, id->name_hash);
	same_octets(key, id->key_hash);
	same_serial(serial, id->serial);
}

static void
compare(OCSP_REQUEST *r, const struct ocsp_req *req)
{
	int i,
	    nonce = OCSP_REQUEST_get_ext_by_NID(r, NID_id_pkix_OCSP_Nonce, -1);

	must(OCSP_request_onereq_count(r) == (int)req->n);
	for (i = 0; i < (int)req->n; i++)
		same_id(r, i, &req->ids[i]);
	must((nonce >= 0) == (req->nonce.p != NULL));
	if (req->nonce.n > 0)
		same_octets(
		    X509_EXTENSION_get_data(OCSP_REQUEST_get_ext(r, nonce)),
		    req->nonce);
}

/* The request without requestorName and signature. */
static OCSP_REQUEST *
decode_rest(const struct ocsp_req *req)
{
	AUTO_BUF(b, 2 * OCSP_REQ_SIZE_MAX);
	size_t outer = der_begin(&b, DER_SEQUENCE);
	size_t tbs = der_begin(&b, DER_SEQUENCE);

	buf_span(&b, req->version);
	buf_span(&b, req->list);
	buf_span(&b, req->exts);
	der_end(&b, tbs);
	der_end(&b, outer);
	must(buf_ok(&b));
	return decode(buf_get(&b));
}

static void
try_der(struct span der)
{
	AUTO(OCSP_REQUEST) theirs = NULL;
	AUTO(OCSP_REQUEST) rest = NULL;
	struct ocsp_req req;
	struct err e;

	if (ocsp_req_parse(der, &req, &e) == -1)
		return;
	theirs = decode(der);
	must(theirs != NULL || req.ignored);
	if (theirs != NULL)
		compare(theirs, &req);
	rest = decode_rest(&req);
	must(rest != NULL);
	compare(rest, &req);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint8_t der[OCSP_REQ_SIZE_MAX];
	struct err e;
	size_t len;
	char *text;

	try_der(span_of(p, n));
	text = calloc(1, n + 1);
	if (text == NULL)
		return 0;
	memcpy(text, p, n);
	if (ocsp_req_decode_path(text, der, sizeof(der), &len, &e) == 0)
		try_der(span_of(der, len));
	free(text);
	return 0;
}
