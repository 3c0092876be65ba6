/* Shared by hsm/token*.c: the module's own functions. */
#ifndef HSM_TOKEN_INT_H
#define HSM_TOKEN_INT_H

#include <p11-kit/pkcs11.h>

#include "hsm/token.h"

struct token {
	CK_FUNCTION_LIST *f;
	CK_SESSION_HANDLE session;
};

/* UNAVAILABLE "what: CKR_...": a call of the module has failed. */
int token_fail(struct err *e, const char *what, CK_RV rv);

/* Loads the module, at most once, and gives its functions. */
int token_functions(
    const char *module, CK_FUNCTION_LIST **out, struct err *e) MUST_USE;

/*
 * The only object of this class with the URI's id; NOT_FOUND, or CONFLICT
 * when there are several.
 */
int token_object(struct token *t, const struct token_uri *uri,
    CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out, struct err *e) MUST_USE;

/* The value of an attribute in the arena; false when the token has none. */
bool token_attribute(struct token *t, struct arena *a, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE_TYPE type, struct span *out);

#endif
