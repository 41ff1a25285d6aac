// SPDX-License-Identifier: GPL-2.0
/*
 * A mutex and a reader-writer mutex, used by goroutines and threads at the same time in
 * every way: whatever comes of it, there is an order that explains it.
 */
#include "lib_recorder.h"

static int mutex_take(struct worker *w, enum how how, int64_t deadline)
{
	if (how == TRY)
		return gs_mutex_trylock(&w->rec->mutex);
	if (how == UNTIL)
		return gs_mutex_lock_until(&w->rec->mutex, deadline);
	gs_mutex_lock(&w->rec->mutex);
	return 0;
}

static int write_take(struct worker *w, enum how how, int64_t deadline)
{
	if (how == TRY)
		return gs_rwmutex_trylock(&w->rec->rwmutex);
	if (how == UNTIL)
		return gs_rwmutex_lock_until(&w->rec->rwmutex, deadline);
	gs_rwmutex_lock(&w->rec->rwmutex);
	return 0;
}

static int read_take(struct worker *w, enum how how, int64_t deadline)
{
	if (how == TRY)
		return gs_rwmutex_tryrlock(&w->rec->rwmutex);
	if (how == UNTIL)
		return gs_rwmutex_rlock_until(&w->rec->rwmutex, deadline);
	gs_rwmutex_rlock(&w->rec->rwmutex);
	return 0;
}

/* A lock and, if it was had, the unlock. */
struct locking {
	int lock_op, unlock_op;
	int (*take)(struct worker *w, enum how how, int64_t deadline);
	void (*give)(struct worker *w);
};

static void mutex_give(struct worker *w)
{
	gs_mutex_unlock(&w->rec->mutex);
}

static void write_give(struct worker *w)
{
	gs_rwmutex_unlock(&w->rec->rwmutex);
}

static void read_give(struct worker *w)
{
	gs_rwmutex_runlock(&w->rec->rwmutex);
}

static const struct locking mutex = { OP_LOCK, OP_UNLOCK, mutex_take, mutex_give };
static const struct locking writing = { OP_LOCK, OP_UNLOCK, write_take, write_give };
static const struct locking reading = { OP_RLOCK, OP_RUNLOCK, read_take, read_give };

static void op_lock_unlock(struct worker *w, const struct locking *l)
{
	enum how how = rnd(&w->rnd) % 3;
	int64_t deadline = a_deadline(w);
	struct op *op = op_begin(w, l->lock_op, 0);

	op_end(op, l->take(w, how, deadline));
	if (op->result) {
		check_refusal(w, how, -EBUSY, op->result);
		return;
	}
	worker_pause(w);
	op = op_begin(w, l->unlock_op, 0);
	l->give(w);
	op_end(op, 0);
}

static void use_mutex(struct worker *w)
{
	while (w->n < OPS_EACH - 1) {
		op_lock_unlock(w, &mutex);
		worker_pause(w);
	}
}

static void use_rwmutex(struct worker *w)
{
	while (w->n < OPS_EACH - 1) {
		op_lock_unlock(w, rnd(&w->rnd) % 3 ? &reading : &writing);
		worker_pause(w);
	}
}

/* Nobody waits for ever. */
static void nothing(struct worker *w)
{
	(void)w;
}

/* It is free again, and nobody is in it. */
static void mutex_after(struct worker *w)
{
	op_lock_unlock(w, &mutex);
	CHECK_EQ(0, gs_mutex_trylock(&w->rec->mutex));
}

static void rwmutex_after(struct worker *w)
{
	op_lock_unlock(w, &reading);
	CHECK_EQ(0, gs_rwmutex_trylock(&w->rec->rwmutex));
}

static void rounds(void (*work)(struct worker *w), void (*after)(struct worker *w))
{
	static struct recorder rec;
	unsigned int seed = test_seed();
	struct verdicts v = { 0 };
	int64_t end = gs_now() + 2000 * MS;

	for (int i = 0; go_on(i, TIMES(400), end); i++) {
		memset(&rec, 0, sizeof(rec));
		rec.work = work;
		rec.end = nothing;
		rec.after = after;
		record(&rec, seed + i);
		verdicts_add(&v, &rec.h, seed + i);
	}
	verdicts_print(&v);
}

TEST_GO(mutex)
{
	rounds(use_mutex, mutex_after);
}

TEST_GO(rwmutex)
{
	rounds(use_rwmutex, rwmutex_after);
}

TEST_HARNESS_MAIN
