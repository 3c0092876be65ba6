#!/bin/bash
# What EST refuses because of its form, and the forms it takes; by curl and
# openssl.  Numbers in brackets as in est.sh.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"
. "$top_srcdir/tests/interop/est_lib.sh"

profiles()
{
	profile wrapped "$(with 'est: {wrap-lines: true}')"
	sed -i '/^- protocols: \[est\]/,+1d' "$state/policies/user.yaml"
}

# body FILE [OPTION...]: sends these octets to /simpleenroll.
body()
{
	local file=$1
	shift
	ask simpleenroll -u "$user" -H 'Content-Type: application/pkcs10' \
		--data-binary "@$file" "$@"
}

# typed TYPE: the request with that content type.
typed()
{
	ask simpleenroll -u "$user" -H "Content-Type:$1" --data-binary \
		"@$scratch/a.b64"
}

# handshake OPTION...: whether openssl gets a TLS session.
handshake()
{
	openssl s_client -connect "localhost:$https_port" -CAfile "$root" \
		-verify_return_error "$@" </dev/null
}

# renegotiation_ends: a client that asks for one gets no second handshake.
renegotiation_ends()
{
	{
		echo R
		sleep 1
	} | openssl s_client -connect "localhost:$https_port" -CAfile "$root" \
		-tls1_2 >"$scratch/again" 2>&1
	grep -q '^RENEGOTIATING' "$scratch/again" &&
		! sed '1,/^RENEGOTIATING/d' "$scratch/again" |
		grep -q 'verify return'
}

# lines FILE: whether it is base64 in lines of 64.
lines()
{
	awk 'length($0) > 64 { bad = 1 } END { exit bad || NR < 10 }' "$1"
}

start_est profiles
csr a
secret device many --multi-use

# ---- paths and methods ----

for path in nothing/simpleenroll user/simpleenroll code-signing/cacerts; do
	case $path in
	*cacerts) refuses "no such label: $path [2]" 404 . ask $path ;;
	*) refuses "no such label: $path [2]" 404 . post $path a -u "$user" ;;
	esac
done
refuses "an operation's name is no label [2]" 404 . ask cacerts/cacerts
refuses "no such operation [28]" 404 . ask nothing
refuses "fullcmc is not offered [39]" 404 . ask fullcmc -d x
refuses "serverkeygen is off by default [35]" 404 . post serverkeygen a \
	-u "$user"
refuses "more segments [2]" 404 . ask device/cacerts/x
refuses "an empty label [2]" 404 . ask /cacerts
refuses "escapes in a path" 404 . ask device%2fcacerts
for op in simpleenroll simplereenroll; do
	refuses "GET $op [12]" 405 . ask $op -u "$user"
	header "with Allow [12]" '^Allow: POST$'
	refuses "PUT $op [12]" 405 . post $op a -u "$user" -X PUT
done
for op in cacerts csrattrs; do
	refuses "POST $op [12]" 405 . post $op a -u "$user"
	header "with Allow [12]" '^Allow: GET'
	refuses "DELETE $op [12]" 405 . ask $op -X DELETE
done

# ---- transport ----

code=$(curl -s -o "$scratch/body" -w '%{http_code}' \
	"http://localhost:$http_port/.well-known/est/cacerts")
try "nothing without TLS [3]" test "$code" = 404
try "TLS 1.2 [3]" handshake -tls1_2
try "TLS 1.3 [3]" handshake -tls1_3
try_not "not TLS 1.1 [3]" handshake -tls1_1 -cipher ALL:@SECLEVEL=0
try_not "no NULL ciphers [3]" handshake -tls1_2 -cipher NULL:@SECLEVEL=0
try_not "no anonymous ciphers [3]" handshake -tls1_2 -cipher \
	aNULL:@SECLEVEL=0
try_not "no RC4, DES and 3DES [3]" handshake -tls1_2 -cipher \
	'3DES:DES:RC4:@SECLEVEL=0'
try_not "no other certificate than ours [4]" curl -sf \
	"https://localhost:$https_port/.well-known/est/cacerts"
try "no renegotiation by the client [40]" renegotiation_ends

# ---- bodies ----

refuses "another content type [20]" 415 . typed " application/pkcs7-mime"
refuses "a longer one [20]" 415 . typed " application/pkcs10x"
refuses "none [20]" 415 . typed ""
typed " Application/PKCS10; charset=us-ascii"
issues "media types in any case, with parameters [20, T10]" a
cp "$scratch/a.pem" "$scratch/a1.pem"

head -c 66000 /dev/zero | tr '\0' A >"$scratch/large"
refuses "more than 64 KiB [28, 41]" 413 . body "$scratch/large"
head -c 300000 /dev/zero | tr '\0' A >"$scratch/larger"
# not even read: a client that is still sending may miss the answer
before=$(traces)
body "$scratch/larger"
try "much more: 413, or the connection ends [28, 41]" test "$code" = 413 -o \
	"$code" = 000
