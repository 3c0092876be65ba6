#!/bin/bash
# EST with Bouncy Castle's ESTService, over Bouncy Castle's TLS: see Est.java.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"
. "$top_srcdir/tests/interop/est_lib.sh"

jars=$scratch/java
for jar in bcpkix bcprov bcutil bctls; do
	jars=$jars:/usr/share/java/$jar.jar
done

profiles()
{
	profile bound "$(with 'est: {channel-binding: true}')"
	profile gen "$(with 'est: {server-keygen: P-256}')"
	profile slow 's/^key-usage: .*/&\napproval: true/'
}

# bc WHAT LABEL NAME [USER SECRET | KEYSTORE]: the answer is NAME.pem, what it
# printed java.log.
bc()
{
	local what=$1 label=$2 name=$3
	shift 3
	if [ ! -e "$scratch/$name" ]; then
		openssl genpkey -algorithm EC -pkeyopt \
			ec_paramgen_curve:P-256 -out "$scratch/$name.key"
		openssl pkey -in "$scratch/$name.key" -pubout -outform DER \
			-out "$scratch/$name.pub"
		openssl pkcs8 -topk8 -nocrypt -in "$scratch/$name.key" \
			-outform DER -out "$scratch/$name"
	fi
	java -cp "$jars" Est "$what" "$root" "localhost:$https_port" \
		"$label" "$scratch/$name" "$scratch/$name.pem" "$@" \
		>"$scratch/java.log" 2>&1 || {
		cat "$scratch/java.log"
		return 1
	}
}

# has PATTERN...: what Bouncy Castle printed.
has()
{
	local p
	for p; do
		grep -qE "$p" "$scratch/java.log" || {
			cat "$scratch/java.log"
			return 1
		}
	done
}

# good NAME [KEY]: the certificate is for that key, and verifies.
good()
{
	openssl verify -x509_strict -CAfile "$root" -untrusted \
		"$state/ca/tls-only.pem" "$scratch/$1.pem" &&
		test "$(openssl x509 -in "$scratch/$1.pem" -noout -pubkey)" = \
			"$(openssl pkey -in "${2:-$scratch/$1.key}" -pubout)"
}

# store NAME: key and certificate for Java.
store()
{
	openssl pkcs12 -export -in "$scratch/$1.pem" -inkey \
		"$scratch/$1.key" -certfile "$state/ca/tls-only.pem" \
		-passout pass:password -out "$scratch/$1.p12"
}

# fails TEXT CODE PATTERN COMMAND...: that status.
fails()
{
	local text=$1 code=$2 pattern=$3
	shift 3
	try_not "$text" "$@"
	try "$code" has "status $code" "$pattern"
}

start_est profiles
mkdir "$scratch/java"
try "Java compiles the client" javac -cp "$jars" -d "$scratch/java" \
	"$top_srcdir/tests/interop/java/Est.java"
try "cacerts" bc cacerts "" ca
try "its certificates are the issuing authority and the root" sh -c "
	test \$(grep -c BEGIN '$scratch/ca.pem') -eq 2 &&
	openssl verify -x509_strict -CAfile '$root' -untrusted \
		'$scratch/ca.pem' '$state/ca/tls.pem'"
try "csrattrs" bc csrattrs device a
try "key type, hash, extensions and template are understood" has \
	'^ecPublicKey with values$' '^ecdsaWithSHA256$' \
	'^extensionRequest with values$' '^template with values$'
try_not "without challengePassword" has challengePassword
try "csrattrs of a profile with channel binding" bc csrattrs bound a
try "have challengePassword" has '^challengePassword$'

secret device many --multi-use
try "enroll with Basic after the challenge" bc enroll "" a many \
	"${user#*:}"
try "the certificate is good" good a
try "the same under the profile's name" bc enroll device a many "${user#*:}"
fails "a wrong secret" 401 . bc enroll "" a many wrong
fails "no credentials" 401 . bc enroll "" a
store a
cp "$scratch/a.pem" "$scratch/old.pem"
try "reenroll with the certificate" bc reenroll "" a "$scratch/a.p12"
try "the certificate is good" good a
try_not "it is a new one" cmp "$scratch/a.pem" "$scratch/old.pem"
fails "reenroll for another name" 403 "rule renewal" bc reenroll "" other \
	"$scratch/a.p12"

secret bound link --multi-use
try "enroll, linked by tls-unique" bc unique bound u link "${user#*:}"
try "which Bouncy Castle took from its connection" has '^tls-unique of 12$' \
	'^issued$'
try "the certificate is good" good u
fails "not linked, where it is required" 400 "must be linked" \
	bc enroll bound u2 link "${user#*:}"

secret gen gen
try "serverkeygen" bc keygen gen g gen "${user#*:}"
try "certificate and key belong together" good g "$scratch/g.pem.key"
secret slow slow
try "a request that waits" bc enroll slow s slow "${user#*:}"
try "is known to wait" has '^pending$'
check_log
tap_done
