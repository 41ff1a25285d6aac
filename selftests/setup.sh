#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Install from Debian's packages what a make target needs.
#
#   setup.sh [lib|modules|vm|kernel|check|sanitize|valgrind|models|lint|demo|bench]...
#                                                         (default: check)
#
# When nothing is missing this only asks dpkg, and takes some milliseconds.
# Two programs that guests run are extracted into the cache instead of being installed:
# CACHE/nginx/usr/sbin/nginx, whose package would start a daemon on this machine, and
# CACHE/gdb/usr/bin/gdb, the small one without Python, which excludes the other.

set -eu

cache=${GSCHED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gsched}

# What a module needs beyond the compiler: kbuild calls bc and kmod, objtool
# needs libelf, and pahole (package dwarves) writes the BTF.
lib="build-essential"
modules="build-essential gcc-12 bc kmod dwarves libelf1 cpio xz-utils zstd"
vm="build-essential qemu-system-x86 busybox-static cpio e2fsprogs"
# To build a kernel, beyond what a module needs.
kernel="flex bison libelf-dev"
tests="libcurl4-openssl-dev libsqlite3-dev"
# For the tests of what "make install" installs, and of the manual pages.
install="g++ pkgconf groff-base mandoc valgrind"
# Libraries of gdb-minimal that are not always there.
gdb_libs="libdebuginfod1 libexpat1 libgmp10 libipt2 libmpfr6 libreadline8 libxxhash0"
lint="sparse clang-tidy shellcheck perl git xz-utils"

say()
{
	echo "setup.sh: $*" >&2
}

# Print those packages of "$@" that are not installed.
missing()
{
	dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
	awk '
	BEGIN { for (i = 1; i < ARGC; i++) want[ARGV[i]]; ARGC = 1 }
	$1 == "installed" { delete want[$2] }
	END { for (p in want) print p }' "$@" | sort
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		say "not root, and there is no sudo"
		return 1
	fi
}

install_packages()
{
	local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)

	say "installing: $*"
	as_root "${apt[@]}" update >&2 &&
	as_root "${apt[@]}" install -y --no-install-recommends "$@" >&2
}

# extract NAME PROGRAM PACKAGE...: the packages into CACHE/NAME, which then has PROGRAM
extract()
{
	local name=$1 program=$2 tmp deb
	shift 2

	[ ! -x "$cache/$name/$program" ] || return 0
	say "extracting $* into $cache/$name"
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/$name.XXXXXX")
	(cd "$tmp" && apt-get -q download "$@" >&2) || {
		rm -rf "$tmp"
		say "cannot download: $*"
		return 1
	}
	for deb in "$tmp"/*.deb; do
		dpkg -x "$deb" "$tmp"
	done
	rm -f "$tmp"/*.deb
	chmod 755 "$tmp"
	# Two at once: the first one wins, and mv -T refuses a full directory.
	mv -T "$tmp" "$cache/$name" 2>/dev/null || rm -rf "$tmp"
	[ -x "$cache/$name/$program" ]
}

[ $# -gt 0 ] || set -- check
command -v dpkg-query >/dev/null || {
	say "this machine has no dpkg; please install: $modules $vm"
	exit 1
}

want=
nginx=no gdb=no
for what in "$@"; do
	case $what in
	lib)		want="$want $lib" ;;
	modules)	want="$want $modules" ;;
	vm)		want="$want $modules $vm xz-utils" ;;
	kernel)		want="$want $modules $kernel xz-utils" ;;
	check)		want="$want $modules $vm $tests $install $gdb_libs xz-utils"; nginx=yes gdb=yes ;;
	sanitize)	want="$want $lib $tests xz-utils"; nginx=yes ;;	# gcc has the sanitizers
	valgrind)	want="$want $lib $tests valgrind xz-utils"; nginx=yes ;;
	models)		want="$want $lib spin" ;;
	lint)		want="$want $modules $lint" ;;
	bench)		want="$want $modules $vm" ;;
	demo)		want="$want $modules $vm"; nginx=yes ;;
	*)		say "unknown: $what"; exit 2 ;;
	esac
done

# shellcheck disable=SC2086 # lists of words
packages=$(missing $want | xargs)
if [ -n "$packages" ]; then
	# shellcheck disable=SC2086
	install_packages $packages || {
		say "apt-get failed; please install: $packages"
		exit 1
	}
fi
[ $nginx = no ] || extract nginx usr/sbin/nginx nginx nginx-common
[ $gdb = no ] || extract gdb usr/bin/gdb gdb-minimal
