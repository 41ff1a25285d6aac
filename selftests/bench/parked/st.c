// SPDX-License-Identifier: GPL-2.0
/* State Threads that wait, as gsched.c. */
#include "measure.h"

#include <st.h>

static st_cond_t gate, all_there;
static long waiting, wanted;

static void *wait_at_gate(void *arg)
{
	if (++waiting == wanted)
		st_cond_signal(all_there);
	st_cond_wait(gate);
	return arg;
}

static void park_more(const char *name, long before, long tasks, long bytes_before)
{
	int64_t begin = now_ns();
	char more[64];

	wanted = tasks;
	for (long i = before; i < tasks; i++)
		need(st_thread_create(wait_at_gate, NULL, 0, 0));
	st_cond_wait(all_there);
	need(waiting == tasks);
	snprintf(more, sizeof(more), "bytes=%ld", (resident() - bytes_before) / tasks);
	report(name, "st", 1, tasks - before, now_ns() - begin, more);
}

int main(int argc, char **argv)
{
	long few = arg_count(argc, argv, 100000), before = resident();

	arg_only_one(argc, argv);
	need(!st_init());
	gate = st_cond_new();
	all_there = st_cond_new();
	park_more("parked_100000", 0, few, before);
	park_more("parked_1000000", few, 10 * few, before);
	return 0;
}
