#!/bin/bash
# ./quickstart itself: first start with its demo, what it prints, a second
# start that loses nothing, ports, two states side by side, the stop.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

start
try "quickstart enrolls by itself with a stock client" quickstart \
	--state "$state" --detach
sed -n '/^Try next:$/,$ s/^  //p' "$scratch/out" >"$scratch/lines"
crt=$state/demo/lego/certificates/demo.test.crt
verify_chain "$crt" demo.test
verify_chain "$state/demo/est-new.pem" router.test
try "over EST it was enrolled with a secret and renewed with itself" sh -c "
	'$top_builddir/chancery' --json list --name router.test |
	jq -se 'map(.principal) | (.[0] == \"cert:device/CN=router.test\") and
		(.[1] | startswith(\"secret:demo-\"))'"
try "the secret is used up" sh -c "
	test -z \"\$('$top_builddir/chancery' secret list)\""
try "endpoints.json names the directory, root, chain and log" sh -c "
	jq -e '.acme == \"$directory\" and
		.est == \"https://localhost:$https_port/.well-known/est\"' \
		$state/endpoints.json &&
	test -s \$(jq -r .root $state/endpoints.json) &&
	test -s \$(jq -r .chain $state/endpoints.json) &&
	test -s \$(jq -r .log $state/endpoints.json)"
try "chain has the issuing CA alone" test \
	"$(grep -c BEGIN "$(jq -r .chain "$state/endpoints.json")")" -eq 1
try "chancery status is content" chancery status
try "chancery check is content" chancery check
if [ "$(id -u)" -eq 0 ]; then
	try "every daemon has a user of its own" sh -c \
		"'$top_builddir/chancery' status | grep -q '^separation *on'"
else
	try "status says that the separation is off" sh -c \
		"'$top_builddir/chancery' status | grep -q '^separation *off'"
fi
try "the root's token is not in the running signer's configuration" sh -c \
	"! grep -q root/ '$state/keys.yaml'"
try "the transcript has the programs and the keys' attributes" sh -c "
	grep -q '^sha256=' '$state/ceremony.txt' &&
	grep -qi 'extractable=false' '$state/ceremony.txt'"

# the lines that it prints
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout \
	"$scratch/k" -subj / -addext subjectAltName=DNS:web.test -out \
	"$scratch/web.csr" 2>/dev/null
try "profile test says yes" chancery profile test tls-server "$scratch/web.csr"
try_not "profile test says no" chancery profile test user "$scratch/web.csr"
try "issue" chancery issue -p tls-server --txn t1 -o "$scratch/web.pem" \
	"$scratch/web.csr"
verify_chain "$scratch/web.pem" web.test
try "the same transaction gives the same certificate" sh -c "
	'$top_builddir/chancery' issue -p tls-server --txn t1 -o '$scratch/web2.pem' \
		'$scratch/web.csr' && cmp '$scratch/web.pem' '$scratch/web2.pem'"
try "list finds it by name" sh -c "
	test \$('$top_builddir/chancery' --json list --name web.test | wc -l) -eq 1"
try "and by suffix" sh -c "
	test \$('$top_builddir/chancery' --json list --name '*.test' | wc -l) -ge 2"
try "revoke" chancery revoke -r superseded "$scratch/web.pem"
try "revoking twice is no error for the operator" chancery revoke \
	"$scratch/web.pem"
try "show has the history" sh -c "
	'$top_builddir/chancery' --json show '$scratch/web.pem' |
	jq -e '[.history[].kind] == [\"intent\",\"issue\",\"revoke\"]'"
chancery show deadbeef >/dev/null 2>&1
try "an unknown certificate is exit status 4" test $? -eq 4
chancery issue -p nothing "$scratch/web.csr" >/dev/null 2>&1
try "a refusal is exit status 3" test $? -eq 3

# user and code-signing certificates come from keys of their own
for want in "user email:me@x.test users" "code-signing - code"; do
	set -- $want
	subject=/CN=me@x.test san=(-addext "subjectAltName=email:me@x.test")
	[ "$1" = user ] || { subject="/CN=Build Key/O=Example" san=(); }
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$scratch/k" -subj "$subject" "${san[@]}" -out \
		"$scratch/$1.csr" 2>/dev/null
	try "a $1 certificate" chancery issue -p "$1" -o "$scratch/$1.pem" \
		"$scratch/$1.csr"
	try "is issued by $3" openssl verify -x509_strict -CAfile "$root" \
		-untrusted "$state/ca/$3.pem" "$scratch/$1.pem"
done

sed 's/^  profile: device/  profile: user/' "$CHANCERY_CONFIG" \
	>"$state/other.yaml"
try_not "check finds a profile that does not allow EST" chancery -c \
	"$state/other.yaml" check
try "and says which" grep -q 'profile "user" does not allow est' \
	"$scratch/said"

# as somebody who pastes them
try "the lines that it prints do what they say" bash -exo pipefail \
	"$scratch/lines"
try "all of them were run" test "$(grep -c '^+ ' "$scratch/out")" -ge \
	"$(wc -l <"$scratch/lines")"

# stop and start again
# Each start of the responders makes certificates of its own.
others()
{
	chancery --json list | grep -vc ocsp-responder
}
before=$(others)
root_before=$(sha256sum <"$root")
try "stop" quickstart --state "$state" --stop
try_not "nothing answers any more" chancery status
start
try "a second start has the same root" test "$root_before" = \
	"$(sha256sum <"$root")"
try "and every certificate" test "$before" -eq "$(others)"
try "starting what runs already is fine" quickstart --state "$state" \
	--no-demo --detach
try_not "ports of a state are fixed" quickstart --state "$state" --no-demo \
	--detach --https-port 1
try "and the error says so" grep -q "are fixed" "$scratch/said"
try_not "a port in use is an error" quickstart --state "$scratch/other" \
	--no-demo --detach --https-port "$https_port"
try "that names the port" grep -q "port $https_port is in use" "$scratch/said"

# a second state beside the first, with a path too long for sockets
long=$scratch/$(printf 'x%.0s' $(seq 100))/state
try "a second state runs beside it, whatever its path's length" quickstart \
	--state "$long" --no-demo --detach --https-port "$(free_port)" \
	--http-port "$(free_port)" --ocsp-port "$(free_port)"
try "both answer" sh -c "
	'$top_builddir/chancery' status &&
	'$top_builddir/chancery' -c '$long/chancery.yaml' status"
try "the second stops" quickstart --state "$long" --stop
check_log
tap_done
