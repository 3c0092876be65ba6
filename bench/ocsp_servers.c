#include "bench/ocsp_servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <microhttpd.h>
#include <openssl/evp.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/http.h"
#include "ocsp/responder.h"
#include "ocsp/service.h"
#include "tests/unit/ocsp_ca.h"

#define CONNECTIONS 4096

static struct ocsp_ca ca;

static _Noreturn void
die(const char *what)
{
	(void)fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static struct span
serial(uint32_t n, uint8_t out[16])
{
	uint64_t h = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	memcpy(out, &h, 8);
	memcpy(out + 8, &n, 4);
	memset(out + 12, 0x55, 4);
	out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
	return span_of(out, 16);
}

/* Percent-encoded as clients do it. */
static const char *
escape(struct arena *a, const char *b64)
{
	char *out = arena_alloc(a, 3 * strlen(b64) + 1), *p = out;

	for (; *b64 != '\0'; b64++) {
		if (strchr("+/=", *b64) == NULL) {
			*p++ = *b64;
			continue;
		}
		(void)snprintf(p, 4, "%%%02X", *b64);
		p += 3;
	}
	return out;
}

static struct span
make_request(struct arena *a, uint32_t i, int post, int nonce)
{
	uint8_t octets[16];
	OCSP_REQUEST *req =
	    ocsp_ca_request(&ca, EVP_sha1(), serial(i, octets), nonce);
	struct span der = ocsp_ca_request_der(a, req);
	const char *head;
	char *all;

	OCSP_REQUEST_free(req);
	if (!post)
		return span_str(arena_printf(a,
		    "GET /ocsp/%s HTTP/1.1\r\nHost: ca.test\r\n\r\n",
		    escape(a, b64_encode(a, der))));
	head = arena_printf(a,
	    "POST /ocsp HTTP/1.1\r\nHost: ca.test\r\n"
	    "Content-Type: application/ocsp-request\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    der.n);
	all = arena_alloc(a, strlen(head) + der.n);
	memcpy(all, head, strlen(head));
	memcpy(all + strlen(head), der.p, der.n);
	return span_of(all, strlen(head) + der.n);
}

struct span *
servers_requests(struct arena *a, size_t n, int post, int nonce)
{
	struct span *list = arena_array(a, n, sizeof(*list));
	size_t i;

	if (ca.key == NULL)
		ocsp_ca_init(&ca, "bench");
	for (i = 0; i < n; i++)
		list[i] = make_request(a, (uint32_t)i, post, nonce);
	return list;
}

/* Forks; the child says its port through the pipe. */
static bool
is_child(struct server *s, int *out)
{
	int fds[2];

	if (pipe(fds) != 0)
		die("no pipe");
	s->pid = fork();
	if (s->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(fds[0]);
		*out = fds[1];
		return true;
	}
	(void)close(fds[1]);
	if (s->pid < 0 ||
	    read(fds[0], &s->port, sizeof(s->port)) != sizeof(s->port))
		die("a server does not start");
	(void)close(fds[0]);
	return false;
}

static _Noreturn void
serve_forever(int out, uint16_t port)
{
	if (write(out, &port, sizeof(port)) != sizeof(port))
		_exit(1);
	for (;;)
		(void)pause();
}

static void
make_world(struct arena *a, struct answer_world *w, uint32_t certs)
{
	struct status s = { .issuer = 1, .reason = -1 };
	EVP_PKEY *key = ocsp_ca_key();
	X509 *cert = ocsp_ca_delegate(&ca, key, 86400, true);
	struct delegate *d;
	uint8_t octets[16];
	struct err e;
	uint32_t i;

	w->epoch = epoch_new();
	w->authorities = arena_array(a, 1, sizeof(*w->authorities));
	w->n_authorities = 1;
	w->validity_s = 3600;
	w->stale_s = 600;
	if (authority_init(a, "bench", ocsp_ca_der(a, ca.cert), w->authorities,
		&e) == -1 ||
	    responder_check(
		w->authorities, ocsp_ca_der(a, cert), key, &d, &e) == -1)
		die(e.text);
	w->authorities[0].id = 1;
	d->generation = 1;
	atomic_store(&w->delegates[0], d);
	atomic_store(&w->table, status_table_new(w->epoch, certs));
	s.not_after = clock_now() + 86400;
	for (i = 0; i < certs; i++)
		(void)status_table_put(
		    atomic_load(&w->table), serial(i, octets), &s);
	atomic_store(&w->synced_at, clock_now());
	atomic_store(&w->trust, ANSWER_CURRENT);
}

void
server_ours(struct server *s, size_t cache, size_t certs)
{
	static const char *const prefixes[] = { "/ocsp" };
	static struct answer_world world;
	struct service_conf service = { .world = &world,
		.prefixes = prefixes,
		.n_prefixes = 1,
		.cache = cache };
	struct http_listener l = { "127.0.0.1", 0, false };
	struct http_conf conf = { .listeners = &l,
		.n_listeners = 1,
		.body_max = OCSP_REQ_SIZE_MAX,
		.connections = CONNECTIONS,
		.per_address = CONNECTIONS,
		.timeout_s = 30,
		.worker_new = service_thread_new,
		.worker_free = service_thread_free,
		.handle_now = service_handle,
		.threads = SERVERS_THREADS };
	struct http_server *http;
	struct err e;
	int out;

	if (!is_child(s, &out))
		return;
	make_world(arena_new(), &world, (uint32_t)certs);
	conf.arg = service_new(&service);
	if (http_server_new(&conf, &http, &e) == -1)
		die(e.text);
	serve_forever(out, http_server_port(http, 0));
}

static enum MHD_Result
/* NOLINTNEXTLINE(readability-function-size): the type is libmicrohttpd's */
on_request(void *cls, struct MHD_Connection *c, const char *url,
    const char *method, const char *version, const char *data,
    size_t *data_size, void **con_cls)
{
	static int seen;

	(void)url;
	(void)method;
	(void)version;
	(void)data;
	if (*con_cls == NULL) {
		*con_cls = &seen;
		return MHD_YES;
	}
	if (*data_size > 0) {
		*data_size = 0;
		return MHD_YES;
	}
	return MHD_queue_response(c, 200, cls);
}

static const char *const headers[][2] = {
	{ "Content-Type", "application/ocsp-response" },
	{ "Last-Modified", "Sat, 21 Nov 2026 16:00:00 GMT" },
	{ "Expires", "Sat, 21 Nov 2026 17:00:00 GMT" },
	{ "ETag", "\"0123456789abcdef0123456789abcdef"
		  "0123456789abcdef0123456789abcdef\"" },
	{ "Cache-Control",
	    "max-age=1799, public, no-transform, must-revalidate" },
};

void
server_bare(struct server *s, struct span body)
{
	struct MHD_Response *r;
	struct MHD_Daemon *m;
	size_t i;
	int out;

	if (!is_child(s, &out))
		return;
	r = MHD_create_response_from_buffer(
	    body.n, (void *)(uintptr_t)body.p, MHD_RESPMEM_PERSISTENT);
	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		(void)MHD_add_response_header(r, headers[i][0], headers[i][1]);
	m = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL,
	    on_request, r, MHD_OPTION_THREAD_POOL_SIZE, SERVERS_THREADS,
	    MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
	    MHD_OPTION_CONNECTION_TIMEOUT, 30, MHD_OPTION_END);
	if (m == NULL)
		die("libmicrohttpd does not start");
	serve_forever(
	    out, MHD_get_daemon_info(m, MHD_DAEMON_INFO_BIND_PORT)->port);
}

static uint16_t
free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, n) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &n) != 0)
		die("no port");
	(void)close(fd);
	return ntohs(sin.sin_port);
}

