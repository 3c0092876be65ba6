#!/bin/bash
# Partitioned CRLs and delta CRLs in what is issued: the URLs of each
# certificate are those of its serial, and the signer sees to it.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

n=5
crl="http://localhost:1/crl/tls-{partition}.crl"
delta="http://localhost:1/crl/tls-{partition}-delta.crl"

# settings PARTITIONS: of the issuer tls, in chancery.yaml.
settings()
{
	sed -i "/^- name: tls\$/,/^- name: users\$/{
		/crl-partitions:/d
		/freshest-crl-urls:/d
		s|^  crl-urls:.*|  crl-urls: [\"$crl\"]\n  freshest-crl-urls: [\"$delta\"]\n  crl-partitions: $1|
	}" "$state/chancery.yaml"
}

# keys PARTITIONS: of the classes that have tls.crl, in keys.yaml.
keys()
{
	sed -i "/crl-partitions:/d; /freshest-crl:/d
		s|tlsfeature\]|tlsfeature, freshestCRL]|
		s|^  crl-distribution-points: .*/tls.*|  crl-distribution-points: [\"$crl\"]\n  freshest-crl: [\"$delta\"]\n  crl-partitions: $1|" \
		"$state/keys.yaml"
}

issue()
{
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$scratch/k" -subj / -addext "subjectAltName=DNS:$1" \
		-out "$scratch/csr" 2>/dev/null
	chancery issue -p tls-server -o "$scratch/$1.pem" "$scratch/csr"
}

# urls FILE: the URLs of cRLDistributionPoints and freshestCRL.
urls()
{
	openssl x509 -in "$1" -noout -ext crlDistributionPoints,freshestCRL |
		sed -n 's/.*URI://p' | tr '\n' ' '
}

# want FILE: what they must be.
want()
{
	local serial part
	serial=$(openssl x509 -in "$1" -noout -serial | sed 's/.*=//')
	part=$(python3 -c 'import sys
print(int(sys.argv[1][-16:], 16) % int(sys.argv[2]))' "$serial" "$n")
	echo "${crl/\{partition\}/$part} ${delta/\{partition\}/$part} "
}

start
try "without partitions" issue plain.test
try "the URL is as it stands" sh -c "
	openssl x509 -in '$scratch/plain.test.pem' -noout -ext \
		crlDistributionPoints | grep -q '/crl/tls.crl\$'"
try "nor is there a delta CRL" sh -c "
	! openssl x509 -in '$scratch/plain.test.pem' -noout -text |
	grep -qi 'freshest'"
stop
settings $n
keys $n
start
bad=
for i in $(seq 12); do
	issue p"$i".test >"$scratch/out" 2>&1 || bad+=$(cat "$scratch/out")
	[ "$(urls "$scratch/p$i.test.pem")" = "$(want "$scratch/p$i.test.pem")" ] ||
		bad+="$i: $(urls "$scratch/p$i.test.pem") "
done
point "each certificate names the partition of its serial" "$bad"
try "several are used" test "$(for i in $(seq 12); do
	urls "$scratch/p$i.test.pem"; echo; done | sort -u | wc -l)" -gt 1
verify_chain "$scratch/p1.test.pem" p1.test

# enrolld counts otherwise than the signer: nobody's partition is guessed
stop
settings 4
start
try_not "the signer refuses another number of partitions" sh -c "
	for i in 1 2 3 4 5 6; do
		'$top_builddir/chancery' issue -p tls-server -o '$scratch/x' \
			'$scratch/csr' || exit 1
	done"
try "and says why" grep -q "crl-distribution-points" "$scratch/said"
check_log
tap_done
