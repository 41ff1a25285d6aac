#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run the tests in several environments, one after the other (together they
# would disturb each other's timing), and sum up. "make check" builds first.
#
#   check.sh [models | native | tsan | asan | valgrind | vm:KERNEL:CPUS | vm-kernel:KERNEL:CPUS |
#            vm-delays:KERNEL:CPUS | vm-slow:KERNEL:CPUS | vm-slow-kmod:KERNEL:CPUS |
#            vm-slow-part:KERNEL:CPUS | vm-reload:KERNEL:CPUS | vm-slow-reload:KERNEL:CPUS |
#            faults | vm-faults:CPUS | soak:KERNEL:CPUS:SECONDS]...
#
# vm-kernel: without the tests of what the library does by itself; they know of the
# kernel only what others test, so one kernel is enough for them
#
# models: the protocols as spin sees them, see models.sh
# valgrind: those tests that the Makefile has chosen
# vm-delays: the tests of races, with a module in which their windows can be held open
# vm-reload: the tests that load the module many times, which the other machines leave out
# vm-slow: as vm, for a kernel on which all takes ten times as long
# vm-slow-kmod: only the tests that speak to the module themselves
# vm-slow-part: those of all that need few minutes, and yet go everywhere in the module
# faults: each allocation and user copy of the module fails in turn, see faults.sh
# vm-faults: all tests, while the kernel fails at random, see faults_run.sh
#
# The last line is "N passed, N failed, N skipped", counting single cases; the
# exit status is 1 if any failed or none passed.

set -eu -o pipefail

top=$(dirname "$(dirname "$(readlink -f "$0")")")
cd "$top"
shopt -s nullglob

# What some tests start. Found here by PATH, and in a guest in the working directory.
cache=${GSCHED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gsched}
nginx=$cache/nginx/usr/sbin/nginx
gdb=$cache/gdb/usr/bin/gdb
PATH=$PATH:${nginx%/*}:${gdb%/*}

pass=0 fail=0 skip=0
log=$(mktemp)
summary=$(mktemp)
failures=$(mktemp)
told=$(mktemp)
trap 'rm -f "$log" "$summary" "$failures" "$told"' EXIT

# Print the test programs DIR/KIND_* that there are sources for.
programs()
{
	local dir=$1 kind=$2 src

	for src in "selftests/$kind"_*.{c,cc}; do
		src=${src##*/}
		echo "$dir/${src%.*}"
	done
}

# Filter the names of programs: those whose results depend on the kernel's version.
ask_the_kernel()
{
	grep -v -E '/lib_(after|backtrace|cancel|chan.*|child|close|cond|cpus|cxx|dial|dump|echo_syscalls|embed|errno|explore.*|gdb|group|history.*|info|io_.*|jump|lock_thread|misuse|once|poll|profile|progress|runq|rwmutex|samples|schedtrace|select.*|sem|sigwait|spawn|stack|stop|sync|timerheap|trace)$|/fuzz$'
}

# Filter the names of programs: those that speak to the module themselves.
of_the_module()
{
	grep -E '/kmod_|/fuzz$'
}

# Filter: what reaches most of the module in a time that continuous integration has.
part()
{
	grep -E '/(kmod_(abi|block|close|enqueue|hold|hostile|limits|m|mmap|preempt|procs|ready|stops|trace)|lib_(blocking_stdio|preempt)|fuzz)$'
}

run_native()
{
	local list

	mapfile -t list < <(programs "$1/selftests" lib)
	[ "$1" != build ] || list+=(selftests/tool_*.sh)
	# kselftest's cases leave by _exit(), where TSan would forget its reports.
	GSCHED_BACKEND=epoll TSAN_OPTIONS="halt_on_error=1 ${TSAN_OPTIONS:-}" \
		selftests/run.sh "${list[@]}"
}

