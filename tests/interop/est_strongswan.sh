#!/bin/bash
# EST with strongSwan's pki: authorities, enrollment, renewal, polling.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"
. "$top_srcdir/tests/interop/est_lib.sh"


profiles()
{
	# the version at hand knows only the default profile
	sed -i 's/^  profile: device$/  profile: slow/' "$CHANCERY_CONFIG"
	profile slow
	sed -i 's/^est:$/&\n  retry-after: 1s/' "$CHANCERY_CONFIG"
}

# est_pki OUT OPTION...: pki --est.
est_pki()
{
	local out=$1
	shift
	pki --est --url "https://localhost:$https_port" --cacert "$root" \
		--cacert "$scratch/ca-1.pem" --outform pem "$@" \
		>"$out" 2>"$scratch/pki.log" || {
		cat "$scratch/pki.log"
		return 1
	}
}

# fails TEXT CODE OPTION...: pki --est gets that status.
fails()
{
	local text=$1 code=$2
	shift 2
	if est_pki "$scratch/nothing.pem" "$@" >"$scratch/said"; then
		not_ok "$text: $code"
	else
		point "$text: $code" "$(grep -q "failed: HTTP $code" \
			"$scratch/said" || cat "$scratch/said")"
	fi
}

# request NAME TYPE SIZE [HOST]: key and request by strongSwan.
request()
{
	local name=$1
	shift
	pki --gen --type "$1" --size "$2" --outform pem \
		>"$scratch/$name.key" &&
		pki --req --in "$scratch/$name.key" --type priv \
			--dn "CN=${3:-$name.test}" --san "${3:-$name.test}" \
			--outform pem >"$scratch/$name.csr"
} 2>"$scratch/request.log"

# good NAME: the certificate is for the key and verifies, says strongSwan.
good()
{
	pki --verify --in "$scratch/$1.pem" --cacert "$root" --cacert \
		"$scratch/ca-1.pem" &&
		test "$(pki --pub --in "$scratch/$1.pem" --type x509 | sha256sum)" \
			= "$(pki --pub --in "$scratch/$1.key" --type priv |
				sha256sum)"
}

# waiting: the id of what waits, when it does.
waiting()
{
	local id
	for _ in $(seq 200); do
		id=$(chancery --json requests | jq -r .id)
		[ -z "$id" ] || break
		sleep 0.1
	done
	echo "$id"
}

start_est profiles
try "strongSwan takes the authorities" pki --estca --url \
	"https://localhost:$https_port" --cacert "$root" --caout \
	"$scratch/ca.pem" --outform pem --force
try "the root is the root" sh -c "
	openssl x509 -in '$scratch/ca.pem' -outform DER >'$scratch/1' &&
	openssl x509 -in '$root' -outform DER | cmp - '$scratch/1'"
try "the issuing authority, too" sh -c "
	openssl x509 -in '$scratch/ca-1.pem' -outform DER >'$scratch/2' &&
	openssl x509 -in '$state/ca/tls.pem' -outform DER | cmp - '$scratch/2'"

secret slow many --multi-use
for key in ecdsa:256 ecdsa:384 rsa:2048 rsa:3072; do
	name=${key%:*}${key#*:}
	try "a request of $key" request "$name" "${key%:*}" "${key#*:}"
	try "enrolls with a secret" est_pki "$scratch/$name.pem" \
		--in "$scratch/$name.csr" --userpass "$user"
	try "strongSwan verifies what it got" good "$name"
done
fails "a wrong secret" 401 --in \
	"$scratch/rsa2048.csr" --userpass many:wrong
request outside ecdsa 256 outside.example
fails "a name that the profile does not allow" 403 --in "$scratch/outside.csr" --userpass "$user"

try "a request to renew with a new key" request new ecdsa 256 ecdsa256.test
try "renewal with the certificate" est_pki "$scratch/new.pem" --in \
	"$scratch/new.csr" --cert "$scratch/ecdsa256.pem" \
	--key "$scratch/ecdsa256.key"
try "strongSwan verifies what it got" good new
try "renewal of an RSA certificate" est_pki "$scratch/rsa.pem" --in \
	"$scratch/rsa2048.csr" --cert "$scratch/rsa2048.pem" \
	--key "$scratch/rsa2048.key"
request foreign ecdsa 256
fails "renewal for another name" 403 --in \
	"$scratch/foreign.csr" --cert "$scratch/new.pem" --key \
	"$scratch/new.key"
chancery revoke "$scratch/ecdsa256.pem" >/dev/null
fails "renewal of what was revoked" 401 --in \
	"$scratch/new.csr" --cert "$scratch/ecdsa256.pem" \
	--key "$scratch/ecdsa256.key"

# ---- approvals ----

stop
echo 'approval: true' >>"$state/policies/slow.yaml"
start
request later ecdsa 256 ecdsa256.test
est_pki "$scratch/later.pem" --in "$scratch/later.csr" --cert \
	"$scratch/new.pem" --key "$scratch/new.key" --interval 1 \
	>"$scratch/later.log" 2>&1 &
client=$!
id=$(waiting)
try "a renewal waits" test -n "$id"
sleep 2
try "the client polls" kill -0 "$client"
try "it is approved" chancery approve "$id"
try "strongSwan gets its certificate" wait "$client"
try "and verifies it" good later
request no ecdsa 256 ecdsa256.test
est_pki "$scratch/no.pem" --in "$scratch/no.csr" --cert \
	"$scratch/new.pem" --key "$scratch/new.key" --interval 1 \
	>"$scratch/later.log" 2>&1 &
client=$!
id=$(waiting)
try "another waits" test -n "$id"
try "it is rejected" chancery reject -r "not in the plan" "$id"
try_not "strongSwan gives up" wait "$client"
try "because it is told so" grep -q "HTTP 403" "$scratch/later.log"
check_log
tap_done
