#!/bin/bash
# chancery revoke against the running system: by serial, fingerprint, file,
# key and search; holds and their release; keys that are blocked.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

# make_key NAME; csr NAME DNS [KEY]: requests for tls-server.
make_key()
{
	openssl ecparam -name prime256v1 -genkey -noout -out "$scratch/$1.key"
}

csr()
{
	[ -e "$scratch/${3:-$1}.key" ] || make_key "${3:-$1}"
	openssl req -new -key "$scratch/${3:-$1}.key" -subj / -addext \
		"subjectAltName=DNS:$2" -out "$scratch/$1.csr" 2>/dev/null
}

# issue NAME DNS [KEY]
issue()
{
	csr "$@"
	chancery issue -p tls-server -o "$scratch/$1.pem" "$scratch/$1.csr" \
		>"$scratch/out" 2>&1 || {
		cat "$scratch/out"
		echo "Bail out! no certificate for $2"
		exit 1
	}
}

serial()
{
	openssl x509 -in "$scratch/$1.pem" -noout -serial | sed 's/.*=//'
}

fingerprint()
{
	openssl x509 -in "$scratch/$1.pem" -noout -fingerprint -sha256 |
		sed 's/.*=//'
}

key_hash()
{
	openssl pkey -in "$scratch/$1.key" -pubout -outform DER | sha256sum |
		cut -d' ' -f1
}

# state NAME: what show says, in a word or two.
state()
{
	cert_json "$scratch/$1.pem" |
		jq -r 'if .revoked then "revoked " + .reason else "good" end'
}

history()
{
	cert_json "$scratch/$1.pem" | jq -r '[.history[].kind] | join(" ")'
}

is()
{
	try "$1" test "$2" = "$3"
}

# status TEXT WANT COMMAND...: the exit status; output in $scratch/said.
status()
{
	local text=$1 want=$2 got
	shift 2
	"$@" >"$scratch/said" 2>&1 </dev/null
	got=$?
	if [ "$got" -eq "$want" ]; then
		ok "$text"
	else
		not_ok "$text" "exit status $got: $(tail -n 5 "$scratch/said")"
	fi
}

start

# ---- one certificate ----
for n in a b c d e; do
	issue $n $n.one.test
done
try "by serial" chancery revoke "0x$(serial a)" -r superseded
is "is revoked with its reason" "$(state a)" "revoked superseded"
try "by serial with a 0x and colons as openssl shows it" chancery revoke \
	"$(serial b | sed 's/../&:/g; s/:$//')"
is "without a reason" "$(state b)" "revoked none"
try "by fingerprint" chancery revoke -r privilegeWithdrawn "$(fingerprint c)"
is "is revoked" "$(state c)" "revoked privilegeWithdrawn"
try "by file, with an invalidity date" chancery revoke -r 3 \
	--invalidity-date 2026-01-31T12:00:00Z "$scratch/d.pem"
is "the date is kept" "$(cert_json "$scratch/d.pem" |
	jq -r .invalidityDate)" 2026-01-31T12:00:00Z
first=$(cert_json "$scratch/d.pem" | jq -r .revokedAt)
status "the same again is no error" 0 chancery revoke -r 4 "$scratch/d.pem"
try "and says so" grep -q "already revoked" "$scratch/said"
is "and changes nothing" "$(state d)" "revoked affiliationChanged"
is "in JSON, too" "$(chancery --json revoke "$scratch/d.pem" |
	jq -c '[.already, .status]')" '[true,"revoked"]'
sleep 1.1
try "keyCompromise replaces another reason" chancery revoke \
	-r keyCompromise --invalidity-date 2025-12-24 "$scratch/d.pem"
is "the reason is another" "$(state d)" "revoked keyCompromise"
is "the date of the revocation stays" "$(cert_json "$scratch/d.pem" |
	jq -r .revokedAt)" "$first"
is "the invalidity date is the new one" "$(cert_json "$scratch/d.pem" |
	jq -r .invalidityDate)" 2025-12-24T00:00:00Z
is "all of it is audited" "$(history d)" "intent issue revoke revoke"
status "an unknown reason is refused" 2 chancery revoke -r lost "$scratch/e.pem"
status "so is number 7" 2 chancery revoke -r 7 "$scratch/e.pem"
status "and an invalidity date that is none" 2 chancery revoke \
	--invalidity-date yesterday "$scratch/e.pem"
status "or lies in the future" 3 chancery revoke \
	--invalidity-date 2999-01-01 "$scratch/e.pem"
