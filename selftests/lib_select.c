// SPDX-License-Identifier: GPL-2.0
/*
 * Select: what is ready, what waits, what is chosen, and that nothing is left behind in
 * the channels that were not.
 */
#include "lib_waiters.h"

#include <errno.h>
#include <pthread.h>

#define SOON (gs_now() + 20 * MS)

static struct gs_case sends(gs_chan *c, const void *v)
{
	return (struct gs_case){ .chan = c, .send = v, .dir = GS_SEND };
}

static struct gs_case receives(gs_chan *c, void *v)
{
	return (struct gs_case){ .chan = c, .recv = v, .dir = GS_RECV };
}

static void send_now(gs_chan *c, int v)
{
	CHECK_EQ(0, gs_chan_try_send(c, &v));
}

/* Nobody waits at an open channel, and nothing is in it. */
static void check_at_rest(gs_chan *c)
{
	CHECK_EQ(0, gs_chan_len(c));
	CHECK_EQ(0, chan_waiters(c, GS_SEND));
	CHECK_EQ(0, chan_waiters(c, GS_RECV));
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(c, NULL));
}

/* ------------------------------------------------------------ without waiting */

TEST_GO(takes_what_is_ready)
{
	gs_chan *a = gs_chan_new(sizeof(int), 1), *b = gs_chan_new(sizeof(int), 1);
	int v = 7, to = 0;
	struct gs_case cases[] = { receives(a, &to), sends(b, &v) };

	CHECK_EQ(1, gs_select(cases, 2));
	CHECK_EQ(0, cases[1].result);
	CHECK_EQ(1, gs_chan_len(b));
	send_now(a, 8);
	CHECK_EQ(0, gs_try_select(cases, 2));
	CHECK_EQ(1, cases[0].result);
	CHECK_EQ(8, to);
	CHECK_EQ(-EAGAIN, gs_try_select(cases, 2));
	CHECK_EQ(1, gs_chan_try_recv(b, &to));
	CHECK_EQ(7, to);
	check_at_rest(a);
	check_at_rest(b);
	gs_chan_unref(a);
	gs_chan_unref(b);
}

TEST_GO(deadlines)
{
	gs_chan *c = gs_chan_new(sizeof(int), 0);
	int v = 1;
	struct gs_case cases[] = { receives(c, &v), sends(c, &v) };
	int64_t t;

	CHECK_EQ(-ETIMEDOUT, gs_select_until(cases, 2, 0));
	CHECK_EQ(-ETIMEDOUT, gs_select_until(cases, 2, gs_now() - 1));
	t = SOON;
	CHECK_EQ(-ETIMEDOUT, gs_select_until(cases, 2, t));
	CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	CHECK_EQ(-EAGAIN, gs_try_select(cases, 2));
	check_at_rest(c);
	gs_chan_unref(c);
}

/* A passed deadline ends waits only: what is ready is done. */
TEST_GO(ready_beats_deadline)
{
	gs_chan *c = gs_chan_new(sizeof(int), 1);
	int v = 0;
	struct gs_case one = receives(c, &v);

	send_now(c, 3);
	CHECK_EQ(0, gs_select_until(&one, 1, 0));
	CHECK_EQ(3, v);
	gs_chan_unref(c);
}

TEST_GO(nothing_to_choose)
{
	int v = 1;
	struct gs_case cases[] = { receives(NULL, &v), sends(NULL, &v) };
	int64_t t = SOON;

	CHECK_EQ(-EAGAIN, gs_try_select(NULL, 0));
	CHECK_EQ(-ETIMEDOUT, gs_select_until(NULL, 0, t));
	CHECK(gs_now() >= t);
	CHECK_EQ(-EAGAIN, gs_try_select(cases, 2));
	t = SOON;
	CHECK_EQ(-ETIMEDOUT, gs_select_until(cases, 2, t));
	CHECK(gs_now() >= t);
}

TEST_GO(null_is_never_ready)
{
	gs_chan *c = gs_chan_new(sizeof(int), 1);
	int v = 5, to = 0;
	struct gs_case cases[] = { receives(NULL, &to), sends(c, &v), sends(NULL, &v) };

	for (int i = 0; i < 20; i++) {
		CHECK_EQ(1, gs_select(cases, 3));
		CHECK_EQ(1, gs_chan_try_recv(c, NULL));
	}
	gs_chan_unref(c);
}

