#include "ca/certrow.h"

#include <ctype.h>
#include <string.h>

#include "base/sha256.h"
#include "ca/dn.h"
#include "ca/oid.h"
#include "ca/request.h"
#include "hsm/tosign.h"

static const char *
lower_copy(struct arena *a, struct span s)
{
	char *text = arena_memdup(a, s.p, s.n), *p;

	for (p = text; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return text;
}

static int
name_text(struct arena *a, const struct tosign_general_name *n,
    const char **out, struct err *e)
{
	struct request_san san = { .type = n->tag, .ip = n->value };

	if (n->tag != TOSIGN_GN_IP) {
		*out = lower_copy(a, n->value);
		return 0;
	}
	if (request_san_check(a, &san, e) == -1)
		return -1;
	*out = san.text;
	return 0;
}

/* Alternative names, and the CN when it is not one of them. */
static int
fill_names(struct arena *a, const struct tosign_cert *c, const char *cn,
    struct store_cert *row, struct err *e)
{
	const struct tosign_ext *ext = tosign_ext_find(c, OID_SUBJECT_ALT_NAME);
	struct tosign_general_name *names = NULL;
	struct store_name *out;
	size_t n = 0, i;

	if (ext != NULL &&
	    tosign_general_names_read(a, ext->value, &names, &n, e) == -1)
		return -1;
	out = arena_array(a, n + 1, sizeof(*out));
	if (cn != NULL)
		cn = lower_copy(a, span_str(cn));
	for (i = 0; i < n; i++) {
		out[i].type = (uint8_t)names[i].tag;
		if (name_text(a, &names[i], &out[i].text, e) == -1)
			return -1;
		if (cn != NULL && strcmp(out[i].text, cn) == 0)
			cn = NULL;
	}
	if (cn != NULL)
		out[n++] = (struct store_name){ 255, cn };
	row->names = out;
	row->n_names = n;
	return 0;
}

int
certrow_fill(struct arena *a, const struct issuer *issuer, struct span tbs,
    struct span signature, struct store_cert *row, struct err *e)
{
	struct tosign_attr *attrs;
	struct tosign_cert c;
	struct dn dn;
	size_t n;

	if (tosign_cert_read(a, tbs, &c, e) == -1 ||
	    tosign_name_read(a, c.subject, &attrs, &n, e) == -1 ||
	    dn_from_attrs(a, attrs, n, &dn, e) == -1 ||
	    fill_names(a, &c, dn_value(&dn, "CN"), row, e) == -1)
		return -1;
	row->issuer = issuer->id;
	row->der = tosign_wrap(a, tbs, issuer->sig_alg, signature);
	row->serial = c.serial;
	row->not_before = c.not_before;
	row->not_after = c.not_after;
	row->subject = dn_text(a, &dn);
	sha256(row->der, row->fingerprint);
	sha256(c.spki, row->spki_sha256);
	return 0;
}
