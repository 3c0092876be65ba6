#include "tests/db/ocspd_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "db/db_int.h"
#include "db/store_cert.h"
#include "db/store_status.h"
#include "hsm/responder.h"

#define PATIENCE_US 10000000

AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);
AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(OCSP_REQUEST, OCSP_REQUEST_free);

static _Noreturn void
die(const char *what, const char *why)
{
	(void)fprintf(stderr, "Bail out! %s: %s\n", what, why);
	exit(1);
}

static void
must(bool ok, const char *what)
{
	if (!ok)
		die("fixture", what);
}

static uint16_t
free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&sin, n) == 0 &&
		 getsockname(fd, (struct sockaddr *)&sin, &n) == 0,
	    "no port");
	(void)close(fd);
	return ntohs(sin.sin_port);
}

static void
write_file(struct ocspd *d, const char *name, const char *text)
{
	struct err e;

	if (file_replace(arena_printf(d->arena, "%s/%s", d->dir, name),
		span_str(text), 0600, &e) == -1)
		die(name, e.text);
}

static void
write_conf(struct ocspd *d)
{
	const char *read = "";

	if (d->replica != NULL)
		read = arena_printf(d->arena,
		    "  read-database: \"host=%s dbname=chancery\"\n",
		    pg_dir(d->replica));
	write_file(d, "ca.pem", ocsp_ca_pem(d->arena, d->ca.cert));
	write_file(d, "chancery.yaml",
	    arena_printf(d->arena,
		"public-url: https://ca.test:8443\n"
		"listen: [{address: 127.0.0.1, port: 1}]\n"
		"database: \"host=%s dbname=chancery\"\n"
		"issuers:\n"
		"- name: tls\n"
		"  certificate: ca.pem\n"
		"  chain: ca.pem\n"
		"  crl-urls: [\"http://ca.test/tls.crl\"]\n"
		"  ocsp-urls: [\"http://ca.test/status/\"]\n"
		"  ca-issuers-urls: [\"http://ca.test/ca/tls.cer\","
		" \"http://ca.test/ca/tls.p7c\"]\n"
		"acme: {profile: tls-server}\n"
		"ocsp:\n"
		"  address: 127.0.0.1\n"
		"  port: %u\n"
		"  host: node1\n"
		"  host-key: host.pem\n"
		"  snapshot-interval: 1s\n"
		"  validity: 10m\n"
		"  stale: 5m\n%s",
		pg_dir(d->pg), (unsigned)d->port, read));
}

static void
register_issuer(struct ocspd *d)
{
	struct db *db = db_new(pg_conninfo(d->pg, "chancery_oper"), "test");
	struct store_issuer i = { .name = "tls",
		.cert = ocsp_ca_der(d->arena, d->ca.cert) };
	unsigned char *spki = NULL;
	struct err e;
	int n = i2d_PUBKEY(d->ca.key, &spki);

	must(n > 0 && EVP_Digest(spki, (size_t)n, i.spki_sha256, NULL,
			  EVP_sha256(), NULL) == 1,
	    "no digest");
	OPENSSL_free(spki);
	if (store_issuer_put(db, &i, &e) == -1)
		die("issuer", e.text);
	d->issuer = i.id;
	db_free(db);
}

static const char *
program(struct ocspd *d)
{
	const char *top = getenv("top_builddir");

	return arena_printf(
	    d->arena, "%s/chancery-ocspd", top == NULL ? "." : top);
}

