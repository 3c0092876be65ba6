#include "ctl/ceremony.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/file.h"
#include "base/sha256.h"
#include "ca/csr.h"
#include "ca/lint.h"
#include "ca/tbs.h"
#include "ctl/ceremony_conf.h"
#include "ctl/ceremony_int.h"
#include "ctl/offline.h"

#define FILE_MAX ((size_t)64 * 1024 * 1024)
#define YEAR_S ((int64_t)365 * 86400)
#define BACKDATE_S 300
#define KU_CA (1U << 5 | 1U << 6) /* keyCertSign, cRLSign */
#define OFFLINE_OCTET 0xff        /* no running signer has this slot */

typedef struct conf conf_auto;
AUTO_DEFINE(conf_auto, conf_free);

/* What is known of an authority once its turn is over. */
struct made {
	struct issuer issuer;
	const char *chain_pem;
};

const char *
ceremony_path(const struct ceremony *x, const char *path)
{
	return path[0] == '/' ? path
			      : arena_printf(x->a, "%s/%s", x->dir, path);
}

void
ceremony_say(struct ceremony *x, const char *what, const char *detail)
{
	char now[CLOCK_RFC3339_SIZE];

	clock_rfc3339(clock_now(), now);
	buf_printf(&x->transcript, "%s %s\n", now, what);
	if (detail != NULL)
		buf_printf(&x->transcript, "%s\n", detail);
}

const struct ceremony_authority *
ceremony_authority(const struct ceremony *x, const char *name)
{
	unsigned i;

	for (i = 0; i < x->in->authorities_count; i++) {
		if (strcmp(x->in->authorities[i].name, name) == 0)
			return &x->in->authorities[i];
	}
	return NULL;
}

/* The lines of a request that name the key. */
static const char *
key_lines(const struct ceremony *x, const struct ceremony_key *k)
{
	const struct {
		const char *name, *value;
	} lines[] = {
		{ "module", k->module },
		{ "uri", k->uri },
		{ "pin-file", k->pin_file == NULL
				  ? NULL
				  : ceremony_path(x, k->pin_file) },
		{ "pin-credential", k->pin_credential },
		{ "keyfile",
		    k->keyfile == NULL ? NULL : ceremony_path(x, k->keyfile) },
		{ "passphrase-file",
		    k->passphrase_file == NULL
			? NULL
			: ceremony_path(x, k->passphrase_file) },
		{ "passphrase-credential", k->passphrase_credential },
	};
	const char *text = "";
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (lines[i].value != NULL)
			text = arena_printf(x->a, "%s%s=%s\n", text,
			    lines[i].name, lines[i].value);
	}
	return text;
}

/* One request to the signer, into the transcript with its answer. */
static int
ask(struct ceremony *x, const struct offline *o, const char *verb,
    const char *lines)
{
	const char *request = arena_printf(x->a, "verb=%s\n%s", verb, lines);
	const char *answer;

	if (offline_call(x->a, o, request, &answer, x->e) == -1) {
		ceremony_say(x, arena_printf(x->a, "signer %s failed", verb),
		    x->e->text);
		return -1;
	}
	ceremony_say(x, arena_printf(x->a, "signer %s", verb),
	    arena_printf(x->a, "%s%s", request, answer));
	return 0;
}

int
ceremony_call(struct ceremony *x, const struct ceremony_key *k,
    const char *verb, const char *lines)
{
	const struct offline o = { x->signd, x->scratch, k->environment,
		k->environment_count };

	return ask(
	    x, &o, verb, arena_printf(x->a, "%s%s", key_lines(x, k), lines));
}

static int
init_token(struct ceremony *x, const struct ceremony_token *t)
{
	const struct offline o = { x->signd, x->scratch, t->environment,
		t->environment_count };

	if (ask(x, &o, "init-token",
		arena_printf(x->a,
		    "module=%s\nlabel=%s\nso-pin-file=%s\npin-file=%s\n",
		    t->module, t->label, ceremony_path(x, t->so_pin_file),
		    ceremony_path(x, t->pin_file))) == -1)
		return err_prefix(x->e, "token \"%s\"", t->label);
	return 0;
}

