#include "ocsp/ocsp_req.h"

#include <string.h>

#include "base/b64.h"
#include "base/der.h"

#define TAG_VERSION DER_CONTEXT_CONSTRUCTED(0)
#define TAG_REQUESTOR DER_CONTEXT_CONSTRUCTED(1)
#define TAG_REQUEST_EXTS DER_CONTEXT_CONSTRUCTED(2)
#define TAG_SIGNATURE DER_CONTEXT_CONSTRUCTED(0)
#define TAG_SINGLE_EXTS DER_CONTEXT_CONSTRUCTED(0)
#define NONCE_LIMIT 128

struct oid {
	size_t n;
	uint8_t octets[9];
};

/* id-sha1, and 2.16.840.1.101.3.4.2.{1,2,3} */
static const struct {
	struct oid oid;
	size_t size;
} hashes[] = {
	[OCSP_HASH_SHA1] = { { 5, { 0x2b, 0x0e, 0x03, 0x02, 0x1a } }, 20 },
	[OCSP_HASH_SHA256] = { { 9, { 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
					0x02, 0x01 } },
	    32 },
	[OCSP_HASH_SHA384] = { { 9, { 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
					0x02, 0x02 } },
	    48 },
	[OCSP_HASH_SHA512] = { { 9, { 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
					0x02, 0x03 } },
	    64 },
};
_Static_assert(sizeof(hashes) / sizeof(hashes[0]) == OCSP_HASH__COUNT,
    "every hash has a row");

/* 1.3.6.1.5.5.7.48.1.N: nonce 2, response types 4, preferred algorithms 8 */
static const uint8_t ocsp_arc[] = { 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30,
	0x01 };
#define ARC_NONCE 2
#define ARC_RESPONSE 4
#define ARC_PREF_SIG_ALGS 8

size_t
ocsp_hash_size(enum ocsp_hash hash)
{
	return hash < OCSP_HASH__COUNT ? hashes[hash].size : 0;
}

/* Takes identifier and length octets; X.690 10.1: the shortest form. */
static bool
take_head(struct span *s, uint8_t *tag, size_t *len)
{
	uint8_t first, octet;
	size_t n;

	if (!span_u8(s, tag) || (*tag & 0x1f) == 0x1f || !span_u8(s, &first))
		return false;
	*len = first;
	if (first < 0x80)
		return true;
	n = first & 0x7f;
	if (n == 0 || n > 3)
		return false;
	for (*len = 0; n > 0; n--) {
		if (!span_u8(s, &octet) || (*len == 0 && octet == 0))
			return false;
		*len = *len << 8 | octet;
	}
	return *len >= 0x80 && (*len >> 8 != 0 || first == 0x81) &&
	       (*len >> 16 != 0 || first != 0x83);
}

/* Takes a value with identifier octet 'tag'; 'out' is its contents. */
static bool
take(struct span *s, uint8_t tag, struct span *out)
{
	struct span rest = *s;
	uint8_t found;
	size_t len;

	if (!take_head(&rest, &found, &len) || found != tag ||
	    !span_take(&rest, len, out))
		return false;
	*s = rest;
	return true;
}

static bool
is_next(struct span s, uint8_t tag)
{
	return s.n > 0 && s.p[0] == tag;
}

/* X.690 8.19.2: whole subidentifiers, none with leading zeros. */
static bool
take_oid(struct span *s, struct span *out)
{
	size_t i;

	if (!take(s, DER_OID, out) || out->n == 0 ||
	    (out->p[out->n - 1] & 0x80) != 0)
		return false;
	for (i = 0; i < out->n; i++) {
		if (out->p[i] == 0x80 &&
		    (i == 0 || (out->p[i - 1] & 0x80) == 0))
			return false;
	}
	return true;
}

/* X.690 8.3.2: the first nine bits are not all the same. */
static bool
take_integer(struct span *s, struct span *out)
{
	if (!take(s, DER_INTEGER, out) || out->n == 0)
		return false;
	return out->n == 1 || !((out->p[0] == 0 && out->p[1] < 0x80) ||
				  (out->p[0] == 0xff && out->p[1] >= 0x80));
}

static enum ocsp_hash
find_hash(struct span oid)
{
	enum ocsp_hash h;

	for (h = 0; h < OCSP_HASH__COUNT; h++) {
		if (oid.n == hashes[h].oid.n &&
		    memcmp(oid.p, hashes[h].oid.octets, oid.n) == 0)
			return h;
	}
	return OCSP_HASH_OTHER;
}