TEST_GO(misuse)
{
	gs_chan *c = gs_chan_new(sizeof(int), 1);
	int v = 5;
	struct gs_case bad = { .chan = c, .send = &v, .dir = 0 };

	CHECK_EQ(-EINVAL, gs_try_select(&bad, 1));
	bad.dir = GS_SEND | GS_RECV;
	CHECK_EQ(-EINVAL, gs_select(&bad, 1));
	CHECK_EQ(-EINVAL, gs_select_until(&bad, 1, 0));
	CHECK_EQ(-EINVAL, gs_try_select(&bad, 65537));
	check_at_rest(c);
	gs_chan_unref(c);
}

TEST_GO(closed_is_ready)
{
	gs_chan *open = gs_chan_new(sizeof(int), 0), *closed = gs_chan_new(sizeof(int), 2);
	int v = 5, to = 9;
	struct gs_case recv[] = { receives(open, &to), receives(closed, &to) };
	struct gs_case send[] = { sends(open, &v), sends(closed, &v) };

	send_now(closed, 4);
	CHECK_EQ(0, gs_chan_close(closed));
	CHECK_EQ(1, gs_select(recv, 2));
	CHECK_EQ(1, recv[1].result);
	CHECK_EQ(4, to);
	CHECK_EQ(1, gs_select(recv, 2));
	CHECK_EQ(0, recv[1].result);
	CHECK_EQ(0, to);
	CHECK_EQ(1, gs_select(send, 2));
	CHECK_EQ(-EPIPE, send[1].result);
	CHECK_EQ(1, gs_try_select(send, 2));
	CHECK_EQ(-EPIPE, send[1].result);
	check_at_rest(open);
	gs_chan_unref(open);
	gs_chan_unref(closed);
}

TEST_GO(sizes)
{
	static char big[65536], copy[65536];
	gs_chan *nil = gs_chan_new(0, 1), *wide = gs_chan_new(sizeof(big), 1);
	struct gs_case cases[] = { sends(nil, NULL), sends(wide, big) };
	struct gs_case back[] = { receives(nil, NULL), receives(wide, copy) };

	memset(big, 'x', sizeof(big));
	CHECK(gs_select(cases, 2) >= 0);
	CHECK(gs_select(cases, 2) >= 0);
	CHECK_EQ(-EAGAIN, gs_try_select(cases, 2));
	CHECK(gs_select(back, 2) >= 0);
	CHECK(gs_select(back, 2) >= 0);
	CHECK_EQ(-EAGAIN, gs_try_select(back, 2));
	CHECK(!memcmp(big, copy, sizeof(big)));
	gs_chan_unref(nil);
	gs_chan_unref(wide);
}

/* --------------------------------------------------------------------- waiting */

/* A goroutine that selects. */
struct waiting {
	struct gs_case cases[4];
	int n, chosen;
	gs_wg wg;
};

static void select_one(void *arg)
{
	struct waiting *w = arg;

	w->chosen = gs_select(w->cases, w->n);
	gs_wg_done(&w->wg);
}

/* Returns when it waits: then it does so in all its channels. */
static void start_waiting(struct waiting *w)
{
	int before = chan_waiters(w->cases[0].chan, w->cases[0].dir), same = 0;

	for (int i = 0; i < w->n; i++)
		same += w->cases[i].chan == w->cases[0].chan;
	w->chosen = -1;
	gs_wg_add(&w->wg, 1);
	go(select_one, w);
	until_waiting(w->cases[0].chan, w->cases[0].dir, before + same);
	CHECK_EQ(-1, w->chosen);
}

TEST_GO(waits_to_receive)
{
	gs_chan *a = gs_chan_new(sizeof(int), 0), *b = gs_chan_new(sizeof(int), 0);
	int to[2] = { 0, 0 }, v = 6;
	struct waiting w = { .cases = { receives(a, &to[0]), receives(b, &to[1]) }, .n = 2 };

	start_waiting(&w);
	CHECK_EQ(0, gs_chan_send(b, &v));
	gs_wg_wait(&w.wg);
	CHECK_EQ(1, w.chosen);
	CHECK_EQ(1, w.cases[1].result);
	CHECK_EQ(6, to[1]);
	CHECK_EQ(0, to[0]);
	check_at_rest(a);
	check_at_rest(b);
	gs_chan_unref(a);
	gs_chan_unref(b);
}

