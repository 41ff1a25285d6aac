#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The demonstration; "make demo" builds first.
#
#   demo.sh [KERNEL]
#
# In a virtual machine with the module loaded nginx serves real files. There
# http_get's goroutine G1 fetches a page and prints its status code; then ten,
# and in a second run a thousand goroutines fetch at the same time on two Ps.
# What the goroutines did is drawn here and in build/demo/*.svg.
#
# The exit status is 0 only if everything arrived, whole, through the module.

set -eu -o pipefail

top=$(dirname "$(dirname "$(readlink -f "$0")")")
cache=${GSCHED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gsched}
nginx=$cache/nginx/usr/sbin/nginx
demo=$top/selftests/demo
timeline=$top/userlib/tools/gsched-timeline
kernel=${1:-6.1}
count=1000
cd "$top"

out=build/demo
log=$out/log

step()
{
	printf '\n== %s\n' "$*"
}

die()
{
	echo "demo.sh: $*" >&2
	exit 1
}

[ -x build/samples/http_get ] || die "build/samples/http_get is missing; please run: make demo"
[ -x "$nginx" ] || die "$nginx is missing; please run: selftests/setup.sh demo"
if ldd "$nginx" | grep 'not found'; then
	die "nginx lacks these libraries"
fi

step "Documents"
rm -rf "$out"
mkdir -p "$out"
"$demo/documents.sh" "$out/www" "$kernel"
find "$out/www" -type f -printf '%s\n' | sort -n |
	awk '{ s += $1; n[NR] = $1 }
	END { printf "%d files, %d bytes to %d bytes, %.1f MB in all\n", NR, n[1], n[NR], s / 1e6 }'

step "A virtual machine: 2 CPUs, Debian's kernel $kernel, gsched.ko, nginx (takes half a minute)"
selftests/vm.sh -k "$kernel" -c 2 -m 1024 -t 300 -o "$out" \
	-f "$nginx" -f "$demo/nginx.conf" -f "$demo/guest.sh" -f "$out/www" \
	-f build/samples/http_get -- sh guest.sh module "$count" | tee "$log" ||
	die "failed in the virtual machine, status $?"

# "module backend, Linux 6.1.0-13-amd64, 2 Ps": what http_get found it runs on
where=$(grep -m 1 '^module backend, ' "$log") || die "http_get did not use the module"

draw()
{
	"$timeline" -s "$where" "$@"
}
scene="http_get: 10 goroutines fetch pages from nginx"
crowd="http_get: $count goroutines fetch pages from nginx"

step "Timeline of G1 and 10 goroutines"
draw -w 96 -t "$scene" "$out/timeline.tsv"
step "Overview of G1 and $count goroutines"
draw -w 96 -f text-overview -t "$crowd" "$out/overview.tsv"
draw -f svg -t "$scene" -o "$out/timeline.svg" "$out/timeline.tsv"
draw -f svg-overview -t "$crowd" -o "$out/overview.svg" "$out/overview.tsv"

step "Pictures, for a web browser"
echo "$out/timeline.svg"
echo "$out/overview.svg"
