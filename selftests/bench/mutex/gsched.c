// SPDX-License-Identifier: GPL-2.0
/* A mutex: nobody else wants it, and eight goroutines want it. */
#include "measure_gs.h"

#define ROUNDS	8000000L
#define CROWD	8

static gs_mutex mutex = GS_MUTEX_INIT;
static gs_wg done = GS_WG_INIT;
static volatile long count;

static void add(long n)
{
	for (long i = 0; i < n; i++) {
		gs_mutex_lock(&mutex);
		count++;
		gs_mutex_unlock(&mutex);
	}
}

static void add_share(void *arg)
{
	add((long)arg);
	gs_wg_done(&done);
}

static void measure(const char *name, long rounds, int tasks)
{
	int64_t begin = now_ns();

	count = 0;
	gs_wg_add(&done, tasks);
	for (int i = 0; i < tasks; i++)
		need(!gs_go(add_share, (void *)(rounds / tasks)));
	gs_wg_wait(&done);
	need(count == rounds / tasks * tasks);
	gs_report(name, count, now_ns() - begin, NULL);
}

static int bench(int argc, char **argv)
{
	long rounds = arg_count(argc, argv, ROUNDS);

	measure("mutex_free", rounds, 1);
	measure("mutex_contended", rounds, CROWD);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(bench, argc, argv);
}
