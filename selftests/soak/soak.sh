#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Round after round of the soak test, in a guest (see soak.c), for SECONDS; all of
# them, or number ROUND only, come from SEED.
#
#   soak.sh SECONDS SEED [ROUND]
#
# Each round begins with a module that has just been loaded and ends with one that
# could be unloaded. Afterwards the kernel log and, if the kernel has it, kmemleak are
# looked at. SOAK_ROUND says how many seconds a round takes.

set -u

seconds=$1 seed=$2 only=${3:-}
length=${SOAK_ROUND:-20}
here=$(readlink -f "$(dirname "$0")")
export SOAK_DIR="$here/soak"
leaks=/sys/kernel/debug/kmemleak

/vm/splats -s /tmp/seen >/dev/null

# Not the clock: the disturbers set it.
uptime_seconds()
{
	sed 's/\..*//' /proc/uptime
}

# What has been allocated in the last seconds is not looked at by the first scan.
no_leaks()
{
	[ -w $leaks ] || return 0
	sleep 6
	echo scan >$leaks
	echo scan >$leaks
	! grep . $leaks
}

# Print the reference count that keeps the module, or nothing.
loaded()
{
	[ ! -d /sys/module/gsched ] || cat /sys/module/gsched/refcnt
}

load()
{
	[ -d /sys/module/gsched ] || /vm/alone insmod "$here/gsched.ko"
}

failed=0 passed=0 round=${only:-0}
end=$(($(uptime_seconds) + seconds))
echo "# SEED=$seed"
while :; do
	# The same as soak_seed() would do; a shell has no 32 bits.
	round_seed=$(((seed * 69069 + round * 7919 + 12345) & 0x7fffffff))
	what="round $round # SEED=$seed ROUND=$round"
	ok=yes
	load || ok=no
	"$SOAK_DIR/soak" $round_seed "$length" 2>&1 || ok=no
	[ -z "$(loaded)" ] || ok=no
	! /vm/splats -s /tmp/seen || ok=no
	no_leaks || ok=no
	if [ $ok = yes ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) $what"
	else
		failed=$((failed + 1))
		echo "not ok $((passed + failed)) $what"
	fi
	round=$((round + 1))
	[ -z "$only" ] && [ "$(uptime_seconds)" -lt $end ] || break
done
load
echo "# Totals: pass:$passed fail:$failed skip:0"
[ $failed = 0 ]
