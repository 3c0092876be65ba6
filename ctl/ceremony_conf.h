/*
 * A ceremony file as libcyaml loads it: which authorities to make.  Format:
 * ceremony.yaml(5).
 */
#ifndef CTL_CEREMONY_CONF_H
#define CTL_CEREMONY_CONF_H

struct cyaml_schema_value;

/* Where a private key is, or is to be made. */
struct ceremony_key {
	const char *module, *uri, *pin_file, *pin_credential;
	const char *keyfile, *passphrase_file, *passphrase_credential;
	const char **environment; /* for the signer, "NAME=value" */
	unsigned environment_count;
};

/* A token that is to be initialised before its keys are made. */
struct ceremony_token {
	const char *module, *label, *so_pin_file, *pin_file;
	const char **environment;
	unsigned environment_count;
};

struct ceremony_authority {
	const char *name, *subject, *algorithm, *validity;
	const char *issuer; /* "self", "external", or an authority's name */
	struct ceremony_key *key; /* NULL: somebody else's request is signed */
	const char *certificate;  /* written, or read when it is there */
	const char *chain;        /* written: what certifies it, root last */
	const char *csr;          /* written for "external", else read */
	int path_length;
	const char **eku, **crl_urls, **ca_issuers_urls;
	unsigned eku_count, crl_urls_count, ca_issuers_urls_count;
};

struct ceremony_conf {
	const char *transcript;
	struct ceremony_token *tokens;
	unsigned tokens_count;
	struct ceremony_authority *authorities;
	unsigned authorities_count;
};

/* The schema of struct ceremony_conf. */
const struct cyaml_schema_value *ceremony_conf_schema(void);

#endif
