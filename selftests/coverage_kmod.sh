#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# "make coverage-kmod": run the module's tests and the fuzzer in a machine whose kernel
# counts (GCOV), and print how many lines of each file have run, and which have not.
#
#   coverage_kmod.sh [-t SECONDS] [-l SECONDS] [TEST...]
#
#   -t SECONDS  of fuzzing, default 300
#   -l SECONDS  that the tests may take together, default 3 hours: what has run by then
#               counts
#   TEST        default: all that "make check" runs there
#
# The counts stay when the module is unloaded, and go on when it comes back. Those tests
# that load it again and again come last, and have one CPU: vm/alone says why.

set -eu -o pipefail
export LC_ALL=C

cd "$(dirname "$(readlink -f "$0")")/.."
shopt -s nullglob
seconds=300 limit=10800
while getopts t:l: opt; do
	case $opt in
	t) seconds=$OPTARG ;;
	l) limit=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

[ $# -gt 0 ] || for src in selftests/{kmod,lib}_*.{c,cc}; do
	set -- "$@" "${src%.*}"
done
tests=() last=''
for test; do
	case $test in
	*/kmod_ladder|*/kmod_unload) last="$last $test" ;;
	*)	tests+=("$test") ;;
	esac
done

objects=$PWD/build/debug-gcov/kmod
status=0
# The tests' arguments are words of ours.
# shellcheck disable=SC2016
GSCHED_KO=build/debug-gcov/gsched.ko selftests/vm.sh -k debug -c 4 -m 2048 -t $((limit + seconds + 900)) \
	-o build/gcov-out -f build/selftests -f build/samples -f build/fuzz \
	-f selftests/run.sh -- sh -c '
		objects=$1 seconds=$2 limit=$3 last=$4
		shift 4
		export GSCHED_BACKEND=module TEST_SLOWNESS=10 KMOD_SCALE=0.1 PATH=$PATH:/test
		status=0
		[ $# = 0 ] || timeout "$limit" ./run.sh -k -t 1200 "$@" || status=1
		fuzz/fuzz -t "$seconds" -j 4 || status=1
		[ -z "$last" ] || /vm/alone ./run.sh -k -t 1200 $last || status=1
		mkdir -p out
		for f in /sys/kernel/debug/gcov/"$objects"/*.gcda; do
			cat "$f" >"out/${f##*/}"
		done
		exit $status' sh "$objects" "$seconds" "$limit" "$last" ${tests[@]+"${tests[@]}"} || status=$?

rm -f "$objects"/*.gcda
cp build/gcov-out/*.gcda "$objects"/
selftests/coverage_report.sh kmod/ "${GCOV:-gcov-12}" "$objects"/*.gcda
exit $status
