// SPDX-License-Identifier: GPL-2.0
/*
 * Everybody gets on, whatever the others do: who yields, who spins, who passes
 * something to and fro for ever.
 */
#include "lib_check.h"

#include <errno.h>
#include <sched.h>

static int load(int *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(int *word, int v)
{
	__atomic_store_n(word, v, __ATOMIC_RELEASE);
}

/* ------------------------------------------------------------------------- yielding */

struct patient {
	gs_chan *done, *ack;
};

static void yield_until_done(void *arg)
{
	struct patient *p = arg;

	while (gs_chan_try_recv(p->done, NULL) == -EAGAIN)
		gs_yield();
	CHECK_EQ(0, gs_chan_send(p->ack, NULL));
}

/* A sender that waits is seen by one who only looks and yields. */
TEST_GO(yield_lets_others_in)
{
	struct patient p = { gs_chan_new(0, 0), gs_chan_new(0, 0) };

	go(yield_until_done, &p);
	gs_sleep(MS);
	CHECK_EQ(0, gs_chan_send(p.done, NULL));
	CHECK_EQ(1, gs_chan_recv(p.ack, NULL));
	gs_chan_unref(p.done);
	gs_chan_unref(p.ack);
}

/* --------------------------------------------------------------------- at the same time */

#define LAPS 3

struct relay {
	int turn, runners;
	gs_wg wg;
};

struct runner {
	struct relay *relay;
	int nr;
};

/* Never calls the library: all must run at the same time, as threads of their own. */
static void run_in_turn(void *arg)
{
	struct runner *me = arg;
	struct relay *r = me->relay;

	for (int lap = 0; lap < LAPS; lap++) {
		int mine = lap * r->runners + me->nr;

		while (load(&r->turn) != mine)
			sched_yield();
		store(&r->turn, mine + 1);
	}
	gs_wg_done(&r->wg);
}

/* As many spin as there are Ps: each has one. */
TEST_GO(all_ps_run)
{
	int n = gs_set_maxprocs(0);
	struct runner runners[4];

	CHECK(n <= 4);
	for (int i = 0; i < TIMES(50); i++) {
		struct relay r = { .runners = n };

		gs_wg_add(&r.wg, n);
		for (int k = 0; k < n; k++) {
			runners[k] = (struct runner){ &r, k };
			go(run_in_turn, &runners[k]);
		}
		CHECK_EQ(0, gs_wg_wait(&r.wg));
		CHECK_EQ(n * LAPS, r.turn);
	}
}

/* ------------------------------------------------- to and fro, and a timer beside it */

struct game {
	gs_chan *ball, *over;
	gs_wg wg;
	long passes;
};

/* Passes the ball in a select that has another case, too. */
static void play(void *arg)
{
	struct game *g = arg;
	struct gs_case cases[] = {
		{ .chan = g->ball, .send = NULL, .dir = GS_SEND },
		{ .chan = g->ball, .recv = NULL, .dir = GS_RECV },
		{ .chan = g->over, .recv = NULL, .dir = GS_RECV },
	};
	int i;

	while ((i = gs_select(cases, 3)) != 2) {
		CHECK(i >= 0);
		__atomic_fetch_add(&g->passes, 1, __ATOMIC_RELAXED);
	}
	gs_wg_done(&g->wg);
}

static void start_game(struct game *g, int players)
{
	*g = (struct game){ .ball = gs_chan_new(0, 0), .over = gs_chan_new(0, 0) };
	gs_wg_add(&g->wg, players);
	for (int i = 0; i < players; i++)
		go(play, g);
}

static void end_game(struct game *g)
{
	CHECK_EQ(0, gs_chan_close(g->over));
	CHECK_EQ(0, gs_wg_wait(&g->wg));
	CHECK(g->passes > 0);
	gs_chan_unref(g->ball);
	gs_chan_unref(g->over);
}

/* The players make each other ready all the time; who sleeps wakes nevertheless. */
TEST_GO(sleeper_beside_a_game)
{
	struct game g;
	int64_t begin;

	start_game(&g, 2);
	begin = gs_now();
	for (int i = 0; i < 5; i++)
		CHECK_EQ(0, gs_sleep(4 * MS));
	CHECK(gs_now() - begin >= 20 * MS);
	CHECK(gs_now() - begin < 4000 * MS);
	end_game(&g);
}

/* Who takes part in it sees its own deadline. */
TEST_GO(deadline_of_a_player)
{
	struct game g;
	struct gs_case one = { .recv = NULL, .dir = GS_RECV };
	int64_t until;
	long got = 0;

	start_game(&g, 2);
	one.chan = g.ball;
	until = gs_now() + 20 * MS * slowness();
	while (gs_select_until(&one, 1, until) == 0 && gs_now() < until + 4000 * MS)
		got += gs_now() < until;
	/* With a passed deadline a select tries once: it may go on while there are senders. */
	CHECK(gs_now() >= until && gs_now() < until + 4000 * MS);
	end_game(&g);
	CHECK(got > 0);
}

static void wait_at(void *arg)
{
	struct game *g = arg;

	CHECK_EQ(0, gs_chan_recv(g->over, NULL));
	gs_wg_done(&g->wg);
}

/* Who is made ready once, by a close, gets on beside those who are all the time. */
TEST_GO(late_comers_beside_a_game)
{
	struct game g, other;

	start_game(&g, 4);
	start_game(&other, 0);
	gs_wg_add(&other.wg, 50);
	for (int i = 0; i < 50; i++)
		go(wait_at, &other);
	gs_sleep(MS);
	CHECK_EQ(0, gs_chan_close(other.over));
	CHECK_EQ(0, gs_wg_wait_until(&other.wg, gs_now() + 4000 * MS));
	gs_chan_unref(other.ball);
	gs_chan_unref(other.over);
	end_game(&g);
}

/* ------------------------------------------------------------------- preemption */

static int turn;
static bool preempted;

static void spin_in_turn(void *arg)
{
	int me = *(int *)arg;

	for (int i = 0; i < 5; i++) {
		while (load(&turn) != me)
			asm volatile("" ::: "memory");
		store(&turn, !me);
	}
}

struct spinner {
	int nr;
	gs_wg *wg;
};

static void spinner(void *arg)
{
	struct spinner *s = arg;

	spin_in_turn(&s->nr);
	gs_wg_done(s->wg);
}

static void spinners(void)
{
	gs_wg wg = GS_WG_INIT;
	struct spinner s[] = { { 0, &wg }, { 1, &wg } };

	preempted = gs_features() & GS_FEAT_PREEMPT;
	if (!preempted)
		return;
	gs_wg_add(&wg, 2);
	go(spinner, &s[0]);
	go(spinner, &s[1]);
	CHECK_EQ(0, gs_wg_wait(&wg));
}

/* Two that wait for one another on one P, and call nothing. */
TEST(spinners_are_preempted)
{
	EXPECT_EQ(0, run_on(1, spinners));
	if (!preempted)
		SKIP(return, "there is no preemption");
}

TEST_HARNESS_MAIN