TEST_GO(waits_to_send)
{
	gs_chan *a = gs_chan_new(sizeof(int), 0), *b = gs_chan_new(sizeof(int), 1);
	int v[2] = { 1, 2 }, to = 0;
	struct waiting w = { .cases = { sends(a, &v[0]), sends(b, &v[1]) }, .n = 2 };

	send_now(b, 9);
	start_waiting(&w);
	CHECK_EQ(1, gs_chan_recv(b, &to));
	CHECK_EQ(9, to);
	gs_wg_wait(&w.wg);
	CHECK_EQ(1, w.chosen);
	CHECK_EQ(0, w.cases[1].result);
	CHECK_EQ(1, gs_chan_recv(b, &to));
	CHECK_EQ(2, to);
	check_at_rest(a);
	check_at_rest(b);
	gs_chan_unref(a);
	gs_chan_unref(b);
}

/* Two that wait for one another, each in a select. */
TEST_GO(select_meets_select)
{
	gs_chan *a = gs_chan_new(sizeof(int), 0), *b = gs_chan_new(sizeof(int), 0);
	int v = 3, to = 0;
	struct waiting w = { .cases = { receives(b, &to), sends(a, &v) }, .n = 2 };
	struct gs_case mine[] = { sends(b, &v), receives(a, &to) };
	int chosen;

	start_waiting(&w);
	chosen = gs_select(mine, 2);
	gs_wg_wait(&w.wg);
	CHECK_EQ(chosen, w.chosen);
	CHECK_EQ(3, to);
	check_at_rest(a);
	check_at_rest(b);
	gs_chan_unref(a);
	gs_chan_unref(b);
}

TEST_GO(close_ends_waits)
{
	gs_chan *a = gs_chan_new(sizeof(int), 0), *b = gs_chan_new(sizeof(int), 0);
	int to = 9, v = 1;
	struct waiting r = { .cases = { receives(a, &to), receives(b, &to) }, .n = 2 };
	struct waiting s = { .cases = { sends(a, &v), receives(NULL, &v) }, .n = 2 };

	start_waiting(&r);
	CHECK_EQ(0, gs_chan_close(b));
	gs_wg_wait(&r.wg);
	CHECK_EQ(1, r.chosen);
	CHECK_EQ(0, r.cases[1].result);
	CHECK_EQ(0, to);
	check_at_rest(a);
	start_waiting(&s);
	CHECK_EQ(0, gs_chan_close(a));
	gs_wg_wait(&s.wg);
	CHECK_EQ(0, s.chosen);
	CHECK_EQ(-EPIPE, s.cases[0].result);
	gs_chan_unref(a);
	gs_chan_unref(b);
}

/* Each of those who wait at a channel gets one thing, in the order in which they came. */
TEST_GO(waiters_keep_their_places)
{
	gs_chan *c = gs_chan_new(sizeof(int), 0), *d = gs_chan_new(sizeof(int), 0);
	struct waiting w[3];
	int to[3] = { 0, 0, 0 };

	memset(w, 0, sizeof(w));
	for (int i = 0; i < 3; i++) {
		w[i].cases[0] = receives(c, &to[i]);
		w[i].cases[1] = receives(i == 1 ? d : NULL, &to[i]);
		w[i].n = 2;
		start_waiting(&w[i]);
	}
	/* The one in the middle leaves the queue from its middle. */
	send_now(d, 22);
	gs_wg_wait(&w[1].wg);
	CHECK_EQ(1, w[1].chosen);
	send_now(c, 21);
	send_now(c, 23);
	gs_wg_wait(&w[0].wg);
	gs_wg_wait(&w[2].wg);
	CHECK_EQ(21, to[0]);
	CHECK_EQ(22, to[1]);
	CHECK_EQ(23, to[2]);
	check_at_rest(c);
	gs_chan_unref(c);
	gs_chan_unref(d);
}

/* ------------------------------------------------------------- one channel twice */

