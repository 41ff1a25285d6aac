// SPDX-License-Identifier: GPL-2.0
/*
 * Starting goroutines and waiting for their end: one after the other, a hundred at a time,
 * and many that all exist at the same time. The first such crowd maps its stacks, the second
 * finds them.
 */
#include "measure_gs.h"

#define ONE	1000000L
#define MANY	100L
#define CROWD	10000L

static gs_wg running;
static gs_chan *gate;
static long ended;

static void finish(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
	gs_wg_done(&running);
}

static void wait_at_gate(void *arg)
{
	gs_chan_recv(gate, NULL);
	finish(arg);
}

static void spawn(const char *name, long ops, long at_a_time)
{
	int64_t begin = now_ns();

	ended = 0;
	for (long i = 0; i < ops; i += at_a_time) {
		gs_wg_add(&running, at_a_time);
		for (long n = 0; n < at_a_time; n++)
			need(!gs_go(finish, NULL));
		gs_wg_wait(&running);
	}
	need(ended >= ops);
	gs_report(name, ended, now_ns() - begin, NULL);
}

static void crowd(const char *name)
{
	int64_t begin = now_ns();

	ended = 0;
	gate = gs_chan_new(0, 0);
	gs_wg_add(&running, CROWD);
	for (long i = 0; i < CROWD; i++)
		need(!gs_go(wait_at_gate, NULL));
	gs_yield();
	gs_chan_close(gate);
	gs_wg_wait(&running);
	need(ended == CROWD);
	gs_report(name, CROWD, now_ns() - begin, NULL);
	gs_chan_unref(gate);
}

static int bench(int argc, char **argv)
{
	long ops = arg_count(argc, argv, ONE);

	spawn("spawn_one", ops, 1);
	spawn("spawn_many", ops, MANY);
	crowd("spawn_crowd_new");
	crowd("spawn_crowd_again");
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(bench, argc, argv);
}
