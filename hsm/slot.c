#include "hsm/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/ipc.h"
#include "base/log.h"
#include "hsm/sign_log.h"
#include "hsm/sign_proto.h"
#include "hsm/slot_keys.h"
#include "hsm/slot_sign.h"

#define CONNECTIONS_MAX 256
#define CONNECTIONS_KEPT 32 /* of these, for others than the front ends */

/* Callers served between two looks at the log. */
#define READY_MAX 64

/* A token that takes longer has hung: SIGALRM ends the process. */
#define DEADLINE_S 20
#define START_DEADLINE_S 60

/* A reply that nobody takes does not hold up the others. */
#define SEND_US ((int64_t)1000 * 1000)

/* How long a slot that cannot start answers before it tries again. */
#define WAIT_FIRST_US ((int64_t)100 * 1000)
#define WAIT_MAX_US ((int64_t)1000 * 1000)

/* A caller, or a socket that listens for callers of a role. */
struct connection {
	int fd; /* -1: nobody */
	enum sign_role role;
	bool listens;
};

struct slot {
	const struct slot_conf *conf;
	struct sign_log *log;
	struct slot_keys *keys;
	struct arena *arena;
	struct buf in, out;
	int epoll;
	struct connection doors[SIGN_ROLE__COUNT];
	struct connection conns[CONNECTIONS_MAX];
	size_t n_conns;
	uint64_t signatures;
	char fault[ERR_TEXT_MAX]; /* empty: can sign */
	bool pin_refused, lost;
};

static volatile sig_atomic_t ending;

static void
on_term(int sig)
{
	(void)sig;
	ending = 1;
}

static void
deadline(int seconds)
{
	struct itimerval t = { .it_value = { .tv_sec = seconds } };

	(void)setitimer(ITIMER_REAL, &t, NULL);
}

static char *
state_path(const struct slot *s, const char *name)
{
	return arena_printf(s->arena, "%s/%s", s->conf->state_dir, name);
}

/* Stops all logins, also those of other slots, until an operator acts. */
static void
stop_logins(struct slot *s)
{
	AUTO_FD int fd = open(
	    state_path(s, SLOT_PIN_FLAG), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	s->pin_refused = true;
	if (fd < 0)
		log_msg(LOG_ERROR, "cannot mark the refused PIN", "%s",
		    strerror(errno));
}

static int
open_log(struct slot *s, struct err *e)
{
	struct sign_log_conf conf = { .slot = s->conf->octet,
		.horizon_s = s->conf->policy->horizon_s + SIGN_POLICY_AHEAD_S +
			     SIGN_LOG_CLOCK_S };
	char number[32];
	uint64_t cut = 0;

	conf.path = arena_printf(
	    s->arena, "%s/sign-%02x.log", s->conf->state_dir, s->conf->octet);
	if (sign_log_open(&conf, &s->log, &cut, e) != 0)
		return -1;
	(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)cut);
	if (cut > 0)
		log_event(LOG_WARN, "torn end of the signature log cut off",
		    "file", conf.path, "bytes", number, NULL);
	return 0;
}

