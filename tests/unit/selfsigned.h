/*
 * Throw-away certificates for tests of TLS; not for anything else.
 */
#ifndef TESTS_UNIT_SELFSIGNED_H
#define TESTS_UNIT_SELFSIGNED_H

struct selfsigned {
	char cert[4096], key[4096]; /* PEM */
};

/*
 * A P-256 key and a self-signed certificate for this common name and DNS name,
 * and 127.0.0.1.  Ends the test when libcrypto fails.
 */
void selfsigned_make(struct selfsigned *out, const char *name);

#endif