static const char *
nginx_conf(struct arena *a, const char *dir, uint16_t port)
{
	return arena_printf(a,
	    "daemon off; worker_processes %d; pid %s/pid; error_log %s/err;\n"
	    "events { worker_connections 4096; }\n"
	    "http { access_log off; sendfile on; tcp_nopush off;\n"
	    "keepalive_requests 100000000; open_file_cache max=100;\n"
	    "client_body_temp_path %s/b; proxy_temp_path %s/p;\n"
	    "fastcgi_temp_path %s/f; uwsgi_temp_path %s/u;\n"
	    "scgi_temp_path %s/s; default_type application/ocsp-response;\n"
	    "server { listen 127.0.0.1:%u; root %s;\n"
	    "location / { try_files /body =404; } } }\n",
	    SERVERS_THREADS, dir, dir, dir, dir, dir, dir, dir, (unsigned)port,
	    dir);
}

static const char *
find_nginx(void)
{
	static const char *const places[] = { "/usr/sbin/nginx",
		"/usr/local/sbin/nginx", "/usr/bin/nginx" };
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (access(places[i], X_OK) == 0)
			return places[i];
	}
	return NULL;
}

static void
wait_for_port(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int i, fd, rc;

	for (i = 0; i < 200; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		rc = connect(fd, (struct sockaddr *)&sin, sizeof(sin));
		(void)close(fd);
		if (rc == 0)
			return;
		(void)usleep(10000);
	}
	die("nginx does not start");
}

int
server_nginx(struct server *s, struct span body)
{
	AUTO(arena_auto) a = arena_new();
	const char *program = find_nginx(), *conf;
	char *dir = s->dir;
	struct err e;

	if (program == NULL)
		return 0;
	(void)snprintf(dir, sizeof(s->dir), "/tmp/bench-nginx-XXXXXX");
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) != 0)
		die("no directory");
	s->port = free_port();
	conf = arena_printf(a, "%s/conf", dir);
	if (file_replace(arena_printf(a, "%s/body", dir), body, 0644, &e) ==
		-1 ||
	    file_replace(
		conf, span_str(nginx_conf(a, dir, s->port)), 0644, &e) == -1)
		die(e.text);
	s->pid = fork();
	if (s->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		(void)execl(
		    program, program, "-c", conf, "-p", dir, (char *)NULL);
		_exit(127);
	}
	wait_for_port(s->port);
	return 1;
}

void
server_end(struct server *s)
{
	pid_t rm;

	(void)kill(s->pid, SIGTERM);
	(void)waitpid(s->pid, NULL, 0);
	if (s->dir[0] == '\0')
		return;
	rm = fork();
	if (rm == 0) {
		(void)execlp("rm", "rm", "-rf", "--", s->dir, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(rm, NULL, 0);
}

double
signature_us(int seconds)
{
	EVP_PKEY *key = ocsp_ca_key();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	int64_t until = clock_mono_us() + (int64_t)seconds * 1000000;
	int64_t cpu = clock_cpu_us();
	uint8_t digest[32] = { 1 }, out[80];
	size_t n = 0, len;

	if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1)
		die("no signatures");
	while (n % 64 != 0 || clock_mono_us() < until) {
		len = sizeof(out);
		if (EVP_PKEY_sign(ctx, out, &len, digest, 32) != 1)
			die("no signatures");
		n++;
	}
	cpu = clock_cpu_us() - cpu;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return (double)cpu / (double)n;
}
