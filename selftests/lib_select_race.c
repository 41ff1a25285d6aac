// SPDX-License-Identifier: GPL-2.0
/*
 * Selects against one another, against closing, deadlines and single sends and receives:
 * they look at one moment, and everything arrives once.
 */
#include "lib_waiters.h"

#include <errno.h>

#define SOME_TIME (gs_now() + 400 * MS)

static struct gs_case sends(gs_chan *c, const void *v)
{
	return (struct gs_case){ .chan = c, .send = v, .dir = GS_SEND };
}

static struct gs_case receives(gs_chan *c, void *v)
{
	return (struct gs_case){ .chan = c, .recv = v, .dir = GS_RECV };
}

/* ----------------------------------------------------------- at one moment, or smeared */

struct moment {
	gs_chan *c[2];
	gs_wg wg;
	int got;
};

static void look_at_both(void *arg)
{
	struct moment *mo = arg;
	struct gs_case cases[] = { receives(mo->c[0], NULL), receives(mo->c[1], NULL) };

	mo->got = gs_try_select(cases, 2);
	gs_wg_done(&mo->wg);
}

/* First only c[0] is ready, then both, then only c[1]: at no moment none. */
static void one_is_ready(int i, bool close)
{
	struct moment mo = { .c = { gs_chan_new(sizeof(int), 1), gs_chan_new(sizeof(int), 1) } };

	gs_wg_add(&mo.wg, 1);
	CHECK_EQ(0, gs_chan_try_send(mo.c[0], &i));
	go(look_at_both, &mo);
	if (i % 4 == 0)
		gs_yield();
	CHECK_EQ(0, close ? gs_chan_close(mo.c[1]) : gs_chan_try_send(mo.c[1], &i));
	gs_chan_try_recv(mo.c[0], NULL);
	gs_wg_wait(&mo.wg);
	CHECK(mo.got >= 0);
	gs_chan_unref(mo.c[0]);
	gs_chan_unref(mo.c[1]);
}

TEST_GO(always_one_ready)
{
	int64_t end = SOME_TIME;

	for (int i = 0; go_on(i, TIMES(20000), end); i++)
		one_is_ready(i, false);
}

TEST_GO(always_one_ready_or_closed)
{
	int64_t end = SOME_TIME;

	for (int i = 0; go_on(i, TIMES(20000), end); i++)
		one_is_ready(i, true);
}

static void must_get(void *arg)
{
	struct moment *mo = arg;

	mo->got = gs_chan_try_recv(mo->c[0], NULL);
	gs_wg_done(&mo->wg);
}

/* An element or the end: something is there to be received. */
TEST_GO(close_beside_try)
{
	int64_t end = SOME_TIME;

	for (int i = 0; go_on(i, TIMES(20000), end); i++) {
		struct moment mo = { .c = { gs_chan_new(sizeof(int), 1), NULL } };
		int got;

		gs_wg_add(&mo.wg, 1);
		CHECK_EQ(0, gs_chan_try_send(mo.c[0], &i));
		go(must_get, &mo);
		CHECK_EQ(0, gs_chan_close(mo.c[0]));
		got = gs_chan_recv(mo.c[0], NULL);
		gs_wg_wait(&mo.wg);
		CHECK_EQ(1, got + mo.got);
		gs_chan_unref(mo.c[0]);
	}
}

/* ---------------------------------------------- everybody with everybody, all the time */

#define CHANS 4

/* Who has done enough on a channel leaves it out: a NULL case. */
struct share {
	gs_chan *c[CHANS];
	gs_wg wg;
	long each;
	uint64_t sent[CHANS], got[CHANS];
};

struct hand {
	struct share *s;
	int chan;
};

static void send_on_one(void *arg)
{
	struct hand *h = arg;
	struct share *s = h->s;

	for (long i = 1; i <= s->each; i++) {
		CHECK_EQ(0, gs_chan_send(s->c[h->chan], &i));
		__atomic_fetch_add(&s->sent[h->chan], i, __ATOMIC_RELAXED);
	}
	gs_wg_done(&s->wg);
}

static void recv_on_one(void *arg)
{
	struct hand *h = arg;
	struct share *s = h->s;
	long v;

	for (long i = 0; i < s->each; i++) {
		CHECK_EQ(1, gs_chan_recv(s->c[h->chan], &v));
		__atomic_fetch_add(&s->got[h->chan], v, __ATOMIC_RELAXED);
	}
	gs_wg_done(&s->wg);
}

