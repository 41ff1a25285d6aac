// SPDX-License-Identifier: GPL-2.0
/*
 * A hundred thousand State Threads that sleep, as gsched.c. They count from when their scheduler
 * last looked at the clock, and so sleep less by what others have run since.
 */
#include "measure.h"

#include <st.h>

#define SLEEPERS	100000L
#define SLEEPS		3

static st_cond_t all_there, all_ended;
static long there, ended, slept, tasks;

static void *sleeper(void *arg)
{
	st_utime_t us = 100000 + (long)arg * 7919 % tasks * 3, begin = st_utime();

	if (++there == tasks)
		st_cond_signal(all_there);
	for (int i = 0; i < SLEEPS; i++)
		st_usleep(us);
	if (st_utime() - begin >= SLEEPS * us / 2)
		slept += SLEEPS;
	if (++ended == tasks)
		st_cond_signal(all_ended);
	return arg;
}

int main(int argc, char **argv)
{
	int64_t begin;

	arg_only_one(argc, argv);
	need(!st_init());
	all_there = st_cond_new();
	all_ended = st_cond_new();
	tasks = arg_count(argc, argv, SLEEPERS);
	for (long i = 0; i < tasks; i++)
		need(st_thread_create(sleeper, (void *)i, 0, 0));
	st_cond_wait(all_there);
	begin = cpu_ns();
	st_cond_wait(all_ended);
	need(slept == SLEEPS * tasks);
	report("sleepers", "st", 1, slept, cpu_ns() - begin, NULL);
	return 0;
}
