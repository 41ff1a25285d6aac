/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lib_history.h: is there an order that explains what happened?
 *
 * A history is operations on channels and locks, each with the times of its call and
 * its return and with its result. It is good (linearizable) if every operation can be
 * given one moment between its call and its return, so that the objects, as their
 * description says and one operation after the other, give those results. A history
 * that is not good is an error of the objects, whatever happened in detail.
 *
 * The check is Wing and Gong's search: the next operation in the order may be any one
 * that was called before all those that are left had returned. A dead end is not tried
 * twice: the set of operations that are done, with the state they led to, is
 * remembered (Lowe). A send and a receive that meet on a channel without buffer happen
 * at one moment: a step of the search may be such a pair.
 *
 * What waiting operations of others may do to one that does not wait is not seen in
 * results, so the description leaves it open:
 *
 *   without a buffer  nobody can know that a sender or receiver waits already: not to
 *                     meet one is always right as long as the channel is open
 *   rwmutex           who could not lock may have been kept out by a writer that waits:
 *                     any that called before it returned, and had not returned before it
 *                     called
 */
#ifndef LIB_HISTORY_H
#define LIB_HISTORY_H

#include "lib_check.h"

#include <errno.h>

#define HISTORY_OPS	128
#define HISTORY_CHANS	3
#define HISTORY_CAP	4

enum op_kind {
	OP_SEND,	/* of @value; @result: 0, -EPIPE */
	OP_RECV,	/* @result: 1 and @value, 0 */
	OP_CLOSE,	/* @result: 0, -EPIPE */
	OP_LEN,		/* @value */
	OP_NOTHING,	/* none of the channels in @sends, @recvs was ready */
	OP_LOCK,	/* @result: 0, else it was not to be had */
	OP_UNLOCK,
	OP_RLOCK,
	OP_RUNLOCK,
};

/* One channel or lock is @obj; a select is what it has done. */
struct op {
	int64_t begin, end;
	int kind, obj, result, value;
	unsigned int sends, recvs;	/* bits of channels */
	bool excused;			/* the check's: see rwmutex above */
};

struct history {
	int n;
	struct op op[HISTORY_OPS];
	int cap[HISTORY_CHANS];		/* of the channels */
};

/* ------------------------------------------------- what the objects are to do */

/* No padding: it is compared as bytes. */
struct objects {
	uint16_t elem[HISTORY_CHANS][HISTORY_CAP];
	uint8_t count[HISTORY_CHANS];
	uint8_t closed[HISTORY_CHANS];
	uint8_t readers, writer;	/* of the one lock */
};

static inline bool chan_send(struct objects *s, const int *cap, const struct op *op)
{
	int c = op->obj;

	if (op->result)
		return op->result == -EPIPE && s->closed[c];
	if (s->closed[c] || s->count[c] == cap[c])
		return false;
	s->elem[c][s->count[c]++] = op->value;
	return true;
}

static inline bool chan_recv(struct objects *s, const struct op *op)
{
	int c = op->obj;

	if (!op->result)
		return s->closed[c] && !s->count[c];
	if (op->result != 1 || !s->count[c] || s->elem[c][0] != op->value)
		return false;
	memmove(s->elem[c], s->elem[c] + 1, sizeof(s->elem[c]) - sizeof(s->elem[c][0]));
	s->elem[c][HISTORY_CAP - 1] = 0;
	s->count[c]--;
	return true;
}

static inline bool chan_close(struct objects *s, const struct op *op)
{
	bool closed = s->closed[op->obj];

	s->closed[op->obj] = 1;
	return op->result == (closed ? -EPIPE : 0);
}

static inline bool nothing_ready(const struct objects *s, const int *cap, const struct op *op)
{
	for (int c = 0; c < HISTORY_CHANS; c++) {
		if (!((op->sends | op->recvs) >> c & 1))
			continue;
		if (s->closed[c])
			return false;
		if ((op->sends >> c & 1) && s->count[c] < cap[c])
			return false;
		if ((op->recvs >> c & 1) && s->count[c])
			return false;
	}
	return true;
}

static inline bool lock_write(struct objects *s, const struct op *op)
{
	bool is_free = !s->readers && !s->writer;

	if (op->result)
		return !is_free || op->excused;
	s->writer = 1;
	return is_free;
}

static inline bool lock_read(struct objects *s, const struct op *op)
{
	if (op->result)
		return s->writer || op->excused;
	s->readers++;
	return !s->writer;
}

/* step_one - do @op. Return: whether its result is what it is to be. */
static inline bool step_one(struct objects *s, const int *cap, const struct op *op)
{
	switch (op->kind) {
	case OP_SEND:
		return chan_send(s, cap, op);
	case OP_RECV:
		return chan_recv(s, op);
	case OP_CLOSE:
		return chan_close(s, op);
	case OP_LEN:
		return s->count[op->obj] == op->value;
	case OP_NOTHING:
		return nothing_ready(s, cap, op);
	case OP_LOCK:
		return lock_write(s, op);
	case OP_UNLOCK:
		return s->writer-- == 1;
	case OP_RLOCK:
		return lock_read(s, op);
	case OP_RUNLOCK:
		return s->readers-- > 0;
	}
	return false;
}

/* step_pair - may @a and @b have met on a channel without buffer? */
static inline bool step_pair(const struct objects *s, const int *cap, const struct op *a,
			     const struct op *b)
{
	const struct op *send = a->kind == OP_SEND ? a : b, *recv = send == a ? b : a;

	return send->kind == OP_SEND && recv->kind == OP_RECV && send->obj == recv->obj &&
	       !cap[send->obj] && !s->closed[send->obj] && send->result == 0 &&
	       recv->result == 1 && send->value == recv->value;
}

