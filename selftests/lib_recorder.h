/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lib_recorder.h: rounds in which goroutines and threads use the same objects at the
 * same time and record what happens, for lib_history.h to judge.
 *
 * Each worker writes a log of its own. The times are the clock's, so that recording
 * orders nothing that the objects do not. Workers may wait for one another for ever:
 * when a round has not ended after a while, the main goroutine cancels the others,
 * or not, and does what ends all waits, which is part of the history, too.
 */
#ifndef LIB_RECORDER_H
#define LIB_RECORDER_H

#include "lib_history.h"

#include <pthread.h>
#include <sched.h>

#define GOROUTINES	3
#define THREADS		2
#define WORKERS		(GOROUTINES + THREADS)
#define OPS_EACH	20
#define AWAKE_NS	100000

struct recorder;

struct worker {
	struct recorder *rec;
	int nr;
	unsigned int rnd;
	int n;
	struct op op[OPS_EACH + 8];
};

struct recorder {
	void (*work)(struct worker *w);		/* at most OPS_EACH operations */
	void (*end)(struct worker *w);		/* ends all waits */
	void (*after)(struct worker *w);	/* looks what is left */
	gs_chan *chan[HISTORY_CHANS];
	gs_mutex mutex;
	gs_rwmutex rwmutex;
	gs_group group;
	gs_wg absent, gate, running;
	int awake, cancelled;
	struct worker worker[WORKERS + 1];	/* the last: the main goroutine */
	struct history h;
};

/* op_begin - an operation is about to be called; its log has the time. */
static inline struct op *op_begin(struct worker *w, int kind, int obj)
{
	struct op *op = &w->op[w->n++];

	*op = (struct op){ .kind = kind, .obj = obj };
	op->begin = gs_now();
	return op;
}

/* op_end - it has returned. */
static inline void op_end(struct op *op, int result)
{
	op->end = gs_now();
	op->result = result;
}

/* How a call may be made. */
enum how {
	TRY,
	UNTIL,
	WAIT,
};

static inline int64_t a_deadline(struct worker *w)
{
	return rnd(&w->rnd) % 3 ? gs_now() + rnd(&w->rnd) % 100000 : 0;
}

/* Is it a reason to have done nothing? */
static inline void check_refusal(struct worker *w, enum how how, int refused, int result)
{
	if (result == -ECANCELED) {
		CHECK(how != TRY && w->nr < GOROUTINES);
		CHECK(__atomic_load_n(&w->rec->cancelled, __ATOMIC_RELAXED));
		return;
	}
	CHECK(how != WAIT);
	CHECK_EQ(how == TRY ? refused : -ETIMEDOUT, result);
}

static inline void worker_yield(struct worker *w)
{
	if (w->nr < GOROUTINES)
		gs_yield();
	else
		sched_yield();
}

static inline void worker_pause(struct worker *w)
{
	if (rnd(&w->rnd) % 4 == 0)
		worker_yield(w);
}

/* All are there before the first begins; those who wake up first wait for a moment. */
static inline void worker_start(struct worker *w)
{
	int64_t until;

	gs_wg_done(&w->rec->absent);
	CHECK_EQ(0, gs_wg_wait(&w->rec->gate));
	__atomic_add_fetch(&w->rec->awake, 1, __ATOMIC_RELAXED);
	until = gs_now() + AWAKE_NS;
	while (__atomic_load_n(&w->rec->awake, __ATOMIC_RELAXED) < WORKERS && gs_now() < until)
		worker_yield(w);
}

static inline void worker_run(struct worker *w)
{
	worker_start(w);
	w->rec->work(w);
	gs_wg_done(&w->rec->running);
}

static int worker_goroutine(void *arg)
{
	worker_run(arg);
	return 0;
}

static void *worker_thread(void *arg)
{
	worker_run(arg);
	return NULL;
}

static inline void history_gather(struct recorder *rec)
{
	for (int i = 0; i <= WORKERS; i++) {
		memcpy(rec->h.op + rec->h.n, rec->worker[i].op,
		       rec->worker[i].n * sizeof(struct op));
		rec->h.n += rec->worker[i].n;
	}
	CHECK(rec->h.n <= HISTORY_OPS);
}

static inline void record_end(struct recorder *rec, int64_t after)
{
	struct worker *me = &rec->worker[WORKERS];

	if (gs_wg_wait_until(&rec->running, gs_now() + after) == 0)
		return;
	if (rnd(&me->rnd) % 2) {
		__atomic_store_n(&rec->cancelled, 1, __ATOMIC_RELAXED);
		gs_group_cancel(&rec->group);
	}
	rec->end(me);
	CHECK_EQ(0, gs_wg_wait(&rec->running));
}

/* record - one round; @rec's functions and objects are set, the rest is zero. */
static inline void record(struct recorder *rec, unsigned int seed)
{
	pthread_t thread[THREADS];
	unsigned int r = seed;
	int i;

	gs_wg_add(&rec->absent, WORKERS);
	gs_wg_add(&rec->gate, 1);
	gs_wg_add(&rec->running, WORKERS);
	for (i = 0; i <= WORKERS; i++) {
		rec->worker[i].rec = rec;
		rec->worker[i].nr = i;
		rec->worker[i].rnd = rnd(&r);
	}
	for (i = 0; i < GOROUTINES; i++)
		CHECK_EQ(0, gs_group_go(&rec->group, worker_goroutine, &rec->worker[i]));
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(0, pthread_create(&thread[i], NULL, worker_thread,
					   &rec->worker[GOROUTINES + i]));
	CHECK_EQ(0, gs_wg_wait(&rec->absent));
	gs_wg_done(&rec->gate);
	record_end(rec, rnd(&r) % 1000000);
	CHECK_EQ(rec->cancelled ? -ECANCELED : 0, gs_group_wait(&rec->group));
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(0, pthread_join(thread[i], NULL));
	rec->after(&rec->worker[WORKERS]);
	history_gather(rec);
}

/* What many rounds have shown. */
struct verdicts {
	int rounds, hard, refusals, overlaps;
};

static inline void verdicts_add(struct verdicts *v, struct history *h, unsigned int seed)
{
	enum verdict verdict = history_check(h);

	if (verdict == BAD) {
		history_print(h);
		fprintf(stderr, "# no order explains this; seed %u\n", seed);
		_exit(1);
	}
	v->rounds++;
	v->hard += verdict == TOO_HARD;
	for (int i = 0; i < h->n; i++)
		v->refusals += h->op[i].kind == OP_NOTHING || h->op[i].result == -EBUSY ||
			       h->op[i].result == -ETIMEDOUT;
	for (int i = 1; i < h->n; i++)
		v->overlaps += h->op[i].begin < h->op[i - 1].end;
}

/* Rounds in which nothing happens at the same time prove nothing. */
static inline void verdicts_print(const struct verdicts *v)
{
	printf("# %d rounds, %d too hard to judge, %d overlaps, %d refusals\n", v->rounds,
	       v->hard, v->overlaps, v->refusals);
	fflush(stdout);
	CHECK(v->hard <= v->rounds / 20);
	CHECK(v->overlaps > v->rounds / 4 && v->refusals > v->rounds / 4);
}

#endif /* LIB_RECORDER_H */
