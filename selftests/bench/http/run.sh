#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# HTTP: requests of wrk, with 64 connections that are kept alive.
#
#   run.sh IMPL PROCS
#
# The servers are in $BENCH_BIN/http, by default build/bench/http. A server that has one
# CPU has the first one, and wrk the second. p50 and p99 are a request's (ns).

set -eu

bin=${BENCH_BIN:-build/bench}
server=$bin/http/$1
# A guest has it there.
PATH=$PATH:$bin
procs=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The mask of the CPUs that the server has, and of wrk's.
cpus=1
[ "$procs" -eq 1 ] || cpus=$(printf '%x' $(((1 << $(nproc)) - 1)))
load=2
[ "$(nproc)" -gt 1 ] || load=1

# It serves until the other end of its standard input is closed.
mkfifo "$tmp/in" "$tmp/out"
taskset "$cpus" "$server" "$procs" <"$tmp/in" >"$tmp/out" &
exec 3>"$tmp/in" 4<"$tmp/out"
read -r port details <&4
taskset "$load" wrk -t 1 -c 64 -d 1s --latency "http://127.0.0.1:$port/" >"$tmp/wrk"
exec 3>&-
wait $!

awk -v impl="$1" -v procs="$procs" -v details="$details" '
function ns(time)
{
	return time * (time ~ /us$/ ? 1e3 : time ~ /ms$/ ? 1e6 : 1e9)
}

function say(line)
{
	print line >"/dev/stderr"
}

/^ +50%/		{ p50 = ns($2) }
/^ +99%/		{ p99 = ns($2) }
/ requests in /		{ ops = $1 }
/^Requests\/sec:/	{ rate = $2 }
/Non-2xx|Socket errors/	{ wrong = $0 }
END {
	if (wrong || !ops || !rate) {
		say("http: " (wrong ? wrong : "wrk did nothing"))
		exit 1
	}
	printf "bench=http_64 impl=%s procs=%d ops=%d ns_per_op=%.1f p50=%d p99=%d%s\n", impl,
		procs, ops, 1e9 / rate, p50, p99, details ? " " details : ""
}' "$tmp/wrk"
