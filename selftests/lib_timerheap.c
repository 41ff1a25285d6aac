// SPDX-License-Identifier: GPL-2.0
/* The heap of timers alone, against a plain array. Built from the library's source. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../userlib/timer.c"
/* No runtime here, so no sections in which a lock could be taken. */
#undef GS_DEBUG
#include "../userlib/lock.c"

#include "kselftest_harness.h"

struct runtime rt;

static int wakes;

static int count_wake(void)
{
	wakes++;
	return 0;
}

static const struct backend backend = { .wake = count_wake };

int64_t gs_now(void)
{
	return 1000;
}

#define TIMERS 1000

static struct timer timers[TIMERS];
static bool armed[TIMERS];
static struct gsched_m shared_m[2];
static struct m m[2];
static int64_t fired_last;
static int fired;

static void fire(struct m *at, struct timer *t)
{
	(void)at;
	if (t->when < fired_last)
		abort();
	fired_last = t->when;
	fired++;
	armed[t - timers] = false;
}

FIXTURE(heap) { unsigned int seed; };

FIXTURE_SETUP(heap)
{
	const char *s = getenv("SEED");
	struct timespec ts;
	int i;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	self->seed = s ? strtoul(s, NULL, 0) : (unsigned int)ts.tv_nsec;
	printf("# SEED=%u\n", self->seed);
	rt.procs = aligned_alloc(4096, 2 * sizeof(*rt.procs));
	rt.shared = aligned_alloc(4096, sizeof(*rt.shared));
	ASSERT_TRUE(rt.procs && rt.shared);
	memset(rt.procs, 0, 2 * sizeof(*rt.procs));
	memset(rt.shared, 0, sizeof(*rt.shared));
	rt.seen_procs = 2;
	rt.backend = &backend;
	for (i = 0; i < 2; i++) {
		m[i].shared = shared_m + i;
		shared_m[i].proc = i;
	}
	for (i = 0; i < TIMERS; i++)
		timers[i].fn = fire;
}

FIXTURE_TEARDOWN(heap)
{
	free(rt.procs);
	free(rt.shared);
}

static unsigned int rnd(unsigned int *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static int64_t least(void)
{
	int64_t when = 0;

	for (int i = 0; i < TIMERS; i++)
		if (armed[i] && (!when || timers[i].when < when))
			when = timers[i].when;
	return when;
}

static int count(void)
{
	int n = 0;

	for (int i = 0; i < TIMERS; i++)
		n += armed[i];
	return n;
}

TEST_F(heap, against_an_array)
{
	for (int step = 0; step < 20000; step++) {
		struct timer *t = timers + rnd(&self->seed) % TIMERS;
		bool was = armed[t - timers];

		if (was) {
			ASSERT_TRUE(timer_stop(m, t));
			armed[t - timers] = false;
		} else {
			ASSERT_FALSE(timer_stop(m, t));
			t->when = 1 + rnd(&self->seed) % 100000;
			ASSERT_EQ(0, timer_start(m, t));
			armed[t - timers] = true;
		}
		if (step % 16 == 0)
			ASSERT_EQ(least(), timers_next());
		if (step % 1000 == 999) {
			int64_t now = rnd(&self->seed) % 60000;
			int due = 0, before = count();

			for (int i = 0; i < TIMERS; i++)
				due += armed[i] && timers[i].when <= now;
			fired = 0;
			fired_last = 0;
			timers_run(m, rt.procs, &now);
			ASSERT_EQ(due, fired);
			ASSERT_EQ(before - due, count());
		}
	}
}

TEST_F(heap, moves_to_another_p)
{
	int64_t now = INT64_MAX;

	for (int i = 0; i < TIMERS; i++) {
		timers[i].when = 1 + rnd(&self->seed) % 1000;
		ASSERT_EQ(0, timer_start(m + i % 2, timers + i));
		armed[i] = true;
	}
	ASSERT_EQ(0, timers_move(rt.procs + 1, rt.procs));
	EXPECT_EQ(0, rt.procs[1].next_when);
	EXPECT_EQ(least(), rt.procs[0].next_when);
	EXPECT_FALSE(timers_run(m, rt.procs + 1, &now));
	EXPECT_TRUE(timer_stop(m, timers + 1));
	fired = 0;
	fired_last = 0;
	EXPECT_TRUE(timers_run(m, rt.procs, &now));
	EXPECT_EQ(TIMERS - 1, fired);
}

TEST_F(heap, kernels_clock)
{
	rt.clock_offset = 5000;
	timers[0].when = 100;
	ASSERT_EQ(0, timer_start(m, timers));
	EXPECT_EQ(5100, rt.procs[0].next_when);
	EXPECT_EQ(100, timers_next());
	timers[1].when = -1000000;
	ASSERT_EQ(0, timer_start(m, timers + 1));
	/* The beginning of the kernel's time, not "none". */
	EXPECT_EQ(1, rt.procs[0].next_when);
	EXPECT_TRUE(timer_stop(m, timers + 1));
	EXPECT_TRUE(timer_stop(m, timers));
	EXPECT_EQ(0, timers_next());
	rt.clock_offset = 0;
}

/* Who sleeps longer than the new timer allows is woken, nobody else. */
TEST_F(heap, wakes_who_oversleeps)
{
	timers[0].when = 500;
	timers[1].when = 400;
	timers[2].when = 600;
	ASSERT_EQ(0, timer_start(m, timers));
	EXPECT_EQ(0, wakes);
	rt.shared->nr_idle = 1;
	timers_sleep_begin(450);
	ASSERT_EQ(0, timer_start(m, timers + 1));
	EXPECT_EQ(1, wakes);
	ASSERT_EQ(0, timer_start(m, timers + 2));
	EXPECT_EQ(1, wakes);
	/* Nothing is known of the sleepers. */
	timers_sleep_end(450);
	timers[3].when = 100;
	ASSERT_EQ(0, timer_start(m, timers + 3));
	EXPECT_EQ(2, wakes);
	/* They sleep for ever. */
	timers_sleep_begin(0);
	timers[4].when = 50;
	ASSERT_EQ(0, timer_start(m, timers + 4));
	EXPECT_EQ(3, wakes);
}

/* A stop while the function runs waits for its end. */
static bool in_fn, fn_over;

static void slow(struct m *at, struct timer *t)
{
	(void)at;
	(void)t;
	__atomic_store_n(&in_fn, true, __ATOMIC_RELEASE);
	usleep(50000);
	__atomic_store_n(&fn_over, true, __ATOMIC_RELAXED);
}

static void *runner(void *arg)
{
	int64_t now = 1000;

	(void)arg;
	timers_run(m + 1, rt.procs, &now);
	return NULL;
}

TEST_F(heap, stop_waits)
{
	pthread_t thread;

	timers[0].fn = slow;
	timers[0].when = 10;
	ASSERT_EQ(0, timer_start(m, timers));
	ASSERT_EQ(0, pthread_create(&thread, NULL, runner, NULL));
	while (!__atomic_load_n(&in_fn, __ATOMIC_ACQUIRE))
		usleep(1000);
	EXPECT_FALSE(timer_stop(m, timers));
	EXPECT_TRUE(__atomic_load_n(&fn_over, __ATOMIC_RELAXED));
	pthread_join(thread, NULL);
	timers[0].fn = fire;
}

TEST_HARNESS_MAIN
