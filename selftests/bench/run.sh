#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run the benchmarks: here on the portable backend, then in one virtual machine on
# the portable backend and on the module in turn; those that compare few instructions
# once more where instructions are counted. Figures compare within one place only: an
# emulated machine weighs system calls several times heavier than code.
#
# Each line: bench=NAME impl=NAME procs=N ops=N ns_per_op=X [key=value...]
# They go to build/bench/report too, behind the place where they were taken.

set -eu -o pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
programs=()
for src in selftests/bench/*.c; do
	src=${src##*/}
	# It chooses its backends itself, and needs the guest's slow disk.
	[ "$src" = fault.c ] || programs+=("${src%.c}")
done
report=build/bench/report
: >"$report"

native()
{
	local p

	for p in "${programs[@]}"; do
		GSCHED_BACKEND=epoll "build/bench/$p"
	done
}

guest()
{
	# shellcheck disable=SC2016 # it is the guest's shell that expands
	selftests/vm.sh -c 2 -m 2048 -s 256:50000 -f build/bench -- sh -c '
		cd bench
		for p; do
			for b in epoll module; do
				GSCHED_BACKEND=$b "./$p" || exit
			done
		done
		./fault' sh "${programs[@]}"
}

# One CPU, which no host disturbs.
counted()
{
	selftests/bench/icount.sh registered handoff sleeper block
}

for place in native guest counted; do
	echo "# $place, load $(cut -d ' ' -f 1 /proc/loadavg)" | tee -a "$report"
	$place | tee -a "$report"
done
