#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# "make lint": every check that needs no running program. All of them run; the
# exit status is 1 if any found something.

set -u
export LC_ALL=C

cd "$(dirname "$(readlink -f "$0")")/.." || exit
shopt -s nullglob
failed=0

# Run "$@" under a title; its output is shown, its failure remembered.
check()
{
	echo "== $1"
	shift
	if ! "$@"; then
		failed=1
		echo "== failed"
	fi
}

# $1: types to ignore; the rest: files
checkpatch()
{
	local source ignore=$1
	shift

	source=$(selftests/vm/linux-source.sh) || return
	perl "$source/scripts/checkpatch.pl" --strict --no-tree --quiet --no-summary \
		--show-types ${ignore:+--ignore "$ignore"} -f "$@"
}

# What does not apply outside of the kernel's tree:
#   LINUX_VERSION_CODE   compat.h is where we meet several kernels
#   CONSTANT_COMPARISON  taken in by "LINUX_VERSION_CODE < KERNEL_VERSION(...)"
#   PARENTHESIS_ALIGNMENT, OPEN_ENDED_LINE  as in include/trace/events/, whose
#                        name is what checkpatch itself goes by
#   BIT_MACRO            user space has no BIT(); checkpatch itself spares
#                        only headers below include/uapi/
run_checkpatch()
{
	local f ignore status=0

	for f in kmod/*.[ch] uapi/linux/*.h; do
		ignore=
		case $f in
		kmod/compat.h)	ignore=LINUX_VERSION_CODE,CONSTANT_COMPARISON ;;
		kmod/trace.h)	ignore=PARENTHESIS_ALIGNMENT,OPEN_ENDED_LINE ;;
		uapi/*)		ignore=BIT_MACRO ;;
		esac
		checkpatch "$ignore" "$f" || status=1
	done
	return $status
}

run_kernel_doc()
{
	local kernel

	kernel=$(selftests/vm/kernel.sh 6.1) || return
	perl "$kernel/build/scripts/kernel-doc" -none -Werror kmod/*.[ch] uapi/linux/*.h
}

# The compiler with W=1 and -Werror, and sparse, of which only what it says
# about our own files counts: kernel headers have warnings of their own.
run_kbuild()
{
	local log status=0

	log=$(mktemp)
	rm -rf "build/lint/$1"		# what is up to date is not looked at
	# Not quiet, whoever called: kbuild's words tell that sparse has run.
	MAKEFLAGS='' make --no-print-directory "build/lint/$1/gsched.ko" >"$log" 2>&1 || {
		status=1
		grep -E 'error|warning|\*\*\*' "$log"
	}
	if grep -E "build/lint/$1/(kmod|uapi)/[^ ]*: (warning|error):" "$log"; then
		status=1
	fi
	grep -q '^  CHECK ' "$log" || {
		echo "sparse did not run"
		status=1
	}
	rm -f "$log"
	return $status
}

run_clang_tidy()
{
	printf '%s\0' userlib/*.c userlib/samples/*.c selftests/*.c selftests/fuzz/*.c \
		selftests/bench/*.c selftests/bench/*/*.c selftests/soak/*.c selftests/vm/*.c |
	xargs -0 -n 1 -P "$(nproc)" sh -c 'clang-tidy --quiet "$0" -- -std=gnu11 -Wall -Wextra \
		-Iuserlib/include -Iuapi -Iselftests/bench -isystem build/kselftest 2>&1 |
		{ ! grep -v "warnings* generated\.$"; }'
}

run_shellcheck()
{
	shellcheck -S warning selftests/*.sh selftests/*/*.sh selftests/bench/*/*.sh userlib/samples/*.sh userlib/man/*.sh \
		selftests/vm/{alone,end,rc,splats} .ci/run
}

run_gofmt()
{
	local files

	files=$(/usr/lib/go-1.19/bin/gofmt -l selftests/bench) && [ -z "$files" ] || {
		echo "not as gofmt has it: $files"
		return 1
	}
}

# Every file that is or would be in git, but for the licenses' own texts.
run_spdx()
{
	local status=0 f

	while IFS= read -r -d '' f; do
		[ -f "$f" ] || continue
		head -n 3 "$f" | grep -q 'SPDX-License-Identifier: [A-Z]' || {
			echo "$f: no SPDX-License-Identifier in its first three lines"
			status=1
		}
	done < <(git ls-files -z -co --exclude-standard ':!LICENSES')
	return $status
}

check "checkpatch" run_checkpatch
check "kernel-doc" run_kernel_doc
check "kbuild 6.1: W=1, sparse" run_kbuild 6.1
check "kbuild 6.12: W=1, sparse" run_kbuild 6.12
check "clang-tidy" run_clang_tidy
check "shellcheck" run_shellcheck
check "gofmt" run_gofmt
check "SPDX" run_spdx
exit $failed