run_valgrind()
{
	GSCHED_BACKEND=epoll selftests/run.sh -t 300 build/valgrind/selftests/*
}

# Filter: tests that load the module themselves, many times.
load_the_module()
{
	grep -E '/kmod_(ladder|unload)$'
}

do_not_load_the_module()
{
	grep -v -E '/kmod_(ladder|unload)$'
}

# run_vm_reload KERNEL:CPUS [SLOWNESS]: see vm.sh -1
run_vm_reload()
{
	local kernel=${1%:*} cpus=${1#*:} slowness=${2:-1} list files=() f

	mapfile -t list < <(programs selftests kmod | load_the_module)
	for f in "${list[@]}"; do
		files+=(-f "build/$f")
	done
	selftests/vm.sh -1 -k "$kernel" -c "$cpus" -t $((600 * slowness)) "${files[@]}" \
		-f selftests/run.sh \
		-- env TEST_SLOWNESS="$slowness" \
		./run.sh -k -t $((120 * slowness)) "${list[@]/#selftests/.}"
}

# run_vm KERNEL:CPUS FILTER [SLOWNESS]
run_vm()
{
	local kernel=${1%:*} cpus=${1#*:} slowness=${3:-1} list f

	mapfile -t list < <({ programs selftests kmod; programs selftests lib; echo fuzz/fuzz; } |
		"$2" | do_not_load_the_module)
	# Only those: a slow kernel takes long to unpack all.
	rm -rf build/vm/selftests
	mkdir -p build/vm/selftests
	for f in "${list[@]}"; do
		[ "${f%/*}" != selftests ] || ln -f "build/$f" build/vm/selftests/
	done
	selftests/vm.sh -k "$kernel" -c "$cpus" -m 2048 -t $((1800 * slowness)) -f build/vm/selftests \
		-f build/samples -f build/fuzz -f selftests/run.sh \
		-f "$nginx" -f "$gdb" \
		-d 64 -s 64:50000 \
		-- env GSCHED_BACKEND=module TEST_SLOWNESS="$slowness" PATH=/usr/sbin:/usr/bin:/test \
		./run.sh -k -t $((120 * slowness)) "${list[@]}"
}

run_vm_delays()
{
	local kernel=${1%:*} cpus=${1#*:}

	GSCHED_KO=build/$kernel-delays/gsched.ko selftests/vm.sh -k "$kernel" -c "$cpus" \
		-f build/selftests -f selftests/run.sh \
		-- env GSCHED_BACKEND=module ./run.sh -k selftests/kmod_races \
		selftests/kmod_block selftests/kmod_hold selftests/kmod_preempt \
		selftests/lib_bound
}

# Those that unload the module would leave the others without it.
run_vm_faults()
{
	local list

	mapfile -t list < <({ programs selftests kmod; programs selftests lib; } |
		grep -v -E '/(kmod_(faults|ladder|unload)|lib_(gdb|samples))$')
	selftests/vm.sh -k debug -c "$1" -m 2048 -t 18000 -f build/selftests \
		-f selftests/faults_run.sh \
		-- env GSCHED_BACKEND=module ./faults_run.sh "${list[@]}"
}

# The same seed each time: a round that fails can be run alone.
run_soak()
{
	local kernel cpus seconds

	IFS=: read -r kernel cpus seconds <<<"$1"
	selftests/soak/run.sh "$kernel" "$cpus" "$seconds" 1
}

stage()
{
	case $1 in
	models)	selftests/models.sh ;;
	native)	run_native build ;;
	tsan)	run_native build/tsan ;;
	asan)	run_native build/asan ;;
	valgrind) run_valgrind ;;
	vm:*)	run_vm "${1#vm:}" cat ;;
	vm-kernel:*) run_vm "${1#vm-kernel:}" ask_the_kernel ;;
	vm-reload:*) run_vm_reload "${1#vm-reload:}" ;;
	vm-slow-reload:*) run_vm_reload "${1#vm-slow-reload:}" 10 ;;
	vm-slow:*) run_vm "${1#vm-slow:}" cat 10 ;;
	vm-slow-kmod:*) run_vm "${1#vm-slow-kmod:}" of_the_module 10 ;;
	vm-slow-part:*) run_vm "${1#vm-slow-part:}" part 10 ;;
	faults)	selftests/faults.sh ;;
	vm-faults:*) run_vm_faults "${1#vm-faults:}" ;;
	vm-delays:*) run_vm_delays "${1#vm-delays:}" ;;
	soak:*)	run_soak "${1#soak:}" ;;
	*)	echo "check.sh: no environment '$1'" >&2; return 2 ;;
	esac
}

# Add a stage's numbers. One that fails although all its cases passed (a splat
# after the last test, a module that stays, no machine) counts as a failure.
account()
{
	local name=$1 status=$2 took=$3 p=0 f=0 s=0 totals

	totals=$(sed -n 's/^# Totals: pass:\([0-9]*\) fail:\([0-9]*\) skip:\([0-9]*\)$/\1 \2 \3/p' "$log" | tail -n 1)
	[ -z "$totals" ] || read -r p f s <<<"$totals"
	if [ "$status" != 0 ] && [ "$f" = 0 ]; then
		f=1
		name="$name (exit status $status)"
	fi
	grep -E '^(# failed:|not ok)' "$log" >"$told" || :
	# No case tells why: a machine that did not come up, or not to its end.
	[ "$status" = 0 ] || [ -s "$told" ] || tail -n 20 "$log" >"$told"
	sed "s/^/# $1: /" "$told" >>"$failures"
	pass=$((pass + p)) fail=$((fail + f)) skip=$((skip + s))
	printf '# %-16s %5d passed %5d failed %5d skipped %5d s\n' "$name" "$p" "$f" "$s" "$took" >>"$summary"
}

for name; do
	echo "# === $name"
	start=$SECONDS
	status=0
	stage "$name" 2>&1 | tee "$log" || status=$?
	account "$name" "$status" $((SECONDS - start))
done

if [ -s "$failures" ]; then
	echo "# === failed"
	cat "$failures"
fi
echo "# === all"
cat "$summary"
echo "$pass passed, $fail failed, $skip skipped"
[ $fail = 0 ] && [ $pass -gt 0 ]
