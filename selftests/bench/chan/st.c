// SPDX-License-Identifier: GPL-2.0
/* A round trip of a number; State Threads has no channels, but conditions. */
#include "measure.h"

#include <st.h>

#define ROUNDS	1000000

struct slot {
	st_cond_t filled;
	bool full;
	int v;
};

static void put(struct slot *s, int v)
{
	s->v = v;
	s->full = true;
	st_cond_signal(s->filled);
}

static int take(struct slot *s)
{
	while (!s->full)
		st_cond_wait(s->filled);
	s->full = false;
	return s->v;
}

#include "round_trip.h"

int main(int argc, char **argv)
{
	long rounds = arg_count(argc, argv, ROUNDS);

	arg_only_one(argc, argv);
	need(!st_init());
	there.filled = st_cond_new();
	back.filled = st_cond_new();
	need(st_thread_create(echo, (void *)rounds, 0, 0));
	round_trips("st", 1, rounds);
	return 0;
}
