// SPDX-License-Identifier: GPL-2.0
/* A mutex: nobody else wants it, and eight threads want it. */
#include "measure.h"

#define ROUNDS	8000000L
#define CROWD	8

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile long count;

static void *add(void *arg)
{
	for (long i = 0; i < (long)arg; i++) {
		pthread_mutex_lock(&mutex);
		count++;
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void measure(const char *name, int procs, long rounds, int tasks)
{
	int64_t begin = now_ns();
	pthread_t t[CROWD];

	count = 0;
	for (int i = 0; i < tasks; i++)
		t[i] = thread_start(add, (void *)(rounds / tasks));
	for (int i = 0; i < tasks; i++)
		thread_join(t[i]);
	need(count == rounds / tasks * tasks);
	report(name, "threads", procs, count, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);
	long rounds = arg_count(argc, argv, ROUNDS);

	pin_to_some(procs);
	measure("mutex_free", procs, rounds, 1);
	measure("mutex_contended", procs, rounds, CROWD);
	return 0;
}
