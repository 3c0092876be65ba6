# What the EST tests share: requests, curl, and what it answered.  Sourced
# after lib.sh.

psql_oper()
{
	psql -XtA -h "$(sed -n 's/^run-dir: //p' "$CHANCERY_CONFIG")/pg" \
		-U chancery_oper chancery -c "$1"
}

# What a request over EST may leave behind.
traces()
{
	psql_oper "SELECT count(*), sum(state), count(*) FILTER (WHERE cert_id <> 0),
		(SELECT count(*) FROM chancery.pending),
		(SELECT count(used_at) FROM chancery.secret),
		(SELECT count(*) FROM chancery.secret),
		(SELECT count(*) FROM chancery.cert_status WHERE status <> 0)
		FROM chancery.request WHERE protocol = 'est'"
}

# profile NAME [SED]: a profile like "device", changed.
profile()
{
	sed "s/^name: .*/name: $1/; s|cert:device/|cert:$1/|; ${2-}" \
		"$state/policies/device.yaml" >"$state/policies/$1.yaml"
}

# A sed that gives a profile that mapping; replaces an older one.
with()
{
	printf '/^%s:/d; s/^key-usage: .*/&\\\n%s/' "${1%%:*}" "$1"
}

# csr NAME [OPTION...]: key and request, as openssl makes them; the name is
# NAME.test unless options say otherwise.
csr()
{
	local name=$1
	shift
	[ $# -gt 0 ] || set -- -subj "/CN=$name.test" -addext \
		"subjectAltName=DNS:$name.test"
	[ -s "$scratch/$name.key" ] || openssl genpkey -algorithm EC -pkeyopt \
		ec_paramgen_curve:P-256 -out "$scratch/$name.key"
	openssl req -new -key "$scratch/$name.key" -outform DER \
		-out "$scratch/$name.der" "$@" || return 1
	openssl base64 -A -in "$scratch/$name.der" -out "$scratch/$name.b64"
}

# made NAME OPTION...: a request that openssl cannot make; see estreq.py.
made()
{
	local name=$1
	shift
	/usr/bin/python3 "$top_srcdir/tests/interop/estreq.py" csr \
		--key "$scratch/$name.key" "$@" >"$scratch/$name.der" &&
		openssl base64 -A -in "$scratch/$name.der" \
			-out "$scratch/$name.b64"
}

# ask PATH [OPTION...]: by curl; sets $code, leaves head and body.
ask()
{
	local path=$1
	shift
	: >"$scratch/body"
	code=$(curl -sS --max-time 30 -D "$scratch/head" -o "$scratch/body" \
		-w '%{http_code}' --cacert "$root" "$@" "$est/$path" \
		2>"$scratch/curl.err")
}

# post PATH NAME [OPTION...]: the request of that name.
post()
{
	local path=$1 name=$2
	shift 2
	ask "$path" -H 'Content-Type: application/pkcs10' \
		--data-binary "@$scratch/$name.b64" "$@"
}

said()
{
	cat "$scratch/head" "$scratch/body" "$scratch/curl.err" 2>/dev/null |
		head -c 1500
}

# answers TEXT CODE [PATTERN]: what was asked last.
answers()
{
	if [ "$code" != "$2" ]; then
		not_ok "$1: $2" "$code: $(said)"
	elif [ -n "${3-}" ] && ! grep -qE "$3" "$scratch/body"; then
		not_ok "$1: $2" "not \"$3\": $(said)"
	else
		ok "$1: $2"
	fi
}

# header TEXT PATTERN: of what was asked last; without regard to case.
header()
{
	if tr -d '\r' <"$scratch/head" | grep -qiE "$2"; then
		ok "$1"
	else
		not_ok "$1" "$(said)"
	fi
}

# refuses TEXT CODE PATTERN COMMAND...: an ask or post that changes nothing.
refuses()
{
	local text=$1 want=$2 pattern=$3 before
	shift 3
	before=$(traces)
	"$@"
	if [ "$before" != "$(traces)" ]; then
		not_ok "$text: $want, and nothing changes" \
			"$before became $(traces)"
		return
	fi
	answers "$text" "$want" "$pattern"
}

# certs_to FILE: the certs-only answer as PEM.
certs_to()
{
	openssl base64 -d -A -in "$scratch/body" | openssl pkcs7 -inform DER \
		-print_certs -out "$1" 2>/dev/null
}

# issues TEXT NAME: the answer is one certificate for the key of NAME, which
# verifies; it is then NAME.pem.
issues()
{
	local name=$2 pem=$scratch/$2.pem
	if [ "$code" != 200 ] || ! certs_to "$pem"; then
		not_ok "$1" "$code: $(said)"
	elif [ "$(grep -c BEGIN "$pem")" -ne 1 ]; then
		not_ok "$1" "not one certificate (RFC 7030 4.2.3): $(cat "$pem")"
	elif [ "$(openssl x509 -in "$pem" -noout -pubkey)" != \
		"$(openssl pkey -in "$scratch/$name.key" -pubout)" ]; then
		not_ok "$1" "another key"
	elif ! openssl verify -x509_strict -CAfile "$root" -untrusted \
		"$state/ca/tls-only.pem" "$pem" >"$scratch/out" 2>&1; then
		not_ok "$1" "$(cat "$scratch/out")"
	else
		ok "$1"
	fi
}

# same TEXT A B: two certificates are one.
same()
{
	try "$1" cmp "$scratch/$2.pem" "$scratch/$3.pem"
}

differ()
{
	try_not "$1" cmp "$scratch/$2.pem" "$scratch/$3.pem"
}

# secret PROFILE NAME [OPTION...]: the credentials in $user.
secret()
{
	local profile=$1 name=$2 text
	shift 2
	text=$(chancery secret add -p "$profile" "$@" "$name" \
		2>"$scratch/secret.err") || {
		not_ok "a secret $name" "$(cat "$scratch/secret.err")"
		return 1
	}
	user=$name:$text
}

# by NAME: curl's options for the client certificate of that name.
by()
{
	echo "--cert $scratch/$1.pem --key $scratch/$1.key"
}

# start_est FUNCTION: a new state, with the profiles that FUNCTION makes.
start_est()
{
	start
	stop
	"$1"
	start
	est=https://localhost:$https_port/.well-known/est
}
