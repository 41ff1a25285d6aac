#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# "make install": programs in C and C++ are compiled by what pkg-config says, against the
# shared and the static library, and under the tools that look for faults.

set -u
export LC_ALL=C
# A make above this one is no business of the one below.
unset MAKEFLAGS MFLAGS MAKELEVEL

top=$(readlink -f "$(dirname "$(readlink -f "$0")")/..")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
prefix=$tmp/usr
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig GSCHED_BACKEND=epoll GSCHED_MAXPROCS=2
CC=${CC:-cc} CXX=${CXX:-c++}
n=0 failed=0

# result STATUS NAME: a line of TAP; what was written to $tmp/out only if it failed.
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		sed 's/^/# /' "$tmp/out"
		echo "not ok $n $2"
		failed=1
	fi
	: >"$tmp/out"
}

# attempt COMMAND...: its output is kept for result().
attempt()
{
	"$@" >>"$tmp/out" 2>&1
}

# flags [OPTION...] PACKAGE
flags()
{
	pkg-config --cflags --libs "$@" 2>>"$tmp/out"
}

# gives EXPECTED COMMAND...: it succeeds and prints just that.
gives()
{
	local expected=$1
	shift

	timeout 60 "$@" >"$tmp/printed" 2>>"$tmp/out" || return
	echo "$expected" | attempt diff - "$tmp/printed"
}

# complains TEXT COMMAND...: it fails and says TEXT.
complains()
{
	local text=$1
	shift

	attempt timeout 60 "$@" && return 1
	grep -q -e "$text" "$tmp/out"
}

cat >"$tmp/prog.c" <<'END'
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <gsched.h>

static gs_chan *squares;
static gs_wg running = GS_WG_INIT;
static int there, racy;

/* Two at the same time: what a thread runs one after the other is in order for TSan. */
static void race(void)
{
	if (__atomic_add_fetch(&there, 1, __ATOMIC_RELAXED) > 2)
		return;
	while (__atomic_load_n(&there, __ATOMIC_RELAXED) < 2)
		sched_yield();
	racy++;
}

static void square(void *arg)
{
	long n = (long)arg, r = n * n;
	volatile long *copy = malloc(sizeof(r));

	if (getenv("RACE"))
		race();
	copy[getenv("OVERFLOW") ? 1 : 0] = r;
	gs_sleep(1000000);
	gs_chan_send(squares, &r);
	free((void *)copy);
	gs_wg_done(&running);
}

static int run(int argc, char **argv)
{
	long r, sum = 0;

	(void)argv;
	squares = gs_chan_new(sizeof(long), 2);
	gs_wg_add(&running, 50);
	for (long n = 1; n <= 50; n++)
		if (gs_go(square, (void *)n))
			return 1;
	for (long n = 1; n <= 50; n++)
		if (gs_chan_recv(squares, &r) == 1)
			sum += r;
	gs_wg_wait(&running);
	gs_chan_unref(squares);
	printf("%ld\n", sum);
	return argc - 1;
}

int main(int argc, char **argv)
{
	return gs_main(run, argc, argv);
}
END

cat >"$tmp/prog.cc" <<'END'
#include <iostream>
#include <gsched.h>

struct task {
	gs_chan *out;
	long n;
};

static int run(int, char **)
{
	gs_group group = GS_GROUP_INIT;
	gs_chan *out = gs_chan_new(sizeof(long), 10);
	task tasks[10];
	long r, sum = 0;

	for (long n = 0; n < 10; n++) {
		tasks[n] = { out, n };
		gs_group_go(&group, [](void *arg) {
			auto *t = static_cast<task *>(arg);

			return gs_chan_send(t->out, &t->n);
		}, &tasks[n]);
	}
	if (gs_group_wait(&group) < 0)
		return 1;
	gs_chan_close(out);
	while (gs_chan_recv(out, &r) == 1)
		sum += r;
	gs_chan_unref(out);
	std::cout << sum << std::endl;
	return 0;
}

int main(int argc, char **argv)
{
	return gs_main(run, argc, argv);
}
END

echo "TAP version 13"
echo "1..20"

attempt make -C "$top" -s install PREFIX="$prefix"
result $? "make install"

