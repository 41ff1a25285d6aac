// SPDX-License-Identifier: GPL-2.0
/*
 * Computing and talking: sixteen pairs of goroutines that answer one another over unbuffered
 * channels, and compute for some microseconds before each answer.
 */
#include "measure_gs.h"

#define ROUNDS	200000L
#define PAIRS	16

static gs_wg running;
static long each;

struct pair {
	gs_chan *there, *back;
};

static void answer(void *arg)
{
	struct pair *p = arg;
	long v;

	while (gs_chan_recv(p->there, &v) == 1) {
		work_unit();
		v = -v;
		gs_chan_send(p->back, &v);
	}
	gs_wg_done(&running);
}

static void ask(void *arg)
{
	struct pair *p = arg;
	long v;

	for (long i = 0; i < each; i++) {
		work_unit();
		gs_chan_send(p->there, &i);
		need(gs_chan_recv(p->back, &v) == 1 && v == -i);
	}
	gs_chan_close(p->there);
	gs_wg_done(&running);
}

static int bench(int argc, char **argv)
{
	struct pair pairs[PAIRS];
	int64_t begin = now_ns();

	each = arg_count(argc, argv, ROUNDS) / PAIRS;
	gs_wg_add(&running, 2 * PAIRS);
	for (int i = 0; i < PAIRS; i++) {
		pairs[i] = (struct pair){ gs_chan_new(sizeof(long), 0), gs_chan_new(sizeof(long), 0) };
		need(pairs[i].there && pairs[i].back);
		need(!gs_go(ask, &pairs[i]) && !gs_go(answer, &pairs[i]));
	}
	gs_wg_wait(&running);
	gs_report("scaling", each * PAIRS, now_ns() - begin, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(bench, argc, argv);
}
