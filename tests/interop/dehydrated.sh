#!/bin/bash
# dehydrated over http-01, its challenges served by a web server.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

start
mkdir -p "$scratch/www/.well-known/acme-challenge" "$scratch/d"
python3 -m http.server --bind 127.0.0.1 --directory "$scratch/www" \
	"$http01_port" >/dev/null 2>&1 &
pids="$pids $!"
cat >"$scratch/conf" <<EOF
CA=$directory
CURL_OPTS="--cacert $root"
BASEDIR=$scratch/d
WELLKNOWN=$scratch/www/.well-known/acme-challenge
CHALLENGETYPE=http-01
KEY_ALGO=prime256v1
LOCKFILE=$scratch/lock
EOF
run()
{
	dehydrated -f "$scratch/conf" "$@"
}
crt=$scratch/d/certs/d1.test/cert.pem

try "dehydrated registers" run --register --accept-terms
try "dehydrated gets a certificate" run -c -d "d1.test d2.test"
verify_chain "$crt" d2.test
first=$(openssl x509 -in "$crt" -noout -serial)
try "dehydrated renews" run -c -x -d "d1.test d2.test"
try "the renewed certificate is another one" test "$first" != \
	"$(openssl x509 -in "$crt" -noout -serial)"
cp "$crt" "$scratch/revoked.pem"
try "dehydrated revokes" run -r "$crt"
try "the database has the revocation" test \
	"$(cert_json "$scratch/revoked.pem" | jq -r .revoked)" = true
check_log
tap_done
