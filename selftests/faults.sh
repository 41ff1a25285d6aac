#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Make the kernel fail under the module, and see that nothing is left out.
#
#   faults.sh [-s] [LOG]
#
# Runs kmod_faults on the kernel "debug", and then goes through all places in kmod/ that
# allocate memory, copy from or to user space, or register something: each must have been
# made to fail at least once. A place whose line says that it "cannot fail" must not have
# been.
#
#   -s    only look at the sites of a run whose output is in LOG
#
# Prints TAP like run.sh, and the same last line.

set -eu -o pipefail
export LC_ALL=C

top=$(dirname "$(dirname "$(readlink -f "$0")")")
cd "$top"
kernel=debug
ko=build/$kernel-faults/gsched.ko

# The calls that can fail. What is left out can only be found missing by reading.
calls='k[vmz]*alloc[a-z_]*|k[a-z]*dup|kasprintf|kmem_cache_alloc[a-z_]*|kvcalloc|v[mz]alloc[a-z_]*'
calls+='|vmap|alloc_pages?[a-z_]*|get_zeroed_page|__get_free_pages?|bitmap_z?alloc|z?alloc_cpumask_var'
calls+='|alloc_percpu[a-z_]*|xa_(alloc|store|insert|reserve|cmpxchg)[a-z_]*|idr_alloc[a-z_]*'
calls+='|alloc_workqueue|misc_register|register_kprobe|copy_struct_from_user|copy_(from|to)_user'
calls+='|get_user|put_user|clear_user|strndup_user|memdup_user'

run_tests()
{
	make -s "$ko" build/selftests/kmod_faults >&2
	GSCHED_KO=$ko selftests/vm.sh -1 -k $kernel -t 3600 -f build/selftests/kmod_faults \
		-f selftests/run.sh \
		-- env TEST_SLOWNESS=10 ./run.sh -k -t 3000 ./kmod_faults
}

# Print "FILE FIRST LAST TEXT" for each place in the sources: the lines of its statement.
sites()
{
	local f

	for f in kmod/*.c; do
		awk -v file="$f" -v calls="(^|[^a-z0-9_])($calls)\\\\(" '
			/^[ \t]*\/?\*/ { next }
			first { last = NR }
			!first && $0 ~ calls {
				first = last = NR
				text = $0
				sub(/^[ \t]*/, "", text)
			}
			first && /[;{][ \t]*(\/\*.*)?$/ {
				print file, first, last, text
				first = 0
			}' "$f"
	done
}

# Print "FILE LINE KIND" for each "KIND SYMBOL+OFFSET/SIZE" that kmod_faults has printed.
# What the log names is where a call returns to, hence the byte before.
faults()
{
	local kind where sym section start

	objdump -t "$ko" | awk '$3 == "F" { print $NF, $(NF - 2), $1 }' \
		>"$tmp/symbols"
	sed -n 's/^[# ]*site //p' "$1" | sort -u | while read -r kind where; do
		sym=${where%%+*} where=${where#*+} where=${where%/*}
		read -r _ section start < <(grep -m 1 "^$sym " "$tmp/symbols") || continue
		addr2line -i -e "$ko" -j "$section" "$(printf '%#x' $((0x$start + where - 1)))" |
			sed -n 's,^.*/\(kmod/[a-z_]*\.c\):\([0-9]*\).*,\1 \2 '"$kind"',p' | head -n 1
	done
}

# Print the kinds of the faults in FILE's lines FIRST to LAST.
kinds()
{
	awk -v file="$1" -v first="$2" -v last="$3" '
		$1 == file && $2 >= first && $2 <= last { print $3 }' "$tmp/faults" |
		sort -u | paste -sd ' '
}

cpumask_on_stack()
{
	! grep -q '^CONFIG_CPUMASK_OFFSTACK=y' "$(cat "build/$kernel/kernel")/build/.config"
}

# Judge one place.
site()
{
	local n=$1 file=$2 first=$3 last=$4 text=$5 seen

	seen=$(kinds "$file" "$first" "$last")
	case $text in
	*'cannot fail'*)
		if [ -z "$seen" ]; then
			echo "ok $n $file:$first: $text"
			return
		fi ;;
	*alloc_cpumask_var*)
		if [ -z "$seen" ] && cpumask_on_stack; then
			echo "ok $n $file:$first: $text # SKIP this kernel's are no memory"
			return
		fi ;;
	*alloc_percpu*)
		if [ -z "$seen" ]; then
			echo "ok $n $file:$first: $text # SKIP taken from a chunk that is there"
			return
		fi ;;
	esac
	if [ -n "$seen" ]; then
		echo "ok $n $file:$first: $text ($seen)"
	else
		echo "not ok $n $file:$first: $text # never made to fail"
	fi
}

only_sites=no
while getopts s opt; do
	case $opt in
	s) only_sites=yes ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
status=0
if [ $only_sites = no ]; then
	run_tests | tee "$tmp/log" || status=$?
else
	cp "$1" "$tmp/log"
fi

sites >"$tmp/sites"
faults "$tmp/log" >"$tmp/faults"
echo "# === where something was made to fail"
n=0
while read -r file first last text; do
	n=$((n + 1))
	site $n "$file" "$first" "$last" "$text"
done <"$tmp/sites" | tee "$tmp/result"

pass=0 fail=0 skip=0
totals=$(sed -n 's/^# Totals: pass:\([0-9]*\) fail:\([0-9]*\) skip:\([0-9]*\)$/\1 \2 \3/p' "$tmp/log" |
	tail -n 1)
[ -z "$totals" ] || read -r pass fail skip <<<"$totals"
skipped=$(grep -c '^ok .*# SKIP' "$tmp/result" || :)
skip=$((skip + skipped))
pass=$((pass + $(grep -c '^ok' "$tmp/result" || :) - skipped))
fail=$((fail + $(grep -c '^not ok' "$tmp/result" || :)))
echo "# Totals: pass:$pass fail:$fail skip:$skip"
[ $status = 0 ] || exit $status
[ $fail = 0 ] && [ $pass -gt 0 ]
