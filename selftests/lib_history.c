// SPDX-License-Identifier: GPL-2.0
/*
 * The checker of histories itself: it takes what is right, and sees what is wrong.
 */
#include "lib_history.h"

#define CAPS { 0, 1, 2 }	/* of channels 0, 1, 2 in all that is written down here */

#define AT(b, e)	.begin = (b), .end = (e)
#define SEND(c, v)	.kind = OP_SEND, .obj = (c), .value = (v)
#define RECV(c, v)	.kind = OP_RECV, .obj = (c), .value = (v), .result = 1
#define RECV_END(c)	.kind = OP_RECV, .obj = (c)
#define CLOSE(c)	.kind = OP_CLOSE, .obj = (c)
#define LEN(c, v)	.kind = OP_LEN, .obj = (c), .value = (v)
#define NO_SEND(c)	.kind = OP_NOTHING, .sends = 1U << (c)
#define NO_RECV(c)	.kind = OP_NOTHING, .recvs = 1U << (c)
#define NO_RECVS(a, b)	.kind = OP_NOTHING, .recvs = 1U << (a) | 1U << (b)
#define LOCK		.kind = OP_LOCK
#define NO_LOCK		.kind = OP_LOCK, .result = (-EBUSY)
#define UNLOCK		.kind = OP_UNLOCK
#define RLOCK		.kind = OP_RLOCK
#define NO_RLOCK	.kind = OP_RLOCK, .result = (-EBUSY)
#define RUNLOCK		.kind = OP_RUNLOCK
#define EPIPED		.result = (-EPIPE)

struct planted {
	const char *what;
	struct op op[8];
};

static const struct planted good[] = {
	{ "in order", {
		{ AT(1, 2), SEND(2, 5) }, { AT(3, 4), SEND(2, 6) },
		{ AT(5, 6), RECV(2, 5) }, { AT(7, 8), RECV(2, 6) } } },
	{ "sends at the same time come in any order", {
		{ AT(1, 4), SEND(2, 5) }, { AT(2, 3), SEND(2, 6) },
		{ AT(5, 6), RECV(2, 6) }, { AT(7, 8), RECV(2, 5) } } },
	{ "receives at the same time return in any order", {
		{ AT(1, 2), SEND(2, 5) }, { AT(3, 4), SEND(2, 6) },
		{ AT(5, 8), RECV(2, 6) }, { AT(6, 7), RECV(2, 5) } } },
	{ "a send that waits for room", {
		{ AT(1, 2), SEND(1, 5) }, { AT(3, 6), SEND(1, 6) },
		{ AT(4, 5), RECV(1, 5) }, { AT(7, 8), RECV(1, 6) } } },
	{ "a channel without buffer: a meeting", {
		{ AT(1, 3), SEND(0, 5) }, { AT(2, 4), RECV(0, 5) } } },
	{ "to miss one another", {
		{ AT(1, 6), SEND(0, 5) }, { AT(2, 3), NO_RECV(0) }, { AT(4, 5), RECV(0, 5) } } },
	{ "empty, then full", {
		{ AT(1, 2), NO_RECV(1) }, { AT(3, 4), SEND(1, 5) }, { AT(5, 6), NO_SEND(1) },
		{ AT(7, 8), LEN(1, 1) } } },
	{ "not ready at one moment", {
		{ AT(1, 2), SEND(1, 5) }, { AT(3, 10), NO_RECVS(1, 2) }, { AT(4, 5), RECV(1, 5) },
		{ AT(6, 7), SEND(2, 6) } } },
	{ "closed and drained", {
		{ AT(1, 2), SEND(2, 5) }, { AT(3, 4), CLOSE(2) }, { AT(5, 6), RECV(2, 5) },
		{ AT(7, 8), RECV_END(2) }, { AT(9, 10), SEND(2, 6), EPIPED },
		{ AT(11, 12), CLOSE(2), EPIPED } } },
	{ "close ends a send that waits", {
		{ AT(1, 2), SEND(1, 5) }, { AT(3, 6), SEND(1, 6), EPIPED },
		{ AT(4, 5), CLOSE(1) }, { AT(7, 8), LEN(1, 1) } } },
	{ "locked by one after the other", {
		{ AT(1, 2), LOCK }, { AT(3, 6), LOCK }, { AT(4, 5), NO_LOCK }, { AT(5, 6), UNLOCK },
		{ AT(7, 8), UNLOCK } } },
	{ "readers together", {
		{ AT(1, 2), RLOCK }, { AT(3, 4), RLOCK }, { AT(5, 6), NO_LOCK },
		{ AT(7, 8), RUNLOCK }, { AT(9, 10), RUNLOCK }, { AT(11, 12), LOCK } } },
	{ "a writer that waits keeps readers out", {
		{ AT(1, 2), RLOCK }, { AT(3, 8), LOCK }, { AT(4, 5), NO_RLOCK },
		{ AT(6, 7), RUNLOCK } } },
};

