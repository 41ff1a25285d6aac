// SPDX-License-Identifier: GPL-2.0
/* Work beside a fiber that blocks; see block.h. Fibers of one thread. */
#include "block.h"
#include "measure_fiber.h"

namespace this_fiber = boost::this_fiber;

static void task_yield(void)
{
	this_fiber::yield();
}

static void task_rest(int64_t ns)
{
	this_fiber::sleep_for(std::chrono::nanoseconds(ns));
}

int main(int argc, char **argv)
{
	std::vector<fibers::fiber> all;

	arg_only_one(argc, argv);
	partners_start();
	must_share = true;
	for (int i = 0; i < WORKERS; i++)
		all.emplace_back(worker, units[i]);
	all.emplace_back(blocker);
	compare_all("boost", 1, "");
	for (auto &fiber : all)
		fiber.join();
	return 0;
}
