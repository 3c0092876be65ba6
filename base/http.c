#include "base/http.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http_int.h"
#include "base/log.h"

#define TLS_POOL 4
/* Of a connection that is answered at once: a request's head and a reply's. */
#define NOW_MEMORY 16384
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
/* How long unsent replies may hold up the end. */
#define LINGER_US ((int64_t)5 * 1000000)

typedef struct http_server server_auto;
AUTO_DEFINE(server_auto, http_server_free);

static void PRINTF_LIKE(2, 0) on_mhd_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	(void)cls;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_event(LOG_DEBUG, "http library", "msg", text, NULL);
}

static unsigned
port_flags(const struct http_port *p)
{
	/* epoll spins while a TLS handshake is under way */
	unsigned flags = p->tls ? MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_TLS
				: MHD_USE_EPOLL_INTERNAL_THREAD;

	if (p->server->conf.handle_now == NULL)
		flags |= MHD_ALLOW_SUSPEND_RESUME;
	return flags | MHD_USE_ERROR_LOG;
}

static struct MHD_Daemon *
start_daemon(struct http_port *p, int fd)
{
	const struct http_conf *conf = &p->server->conf;
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_THREAD_POOL_SIZE, TLS_POOL, NULL },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0,
		    (void *)(uintptr_t)TLS_PRIORITIES },
		http_tls_option(),
		http_tls_tickets(),
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem plain[] = {
		{ MHD_OPTION_END, 0, NULL },
	};

	return MHD_start_daemon(port_flags(p), 0, NULL, NULL, http_on_request,
	    p, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK,
	    http_on_uri, p, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed,
	    NULL, MHD_OPTION_CONNECTION_LIMIT, conf->connections,
	    MHD_OPTION_PER_IP_CONNECTION_LIMIT, conf->per_address,
	    MHD_OPTION_CONNECTION_TIMEOUT, conf->timeout_s, MHD_OPTION_ARRAY,
	    p->tls ? tls : plain, MHD_OPTION_END);
}

static struct MHD_Daemon *
start_now_daemon(struct http_port *p, int fd)
{
	const struct http_conf *conf = &p->server->conf;
	struct MHD_OptionItem pool[] = {
		{ MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)conf->threads, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};

	return MHD_start_daemon(port_flags(p), 0, NULL, NULL,
	    http_now_on_request, p, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log,
	    NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_UNESCAPE_CALLBACK,
	    http_now_raw, NULL, MHD_OPTION_NOTIFY_COMPLETED,
	    http_now_on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT,
	    conf->connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
	    conf->per_address, MHD_OPTION_CONNECTION_TIMEOUT, conf->timeout_s,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)NOW_MEMORY,
	    MHD_OPTION_ARRAY, conf->threads > 1 ? pool : pool + 1,
	    MHD_OPTION_END);
}

static int
open_port(struct http_port *p, const struct http_listener *l, struct err *e)
{
	sigset_t all, before;
	int fd;

	if (http_listen(l, &fd, &p->number, e) != 0)
		return -1;
	p->tls = l->tls;
	/* signals belong to the main thread */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	p->daemon = p->server->conf.handle_now == NULL
			? start_daemon(p, fd)
			: start_now_daemon(p, fd);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (p->daemon == NULL) {
		(void)close(fd);
		return err_set(e, ERR_UNAVAILABLE, "cannot serve on %s port %u",
		    l->address, (unsigned)l->port);
	}
	return 0;
}

static int
open_ports(struct http_server *s, struct err *e)
{
	size_t i;

	for (i = 0; i < s->conf.n_listeners; i++) {
		s->ports[i].server = s;
		if (open_port(&s->ports[i], &s->conf.listeners[i], e) != 0)
			return -1;
		s->n_ports++;
	}
	return 0;
}

static int
start_queue(struct http_server *s, struct err *e)
{
	struct workq_conf conf = {
		.workers = s->conf.workers,
		.capacity = s->conf.queue,
		.worker_new = s->conf.worker_new,
		.worker_free = s->conf.worker_free,
		.work = http_work,
		.arg = s->conf.arg,
	};

	return workq_new(&conf, &s->queue, e);
}

int
http_server_new(
    const struct http_conf *conf, struct http_server **out, struct err *e)
{
	AUTO(server_auto) s = calloc(1, sizeof(*s));
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	if (conf->n_listeners == 0 || conf->body_max == 0 ||
	    conf->connections == 0 || conf->per_address == 0 ||
	    conf->timeout_s == 0)
		return err_set(e, ERR_INTERNAL, "a server without limits");
	if (s == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	s->conf = *conf;
	s->ports = calloc(conf->n_listeners, sizeof(*s->ports));
	s->tls = http_tls_new();
	if (s->ports == NULL || s->tls == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	(void)sigaction(SIGPIPE, &ignore, NULL);
	if ((conf->handle_now == NULL ? start_queue(s, e)
				      : http_now_start(s, e)) != 0 ||
	    open_ports(s, e) != 0)
		return -1;
	s->conf.listeners = NULL; /* the caller's; not needed any more */
	*out = s;
	s = NULL; /* ownership moves to the caller */
	return 0;
}

int
http_server_set_cert(struct http_server *s, const char *chain_pem,
    const char *key_pem, struct err *e)
{
	return http_tls_set(s->tls, chain_pem, key_pem, e);
}

uint16_t
http_server_port(const struct http_server *s, size_t i)
{
	return s->ports[i].number;
}

static void
wait_for_none(atomic_size_t *count, int64_t until_us)
{
	struct timespec pause = { 0, 2000000 };

	while (atomic_load(count) > 0 &&
	       (until_us < 0 || clock_mono_us() < until_us))
		(void)nanosleep(&pause, NULL);
}

static void
stop_listening(struct http_server *s)
{
	size_t i;
	int fd;

	for (i = 0; i < s->n_ports; i++) {
		fd = MHD_quiesce_daemon(s->ports[i].daemon);
		if (fd >= 0)
			(void)close(fd);
	}
}

void
http_server_free(struct http_server *s)
{
	size_t i;

	if (s == NULL)
		return;
	stop_listening(s);
	atomic_store(&s->ending, true);
	/* libmicrohttpd must not be stopped with suspended connections */
	wait_for_none(&s->working, -1);
	wait_for_none(&s->sending, clock_mono_us() + LINGER_US);
	for (i = 0; i < s->n_ports; i++)
		MHD_stop_daemon(s->ports[i].daemon);
	workq_free(s->queue);
	if (s->has_key)
		(void)pthread_key_delete(s->thread_key);
	http_tls_free(s->tls);
	free(s->ports);
	free(s);
}
