#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Install from Debian's packages what a make target needs.
#
#   setup.sh [lib|modules|vm|kernel|check|sanitize|valgrind|models|lint|demo|bench|insns]...
#                                                         (default: check)
#
# When nothing is missing this only asks dpkg, and takes some milliseconds.
# Two programs that guests run are extracted into the cache instead of being installed:
# CACHE/nginx/usr/sbin/nginx, whose package would start a daemon on this machine, and
# CACHE/gdb/usr/bin/gdb, the small one without Python, which excludes the other.
# CACHE/go is Go's newest release, of Debian's development branch (bench).

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
# Those that the benchmarks compare with.
peers="g++ libst-dev libboost-fiber-dev libuv1-dev liburing-dev golang-1.19-go wrk gnuplot-nox"
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
#
# apt_options are given to apt-get.
apt_options=()
extract()
{
	local name=$1 program=$2 tmp deb
	shift 2

	[ ! -x "$cache/$name/$program" ] || return 0
	say "extracting $* into $cache/$name"
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/$name.XXXXXX")
	(cd "$tmp" && apt-get -q ${apt_options[@]+"${apt_options[@]}"} download "$@" >&2) || {
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

# This machine's own sources of packages, with the development branch in the place of the
# release $1: the same servers and keys. In apt's format of a line each, and in its other one.
development_list()
{
	find /etc/apt -name '*.list' -exec sed -nE "s/^(deb .*) $1 main.*/\1 sid main/p" {} +
}

development_sources()
{
	find /etc/apt -name '*.sources' -exec awk -v release="$1" '
		BEGIN { RS = ""; FS = "\n" }
		$0 ~ "(^|\n)Suites:([^\n]* )?" release "( |\n|$)" {
			for (i = 1; i <= NF; i++)
				if ($i !~ /^(#|Suites:|Components:)/)
					print $i
			print "Suites: sid\nComponents: main\n"
		}' {} +
}

# Go's newest release, into CACHE/go. Lists and state of its own, kept for a day: this
# machine's packages stay what they are.
extract_newest_go()
{
	local own=$cache/apt-sid sources release version

	! compgen -G "$cache/go/usr/lib/go-*/bin/go" >/dev/null || return 0
	release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	mkdir -p "$own"/{lists,archives}/partial
	sources=$own/sid.list
	development_list "$release" >"$sources"
	if [ ! -s "$sources" ]; then
		sources=$own/sid.sources
		development_sources "$release" >"$sources"
	fi
	[ -s "$sources" ] || return
	apt_options=(-o "Dir::Etc::sourcelist=$sources" -o Dir::Etc::sourceparts=-
		-o "Dir::State::lists=$own/lists" -o "Dir::Cache=$own"
		-o Dir::State::status=/dev/null -o Acquire::Languages=none)
	if [ -z "$(find "$own/lists" -name '*_Packages*' -mtime -1)" ]; then
		apt-get -q "${apt_options[@]}" update >&2 || return
	fi
	version=$(apt-cache "${apt_options[@]}" depends golang-go |
		sed -nE 's/^ *Depends: golang-([0-9.]+)-go$/\1/p')
	[ -n "$version" ] || return
	extract go "usr/lib/go-$version/bin/go" "golang-$version-go" "golang-$version-src"
}

[ $# -gt 0 ] || set -- check
command -v dpkg-query >/dev/null || {
	say "this machine has no dpkg; please install: $modules $vm"
	exit 1
}

want=
nginx=no gdb=no go=no
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
	lint)		want="$want $modules $lint $peers" ;;
	bench)		want="$want $modules $vm $peers"; go=yes ;;
	insns)		want="$want $lib valgrind" ;;
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
[ $go = no ] || extract_newest_go || say "no newer Go: the benchmarks do without"
