// SPDX-License-Identifier: GPL-2.0
/*
 * Programs made of channels: chains, sieves, streams, workers. Each gives a result that
 * is known, and ends with nobody left.
 */
#include "lib_check.h"

#include <pthread.h>

static gs_chan *new_chan(size_t cap)
{
	gs_chan *c = gs_chan_new(sizeof(long), cap);

	CHECK(c);
	return c;
}

static long get(gs_chan *c)
{
	long v;

	CHECK_EQ(1, gs_chan_recv(c, &v));
	return v;
}

static void put(gs_chan *c, long v)
{
	CHECK_EQ(0, gs_chan_send(c, &v));
}

/* ------------------------------------------------------------------------- chains */

struct link {
	gs_chan *from, *to;
	long nr;
};

/* Each says its number only after the one before it has. */
static void in_turn(void *arg)
{
	struct link *l = arg;

	CHECK_EQ(l->nr - 1, get(l->from));
	put(l->to, l->nr);
	gs_chan_unref(l->from);
	free(l);
}

static void start_link(void (*fn)(void *), gs_chan *from, gs_chan *to, long nr)
{
	struct link *l = malloc(sizeof(*l));

	CHECK(l);
	*l = (struct link){ from, to, nr };
	go(fn, l);
}

TEST_GO(one_after_the_other)
{
	gs_chan *first = new_chan(0), *from = first, *to;

	for (long i = 1; i <= TIMES(1000); i++) {
		to = new_chan(0);
		start_link(in_turn, from, to, i);
		from = to;
	}
	put(first, 0);
	CHECK_EQ(TIMES(1000), get(from));
	gs_chan_unref(from);
}

static void plus_one(void *arg)
{
	struct link *l = arg;

	put(l->to, 1 + get(l->from));
	gs_chan_unref(l->from);
	free(l);
}

/* Ten thousand goroutines hand one number through. */
TEST_GO(long_chain)
{
	gs_chan *first = new_chan(0), *from = first, *to;

	for (long i = 0; i < TIMES(10000); i++) {
		to = new_chan(0);
		start_link(plus_one, from, to, 0);
		from = to;
	}
	put(first, 0);
	CHECK_EQ(TIMES(10000), get(from));
	gs_chan_unref(from);
}

/* -------------------------------------------------------------------------- sieve */

static void count_up(void *arg)
{
	long i = 2;

	while (gs_chan_send(arg, &i) == 0)
		i++;
	gs_chan_unref(arg);
}

/* The end goes backwards: who can send no more closes the channel before. */
static void filter(void *arg)
{
	struct link *l = arg;
	long v;

	while (gs_chan_recv(l->from, &v) == 1)
		if (v % l->nr && gs_chan_send(l->to, &v))
			break;
	gs_chan_close(l->from);
	gs_chan_unref(l->from);
	gs_chan_unref(l->to);
	free(l);
}

TEST_GO(sieve)
{
	static const struct { int nth; long prime; } known[] = { { 1, 2 }, { 25, 97 }, { 60, 281 } };
	gs_chan *from = new_chan(0), *to;
	unsigned int k = 0;
	long prime;

	go(count_up, gs_chan_ref(from));
	for (int i = 1; i <= 60; i++) {
		prime = get(from);
		if (i == known[k].nth)
			CHECK_EQ(known[k++].prime, prime);
		to = new_chan(i % 3);
		start_link(filter, from, gs_chan_ref(to), prime);
		from = to;
	}
	CHECK_EQ(3, k);
	gs_chan_close(from);
	gs_chan_unref(from);
}

/* ----------------------------------------------------------------- streams of streams */

/*
 * Power series: a stream gives its coefficients, one for each demand. Demands and
 * answers are channels; a product is a goroutine that has demands of its own.
 */

struct stream {
	gs_chan *want, *give;
};

static struct stream *stream_new(void)
{
	struct stream *s = malloc(sizeof(*s));

	CHECK(s);
	*s = (struct stream){ new_chan(0), new_chan(0) };
	return s;
}

static void stream_drop(struct stream *s)
{
	gs_chan_unref(s->want);
	gs_chan_unref(s->give);
	free(s);
}

static long stream_get(struct stream *s)
{
	put(s->want, 0);
	return get(s->give);
}

/* Give @v to the next demand. Return: false: there will be none. */
static bool stream_put(struct stream *s, long v)
{
	if (gs_chan_recv(s->want, NULL) != 1)
		return false;
	put(s->give, v);
	return true;
}

/* No more demands: whoever serves it ends, and ends what he takes from. */
static void stream_end(struct stream *s)
{
	CHECK_EQ(0, gs_chan_close(s->want));
}

/* 1 + x + x^2 + .. */
static void ones(void *arg)
{
	while (stream_put(arg, 1))
		;
	stream_drop(arg);
}

struct product {
	struct stream *a, *b, *out;
};

#define TERMS 40

static void multiply(void *arg)
{
	struct product *p = arg;
	long a[TERMS], b[TERMS], sum;

	for (int n = 0; ; n++) {
		if (gs_chan_recv(p->out->want, NULL) != 1)
			break;
		CHECK(n < TERMS);
		a[n] = stream_get(p->a);
		b[n] = stream_get(p->b);
		sum = 0;
		for (int i = 0; i <= n; i++)
			sum += a[i] * b[n - i];
		put(p->out->give, sum);
	}
	stream_end(p->a);
	stream_end(p->b);
	stream_drop(p->out);
	free(p);
}

