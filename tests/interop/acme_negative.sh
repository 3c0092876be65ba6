#!/bin/bash
# Bad input over ACME: see acme_negative.py.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

start
/usr/bin/python3 "$top_srcdir/tests/interop/acme_negative.py" "$directory" \
	"$root" "$http01_port"
rc=$?
grep -E 'AddressSanitizer|LeakSanitizer|runtime error|kind="internal"' "$log" |
	sed 's/^/# /'
exit $rc