static int
start(struct slot *s, struct err *e)
{
	/* one slot at a time: a wrong PIN is tried once, not once per slot */
	AUTO_FD int lock = open(state_path(s, "start.lock"),
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (lock < 0 || flock(lock, LOCK_EX) != 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot lock \"%s\": %s",
		    "start.lock", strerror(errno));
	if (open_log(s, e) != 0)
		return -1;
	if (access(state_path(s, SLOT_PIN_FLAG), F_OK) == 0) {
		s->pin_refused = true;
		return err_set(e, ERR_UNAVAILABLE,
		    "a token has refused its PIN: no login until SIGHUP");
	}
	if (slot_keys_open(
		s->conf->policy, state_path(s, "token.lock"), &s->keys, e) == 0)
		return 0;
	if (e->kind == ERR_UNAUTHENTICATED)
		stop_logins(s);
	return -1;
}

static int
do_sign(struct slot *s, enum sign_role role, const struct sign_request *req,
    struct sign_reply *out, struct err *e)
{
	struct slot_means m = { .policy = s->conf->policy,
		.state_dir = s->conf->state_dir,
		.octet = s->conf->octet,
		.log = s->log,
		.keys = s->keys,
		.arena = s->arena };
	int r = slot_sign(&m, role, req, out, e);

	s->signatures += m.signatures;
	s->lost = s->lost || m.lost;
	return r;
}

/* Into our log, not only the caller's: he may be the one who is hostile. */
static void
note_refusal(struct slot *s, enum sign_role role,
    const struct sign_request *req, const struct err *why)
{
	struct err e;

	if (sign_log_refuse(
		s->log, (int)role, req->request_id, why->text, &e) != 0)
		log_event(LOG_ERROR, "refusal cannot be recorded", "msg",
		    e.text, NULL);
}

static void
answer_sign(struct slot *s, enum sign_role role, const struct sign_ask *ask,
    struct sign_answer *r)
{
	if (s->fault[0] != '\0') {
		(void)err_set(&r->err, ERR_UNAVAILABLE, "%s", s->fault);
		return;
	}
	deadline(DEADLINE_S);
	if (do_sign(s, role, &ask->sign, &r->reply, &r->err) == 0)
		r->err.kind = ERR_NONE;
	else if (r->err.kind == ERR_REFUSED || r->err.kind == ERR_MALFORMED)
		note_refusal(s, role, &ask->sign, &r->err);
	else
		log_event(LOG_ERROR, "cannot sign", "msg", r->err.text, NULL);
	deadline(0);
}

static void
answer_recall(struct slot *s, const struct sign_ask *ask, struct sign_answer *r)
{
	const struct sign_log_query query = { .tbs_hash = ask->tbs_hash,
		.since = ask->since };

	if (s->log == NULL)
		(void)err_set(&r->err, ERR_UNAVAILABLE, "%s", s->fault);
	else if (sign_log_recall(s->log, s->arena, &query, &r->found, &r->reply,
		     &r->err) == 0)
		r->err.kind = ERR_NONE;
}

static void
answer_status(struct slot *s, struct sign_answer *r)
{
	const struct sign_policy *p = s->conf->policy;
	const char *keys = "";
	size_t i;

	for (i = 0; i < p->n_keys; i++)
		keys = arena_printf(s->arena, "%s%s%s", keys, i == 0 ? "" : ",",
		    p->keys[i].name);
	r->status.keys = keys;
	r->status.seq = s->log == NULL ? 0 : sign_log_seq(s->log);
	r->status.signatures = s->signatures;
	if (s->fault[0] != '\0')
		r->status.fault = s->fault;
	else if (sign_log_clock_check(s->log, &r->err) != 0)
		r->status.fault = arena_strdup(s->arena, r->err.text);
	r->err.kind = ERR_NONE;
}

static void
answer(struct slot *s, enum sign_role role, struct sign_ask *ask,
    struct sign_answer *r)
{
	switch (ask->verb) {
	case SIGN_VERB_SIGN:
		answer_sign(s, role, ask, r);
		break;
	case SIGN_VERB_RECALL:
		answer_recall(s, ask, r);
		break;
	case SIGN_VERB_STATUS:
		answer_status(s, r);
		break;
	}
}

/* One message of a connection; -1 ends the connection. */
static int
serve(struct slot *s, struct connection *c)
{
	struct sign_answer r = { .err = { .kind = ERR_NONE } };
	AUTO_FD int passed = -1;
	struct sign_ask ask;
	struct err e;

	if (ipc_recv(c->fd, &s->in, &passed, 0, &e) != 0)
		return -1;
	arena_reset(s->arena);
	if (sign_proto_ask_parse(s->arena, buf_get(&s->in), &ask, &e) != 0)
		return -1;
	ask.sign.crl_fd = passed;
	log_request(ask.verb == SIGN_VERB_SIGN ? ask.sign.request_id : NULL);
	answer(s, c->role, &ask, &r);
	log_request(NULL);
	buf_reset(&s->out);
	sign_proto_answer_encode(&s->out, ask.verb, &r);
	if (!buf_ok(&s->out))
		return -1;
	return ipc_send(
	    c->fd, buf_get(&s->out), -1, clock_mono_us() + SEND_US, &e);
}

static bool
may_call(const struct sign_policy *p, enum sign_role role, uid_t uid)
{
	size_t i;

	for (i = 0; i < p->n_callers[role]; i++) {
		if (p->callers[role][i] == uid)
			return true;
	}
	return uid == geteuid();
}

/* Whoever holds the front end cannot shut the operator out. */
static size_t
places(enum sign_role role)
{
	return role == SIGN_ROLE_ENROLL ? CONNECTIONS_MAX - CONNECTIONS_KEPT
					: CONNECTIONS_MAX;
}

static bool
watch(struct slot *s, struct connection *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &ev) == 0;
}

/* A place for a connection; there is one while n_conns says so. */
static struct connection *
free_place(struct slot *s)
{
	struct connection *c = s->conns;

	while (c->fd >= 0)
		c++;
	return c;
}

static void
drop(struct slot *s, struct connection *c)
{
	(void)close(c->fd);
	c->fd = -1;
	s->n_conns--;
}

static void
take_in(struct slot *s, int fd, enum sign_role role)
{
	struct connection *c = free_place(s);

	*c = (struct connection){ .fd = fd, .role = role };
	s->n_conns++;
	if (!watch(s, c))
		drop(s, c);
}