status "an unknown serial is not found" 4 chancery revoke 0x4000112233445566
is "nothing happened to the other one" "$(state e)" good

# ---- hold ----
issue h h.one.test
status "releasing what is good is no error" 0 chancery revoke --release \
	"$scratch/h.pem"
try "hold" chancery revoke -r certificateHold "$scratch/h.pem"
is "is on hold" "$(state h)" "revoked certificateHold"
try "release" chancery revoke --release "$scratch/h.pem"
is "is good again" "$(state h)" good
try "removeFromCRL is the release, too" sh -c "
	'$top_builddir/chancery' revoke -r 6 '$scratch/h.pem' &&
	'$top_builddir/chancery' revoke -r removeFromCRL '$scratch/h.pem'"
is "is good again" "$(state h)" good
try "hold, then for good" sh -c "
	'$top_builddir/chancery' revoke -r certificateHold '$scratch/h.pem' &&
	'$top_builddir/chancery' revoke -r superseded '$scratch/h.pem'"
is "is revoked" "$(state h)" "revoked superseded"
status "what is revoked for good is not released" 3 chancery revoke \
	--release "$scratch/h.pem"
status "nor held" 0 chancery revoke -r certificateHold "$scratch/h.pem"
is "is revoked as before" "$(state h)" "revoked superseded"
is "all of it is audited" "$(history h)" \
	"intent issue revoke release revoke release revoke revoke"

# ---- blocked keys ----
csr d2 d2.one.test d
status "the compromised key gets no other certificate" 3 chancery issue \
	-p tls-server -o "$scratch/d2.pem" "$scratch/d2.csr"
try "and is told why" grep -q "key is blocked" "$scratch/said"
make_key shared
for n in k1 k2 k3; do
	issue $n $n.key.test shared
done
issue other other.key.test
chancery revoke -r superseded "$scratch/k2.pem" >/dev/null
status "by key asks first" 2 chancery revoke --key "$scratch/k1.csr"
try "and says how many" grep -q "3 certificates would be revoked" \
	"$scratch/said"
status "a hold cannot block a key" 3 chancery revoke --key "$scratch/k1.csr" \
	-r certificateHold --yes
is "nothing was revoked" "$(state k1)" good
csr k4 k4.key.test shared
try "nothing was blocked" chancery issue -p tls-server -o "$scratch/k4.pem" \
	"$scratch/k4.csr"
try "by key, from the leaked private key" chancery revoke --key \
	"$scratch/shared.key" --yes
for n in k1 k2 k3 k4; do
	is "$n is revoked" "$(state $n)" "revoked keyCompromise"
done
is "another key's certificate is not" "$(state other)" good
csr k5 k5.key.test shared
status "the key is blocked" 3 chancery issue -p tls-server -o \
	"$scratch/k5.pem" "$scratch/k5.csr"
try "once more, by hash" sh -c "
	'$top_builddir/chancery' --json revoke --key '$(key_hash shared)' --yes |
	jq -e '.revoked == 0 and .blockedBefore and .key == \"$(key_hash shared)\"'"
make_key never
try "a key that never had a certificate is blocked by its public half" sh -c "
	openssl pkey -in '$scratch/never.key' -pubout -out '$scratch/never.pub' &&
	'$top_builddir/chancery' revoke --key '$scratch/never.pub' --yes"
csr never never.key.test never
status "and gets none" 3 chancery issue -p tls-server -o \
	"$scratch/never.pem" "$scratch/never.csr"
try "by a certificate file" chancery revoke --key "$scratch/other.pem" --yes \
	-r cessationOfOperation
is "with the reason given" "$(state other)" "revoked cessationOfOperation"
status "a file without a key is refused" 3 chancery revoke --key \
	"$state/chancery.yaml" --yes
status "what is no file and no hash is not found" 4 chancery revoke --key \
	nothing --yes

# ---- search ----
make_key many
for i in $(seq 12); do
	issue w"$i" w"$i".where.test many
done
issue x1 x1.else.test
issue x2 where.test
today=$(date -u +%Y-%m-%d)
tomorrow=$(date -u -d tomorrow +%Y-%m-%d)
where="profile=tls-server name=*.where.test issuer=tls after=$today"
status "a search asks first" 2 chancery revoke --where "$where"
try "and says how many" grep -q "12 certificates would be revoked" \
	"$scratch/said"
is "as JSON" "$(chancery --json revoke --where "$where" 2>/dev/null \
	</dev/null | jq -c .)" '{"matching":12}'
