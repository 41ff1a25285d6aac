// SPDX-License-Identifier: GPL-2.0
/*
 * Channels between goroutines and threads that run none: blocking in the thread,
 * select there, and a channel's eventfd in an event loop.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "lib_check.h"

#define ITEMS TIMES(20000)

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, fn, arg));
	return t;
}

static void *send_items(void *arg)
{
	gs_chan *c = arg;

	for (int i = 0; i < ITEMS; i++)
		CHECK_EQ(0, gs_chan_send(c, &i));
	return NULL;
}

static void *recv_items(void *arg)
{
	gs_chan *c = arg;
	int v;

	for (int i = 0; i < ITEMS; i++) {
		CHECK_EQ(1, gs_chan_recv(c, &v));
		CHECK_EQ(i, v);
	}
	return NULL;
}

static void both_ways(size_t capacity)
{
	gs_chan *c = gs_chan_new(sizeof(int), capacity);
	pthread_t t = start(send_items, c);

	recv_items(c);
	pthread_join(t, NULL);
	t = start(recv_items, c);
	send_items(c);
	pthread_join(t, NULL);
	CHECK_EQ(0, gs_chan_len(c));
	gs_chan_unref(c);
}

TEST_GO(unbuffered)
{
	both_ways(0);
}

TEST_GO(buffered)
{
	both_ways(16);
}

/* Without any runtime, too. */
TEST(threads_alone)
{
	gs_chan *c = gs_chan_new(sizeof(int), 0);
	pthread_t t = start(send_items, c);

	recv_items(c);
	pthread_join(t, NULL);
	gs_chan_unref(c);
}

static void *wait_in_vain(void *arg)
{
	gs_chan *c = arg;
	int64_t at = gs_now() + 20 * MS;
	struct gs_case cs[] = {
		{ .chan = c, .dir = GS_RECV },
		{ .chan = NULL, .dir = GS_SEND },
	};
	int v = 5;

	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(c, &v, at));
	CHECK(gs_now() >= at);
	CHECK_EQ(-ETIMEDOUT, gs_chan_send_until(c, &v, gs_now() + 5 * MS));
	CHECK_EQ(-ETIMEDOUT, gs_select_until(cs, 2, gs_now() + 5 * MS));
	CHECK_EQ(-EAGAIN, gs_try_select(cs, 2));
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(c, &v));
	CHECK_EQ(-EAGAIN, gs_chan_try_send(c, &v));
	return NULL;
}

TEST_GO(thread_deadlines)
{
	gs_chan *c = gs_chan_new(sizeof(int), 0);
	pthread_t t = start(wait_in_vain, c);

	gs_sleep(60 * MS);
	pthread_join(t, NULL);
	/* It has left no trace. */
	CHECK_EQ(-EAGAIN, gs_chan_try_send(c, &(int){ 1 }));
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(c, NULL));
	gs_chan_unref(c);
}

static void *wait_for_close(void *arg)
{
	int v = 9;

	CHECK_EQ(0, gs_chan_recv(arg, &v));
	CHECK_EQ(0, v);
	CHECK_EQ(-EPIPE, gs_chan_send(arg, &v));
	return NULL;
}

TEST_GO(close_wakes_threads)
{
	gs_chan *c = gs_chan_new(sizeof(int), 0);
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		t[i] = start(wait_for_close, c);
	gs_sleep(20 * MS);
	CHECK_EQ(0, gs_chan_close(c));
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	gs_chan_unref(c);
}

struct selects {
	gs_chan *up, *down;
};

/* Echoes what comes up, and ends when @up is closed. */
static void *select_thread(void *arg)
{
	struct selects *s = arg;
	int in = 0, out = 0;

	for (;;) {
		struct gs_case cs[] = {
			{ .chan = s->up, .recv = &in, .dir = GS_RECV },
			{ .chan = out ? s->down : NULL, .send = &out, .dir = GS_SEND },
		};
		int i = gs_select(cs, 2);

		if (i == 0 && !cs[0].result)
			return NULL;
		if (i == 0)
			out += in;
		else
			out = 0;
	}
}

