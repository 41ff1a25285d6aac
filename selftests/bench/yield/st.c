// SPDX-License-Identifier: GPL-2.0
/*
 * Yields. State Threads has no call for it (st_usleep(0) goes through its heap of timers and
 * through poll). The cheapest that does the same is to wake the next task and to wait; each
 * has a condition of its own, as signalling goes through all that have been woken already.
 */
#include "measure.h"

#include <st.h>

static st_cond_t turn[1000];
static long now_running, tasks;

static void wake(long i)
{
	st_cond_signal(turn[i % tasks]);
}

static inline void yield(void)
{
	long me = now_running;

	wake(me + 1);
	st_cond_wait(turn[me]);
	now_running = me;
}

#define YIELD() yield()
#include "yield.h"

static const struct shape *shape;
static long yields;

static void *task_st(void *arg)
{
	now_running = (long)arg;
	task(shape, now_running, yields);
	wake(now_running + 1);
	return arg;
}

static void measure(const struct shape *s)
{
	st_thread_t t[1000];
	int64_t begin = now_ns();

	shape = s;
	tasks = s->tasks;
	for (long i = 0; i < tasks; i++) {
		t[i] = st_thread_create(task_st, (void *)i, 1, 0);
		need(t[i]);
	}
	for (long i = 0; i < tasks; i++)
		need(!st_thread_join(t[i], NULL));
	report(s->bench, "st", 1, yields, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	arg_only_one(argc, argv);
	need(!st_init());
	for (int i = 0; i < 1000; i++)
		turn[i] = st_cond_new();
	yields = arg_count(argc, argv, YIELDS);
	for (size_t i = 0; i < NR_SHAPES; i++)
		measure(&shapes[i]);
	return 0;
}
