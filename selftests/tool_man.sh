#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# userlib/man: each call has a page that declares it as <gsched.h> does, the pages are
# well formed and refer to pages that there are, and their examples compile and run.

set -u
shopt -s lastpipe
export LC_ALL=C

top=$(readlink -f "$(dirname "$(readlink -f "$0")")/..")
man=$top/userlib/man
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0 failed=0

# result STATUS NAME [FILE]: a line of TAP, after what is in FILE.
result()
{
	n=$((n + 1))
	[ -z "${3-}" ] || sed 's/^/# /' "$3"
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		echo "not ok $n $2"
		failed=1
	fi
}

# empty NAME: nothing is wrong, says standard input.
empty()
{
	cat >"$tmp/wrong"
	[ ! -s "$tmp/wrong" ]
	result $? "$1" "$tmp/wrong"
}

# Declarations of the header's functions, one a line.
header()
{
	perl -0777 -ne 's{/\*.*?\*/}{}gs; s/^#.*//gm;
		while (/GS_API\s+(.*?);/gs) {
			(my $d = $1) =~ s/\s*__attribute__.*//s;
			$d =~ s/\s+/ /g;
			print "$d\n";
		}' "$top/userlib/include/gsched.h" | sort
}

# Those of the pages' sections SYNOPSIS. Arguments of .BI are joined without blanks.
synopses()
{
	perl -ne 'if (/^\.SH (.*)/) { $in = $1 eq "SYNOPSIS" }
		elsif ($in && s/^\.BI? //) {
			$d .= $1 // $2 while /"([^"]*)"|(\S+)/g;
			next unless $d =~ s/;$//;
			$d =~ s/\s+/ /g;
			print "$d\n" unless $d =~ / = /;
			$d = "";
		} else { $d = "" }' "$man"/*.3 | sort
}

# $1: a page. What groff and mandoc have to say.
lint()
{
	mandoc -T lint -W warning "$1"
	groff -t -man -ww -z -Tutf8 "$1" 2>&1
}

# Names with a section that a page refers to and that would be here if anywhere.
references()
{
	sed -E '/^\.EX/,/^\.EE/d; s/\\f.//g; s/\\-/-/g' "$1" | grep -o -E '\bgs(ched|ched-[a-z]+|_[a-z_]+)\([0-9]\)' | sort -u
}

# The program in a page's section EXAMPLES.
example()
{
	awk '/^\.SH / { in_examples = $2 == "EXAMPLES" }
		/^\.EE/ { in_code = 0 }
		in_examples && in_code
		/^\.EX/ { in_code = 1 }' "$1" |
	sed -e 's/^\\&//' -e 's/\\-/-/g' -e 's/\\(ti/~/g' -e 's/\\(ha/^/g' -e 's/\\e/\\/g'
}

run_example()
{
	local page=$1

	example "$man/$page" >"$tmp/$page.c"
	grep -q 'main(' "$tmp/$page.c" &&
	${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -O1 -I"$top/userlib/include" -I"$top/uapi" \
		-o "$tmp/$page.bin" "$tmp/$page.c" "$top/build/libgsched.a" -pthread &&
	(cd "$tmp" && GSCHED_BACKEND=epoll GSCHED_MAXPROCS=2 timeout 60 "./$page.bin")
}

"$man/pages.sh" names "$man"/*.[1-9] >"$tmp/names"
header >"$tmp/header"
examples=("$man"/*.[347])

echo "TAP version 13"
echo "1..$((6 + ${#examples[@]}))"

[ -s "$tmp/header" ] && synopses | diff "$tmp/header" - >"$tmp/diff"
result $? "synopses: each call is declared once, as in the header" "$tmp/diff"

{ sed 's/.*\b\(gs_[a-z_]*\)(.*/\1/' "$tmp/header"; sed 's/\.[0-9]$//' <(cut -d' ' -f2 "$tmp/names"); } |
sort -u | diff - <(cut -d' ' -f1 "$tmp/names" | sort -u) >"$tmp/diff"
result $? "names: all calls, all pages, nothing else" "$tmp/diff"

awk 'split($2, a, /\.[0-9]$/) { print $1 substr($2, length($2) - 1) }' "$tmp/names" | sort | uniq -d |
empty "names: each once"

for page in "$man"/*.3; do
	for section in NAME SYNOPSIS DESCRIPTION EXAMPLES '"SEE ALSO"'; do
		grep -q "^\.SH $section\$" "$page" || echo "${page##*/}: no $section"
	done
done | empty "sections"

for page in "$man"/*.[1-9]; do
	lint "$page"
done | empty "mandoc, groff"

awk '{ print $1 "(" substr($2, length($2)) ")" }' "$tmp/names" | sort -u >"$tmp/there"
for page in "$man"/*.[1-9]; do
	references "$page" | comm -23 - "$tmp/there" | sed "s/^/${page##*/}: /"
done | empty "references"

for page in "${examples[@]}"; do
	page=${page##*/}
	run_example "$page" >"$tmp/out" 2>&1
	result $? "example: $page" "$tmp/out"
done

exit $failed
