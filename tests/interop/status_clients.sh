#!/bin/bash
# What stock clients say of our OCSP answers and CRLs: OpenSSL, GnuTLS, NSS,
# Java, nginx with curl.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"
. "${top_srcdir:-.}/tests/interop/states.sh"

start
issuer=$state/ca/tls-only.pem
ocsp=$(jq -r .ocsp "$state/endpoints.json")
crl=$(jq -r .crl "$state/endpoints.json")
nss=sql:$scratch/nss

# ---- the clients ----

ask_openssl()
{
	openssl ocsp "${@:2}" -issuer "$issuer" -cert "$scratch/$1.pem" \
		-url "$ocsp" -CAfile "$root"
}

# By POST, with a nonce.
openssl_asks()
{
	ask_openssl "$1"
}

openssl_sha256_asks()
{
	ask_openssl "$1" -sha256 -no_nonce
}
for c in openssl openssl_sha256; do
	means[$c.good]="Response verify OK.*[.]pem: good"
	means[$c.revoked]="Response verify OK.*: revoked.*: keyCompromise"
	means[$c.held]="Response verify OK.*: revoked.*: certificateHold"
	means[$c.unknown]="Response verify OK.*[.]pem: unknown"
done

ocsptool_asks()
{
	ocsptool --ask="$ocsp" --load-cert "$scratch/$1.pem" \
		--load-issuer "$issuer" --load-trust "$issuer"
}
for c in good revoked unknown; do
	means[ocsptool.$c]="Certificate Status: $c .*Response: Success"
done

# Asks for the status and nothing else.
ocspclnt_asks()
{
	ocspclnt -d "$nss" -S "$1"
}
means[ocspclnt.good]="Check of certificate \"[a-z]*\" succeeded"
means[ocspclnt.revoked]="Certificate has been revoked"
means[ocspclnt.unknown]="server has no status for the certificate"

# Judges the chain, too.
ocspclnt_verify_asks()
{
	ocspclnt -d "$nss" -V "$1" -u s
}
means[ocspclnt_verify.good]="Verification of .* succeeded"
means[ocspclnt_verify.revoked]="Certificate has been revoked"
means[ocspclnt_verify.unknown]="server has no status for the certificate"
means[ocspclnt_verify.expired]="Certificate has expired"

# Without these flags no answer would be good enough.
vfychain_asks()
{
	vfychain -d "$nss" -pp -g leaf -h requireFreshInfo -m ocsp \
		-s failIfNoInfo -u 1 -a "$scratch/$1.pem"
}
means[vfychain.good]="Chain is good"
means[vfychain.revoked]="Chain is bad.*revoked"
means[vfychain.expired]="Chain is bad.*CERT 0.*has expired"

ask_java()
{
	java -cp "$scratch/java" -Dcom.sun.security.enableCRLDP=true \
		Revocation "$1" "$root" "$scratch/$2.pem" "$issuer"
}

java_ocsp_asks()
{
	ask_java ocsp "$1"
}

java_crl_asks()
{
	ask_java crl "$1"
}
for c in java_ocsp java_crl; do
	means[$c.good]="^good"
	means[$c.revoked]="^revoked KEY_COMPROMISE"
	means[$c.held]="^revoked CERTIFICATE_HOLD"
	means[$c.expired]="^EXPIRED"
done
means[java_ocsp.unknown]="^UNDETERMINED.*status is unknown"

# fetch NAME: the CRL of that name as PEM $scratch/NAME.pem
fetch()
{
	curl -sf -o "$scratch/$1" "$crl/$1" &&
		openssl crl -in "$scratch/$1" -inform DER \
			-out "$scratch/$1.pem"
}

# By the complete CRLs of the whole chain.
openssl_verify_asks()
{
	fetch tls.crl && fetch root.crl &&
		cat "$scratch/tls.crl.pem" "$scratch/root.crl.pem" \
			>"$scratch/crls.pem" &&
		openssl verify -x509_strict -crl_check_all \
			-CRLfile "$scratch/crls.pem" -CAfile "$root" \
			-untrusted "$issuer" "$scratch/$1.pem"
}
means[openssl_verify.good]="[.]pem: OK"
means[openssl_verify.revoked]="error 23 at 0 .*certificate revoked"
means[openssl_verify.expired]="error 10 at 0 .*certificate has expired"

# curl demands a staple of nginx, which asked for it or, "file", was handed it.
ask_nginx()
{
	curl -sSv --cert-status --cacert "$root" \
		--resolve "$2.test:$1:127.0.0.1" "https://$2.test:$1/" 2>&1
}

nginx_asks()
{
	ask_nginx "$staple_port" "$1"
	grep "/$1-chain.pem" "$scratch/nginx/error.log" | tail -n 1
}
means[nginx.good]="certificate status: good.* stapled"
for c in revoked unknown; do
	means[nginx.$c]="No OCSP response.*certificate status \"$c\" in the"
done
means[nginx.expired]="certificate has expired"

curl_asks()
{
	ask_nginx "$file_port" "$1"
}
means[curl.good]="certificate status: good.* stapled"
means[curl.revoked]="certificate status: revoked .*reason: keyCompromise"
means[curl.held]="certificate status: revoked .*reason: certificateHold"
means[curl.unknown]="certificate status: unknown"
means[curl.expired]="certificate has expired"

