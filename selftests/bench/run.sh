#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run the benchmarks, and keep what they say in build/bench/report/raw.PLACE.
#
#   run.sh [-p PLACE]... [-n ROUNDS] [NAME]...        default: all places, 5 rounds, all
#
# Places:
#   native    here, where there is no module: the portable backend, and the peers
#   guest     a virtual machine with 2 CPUs: both backends, and the peers
#   counted   one whose clock counts instructions, for differences that are lost in
#             noise elsewhere; see icount.sh
#
# Figures compare within one place only: an emulated machine weighs system calls several times
# heavier than code. bench/numbers says which number is taken where. See measure.h for the
# lines, and beside.c for what they say about others on the machine.

set -eu -o pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
here=selftests/bench
bin=build/bench
report=$bin/report
impls="gsched go go119 boost st uv epoll uring threads asm"
places=() rounds=5

usage()
{
	sed -n '/^#   run.sh/s/^# *//p' "$0" >&2
	exit 2
}

while getopts p:n: opt; do
	case $opt in
	p) places+=("$OPTARG") ;;
	n) rounds=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
names=("$@")
[ ${#places[@]} -gt 0 ] || places=(native guest counted)

# Print "NAME PROCS IMPL" for all that is to be run at the place $1, of what has been built.
list()
{
	local name procs where p impl

	while read -r name procs where; do
		[[ ,$where, = *,$1,* ]] || continue
		[ ${#names[@]} = 0 ] || [[ " ${names[*]} " = *" $name "* ]] || continue
		for p in ${procs//,/ }; do
			for impl in $impls; do
				[ ! -x "$bin/${name%:*}/$impl" ] || echo "$name $p $impl"
			done
		done
	done < <(sed -n 's/^number *//p' "$here/numbers")
}

# The scripts that start programs, beside those.
stage()
{
	local name script

	for script in "$here"/*/*.sh; do
		[ -e "$script" ] || continue
		name=$(basename "$(dirname "$script")")
		[ ! -d "$bin/$name" ] || cp "$script" "$bin/$name/"
	done
}

native()
{
	"$here/rounds.sh" "$bin" "$rounds" 1
}

guest()
{
	local tmp name status=0

	tmp=$(mktemp -d)
	mkdir "$tmp/bench"
	cat >"$tmp/bench/list"
	cp "$bin/beside" "$here/rounds.sh" "$tmp/bench/"
	sed 's/[: ].*//' "$tmp/bench/list" | sort -u | while read -r name; do
		cp -r "$bin/$name" "$tmp/bench/"
		rm -rf "$tmp/bench/$name"/.[!.]*
	done
	# shellcheck disable=SC2016 # it is the guest's shell that expands
	selftests/vm.sh -c 2 -m 3072 -t $((rounds * 3600)) -s 256:50000 -f "$tmp/bench" -- \
		sh -c 'bench/rounds.sh bench "$1" 0.1 <bench/list 2>&1' sh "$rounds" || status=$?
	rm -rf "$tmp"
	return "$status"
}

counted()
{
	local programs

	mapfile -t programs < <(awk '$3 == "gsched" { print $1 }' | uniq)
	"$here/icount.sh" "${programs[@]}"
}

# What the host has to do: lines from a virtual machine know of the guest's others only.
load()
{
	echo "# $1: $(date -u +%F\ %T), load $(cut -d ' ' -f 1-3 /proc/loadavg), $(nproc) CPUs," \
		"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | uniq)"
}

# take PLACE: measure there
take()
{
	local status=0

	load "$1"
	case $1 in
	native)		native ;;
	guest)		guest ;;
	counted)	counted ;;
	esac <"$report/list.$1" || status=1
	load "$1"
	return "$status"
}

mkdir -p "$report"
stage
status=0
for place in "${places[@]}"; do
	case $place in native|guest|counted) ;; *) usage ;; esac
	list "$place" >"$report/list.$place"
	[ -s "$report/list.$place" ] || continue
	take "$place" | tee "$report/raw.$place" || status=1
done
exit $status
