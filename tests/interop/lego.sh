#!/bin/bash
# lego over http-01 with every key type that we allow.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

start
export LEGO_CA_CERTIFICATES=$root
run_lego()
{
	lego --server "$directory" --path "$scratch/p" -a -m me@x.test \
		--http --http.port "127.0.0.1:$http01_port" "$@"
}
crt=$scratch/p/certificates

for key in ec256 ec384 rsa2048 rsa4096; do
	try "lego gets a certificate with $key" run_lego --key-type "$key" \
		-d "$key.test" -d "www.$key.test" run
	verify_chain "$crt/$key.test.crt" "www.$key.test"
done
first=$(openssl x509 -in "$crt/ec256.test.crt" -noout -serial)
try "lego renews" run_lego -d ec256.test -d www.ec256.test renew \
	--days 99999 --no-random-sleep
try "the renewed certificate is another one" test "$first" != \
	"$(openssl x509 -in "$crt/ec256.test.crt" -noout -serial)"
cp "$crt/ec256.test.crt" "$scratch/revoked.pem"
try "lego revokes" run_lego -d ec256.test revoke
try "the database has the revocation" test \
	"$(cert_json "$scratch/revoked.pem" | jq -r .revoked)" = true
try_not "a name that lego cannot prove is not issued" lego \
	--server "$directory" --path "$scratch/q" -a -m me@x.test --http \
	--http.port "127.0.0.1:$(free_port)" -d unproven.test run
try "nothing was issued for it" test \
	"$(chancery --json list --name unproven.test | wc -l)" -eq 0
# metric NAME LABEL: the value that enrolld shows.
metric()
{
	curl -s "http://127.0.0.1:$http_port/metrics" |
		awk -v name="$1{$2}" '$1 == name { print $2 }'
}
try "/metrics counts the certificates" test \
	"$(metric chancery_enroll_total 'outcome="issued"')" -ge 5
try "/metrics times the stages" test "$(metric \
	chancery_enroll_stage_seconds_count 'stage="commit"')" -ge 5
curl -s --cacert "$root" -d '{' -H 'Content-Type: application/jose+json' \
	"${directory%/directory}/new-order" >"$scratch/problem"
try "/metrics counts the problems" test "$(metric \
	chancery_acme_problems_total 'type="malformed"')" -ge 1
check_log
tap_done
