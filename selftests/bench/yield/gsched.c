// SPDX-License-Identifier: GPL-2.0
/* Yields: see yield.h for from where. */
#define YIELD() gs_yield()
#include "measure_gs.h"
#include "yield.h"

static gs_wg running;
static const struct shape *shape;
static long yields;

static void task_g(void *arg)
{
	task(shape, (long)arg, yields);
	gs_wg_done(&running);
}

static void measure(const struct shape *s)
{
	int64_t begin = now_ns();

	shape = s;
	gs_wg_add(&running, s->tasks);
	for (long i = 0; i < s->tasks; i++)
		need(!gs_go(task_g, (void *)i));
	gs_wg_wait(&running);
	gs_report(s->bench, yields, now_ns() - begin, NULL);
}

static int bench(int argc, char **argv)
{
	yields = arg_count(argc, argv, YIELDS);
	for (size_t i = 0; i < NR_SHAPES; i++)
		measure(&shapes[i]);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(bench, argc, argv);
}
