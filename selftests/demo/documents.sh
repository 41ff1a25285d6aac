#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fill a directory with the documents that the demo's server serves: real files
# of 600 bytes to 500 KB that are on this machine anyway.
#
#   documents.sh DIRECTORY KERNEL
#
# nginx's welcome page, Debian's licenses, and headers of the guest KERNEL.

set -eu

www=$1
kernel=$2
here=$(dirname "$(readlink -f "$0")")
cache=${GSCHED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gsched}

headers="linux/list.h linux/sched.h linux/pci.h linux/mm.h linux/pci_ids.h linux/fs.h
	linux/skbuff.h linux/netdevice.h linux/mfd/arizona/registers.h
	net/tcp.h net/sock.h net/cfg80211.h
	uapi/linux/eventpoll.h uapi/linux/ethtool.h uapi/linux/bpf.h uapi/linux/nl80211.h"

kdir=$("$here/../vm/kernel.sh" "$kernel")
# KDIR holds the generated headers; the sources' are in the package beside it.
include=$(echo "$kdir"/root/usr/src/linux-headers-*-common*/include)

rm -rf "$www"
mkdir -p "$www"
cp "$cache/nginx/usr/share/nginx/html/index.html" "$www/"
find /usr/share/common-licenses/ -type f -exec cp -t "$www" {} +
for h in $headers; do
	cp -t "$www" "$include/$h"
done
chmod 644 "$www"/*
