/*
 * A real chancery-signd on a SoftHSM token of its own, in a scratch
 * directory; what it starts it ends.  Failures fail the running test.
 */
#ifndef TESTS_SIGND_FIXTURE_H
#define TESTS_SIGND_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/span.h"

#define FIXTURE_PIN "98765432"
#define FIXTURE_URI "pkcs11:token=ca;object=ca;id=%01"

struct fixture {
	char dir[64];
	char conf[128], run[128], state[128], ca[128];
	struct arena *a;
	pid_t signd;         /* 0: not running */
	struct span ca_name; /* subject of the CA, DER */
	struct span aki;     /* value of the extension */
};

/* SoftHSM's module, or NULL when it is not installed. */
const char *fixture_module(void);

/* A scratch directory with a token "ca"; SOFTHSM2_CONF points to it. */
void fixture_token(struct fixture *f);

/* On top of it a P-256 CA key, its certificate and keys.yaml. */
void fixture_ca(struct fixture *f, const char *classes);

/* Starts signd and waits until it is ready 'times' times in its log. */
void fixture_start(struct fixture *f, int times);

/* Waits until the log holds 'text' 'times' times; fails after 20 s. */
void fixture_wait_log(struct fixture *f, const char *text, int times);

/* The same for the file 'name' of the scratch directory. */
void fixture_wait_file(
    struct fixture *f, const char *name, const char *text, int times);

/* Ends signd with SIGTERM; its exit status must be 0. */
void fixture_stop(struct fixture *f);

/* Ends signd if need be and removes the directory. */
void fixture_clear(struct fixture *f);

/* Runs a program with this standard input file (or NULL); its status. */
int fixture_run(struct fixture *f, const char *input, char *const argv[]);

/* Runs ceremony requests; the exit status, answers in DIR/run.log. */
int fixture_ceremony(struct fixture *f, const char *requests);

/* Writes a file below the scratch directory; its path. */
const char *fixture_write(
    struct fixture *f, const char *name, struct span text);

/* A TBSCertificate; zeroed members stand for something good. */
struct fixture_tbs {
	struct span issuer;    /* Name, DER */
	const char *dns;       /* "a.good.test"; "" leaves the SAN out */
	const char *cn;        /* NULL: empty subject */
	const char *eku;       /* dotted; NULL: serverAuth */
	const char *extra_oid; /* one more extension */
	struct span extra;     /* its value; empty: an ASN.1 NULL */
	int64_t not_before;    /* relative to now */
	int64_t validity_s;    /* 0: a day */
	bool ca, self;         /* self: for the CA itself */
	uint8_t slot, fill;    /* the serial's second and other octets */
	struct span spki, aki;
	uint32_t key_usage; /* 0: digitalSignature */
	bool no_key_usage;
};

/* Its DER, in the fixture's arena. */
struct span fixture_tbs(struct fixture *f, const struct fixture_tbs *t);

/* The classes of keys.yaml that most tests use. */
extern const char fixture_classes[];

#endif