TEST_GO(same_channel_twice)
{
	gs_chan *c = gs_chan_new(sizeof(int), 0), *d = gs_chan_new(sizeof(int), 0);
	int to = 0, other = 0;
	struct waiting a = { .cases = { receives(c, &to), receives(c, &to), receives(d, &to) },
			     .n = 3 };
	struct waiting b = { .cases = { receives(c, &other) }, .n = 1 };

	start_waiting(&a);
	start_waiting(&b);
	send_now(d, 7);
	gs_wg_wait(&a.wg);
	CHECK_EQ(2, a.chosen);
	CHECK_EQ(7, to);
	/* Both entries of a are gone: this one is for b. */
	send_now(c, 8);
	gs_wg_wait(&b.wg);
	CHECK_EQ(8, other);
	check_at_rest(c);
	check_at_rest(d);
	gs_chan_unref(c);
	gs_chan_unref(d);
}

/* Nobody meets itself, and nobody is given its own lock twice. */
TEST_GO(not_with_itself)
{
	gs_chan *c = gs_chan_new(sizeof(int), 0);
	int v = 1, to = 0;
	struct gs_case cases[] = { sends(c, &v), receives(c, &to), sends(c, &v) };

	CHECK_EQ(-EAGAIN, gs_try_select(cases, 3));
	CHECK_EQ(-ETIMEDOUT, gs_select_until(cases, 3, SOON));
	CHECK_EQ(0, to);
	check_at_rest(c);
	gs_chan_unref(c);
}

struct both_ways {
	gs_chan *c;
	gs_wg wg;
	int next, each;
};

static void both_ways(void *arg)
{
	struct both_ways *b = arg;
	int me = __atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED), v, chosen;

	for (int i = 0; i < b->each; i++) {
		struct gs_case cases[2];
		bool swap = me && i % 2;

		cases[swap] = sends(b->c, &me);
		cases[!swap] = receives(b->c, &v);
		v = -1;
		chosen = gs_select(cases, 2);
		CHECK_EQ(chosen == swap ? 0 : 1, cases[chosen].result);
		if (chosen == swap)
			CHECK_EQ(-1, v);
		else
			CHECK(gs_chan_cap(b->c) ? v == 0 || v == 1 : v == !me);
	}
	gs_wg_done(&b->wg);
}

TEST_GO(two_that_do_both)
{
	for (int cap = 0; cap <= 10; cap += 10) {
		struct both_ways b = { .c = gs_chan_new(sizeof(int), cap), .each = 1000 };

		gs_wg_add(&b.wg, 2);
		go(both_ways, &b);
		go(both_ways, &b);
		gs_wg_wait(&b.wg);
		gs_chan_unref(b.c);
	}
}

/* ------------------------------------------------------------------ what is chosen */

/* A binomial with n = 4000, p = 1/4 is not 200 off its mean, 7 of its deviations. */
TEST_GO(each_as_likely)
{
	int count[4] = { 0 }, v = 0;
	struct gs_case cases[4];
	gs_chan *c[4];

	for (int i = 0; i < 4; i++) {
		c[i] = gs_chan_new(sizeof(int), 1);
		cases[i] = i % 2 ? sends(c[i], &v) : receives(c[i], &v);
		if (i % 2 == 0)
			send_now(c[i], 0);
	}
	for (int n = 0; n < 4000; n++) {
		int i = n % 2 ? gs_select(cases, 4) : gs_try_select(cases, 4);

		CHECK(i >= 0);
		count[i]++;
		if (i % 2)
			CHECK_EQ(1, gs_chan_try_recv(c[i], &v));
		else
			send_now(c[i], 0);
	}
	printf("# %d %d %d %d of 4000\n", count[0], count[1], count[2], count[3]);
	fflush(stdout);
	for (int i = 0; i < 4; i++) {
		CHECK(count[i] > 800 && count[i] < 1200);
		gs_chan_unref(c[i]);
	}
}

static void feed(void *arg)
{
	while (gs_chan_send(arg, NULL) == 0)
		;
	gs_chan_unref(arg);
}

/*
 * Two who send all the time: neither is left out. As long as the machine runs one of
 * them only, it is the only one who sends: then it takes longer.
 */
