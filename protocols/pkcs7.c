#include "protocols/pkcs7.h"

#include "base/der.h"

#define OID_DATA "1.2.840.113549.1.7.1"
#define OID_SIGNED_DATA "1.2.840.113549.1.7.2"

/* RFC 5652 5.1: version 1, nothing but certificates. */
static void
put_signed_data(struct buf *b, const struct span *certs, size_t n)
{
	size_t seq = der_begin(b, DER_SEQUENCE), inner, i;

	der_int(b, 1);
	der_put(b, DER_SET, span_of(NULL, 0)); /* digestAlgorithms */
	inner = der_begin(b, DER_SEQUENCE);
	der_oid(b, OID_DATA);
	der_end(b, inner);
	inner = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	for (i = 0; i < n; i++)
		buf_span(b, certs[i]);
	der_end(b, inner);
	der_put(b, DER_SET, span_of(NULL, 0)); /* signerInfos */
	der_end(b, seq);
}

int
pkcs7_certs_only(struct arena *a, const struct span *certs, size_t n,
    struct span *out, struct err *e)
{
	AUTO_BUF(b, PKCS7_MAX);
	size_t info, content;

	if (n == 0)
		return err_set(e, ERR_INTERNAL, "no certificate to send");
	info = der_begin(&b, DER_SEQUENCE);
	der_oid(&b, OID_SIGNED_DATA);
	content = der_begin(&b, DER_CONTEXT_CONSTRUCTED(0));
	put_signed_data(&b, certs, n);
	der_end(&b, content);
	der_end(&b, info);
	if (!buf_ok(&b))
		return err_set(
		    e, ERR_INTERNAL, "certificates are too long to send");
	*out = span_dup(a, buf_get(&b));
	return 0;
}
