// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * ring: many goroutines in a ring, and a number that goes round.
 *
 *   ring [GOROUTINES [ROUNDS]]		default: 100000 10
 *
 * Each goroutine receives the number from the one before it, adds 1 and sends it to the
 * next. All but one of them wait at any time: that costs memory, and no time.
 */
#include <stdio.h>
#include <stdlib.h>

#include <gsched.h>

/* A goroutine, and the reference that it owns to the channel on either side. */
struct node {
	gs_chan *in, *out;
};

static gs_wg running = GS_WG_INIT;

static void die(void)
{
	fprintf(stderr, "ring: out of memory\n");
	exit(1);
}

static void pass_on(void *arg)
{
	struct node *node = arg;
	long n;

	while (gs_chan_recv(node->in, &n) == 1) {
		n++;
		gs_chan_send(node->out, &n);
	}
	/* Closed: the next one shall end, too. */
	gs_chan_close(node->out);
	gs_chan_unref(node->in);
	gs_chan_unref(node->out);
	gs_wg_done(&running);
}

/* Return: the channel behind the last of @nodes, whose first one has @in. */
static gs_chan *start_chain(struct node *nodes, long count, gs_chan *in)
{
	gs_wg_add(&running, count);
	for (long i = 0; i < count; i++) {
		gs_chan *out = gs_chan_new(sizeof(long), 0);

		if (!out)
			die();
		nodes[i].in = in;
		nodes[i].out = gs_chan_ref(out);
		if (gs_go(pass_on, &nodes[i]))
			die();
		in = out;
	}
	return in;
}

static double ms_since(int64_t begin)
{
	return (gs_now() - begin) / 1e6;
}

static int run(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 100000;
	long rounds = argc > 2 ? atol(argv[2]) : 10;
	struct node *nodes = calloc(count > 0 ? count : 1, sizeof(*nodes));
	gs_chan *first = gs_chan_new(sizeof(long), 0), *last;
	int64_t begin = gs_now();
	long n = 0;

	if (!nodes || !first)
		die();
	last = start_chain(nodes, count, gs_chan_ref(first));
	printf("%ld goroutines, started in %.1f ms\n", count, ms_since(begin));
	begin = gs_now();
	for (long i = 0; i < rounds; i++) {
		gs_chan_send(first, &n);
		gs_chan_recv(last, &n);
	}
	printf("%ld rounds in %.1f ms: the number is %ld\n", rounds, ms_since(begin), n);
	gs_chan_close(first);
	gs_wg_wait(&running);
	gs_chan_unref(first);
	gs_chan_unref(last);
	free(nodes);
	return n != rounds * count;
}

int main(int argc, char **argv)
{
	return gs_main(run, argc, argv) ? 1 : 0;
}
