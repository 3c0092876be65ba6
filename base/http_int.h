/*
 * What the files of base/http share; nobody else includes this.
 */
#ifndef BASE_HTTP_INT_H
#define BASE_HTTP_INT_H

#include <sys/socket.h>

#include <pthread.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <microhttpd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/http.h"
#include "base/workq.h"

struct http_tls;

struct http_port {
	struct http_server *server;
	struct MHD_Daemon *daemon;
	bool tls;
	uint16_t number;
};

struct http_ready {
	struct MHD_Response *response;
	unsigned status;
};

struct http_server {
	struct http_conf conf;
	struct workq *queue;
	struct http_port *ports;
	size_t n_ports;
	struct http_tls *tls;
	pthread_key_t thread_key; /* a thread's context, with handle_now */
	bool has_key;
	atomic_bool ending;
	atomic_size_t working; /* given to the queue, not yet resumed */
	atomic_size_t sending; /* answered, not yet sent */
};

/*
 * A listening socket; CONFLICT when the port is taken, MALFORMED when the
 * address is none, UNAVAILABLE otherwise.  '*port' is the port bound.
 */
int http_listen(const struct http_listener *l, int *fd, uint16_t *port,
    struct err *e) MUST_USE;

/* An address as text in the arena; v4-mapped addresses as IPv4. */
const char *http_address_text(struct arena *a, const struct sockaddr *sa);

/* Holds the certificates; freed with http_tls_free after the last handshake. */
struct http_tls *http_tls_new(void);
void http_tls_free(struct http_tls *t);

/* Replaces the certificate for new handshakes; MALFORMED says why not. */
int http_tls_set(struct http_tls *t, const char *chain_pem, const char *key_pem,
    struct err *e) MUST_USE;

/*
 * The daemon option that asks the newest http_tls (a process has one TLS
 * server) for its certificate in every handshake.
 */
struct MHD_OptionItem http_tls_option(void);

/* The daemon option that lets clients resume their sessions. */
struct MHD_OptionItem http_tls_tickets(void);

/*
 * Fills in what the client showed in TLS ('client_chain', in the arena) and
 * the session.
 */
void http_tls_fill(struct http_request *r, struct MHD_Connection *connection);

/* The callbacks of a request's life, for MHD_start_daemon; cls: the port. */
void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *c);
enum MHD_Result http_on_request(void *cls, struct MHD_Connection *c,
    const char *url, const char *method, const char *version, const char *data,
    size_t *data_size, void **con_cls);
void http_on_completed(void *cls, struct MHD_Connection *c, void **con_cls,
    enum MHD_RequestTerminationCode code);

/* The same for servers with handle_now; http_now_raw leaves paths escaped. */
enum MHD_Result http_now_on_request(void *cls, struct MHD_Connection *c,
    const char *url, const char *method, const char *version, const char *data,
    size_t *data_size, void **con_cls);
void http_now_on_completed(void *cls, struct MHD_Connection *c, void **con_cls,
    enum MHD_RequestTerminationCode code);
size_t http_now_raw(void *cls, struct MHD_Connection *c, char *s);

/* Makes the key of the threads' contexts; UNAVAILABLE. */
int http_now_start(struct http_server *s, struct err *e) MUST_USE;

/* The path of a request target: an absolute form loses its host. */
const char *http_target_path(const char *uri);

/* The worker's side: serves one request (a job of the queue). */
void http_work(void *worker, void *job);

#endif
