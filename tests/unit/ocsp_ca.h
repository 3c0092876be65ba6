/*
 * A CA for tests of the responder, made and judged by libcrypto: what it says
 * about our answers is the word of an implementation that nobody here wrote.
 */
#ifndef TESTS_UNIT_OCSP_CA_H
#define TESTS_UNIT_OCSP_CA_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ocsp.h>
#include <openssl/x509.h>

#include "base/arena.h"
#include "base/span.h"

struct ocsp_ca {
	EVP_PKEY *key;
	X509 *cert;
};

/* A self-signed CA with a P-256 key, valid around now. */
void ocsp_ca_init(struct ocsp_ca *ca, const char *name);
void ocsp_ca_clear(struct ocsp_ca *ca);

/*
 * A delegate's certificate for the key: with id-kp-OCSPSigning if 'eku',
 * valid from now to 'ttl_s' later.
 */
X509 *ocsp_ca_delegate(
    const struct ocsp_ca *ca, EVP_PKEY *key, int64_t ttl_s, bool eku);

/* Complete CRL 'number' with this serial revoked for key compromise, DER. */
struct span ocsp_ca_crl(
    const struct ocsp_ca *ca, struct arena *a, long number, struct span serial);

/* A certificate as DER and as PEM, in the arena. */
struct span ocsp_ca_der(struct arena *a, X509 *cert);
const char *ocsp_ca_pem(struct arena *a, X509 *cert);

/* A P-256 key. */
EVP_PKEY *ocsp_ca_key(void);

/* A CertID by 'md' for these octets of a serial number. */
OCSP_CERTID *ocsp_ca_id(
    const struct ocsp_ca *ca, const EVP_MD *md, struct span serial);

/* A request with one CertID, with a nonce of 'nonce' octets unless 0. */
OCSP_REQUEST *ocsp_ca_request(
    const struct ocsp_ca *ca, const EVP_MD *md, struct span serial, int nonce);
struct span ocsp_ca_request_der(struct arena *a, OCSP_REQUEST *req);

/*
 * The status in a successful response (V_OCSP_CERTSTATUS_...) for a SHA-1
 * CertID of the serial, after OCSP_basic_verify and OCSP_check_validity; -1
 * with a line on stderr when something is wrong with it.
 */
int ocsp_ca_judge(
    const struct ocsp_ca *ca, struct span response, struct span serial);

#endif
