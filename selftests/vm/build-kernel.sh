#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build a guest kernel with more checks than any packaged one, from Debian's
# linux-source-6.1; kernel.sh calls it.
#
#   build-kernel.sh NAME DIRECTORY      NAME: debug, kcsan
#
# Makes DIRECTORY/VERSION-STAMP, laid out as kernel.sh says, and prints its path. The
# stamp is that of the configuration: config/base and config/NAME. With that directory
# there is nothing to do; GSCHED_REFRESH=1 looks for a newer version of the package, too.
#
# Of the built tree only what an external module needs is kept (about 60 MB). Building
# takes 10 to 15 minutes on two cores and, meanwhile, 3 GB.

set -eu -o pipefail
export LC_ALL=C

package=linux-source-6.1
here=$(dirname "$(readlink -f "$0")")

say()
{
	echo "build-kernel.sh: $*" >&2
}

die()
{
	say "$*"
	exit 1
}

# Download and unpack the sources into $1, which gets their version as $1/version.
get_source()
{
	local to=$1

	say "downloading $package"
	(cd "$to" && apt-get -q download "$package" >&2) ||
		die "cannot download $package; perhaps apt-get update helps"
	dpkg-deb -f "$to"/*.deb Version >"$to/version"
	mkdir "$to/tree"
	dpkg-deb --fsys-tarfile "$to"/*.deb | tar -xO "./usr/src/$package.tar.xz" |
		tar -C "$to/tree" -xJ --strip-components=1
	rm "$to"/*.deb
}

# Configure the tree $1. Kconfig drops silently what depends on something else: a check
# that is not there finds nothing, so what was asked for must have arrived.
configure()
{
	local tree=$1 want

	cat "$here/config/base" "$here/config/$name" >"$tree/fragment"
	make -s -C "$tree" CC=gcc-12 tinyconfig >&2
	(cd "$tree" && scripts/kconfig/merge_config.sh -m .config fragment) >/dev/null
	make -s -C "$tree" CC=gcc-12 olddefconfig >&2
	while read -r want; do
		grep -qxF "$want" "$tree/.config" || die "the configuration lost $want"
	done < <(grep -E '^CONFIG_.*=[ym]$' "$tree/fragment")
}

# Copy what modules are built with from the tree $1 to $2.
keep()
{
	local tree=$1 to=$2

	mkdir -p "$to"
	(
		cd "$tree"
		cp vmlinux.symvers Module.symvers
		find Makefile Kbuild .config Module.symvers System.map arch/x86/Makefile* \
			arch/x86/include include scripts tools/objtool/objtool \
			\( -name '*.o' -o -name '*.cmd' \) -prune -o -type f -print -o -type l -print
		echo scripts/module.lds
		echo include/config/auto.conf.cmd
	) | sort -u | tar -C "$tree" -c -T - | tar -C "$to" -x
	# As Debian's headers do: modules are built by the kernel's own compiler.
	sed -i 's/^\(CC\t*= $(CROSS_COMPILE)gcc\)$/\1-12/' "$to/Makefile"
}

[ $# = 2 ] || die "usage: build-kernel.sh NAME DIRECTORY"
name=$1 dir=$2
[ -e "$here/config/$name" ] || die "no configuration '$name'"
stamp=$(cat "$here/config/base" "$here/config/$name" | sha256sum | cut -c1-12)

if [ "${GSCHED_REFRESH:-0}" = 0 ]; then
	for have in "$dir"/*-"$stamp"/version; do
		[ ! -e "$have" ] || { dirname "$have"; exit; }
	done
fi

command -v apt-get >/dev/null || die "this machine has no apt-get to get $package with"
tmp=$(mktemp -d "$dir/tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
get_source "$tmp"
version=$(cat "$tmp/version")-$stamp
if [ ! -e "$dir/$version/version" ]; then
	configure "$tmp/tree"
	say "building the kernel $name; this takes 10 minutes or more"
	make -s -C "$tmp/tree" CC=gcc-12 -j"$(nproc)" bzImage modules_prepare >&2 ||
		die "cannot build the kernel $name"
	final=$tmp/final
	keep "$tmp/tree" "$final/build"
	cp "$tmp/tree/arch/x86/boot/bzImage" "$final/vmlinuz"
	ln -s vmlinuz "$final/image"
	cp "$tmp/tree/include/config/kernel.release" "$final/release"
	mkdir -p "$final/root/lib/modules"
	echo "$version" >"$final/version"
	chmod 755 "$final"
	mv -T "$final" "$dir/$version"
fi
echo "$dir/$version"