/* ------------------------------------------------------------------ the search */

#define SEEN_MAX	(1 << 15)

enum verdict {
	GOOD,
	BAD,
	TOO_HARD,	/* there are more states than we remember */
};

struct point {
	uint64_t done[HISTORY_OPS / 64];
	struct objects s;
};

static struct {
	const struct history *h;
	unsigned int round, nr;
	struct {
		unsigned int round;	/* in which it was filled */
		struct point at;
	} seen[SEEN_MAX];
} search;

static inline bool is_done(const struct point *p, int i)
{
	return p->done[i / 64] >> i % 64 & 1;
}

static inline void set_done(struct point *p, int i)
{
	p->done[i / 64] |= 1ULL << i % 64;
}

static inline unsigned int point_hash(const struct point *p)
{
	const unsigned char *byte = (const unsigned char *)p;
	uint64_t hash = 14695981039346656037ULL;

	for (size_t i = 0; i < sizeof(*p); i++)
		hash = (hash ^ byte[i]) * 1099511628211ULL;
	return hash >> 32;
}

/* Whether it is the first time that the search comes to @p, and can be remembered. */
static inline bool point_is_new(const struct point *p)
{
	unsigned int i = point_hash(p) % SEEN_MAX;

	if (search.nr > SEEN_MAX / 4 * 3)
		return false;
	for (; search.seen[i].round == search.round; i = (i + 1) % SEEN_MAX)
		if (!memcmp(&search.seen[i].at, p, sizeof(*p)))
			return false;
	search.seen[i].round = search.round;
	search.seen[i].at = *p;
	search.nr++;
	return true;
}

/* When the first of those that are left returned. */
static inline int64_t horizon(const struct point *p)
{
	const struct history *h = search.h;
	int64_t first = INT64_MAX;

	for (int i = 0; i < h->n; i++)
		if (!is_done(p, i) && h->op[i].end < first)
			first = h->op[i].end;
	return first;
}

static bool search_from(const struct point *p);

static inline bool try_one(const struct point *p, int i)
{
	struct point next = *p;

	if (!step_one(&next.s, search.h->cap, &search.h->op[i]))
		return false;
	set_done(&next, i);
	return point_is_new(&next) && search_from(&next);
}

static inline bool try_pair(const struct point *p, int i, int j)
{
	struct point next = *p;

	if (!step_pair(&p->s, search.h->cap, &search.h->op[i], &search.h->op[j]))
		return false;
	set_done(&next, i);
	set_done(&next, j);
	return point_is_new(&next) && search_from(&next);
}

/* The operations are in the order of their calls. */
static bool search_from(const struct point *p)
{
	const struct history *h = search.h;
	int64_t until = horizon(p);

	if (until == INT64_MAX)
		return true;
	for (int i = 0; i < h->n && h->op[i].begin <= until; i++) {
		if (is_done(p, i))
			continue;
		if (try_one(p, i))
			return true;
		for (int j = i + 1; j < h->n && h->op[j].begin <= until; j++)
			if (!is_done(p, j) && try_pair(p, i, j))
				return true;
	}
	return false;
}

static inline int by_begin(const void *a, const void *b)
{
	const struct op *x = a, *y = b;

	return (x->begin > y->begin) - (x->begin < y->begin);
}

static inline bool overlap(const struct op *a, const struct op *b)
{
	return a->begin <= b->end && b->begin <= a->end;
}

/* Only of a rwmutex: one with readers. */
static inline void history_excuse(struct history *h)
{
	bool readers = false;

	for (int i = 0; i < h->n; i++)
		readers |= h->op[i].kind == OP_RLOCK;
	for (int i = 0; readers && i < h->n; i++)
		for (int j = 0; j < h->n; j++)
			if (i != j && h->op[j].kind == OP_LOCK && overlap(&h->op[i], &h->op[j]))
				h->op[i].excused = true;
}

/* history_check - is there an order that explains it? Sorts the operations. */
static inline enum verdict history_check(struct history *h)
{
	struct point begin;

	qsort(h->op, h->n, sizeof(h->op[0]), by_begin);
	history_excuse(h);
	memset(&begin, 0, sizeof(begin));
	search.h = h;
	search.round++;
	search.nr = 0;
	if (search_from(&begin))
		return GOOD;
	return search.nr > SEEN_MAX / 4 * 3 ? TOO_HARD : BAD;
}

static inline void history_print(const struct history *h)
{
	static const char *const names[] = {
		[OP_SEND] = "send", [OP_RECV] = "recv", [OP_CLOSE] = "close", [OP_LEN] = "len",
		[OP_NOTHING] = "nothing", [OP_LOCK] = "lock", [OP_UNLOCK] = "unlock",
		[OP_RLOCK] = "rlock", [OP_RUNLOCK] = "runlock",
	};

	for (int i = 0; i < h->n; i++) {
		const struct op *op = &h->op[i];

		fprintf(stderr, "# %8lld .. %8lld %s object %d value %d result %d",
			(long long)(op->begin - h->op[0].begin),
			(long long)(op->end - h->op[0].begin), names[op->kind], op->obj,
			op->value, op->result);
		if (op->kind == OP_NOTHING)
			fprintf(stderr, " sends %x recvs %x", op->sends, op->recvs);
		fprintf(stderr, "\n");
	}
}

#endif /* LIB_HISTORY_H */
