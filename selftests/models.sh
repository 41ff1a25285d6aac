#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check the models in models/*.pml exhaustively, with spin. Each must hold as it
# stands; and each of its bad twins, in which a barrier or a look is missing (numbered
# "#if BROKEN == N", or "!= N" around what it leaves out), must be caught.
#
#   models.sh [MODEL[:TWIN]]...		default: all; TWIN 0 is the model itself
#
# Prints TAP; the last line is "N passed, N failed". A model and twin by name: what spin
# has found is left in build/models/MODEL.TWIN, pan.out and the trail.

set -u -o pipefail

here=$(dirname "$(readlink -f "$0")")
top=${here%/*}
out=$top/build/models
limit=240		# seconds for each, on a busy machine

# Print MODEL:0 and the bad twins of a model.
twins()
{
	echo "$1:0"
	grep -o -E '^#(el)?if BROKEN [!=]= [0-9]+' "$here/models/$1.pml" | grep -o '[0-9]*$' |
		sort -n -u | sed "s/^/$1:/"
}

# Build the checker of MODEL:TWIN and run it. Its result is the last line of pan.out:
# "holds", "caught", or what went wrong.
check_one()
{
	local model=${1%:*} twin=${1#*:} dir=$out/${1/:/.}

	rm -rf "$dir"
	mkdir -p "$dir"
	cd "$dir" || return
	{
		# To compile a checker well takes longer than to run it.
		spin -a -DBROKEN="$twin" "$here/models/$model.pml" &&
		"${CC:-cc}" -w -O0 -DSAFETY -DCOLLAPSE -DMEMLIM=3000 -o pan pan.c &&
		timeout "$limit" ./pan -m100000
	} >pan.out 2>&1
	rm -f pan pan.[bchmpt]
	verdict >>pan.out
}

# pan says how many errors it has found, and whether it has looked at all.
verdict()
{
	local states

	if ! states=$(grep -o -E '[0-9.e+]+ states, stored' pan.out); then
		echo "no result: $(tail -n 1 pan.out)"
	elif grep -q -E 'max search depth too small|out of memory|search was not completed' pan.out &&
	     grep -q 'errors: 0$' pan.out; then
		echo "not all was searched"
	elif grep -q 'errors: 0$' pan.out; then
		echo "holds: $states"
	else
		echo "caught: $(grep -m 1 '^pan:1:' pan.out)"
	fi
}

if [ "${1:-}" = --one ]; then
	check_one "$2"
	exit
fi

[ $# -gt 0 ] || set -- "$here"/models/*.pml
list=()
for name; do
	name=${name##*/}
	name=${name%.pml}
	case $name in
	*:*)	list+=("$name") ;;
	*)	mapfile -t -O ${#list[@]} list < <(twins "$name") ;;
	esac
done

printf '%s\n' "${list[@]}" | xargs -P "$(nproc)" -n 1 "$here/models.sh" --one

echo "TAP version 13"
echo "1..${#list[@]}"
n=0 pass=0 fail=0
for name in "${list[@]}"; do
	n=$((n + 1))
	result=$(tail -n 1 "$out/${name/:/.}/pan.out" 2>/dev/null)
	want=caught
	[ "${name#*:}" != 0 ] || want=holds
	if [ "${result%%:*}" = $want ]; then
		echo "ok $n $name $result"
		pass=$((pass + 1))
	else
		echo "# $result"
		echo "not ok $n $name # is not $want"
		fail=$((fail + 1))
	fi
done
echo "# Totals: pass:$pass fail:$fail skip:0"
echo "$pass passed, $fail failed"
[ $fail = 0 ] && [ $pass -gt 0 ]
