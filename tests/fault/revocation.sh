#!/bin/bash
# Revocation when parts fail: pubd killed between signature and record, no
# room and no right for ocspd's files, the database gone or frozen, ocspd
# killed.  What was public stays so, what was revoked stays so, and all goes
# on by itself.
set -u

# A tiny file system for ocspd's files, in a mount namespace of our own: as
# root, or as an ordinary user in a user namespace.  Where neither may be, a
# limit on the size of ocspd's files stands for it.
in_namespace()
{
	# shellcheck disable=SC2016 # for the inner shell
	local tmpfs='mount -t tmpfs -o size=256k,mode=777 chancery-test "$1"'
	local run='shift; exec setpriv --inh-caps=-all --ambient-caps=-all "$@"'
	local ns='-Um --map-current-user --keep-caps'
	[ "$(id -u)" -ne 0 ] || { ns=-m; run='shift; exec "$@"'; }
	# shellcheck disable=SC2086 # several options
	unshare $ns sh -c "$tmpfs" sh "$small" 2>/dev/null || return 1
	# shellcheck disable=SC2086 # several options
	CHANCERY_SMALL=mounted unshare $ns sh -c "$tmpfs && $run" sh "$small" \
		bash "$0" "$small"
	rc=$?
}

if [ -z "${CHANCERY_SMALL-}" ]; then
	small=$(mktemp -d /tmp/chancery-small.XXXXXX)
	chmod 777 "$small"
	rc=1
	in_namespace || {
		CHANCERY_SMALL=limited bash "$0" "$small"
		rc=$?
	}
	rm -rf "$small"
	exit $rc
fi
small=$1
. "${top_srcdir:-.}/tests/interop/lib.sh"
stopped=

# What sleeps must wake up to be ended.
wake_and_clean()
{
	# shellcheck disable=SC2086 # several
	[ -z "$stopped" ] || kill -CONT $stopped 2>/dev/null
	cleanup
}
trap wake_and_clean EXIT

revoke()
{
	chancery revoke -r superseded "$scratch/$1.pem"
}

# The process that the supervisor started last under that name.
pid_of()
{
	sed -n "s/.*started msg=\"$1, process \([0-9]*\)\".*/\1/p" "$log" |
		tail -n 1
}

another() # NAME PID: whether it runs as another process
{
	[ "$(pid_of "$1")" != "$2" ] && [ -d "/proc/$(pid_of "$1")" ]
}

# logged PATTERN: lines of the log since mark.
mark()
{
	log_from=$(wc -c <"$log")
}

logged()
{
	tail -c +$((log_from + 1)) "$log" | grep -E "$1"
}

# ---- what clients see ----

fetch()
{
	curl -sf -o "$scratch/$1" "http://localhost:$ocsp_port/crl/tls.crl"
}

number_of()
{
	printf '%d' "$(openssl crl -inform DER -in "$1" -noout -crlnumber |
		sed 's/.*=//')"
}

lists() # NAME...: whether the public list is good and has all of them
{
	local serial n
	fetch now.crl || return 1
	openssl crl -inform DER -in "$scratch/now.crl" -noout \
		-CAfile "$state/ca/tls-only.pem" 2>&1 | grep "verify OK" ||
		return 1
	openssl crl -inform DER -in "$scratch/now.crl" -noout -text \
		>"$scratch/now.txt"
	for n; do
		serial=$(openssl x509 -in "$scratch/$n.pem" -noout -serial |
			sed 's/.*=//')
		grep -q "Serial Number: $serial" "$scratch/now.txt" || return 1
	done
}

keep_old()
{
	fetch old.crl
	old_number=$(number_of "$scratch/old.crl")
}

same_as_old()
{
	fetch now.crl && cmp "$scratch/old.crl" "$scratch/now.crl"
}

is_newer()
{
	fetch now.crl && [ "$(number_of "$scratch/now.crl")" -gt "$old_number" ]
}

