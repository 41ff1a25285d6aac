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

#include "harness.h"

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
			int64_t now = 1 + rnd(&self->seed) % 60000;
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

/* Who does not park wants the kernel's tick, too, if that is not on. */
TEST_F(heap, tick_for_who_goes_on)
{
	wakes = 0;
	rt.clock_offset = 5000;
	rt.shared->tick_on = 1;
	timers[0].when = 500;
	ASSERT_EQ(0, timer_start_apart(m, timers));
	EXPECT_EQ(0, wakes);
	rt.shared->tick_on = 0;
	rt.shared->tick_next = 5400;
	timers[1].when = 450;
	ASSERT_EQ(0, timer_start_apart(m, timers + 1));
	EXPECT_EQ(0, wakes);
	timers[2].when = 300;
	ASSERT_EQ(0, timer_start_apart(m, timers + 2));
	EXPECT_EQ(1, wakes);
	rt.shared->tick_next = 0;
	timers[3].when = 200;
	ASSERT_EQ(0, timer_start_apart(m, timers + 3));
	EXPECT_EQ(2, wakes);
	/* Not the first of its heap: whoever looks at that one sees it. */
	timers[4].when = 250;
	ASSERT_EQ(0, timer_start_apart(m, timers + 4));
	EXPECT_EQ(2, wakes);
	rt.clock_offset = 0;
}

TEST_F(heap, no_m_uses_p0)
{
	int64_t now = 10;

	timers[0].when = 10;
	ASSERT_EQ(0, timer_start_apart(NULL, timers));
	EXPECT_EQ(10, rt.procs[0].next_when);
	armed[0] = true;
	fired = 0;
	fired_last = 0;
	EXPECT_TRUE(timers_run(m + 1, rt.procs, &now));
	EXPECT_EQ(1, fired);
	timers[0].when = 20;
	ASSERT_EQ(0, timer_start_apart(NULL, timers));
	EXPECT_TRUE(timer_stop(NULL, timers));
	EXPECT_EQ(0, rt.procs[0].next_when);
}

/* ------------------------------------------------------------------- periodic */

static int ticks[TIMERS];

static void tick(struct m *at, struct timer *t)
{
	(void)at;
	ticks[t - timers]++;
}

static void timers_run_all_at(int64_t now)
{
	for (int i = 0; i < 2; i++)
		timers_run(m, rt.procs + i, &now);
}

static int run_at(int64_t now)
{
	int before = ticks[0];

	timers_run(m, rt.procs, &now);
	return ticks[0] - before;
}

TEST_F(heap, ticks)
{
	timers[0] = (struct timer){ .when = 100, .period = 10, .fn = tick };
	ASSERT_EQ(0, timer_start(m, timers));
	EXPECT_EQ(0, run_at(99));
	EXPECT_EQ(1, run_at(100));
	EXPECT_EQ(110, timers_next());
	EXPECT_EQ(0, run_at(109));
	EXPECT_EQ(1, run_at(119));
	EXPECT_EQ(120, timers_next());
	/* Late by more than a period: those times are left out, the grid stays. */
	EXPECT_EQ(1, run_at(165));
	EXPECT_EQ(170, timers_next());
	EXPECT_EQ(1, run_at(170));
	EXPECT_EQ(180, timers_next());
	EXPECT_TRUE(timer_stop(m, timers));
	EXPECT_FALSE(timer_stop(m, timers));
	EXPECT_EQ(0, timers_next());
	EXPECT_EQ(0, run_at(1000));
}

TEST_F(heap, ticks_to_the_end_of_time)
{
	timers[0] = (struct timer){ .when = 100, .period = INT64_MAX, .fn = tick };
	ASSERT_EQ(0, timer_start(m, timers));
	EXPECT_EQ(1, run_at(200));
	EXPECT_EQ(INT64_MAX, timers_next());
	EXPECT_TRUE(timer_stop(m, timers));
	timers[0] = (struct timer){ .when = 100, .period = 1, .fn = tick };
	ASSERT_EQ(0, timer_start(m, timers));
	EXPECT_EQ(1, run_at(INT64_MAX - 1));
	EXPECT_EQ(INT64_MAX, timers_next());
	EXPECT_TRUE(timer_stop(m, timers));
}

/* Periodic ones among others, each at its times and no others, on the move. */
TEST_F(heap, ticks_against_arithmetic)
{
	static int64_t first[TIMERS], period[TIMERS];
	int64_t now = 1;	/* 0 would be: look at the clock */

	for (int i = 0; i < TIMERS; i++) {
		ticks[i] = 0;
		first[i] = 1 + rnd(&self->seed) % 1000;
		period[i] = i % 4 ? 500 + rnd(&self->seed) % 1000 : 0;
		timers[i] = (struct timer){ .when = first[i], .period = period[i], .fn = tick };
		ASSERT_EQ(0, timer_start(m + i % 2, timers + i));
	}
	/* In steps shorter than a period none is left out. */
	for (int step = 0; step < 100; step++) {
		now += rnd(&self->seed) % 500;
		timers_run_all_at(now);
		if (step == 50)
			ASSERT_EQ(0, timers_move(rt.procs + 1, rt.procs));
		for (int i = 0; i < TIMERS; i++) {
			int64_t due = now < first[i] ? 0 :
				      period[i] ? 1 + (now - first[i]) / period[i] : 1;

			ASSERT_EQ(due, ticks[i]);
		}
	}
	for (int i = 0; i < TIMERS; i++)
		ASSERT_EQ(period[i] != 0, timer_stop(m, timers + i));
	EXPECT_EQ(0, timers_next());
}

