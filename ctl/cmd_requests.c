/* Requests that wait for an operator: requests, approve, reject. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/ctl.h"
#include "db/store_request.h"

#define PAGE 1000
#define REASON_MAX 500

static const char *const states[] = {
	[STORE_REQUEST_PENDING] = "waiting",
	[STORE_REQUEST_APPROVED] = "approved",
	[STORE_REQUEST_REJECTED] = "rejected",
	[STORE_REQUEST_EXPIRED] = "expired",
	[STORE_REQUEST_INTENT] = "approved",
	[STORE_REQUEST_ISSUED] = "issued",
	[STORE_REQUEST_OLD] = "issued",
	[STORE_REQUEST_VOID] = "given up",
};

static void
print_one(struct ctl *c, const struct store_waiting *w)
{
	char since[CLOCK_RFC3339_SIZE], until[CLOCK_RFC3339_SIZE];

	clock_rfc3339(w->created_at, since);
	clock_rfc3339(w->expires_at, until);
	if (c->json) {
		ctl_print_json(json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s,"
					 " s:s, s:s, s:s*, s:s*, s:s*}",
		    "id", (json_int_t)w->id, "state", states[w->state],
		    "protocol", w->protocol, "transaction", w->txn, "profile",
		    w->profile, "principal", w->principal, "names", w->summary,
		    "since", since, "until", until, "secret", w->secret,
		    "operator", w->operator, "reason", w->reason));
		return;
	}
	(void)printf("%" PRId64 "  %-8s %s  %s over %s  %s  since %s until %s",
	    w->id, states[w->state], w->profile, w->principal, w->protocol,
	    w->summary, since, until);
	if (w->operator!= NULL)
		(void)printf("  by %s%s%s", w->operator,
		    w->reason == NULL ? "" : ": ",
		    w->reason == NULL ? "" : w->reason);
	(void)printf("\n");
}

int
cmd_requests(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct store_waiting_query q = { 0, PAGE, false };
	struct store_waiting *w;
	struct err e;
	size_t i, n;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == '?')
			return CTL_USAGE;
		q.all = q.all || opt == 'a';
		c->json = c->json || opt == 'j';
	}
	if (optind != argc)
		return ctl_usage("requests [--all]");
	rc = ctl_engine(c);
	if (rc != CTL_OK)
		return rc;
	do {
		if (store_request_waiting(c->ctx->db, c->a, &q, &w, &n, &e) ==
		    -1)
			return ctl_fail(c, &e);
		for (i = 0; i < n; i++)
			print_one(c, &w[i]);
		if (n > 0)
			q.after = w[n - 1].id;
	} while (n == PAGE);
	return CTL_OK;
}

static bool
read_id(const char *text, int64_t *id)
{
	char *end;

	if (text[0] < '1' || text[0] > '9' || strlen(text) > 18)
		return false;
	*id = strtoll(text, &end, 10);
	return *end == '\0';
}

static int
decide(struct ctl *c, int argc, char **argv, bool approve)
{
	static const struct option options[] = {
		{ "reason", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct store_decision d = { .approve = approve, .operator= c->user };
	struct store_waiting w;
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "r:", options, NULL)) != -1) {
		if (opt == '?')
			return CTL_USAGE;
		if (opt == 'r')
			d.reason = optarg;
		else
			c->json = true;
	}
	if (optind + 1 != argc || !read_id(argv[optind], &d.id) ||
	    (!approve && d.reason == NULL) ||
	    (d.reason != NULL && strlen(d.reason) > REASON_MAX))
		return ctl_usage(
		    approve ? "approve [-r reason] id" : "reject -r reason id");
	rc = ctl_engine(c);
	if (rc != CTL_OK)
		return rc;
	d.request_id = c->ctx->request_id;
	if (store_request_decide(c->ctx->writer, &d, &e) == -1 ||
	    store_request_waiting_get(c->ctx->db, c->a, d.id, &w, &e) == -1)
		return ctl_fail(c, &e);
	print_one(c, &w);
	return CTL_OK;
}

int
cmd_approve(struct ctl *c, int argc, char **argv)
{
	return decide(c, argc, argv, true);
}

int
cmd_reject(struct ctl *c, int argc, char **argv)
{
	return decide(c, argc, argv, false);
}
