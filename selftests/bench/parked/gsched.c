// SPDX-License-Identifier: GPL-2.0
/*
 * Goroutines that wait: a hundred thousand, then a million; the memory resident for each,
 * page tables included.
 */
#include "measure_gs.h"

static gs_chan *gate;
static gs_wg arrived;

static void wait_at_gate(void *arg)
{
	(void)arg;
	gs_wg_done(&arrived);
	gs_chan_recv(gate, NULL);
}

static void park_more(const char *name, long before, long tasks, long bytes_before)
{
	int64_t begin = now_ns();
	char more[64];

	gs_wg_add(&arrived, tasks - before);
	for (long i = before; i < tasks; i++)
		need(!gs_go(wait_at_gate, NULL));
	gs_wg_wait(&arrived);
	snprintf(more, sizeof(more), "bytes=%ld", (resident() - bytes_before) / tasks);
	gs_report(name, tasks - before, now_ns() - begin, more);
}

static int bench(int argc, char **argv)
{
	long few = arg_count(argc, argv, 100000), before = resident();

	gate = gs_chan_new(0, 0);
	park_more("parked_100000", 0, few, before);
	park_more("parked_1000000", few, 10 * few, before);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(bench, argc, argv);
}
