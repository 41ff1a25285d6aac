#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# "make coverage": run the library's tests natively in a build that counts, and print
# how many lines of each file have run, and which have not.
#
#   coverage.sh [TEST...]    default: all of build/cov/selftests/lib_*
#
# The module's backend cannot run here; it is listed but not in the sum.

set -eu -o pipefail
export LC_ALL=C

cd "$(dirname "$(readlink -f "$0")")/.."
cache=${GSCHED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gsched}
PATH=$PATH:$cache/nginx/usr/sbin:$cache/gdb/usr/bin

[ $# -gt 0 ] || set -- build/cov/selftests/lib_*
rm -f build/cov/*.gcda
status=0
GSCHED_BACKEND=epoll selftests/run.sh "$@" || status=$?

selftests/coverage_report.sh userlib/ "${GCOV:-gcov}" build/cov/*.gcda
exit $status
