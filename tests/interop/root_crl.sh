#!/bin/bash
# The CRL of a root: made offline, judged by stock tools, imported and served,
# and what happens when it is late.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

for m in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so; do
	[ ! -r "$m" ] || module=$m
done
dir=$scratch/offline
mkdir -p "$dir/tokens"
echo "directories.tokendir = $dir/tokens" >"$dir/softhsm2.conf"
echo 11223344 >"$dir/pin"
echo 55667788 >"$dir/so-pin"
echo correct-horse >"$dir/passphrase"
cat >"$dir/ceremony.yaml" <<EOF
transcript: transcript.txt
tokens:
- label: offline
  module: $module
  so-pin-file: so-pin
  pin-file: pin
  environment: ["SOFTHSM2_CONF=$dir/softhsm2.conf"]
authorities:
- name: root
  subject: "CN=Offline Root,O=Example"
  algorithm: P-384
  validity: 20y
  issuer: self
  certificate: root.pem
  key:
    module: $module
    uri: "pkcs11:token=offline;object=root;id=%01"
    pin-file: pin
    environment: ["SOFTHSM2_CONF=$dir/softhsm2.conf"]
- name: device
  subject: "CN=Device CA,O=Example"
  algorithm: P-256
  validity: 5y
  issuer: root
  certificate: device.pem
  crl-urls: ["http://crl.example.test/root.crl"]
  key: {keyfile: device.key, passphrase-file: passphrase}
- name: soft
  subject: "CN=Soft Root,O=Example"
  algorithm: RSA-2048
  validity: 100d
  issuer: self
  certificate: soft.pem
  key: {keyfile: soft.key, passphrase-file: passphrase}
EOF
try "a ceremony" chancery init --ceremony "$dir/ceremony.yaml"

# root_crl FILE [OPTION...]: of the root there.
root_crl()
{
	chancery init --root-crl "$dir/ceremony.yaml" -o "$dir/$1" "${@:2}" root
}

# field FILE OPTION: what OpenSSL says of a CRL.
field()
{
	openssl crl -in "$dir/$1" -inform DER -noout "${@:2}"
}

verified()
{
	field "$1" -verify -CAfile "$dir/root.pem" 2>&1 | grep -q "verify OK"
}

gnutls_verified()
{
	openssl crl -in "$dir/$1" -inform DER -out "$scratch/crl.pem"
	certtool --verify-crl --load-ca-certificate "$dir/${2:-root.pem}" \
		--infile "$scratch/crl.pem" 2>&1 | grep -q "Verified"
}

number()
{
	printf '%d' "$(field "$1" -crlnumber | sed 's/.*=//')"
}

# revoked FILE SERIAL [TEXT]
revoked()
{
	field "$1" -text | grep -A6 -i "Serial Number: $2" >"$scratch/entry" &&
		grep -q "${3-}" "$scratch/entry"
}

days()
{
	local to from
	to=$(date -d "$(field "$1" -nextupdate | sed 's/.*=//')" +%s)
	from=$(date -d "$(field "$1" -lastupdate | sed 's/.*=//')" +%s)
	echo $(((to - from) / 86400))
}

try "the CRL of the root" root_crl a.crl
try "OpenSSL verifies it" verified a.crl
try "GnuTLS verifies it" gnutls_verified a.crl
try "it is valid for a year" test "$(days a.crl)" -eq 365
try "nothing is revoked" sh -c "openssl crl -in '$dir/a.crl' -inform DER \
	-noout -text | grep -q 'No Revoked Certificates'"
now=$(date +%s)
n=$(number a.crl)
try "its number is the time" test "$((now - n))" -lt 60
try "the CA passes openssl verify with it" openssl verify -x509_strict \
	-crl_check -CAfile "$dir/root.pem" -CRLfile "$dir/a.crl" \
	"$dir/device.pem"

serial=$(openssl x509 -in "$dir/device.pem" -noout -serial | sed 's/.*=//')
try "the next one revokes the CA and a serial" root_crl b.crl \
	--previous "$dir/a.crl" --revoke "$dir/device.pem=cACompromise" \
	--revoke 0x01:02:03
