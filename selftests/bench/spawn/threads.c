// SPDX-License-Identifier: GPL-2.0
/* Starting threads and waiting for their end. */
#include "measure.h"

#define ONE	20000L
#define MANY	100L

static long ended;

static void *finish(void *arg)
{
	__atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
	return arg;
}

static void spawn(const char *name, int procs, long ops, long at_a_time)
{
	int64_t begin = now_ns();
	pthread_t t[MANY];

	ended = 0;
	for (long i = 0; i < ops; i += at_a_time) {
		for (long n = 0; n < at_a_time; n++)
			t[n] = thread_start(finish, NULL);
		for (long n = 0; n < at_a_time; n++)
			thread_join(t[n]);
	}
	need(ended >= ops);
	report(name, "threads", procs, ended, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);
	long ops = arg_count(argc, argv, ONE);

	pin_to_some(procs);
	spawn("spawn_one", procs, ops, 1);
	spawn("spawn_many", procs, ops, MANY);
	return 0;
}
