/*
 * PINs and pass phrases: read from a file, a systemd credential or the
 * terminal into secure memory, never from the command line.
 */
#ifndef HSM_SECRET_H
#define HSM_SECRET_H

#include "base/err.h"

struct sign_secret;

/* The longest secret, without its NUL. */
#define SECRET_MAX 255

/*
 * Reads the secret (of a file: its first line) as a string that secret_free
 * cleanses.  'what' names it at a prompt.  UNAVAILABLE: cannot be read, or
 * is empty or too long.
 */
int secret_read(const struct sign_secret *s, const char *what, char **out,
    struct err *e) MUST_USE;

/* Cleanses and frees; NULL is allowed. */
void secret_free(char *secret);

#endif
