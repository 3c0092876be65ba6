#include "hsm/slot_keys.h"

#include <stdlib.h>
#include <string.h>

#include "hsm/keyfile.h"
#include "hsm/secret.h"
#include "hsm/token.h"

struct opened {
	struct token_key *token_key;
	struct keyfile *keyfile;
	bool verified;
};

struct slot_keys {
	const struct sign_policy *policy;
	struct token **tokens;
	struct opened *keys;
};

/* Logs in to the token that the key's URI names. */
static int
open_token(const struct sign_token *t, const struct token_uri *uri,
    const char *lock_path, struct token **out, struct err *e)
{
	struct token_conf conf = {
		.module = t->module, .uri = uri, .lock_path = lock_path
	};
	char *pin;
	int r;

	if (secret_read(&t->pin, "PIN", &pin, e) != 0)
		return -1;
	conf.pin = pin;
	r = token_open(&conf, out, e);
	secret_free(pin);
	return r;
}

static int
open_token_key(
    struct slot_keys *k, size_t i, const char *lock_path, struct err *e)
{
	const struct sign_key *key = &k->policy->keys[i];
	size_t t = (size_t)(key->token - k->policy->tokens);
	struct token_uri uri;

	if (token_uri_parse(key->uri, &uri, e) != 0)
		return -1;
	if (k->tokens[t] == NULL &&
	    open_token(key->token, &uri, lock_path, &k->tokens[t], e) != 0)
		return err_prefix(e, "token \"%s\"", key->token->name);
	return token_find(
	    k->tokens[t], &uri, key->public, &k->keys[i].token_key, e);
}

static int
open_keyfile(struct slot_keys *k, size_t i, struct err *e)
{
	const struct sign_key *key = &k->policy->keys[i];
	EVP_PKEY *public;
	char *phrase;
	int r, same;

	if (secret_read(&key->passphrase, "pass phrase", &phrase, e) != 0)
		return -1;
	r = keyfile_open(key->keyfile, phrase, &k->keys[i].keyfile, e);
	secret_free(phrase);
	if (r != 0)
		return -1;
	public = keyfile_public(k->keys[i].keyfile);
	same = public != NULL && EVP_PKEY_eq(public, key->public) == 1;
	EVP_PKEY_free(public);
	if (!same)
		return err_set(e, ERR_BAD_KEY,
		    "key in the file is not that of the certificate");
	return 0;
}

int
slot_keys_open(const struct sign_policy *p, const char *lock_path,
    struct slot_keys **out, struct err *e)
{
	struct slot_keys *k = calloc(1, sizeof(*k));
	size_t i;
	int r;

	*out = k;
	if (k == NULL)
		return err_set(e, ERR_INTERNAL, "no memory");
	k->policy = p;
	k->tokens = calloc(p->n_tokens + 1, sizeof(struct token *));
	k->keys = calloc(p->n_keys, sizeof(k->keys[0]));
	if (k->tokens == NULL || k->keys == NULL)
		return err_set(e, ERR_INTERNAL, "no memory");
	for (i = 0; i < p->n_keys; i++) {
		if (p->keys[i].token != NULL)
			r = open_token_key(k, i, lock_path, e);
		else
			r = open_keyfile(k, i, e);
		if (r != 0)
			return err_prefix(e, "key \"%s\"", p->keys[i].name);
	}
	return 0;
}

void
slot_keys_free(struct slot_keys *k)
{
	size_t i;

	if (k == NULL)
		return;
	for (i = 0; k->keys != NULL && i < k->policy->n_keys; i++) {
		keyfile_free(k->keys[i].keyfile);
		token_key_free(k->keys[i].token_key);
	}
	for (i = 0; k->tokens != NULL && i < k->policy->n_tokens; i++)
		token_close(k->tokens[i]);
	free(k->keys);
	free(k->tokens);
	free(k);
}

static int
make(struct opened *o, struct arena *a, const struct slot_job *job,
    struct span *sig, bool *lost, struct err *e)
{
	if (o->token_key != NULL && job->digest.n > 0)
		return token_sign_digest(
		    o->token_key, a, job->digest, sig, lost, e);
	if (o->token_key != NULL)
		return token_sign(o->token_key, a, job->data, sig, lost, e);
	if (job->digest.n > 0)
		return keyfile_sign_digest(o->keyfile, a, job->digest, sig, e);
	return keyfile_sign(o->keyfile, a, job->data, sig, e);
}

static int
verify(const struct slot_job *job, struct span sig, struct err *e)
{
	const struct sign_key *k = job->key;

	if (job->digest.n > 0)
		return sign_alg_verify_digest(
		    &k->alg, k->public, job->digest, sig, e);
	return sign_alg_verify(&k->alg, k->public, job->data, sig, e);
}

int
slot_keys_sign(struct slot_keys *k, struct arena *a, const struct slot_job *job,
    struct span *sig, bool *lost, struct err *e)
{
	struct opened *o = &k->keys[job->key - k->policy->keys];

	*lost = false;
	if (make(o, a, job, sig, lost, e) != 0)
		return err_prefix(e, "key \"%s\"", job->key->name);
	if (o->verified && !job->verify)
		return 0;
	if (verify(job, *sig, e) != 0) {
		*lost = true;
		return err_set(e, ERR_UNAVAILABLE,
		    "key \"%s\": token made a wrong signature", job->key->name);
	}
	o->verified = true;
	return 0;
}
