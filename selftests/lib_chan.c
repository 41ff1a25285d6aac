// SPDX-License-Identifier: GPL-2.0
/* Channels: order, rendezvous, closing, deadlines, and many at both ends. */
#include "lib_check.h"

TEST_GO(fifo)
{
	gs_chan *c = gs_chan_new(sizeof(int), 5);
	int round, i, v;

	CHECK_EQ(5, gs_chan_cap(c));
	for (round = 0; round < 7; round++) {
		for (i = 0; i < 4; i++) {
			v = round * 10 + i;
			CHECK_EQ(0, gs_chan_send(c, &v));
			CHECK_EQ(i + 1, gs_chan_len(c));
		}
		for (i = 0; i < 4; i++) {
			CHECK_EQ(1, gs_chan_recv(c, &v));
			CHECK_EQ(round * 10 + i, v);
		}
	}
	CHECK_EQ(0, gs_chan_len(c));
	gs_chan_unref(c);
}

struct pair {
	gs_chan *c;
	gs_wg wg;
	int step;
	int result;
	int value;
};

static void send_42(void *arg)
{
	struct pair *p = arg;
	int v = 42;

	__atomic_store_n(&p->step, 1, __ATOMIC_SEQ_CST);
	p->result = gs_chan_send(p->c, &v);
	__atomic_store_n(&p->step, 2, __ATOMIC_SEQ_CST);
	gs_wg_done(&p->wg);
}

/* An unbuffered send ends when it is received, not before. */
TEST_GO(rendezvous)
{
	struct pair p = { .c = gs_chan_new(sizeof(int), 0), .wg = GS_WG_INIT };
	int v = 0;

	gs_wg_add(&p.wg, 1);
	go(send_42, &p);
	gs_sleep(20 * MS);
	CHECK_EQ(1, __atomic_load_n(&p.step, __ATOMIC_SEQ_CST));
	CHECK_EQ(1, gs_chan_recv(p.c, &v));
	CHECK_EQ(42, v);
	gs_wg_wait(&p.wg);
	CHECK_EQ(0, p.result);
	gs_chan_unref(p.c);
}

/* A sender that waits moves into the buffer when a receive makes room: behind. */
TEST_GO(full_buffer_keeps_order)
{
	struct pair p = { .c = gs_chan_new(sizeof(int), 2), .wg = GS_WG_INIT };
	int v = 1;

	CHECK_EQ(0, gs_chan_send(p.c, &v));
	v = 2;
	CHECK_EQ(0, gs_chan_send(p.c, &v));
	gs_wg_add(&p.wg, 1);
	go(send_42, &p);
	gs_sleep(20 * MS);
	CHECK_EQ(1, __atomic_load_n(&p.step, __ATOMIC_SEQ_CST));
	CHECK_EQ(1, gs_chan_recv(p.c, &v));
	CHECK_EQ(1, v);
	CHECK_EQ(2, gs_chan_len(p.c));
	gs_wg_wait(&p.wg);
	CHECK_EQ(1, gs_chan_recv(p.c, &v));
	CHECK_EQ(2, v);
	CHECK_EQ(1, gs_chan_recv(p.c, &v));
	CHECK_EQ(42, v);
	gs_chan_unref(p.c);
}

static void recv_one(void *arg)
{
	struct pair *p = arg;

	p->value = 77;
	p->result = gs_chan_recv(p->c, &p->value);
	gs_wg_done(&p->wg);
}

TEST_GO(close_drains)
{
	gs_chan *c = gs_chan_new(sizeof(int), 2);
	int v = 5;

	CHECK_EQ(0, gs_chan_send(c, &v));
	CHECK_EQ(0, gs_chan_close(c));
	CHECK_EQ(-EPIPE, gs_chan_close(c));
	CHECK_EQ(-EPIPE, gs_chan_send(c, &v));
	v = 0;
	CHECK_EQ(1, gs_chan_recv(c, &v));
	CHECK_EQ(5, v);
	CHECK_EQ(0, gs_chan_recv(c, &v));
	CHECK_EQ(0, v);
	CHECK_EQ(0, gs_chan_recv_until(c, &v, 0));
	gs_chan_unref(c);
}