# Asks for the list all the time and notes what no client should see.
watch_list()
{
	local f=$scratch/watched before=0 n end
	for (( ; ; )); do
		if ! curl -sf -o "$f" \
			"http://localhost:$ocsp_port/crl/tls.crl"; then
			echo "not served"
		elif ! cmp -s "$f" "$f.before"; then
			openssl crl -inform DER -in "$f" -noout \
				-CAfile "$state/ca/tls-only.pem" 2>&1 |
				grep -q "verify OK" || echo "not signed"
			n=$(number_of "$f")
			[ "$n" -gt "$before" ] || echo "$n after $before"
			before=$n
			end=$(openssl crl -inform DER -in "$f" -noout \
				-nextupdate | sed 's/.*=//')
			[ "$(date -d "$end" +%s)" -gt "$(date +%s)" ] ||
				echo "over"
			mv "$f" "$f.before"
		fi
		sleep 0.1
	done >"$scratch/watch.log" 2>&1
}

watch()
{
	rm -f "$scratch/watched.before"
	watch_list &
	watcher=$!
	pids="$pids $watcher"
}

watch_end()
{
	kill "$watcher"
	wait "$watcher" 2>/dev/null
	point "$1" "$(sort "$scratch/watch.log" | uniq -c)"
}

# says NAME PATTERN: what openssl ocsp prints of the certificate, verified.
says()
{
	openssl ocsp -issuer "$state/ca/tls-only.pem" -cert "$scratch/$1.pem" \
		-url "http://localhost:$ocsp_port/ocsp" -CAfile "$root" \
		-respout "$scratch/response" 2>&1 | tee "$scratch/ocsp" |
		tr '\n' ' ' | grep -E "$2" ||
		{ cat "$scratch/ocsp"; return 1; }
}

good()
{
	says "$1" "Response verify OK.*$1.pem: good"
}

revoked()
{
	says "$1" "Response verify OK.*$1.pem: revoked"
}

try_later()
{
	says "$1" "trylater"
}

responder()
{
	openssl ocsp -respin "$scratch/response" -noverify -resp_text |
		grep -A 6 "^Certificate:" | grep -A 1 "Serial Number"
}

health() # PATTERN
{
	curl -s "http://localhost:$ocsp_port/health" >"$scratch/health"
	grep -E "$1" "$scratch/health" || { cat "$scratch/health"; return 1; }
}

# ---- the embedded database ----

waits_for_lock()
{
	[ "$(sql -c "SELECT count(*) FROM pg_locks l
		JOIN pg_stat_activity a USING (pid)
		WHERE NOT l.granted AND l.relation = 'chancery.crl'::regclass
		AND a.usename = 'chancery_pub'")" = 1 ]
}

# Public lists that are not whole.
half_recorded()
{
	sql -c "SELECT c.issuer, c.scope, c.number
		FROM chancery.crl_current c WHERE c.size <> (SELECT coalesce(sum(length(p.bytes)), 0)
			FROM chancery.crl_piece p WHERE p.crl = c.id)"
}

# The number of the newest list of tls that is recorded.
recorded()
{
	sql -c "SELECT max(c.number) FROM chancery.crl c
		JOIN chancery.issuer i ON i.id = c.issuer WHERE i.name = 'tls'"
}

recorded_newer()
{
	[ "$(recorded)" -gt "$old_number" ]
}

# Octets in the signer's logs.
signed_bytes()
{
	find "$(readlink -f "$state")/signd" -type f -printf '%s\n' |
		awk '{ n += $1 } END { print n + 0 }'
}

# ---- a state with ocspd's files in the small place ----
start
stop
sed -i "s|^  host-key: secrets/ocsp-host|&\n  files: $small\n  stale: 12s\n  validity: 2m\n  snapshot-interval: 1s|" \
	"$state/chancery.yaml"