/* ---------------------------------------------------- what runs in another thread */

/* Runs until it is told to return. */
static int in_fn, fn_over;
static bool fn_may_end;

static void slow(struct m *at, struct timer *t)
{
	(void)at;
	(void)t;
	__atomic_add_fetch(&in_fn, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&fn_may_end, __ATOMIC_ACQUIRE))
		usleep(1000);
	fn_over++;
}

static void *runner(void *arg)
{
	int64_t now = 1000;

	(void)arg;
	timers_run(m + 1, rt.procs, &now);
	return NULL;
}

static void *ender(void *arg)
{
	/* Not before the stop waits, most likely. */
	usleep(50000);
	__atomic_store_n(&fn_may_end, true, __ATOMIC_RELEASE);
	return arg;
}

static void start_slow(struct __test_metadata *_metadata, int64_t period, pthread_t *thread)
{
	in_fn = fn_over = 0;
	fn_may_end = false;
	timers[0] = (struct timer){ .when = 10, .period = period, .fn = slow };
	ASSERT_EQ(0, timer_start(m, timers));
	ASSERT_EQ(0, pthread_create(thread, NULL, runner, NULL));
	while (!__atomic_load_n(&in_fn, __ATOMIC_ACQUIRE))
		usleep(1000);
}

/* A stop while the function runs waits for its end. */
TEST_F(heap, stop_waits)
{
	pthread_t run, end;

	start_slow(_metadata, 0, &run);
	ASSERT_EQ(0, pthread_create(&end, NULL, ender, NULL));
	EXPECT_FALSE(timer_stop(m, timers));
	EXPECT_EQ(1, fn_over);
	pthread_join(run, NULL);
	pthread_join(end, NULL);
}

TEST_F(heap, stop_of_a_tick_waits)
{
	pthread_t run, end;

	start_slow(_metadata, 100, &run);
	ASSERT_EQ(0, pthread_create(&end, NULL, ender, NULL));
	EXPECT_TRUE(timer_stop(m, timers));
	EXPECT_EQ(1, fn_over);
	EXPECT_EQ(0, timers_next());
	pthread_join(run, NULL);
	pthread_join(end, NULL);
}

/* A tick that comes while the last one's function still runs is left out. */
TEST_F(heap, tick_does_not_overtake_itself)
{
	int64_t now = 5050;
	pthread_t run;

	start_slow(_metadata, 100, &run);
	EXPECT_EQ(1010, timers_next());
	timers_run(m, rt.procs, &now);
	EXPECT_EQ(5110, timers_next());
	EXPECT_EQ(1, __atomic_load_n(&in_fn, __ATOMIC_ACQUIRE));
	__atomic_store_n(&fn_may_end, true, __ATOMIC_RELEASE);
	pthread_join(run, NULL);
	now = 5110;
	EXPECT_TRUE(timers_run(m, rt.procs, &now));
	EXPECT_EQ(2, in_fn);
	EXPECT_TRUE(timer_stop(m, timers));
}

/* Start, stop and run from several threads: what is stopped does not run. */
#define RACE_ROUNDS 20000

static bool race_over;

static void race_tick(struct m *at, struct timer *t)
{
	(void)at;
	/* Plain: the timer code orders one run after the other, and stop after all. */
	(*(long *)t->arg)++;
}

static void *race_run(void *arg)
{
	struct m *self = arg;

	while (!__atomic_load_n(&race_over, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 2; i++) {
			int64_t now = 1000000;

			timers_run(self, rt.procs + i, &now);
		}
	}
	return NULL;
}

TEST_F(heap, stop_races_run)
{
	static long count[4];
	pthread_t run[2];
	long seen[4];

	race_over = false;
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(run + i, NULL, race_run, m + i));
	for (int round = 0; round < RACE_ROUNDS; round++) {
		for (int i = 0; i < 4; i++) {
			/* Due again each time that anybody looks, or once. */
			timers[i] = (struct timer){ .when = 1000000 - rnd(&self->seed) % 50,
				.period = i % 2, .fn = race_tick, .arg = count + i };
			ASSERT_EQ(0, timer_start_apart(i < 2 ? NULL : m + 1, timers + i));
		}
		for (int i = rnd(&self->seed) % 500; i; i--)
			arch_pause();
		for (int i = 0; i < 4; i++) {
			timer_stop(NULL, timers + i);
			seen[i] = count[i];
		}
		for (int i = 0; i < 4; i++)
			ASSERT_EQ(seen[i], count[i]);
	}
	__atomic_store_n(&race_over, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(run[i], NULL);
	printf("# ran: %ld once, %ld ticks\n", count[0] + count[2], count[1] + count[3]);
	fflush(stdout);
	EXPECT_TRUE(count[0] && count[1]);
	EXPECT_EQ(0, timers_next());
}

TEST_HARNESS_MAIN
