/*
 * One error idiom for every module: a function that can fail returns 0 or -1,
 * is marked MUST_USE and fills a caller-supplied 'struct err' at the place
 * that knows why.  The kind says what to tell the client; the text says what
 * happened, lower case, without a full stop.  Nothing here logs.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* The longest text that an error carries, with its NUL. */
#define ERR_TEXT_MAX 512

enum err_kind {
	ERR_NONE,
	ERR_MALFORMED,       /* the bytes are not what the protocol says */
	ERR_UNAUTHENTICATED, /* the evidence does not prove a principal */
	ERR_REFUSED,         /* a rule of a profile or policy says no */
	ERR_BAD_POP,         /* proof of possession is wrong */
	ERR_BAD_KEY,         /* the public key is unacceptable */
	ERR_CONFLICT,        /* the same name was used for something else */
	ERR_NOT_FOUND,       /* no such object */
	ERR_LIMITED,         /* too many of them; later it will do */
	ERR_UNAVAILABLE,     /* a part is down; trying again later may help */
	ERR_INTERNAL,        /* a bug, or a state that must not be */
	ERR__COUNT
};

struct err {
	enum err_kind kind;
	char text[ERR_TEXT_MAX];
};

/* What err_set and err_prefix below do, without their value. */
void err_fill(struct err *e, enum err_kind kind, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void err_put_before(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
 * Fills 'e' (which may be NULL) and is -1, so that a failure is one return
 * statement.  A text that is too long is cut.  A macro, because then compilers
 * and analyzers see the -1 and know that outputs were set where it is not.
 */
#define err_set(e, kind, ...) (err_fill((e), (kind), __VA_ARGS__), -1)

/*
 * int err_prefix(struct err *e, const char *fmt, ...)
 * Puts "prefix: " before the text of 'e', keeps its kind, and is -1: for
 * callers that know which file, profile or issuer the failure belongs to.
 */
#define err_prefix(e, ...) (err_put_before((e), __VA_ARGS__), -1)

/* The name of 'kind' as logs and --json show it, such as "malformed". */
const char *err_kind_name(enum err_kind kind);

#endif