try "OpenSSL verifies it" verified b.crl
try "GnuTLS verifies it" gnutls_verified b.crl
try "the number has risen" test "$(number b.crl)" -gt "$n"
try "the CA is on it with its reason" revoked b.crl "$serial" "CA Compromise"
try "the serial too" revoked b.crl 010203
try_not "openssl verify takes the CA no more" openssl verify -x509_strict \
	-crl_check -CAfile "$dir/root.pem" -CRLfile "$dir/b.crl" \
	"$dir/device.pem"
try "entries stay, with their dates" root_crl c.crl --previous "$dir/b.crl" \
	--revoke ff=superseded --revoke 010203=keyCompromise --valid-for 30d
try "all three are on it" sh -c "[ \"\$(openssl crl -in '$dir/c.crl' \
	-inform DER -noout -text | grep -c 'Serial Number')\" -eq 3 ]"
try "one has got a reason" revoked c.crl 010203 "Key Compromise"
field b.crl -text | grep -A1 'Number: 010203' | tail -n 1 >"$scratch/date.b"
field c.crl -text | grep -A1 'Number: 010203' | tail -n 1 >"$scratch/date.c"
try "and kept its date" cmp "$scratch/date.b" "$scratch/date.c"
try "it ends when it was told to" test "$(days c.crl)" -eq 30
try "the transcript tells" sh -c \
	"grep -q '^verb=sign-crl' '$dir/transcript.txt.4' &&
	grep -q ' crl of root number=.* entries=3 until=' '$dir/transcript.txt.4'"

# a list made elsewhere, in another order and with a number from the future
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/other.key" \
	-out "$dir/other.pem" -subj "/CN=Other" -days 30 2>/dev/null
{
	printf 'R\t350101000000Z\t260101000000Z,keyCompromise\t0101\tunknown\t/CN=x\n'
	printf 'R\t350101000000Z\t260101000000Z\tFF\tunknown\t/CN=y\n'
} >"$dir/index.txt"
echo 7FFFFFFFFFFF >"$dir/number"
cat >"$dir/ca.cnf" <<EOF
[ca]
default_ca = own
[own]
database = $dir/index.txt
crlnumber = $dir/number
default_md = sha256
default_crl_days = 30
crl_extensions = ext
[ext]
authorityKeyIdentifier = keyid
EOF
# the software root's key, for OpenSSL
openssl pkey -in "$dir/soft.key" -passin "file:$dir/passphrase" \
	-out "$dir/soft.plain"
elsewhere()
{
	openssl ca -config "$dir/ca.cnf" -gencrl -cert "$1" -keyfile "$2" \
		-out "$3" "${@:4}" 2>&1
}
try "OpenSSL makes a list of the software root" elsewhere "$dir/soft.pem" \
	"$dir/soft.plain" "$dir/else.pem"
try "whose entries are taken over" chancery init --root-crl \
	"$dir/ceremony.yaml" -o "$dir/soft.crl" --previous "$dir/else.pem" soft
try "GnuTLS verifies the result" gnutls_verified soft.crl soft.pem
try "its number is the one before and one" sh -c "openssl crl -inform DER \
	-in '$dir/soft.crl' -noout -crlnumber | grep -q '=0*x*800000000000'"
try "both are on it" sh -c "[ \"\$(openssl crl -in '$dir/soft.crl' \
	-inform DER -noout -text | grep -c 'Serial Number')\" -eq 2 ]"
