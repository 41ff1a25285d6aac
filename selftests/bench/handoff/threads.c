// SPDX-License-Identifier: GPL-2.0
/* What a hand-off is compared with: a round trip of two threads through futexes. */
#include "handoff.h"

#define ROUNDS 5000

int main(int argc, char **argv)
{
	int cpus = arg_procs(argc, argv), n = arg_count(argc, argv, ROUNDS);
	struct samples s = { 0 };
	char more[64];

	find_cpus(cpus);
	thread_start(pong, NULL);
	pin(first_cpu);
	futex_rounds(n, &s);
	snprintf(more, sizeof(more), "p99=%.0f", samples_quantile(&s, 0.99));
	report("handoff", "threads", cpus, n, n * samples_median(&s), more);
	return 0;
}
