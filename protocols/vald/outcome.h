/*
 * How a validation ended, whatever its method.
 */
#ifndef PROTOCOLS_VALD_OUTCOME_H
#define PROTOCOLS_VALD_OUTCOME_H

#define OUTCOME_DETAIL_MAX 256
#define OUTCOME_EVIDENCE_MAX 512

/* The kinds are error types of RFC 8555 section 6.7. */
enum outcome_kind {
	OUTCOME_VALID,
	OUTCOME_CONNECTION,
	OUTCOME_DNS,
	OUTCOME_UNAUTHORIZED,
	OUTCOME_INCORRECT,
	OUTCOME_TLS,
	OUTCOME__COUNT
};

/*
 * 'detail' is for the client; it never holds what the host answered.
 * 'evidence' is for the records: what was asked where.
 */
struct outcome {
	enum outcome_kind kind;
	char detail[OUTCOME_DETAIL_MAX];
	char evidence[OUTCOME_EVIDENCE_MAX];
};

/* The name that the challenge's error type ends in, or "valid". */
const char *outcome_name(enum outcome_kind kind);

/* Fills 'o' and returns -1, so that a failure is one return statement. */
int outcome_set(struct outcome *o, enum outcome_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
