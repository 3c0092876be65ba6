# Every client against every state that a certificate can be in.  Sourced after
# lib.sh by tests that hold tables: a row for each client, a column for each
# state, so that a gap is seen.

states="good revoked held released unknown expired"

# What a client's answer looks like: means[CLIENT.VERDICT] is a pattern for all
# that CLIENT_asks prints, on one line.
declare -A means

# make_states: a certificate for each state, $scratch/STATE.pem; revoked, held
# and released are still good.
make_states()
{
	local s
	for s in good revoked held released; do
		new_cert $s || return 1
	done
	new_cert expired --valid-for 3s && forge unknown
}

# forge NAME [CRL]: a certificate of the TLS CA that nothing here has seen, as a
# thief of its key would make it: by a copy of the token.
forge()
{
	local thief=$scratch/thief name=$1 list=${2-tls.crl}
	if [ ! -d "$thief" ]; then
		cp -r "$(readlink -f "$state")/issuing" "$thief"
		echo "directories.tokendir = $thief/tokens" \
			>"$thief/softhsm2.conf"
	fi
	cat >"$thief/template" <<-END
	cn = "$name.test"
	dns_name = "$name.test"
	expiration_days = 30
	tls_www_server
	signing_key
	ocsp_uri = "http://localhost:$ocsp_port/ocsp"
	crl_dist_points = "http://localhost:$ocsp_port/crl/$list"
	END
	certtool --generate-privkey --key-type ecdsa --curve secp256r1 \
		--outfile "$scratch/$name.key" &&
		SOFTHSM2_CONF=$thief/softhsm2.conf \
			GNUTLS_PIN=$(cat "$thief/pin") certtool \
			--provider "$(find /usr/lib -name libsofthsm2.so |
				head -n 1)" \
			--generate-certificate --template "$thief/template" \
			--load-privkey "$scratch/$name.key" \
			--load-ca-certificate "$state/ca/tls-only.pem" \
			--load-ca-privkey "pkcs11:token=issuing;object=tls" \
			--outfile "$scratch/$name.pem"
}

# set_states: revokes what is to be revoked; "released" is held until release.
set_states()
{
	chancery revoke -r keyCompromise "$scratch/revoked.pem" &&
		chancery revoke -r certificateHold "$scratch/held.pem" &&
		chancery revoke -r certificateHold "$scratch/released.pem"
}

release()
{
	chancery revoke --release "$scratch/released.pem"
}

# judges CLIENT STATE PATTERN
judges()
{
	"$1_asks" "$2" 2>&1 | tr '\n' ' ' | grep -E -- "$3" ||
		{ "$1_asks" "$2"; return 1; }
}

# row CLIENT VERDICT...: a point for each state.
row()
{
	local client=$1 s
	shift
	for s in $states; do
		if [ -z "${1-}" ] || [ -z "${means[$client.$1]-}" ]; then
			not_ok "$client has a verdict for $s"
		else
			soon "$client: what is $s is $1" judges "$client" \
				"$s" "${means[$client.$1]}"
			shift
		fi
	done
}
