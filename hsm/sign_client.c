#include "hsm/sign_client.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/ipc.h"
#include "hsm/sign_proto.h"

#define SLOT_OCTETS 256

/* How often the directory is listed, and how long a slot that was down is
 * passed over, in microseconds. */
#define LIST_EVERY_US ((int64_t)5 * 1000 * 1000)
#define SKIP_US ((int64_t)1000 * 1000)

/* How often a wait looks whether it has been too long. */
#define WAIT_TICK_MS 1000

struct slot_state {
	int fd;                /* -1: not connected */
	int64_t skip_until_us; /* of clock_mono_us */
};

/* What has become of a request that was held. */
enum held {
	HELD_NONE, /* there is none, or it was not sent */
	HELD_BACK,
	HELD_SENT /* its reply is to be received */
};

struct sign_client {
	char *dir;
	int64_t timeout_us, listed_us;
	uint8_t octets[SLOT_OCTETS];
	size_t n_octets, turn;
	struct slot_state slots[SLOT_OCTETS];
	struct buf out, in;
	pthread_mutex_t lock; /* of what follows */
	enum held held;
	uint8_t held_slot;
	int64_t sent_us;
	int wake_fd; /* the owner waits for this one, too */
};

struct sign_client *
sign_client_new(const char *run_dir, const char *role, int timeout_ms)
{
	size_t n = strlen(run_dir) + strlen(role) + sizeof("/sign-");
	struct sign_client *c = calloc(1, sizeof(*c));
	int i;

	if (c == NULL || (c->dir = malloc(n)) == NULL)
		abort();
	(void)snprintf(c->dir, n, "%s/sign-%s", run_dir, role);
	c->timeout_us = (int64_t)timeout_ms * 1000;
	for (i = 0; i < SLOT_OCTETS; i++)
		c->slots[i].fd = -1;
	buf_init(&c->out, IPC_MESSAGE_MAX);
	buf_init(&c->in, IPC_MESSAGE_MAX);
	(void)pthread_mutex_init(&c->lock, NULL);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd < 0)
		abort();
	return c;
}

static void
hang_up(struct sign_client *c, uint8_t slot)
{
	if (c->slots[slot].fd >= 0)
		(void)close(c->slots[slot].fd);
	c->slots[slot].fd = -1;
}

void
sign_client_free(struct sign_client *c)
{
	int i;

	if (c == NULL)
		return;
	for (i = 0; i < SLOT_OCTETS; i++)
		hang_up(c, (uint8_t)i);
	buf_clear(&c->out);
	buf_clear(&c->in);
	(void)pthread_mutex_destroy(&c->lock);
	(void)close(c->wake_fd);
	free(c->dir);
	free(c);
}

