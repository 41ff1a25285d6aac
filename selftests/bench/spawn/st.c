// SPDX-License-Identifier: GPL-2.0
/* Starting State Threads and waiting for their end. */
#include "measure.h"

#include <st.h>

#define ONE	1000000L
#define MANY	100L

static long ended;

static void *finish(void *arg)
{
	ended++;
	return arg;
}

static void spawn(const char *name, long ops, long at_a_time)
{
	int64_t begin = now_ns();
	st_thread_t t[MANY];

	ended = 0;
	for (long i = 0; i < ops; i += at_a_time) {
		for (long n = 0; n < at_a_time; n++) {
			t[n] = st_thread_create(finish, NULL, 1, 0);
			need(t[n]);
		}
		for (long n = 0; n < at_a_time; n++)
			need(!st_thread_join(t[n], NULL));
	}
	need(ended >= ops);
	report(name, "st", 1, ended, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	long ops = arg_count(argc, argv, ONE);

	arg_only_one(argc, argv);
	need(!st_init());
	spawn("spawn_one", ops, 1);
	spawn("spawn_many", ops, MANY);
	return 0;
}
