#include "bench/est_load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pkcs7.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/b64.h"
#include "base/clock.h"

#define ANSWER_MAX 16384

AUTO_DEFINE(PKCS7, PKCS7_free);
AUTO_DEFINE(X509, X509_free);

/* A client's connection and the answer that came last. */
struct conn {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	const char *authorization; /* header line, or nothing */
	char got[ANSWER_MAX];
	struct span body;
};

static _Noreturn void
die(const char *what)
{
	(void)fprintf(stderr, "bench: EST client: %s\n", what);
	exit(1);
}

static void
need(bool ok, const char *what)
{
	if (!ok)
		die(what);
}

static void
show_cert(SSL_CTX *ctx, const struct est_client *c)
{
	const uint8_t *p = c->cert.p;
	AUTO(X509) x = d2i_X509(NULL, &p, (long)c->cert.n);

	need(x != NULL && SSL_CTX_use_certificate(ctx, x) == 1 &&
		 SSL_CTX_use_PrivateKey(ctx, c->key) == 1,
	    "its certificate");
}

static void
open_conn(const struct est_load *l, struct conn *k)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(l->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1;

	k->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(k->fd >= 0 &&
		 connect(k->fd, (struct sockaddr *)&sin, sizeof(sin)) == 0,
	    "connect");
	(void)setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	k->ssl = SSL_new(k->ctx);
	need(k->ssl != NULL && SSL_set_fd(k->ssl, k->fd) == 1 &&
		 SSL_set_tlsext_host_name(k->ssl, l->host) == 1 &&
		 SSL_set1_host(k->ssl, l->host) == 1 &&
		 SSL_connect(k->ssl) == 1,
	    "TLS handshake");
}

static void
conn_new(const struct est_load *l, const struct est_client *c, struct conn *k)
{
	k->ctx = SSL_CTX_new(TLS_client_method());
	need(k->ctx != NULL &&
		 SSL_CTX_load_verify_locations(k->ctx, l->root, NULL) == 1,
	    "trust anchor");
	SSL_CTX_set_verify(k->ctx, SSL_VERIFY_PEER, NULL);
	if (c->cert.n > 0)
		show_cert(k->ctx, c);
	open_conn(l, k);
}

static void
conn_free(struct conn *k)
{
	SSL_free(k->ssl);
	SSL_CTX_free(k->ctx);
	(void)close(k->fd);
}

/* The answer's body, when all of it is there. */
static bool
is_whole(struct conn *k, size_t n)
{
	const char *head = memmem(k->got, n, "\r\n\r\n", 4), *field;
	size_t at, size;

	if (head == NULL)
		return false;
	at = (size_t)(head - k->got);
	field = memmem(k->got, at, "Content-Length: ", 16);
	need(field != NULL, "an answer without a length");
	size = strtoul(field + 16, NULL, 10);
	k->body = span_of(head + 4, size);
	return at + 4 + size <= n;
}

static void
ask(const struct est_load *l, struct conn *k, const char *op, struct span csr)
{
	AUTO(arena_auto) a = arena_new();
	const char *body = b64_encode(a, csr);
	const char *text = arena_printf(a,
	    "POST /.well-known/est/%s HTTP/1.1\r\nHost: %s\r\n"
	    "Content-Type: application/pkcs10\r\n%sContent-Length: %zu\r\n"
	    "\r\n%s",
	    op, l->host, k->authorization, strlen(body), body);
	size_t n = 0;
	int got;

	need(SSL_write(k->ssl, text, (int)strlen(text)) > 0, "write");
	do {
		got =
		    SSL_read(k->ssl, k->got + n, (int)(sizeof(k->got) - 1 - n));
		need(got > 0, "the connection was closed");
		n += (size_t)got;
		k->got[n] = '\0';
	} while (!is_whole(k, n));
	if (strncmp(k->got, "HTTP/1.1 200", 12) != 0)
		die(k->got);
}

static const char *
credentials(struct arena *a, const struct est_load *l)
{
	const char *both = arena_printf(a, "%s:%s", l->user, l->secret);

	return arena_printf(
	    a, "Authorization: Basic %s\r\n", b64_encode(a, span_str(both)));
}

void
est_load_first(struct est_load *l, struct est_client *c, struct span csr)
{
	AUTO(arena_auto) a = arena_new();
	AUTO(PKCS7) p7 = NULL;
	struct conn k = { .authorization = credentials(a, l) };
	unsigned char *der = NULL;
	const uint8_t *p;
	struct span certs;
	struct err e;
	int n;

	conn_new(l, c, &k);
	ask(l, &k, "simpleenroll", csr);
	need(b64_decode(a, k.body, &certs, &e) == 0, "base64");
	p = certs.p;
	p7 = d2i_PKCS7(NULL, &p, (long)certs.n);
	need(p7 != NULL && PKCS7_type_is_signed(p7) &&
		 sk_X509_num(p7->d.sign->cert) == 1,
	    "certs-only");
	n = i2d_X509(sk_X509_value(p7->d.sign->cert, 0), &der);
	need(n > 0, "certificate");
	c->cert = span_of(der, (size_t)n);
	conn_free(&k);
}

static void *
work(void *arg)
{
	struct est_client *c = arg;
	struct est_load *l = c->load;
	AUTO(arena_auto) a = arena_new();
	struct conn k = { .authorization = l->renew ? "" : credentials(a, l) };
	struct est_client nobody = { .n_csrs = 0 };
	int64_t from;

	conn_new(l, l->renew ? c : &nobody, &k);
	while (!atomic_load(&l->stop) && c->done < c->n_csrs) {
		from = clock_mono_us();
		ask(l, &k, l->renew ? "simplereenroll" : "simpleenroll",
		    c->csrs[c->done++]);
		if (atomic_load(&l->measuring))
			latency_note(&c->latency, clock_mono_us() - from);
	}
	atomic_fetch_sub(&l->at_work, 1);
	conn_free(&k);
	return NULL;
}

void
est_load_start(struct est_load *l)
{
	size_t i;

	atomic_store(&l->stop, false);
	atomic_store(&l->measuring, false);
	atomic_store(&l->at_work, l->n_clients);
	for (i = 0; i < l->n_clients; i++) {
		l->clients[i].load = l;
		l->clients[i].done = 0;
		need(pthread_create(&l->clients[i].thread, NULL, work,
			 &l->clients[i]) == 0,
		    "thread");
	}
}

void
est_load_stop(struct est_load *l, struct latency_sum *out)
{
	struct latency all = { 0 };
	size_t i;

	atomic_store(&l->stop, true);
	for (i = 0; i < l->n_clients; i++) {
		(void)pthread_join(l->clients[i].thread, NULL);
		latency_take(&all, &l->clients[i].latency);
	}
	latency_sum(&all, out);
}
