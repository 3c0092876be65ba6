#include "tests/attack/signd_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/b64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/der.h"
#include "hsm/tosign.h"

#define WAIT_US ((int64_t)20 * 1000 * 1000)

const char fixture_classes[] =
    "classes:\n"
    "- name: server\n"
    "  key: ca\n"
    "  caller: enroll\n"
    "  kind: certificate\n"
    "  eku: [serverAuth, \"serverAuth clientAuth\"]\n"
    "  key-usage: [digitalSignature]\n"
    "  extensions: [keyUsage, extendedKeyUsage, subjectAltName,\n"
    "    authorityKeyIdentifier, basicConstraints]\n"
    "  subject:\n"
    "  - {attribute: commonName, values: [\"*\"], from-san: true}\n"
    "  san: {dns: [\"**.good.test\"]}\n"
    "  max-validity: 90d\n"
    "  backdate: 1h\n"
    /* says what the compiled-in rules must not let through */
    "- name: reckless\n"
    "  key: ca\n"
    "  caller: enroll\n"
    "  kind: certificate\n"
    "  eku: [anyExtendedKeyUsage, OCSPSigning, cmcRA, 1.3.6.1.5.5.7.3.32,\n"
    "    absent]\n"
    "  key-usage: [\"keyCertSign cRLSign\", cRLSign, digitalSignature]\n"
    "  extensions: [keyUsage, extendedKeyUsage, subjectAltName,\n"
    "    authorityKeyIdentifier, basicConstraints, noCheck]\n"
    "  san: {dns: [\"**\"]}\n"
    "  max-validity: 10y\n"
    "- name: sub-ca\n"
    "  key: ca\n"
    "  caller: oper\n"
    "  kind: certificate\n"
    "  eku: [absent]\n"
    "  key-usage: [\"keyCertSign cRLSign\"]\n"
    "  extensions: [keyUsage, basicConstraints, authorityKeyIdentifier]\n"
    "  ca: true\n"
    "  path-len: 0\n"
    "  subject:\n"
    "  - {attribute: commonName, values: [\"Sub *\"]}\n"
    "  max-validity: 5y\n";

const char *
fixture_module(void)
{
	static const char *const paths[] = {
		"/usr/lib/softhsm/libsofthsm2.so",
		"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
		"/usr/lib64/pkcs11/libsofthsm2.so",
	};
	size_t i;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (access(paths[i], R_OK) == 0)
			return paths[i];
	}
	return NULL;
}

