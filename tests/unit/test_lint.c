#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/x509v3.h>

#include "base/der.h"
#include "ca/lint.h"
#include "ca/oid.h"
#include "tests/unit/ca_fixture.h"
#include "tests/unit/lint_cases.h"

static struct ca_fixture fx;
static struct span spkis[3]; /* P-256, RSA-2048, Ed25519 */

static int
setup(void **state)
{
	static const char *const types[] = { "P-256", "RSA-2048", "Ed25519" };
	EVP_PKEY *key;
	size_t i;

	(void)state;
	ca_fixture_init(&fx);
	for (i = 0; i < 3; i++) {
		key = maker_key(types[i]);
		spkis[i] = maker_spki(fx.a, key);
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

static const char *
issuer_of(enum lint_base base)
{
	switch (base) {
	case BASE_SUB_CA:
		return "open";
	case BASE_LIMITED:
		return "limited";
	case BASE_ROOT:
		return NULL;
	default:
		return "tls";
	}
}

static void
make_base(enum lint_base base, struct tbs_maker *m)
{
	if (base == BASE_SUB_CA)
		ca_fixture_ca(&fx, "open", spkis[0], m);
	else if (base == BASE_ROOT)
		ca_fixture_ca(&fx, NULL, spkis[0], m);
	else
		ca_fixture_leaf(&fx, issuer_of(base),
		    spkis[base == BASE_RSA       ? 1
			  : base == BASE_ED25519 ? 2
						 : 0],
		    m);
	if (base == BASE_EMPTY || base == BASE_LIMITED) {
		m->subject = maker_name(fx.a, NULL, 0, span_of(NULL, 0));
		maker_set(m, OID_SUBJECT_ALT_NAME, true,
		    maker_san(fx.a, DER_CONTEXT(2), span_str("a.test")));
	}
	if (base == BASE_OCSP) {
		maker_set(m, OID_EXT_KEY_USAGE, false,
		    maker_eku(fx.a, OID_EKU_OCSP_SIGNING));
		maker_set(m, OID_OCSP_NOCHECK, false, maker_hex(fx.a, "0500"));
	}
}

static struct lint_input
input_of(enum lint_base base, struct span tbs)
{
	const char *issuer = issuer_of(base);
	struct lint_input in = { .tbs = tbs };

	if (issuer != NULL)
		in.issuer = issuer_get(fx.issuers, issuer);
	if (base == BASE_PROFILE)
		in.profile = profile_get(fx.profiles, "tls-server");
	return in;
}

/* Extensions, by the name with or without "!". */
static void
change_ext(const struct lint_case *c, struct tbs_maker *m)
{
	size_t n = strlen(c->oid);
	bool critical = c->oid[n - 1] == '!';
	const char *oid = critical ? arena_memdup(fx.a, c->oid, n - 1) : c->oid;
	struct span value = span_of(NULL, 0);
	const char *hex = c->value;
	int i;

	/* the long user notice */
	for (i = 0; c->arg == 1 && i < 210; i++)
		hex = arena_printf(fx.a, "%s61", hex);
	if (hex != NULL)
		value = maker_hex(fx.a, hex);
	if (c->change == DROP_EXT)
		maker_drop(m, oid);
	else if (c->change == ADD_EXT)
		maker_add(m, oid, critical, value);
	else
		maker_set(m, oid, critical, value);
}

static void
change_usage(const struct lint_case *c, struct tbs_maker *m)
{
	AUTO_BUF(b, 64);

	der_named_bits(&b, (uint32_t)c->arg);
	maker_set(m, OID_KEY_USAGE, true, maker_take(fx.a, &b));
}

static struct span
text_of(const struct lint_case *c)
{
	return c->n > 0 ? span_of(c->value, c->n) : span_str(c->value);
}

static void
change_names(const struct lint_case *c, struct tbs_maker *m)
{
	bool empty = m->subject.n == 2;

	switch (c->change) {
	case SAN:
		maker_set(m, OID_SUBJECT_ALT_NAME, empty,
		    maker_san(fx.a, (uint8_t)c->arg, text_of(c)));
		break;
	case NAME:
		m->subject =
		    maker_name(fx.a, c->oid, (uint8_t)c->arg, text_of(c));
		break;
	case EKU:
		maker_set(
		    m, OID_EXT_KEY_USAGE, false, maker_eku(fx.a, c->value));
		break;
	default:
		m->issuer =
		    maker_name(fx.a, c->value == NULL ? NULL : "2.5.4.3",
			(uint8_t)c->arg, text_of(c));
		break;
	}
}

static void
change_field(const struct lint_case *c, struct tbs_maker *m)
{
	switch (c->change) {
	case VERSION:
		m->version = c->arg;
		break;
	case SERIAL:
		m->serial = maker_hex(fx.a, c->value);
		break;
	case SIG_ALG:
		m->sig_alg = maker_hex(fx.a, c->value);
		break;
	case BEFORE:
		m->not_before = maker_time(fx.a, (uint8_t)c->arg, c->value);
		break;
	case AFTER:
		m->not_after = maker_time(fx.a, (uint8_t)c->arg, c->value);
		break;
	case SPKI:
		m->spki = maker_hex(fx.a, c->value);
		maker_ski(m);
		break;
	default:
		m->uid = maker_hex(fx.a, c->value);
		break;
	}
}

static void
change(const struct lint_case *c, struct tbs_maker *m)
{
	switch (c->change) {
	case SET_EXT:
	case ADD_EXT:
	case DROP_EXT:
		change_ext(c, m);
		break;
	case SAN:
	case NAME:
	case EKU:
	case ISSUER:
		change_names(c, m);
		break;
	case USAGE:
		change_usage(c, m);
		break;
	case RAW:
		break;
	default:
		change_field(c, m);
		break;
	}
}

/* The TBS of a case and how it is to be judged. */
static struct lint_input
make_case(const struct lint_case *c)
{
	struct lint_input in;
	struct tbs_maker m;
	struct span tbs;

	make_base(c->base, &m);
	if (c->change == ISSUER && c->oid != NULL) {
		/* a whole other issuer */
		ca_fixture_ca(&fx, c->oid, spkis[0], &m);
		in = input_of(c->base, maker_tbs(&m));
		in.issuer = issuer_get(fx.issuers, c->oid);
		return in;
	}
	change(c, &m);
	tbs = maker_tbs(&m);
	if (c->change == RAW)
		tbs = span_of(arena_memdup(fx.a, tbs.p, tbs.n), tbs.n + 1);
	return input_of(c->base, tbs);
}

static void
good_ones_pass(void **state)
{
	struct lint_input in;
	struct tbs_maker m;
	struct err e;
	int i;

	(void)state;
	for (i = 0; i < BASE__COUNT; i++) {
		make_base((enum lint_base)i, &m);
		in = input_of((enum lint_base)i, maker_tbs(&m));
		if (lint_check(fx.a, &in, &e) == -1)
			fail_msg("base %d: %s", i, e.text);
	}
}

static void
each_case_breaks_one_rule(void **state)
{
	const char *names[128];
	const struct lint_case *c;
	struct lint_input in;
	struct err e;
	size_t i, n;
	int bad = 0;

	(void)state;
	for (i = 0; i < lint_cases_count; i++) {
		c = &lint_cases[i];
		in = make_case(c);
		n = lint_broken(fx.a, &in, names);
		e.text[0] = '\0';
		if (lint_check(fx.a, &in, &e) == 0 || n != 1 ||
		    strcmp(names[0], c->rule) != 0 || e.kind != ERR_REFUSED ||
		    strncmp(e.text, arena_printf(fx.a, "lint %s (", c->rule),
			strlen(c->rule) + 7) != 0) {
			print_error("%s, %s: %zu rules broken (%s, %s): %s\n",
			    c->rule, c->what, n, n > 0 ? names[0] : "",
			    n > 1 ? names[1] : "", e.text);
			bad++;
		}
	}
	assert_int_equal(bad, 0);
}

static void
every_rule_has_a_case(void **state)
{
	size_t i, k;

	(void)state;
	for (i = 0; i < lint_rule_count(); i++) {
		for (k = 0; k < lint_cases_count; k++) {
			if (strcmp(lint_cases[k].rule, lint_rule_name(i)) == 0)
				break;
		}
		if (k == lint_cases_count)
			fail_msg("rule %s has no case", lint_rule_name(i));
		assert_true(lint_rule_section(i)[0] != '\0');
	}
}

/* The good ones are certificates for another decoder, too. */
static void
libcrypto_reads_good_ones(void **state)
{
	const unsigned char *p;
	struct tbs_maker m;
	struct span der;
	X509 *x;
	int i;

	(void)state;
	for (i = 0; i < BASE__COUNT; i++) {
		make_base((enum lint_base)i, &m);
		if (i == BASE_ROOT)
			continue; /* its key is not kept */
		der = maker_sign(fx.a, maker_tbs(&m), m.sig_alg, fx.key);
		p = der.p;
		x = d2i_X509(NULL, &p, (long)der.n);
		assert_non_null(x);
		assert_ptr_equal(p, der.p + der.n);
		assert_int_equal(X509_verify(x, fx.key), 1);
		assert_int_equal(
		    X509_get_extension_flags(x) & EXFLAG_INVALID, 0);
		X509_free(x);
	}
}

/* The exit status of certtool, GnuTLS's decoder: stricter than libcrypto's. */
static int
certtool(const char *path)
{
	int status, null;
	pid_t pid = fork();

	if (pid == 0) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		(void)execlp("certtool", "certtool", "--inder", "-i",
		    arena_printf(fx.a, "--infile=%s", path), (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
gnutls_reads_good_ones(void **state)
{
	struct tbs_maker m;
	struct span der;
	int i, fd;

	(void)state;
	for (i = 0; i < BASE__COUNT; i++) {
		char path[] = "/tmp/lint-XXXXXX";

		make_base((enum lint_base)i, &m);
		der = maker_sign(fx.a, maker_tbs(&m), m.sig_alg, fx.key);
		fd = mkstemp(path);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, der.p, der.n), (ssize_t)der.n);
		(void)close(fd);
		assert_int_equal(certtool(path), 0);
		(void)unlink(path);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones_pass),
		cmocka_unit_test(each_case_breaks_one_rule),
		cmocka_unit_test(every_rule_has_a_case),
		cmocka_unit_test(libcrypto_reads_good_ones),
		cmocka_unit_test(gnutls_reads_good_ones),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