const char *
ceremony_scratch(const struct ceremony *x, const char *name)
{
	return arena_printf(x->a, "%s/%s", x->scratch, name);
}

/* Makes the key and gives its public half. */
static int
make_key(
    struct ceremony *x, const struct ceremony_authority *a, struct span *spki)
{
	const char *out = ceremony_scratch(x, "public.pem");
	struct span pem;

	if (a->algorithm == NULL)
		return err_set(x->e, ERR_MALFORMED,
		    "authority \"%s\" needs an algorithm", a->name);
	if (ceremony_call(x, a->key, "make-key",
		arena_printf(x->a, "algorithm=%s\npublic=%s\n", a->algorithm,
		    out)) == -1 ||
	    ceremony_call(x, a->key, "attributes", "") == -1 ||
	    file_read(x->a, out, 65536, &pem, x->e) == -1)
		return -1;
	return pem_decode(x->a, "PUBLIC KEY", pem, spki, x->e);
}

static int
fill_profile(
    struct ceremony *x, const struct ceremony_authority *a, struct profile *p)
{
	const char **eku = arena_array(x->a, a->eku_count, sizeof(*eku));
	struct err why;
	unsigned i;

	*p = (struct profile){ .name = a->name,
		.ca = true,
		.path_len =
		    strcmp(a->issuer, "self") == 0 ? -1 : a->path_length,
		.key_usage = KU_CA,
		.key_usage_rsa = KU_CA,
		.crldp = true,
		.aia = true };
	if (conf_duration(a->validity, 86400, 100 * YEAR_S, &p->validity_max_s,
		&why) == -1)
		return err_set(x->e, ERR_MALFORMED,
		    "authority \"%s\": validity: %s", a->name, why.text);
	for (i = 0; i < a->eku_count; i++) {
		eku[i] = profile_eku_oid(a->eku[i]);
		if (eku[i] == NULL)
			return err_set(x->e, ERR_MALFORMED,
			    "authority \"%s\": \"%s\" is no extended key usage",
			    a->name, a->eku[i]);
	}
	p->eku = (struct profile_strings){ eku, a->eku_count };
	return 0;
}

static void
fill_times(const struct issuer *by, struct policy_plan *plan)
{
	plan->not_before = clock_now() - BACKDATE_S;
	plan->not_after = plan->not_before + plan->profile->validity_max_s - 1;
	if (by == NULL)
		return;
	if (plan->not_before < by->not_before)
		plan->not_before = by->not_before;
	if (plan->not_after > by->not_after)
		plan->not_after = by->not_after;
}

/* The TBSCertificate of an authority, by 'by' (NULL: by itself). */
static int
build(struct ceremony *x, const struct ceremony_authority *a, struct span spki,
    const struct issuer *by, struct span *tbs)
{
	const struct profile_strings none = { NULL, 0 };
	const struct profile_strings crl = { a->crl_urls, a->crl_urls_count };
	const struct profile_strings ca_issuers = { a->ca_issuers_urls,
		a->ca_issuers_urls_count };
	uint8_t serial[TBS_SERIAL_SIZE];
	struct profile p;
	struct policy_plan plan = {
		.profile = &p, .spki = spki, .key_usage = KU_CA
	};
	struct tbs_input in = { .serial = span_of(serial, sizeof(serial)),
		.plan = &plan,
		.crl_urls = &crl,
		.ocsp_urls = &none,
		.ca_issuers_urls = &ca_issuers };
	struct lint_input lint = { .issuer = by };
	struct pubkey key;
	AUTO_BUF(name, 65536);

	if (fill_profile(x, a, &p) == -1 ||
	    dn_parse(x->a, a->subject, &plan.subject, x->e) == -1 ||
	    pubkey_open(spki, &key, x->e) == -1)
		return -1;
	fill_times(by, &plan);
	dn_encode(&name, &plan.subject);
	in.issuer = by == NULL ? buf_get(&name) : by->subject;
	if (by != NULL) {
		in.key_id = by->key_id;
		in.sig_alg = by->sig_alg;
	} else if (issuer_sig_alg(x->a, &key, &in.sig_alg, x->e) == -1) {
		pubkey_clear(&key);
		return -1;
	}
	pubkey_clear(&key);
	if (tbs_serial(OFFLINE_OCTET, serial, x->e) == -1 ||
	    tbs_build(x->a, &in, tbs, x->e) == -1)
		return -1;
	lint.tbs = *tbs;
	return lint_check(x->a, &lint, x->e);
}

