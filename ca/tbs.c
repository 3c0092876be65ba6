#include "ca/tbs.h"

#include <string.h>

#include <openssl/rand.h>

#include "base/der.h"
#include "base/sha256.h"
#include "ca/ext.h"
#include "hsm/tosign.h"

int
tbs_serial(uint8_t slot, uint8_t out[TBS_SERIAL_SIZE], struct err *e)
{
	if (RAND_bytes(out, TBS_SERIAL_SIZE) != 1)
		return err_set(e, ERR_INTERNAL, "no random bytes");
	out[0] = (uint8_t)((out[0] & 0x7f) | 0x40);
	out[1] = slot;
	return 0;
}

int
tbs_key_id(struct span spki, uint8_t out[TBS_KEY_ID_SIZE], struct err *e)
{
	uint8_t digest[SHA256_SIZE];
	struct tosign_spki parts;

	if (tosign_spki_read(spki, &parts, e) == -1)
		return -1;
	sha256(parts.key, digest);
	memcpy(out, digest, TBS_KEY_ID_SIZE);
	return 0;
}

static void
put_url_exts(struct buf *b, const struct tbs_input *in)
{
	const struct profile *p = in->plan->profile;

	if (p->aia && in->ocsp_urls->n + in->ca_issuers_urls->n > 0)
		ext_authority_info_access(
		    b, in->ocsp_urls, in->ca_issuers_urls);
	if (p->crldp && in->crl_urls->n > 0)
		ext_crl_distribution_points(b, in->crl_urls);
	if (p->crldp && in->freshest_urls != NULL && in->freshest_urls->n > 0)
		ext_freshest_crl(b, in->freshest_urls);
}

static void
put_profile_exts(struct buf *b, const struct policy_plan *plan)
{
	const struct profile *p = plan->profile;

	ext_key_usage(b, plan->key_usage);
	if (p->ca)
		ext_basic_constraints(b, true, p->path_len);
	if (p->eku.n > 0)
		ext_extended_key_usage(b, &p->eku);
	if (p->n_policies > 0)
		ext_policies(b, p->policies, p->n_policies);
	if (p->has_constraints)
		ext_name_constraints(b, &p->constraints);
	if (plan->must_staple)
		ext_tls_feature(b);
	if (p->ocsp_nocheck)
		ext_ocsp_nocheck(b);
}

static int
put_extensions(struct buf *b, const struct tbs_input *in, struct err *e)
{
	const struct policy_plan *plan = in->plan;
	uint8_t key_id[TBS_KEY_ID_SIZE];
	size_t tag, seq;

	if (tbs_key_id(plan->spki, key_id, e) == -1)
		return -1;
	tag = der_begin(b, DER_CONTEXT_CONSTRUCTED(3));
	seq = der_begin(b, DER_SEQUENCE);
	if (in->key_id.n > 0)
		ext_authority_key_id(b, in->key_id);
	ext_subject_key_id(b, span_of(key_id, sizeof(key_id)));
	put_profile_exts(b, plan);
	if (plan->n_sans > 0)
		ext_subject_alt_name(
		    b, plan->subject.n == 0, plan->sans, plan->n_sans);
	put_url_exts(b, in);
	der_end(b, seq);
	der_end(b, tag);
	return 0;
}

int
tbs_build(struct arena *a, const struct tbs_input *in, struct span *out,
    struct err *e)
{
	size_t tbs, part;
	AUTO_BUF(b, TOSIGN_CERT_MAX);

	tbs = der_begin(&b, DER_SEQUENCE);
	part = der_begin(&b, DER_CONTEXT_CONSTRUCTED(0));
	der_int(&b, 2);
	der_end(&b, part);
	der_put(&b, DER_INTEGER, in->serial);
	buf_span(&b, in->sig_alg);
	buf_span(&b, in->issuer);
	part = der_begin(&b, DER_SEQUENCE);
	der_time(&b, in->plan->not_before);
	der_time(&b, in->plan->not_after);
	der_end(&b, part);
	dn_encode(&b, &in->plan->subject);
	buf_span(&b, in->plan->spki);
	if (put_extensions(&b, in, e) == -1)
		return -1;
	der_end(&b, tbs);
	if (!buf_ok(&b))
		return err_set(e, ERR_REFUSED,
		    "certificate would have more than %zu bytes",
		    TOSIGN_CERT_MAX);
	*out = span_dup(a, buf_get(&b));
	return 0;
}
