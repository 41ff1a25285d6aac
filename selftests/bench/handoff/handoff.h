/* SPDX-License-Identifier: GPL-2.0 */
/*
 * handoff.h: the CPUs, and round trips of two threads through futexes. PROCS is the number
 * of CPUs here, 1 or 2: of Ps there is always one.
 */
#ifndef HANDOFF_H
#define HANDOFF_H

#include "futex.h"

static int first_cpu, last_cpu;

/* Of the CPUs that we may use. */
static void find_cpus(int n)
{
	cpu_set_t set;
	int cpu;

	need(!sched_getaffinity(0, sizeof(set), &set));
	if (n > 2 || n > CPU_COUNT(&set))
		exit(SKIP);
	for (cpu = 0; !CPU_ISSET(cpu, &set); cpu++)
		;
	first_cpu = last_cpu = cpu;
	while (n == 2 && (last_cpu == first_cpu || !CPU_ISSET(last_cpu, &set)))
		last_cpu++;
}

static uint32_t ping_word, pong_word;

static void *pong(void *arg)
{
	pin(last_cpu);
	for (;;) {
		futex_wait_for(&ping_word);
		futex_send(&pong_word);
	}
	return arg;
}

/* By a thread on the first CPU. */
static void futex_rounds(int n, struct samples *s)
{
	for (int i = 0; i < n; i++) {
		int64_t begin = now_ns();

		futex_send(&ping_word);
		futex_wait_for(&pong_word);
		samples_add(s, now_ns() - begin);
	}
}

#endif /* HANDOFF_H */
