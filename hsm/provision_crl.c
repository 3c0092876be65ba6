#include "hsm/provision_crl.h"

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/der.h"

#define THIS_UPDATE_S 300 /* from now, either way */
#define KU_CRL_SIGN (1U << 6)

/* Whether the issuer may sign CRLs at all (RFC 5280 4.2.1.3, 4.2.1.9). */
static int
check_crl_issuer(const struct tosign_cert *issuer, struct err *e)
{
	const struct tosign_ext *ku = tosign_ext_find(issuer, "2.5.29.15");
	const struct tosign_ext *bc = tosign_ext_find(issuer, "2.5.29.19");
	int64_t path_len;
	uint32_t bits;
	bool ca;

	if (bc == NULL ||
	    tosign_basic_constraints_parse(bc->value, &ca, &path_len, e) != 0 ||
	    !ca)
		return err_set(e, ERR_REFUSED, "the issuer is not a CA");
	if (ku == NULL || tosign_key_usage_parse(ku->value, &bits, e) != 0 ||
	    (bits & KU_CRL_SIGN) == 0)
		return err_set(
		    e, ERR_REFUSED, "the issuer's keyUsage has no cRLSign");
	return 0;
}

/* The authorityKeyIdentifier that names the issuer's key. */
static bool
is_aki_of(const struct tosign_cert *issuer, struct span aki)
{
	const struct tosign_ext *ski = tosign_ext_find(issuer, "2.5.29.14");
	struct span id;
	uint8_t tag, n;
	size_t begun;
	AUTO_BUF(b, 256);

	if (ski == NULL)
		return false;
	id = ski->value;
	if (!span_u8(&id, &tag) || !span_u8(&id, &n) ||
	    tag != DER_OCTET_STRING || n != id.n)
		return false;
	begun = der_begin(&b, DER_SEQUENCE);
	der_put(&b, DER_CONTEXT(0), id);
	der_end(&b, begun);
	return buf_ok(&b) && span_eq(buf_get(&b), aki);
}

int
provision_check_crl(struct span tbs, const struct tosign_cert *issuer,
    struct span sig_alg, struct crlcheck *c, struct err *e)
{
	int64_t now = clock_now();

	if (crlcheck_read(tbs, c, e) != 0)
		return -1;
	if (c->delta || c->has_idp || c->freshest.n > 0)
		return err_set(e, ERR_REFUSED,
		    "the list is not complete and for all certificates, or "
		    "names deltas");
	if (!span_eq(c->issuer, issuer->subject) || !is_aki_of(issuer, c->aki))
		return err_set(e, ERR_REFUSED,
		    "issuer or authorityKeyIdentifier of the list is not the "
		    "issuer's");
	if (!span_eq(c->sig_alg, sig_alg))
		return err_set(e, ERR_REFUSED,
		    "signature algorithm of the list does not fit the key");
	if (c->this_update < now - THIS_UPDATE_S ||
	    c->this_update > now + THIS_UPDATE_S)
		return err_set(e, ERR_REFUSED,
		    "thisUpdate is not within five minutes of now");
	if (c->next_update <= c->this_update)
		return err_set(
		    e, ERR_REFUSED, "nextUpdate is not after thisUpdate");
	if (c->next_update > issuer->not_after)
		return err_set(e, ERR_REFUSED,
		    "nextUpdate is later than the issuer's notAfter");
	return check_crl_issuer(issuer, e);
}
