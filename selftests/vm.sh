#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run a command in a virtual machine that has the module loaded.
#
#   vm.sh [-n] [-1] [-k KERNEL] [-c CPUS] [-m MB] [-t SECONDS] [-o OUTDIR]
#         [-d MB] [-s MB:US] [-f FILE]... -- COMMAND [ARG]...
#
#   -k KERNEL   see vm/kernel.sh; default 6.1
#   -c CPUS     default 2
#   -m MB       memory, default 1024
#   -t SECONDS  for all of it, default 600
#   -o OUTDIR   what COMMAND leaves in ./out comes here
#   -f FILE     goes to its base name in COMMAND's working directory, together
#               with the shared libraries it needs; a directory goes with all
#               that is in it
#   -d MB       a virtio disk of that size, with an ext4, mounted at ./disk; a
#               flush in the guest is an fdatasync() on the host
#   -s MB:US    a virtio disk that is slow, /dev/slow: each request takes US
#               microseconds, any number of them at the same time. It reads as
#               zeros, and forgets what is written (QEMU's null-co): for mapping
#               and reading. Its cache in the guest is an ordinary page cache, so
#               /proc/sys/vm/drop_caches makes its pages cold again.
#   -n          do not load the module; it is there as ./gsched.ko
#   -1          emulate all CPUs in turn, in one thread: for commands that load the module
#               again and again, without vm/alone, which says what is wrong with that
#
# COMMAND runs as root with exactly these arguments, in a writable directory; of
# its environment only PATH, HOME and TERM are set. Its stdout and stderr appear
# here on stdout as they come, and nothing else does. Then the module is
# unloaded, and the kernel log is read. Exit status:
#
#   125   a splat in the kernel log (which goes to stderr), or rmmod failed
#   124   not finished in time
#   126   the machine did not come up, or a FILE is missing
#   else  COMMAND's, 128 + N for signal N
#
# The guest: busybox, glibc's loader, users root, user (1000) and nobody (65534),
# lo, /proc, /sys, debugfs, tracefs, cgroup2, /dev/shm, 200,000 descriptors; in /vm are
# what starts and ends it, and the scripts alone and splats for commands.
# The image is a plain initramfs; output comes over QEMU's isa-debugcon ports
# (see vm/init.c), the console goes to a file. There is no KVM in it: a machine
# may have /dev/kvm and still not run a stock kernel under it.
#
# tsc=reliable: on a busy host the guest's clocksource watchdog would see the TSC
# and the HPET drift apart, declare the TSC unstable, and patch sched_clock() while
# all CPUs run it. An emulated CPU may then execute an int3 that is not there any
# more, which the kernel takes for its own bug.
#
# tsc_early_khz: the emulated TSC is the host's, and its rate is measured here. The
# guest would measure it against an emulated timer, be wrong by any factor when the
# host is busy just then, and keep a clock that is as wrong.
#
# maxcpus=1: the kernel patches its code during its start, too, and vm/alone says why no
# other CPU should execute it then. rc brings them up at its end. Without lpj, which is the
# TSC's rate at 250 ticks a second, each of them would take half a second to find it out.
#
# The slow disk has latency and not QEMU's throttling, which is a rate: a leaky
# bucket lets the first requests through at once, and then serves a hundred readers
# no faster than one. With -s 64:1000 a read of 4 KiB, or the fault of a cold page,
# takes 2.0 to 2.3 ms on a machine with two busy cores, one of a page in the cache less
# than a microsecond.
#
# GSCHED_KO=FILE takes that module instead of build/KERNEL/gsched.ko, which make
# otherwise brings up to date.

set -eu
export LC_ALL=C

here=$(dirname "$(readlink -f "$0")")
top=$(dirname "$here")
kernel=6.1 cpus=2 mb=1024 seconds=600 outdir='' load=yes threads=multi disk='' slow=''
files=() drives=()
qemu=''

say()
{
	echo "vm.sh: $*" >&2
}

die()
{
	say "$*"
	exit 126
}

usage()
{
	sed -n '/^#   vm.sh/,/^#$/s/^# *//p' "$0" >&2
	exit 126
}

while getopts k:c:m:t:o:f:d:s:n1 opt; do
	case $opt in
	k) kernel=$OPTARG ;;
	c) cpus=$OPTARG ;;
	m) mb=$OPTARG ;;
	t) seconds=$OPTARG ;;
	o) outdir=$OPTARG ;;
	f) files+=("$OPTARG") ;;
	d) disk=$OPTARG ;;
	s) slow=$OPTARG ;;
	n) load=no ;;
	1) threads=single ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage

tmp=$(mktemp -d "${TMPDIR:-/tmp}/vm.XXXXXX")
cleanup()
{
	if [ -n "$qemu" ] && kill -0 "$qemu" 2>/dev/null; then
		kill "$qemu"		# timeout(1) passes it on
	fi
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Bring the program build/vm/NAME up to date with vm/NAME.c.
build_tool()
{
	local to=$top/build/vm/$1

	[ ! "$to" -nt "$here/vm/$1.c" ] || return 0
	mkdir -p "$top/build/vm"
	gcc -std=gnu11 -O2 -Wall -Wextra -static -o "$to.$$" "$here/vm/$1.c" &&
		mv "$to.$$" "$to" || die "cannot build vm/$1.c"
}

# Print the shared libraries of the programs "$@", and their loader.
libraries()
{
	local lib libc

	# ldd fails for a static program among them: that is no error here.
	LD_LIBRARY_PATH=$top/build:${LD_LIBRARY_PATH:-} ldd "$@" 2>/dev/null |
		awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && $2 ~ /^\(/ { print $1 }' |
		sort -u >"$tmp/libs"
	cat "$tmp/libs"
	# pthread_exit and pthread_cancel load this one when they are called.
	libc=$(grep -m 1 '/libc\.so\.6$' "$tmp/libs") || return 0
	lib=$(dirname "$libc")/libgcc_s.so.1
	[ ! -e "$lib" ] || echo "$lib"
}

# Print the ELF programs and libraries below the directory $1, NUL-separated.
elf_files()
{
	find "$1" -type f \( -perm /111 -o -name '*.so*' \) ! -name '*.ko' -print0 |
	while IFS= read -r -d '' f; do
		if [ "$(head -c 4 "$f" | tr -d '\0')" = $'\x7fELF' ]; then
			printf '%s\0' "$f"
		fi
	done
}

# Lay out the guest's root file system in $1; the rest is COMMAND.
make_root()
{
	local root=$1 f lib elves
	shift

	mkdir -p "$root"/{usr/{bin,sbin,lib/x86_64-linux-gnu,lib64},dev,proc,sys,run,tmp,etc,root,vm,test} \
		"$root"/var/{tmp,log,lib} "$root/home/user"
	for f in bin sbin lib lib64; do
		ln -s "usr/$f" "$root/$f"
	done
	ln -s /run "$root/var/run"
	chmod 1777 "$root/tmp" "$root/var/tmp"
	chmod 777 "$root/test" "$root/home/user"

	cp "$(command -v busybox)" "$root/usr/bin/busybox"
	ln -s busybox "$root/usr/bin/sh"
	cp "$here"/vm/{rc,end,alone,splats,splat.patterns} "$root/vm/"
	build_tool init
	cp "$top/build/vm/init" "$root/init"
	printf '%s\0' "$@" >"$root/vm/argv"
	[ $load = yes ] || : >"$root/vm/noload"

	printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'user:x:1000:1000:user:/home/user:/bin/sh' \
		'nobody:x:65534:65534:nobody:/nonexistent:/bin/sh' >"$root/etc/passwd"
	printf '%s\n' 'root:x:0:' 'user:x:1000:' 'nogroup:x:65534:' >"$root/etc/group"
	printf '%s\n' '127.0.0.1 localhost vm' '::1 localhost' >"$root/etc/hosts"
	printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' 'services: files' >"$root/etc/nsswitch.conf"
	: >"$root/etc/resolv.conf"

	cp "$ko" "$root/test/gsched.ko"
	for f in ${files[@]+"${files[@]}"}; do
		[ -e "$f" ] || die "no such file: $f"
		# A link named on the command line is followed, links inside are kept.
		cp -a "$(readlink -f "$f")" "$root/test/$(basename "$f")" || die "cannot copy $f"
	done

	mapfile -d '' elves < <(elf_files "$root/test")
	[ ${#elves[@]} -gt 0 ] || return 0
	while read -r lib; do
		case $lib in
		*/ld-linux*)	cp -L "$lib" "$root/usr/lib64/" ;;
		"$root"/*)	;;
		*)		cp -L "$lib" "$root/usr/lib/x86_64-linux-gnu/" ;;
		esac
	done < <(libraries "${elves[@]}")
}

# Put the kernel module NAME ("NN-NAME.ko": in order) into the directory $1, unless
# it is built in.
add_module()
{
	local to=$1 n=$2 name=$3 f

	f=$(find "$kdir/root/lib/modules" -name "$name.ko*" -print -quit)
	case $f in
	'')	;;
	*.xz)	xz -dc "$f" >"$to/$n-$name.ko" ;;
	*)	cp "$f" "$to/$n-$name.ko" ;;
	esac
}

# What vm/rc needs to have the disks, into the root file system $1.
make_disk_modules()
{
	local n=10 name names

	[ -n "$disk$slow" ] || return 0
	names="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk"
	[ -z "$disk" ] || names="$names crc16 crc32c_generic mbcache jbd2 ext4"
	mkdir "$1/vm/modules"
	for name in $names; do
		add_module "$1/vm/modules" $n "$name"
		n=$((n + 1))
	done
}

# Add a virtio disk to drives[]: the name that rc knows it by, what QEMU keeps it on.
add_drive()
{
	drives+=(-blockdev "$2,node-name=$1" -object "iothread,id=$1-io"
		-device "virtio-blk-pci,drive=$1,serial=$1,iothread=$1-io")
}

make_drives()
{
	if [ -n "$disk" ]; then
		truncate -s "${disk}M" "$tmp/disk" &&
		PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 \
			"$tmp/disk" >&2 || die "cannot make a disk of $disk MB"
		add_drive disk "driver=file,filename=$tmp/disk"
	fi
	if [ -n "$slow" ]; then
		add_drive slow "driver=null-co,read-zeroes=on,size=$((${slow%:*} << 20)),latency-ns=${slow#*:}000"
	fi
}

# The kernel's options for its devices. A kernel that checks its locks (the built ones do)
# takes it ill of 8250's console that it sleeps, on PREEMPT_RT, for a lock within whatever
# printed; the early console takes none. And where interrupts go ACPI finds out by
# interpreting a program, which takes half a minute for each disk there, or gives up.
devices()
{
	case $kernel in
	debug|kcsan)	echo "earlycon=uart8250,io,0x3f8,115200n8 keep_bootcon console=none pci=noacpi" ;;
	*)		echo "console=ttyS0" ;;
	esac
}

# Print the number of the first line of FILE that tells of a splat, if there is one.
first_splat()
{
	"$here/vm/splats" "$1" | head -n 1 | cut -d: -f1
}

ko=${GSCHED_KO:-$top/build/$kernel/gsched.ko}
if [ -z "${GSCHED_KO:-}" ]; then
	make -s -C "$top" "build/$kernel/gsched.ko" >&2 || die "cannot build $ko"
fi
[ -e "$ko" ] || die "no such file: $ko"

kdir=$("$here/vm/kernel.sh" "$kernel") || die "no kernel $kernel"
make_root "$tmp/root" "$@"
make_disk_modules "$tmp/root"
make_drives
(cd "$tmp/root" && find . -print0 | cpio -0 -o -H newc -R 0:0 --quiet) >"$tmp/initrd" ||
	die "cannot make the initramfs"
rm -rf "$tmp/root"

build_tool tsc
khz=$("$top/build/vm/tsc")
append="$(devices) maxcpus=1 quiet panic=-1 no_timer_check tsc=reliable${khz:+ tsc_early_khz=$khz lpj=$((khz * 4))} log_buf_len=8M rdinit=/init"

mkfifo "$tmp/stdout"
cat "$tmp/stdout" &
cat=$!
timeout -k 10 "$seconds" qemu-system-x86_64 \
	-cpu max -accel "tcg,thread=$threads" -smp "$cpus" -m "$mb" \
	-nodefaults -no-user-config -display none -monitor none -no-reboot \
	-serial "file:$tmp/console" \
	-chardev "file,id=out,path=$tmp/stdout" -device isa-debugcon,iobase=0xe9,chardev=out \
	-chardev "file,id=end,path=$tmp/end.tar" -device isa-debugcon,iobase=0xea,chardev=end \
	-device isa-debug-exit,iobase=0xf4,iosize=4 ${drives[@]+"${drives[@]}"} \
	-kernel "$kdir/image" -initrd "$tmp/initrd" \
	-append "$append" \
	</dev/null >/dev/null 2>"$tmp/qemu.err" &
qemu=$!
qemu_status=0
wait "$qemu" || qemu_status=$?
qemu=''
if [ -s "$tmp/qemu.err" ]; then
	cat "$tmp/qemu.err" >&2
fi
: <>"$tmp/stdout"	# lets cat go if QEMU failed before it opened the fifo
wait "$cat"
[ -e "$tmp/console" ] || die "QEMU did not start"

mkdir "$tmp/end"
: >>"$tmp/end.tar"
ended=no
if [ -s "$tmp/end.tar" ] && tar -C "$tmp/end" -xzmf "$tmp/end.tar"; then
	ended=yes
fi
if [ $ended = yes ] && [ -n "$outdir" ] && [ -d "$tmp/end/out" ]; then
	mkdir -p "$outdir"
	cp -a --no-preserve=ownership "$tmp/end/out/." "$outdir/"
fi

# The console has what came before a crash; dmesg is complete when there was none.
log=$tmp/console
[ $ended = no ] || log=$tmp/end/dmesg
line=$(first_splat "$log")
if [ -z "$line" ]; then
	log=$tmp/console
	line=$(first_splat "$log")
fi
if [ -n "$line" ]; then
	tail -n "+$((line > 20 ? line - 20 : 1))" "$log" | head -n 200 >&2
	say "splats in the kernel log, by line:"
	"$here/vm/splats" "$log" | head -n 8 >&2
	exit 125
fi
if [ -e "$tmp/end/rmmod" ]; then
	cat "$tmp/end/rmmod" >&2
	say "rmmod gsched failed"
	exit 125
fi
if [ "$qemu_status" = 124 ] || [ "$qemu_status" = 137 ]; then
	tail -n 20 "$tmp/console" >&2
	say "not finished after $seconds seconds"
	exit 124
fi
if [ $ended = no ]; then
	tail -n 40 "$tmp/console" >&2
	die "the machine stopped before its end (QEMU's status: $qemu_status)"
fi
exit "$(cat "$tmp/end/status")"