int
fixture_run(struct fixture *f, const char *input, char *const argv[])
{
	const char *log = arena_printf(f->a, "%s/run.log", f->dir);
	int status, in, out;
	pid_t pid = fork();

	if (pid == 0) {
		in = open(input == NULL ? "/dev/null" : input, O_RDONLY);
		out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		(void)dup2(in, STDIN_FILENO);
		(void)dup2(out, STDOUT_FILENO);
		(void)dup2(out, STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

const char *
fixture_write(struct fixture *f, const char *name, struct span text)
{
	const char *path = arena_printf(f->a, "%s/%s", f->dir, name);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	return path;
}

void
fixture_token(struct fixture *f)
{
	const char *conf;
	char *dir;
	char *const init[] = { (char *)"softhsm2-util", (char *)"--init-token",
		(char *)"--free", (char *)"--label", (char *)"ca",
		(char *)"--so-pin", (char *)"12345678", (char *)"--pin",
		(char *)FIXTURE_PIN, NULL };

	memset(f, 0, sizeof(*f));
	f->a = arena_new();
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/signd-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	dir = arena_printf(f->a, "%s/tokens", f->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	conf = fixture_write(f, "softhsm2.conf",
	    span_str(arena_printf(
		f->a, "directories.tokendir = %s\nlog.level = ERROR\n", dir)));
	assert_int_equal(setenv("SOFTHSM2_CONF", conf, 1), 0);
	assert_int_equal(fixture_run(f, NULL, init), 0);
	(void)fixture_write(f, "pin", span_str(FIXTURE_PIN "\n"));
	(void)snprintf(f->state, sizeof(f->state), "%s/state", f->dir);
	(void)snprintf(f->run, sizeof(f->run), "%s/run", f->dir);
	(void)snprintf(f->conf, sizeof(f->conf), "%s/keys.yaml", f->dir);
	(void)snprintf(f->ca, sizeof(f->ca), "%s/ca.pem", f->dir);
	assert_int_equal(mkdir(f->state, 0700), 0);
}

static char *
signd_path(struct fixture *f)
{
	const char *dir = getenv("top_builddir");

	return arena_printf(f->a, "%s/chancery-signd", dir == NULL ? "." : dir);
}

int
fixture_ceremony(struct fixture *f, const char *request)
{
	const char *file = fixture_write(f, "request", span_str(request));
	char *const argv[] = { signd_path(f), (char *)"--ceremony",
		(char *)(uintptr_t)file, (char *)"-s", f->state, NULL };

	return fixture_run(f, NULL, argv);
}

static void
put_name(struct buf *b, const char *cn)
{
	size_t name = der_begin(b, DER_SEQUENCE), rdn, attr;

	if (cn != NULL) {
		rdn = der_begin(b, DER_SET);
		attr = der_begin(b, DER_SEQUENCE);
		der_oid(b, "2.5.4.3");
		der_put(b, DER_UTF8_STRING, span_str(cn));
		der_end(b, attr);
		der_end(b, rdn);
	}
	der_end(b, name);
}

static void
put_ext(struct buf *b, const char *oid, bool critical, struct span value)
{
	size_t begun = der_begin(b, DER_SEQUENCE);

	der_oid(b, oid);
	der_true(b, critical);
	der_put(b, DER_OCTET_STRING, value);
	der_end(b, begun);
}

static void
put_usage(struct fixture *f, struct buf *b, const struct fixture_tbs *t)
{
	uint32_t bits = t->key_usage == 0 ? 1 : t->key_usage;
	size_t begun;
	AUTO_BUF(v, 256);

	(void)f;
	if (t->ca) {
		begun = der_begin(&v, DER_SEQUENCE);
		der_true(&v, true);
		der_int(&v, 0);
		der_end(&v, begun);
		put_ext(b, "2.5.29.19", true, buf_get(&v));
		buf_reset(&v);
		bits = t->key_usage == 0 ? 3 << 5 : t->key_usage;
	}
	der_named_bits(&v, bits);
	put_ext(b, "2.5.29.15", true, buf_get(&v));
	buf_reset(&v);
	if (t->ca)
		return;
	begun = der_begin(&v, DER_SEQUENCE);
	der_oid(&v, t->eku == NULL ? "1.3.6.1.5.5.7.3.1" : t->eku);
	der_end(&v, begun);
	put_ext(b, "2.5.29.37", false, buf_get(&v));
}

static void
put_exts(struct fixture *f, struct buf *b, const struct fixture_tbs *t)
{
	const char *dns = t->dns == NULL ? "a.good.test" : t->dns;
	size_t outer = der_begin(b, DER_CONTEXT_CONSTRUCTED(3));
	size_t list = der_begin(b, DER_SEQUENCE), begun;
	AUTO_BUF(v, 512);

	put_usage(f, b, t);
	if (!t->ca && dns[0] != '\0') {
		begun = der_begin(&v, DER_SEQUENCE);
		der_put(&v, DER_CONTEXT(2), span_str(dns));
		der_end(&v, begun);
		put_ext(b, "2.5.29.17", true, buf_get(&v));
	}
	if (t->self)
		put_ext(b, "2.5.29.14", false,
		    span_of("\x04\x04\x01\x02\x03\x04", 6));
	else
		put_ext(b, "2.5.29.35", false, t->aki.n > 0 ? t->aki : f->aki);
	if (t->extra_oid != NULL)
		put_ext(b, t->extra_oid, false,
		    t->extra.n > 0 ? t->extra : span_of("\x05\x00", 2));
	der_end(b, list);
	der_end(b, outer);
}

/* A P-256 key that nobody has; signd does not look at the point. */
static struct span
some_spki(struct fixture *f)
{
	static const uint8_t head[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07,
		0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
		0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
		0x04 };
	uint8_t *p = arena_alloc(f->a, sizeof(head) + 64);

	memcpy(p, head, sizeof(head));
	return span_of(p, sizeof(head) + 64);
}

struct span
fixture_tbs(struct fixture *f, const struct fixture_tbs *t)
{
	static const uint8_t alg[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48,
		0xce, 0x3d, 0x04, 0x03, 0x02 };
	int64_t from = clock_now() + t->not_before;
	uint8_t serial[16];
	size_t outer, in;
	AUTO_BUF(b, 8192);

	memset(serial, t->fill == 0 ? 0x55 : t->fill, sizeof(serial));
	serial[1] = t->slot;
	outer = der_begin(&b, DER_SEQUENCE);
	in = der_begin(&b, DER_CONTEXT_CONSTRUCTED(0));
	der_int(&b, 2);
	der_end(&b, in);
	der_put(&b, DER_INTEGER, span_of(serial, sizeof(serial)));
	buf_add(&b, alg, sizeof(alg));
	if (t->issuer.n > 0)
		buf_span(&b, t->issuer);
	else
		buf_span(&b, f->ca_name);
	in = der_begin(&b, DER_SEQUENCE);
	der_time(&b, from);
	der_time(&b, from + (t->validity_s == 0 ? 86400 : t->validity_s));
	der_end(&b, in);
	put_name(&b, t->cn);
	buf_span(&b, t->spki.n > 0 ? t->spki : some_spki(f));
	put_exts(f, &b, t);
	der_end(&b, outer);
	assert_true(buf_ok(&b));
	return span_dup(f->a, buf_get(&b));
}

static struct span
read_all(struct fixture *f, const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY);
	uint8_t bytes[65536];
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, bytes, sizeof(bytes));
	assert_true(n >= 0);
	return span_dup(f->a, span_of(bytes, (size_t)n));
}

static const char *
key_lines(struct fixture *f)
{
	return arena_printf(f->a, "module=%s\nuri=%s\npin-file=%s/pin\n",
	    fixture_module(), FIXTURE_URI, f->dir);
}

/* The key in the token, and a certificate by itself. */
static void
make_ca(struct fixture *f)
{
	struct fixture_tbs t = { .ca = true,
		.self = true,
		.cn = "Test CA",
		.validity_s = (int64_t)3650 * 86400 };
	const char *tbs;
	struct err e;
	AUTO_BUF(name, 256);

	put_name(&name, "Test CA");
	f->ca_name = span_dup(f->a, buf_get(&name));
	f->aki = span_of("\x30\x06\x80\x04\x01\x02\x03\x04", 8);
	assert_int_equal(
	    fixture_ceremony(f, arena_printf(f->a,
				    "verb=make-key\n%salgorithm=P-256\n"
				    "public=%s/ca.pub\n",
				    key_lines(f), f->dir)),
	    0);
	assert_int_equal(
	    pem_decode(f->a, "PUBLIC KEY",
		read_all(f, arena_printf(f->a, "%s/ca.pub", f->dir)), &t.spki,
		&e),
	    0);
	tbs = fixture_write(f, "ca.tbs", fixture_tbs(f, &t));
	assert_int_equal(
	    fixture_ceremony(f, arena_printf(f->a,
				    "verb=self-sign\n%stbs=%s\nout=%s\n\n"
				    "verb=attributes\n%s",
				    key_lines(f), tbs, f->ca, key_lines(f))),
	    0);
}

void
fixture_ca(struct fixture *f, const char *classes)
{
	make_ca(f);
	(void)fixture_write(f, "keys.yaml",
	    span_str(arena_printf(f->a,
		"node: 3\nslots: 2\n"
		"tokens:\n- name: main\n  module: %s\n  pin-file: %s/pin\n"
		"keys:\n- name: ca\n  token: main\n  uri: \"%s\"\n"
		"  certificate: %s\n%s",
		fixture_module(), f->dir, FIXTURE_URI, f->ca, classes)));
}

static int
count_in(struct fixture *f, const char *name, const char *text)
{
	const char *path = arena_printf(f->a, "%s/%s", f->dir, name), *p;
	AUTO_FD int fd = open(path, O_RDONLY);
	char *log = arena_alloc(f->a, 1 << 20);
	int n = 0;

	if (fd < 0 || read(fd, log, (1 << 20) - 1) < 0)
		return 0;
	for (p = log; (p = strstr(p, text)) != NULL; p++)
		n++;
	return n;
}

void
fixture_wait_file(
    struct fixture *f, const char *name, const char *text, int times)
{
	int64_t until = clock_mono_us() + WAIT_US;

	while (count_in(f, name, text) < times) {
		if (clock_mono_us() > until)
			fail_msg(
			    "%s has no \"%s\" %d times", name, text, times);
		usleep(20000);
	}
}

void
fixture_wait_log(struct fixture *f, const char *text, int times)
{
	fixture_wait_file(f, "signd.log", text, times);
}

void
fixture_start(struct fixture *f, int times)
{
	const char *log = arena_printf(f->a, "%s/signd.log", f->dir);
	char *const argv[] = { signd_path(f), (char *)"-c", f->conf,
		(char *)"-r", f->run, (char *)"-s", f->state, NULL };
	int out;

	f->signd = fork();
	if (f->signd == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		(void)dup2(out, STDERR_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	assert_true(f->signd > 0);
	if (times > 0)
		fixture_wait_log(f, " ready\n", times);
}

void
fixture_stop(struct fixture *f)
{
	int status;

	assert_int_equal(kill(f->signd, SIGTERM), 0);
	assert_int_equal(waitpid(f->signd, &status, 0), f->signd);
	f->signd = 0;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void
fixture_clear(struct fixture *f)
{
	if (f->signd != 0)
		fixture_stop(f);
	(void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	arena_free(f->a);
}
