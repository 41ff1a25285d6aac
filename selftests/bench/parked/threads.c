// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that wait: ten thousand. What the kernel keeps for each of them (its stack there
 * alone has 16 KiB) is not in the process's memory, and not counted.
 */
#include "measure.h"

#include <semaphore.h>

static sem_t gate, arrived;

static void *wait_at_gate(void *arg)
{
	sem_post(&arrived);
	sem_wait(&gate);
	return arg;
}

int main(int argc, char **argv)
{
	long tasks = arg_count(argc, argv, 10000), before = resident();
	int procs = arg_procs(argc, argv);
	int64_t begin = now_ns();
	char more[64];

	pin_to_some(procs);
	need(!sem_init(&gate, 0, 0) && !sem_init(&arrived, 0, 0));
	for (long i = 0; i < tasks; i++)
		pthread_detach(thread_start(wait_at_gate, NULL));
	for (long i = 0; i < tasks; i++)
		need(!sem_wait(&arrived));
	snprintf(more, sizeof(more), "bytes=%ld", (resident() - before) / tasks);
	report("parked_10000", "threads", procs, tasks, now_ns() - begin, more);
	return 0;
}
