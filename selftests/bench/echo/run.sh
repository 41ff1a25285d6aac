#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Echo: requests and their latency, with load's lines.
#
#   run.sh IMPL PROCS [CONNECTIONS]...		default: 1 64 1000 10000
#
# The programs are in $BENCH_BIN/echo, by default build/bench/echo. For the shell of a guest, too.

set -eu

bin=${BENCH_BIN:-build/bench}/echo
impl=$1
procs=$2
shift 2
[ $# -gt 0 ] || set -- 1 64 1000 10000

# State Threads serve on one CPU; SKIP is measure.h's.
if [ "$impl" = st ] && [ "$procs" -gt 1 ]; then
	exit 4
fi
for connections; do
	"$bin/load" "$connections" "$procs" "$bin/$impl"
done