static pid_t
spawn(struct ocspd *d, const char *option, int out)
{
	const char *argv[] = { program(d), "-c",
		arena_printf(d->arena, "%s/chancery.yaml", d->dir), option,
		NULL };
	union {
		const char **in;
		char **out;
	} args = { .in = argv };
	pid_t pid = fork();

	if (pid == 0) {
		/* looking for leaks needs ptrace, which the daemon forbids */
		(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		if (out >= 0)
			(void)dup2(out, STDOUT_FILENO);
		(void)execv(args.out[0], args.out);
		_exit(127);
	}
	must(pid > 0, "no process");
	return pid;
}

int
ocspd_run(struct ocspd *d, const char *option)
{
	int status;

	must(waitpid(spawn(d, option, -1), &status, 0) > 0, "no end");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The host key that the daemon makes, as the operator pins it. */
static void
make_host_key(struct ocspd *d)
{
	char text[1000];
	ssize_t n;
	int fds[2], status;
	pid_t pid;
	struct span der;
	const uint8_t *p;
	struct err e;

	must(pipe(fds) == 0, "no pipe");
	pid = spawn(d, "--make-host-key", fds[1]);
	(void)close(fds[1]);
	n = read(fds[0], text, sizeof(text));
	(void)close(fds[0]);
	must(waitpid(pid, &status, 0) == pid && status == 0 && n > 0,
	    "no host key");
	must(pem_decode(d->arena, "PUBLIC KEY", span_of(text, (size_t)n), &der,
		 &e) == 0,
	    "the host key is no PEM");
	p = der.p;
	d->host_key = d2i_PUBKEY(NULL, &p, (long)der.n);
	must(d->host_key != NULL, "the host key is none");
}

struct ocspd *
ocspd_new(void)
{
	struct ocspd *d = calloc(1, sizeof(*d));
	char tmpl[] = "/tmp/ocspd-XXXXXX";

	must(d != NULL && mkdtemp(tmpl) != NULL, "no directory");
	d->arena = arena_new();
	d->dir = arena_strdup(d->arena, tmpl);
	must(
	    mkdir(arena_printf(d->arena, "%s/ocsp", tmpl), 0700) == 0 &&
		mkdir(arena_printf(d->arena, "%s/ocsp/files", tmpl), 0755) == 0,
	    "no directory");
	d->pg = pg_new();
	d->port = free_port();
	ocsp_ca_init(&d->ca, "tls");
	register_issuer(d);
	write_conf(d);
	make_host_key(d);
	must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "no libcurl");
	return d;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

void
ocspd_follow(struct ocspd *d)
{
	d->replica = pg_new_replica(d->pg);
	write_conf(d);
}

void
ocspd_free(struct ocspd *d)
{
	if (d->pid > 0)
		ocspd_stop(d, SIGKILL);
	curl_global_cleanup();
	if (d->replica != NULL)
		pg_free(d->replica);
	pg_free(d->pg);
	(void)nftw(d->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	ocsp_ca_clear(&d->ca);
	EVP_PKEY_free(d->host_key);
	arena_free(d->arena);
	free(d);
}

void
ocspd_start(struct ocspd *d)
{
	struct ocspd_reply r;
	int64_t until = clock_mono_us() + PATIENCE_US;

	d->pid = spawn(d, NULL, -1);
	do {
		(void)usleep(10000);
		ocspd_ask(d, "/health", span_of(NULL, 0), NULL, &r);
	} while (r.status == 0 && clock_mono_us() < until);
	must(r.status != 0, "it does not listen");
}

void
ocspd_stop(struct ocspd *d, int sig)
{
	int status;

	(void)kill(d->pid, sig);
	must(waitpid(d->pid, &status, 0) == d->pid, "it was not there");
	d->pid = 0;
	must(sig != SIGTERM || status == 0, "it did not end well");
}

static bool
is_signed(const struct ocspd *d, const struct store_responder *r)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	AUTO_BUF(b, 8192);
	uint8_t hash[32];
	unsigned char *spki = NULL;
	int n = i2d_PUBKEY(d->ca.key, &spki);
	struct responder_claim c = { "node1", span_of(hash, 32), r->spki,
		r->not_after };

	must(n > 0 && EVP_Digest(
			  spki, (size_t)n, hash, NULL, EVP_sha256(), NULL) == 1,
	    "no digest");
	OPENSSL_free(spki);
	responder_statement(&b, &c);
	return EVP_DigestVerifyInit(
		   ctx, NULL, EVP_sha256(), NULL, d->host_key) == 1 &&
	       EVP_DigestVerify(
		   ctx, r->signature.p, r->signature.n, b.p, b.n) == 1;
}

static void
write_cert(
    struct ocspd *d, const struct store_responder *r, int64_t ttl_s, bool wrong)
{
	const uint8_t *p = r->spki.p;
	AUTO(EVP_PKEY) key = d2i_PUBKEY(NULL, &p, (long)r->spki.n);
	X509 *cert;

	must(key != NULL, "no key in the request");
	cert = ocsp_ca_delegate(&d->ca, key, ttl_s, !wrong);
	ocspd_sql(
	    d, arena_printf(d->arena,
		   "UPDATE responder SET cert = '\\x%s', certified_at = now()",
		   hex_encode(d->arena, ocsp_ca_der(d->arena, cert))));
	X509_free(cert);
}

void
ocspd_certify(struct ocspd *d, int64_t ttl_s, bool wrong)
{
	struct db *db = db_new(pg_conninfo(d->pg, "chancery_pub"), "test");
	int64_t until = clock_mono_us() + PATIENCE_US;
	struct store_responder r;
	struct err e;

	for (;;) {
		if (store_responder_get(
			db, d->arena, "node1", d->issuer, &r, &e) == 0 &&
		    (r.cert.n == 0 || !wrong))
			break;
		must(clock_mono_us() < until, "no request");
		(void)usleep(20000);
	}
	must(is_signed(d, &r), "the request is not signed by the host");
	write_cert(d, &r, ttl_s, wrong);
	db_free(db);
}

void
ocspd_sql(struct ocspd *d, const char *sql)
{
	struct db *db = db_new(pg_conninfo(d->pg, "postgres"), "test");
	struct err e;

	if (db_script(db, sql, &e) == -1)
		die(sql, e.text);
	db_free(db);
}

#define SERIAL(n)                                                              \
	"('\\x' || repeat('41', 15) || lpad(to_hex(" n "), 2, '0'))::bytea"

void
ocspd_issue(struct ocspd *d, int from, int to)
{
	ocspd_sql(d,
	    arena_printf(d->arena,
		"INSERT INTO writer VALUES (4096, 1, 't', 't', now())"
		" ON CONFLICT DO NOTHING;"
		" WITH t AS (INSERT INTO cert_status (cert_id, not_after,"
		" issuer, serial) SELECT n, now() + interval '90 days', %d, " SERIAL(
		    "n") " FROM generate_series(%d, %d) n RETURNING *)" OCSPD_FEED
			 "; NOTIFY chancery_status",
		d->issuer, from, to));
}

struct span
ocspd_serial(int n)
{
	static uint8_t octets[16];

	memset(octets, 0x41, sizeof(octets));
	octets[15] = (uint8_t)n;
	return span_of(octets, sizeof(octets));
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct ocspd_reply *r = arg;

	must(r->n + size * n < sizeof(r->body), "a large body");
	memcpy(r->body + r->n, p, size * n);
	r->n += size * n;
	r->body[r->n] = 0;
	return size * n;
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct ocspd_reply *r = arg;
	size_t had = strlen(r->headers);

	must(had + size * n < sizeof(r->headers), "large headers");
	memcpy(r->headers + had, p, size * n);
	r->headers[had + size * n] = '\0';
	return size * n;
}

/* A client whose answer goes to 'out'. */
static CURL *
new_client(struct ocspd *d, const char *path, struct ocspd_reply *out)
{
	CURL *c = curl_easy_init();

	memset(out, 0, sizeof(*out));
	curl_easy_setopt(c, CURLOPT_URL,
	    arena_printf(
		d->arena, "http://127.0.0.1:%u%s", (unsigned)d->port, path));
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 10L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, out);
	return c;
}

static void
run_client(CURL *c, struct ocspd_reply *out)
{
	if (curl_easy_perform(c) == CURLE_OK)
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &out->status);
	curl_easy_cleanup(c);
}

