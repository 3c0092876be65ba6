#!/bin/bash
# Database down, token gone, daemons killed: 503 and back again by itself.
set -u
. "${top_srcdir:-.}/tests/interop/lib.sh"

start
top_srcdir=$top_srcdir /usr/bin/python3 "$top_srcdir/tests/fault/outage.py" \
	"$state" "$directory" "$root" "$http01_port" "$top_builddir/chancery"