if [ "$CHANCERY_SMALL" = limited ]; then
	# what is logged must not meet the limit
	mv "$log" "$log.all"
	mkfifo "$log"
	cat <>"$log" >>"$log.all" &
	pids="$pids $!"
fi
start
[ "$CHANCERY_SMALL" = mounted ] || log=$log.all
for n in good first second third fourth fifth sixth seventh eighth; do
	new_cert $n >"$scratch/out" 2>&1 || {
		cat "$scratch/out"
		echo "Bail out! no certificate"
		exit 1
	}
done
ocspd=$(pid_of ocspd)
snapshot=$(readlink -f "$state")/ocsp/status
try "the first is revoked" revoke first
soon "and on the list" lists first
soon "OCSP says so" revoked first
soon "and that another one is good" good good

# ---- pubd is killed between signature and record ----
keep_old
watch
coproc LOCK { sql; }
lock_pid=$LOCK_PID
echo "BEGIN; LOCK TABLE chancery.crl IN SHARE MODE; SELECT 'locked';" \
	>&"${LOCK[1]}"
read -r -t 10 answer <&"${LOCK[0]}"
try "nothing can be recorded" test "$answer" = locked
signed=$(signed_bytes)
pubd=$(pid_of pubd)
try "the second is revoked" revoke second
soon "pubd comes to record a list" waits_for_lock
try "that is signed" test "$(signed_bytes)" -gt "$signed"
kill -9 "$pubd"
try "the third is revoked while pubd is dead" revoke third
soon "pubd is started again" another pubd "$pubd"
try "the old list is public" same_as_old
echo "ROLLBACK; \\q" >&"${LOCK[1]}"
wait "$lock_pid" 2>/dev/null
soon "a list with both is public" lists first second third
try "with a greater number" is_newer
point "no list is half recorded" "$(half_recorded)"
soon "OCSP has them, too" revoked third
watch_end "a list was public and valid all the time"

# ---- no right to write ----
watch
keep_old
mark
chmod 555 "$small/crl"
try "the fourth is revoked" revoke fourth
soon "its list is recorded" recorded_newer
soon "the log says why it is not public" logged \
	"CRLs are not fetched.*cannot write.*Permission denied"
sleep 2
try "the old list is public, octet by octet" same_as_old
soon "OCSP knows it all the same" revoked fourth
chmod 755 "$small/crl"
soon "the new list is public when it can be" lists fourth
soon "and the log says so" logged "CRLs are fetched again"
try "it said it once" test \
	"$(logged "CRLs are not fetched" | wc -l)" = 1

# ---- no room ----

# limit OCTETS: how long the files of ocspd may be; its own user may say so.
limit()
{
	as_user_of ocsp prlimit --pid "$ocspd" --fsize="$1:"
}

fill()
{
	if [ "$CHANCERY_SMALL" = limited ]; then
		limit 100
	else
		! dd if=/dev/zero of="$small/fill" bs=4k 2>"$scratch/dd" &&
			grep "No space left" "$scratch/dd"
	fi
}

make_room()
{
	if [ "$CHANCERY_SMALL" = limited ]; then
		limit unlimited
	else
		rm "$small/fill"
	fi
}

keep_old
mark
try "there is no room ($CHANCERY_SMALL)" fill
try "the fifth is revoked" revoke fifth
soon "its list is recorded" recorded_newer
soon "the log says why it is not public" logged \
	"CRLs are not fetched.*cannot write.*(No space left|File too large)"
sleep 2
try "the old list is public, octet by octet" same_as_old
try "no half list lies about" sh -c "! ls -A '$small/crl' | grep '^[.]new'"
try "there is room again" make_room
soon "the new list is public" lists fourth fifth
soon "and the log says so" logged "CRLs are fetched again"
try "ocspd was not started again" test "$(pid_of ocspd)" = "$ocspd"
watch_end "a list was public and valid all the time"

