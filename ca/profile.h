/*
 * Certificate profiles: policies/NAME.yaml, strictly validated into immutable
 * structs.  A profile says who may ask over which protocol, which names, keys
 * and times are allowed, and what the certificate will carry; policy.h
 * applies it.  Format: chancery-profile(5).
 */
#ifndef CA_PROFILE_H
#define CA_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "ca/dn.h"

#define PROFILE_HASH_SIZE 32
#define PROFILE_BACKDATE_MAX_S 3600

struct profile_strings {
	const char *const *list;
	size_t n;
};

/* Who may use the profile; an empty list of principals means everybody. */
struct profile_allow {
	struct profile_strings protocols;
	struct profile_strings principals; /* globs */
};

struct profile_fixed {
	const struct dn_type *type;
	const char *value;
};

/* An attribute that a request may bring. */
struct profile_attr {
	const struct dn_type *type;
	const char *pattern; /* glob, or NULL: any value */
	bool from_san;       /* the value is one of the alternative names */
	bool required;
	unsigned max;
};

struct profile_range {
	uint8_t net[16];
	size_t octets; /* 4 or 16 */
	unsigned bits;
};

/* What one type of alternative name may be; absent types may not occur. */
struct profile_san {
	bool allowed, wildcard;
	unsigned max;
	struct profile_strings patterns;
	const struct profile_range *ranges;
	size_t n_ranges;
};

enum profile_san_type {
	PROFILE_SAN_DNS,
	PROFILE_SAN_IP,
	PROFILE_SAN_EMAIL,
	PROFILE_SAN_URI,
	PROFILE_SAN_UPN,
	PROFILE_SAN__COUNT
};

struct profile_policy {
	const char *oid, *cps, *notice; /* cps and notice may be NULL */
};

enum profile_feature {
	FEATURE_NEVER,
	FEATURE_OPTIONAL,
	FEATURE_ALWAYS
};

/* A certificate of another CA whose holders may enroll. */
struct profile_anchor {
	const char *name; /* the file's, without ".pem" */
	struct span der;
};

/* Whose certificates authenticate a client, and what they are good for. */
struct profile_clients {
	struct profile_strings issuers; /* of ours */
	const struct profile_anchor *anchors;
	size_t n_anchors;
	int64_t expired_s; /* grace after notAfter for renewals */
	/*
	 * A certificate that is no RA's may ask for all names that the
	 * profile allows, not only for those it has.
	 */
	bool any_name;
};

/* How the profile behaves over EST (RFC 7030). */
struct profile_est {
	bool binding_required; /* channel binding, RFC 7030 3.5 */
	bool wrap;             /* base64 in lines of 64 */
	/* type of the keys of /serverkeygen ("P-256", "rsa:3072"); NULL: off */
	const char *server_key;
};

struct profile_constraints {
	struct profile_strings permitted_dns, excluded_dns;
	struct profile_strings permitted_email, excluded_email;
	const struct profile_range *permitted_ip, *excluded_ip;
	size_t n_permitted_ip, n_excluded_ip;
};

struct profile {
	const char *name, *description, *file;
	uint8_t hash[PROFILE_HASH_SIZE]; /* SHA-256 of text */
	const char *text;                /* the file as loaded */
	struct profile_strings issuers;
	const struct profile_allow *allow;
	size_t n_allow;
	const struct profile_fixed *fixed;
	size_t n_fixed;
	const struct profile_attr *attrs;
	size_t n_attrs;
	bool san_required;
	unsigned san_max;
	struct profile_san san[PROFILE_SAN__COUNT];
	unsigned rsa_min, rsa_max; /* bits; 0: RSA is not allowed */
	struct profile_strings curves;
	bool ed25519;
	int64_t validity_default_s, validity_max_s, backdate_s;
	uint32_t key_usage, key_usage_rsa; /* bit 0 digitalSignature */
	struct profile_strings eku;        /* dotted OIDs */
	const struct profile_policy *policies;
	size_t n_policies;
	enum profile_feature tls_feature;
	bool ca;
	int path_len; /* -1: none */
	bool has_constraints;
	struct profile_constraints constraints;
	bool ocsp_nocheck, crldp, aia, approval;
	unsigned per_hour; /* certificates for one principal; 0: no limit */
	struct profile_clients clients;
	struct profile_est est;
};

/* Whether anybody may use the profile over this protocol. */
bool profile_has_protocol(const struct profile *p, const char *protocol);

struct profile_set;

/*
 * Loads every *.yaml of a directory, but keys.yaml.  An unknown key, a wrong
 * value, a name that is not the file's: MALFORMED with file and line.
 */
int profile_set_load(
    const char *dir, struct profile_set **out, struct err *e) MUST_USE;
void profile_set_free(struct profile_set *s);

/* The profile of that name, or NULL; all of them in order of name. */
const struct profile *profile_get(
    const struct profile_set *s, const char *name);
size_t profile_count(const struct profile_set *s);
const struct profile *profile_at(const struct profile_set *s, size_t i);

/*
 * Builds one profile from the bytes of a file; it lives in the arena and is
 * what profile_set_load does for each file.
 */
int profile_parse(struct arena *a, const char *file, struct span text,
    struct profile *out, struct err *e) MUST_USE;

/* Names of the bits of 'usage' separated by commas. */
const char *profile_usage_text(struct arena *a, uint32_t usage);

/* The dotted OID of an extended key usage by name or OID, or NULL. */
const char *profile_eku_oid(const char *name);

#endif
