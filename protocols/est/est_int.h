/*
 * What the EST handlers share; only protocols/est/ includes this.
 */
#ifndef PROTOCOLS_EST_EST_INT_H
#define PROTOCOLS_EST_EST_INT_H

#include <stdbool.h>

#include "ca/profile.h"
#include "ca/request.h"
#include "protocols/est/est.h"

#define EST_CERTS_TYPE "application/pkcs7-mime; smime-type=certs-only"

/* One request on its way. */
struct est_req {
	struct est_worker *w;
	const struct http_request *http;
	struct http_reply *reply;
	struct arena *a;
	struct est_route route;
	const struct profile *profile;
	bool wrap; /* base64 in lines */
};

/* Answers with a sentence. */
void est_reply_text(struct est_req *r, int status, const char *text);

/* Answers 200 with DER of this media type in base64 (RFC 8951 3.1). */
void est_reply_der(struct est_req *r, const char *type, struct span der);

/*
 * Who asks (RFC 7030 3.3.2, 3.2.3): by the client certificate if it counts,
 * else by the Basic credentials; those do not count for /simplereenroll.
 */
int est_authenticate(
    struct est_req *r, struct request_evidence *out, struct err *e) MUST_USE;

/* Handlers: 0 when 'r->reply' is filled in. */
int est_cacerts(struct est_req *r, struct err *e) MUST_USE;
int est_csrattrs(struct est_req *r, struct err *e) MUST_USE;
int est_enroll(struct est_req *r, struct err *e) MUST_USE;
int est_serverkeygen(struct est_req *r, struct err *e) MUST_USE;

#endif
