// SPDX-License-Identifier: GPL-2.0
/* Starting goroutines: one after the other, and many that exist at the same time. */
#include <stdio.h>
#include <stdlib.h>

#include <gsched.h>

#define SPAWNS	2000000L
#define CROWD	10000L

static gs_wg running;
static gs_chan *gate;

static void finish(void *arg)
{
	(void)arg;
	gs_wg_done(&running);
}

static void wait_at_gate(void *arg)
{
	(void)arg;
	gs_chan_recv(gate, NULL);
	gs_wg_done(&running);
}

static void report(const char *name, long ops, int64_t begin)
{
	printf("bench=%s impl=gsched procs=%d ops=%ld ns_per_op=%.1f backend=%s\n", name,
	       gs_set_maxprocs(0), ops, (double)(gs_now() - begin) / ops, gs_backend());
	fflush(stdout);
}

static void one_by_one(void)
{
	int64_t begin = gs_now();
	long i;

	for (i = 0; i < SPAWNS; i++) {
		gs_wg_add(&running, 1);
		gs_go(finish, NULL);
		gs_wg_wait(&running);
	}
	report("spawn_one", SPAWNS, begin);
}

/* The first round maps the stacks, the second finds them. */
static void crowd(const char *name)
{
	int64_t begin = gs_now();
	long i;

	gate = gs_chan_new(0, 0);
	gs_wg_add(&running, CROWD);
	for (i = 0; i < CROWD; i++)
		gs_go(wait_at_gate, NULL);
	gs_yield();
	gs_chan_close(gate);
	gs_wg_wait(&running);
	gs_chan_unref(gate);
	report(name, CROWD, begin);
}

static int bench(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	one_by_one();
	crowd("spawn_10000_new");
	crowd("spawn_10000_again");
	return 0;
}

int main(int argc, char **argv)
{
	setenv("GSCHED_MAXPROCS", "1", 0);
	return gs_main(bench, argc, argv);
}