for no in "name=*.where.test profile=user" "name=*.where.test issuer=users" \
	"name=*.where.test before=$today" "name=*.where.test after=$tomorrow" \
	"name=*.where.test expired=yes" "name=*.where.test principal=acme:x"; do
	try "nothing matches $no" sh -c "
		'$top_builddir/chancery' revoke --where '$no' |
		grep -q '^0 certificates'"
done
status "an empty search is refused" 3 chancery revoke --where "expired=any" \
	--yes
status "so is an unknown key" 2 chancery revoke --where "color=red" --yes
status "and a date that is none" 2 chancery revoke --where "after=soon" --yes
printf 'n\n' | script -qec "'$top_builddir/chancery' revoke --where '$where'" \
	/dev/null >"$scratch/said" 2>&1
try "on a terminal it asks" grep -q "Revoke 12 certificates" "$scratch/said"
is "and no is no" "$(state w1)" good
chancery revoke "$scratch/w1.pem" >/dev/null
printf 'y\n' | script -qec "'$top_builddir/chancery' revoke --where '$where' \
	-r cessationOfOperation" /dev/null >"$scratch/said" 2>&1
try "and yes is yes" grep -q "11 certificates revoked" "$scratch/said"
is "all are revoked" "$(for i in $(seq 12); do state w"$i"; done |
	sort | uniq -c | tr -s ' ' | tr '\n' ';')" \
	" 11 revoked cessationOfOperation; 1 revoked none;"
is "others are not" "$(state x1) $(state x2)" "good good"
is "again: nothing is left" "$(chancery --json revoke --where "$where" --yes |
	jq -c '[.revoked, .already]')" '[0,0]'
try "conditions in several options" sh -c "
	'$top_builddir/chancery' revoke --where name=x1.else.test \
		--where after=$today --yes | grep -q '^1 certificate revoked'"
status "one thing at a time" 2 chancery revoke --where "$where" "$scratch/e.pem"
status "a release names one certificate" 2 chancery revoke --release \
	--where "$where"

# ---- a search that is killed in the middle, and the same command again ----
# Their serials are shorter than those that are issued.
rows=20000
sql -c "CREATE TEMP TABLE n AS SELECT i.id AS issuer,
	(chancery.cert_month(now()) << 40) | nextval('chancery.cert_seq') AS id,
	'\\x41'::bytea || substr(sha256(('r' || g)::bytea), 1, 11) AS serial
	FROM chancery.issuer i, generate_series(1, $rows) g WHERE i.name = 'tls';
	INSERT INTO chancery.cert (id, not_before, not_after, sign_seq, issuer,
	sign_slot, serial, profile_hash, spki_sha256, fingerprint, sign_head,
	protocol, txn, profile, principal, subject, der)
	SELECT id, now(), now() + interval '90 days', 1, issuer, 1, serial,
	sha256('p'), sha256(serial), sha256(serial), sha256('h'), 'test',
	id, 'tls-server', 'test', '', '' FROM n;
	INSERT INTO chancery.cert_status (cert_id, not_after, issuer, serial)
	SELECT id, now() + interval '90 days', issuer, serial FROM n;
	INSERT INTO chancery.cert_name (cert_id, type, rev)
	SELECT id, 2, reverse(encode(serial, 'hex') || '.resume.test') FROM n"

# revoked: how many of them are.
revoked()
{
	sql -c "SELECT count(*) FROM chancery.cert_status
		WHERE length(serial) = 12 AND status = 1"
}

# settled: the same, when what was on its way has ended.
settled()
{
	local before=
	until [ "$(revoked)" = "$before" ]; do
		before=$(revoked)
		sleep 0.3
	done
	echo "$before"
}

"$top_builddir/chancery" revoke --where "name=*.resume.test" --yes \
	>"$scratch/out" 2>&1 &
many=$!
until [ "$(revoked)" -gt 0 ] || ! kill -0 $many 2>/dev/null; do
	sleep 0.02
done
kill -9 $many
wait $many 2>/dev/null
part=$(settled)
try "it was killed with $part of $rows revoked" test "$part" -gt 0 -a \
	"$part" -lt $rows
is "the same command revokes the others" "$(chancery --json revoke --where \
	"name=*.resume.test" --yes 2>/dev/null | jq -c '[.revoked, .already]')" \
	"[$((rows - part)),0]"
is "all are revoked" "$(revoked)" $rows
is "with an audit row each" "$(sql -c "SELECT count(*), count(DISTINCT a.cert_id)
	FROM chancery.audit a JOIN chancery.cert_status s USING (cert_id)
	WHERE a.kind = 'revoke' AND length(s.serial) = 12")" \
	"$rows|$rows"
check_log
tap_done
