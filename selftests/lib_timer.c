// SPDX-License-Identifier: GPL-2.0
/* Sleeping, deadlines, and the heap behind them. */
#include "lib_check.h"

static long woken, last;

struct nap {
	gs_wg *wg;
	long order;
	int64_t until;
};

static void nap(void *arg)
{
	struct nap *n = arg;

	CHECK_EQ(0, gs_sleep_until(n->until));
	CHECK(gs_now() >= n->until);
	woken++;
	/* On one P those whose time comes first run first, if nobody is preempted. */
	CHECK(n->order >= last);
	last = n->order;
	gs_wg_done(n->wg);
}

static void in_order(void)
{
	static struct nap naps[200];
	unsigned int r = test_seed();
	int64_t begin = gs_now() + (SANITIZED ? 3000 : 200) * MS;
	gs_wg wg = GS_WG_INIT;
	int i;

	last = woken = 0;
	gs_wg_add(&wg, 200);
	for (i = 0; i < 200; i++) {
		naps[i].wg = &wg;
		naps[i].order = rnd(&r) % 50;
		naps[i].until = begin + naps[i].order * MS;
		go(nap, naps + i);
	}
	gs_wg_wait(&wg);
	CHECK_EQ(200, woken);
}

TEST(wakes_in_order)
{
	setenv("GSCHED_DEBUG", "nohandoff,nopreempt", 1);
	EXPECT_EQ(0, run_on(1, in_order));
}

TEST_GO(never_early_nor_very_late)
{
	int64_t late = 0;
	int i;

	for (i = 0; i < 50; i++) {
		int64_t begin = gs_now(), took;

		gs_sleep(2 * MS);
		took = gs_now() - begin;
		CHECK(took >= 2 * MS);
		if (took > late)
			late = took;
	}
	CHECK(late < 1000 * MS);
}

TEST_GO(past_and_far)
{
	CHECK_EQ(0, gs_sleep(0));
	CHECK_EQ(0, gs_sleep(-1));
	CHECK_EQ(0, gs_sleep(INT64_MIN));
	CHECK_EQ(0, gs_sleep_until(0));
	CHECK_EQ(0, gs_sleep_until(INT64_MIN));
	CHECK_EQ(0, gs_sleep_until(gs_now()));
}

static void for_ever(void *arg)
{
	(void)arg;
	gs_sleep(INT64_MAX);
	CHECK(0);
}

/* A deadline at the end of time neither overflows nor hides earlier ones. */
TEST_GO(end_of_time)
{
	int64_t begin = gs_now();

	go(for_ever, NULL);
	gs_sleep(20 * MS);
	CHECK(gs_now() - begin < 2000 * MS);
}

/* Deadlines that hardly ever pass: start and stop from all Ps at once. */
static void churn(void *arg)
{
	gs_chan **c = arg;
	unsigned int r = (unsigned int)gs_id();
	int i, v = 0;

	for (i = 0; i < TIMES(3000); i++) {
		int64_t until = gs_now() + rnd(&r) % 200000;

		if (rnd(&r) % 2)
			gs_chan_send_until(c[0], &v, until);
		else
			gs_chan_recv_until(c[0], &v, until);
	}
	gs_wg_done((gs_wg *)c[1]);
}

TEST_GO(start_and_stop_everywhere)
{
	gs_wg wg = GS_WG_INIT;
	gs_chan *c[2] = { gs_chan_new(sizeof(int), 2), (gs_chan *)&wg };
	int i;

	gs_wg_add(&wg, 20);
	for (i = 0; i < 20; i++)
		go(churn, c);
	gs_wg_wait(&wg);
	gs_chan_unref(c[0]);
}

static void short_nap(void *arg)
{
	gs_sleep(MS + (int64_t)gs_id() % 64 * 10000);
	gs_wg_done(arg);
}

/* Many at once: the heap grows; all of them wake up. */
TEST_GO(thousands)
{
	gs_wg wg = GS_WG_INIT;
	int n = SANITIZED ? 1000 : 20000, i;

	gs_wg_add(&wg, n);
	for (i = 0; i < n; i++)
		go(short_nap, &wg);
	gs_wg_wait(&wg);
}

TEST_HARNESS_MAIN
