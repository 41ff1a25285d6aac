// SPDX-License-Identifier: GPL-2.0
/* Page faults of threads; see fault.h. */
#include "fault.h"

static void task_yield(void)
{
	sched_yield();
}

static void *reader_main(void *arg)
{
	reader();
	return arg;
}

static void *computer_main(void *arg)
{
	computer();
	return arg;
}

static void run_tasks(int readers)
{
	pthread_t t[READERS + 1];

	t[readers] = thread_start(computer_main, NULL);
	for (int i = 0; i < readers; i++)
		t[i] = thread_start(reader_main, NULL);
	for (int i = 0; i <= readers; i++)
		thread_join(t[i]);
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);

	pin_to_some(procs);
	measure_all("threads", procs, "");
	return 0;
}
