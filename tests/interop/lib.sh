# Shared by the tests that run the whole system: a scratch state on free
# ports, started by ./quickstart with the programs of this build, and stopped
# at the end by process id.  Sourced by bash scripts; TAP output.

: "${top_srcdir:=.}" "${top_builddir:=build}"
top_srcdir=$(cd "$top_srcdir" && pwd)
top_builddir=$(cd "$top_builddir" && pwd)
# shellcheck source=scripts/lib/tap.sh
. "$top_srcdir/scripts/lib/tap.sh"

scratch=$(mktemp -d /tmp/chancery-it.XXXXXX)
chmod 755 "$scratch"
state=$scratch/state
pids=

# A port that nobody listens on now.
free_port()
{
	local p
	for _ in $(seq 200); do
		p=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; then
			echo "$p"
			return 0
		fi
	done
	return 1
}

# quickstart OPTION...: with the programs of this build.  Leaks are looked for
# by ptrace when a program ends, which seccomp forbids the daemons: what
# quickstart starts does not look; the unit tests and the ceremonies do.
quickstart()
{
	local options=${ASAN_OPTIONS-}
	if grep -q '^HARDEN_CFLAGS = .*-fsanitize=address' \
		"$top_builddir/Makefile"; then
		options=${options:+$options:}detect_leaks=0
	fi
	ASAN_OPTIONS=$options "$top_srcdir/quickstart" \
		--programs "$top_builddir" "$@"
}

# start [OPTION...]: a new state, or the old one again.
start()
{
	if [ ! -e "$state/ports" ]; then
		https_port=$(free_port)
		http_port=$(free_port)
		ocsp_port=$(free_port)
		http01_port=$(free_port)
		set -- --https-port "$https_port" --http-port "$http_port" \
			--ocsp-port "$ocsp_port" --http01-port "$http01_port" "$@"
	fi
	quickstart --state "$state" --no-demo --detach "$@" \
		>"$scratch/quickstart.log" 2>&1 || {
		sed 's/^/# /' "$scratch/quickstart.log"
		echo "Bail out! quickstart failed"
		exit 1
	}
	root=$state/ca/root.pem
	directory=https://localhost:$https_port/acme/directory
	log=$state/log/chancery.log
	export CHANCERY_CONFIG=$state/chancery.yaml
}

stop()
{
	quickstart --state "$state" --stop >/dev/null 2>&1
}

chancery()
{
	"$top_builddir/chancery" "$@"
}

cleanup()
{
	local p real
	for p in $pids; do
		kill "$p" 2>/dev/null
	done
	stop
	real=$(readlink -f "$state")
	rm -rf "$scratch" "$real"
}
trap cleanup EXIT

# try TEXT COMMAND...: a point that passes when the command does.
try()
{
	local text=$1
	shift
	if "$@" >"$scratch/out" 2>&1; then
		ok "$text"
	else
		not_ok "$text" "$(tail -n 25 "$scratch/out")"
	fi
}

# try_not TEXT COMMAND...: passes when the command fails; what it said is
# then in $scratch/said.
try_not()
{
	local text=$1
	shift
	if "$@" >"$scratch/said" 2>&1; then
		not_ok "$text" "$(tail -n 25 "$scratch/said")"
	else
		ok "$text"
	fi
}

# soon TEXT COMMAND...: a point that passes when the command comes to succeed
# within 30 seconds; what it said last is then in $scratch/said.
soon()
{
	local text=$1
	shift
	for _ in $(seq 150); do
		if "$@" >"$scratch/said" 2>&1; then
			ok "$text"
			return
		fi
		sleep 0.2
	done
	not_ok "$text" "$(tail -n 25 "$scratch/said")
$(tail -n 15 "${log:-/dev/null}")"
}

# new_cert NAME [OPTION...]: a certificate $scratch/NAME.pem for NAME.test with
# its key; the options are those of `chancery issue`.
new_cert()
{
	local name=$1
	shift
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$scratch/$name.key" -subj / \
		-addext "subjectAltName=DNS:$name.test" \
		-out "$scratch/$name.csr" 2>/dev/null
	chancery issue -p tls-server "$@" -o "$scratch/$name.pem" \
		"$scratch/$name.csr"
}

# The chain of a leaf, judged by three implementations.
verify_chain()
{
	local leaf=$1 name=$2 nss=$scratch/nss.$RANDOM
	openssl x509 -in "$leaf" -out "$scratch/leaf.pem"
	try "OpenSSL verifies the chain of $name" openssl verify -x509_strict \
		-purpose sslserver -verify_hostname "$name" -CAfile "$root" \
		-untrusted "$state/ca/tls-only.pem" "$scratch/leaf.pem"
	cat "$scratch/leaf.pem" "$state/ca/tls-only.pem" >"$scratch/chain.pem"
	try "GnuTLS verifies the chain of $name" certtool --verify \
		--verify-hostname "$name" --load-ca-certificate "$root" \
		--infile "$scratch/chain.pem"
	mkdir "$nss"
	certutil -N -d "sql:$nss" --empty-password
	certutil -A -d "sql:$nss" -n root -t CT,C,C -a -i "$root"
	certutil -A -d "sql:$nss" -n tls -t ,, -a -i "$state/ca/tls-only.pem"
	certutil -A -d "sql:$nss" -n leaf -t ,, -a -i "$scratch/leaf.pem"
	try "NSS verifies the chain of $name" certutil -V -d "sql:$nss" \
		-n leaf -u V
}

# The state of a certificate in the database.
cert_json()
{
	openssl x509 -in "$1" -out "$scratch/shown.pem"
	chancery --json show "$scratch/shown.pem"
}

# as_user_of ROLE COMMAND...: as the OS user of that part.
as_user_of()
{
	local user
	user=$(sed -n "s/^  $1: //p" "$state/chancery.yaml" | tail -n 1)
	shift
	[ "$(id -u)" -ne 0 ] ||
		set -- setpriv --reuid="$user" --regid="$user" --init-groups "$@"
	(cd / && exec "$@")
}

# The cluster's superuser, from its OS user.
sql()
{
	as_user_of postgres psql -X -q -A -t -v ON_ERROR_STOP=1 \
		-h "$(sed -n 's/^run-dir: //p' "$state/chancery.yaml")/pg" \
		-U postgres -d chancery "$@"
}

# The daemons said nothing that a sanitizer or an assertion says.
check_log()
{
	local bad
	bad=$(grep -E 'AddressSanitizer|LeakSanitizer|runtime error|ThreadSanitizer|assert|kind="internal"' \
		"$log" | head -n 20)
	point "the daemons' log is clean" "$bad"
}
