#include "bench/est_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/file.h"
#include "ca/secret.h"
#include "db/store_secret.h"

#define PROFILE "device"
#define READY_US ((int64_t)30 * 1000000)
#define DAY_S ((int64_t)24 * 3600)

static const char profile[] =
    "name: " PROFILE "\n"
    "issuers: [ca]\n"
    "allow:\n"
    "- protocols: [est]\n"
    "  principals: [\"secret:*\", \"cert:" PROFILE "/*\"]\n"
    "subject:\n"
    "  allowed:\n"
    "  - {type: CN, from-san: true}\n"
    "san:\n"
    "  required: true\n"
    "  dns: {patterns: [\"**.bench.test\"]}\n"
    "keys: {ec: [P-256, P-384]}\n"
    "validity: {default: 90d, max: 90d, backdate: 1h}\n"
    "key-usage: [digitalSignature]\n"
    "extended-key-usage: [serverAuth, clientAuth]\n"
    "crl-distribution-points: true\n"
    "authority-info-access: true\n";

static struct est_world world;
static struct arena *memory;

static _Noreturn void
die(const char *what, const char *why)
{
	(void)fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(1);
}

static void
need(bool ok, const char *what)
{
	if (!ok)
		die(what, strerror(errno));
}

static void
take_down(void)
{
	if (world.enrolld > 0) {
		(void)kill(world.enrolld, SIGTERM);
		(void)waitpid(world.enrolld, NULL, 0);
	}
	arena_free(memory);
}

static const char *
path(const char *name)
{
	return arena_printf(memory, "%s/%s", world.ca->dir, name);
}

static const char *
write_file(const char *name, struct span text)
{
	const char *file = path(name);
	AUTO_FD int fd =
	    open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	need(fd >= 0 && file_write_all(fd, text) == 0, file);
	return file;
}

static uint16_t
free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(sin);

	need(fd >= 0 && bind(fd, (struct sockaddr *)&sin, n) == 0 &&
		 getsockname(fd, (struct sockaddr *)&sin, &n) == 0,
	    "port");
	return ntohs(sin.sin_port);
}

static const char *
write_settings(void)
{
	const struct settings *s = world.ca->settings;
	uint8_t cluster[32];
	const char *text;

	need(getrandom(cluster, sizeof(cluster), 0) == sizeof(cluster),
	    "random");
	(void)write_file("cluster", span_of(cluster, sizeof(cluster)));
	text = arena_printf(memory,
	    "public-url: https://" EST_WORLD_HOST ":%u\n"
	    "listen:\n- {address: 127.0.0.1, port: %u, tls: true}\n"
	    "database: \"%s\"\npolicies: %s\nrun-dir: %s\n"
	    "state-dir: %s/enrolld\ncluster-secret: %s/cluster\n"
	    "issuers:\n- name: ca\n  certificate: %s\n  chain: %s\n"
	    "  crl-urls: [\"%s\"]\n  ocsp-urls: [\"%s\"]\n"
	    "  ca-issuers-urls: [\"%s\"]\n"
	    "acme: {profile: " WORLD_PROFILE "}\n"
	    "est: {profile: " PROFILE "}\n",
	    world.port, world.port, s->database, s->policies, s->run_dir,
	    world.ca->dir, world.ca->dir, s->issuers[0].certificate,
	    s->issuers[0].chain, s->issuers[0].crl_urls[0],
	    s->issuers[0].ocsp_urls[0], s->issuers[0].ca_issuers_urls[0]);
	return write_file("chancery.yaml", span_str(text));
}

static void
run_enrolld(const char *conf)
{
	const char *dir = getenv("top_builddir");
	const char *program = arena_printf(
	    memory, "%s/chancery-enrolld", dir == NULL ? "." : dir);
	int log = open(path("enrolld.log"),
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	need(log >= 0, "log");
	world.enrolld = fork();
	need(world.enrolld >= 0, "fork");
	if (world.enrolld > 0) {
		(void)close(log);
		return;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)dup2(log, STDERR_FILENO);
	(void)execl(program, program, "-c", conf, (char *)NULL);
	_exit(127);
}

static bool
listens(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(world.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 &&
	       connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0;
}

/* It listens when it has its own certificate. */
static void
wait_ready(void)
{
	int64_t until = clock_mono_us() + READY_US;
	struct span log;
	struct err e;

	while (!listens()) {
		if (waitpid(world.enrolld, NULL, WNOHANG) == 0 &&
		    clock_mono_us() < until) {
			(void)usleep(20000);
			continue;
		}
		if (file_read(memory, path("enrolld.log"), 65536, &log, &e) ==
		    0)
			(void)fwrite(log.p, 1, log.n, stderr);
		die("chancery-enrolld", "does not serve");
	}
}

/* As an operator does. */
static void
add_secret(void)
{
	char *text = arena_alloc(memory, SECRET_TEXT_SIZE);
	struct store_secret s = { .name = EST_WORLD_USER,
		.profile = PROFILE,
		.operator= "bench",
		.expires_at = clock_now() + DAY_S };
	struct engine *g = NULL;
	struct ctx *ctx;
	struct err e;

	if (engine_new(world.ca->settings, "oper", "bench", &g, &e) == -1 ||
	    engine_start(g, &e) == -1)
		die("operator", e.text);
	ctx = engine_ctx_new(g);
	if (secret_generate(text, &e) == -1 ||
	    secret_hash(STORE_SECRET_GENERATED, span_str(text), &s, &e) == -1 ||
	    store_secret_add(ctx->writer, &s, "bench", &e) == -1)
		die("secret", e.text);
	engine_ctx_free(ctx);
	engine_free(g);
	world.secret = text;
}

const struct est_world *
est_world_new(void)
{
	world.ca = world_new();
	memory = arena_new();
	(void)atexit(take_down);
	world.root = world.ca->settings->issuers[0].certificate;
	world.port = free_port();
	(void)write_file("policies/" PROFILE ".yaml", span_str(profile));
	need(mkdir(path("enrolld"), 0700) == 0 &&
		 mkdir(path("enrolld/enroll"), 0700) == 0,
	    "state");
	run_enrolld(write_settings());
	wait_ready();
	add_secret();
	return &world;
}
