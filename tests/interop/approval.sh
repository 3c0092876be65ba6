#!/bin/bash
# Approvals over the command line and ACME: what waits, who may decide, what
# becomes of it.  (EST's part is in est.sh.)
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

start
stop
# A second operator with a login of his own: any OS user will do for that.
second=nobody
printf 'operators: [%s, %s]\n' "$(id -un)" "$second" >>"$CHANCERY_CONFIG"
for p in device tls-server; do
	sed -i 's/^authority-info-access: true/&\napproval: true/' \
		"$state/policies/$p.yaml"
done
# the HTTPS certificate needs a profile that nobody has to approve
sed 's/^name: .*/name: https/; /^approval:/d' \
	"$state/policies/tls-server.yaml" >"$state/policies/https.yaml"
echo 'https-profile: https' >>"$CHANCERY_CONFIG"
start

# as_second COMMAND...: as the other operator.
as_second()
{
	setpriv --reuid "$second" --clear-groups --inh-caps=-all \
		"$top_builddir/chancery" "$@"
}

csr()
{
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$scratch/$1.key" -subj / -addext \
		"subjectAltName=DNS:$1.test" -out "$scratch/$1.csr" 2>/dev/null
}

# waiting NAME: the id of the request for that name.
waiting()
{
	chancery --json requests |
		jq -r --arg n "dns:$1.test" 'select(.names | endswith($n)) | .id'
}

# comes NAME: waits until it does, and sets id.
comes()
{
	for _ in $(seq 100); do
		id=$(waiting "$1")
		[ -z "$id" ] || return 0
		sleep 0.1
	done
	return 1
}

csr a
try "a request of such a profile waits" chancery issue -p device --txn a \
	-o "$scratch/a.pem" "$scratch/a.csr"
try "and nothing is issued" test ! -e "$scratch/a.pem"
id=$(waiting a)
try "it is listed" test -n "$id"
try_not "nobody approves their own" chancery approve "$id"
try "which is said" grep -q "somebody else has to decide" "$scratch/said"
try_not "nor rejects it" chancery reject -r no "$id"
try_not "no such id" chancery approve 999999
try_not "rejecting takes a reason" chancery reject "$id"

if [ "$(id -u)" -eq 0 ]; then
	try "another operator approves" as_second approve -r seen "$id"
	try_not "once" as_second reject -r late "$id"
	try "the same request is issued now" chancery issue -p device --txn a \
		-o "$scratch/a.pem" "$scratch/a.csr"
	try "the certificate verifies" openssl verify -x509_strict -CAfile \
		"$root" -untrusted "$state/ca/tls-only.pem" "$scratch/a.pem"
	try "again: the same certificate" sh -c "
		'$top_builddir/chancery' issue -p device --txn a \
			-o '$scratch/a2.pem' '$scratch/a.csr' &&
		cmp '$scratch/a.pem' '$scratch/a2.pem'"
	csr b
	chancery issue -p device --txn b "$scratch/b.csr" >/dev/null 2>&1
	try "another operator rejects" as_second reject -r "not in the plan" \
		"$(waiting b)"
	try_not "the request gets the reason" chancery issue -p device --txn b \
		"$scratch/b.csr"
	try "in words" grep -q "rejected: not in the plan" "$scratch/said"
	try "the list of all has both" sh -c "
		'$top_builddir/chancery' --json requests --all |
		jq -se 'map(.state) == [\"issued\", \"rejected\"] and
			map(.operator) == [\"$second\", \"$second\"]'"
	try "who decided is in the database" sh -c "
		psql -XtA -h '$(sed -n 's/^run-dir: //p' "$CHANCERY_CONFIG")/pg' \
			-U chancery_oper chancery -c \"SELECT count(*) FROM
			chancery.pending WHERE decided_by = 'oper_$second'\" |
		grep -qx 2"
	try_not "the other operator's login may not write certificates by hand" \
		setpriv --reuid "$second" --clear-groups psql -XtA -h \
		"$(sed -n 's/^run-dir: //p' "$CHANCERY_CONFIG")/pg" \
		-U "oper_$second" chancery -c \
		"UPDATE chancery.request SET state = 3 WHERE txn = 'b'"
fi

# ACME: the order is "processing" until somebody decides (RFC 8555 7.1.6)
export LEGO_CA_CERTIFICATES=$root
lego --server "$directory" --path "$scratch/lego" -a -m me@x.test --http \
	--http.port "127.0.0.1:$http01_port" -d c.test --cert.timeout 60 run \
	>"$scratch/lego.log" 2>&1 &
lego=$!
try "an order waits" comes c
try "whoever did not ask approves" chancery approve "$id"
try "lego gets its certificate" wait "$lego"
try "the certificate of c.test is there" openssl verify -x509_strict -CAfile \
	"$root" -untrusted "$state/ca/tls-only.pem" \
	"$scratch/lego/certificates/c.test.crt"
lego --server "$directory" --path "$scratch/lego" -a -m me@x.test --http \
	--http.port "127.0.0.1:$http01_port" -d d.test --cert.timeout 5 run \
	>"$scratch/lego.log" 2>&1 &
lego=$!
try "another order waits" comes d
try "it is rejected" chancery reject -r "no such machine" "$id"
try_not "lego gets none" wait "$lego"
try "and shows the reason" grep -q "rejected: no such machine" \
	"$scratch/lego.log"

# A secret that is typed in stays out of core files.
mkdir "$scratch/cores"
mkfifo "$scratch/typed"
(cd "$scratch/cores" && ulimit -c unlimited &&
	exec "$top_builddir/chancery" secret add -p device --chosen typed) \
	<"$scratch/typed" 2>/dev/null &
typist=$!
exec 4>"$scratch/typed"
printf 'correct horse' >&4
# until it has read that
python3 -c '
import array, fcntl, termios, time
n = array.array("i", [1])
for _ in range(300):
	if n[0] == 0:
		break
	time.sleep(0.1)
	fcntl.ioctl(4, termios.FIONREAD, n)'
kill -ABRT "$typist"
wait "$typist" 2>/dev/null
exec 4>&-
try "no core file of who makes a secret" test -z "$(ls "$scratch/cores")"
check_log
tap_done
