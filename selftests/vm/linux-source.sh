#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Get the few files of the kernel's sources that are used here: checkpatch.pl
# with its word lists, and kselftest's headers. Prints the directory, laid out
# as in the kernel's tree. Debian's linux-source-6.1 is downloaded for it
# (139 MB, once), and not kept.

set -eu
export LC_ALL=C

cache=${GSCHED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gsched}
package=linux-source-6.1
files=(scripts/checkpatch.pl scripts/spelling.txt scripts/const_structs.checkpatch
	tools/testing/selftests/kselftest.h tools/testing/selftests/kselftest_harness.h)

die()
{
	echo "linux-source.sh: $*" >&2
	exit 1
}

dir=$cache/$package
if [ -d "$dir" ]; then
	echo "$dir"
	exit
fi

mkdir -p "$cache"
exec 9>"$cache/$package.lock"
flock 9
if [ -d "$dir" ]; then		# somebody else fetched it meanwhile
	echo "$dir"
	exit
fi

command -v apt-get >/dev/null || die "this machine has no apt-get to get $package with"
rm -rf "$dir".tmp.*		# of an interrupted run; we hold the lock
tmp=$(mktemp -d "$dir.tmp.XXXXXX")
echo "linux-source.sh: downloading $package" >&2
(cd "$tmp" && apt-get -q download "$package" >&2) ||
	die "cannot download $package; perhaps apt-get update helps"
mkdir "$tmp/tree"
dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -xO "./usr/src/$package.tar.xz" |
	tar -C "$tmp/tree" -xJ --strip-components=1 "${files[@]/#/$package/}" ||
	die "unexpected contents in $package"
(cd "$tmp/tree" && ls "${files[@]}" >/dev/null)
mv -T "$tmp/tree" "$dir"
rm -r "$tmp"
echo "$dir"