static struct stream *product(struct stream *a, struct stream *b)
{
	struct product *p = malloc(sizeof(*p));

	CHECK(p);
	*p = (struct product){ a, b, stream_new() };
	go(multiply, p);
	return p->out;
}

static struct stream *all_ones(void)
{
	struct stream *s = stream_new();

	go(ones, s);
	return s;
}

/* 1 / (1 - x)^4, as a tree of products: its coefficients are (n + 1)(n + 2)(n + 3) / 6. */
TEST_GO(power_series)
{
	struct stream *s = product(product(all_ones(), all_ones()),
				   product(all_ones(), all_ones()));

	for (long n = 0; n < TERMS; n++)
		CHECK_EQ((n + 1) * (n + 2) * (n + 3) / 6, stream_get(s));
	stream_end(s);
}

/* ------------------------------------------------------------------ workers, results */

#define WORKERS 23

struct office {
	gs_chan *jobs, *results;
	gs_wg wg;
	long n;
};

static void work(void *arg)
{
	struct office *o = arg;
	long v;

	while (gs_chan_recv(o->jobs, &v) == 1) {
		if (v % 7 == 0)
			gs_yield();
		put(o->results, v);
	}
	gs_wg_done(&o->wg);
}

/* Closes what the workers read, waits for them, then closes what they write. */
static void feed(void *arg)
{
	struct office *o = arg;

	for (long i = 1; i <= o->n; i++)
		put(o->jobs, i);
	CHECK_EQ(0, gs_chan_close(o->jobs));
	gs_wg_wait(&o->wg);
	CHECK_EQ(0, gs_chan_close(o->results));
}

TEST_GO(many_workers)
{
	struct office o = {
		.jobs = new_chan(3 * WORKERS), .results = new_chan(3 * WORKERS), .n = TIMES(20000),
	};
	long n = 0, sum = 0, v;

	gs_wg_add(&o.wg, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		go(work, &o);
	go(feed, &o);
	while (gs_chan_recv(o.results, &v) == 1) {
		n++;
		sum += v;
	}
	CHECK_EQ(o.n, n);
	CHECK_EQ(o.n * (o.n + 1) / 2, sum);
	gs_chan_unref(o.jobs);
	gs_chan_unref(o.results);
}

/* ------------------------------------------------------------- a select into a select */

struct pipes {
	gs_chan *in[2], *out;
	long n;
};

/* Each number goes to one of two channels. */
static void spread(void *arg)
{
	struct pipes *p = arg;
	long v = 0;
	struct gs_case cases[] = {
		{ .chan = p->in[0], .send = &v, .dir = GS_SEND },
		{ .chan = p->in[1], .send = &v, .dir = GS_SEND },
	};

	for (; v < p->n; v++)
		CHECK(gs_select(cases, 2) >= 0);
	gs_chan_close(p->in[0]);
	gs_chan_close(p->in[1]);
}

/* From either, until both are closed. */
static void collect(void *arg)
{
	struct pipes *p = arg;
	long v = -1;
	struct gs_case cases[] = {
		{ .chan = p->in[0], .recv = &v, .dir = GS_RECV },
		{ .chan = p->in[1], .recv = &v, .dir = GS_RECV },
	};
	int i;

	while (cases[0].chan || cases[1].chan) {
		i = gs_select(cases, 2);
		if (cases[i].result)
			put(p->out, v);
		else
			cases[i].chan = NULL;
	}
	gs_chan_close(p->out);
}

/* One reader, so nothing can overtake: they come in order, and each once. */
TEST_GO(spread_and_collect)
{
	struct pipes p = {
		.in = { new_chan(0), new_chan(0) }, .out = new_chan(0), .n = TIMES(20000),
	};
	long v, next = 0;

	go(spread, &p);
	go(collect, &p);
	while (gs_chan_recv(p.out, &v) == 1)
		CHECK_EQ(next++, v);
	CHECK_EQ(p.n, next);
	gs_chan_unref(p.in[0]);
	gs_chan_unref(p.in[1]);
	gs_chan_unref(p.out);
}

/* ------------------------------------------------------------------ threads, too */

struct court {
	gs_chan *to, *fro;
	long n;
};

static void *thread_returns(void *arg)
{
	struct court *c = arg;
	long v;

	while (gs_chan_recv(c->to, &v) == 1)
		put(c->fro, v + 1);
	gs_chan_close(c->fro);
	return NULL;
}

static void ping_pong(size_t cap)
{
	struct court c = { .to = new_chan(cap), .fro = new_chan(cap), .n = TIMES(500) };
	pthread_t thread;

	CHECK_EQ(0, pthread_create(&thread, NULL, thread_returns, &c));
	for (long i = 0; i < c.n; i++) {
		put(c.to, i);
		CHECK_EQ(i + 1, get(c.fro));
	}
	CHECK_EQ(0, gs_chan_close(c.to));
	CHECK_EQ(0, gs_chan_recv(c.fro, NULL));
	CHECK_EQ(0, pthread_join(thread, NULL));
	gs_chan_unref(c.to);
	gs_chan_unref(c.fro);
}

TEST_GO(ping_pong_with_a_thread)
{
	ping_pong(0);
	ping_pong(1);
}

/* Without any runtime, too: channels between threads are channels. */
TEST(threads_among_themselves)
{
	ping_pong(0);
	ping_pong(2);
}

TEST_HARNESS_MAIN
