// SPDX-License-Identifier: GPL-2.0
/* A thread that sleeps beside others that compute; see sleeper.h. */
#include "sleeper.h"

static int procs;

static void task_sleep_until(int64_t when)
{
	struct timespec ts = { when / 1000000000, when % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void *hog_main(void *n)
{
	pin_to_some(procs);
	hog(n);
	return NULL;
}

static void *sleeper_main(void *arg)
{
	pin_to_some(procs);
	sleeper();
	return arg;
}

static void start_sleeper(void)
{
	pthread_detach(thread_start(sleeper_main, NULL));
}

int main(int argc, char **argv)
{
	pthread_t t[HOGS];

	procs = arg_procs(argc, argv);
	for (int i = 0; i < HOGS; i++)
		t[i] = thread_start(hog_main, units[i]);
	compare("threads", procs, start_sleeper, "");
	for (int i = 0; i < HOGS; i++)
		thread_join(t[i]);
	return 0;
}
