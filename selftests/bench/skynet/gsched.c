// SPDX-License-Identifier: GPL-2.0
/*
 * Skynet: a goroutine starts ten, each of those starts ten, six times over; the million at
 * the end send their numbers, all others the sum of ten, through a channel of their parent.
 */
#include "measure_gs.h"

#define LEAVES	1000000L

struct node {
	gs_chan *parent;
	long number, leaves;
};

static void skynet(void *arg);

static void start(gs_chan *parent, long number, long leaves)
{
	struct node *n = malloc(sizeof(*n));

	need(n);
	*n = (struct node){ gs_chan_ref(parent), number, leaves };
	need(!gs_go(skynet, n));
}

static long sum_of_ten(long number, long leaves)
{
	gs_chan *results = gs_chan_new(sizeof(long), 0);
	long sum = 0, v;

	need(results);
	for (int i = 0; i < 10; i++)
		start(results, number + i * leaves, leaves);
	for (int i = 0; i < 10; i++) {
		need(gs_chan_recv(results, &v) == 1);
		sum += v;
	}
	gs_chan_unref(results);
	return sum;
}

static void skynet(void *arg)
{
	struct node n = *(struct node *)arg;
	long result = n.leaves == 1 ? n.number : sum_of_ten(n.number, n.leaves / 10);

	free(arg);
	need(!gs_chan_send(n.parent, &result));
	gs_chan_unref(n.parent);
}

static int bench(int argc, char **argv)
{
	long leaves = arg_count(argc, argv, LEAVES), sum;
	int64_t begin = now_ns();

	/* A power of ten. */
	sum = sum_of_ten(0, leaves / 10);
	need(sum == leaves * (leaves - 1) / 2);
	gs_report("skynet", leaves, now_ns() - begin, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(bench, argc, argv);
}