static const struct planted bad[] = {
	{ "out of nothing", {
		{ AT(1, 2), RECV(1, 5) } } },
	{ "before it was sent", {
		{ AT(1, 2), RECV(1, 5) }, { AT(3, 4), SEND(1, 5) } } },
	{ "twice", {
		{ AT(1, 2), SEND(1, 5) }, { AT(3, 4), RECV(1, 5) }, { AT(5, 6), RECV(1, 5) } } },
	{ "on another channel", {
		{ AT(1, 2), SEND(1, 5) }, { AT(3, 4), RECV(2, 5) } } },
	{ "lost", {
		{ AT(1, 2), SEND(1, 5) }, { AT(3, 4), NO_RECV(1) } } },
	{ "lost at the close", {
		{ AT(1, 2), SEND(1, 5) }, { AT(3, 4), CLOSE(1) }, { AT(5, 6), RECV_END(1) } } },
	{ "one overtakes the other", {
		{ AT(1, 2), SEND(2, 5) }, { AT(3, 4), SEND(2, 6) },
		{ AT(5, 6), RECV(2, 6) }, { AT(7, 8), RECV(2, 5) } } },
	{ "more than the buffer holds", {
		{ AT(1, 2), SEND(2, 5) }, { AT(3, 4), SEND(2, 6) }, { AT(5, 6), SEND(2, 7) },
		{ AT(7, 8), RECV(2, 5) } } },
	{ "full, and is not", {
		{ AT(1, 2), SEND(2, 5) }, { AT(3, 4), NO_SEND(2) } } },
	{ "nobody there to meet", {
		{ AT(1, 2), SEND(0, 5) }, { AT(3, 4), RECV(0, 5) } } },
	{ "one send meets two receives", {
		{ AT(1, 6), SEND(0, 5) }, { AT(2, 3), RECV(0, 5) }, { AT(4, 5), RECV(0, 5) } } },
	{ "something else than was sent", {
		{ AT(1, 3), SEND(0, 5) }, { AT(2, 4), RECV(0, 6) } } },
	{ "ready at every moment, and yet nothing done", {
		{ AT(1, 2), SEND(1, 5) }, { AT(3, 10), NO_RECVS(1, 2) }, { AT(4, 5), SEND(2, 6) },
		{ AT(6, 7), RECV(1, 5) } } },
	{ "the end before the close", {
		{ AT(1, 2), RECV_END(1) }, { AT(3, 4), CLOSE(1) } } },
	{ "a send after the close", {
		{ AT(1, 2), CLOSE(1) }, { AT(3, 4), SEND(1, 5) } } },
	{ "a meeting after the close", {
		{ AT(1, 2), CLOSE(0) }, { AT(3, 5), SEND(0, 5) }, { AT(4, 6), RECV(0, 5) } } },
	{ "no send, and yet not closed", {
		{ AT(1, 2), SEND(1, 5), EPIPED }, { AT(3, 4), CLOSE(1) } } },
	{ "closed, and not ready", {
		{ AT(1, 2), CLOSE(0) }, { AT(3, 4), NO_RECV(0) } } },
	{ "closed twice", {
		{ AT(1, 2), CLOSE(1) }, { AT(3, 4), CLOSE(1) } } },
	{ "a wrong length", {
		{ AT(1, 2), SEND(2, 5) }, { AT(3, 4), LEN(2, 0) } } },
	{ "locked twice", {
		{ AT(1, 2), LOCK }, { AT(3, 4), LOCK }, { AT(5, 6), UNLOCK } } },
	{ "free, and not to be had", {
		{ AT(1, 2), LOCK }, { AT(3, 4), UNLOCK }, { AT(5, 6), NO_LOCK } } },
	{ "a writer beside a reader", {
		{ AT(1, 2), RLOCK }, { AT(3, 4), LOCK }, { AT(5, 6), RUNLOCK } } },
	{ "a reader beside a writer", {
		{ AT(1, 2), LOCK }, { AT(3, 4), RLOCK }, { AT(5, 6), UNLOCK } } },
	{ "a reader kept out by readers", {
		{ AT(1, 2), RLOCK }, { AT(3, 4), NO_RLOCK }, { AT(5, 6), RUNLOCK } } },
	{ "a reader kept out by a writer that had gone", {
		{ AT(1, 2), LOCK }, { AT(3, 4), UNLOCK }, { AT(5, 6), NO_RLOCK } } },
};

