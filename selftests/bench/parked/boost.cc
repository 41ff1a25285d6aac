// SPDX-License-Identifier: GPL-2.0
/* Fibers that wait, as gsched.c. */
#include "measure_fiber.h"

static fibers::mutex mutex;
static fibers::condition_variable gate;

static void park_more(const char *name, int procs, long before, long tasks, long bytes_before)
{
	wait_group arrived;
	int64_t begin = now_ns();
	char more[64];

	arrived.add(tasks - before);
	for (long i = before; i < tasks; i++)
		go([&] {
			std::unique_lock<fibers::mutex> lock(mutex);

			arrived.done();
			gate.wait(lock);
		});
	arrived.wait();
	/* The last of them may not wait yet. */
	mutex.lock();
	mutex.unlock();
	snprintf(more, sizeof(more), "bytes=%ld", (resident() - bytes_before) / tasks);
	report(name, "boost", procs, tasks - before, now_ns() - begin, more);
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);
	long few = arg_count(argc, argv, 100000), before = resident();

	with_threads(procs, [=] {
		park_more("parked_100000", procs, 0, few, before);
		park_more("parked_1000000", procs, few, 10 * few, before);
		/* Nobody opens the gate. */
		_exit(0);
	});
	return 0;
}
