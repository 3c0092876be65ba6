/*
 * Requests in, decisions and TBSCertificates out: a change of a shipped
 * profile shows as a change of its .golden file.  In such a file a line that
 * starts with "> " is a request, a line that starts with "#" a comment; the
 * rest is what must come out.  GOLDEN_UPDATE=DIR writes new files there.
 *
 * A request is made of words NAME=VALUE: key, subject, san (may repeat),
 * protocol, who, issuer, days, staple.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "ca/enroll.h"
#include "ca/oid.h"
#include "tests/unit/ca_fixture.h"

#define GOLDEN_LINE 1024

static struct ca_fixture fx;

static const char *const key_types[] = { "P-256", "P-384", "RSA-2048",
	"RSA-3072", "RSA-1024", "Ed25519" };
#define N_KEYS (sizeof(key_types) / sizeof(key_types[0]))
static struct span keys[N_KEYS];

static int
setup(void **state)
{
	EVP_PKEY *key;
	size_t i;

	(void)state;
	ca_fixture_init(&fx);
	for (i = 0; i < N_KEYS; i++) {
		key = maker_key(key_types[i]);
		keys[i] = maker_spki(fx.a, key);
		EVP_PKEY_free(key);
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ca_fixture_clear(&fx);
	return 0;
}

static struct span
key_named(const char *name)
{
	size_t i;

	for (i = 0; i < N_KEYS; i++) {
		if (strcmp(key_types[i], name) == 0)
			return keys[i];
	}
	fail_msg("unknown key %s", name);
	return keys[0];
}

static void
set_word(struct request *req, const char *name, const char *value)
{
	struct request_want *w = &req->want;
	struct err e;

	if (strcmp(name, "key") == 0)
		w->spki = key_named(value);
	else if (strcmp(name, "protocol") == 0)
		req->protocol = value;
	else if (strcmp(name, "issuer") == 0)
		req->issuer = value;
	else if (strcmp(name, "who") == 0)
		req->evidence.name = value;
	else if (strcmp(name, "staple") == 0)
		w->must_staple = true;
	else if (strcmp(name, "days") == 0)
		w->not_after =
		    CA_FIXTURE_NOW + strtoll(value, NULL, 10) * 86400 - 1;
	else if (strcmp(name, "subject") == 0)
		assert_int_equal(dn_parse(fx.a, value, &w->subject, &e), 0);
	else if (strcmp(name, "san") == 0)
		assert_int_equal(
		    request_san_parse(fx.a, value, &w->sans[w->n_sans++], &e),
		    0);
	else
		fail_msg("unknown word %s", name);
}

/* Reads "key=P-256 san=a.test ..."; a subject may have "_" for a space. */
static void
read_request(const char *line, const char *profile, struct request *req)
{
	static const struct {
		const char *protocol;
		enum request_evidence_kind kind;
	} kinds[] = { { "cli", EVIDENCE_OPERATOR },
		{ "internal", EVIDENCE_INTERNAL }, { "acme", EVIDENCE_ACME } };
	char *word, *value, *p;
	size_t n, i;

	*req = (struct request){
		.protocol = "cli", .txn = "1", .profile = profile
	};
	req->evidence.name = "alice";
	req->want.spki = keys[0];
	req->want.sans = arena_array(fx.a, 16, sizeof(*req->want.sans));
	for (; *line != '\0'; line += n + strspn(line + n, " ")) {
		n = strcspn(line, " ");
		word = arena_memdup(fx.a, line, n);
		value = strchr(word, '=');
		assert_non_null(value);
		*value++ = '\0';
		for (p = value; *p != '\0'; p++) {
			if (*p == '_')
				*p = ' ';
		}
		set_word(req, word, value);
	}
	for (i = 0; i < 3; i++) {
		if (strcmp(kinds[i].protocol, req->protocol) == 0)
			req->evidence.kind = kinds[i].kind;
	}
	req->evidence.proven = req->want.sans;
	req->evidence.n_proven = req->want.n_sans;
}

static void
put_san(struct buf *out, struct span value)
{
	struct request_want w = { 0 };
	struct err e;
	size_t i;

	assert_int_equal(request_sans_decode(fx.a, value, &w, &e), 0);
	for (i = 0; i < w.n_sans; i++)
		buf_printf(out, " %s:%s", request_san_word(w.sans[i].type),
		    w.sans[i].text);
}