static bool
read_alg(struct span alg, enum ocsp_hash *out)
{
	struct span oid, null;

	if (!take_oid(&alg, &oid))
		return false;
	*out = find_hash(oid);
	if (alg.n == 0)
		return true;
	return take(&alg, DER_NULL, &null) && null.n == 0 && alg.n == 0;
}

/* Takes a CertID off the front of a Request. */
static bool
take_certid(struct span *request, struct ocsp_certid *out)
{
	struct span id, alg, before = *request;

	if (!take(request, DER_SEQUENCE, &id))
		return false;
	out->der = span_of(before.p, before.n - request->n);
	return take(&id, DER_SEQUENCE, &alg) && read_alg(alg, &out->hash) &&
	       take(&id, DER_OCTET_STRING, &out->name_hash) &&
	       take(&id, DER_OCTET_STRING, &out->key_hash) &&
	       take_integer(&id, &out->serial) && id.n == 0;
}

struct ext {
	struct span oid, value;
	bool critical;
};

static bool
take_ext(struct span *exts, struct ext *out)
{
	struct span ext, flag;

	if (!take(exts, DER_SEQUENCE, &ext) || !take_oid(&ext, &out->oid))
		return false;
	out->critical = false;
	if (is_next(ext, DER_BOOLEAN)) {
		if (!take(&ext, DER_BOOLEAN, &flag) || flag.n != 1 ||
		    (flag.p[0] != 0 && flag.p[0] != 0xff))
			return false;
		out->critical = flag.p[0] != 0;
	}
	return take(&ext, DER_OCTET_STRING, &out->value) && ext.n == 0;
}

/* The last arc of an extension below id-pkix-ocsp, or -1. */
static int
ocsp_ext(struct span oid)
{
	if (oid.n != sizeof(ocsp_arc) + 1 ||
	    memcmp(oid.p, ocsp_arc, sizeof(ocsp_arc)) != 0)
		return -1;
	return oid.p[sizeof(ocsp_arc)];
}

/*
 * Old clients put the nonce into extnValue without an OCTET STRING around it;
 * either way the whole of extnValue is repeated.
 */
static int
read_nonce(struct span value, struct span *out, struct err *e)
{
	struct span rest = value, inner;
	size_t n = value.n;

	if (out->p != NULL)
		return err_set(e, ERR_MALFORMED, "two nonces");
	if (take(&rest, DER_OCTET_STRING, &inner) && rest.n == 0)
		n = inner.n;
	if (n == 0 || n > NONCE_LIMIT)
		return err_set(e, ERR_MALFORMED,
		    "a nonce of %zu octets (RFC 9654 2.1)", n);
	*out = span_of(
	    value.p, n >= OCSP_NONCE_MIN && n <= OCSP_NONCE_MAX ? value.n : 0);
	return 0;
}

static int
read_request_exts(struct span exts, struct ocsp_req *out, struct err *e)
{
	struct ext x;
	int arc;

	while (exts.n > 0) {
		if (!take_ext(&exts, &x))
			return err_set(
			    e, ERR_MALFORMED, "an extension is not DER");
		arc = ocsp_ext(x.oid);
		if (arc == ARC_NONCE) {
			if (read_nonce(x.value, &out->nonce, e) == -1)
				return -1;
		} else if (x.critical && arc != ARC_RESPONSE &&
			   arc != ARC_PREF_SIG_ALGS) {
			return err_set(e, ERR_MALFORMED,
			    "a critical extension is not understood");
		}
	}
	return 0;
}

static int
read_single_exts(struct span request, struct err *e)
{
	struct span outer, exts;
	struct ext x;

	if (request.n == 0)
		return 0;
	if (!take(&request, TAG_SINGLE_EXTS, &outer) || request.n != 0 ||
	    !take(&outer, DER_SEQUENCE, &exts) || outer.n != 0)
		return err_set(e, ERR_MALFORMED, "a Request is not DER");
	while (exts.n > 0) {
		if (!take_ext(&exts, &x))
			return err_set(
			    e, ERR_MALFORMED, "an extension is not DER");
		if (x.critical)
			return err_set(e, ERR_MALFORMED,
			    "a critical extension is not understood");
	}
	return 0;
}

static int
read_list(struct span list, struct ocsp_req *out, struct err *e)
{
	struct span request;

	while (list.n > 0) {
		if (out->n == OCSP_REQ_CERTIDS_MAX)
			return err_set(e, ERR_MALFORMED, "more than %d CertIDs",
			    OCSP_REQ_CERTIDS_MAX);
		if (!take(&list, DER_SEQUENCE, &request) ||
		    !take_certid(&request, &out->ids[out->n]))
			return err_set(e, ERR_MALFORMED, "a CertID is not DER");
		if (read_single_exts(request, e) == -1)
			return -1;
		out->n++;
	}
	if (out->n == 0)
		return err_set(e, ERR_MALFORMED, "no CertID");
	return 0;
}