static enum verdict check_planted(const struct planted *p)
{
	static struct history h;

	h = (struct history){ .cap = CAPS };
	while (h.n < 8 && p->op[h.n].end) {
		h.op[h.n] = p->op[h.n];
		h.n++;
	}
	return history_check(&h);
}

TEST(good_ones_are_taken)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		EXPECT_EQ(GOOD, check_planted(good + i))
			TH_LOG("%s", good[i].what);
	}
}

TEST(bad_ones_are_seen)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(BAD, check_planted(bad + i))
			TH_LOG("%s", bad[i].what);
	}
}

/* ---------------------------------------------------------- long ones, made up */

/*
 * What the objects' own description says, at the times 10, 20, 30 ..; each call begins
 * up to @spread before its moment and returns up to @spread after.
 */
struct maker {
	struct objects s;
	struct history *h;
	unsigned int r;
	int spread, time, value;
};

static struct op *make_op(struct maker *mk, struct op op)
{
	struct op *at = &mk->h->op[mk->h->n++];

	*at = op;
	at->begin = mk->time - (int)(rnd(&mk->r) % mk->spread);
	at->end = mk->time + (int)(rnd(&mk->r) % mk->spread);
	return at;
}

static void make_meeting(struct maker *mk)
{
	int v = ++mk->value;

	make_op(mk, (struct op){ SEND(0, v) });
	make_op(mk, (struct op){ RECV(0, v) });
}

static void make_step(struct maker *mk)
{
	struct objects after = mk->s;
	int c = rnd(&mk->r) % HISTORY_CHANS;
	struct op op;

	mk->time += 10;
	switch (rnd(&mk->r) % 4) {
	case 0:
		op = (struct op){ SEND(c, mk->value + 1) };
		break;
	case 1:
		op = (struct op){ RECV(c, mk->s.elem[c][0]) };
		break;
	case 2:
		op = (struct op){ .kind = OP_NOTHING, .sends = rnd(&mk->r) % 8,
				  .recvs = rnd(&mk->r) % 8 };
		break;
	default:
		if (!mk->s.closed[0])
			make_meeting(mk);
		return;
	}
	if (!step_one(&after, mk->h->cap, &op))
		return;
	mk->s = after;
	mk->value += op.kind == OP_SEND;
	make_op(mk, op);
}

static void make(struct history *h, unsigned int seed, int spread)
{
	struct maker mk = { .h = h, .r = seed, .spread = spread };

	*h = (struct history){ .cap = CAPS };
	while (h->n < HISTORY_OPS - 1)
		make_step(&mk);
}

TEST(long_good_ones_are_taken)
{
	static struct history h;
	unsigned int seed = test_seed(), hard = 0;
	enum verdict v;

	for (int i = 0; i < TIMES(300); i++) {
		make(&h, seed + i, 2 + i % 40);
		v = history_check(&h);
		ASSERT_NE(BAD, v);
		hard += v == TOO_HARD;
	}
	ASSERT_GE(TIMES(300) / 20, hard);
}

/* One receive gets what another one has got. */
TEST(long_bad_ones_are_seen)
{
	static struct history h;
	unsigned int seed = test_seed(), hard = 0;
	enum verdict v;
	int last, other;

	for (int i = 0; i < TIMES(300); i++) {
		make(&h, seed + i, 2 + i % 20);
		for (last = h.n - 1; h.op[last].kind != OP_RECV; last--)
			;
		for (other = last - 1; h.op[other].kind != OP_RECV; other--)
			;
		h.op[last].value = h.op[other].value;
		h.op[last].obj = h.op[other].obj;
		v = history_check(&h);
		ASSERT_NE(GOOD, v);
		hard += v == TOO_HARD;
	}
	ASSERT_GE(TIMES(300) / 4, hard);
}

TEST_HARNESS_MAIN
