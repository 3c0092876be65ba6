/*
 * TBSCertificates that break one lint rule each: a good one and what is
 * changed in it.
 */
#ifndef TESTS_LINT_CASES_H
#define TESTS_LINT_CASES_H

#include <stddef.h>

/* The good TBS that a case starts from. */
enum lint_base {
	BASE_LEAF,    /* P-256 TLS server under "tls" */
	BASE_RSA,     /* the same with an RSA key */
	BASE_ED25519, /* the same with an Ed25519 key */
	BASE_EMPTY,   /* the same without a subject */
	BASE_LIMITED, /* as BASE_EMPTY under "limited" */
	BASE_PROFILE, /* the same, judged by the profile tls-server too */
	BASE_SUB_CA,  /* CA under "open" */
	BASE_ROOT,    /* self-signed */
	BASE_OCSP,    /* responder under "tls" */
	BASE__COUNT
};

/* What is changed: 'oid' and 'value' mean something else for each. */
enum lint_change {
	SET_EXT,  /* extension 'oid' gets the hex value; "oid!" is critical */
	ADD_EXT,  /* one more, even if it is there */
	DROP_EXT, /* extension 'oid' goes */
	SAN,      /* tag 'arg', text 'value' of 'n' octets */
	NAME,     /* subject: attribute 'oid', tag 'arg', text 'value' */
	EKU,      /* extended key usages: dotted OIDs in 'value' */
	USAGE,    /* key usage bits 'arg' */
	VERSION,  /* version 'arg' */
	SERIAL,   /* hex contents */
	SIG_ALG,  /* hex */
	ISSUER,   /* CN 'value' with tag 'arg'; empty without value */
	BEFORE,   /* time of tag 'arg', text 'value' */
	AFTER,
	SPKI, /* hex */
	UID_, /* hex */
	RAW   /* octet 'arg' of the TBS becomes the hex 'value' */
};

struct lint_case {
	const char *rule, *what;
	enum lint_base base;
	enum lint_change change;
	const char *oid, *value;
	int arg;
	size_t n; /* octets of 'value' when it has a NUL, else 0 */
};

extern const struct lint_case lint_cases[];
extern const size_t lint_cases_count;

#endif
