// SPDX-License-Identifier: GPL-2.0
/*
 * A goroutine that sleeps for a millisecond at a time, beside two that compute and
 * never call the library, on one P: how late it wakes, and what is left of their
 * work. The same with threads on one CPU.
 *
 * Times with and without the sleeper alternate. The portable backend cannot do it: its
 * sleeper never wakes (ops=0).
 */
#include "measure.h"

#define PAIRS	6
#define WINDOW	(250 * MS)

static int stop, sleeping;
static long units[2][8];		/* a cache line each */
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
	while (!is(&stop)) {
		work_unit();
		__atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
	}
}

static void sleep_until_thread(int64_t when)
{
	struct timespec ts = { when / 1000000000, when % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void sleep_until_g(int64_t when)
{
	gs_sleep_until(when);
}

static void sleeper(void (*sleep_until)(int64_t when))
{
	while (is(&sleeping)) {
		int64_t when = gs_now() + MS;

		sleep_until(when);
		/* One that slept past the end of its time has nothing to say. */
		if (is(&sleeping))
			samples_add(&late, gs_now() - when);
	}
}

static double rate(void)
{
	int64_t begin = gs_now();
	long sum = units[0][0] + units[1][0];

	nap(WINDOW);
	return (units[0][0] + units[1][0] - sum) / (double)(gs_now() - begin);
}

/* On a thread that is neither an M nor pinned. */
static void compare(const char *impl, void (*start_sleeper)(void), const char *backend)
{
	struct samples ratios = { 0 };

	late.n = 0;
	nap(50 * MS);
	for (int i = 0; i < PAIRS; i++) {
		double alone = rate();

		set(&sleeping, 1);
		start_sleeper();
		samples_add(&ratios, rate() / alone);
		set(&sleeping, 0);
		nap(20 * MS);
	}
	set(&stop, 1);
	printf("bench=sleeper impl=%s procs=1 ops=%zu ns_per_op=%.0f late_p99=%.0f late_max=%.0f kept=%.3f backend=%s\n",
	       impl, late.n, samples_median(&late), samples_quantile(&late, 0.99),
	       samples_quantile(&late, 1), samples_median(&ratios), backend);
	fflush(stdout);
}

/* --------------------------------------------------------------- goroutines */

static gs_wg wg;

static void hog_g(void *arg)
{
	hog(arg);
	gs_wg_done(&wg);
}

static void sleeper_g(void *arg)
{
	(void)arg;
	sleeper(sleep_until_g);
}

static void start_sleeper_g(void)
{
	need(!gs_go(sleeper_g, NULL));
}

static void *compare_g(void *arg)
{
	compare("gsched", start_sleeper_g, gs_backend());
	return arg;
}

static int goroutines(int argc, char **argv)
{
	pthread_t t;

	(void)argc;
	(void)argv;
	gs_wg_add(&wg, 2);
	need(!gs_go(hog_g, units[0]));
	need(!gs_go(hog_g, units[1]));
	t = thread_start(compare_g, NULL);
	gs_wg_wait(&wg);
	pthread_join(t, NULL);
	return 0;
}

/* ------------------------------------------------------------------ threads */

static void *hog_t(void *arg)
{
	pin(0);
	hog(arg);
	return NULL;
}

static void *sleeper_t(void *arg)
{
	pin(0);
	sleeper(sleep_until_thread);
	return arg;
}

static void start_sleeper_t(void)
{
	pthread_detach(thread_start(sleeper_t, NULL));
}

static void threads(void)
{
	pthread_t t[2];

	set(&stop, 0);
	for (int i = 0; i < 2; i++)
		t[i] = thread_start(hog_t, units[i]);
	compare("threads", start_sleeper_t, "none");
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

int main(int argc, char **argv)
{
	int err;

	setenv("GSCHED_MAXPROCS", "1", 1);
	err = gs_main(goroutines, argc, argv);
	if (!err)
		threads();
	return err != 0;
}
