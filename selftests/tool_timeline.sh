#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# userlib/tools/gsched-timeline: from small traces to exactly what must be drawn.

set -u
export LC_ALL=C
unset NO_COLOR

here=$(dirname "$(readlink -f "$0")")
timeline=$here/../userlib/tools/gsched-timeline
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0 failed=0

# result STATUS NAME: a line of TAP.
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		echo "not ok $n $2"
		failed=1
	fi
}

# same NAME: standard input is what "$tmp/got" must be.
same()
{
	diff -u - "$tmp/got" >"$tmp/diff"
	result $? "$1"
	sed 's/^/# /' "$tmp/diff"
}

# has NAME STRING [FILE]
has()
{
	grep -q -F -e "$2" "${3:-$tmp/got}"
	result $? "$1"
}

# A trace from lines of blank-separated fields ("_": a blank within a field).
trace()
{
	printf 'time_ns\tp\tcpu\tg\tstate\treason\tname\n'
	sed -e 's/  */\t/g' -e 's/_/ /g'
}

# rejects NAME MESSAGE: the trace on standard input is refused, with MESSAGE.
rejects()
{
	cat >"$tmp/bad"
	if "$timeline" "$tmp/bad" >"$tmp/got" 2>&1; then
		result 1 "$1"
	else
		has "$1" "$2"
	fi
}

echo "TAP version 13"
echo "1..27"

# 119.2 us: the picture's time axis has 1,192 pixels.
trace >"$tmp/two" <<-'END'
	0	0	0	1	executing	-	main
	10000	0	0	2	runnable	-	-
	20000	1	1	2	executing	-	-
	30000	0	0	1	waiting	wait_group	main
	50000	1	1	2	waiting	fd_read	a.html
	90000	-	-	2	runnable	-	a.html
	95000	0	3	2	executing	-	a.html
	96000	0	3	2	syscall	-	a.html
	99000	0	3	2	dead	-	a.html
	119200	0	0	1	runnable	-	main
	END

"$timeline" -f segments "$tmp/two" >"$tmp/got" 2>&1
same "segments" <<-'END'
	g	name	from_ns	to_ns	state	p	cpu	reason
	1	main	0	30000	executing	0	0	-
	1	main	30000	119200	waiting	0	0	wait group
	1	main	119200	119200	runnable	0	0	-
	2	a.html	10000	20000	runnable	0	0	-
	2	a.html	20000	50000	executing	1	1	-
	2	a.html	50000	90000	waiting	1	1	fd read
	2	a.html	90000	95000	runnable	-	-	-
	2	a.html	95000	96000	executing	0	3	-
	2	a.html	96000	99000	syscall	0	3	-
	END

# 40 columns of 2,980 ns after labels of 10.
"$timeline" -w 51 -t "Two" "$tmp/two" >"$tmp/got" 2>&1
same "text" <<-'END'
	Two
	2 goroutines, 2 Ps, 10 events, 119.2 µs
	0 1 3 executing on that CPU    ░ runnable    ─ waiting    s in a system call

	          0 µs            50               100
	          ┬───────────────┬────────────────┬──────
	P0        G1█████████                    G2
	P1              G2█████████

	G1 main   00000000000──────── wait group ────────░
	G2 a.html    ░░░11111111111── fd read ──░33s
	END

"$timeline" -w 51 -n 1 "$tmp/two" | tail -n 2 >"$tmp/got" 2>&1
same "text: more goroutines than lanes" <<-'END'
	G1 main 00000000000───────── wait group ─────────░
	... and 1 goroutine more
	END

# 40 columns of 1,000 ns: a segment that ends with a column is not in the next one,
# and one without duration is still there.
trace >"$tmp/even" <<-'END'
	0	0	0	1	executing	-	-
	10000	0	0	1	waiting	sleep	-
	20000	0	1	2	executing	-	-
	20000	0	1	2	dead	-	-
	40000	0	0	1	dead	-	-
	END
"$timeline" -w 45 "$tmp/even" | tail -n 2 >"$tmp/got" 2>&1
same "text: the columns' bounds" <<-'END'
	G1  0000000000─────────── sleep ────────────
	G2                      1
	END

# 42 columns of 2,838 ns after labels of 31.
"$timeline" -f text-overview -w 74 "$tmp/two" 2>&1 | tail -n 8 >"$tmp/got"
same "text-overview" <<-'END'
	P1 executes               25%         ██████████▅

	goroutines            at most
	wait: fd read               1                   ▄█████████████▆
	wait: wait group            1            ▄███████████████████████████████
	runnable                    1     ▄███▁                       ▃█▄
	syscall                     1                                   ▂█
	executing                   2  ▄▄▄▄▄▄▄███▇▄▄▄▄▄▄▃               ▂
	END

