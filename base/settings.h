/*
 * chancery.yaml: one file for every daemon and the tool.  Relative paths are
 * relative to the file's directory.  Format: chancery.yaml(5).
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct settings_listen {
	const char *address;
	uint16_t port;
	bool tls;
};

/* When an issuer's CRLs are made; the _s members are made from the text. */
struct settings_crl {
	const char *interval;       /* between complete lists; "1d" */
	const char *overlap;        /* how long a list outlives that; "6d" */
	const char *min_gap;        /* after which a revocation shows; "1m" */
	const char *delta_interval; /* between deltas; "1h" */
	const bool *on_revocation;  /* NULL: yes */
	bool keep_expired;          /* entries never leave */
	int64_t interval_s, overlap_s, min_gap_s, delta_interval_s;
};

/* A certification authority that this server issues under. */
struct settings_issuer {
	const char *name;        /* also the key's name in keys.yaml */
	const char *certificate; /* PEM file of the CA certificate */
	const char *chain;       /* PEM file of what certifies it, root last */
	const char **crl_urls, **ocsp_urls, **ca_issuers_urls;
	unsigned crl_urls_count, ocsp_urls_count, ca_issuers_urls_count;
	const char **freshest_crl_urls; /* of delta CRLs */
	unsigned freshest_crl_urls_count;
	unsigned crl_partitions; /* 0: one CRL for all (crl_partition.h) */
	struct settings_crl crl;
};

struct settings_resolve {
	const char *suffix; /* ".test": that name and all below it */
	const char *address;
};

struct settings_vald {
	const char **allow_networks; /* private ones that may be asked */
	const char **deny_networks;  /* ours: database, HSM, management */
	unsigned allow_networks_count, deny_networks_count;
	uint16_t http_port;               /* http-01; 80 */
	uint16_t https_port;              /* redirects to https; 443 */
	uint16_t tls_alpn_port;           /* tls-alpn-01; 443 */
	struct settings_resolve *resolve; /* answered without DNS */
	unsigned resolve_count;
	const char *dns_server; /* "address[@port]"; NULL: resolv.conf */
	const char *timeout;    /* of a connection; "10s" */
	int64_t timeout_s;      /* made from it */
	unsigned workers;       /* validations at the same time; 8 */
	unsigned attempts;      /* of a host that does not answer; 3 */
};

struct settings_ocsp {
	const char *address;       /* to listen on; "0.0.0.0" */
	uint16_t port;             /* 8081 */
	const char *host;          /* in keys.yaml; NULL: the machine's name */
	const char *host_key;      /* PEM file of the private key */
	const char *read_database; /* a replica, or NULL: the database */
	const char *files;         /* directory of the CRLs to serve */
	const char *snapshot;      /* file */
	const char *unknown; /* what was never issued: "unknown", "revoked" */
	const char *validity, *stale, *certificate_lifetime, *snapshot_interval;
	int64_t validity_s, stale_s, certificate_lifetime_s;
	int64_t snapshot_interval_s; /* these are made from the text */
	unsigned cache;              /* answers; 65536 */
	unsigned threads;            /* 2 */
	unsigned connections;        /* 16384 */
};

struct settings_acme {
	const char *profile; /* of every order */
	const char *terms_of_service, *website;
	const char **caa_identities;
	unsigned caa_identities_count;
	unsigned names_max; /* identifiers of an order */
	const char *order_lifetime, *authz_lifetime;
	int64_t order_lifetime_s, authz_lifetime_s;
};

/* EST (RFC 7030); the _s members are made from the text. */
struct settings_est {
	const char *profile;     /* without a label in the path; NULL: none */
	const char *repeat;      /* the same request, the same answer; "24h" */
	const char *retry_after; /* while it waits for an approval; "60s" */
	int64_t repeat_s, retry_after_s;
};

/* OS users of the daemons; NULL: the user that starts them. */
struct settings_users {
	const char *enroll, *vald, *signd, *pub, *ocsp, *postgres, *oper;
};

struct settings {
	const char *public_url; /* "https://host:port", no slash at the end */
	const char *database;   /* conninfo, or NULL: embedded */
	const char *policies, *keys, *run_dir, *state_dir, *cluster_secret;
	const char *https_profile;
	const char *crl_hook; /* run with the file of each new CRL, or NULL */
	/* OS users with a database login of their own, oper_NAME */
	const char **operators;
	unsigned operators_count;
	const char **environment; /* of the daemons, "NAME=value" */
	unsigned environment_count;
	const char **https_names;
	unsigned https_names_count;
	struct settings_listen *listen;
	unsigned listen_count;
	struct settings_issuer *issuers;
	unsigned issuers_count;
	struct settings_acme acme;
	struct settings_est est;
	const char *approval_lifetime; /* of a request that waits; "7d" */
	int64_t approval_lifetime_s;   /* made from it */
	struct settings_vald vald;
	struct settings_ocsp ocsp;
	struct settings_users users;
	unsigned workers;     /* of enrolld */
	unsigned connections; /* per listener */
	unsigned per_address; /* connections per client address */
	bool verify_leaves;   /* verify each signature before it is stored */
	const char *dir;      /* where the file is; absolute */
};

struct settings_file;

/* Loads and checks the file; freed with settings_free. */
int settings_load(
    const char *file, struct settings_file **out, struct err *e) MUST_USE;
void settings_free(struct settings_file *f);

/* What was loaded; borrowed. */
const struct settings *settings_get(const struct settings_file *f);

/*
 * MALFORMED "file:line: path: text" for what only a daemon can check; 'path'
 * such as "vald.deny-networks[2]".  Returns -1.
 */
int settings_error(const struct settings_file *f, const char *path,
    struct err *e, const char *fmt, ...) PRINTF_LIKE(4, 5);

#define SETTINGS_OPERATORS_MAX 64

/* How long requests are remembered at least: no repeat is known for longer. */
#define SETTINGS_KEEP_REQUESTS_S ((int64_t)30 * 86400)

/*
 * The connection string of PostgreSQL role 'role', in the caller's buffer:
 * the configured one with the role as user, or the embedded cluster's.  For
 * "chancery_oper" an OS user among 'operators' has the login "oper_NAME".
 */
int settings_conninfo(const struct settings *s, const char *role, char *out,
    size_t size, struct err *e) MUST_USE;

/*
 * As settings_conninfo, for a reader that takes a replica too: that of
 * 'ocsp.read-database' if there is one.
 */
int settings_read_conninfo(const struct settings *s, const char *role,
    char *out, size_t size, struct err *e) MUST_USE;

#endif
