// SPDX-License-Identifier: GPL-2.0
/* A round trip through two unbuffered channels: there and back. */
#include "measure_fiber.h"

#define ROUNDS	300000

static void round_trips(int procs, int rounds)
{
	fibers::unbuffered_channel<int> there, back;
	int64_t begin;
	int v;

	fibers::fiber echo([&] {
		int v;

		while (there.pop(v) == fibers::channel_op_status::success)
			back.push(-v);
	});
	begin = now_ns();
	for (int i = 0; i < rounds; i++) {
		there.push(i);
		need(back.pop(v) == fibers::channel_op_status::success && v == -i);
	}
	report("chan_round_trip", "boost", procs, rounds, now_ns() - begin, NULL);
	there.close();
	echo.join();
}

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv), rounds = arg_count(argc, argv, ROUNDS);

	with_threads(procs, [=] { round_trips(procs, rounds); });
	return 0;
}