static void
put_eku(struct buf *out, struct span value)
{
	struct span *oids;
	struct err e;
	size_t n, i;

	assert_int_equal(tosign_eku_parse(fx.a, value, &oids, &n, &e), 0);
	for (i = 0; i < n; i++)
		buf_printf(out, " %s", tosign_oid_text(fx.a, oids[i]));
}

static void
put_usage(struct buf *out, struct span value)
{
	struct err e;
	uint32_t bits;

	assert_int_equal(tosign_key_usage_parse(value, &bits, &e), 0);
	buf_printf(out, " %s", profile_usage_text(fx.a, bits));
}

static void
put_basic(struct buf *out, struct span value)
{
	int64_t path_len;
	struct err e;
	bool ca;

	assert_int_equal(
	    tosign_basic_constraints_parse(value, &ca, &path_len, &e), 0);
	buf_printf(out, " cA=%d pathLen=%lld", ca, (long long)path_len);
}

static void
put_crldp(struct buf *out, struct span value)
{
	struct tosign_dp *dps;
	struct err e;
	size_t n, i;

	assert_int_equal(tosign_crldp_parse(fx.a, value, &dps, &n, &e), 0);
	for (i = 0; i < n; i++)
		buf_printf(out, " %.*s", (int)dps[i].names[0].value.n,
		    (const char *)dps[i].names[0].value.p);
}

static void
put_aia(struct buf *out, struct span value)
{
	struct tosign_access *list;
	struct err e;
	size_t n, i;

	assert_int_equal(tosign_aia_parse(fx.a, value, &list, &n, &e), 0);
	for (i = 0; i < n; i++)
		buf_printf(out, " %s=%.*s",
		    tosign_oid_is(list[i].method, OID_AD_OCSP) ? "ocsp"
							       : "caIssuers",
		    (int)list[i].location.value.n,
		    (const char *)list[i].location.value.p);
}

static void
put_length(struct buf *out, struct span value)
{
	buf_printf(out, " (%zu octets)", value.n);
}

static void
put_hex(struct buf *out, struct span value)
{
	size_t i;

	buf_str(out, " ");
	for (i = 0; i < value.n; i++)
		buf_printf(out, "%02x", value.p[i]);
}

static const struct {
	const char *oid, *name;
	void (*put)(struct buf *, struct span);
} exts[] = {
	{ OID_AUTHORITY_KEY_ID, "authorityKeyIdentifier", put_length },
	{ OID_SUBJECT_KEY_ID, "subjectKeyIdentifier", put_length },
	{ OID_KEY_USAGE, "keyUsage", put_usage },
	{ OID_BASIC_CONSTRAINTS, "basicConstraints", put_basic },
	{ OID_EXT_KEY_USAGE, "extKeyUsage", put_eku },
	{ OID_SUBJECT_ALT_NAME, "subjectAltName", put_san },
	{ OID_CRL_DISTRIBUTION_POINTS, "cRLDistributionPoints", put_crldp },
	{ OID_AUTHORITY_INFO_ACCESS, "authorityInfoAccess", put_aia },
	{ OID_NAME_CONSTRAINTS, "nameConstraints", put_hex },
	{ OID_TLS_FEATURE, "tlsFeature", put_hex },
	{ OID_OCSP_NOCHECK, "ocsp-nocheck", put_hex },
};

static void
put_ext(struct buf *out, const struct tosign_ext *x)
{
	size_t i;

	for (i = 0; i < sizeof(exts) / sizeof(exts[0]); i++) {
		if (!tosign_oid_is(x->oid, exts[i].oid))
			continue;
		buf_printf(out, "     %s%s:", exts[i].name,
		    x->critical ? " (critical)" : "");
		exts[i].put(out, x->value);
		buf_str(out, "\n");
		return;
	}
	fail_msg("unknown extension %s", tosign_oid_text(fx.a, x->oid));
}

/* Times are relative to now: day and second. */
static void
put_time(struct buf *out, const char *name, int64_t t)
{
	int64_t s = t - CA_FIXTURE_NOW;

	buf_printf(out, "     %s: now %c %lld d %lld s\n", name,
	    s < 0 ? '-' : '+', (long long)((s < 0 ? -s : s) / 86400),
	    (long long)((s < 0 ? -s : s) % 86400));
}

