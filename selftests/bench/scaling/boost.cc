// SPDX-License-Identifier: GPL-2.0
/* Computing and talking, as gsched.c. */
#include "measure_fiber.h"

#define ROUNDS	100000L
#define PAIRS	16

struct pair {
	fibers::unbuffered_channel<long> there, back;
};

static void answer(struct pair &p)
{
	long v;

	while (p.there.pop(v) == fibers::channel_op_status::success) {
		work_unit();
		p.back.push(-v);
	}
}

static void ask(struct pair &p, long each)
{
	long v;

	for (long i = 0; i < each; i++) {
		work_unit();
		p.there.push(i);
		need(p.back.pop(v) == fibers::channel_op_status::success && v == -i);
	}
	p.there.close();
}

static void measure(int procs, long each)
{
	int64_t begin = now_ns();
	struct pair pairs[PAIRS];
	wait_group running;

	running.add(2 * PAIRS);
	for (auto &p : pairs) {
		go([&] {
			ask(p, each);
			running.done();
		});
		go([&] {
			answer(p);
			running.done();
		});
	}
	running.wait();
	report("scaling", "boost", procs, each * PAIRS, now_ns() - begin, NULL);
}

int main(int argc, char **argv)
{
	long each = arg_count(argc, argv, ROUNDS) / PAIRS;
	int procs = arg_procs(argc, argv);

	with_threads(procs, [=] { measure(procs, each); });
	return 0;
}
