#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The demo's part in the virtual machine: start nginx, fetch from it.
#
#   guest.sh BACKEND COUNT

set -eu

export GSCHED_BACKEND="$1" GSCHED_MAXPROCS=2
count=$2
url=http://127.0.0.1

# The pages of the small scene, small and large ones in turn.
scene="index.html GPL-3 BSD mm.h Artistic skbuff.h LGPL-2.1 eventpoll.h fs.h MPL-2.0"

# All connections of the crowd may wait to be accepted at the same time.
echo 4096 >/proc/sys/net/core/somaxconn
echo 4096 >/proc/sys/net/ipv4/tcp_max_syn_backlog

failed()
{
	echo "guest.sh: $*"
	[ ! -s nginx.log ] || cat nginx.log
	exit 1
}

# nginx returns when it listens.
mkdir -p /var/lib/nginx out
./nginx -e /test/nginx.log -c /test/nginx.conf || failed "nginx does not start"
./nginx -v 2>&1 | sed 's/^nginx version: /server: /'

echo
echo "--- G1 fetches a page"
./http_get "$url/index.html" || failed "http_get: status $?"

echo
echo "--- $count goroutines"
# shellcheck disable=SC2046 # a list of words
./http_get -n "$count" -r www -t out/overview.tsv "$url/index.html" \
	$(cd www && printf "$url/%s " *) || failed "http_get: status $?"

echo
echo "--- 10 goroutines, to look at closely"
# shellcheck disable=SC2046
./http_get -n 10 -r www -t out/timeline.tsv $(printf "$url/%s " $scene) ||
	failed "http_get: status $?"

./nginx -e /test/nginx.log -c /test/nginx.conf -s stop
