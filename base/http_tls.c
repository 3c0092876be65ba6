#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/http_int.h"

#define CHAIN_MAX 8
#define KEY_ID_SIZE 32

/* One certificate; handshakes may still use it after its replacement. */
struct cert {
	struct cert *older;
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned n;
	gnutls_privkey_t key;
};

struct http_tls {
	gnutls_datum_t ticket_key; /* of session tickets; lives as we do */
	_Atomic(struct cert *) current;
	pthread_mutex_t lock; /* of those who replace */
};

/* GnuTLS gives its callback no argument of ours. */
static _Atomic(struct http_tls *) newest;

struct http_tls *
http_tls_new(void)
{
	struct http_tls *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	if (gnutls_session_ticket_key_generate(&t->ticket_key) < 0) {
		free(t);
		return NULL;
	}
	(void)pthread_mutex_init(&t->lock, NULL);
	atomic_store(&newest, t);
	return t;
}

static void
cert_free(struct cert *c)
{
	unsigned i;

	for (i = 0; i < c->n; i++)
		gnutls_pcert_deinit(&c->chain[i]);
	if (c->key != NULL)
		gnutls_privkey_deinit(c->key);
	free(c);
}

typedef struct cert cert_auto;
AUTO_DEFINE(cert_auto, cert_free);

void
http_tls_free(struct http_tls *t)
{
	struct http_tls *self = t;
	struct cert *c, *older;

	if (t == NULL)
		return;
	(void)atomic_compare_exchange_strong(&newest, &self, NULL);
	for (c = atomic_load(&t->current); c != NULL; c = older) {
		older = c->older;
		cert_free(c);
	}
	(void)pthread_mutex_destroy(&t->lock);
	gnutls_memset(t->ticket_key.data, 0, t->ticket_key.size);
	gnutls_free(t->ticket_key.data);
	free(t);
}

static int
tls_error(struct err *e, const char *what, int rc)
{
	return err_set(e, ERR_MALFORMED, "%s: %s", what, gnutls_strerror(rc));
}

static int
load_chain(struct cert *c, const char *pem, struct err *e)
{
	gnutls_datum_t text = { (unsigned char *)(uintptr_t)pem,
		(unsigned)strlen(pem) };
	unsigned n = CHAIN_MAX;
	int rc;

	rc = gnutls_pcert_list_import_x509_raw(
	    c->chain, &n, &text, GNUTLS_X509_FMT_PEM, 0);
	if (rc < 0)
		return tls_error(e, "TLS certificate", rc);
	c->n = n;
	return 0;
}

static int
load_key(struct cert *c, const char *pem, struct err *e)
{
	gnutls_datum_t text = { (unsigned char *)(uintptr_t)pem,
		(unsigned)strlen(pem) };
	int rc;

	rc = gnutls_privkey_init(&c->key);
	if (rc == 0)
		rc = gnutls_privkey_import_x509_raw(
		    c->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
	return rc < 0 ? tls_error(e, "TLS key", rc) : 0;
}

static void
pubkey_clear(gnutls_pubkey_t *p)
{
	if (*p != NULL)
		gnutls_pubkey_deinit(*p);
}

static int
check_pair(struct cert *c, struct err *e)
{
	__attribute__((cleanup(pubkey_clear))) gnutls_pubkey_t pub = NULL;
	unsigned char of_key[KEY_ID_SIZE], of_cert[KEY_ID_SIZE];
	size_t n_key = sizeof(of_key), n_cert = sizeof(of_cert);
	int rc;

	rc = gnutls_pubkey_init(&pub);
	if (rc == 0)
		rc = gnutls_pubkey_import_privkey(pub, c->key, 0, 0);
	if (rc == 0)
		rc = gnutls_pubkey_get_key_id(
		    pub, GNUTLS_KEYID_USE_SHA256, of_key, &n_key);
	if (rc == 0)
		rc = gnutls_pubkey_get_key_id(c->chain[0].pubkey,
		    GNUTLS_KEYID_USE_SHA256, of_cert, &n_cert);
	if (rc < 0)
		return tls_error(e, "TLS key", rc);
	if (n_key != n_cert || memcmp(of_key, of_cert, n_key) != 0)
		return err_set(e, ERR_MALFORMED,
		    "the TLS key does not belong to the certificate");
	return 0;
}

int
http_tls_set(struct http_tls *t, const char *chain_pem, const char *key_pem,
    struct err *e)
{
	AUTO(cert_auto) c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	if (load_chain(c, chain_pem, e) != 0 || load_key(c, key_pem, e) != 0 ||
	    check_pair(c, e) != 0)
		return -1;
	(void)pthread_mutex_lock(&t->lock);
	c->older = atomic_load(&t->current);
	atomic_store(&t->current, c);
	(void)pthread_mutex_unlock(&t->lock);
	c = NULL; /* ownership moves to the list */
	return 0;
}

/*
 * The client is asked for a certificate here, because this is the one place
 * in a handshake of libmicrohttpd that is ours.  A client without one is fine.
 */
static int
/* NOLINTNEXTLINE(readability-function-size): the type is GnuTLS's */
on_handshake(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
    gnutls_pcert_st **chain, unsigned *n, gnutls_ocsp_data_st **ocsp,
    unsigned *n_ocsp, gnutls_privkey_t *key, unsigned *flags)
{
	struct http_tls *t = atomic_load(&newest);
	struct cert *c = t == NULL ? NULL : atomic_load(&t->current);

	(void)info;
	if (c == NULL)
		return -1;
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
	*chain = c->chain;
	*n = c->n;
	*ocsp = NULL;
	*n_ocsp = 0;
	*key = c->key;
	*flags = 0; /* they stay ours */
	return 0;
}

static gnutls_session_t
session_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	return info == NULL ? NULL : info->tls_session;
}

