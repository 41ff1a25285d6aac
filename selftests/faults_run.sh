#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run test programs in a guest while what the kernel does for them fails now and then:
# one allocation and one copy to or from user space in 500.
#
#   faults_run.sh [-t SECONDS] PROGRAM...
#
#   -t SECONDS  for each program, default 120; then it is killed
#
# The tests may fail. What counts is that each program ends or can be killed, that nothing
# of it keeps the module busy, and that the kernel log has no splat. Prints TAP like run.sh.

set -u

debugfs=/sys/kernel/debug
limit=120
while getopts t: opt; do
	case $opt in
	t) limit=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

set_up()
{
	for kind in failslab fail_page_alloc fail_usercopy; do
		cd "$debugfs/$kind" || exit 2
		echo Y >task-filter
		echo 0 >verbose
		echo -1 >"times"
		echo 25 >interval
		echo 5 >probability
	done
	echo N >"$debugfs/failslab/ignore-gfp-wait"
	echo N >"$debugfs/fail_page_alloc/ignore-gfp-wait"
	echo N >"$debugfs/fail_page_alloc/ignore-gfp-highmem"
	echo 0 >"$debugfs/fail_page_alloc/min-order"
	cd - >/dev/null || exit 2
}

# Wait until nothing of the programs is left, and the module is not used.
settles()
{
	short=$(echo "$1" | cut -c1-15)
	i=0
	while [ "$(cat /sys/module/gsched/refcnt)" != 0 ] || pgrep "^$short" >/dev/null; do
		i=$((i + 1))
		[ $i -lt 300 ] || return 1
		sleep 0.1
	done
}

set_up
/vm/splats -s "$tmp/seen" >/dev/null
pass=0 fail=0 n=0
echo "TAP version 13"
echo "1..$#"
for program; do
	n=$((n + 1))
	name=${program##*/}
	start=$(date +%s)
	TEST_FAULTS=1 setsid timeout -s KILL "$limit" "$program" </dev/null >"$tmp/out" 2>&1 &
	group=$!
	wait "$group" 2>/dev/null
	status=$?
	kill -KILL "-$group" 2>/dev/null
	cases=$(grep -c '^ok ' "$tmp/out")
	what="status $status, $cases cases passed, $(($(date +%s) - start)) s"
	if /vm/splats -s "$tmp/seen" >"$tmp/splats"; then
		sed 's/^/# /' "$tmp/splats"
		echo "not ok $n $name # splat: $(head -n 1 "$tmp/splats")"
		fail=$((fail + 1))
	elif ! settles "$name"; then
		ps | sed 's/^/# /'
		echo "not ok $n $name # something is left of it: $what"
		fail=$((fail + 1))
	else
		echo "ok $n $name # $what"
		pass=$((pass + 1))
	fi
done
for kind in failslab fail_page_alloc fail_usercopy; do
	echo 0 >"$debugfs/$kind/probability"
done
echo "# Totals: pass:$pass fail:$fail skip:0"
[ $fail = 0 ] && [ $pass -gt 0 ]