# ---- the database freezes ----
watch
soon "ocspd is healthy" health '^ok$'
pg=$(pid_of postgresql)
stopped="$pg $(cat "/proc/$pg/task/$pg/children")"
# shellcheck disable=SC2086 # several
kill -STOP $stopped
try "frozen: good is answered" good good
try "and revoked" revoked first
soon "health says that the database is away" health "^degraded: no database"
try "good is answered still" good good
rm "$snapshot"
soon "a snapshot is written all the same" test -s "$snapshot"

# ---- ocspd is ended meanwhile, and starts again without the database ----
watch_end "a list was public and valid all the time"
mark
kill -TERM "$ocspd"
soon "frozen: ocspd ends when it is told to" test ! -d "/proc/$ocspd"
try "it says what it did not wait for" logged "ended.*does not answer"
soon "it is started again" another ocspd "$ocspd"
soon "from the snapshot of its end" logged "snapshot loaded"
ocspd=$(pid_of ocspd)
soon "without a certificate there is no answer" try_later good
try "nor one that was revoked" try_later first
try "health says why" health 'no certificate from issuer "tls"'
try "with 503" test "$(curl -so "$scratch/health" -w '%{http_code}' \
	"http://localhost:$ocsp_port/health")" = 503
soon "and the log" logged 'error ocspd responder certificate issuer="tls"'
try "the list is public all the same" lists fourth fifth
# shellcheck disable=SC2086 # several
kill -CONT $stopped
stopped=
soon "it is back" health '^ok$'
soon "good is answered again" good good
try "and revoked" revoked first
watch
try "the sixth is revoked" revoke sixth
soon "OCSP says so" revoked sixth
soon "and the list" lists sixth

# ---- the database is gone: nobody starts it while the supervisor sleeps ----
stopped=$(cat "$(readlink -f "$(sed -n 's/^run-dir: //p' \
	"$state/chancery.yaml")")/up.pid")
kill -STOP "$stopped"
kill -QUIT "$pg"
soon "gone: health says so" health "^degraded: no database"
try "good is answered" good good
try "and revoked" revoked first
try_not "nothing can be revoked now" revoke seventh
soon "after the bound there is no answer" try_later good
try "nor one that was revoked" try_later first
try "health says why" health "not current"
try "the list is public all the same" lists sixth
kill -CONT "$stopped"
stopped=
soon "it is back: good is answered" good good
try "and revoked" revoked first
soon "and health is" health '^ok$'
soon "the seventh is revoked" revoke seventh
soon "OCSP says so" revoked seventh
soon "and the list" lists seventh
try "ocspd was not started again" test "$(pid_of ocspd)" = "$ocspd"
watch_end "a list was public and valid all the time"

# ---- ocspd is killed ----
try "the eighth is revoked" revoke eighth
soon "OCSP says so" revoked eighth
soon "and the list" lists eighth
sleep 2 # for a snapshot that has it
before=$(responder)
mark
kill -9 "$ocspd"
soon "killed: ocspd is started again" another ocspd "$ocspd"
soon "it answers revoked" revoked eighth
try "with a certificate for another key" test "$(responder)" != "$before"
try "from its snapshot" logged "snapshot loaded"
try_not "nothing was loaded anew" logged 'loaded msg="[0-9]+ certificates in'
soon "and good" good good
try "the list is public" lists eighth
ocspd=$(pid_of ocspd)
mark
kill -STOP "$ocspd"
rm "$snapshot"
kill -9 "$ocspd"
soon "killed without a snapshot: it is started again" another ocspd "$ocspd"
soon "it answers revoked" revoked eighth
try "from the database" logged 'loaded msg="[0-9]+ certificates in'
soon "and good" good good
soon "the list is public" lists first second third fourth fifth sixth \
	seventh eighth
for n in first second third fourth fifth sixth seventh; do
	revoked $n >/dev/null 2>&1 || echo "$n"
done >"$scratch/lost"
point "no revocation was lost" "$(cat "$scratch/lost")"
soon "chancery check is content" chancery check
check_log
tap_done
