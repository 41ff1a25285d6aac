// SPDX-License-Identifier: GPL-2.0
/* Yields, of threads. */
#define YIELD() sched_yield()
#include "yield.h"

static const struct shape *shape;
static long yields;

static void *task_t(void *arg)
{
	task(shape, (long)arg, yields);
	return arg;
}

static void measure(const struct shape *s, int procs)
{
	int64_t begin = now_ns();
	pthread_t t[1000];

	shape = s;
	for (long i = 0; i < s->tasks; i++)
		t[i] = thread_start(task_t, (void *)i);
	for (long i = 0; i < s->tasks; i++)
		thread_join(t[i]);
	report(s->bench, "threads", procs, yields, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);

	pin_to_some(procs);
	yields = arg_count(argc, argv, YIELDS / 5);
	for (size_t i = 0; i < NR_SHAPES; i++)
		measure(&shapes[i], procs);
	return 0;
}
