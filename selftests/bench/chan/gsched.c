// SPDX-License-Identifier: GPL-2.0
/* A round trip through two unbuffered channels: there and back. */
#include "measure_gs.h"

#define ROUNDS	1000000

static gs_chan *there, *back;

static void echo(void *arg)
{
	int v;

	(void)arg;
	while (gs_chan_recv(there, &v) == 1) {
		v = -v;
		gs_chan_send(back, &v);
	}
}

static int bench(int argc, char **argv)
{
	int rounds = arg_count(argc, argv, ROUNDS), v;
	int64_t begin;

	there = gs_chan_new(sizeof(int), 0);
	back = gs_chan_new(sizeof(int), 0);
	need(there && back && !gs_go(echo, NULL));
	begin = now_ns();
	for (int i = 0; i < rounds; i++) {
		gs_chan_send(there, &i);
		need(gs_chan_recv(back, &v) == 1 && v == -i);
	}
	gs_report("chan_round_trip", rounds, now_ns() - begin, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(bench, argc, argv);
}