# server PORT STATE LINE...
server()
{
	cat <<-END
	server {
		listen 127.0.0.1:$1 ssl;
		server_name $2.test;
		ssl_certificate $scratch/$2-chain.pem;
		ssl_certificate_key $scratch/$2.key;
		ssl_trusted_certificate $scratch/trust.pem;
		ssl_stapling on;
		$3
		location / { return 200 "stapled\n"; }
	}
	END
}

start_nginx()
{
	local s
	staple_port=$(free_port)
	file_port=$(free_port)
	mkdir "$scratch/nginx"
	cat "$issuer" "$root" >"$scratch/trust.pem"
	{
		cat <<-END
		daemon off;
		pid $scratch/nginx/pid;
		events {}
		http {
		access_log off;
		client_body_temp_path $scratch/nginx/b;
		proxy_temp_path $scratch/nginx/p;
		fastcgi_temp_path $scratch/nginx/f;
		uwsgi_temp_path $scratch/nginx/u;
		scgi_temp_path $scratch/nginx/s;
		END
		for s in $states; do
			cat "$scratch/$s.pem" "$issuer" >"$scratch/$s-chain.pem"
			ask_openssl "$s" -no_nonce -respout "$scratch/$s.ocsp" \
				>"$scratch/out" 2>&1
			server "$staple_port" "$s" "ssl_stapling_verify on;"
			server "$file_port" "$s" \
				"ssl_stapling_file $scratch/$s.ocsp;"
		done
		echo "}"
	} >"$scratch/nginx.conf"
	nginx -c "$scratch/nginx.conf" -e "$scratch/nginx/error.log" &
	pids="$pids $!"
}

# ---- the states ----

mkdir -p "$scratch/java"
try "Java compiles its judge" javac -d "$scratch/java" \
	"$top_srcdir/tests/interop/java/Revocation.java"
make_states >"$scratch/made" 2>&1 || {
	cat "$scratch/made"
	echo "Bail out! no certificates"
	exit 1
}
try "what was never issued is ours by its signature" openssl verify \
	-x509_strict -CAfile "$root" -untrusted "$issuer" "$scratch/unknown.pem"
mkdir "$scratch/nss"
certutil -N -d "$nss" --empty-password
certutil -A -d "$nss" -n root -t CT,C,C -a -i "$root"
certutil -A -d "$nss" -n tls -t ,, -a -i "$issuer"
for c in $states; do
	certutil -A -d "$nss" -n "$c" -t ,, -a -i "$scratch/$c.pem"
done
try "three are revoked" set_states
soon "OCSP says so of the one that is released later" judges openssl released \
	"${means[openssl.held]}"
on_list()
{
	fetch tls.crl && [ "$(openssl crl -in "$scratch/tls.crl.pem" -noout \
		-text | grep -c 'Serial Number:')" = "$1" ]
}
soon "the CRL comes to list the three" on_list 3
try "one is released" release
soon "it leaves the CRL" on_list 2
soon "OCSP says so" judges openssl released "${means[openssl.good]}"
soon "one has expired" sh -c \
	"! openssl x509 -in '$scratch/expired.pem' -noout -checkend 0"
start_nginx

# ---- what they say ----
#
# What has expired: who only asks for a status is told "good" (and since when
# we know); who judges a chain refuses before it asks.
# What was never issued: a CRL cannot know that.  vfychain takes "unknown" for
# no information and says "revoked" where information is demanded.
# NSS, GnuTLS, OpenSSL's verify and nginx do not tell a hold from the rest.
# nginx staples nothing but "good", so curl finds no staple; the last row hands
# it the answers in files.

#                   good revoked held    released unknown expired
row openssl         good revoked held    good     unknown good
row openssl_sha256  good revoked held    good     unknown good
row ocsptool        good revoked revoked good     unknown good
row ocspclnt        good revoked revoked good     unknown good
row ocspclnt_verify good revoked revoked good     unknown expired
row vfychain        good revoked revoked good     revoked expired
row java_ocsp       good revoked held    good     unknown expired
row java_crl        good revoked held    good     good    expired
row openssl_verify  good revoked revoked good     good    expired
row nginx           good revoked revoked good     unknown expired
row curl            good revoked held    good     unknown expired

# The same time and reason by both ways (RFC 6960 2.4: no contradictions).
agree() # STATE
{
	local serial
	serial=$(openssl x509 -in "$scratch/$1.pem" -noout -serial |
		sed 's/.*=//')
	ask_openssl "$1" | sed -n 's/.*Revocation Time: //p; s/.*Reason: //p' |
		tr -d ' ' | tr '[:upper:]' '[:lower:]' | sort \
		>"$scratch/by-ocsp"
	openssl crl -in "$scratch/tls.crl.pem" -noout -text |
		grep -A 4 "Serial Number: $serial" |
		sed -n 's/.*Revocation Date: //p; /Reason Code/ { n; p; }' |
		tr -d ' ' | tr '[:upper:]' '[:lower:]' | sort \
		>"$scratch/by-crl"
	cat "$scratch/by-ocsp"
	[ "$(wc -l <"$scratch/by-crl")" = 2 ] &&
		diff "$scratch/by-ocsp" "$scratch/by-crl"
}
try "OCSP and the CRL agree on what is revoked" agree revoked
try "and on what is held" agree held

try "GnuTLS verifies the CRL" certtool --verify-crl \
	--load-ca-certificate "$issuer" --infile "$scratch/tls.crl.pem"
check_log
tap_done
