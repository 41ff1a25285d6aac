// SPDX-License-Identifier: GPL-2.0
/*
 * Channels and selects, used by goroutines and threads at the same time in every way:
 * whatever comes of it, there is an order that explains it.
 */
#include "lib_recorder.h"

/* ----------------------------------------------------------------- operations */

/* Nothing is sent twice. @k: one operation may offer several. */
static int a_value(struct worker *w, int k)
{
	return (w->nr + 1) << 12 | w->n << 3 | k;
}

static int a_chan(struct worker *w)
{
	int n = 1;

	while (n < HISTORY_CHANS && w->rec->chan[n])
		n++;
	return rnd(&w->rnd) % n;
}

static void op_send(struct worker *w, int c, enum how how)
{
	int v = a_value(w, 0), ret;
	int64_t deadline = a_deadline(w);
	struct op *op = op_begin(w, OP_SEND, c);

	if (how == TRY)
		ret = gs_chan_try_send(w->rec->chan[c], &v);
	else if (how == UNTIL)
		ret = gs_chan_send_until(w->rec->chan[c], &v, deadline);
	else
		ret = gs_chan_send(w->rec->chan[c], &v);
	op_end(op, ret);
	op->value = v;
	if (ret && ret != -EPIPE) {
		check_refusal(w, how, -EAGAIN, ret);
		op->kind = OP_NOTHING;
		op->sends = 1U << c;
	}
}

static void op_recv(struct worker *w, int c, enum how how)
{
	int v = -1, ret;
	int64_t deadline = a_deadline(w);
	struct op *op = op_begin(w, OP_RECV, c);

	if (how == TRY)
		ret = gs_chan_try_recv(w->rec->chan[c], &v);
	else if (how == UNTIL)
		ret = gs_chan_recv_until(w->rec->chan[c], &v, deadline);
	else
		ret = gs_chan_recv(w->rec->chan[c], &v);
	op_end(op, ret);
	op->value = v;
	if (ret < 0) {
		check_refusal(w, how, -EAGAIN, ret);
		CHECK_EQ(-1, v);
		op->kind = OP_NOTHING;
		op->recvs = 1U << c;
	} else if (ret == 0) {
		CHECK_EQ(0, v);
	}
}

static void op_close(struct worker *w, int c)
{
	struct op *op = op_begin(w, OP_CLOSE, c);

	op_end(op, gs_chan_close(w->rec->chan[c]));
}

static void op_len(struct worker *w, int c)
{
	struct op *op = op_begin(w, OP_LEN, c);

	op->value = gs_chan_len(w->rec->chan[c]);
	op_end(op, 0);
}

/* ---------------------------------------------------------------------- selects */

#define CASES 5

struct select {
	struct gs_case cases[CASES];
	int chan[CASES];		/* HISTORY_CHANS: none */
	int value[CASES];
	int n;
};

/* Channels may be there twice, in both directions, or, but for one, not be there. */
static void select_fill(struct worker *w, struct select *s)
{
	memset(s, 0, sizeof(*s));
	s->n = 1 + rnd(&w->rnd) % CASES;
	for (int k = 0; k < s->n; k++) {
		s->chan[k] = k == 0 || rnd(&w->rnd) % 8 ? a_chan(w) : HISTORY_CHANS;
		if (s->chan[k] < HISTORY_CHANS)
			s->cases[k].chan = w->rec->chan[s->chan[k]];
		if (rnd(&w->rnd) % 2) {
			s->cases[k].dir = GS_SEND;
			s->value[k] = a_value(w, k);
			s->cases[k].send = &s->value[k];
		} else {
			s->cases[k].dir = GS_RECV;
			s->value[k] = -1;
			s->cases[k].recv = &s->value[k];
		}
	}
}

/* What was not chosen has been left alone. */
static void select_chosen(struct select *s, struct op *op, int chosen)
{
	CHECK(chosen < s->n && s->cases[chosen].chan);
	for (int k = 0; k < s->n; k++)
		CHECK(k == chosen || s->cases[k].dir == GS_SEND || s->value[k] == -1);
	op->kind = s->cases[chosen].dir == GS_SEND ? OP_SEND : OP_RECV;
	op->obj = s->chan[chosen];
	op->result = s->cases[chosen].result;
	op->value = s->value[chosen];
	if (op->kind == OP_RECV && op->result == 0)
		CHECK_EQ(0, op->value);
}

