#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Make a report of what run.sh has measured: build/bench/report/report.md, and beside it a
# plot of ratios for each place and group of numbers. See bench/numbers, report.awk.

set -eu -o pipefail
export LC_ALL=C

cd "$(dirname "$(readlink -f "$0")")/../.."
here=$PWD/selftests/bench
cd build/bench/report

# The values of each kind of line in order, so that report.awk finds the quartiles.
values()
{
	awk -v want=values -f "$here/report.awk" "$here/numbers" "$1" |
		sort -k1,1 -k2,2n -k3,3 -k4,4g
}

# plot FILE: what report.awk has written for it, the titles and a block for each implementation
plot()
{
	gnuplot <<END
set terminal svg size 1000,560 noenhanced background "white"
set output "${1%.plot}.svg"
set title "${1%.plot}: how many times better ours is, with quartiles"
set logscale y
set grid y
set key outside
set xtics rotate by -35
set offsets 0.5, 0.5, 0, 0
stats "$1" using 1 nooutput
plot "$1" index 0 using 1:(1):xtic(2) notitle with lines dashtype 2 linecolor "black", \
	for [i = 1:STATS_blocks - 1] "$1" index i \
	using (\$1 + 0.08 * (i - STATS_blocks / 2.0)):2:3:4 \
	title columnheader(1) with yerrorbars pointtype 7
END
}

rm -f ./*.plot ./*.svg
{
	echo "# Benchmarks"
	for place in native guest counted; do
		[ -e "raw.$place" ] || continue
		values "raw.$place" >"values.$place"
		awk -v want=report -v place="$place" -f "$here/report.awk" "$here/numbers" \
			"values.$place" "raw.$place"
	done
} >report.md
for file in *.plot; do
	[ ! -e "$file" ] || plot "$file"
done
echo "report.sh: $PWD/report.md" >&2
