/*
 * Object identifiers of certificates as dotted text, by the names of RFC 5280
 * and its companions.
 */
#ifndef CA_OID_H
#define CA_OID_H

/* Extensions. */
#define OID_SUBJECT_KEY_ID "2.5.29.14"
#define OID_KEY_USAGE "2.5.29.15"
#define OID_SUBJECT_ALT_NAME "2.5.29.17"
#define OID_BASIC_CONSTRAINTS "2.5.29.19"
#define OID_CRL_NUMBER "2.5.29.20"
#define OID_DELTA_CRL "2.5.29.27"
#define OID_ISSUING_DIST_POINT "2.5.29.28"
#define OID_NAME_CONSTRAINTS "2.5.29.30"
#define OID_CRL_DISTRIBUTION_POINTS "2.5.29.31"
#define OID_CERTIFICATE_POLICIES "2.5.29.32"
#define OID_ANY_POLICY "2.5.29.32.0"
#define OID_POLICY_MAPPINGS "2.5.29.33"
#define OID_AUTHORITY_KEY_ID "2.5.29.35"
#define OID_POLICY_CONSTRAINTS "2.5.29.36"
#define OID_EXT_KEY_USAGE "2.5.29.37"
#define OID_ANY_EKU "2.5.29.37.0"
#define OID_FRESHEST_CRL "2.5.29.46"
#define OID_INHIBIT_ANY_POLICY "2.5.29.54"
#define OID_EXPIRED_CERTS_ON_CRL "2.5.29.60"
#define OID_AUTHORITY_INFO_ACCESS "1.3.6.1.5.5.7.1.1"
#define OID_TLS_FEATURE "1.3.6.1.5.5.7.1.24" /* RFC 7633 */
#define OID_OCSP_NOCHECK "1.3.6.1.5.5.7.48.1.5"

/* Access methods and qualifiers. */
#define OID_AD_OCSP "1.3.6.1.5.5.7.48.1"
#define OID_AD_CA_ISSUERS "1.3.6.1.5.5.7.48.2"
#define OID_QT_CPS "1.3.6.1.5.5.7.2.1"
#define OID_QT_NOTICE "1.3.6.1.5.5.7.2.2"

/* Extended key usages. */
#define OID_EKU_SERVER_AUTH "1.3.6.1.5.5.7.3.1"
#define OID_EKU_CLIENT_AUTH "1.3.6.1.5.5.7.3.2"
#define OID_EKU_CODE_SIGNING "1.3.6.1.5.5.7.3.3"
#define OID_EKU_EMAIL "1.3.6.1.5.5.7.3.4"
#define OID_EKU_TIME_STAMPING "1.3.6.1.5.5.7.3.8"
#define OID_EKU_OCSP_SIGNING "1.3.6.1.5.5.7.3.9"
#define OID_EKU_CMC_RA "1.3.6.1.5.5.7.3.28" /* RFC 6402 2.10 */

/* otherName types. */
#define OID_UPN "1.3.6.1.4.1.311.20.2.3"
#define OID_SMTP_UTF8 "1.3.6.1.5.5.7.8.9" /* RFC 9598 */

/* Keys and signatures. */
#define OID_RSA "1.2.840.113549.1.1.1"
#define OID_EC "1.2.840.10045.2.1"
#define OID_P256 "1.2.840.10045.3.1.7"
#define OID_P384 "1.3.132.0.34"
#define OID_P521 "1.3.132.0.35"
#define OID_ED25519 "1.3.101.112"
#define OID_SHA256_RSA "1.2.840.113549.1.1.11"
#define OID_SHA384_RSA "1.2.840.113549.1.1.12"
#define OID_SHA512_RSA "1.2.840.113549.1.1.13"
#define OID_ECDSA_SHA256 "1.2.840.10045.4.3.2"
#define OID_ECDSA_SHA384 "1.2.840.10045.4.3.3"
#define OID_ECDSA_SHA512 "1.2.840.10045.4.3.4"

/* PKCS#9 (RFC 2985). */
#define OID_CHALLENGE_PASSWORD "1.2.840.113549.1.9.7"
#define OID_EXTENSION_REQUEST "1.2.840.113549.1.9.14"

/* CMC (RFC 6402 2.8). */
#define OID_CHANGE_SUBJECT_NAME "1.3.6.1.5.5.7.7.36"

#endif
