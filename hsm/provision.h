/*
 * The offline ceremony mode of chancery-signd: makes keys, self-signs roots,
 * signs CA certificates and writes certification requests.  Never part of the
 * running service; `chancery init` drives it as a child process.
 *
 *   chancery-signd --ceremony FILE       ("-" is standard input)
 *
 * FILE holds one or more requests.  A request is lines of "name=value" (no
 * quoting, no escapes, no spaces around '='; lines that start with '#' are
 * skipped); an empty line or the end of the file ends it.  Requests are done
 * in order; the first that fails ends the run with exit status 1.  For each,
 * standard output gets lines of "name=value", the last "status=ok" or
 * "status=KIND" and "error=TEXT", then an empty line.
 *
 * Every request has
 *   verb=     make-key | self-sign | sign-ca | sign-crl | csr | attributes |
 *             init-token
 * and names its key, either on a token
 *   module=   path of the PKCS#11 module
 *   uri=      RFC 7512 URI with token and id (make-key: object is the label)
 *   pin-file= | pin-credential= | pin-prompt=true
 * or in a file
 *   keyfile=  path, encrypted PKCS#8
 *   passphrase-file= | passphrase-credential= | passphrase-prompt=true
 *
 *   make-key    algorithm= P-256 P-384 RSA-2048 ... RSA-4096
 *               public=    written: SubjectPublicKeyInfo, PEM (optional)
 *   self-sign   tbs=       read: TBSCertificate, DER, whose issuer is its
 *                          subject and whose key is this key
 *               out=       written: certificate, PEM
 *   sign-ca     issuer=    read: certificate of the key, PEM
 *               tbs=, out= as above; the issuer must be its subject, and
 *                          basicConstraints must say CA:TRUE
 *   sign-crl    issuer=    read: certificate of the key, PEM
 *               tbs=       read: TBSCertList, DER: complete, for all
 *                          certificates, by that issuer and its key, made
 *                          within five minutes of now and not valid for
 *                          longer than the issuer (crlcheck.h says the rest)
 *               out=       written: CRL, DER
 *   csr         subject=   hex of the Name, DER
 *               out=       written: PKCS#10 request (RFC 2986), PEM
 *   attributes  prints the private key's attributes
 *   init-token  names no key, but module=, label=, so-pin-file= and pin-file=
 *               (or the other forms); prints "there=true" when a token of
 *               that label exists already
 *
 * All verbs print "algorithm=" and "spki-sha256=" (hex) of the key; those
 * that write a certificate print "certificate-sha256=" (hex, of the DER);
 * sign-crl prints "crl-number=" (hex), "entries=" and "crl-sha256=".
 * Secrets are read as secret.h says, never from the request or argv.
 */
#ifndef HSM_PROVISION_H
#define HSM_PROVISION_H

/*
 * Runs the requests of the file 'path' ("-": standard input); locks logins
 * with the file 'lock_path'.  The result is the exit status.
 */
int provision_run(const char *path, const char *lock_path);

#endif
