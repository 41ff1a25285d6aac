// SPDX-License-Identifier: GPL-2.0
/*
 * Yields: two goroutines that hand one P to each other, and a thousand that do so
 * from four places in the program (a switch that has one indirect jump for all of
 * them would be predicted worse then).
 */
#include <stdio.h>
#include <stdlib.h>

#include <gsched.h>

#define YIELDS	20000000L

static long each;
static gs_wg running;

static void one_place(void *arg)
{
	long i;

	(void)arg;
	for (i = 0; i < each; i++)
		gs_yield();
	gs_wg_done(&running);
}

static void four_places(void *arg)
{
	long i;

	/* Not all at the same place at the same time. */
	for (i = 0; i < (long)arg % 4; i++)
		gs_yield();
	for (i = 0; i < each / 4; i++) {
		gs_yield();
		gs_yield();
		gs_yield();
		gs_yield();
	}
	gs_wg_done(&running);
}

static void measure(const char *name, void (*fn)(void *), int n)
{
	int64_t begin;
	long i;

	each = YIELDS / n;
	gs_wg_add(&running, n);
	for (i = 0; i < n; i++)
		gs_go(fn, (void *)i);
	begin = gs_now();
	gs_wg_wait(&running);
	printf("bench=%s impl=gsched procs=1 ops=%ld ns_per_op=%.1f backend=%s\n", name, YIELDS,
	       (double)(gs_now() - begin) / YIELDS, gs_backend());
	fflush(stdout);
}

static int bench(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	gs_set_maxprocs(1);
	measure("yield_2", one_place, 2);
	measure("yield_1000", four_places, 1000);
	return 0;
}

int main(int argc, char **argv)
{
	setenv("GSCHED_MAXPROCS", "1", 0);
	return gs_main(bench, argc, argv);
}
