#!/bin/bash
# EST with curl and openssl: the operations, and who may use them.  A number in
# brackets is the requirement's in the list that this was built from; T: a
# trap that some client has.
# shellcheck disable=SC2046 # options are words
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"
. "$top_srcdir/tests/interop/est_lib.sh"

# vendor_ca: a device maker's root, intermediate CA and device certificate.
vendor_ca()
{
	local v=$scratch/vendor
	mkdir "$v"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$v/root.key" -out "$v/root.pem" -days 30 \
		-subj "/O=Maker/CN=Root"
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$v/sub.key" -out "$v/sub.csr" -subj "/O=Maker/CN=Sub"
	openssl x509 -req -in "$v/sub.csr" -CA "$v/root.pem" -CAkey \
		"$v/root.key" -days 30 -out "$v/sub.pem" -extfile - <<-END
		basicConstraints = critical, CA:true
		keyUsage = critical, keyCertSign
	END
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$scratch/factory.key" -out "$v/dev.csr" \
		-subj "/CN=factory.test/serialNumber=4711"
	openssl x509 -req -in "$v/dev.csr" -CA "$v/sub.pem" -CAkey \
		"$v/sub.key" -days 30 -out "$v/dev.pem" -extfile - <<-END
		keyUsage = critical, digitalSignature
		extendedKeyUsage = clientAuth
		subjectAltName = DNS:factory.test
	END
	cat "$v/dev.pem" "$v/sub.pem" >"$scratch/factory.pem"
	cp "$v/dev.pem" "$scratch/alone.pem"
	cp "$scratch/factory.key" "$scratch/alone.key"
}

profiles()
{
	vendor_ca >"$scratch/vendor.log" 2>&1
	cp "$scratch/vendor/root.pem" "$state/policies/maker.pem"
	profile nograce '/^clients:/d'
	profile grace1 "$(with 'clients: {expired: 1s}')"
	profile anyname "$(with 'clients: {any-name: true}')"
	profile reg 's|"secret:\*"|"ra:ra/*"|'
	profile vendor "$(with 'clients: {trust-anchors: [maker.pem]}')
		s|\"secret:\\*\"|\"cert:@maker/*\"|"
	profile bound "$(with 'est: {channel-binding: true}')"
	profile rsa 's/^  ec: .*//; s/min: 2048/min: 3072/'
	profile p384 's/P-256, P-384/P-384/'
}

# attrs TEXT LABEL: the CSR attributes of a profile, as asn1parse shows them.
attrs()
{
	ask "$2/csrattrs"
	openssl base64 -d -A -in "$scratch/body" | openssl asn1parse -i \
		-inform DER >"$scratch/attrs" 2>&1
	try "csrattrs of $2 are DER [29]" grep -q 'SEQUENCE' "$scratch/attrs"
}

start_est profiles

# ---- /cacerts ----

ask cacerts
answers "cacerts, without authentication [6, 17]" 200
header "its media type [17]" \
	'^Content-Type: application/pkcs7-mime; smime-type=certs-only$'
header "Content-Transfer-Encoding [16, T2]" \
	'^Content-Transfer-Encoding: base64$'
header "Content-Length [16, T4, T7]" "^Content-Length: $(wc -c \
	<"$scratch/body" | tr -d ' ')\$"
try "one line without breaks [16, T1]" test \
	"$(tr -d '\r\n' <"$scratch/body" | wc -c)" = "$(wc -c <"$scratch/body")"
try "the header is less than a kilobyte [T4]" test \
	"$(wc -c <"$scratch/head")" -lt 1024
certs_to "$scratch/cas.pem"
try "the root and the chain are in it [18]" sh -c "
	grep -c BEGIN '$scratch/cas.pem' | grep -qx 2"
openssl x509 -in "$scratch/cas.pem" -outform DER -out "$scratch/first.der"
openssl x509 -in "$state/ca/tls.pem" -outform DER -out "$scratch/tls.der"
try "the issuing authority comes first [18]" cmp "$scratch/first.der" \
	"$scratch/tls.der"
try "openssl builds the chain from nothing else [18]" openssl verify \
	-x509_strict -CAfile "$root" -untrusted "$scratch/cas.pem" \
	"$state/ca/tls.pem"
cp "$scratch/body" "$scratch/cacerts"
ask device/cacerts
try "the default is the profile of est.profile [2]" cmp "$scratch/body" \
	"$scratch/cacerts"
ask cacerts -I
answers "HEAD [12]" 200

# ---- /csrattrs ----

attrs device device
try "key type [30]" grep -q 'OBJECT *:prime256v1' "$scratch/attrs"
try "hash [30]" grep -q 'OBJECT *:ecdsa-with-SHA256' "$scratch/attrs"
try "one attribute of extensions outside the template [32]" test \
	"$(grep -c 'Extension Request' "$scratch/attrs")" -eq 1
try "template with its extensions [33]" sh -c "
	grep -q '1.2.840.113549.1.9.16.2.61' '$scratch/attrs' &&
	grep -q '1.2.840.113549.1.9.16.2.62' '$scratch/attrs'"
