#!/bin/bash
# What stock clients say of our OCSP answers and CRLs: OpenSSL, GnuTLS, NSS,
# Java, nginx with curl.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

start
issuer=$state/ca/tls-only.pem
ocsp=$(jq -r .ocsp "$state/endpoints.json")
crl=$(jq -r .crl "$state/endpoints.json")

# make NAME [OPTION...]: a certificate $scratch/NAME.pem with its key.
make()
{
	local name=$1
	shift
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$scratch/$name.key" -subj / \
		-addext "subjectAltName=DNS:$name.test" \
		-out "$scratch/$name.csr" 2>/dev/null
	chancery issue -p tls-server "$@" -o "$scratch/$name.pem" \
		"$scratch/$name.csr"
}

# A certificate that names our CA and that it never issued.
forge()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$scratch/fake.key" -out "$scratch/fake.pem" \
		-subj "$(openssl x509 -in "$issuer" -noout -subject -nameopt compat |
			sed 's/^subject=//')" 2>/dev/null
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$scratch/forged.key" -subj /CN=forged.test \
		-out "$scratch/forged.csr" 2>/dev/null
	openssl x509 -req -in "$scratch/forged.csr" -CA "$scratch/fake.pem" \
		-CAkey "$scratch/fake.key" -set_serial 0x41424344454647484950 \
		-out "$scratch/forged.pem" 2>/dev/null
}

# soon TEXT PATTERN COMMAND...: what the command prints comes to match within
# ten seconds.
soon()
{
	local text=$1 pattern=$2 i
	shift 2
	for i in $(seq 50); do
		"$@" >"$scratch/said" 2>&1
		if grep -Eq "$pattern" "$scratch/said"; then
			ok "$text"
			return
		fi
		sleep 0.2
	done
	not_ok "$text" "$(tail -n 25 "$scratch/said")"
}

# With and without a nonce, by POST.
openssl_asks()
{
	openssl ocsp "${@:2}" -issuer "$issuer" -cert "$scratch/$1.pem" \
		-url "$ocsp" -CAfile "$root" 2>&1 | tr '\n' ' '
}

gnutls_asks()
{
	ocsptool --ask="$ocsp" --load-cert "$scratch/$1.pem" \
		--load-issuer "$issuer" --load-trust "$issuer" "${@:2}" 2>&1 |
		tr '\n' ' '
}

nss_asks()
{
	local db=$scratch/nss
	if [ ! -d "$db" ]; then
		mkdir "$db"
		certutil -N -d "sql:$db" --empty-password
		certutil -A -d "sql:$db" -n root -t CT,C,C -a -i "$root"
		certutil -A -d "sql:$db" -n tls -t ,, -a -i "$issuer"
	fi
	certutil -L -d "sql:$db" -n "$1" >/dev/null 2>&1 ||
		certutil -A -d "sql:$db" -n "$1" -t ,, -a -i "$scratch/$1.pem"
	ocspclnt -d "sql:$db" -S "$1" 2>&1 | tr '\n' ' '
}

vfychain_asks()
{
	vfychain -d "sql:$scratch/nss" -pp -g leaf -m ocsp \
		-s requireFreshInfo -u 1 -a "$scratch/$1.pem" 2>&1 | tr '\n' ' '
}

java_asks()
{
	java -cp "$scratch/java" -Dcom.sun.security.enableCRLDP=true \
		Revocation "$1" "$root" "$scratch/$2.pem" "$issuer" 2>&1
}

{ make good && make revoked && make held && make released &&
	make expired --valid-for 3s; } >"$scratch/made" 2>&1 || {
	cat "$scratch/made"
	echo "Bail out! no certificates"
	exit 1
}
forge
chancery revoke -r keyCompromise "$scratch/revoked.pem" >/dev/null
chancery revoke -r certificateHold "$scratch/held.pem" >/dev/null
chancery revoke -r certificateHold "$scratch/released.pem" >/dev/null
chancery revoke --release "$scratch/released.pem" >/dev/null
mkdir -p "$scratch/java"
try "Java compiles its judge" javac -d "$scratch/java" \
	"$top_srcdir/tests/interop/java/Revocation.java"

