/*
 * What the tests of chancery-pubd share: a database, signd on a SoftHSM token
 * and certificates to revoke; and the process itself, as often as needed.
 */
#ifndef TESTS_PUBD_FIXTURE_H
#define TESTS_PUBD_FIXTURE_H

#include <openssl/x509v3.h>

#include "db/store_crl.h"
#include "tests/attack/signd_fixture.h"
#include "tests/db/sample.h"

#define PUBD_WAIT_US ((int64_t)15 * 1000 * 1000)
#define PUBD_CERTS 24

/* The issuer with one list and a short gap. */
#define PUBD_PLAIN                                                             \
	"  crl-urls: [\"http://c.test/ca.crl\"]\n"                             \
	"  crl: {interval: 1h, overlap: 1h, min-gap: 1s}\n"

struct pubd_world {
	struct fixture fx;
	struct pg *pg;
	struct writer *writer; /* role oper */
	struct db *db;         /* role ocsp: what the world sees */
	struct arena *a;
	X509 *ca;
	EVP_PKEY *host_key; /* of the responder "h1" in keys.yaml */
	int issuer;
	struct sample samples[PUBD_CERTS]; /* the first has a wrong serial */
	pid_t pids[2];
};

/* Makes it; a failure fails the test. */
void pubd_setup(struct pubd_world *x);
void pubd_teardown(struct pubd_world *x);

/* The one of a group of tests, which these make and end. */
extern struct pubd_world pubd;
int pubd_group_setup(void **state);
int pubd_group_teardown(void **state);

/* Writes chancery.yaml with these lines for the issuer. */
void pubd_conf(struct pubd_world *x, const char *lines);

/* Starts process 0 or 1, with the log pubd0.log or pubd1.log. */
void pubd_start(struct pubd_world *x, int which);

/* Ends it by SIGKILL, or by SIGTERM: then its exit status must be 0. */
void pubd_stop(struct pubd_world *x, int which, int sig);

/* The newest list of a scope; false: none. */
bool pubd_current(
    struct pubd_world *x, const char *scope, struct store_crl *out);

/* Waits for a list of the scope above this number. */
struct store_crl pubd_wait(
    struct pubd_world *x, const char *scope, int64_t above);

#endif
