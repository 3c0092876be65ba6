#!/bin/sh
# Every check of scripts/ can fail: each gets a small tree that breaks its
# rule, and the same tree without the violation.
set -u
src=$(cd "${top_srcdir:-.}" && pwd)
. "$src/scripts/lib/tap.sh"
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# tree: a fresh tree without violations in $tmp/t.
tree()
{
	rm -rf "$tmp/t"
	mkdir -p "$tmp/t/base" "$tmp/t/man" "$tmp/t/build"
	cp "$src/.clang-format" "$src/.clang-tidy" "$tmp/t"
	cat >"$tmp/t/base/a.h" <<'X'
#ifndef BASE_A_H
#define BASE_A_H

/* Adds one. */
int a_add(int n);

#endif
X
	cat >"$tmp/t/base/a.c" <<'X'
#include "base/a.h"

int
a_add(int n)
{
	return n + 1;
}
X
	printf '.Dd January 1, 2026\n.Dt P 1\n.Os\n.Sh NAME\n.Nm p\n%s' \
	    ".Nd program
" >"$tmp/t/man/chancery-signd.1"
	echo 'sbin_PROGRAMS += chancery-signd' >"$tmp/t/Makefile.am"
	echo 'int main(void) { return 0; }' >"$tmp/t/build/m.c"
	${CC:-cc} -o "$tmp/t/build/chancery-signd" "$tmp/t/build/m.c"
	echo '[a](base/a.h) [b](https://example.test/)' >"$tmp/t/README.md"
}

# passes CHECK: the tree as it is satisfies it.
passes()
{
	if out=$("$src/scripts/$1" "$tmp/t" 2>&1); then
		ok "$1 passes a clean tree"
	else
		not_ok "$1 passes a clean tree" "$out"
	fi
}

# fails CHECK WHAT TEXT: it does not, and says TEXT.
fails()
{
	if out=$(top_builddir=build "$src/scripts/$1" "$tmp/t" 2>&1); then
		not_ok "$1 finds $2" "$out"
	elif echo "$out" | grep -q -e "$3"; then
		ok "$1 finds $2"
	else
		not_ok "$1 finds $2" "$out"
	fi
	tree
}

# body TEXT: replaces the statement of a_add.
body()
{
	printf '#include "base/a.h"\n\nint\na_add(int n)\n{\n%s\n}\n' "$1" \
	    >"$tmp/t/base/a.c"
}

top_builddir=build
export top_builddir
tree
for check in layers links headers docs limits banned format tidy; do
	passes check-$check
done

echo '#include "hsm/tosign.h"' >>"$tmp/t/base/a.c"
fails check-layers "an include of a higher layer" "may not include hsm/tosign"
echo '#include <curl/curl.h>' >>"$tmp/t/base/a.c"
fails check-layers "a vendor header in the wrong file" "may not include curl"

echo '#include <curl/curl.h>
int main(void) { return curl_global_init(0); }' >"$tmp/t/build/m.c"
${CC:-cc} -o "$tmp/t/build/chancery-signd" "$tmp/t/build/m.c" -lcurl
fails check-links "a library that is not allowed" "links curl"
echo 'sbin_PROGRAMS += chancery-new' >>"$tmp/t/Makefile.am"
fails check-links "an unlisted program" "not listed"
rm "$tmp/t/build/chancery-signd"
fails check-links "a program that is not built" "not built"

sed 's/int n/size_t n/' "$tmp/t/base/a.h" >"$tmp/x"
cp "$tmp/x" "$tmp/t/base/a.h"
fails check-headers "a missing include" "size_t"

grep -v 'Adds one' "$tmp/t/base/a.h" >"$tmp/x"
cp "$tmp/x" "$tmp/t/base/a.h"
fails check-docs "an undocumented prototype" "no comment: int a_add"
rm "$tmp/t/man/chancery-signd.1"
fails check-docs "a missing man page" "is missing"
echo '.Xx wrong' >>"$tmp/t/man/chancery-signd.1"
fails check-docs "a wrong macro in a man page" "unknown macro"
echo '[dead](docs/none.md)' >>"$tmp/t/README.md"
fails check-docs "a dead link" "no such file: docs/none.md"

yes '/* long */' | head -n 601 >>"$tmp/t/base/a.c"
fails check-limits "a long file" "it has 60[0-9] lines"

for call in 'strcpy(a, b)' 'sprintf (a, b)' 'system("x")' 'atoi(a)' \
    'strtok(a, b)' 'popen(a, b)' 'gets(a)' 'alloca(n)' 'signal(1, a)'; do
	body "	x = $call;"
	fails check-banned "$call" "x = "
done
body "	$(echo go)to out;"
fails check-banned "a jump" "to out"
echo "/* $(echo TO)DO: later */" >>"$tmp/t/base/a.c"
fails check-banned "unfinished work" "no unfinished work"
echo '/* NO''LINT */' >>"$tmp/t/base/a.c"
fails check-banned "an exception" "no exceptions"

echo 'static  int x ;' >>"$tmp/t/base/a.c"
fails check-format "a wrong layout" "clang-format"

body "	int *p = 0;

	return *p + n;"
fails check-tidy "a null dereference" "NullDereference"
body "	if (n)
		if (n > 1)
			if (n > 2)
				if (n > 3)
					if (n > 4)
						return 2;
	return 3;"
sed 's/if (n > \([0-9]\))$/if (n > \1) {/; s/return 2;/return 2; }}}}/' \
    "$tmp/t/base/a.c" >"$tmp/x"
cp "$tmp/x" "$tmp/t/base/a.c"
fails check-tidy "deep nesting" "readability-function-size"
body "$(yes '	n++;' | head -n 82)
	return n;"
fails check-tidy "a long function" "readability-function-size"
body "$(yes '	if (n > 3 || n < 4) { n++; }' | head -n 12)
	return n;"
fails check-tidy "a complex function" "cognitive"
sed 's/int n)/int n, int b, int c, int d, int e, int f, int g)/' \
    "$tmp/t/base/a.c" >"$tmp/x"
cp "$tmp/x" "$tmp/t/base/a.c"
cp "$tmp/x" "$tmp/t/base/b.c"
sed -i '/include/d' "$tmp/t/base/b.c"
fails check-tidy "many parameters" "7 parameters"
tap_done
