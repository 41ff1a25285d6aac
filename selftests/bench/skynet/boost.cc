// SPDX-License-Identifier: GPL-2.0
/* Skynet, as gsched.c. A fiber runs as soon as it is started, so that few exist at a time. */
#include "measure_fiber.h"

#define LEAVES	1000000L

typedef fibers::buffered_channel<long> channel;

static void skynet(channel &parent, long number, long leaves);

static long sum_of_ten(long number, long leaves)
{
	channel results(16);
	long sum = 0;

	for (int i = 0; i < 10; i++)
		fibers::fiber(fibers::launch::dispatch, skynet, std::ref(results),
			      number + i * leaves, leaves).detach();
	for (int i = 0; i < 10; i++)
		sum += results.value_pop();
	return sum;
}

static void skynet(channel &parent, long number, long leaves)
{
	parent.push(leaves == 1 ? number : sum_of_ten(number, leaves / 10));
}

int main(int argc, char **argv)
{
	long leaves = arg_count(argc, argv, LEAVES), sum;
	int64_t begin = now_ns();

	/* The channel of ten may be gone before the last of them has left push(). */
	arg_only_one(argc, argv);
	sum = sum_of_ten(0, leaves / 10);
	need(sum == leaves * (leaves - 1) / 2);
	report("skynet", "boost", 1, leaves, now_ns() - begin, NULL);
	return 0;
}
