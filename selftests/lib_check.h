/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lib_check.h: tests whose bodies are goroutines, on 1, 2 and 4 Ps.
 *
 * The harness's ASSERT_* jumps to its own stack, so goroutines use CHECK: it says
 * where and what, and ends the test's process.
 */
#ifndef LIB_CHECK_H
#define LIB_CHECK_H

#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gsched.h>

#include "harness.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#ifdef __SANITIZE_THREAD__
/*
 * Each case is a process that leaves by _exit(), where TSan would forget its
 * reports, and sleeps for a second first.
 */
const char *__tsan_default_options(void) __attribute__((visibility("default")));
const char *__tsan_default_options(void)
{
	return "halt_on_error=1 atexit_sleep_ms=0";
}

/*
 * What orders a close after somebody else's use of the descriptor may be the kernel's:
 * an end of file, a readiness. A test may define more.
 */
#ifndef TSAN_SUPPRESSIONS
#define TSAN_SUPPRESSIONS ""
#endif
const char *__tsan_default_suppressions(void) __attribute__((visibility("default")));
const char *__tsan_default_suppressions(void)
{
	return "race:^close$\n" TSAN_SUPPRESSIONS;
}
#endif

/* How often: fewer times where each costs more. */
#define TIMES(n) (SANITIZED ? (n) / 10 : (n))

#define MS 1000000LL

/* A descriptor as a goroutine's argument: the caller's variable may be gone before it. */
#define FD_ARG(fd)	((void *)(intptr_t)(fd))
#define FD_OF(arg)	((int)(intptr_t)(arg))

/*
 * A loop's condition: @n times, but fewer, at least one in 20, where they are not done
 * by @end. Emulated CPUs are ten times slower.
 */
static inline int go_on(int i, int n, int64_t end)
{
	return i < n && (i <= n / 20 || gs_now() < end);
}

#define CHECK(cond) do {							\
	if (!(cond)) {								\
		fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #cond);	\
		_exit(1);							\
	}									\
} while (0)

#define CHECK_EQ(expected, seen) do {						\
	long long check_e = (long long)(expected), check_s = (long long)(seen);	\
	if (check_e != check_s) {						\
		fprintf(stderr, "# %s:%d: %s is %lld, not %s (%lld)\n", __FILE__,	\
			__LINE__, #seen, check_s, #expected, check_e);		\
		_exit(1);							\
	}									\
} while (0)

static void (*lib_check_body)(void);

static inline int lib_check_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	lib_check_body();
	return 0;
}

static inline int run_on(int procs, void (*body)(void))
{
	char n[16];

	snprintf(n, sizeof(n), "%d", procs);
	setenv("GSCHED_MAXPROCS", n, 1);
	lib_check_body = body;
	return gs_main(lib_check_main, 0, NULL);
}

FIXTURE(procs) { char unused; };
FIXTURE_VARIANT(procs) { int n; };
FIXTURE_VARIANT_ADD(procs, 1) { .n = 1 };
FIXTURE_VARIANT_ADD(procs, 2) { .n = 2 };
FIXTURE_VARIANT_ADD(procs, 4) { .n = 4 };
FIXTURE_SETUP(procs) { self->unused = 0; }
FIXTURE_TEARDOWN(procs) { self->unused = 0; }

/* TEST_GO(name) { body }: a test, run as the first goroutine. */
#define TEST_GO(name)						\
	static void go_##name(void);				\
	TEST_F_TIMEOUT(procs, name, 60)				\
	{							\
		EXPECT_EQ(0, run_on(variant->n, go_##name));	\
	}							\
	static void go_##name(void)

static inline void go(void (*fn)(void *), void *arg)
{
	CHECK_EQ(0, gs_go(fn, arg));
}

/* A seed from the clock, printed, or the one in SEED. */
static inline unsigned int test_seed(void)
{
	const char *s = getenv("SEED");
	unsigned int seed = s ? strtoul(s, NULL, 0) : (unsigned int)gs_now();

	printf("# SEED=%u\n", seed);
	fflush(stdout);
	return seed;
}

static inline unsigned int rnd(unsigned int *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

#endif /* LIB_CHECK_H */
