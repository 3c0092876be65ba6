#!/bin/bash
# EST: requests that operators decide, polled by their clients, also on another
# node; and what time does to them.  Numbers in brackets as in est.sh.
# shellcheck disable=SC2046 # options are words
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"
. "$top_srcdir/tests/interop/est_lib.sh"

# A second operator with a login of his own: any OS user will do for that.
second=nobody
node=$scratch/node

profiles()
{
	profile slow 's/^key-usage: .*/&\napproval: true/'
	profile slowkeys "$(with 'est: {server-keygen: P-256}')
		s/^key-usage: .*/&\\napproval: true/"
	printf 'operators: [%s, %s]\n' "$(id -un)" "$second" \
		>>"$CHANCERY_CONFIG"
	printf 'approval-lifetime: 60s\n' >>"$CHANCERY_CONFIG"
	sed -i 's/^est:$/&\n  retry-after: 7s/' "$CHANCERY_CONFIG"
}

# second_node: another chancery-enrolld on the same database and signer.
second_node()
{
	local user
	user=$(sed -n 's/^  enroll: //p' "$CHANCERY_CONFIG")
	port2=$(free_port)
	mkdir -p "$node/enroll"
	sed "s|^public-url: .*|public-url: https://localhost:$port2|
		s|^state-dir: .*|state-dir: $node|
		s|port: $https_port, tls|port: $port2, tls|
		/port: $http_port}/d
		s|: \(ca/\)|: $state/\\1|
		s|: \(secrets/\)|: $state/\\1|" "$CHANCERY_CONFIG" \
		>"$node/chancery.yaml"
	printf 'policies: %s/policies\ncluster-secret: %s/secrets/cluster\n' \
		"$state" "$state" >>"$node/chancery.yaml"
	if [ "$(id -u)" -eq 0 ]; then
		chown "$user:" "$node/enroll"
		set -- setpriv --reuid "$user" --regid "$user" --init-groups
	fi
	"$@" "$(programs_dir)/chancery-enrolld" -c "$node/chancery.yaml" \
		>"$node/log" 2>&1 &
	pids="$pids $!"
	for _ in $(seq 100); do
		curl -sf --cacert "$root" -o /dev/null \
			"https://localhost:$port2/health" && return 0
		sleep 0.1
	done
	cat "$node/log"
	return 1
}

# programs_dir: where programs lie that every user may run.
programs_dir()
{
	dirname "$(jq -r .chancery "$state/endpoints.json")"
}

# there COMMAND...: asks the other node.
there()
{
	local here=$est
	est=https://localhost:$port2/.well-known/est
	"$@"
	est=$here
}

# waiting NAME: the id of the request for that name.
waiting()
{
	chancery --json requests |
		jq -r --arg n "dns:$1.test" 'select(.names | endswith($n)) | .id'
}

# as_second COMMAND...: as the other operator; when one user runs all, as
# somebody who did not make the secret.
as_second()
{
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid "$second" --clear-groups --inh-caps=-all \
			"$(programs_dir)/chancery" "$@"
	else
		chancery "$@"
	fi
}

# may_decide: whether there is another operator.
may_decide()
{
	[ "$(id -u)" -eq 0 ]
}

pends()
{
	answers "$1" 202
	header "with Retry-After in seconds" '^Retry-After: 7$'
}

start_est profiles
try "another node starts on the same database and signer" second_node

csr a
secret slow one
asker=$user
post slow/simpleenroll a -u "$user"
pends "a request that has to be approved waits [26]"
id=$(waiting a)
post slow/simpleenroll a -u "$user"
pends "the same request waits on [26]"
try "as the same row [26]" test "$(waiting a)" = "$id"
there post slow/simpleenroll a -u "$user"
pends "on another node, too"
try "as the same row" test "$(waiting a)" = "$id"
csr b
refuses "the one-time secret is taken by what waits" 401 . \
	post slow/simpleenroll b -u "$user"
try_not "whoever made the secret does not approve" chancery approve "$id"
try "which is said" grep -q "somebody else has to decide" "$scratch/said"

# these wait for nobody until the end
secret slow late
late=$user
csr late
post slow/simpleenroll late -u "$late"
pends "a request that nobody decides"
secret device brief --valid-for 60s
brief=$user
secret slow lapsed
csr lapsed
lapsed=$user
post slow/simpleenroll lapsed -u "$lapsed"
pends "a request that its client forgets"
begun=$SECONDS

if may_decide; then
	try "another operator approves" as_second approve -r seen "$id"
	there post slow/simpleenroll a -u "$asker"
	issues "the other node gives the certificate [26]" a
	cp "$scratch/a.pem" "$scratch/a1.pem"
	post slow/simpleenroll a -u "$asker"
	issues "the first node gives it again" a
	same "the same" a a1
	try "the log of approvals says who" sh -c "
		'$top_builddir/chancery' --json requests --all | jq -se '
		any(.id == $id and .state == \"issued\" and
			.operator == \"$second\")'"
	csr c
	secret slow two
	post slow/simpleenroll c -u "$user"
	pends "another request"
	try "is rejected" as_second reject -r "not in the plan" \
		"$(waiting c)"
	refuses "its client gets the reason [27]" 403 \
		"rejected: not in the plan" post slow/simpleenroll c -u "$user"
	there refuses "on the other node, too" 403 \
		"rejected: not in the plan" post slow/simpleenroll c -u "$user"

	csr r -subj /CN=a.test -addext subjectAltName=DNS:a.test
	post slow/simplereenroll r $(by a)
	pends "a renewal waits"
	try "whoever did not ask approves it" chancery approve "$(waiting a)"
	post slow/simplereenroll r $(by a)
	issues "and it is issued" r

	csr k
	secret slowkeys keys
	post slowkeys/serverkeygen k -u "$user"
	pends "serverkeygen waits"
	try "is approved" as_second approve -r seen "$(waiting k)"
	there post slowkeys/serverkeygen k -u "$user"
	answers "and answered with a key" 200 'application/pkcs8'
	try "approved in time, but not fetched" as_second approve -r seen \
		"$(waiting lapsed)"
fi

# what the same client asks of two nodes at once is one certificate
csr race
secret device race
there post simpleenroll race -u "$user" &
other=$!
post simpleenroll race -u "$user"
wait "$other"
for _ in $(seq 50); do
	post simpleenroll race -u "$user"
	[ "$code" = 503 ] || break
	sleep 0.1
done
issues "two nodes, one request at once: one certificate" race
try "in the database" sh -c "
	test \$('$top_builddir/chancery' --json list --name race.test |
	wc -l) -eq 1"

while [ $((SECONDS - begun)) -lt 62 ]; do
	sleep 1
done
refuses "a secret that has expired [8]" 401 . post simpleenroll b -u "$brief"
refuses "what nobody decided has expired" 403 "time to approve" \
	post slow/simpleenroll late -u "$late"
if may_decide; then
	refuses "what nobody fetched, too" 403 "time to approve.*fetch" \
		post slow/simpleenroll lapsed -u "$lapsed"
fi
try_not "it can be approved no more" as_second approve "$(
	chancery --json requests --all |
		jq -r 'select(.names | endswith("dns:late.test")) | .id'
)"
check_log
log=$node/log
check_log
tap_done