# A pixel is 100 ns, and time 0 is at x = 176. Lanes: P0, P1, G1, G2.
"$timeline" -f svg -t 'Two' "$tmp/two" >"$tmp/got" 2>&1
has "svg: executing on CPU 0" '<rect x="176" y="256" width="300" height="20" rx="2" fill="#2f6fde">'
has "svg: executing on CPU 1" '<rect x="376" y="284" width="300" height="20" rx="2" fill="#0f9d8a">'
has "svg: waiting" '<rect x="676" y="284" width="400" height="20" rx="2" fill="#d9e2ee">'
has "svg: the reason of the wait" 'class="why">fd read</text>'
has "svg: runnable" '<rect x="276" y="284" width="100" height="20" rx="2" fill="#f6b73c">'
has "svg: in a system call" '<rect x="1136" y="284" width="30" height="20" rx="2" fill="#e4572e">'
has "svg: a P's lane" '<rect x="376" y="194" width="300" height="20" rx="2" fill="#0f9d8a"><title>G2 a.html'
has "svg: exact times in the title" '20 µs to 50 µs, 30 µs</title>'

# Three runs of 10 ns with 10 ns between them, in a trace of 1 ms: one hairline.
trace >"$tmp/short" <<-'END'
	0	0	0	1	runnable	-	<&">
	500000	0	0	1	executing	-	-
	500010	0	0	1	waiting	sleep	-
	500020	0	0	1	executing	-	-
	500030	0	0	1	waiting	sleep	-
	500040	0	0	1	executing	-	-
	500050	0	0	1	waiting	sleep	-
	1000000	0	0	1	dead	-	-
	END
"$timeline" -f svg "$tmp/short" >"$tmp/got" 2>&1
has "svg: short runs become one, which can be seen" \
	'y="228" width="1.4" height="20" fill="#2f6fde"><title>G1 &lt;&amp;&quot;&gt;: executing on CPU 0 (P0)'
has "svg: its title says how many they are" '500 µs to 500.1 µs, 30 ns of 50 ns in 3 times'
"$timeline" -w 50 "$tmp/short" >"$tmp/got" 2>&1
has "text: a short run is not lost" 'G1 <&"> ░░░░░░░░░░░░░░░░░░░░0────── sleep ───────'

# A thousand goroutines, of which each waits while the next one runs.
awk 'BEGIN {
	print "time\tp\tcpu\tg\tstate\treason\tname"
	for (g = 1; g <= 1000; g++) {
		printf "%d\t0\t0\t%d\texecuting\t-\t-\n", g * 1000, g
		printf "%d\t0\t0\t%d\twaiting\tmutex\t-\n", g * 1000 + 900, g
	}
}' >"$tmp/crowd"
"$timeline" -f svg-overview -o "$tmp/crowd.svg" "$tmp/crowd" >"$tmp/got" 2>&1
result $? "svg-overview"
has "svg-overview: the most at a time" '<title>waiting: mutex: at most 999</title>' "$tmp/crowd.svg"

# Every element is closed, in order.
for format in svg svg-overview; do
	for t in two short crowd; do
		"$timeline" -f $format "$tmp/$t" >"$tmp/$t.$format.svg"
	done
done
perl -0777 -ne 'my @open;
	s/<\?xml.*?\?>//; s/<style>.*?<\/style>//s;
	while (m{<(/?)(\w+)[^>]*?(/?)>}g) {
		next if $3;
		if (!$1) { push @open, $2 } elsif ((pop @open // "") ne $2) { exit 1 }
	}
	exit 1 if @open || /&(?!(amp|lt|gt|quot);)/' "$tmp"/*.svg
result $? "svg: well formed"

rejects "no header" "the trace is empty" < <(printf '')
rejects "no events" "has no events" < <(printf 'time_ns\tp\n')
rejects "an event as the header" "line 1: the first line does not name" < <(printf '0\t0\t0\t1\tdead\t-\t-\n')
rejects "a column too few" "line 2: not 7 columns" < <(printf 'time_ns\tp\n0\t0\t0\t1\tdead\t-\n')
rejects "a time that is no number" "line 2: 'x' is not a number" < <(trace <<<'x 0 0 1 dead - -')
rejects "an unknown state" "line 2: no state 'asleep'" < <(trace <<<'0 0 0 1 asleep - -')
rejects "executing nowhere" "line 2: executing on no P or CPU" < <(trace <<<'0 - 0 1 executing - -')
rejects "time that goes back" "line 3: not in order of time" < <(trace <<-'END'
	5	0	0	1	dead	-	-
	4	0	0	2	dead	-	-
	END
)

exit $failed
