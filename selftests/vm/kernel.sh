#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Get a guest kernel: Debian's packages, downloaded and extracted into the
# cache, never installed; or one that build-kernel.sh makes.
#
#   kernel.sh NAME          NAME: 6.1, 6.12, rt; built: debug, kcsan
#
# Prints one directory, which holds
#
#   vmlinuz     the kernel image
#   image       what QEMU's -kernel shall boot: the same, or uncompressed
#   build       its KDIR: make -C DIR/build M=... modules
#   release     what uname -r says in the guest
#   version     the version of Debian's packages
#   root/       where the packages were extracted; root/lib/modules/RELEASE
#
# A cached kernel is used as it is; GSCHED_REFRESH=1 looks for a newer one (and
# keeps the old one beside it). CACHE/kernels/NAME/current names the one in use.

set -eu
export LC_ALL=C

here=$(dirname "$(readlink -f "$0")")
cache=${GSCHED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gsched}

say()
{
	echo "kernel.sh: $*" >&2
}

die()
{
	say "$*"
	exit 1
}

# Print the package that PACKAGE depends on, of those that match PATTERN.
depends()
{
	apt-cache depends "$1" 2>/dev/null |
	awk -v p="^$2" '$1 ~ /Depends:$/ && $2 ~ p { print $2; exit }'
}

apt_update()
{
	if [ "$(id -u)" = 0 ]; then
		apt-get -q -o DPkg::Lock::Timeout=300 update >&2
	elif command -v sudo >/dev/null; then
		sudo apt-get -q -o DPkg::Lock::Timeout=300 update >&2
	else
		say "cannot refresh apt's lists without root; using them as they are"
	fi
}

# What is left out: drivers that no guest has the hardware for, 300 MB of them.
extract_image()
{
	local deb=$1 to=$2

	dpkg-deb --fsys-tarfile "$deb" | tar -C "$to" -x \
		--exclude='*/drivers/gpu' --exclude='*/drivers/media' \
		--exclude='*/drivers/net/ethernet' --exclude='*/drivers/net/wireless' \
		--exclude='*/drivers/infiniband' --exclude='*/drivers/iio' \
		--exclude='*/drivers/scsi' --exclude='*/drivers/staging' \
		--exclude='*/sound' --exclude='./usr' --exclude='./boot/System.map-*'
}

# Print the little-endian integer of SIZE bytes at OFFSET of FILE.
number()
{
	od -A n -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# Decompressing xz takes an emulated machine four seconds at each boot: unpack
# the ELF image once instead, which QEMU boots through the kernel's PVH entry.
# The offsets are those of Documentation/x86/boot.rst; the payload's last four
# bytes are its size.
unpack_image()
{
	local from=$1 to=$2 offset length

	offset=$(($(number "$from" 0x248 4) + ($(number "$from" 0x1f1 1) + 1) * 512))
	length=$(($(number "$from" 0x24c 4) - 4))
	if [ "$(number "$from" "$offset" 4)" = $((0x587a37fd)) ]; then
		tail -c "+$((offset + 1))" "$from" | head -c "$length" | xz -dc >"$to"
	else
		ln -s vmlinuz "$to"
	fi
}

# Fill the directory TMP, which will be renamed to FINAL.
fill()
{
	local meta=$1 tmp=$2 final=$3
	local image release headers common kbuild deb

	image=$(depends "linux-image-$meta" linux-image-)
	release=${image#linux-image-}
	headers=$(depends "linux-headers-$meta" linux-headers-)
	common=$(depends "$headers" linux-headers-.*-common)
	kbuild=$(depends "$headers" linux-kbuild-)

	say "downloading $image $headers $common $kbuild"
	(cd "$tmp" && apt-get -q download "$image" "$headers" "$common" "$kbuild" >&2) ||
		die "cannot download $image $headers $common $kbuild"

	mkdir "$tmp/root"
	for deb in "$tmp"/*.deb; do
		case ${deb##*/} in
		linux-image-*)	extract_image "$deb" "$tmp/root" ;;
		*)		dpkg -x "$deb" "$tmp/root" ;;
		esac
		rm "$deb"
	done

	# The only absolute path in the headers.
	sed -i "s,/usr/src/,$final/root/usr/src/," "$tmp/root/usr/src/$headers/Makefile"
	rm -f "$tmp/root/lib/modules/$release/build" "$tmp/root/lib/modules/$release/source"

	ln -s "root/boot/vmlinuz-$release" "$tmp/vmlinuz"
	ln -s "root/usr/src/$headers" "$tmp/build"
	unpack_image "$tmp/vmlinuz" "$tmp/image"
	[ -s "$tmp/vmlinuz" ] && [ -s "$tmp/build/Module.symvers" ] ||
		die "unexpected contents in the packages of $meta"
	echo "$release" >"$tmp/release"
	echo "${final##*/}" >"$tmp/version"
	chmod 755 "$tmp"
}

[ $# = 1 ] || die "usage: kernel.sh NAME"
name=$1
dir=$cache/kernels/$name
meta=''
case $name in
6.1)	meta=amd64 ;;
6.12)	meta=6.12-amd64 ;;
rt)	meta=rt-amd64 ;;
debug|kcsan) ;;
*)	die "no kernel '$name'; there are: 6.1 6.12 rt debug kcsan" ;;
esac

if [ -z "$meta" ]; then
	mkdir -p "$dir"
	exec 9>"$dir/lock"
	flock 9
	exec "$here/build-kernel.sh" "$name" "$(readlink -f "$dir")"
fi

if [ "${GSCHED_REFRESH:-0}" = 0 ] && [ -e "$dir/current/version" ]; then
	readlink -f "$dir/current"
	exit
fi

mkdir -p "$dir"
dir=$(readlink -f "$dir")
exec 9>"$dir/lock"
flock 9

# Somebody else may have fetched it while we waited for the lock.
if [ "${GSCHED_REFRESH:-0}" = 0 ] && [ -e "$dir/current/version" ]; then
	readlink -f "$dir/current"
	exit
fi

command -v apt-get >/dev/null || die "this machine has no apt-get to get Debian's kernels with"
apt_update
image=$(depends "linux-image-$meta" linux-image-)
[ -n "$image" ] || die "apt knows no linux-image-$meta"
version=$(apt-cache show --no-all-versions "$image" | awk '$1 == "Version:" { print $2 }')

if [ ! -e "$dir/$version/version" ]; then
	rm -rf "$dir"/tmp.*		# of an interrupted run; we hold the lock
	tmp=$(mktemp -d "$dir/tmp.XXXXXX")
	fill "$meta" "$tmp" "$dir/$version"
	mv -T "$tmp" "$dir/$version"
fi
ln -sfn "$version" "$dir/current.new"
mv -T "$dir/current.new" "$dir/current"
readlink -f "$dir/current"
