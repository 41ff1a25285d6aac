#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Echo: how many system calls a message costs the server, busy with 64 connections, and
# idle before each message. Needs root, and the tracepoint raw_syscalls:sys_enter.
#
#   syscalls.sh IMPL PROCS

set -eu

bin=${BENCH_BIN:-build/bench}/echo
if [ "$1" = st ] && [ "$2" -gt 1 ]; then
	exit 4
fi
"$bin/load" -c -t 2000 64 "$2" "$bin/$1"
"$bin/load" -c -t 1000 -i 1000 1 "$2" "$bin/$1"
