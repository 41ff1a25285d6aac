// SPDX-License-Identifier: GPL-2.0
/* Receiving by select from 2 and from 8 unbuffered channels, each with a sender. */
#include "measure_gs.h"

#define MESSAGES	1000000L
#define MOST		8

static gs_chan *chans[MOST];
static long each;

static void send_many(void *arg)
{
	for (long i = 0; i < each; i++)
		need(!gs_chan_send(arg, &i));
}

static void measure(const char *name, long messages, int n)
{
	struct gs_case cases[MOST] = { 0 };
	long sum = 0, v = 0;
	int64_t begin;

	each = messages / n;
	for (int i = 0; i < n; i++) {
		chans[i] = gs_chan_new(sizeof(long), 0);
		cases[i] = (struct gs_case){ .chan = chans[i], .recv = &v, .dir = GS_RECV };
		need(!gs_go(send_many, chans[i]));
	}
	begin = now_ns();
	for (long i = 0; i < each * n; i++) {
		need(gs_select(cases, n) >= 0);
		sum += v;
	}
	need(sum == n * (each * (each - 1) / 2));
	gs_report(name, each * n, now_ns() - begin, NULL);
}

static int bench(int argc, char **argv)
{
	long messages = arg_count(argc, argv, MESSAGES);

	measure("select_2", messages, 2);
	measure("select_8", messages, 8);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(bench, argc, argv);
}