# Word splitting of flags is meant everywhere below.
# shellcheck disable=SC2046
{
attempt $CC -O1 -Wall -Wextra -o "$tmp/shared" "$tmp/prog.c" $(flags gsched) &&
	gives 42925 env LD_LIBRARY_PATH="$prefix/lib" "$tmp/shared"
result $? "C, shared"

readelf -d "$tmp/shared" | grep -q 'NEEDED.*\[libgsched\.so\.0\]'
result $? "C, shared: needs the library by its soname"

attempt $CC -O1 -static -o "$tmp/static" "$tmp/prog.c" $(flags --static gsched) &&
	gives 42925 "$tmp/static"
result $? "C, static"

attempt $CXX -std=c++17 -O1 -Wall -Wextra -pedantic -Werror -o "$tmp/cxx" "$tmp/prog.cc" $(flags gsched) &&
	gives 45 env LD_LIBRARY_PATH="$prefix/lib" "$tmp/cxx"
result $? "C++, shared"

attempt $CXX -std=c++17 -O1 -static -o "$tmp/cxx-static" "$tmp/prog.cc" $(flags --static gsched) &&
	gives 45 "$tmp/cxx-static"
result $? "C++, static"

attempt $CC -g -O1 -o "$tmp/tsan" "$tmp/prog.c" $(flags gsched-tsan) && gives 42925 "$tmp/tsan"
result $? "ThreadSanitizer: nothing to say"
RACE=1 complains "data race" "$tmp/tsan"
result $? "ThreadSanitizer: finds a race of goroutines"

attempt $CC -g -O1 -o "$tmp/asan" "$tmp/prog.c" $(flags gsched-asan) && gives 42925 "$tmp/asan"
result $? "AddressSanitizer: nothing to say"
OVERFLOW=1 complains "heap-buffer-overflow" "$tmp/asan"
result $? "AddressSanitizer: finds an overflow in a goroutine"
}

# Threads that have not quite ended when the program does are "possibly lost".
memcheck=(valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite)
$CC -g -O1 -I"$prefix/include" -o "$tmp/plain" "$tmp/prog.c" "$prefix/lib/libgsched.a"
gives 42925 "${memcheck[@]}" "$tmp/plain"
result $? "valgrind: nothing to say"
OVERFLOW=1 complains "Invalid write" "${memcheck[@]}" "$tmp/plain"
result $? "valgrind: finds an overflow in a goroutine"

# Just what the header declares, with the version.
perl -0777 -ne 's{/\*.*?\*/}{}gs; s/^#.*//gm;
	print "$1\@\@GSCHED_0\n" while /GS_API.*?\b(gs_\w+)\(/gs' "$prefix/include/gsched.h" |
	sort >"$tmp/declared"
nm -D --defined-only --with-symbol-versions "$prefix/lib/libgsched.so" |
	awk '$2 != "A" { print $3 }' | sort >"$tmp/exported"
attempt diff "$tmp/declared" "$tmp/exported"
result $? "shared library: exports what the header declares, with a version"

for lib in libgsched libgsched-tsan libgsched-asan; do
	sed 's/@@.*//' "$tmp/declared" >"$tmp/names"
	nm --defined-only --extern-only "$prefix/lib/$lib.a" 2>>"$tmp/out" |
		awk 'NF == 3 && $3 !~ /^(__odr_asan|\.)/ { print $3 }' | sort | attempt diff "$tmp/names" -
	result $? "$lib.a: the same, and no names of its own"
done

attempt test "$(cat "$prefix/share/man/man3/gs_yield.3")" = ".so man3/gs_main.3"
result $? "manual pages: other names refer to the page"
"$top/userlib/man/pages.sh" names "$top"/userlib/man/*.[1-9] | while read -r name page; do
	[ -s "$prefix/share/man/man${page##*.}/$name.${page##*.}" ] || echo "no page: $name"
done >"$tmp/out"
[ ! -s "$tmp/out" ]
result $? "manual pages: all names"

attempt make -C "$top" -s install PREFIX=/opt/g DESTDIR="$tmp/dest" &&
	! grep -r -q "$tmp" "$tmp/dest"/opt/g/lib/pkgconfig &&
	(cd "$prefix" && find . ! -type d | sort) >"$tmp/one" &&
	(cd "$tmp/dest/opt/g" && find . ! -type d | sort) | attempt diff "$tmp/one" -
result $? "DESTDIR: the same files below it, which do not know it"

attempt make -C "$top" -s uninstall PREFIX=/opt/g DESTDIR="$tmp/dest" &&
	find "$tmp/dest" ! -type d >"$tmp/out" && [ ! -s "$tmp/out" ]
result $? "make uninstall leaves nothing"

exit $failed
