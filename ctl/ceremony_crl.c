#include "ctl/ceremony_crl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bn.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/file.h"
#include "ca/revoke.h"
#include "crl/crl_file.h"
#include "ctl/ceremony_int.h"
#include "hsm/tosign.h"

#define PEM_MAX ((size_t)65536)
#define NUMBER_MAX 20
#define SERIAL_MAX 20

AUTO_DEFINE(BIGNUM, BN_free);

/* One list on its way. */
struct making {
	const struct ceremony_crl *want;
	struct ceremony *x;
	const struct ceremony_authority *who;
	struct issuer issuer;
	int64_t now;
	struct span number;
	struct crl_entry *entries;
	size_t n;
};

int
ceremony_crl_revoke(
    struct arena *a, struct ceremony_crl *want, const char *text, struct err *e)
{
	char *what = arena_strdup(a, text), *eq = strrchr(what, '=');
	int reason = -1;

	if (want->n_revoked == CEREMONY_REVOKED_MAX)
		return err_set(e, ERR_MALFORMED,
		    "more than %d certificates at once", CEREMONY_REVOKED_MAX);
	if (eq != NULL) {
		*eq = '\0';
		reason = revoke_reason_named(eq + 1);
		if (reason == -2 || reason == REVOKE_REASON_REMOVE)
			return err_set(e, ERR_MALFORMED,
			    "\"%.40s\" is no reason to revoke (RFC 5280 5.3.1)",
			    eq + 1);
	}
	if (*what == '\0')
		return err_set(e, ERR_MALFORMED, "no serial");
	want->revoked[want->n_revoked++] =
	    (struct ceremony_revoked){ what, reason };
	return 0;
}

static int
open_authority(struct making *m)
{
	struct ceremony *x = m->x;
	struct span pem, der;

	m->who = ceremony_authority(x, m->want->name);
	if (m->who == NULL)
		return err_set(x->e, ERR_NOT_FOUND,
		    "the file has no authority \"%s\"", m->want->name);
	if (m->who->key == NULL)
		return err_set(x->e, ERR_MALFORMED,
		    "authority \"%s\" has no key here", m->who->name);
	if (file_read(x->a, ceremony_path(x, m->who->certificate), PEM_MAX,
		&pem, x->e) == -1 ||
	    pem_decode(x->a, "CERTIFICATE", pem, &der, x->e) == -1 ||
	    issuer_open(x->a, m->who->name, der, &m->issuer, x->e) == -1)
		return err_prefix(x->e, "authority \"%s\"", m->who->name);
	return 0;
}

/* The serial of a certificate that this authority has signed. */
static int
serial_of_file(struct making *m, const char *path, struct span *out)
{
	struct span text, der, tbs, alg, signature;
	struct err *e = m->x->e;
	struct tosign_cert c;

	if (file_read(m->x->a, path, PEM_MAX, &text, e) == -1)
		return -1;
	if (pem_decode(m->x->a, "CERTIFICATE", text, &der, e) == -1 ||
	    tosign_unwrap(der, &tbs, &alg, &signature, e) == -1 ||
	    tosign_cert_parse(m->x->a, tbs, &c, e) == -1)
		return err_prefix(e, "\"%s\"", path);
	if (!span_eq(c.issuer, m->issuer.subject) ||
	    pubkey_verify(&m->issuer.key, alg, tbs, signature, e) == -1)
		return err_set(e, ERR_REFUSED,
		    "\"%s\" is no certificate by \"%s\"", path, m->who->name);
	*out = c.serial;
	return 0;
}

/* Hexadecimal, with or without colons and 0x, as contents octets. */
static int
serial_of_text(struct making *m, const char *text, struct span *out)
{
	char *hex = arena_alloc(m->x->a, strlen(text) + 4), *p = hex;
	const char *t = strncmp(text, "0x", 2) == 0 ? text + 2 : text;
	struct err *e = m->x->e;
	struct span s;
	uint8_t *bytes;

	if (strcspn(t, ":") % 2 == 1)
		*p++ = '0';
	for (; *t != '\0'; t++) {
		if (*t != ':')
			*p++ = *t;
	}
	*p = '\0';
	if (hex_decode(m->x->a, span_str(hex), &s, e) == -1)
		return err_set(e, ERR_MALFORMED,
		    "\"%.80s\" is neither a file nor a serial in hexadecimal",
		    text);
	while (s.n > 0 && s.p[0] == 0)
		s = span_of(s.p + 1, s.n - 1);
	bytes = arena_alloc(m->x->a, s.n + 1);
	bytes[0] = 0;
	if (s.n > 0)
		memcpy(bytes + 1, s.p, s.n);
	*out = s.n > 0 && (s.p[0] & 0x80) != 0 ? span_of(bytes, s.n + 1) : s;
	if (out->n == 0 || out->n > SERIAL_MAX)
		return err_set(e, ERR_MALFORMED,
		    "serial \"%.80s\" has not 1 to 20 octets", text);
	return 0;
}

static struct crl_entry *
find(struct making *m, struct span serial)
{
	size_t i;

	for (i = 0; i < m->n; i++) {
		if (span_eq(m->entries[i].serial, serial))
			return &m->entries[i];
	}
	return NULL;
}