static void
welcome(struct slot *s, const struct connection *door)
{
	char who[32];
	struct err e;
	uid_t uid;
	pid_t pid;
	int fd;

	if (ipc_accept(door->fd, &fd, &e) != 0)
		return;
	if (ipc_peer(fd, &uid, &pid, &e) != 0 ||
	    !may_call(s->conf->policy, door->role, uid)) {
		(void)snprintf(who, sizeof(who), "%u", (unsigned)uid);
		log_event(LOG_WARN, "caller turned away", "role",
		    sign_role_name(door->role), "uid", who, NULL);
		(void)close(fd);
		return;
	}
	if (s->n_conns >= places(door->role))
		(void)close(fd);
	else
		take_in(s, fd, door->role);
}

/* The milliseconds until the log or 'until_us' wants attention; -1: for ever.
 */
static int
patience(const struct slot *s, int64_t until_us)
{
	int64_t due = s->log == NULL ? -1 : sign_log_due_us(s->log), left;

	if (due < 0 || (until_us >= 0 && until_us < due))
		due = until_us;
	if (due < 0)
		return -1;
	left = (due - clock_mono_us() + 999) / 1000;
	if (left < 0)
		return 0;
	return left > INT32_MAX ? INT32_MAX : (int)left;
}

static void
tick(struct slot *s)
{
	struct err e;

	if (s->log != NULL && sign_log_tick(s->log, &e) != 0) {
		log_event(LOG_ERROR, "signature log", "msg", e.text, NULL);
		s->lost = true;
	}
}

/* One that calls or, on a listening socket, somebody new. */
static void
serve_one(struct slot *s, struct connection *c)
{
	if (c->listens)
		welcome(s, c);
	else if (serve(s, c) != 0)
		drop(s, c);
}

/* Serves until SIGTERM, a lost session or 'until_us'. */
static void
loop(struct slot *s, int64_t until_us)
{
	struct epoll_event ready[READY_MAX];
	sigset_t none;
	int n, i;

	(void)sigemptyset(&none);
	while (ending == 0 && !s->lost &&
	       (until_us < 0 || clock_mono_us() < until_us)) {
		/* SIGTERM is blocked but for here: none gets lost */
		n = epoll_pwait(
		    s->epoll, ready, READY_MAX, patience(s, until_us), &none);
		for (i = 0; i < n; i++)
			serve_one(s, ready[i].data.ptr);
		tick(s);
	}
}

/* Answers why it cannot sign, for longer the more often it has happened. */
static void
wait_with_fault(struct slot *s, const struct err *why)
{
	int64_t wait = WAIT_FIRST_US
		       << (s->conf->tries < 4 ? s->conf->tries : 4);

	(void)snprintf(s->fault, sizeof(s->fault), "%s", why->text);
	if (s->conf->tries == 0 || s->pin_refused)
		log_event(LOG_ERROR, "slot cannot sign", "msg", s->fault, NULL);
	loop(s, s->pin_refused ? -1
			       : clock_mono_us() +
				     (wait < WAIT_MAX_US ? wait : WAIT_MAX_US));
}

static void
finish(struct slot *s)
{
	size_t i;

	for (i = 0; i < CONNECTIONS_MAX; i++) {
		if (s->conns[i].fd >= 0)
			drop(s, &s->conns[i]);
	}
	(void)close(s->epoll);
	sign_log_close(s->log);
	slot_keys_free(s->keys);
	buf_clear(&s->in);
	buf_clear(&s->out);
	arena_free(s->arena);
}

static bool
open_doors(struct slot *s)
{
	size_t i;

	for (i = 0; i < CONNECTIONS_MAX; i++)
		s->conns[i].fd = -1;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < SIGN_ROLE__COUNT; i++) {
		s->doors[i] = (struct connection){ .fd = s->conf->listen_fds[i],
			.role = (enum sign_role)i,
			.listens = true };
		if (s->doors[i].fd >= 0 && !watch(s, &s->doors[i]))
			return false;
	}
	return true;
}

int
slot_run(const struct slot_conf *conf)
{
	struct sigaction term = { .sa_handler = on_term };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct slot *s = calloc(1, sizeof(*s));
	int status = SLOT_EXIT_DONE;
	struct err e;
	bool started;

	if (s == NULL)
		return SLOT_EXIT_NOT_READY;
	s->conf = conf;
	if (!open_doors(s))
		return SLOT_EXIT_NOT_READY;
	/* ctrl-C and SIGHUP are for the parent */
	(void)sigaction(SIGINT, &ignore, NULL);
	(void)sigaction(SIGHUP, &ignore, NULL);
	(void)sigaction(SIGTERM, &term, NULL);
	s->arena = arena_new();
	buf_init(&s->in, IPC_MESSAGE_MAX);
	buf_init(&s->out, IPC_MESSAGE_MAX);
	deadline(START_DEADLINE_S);
	started = start(s, &e) == 0;
	deadline(0);
	if (started && write(conf->ready_fd, &conf->octet, 1) == 1)
		loop(s, -1);
	else
		wait_with_fault(s, &e);
	if (ending == 0)
		status = started ? SLOT_EXIT_LOST : SLOT_EXIT_NOT_READY;
	finish(s);
	free(s);
	return status;
}