TEST_GO(close_wakes_receivers)
{
	struct pair p[3];
	gs_chan *c = gs_chan_new(sizeof(int), 1);
	int i;

	memset(p, 0, sizeof(p));
	for (i = 0; i < 3; i++) {
		p[i].c = c;
		gs_wg_add(&p[i].wg, 1);
		go(recv_one, &p[i]);
	}
	gs_sleep(20 * MS);
	CHECK_EQ(0, gs_chan_close(c));
	for (i = 0; i < 3; i++) {
		gs_wg_wait(&p[i].wg);
		CHECK_EQ(0, p[i].result);
		CHECK_EQ(0, p[i].value);
	}
	gs_chan_unref(c);
}

TEST_GO(close_wakes_senders)
{
	struct pair p[3];
	gs_chan *c = gs_chan_new(sizeof(int), 0);
	int i;

	memset(p, 0, sizeof(p));
	for (i = 0; i < 3; i++) {
		p[i].c = c;
		gs_wg_add(&p[i].wg, 1);
		go(send_42, &p[i]);
	}
	gs_sleep(20 * MS);
	CHECK_EQ(0, gs_chan_close(c));
	for (i = 0; i < 3; i++) {
		gs_wg_wait(&p[i].wg);
		CHECK_EQ(-EPIPE, p[i].result);
	}
	gs_chan_unref(c);
}

TEST_GO(deadlines)
{
	gs_chan *c = gs_chan_new(sizeof(int), 1);
	int64_t t;
	int v = 1;

	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(c, &v, 0));
	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(c, &v, gs_now() - 1));
	CHECK_EQ(0, gs_chan_send_until(c, &v, 0));
	CHECK_EQ(-ETIMEDOUT, gs_chan_send_until(c, &v, 0));
	t = gs_now() + 30 * MS;
	CHECK_EQ(-ETIMEDOUT, gs_chan_send_until(c, &v, t));
	CHECK(gs_now() >= t);
	CHECK_EQ(1, gs_chan_recv_until(c, NULL, 0));
	t = gs_now() + 30 * MS;
	CHECK_EQ(-ETIMEDOUT, gs_chan_recv_until(c, &v, t));
	CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	CHECK_EQ(0, gs_chan_len(c));
	gs_chan_unref(c);
}

TEST_GO(sizes)
{
	static char big[65536], copy[65536];
	gs_chan *c = gs_chan_new(0, 3);

	CHECK_EQ(0, gs_chan_send(c, NULL));
	CHECK_EQ(1, gs_chan_len(c));
	CHECK_EQ(1, gs_chan_recv(c, NULL));
	gs_chan_unref(c);

	memset(big, 'x', sizeof(big));
	c = gs_chan_new(sizeof(big), 2);
	CHECK_EQ(0, gs_chan_send(c, big));
	CHECK_EQ(1, gs_chan_recv(c, copy));
	CHECK(!memcmp(big, copy, sizeof(big)));
	gs_chan_unref(c);

	CHECK(!gs_chan_new(65537, 1));
	CHECK(!gs_chan_new(16, SIZE_MAX / 8));
}

/* ------------------------------------------------------------- many at both ends */

#define ENDS 4

struct crowd {
	gs_chan *c;
	gs_wg senders, receivers;
	int each;
	unsigned int seed;
	unsigned char *seen;		/* by element: how often received */
	unsigned char *sent;		/* by element: send said 0 */
	bool hurry;			/* give up often */
};

struct member {
	struct crowd *crowd;
	int nr;
};