for c in good released; do
	soon "OpenSSL: $c" "Response verify OK.*$c.pem: good" openssl_asks $c
	soon "OpenSSL with SHA-256 and no nonce: $c" "$c.pem: good" \
		openssl_asks $c -sha256 -no_nonce
	soon "GnuTLS: $c" "Certificate Status: good.*Success" gnutls_asks $c
	soon "NSS ocspclnt: $c" "succeeded" nss_asks $c
	soon "NSS vfychain: $c" "Chain is good" vfychain_asks $c
	soon "Java by OCSP: $c" "^good" java_asks ocsp $c
	soon "Java by CRLs of the whole chain: $c" "^good" java_asks crl $c
done
for c in revoked held; do
	reason=keyCompromise java=KEY_COMPROMISE
	[ $c = revoked ] || reason=certificateHold java=CERTIFICATE_HOLD
	soon "OpenSSL: $c" "$c.pem: revoked.*Reason: $reason" openssl_asks $c
	soon "GnuTLS: $c" "Certificate Status: revoked" gnutls_asks $c
	soon "NSS ocspclnt: $c" "revoked|REVOKED" nss_asks $c
	soon "NSS vfychain: $c" "Chain is bad.*revoked" vfychain_asks $c
	soon "Java by OCSP: $c" "^revoked $java" java_asks ocsp $c
	soon "Java by CRLs: $c" "^revoked $java" java_asks crl $c
done
soon "OpenSSL: a serial that was never issued" "forged.pem: unknown" \
	openssl_asks forged
soon "GnuTLS: a serial that was never issued" "Certificate Status: unknown" \
	gnutls_asks forged
soon "OpenSSL: expired, not revoked" "expired.pem: good" openssl_asks expired
try_not "an expired certificate does not verify" openssl verify \
	-CAfile "$root" -untrusted "$issuer" "$scratch/expired.pem"

# ---- CRLs ----

# fetch NAME: the CRL or certificate of that name as PEM $scratch/NAME.pem
fetch()
{
	curl -sf -o "$scratch/$1" "$crl/$1" &&
		openssl crl -in "$scratch/$1" -inform DER \
			-out "$scratch/$1.pem"
}
soon "the CRL comes to list what was revoked" "2" sh -c \
	"curl -sf '$crl/tls.crl' | openssl crl -inform DER -noout -text |
	grep -c 'Serial Number:'"
try "the CRL of the issuing CA is served" fetch tls.crl
try "the CRL of the root is served" fetch root.crl
cat "$scratch/tls.crl.pem" "$scratch/root.crl.pem" >"$scratch/crls.pem"
openssl_verifies()
{
	openssl verify -x509_strict -crl_check_all \
		-CRLfile "$scratch/crls.pem" -CAfile "$root" \
		-untrusted "$issuer" "$scratch/$1.pem"
}
try "OpenSSL by CRLs: good" openssl_verifies good
try "OpenSSL by CRLs: released" openssl_verifies released
for c in revoked held; do
	try_not "OpenSSL by CRLs: $c" openssl_verifies $c
	try "it says that it is revoked" grep -q "certificate revoked" \
		"$scratch/said"
done
try "GnuTLS verifies the CRL" certtool --verify-crl \
	--load-ca-certificate "$issuer" --infile "$scratch/tls.crl.pem"

# ---- nginx staples, curl asks for it ----

nginx_port=$(free_port)
mkdir "$scratch/nginx"
cat "$scratch/good.pem" "$issuer" >"$scratch/good-chain.pem"
cat "$issuer" "$root" >"$scratch/trust.pem"
cat >"$scratch/nginx.conf" <<EOF
daemon off;
pid $scratch/nginx/pid;
error_log $scratch/nginx/error.log;
events {}
http {
	access_log off;
	client_body_temp_path $scratch/nginx/b;
	proxy_temp_path $scratch/nginx/p;
	fastcgi_temp_path $scratch/nginx/f;
	uwsgi_temp_path $scratch/nginx/u;
	scgi_temp_path $scratch/nginx/s;
	server {
		listen 127.0.0.1:$nginx_port ssl;
		server_name good.test;
		ssl_certificate $scratch/good-chain.pem;
		ssl_certificate_key $scratch/good.key;
		ssl_trusted_certificate $scratch/trust.pem;
		ssl_stapling on;
		ssl_stapling_verify on;
		location / { return 200 "stapled\n"; }
	}
}
EOF
nginx -c "$scratch/nginx.conf" -e "$scratch/nginx/error.log" &
pids="$pids $!"
soon "nginx staples what curl demands" "^stapled" curl -s --cert-status \
	--cacert "$root" --resolve "good.test:$nginx_port:127.0.0.1" \
	"https://good.test:$nginx_port/"
check_log
tap_done
