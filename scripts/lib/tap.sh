# Shared by the checks and the shell tests: TAP points and lists of files.
# A check runs on the tree named by its first argument, or on its own.

tap_n=0
tap_failed=0

# ok TEXT: a point that passed.
ok()
{
	tap_n=$((tap_n + 1))
	echo "ok $tap_n - $1"
}

# not_ok TEXT [DETAILS]: a point that failed, the details as comments.
not_ok()
{
	tap_n=$((tap_n + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_n - $1"
	if [ -n "${2:-}" ]; then
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}

# point TEXT DETAILS: passes when there are no details.
point()
{
	if [ -z "$2" ]; then
		ok "$1"
	else
		not_ok "$1" "$2"
	fi
}

# Ends the script: the plan, and the status.
tap_done()
{
	echo "1..$tap_n"
	[ "$tap_failed" -eq 0 ] && [ "$tap_n" -gt 0 ]
	exit
}

# sources PATTERN...: files of the tree below the current directory whose
# names match, without what builds leave behind.
sources()
{
	for pattern; do
		find . \( -name '.git*' -o -name 'build*' -o -name 'state*' \
		    -o -name 'autom4te.cache' -o -name 'chancery-[0-9]*' \) \
		    -type d -prune -o -type f -name "$pattern" \
		    ! -name aclocal.m4 ! -name configure ! -name 'config*~' \
		    ! -name 'config.h*' ! -name 'config.[ls]*' \
		    ! -name 'Makefile' ! -name Makefile.in -print
	done | sed 's|^\./||' | sort
}

# The flags that every file compiles with.
compile_flags()
{
	echo "-std=gnu11 -D_GNU_SOURCE -I. -I${top_builddir:-build}"
	pkg-config --cflags libcrypto libmicrohttpd gnutls libpq libp11 \
	    jansson libcyaml yaml-0.1 libcurl cmocka
}

# programs: what Makefile.am installs as programs.
programs()
{
	awk '$1 == "bin_PROGRAMS" || $1 == "sbin_PROGRAMS" {
		for (i = 3; i <= NF; i++)
			if ($i != "\\")
				print $i
	}' Makefile.am
}