TEST_GO(neither_starves)
{
	const int enough = TIMES(5000) / 20;
	gs_chan *c[2] = { gs_chan_new(0, 0), gs_chan_new(0, 0) };
	struct gs_case cases[] = { receives(c[0], NULL), receives(c[1], NULL) };
	int count[2] = { 0 };

	go(feed, gs_chan_ref(c[0]));
	go(feed, gs_chan_ref(c[1]));
	for (int i = 0; i < 10 * enough || (i < 2000 * enough &&
	     (count[0] < enough || count[1] < enough)); i++)
		count[gs_select(cases, 2)]++;
	printf("# %d, %d\n", count[0], count[1]);
	fflush(stdout);
	CHECK(count[0] >= enough && count[1] >= enough);
	for (int i = 0; i < 2; i++) {
		gs_chan_close(c[i]);
		gs_chan_unref(c[i]);
	}
}

struct coins {
	gs_chan *c;
	gs_wg wg;
	int count[2];
};

#define COINS 200

static void take_coins(void *arg)
{
	struct coins *coins = arg;
	int v;

	for (int i = 0; i < COINS; i++) {
		gs_yield();
		CHECK_EQ(1, gs_chan_recv(coins->c, &v));
		coins->count[v]++;
	}
	gs_wg_done(&coins->wg);
}

/* Two sends on one channel. 20 of 200 would be 11 deviations. */
TEST_GO(coin)
{
	static const int side[] = { 0, 1 };

	for (int cap = 0; cap <= COINS; cap += COINS) {
		struct coins coins = { .c = gs_chan_new(sizeof(int), cap) };
		struct gs_case cases[] = { sends(coins.c, &side[0]), sends(coins.c, &side[1]) };

		gs_wg_add(&coins.wg, 1);
		go(take_coins, &coins);
		for (int i = 0; i < COINS; i++)
			CHECK(gs_select(cases, 2) >= 0);
		gs_wg_wait(&coins.wg);
		CHECK(coins.count[0] > COINS / 10 && coins.count[1] > COINS / 10);
		gs_chan_unref(coins.c);
	}
}

/* ---------------------------------------------------------------------- many cases */

TEST_GO(many_cases)
{
	enum { N = 600 };
	struct gs_case *cases = calloc(N, sizeof(*cases));
	gs_chan *c[N];
	int to = 0, i;

	for (i = 0; i < N; i++) {
		c[i] = gs_chan_new(sizeof(int), i % 2);
		cases[i] = receives(c[i], &to);
	}
	CHECK_EQ(-EAGAIN, gs_try_select(cases, N));
	CHECK_EQ(-ETIMEDOUT, gs_select_until(cases, N, gs_now() + MS));
	for (i = 1; i < N; i += 100) {
		send_now(c[i], i);
		CHECK_EQ(i, gs_select(cases, N));
		CHECK_EQ(i, to);
	}
	for (i = 0; i < N; i++) {
		check_at_rest(c[i]);
		gs_chan_unref(c[i]);
	}
	free(cases);
}

/* ------------------------------------------------------------------------- threads */

static void *thread_selects(void *arg)
{
	struct waiting *w = arg;

	w->chosen = gs_select(w->cases, w->n);
	gs_wg_done(&w->wg);
	return NULL;
}

TEST_GO(a_thread_selects)
{
	gs_chan *a = gs_chan_new(sizeof(int), 0), *b = gs_chan_new(sizeof(int), 0);
	int to = 0, v = 6;
	struct waiting w = { .cases = { receives(a, &to), receives(b, &to) }, .n = 2 };
	pthread_t thread;

	for (int i = 0; i < 20; i++) {
		gs_wg_add(&w.wg, 1);
		CHECK_EQ(0, pthread_create(&thread, NULL, thread_selects, &w));
		if (i % 2)
			gs_sleep(MS);
		CHECK_EQ(0, gs_chan_send(i % 3 ? a : b, &v));
		gs_wg_wait(&w.wg);
		CHECK_EQ(0, pthread_join(thread, NULL));
		CHECK_EQ(i % 3 ? 0 : 1, w.chosen);
		CHECK_EQ(6, to);
	}
	check_at_rest(a);
	check_at_rest(b);
	gs_chan_unref(a);
	gs_chan_unref(b);
}

TEST_HARNESS_MAIN