static void
put_tbs(struct buf *out, const struct policy_plan *plan, struct span tbs)
{
	struct tosign_cert c;
	struct dn dn;
	struct err e;
	size_t i;

	assert_int_equal(tosign_cert_parse(fx.a, tbs, &c, &e), 0);
	assert_int_equal(dn_decode(fx.a, c.subject, &dn, &e), 0);
	assert_true(span_eq(c.issuer, plan->issuer->subject));
	assert_true(span_eq(c.sig_alg, plan->issuer->sig_alg));
	buf_printf(out, "TBS  v%d, serial of %zu octets, issuer %s\n",
	    c.version + 1, c.serial.n, plan->issuer->name);
	buf_printf(out, "     subject: %s\n", dn_text(fx.a, &dn));
	put_time(out, "notBefore", c.not_before);
	put_time(out, "notAfter", c.not_after);
	buf_printf(out, "     key: %s\n", plan->key_name);
	for (i = 0; i < c.n_exts; i++)
		put_ext(out, &c.exts[i]);
}

static void
put_decision(struct buf *out, const char *line, const char *profile)
{
	struct ctx ctx = { .arena = fx.a,
		.profiles = fx.profiles,
		.issuers = fx.issuers,
		.request_id = "golden" };
	struct policy_trail trail = { .n = 0 };
	struct policy_plan plan;
	struct request req;
	struct span tbs;
	struct err e;
	size_t i;
	int rc;

	read_request(line, profile, &req);
	rc = enroll_explain(&ctx, &req, &trail, &plan, &tbs, &e);
	for (i = 0; i < trail.n; i++) {
		buf_printf(out, "%-4s %s%s%s\n",
		    trail.steps[i].ok ? "ok" : "NO", trail.steps[i].rule,
		    trail.steps[i].text[0] == '\0' ? "" : ": ",
		    trail.steps[i].text);
	}
	if (rc == 0)
		put_tbs(out, &plan, tbs);
	else
		buf_printf(out, "%s: %s\n", err_kind_name(e.kind), e.text);
}

/* What the whole file should be, made from its requests and comments. */
static struct span
expected(struct span text, const char *profile)
{
	char line[GOLDEN_LINE];
	struct span out;
	const uint8_t *end;
	bool comment = false;
	size_t n;
	AUTO_BUF(b, (size_t)256 * 1024);

	for (; text.n > 0; text = span_of(text.p + n, text.n - n)) {
		end = memchr(text.p, '\n', text.n);
		n = end == NULL ? text.n : (size_t)(end - text.p) + 1;
		assert_true(n < sizeof(line));
		memcpy(line, text.p, n);
		line[end == NULL ? n : n - 1] = '\0';
		if (line[0] == '#')
			buf_printf(&b, "%s%s\n",
			    b.n > 0 && !comment ? "\n" : "", line);
		comment = line[0] == '#';
		if (strncmp(line, "> ", 2) != 0)
			continue;
		buf_printf(&b, "\n%s\n", line);
		put_decision(&b, line + 2, profile);
	}
	out = maker_take(fx.a, &b);
	return out;
}

static void
update(const char *dir, const char *profile, struct span text)
{
	const char *path = arena_printf(fx.a, "%s/%s.golden", dir, profile);
	AUTO_FD int fd =
	    open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
}

/* The first line that differs. */
static const char *
difference(struct span have, struct span want)
{
	size_t i, line = 1, from = 0;

	for (i = 0; i < have.n && i < want.n && have.p[i] == want.p[i]; i++) {
		if (have.p[i] == '\n') {
			line++;
			from = i + 1;
		}
	}
	return arena_printf(fx.a, "line %zu: now \"%.*s\"", line,
	    (int)(want.n - from > 120 ? 120 : want.n - from),
	    (const char *)want.p + from);
}

static void
golden(void **state)
{
	const char *top = getenv("top_srcdir"), *dir = getenv("GOLDEN_UPDATE");
	const char *name, *path;
	struct span have, want;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < profile_count(fx.profiles); i++) {
		name = profile_at(fx.profiles, i)->name;
		path = arena_printf(fx.a, "%s/tests/policy/%s.golden",
		    top == NULL ? "." : top, name);
		if (file_read(fx.a, path, (size_t)256 * 1024, &have, &e) == -1)
			fail_msg("%s", e.text);
		want = expected(have, name);
		if (dir != NULL)
			update(dir, name, want);
		else if (!span_eq(have, want))
			fail_msg("%s.golden, %s", name, difference(have, want));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
