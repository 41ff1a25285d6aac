#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run benchmarks in a machine whose clock counts instructions: one nanosecond each.
# For differences that are lost in the noise of an ordinary run, such as what bench/
# registered measures; figures repeat to some parts in ten thousand. One CPU, Linux
# 6.1 (with two it hangs).
#
#   icount.sh [-n] [PROGRAM]...        default: registered
#
# -n: do not load the module.
#
# vm.sh starts the QEMU that PATH finds first: here that is one with other arguments.

set -eu

cd "$(dirname "$(readlink -f "$0")")/../.."
load=()
if [ "${1:-}" = -n ]; then
	load=(-n)
	shift
fi
[ $# -gt 0 ] || set -- registered

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export GSCHED_QEMU
GSCHED_QEMU=$(command -v qemu-system-x86_64)
cat >"$tmp/qemu-system-x86_64" <<'END'
#!/bin/bash
shopt -s extglob
args=()
for a; do
	case $a in
	tcg,*)			a=tcg ;;
	*' rdinit=/init')	a="${a/ tsc_early_khz=+([0-9])/} tsc_early_khz=1000000 nokaslr norandmaps" ;;
	esac
	args+=("$a")
done
exec "$GSCHED_QEMU" "${args[@]}" -icount shift=0,sleep=off \
	-rtc base=2024-01-01T00:00:00,clock=vm
END
chmod +x "$tmp/qemu-system-x86_64"

files=()
for program; do
	cp "build/bench/$program/gsched" "$tmp/$program"
	files+=(-f "$tmp/$program")
done
# shellcheck disable=SC2016 # it is the guest's shell that expands
PATH=$tmp:$PATH selftests/vm.sh -k 6.1 -c 1 -t 1200 "${load[@]}" "${files[@]}" -- sh -c '
	for p; do
		GSCHED_BACKEND=module "./$p" 1 || exit
	done' sh "$@"