try_not "no challengePassword [31]" grep -q challengePassword \
	"$scratch/attrs"
header "media type [29]" '^Content-Type: application/csrattrs$'
attrs "with binding" bound
try "challengePassword where the link is required [23, 31]" \
	grep -q challengePassword "$scratch/attrs"
attrs RSA rsa
try "rsaEncryption with its size [30]" sh -c "
	grep -A2 'OBJECT *:rsaEncryption' '$scratch/attrs' |
	grep -q 'INTEGER *:0C00'"
try "and its hash" grep -q sha256WithRSAEncryption "$scratch/attrs"
attrs P-384 p384
try "P-384 and its hash [30]" sh -c "
	grep -q ':secp384r1' '$scratch/attrs' &&
	grep -q ':ecdsa-with-SHA384' '$scratch/attrs'"

# ---- /simpleenroll with secrets ----

csr a
csr b
secret device one
post simpleenroll a -u "$user"
issues "simpleenroll with a generated secret: one certificate [20, 25]" a
header "its media type [25]" \
	'^Content-Type: application/pkcs7-mime; smime-type=certs-only$'
cp "$scratch/a.pem" "$scratch/a1.pem"
post simpleenroll a -u "$user"
issues "the repeat after a lost answer [26]" a
same "gives the same certificate [26]" a a1
post device/simpleenroll a -u "$user"
issues "so does it under the profile's name [2, 26]" a
same "that is no other transaction" a a1
refuses "the one-time secret with another request [8]" 401 "secret" \
	post simpleenroll b -u "$user"
header "a challenge for Basic [8]" '^WWW-Authenticate: Basic realm='
header "the answer has a length and leaves the connection open [T9]" \
	'^Content-Length: [1-9]'
refuses "no credentials [10]" 401 "" post simpleenroll b
try "a challenge without a body, which clients may drop unread [T9]" test ! \
	-s "$scratch/body"
header "with its length" "^Content-Length: 0\$"
refuses "a wrong secret [8]" 401 . post simpleenroll b -u one:wrong
refuses "an unknown one [8]" 401 . post simpleenroll b -u "nobody:$user"
refuses "another scheme [8]" 401 . post simpleenroll b -H \
	"Authorization: Bearer ${user#*:}"
refuses "credentials that are not base64" 401 . post simpleenroll b -H \
	"Authorization: Basic %%%"

secret device many --multi-use
post simpleenroll a -u "$user"
issues "another secret is another client" a
differ "with a certificate of its own" a a1
post simpleenroll b -u "$user"
issues "a secret for many is good for many" b
refuses "the secret of another profile [8]" 401 "" post nograce/simpleenroll b \
	-u "$user"
many=$user
chancery secret revoke many >/dev/null
refuses "a revoked secret [8]" 401 . post simpleenroll b -u "$many"

printf 'correct horse battery' | chancery secret add -p device --chosen \
	--multi-use chosen >"$scratch/out" 2>&1
post simpleenroll a -u "chosen:correct horse battery"
issues "simpleenroll with a secret that somebody chose" a
refuses "and one character more" 401 . post simpleenroll a -u \
	"chosen:correct horse battery!"
try_not "neither secret is in the database as it is" grep -raqsF \
	-e "${many#*:}" -e "correct horse battery" "$state/pg"

secret device named --name dns:b.test --name CN:b.test
refuses "names that the secret does not have [28]" 403 "secret|name" \
	post simpleenroll a -u "$user"
post simpleenroll b -u "$user"
issues "and those that it has: it was not used up" b

for alg in rsa:2048 ec:P-384; do
	name=k${alg#*:}
	case $alg in
	rsa:*) openssl genrsa -out "$scratch/$name.key" "${alg#*:}" ;;
	*) openssl genpkey -algorithm EC -pkeyopt \
		"ec_paramgen_curve:${alg#*:}" -out "$scratch/$name.key" ;;
	esac 2>/dev/null
	csr "$name" -subj "/CN=k.test"
	post simpleenroll "$name" -u "chosen:correct horse battery"
	issues "a key of $alg; the common name becomes a name" "$name"
done

# ---- with a certificate ----

csr c
post simpleenroll c -u "chosen:correct horse battery"
issues "a certificate to renew" c
cp "$scratch/c.pem" "$scratch/c1.pem"
post simplereenroll c $(by c)
issues "simplereenroll with the same request [24]" c
differ "is a new certificate" c c1
cp "$scratch/c.key" "$scratch/c2.key"
cp "$scratch/c.pem" "$scratch/c2.pem"
rm "$scratch/c.key"
csr c
post simplereenroll c $(by c2)
issues "simplereenroll with a new key [24]" c
cp "$scratch/c.pem" "$scratch/c3.pem"
post simplereenroll c $(by c2)
same "and its repeat [26]" c c3
csr other -subj /CN=other.test -addext subjectAltName=DNS:c.test
refuses "another subject [24]" 403 "subject" \
	post simplereenroll other $(by c)
