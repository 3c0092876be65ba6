#include "ctl/probe.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "db/db.h"
#include "hsm/sign_client.h"

#define SLOTS_MAX 8
#define SIGN_TIMEOUT_MS 3000
#define SOON_S ((int64_t)30 * 86400)

void
probe_add(struct ctl *c, struct probe *p, const char *what, bool ok,
    const char *text, const char *advice)
{
	p->ok = p->ok && ok;
	if (p->n == PROBE_LINES_MAX)
		return;
	p->lines[p->n].what = what;
	p->lines[p->n].ok = ok;
	p->lines[p->n].text = arena_strdup(c->a, text);
	p->lines[p->n].advice = advice;
	p->n++;
}

static void
probe_supervisor(struct ctl *c, struct probe *p)
{
	const char *dir = c->s->run_dir;
	struct span text;
	struct err e;
	long pid;

	if (file_read(c->a, arena_printf(c->a, "%s/up.pid", dir), 32, &text,
		&e) == -1) {
		probe_add(c, p, "supervisor", false, "not running",
		    "start it with ./quickstart or chancery up");
		return;
	}
	pid = strtol((const char *)text.p, NULL, 10);
	if (pid <= 0 || (kill((pid_t)pid, 0) == -1 && errno != EPERM)) {
		probe_add(c, p, "supervisor", false, "has died",
		    "start it with ./quickstart or chancery up");
		return;
	}
	if (access(arena_printf(c->a, "%s/ready", dir), F_OK) == -1) {
		probe_add(c, p, "supervisor", false,
		    "waits for a daemon to be ready", "look into the log");
		return;
	}
	probe_add(c, p, "supervisor", true,
	    arena_printf(c->a, "process %ld, every daemon is ready", pid),
	    NULL);
}

static void
probe_database(struct ctl *c, struct probe *p)
{
	char conninfo[1024];
	struct db *db;
	struct err e;
	int rc;

	if (settings_conninfo(
		c->s, "chancery_oper", conninfo, sizeof(conninfo), &e) == -1) {
		probe_add(c, p, "database", false, e.text, "shorten it");
		return;
	}
	db = db_new(conninfo, "chancery");
	rc = db_ready(db, &e);
	probe_add(c, p, "database", rc == 0,
	    rc == 0 ? (c->s->database == NULL ? "embedded cluster answers"
					      : "answers")
		    : e.text,
	    "is PostgreSQL up, and may this user log in as chancery_oper?");
	if (rc == 0)
		probe_crls(c, p, db);
	db_free(db);
}

static void
probe_slot(
    struct ctl *c, struct probe *p, struct sign_client *client, uint8_t slot)
{
	struct sign_status st;
	struct err e;

	if (sign_client_status(client, c->a, slot, &st, &e) == -1)
		probe_add(c, p, "signer", false,
		    arena_printf(c->a, "slot %02x: %s", slot, e.text),
		    "is chancery-signd running, and is this user a caller?");
	else
		probe_add(c, p, "signer", st.fault == NULL,
		    arena_printf(c->a, "slot %02x: %s%s, %llu records", slot,
			st.fault == NULL ? "keys " : "",
			st.fault == NULL ? st.keys : st.fault,
			(unsigned long long)st.seq),
		    "look at the token and its PIN");
}

static void
probe_signer(struct ctl *c, struct probe *p)
{
	struct sign_client *client =
	    sign_client_new(c->s->run_dir, "oper", SIGN_TIMEOUT_MS);
	bool seen[256] = { false };
	uint8_t slot;
	struct err e;
	int i;

	for (i = 0; i < SLOTS_MAX; i++) {
		if (sign_client_slot(client, &slot, &e) == -1) {
			probe_add(c, p, "signer", false, e.text,
			    "is chancery-signd running?");
			break;
		}
		if (seen[slot])
			break;
		seen[slot] = true;
		probe_slot(c, p, client, slot);
	}
	sign_client_free(client);
}

void
probe_running(struct ctl *c, struct probe *out)
{
	*out = (struct probe){ .ok = true };
	probe_supervisor(c, out);
	probe_database(c, out);
	probe_signer(c, out);
}

static void
probe_issuers(struct ctl *c, struct probe *p)
{
	char until[CLOCK_RFC3339_SIZE];
	struct issuer_set *set;
	struct err e;
	size_t i;

	if (issuer_set_load(c->s, &set, &e) == -1) {
		probe_add(c, p, "issuers", false, e.text,
		    "make them with chancery init --ceremony");
		return;
	}
	for (i = 0; i < issuer_count(set); i++) {
		const struct issuer *is = issuer_at(set, i);

		clock_rfc3339(is->not_after, until);
		probe_add(c, p, "issuer", is->not_after > clock_now() + SOON_S,
		    arena_printf(c->a, "%s: %s key, until %s", is->name,
			is->key.name, until),
		    "renew the CA certificate");
	}
	issuer_set_free(set);
}

/* A setting that names a profile, and the protocol it is for. */
static void
probe_named(struct ctl *c, struct probe *p, const struct profile_set *set,
    const char *protocol, const char *name)
{
	const struct profile *is = profile_get(set, name);

	if (is == NULL)
		probe_add(c, p, protocol, false,
		    arena_printf(c->a, "there is no profile \"%s\"", name),
		    arena_printf(
			c->a, "correct %s.profile in chancery.yaml", protocol));
	else if (!profile_has_protocol(is, protocol))
		probe_add(c, p, protocol, false,
		    arena_printf(c->a, "profile \"%s\" does not allow %s", name,
			protocol),
		    arena_printf(c->a,
			"add %s to its \"allow\", or name another one in "
			"chancery.yaml",
			protocol));
}

static void
probe_profiles(struct ctl *c, struct probe *p)
{
	struct profile_set *set;
	struct err e;

	if (profile_set_load(c->s->policies, &set, &e) == -1) {
		probe_add(c, p, "profiles", false, e.text, "correct the file");
		return;
	}
	probe_add(c, p, "profiles", true,
	    arena_printf(c->a, "%zu in %s", profile_count(set), c->s->policies),
	    NULL);
	probe_named(c, p, set, "acme", c->s->acme.profile);
	if (c->s->est.profile != NULL)
		probe_named(c, p, set, "est", c->s->est.profile);
	if (profile_get(set, c->s->https_profile) == NULL)
		probe_add(c, p, "https", false,
		    arena_printf(c->a, "there is no profile \"%s\"",
			c->s->https_profile),
		    "correct https-profile in chancery.yaml");
	profile_set_free(set);
}

/* keys.yaml is the signer's own to read. */
static void
probe_keys(struct ctl *c, struct probe *p)
{
	const char *signd = ctl_daemon(c, "signd");
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execl(signd, signd, "-t", "-c", c->s->keys, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		(void)waitpid(pid, &status, 0);
	probe_add(c, p, "keys", status == 0,
	    arena_printf(c->a, "%s%s", c->s->keys,
		status == 0 ? "" : ": see the line above"),
	    "correct the file");
}

static void
probe_secret(struct ctl *c, struct probe *p)
{
	bool there = access(c->s->cluster_secret, F_OK) == 0;

	probe_add(c, p, "secret", there, c->s->cluster_secret,
	    "make it: 32 random bytes, mode 0400, owned by enrolld's user");
}

void
probe_files(struct ctl *c, struct probe *out)
{
	*out = (struct probe){ .ok = true };
	probe_issuers(c, out);
	probe_profiles(c, out);
	probe_keys(c, out);
	probe_secret(c, out);
}