/* Has the signer sign it with the key of 'signer'. */
static int
sign(struct ceremony *x, const struct ceremony_authority *a,
    const struct ceremony_authority *signer, struct span tbs)
{
	const char *in = ceremony_scratch(x, "tbs.der");
	const char *out = ceremony_path(x, a->certificate);
	bool self = a == signer;
	const char *lines;

	if (file_replace(in, tbs, 0600, x->e) == -1)
		return -1;
	lines = self ? arena_printf(x->a, "tbs=%s\nout=%s\n", in, out)
		     : arena_printf(x->a, "issuer=%s\ntbs=%s\nout=%s\n",
			   ceremony_path(x, signer->certificate), in, out);
	return ceremony_call(
	    x, signer->key, self ? "self-sign" : "sign-ca", lines);
}

/* An issuer elsewhere must have certified the key of our request. */
static int
check_request(struct ceremony *x, const struct ceremony_authority *a,
    const struct issuer *made)
{
	struct request_want want;
	struct span bytes;

	if (a->csr == NULL)
		return 0;
	if (file_read(x->a, ceremony_path(x, a->csr), CSR_MAX, &bytes, x->e) ==
		-1 ||
	    csr_parse_any(x->a, bytes, &want, x->e) == -1)
		return -1;
	if (!span_eq(want.spki, made->spki))
		return err_set(x->e, ERR_CONFLICT,
		    "certificate has another key than the request");
	return 0;
}

/* Reads the certificate back, checks it and completes its chain file. */
static int
take_in(struct ceremony *x, const struct ceremony_authority *a,
    const struct made *by, struct made *out)
{
	struct span pem, der, tbs, alg, signature;
	const struct pubkey *key;

	if (file_read(x->a, ceremony_path(x, a->certificate), 65536, &pem,
		x->e) == -1 ||
	    pem_decode(x->a, "CERTIFICATE", pem, &der, x->e) == -1 ||
	    issuer_open(x->a, a->name, der, &out->issuer, x->e) == -1 ||
	    tosign_unwrap(der, &tbs, &alg, &signature, x->e) == -1)
		return err_prefix(x->e, "authority \"%s\"", a->name);
	out->chain_pem = pem_encode(x->a, "CERTIFICATE", der);
	if (by != NULL)
		out->chain_pem =
		    arena_printf(x->a, "%s%s", out->chain_pem, by->chain_pem);
	if (check_request(x, a, &out->issuer) == -1)
		return err_prefix(x->e, "authority \"%s\"", a->name);
	key = by == NULL ? &out->issuer.key : &by->issuer.key;
	if (strcmp(a->issuer, "external") != 0 &&
	    pubkey_verify(key, alg, tbs, signature, x->e) == -1)
		return err_prefix(x->e, "certificate of \"%s\"", a->name);
	if (a->chain == NULL || strcmp(a->issuer, "external") == 0)
		return 0;
	return file_replace(
	    ceremony_path(x, a->chain), span_str(out->chain_pem), 0644, x->e);
}

