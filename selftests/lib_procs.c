// SPDX-License-Identifier: GPL-2.0
/* Ps: how many, changing their number while goroutines run, using all of them. */
#include "lib_check.h"

#include <errno.h>

static int running, most, stop;

static void max_of(int *max, int v)
{
	int old = __atomic_load_n(max, __ATOMIC_RELAXED);

	while (v > old && !__atomic_compare_exchange_n(max, &old, v, 0, __ATOMIC_RELAXED,
						       __ATOMIC_RELAXED))
		;
}

/* Counts how many are between two library calls at the same time. */
static void busy(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		int64_t end = gs_now() + 20000;

		max_of(&most, __atomic_add_fetch(&running, 1, __ATOMIC_RELAXED));
		while (gs_now() < end)
			;
		__atomic_sub_fetch(&running, 1, __ATOMIC_RELAXED);
		gs_yield();
	}
	gs_wg_done(arg);
}

static int observe(int64_t ns)
{
	__atomic_store_n(&most, 0, __ATOMIC_RELAXED);
	gs_sleep(ns);
	return __atomic_load_n(&most, __ATOMIC_RELAXED);
}

static void bound(void)
{
	static const int wanted[] = { 4, 1, 2, 8, 3, 1, 6 };
	gs_wg wg = GS_WG_INIT;
	int before = 2, tries;
	unsigned int i;

	stop = 0;
	gs_wg_add(&wg, 10);
	for (i = 0; i < 10; i++)
		go(busy, &wg);
	for (i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		CHECK_EQ(before, gs_set_maxprocs(wanted[i]));
		before = wanted[i];
		CHECK_EQ(before, gs_set_maxprocs(0));
		/*
		 * Ps that are taken away go at the next call, but for good. How soon
		 * that comes is up to the kernel, when it has fewer CPUs than we Ps:
		 * in 200 ms every thread has had its turn.
		 */
		for (tries = 0; observe(200 * MS) > wanted[i]; tries++)
			CHECK(tries < 20);
		CHECK(observe(100 * MS) <= wanted[i]);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
}

TEST(maxprocs_is_a_bound)
{
	/* Who is between two calls executes, if nobody takes its P there. */
	setenv("GSCHED_DEBUG", "nohandoff,nopreempt", 1);
	EXPECT_EQ(0, run_on(2, bound));
}

static void reach(void)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	stop = 0;
	gs_wg_add(&wg, 4);
	for (i = 0; i < 4; i++)
		go(busy, &wg);
	/* On one CPU the four meet only if the kernel preempts them in the loop. */
	for (i = 0; i < 100 && observe(20 * MS) < 4; i++)
		;
	CHECK_EQ(4, most);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
}

TEST(maxprocs_is_reached)
{
	EXPECT_EQ(0, run_on(4, reach));
}

static void wrong(void)
{
	CHECK_EQ(-EINVAL, gs_set_maxprocs(1025));
	CHECK_EQ(-EINVAL, gs_set_maxprocs(INT32_MAX));
	CHECK_EQ(3, gs_set_maxprocs(-1));
	CHECK_EQ(3, gs_set_maxprocs(1024));
	CHECK_EQ(1024, gs_set_maxprocs(3));
	CHECK_EQ(3, gs_set_maxprocs(0));
}

TEST(maxprocs_limits)
{
	EXPECT_EQ(0, run_on(3, wrong));
}

/* The Gs of a P that retires, in its ring, next to run, and sleeping, all go on. */
static long rounds;

static void sleeper(void *arg)
{
	unsigned int r = (unsigned int)gs_id();

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		gs_sleep(rnd(&r) % 2000000);
		__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
	}
	gs_wg_done(arg);
}

static void yielder(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		gs_yield();
		__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
	}
	gs_wg_done(arg);
}

static void up_and_down(void)
{
	unsigned int r = test_seed();
	gs_wg wg = GS_WG_INIT;
	int i;

	stop = 0;
	gs_wg_add(&wg, 40);
	for (i = 0; i < 20; i++) {
		go(sleeper, &wg);
		go(yielder, &wg);
	}
	for (i = 0; i < TIMES(500); i++) {
		CHECK(gs_set_maxprocs(1 + rnd(&r) % 8) > 0);
		gs_sleep(rnd(&r) % 1000000);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
	CHECK(rounds > 100);
}

TEST(up_and_down_while_running)
{
	EXPECT_EQ(0, run_on(1, up_and_down));
}

/* Work of a hog is taken by others: it never comes to a step. */
static void quick(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELEASE);
}

static void hog(void)
{
	int done = 0, i;
	int64_t end;

	for (i = 0; i < 5; i++)
		go(quick, &done);
	/* No library call but the clock. */
	for (end = gs_now() + 5000 * MS; gs_now() < end;)
		if (__atomic_load_n(&done, __ATOMIC_RELAXED) == 5)
			return;
	CHECK_EQ(5, done);
}

TEST(a_hog_is_robbed)
{
	EXPECT_EQ(0, run_on(2, hog));
	EXPECT_EQ(0, run_on(4, hog));
}

/*
 * The same, while the other Ms are about to idle: a wake-up that gets lost here is
 * not made good by the pusher, who never comes to a step.
 */
static void hog_races_idle(void)
{
	unsigned int r = test_seed();
	int64_t end = gs_now() + 2000 * MS;
	int i;

	for (i = 0; i < 20000 && gs_now() < end; i++) {
		int64_t pause = gs_now() + rnd(&r) % 20000, late = pause + 5000 * MS;
		int done = 0;

		while (gs_now() < pause)
			;
		go(quick, &done);
		while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
			CHECK(gs_now() < late);
	}
	printf("# %d rounds\n", i);
}

TEST(no_wakeup_lost_to_a_hog)
{
	EXPECT_EQ(0, run_on(2, hog_races_idle));
	EXPECT_EQ(0, run_on(4, hog_races_idle));
}

static void wake(void *arg)
{
	__atomic_store_n((int64_t *)arg, gs_now(), __ATOMIC_RELAXED);
}

static void nap(void *arg)
{
	gs_sleep(5 * MS);
	wake(arg);
}

/* A timer on the hog's P, started after the other Ps have gone idle. */
static void hog_timer(void)
{
	int64_t when = 0, begin, end;

	gs_sleep(20 * MS);
	go(nap, &when);
	gs_yield();
	begin = gs_now();
	end = begin + 5000 * MS;
	while (!__atomic_load_n(&when, __ATOMIC_RELAXED))
		CHECK(gs_now() < end);
	CHECK(__atomic_load_n(&when, __ATOMIC_RELAXED) - begin < 2000 * MS);
}

TEST(a_hogs_timer_fires)
{
	EXPECT_EQ(0, run_on(2, hog_timer));
}

TEST_HARNESS_MAIN
