// SPDX-License-Identifier: GPL-2.0
/* Lanes: channels, select, locks, cancelling. Nothing is lost, nothing comes twice. */
#include "lanes.h"

#include <pthread.h>

/* ------------------------------------------------------------------ channels */

#define PRODUCERS	3

struct flow {
	gs_chan *chan;
	unsigned int each;
	gs_wg producers;
	uint64_t got;
	uint64_t sum;
	gs_wg consumers;
};

static void produce(void *arg)
{
	struct flow *f = arg;

	for (uint64_t i = 1; i <= f->each; i++)
		soak_must(gs_chan_send(f->chan, &i) == 0);
	gs_wg_done(&f->producers);
}

static void consume(void *arg)
{
	struct flow *f = arg;
	uint64_t v;

	while (gs_chan_recv(f->chan, &v) == 1) {
		__atomic_fetch_add(&f->got, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&f->sum, v, __ATOMIC_RELAXED);
	}
	gs_wg_done(&f->consumers);
}

static gs_chan *chan_new(size_t size, size_t capacity)
{
	gs_chan *c;

	while (!(c = gs_chan_new(size, capacity)))
		soak_must(lanes_no_memory(-ENOMEM));
	return c;
}

void lane_chan(struct lane *lane, unsigned int seed)
{
	while (!lanes_end()) {
		struct flow f = { .each = rnd(&seed, 300) };

		f.chan = chan_new(sizeof(uint64_t), rnd(&seed, 8));
		for (int i = 0; i < PRODUCERS; i++) {
			gs_wg_add(&f.producers, 1);
			lanes_go(produce, &f);
			gs_wg_add(&f.consumers, 1);
			lanes_go(consume, &f);
		}
		gs_wg_wait(&f.producers);
		soak_must(gs_chan_close(f.chan) == 0);
		gs_wg_wait(&f.consumers);
		gs_chan_unref(f.chan);
		soak_must(f.got == (uint64_t)PRODUCERS * f.each);
		soak_must(f.sum == (uint64_t)PRODUCERS * f.each * (f.each + 1) / 2);
		soak_step(lane);
	}
}

/* -------------------------------------------------------------------- select */

struct pinger {
	gs_chan *to, *from;
	gs_wg done;
};

/* Sends back what comes, each number plus one. */
static void ponger(void *arg)
{
	struct pinger *p = arg;
	uint64_t v;

	while (gs_chan_recv(p->to, &v) == 1) {
		v++;
		soak_must(gs_chan_send(p->from, &v) == 0);
	}
	gs_wg_done(&p->done);
}

/* The timer is only there to be one of the cases; it may well be first. */
static void ping(struct pinger *p, uint64_t n, unsigned int *seed)
{
	gs_chan *timer = gs_after(rnd(seed, 3000000));
	uint64_t got = 0;
	int64_t when;
	int i;

	soak_must(gs_chan_send(p->to, &n) == 0);
	while (got == 0) {
		struct gs_case cases[] = {
			{ .chan = p->from, .recv = &got, .dir = GS_RECV },
			{ .chan = timer, .recv = &when, .dir = GS_RECV },
		};

		i = gs_select(cases, 2);
		soak_result(i, i == 0 || i == 1 || lanes_no_memory(i));
	}
	soak_result(got, got == n + 1);
	gs_chan_unref(timer);
}

void lane_select(struct lane *lane, unsigned int seed)
{
	struct pinger p = { .done = GS_WG_INIT };
	uint64_t n = 0;

	p.to = chan_new(sizeof(uint64_t), 0);
	p.from = chan_new(sizeof(uint64_t), 1);
	gs_wg_add(&p.done, 1);
	lanes_go(ponger, &p);
	while (!lanes_end()) {
		ping(&p, ++n, &seed);
		soak_step(lane);
	}
	gs_chan_close(p.to);
	gs_wg_wait(&p.done);
	gs_chan_unref(p.to);
	gs_chan_unref(p.from);
}

/* --------------------------------------------------------------------- locks */

#define LOCKERS	4

struct locks {
	struct lane *lane;
	gs_mutex mutex;
	gs_rwmutex rw;
	gs_sem sem;
	gs_cond cond;
	uint64_t in_mutex, in_rw, in_sem;	/* plain words that the locks protect */
	unsigned int turn;
	unsigned int next_id;
	bool over;
	gs_wg done;
};