static int
write_csr(struct ceremony *x, const struct ceremony_authority *a)
{
	struct dn dn;
	AUTO_BUF(name, 65536);

	if (a->csr == NULL)
		return err_set(x->e, ERR_MALFORMED,
		    "authority \"%s\" needs a path for its csr", a->name);
	if (dn_parse(x->a, a->subject, &dn, x->e) == -1)
		return -1;
	dn_encode(&name, &dn);
	return ceremony_call(x, a->key, "csr",
	    arena_printf(x->a, "subject=%s\nout=%s\n",
		hex_encode(x->a, buf_get(&name)), ceremony_path(x, a->csr)));
}

/* The key that is to be certified: ours, or that of a request. */
static int
find_key(
    struct ceremony *x, const struct ceremony_authority *a, struct span *spki)
{
	struct request_want want;
	struct span bytes;

	if (a->key != NULL)
		return make_key(x, a, spki);
	if (a->csr == NULL)
		return err_set(x->e, ERR_MALFORMED,
		    "authority \"%s\" needs a key or a csr", a->name);
	if (file_read(x->a, ceremony_path(x, a->csr), CSR_MAX, &bytes, x->e) ==
		-1 ||
	    csr_parse_any(x->a, bytes, &want, x->e) == -1)
		return err_prefix(x->e, "authority \"%s\"", a->name);
	*spki = want.spki;
	return 0;
}

static int
make(struct ceremony *x, const struct ceremony_authority *a,
    const struct made *by)
{
	const struct ceremony_authority *signer =
	    by == NULL ? a : ceremony_authority(x, a->issuer);
	struct span spki, tbs;

	if (find_key(x, a, &spki) == -1)
		return -1;
	if (strcmp(a->issuer, "external") == 0)
		return write_csr(x, a);
	if (signer->key == NULL)
		return err_set(x->e, ERR_MALFORMED,
		    "authority \"%s\" has no key here", signer->name);
	if (build(x, a, spki, by == NULL ? NULL : &by->issuer, &tbs) == -1)
		return err_prefix(x->e, "authority \"%s\"", a->name);
	return sign(x, a, signer, tbs);
}

static bool
is_there(const struct ceremony *x, const char *path)
{
	return path != NULL && access(ceremony_path(x, path), F_OK) == 0;
}

static int
one_authority(struct ceremony *x, unsigned i, struct made *list)
{
	const struct ceremony_authority *a = &x->in->authorities[i];
	bool external = strcmp(a->issuer, "external") == 0;
	const struct made *by = NULL;
	bool found = false;
	unsigned k;

	for (k = 0; k < i; k++) {
		if (strcmp(x->in->authorities[k].name, a->issuer) != 0)
			continue;
		by = &list[k];
		found = true;
	}
	if (!found && !external && strcmp(a->issuer, "self") != 0)
		return err_set(x->e, ERR_MALFORMED,
		    "authority \"%s\": issuer \"%s\" does not stand before it",
		    a->name, a->issuer);
	if (is_there(x, a->certificate)) {
		ceremony_say(x,
		    arena_printf(x->a, "authority %s is there", a->name), NULL);
	} else if (external && is_there(x, a->csr)) {
		(void)printf("%s: waits for its certificate in %s\n", a->name,
		    ceremony_path(x, a->certificate));
		return 0;
	} else if (make(x, a, by) == -1) {
		return -1;
	} else if (external) {
		(void)printf("%s: request written to %s; put the certificate "
			     "into %s and run this again\n",
		    a->name, ceremony_path(x, a->csr),
		    ceremony_path(x, a->certificate));
		return 0;
	}
	if (take_in(x, a, by, &list[i]) == -1)
		return -1;
	(void)printf("%s: %s\n", a->name, ceremony_path(x, a->certificate));
	return 0;
}

