#include "ca/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ca/reconcile.h"
#include "ca/revoke.h"
#include "db/db.h"
#include "db/store_acme.h"
#include "db/store_cert.h"
#include "db/writer.h"
#include "hsm/sign_client.h"

#define SIGN_TIMEOUT_MS 10000
#define INTENTS_A_TURN 256
#define NONCES_A_TURN 10000
#define MONTHS_AHEAD 24 /* partitions that exist before they are needed */
#define CONNINFO_MAX 1024

/* A set of profiles and the one it replaced. */
struct generation {
	struct profile_set *profiles;
	struct generation *older;
};

struct engine {
	const struct settings *settings;
	const char *role;
	char conninfo[CONNINFO_MAX], node[128];
	struct issuer_set *issuers;
	_Atomic(struct generation *) current;
	struct writer *writer, *async_writer;
};

static int
load_profiles(struct engine *g, struct err *e)
{
	struct generation *next = calloc(1, sizeof(*next));

	if (next == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	if (profile_set_load(g->settings->policies, &next->profiles, e) == -1) {
		free(next);
		return -1;
	}
	next->older = atomic_load(&g->current);
	atomic_store(&g->current, next);
	return 0;
}

static int
fill_engine(struct engine *g, struct err *e)
{
	char role[64];

	(void)snprintf(role, sizeof(role), "chancery_%s", g->role);
	if (settings_conninfo(
		g->settings, role, g->conninfo, sizeof(g->conninfo), e) == -1 ||
	    issuer_set_load(g->settings, &g->issuers, e) == -1 ||
	    load_profiles(g, e) == -1 ||
	    writer_new(g->conninfo, g->role, g->node, &g->writer, e) == -1)
		return -1;
	/* only enrolld has nonces to remember */
	if (strcmp(g->role, "enroll") != 0)
		return 0;
	return writer_new_async(g->conninfo, &g->async_writer, e);
}

int
engine_new(const struct settings *settings, const char *role, const char *node,
    struct engine **out, struct err *e)
{
	struct engine *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	g->settings = settings;
	g->role = role;
	(void)snprintf(g->node, sizeof(g->node), "%s", node);
	if (fill_engine(g, e) == -1) {
		engine_free(g);
		return -1;
	}
	*out = g;
	return 0;
}

void
engine_free(struct engine *g)
{
	struct generation *it, *older;

	if (g == NULL)
		return;
	writer_free(g->writer);
	writer_free(g->async_writer);
	issuer_set_free(g->issuers);
	for (it = atomic_load(&g->current); it != NULL; it = older) {
		older = it->older;
		profile_set_free(it->profiles);
		free(it);
	}
	free(g);
}

static int
store_profiles(struct engine *g, struct err *e)
{
	const struct profile_set *set = engine_profiles(g);
	const struct profile *p;
	size_t i;

	for (i = 0; i < profile_count(set); i++) {
		p = profile_at(set, i);
		if (store_profile_put(
			g->writer, p->hash, p->name, p->text, e) == -1)
			return -1;
	}
	return 0;
}

int
engine_start(struct engine *g, struct err *e)
{
	struct db *db = db_new(g->conninfo, "chancery");
	int rc = issuer_set_lookup(g->issuers, db, e);

	db_free(db);
	if (rc == -1)
		return -1;
	return store_profiles(g, e);
}

int
engine_register(struct engine *g, struct err *e)
{
	struct db *db = db_new(g->conninfo, "chancery");
	int rc = issuer_set_register(g->issuers, db, e);

	if (rc == 0)
		rc = store_cert_partitions(db, MONTHS_AHEAD, e);
	db_free(db);
	return rc;
}

int
engine_reload(struct engine *g, struct err *e)
{
	if (load_profiles(g, e) == -1)
		return -1;
	return store_profiles(g, e);
}

const struct issuer_set *
engine_issuers(const struct engine *g)
{
	return g->issuers;
}

const struct profile_set *
engine_profiles(const struct engine *g)
{
	return atomic_load(&g->current)->profiles;
}

struct writer *
engine_async_writer(const struct engine *g)
{
	return g->async_writer;
}

struct ctx *
engine_ctx_new(struct engine *g)
{
	struct ctx *ctx = calloc(1, sizeof(*ctx));

	if (ctx == NULL)
		abort();
	ctx->db = db_new(g->conninfo, g->node);
	ctx->writer = g->writer;
	ctx->signer =
	    sign_client_new(g->settings->run_dir, g->role, SIGN_TIMEOUT_MS);
	ctx->issuers = g->issuers;
	ctx->verify_leaves = g->settings->verify_leaves;
	ctx->approval_lifetime_s = g->settings->approval_lifetime_s;
	return ctx;
}

void
engine_ctx_free(struct ctx *ctx)
{
	if (ctx == NULL)
		return;
	db_free(ctx->db);
	sign_client_free(ctx->signer);
	free(ctx);
}

void
engine_begin(const struct engine *g, struct ctx *ctx, struct arena *arena,
    const char *request_id)
{
	ctx->arena = arena;
	ctx->request_id = request_id;
	ctx->profiles = engine_profiles(g);
}

int
engine_check(struct ctx *ctx, struct err *e)
{
	struct sign_status status;
	uint8_t slot;

	if (db_ready(ctx->db, e) == -1)
		return err_prefix(e, "database");
	if (sign_client_slot(ctx->signer, &slot, e) == -1 ||
	    sign_client_status(ctx->signer, ctx->arena, slot, &status, e) == -1)
		return err_prefix(e, "signer");
	if (status.fault != NULL)
		return err_set(e, ERR_UNAVAILABLE, "signer: %s", status.fault);
	return 0;
}

int
engine_housekeep(struct ctx *ctx, struct err *e)
{
	size_t issued = 0, voided = 0, deleted;
	uint64_t revoked;
	int rc;

	/* first: nobody's open intent keeps old nonces in the table */
	if (store_nonce_clean(ctx->db, NONCES_A_TURN, &deleted, e) == -1)
		return -1;
	if (revoke_late(ctx, &revoked, e) == -1)
		return -1;
	if (revoked > 0)
		log_msg(LOG_WARN, "revoked",
		    "%llu certificates of keys that were blocked meanwhile",
		    (unsigned long long)revoked);
	rc = reconcile_all(ctx, INTENTS_A_TURN, &issued, &voided, e);
	if (issued + voided > 0)
		log_msg(LOG_INFO, "reconciled",
		    "%zu intents completed, %zu given up", issued, voided);
	return rc;
}
