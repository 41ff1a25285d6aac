// SPDX-License-Identifier: GPL-2.0
/*
 * A hundred thousand goroutines that sleep at the same time, three times each, for a tenth to
 * four tenths of a second: the CPU time of a sleep.
 */
#include "measure_gs.h"

#define SLEEPERS	100000L
#define SLEEPS		3

static gs_wg there, running;
static long slept, tasks;

static void sleeper(void *arg)
{
	int64_t ns = 100 * MS + (long)arg * 7919 % tasks * 3 * US, begin = gs_now();

	gs_wg_done(&there);
	for (int i = 0; i < SLEEPS; i++)
		gs_sleep(ns);
	if (gs_now() - begin >= SLEEPS * ns)
		__atomic_add_fetch(&slept, SLEEPS, __ATOMIC_RELAXED);
	gs_wg_done(&running);
}

static int bench(int argc, char **argv)
{
	int64_t begin;

	tasks = arg_count(argc, argv, SLEEPERS);
	gs_wg_add(&there, tasks);
	gs_wg_add(&running, tasks);
	for (long i = 0; i < tasks; i++)
		need(!gs_go(sleeper, (void *)i));
	gs_wg_wait(&there);
	begin = cpu_ns();
	gs_wg_wait(&running);
	need(slept == SLEEPS * tasks);
	gs_report("sleepers", slept, cpu_ns() - begin, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(bench, argc, argv);
}
