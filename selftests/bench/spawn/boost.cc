// SPDX-License-Identifier: GPL-2.0
/* Starting fibers and waiting for their end. */
#include "measure_fiber.h"

#include <atomic>

#define ONE	100000L
#define MANY	100L

static void spawn(const char *name, int procs, long ops, long at_a_time)
{
	std::atomic<long> ended{0};
	int64_t begin = now_ns();

	for (long i = 0; i < ops; i += at_a_time) {
		std::vector<fibers::fiber> all;

		for (long n = 0; n < at_a_time; n++)
			all.emplace_back([&] { ended++; });
		for (auto &f : all)
			f.join();
	}
	need(ended >= ops);
	report(name, "boost", procs, ended, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);
	long ops = arg_count(argc, argv, ONE);

	with_threads(procs, [=] {
		spawn("spawn_one", procs, ops, 1);
		spawn("spawn_many", procs, ops, MANY);
	});
	return 0;
}
