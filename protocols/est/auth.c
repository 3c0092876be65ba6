/* Who asks (RFC 7030 3.2.3, 3.3.2). */
#include "base/log.h"
#include "ca/authn.h"
#include "protocols/est/basic.h"
#include "protocols/est/est_int.h"

static int
by_cert(struct est_req *r, struct request_evidence *out, struct err *e)
{
	return authn_cert(r->w->ctx, r->profile, r->http->client_chain,
	    r->http->n_client_chain, out, e);
}

static int
by_secret(struct est_req *r, struct request_evidence *out, struct err *e)
{
	struct est_basic b;
	int rc;

	if (est_basic_parse(r->a, r->http->authorization, &b, e) == -1)
		return -1;
	rc = authn_secret(r->w->ctx, r->profile, b.name, b.secret, out, e);
	est_basic_clear(&b);
	return rc;
}

int
est_authenticate(struct est_req *r, struct request_evidence *out, struct err *e)
{
	bool has_basic =
	    r->http->authorization != NULL && r->route.op != EST_SIMPLEREENROLL;

	if (r->http->n_client_chain > 0) {
		if (by_cert(r, out, e) == 0)
			return 0;
		if (e->kind != ERR_UNAUTHENTICATED || !has_basic)
			return -1;
		log_event(LOG_INFO, "client certificate does not count", "msg",
		    e->text, "peer", r->http->peer, NULL);
	}
	if (has_basic)
		return by_secret(r, out, e);
	return err_set(e, ERR_UNAUTHENTICATED, "the client shows no %s",
	    r->route.op == EST_SIMPLEREENROLL ? "certificate" : "credentials");
}
