#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Count the instructions of the library's operations, and compare them with what is expected
# (bench/insns/expected): they say the same on a busy machine as on a quiet one, and
# repeat to some parts in a thousand.
#
#   insns.sh [-w] [OPERATION]...
#
# -w writes what it has counted to that file instead.
#
# Callgrind counts (its tree of calls means nothing, as stacks are switched); one P on the
# portable backend. What starting and ending takes is not counted: the difference of two
# runs is.

set -eu -o pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
expected=selftests/bench/insns/expected
program=build/bench/insns/gsched
tolerance=5 # percent
few=800 many=8800

# run OPERATION TIMES: prints the instructions of a whole run
run()
{
	valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>&1 |
		awk '/Collected : / { n = $NF } { all = all $0 "\n" }
		END { if (!n) { printf "%s", all >"/dev/stderr"; exit 1 } print n }'
}

# count OPERATION: prints the instructions of one
count()
{
	local a b

	a=$(run "$1" $few)
	b=$(run "$1" $many)
	echo $(((b - a + (many - few) / 2) / (many - few)))
}

# judge OPERATION EXPECTED FOUND
judge()
{
	local verdict=ok

	if [ $(($3 * 100)) -gt $(($2 * (100 + tolerance))) ]; then
		verdict="MORE than expected"
	elif [ $(($3 * 100)) -lt $(($2 * (100 - tolerance))) ]; then
		verdict="LESS than expected: good news? then insns.sh -w"
	fi
	printf '%-16s %6d instructions, expected %6d: %s\n' "$1" "$3" "$2" "$verdict"
	[ "$verdict" = ok ]
}

write=no status=0
if [ "${1:-}" = -w ]; then
	write=yes
	shift
fi
[ $# -gt 0 ] || mapfile -t operations < <(sed '/^#/d; s/ .*//' "$expected")
[ $# = 0 ] || operations=("$@")
for operation in "${operations[@]}"; do
	want=$(sed -n "s/^$operation //p" "$expected")
	found=$(count "$operation")
	if [ $write = yes ]; then
		sed -i "s/^$operation .*/$operation $found/" "$expected"
	else
		judge "$operation" "$want" "$found" || status=1
	fi
done
exit $status