void
ocspd_ask(struct ocspd *d, const char *path, struct span body,
    const char *header, struct ocspd_reply *out)
{
	CURL *c = new_client(d, path, out);
	struct curl_slist *h = NULL;

	if (body.n > 0) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.p);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)body.n);
		header = "Content-Type: application/ocsp-request";
	}
	if (header != NULL) {
		h = curl_slist_append(h, header);
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, h);
	}
	run_client(c, out);
	curl_slist_free_all(h);
}

void
ocspd_head(struct ocspd *d, const char *path, struct ocspd_reply *out)
{
	CURL *c = new_client(d, path, out);

	curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	run_client(c, out);
}

int
ocspd_status(struct ocspd *d, struct span serial)
{
	AUTO(OCSP_REQUEST) req = ocsp_ca_request(&d->ca, EVP_sha1(), serial, 0);
	AUTO(arena_auto) a = arena_new();
	char *b64 = b64_encode(a, ocsp_ca_request_der(a, req));
	struct ocspd_reply r;

	ocspd_ask(
	    d, arena_printf(a, "/status/%s", b64), span_of(NULL, 0), NULL, &r);
	if (r.status != 200)
		return -1;
	if (r.n == 5)
		return -10 - r.body[4];
	return ocsp_ca_judge(&d->ca, span_of(r.body, r.n), serial);
}

bool
ocspd_becomes(struct ocspd *d, struct span serial, int want)
{
	int64_t until = clock_mono_us() + PATIENCE_US;
	int got;

	while ((got = ocspd_status(d, serial)) != want) {
		if (clock_mono_us() > until) {
			(void)fprintf(stderr, "# status %d\n", got);
			return false;
		}
		(void)usleep(5000);
	}
	return true;
}

bool
ocspd_health(struct ocspd *d, long status, const char *text)
{
	int64_t until = clock_mono_us() + PATIENCE_US;
	struct ocspd_reply r;

	for (;;) {
		ocspd_ask(d, "/health", span_of(NULL, 0), NULL, &r);
		if (r.status == status &&
		    strstr((const char *)r.body, text) != NULL)
			return true;
		if (clock_mono_us() > until) {
			(void)fprintf(stderr, "# health %ld %s\n", r.status,
			    (const char *)r.body);
			return false;
		}
		(void)usleep(20000);
	}
}