csr other -subj /CN=c.test -addext subjectAltName=DNS:other.test
refuses "other names [24]" 403 "alternative names" \
	post simplereenroll other $(by c)
csr other -subj /CN=c.test -addext \
	subjectAltName=DNS:c.test,DNS:other.test
refuses "a name more [24]" 403 "alternative names" \
	post simplereenroll other $(by c)
refuses "no certificate: Basic does not renew [24]" 401 . \
	post simplereenroll c -u "chosen:correct horse battery"
header "which is still a challenge" '^WWW-Authenticate:'
csr two -subj / -addext subjectAltName=DNS:x.test,DNS:y.test
post simpleenroll two -u "chosen:correct horse battery"
issues "a certificate with two names and no subject" two
csr two -subj / -addext subjectAltName=DNS:y.test,DNS:x.test
post simplereenroll two $(by two)
issues "names are compared as sets [24]" two

post simpleenroll c $(by c)
issues "a certificate authenticates simpleenroll, too [5, 10]" c
csr other -subj /CN=other.test
refuses "for its own names [10]" 403 . post simpleenroll other $(by c)
refuses "and its own profile: no secret, no principal [10]" 403 . \
	post nograce/simpleenroll c $(by c)

made renamed --cn c.test --dns c.test --new-cn new.test --new-dns \
	new.test
refuses "ChangeSubjectName without any-name [24]" 403 . \
	post simplereenroll renamed $(by c)
secret anyname any
post anyname/simpleenroll c -u "$user"
issues "a certificate of a profile with any-name" c
post anyname/simplereenroll renamed $(by c)
issues "ChangeSubjectName with any-name [24]" renamed
try "the names are the new ones" sh -c "
	openssl x509 -in '$scratch/renamed.pem' -noout -subject -ext \
	subjectAltName | grep -c new.test | grep -qx 2"

csr r
secret device r
post simpleenroll r -u "$user"
issues "a certificate to revoke" r
chancery revoke -r keyCompromise "$scratch/r.pem" >/dev/null
csr r2 -subj /CN=r.test -addext subjectAltName=DNS:r.test
refuses "revoked: refused at once [7, 24]" 401 "" \
	post simplereenroll r2 $(by r)
refuses "for simpleenroll, too [7]" 401 "" \
	post simpleenroll r2 $(by r)

csr old
for p in device nograce grace1; do
	chancery issue -p $p --valid-for 2s -o "$scratch/old-$p.pem" \
		"$scratch/old.der" >"$scratch/out" 2>&1
	cp "$scratch/old.key" "$scratch/old-$p.key"
done
while openssl x509 -checkend 0 -in "$scratch/old-grace1.pem" -noout \
	>/dev/null; do
	sleep 0.2
done
sleep 2
refuses "expired, without grace [24]" 401 "" \
	post nograce/simplereenroll old $(by old-nograce)
refuses "expired, after the grace [24]" 401 "" \
	post grace1/simplereenroll old $(by old-grace1)
post simplereenroll old $(by old-device)
issues "expired, within the grace [24]" old

# ---- other people's certificates ----

csr factory -subj "/CN=factory.test/serialNumber=4711" -addext \
	subjectAltName=DNS:factory.test
cp "$scratch/factory.pem" "$scratch/maker.pem"
cp "$scratch/factory.key" "$scratch/maker.key"
post vendor/simpleenroll factory $(by maker)
issues "a device of a maker that the profile trusts [7]" factory
refuses "its chain has to be complete [7]" 401 "" \
	post vendor/simpleenroll factory $(by alone)
refuses "profiles without that anchor [7]" 401 "" \
	post simpleenroll factory $(by maker)
refuses "names that it does not have [10]" 403 . \
	post vendor/simpleenroll a $(by maker)
refuses "it does not renew [24]" 401 "" \
	post vendor/simplereenroll factory $(by maker)
post vendor/simplereenroll factory $(by factory)
issues "what it got renews [24]" factory
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-keyout "$scratch/self.key" -out "$scratch/self.pem" \
	-subj /CN=a.test -days 3 2>/dev/null
refuses "a self-signed certificate [7]" 401 "" \
	post simpleenroll a $(by self)
post simpleenroll a $(by self) -u "chosen:correct horse battery"
issues "with a secret beside it, the secret counts [8]" a
csr web
chancery issue -p tls-server -o "$scratch/web.pem" "$scratch/web.der" \
	>"$scratch/out" 2>&1
refuses "one of ours that is not for clients [7]" 401 "" \
	post simpleenroll web $(by web)

# ---- registration authorities ----

csr ra
try "a certificate with cmcRA" chancery issue -p ra -o \
	"$scratch/ra.pem" "$scratch/ra.der"
csr far
post reg/simpleenroll far $(by ra)
issues "an RA enrolls for others [11]" far
refuses "not where it is no principal [11]" 403 "allow|principal" \
	post simpleenroll far $(by ra)
chancery revoke "$scratch/ra.pem" >/dev/null
csr far2
refuses "nor when it is revoked [7]" 401 "" \
	post reg/simpleenroll far2 $(by ra)
check_log
tap_done
