// SPDX-License-Identifier: GPL-2.0
/* A round trip of a number between two threads, by futexes. */
#include "futex.h"

#define ROUNDS	100000

struct slot {
	uint32_t full;
	int v;
};

static void put(struct slot *s, int v)
{
	s->v = v;
	futex_send(&s->full);
}

static int take(struct slot *s)
{
	futex_wait_for(&s->full);
	return s->v;
}

#include "round_trip.h"

int main(int argc, char **argv)
{
	int procs = arg_procs(argc, argv);
	long rounds = arg_count(argc, argv, ROUNDS);
	pthread_t t;

	pin_to_some(procs);
	t = thread_start(echo, (void *)rounds);
	round_trips("threads", procs, rounds);
	thread_join(t);
	return 0;
}