/* Which programs took part. */
static int
record_program(struct ceremony *x, const char *path)
{
	uint8_t digest[SHA256_SIZE];
	struct span bytes;

	if (file_read(x->a, path, FILE_MAX, &bytes, x->e) == -1)
		return -1;
	sha256(bytes, digest);
	ceremony_say(x, arena_printf(x->a, "program %s", path),
	    arena_printf(x->a, "sha256=%s",
		hex_encode(x->a, span_of(digest, sizeof(digest)))));
	return 0;
}

static int
make_all(struct ceremony *x, void *arg)
{
	struct made *list =
	    arena_array(x->a, x->in->authorities_count, sizeof(*list));
	unsigned i;
	int rc = 0;

	(void)arg;
	for (i = 0; i < x->in->tokens_count && rc == 0; i++)
		rc = init_token(x, &x->in->tokens[i]);
	for (i = 0; i < x->in->authorities_count && rc == 0; i++)
		rc = one_authority(x, i, list);
	for (i = 0; i < x->in->authorities_count; i++)
		pubkey_clear(&list[i].issuer.key);
	return rc;
}

static int
run_steps(struct ceremony *x, ceremony_steps *steps, void *arg)
{
	int rc;

	ceremony_say(x, "ceremony", (const char *)conf_text(x->conf).p);
	if (record_program(x, "/proc/self/exe") == -1 ||
	    record_program(x, x->signd) == -1)
		return -1;
	rc = steps(x, arg);
	ceremony_say(
	    x, rc == 0 ? "done" : "failed", rc == 0 ? NULL : x->e->text);
	return rc;
}

/* The transcript is written whatever happened; it is never overwritten. */
static int
save_transcript(struct ceremony *x, struct err *e)
{
	const char *path = ceremony_path(x, x->in->transcript),
		   *free_path = path;
	int i;

	for (i = 2; access(free_path, F_OK) == 0; i++)
		free_path = arena_printf(x->a, "%s.%d", path, i);
	if (!buf_ok(&x->transcript))
		return err_set(e, ERR_INTERNAL, "the transcript is too long");
	return file_replace(free_path, buf_get(&x->transcript), 0644, e);
}

static void
clean_scratch(const struct ceremony *x)
{
	(void)unlink(ceremony_scratch(x, "public.pem"));
	(void)unlink(ceremony_scratch(x, "tbs.der"));
	(void)unlink(ceremony_scratch(x, "token.lock"));
	(void)rmdir(x->scratch);
}

int
ceremony_with(struct ctl *c, const char *file, ceremony_steps *steps, void *arg,
    struct err *e)
{
	char scratch[] = "/tmp/chancery-ceremony-XXXXXX";
	struct ceremony x = { .a = c->a, .e = e };
	AUTO(conf_auto) conf = NULL;
	char *copy = realpath(file, NULL);
	struct err late;
	int rc;

	if (copy == NULL)
		return err_set(e, ERR_NOT_FOUND, "cannot open \"%s\": %s", file,
		    strerror(errno));
	x.dir = arena_strdup(c->a, dirname(copy));
	free(copy);
	if (conf_load(file, ceremony_conf_schema(), &conf, e) == -1)
		return -1;
	x.conf = conf;
	x.in = conf_data(conf);
	x.signd = ctl_daemon(c, "signd");
	if (mkdtemp(scratch) == NULL)
		return err_set(e, ERR_UNAVAILABLE, "no scratch directory");
	x.scratch = scratch;
	buf_init(&x.transcript, (size_t)16 * 1024 * 1024);
	rc = run_steps(&x, steps, arg);
	if (save_transcript(&x, &late) == -1 && rc == 0) {
		*e = late;
		rc = -1;
	}
	clean_scratch(&x);
	buf_clear(&x.transcript);
	return rc;
}

int
ceremony_run(struct ctl *c, const char *file, struct err *e)
{
	return ceremony_with(c, file, make_all, NULL, e);
}
