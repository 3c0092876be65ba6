#!/bin/bash
# certbot over http-01: account, order, renewal, revocation.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

start
export REQUESTS_CA_BUNDLE=$root
common=(--config-dir "$scratch/c" --work-dir "$scratch/w" --logs-dir
	"$scratch/l" --server "$directory" -n)
http=(--http-01-port "$http01_port" --http-01-address 127.0.0.1)
live=$scratch/c/live/a.test

try "certbot gets a certificate for two names" certbot certonly \
	"${common[@]}" "${http[@]}" --standalone --agree-tos \
	--register-unsafely-without-email --key-type ecdsa -d a.test -d b.test
verify_chain "$live/cert.pem" a.test
first=$(openssl x509 -in "$live/cert.pem" -noout -serial)
cp "$live/cert.pem" "$scratch/first.pem"
try "the chain file has the issuing CA and not the root" test \
	"$(grep -c BEGIN "$live/fullchain.pem")" -eq 2

try "certbot renews" certbot renew "${common[@]}" "${http[@]}" \
	--force-renewal --no-random-sleep-on-renew
try "the renewed certificate is another one" test "$first" != \
	"$(openssl x509 -in "$live/cert.pem" -noout -serial)"
verify_chain "$live/cert.pem" b.test

try "certbot gets an RSA certificate" certbot certonly "${common[@]}" \
	"${http[@]}" --standalone --key-type rsa --rsa-key-size 2048 -d r.test
verify_chain "$scratch/c/live/r.test/cert.pem" r.test

try "certbot revokes with a reason" certbot revoke "${common[@]}" \
	--cert-name a.test --reason keycompromise --no-delete-after-revoke
try "the database has the revocation and its reason" test \
	"$(cert_json "$live/cert.pem" | jq -r '[.revoked,.reason]|join(" ")')" \
	= "true keyCompromise"
try "the earlier certificate is still good" test \
	"$(cert_json "$scratch/first.pem" | jq -r .revoked)" = false
try_not "revoking twice is alreadyRevoked" certbot revoke "${common[@]}" \
	--cert-path "$live/cert.pem" --reason keycompromise
try "certbot was told so" grep -qi "already revoked\|alreadyRevoked" \
	"$scratch/l/letsencrypt.log"
try "certbot revokes with the certificate's own key" certbot revoke \
	"${common[@]}" --cert-path "$scratch/c/live/r.test/cert.pem" \
	--key-path "$scratch/c/live/r.test/privkey.pem" \
	--no-delete-after-revoke

try "certbot updates its contact" certbot update_account "${common[@]}" \
	-m new@x.test
try_not "a name outside the profile is refused" certbot certonly \
	"${common[@]}" "${http[@]}" --standalone -d www.example.com
try "certbot was told which rule refused" grep -q rejectedIdentifier \
	"$scratch/l/letsencrypt.log"
try "certbot unregisters" certbot unregister "${common[@]}"
check_log
tap_done
