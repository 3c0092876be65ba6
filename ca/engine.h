/*
 * What a process needs to run the pipeline: issuers, profiles, its writing
 * connection, and for each thread a context.  Used by enrolld under the role
 * "enroll" and by the command line under "oper".
 */
#ifndef CA_ENGINE_H
#define CA_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/settings.h"
#include "ca/enroll.h"

struct engine;

/*
 * Loads issuers and profiles and starts the writers; the database and the
 * signer need not answer yet.  'role' is "enroll" or "oper"; 'node' names
 * this process in the writer's lease.  'settings' outlives the engine.
 */
int engine_new(const struct settings *settings, const char *role,
    const char *node, struct engine **out, struct err *e) MUST_USE;
void engine_free(struct engine *g);

/*
 * Connects and gives the issuers their row ids: once, before the first
 * request.  UNAVAILABLE: try again.  Also stores the texts of the profiles.
 */
int engine_start(struct engine *g, struct err *e) MUST_USE;

/*
 * What the operator does before the daemons start: registers the issuers of
 * the settings and makes the partitions of the coming two years (role oper).
 */
int engine_register(struct engine *g, struct err *e) MUST_USE;

/*
 * Reads the profiles again.  On failure the old ones stay; sets that were
 * replaced live until engine_free, because requests may still use them.
 */
int engine_reload(struct engine *g, struct err *e) MUST_USE;

/* The issuers, and the profiles as of now. */
const struct issuer_set *engine_issuers(const struct engine *g);
const struct profile_set *engine_profiles(const struct engine *g);

/* The writer whose commits are asynchronous (used nonces). */
struct writer *engine_async_writer(const struct engine *g);

/*
 * A context for the calling thread: its own connections; arena, request id
 * and profiles are set for each request by engine_begin.
 */
struct ctx *engine_ctx_new(struct engine *g);
void engine_ctx_free(struct ctx *ctx);

/* Prepares a context for one request. */
void engine_begin(const struct engine *g, struct ctx *ctx, struct arena *arena,
    const char *request_id);

/* UNAVAILABLE tells which of database and signer does not answer. */
int engine_check(struct ctx *ctx, struct err *e) MUST_USE;

/*
 * What is to be done every few seconds: settles open intents, and now and
 * then forgets used nonces that have expired.
 */
int engine_housekeep(struct ctx *ctx, struct err *e) MUST_USE;

#endif
