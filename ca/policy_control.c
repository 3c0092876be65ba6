/* The rule that the principal may have the names that it asks for. */
#include <string.h>
#include <strings.h>

#include "ca/policy_int.h"

/* Over ACME every name was validated for this account. */
static int
control_acme(struct judge *j, const struct request_evidence *ev)
{
	size_t i;

	for (i = 0; i < j->want.n_sans; i++) {
		if (!request_san_among(
			&j->want.sans[i], ev->proven, ev->n_proven))
			return err_set(j->err, ERR_REFUSED,
			    "control of \"%s\" is not proven",
			    j->want.sans[i].text);
	}
	j->text = "every name is validated";
	return 0;
}

static bool
name_listed(struct judge *j, const struct request_evidence *ev,
    const char *word, const char *text)
{
	const struct profile_strings globs = { ev->names, ev->n_names };

	return policy_glob_listed(
	    &globs, arena_printf(j->arena, "%s:%s", word, text));
}

/* Alternative names are judged as such, and the profile's own are nobody's. */
static bool
needs_proof(const struct judge *j, const struct dn_attr *at)
{
	return !policy_from_san(j->profile, at->type) &&
	       !policy_is_fixed(j->profile, at);
}

/* A secret is good for the names it was made for; attributes count too. */
static int
control_secret(struct judge *j, const struct request_evidence *ev)
{
	const struct dn *dn = &j->want.subject;
	size_t i;

	j->text = "the secret is good for any name";
	if (ev->n_names == 0)
		return 0;
	for (i = 0; i < j->want.n_sans; i++) {
		const struct request_san *san = &j->want.sans[i];

		if (!name_listed(j, ev, request_san_word(san->type), san->text))
			return err_set(j->err, ERR_REFUSED,
			    "the secret is not good for the %s name \"%s\"",
			    request_san_word(san->type), san->text);
	}
	for (i = 0; i < dn->n; i++) {
		const struct dn_attr *at = &dn->attrs[i];

		if (needs_proof(j, at) &&
		    !name_listed(j, ev, at->type->name, at->value))
			return err_set(j->err, ERR_REFUSED,
			    "the secret is not good for the %s \"%s\"",
			    at->type->name, at->value);
	}
	j->text = "the secret is good for every name";
	return 0;
}

static bool
has_attr(const struct dn *dn, const struct dn_attr *at)
{
	size_t i;

	for (i = 0; i < dn->n; i++) {
		if (dn->attrs[i].type == at->type &&
		    strcasecmp(dn->attrs[i].value, at->value) == 0)
			return true;
	}
	return false;
}

/* A client certificate is good for its own names, unless the profile says. */
static int
control_cert(struct judge *j, const struct request_evidence *ev)
{
	const struct request_holder *h = ev->holder;
	const struct dn *dn = &j->want.subject;
	size_t i;

	j->text = "the profile allows its clients any name";
	if (j->profile->clients.any_name && !h->expired)
		return 0;
	for (i = 0; i < j->want.n_sans; i++) {
		const struct request_san *san = &j->want.sans[i];

		if (!request_san_among(san, h->sans, h->n_sans))
			return err_set(j->err, ERR_REFUSED,
			    "the client's certificate does not have the %s"
			    " name \"%s\"",
			    request_san_word(san->type), san->text);
	}
	for (i = 0; i < dn->n; i++) {
		if (needs_proof(j, &dn->attrs[i]) &&
		    !has_attr(&h->subject, &dn->attrs[i]))
			return err_set(j->err, ERR_REFUSED,
			    "the client's certificate does not have the %s"
			    " \"%s\"",
			    dn->attrs[i].type->name, dn->attrs[i].value);
	}
	j->text = "the client's certificate has every name";
	return 0;
}

int
policy_control(struct judge *j)
{
	const struct request_evidence *ev = &j->in->request->evidence;

	if (ev->kind == EVIDENCE_ACME)
		return control_acme(j, ev);
	if (ev->kind == EVIDENCE_SECRET)
		return control_secret(j, ev);
	if (ev->kind == EVIDENCE_CERT)
		return control_cert(j, ev);
	j->text = "the principal answers for the names";
	return 0;
}