TEST_GO(select_in_a_thread)
{
	struct selects s = {
		.up = gs_chan_new(sizeof(int), 0), .down = gs_chan_new(sizeof(int), 0),
	};
	pthread_t t = start(select_thread, &s);
	int sent = 0, back = 0, v = 0, one = 1;

	while (sent < ITEMS / 10) {
		struct gs_case cs[] = {
			{ .chan = s.up, .send = &one, .dir = GS_SEND },
			{ .chan = s.down, .recv = &v, .dir = GS_RECV },
		};

		if (gs_select(cs, 2) == 0)
			sent++;
		else
			back += v;
	}
	while (back < sent) {
		CHECK_EQ(1, gs_chan_recv(s.down, &v));
		back += v;
	}
	CHECK_EQ(sent, back);
	CHECK_EQ(0, gs_chan_close(s.up));
	pthread_join(t, NULL);
	gs_chan_unref(s.up);
	gs_chan_unref(s.down);
}

/* --------------------------------------------------------------------- the eventfd */

static int readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents & POLLIN;
}

static void send_one(void *arg)
{
	CHECK_EQ(0, gs_chan_send(arg, &(int){ 1 }));
	gs_chan_unref(arg);
}

TEST_GO(eventfd_level)
{
	gs_chan *c = gs_chan_new(sizeof(int), 2), *u = gs_chan_new(sizeof(int), 0);
	int fd, v = 1;

	CHECK_EQ(0, gs_chan_send(c, &v));
	fd = gs_chan_eventfd(c);
	CHECK(fd >= 0);
	CHECK_EQ(fd, gs_chan_eventfd(c));
	CHECK(readable(fd));
	CHECK_EQ(0, gs_chan_send(c, &v));
	CHECK_EQ(1, gs_chan_recv(c, &v));
	CHECK(readable(fd));
	CHECK_EQ(1, gs_chan_recv(c, &v));
	CHECK(!readable(fd));
	CHECK_EQ(0, gs_chan_close(c));
	CHECK(readable(fd));

	/* Unbuffered: a sender that waits is something to receive. */
	fd = gs_chan_eventfd(u);
	CHECK(!readable(fd));
	go(send_one, gs_chan_ref(u));
	while (!readable(fd))
		gs_yield();
	CHECK_EQ(1, gs_chan_try_recv(u, &v));
	CHECK(!readable(fd));
	/* One that gives up: too much is said, until somebody looks. */
	CHECK_EQ(-ETIMEDOUT, gs_chan_send_until(u, &v, gs_now() + MS));
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(u, &v));
	CHECK(!readable(fd));
	gs_chan_unref(c);
	gs_chan_unref(u);
}

/* An event loop: polls, and takes all that is there. */
static void *loop_thread(void *arg)
{
	gs_chan *c = arg;
	struct pollfd p = { .fd = gs_chan_eventfd(c), .events = POLLIN };
	long sum = 0;
	int v, ret;

	for (;;) {
		CHECK_EQ(1, poll(&p, 1, 60000));
		while ((ret = gs_chan_try_recv(c, &v)) == 1)
			sum += v;
		if (!ret)
			return (void *)sum;
	}
}

struct producer {
	gs_chan *c;
	gs_wg wg;
};

static void produce(void *arg)
{
	struct producer *p = arg;

	for (int i = 1; i <= ITEMS / 20; i++)
		CHECK_EQ(0, gs_chan_send(p->c, &i));
	gs_wg_done(&p->wg);
}

static void event_loop(size_t capacity)
{
	struct producer p = { .c = gs_chan_new(sizeof(int), capacity) };
	long n = ITEMS / 20;
	pthread_t t;
	void *sum;

	t = start(loop_thread, p.c);
	for (int i = 0; i < 8; i++) {
		gs_wg_add(&p.wg, 1);
		go(produce, &p);
	}
	CHECK_EQ(0, gs_wg_wait(&p.wg));
	CHECK_EQ(0, gs_chan_close(p.c));
	pthread_join(t, &sum);
	CHECK_EQ(8 * n * (n + 1) / 2, (long)sum);
	gs_chan_unref(p.c);
}

TEST_GO(eventfd_loop)
{
	event_loop(4);
}

TEST_GO(eventfd_loop_unbuffered)
{
	event_loop(0);
}

TEST_HARNESS_MAIN
