#!/bin/sh
# Makes the corpora of fuzz_csr, fuzz_est, fuzz_jws, fuzz_ocsp and fuzz_profile
# again, below the directory named on the command line.  Keys are new each time, so the files
# differ from the committed ones; only their kinds matter.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:?usage: make-corpus.sh directory}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$out/csr" "$out/est" "$out/jws" "$out/ocsp" "$out/profile"

# csr NAME ALGORITHM SUBJECT [EXTENSION...]
csr() {
	name=$1 alg=$2 subject=$3
	shift 3
	set -- "$@" x
	exts=
	while [ "$1" != x ]; do
		exts="$exts -addext $1"
		shift
	done
	# shellcheck disable=SC2086 # options are words
	openssl genpkey -quiet -algorithm $alg -out "$tmp/key" 2>/dev/null ||
		openssl genpkey -algorithm $alg -out "$tmp/key" 2>/dev/null
	# shellcheck disable=SC2086
	openssl req -new -key "$tmp/key" -subj "$subject" $exts \
		-outform DER -out "$out/csr/$name"
}
p256='EC -pkeyopt ec_paramgen_curve:P-256'
csr p256 "$p256" / subjectAltName=DNS:a.test
csr p384 'EC -pkeyopt ec_paramgen_curve:P-384' /CN=a.test
csr rsa 'RSA -pkeyopt rsa_keygen_bits:2048' /C=DE/O=Test/CN=a.test \
	subjectAltName=DNS:a.test,DNS:*.b.test
csr ed25519 ED25519 /serialNumber=1 subjectAltName=IP:10.0.0.1,IP:::1
csr many "$p256" '/CN=a\,b/OU=c' \
	subjectAltName=email:a@b.test,URI:https://a.test/x,DNS:xn--bcher-kva.test \
	tlsfeature=status_request basicConstraints=critical,CA:TRUE
csr upn "$p256" / 'subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a@b'
csr other "$p256" / 'subjectAltName=otherName:1.2.3;UTF8:a,RID:1.2.3'
csr k256 'EC -pkeyopt ec_paramgen_curve:secp256k1' /CN=a
openssl req -inform DER -in "$out/csr/p256" -out "$out/csr/pem"

# est NAME PARSER: standard input for one of fuzz_est's parsers
est() {
	{ printf %s "$2"; cat; } >"$out/est/$1"
}
{ printf 'Basic '; printf 'router7:5ecret' | openssl base64 -A; } | est basic a
{ printf 'basic  '; printf 'a:' | openssl base64 -A; } | est basic-empty a
printf 'Digest username="a"' | est digest a
head -c 32 /dev/zero | openssl base64 -A | est binding c
printf secret | est secret c
printf /.well-known/est/cacerts | est path p
printf /.well-known/est/device/simpleenroll | est path-label p
printf /.well-known/est/cacerts/cacerts | est path-op-label p
printf 'application/pkcs10; charset=x' | est media m
printf 'Cisco EST client 1.0' | est agent m
openssl base64 <"$out/csr/p256" | est csr-wrapped b
openssl base64 -A <"$out/csr/rsa" | est csr b
openssl base64 -A <"$out/csr/p256" | tr -d = | est csr-unpadded b
cat >"$tmp/cnf" <<CNF
[req]
distinguished_name = dn
attributes = attributes
prompt = no
[dn]
CN = a.test
[attributes]
1.2.840.113549.1.9.16.2.37 = key
CNF
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-keyout "$tmp/key" -config "$tmp/cnf" -outform DER 2>/dev/null |
	openssl base64 -A | est csr-encrypted b

b64url() {
	printf %s "$1" | openssl base64 -A | tr +/ -_ | tr -d =
}
# jws NAME HEADER PAYLOAD [MORE]
jws() {
	printf '{"protected":"%s","payload":"%s","signature":"%s"%s}' \
		"$(b64url "$2")" "$(b64url "$3")" "$(b64url \
		0123456789012345678901234567890123456789012345678901234567890123)" \
		"${4-}" >"$out/jws/$1"
}
rest='"nonce":"AAAA","url":"https://ca.test/acme/new-order"'
x=f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU
y=x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0
n=$(openssl rand 255 | openssl base64 -A | tr +/ -_ | tr -d =)
jws kid "{\"alg\":\"ES256\",\"kid\":\"https://ca.test/acme/account/1\",$rest}" ''
jws ec "{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"$x\",\"y\":\"$y\"},$rest}" \
	'{"termsOfServiceAgreed":true,"contact":["mailto:a@b.test"]}'
jws okp "{\"alg\":\"EdDSA\",\"jwk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},$rest}" '{}'
jws rsa "{\"alg\":\"RS256\",\"jwk\":{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"wf$n\"},$rest}" '{}'
jws hs256 "{\"alg\":\"HS256\",\"kid\":\"1\",$rest}" '{}'
jws b64 "{\"alg\":\"ES256\",\"b64\":false,\"crit\":[\"b64\"],\"kid\":\"1\",$rest}" '{}'
jws general "{\"alg\":\"ES256\",\"kid\":\"1\",$rest}" '{}' ',"signatures":[],"header":{}'

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-keyout "$tmp/ca.key" -out "$tmp/ca.pem" -subj /O=Test/CN=ca -days 9 \
	2>/dev/null
