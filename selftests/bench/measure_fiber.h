/* SPDX-License-Identifier: GPL-2.0 */
/* measure_fiber.h: what the benchmarks of Boost.Fiber share. */
#ifndef MEASURE_FIBER_H
#define MEASURE_FIBER_H

#include "measure.h"

#include <boost/fiber/all.hpp>
#include <thread>
#include <vector>

namespace fibers = boost::fibers;

/* How many fibers there are. As sync.WaitGroup; Boost.Fiber has none. */
class wait_group {
	fibers::mutex mutex;
	fibers::condition_variable cond;
	long n = 0;

public:
	void add(long more)
	{
		std::unique_lock<fibers::mutex> lock(mutex);

		n += more;
		if (n == 0)
			cond.notify_all();
	}

	void done()
	{
		add(-1);
	}

	void wait()
	{
		std::unique_lock<fibers::mutex> lock(mutex);

		cond.wait(lock, [this] { return n == 0; });
	}
};

/*
 * Run @body on @procs threads that steal fibers from one another. It may use fibers when all
 * of them are there: the algorithm does not expect any that is not. Idle threads sleep: those
 * that look for work without end take the channels' locks from the others, and a round trip
 * between two threads takes a hundred times longer.
 */
template <typename F> static void with_threads(int procs, F body)
{
	std::vector<std::thread> threads;
	pthread_barrier_t all;
	wait_group running;

	if (procs == 1) {
		body();
		return;
	}
	need(!pthread_barrier_init(&all, NULL, procs));
	running.add(1);
	for (int i = 1; i < procs; i++)
		threads.emplace_back([&] {
			fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(procs, true);
			pthread_barrier_wait(&all);
			running.wait();
		});
	fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(procs, true);
	pthread_barrier_wait(&all);
	body();
	running.done();
	for (auto &t : threads)
		t.join();
}

/* Fibers that do not care who waits for them. */
template <typename F> static void go(F f)
{
	fibers::fiber(f).detach();
}

#endif /* MEASURE_FIBER_H */