static void enter_and_leave(uint64_t *word, uint64_t most)
{
	soak_must(__atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST) <= most);
	__atomic_fetch_sub(word, 1, __ATOMIC_SEQ_CST);
}

/* One after the other, each wakes the next. */
static void take_turn(struct locks *l, unsigned int id)
{
	gs_mutex_lock(&l->mutex);
	while (l->turn != id && !l->over)
		gs_cond_wait(&l->cond, &l->mutex);
	l->turn = (l->turn + 1) % LOCKERS;
	if (lanes_end())
		l->over = true;
	enter_and_leave(&l->in_mutex, 1);
	gs_cond_broadcast(&l->cond);
	gs_mutex_unlock(&l->mutex);
}

static void locker(void *arg)
{
	struct locks *l = arg;
	unsigned int id = __atomic_fetch_add(&l->next_id, 1, __ATOMIC_SEQ_CST);

	while (!__atomic_load_n(&l->over, __ATOMIC_SEQ_CST)) {
		take_turn(l, id);
		gs_rwmutex_lock(&l->rw);
		enter_and_leave(&l->in_rw, 1);
		gs_rwmutex_unlock(&l->rw);
		gs_rwmutex_rlock(&l->rw);
		soak_must(__atomic_load_n(&l->in_rw, __ATOMIC_SEQ_CST) == 0);
		gs_rwmutex_runlock(&l->rw);
		soak_must(gs_sem_acquire(&l->sem, 1) == 0);
		enter_and_leave(&l->in_sem, 2);
		gs_sem_release(&l->sem, 1);
		soak_step(l->lane);
	}
	gs_wg_done(&l->done);
}

void lane_locks(struct lane *lane, unsigned int seed)
{
	struct locks l = { .lane = lane, .sem = GS_SEM_INIT(2) };

	(void)seed;
	for (int i = 0; i < LOCKERS; i++) {
		gs_wg_add(&l.done, 1);
		lanes_go(locker, &l);
	}
	gs_wg_wait(&l.done);
}

/* ---------------------------------------------------------------- cancelling */

static int sleep_long(void *arg)
{
	(void)arg;
	return gs_sleep(3600 * NSEC_PER_SEC);
}

static int receive_nothing(void *arg)
{
	return gs_chan_recv(arg, NULL);
}

void lane_cancel(struct lane *lane, unsigned int seed)
{
	gs_chan *never = chan_new(0, 0);

	while (!lanes_end()) {
		gs_group g = GS_GROUP_INIT;
		unsigned int n = rnd(&seed, 6);
		int err;

		for (unsigned int i = 0; i < n; i++) {
			while (lanes_no_memory(err = gs_group_go(&g, i % 2 ? sleep_long :
								receive_nothing, never)))
				;
			soak_result(err, err == 0);
		}
		gs_sleep(rnd(&seed, 2000000));
		gs_group_cancel(&g);
		err = gs_group_wait(&g);
		soak_result(err, err == -ECANCELED || (n == 0 && err == 0));
		soak_step(lane);
	}
	gs_chan_unref(never);
}

/* ------------------------------------------ threads of the program's, no goroutines */

struct outside {
	gs_chan *chan;
	unsigned int n;
};

static void *send_from_thread(void *arg)
{
	struct outside *o = arg;

	for (uint64_t i = 0; i < o->n; i++)
		soak_must(gs_chan_send(o->chan, &i) == 0);
	soak_must(gs_chan_close(o->chan) == 0);
	return NULL;
}

void lane_thread(struct lane *lane, unsigned int seed)
{
	while (!lanes_end()) {
		struct outside o = { .n = rnd(&seed, 50) };
		pthread_t thread;
		uint64_t v, expected = 0;
		int err;

		o.chan = chan_new(sizeof(uint64_t), rnd(&seed, 3));
		err = pthread_create(&thread, NULL, send_from_thread, &o);
		if (err) {
			soak_must(lanes_no_memory(-err));
			gs_chan_unref(o.chan);
			continue;
		}
		while (gs_chan_recv(o.chan, &v) == 1)
			soak_must(v == expected++);
		soak_must(expected == o.n);
		soak_must(pthread_join(thread, NULL) == 0);
		gs_chan_unref(o.chan);
		soak_step(lane);
	}
}
