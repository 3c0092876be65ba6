#!/bin/bash
# Delta and partitioned CRLs as OpenSSL judges them: what a complete list says,
# what a delta adds and takes back, and that a list of one partition counts for
# the certificates of that partition only.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"
. "${top_srcdir:-.}/tests/interop/states.sh"

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

verify_asks() # STATE CRL...
{
	verify "$scratch/$1.pem" "${@:2}"
}

base_asks()
{
	verify_asks "$1" "$base"
}

delta_asks()
{
	fetch tls-delta.crl && verify_asks "$1" "$base" \
		"$scratch/tls-delta.crl.pem"
}

# All lists are there; the certificate's own counts.
partition_asks()
{
	fetch part-0.crl && fetch part-1.crl && verify_asks "$1" \
		"$scratch/part-0.crl.pem" "$scratch/part-1.crl.pem"
}
for c in base delta partition; do
	means[$c.good]="[.]pem: OK"
	means[$c.revoked]="error 23 at 0 .*certificate revoked"
	means[$c.expired]="error 10 at 0 .*certificate has expired"
done

# ---- deltas ----
start
stop
at=http://localhost:$ocsp_port/crl
with_deltas="  crl-urls: [\"$at/tls.crl\"]\n  freshest-crl-urls: [\"$at/tls-delta.crl\"]\n  crl: {interval: 1d, delta-interval: 1h, min-gap: 1s, on-revocation: true}"
keys "  crl-distribution-points: [\"$at/tls.crl\"]\n  freshest-crl: [\"$at/tls-delta.crl\"]"
settings "$with_deltas"
start
try "certificates that name a delta CRL" make_states
stop
settings "  crl-urls: [\"$at/tls.crl\"]\n  crl: {min-gap: 1s}"
start
chancery revoke -r certificateHold "$scratch/released.pem" >/dev/null
soon "a complete list has a hold" has tls.crl "$scratch/released.pem"
stop
settings "$with_deltas"
start
soon "it is there, as the base" has tls.crl "$scratch/released.pem"
soon "and a delta" fetch tls-delta.crl
base=$scratch/base.pem
cp "$scratch/tls.crl.pem" "$base"
try "one more is revoked and another held" set_states
soon "the delta comes to list a revocation" has tls-delta.crl \
	"$scratch/revoked.pem"
soon "and a hold" has tls-delta.crl "$scratch/held.pem"
try "OpenSSL accepts the delta indicator" sh -c "
	openssl crl -in '$scratch/tls-delta.crl.pem' -noout -text |
	grep -q 'Delta CRL Indicator: critical'"
try "the hold in the base is released" release
takes_back()
{
	has tls-delta.crl "$scratch/released.pem" | grep "Remove From CRL"
}
soon "the delta takes it back" takes_back

# What the delta brings is not in the base; a CRL cannot know what was never
# issued; a chain's expiry counts before its status.
#               good revoked held    released unknown expired
row base        good good    good    revoked  good    expired
row delta       good revoked revoked good     good    expired
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
try "certificates for each state" make_states
# until both partitions have one that stays good
zero= one=
for i in $(seq 40); do
	new_cert "p$i" >/dev/null 2>&1 || break
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
try "the other list is there" fetch part-0.crl
try_not "and does not name it" has part-0.crl "$scratch/$one.pem"
forge unknown part-0.crl >"$scratch/out" 2>&1
try "three of the others are revoked" set_states
its_list()
{
	has "part-$(part released).crl" "$scratch/released.pem"
}
soon "the list of one has it" its_list
try "it is released" release
lets_go()
{
	fetch "part-$(part released).crl" && ! its_list
}
soon "its list lets it go" lets_go
#               good revoked held    released unknown expired
row partition   good revoked revoked good     good    expired
check_log
tap_done
