// SPDX-License-Identifier: GPL-2.0
/* A goroutine that sleeps beside others that compute; see sleeper.h. */
#include "measure_gs.h"
#include "sleeper.h"

static gs_wg wg;

static void task_sleep_until(int64_t when)
{
	gs_sleep_until(when);
}

static void hog_main(void *n)
{
	hog(n);
	gs_wg_done(&wg);
}

static void sleeper_main(void *arg)
{
	(void)arg;
	sleeper();
}

static void start_sleeper(void)
{
	need(!gs_go(sleeper_main, NULL));
}

static void *compare_main(void *arg)
{
	char backend[32];

	snprintf(backend, sizeof(backend), " backend=%s", gs_backend());
	compare("gsched", gs_set_maxprocs(0), start_sleeper, backend);
	return arg;
}

static int goroutines(int argc, char **argv)
{
	pthread_t t;

	(void)argc;
	(void)argv;
	gs_wg_add(&wg, HOGS);
	for (int i = 0; i < HOGS; i++)
		need(!gs_go(hog_main, units[i]));
	t = thread_start(compare_main, NULL);
	gs_wg_wait(&wg);
	thread_join(t);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(goroutines, argc, argv);
}
