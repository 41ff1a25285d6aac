// SPDX-License-Identifier: GPL-2.0
/* A fiber that sleeps beside others that compute; see sleeper.h. Fibers of one thread. */
#include "sleeper.h"
#include "measure_fiber.h"

/* What another thread asks of that of the fibers. */
static fibers::buffered_channel<bool> starts(2);

static void task_sleep_until(int64_t when)
{
	boost::this_fiber::sleep_for(std::chrono::nanoseconds(when - now_ns()));
}

static void start_sleeper(void)
{
	need(starts.try_push(true) != fibers::channel_op_status::closed);
}

static void *compare_main(void *arg)
{
	compare("boost", 1, start_sleeper, "");
	starts.close();
	return arg;
}

int main(int argc, char **argv)
{
	std::vector<fibers::fiber> hogs;
	pthread_t t;
	bool start;

	arg_only_one(argc, argv);
	t = thread_start(compare_main, NULL);
	for (int i = 0; i < HOGS; i++)
		hogs.emplace_back(hog, units[i]);
	while (starts.pop(start) == fibers::channel_op_status::success)
		go(sleeper);
	for (auto &fiber : hogs)
		fiber.join();
	thread_join(t);
	return 0;
}
