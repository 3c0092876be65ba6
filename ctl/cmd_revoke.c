#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/b64.h"
#include "ctl/ctl.h"
#include "ctl/find.h"
#include "ctl/revoke_opts.h"

/* Lines of progress for a file: one each so many certificates. */
#define PROGRESS_LINE 10000

/* The state that the act was to bring about. */
static const char *
state_name(int what, int reason)
{
	if (what == REVOKE_RELEASE)
		return "good";
	return reason == STORE_HOLD ? "hold" : "revoked";
}

static void
tell_one(struct ctl *c, const struct store_cert *row, const char *state,
    bool already)
{
	const char *serial = hex_encode(c->a, row->serial);

	if (c->json) {
		ctl_print_json(json_pack("{s:s, s:s, s:s, s:b}", "serial",
		    serial, "issuer", row->issuer_name, "status", state,
		    "already", already));
		return;
	}
	if (strcmp(state, "good") == 0)
		state = already ? "not revoked" : "released";
	else if (already)
		state = "already revoked";
	else if (strcmp(state, "hold") == 0)
		state = "on hold";
	(void)printf(
	    "%s of issuer %s is %s\n", serial, row->issuer_name, state);
}

static int
revoke_one(struct ctl *c, const struct revoke_opts *o)
{
	const struct request_evidence who = { .kind = EVIDENCE_OPERATOR,
		.name = c->user };
	struct revoke_request req = { .evidence = &who,
		.protocol = "cli",
		.reason = o->query.reason,
		.invalidity_at = o->invalidity_at };
	int what = o->what;
	struct store_cert row;
	struct err e;
	int rc;

	if (req.reason == REVOKE_REASON_REMOVE)
		what = REVOKE_RELEASE;
	if (find_cert(c, o->cert, o->issuer, &row, &e) == -1)
		return ctl_fail(c, &e);
	req.issuer = issuer_by_id(c->ctx->issuers, row.issuer);
	req.serial = row.serial;
	if (req.issuer == NULL) {
		(void)err_set(&e, ERR_NOT_FOUND,
		    "the certificate's issuer is not configured");
		return ctl_fail(c, &e);
	}
	rc = what == REVOKE_RELEASE ? revoke_release(c->ctx, &req, &e)
				    : revoke_submit(c->ctx, &req, &e);
	/* the same act twice is no error for the operator */
	if (rc == -1 && e.kind != ERR_CONFLICT)
		return ctl_fail(c, &e);
	tell_one(c, &row, state_name(what, req.reason), rc == -1);
	return CTL_OK;
}

struct progress {
	uint64_t total, told;
	bool terminal;
};

static void
show_progress(void *arg, uint64_t done)
{
	struct progress *p = arg;

	if (p->terminal) {
		(void)fprintf(stderr, "\rrevoked %" PRIu64 " of %" PRIu64, done,
		    p->total);
		p->told = done;
	} else if (done >= p->told + PROGRESS_LINE) {
		(void)fprintf(stderr, "revoked %" PRIu64 " of %" PRIu64 "\n",
		    done, p->total);
		p->told = done;
	}
}

static bool
answer_is_yes(void)
{
	char line[16] = "";

	if (fgets(line, sizeof(line), stdin) == NULL)
		return false;
	line[strcspn(line, "\n")] = '\0';
	return strcmp(line, "y") == 0 || strcmp(line, "yes") == 0;
}

/* Shows how many there are and asks; CTL_OK: go on. */
static int
confirm(struct ctl *c, const struct revoke_opts *o, uint64_t n)
{
	const char *s = n == 1 ? "" : "s";

	if (o->yes || (n == 0 && o->what == REVOKE_SEARCH))
		return CTL_OK;
	if (!isatty(STDIN_FILENO)) {
		if (c->json)
			ctl_print_json(
			    json_pack("{s:I}", "matching", (json_int_t)n));
		(void)fprintf(stderr,
		    "chancery: %" PRIu64 " certificate%s would be revoked: "
		    "repeat the command with --yes\n",
		    n, s);
		return CTL_USAGE;
	}
	(void)fprintf(stderr, "%sRevoke %" PRIu64 " certificate%s? [y/N] ",
	    o->what == REVOKE_KEY ? "The key will be blocked for good. " : "",
	    n, s);
	if (answer_is_yes())
		return CTL_OK;
	(void)fprintf(stderr, "nothing was revoked\n");
	return CTL_REFUSED;
}

static void
tell_many(struct ctl *c, const struct revoke_many *m, bool blocked_before)
{
	const bool key = m->query.key.n > 0;
	const char *hash = key ? hex_encode(c->a, m->query.key) : NULL;

	if (c->json) {
		ctl_print_json(json_pack("{s:I, s:I, s:s*, s:o*}", "revoked",
		    (json_int_t)m->done, "already", (json_int_t)m->before,
		    "key", hash, "blockedBefore",
		    key ? json_boolean(blocked_before) : NULL));
		return;
	}
	if (key)
		(void)printf("key %s %s blocked\n", hash,
		    blocked_before ? "was already" : "is");
	(void)printf("%" PRIu64 " certificate%s revoked", m->done,
	    m->done == 1 ? "" : "s");
	if (m->before > 0)
		(void)printf(", %" PRIu64 " meanwhile by others", m->before);
	(void)putchar('\n');
}

static int
revoke_matching(struct ctl *c, const struct revoke_opts *o)
{
	const struct request_evidence who = { .kind = EVIDENCE_OPERATOR,
		.name = c->user };
	struct progress p = { .terminal = isatty(STDERR_FILENO) };
	struct revoke_many m = { .evidence = &who,
		.protocol = "cli",
		.query = o->query,
		.invalidity_at = o->invalidity_at,
		.progress = show_progress,
		.arg = &p };
	bool blocked = false;
	struct err e;
	int rc;

	if ((o->what == REVOKE_KEY &&
		find_key(c, o->key, &m.query.key, &e) == -1) ||
	    revoke_count(c->ctx, &m, &p.total, &e) == -1)
		return ctl_fail(c, &e);
	rc = confirm(c, o, p.total);
	if (rc != CTL_OK)
		return rc;
	if (o->what == REVOKE_KEY)
		rc = revoke_key(c->ctx, &m, &blocked, &e);
	else if (p.total > 0)
		rc = revoke_all(c->ctx, &m, &e);
	if (p.terminal && p.told > 0)
		(void)fputc('\n', stderr);
	if (rc == -1) {
		if (m.done > 0)
			(void)fprintf(stderr,
			    "chancery: %" PRIu64 " were revoked; the same "
			    "command goes on\n",
			    m.done);
		return ctl_fail(c, &e);
	}
	tell_many(c, &m, blocked);
	return CTL_OK;
}

int
cmd_revoke(struct ctl *c, int argc, char **argv)
{
	struct revoke_opts o;
	int rc;

	rc = revoke_opts_parse(c, argc, argv, &o);
	if (rc != CTL_OK)
		return rc;
	rc = ctl_engine(c);
	if (rc != CTL_OK)
		return rc;
	if (o.what == REVOKE_ONE || o.what == REVOKE_RELEASE)
		return revoke_one(c, &o);
	return revoke_matching(c, &o);
}