static void send_on_all(void *arg)
{
	struct share *s = arg;
	long n[CHANS] = { 0 }, v;
	struct gs_case cases[CHANS];

	for (int i = 0; i < CHANS; i++)
		cases[i] = sends(s->c[CHANS - 1 - i], &v);
	for (v = 1; v <= CHANS * s->each; v++) {
		int i = gs_select(cases, CHANS);

		CHECK(i >= 0);
		CHECK_EQ(0, cases[i].result);
		__atomic_fetch_add(&s->sent[CHANS - 1 - i], v, __ATOMIC_RELAXED);
		if (++n[i] == s->each)
			cases[i].chan = NULL;
	}
	gs_wg_done(&s->wg);
}

static void recv_on_all(void *arg)
{
	struct share *s = arg;
	long n[CHANS] = { 0 }, v;
	struct gs_case cases[CHANS];

	for (int i = 0; i < CHANS; i++)
		cases[i] = receives(s->c[i], &v);
	for (long left = CHANS * s->each; left; left--) {
		int i = gs_select(cases, CHANS);

		CHECK(i >= 0);
		CHECK_EQ(1, cases[i].result);
		__atomic_fetch_add(&s->got[i], v, __ATOMIC_RELAXED);
		if (++n[i] == s->each)
			cases[i].chan = NULL;
	}
	gs_wg_done(&s->wg);
}

TEST_GO(everybody_with_everybody)
{
	struct share s = { .each = TIMES(3000) };
	struct hand hands[CHANS];

	gs_wg_add(&s.wg, 2 * CHANS + 2);
	for (int i = 0; i < CHANS; i++) {
		s.c[i] = gs_chan_new(sizeof(long), i < 2 ? 0 : i);
		hands[i] = (struct hand){ &s, i };
		go(send_on_one, &hands[i]);
		go(recv_on_one, &hands[i]);
	}
	go(send_on_all, &s);
	go(recv_on_all, &s);
	gs_wg_wait(&s.wg);
	for (int i = 0; i < CHANS; i++) {
		CHECK_EQ(s.sent[i], s.got[i]);
		CHECK_EQ(0, chan_waiters(s.c[i], GS_SEND) + chan_waiters(s.c[i], GS_RECV));
		CHECK_EQ(0, gs_chan_len(s.c[i]));
		gs_chan_unref(s.c[i]);
	}
}

/* ------------------------------------------------ two channels in opposite orders */

/* Locks taken in the order of the cases would stand still here. */
struct crossing {
	gs_chan *c[2];
	gs_wg wg;
	unsigned int seed;
	long balance;		/* sent minus received */
};

static void cross(void *arg)
{
	struct crossing *cr = arg;
	unsigned int r = __atomic_add_fetch(&cr->seed, 1, __ATOMIC_RELAXED);
	int64_t end = SOME_TIME;

	for (int i = 0; go_on(i, TIMES(10000), end); i++) {
		bool first = rnd(&r) % 2;
		struct gs_case cases[] = {
			sends(cr->c[first], &r), receives(cr->c[!first], NULL),
			rnd(&r) % 2 ? receives(cr->c[first], NULL) : sends(cr->c[!first], &r),
		};
		int got = rnd(&r) % 8 ? gs_select_until(cases, 3, gs_now() + rnd(&r) % 100000) :
					gs_try_select(cases, 3);

		if (got >= 0)
			__atomic_fetch_add(&cr->balance, cases[got].dir == GS_SEND ? 1 : -1,
					   __ATOMIC_RELAXED);
		else
			CHECK(got == -ETIMEDOUT || got == -EAGAIN);
	}
	gs_wg_done(&cr->wg);
}

static void run_crossing(size_t cap)
{
	struct crossing cr = { .seed = test_seed() };

	cr.c[0] = gs_chan_new(sizeof(int), cap);
	cr.c[1] = gs_chan_new(sizeof(int), cap);
	gs_wg_add(&cr.wg, 4);
	for (int i = 0; i < 4; i++)
		go(cross, &cr);
	gs_wg_wait(&cr.wg);
	CHECK_EQ(gs_chan_len(cr.c[0]) + gs_chan_len(cr.c[1]), cr.balance);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(0, chan_waiters(cr.c[i], GS_SEND));
		CHECK_EQ(0, chan_waiters(cr.c[i], GS_RECV));
		gs_chan_unref(cr.c[i]);
	}
}

TEST_GO(crossing_unbuffered)
{
	run_crossing(0);
}

TEST_GO(crossing_buffered)
{
	run_crossing(2);
}

/* ------------------------------------------------------ every way to meet every way */

/*
 * One sends and one receives, each plainly, by a select that waits, or by trying until
 * it works. Whoever comes first, they meet.
 */
enum way {
	PLAIN,
	SELECT,
	BESIDE,		/* in a select with a channel on which nothing happens */
	TRYING,
	TRYING_SELECT,
	WAYS,
};

