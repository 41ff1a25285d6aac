// SPDX-License-Identifier: GPL-2.0
/* A channel with a buffer of 128: from one goroutine to one, and from eight to eight. */
#include "measure_gs.h"

#define MESSAGES	4000000L
#define CAPACITY	128

static gs_chan *chan;
static gs_wg senders, receivers;
static long each, sum, received;

static void send_many(void *arg)
{
	(void)arg;
	for (long i = 0; i < each; i++)
		need(!gs_chan_send(chan, &i));
	gs_wg_done(&senders);
}

static void recv_many(void *arg)
{
	long v, mine = 0, n = 0;

	(void)arg;
	for (; gs_chan_recv(chan, &v) == 1; n++)
		mine += v;
	__atomic_add_fetch(&sum, mine, __ATOMIC_RELAXED);
	__atomic_add_fetch(&received, n, __ATOMIC_RELAXED);
	gs_wg_done(&receivers);
}

static void measure(const char *name, long messages, int ends)
{
	int64_t begin = now_ns();

	each = messages / ends;
	sum = received = 0;
	chan = gs_chan_new(sizeof(long), CAPACITY);
	gs_wg_add(&senders, ends);
	gs_wg_add(&receivers, ends);
	for (int i = 0; i < ends; i++)
		need(!gs_go(send_many, NULL) && !gs_go(recv_many, NULL));
	gs_wg_wait(&senders);
	gs_chan_close(chan);
	gs_wg_wait(&receivers);
	need(received == each * ends && sum == ends * (each * (each - 1) / 2));
	gs_report(name, received, now_ns() - begin, NULL);
	gs_chan_unref(chan);
}

static int bench(int argc, char **argv)
{
	long messages = arg_count(argc, argv, MESSAGES);

	measure("buffered_1to1", messages, 1);
	measure("buffered_8to8", messages, 8);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(bench, argc, argv);
}