static int
dial(struct sign_client *c, uint8_t slot, struct err *e)
{
	char path[4096];

	if (c->slots[slot].fd >= 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/%02x", c->dir, slot);
	return ipc_connect(path, &c->slots[slot].fd, e);
}

/* Two lower-case hex digits. */
static bool
octet_of(const char *name, uint8_t *out)
{
	char *end;

	if (strspn(name, "0123456789abcdef") != 2 || name[2] != '\0')
		return false;
	*out = (uint8_t)strtoul(name, &end, 16);
	return true;
}

static int
list_slots(struct sign_client *c, struct err *e)
{
	struct dirent *d;
	uint8_t octet;
	DIR *dir;

	if (c->n_octets > 0 && clock_mono_us() < c->listed_us + LIST_EVERY_US)
		return 0;
	dir = opendir(c->dir);
	if (dir == NULL)
		return err_set(e, ERR_UNAVAILABLE, "cannot list \"%s\": %s",
		    c->dir, strerror(errno));
	c->n_octets = 0;
	while ((d = readdir(dir)) != NULL && c->n_octets < SLOT_OCTETS) {
		if (octet_of(d->d_name, &octet))
			c->octets[c->n_octets++] = octet;
	}
	(void)closedir(dir);
	c->listed_us = clock_mono_us();
	return 0;
}

int
sign_client_slot(struct sign_client *c, uint8_t *slot, struct err *e)
{
	int64_t now = clock_mono_us();
	bool skipping;
	size_t i, n;

	if (list_slots(c, e) != 0)
		return -1;
	if (c->n_octets == 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "no signer slot in \"%s\"", c->dir);
	n = c->n_octets;
	/* the second round takes slots that were down a moment ago */
	for (i = 0; i < 2 * n; i++) {
		*slot = c->octets[c->turn++ % n];
		skipping = now < c->slots[*slot].skip_until_us;
		if ((i >= n || !skipping) && dial(c, *slot, e) == 0)
			return 0;
	}
	c->n_octets = 0; /* list again next time */
	return err_set(e, ERR_UNAVAILABLE, "no signer slot answers");
}

static int
encode(struct sign_client *c, const struct sign_ask *ask, struct err *e)
{
	buf_reset(&c->out);
	sign_proto_ask_encode(&c->out, ask);
	if (!buf_ok(&c->out))
		return err_set(e, ERR_MALFORMED, "request is too large");
	return 0;
}

/*
 * Sends the encoded request.  A connection that proves dead while sending
 * has carried nothing, so a fresh one may: after that, only recall knows.
 */
static int
send_ask(struct sign_client *c, uint8_t slot, const struct sign_ask *ask,
    int64_t deadline, struct err *e)
{
	int r = -1, tries, fd = -1;

	if (ask->verb == SIGN_VERB_SIGN && ask->sign.kind == SIGN_CRL)
		fd = ask->sign.crl_fd;
	if (encode(c, ask, e) != 0)
		return -1;
	for (tries = 0; tries < 2 && r != 0; tries++) {
		if (dial(c, slot, e) != 0)
			break;
		r = ipc_send(
		    c->slots[slot].fd, buf_get(&c->out), fd, deadline, e);
		if (r != 0)
			hang_up(c, slot);
	}
	return r;
}

/* Whether this is the request that was let go. */
static bool
take_held(struct sign_client *c, uint8_t slot, const struct sign_ask *ask)
{
	bool sent;

	(void)pthread_mutex_lock(&c->lock);
	sent = c->held == HELD_SENT && c->held_slot == slot &&
	       ask->verb == SIGN_VERB_SIGN;
	c->held = HELD_NONE;
	(void)pthread_mutex_unlock(&c->lock);
	return sent;
}

/* One request and its reply. */
static int
exchange(struct sign_client *c, struct arena *a, uint8_t slot,
    const struct sign_ask *ask, struct sign_answer *out, struct err *e)
{
	int64_t deadline = clock_mono_us() + c->timeout_us;
	int r = 0;

	if (take_held(c, slot, ask))
		deadline = c->sent_us + c->timeout_us;
	else
		r = send_ask(c, slot, ask, deadline, e);
	if (r == 0)
		r = ipc_recv(c->slots[slot].fd, &c->in, NULL, deadline, e);
	if (r == 0)
		r = sign_proto_answer_parse(
		    a, buf_get(&c->in), ask->verb, out, e);
	if (r == 0)
		return 0;
	/* a late reply must not be taken for that of the next request */
	hang_up(c, slot);
	c->slots[slot].skip_until_us = clock_mono_us() + SKIP_US;
	return err_prefix(e, "signer slot %02x", slot);
}

/* The exchange, with the signer's own error as ours. */
static int
ask_slot(struct sign_client *c, struct arena *a, uint8_t slot,
    const struct sign_ask *ask, struct sign_answer *out, struct err *e)
{
	if (exchange(c, a, slot, ask, out, e) != 0)
		return -1;
	if (out->err.kind == ERR_NONE)
		return 0;
	if (out->err.kind == ERR_UNAVAILABLE)
		c->slots[slot].skip_until_us = clock_mono_us() + SKIP_US;
	if (e != NULL)
		*e = out->err;
	return -1;
}

int
sign_client_sign(struct sign_client *c, struct arena *a,
    const struct sign_request *req, struct sign_reply *out, struct err *e)
{
	struct sign_ask ask = { .verb = SIGN_VERB_SIGN, .sign = *req };
	struct sign_answer r;

	if (ask_slot(c, a, req->slot, &ask, &r, e) != 0)
		return -1;
	*out = r.reply;
	return 0;
}

int
sign_client_hold(
    struct sign_client *c, const struct sign_request *req, struct err *e)
{
	const struct sign_ask ask = { .verb = SIGN_VERB_SIGN, .sign = *req };

	if (encode(c, &ask, e) != 0 || dial(c, req->slot, e) != 0)
		return -1;
	(void)pthread_mutex_lock(&c->lock);
	c->held = HELD_BACK;
	c->held_slot = req->slot;
	(void)pthread_mutex_unlock(&c->lock);
	return 0;
}

void
sign_client_let_go(void *client, bool go)
{
	struct sign_client *c = client;
	const uint64_t one = 1;
	struct err ignored;

	/* the owner may go on, and even free us, when the lock is free */
	(void)pthread_mutex_lock(&c->lock);
	c->sent_us = clock_mono_us();
	c->held = HELD_NONE;
	if (go && ipc_send(c->slots[c->held_slot].fd, buf_get(&c->out), -1, 0,
		      &ignored) == 0)
		c->held = HELD_SENT;
	else
		(void)!write(c->wake_fd, &one, sizeof(one));
	(void)pthread_mutex_unlock(&c->lock);
}

/* What has become of the request by now. */
static enum held
look(struct sign_client *c, bool *late)
{
	enum held held;

	(void)pthread_mutex_lock(&c->lock);
	held = c->held;
	*late =
	    held == HELD_SENT && clock_mono_us() - c->sent_us > c->timeout_us;
	(void)pthread_mutex_unlock(&c->lock);
	return held;
}

void
sign_client_wait(void *client)
{
	struct sign_client *c = client;
	struct pollfd p[] = {
		{ .fd = c->wake_fd, .events = POLLIN },
		{ .fd = c->slots[c->held_slot].fd, .events = POLLIN },
	};
	enum held held;
	uint64_t count;
	bool late;

	do {
		(void)poll(p, 2, WAIT_TICK_MS);
		held = look(c, &late);
		if (held == HELD_BACK && p[1].revents != 0)
			p[1].fd = -1; /* gone before it was asked anything */
	} while (held == HELD_BACK ||
		 (held == HELD_SENT && p[1].revents == 0 && !late));
	(void)!read(c->wake_fd, &count, sizeof(count));
}

int
sign_client_recall(struct sign_client *c, struct arena *a,
    const struct sign_recall *what, bool *found, struct sign_reply *out,
    struct err *e)
{
	struct sign_ask ask = { .verb = SIGN_VERB_RECALL,
		.since = what->since };
	struct sign_answer r;

	memcpy(ask.tbs_hash, what->tbs_hash, SIGN_HASH_SIZE);
	if (ask_slot(c, a, what->slot, &ask, &r, e) != 0)
		return -1;
	*found = r.found;
	*out = r.reply;
	return 0;
}

int
sign_client_status(struct sign_client *c, struct arena *a, uint8_t slot,
    struct sign_status *out, struct err *e)
{
	struct sign_ask ask = { .verb = SIGN_VERB_STATUS };
	struct sign_answer r;

	if (ask_slot(c, a, slot, &ask, &r, e) != 0)
		return -1;
	*out = r.status;
	return 0;
}