/*
 * Sessions may be resumed (RFC 5077, 8446 2.2); a ticket holds the client's
 * certificate, which is judged anew with every request.
 */
static void
on_connection(void *cls, struct MHD_Connection *connection, void **socket_cls,
    enum MHD_ConnectionNotificationCode code)
{
	struct http_tls *t = atomic_load(&newest);
	gnutls_session_t session = session_of(connection);

	(void)cls;
	(void)socket_cls;
	/* without tickets the session works all the same */
	if (code == MHD_CONNECTION_NOTIFY_STARTED && t != NULL &&
	    session != NULL)
		(void)gnutls_session_ticket_enable_server(
		    session, &t->ticket_key);
}

struct MHD_OptionItem
http_tls_tickets(void)
{
	return (struct MHD_OptionItem){ MHD_OPTION_NOTIFY_CONNECTION,
		(intptr_t)on_connection, NULL };
}

struct MHD_OptionItem
http_tls_option(void)
{
	return (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK2, 0,
		(void *)(uintptr_t)on_handshake };
}

/* A certificate that is too large ends the chain. */
static void
copy_chain(struct http_request *r, gnutls_session_t session)
{
	const gnutls_datum_t *certs;
	unsigned n = 0, i;

	certs = gnutls_certificate_get_peers(session, &n);
	if (certs == NULL)
		return;
	for (i = 0; i < n && i < HTTP_CHAIN_MAX; i++) {
		if (certs[i].size > HTTP_CERT_MAX)
			return;
		r->client_chain[r->n_client_chain++] =
		    span_dup(r->arena, span_of(certs[i].data, certs[i].size));
	}
}

void
http_tls_fill(struct http_request *r, struct MHD_Connection *connection)
{
	gnutls_session_t session = session_of(connection);

	if (session == NULL)
		return;
	r->session = (const struct http_session *)session;
	copy_chain(r, session);
}

/* RFC 7627 1: two resumed sessions without the extension may look alike. */
static bool
is_unique(gnutls_session_t session)
{
	return gnutls_session_is_resumed(session) == 0 ||
	       gnutls_session_ext_master_secret_status(session) != 0;
}

enum http_binding
http_binding(const struct http_request *req, struct span *out)
{
	gnutls_session_t session = (gnutls_session_t)(uintptr_t)req->session;
	enum http_binding kind = HTTP_BINDING_NONE;
	gnutls_datum_t value = { NULL, 0 };
	gnutls_protocol_t version;
	int rc = -1;

	*out = span_of(NULL, 0);
	if (session == NULL)
		return HTTP_BINDING_NONE;
	version = gnutls_protocol_get_version(session);
	if (version == GNUTLS_TLS1_2 && is_unique(session)) {
		kind = HTTP_BINDING_TLS_UNIQUE;
		rc = gnutls_session_channel_binding(
		    session, GNUTLS_CB_TLS_UNIQUE, &value);
	} else if (version == GNUTLS_TLS1_3) {
		kind = HTTP_BINDING_TLS_EXPORTER;
		rc = gnutls_session_channel_binding(
		    session, GNUTLS_CB_TLS_EXPORTER, &value);
	}
	if (rc < 0)
		return HTTP_BINDING_NONE;
	*out = span_dup(req->arena, span_of(value.data, value.size));
	gnutls_free(value.data);
	return kind;
}