static int64_t some_deadline(struct crowd *cr, unsigned int *r)
{
	if (!cr->hurry)
		return INT64_MAX;
	return rnd(r) % 4 ? gs_now() + rnd(r) % 30000 : 0;
}

static void crowd_send(void *arg)
{
	struct member *me = arg;
	struct crowd *cr = me->crowd;
	unsigned int r = cr->seed + me->nr;
	int i, v, ret;

	for (i = 0; i < cr->each; i++) {
		v = me->nr * cr->each + i;
		ret = gs_chan_send_until(cr->c, &v, some_deadline(cr, &r));
		CHECK(!ret || (cr->hurry && ret == -ETIMEDOUT));
		cr->sent[v] = !ret;
		if (rnd(&r) % 8 == 0)
			gs_yield();
	}
	gs_wg_done(&cr->senders);
}

static void crowd_recv(void *arg)
{
	struct member *me = arg;
	struct crowd *cr = me->crowd;
	unsigned int r = cr->seed + 100 + me->nr;
	int last[ENDS] = { -1, -1, -1, -1 }, v, ret;

	for (;;) {
		ret = gs_chan_recv_until(cr->c, &v, some_deadline(cr, &r));
		if (!ret)
			break;
		if (ret == -ETIMEDOUT) {
			gs_yield();
			continue;
		}
		CHECK_EQ(1, ret);
		CHECK(v > last[v / cr->each]);
		last[v / cr->each] = v;
		__atomic_add_fetch(&cr->seen[v], 1, __ATOMIC_RELAXED);
	}
	gs_wg_done(&cr->receivers);
}

static void crowd_run(size_t capacity, int each, bool hurry)
{
	struct member send[ENDS], recv[ENDS];
	struct crowd cr = {
		.c = gs_chan_new(sizeof(int), capacity), .each = each, .hurry = hurry,
		.seen = calloc(ENDS, each), .sent = calloc(ENDS, each), .seed = test_seed(),
	};
	int i, sent = 0;

	gs_wg_add(&cr.senders, ENDS);
	gs_wg_add(&cr.receivers, ENDS);
	for (i = 0; i < ENDS; i++) {
		recv[i] = (struct member){ &cr, i };
		go(crowd_recv, &recv[i]);
		send[i] = (struct member){ &cr, i };
		go(crowd_send, &send[i]);
	}
	gs_wg_wait(&cr.senders);
	CHECK_EQ(0, gs_chan_close(cr.c));
	gs_wg_wait(&cr.receivers);
	for (i = 0; i < ENDS * each; i++) {
		CHECK_EQ(cr.sent[i], cr.seen[i]);
		sent += cr.sent[i];
	}
	CHECK(sent > 0);
	printf("# %d of %d elements\n", sent, ENDS * each);
	fflush(stdout);
	gs_chan_unref(cr.c);
	free(cr.seen);
	free(cr.sent);
}

TEST_GO(many_unbuffered)
{
	crowd_run(0, TIMES(20000), false);
}

TEST_GO(many_buffered)
{
	crowd_run(7, TIMES(20000), false);
}

/* No element is lost or delivered twice when deadlines race with the other end. */
TEST_GO(deadlines_race_unbuffered)
{
	crowd_run(0, TIMES(10000), true);
}

TEST_GO(deadlines_race_buffered)
{
	crowd_run(3, TIMES(10000), true);
}

/* The last reference frees, whoever holds it. */
static void drop(void *arg)
{
	int v;

	gs_chan_recv(arg, &v);
	gs_chan_unref(arg);
}

TEST_GO(references)
{
	gs_chan *c;
	int i;

	for (i = 0; i < TIMES(2000); i++) {
		c = gs_chan_new(sizeof(int), i % 2);
		go(drop, gs_chan_ref(c));
		CHECK_EQ(0, gs_chan_send(c, &i));
		gs_chan_unref(c);
	}
}

TEST_HARNESS_MAIN