static void select_refused(struct select *s, struct op *op)
{
	for (int k = 0; k < s->n; k++) {
		CHECK(s->cases[k].dir == GS_SEND || s->value[k] == -1);
		if (s->chan[k] == HISTORY_CHANS)
			continue;
		if (s->cases[k].dir == GS_SEND)
			op->sends |= 1U << s->chan[k];
		else
			op->recvs |= 1U << s->chan[k];
	}
}

static void op_select(struct worker *w, enum how how)
{
	struct select s;
	struct op *op;
	int64_t deadline = a_deadline(w);
	int ret;

	select_fill(w, &s);
	op = op_begin(w, OP_NOTHING, 0);
	if (how == TRY)
		ret = gs_try_select(s.cases, s.n);
	else if (how == UNTIL)
		ret = gs_select_until(s.cases, s.n, deadline);
	else
		ret = gs_select(s.cases, s.n);
	op_end(op, ret);
	if (ret >= 0) {
		select_chosen(&s, op, ret);
	} else {
		check_refusal(w, how, -EAGAIN, ret);
		select_refused(&s, op);
	}
}

/* --------------------------------------------------------------------- the work */

static enum how a_how(struct worker *w)
{
	return rnd(&w->rnd) % 3;
}

static void use_chans(struct worker *w)
{
	while (w->n < OPS_EACH) {
		unsigned int what = rnd(&w->rnd) % 40;

		if (what == 0)
			op_close(w, a_chan(w));
		else if (what < 3)
			op_len(w, a_chan(w));
		else if (what < 20)
			op_send(w, a_chan(w), a_how(w));
		else
			op_recv(w, a_chan(w), a_how(w));
		worker_pause(w);
	}
}

static void use_selects(struct worker *w)
{
	while (w->n < OPS_EACH) {
		unsigned int what = rnd(&w->rnd) % 60;

		if (what == 0)
			op_close(w, a_chan(w));
		else if (what < 10)
			op_send(w, a_chan(w), a_how(w));
		else if (what < 20)
			op_recv(w, a_chan(w), a_how(w));
		else
			op_select(w, a_how(w));
		worker_pause(w);
	}
}

static void close_all(struct worker *w)
{
	for (int c = 0; c < HISTORY_CHANS && w->rec->chan[c]; c++)
		op_close(w, c);
}

/* What was sent and not received is still there. */
static void drain_all(struct worker *w)
{
	close_all(w);
	for (int c = 0; c < HISTORY_CHANS && w->rec->chan[c]; c++) {
		do {
			op_recv(w, c, TRY);
		} while (w->op[w->n - 1].result > 0);
	}
}

/* Rounds with channels of capacities @cap; -1 ends them. */
static void rounds(int n, void (*work)(struct worker *w), const int *cap)
{
	static struct recorder rec;
	unsigned int seed = test_seed();
	struct verdicts v = { 0 };
	int64_t end = gs_now() + 1000 * MS;

	for (int i = 0; go_on(i, n, end); i++) {
		memset(&rec, 0, sizeof(rec));
		rec.work = work;
		rec.end = close_all;
		rec.after = drain_all;
		for (int c = 0; c < HISTORY_CHANS && cap[c] >= 0; c++) {
			rec.h.cap[c] = cap[c];
			rec.chan[c] = gs_chan_new(sizeof(int), cap[c]);
		}
		record(&rec, seed + i);
		verdicts_add(&v, &rec.h, seed + i);
		for (int c = 0; c < HISTORY_CHANS; c++)
			gs_chan_unref(rec.chan[c]);
	}
	verdicts_print(&v);
}

#define ROUNDS TIMES(300)

TEST_GO(unbuffered)
{
	rounds(ROUNDS, use_chans, (const int[]){ 0, -1, -1 });
}

TEST_GO(buffer_of_one)
{
	rounds(ROUNDS, use_chans, (const int[]){ 1, -1, -1 });
}

TEST_GO(buffer_of_three)
{
	rounds(ROUNDS, use_chans, (const int[]){ 3, -1, -1 });
}

TEST_GO(selects_of_two)
{
	rounds(ROUNDS, use_selects, (const int[]){ 0, 1, -1 });
}

TEST_GO(selects_of_three)
{
	rounds(ROUNDS, use_selects, (const int[]){ 0, 0, 2 });
}

TEST_HARNESS_MAIN
