#!/bin/bash
# EST: requests that are linked to their TLS connection, and keys that the
# server makes.  Numbers in brackets as in est.sh.
# shellcheck disable=SC2046 # options are words
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"
. "$top_srcdir/tests/interop/est_lib.sh"

req=$top_srcdir/tests/interop/estreq.py

profiles()
{
	profile bound "$(with 'est: {channel-binding: true}')
		s|\"secret:\\*\"|\"secret:*\", \"ra:ra/*\"|"
	profile gen "$(with 'est: {server-keygen: P-256}')"
	profile rsakeys "$(with 'est: {server-keygen: "rsa:2048"}')"
	profile edkeys "$(with 'est: {server-keygen: Ed25519, wrap-lines: true}')
		s/^  ec: .*/&\\n  ed25519: true/"
}

# bound TLS MODE PROFILE: a request over TLS 1.2 or 1.3, linked as MODE says;
# leaves $code and body.
bound()
{
	/usr/bin/python3 "$req" bound --root "$root" --port "$https_port" \
		--path "/.well-known/est/$3/simpleenroll" --user "$user" \
		--tls "$1" --bind "$2" --key "$scratch/linked.key" \
		--cn "l$((++linked)).test" >"$scratch/answer" 2>"$scratch/curl.err"
	code=$(sed -n '1s/ .*//p' "$scratch/answer")
	sed '1s/^[^ ]* //' "$scratch/answer" >"$scratch/body"
	: >"$scratch/head"
}

# parts NAME: the parts of a multipart answer: NAME.key.der and NAME.p7;
# leaves NAME.types.
parts()
{
	{
		tr -d '\r' <"$scratch/head" | sed -n 's/^Content-Type/&/ip'
		echo
		cat "$scratch/body"
	} >"$scratch/mail"
	/usr/bin/python3 - "$scratch/mail" "$scratch/$1" <<-'END'
		import email, sys
		with open(sys.argv[1], "rb") as f:
		    mail = email.message_from_bytes(f.read())
		key, certs = mail.get_payload()
		with open(sys.argv[2] + ".types", "w") as f:
		    for part in (mail, key, certs):
		        print(part["Content-Type"],
		              part["Content-Transfer-Encoding"], file=f)
		for part, end in ((key, ".key.der"), (certs, ".p7")):
		    with open(sys.argv[2] + end, "wb") as f:
		        f.write(part.get_payload(decode=True))
	END
}

# gets TEXT NAME: a key and the certificate for it; NAME.key and NAME.pem.
gets()
{
	local f=$scratch/$2
	if [ "$code" != 200 ] || ! parts "$2" 2>"$scratch/out"; then
		not_ok "$1" "$code: $(head -c 300 "$scratch/body" "$scratch/out")"
		return
	fi
	openssl pkey -inform DER -in "$f.key.der" -out "$f.key" &&
		openssl pkcs7 -inform DER -in "$f.p7" -print_certs -out "$f.pem"
	if [ "$(openssl x509 -in "$f.pem" -noout -pubkey)" = \
		"$(openssl pkey -in "$f.key" -pubout)" ] &&
		openssl verify -x509_strict -CAfile "$root" -untrusted \
			"$state/ca/tls-only.pem" "$f.pem" >/dev/null; then
		ok "$1"
	else
		not_ok "$1" "$(cat "$f.types" "$f.pem")"
	fi
}

# kept KEY: whether the key lies in any file of the state, in any form.
kept()
{
	/usr/bin/python3 - "$1" "$(readlink -f "$state")" <<-'END'
		import base64, os, sys
		from cryptography.hazmat.primitives import serialization
		with open(sys.argv[1], "rb") as f:
		    key = serialization.load_pem_private_key(f.read(), None)
		raw = key.private_numbers().private_value.to_bytes(32, "big")
		text = raw.hex().encode()
		# base64 of the octets at each of the three alignments
		b64 = [base64.b64encode(b"\0" * n + raw)[4:40] for n in range(3)]
		forms = [raw, text, text.upper()] + b64
		found = False
		for top, _, names in os.walk(sys.argv[2]):
		    for name in names:
		        try:
		            with open(os.path.join(top, name), "rb") as f:
		                data = f.read()
		        except OSError:
		            continue
		        for form in forms:
		            if form in data:
		                found = True
		                print(os.path.join(top, name))
		sys.exit(0 if found else 1)
	END
}

revoked()
{
	cert_json "$1" | jq -e --arg r "$2" '.revoked and .reason == $r'
}

start_est profiles
linked=0

# ---- channel binding ----

