// SPDX-License-Identifier: GPL-2.0
/* Work beside a thread that blocks; see block.h. */
#include "block.h"

static void task_yield(void)
{
	sched_yield();
}

static void task_rest(int64_t ns)
{
	nap(ns);
}

static void *worker_main(void *n)
{
	worker(n);
	return NULL;
}

static void *blocker_main(void *arg)
{
	blocker();
	return arg;
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);
	pthread_t t[WORKERS + 1];

	partners_start();
	pin_to_some(procs);
	for (int i = 0; i < WORKERS; i++)
		t[i] = thread_start(worker_main, units[i]);
	t[WORKERS] = thread_start(blocker_main, NULL);
	compare_all("threads", procs, "");
	for (int i = 0; i <= WORKERS; i++)
		thread_join(t[i]);
	return 0;
}
