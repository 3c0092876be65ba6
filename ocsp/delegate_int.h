/* Foreign types that the files of the responder share. */
#ifndef OCSP_DELEGATE_INT_H
#define OCSP_DELEGATE_INT_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/auto.h"

AUTO_DEFINE(BIO, BIO_free_all);
AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);
AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(X509, X509_free);

#endif
