/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sleeper.h: a task that sleeps for a millisecond at a time, beside two that compute and
 * never call anything, on one P: how late it wakes, and what is left of their work.
 *
 * Times with and without the sleeper alternate. Where it never wakes beside them, because
 * nobody takes a P from who computes, ops is 0 and the time inf.
 */
#ifndef SLEEPER_H
#define SLEEPER_H

#include "measure.h"

#include <math.h>

#define HOGS	2
#define PAIRS	3
#define WINDOW	(150 * MS)

static int stopping, sleeping;
static long units[HOGS][8];		/* a cache line each */
static struct samples late;

static bool is(int *flag)
{
	return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

static void set(int *flag, int v)
{
	__atomic_store_n(flag, v, __ATOMIC_RELAXED);
}

static void hog(long *n)
{
	while (!is(&stopping)) {
		work_unit();
		__atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
	}
}

static void task_sleep_until(int64_t when);

static void sleeper(void)
{
	while (is(&sleeping)) {
		int64_t when = now_ns() + MS;

		task_sleep_until(when);
		/* One that slept past the end of its time has nothing to say. */
		if (is(&sleeping))
			samples_add(&late, now_ns() - when);
	}
}

/* -------------------------------------------------------------- measurement */

static long units_done(void)
{
	long sum = 0;

	for (int i = 0; i < HOGS; i++)
		sum += __atomic_load_n(units[i], __ATOMIC_RELAXED);
	return sum;
}

static double rate(void)
{
	int64_t begin = now_ns();
	long done = units_done();

	nap(WINDOW);
	return (double)(units_done() - done) / (now_ns() - begin);
}

/*
 * By a thread that is not theirs. ns_per_op is how late the sleeper was, half of the times
 * at least. @backend: " backend=NAME" or ""
 */
static void compare(const char *impl, int procs, void (*start_sleeper)(void), const char *backend)
{
	struct samples ratios = { 0, 0, NULL };
	char more[128];

	nap(50 * MS);
	for (int i = 0; i < PAIRS; i++) {
		double alone = rate();

		set(&sleeping, 1);
		start_sleeper();
		samples_add(&ratios, rate() / alone);
		set(&sleeping, 0);
		nap(20 * MS);
	}
	set(&stopping, 1);
	snprintf(more, sizeof(more), "late_p99=%.0f late_max=%.0f kept=%.3f%s",
		 samples_quantile(&late, 0.99), samples_quantile(&late, 1),
		 samples_median(&ratios), backend);
	printf("bench=sleeper impl=%s procs=%d ops=%zu ns_per_op=%.0f %s\n", impl, procs, late.n,
	       late.n ? samples_median(&late) : INFINITY, more);
	fflush(stdout);
}

#endif /* SLEEPER_H */
