/*
 * A whole CA for a benchmark, made in scratch directories: a throw-away
 * PostgreSQL with fsync on, a chancery-signd with two slots on a P-256 key of
 * a SoftHSM token, an issuer and a TLS server profile.  The signer also signs
 * certificates of devices, TLS client and server.
 */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include <sys/types.h>

#include "ca/engine.h"
#include "hsm/token.h"

#define WORLD_PROFILE "tls-server"
#define WORLD_PROTOCOL "internal"

struct world {
	struct engine *engine; /* under the role "enroll" */
	struct token *token;   /* the same token, opened by this process */
	struct token_uri key;  /* the CA's key on it */
	pid_t signd, postgres;
	const struct settings *settings; /* of the engine */
	const char *dir;                 /* scratch directory of all this */
};

/*
 * Makes it; a failure ends the process with a line on stderr.  Everything is
 * taken down again when the process exits.
 */
const struct world *world_new(void);

#endif