/* Revoked again: another reason counts, the first date stays. */
static int
add_revoked(struct making *m, const struct ceremony_revoked *r)
{
	struct crl_entry *old;
	struct span serial;
	int rc = access(r->what, F_OK) == 0
		     ? serial_of_file(m, r->what, &serial)
		     : serial_of_text(m, r->what, &serial);

	if (rc == -1)
		return -1;
	old = find(m, serial);
	if (old != NULL) {
		if (r->reason != -1)
			old->reason = r->reason;
		return 0;
	}
	m->entries[m->n++] = (struct crl_entry){ .serial = serial,
		.revoked_at = m->now,
		.reason = r->reason,
		.invalidity_at = CRL_NO_TIME };
	return 0;
}

/* The time, or the number before and one. */
static int
choose_number(struct making *m, const struct crl_file *before)
{
	AUTO(BIGNUM) now = BN_new();
	AUTO(BIGNUM) next = NULL;
	uint8_t *bytes = arena_alloc(m->x->a, NUMBER_MAX + 1);
	const BIGNUM *n;
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, m->now);
	next = BN_bin2bn(before->number.p, (int)before->number.n, NULL);
	if (now == NULL || next == NULL || BN_dec2bn(&now, text) == 0 ||
	    BN_add_word(next, 1) != 1)
		return err_set(m->x->e, ERR_INTERNAL, "number of the CRL");
	n = BN_cmp(next, now) > 0 ? next : now;
	if (BN_num_bits(n) >= NUMBER_MAX * 8)
		return err_set(
		    m->x->e, ERR_REFUSED, "the CRL number has no successor");
	m->number = span_of(bytes, (size_t)BN_bn2bin(n, bytes));
	return 0;
}

static int
collect(struct making *m)
{
	const struct ceremony_crl *want = m->want;
	struct crl_file before = { .n = 0 };
	struct err *e = m->x->e;
	size_t i;

	if (want->previous != NULL) {
		if (crl_file_open(m->x->a, want->previous, &before, e) == -1)
			return -1;
		if (crl_file_verify(&before, &m->issuer, e) == -1)
			return err_prefix(e, "\"%s\"", want->previous);
	}
	m->entries = arena_array(
	    m->x->a, before.n + want->n_revoked, sizeof(*m->entries));
	m->n = before.n;
	if (before.n > 0)
		memcpy(
		    m->entries, before.entries, before.n * sizeof(*m->entries));
	for (i = 0; i < want->n_revoked; i++) {
		if (add_revoked(m, &want->revoked[i]) == -1)
			return -1;
	}
	crl_file_sort(m->entries, m->n);
	return choose_number(m, &before);
}

static int
add_all(struct making *m, struct crl_build *b, struct crl_built *out)
{
	size_t i;

	for (i = 0; i < m->n; i++) {
		if (crl_build_add(b, &m->entries[i], m->x->e) == -1)
			return -1;
	}
	return crl_build_end(b, out, m->x->e);
}

/* The TBSCertList, into the scratch directory. */
static int
build(struct making *m, const char *path)
{
	struct crl_head head = { .sig_alg = m->issuer.sig_alg,
		.issuer = m->issuer.subject,
		.key_id = m->issuer.key_id,
		.number = m->number,
		.this_update = m->now,
		.next_update = m->now + m->want->valid_for_s,
		.expired_since = CRL_NO_TIME };
	struct err *e = m->x->e;
	struct crl_built built;
	struct crl_build *b;
	struct span tbs;
	int rc;

	if (head.next_update > m->issuer.not_after)
		head.next_update = m->issuer.not_after;
	if (crl_build_new(&head, &b, e) == -1)
		return -1;
	rc = add_all(m, b, &built);
	crl_build_free(b);
	if (rc == -1)
		return -1;
	rc = file_read(m->x->a,
	    arena_printf(m->x->a, "/proc/self/fd/%d", built.fd), CRL_FILE_MAX,
	    &tbs, e);
	(void)close(built.fd);
	return rc == -1 ? -1 : file_replace(path, tbs, 0600, e);
}

/* What came back is read and verified as anybody would. */
static int
check_result(struct making *m)
{
	struct crl_file f;
	char until[CLOCK_RFC3339_SIZE];

	if (crl_file_open(m->x->a, m->want->out, &f, m->x->e) == -1 ||
	    crl_file_verify(&f, &m->issuer, m->x->e) == -1)
		return err_prefix(m->x->e, "what the signer wrote");
	clock_rfc3339(f.next_update, until);
	ceremony_say(m->x,
	    arena_printf(m->x->a, "crl of %s number=%s entries=%zu until=%s",
		m->who->name, hex_encode(m->x->a, f.number), f.n, until),
	    NULL);
	(void)printf("%s: %s: %zu revoked, until %s\n", m->who->name,
	    m->want->out, f.n, until);
	return 0;
}

static int
steps(struct ceremony *x, void *arg)
{
	struct making m = { .want = arg, .x = x, .now = clock_now() };
	const char *tbs = ceremony_scratch(x, "tbs.der");
	int rc;

	if (open_authority(&m) == -1) {
		pubkey_clear(&m.issuer.key);
		return -1;
	}
	rc = collect(&m);
	if (rc == 0)
		rc = build(&m, tbs);
	if (rc == 0)
		rc = ceremony_call(x, m.who->key, "sign-crl",
		    arena_printf(x->a, "issuer=%s\ntbs=%s\nout=%s\n",
			ceremony_path(x, m.who->certificate), tbs,
			m.want->out));
	if (rc == 0)
		rc = check_result(&m);
	pubkey_clear(&m.issuer.key);
	return rc;
}

int
ceremony_crl(struct ctl *c, const struct ceremony_crl *want, struct err *e)
{
	struct ceremony_crl copy = *want;

	return ceremony_with(c, want->file, steps, &copy, e);
}