# ocsp NAME OPTION...
ocsp() {
	name=$1
	shift
	openssl ocsp -issuer "$tmp/ca.pem" "$@" -reqout "$out/ocsp/$name" \
		>/dev/null
}
s=0x4a6f00112233445566778899aabbccdd
ocsp sha1 -no_nonce -serial $s
ocsp nonce -serial $s
ocsp sha256 -no_nonce -sha256 -serial $s
ocsp sha384 -no_nonce -sha384 -serial $s
ocsp sha512 -no_nonce -sha512 -serial $s
ocsp md5 -no_nonce -md5 -serial $s
ocsp serials -no_nonce -serial 0 -serial 0x80 -serial -1 -serial -0x80
ocsp mixed -serial 1 -sha256 -serial 2 -sha1 -serial 3
ocsp long -no_nonce -serial 0x$(openssl rand -hex 40)
set --
for i in $(seq 32); do
	set -- "$@" -serial "$i"
done
ocsp full "$@"
ocsp over "$@" -serial 33
ocsp signed -serial $s -signer "$tmp/ca.pem" -signkey "$tmp/ca.key"
{
	printf '//'
	openssl base64 -A <"$out/ocsp/sha1" | sed 's/+/%2B/g; s|/|%2f|; s/=//g'
} >"$out/ocsp/path"
# ext NAME CRITICAL OID VALUE: one more extension, by the configuration of
# asn1parse
ext() {
	cat >"$tmp/cnf" <<-CNF
	asn1 = SEQUENCE:req
	[req]
	tbs = SEQUENCE:tbs
	[tbs]
	version = EXPLICIT:0,INTEGER:$5
	name = EXPLICIT:1,IMPLICIT:2,IA5STRING:a.test
	list = SEQUENCE:list
	exts = EXPLICIT:2,SEQUENCE:exts
	[list]
	one = SEQUENCE:one
	[one]
	id = SEQUENCE:id
	single = EXPLICIT:0,SEQUENCE:exts2
	[id]
	alg = SEQUENCE:alg
	name = FORMAT:HEX,OCTETSTRING:0102
	key = FORMAT:HEX,OCTETSTRING:03
	serial = INTEGER:0x80
	[alg]
	oid = OID:1.3.14.3.2.26
	[exts]
	ext = SEQUENCE:ext
	[exts2]
	ext = SEQUENCE:locator
	[locator]
	oid = OID:1.3.6.1.5.5.7.48.1.7
	value = FORMAT:HEX,OCTETSTRING:3000
	[ext]
	oid = OID:$3
	critical = BOOLEAN:$2
	value = FORMAT:HEX,OCTETSTRING:$4
	CNF
	openssl asn1parse -genconf "$tmp/cnf" -noout -out "$out/ocsp/$1"
}
nonce=1.3.6.1.5.5.7.48.1.2
ext crit-unknown TRUE 1.2.3 3000 0
ext crit-algs TRUE 1.3.6.1.5.5.7.48.1.8 3000 0
ext false FALSE 1.3.6.1.5.5.7.48.1.4 3000 0
ext nonce-raw TRUE $nonce 00112233445566778899aabbccddeeff 0
ext nonce-empty TRUE $nonce 0400 0
ext nonce-short TRUE $nonce 04020102 0
ext version TRUE $nonce 04020102 1
printf '0\2000\200\0\0\0\0' >"$out/ocsp/indefinite"

cp "$top"/policies/*.yaml "$out/profile/"
rm -f "$out/profile/keys.yaml"
cat >"$out/profile/every-key" <<'YAML'
name: every-key
description: all keys of the format
issuers: [tls, users]
allow:
- {protocols: [acme], principals: ["acme:*"]}
subject:
  fixed: [{type: O, value: Test}]
  allowed: [{type: CN, pattern: "a*", from-san: true, required: true, max: 2}]
san:
  required: true
  max: 9
  dns: {patterns: ["**"], max: 3, wildcard: true}
  ip: {ranges: ["::/0"], max: 3}
  email: {patterns: ["*"], max: 3}
  uri: {patterns: ["*"], max: 3}
  upn: {patterns: ["*"], max: 3}
keys: {rsa: {min: 2048, max: 4096}, ec: [P-256, P-521], ed25519: true}
validity: {default: 90s, max: 10y, backdate: 1h}
key-usage: [keyCertSign, cRLSign]
key-usage-rsa: [keyCertSign]
extended-key-usage: [serverAuth, 1.2.3]
policies: [{oid: 1.2.3, cps: "http://a/", notice: text}]
tls-feature: always
basic-constraints: {ca: true, path-length: -1}
name-constraints:
  permitted: {dns: [test], email: [test], ip: [10.0.0.0/8]}
  excluded: {dns: [a.test]}
ocsp-nocheck: false
crl-distribution-points: true
authority-info-access: true
approval: true
YAML
