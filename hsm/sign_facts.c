#include "hsm/sign_facts.h"

#include <string.h>

static const uint8_t oid_access[] = { 0x2b, 6, 1, 5, 5, 7, 1, 1 };
static const uint8_t oid_nocheck[] = { 0x2b, 6, 1, 5, 5, 7, 48, 1, 5 };

static int
read_dps(struct arena *a, struct sign_facts *f, int which, struct span value,
    struct err *e)
{
	f->dp_der[which] = value;
	return tosign_crldp_parse(
	    a, value, &f->dps[which], &f->n_dps[which], e);
}

/* The extensions whose inside is judged; id-ce is 2.5.29. */
static int
read_id_ce(struct arena *a, struct sign_facts *f, uint8_t arc,
    struct span value, struct err *e)
{
	switch (arc) {
	case 15:
		return tosign_key_usage_parse(value, &f->key_usage, e);
	case 17:
		return tosign_general_names_parse(
		    a, value, &f->san, &f->n_san, e);
	case 19:
		return tosign_basic_constraints_parse(
		    value, &f->ca, &f->path_len, e);
	case 31:
		return read_dps(a, f, 0, value, e);
	case 35:
		f->aki = value;
		f->has_aki = true;
		return 0;
	case 37:
		return tosign_eku_parse(a, value, &f->eku, &f->n_eku, e);
	case 46:
		return read_dps(a, f, 1, value, e);
	default:
		return 0;
	}
}

static int
read_ext(struct arena *a, struct sign_facts *f, size_t i, struct err *e)
{
	const struct tosign_ext *x = &f->cert.exts[i];
	size_t j;

	for (j = 0; j < i; j++) {
		if (span_eq(f->cert.exts[j].oid, x->oid))
			return err_set(e, ERR_REFUSED,
			    "extension %s stands there twice",
			    tosign_oid_text(a, x->oid));
	}
	if (x->oid.n == 3 && x->oid.p[0] == 0x55 && x->oid.p[1] == 0x1d)
		return read_id_ce(a, f, x->oid.p[2], x->value, e);
	if (span_eq(x->oid, span_of(oid_nocheck, sizeof(oid_nocheck))))
		f->nocheck = true;
	if (!span_eq(x->oid, span_of(oid_access, sizeof(oid_access))))
		return 0;
	f->aia_der = x->value;
	return tosign_aia_parse(a, x->value, &f->aia, &f->n_aia, e);
}

int
sign_facts_read(
    struct arena *a, struct span tbs, struct sign_facts *f, struct err *e)
{
	size_t i;

	memset(f, 0, sizeof(*f));
	f->path_len = -1;
	if (tosign_cert_parse(a, tbs, &f->cert, e) != 0 ||
	    tosign_name_parse(
		a, f->cert.subject, &f->subject, &f->n_subject, e) != 0)
		return -1;
	for (i = 0; i < f->cert.n_exts; i++) {
		if (read_ext(a, f, i, e) != 0)
			return -1;
	}
	return 0;
}