try "and nothing changes" test "$before" = "$(traces)"
: >"$scratch/empty"
refuses "an empty body [20]" 400 . body "$scratch/empty"
printf '\r\n \t' >"$scratch/blank"
refuses "white space alone [20]" 400 . body "$scratch/blank"
printf 'MIIB*AAA' >"$scratch/garbage"
refuses "not base64 [14]" 400 "base64|body" body "$scratch/garbage"
header "in plain text [27]" '^Content-Type: text/plain'
csr pad -subj /CN=a.test
while ! grep -q '=$' "$scratch/pad.b64"; do
	rm "$scratch/pad.key"
	csr pad -subj "/CN=a.test/serialNumber=$RANDOM"
done
tr -d = <"$scratch/pad.b64" >"$scratch/unpadded"
refuses "base64 without its padding [14]" 400 . body "$scratch/unpadded"
tr '+/' '-_' <"$scratch/a.b64" | sed 's/^M/_/' >"$scratch/url"
refuses "base64url [14]" 400 . body "$scratch/url"
openssl req -inform DER -in "$scratch/a.der" -out "$scratch/a.csr"
refuses "PEM [15]" 400 . body "$scratch/a.csr"
refuses "DER as it is [15]" 400 . body "$scratch/a.der"
head -c 200 "$scratch/a.der" | openssl base64 -A >"$scratch/cut"
refuses "a request that is cut off [20]" 400 . body "$scratch/cut"
{ cat "$scratch/a.der"; printf x; } | openssl base64 -A >"$scratch/more"
refuses "octets behind a request [20]" 400 . body "$scratch/more"
openssl x509 -in "$scratch/a.pem" -outform DER | openssl base64 -A \
	>"$scratch/certificate"
refuses "a certificate for a request [20]" 400 . body "$scratch/certificate"
made forged --cn a.test --dns a.test --break
refuses "a signature by another key [21]" 400 "signature|possession" \
	post simpleenroll forged -u "$user"
openssl genrsa -out "$scratch/weak.key" 1024 2>/dev/null
csr weak -subj /CN=a.test
refuses "a weak key [28]" 400 . post simpleenroll weak -u "$user"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 \
	-out "$scratch/p521.key"
csr p521 -subj /CN=a.test
refuses "a key that the profile does not allow [28]" 400 "rule key" \
	post simpleenroll p521 -u "$user"
csr outside -subj /CN=a.example
refuses "a name that the profile does not allow [28]" 403 "san|names" \
	post simpleenroll outside -u "$user"
header "in plain text [27]" '^Content-Type: text/plain'
csr none -subj /
refuses "no name at all [28]" 403 . post simpleenroll none -u "$user"
csr bc -subj /CN=a.test -addext basicConstraints=critical,CA:true -addext \
	keyUsage=keyCertSign
post simpleenroll bc -u "$user"
issues "a request for an authority" bc
try_not "is answered with what the profile gives" sh -c "
	openssl x509 -in '$scratch/bc.pem' -noout -text |
	grep -qE 'CA:TRUE|Certificate Sign'"

openssl base64 -in "$scratch/a.der" >"$scratch/lf"
sed 's/$/\r/' "$scratch/lf" >"$scratch/crlf"
sed 's/..../& \t/g' "$scratch/lf" >"$scratch/spaces"
for form in lf crlf spaces; do
	body "$scratch/$form"
	issues "white space in base64: $form [14]" a
	same "is the same request [26]" a a1
done
body "$scratch/a.b64" -H 'Content-Transfer-Encoding: binary'
issues "Content-Transfer-Encoding does not count [13]" a
body "$scratch/a.b64" -H 'Expect: 100-continue'
issues "Expect: 100-continue [T12]" a
body "$scratch/a.b64" -H 'Transfer-Encoding: chunked'
issues "a body in chunks" a

# ---- answers in lines ----

ask cacerts -A 'Cisco EST client 1.0'
try "cacerts in lines for Cisco's client [T3]" lines "$scratch/body"
try "which line-wise decoders read [T3]" sh -c "
	openssl base64 -d -in '$scratch/body' | openssl pkcs7 -inform DER \
		-noout"
ask wrapped/cacerts
try "and for every client of a profile with wrap-lines [T3]" lines \
	"$scratch/body"
post simpleenroll a -u "$user" -A 'Cisco EST client 1.0'
try "certificates, too [T3]" lines "$scratch/body"
ask cacerts -A 'Mozilla Cisco EST client'
try_not "not for others" lines "$scratch/body"
check_log
tap_done
