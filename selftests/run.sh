#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run test programs, here or in a guest (busybox's sh is enough).
#
#   run.sh [-k] [-t SECONDS] PROGRAM...
#
#   -k          after each program look for splats in the kernel log
#   -t SECONDS  for each program, default 120
#
# Prints TAP 13 as kselftest's runner does: a test point per program, what the
# program printed as comments before it. What failed is said once more right before
# a "not ok", however long the program has gone on. The last line counts single cases:
#
#   # Totals: pass:N fail:N skip:N
#
# A case is a TAP line of the program. Where the program's exit status, the time
# limit or the kernel log tells of a failure that no case admitted, that counts
# as one more. The exit status is 1 if anything failed, or nothing passed.

set -u

klog=no
limit=120
while getopts kt: opt; do
	case $opt in
	k) klog=yes ;;
	t) limit=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
out=$tmp/out

if [ $klog = yes ]; then
	[ -x /vm/splats ] || { echo "run.sh -k: not in a guest of vm.sh" >&2; exit 2; }
	/vm/splats -s "$tmp/seen" >/dev/null
fi

# Print the splats since the last call; fail when there are none.
splats()
{
	[ $klog = yes ] && /vm/splats -s "$tmp/seen"
}

# Run PROGRAM in a process group of its own, with its output in $out, until it ends;
# then kill what it left behind.
run()
{
	setsid timeout -s KILL "$limit" "$1" </dev/null >"$out" 2>&1 &
	group=$!
	wait "$group" 2>/dev/null	# where the shell says "Killed"
	status=$?
	kill -KILL "-$group" 2>/dev/null
	return $status
}

# Print the number of lines in $out that match.
count()
{
	grep -c -E "$1" "$out"
}

# Print the last lines of each case in $out that failed.
failures()
{
	awk '
		{ line[n++] = $0 }
		/^not ok / { for (i = n > 20 ? n - 20 : 0; i < n; i++) print "# failed: " line[i] }
		/^(not )?ok / { n = 0 }' "$out"
}

pass=0 fail=0 skip=0 n=0
echo "TAP version 13"
echo "1..$#"
for program; do
	n=$((n + 1))
	name=${program##*/}
	why=''
	echo "# running $name"
	start=$(date +%s)
	run "$program"
	status=$?
	took=$(($(date +%s) - start))
	sed 's/^/# /' "$out"
	echo "# $name took $took s"

	skipped=$(count '^ok .*# *SKIP')
	passed=$(($(count '^ok ') - skipped))
	failed=$(count '^not ok ')

	if [ $status = 137 ] && [ $took -ge "$limit" ]; then
		why="timeout after $limit seconds"
	elif [ $status = 4 ]; then
		[ $((passed + failed + skipped)) -gt 0 ] || skipped=1
	elif [ $status != 0 ]; then
		why="exit=$status"
	elif [ "$failed" -gt 0 ]; then
		why="not ok, and yet exit=0"
	elif [ $((passed + skipped)) = 0 ]; then
		passed=1	# not a TAP program
	fi
	[ -z "$why" ] || [ "$failed" -gt 0 ] || failed=1
	if splats >"$tmp/splats"; then
		sed 's/^/# /' "$tmp/splats"
		why="${why:+$why, }splat: $(head -n 1 "$tmp/splats")"
		failed=$((failed + 1))
	fi

	if [ -n "$why" ]; then
		failures
		echo "not ok $n $name # $why"
	elif [ $status = 4 ]; then
		reason=$(sed -n 's/.*SKIP[: ]*//p' "$out" | tail -n 1)
		[ -n "$reason" ] || reason=$(tail -n 1 "$out")
		echo "ok $n $name # SKIP $reason"
	else
		echo "ok $n $name"
	fi
	pass=$((pass + passed)) fail=$((fail + failed)) skip=$((skip + skipped))
done
echo "# Totals: pass:$pass fail:$fail skip:$skip"
[ $fail = 0 ] && [ $pass -gt 0 ]
