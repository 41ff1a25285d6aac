// SPDX-License-Identifier: GPL-2.0
/*
 * A channel with a buffer of 128: from one fiber to one, and from eight to eight. (Of the
 * capacity Boost.Fiber uses one less, and it must be a power of two.)
 */
#include "measure_fiber.h"

#include <atomic>

#define MESSAGES	2000000L
#define CAPACITY	128

static void measure(const char *name, int procs, long messages, int ends)
{
	fibers::buffered_channel<long> chan(CAPACITY);
	std::atomic<long> sum{0}, received{0};
	long each = messages / ends;
	wait_group senders, receivers;
	int64_t begin = now_ns();

	senders.add(ends);
	receivers.add(ends);
	for (int i = 0; i < ends; i++) {
		go([&] {
			for (long i = 0; i < each; i++)
				need(chan.push(i) == fibers::channel_op_status::success);
			senders.done();
		});
		go([&] {
			long v, mine = 0, n = 0;

			for (; chan.pop(v) == fibers::channel_op_status::success; n++)
				mine += v;
			sum += mine;
			received += n;
			receivers.done();
		});
	}
	senders.wait();
	chan.close();
	receivers.wait();
	need(received == each * ends && sum == ends * (each * (each - 1) / 2));
	report(name, "boost", procs, received, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);
	long messages = arg_count(argc, argv, MESSAGES);

	with_threads(procs, [=] {
		measure("buffered_1to1", procs, messages, 1);
		measure("buffered_8to8", procs, messages, 8);
	});
	return 0;
}
