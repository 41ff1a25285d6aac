// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * sieve: the first primes, by a chain of goroutines.
 *
 *   sieve [COUNT]		default: 100
 *
 * One goroutine counts: 2, 3, 4 .. What comes out of the chain's end is a prime; then
 * a filter is put there, a goroutine that lets through what that prime does not divide.
 */
#include <stdio.h>
#include <stdlib.h>

#include <gsched.h>

/* A filter: it owns a reference to each of the channels. */
struct filter {
	gs_chan *in, *out;
	long prime;
};

static gs_group chain = GS_GROUP_INIT;

static void *or_die(void *p)
{
	if (!p) {
		fprintf(stderr, "sieve: out of memory\n");
		exit(1);
	}
	return p;
}

static void start(int (*fn)(void *), void *arg)
{
	if (gs_group_go(&chain, fn, arg))
		or_die(NULL);
}

/* Ends when the group is cancelled: then its send returns -ECANCELED. */
static int count(void *arg)
{
	gs_chan *out = arg;
	int err = 0;

	for (long n = 2; !err; n++)
		err = gs_chan_send(out, &n);
	gs_chan_unref(out);
	return err;
}

static int filter(void *arg)
{
	struct filter *f = arg;
	int err = 0;
	long n;

	while (!err && gs_chan_recv(f->in, &n) == 1)
		if (n % f->prime)
			err = gs_chan_send(f->out, &n);
	gs_chan_unref(f->in);
	gs_chan_unref(f->out);
	free(f);
	return err;
}

/* The filter takes the caller's reference to @in over. Return: the chain's new end. */
static gs_chan *add_filter(gs_chan *in, long prime)
{
	struct filter *f = or_die(malloc(sizeof(*f)));
	gs_chan *out = or_die(gs_chan_new(sizeof(long), 0));

	*f = (struct filter){ .in = in, .out = gs_chan_ref(out), .prime = prime };
	start(filter, f);
	return out;
}

static int run(int argc, char **argv)
{
	long primes = argc > 1 ? atol(argv[1]) : 100, prime;
	gs_chan *end = or_die(gs_chan_new(sizeof(long), 0));

	start(count, gs_chan_ref(end));
	while (primes-- > 0 && gs_chan_recv(end, &prime) == 1) {
		printf("%ld\n", prime);
		end = add_filter(end, prime);
	}
	/* All of them wait in a send or a receive. */
	gs_group_cancel(&chain);
	gs_group_wait(&chain);
	gs_chan_unref(end);
	return 0;
}

int main(int argc, char **argv)
{
	return gs_main(run, argc, argv) ? 1 : 0;
}