static int one_way(enum way way, struct gs_case c, gs_chan *quiet)
{
	struct gs_case cases[] = { c, receives(quiet, NULL) };
	int ret;

	switch (way) {
	case PLAIN:
		return c.dir == GS_SEND ? gs_chan_send(c.chan, c.send) :
					  gs_chan_recv(c.chan, c.recv);
	case SELECT:
		CHECK_EQ(0, gs_select(cases, 1));
		return cases[0].result;
	case BESIDE:
		CHECK_EQ(0, gs_select(cases, 2));
		return cases[0].result;
	case TRYING:
		while ((ret = c.dir == GS_SEND ? gs_chan_try_send(c.chan, c.send) :
						 gs_chan_try_recv(c.chan, c.recv)) == -EAGAIN)
			gs_yield();
		return ret;
	default:
		while (gs_try_select(cases, 1) == -EAGAIN)
			gs_yield();
		return cases[0].result;
	}
}

struct meeting {
	gs_chan *c, *quiet;
	gs_wg wg;
	enum way way;
};

static void meeting_sender(void *arg)
{
	struct meeting *me = arg;
	int v = 42;

	CHECK_EQ(0, one_way(me->way, sends(me->c, &v), me->quiet));
	gs_wg_done(&me->wg);
}

static bool tries(enum way way)
{
	return way >= TRYING;
}

static void meet(enum way send, enum way recv, bool wait_first)
{
	struct meeting me = {
		.c = gs_chan_new(sizeof(int), 0), .quiet = gs_chan_new(sizeof(int), 0),
		.way = send,
	};
	int v = 0;

	gs_wg_add(&me.wg, 1);
	go(meeting_sender, &me);
	if (wait_first && !tries(send))
		until_waiting(me.c, GS_SEND, 1);
	CHECK_EQ(1, one_way(recv, receives(me.c, &v), me.quiet));
	CHECK_EQ(42, v);
	gs_wg_wait(&me.wg);
	CHECK_EQ(0, chan_waiters(me.quiet, GS_RECV));
	CHECK_EQ(-EAGAIN, gs_chan_try_recv(me.c, NULL));
	gs_chan_unref(me.c);
	gs_chan_unref(me.quiet);
}

/* Two that only try would pass each other by for ever. */
TEST_GO(every_way_meets_every_way)
{
	for (int send = 0; send < WAYS; send++)
		for (int recv = 0; recv < WAYS; recv++)
			if (!tries(send) || !tries(recv)) {
				meet(send, recv, false);
				meet(send, recv, true);
			}
}

/* ---------------------------------------------------------------- closing beside */

struct closing {
	gs_chan *c[2];
	gs_wg wg;
	long sent, got;
	char what;
};

static void send_until_closed(void *arg)
{
	struct closing *cl = arg;
	struct gs_case cases[] = { sends(cl->c[0], &cl->what), sends(cl->c[1], &cl->what) };
	int i;

	while ((i = gs_select(cases, 2)) >= 0 && cases[i].result == 0)
		__atomic_fetch_add(&cl->sent, 1, __ATOMIC_RELAXED);
	CHECK_EQ(-EPIPE, cases[i].result);
	gs_wg_done(&cl->wg);
}

static void recv_until_closed(void *arg)
{
	struct closing *cl = arg;
	struct gs_case cases[] = { receives(cl->c[0], NULL), receives(cl->c[1], NULL) };
	int i;

	while (cases[0].chan || cases[1].chan) {
		i = gs_select(cases, 2);
		CHECK(i >= 0);
		if (cases[i].result)
			__atomic_fetch_add(&cl->got, 1, __ATOMIC_RELAXED);
		else
			cases[i].chan = NULL;
	}
	gs_wg_done(&cl->wg);
}

/* What has been sent arrives, whenever the close comes. */
TEST_GO(close_beside_selects)
{
	unsigned int r = test_seed();
	int64_t end = SOME_TIME;

	for (int n = 0; go_on(n, TIMES(500), end); n++) {
		struct closing cl = { .sent = 0 };

		for (int i = 0; i < 2; i++)
			cl.c[i] = gs_chan_new(1, rnd(&r) % 3);
		gs_wg_add(&cl.wg, 4);
		for (int i = 0; i < 2; i++) {
			go(send_until_closed, &cl);
			go(recv_until_closed, &cl);
		}
		for (unsigned int y = rnd(&r) % 20; y; y--)
			gs_yield();
		CHECK_EQ(0, gs_chan_close(cl.c[0]));
		CHECK_EQ(0, gs_chan_close(cl.c[1]));
		gs_wg_wait(&cl.wg);
		CHECK_EQ(cl.sent, cl.got);
		gs_chan_unref(cl.c[0]);
		gs_chan_unref(cl.c[1]);
	}
}

TEST_HARNESS_MAIN