/* Steps over [0] version and [1] requestorName. */
static int
read_front(struct span *tbs, struct ocsp_req *out, struct err *e)
{
	struct span explicit, value, before = *tbs;
	uint8_t tag;
	size_t len;

	if (is_next(*tbs, TAG_VERSION)) {
		if (!take(tbs, TAG_VERSION, &explicit) ||
		    !take_integer(&explicit, &value) || explicit.n != 0 ||
		    value.n != 1 || value.p[0] != 0)
			return err_set(e, ERR_MALFORMED, "version is not v1");
		out->version = span_of(before.p, before.n - tbs->n);
	}
	if (!is_next(*tbs, TAG_REQUESTOR))
		return 0;
	out->ignored = true;
	if (!take(tbs, TAG_REQUESTOR, &value) ||
	    !take_head(&value, &tag, &len) || (tag & 0xc0) != 0x80 ||
	    value.n != len)
		return err_set(e, ERR_MALFORMED, "requestorName is not DER");
	return 0;
}

static int
read_tbs(struct span tbs, struct ocsp_req *out, struct err *e)
{
	struct span list, outer, exts, before;

	if (read_front(&tbs, out, e) == -1)
		return -1;
	before = tbs;
	if (!take(&tbs, DER_SEQUENCE, &list))
		return err_set(e, ERR_MALFORMED, "no list of requests");
	out->list = span_of(before.p, before.n - tbs.n);
	if (read_list(list, out, e) == -1)
		return -1;
	if (tbs.n == 0)
		return 0;
	out->exts = tbs;
	if (!take(&tbs, TAG_REQUEST_EXTS, &outer) || tbs.n != 0 ||
	    !take(&outer, DER_SEQUENCE, &exts) || outer.n != 0)
		return err_set(e, ERR_MALFORMED, "TBSRequest is not DER");
	return read_request_exts(exts, out, e);
}

int
ocsp_req_parse(struct span der, struct ocsp_req *out, struct err *e)
{
	struct span request, tbs, signature, inner;

	out->n = 0;
	out->nonce = out->version = out->list = out->exts = span_of(NULL, 0);
	out->ignored = false;
	if (der.n > OCSP_REQ_SIZE_MAX)
		return err_set(e, ERR_MALFORMED, "the request is too large");
	if (!take(&der, DER_SEQUENCE, &request) || der.n != 0 ||
	    !take(&request, DER_SEQUENCE, &tbs))
		return err_set(e, ERR_MALFORMED, "not an OCSPRequest");
	if (request.n > 0) {
		out->ignored = true;
		if (!take(&request, TAG_SIGNATURE, &signature) ||
		    request.n != 0 || !take(&signature, DER_SEQUENCE, &inner) ||
		    signature.n != 0)
			return err_set(
			    e, ERR_MALFORMED, "the signature is not DER");
	}
	return read_tbs(tbs, out, e);
}

/* The next octet of a path, percent-decoded; -1 at its end or if it is bad. */
static int
next_octet(const char **text)
{
	const char *p = *text;
	int hi, lo;

	if (*p == '\0')
		return -1;
	if (*p != '%') {
		*text = p + 1;
		return (unsigned char)*p;
	}
	hi = hex_value((uint8_t)p[1]);
	lo = hi < 0 ? -1 : hex_value((uint8_t)p[2]);
	if (lo < 0)
		return -1;
	*text = p + 3;
	return hi << 4 | lo;
}

int
ocsp_req_decode_path(
    const char *text, uint8_t *out, size_t size, size_t *n, struct err *e)
{
	uint32_t bits = 0;
	size_t count = 0;
	int c, v;

	text += strspn(text, "/");
	*n = 0;
	while (
	    (c = next_octet(&text)) >= 0 && (v = b64_value((uint8_t)c)) >= 0) {
		bits = bits << 6 | (uint32_t)v;
		if (++count % 4 == 1)
			continue;
		if (*n == size)
			return err_set(
			    e, ERR_MALFORMED, "the request is too large");
		out[(*n)++] = (uint8_t)(bits >> (6 - 2 * ((count - 1) % 4)));
	}
	for (v = 0; c == '='; v++)
		c = next_octet(&text);
	if (c >= 0 || *text != '\0' || v > 2 || count % 4 == 1)
		return err_set(e, ERR_MALFORMED, "the path is not base64");
	return 0;
}
