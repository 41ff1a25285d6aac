#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run benchmarks in turn, again and again: so that what changes on the machine meanwhile is
# shared by all that are compared. In any shell: virtual machines have busybox's.
#
#   rounds.sh DIR ROUNDS FACTOR <LIST
#
# LIST has lines "NAME PROCS IMPL": DIR/NAME/IMPL is the program. If there is DIR/NAME/run.sh,
# that is what starts it, as "run.sh IMPL PROCS"; "NAME:SCRIPT" is for another script of them.
# One P has CPU 1, several have as many CPUs as there are, a script all. Ours run on the
# portable backend and, where it is loaded, on the module.

export BENCH_BIN="$1"
rounds=$2 factor=$3
list=$(cat)
cpus=$(grep -c '^processor' /proc/cpuinfo)
status=0

# run NAME PROCS IMPL
run()
{
	programs=$BENCH_BIN/${1%:*} script=run
	[ "${1%:*}" = "$1" ] || script=${1#*:}
	if [ -e "$programs/$script.sh" ]; then
		set -- "0-$((cpus - 1))" "$programs/$script.sh" "$3" "$2"
	elif [ "$2" = 1 ]; then
		set -- "$((cpus > 1))-$((cpus > 1))" "$programs/$3" "$2" "$factor"
	else
		set -- "0-$((($2 < cpus ? $2 : cpus) - 1))" "$programs/$3" "$2" "$factor"
	fi
	where=$1
	shift
	"$BENCH_BIN/beside" "$where" timeout 120 "$@" </dev/null
	failed=$?
	# The latter: not with so many Ps.
	[ $failed = 0 ] || [ $failed = 4 ] || {
		echo "rounds.sh: $* ${GSCHED_BACKEND:-}: status $failed" >&2
		status=1
	}
}

round=0
while [ $((round = round + 1)) -le "$rounds" ]; do
	while read -r name procs impl; do
		if [ "$impl" != gsched ]; then
			run "$name" "$procs" "$impl"
			continue
		fi
		for GSCHED_BACKEND in epoll module; do
			[ $GSCHED_BACKEND = epoll ] || [ -e /dev/gsched ] || continue
			export GSCHED_BACKEND
			run "$name" "$procs" "$impl"
		done
		unset GSCHED_BACKEND
	done <<END
$list
END
done
exit $status
