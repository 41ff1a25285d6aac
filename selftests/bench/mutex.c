// SPDX-License-Identifier: GPL-2.0
/* A mutex: nobody else wants it, and eight goroutines want it. */
#include <stdio.h>

#include <gsched.h>

#define ROUNDS	4000000
#define CROWD	8

static gs_mutex mutex = GS_MUTEX_INIT;
static gs_wg done = GS_WG_INIT;
static volatile long count;

static void add(long n)
{
	long i;

	for (i = 0; i < n; i++) {
		gs_mutex_lock(&mutex);
		count++;
		gs_mutex_unlock(&mutex);
	}
}

static void add_share(void *arg)
{
	(void)arg;
	add(ROUNDS / CROWD);
	gs_wg_done(&done);
}

static void report(const char *name, int procs, int64_t begin)
{
	printf("bench=%s impl=gsched procs=%d ops=%d ns_per_op=%.1f backend=%s\n", name, procs,
	       ROUNDS, (double)(gs_now() - begin) / ROUNDS, gs_backend());
	fflush(stdout);
}

static void crowd(int procs)
{
	int64_t begin = gs_now();
	int i;

	gs_wg_add(&done, CROWD);
	for (i = 0; i < CROWD; i++)
		gs_go(add_share, NULL);
	gs_wg_wait(&done);
	report("mutex_contended", procs, begin);
}

static int bench(int argc, char **argv)
{
	int64_t begin;
	int procs;

	(void)argc;
	(void)argv;
	begin = gs_now();
	add(ROUNDS);
	report("mutex_free", 1, begin);
	for (procs = 1; procs <= 2; procs++) {
		gs_set_maxprocs(procs);
		crowd(procs);
	}
	return 0;
}

int main(int argc, char **argv)
{
	return gs_main(bench, argc, argv);
}