try "it does not outlive the root" sh -c "
	[ \"\$(openssl crl -in '$dir/soft.crl' -inform DER -noout -nextupdate |
	sed s/nextUpdate=//)\" = \"\$(openssl x509 -in '$dir/soft.pem' -noout \
	-enddate | sed s/notAfter=//)\" ]"

try_not "another root's list is not taken over" root_crl x.crl \
	--previous "$dir/soft.crl"
cp "$dir/b.crl" "$dir/bad.crl"
printf '\377' | dd of="$dir/bad.crl" bs=1 conv=notrunc \
	seek=$(($(stat -c %s "$dir/bad.crl") - 3)) 2>/dev/null
try_not "nor one with a wrong signature" root_crl x.crl \
	--previous "$dir/bad.crl"
try_not "nor what is no CRL" root_crl x.crl --previous "$dir/pin"
try_not "nor a certificate of another CA" root_crl x.crl \
	--revoke "$dir/soft.pem"
try_not "nor a reason that is none" root_crl x.crl --revoke 01=whatever
try_not "nor removeFromCRL" root_crl x.crl --revoke 01=removeFromCRL
try_not "nor an unknown authority" chancery init --root-crl \
	"$dir/ceremony.yaml" -o "$dir/x.crl" nobody
try_not "nothing was written" test -e "$dir/x.crl"

# ---- where it is served ----

start
real=$(readlink -f "$state")

# next FILE [OPTION...]: the next CRL of the running system's root.
next()
{
	chancery init --root-crl "$real/ceremony.yaml" -o "$scratch/$1" \
		--previous "$real/ca/root.crl" "${@:2}" root
}

served_is()
{
	curl -sf -o "$scratch/served" "http://localhost:$ocsp_port/crl/root.crl" &&
		cmp "$scratch/served" "$1"
}

status_of()
{
	chancery --json crl list | jq -r "select(.issuer == \"root\") | .$1"
}

soon "the root's CRL is served where the CAs' certificates say" \
	served_is "$real/ca/root.crl"
try "it is listed" test "$(status_of state)" = ok
try "as imported" test "$(status_of imported)" = true
try "with its number" test "$(status_of number)" = "$(openssl crl \
	-inform DER -in "$real/ca/root.crl" -noout -crlnumber |
	sed 's/.*=//' | xargs printf '%d')"
soon "the lists of the issuers are there" sh -c "[ \"\$('$top_builddir/chancery' \
	--json crl list | jq -r 'select(.state == \"ok\") | .issuer' | wc -l)\" -eq 4 ]"
curl -s -o "$scratch/tls.crl" "http://localhost:$ocsp_port/crl/tls.crl"
openssl crl -inform DER -in "$scratch/served" -out "$scratch/crls.pem"
try "the issuing CA passes with its root's CRL" openssl verify -x509_strict \
	-crl_check -CRLfile "$scratch/crls.pem" -CAfile "$root" \
	"$state/ca/tls-only.pem"
try "status is content" chancery status

try "the same list again is no error" chancery crl import "$real/ca/root.crl"
try_not "an issuer's list is not imported" chancery crl import \
	"$scratch/tls.crl"
try "because pubd makes it" grep -q pubd "$scratch/said"
try_not "nor one of a root that nobody knows" chancery crl import "$dir/c.crl"
try_not "nor under an issuer's name" chancery crl import --name tls \
	"$real/ca/root.crl"
next soon.crl --valid-for 1s >/dev/null
sleep 2
try_not "nor one that has ended" chancery crl import "$scratch/soon.crl"
try "because of its nextUpdate" grep -q nextUpdate "$scratch/said"

try "the next list" next new.crl --revoke 0abc=superseded
cp "$scratch/new.crl" "$scratch/forged.crl"
printf '\377' | dd of="$scratch/forged.crl" bs=1 conv=notrunc \
	seek=$(($(stat -c %s "$scratch/new.crl") - 3)) 2>/dev/null
try_not "a wrong signature is not imported" chancery crl import \
	"$scratch/forged.crl"
try "because of the signature" grep -q signature "$scratch/said"
openssl crl -inform DER -in "$scratch/new.crl" -out "$scratch/new.pem"
try "it is imported" chancery crl import "$scratch/new.pem"
soon "and served" served_is "$scratch/new.crl"
try_not "the one before is too old now" chancery crl import \
	"$real/ca/root.crl"
chancery crl import "$real/ca/root.crl" >/dev/null 2>&1
try "which is a refusal" test $? -eq 3
try "imports are audited" sh -c "[ \"\$(psql -h '$(sed -n 's/^run-dir: //p' \
	"$real/chancery.yaml")/pg' -U chancery_oper -d chancery -Atc \
	\"SELECT count(*) FROM chancery.audit WHERE kind = 'crl-import'\")\" -eq 2 ]"

# ---- when it is late ----

