// SPDX-License-Identifier: GPL-2.0
/* Yields. */
#define YIELD() boost::this_fiber::yield()
#include "measure_fiber.h"
#include "yield.h"

static void measure(const struct shape *s, int procs, long yields)
{
	wait_group running;
	int64_t begin = now_ns();

	running.add(s->tasks);
	for (long i = 0; i < s->tasks; i++)
		go([=, &running] {
			task(s, i, yields);
			running.done();
		});
	running.wait();
	report(s->bench, "boost", procs, yields, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);
	long yields = arg_count(argc, argv, YIELDS);

	with_threads(procs, [=] {
		for (size_t i = 0; i < NR_SHAPES; i++)
			measure(&shapes[i], procs, yields);
	});
	return 0;
}
