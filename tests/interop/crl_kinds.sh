#!/bin/bash
# Delta and partitioned CRLs as OpenSSL judges them: what a complete list says,
# what a delta adds and takes back, and that a list of one partition counts for
# the certificates of that partition only.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

# settings LINES: of the issuer tls, in place of its crl-urls.
settings()
{
	sed -i "/^- name: tls\$/,/^- name: users\$/{
		/crl-partitions:/d
		/freshest-crl-urls:/d
		/crl: {/d
		s|^  crl-urls:.*|$1|
	}" "$state/chancery.yaml"
}

# keys LINES: of the classes of tls, in keys.yaml.
keys()
{
	sed -i "/crl-partitions:/d; /freshest-crl:/d
		s|tlsfeature\]|tlsfeature, freshestCRL]|
		s|^  crl-distribution-points: .*/tls.*|$1|" "$state/keys.yaml"
}

make()
{
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$scratch/$1.key" -subj / \
		-addext "subjectAltName=DNS:$1.test" \
		-out "$scratch/$1.csr" 2>/dev/null
	chancery issue -p tls-server -o "$scratch/$1.pem" "$scratch/$1.csr"
}

# fetch NAME: the CRL of that name into $scratch/NAME.pem
fetch()
{
	curl -sf "http://localhost:$ocsp_port/crl/$1" |
		openssl crl -inform DER -out "$scratch/$1.pem" 2>/dev/null
}

# has NAME FILE: whether the CRL lists the certificate.
has()
{
	local serial
	serial=$(openssl x509 -in "$2" -noout -serial | sed 's/.*=//')
	fetch "$1" && openssl crl -in "$scratch/$1.pem" -noout -text |
		grep -A 6 "Serial Number: $serial"
}

# soon TEXT COMMAND...: the command succeeds within 15 seconds.
soon()
{
	local text=$1
	shift
	for _ in $(seq 75); do
		if "$@" >"$scratch/said" 2>&1; then
			ok "$text"
			return
		fi
		sleep 0.2
	done
	not_ok "$text" "$(tail -n 25 "$scratch/said")"
}

# verify FILE CRL...: the leaf's chain, its revocation by these lists.
verify()
{
	local leaf=$1
	shift
	cat "$@" >"$scratch/lists.pem"
	openssl verify -x509_strict -crl_check -use_deltas -extended_crl \
		-CRLfile "$scratch/lists.pem" -CAfile "$root" \
		-untrusted "$state/ca/tls-only.pem" "$leaf"
}

start
stop

# ---- deltas ----
at=http://localhost:$ocsp_port/crl
settings "  crl-urls: [\"$at/tls.crl\"]\n  freshest-crl-urls: [\"$at/tls-delta.crl\"]\n  crl: {interval: 1d, delta-interval: 1h, min-gap: 1s, on-revocation: true}"
keys "  crl-distribution-points: [\"$at/tls.crl\"]\n  freshest-crl: [\"$at/tls-delta.crl\"]"
start
try "a certificate that names a delta CRL" make first
try "and another one" make second
soon "there is a complete list" fetch tls.crl
soon "and a delta" fetch tls-delta.crl
base=$scratch/base.pem
cp "$scratch/tls.crl.pem" "$base"
try "both accept a good certificate" verify "$scratch/first.pem" "$base" \
	"$scratch/tls-delta.crl.pem"
chancery revoke -r keyCompromise "$scratch/first.pem" >/dev/null
chancery revoke -r certificateHold "$scratch/second.pem" >/dev/null
soon "the delta comes to list a revocation" has tls-delta.crl \
	"$scratch/first.pem"
try "OpenSSL accepts the delta indicator" sh -c "
	openssl crl -in '$scratch/tls-delta.crl.pem' -noout -text |
	grep -q 'Delta CRL Indicator: critical'"
try "the base alone accepts the revoked certificate" verify \
	"$scratch/first.pem" "$base"
try_not "base and delta refuse it" verify "$scratch/first.pem" "$base" \
	"$scratch/tls-delta.crl.pem"
try "as revoked" grep -q "certificate revoked" "$scratch/said"
soon "the delta lists the hold" has tls-delta.crl "$scratch/second.pem"
chancery revoke --release "$scratch/second.pem" >/dev/null
lists_release()
{
	! has tls-delta.crl "$scratch/second.pem" >"$scratch/entry" ||
		grep -q "Remove From CRL" "$scratch/entry"
}
soon "the released one leaves it, or is taken back" lists_release
try "base and delta accept it again" verify "$scratch/second.pem" "$base" \
	"$scratch/tls-delta.crl.pem"
stop

# ---- partitions ----
settings "  crl-urls: [\"$at/part-{partition}.crl\"]\n  crl-partitions: 2\n  crl: {min-gap: 1s}"
keys "  crl-distribution-points: [\"$at/part-{partition}.crl\"]\n  crl-partitions: 2"
start
# part NAME: the partition of that certificate
part()
{
	openssl x509 -in "$scratch/$1.pem" -noout -ext crlDistributionPoints |
		sed -n 's/.*part-\([01]\).crl/\1/p'
}
# until both partitions have a certificate
zero= one=
for i in $(seq 40); do
	make "p$i" >/dev/null 2>&1 || break
	if [ "$(part "p$i")" = 0 ]; then zero=p$i; else one=p$i; fi
	[ -z "$zero" ] || [ -z "$one" ] || break
done
try "both partitions are used" test -n "$zero" -a -n "$one"
soon "there is a list of partition 0" fetch part-0.crl
soon "and one of partition 1" fetch part-1.crl
try "the distribution point is critical" sh -c "
	openssl crl -in '$scratch/part-0.crl.pem' -noout -text |
	grep -A 3 'Issuing Distribution Point: critical' |
	grep -q '$at/part-0.crl'"
try "its own list accepts a good certificate" verify "$scratch/$zero.pem" \
	"$scratch/part-0.crl.pem"
try_not "the other partition's list does not count" verify \
	"$scratch/$zero.pem" "$scratch/part-1.crl.pem"
try "for another scope" grep -qE "unable to get certificate CRL|scope" \
	"$scratch/said"
chancery revoke -r superseded "$scratch/$one.pem" >/dev/null
soon "its list comes to name the revoked one" has part-1.crl \
	"$scratch/$one.pem"
try_not "and refuses it" verify "$scratch/$one.pem" \
	"$scratch/part-1.crl.pem"
try "the other list does not name it" sh -c "! grep -q . <<X
$(has part-0.crl "$scratch/$one.pem")
X"
check_log
tap_done