sleep 1
chancery init --root-crl "$real/ceremony.yaml" -o "$scratch/late.crl" \
	--previous "$scratch/new.crl" --valid-for 8s root >/dev/null
try "a list that ends soon" chancery crl import "$scratch/late.crl"
try "is in time at first" chancery status
sleep 7
try_not "status tells that it is late" chancery status
try "and what to do" grep -Eq 'crl +BAD +root, full: ' "$scratch/said"
try "by which command" grep -q 'to do: .*init --root-crl' "$scratch/said"
chancery status >/dev/null
try "with its exit status" test $? -eq 5
sleep 2
try_not "check tells that it has ended" chancery check
try "too" grep -Eq 'BAD +crl +root, full: has ended' "$scratch/said"
try "crl list says it" test "$(status_of state)" = ended
chancery init --root-crl "$real/ceremony.yaml" -o "$scratch/good.crl" \
	--previous "$scratch/late.crl" root >/dev/null
try "the next one is imported" chancery crl import "$scratch/good.crl"
try "and all is well" chancery check
soon "it is served" served_is "$scratch/good.crl"
try "the revoked serial is still on it" sh -c "openssl crl -inform DER \
	-in '$scratch/served' -noout -text | grep -q 'Serial Number: 0ABC'"

# ---- the next start makes the next one when it is old ----

cp "$real/ca/root.crl" "$scratch/young.crl"
stop
start
try "quickstart keeps a list that is young" cmp "$scratch/young.crl" \
	"$real/ca/root.crl"
soon "and serves a newer one that was imported" served_is "$scratch/good.crl"
cp "$scratch/good.crl" "$real/ca/root.crl"
touch -d '181 days ago' "$real/ca/root.crl"
stop
start
try "it makes another when the last one is half a year old" test \
	"$(openssl crl -inform DER -in "$real/ca/root.crl" -noout -crlnumber |
		sed 's/.*=//' | xargs printf '%d')" -gt \
	"$(openssl crl -inform DER -in "$scratch/good.crl" -noout -crlnumber |
		sed 's/.*=//' | xargs printf '%d')"
soon "and it is served" served_is "$real/ca/root.crl"
try "with what was revoked" sh -c "openssl crl -inform DER \
	-in '$scratch/served' -noout -text | grep -q 'Serial Number: 0ABC'"
try "status is content again" chancery status

# ---- when it was never imported ----

sql -c "DELETE FROM chancery.crl c USING chancery.issuer i
	WHERE c.issuer = i.id AND i.name = 'root'"
chancery status >"$scratch/said" 2>&1
try "status is not content without the root's list" test $? -eq 5
try "and says that there is none" grep -Eq \
	'crl +BAD +root, full: there is none yet' "$scratch/said"
try "crl list, too" test "$(status_of state)" = missing
for _ in $(seq 90); do
	grep -q 'CRL is missing ca="root"' "$log" && break
	sleep 1
done
try "pubd's log tells it" grep -q 'CRL is missing ca="root"' "$log"
for _ in $(seq 30); do
	grep -qx 'chancery_crl_import_late 1' "$real/pub/pubd.prom" && break
	sleep 1
done
try "its metrics, too" grep -qx 'chancery_crl_import_late 1' \
	"$real/pub/pubd.prom"
try "importing it" chancery crl import "$real/ca/root.crl"
try "is all that has to be done" chancery status

# ---- an issuer's list, when pubd makes none ----

pubd=$(sed -n 's/.*started msg="pubd, process \([0-9]*\)".*/\1/p' "$log" |
	tail -n 1)
kill -STOP "$pubd"
sql -c "UPDATE chancery.crl c SET this_update = this_update - interval '3 days'
	FROM chancery.issuer i WHERE c.issuer = i.id AND i.name = 'users'"
chancery status >"$scratch/said" 2>&1
try "status is not content with an issuer's old list" test $? -eq 5
try "and says which" grep -Eq 'crl +BAD +users, full: ' "$scratch/said"
chancery check >"$scratch/said" 2>&1
try "nor is check" test $? -eq 5
kill -CONT "$pubd"
soon "pubd makes another" chancery status
check_log
tap_done