secret bound link --multi-use
for tls in 1.2 1.3; do
	name="tls-unique"
	[ $tls = 1.2 ] || name="tls-exporter"
	bound $tls good bound
	answers "TLS $tls: linked to its connection by $name [22]" 200
	refuses "TLS $tls: a wrong $name [22]" 400 \
		"not the $name.*connection" bound $tls wrong bound
	refuses "TLS $tls: that of another connection [22, 40]" 400 \
		"not the $name" bound $tls other bound
	refuses "TLS $tls: none where it is required [23]" 400 \
		"must be linked.*$name" bound $tls none bound
done
linker=$user
secret device free --multi-use
for tls in 1.2 1.3; do
	bound $tls good device
	answers "TLS $tls: where it is not required, a good one [22]" 200
	refuses "TLS $tls: a wrong one is refused all the same [22]" 400 . \
		bound $tls wrong device
	bound $tls none device
	answers "TLS $tls: none is none" 200
done
made word --cn word.test --dns word.test --challenge "a word from the boss"
post simpleenroll word -u "$user"
issues "a challengePassword that is no binding [22]" word
made unique --cn word.test --dns word.test --challenge AAAAAAAAAAAAAAAA
refuses "a tls-unique over TLS 1.3 where the link is required [T11]" 400 \
	"TLS 1.3" post bound/simpleenroll unique -u "$linker" --tlsv1.3
csr ra
chancery issue -p ra -o "$scratch/ra.pem" "$scratch/ra.der" >"$scratch/out" 2>&1
csr far
post bound/simpleenroll far $(by ra)
issues "an RA passes on what others linked, or did not [11]" far

# ---- /serverkeygen ----

csr a
secret gen one
refuses "no credentials [35]" 401 "" post gen/serverkeygen a
post gen/serverkeygen a -u "$user"
gets "serverkeygen: a key and its certificate [36]" g
header "multipart/mixed [36]" '^Content-Type: multipart/mixed; boundary='
header "nobody keeps it" '^Cache-Control: no-store$'
printf '%s\n' "application/pkcs8 base64" \
	"application/pkcs7-mime; smime-type=certs-only base64" >"$scratch/want"
sed 1d "$scratch/g.types" >"$scratch/got"
try "key first, then certificate, both in base64 [36]" cmp "$scratch/got" \
	"$scratch/want"
try_not "it is not the request's key [35]" cmp -s "$scratch/g.key" \
	"$scratch/a.key"
openssl pkey -in "$scratch/g.key" -outform DER -out "$state/log/control"
try "the search for a key finds one" kept "$scratch/g.key"
rm "$state/log/control"
try_not "the key is in no table, no journal, no log, no file" \
	kept "$scratch/g.key"
cp "$scratch/g.key" "$scratch/g1.key"
cp "$scratch/g.pem" "$scratch/g1.pem"
post gen/serverkeygen a -u "$user"
gets "the repeat, with the same one-time secret" g
try_not "has another key" cmp -s "$scratch/g.key" "$scratch/g1.key"
try "the certificate before is revoked as superseded" revoked \
	"$scratch/g1.pem" superseded
try_not "the other one is not" revoked "$scratch/g.pem" superseded
refuses "another request with that secret" 401 . \
	post gen/serverkeygen far -u "$user"
csr again -subj /CN=a.test -addext subjectAltName=DNS:a.test
post gen/simplereenroll again $(by g)
issues "the certificate renews like others" again

secret gen many --multi-use
for attribute in 37 54; do
	made encrypted --cn a.test --dns a.test --attribute \
		1.2.840.113549.1.9.16.2.$attribute
	refuses "an encrypted key (16.2.$attribute) [37]" 400 "encrypt|Decrypt" \
		post gen/serverkeygen encrypted -u "$user"
done
made unsigned --cn a.test --dns a.test --break
post gen/serverkeygen unsigned -u "$user"
gets "key and signature of the request do not count [35]" g
made secret --cn a.test --dns a.test --challenge "$(head -c 32 /dev/zero |
	openssl base64 -A)"
refuses "the link counts here, too [22]" 400 . post gen/serverkeygen secret \
	-u "$user"
csr outside -subj /CN=a.example
refuses "a name that the profile does not allow [38]" 403 . \
	post gen/serverkeygen outside -u "$user"
secret rsakeys rsa
post rsakeys/serverkeygen a -u "$user"
gets "an RSA key" r
try "of the profile's size" sh -c "
	openssl pkey -in '$scratch/r.key' -noout -text | grep -q '2048 bit'"
secret edkeys ed
post edkeys/serverkeygen a -u "$user"
gets "an Ed25519 key, in lines" e
try "of that type" sh -c "
	openssl pkey -in '$scratch/e.key' -noout -text | grep -q ED25519"
check_log
tap_done
