#include "protocols/vald/resolve.h"

#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <unbound.h>

#include "base/clock.h"

#define TYPE_A 1
#define TYPE_AAAA 28
#define CLASS_IN 1

struct fixed {
	char *suffix;
	struct netaddr address;
};

struct resolver {
	struct ub_ctx *ctx;
	struct fixed *fixed;
	size_t n_fixed;
};

typedef struct resolver resolver_auto;
AUTO_DEFINE(resolver_auto, resolver_free);

/* One question under way. */
struct query {
	struct netaddr *out;
	size_t n;
	bool done, failed;
};

void
resolver_free(struct resolver *r)
{
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < r->n_fixed; i++)
		free(r->fixed[i].suffix);
	free(r->fixed);
	if (r->ctx != NULL)
		ub_ctx_delete(r->ctx);
	free(r);
}

static int
copy_overrides(
    struct resolver *r, const struct resolve_conf *conf, struct err *e)
{
	size_t i;

	r->fixed = calloc(conf->n_overrides + 1, sizeof(*r->fixed));
	if (r->fixed == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	for (i = 0; i < conf->n_overrides; i++) {
		const struct resolve_override *o = &conf->overrides[i];

		if (!netaddr_parse(o->address, &r->fixed[i].address))
			return err_set(e, ERR_MALFORMED,
			    "\"%s\" is not an address", o->address);
		r->fixed[i].suffix = strdup(o->suffix);
		if (r->fixed[i].suffix == NULL)
			return err_set(e, ERR_UNAVAILABLE, "out of memory");
		r->n_fixed++;
	}
	return 0;
}

int
resolver_new(
    const struct resolve_conf *conf, struct resolver **out, struct err *e)
{
	AUTO(resolver_auto) r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	if (copy_overrides(r, conf, e) != 0)
		return -1;
	r->ctx = ub_ctx_create();
	if (r->ctx == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	(void)ub_ctx_async(r->ctx, 1); /* a thread, not a process */
	/* a server that the operator names may well be on this machine */
	(void)ub_ctx_set_option(r->ctx, "do-not-query-localhost:", "no");
	rc = conf->server == NULL ? ub_ctx_resolvconf(r->ctx, NULL)
				  : ub_ctx_set_fwd(r->ctx, conf->server);
	/* without resolv.conf it asks the root servers itself */
	if (rc != 0 && conf->server != NULL)
		return err_set(e, ERR_MALFORMED,
		    "\"%s\" is not the address of a DNS server", conf->server);
	*out = r;
	r = NULL; /* ownership moves to the caller */
	return 0;
}

static const struct fixed *
find_fixed(const struct resolver *r, const char *name)
{
	size_t len = strlen(name), n, i;
	const char *tail;

	for (i = 0; i < r->n_fixed; i++) {
		n = strlen(r->fixed[i].suffix);
		if (n > len)
			continue;
		tail = name + len - n;
		if (strcasecmp(tail, r->fixed[i].suffix) == 0 &&
		    (tail == name || tail[-1] == '.'))
			return &r->fixed[i];
	}
	return NULL;
}

static void
take_data(struct query *q, const struct ub_result *result)
{
	int i, len;

	for (i = 0; result->data[i] != NULL; i++) {
		len = result->len[i];
		if ((len != 4 && len != 16) || q->n >= RESOLVE_ADDRESSES_MAX)
			continue;
		q->out[q->n].n = (uint8_t)len;
		memcpy(q->out[q->n].bytes, result->data[i], (size_t)len);
		q->n++;
	}
}

static void
on_answer(void *arg, int error, struct ub_result *result)
{
	struct query *q = arg;

	q->done = true;
	/* 0 is NOERROR, 3 is NXDOMAIN; anything else is the server's trouble */
	if (error != 0 || result->bogus ||
	    (result->rcode != 0 && result->rcode != 3))
		q->failed = true;
	else if (result->havedata)
		take_data(q, result);
	if (result != NULL)
		ub_resolve_free(result);
}

static void
wait_for(struct resolver *r, const struct query *q, int64_t deadline_us)
{
	struct pollfd p = { .fd = ub_fd(r->ctx), .events = POLLIN };
	int64_t left;

	while (!q->done) {
		left = deadline_us - clock_mono_us();
		if (left <= 0 || poll(&p, 1, (int)(left / 1000) + 1) < 0)
			return;
		if (p.revents != 0 && ub_process(r->ctx) != 0)
			return;
	}
}

static bool
ask(struct resolver *r, const char *name, int type, int64_t deadline_us,
    struct query *q)
{
	int id = 0;

	q->done = false;
	if (ub_resolve_async(r->ctx, name, type, CLASS_IN, q, on_answer, &id) !=
	    0)
		return false;
	wait_for(r, q, deadline_us);
	if (!q->done)
		(void)ub_cancel(r->ctx, id);
	return q->done && !q->failed;
}

int
resolver_lookup(struct resolver *r, const char *name, int64_t deadline_us,
    struct netaddr out[RESOLVE_ADDRESSES_MAX], size_t *n, struct err *e)
{
	const struct fixed *f = find_fixed(r, name);
	struct query q = { .out = out };
	bool v4, v6;

	memset(out, 0, RESOLVE_ADDRESSES_MAX * sizeof(*out));
	if (f != NULL) {
		out[0] = f->address;
		*n = 1;
		return 0;
	}
	v4 = ask(r, name, TYPE_A, deadline_us, &q);
	v6 = ask(r, name, TYPE_AAAA, deadline_us, &q);
	*n = q.n;
	if (q.n > 0)
		return 0;
	if (!v4 || !v6)
		return err_set(e, ERR_UNAVAILABLE,
		    "DNS gave no usable answer for \"%s\"", name);
	return err_set(e, ERR_NOT_FOUND, "\"%s\" has no address", name);
}
