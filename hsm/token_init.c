/* Initialising a token: only the ceremony mode does that. */
#include <string.h>

#include "hsm/token_int.h"

#define LABEL_SIZE 32
#define SLOTS_MAX 64

/* PKCS#11 pads labels with blanks. */
static void
pad_label(const char *label, CK_UTF8CHAR out[LABEL_SIZE])
{
	memset(out, ' ', LABEL_SIZE);
	memcpy(out, label, strlen(label));
}

/* The token of that label ('*there'), or the first one without any. */
static int
choose(CK_FUNCTION_LIST *f, const CK_UTF8CHAR label[LABEL_SIZE],
    CK_SLOT_ID *out, bool *there, struct err *e)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG n = SLOTS_MAX, i;
	CK_TOKEN_INFO info;
	bool empty = false;
	CK_RV rv = f->C_GetSlotList(CK_TRUE, slots, &n);

	if (rv != CKR_OK)
		return token_fail(e, "slots", rv);
	for (i = 0; i < n; i++) {
		if (f->C_GetTokenInfo(slots[i], &info) != CKR_OK)
			continue;
		if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) {
			if (!empty)
				*out = slots[i];
			empty = true;
		} else if (memcmp(info.label, label, LABEL_SIZE) == 0) {
			*there = true;
			return 0;
		}
	}
	if (!empty)
		return err_set(
		    e, ERR_NOT_FOUND, "there is no token to initialise");
	return 0;
}

/* The user's PIN is set by the security officer. */
static int
set_pin(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session,
    const struct token_init *t, struct err *e)
{
	CK_UTF8CHAR *so_pin = (CK_UTF8CHAR *)(uintptr_t)t->so_pin;
	CK_UTF8CHAR *pin = (CK_UTF8CHAR *)(uintptr_t)t->pin;
	CK_RV rv = f->C_Login(session, CKU_SO, so_pin, strlen(t->so_pin));

	if (rv != CKR_OK)
		return token_fail(e, "login of the security officer", rv);
	rv = f->C_InitPIN(session, pin, strlen(t->pin));
	(void)f->C_Logout(session);
	return rv == CKR_OK ? 0 : token_fail(e, "setting the PIN", rv);
}

int
token_init(const struct token_init *t, bool *there, struct err *e)
{
	CK_UTF8CHAR *so_pin = (CK_UTF8CHAR *)(uintptr_t)t->so_pin;
	CK_UTF8CHAR label[LABEL_SIZE];
	CK_SESSION_HANDLE session;
	CK_FUNCTION_LIST *f;
	CK_SLOT_ID slot = 0;
	CK_RV rv;
	int rc;

	*there = false;
	if (t->label[0] == '\0' || strlen(t->label) > LABEL_SIZE)
		return err_set(
		    e, ERR_MALFORMED, "a label has 1 to %d octets", LABEL_SIZE);
	pad_label(t->label, label);
	if (token_functions(t->module, &f, e) == -1 ||
	    choose(f, label, &slot, there, e) == -1)
		return -1;
	if (*there)
		return 0;
	rv = f->C_InitToken(slot, so_pin, strlen(t->so_pin), label);
	if (rv != CKR_OK)
		return token_fail(e, "initialising the token", rv);
	rv = f->C_OpenSession(
	    slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);
	if (rv != CKR_OK)
		return token_fail(e, "session", rv);
	rc = set_pin(f, session, t, e);
	(void)f->C_CloseSession(session);
	return rc;
}
