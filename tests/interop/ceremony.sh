#!/bin/bash
# Key ceremonies: a root that is kept on another machine (request out,
# certificate in), a software key, RSA, and what a ceremony refuses.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"
trap 'rm -rf "$scratch"' EXIT

for m in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so; do
	[ ! -r "$m" ] || module=$m
done
# machine NAME: a directory with a token store of its own.
machine()
{
	mkdir -p "$scratch/$1/tokens"
	echo "directories.tokendir = $scratch/$1/tokens" >"$scratch/$1/softhsm2.conf"
	echo 11223344 >"$scratch/$1/pin"
	echo 55667788 >"$scratch/$1/so-pin"
}
# token NAME: its lines in a ceremony file.
token()
{
	cat <<EOF
tokens:
- label: $1
  module: $module
  so-pin-file: so-pin
  pin-file: pin
  environment: ["SOFTHSM2_CONF=$scratch/$1/softhsm2.conf"]
EOF
}
# key NAME OBJECT ID
key()
{
	cat <<EOF
  key:
    module: $module
    uri: "pkcs11:token=$1;object=$2;id=%0$3"
    pin-file: pin
    environment: ["SOFTHSM2_CONF=$scratch/$1/softhsm2.conf"]
EOF
}
machine offline
machine online

{
	echo "transcript: transcript.txt"
	token online
	echo "authorities:"
	cat <<EOF
- name: device
  subject: "CN=Device CA,O=Example"
  algorithm: RSA-2048
  validity: 5y
  issuer: external
  csr: device.csr
  certificate: device.pem
EOF
	key online device 1
} >"$scratch/online/ceremony.yaml"
try "the issuing machine writes a request" chancery init --ceremony \
	"$scratch/online/ceremony.yaml"
try "that OpenSSL verifies" openssl req -in "$scratch/online/device.csr" \
	-noout -verify
try "running it again only waits" chancery init --ceremony \
	"$scratch/online/ceremony.yaml"

cp "$scratch/online/device.csr" "$scratch/offline/"
{
	echo "transcript: transcript.txt"
	token offline
	cat <<EOF
authorities:
- name: root
  subject: "CN=Offline Root,O=Example"
  algorithm: P-384
  validity: 20y
  issuer: self
  certificate: root.pem
EOF
	key offline root 1
	cat <<EOF
- name: device
  subject: "CN=Device CA,O=Example"
  validity: 5y
  issuer: root
  path-length: 0
  csr: device.csr
  certificate: device.pem
  chain: device-chain.pem
  extended-key-usage: [clientAuth, serverAuth]
  crl-urls: ["http://crl.example.test/root.crl"]
EOF
} >"$scratch/offline/ceremony.yaml"
try "the root's machine signs it" chancery init --ceremony \
	"$scratch/offline/ceremony.yaml"
try "OpenSSL verifies the result" openssl verify -x509_strict -CAfile \
	"$scratch/offline/root.pem" "$scratch/offline/device.pem"
try "GnuTLS too" sh -c "cat '$scratch/offline/device-chain.pem' |
	certtool --verify-chain"
try "it has the CRL's address and no OCSP" sh -c "
	openssl x509 -in '$scratch/offline/device.pem' -noout -text >'$scratch/t'
	grep -q crl.example.test '$scratch/t' && ! grep -q OCSP '$scratch/t'"
try "the key is the request's" sh -c "
	openssl req -in '$scratch/online/device.csr' -noout -pubkey >'$scratch/a'
	openssl x509 -in '$scratch/offline/device.pem' -noout -pubkey |
	cmp - '$scratch/a'"
cp "$scratch/offline/device.pem" "$scratch/online/"
try "the issuing machine takes the certificate in" chancery init --ceremony \
	"$scratch/online/ceremony.yaml"
try "both wrote a transcript of the programs and attributes" sh -c "
	grep -q '^sha256=' '$scratch/offline/transcript.txt' &&
	grep -q 'extractable=false' '$scratch/online/transcript.txt'"
try "a transcript is never overwritten" test -e \
	"$scratch/online/transcript.txt.2"
try_not "no PIN is in a transcript" grep -E '11223344|55667788' \
	"$scratch/online/transcript.txt" "$scratch/offline/transcript.txt"

# a wrong certificate is not taken in
cp "$scratch/offline/root.pem" "$scratch/online/device.pem"
try_not "another key's certificate is refused" chancery init --ceremony \
	"$scratch/online/ceremony.yaml"

# a key in a file, for algorithms that no token has
mkdir "$scratch/soft"
echo correct-horse >"$scratch/soft/passphrase"
cat >"$scratch/soft/ceremony.yaml" <<EOF
transcript: transcript.txt
authorities:
- name: soft
  subject: "CN=Soft Root,O=Example"
  algorithm: P-256
  validity: 2y
  issuer: self
  certificate: soft.pem
  key: {keyfile: soft.key, passphrase-file: passphrase}
EOF
try "a root with a key file" chancery init --ceremony \
	"$scratch/soft/ceremony.yaml"
try "whose key is encrypted PKCS#8" grep -q "ENCRYPTED PRIVATE KEY" \
	"$scratch/soft/soft.key"
try "and verifies" openssl verify -x509_strict -CAfile \
	"$scratch/soft/soft.pem" "$scratch/soft/soft.pem"

sed 's/validity: 2y/validity: 2y\n  colour: red/' "$scratch/soft/ceremony.yaml" \
	>"$scratch/soft/bad.yaml"
try_not "an unknown key is refused" chancery init --ceremony \
	"$scratch/soft/bad.yaml"
try "with its line" grep -q 'bad.yaml:7: .*colour' "$scratch/said"
tap_done
