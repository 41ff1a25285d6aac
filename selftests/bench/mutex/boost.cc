// SPDX-License-Identifier: GPL-2.0
/* A mutex: nobody else wants it, and eight fibers want it. */
#include "measure_fiber.h"

#define ROUNDS	8000000L
#define CROWD	8

static void measure(const char *name, int procs, long rounds, int tasks)
{
	volatile long count = 0;
	fibers::mutex mutex;
	wait_group done;
	int64_t begin = now_ns();

	done.add(tasks);
	for (int i = 0; i < tasks; i++)
		go([&] {
			for (long i = 0; i < rounds / tasks; i++) {
				mutex.lock();
				count = count + 1;
				mutex.unlock();
			}
			done.done();
		});
	done.wait();
	need(count == rounds / tasks * tasks);
	report(name, "boost", procs, count, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);
	long rounds = arg_count(argc, argv, ROUNDS);

	with_threads(procs, [=] {
		measure("mutex_free", procs, rounds, 1);
		measure("mutex_contended", procs, rounds, CROWD);
	});
	return 0;
}
