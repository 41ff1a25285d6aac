// SPDX-License-Identifier: GPL-2.0
/* Condition variables. */
#include "lib_sync.h"

#define CROWD 6

/* ------------------------------------------------------------------ bounded buffer */

#define ROOM 3

struct buffer {
	gs_mutex mx;
	gs_cond not_full, not_empty;
	int count, each;
	long put, got, timeouts;
	unsigned int seed;
	bool broadcast;
};

static void tell(struct buffer *b, gs_cond *c)
{
	if (b->broadcast)
		gs_cond_broadcast(c);
	else
		gs_cond_signal(c);
}

static void buffer_wait(struct buffer *b, gs_cond *c, unsigned int *r)
{
	int64_t deadline = rnd(r) % 4 ? GS_FOREVER : gs_now() + rnd(r) % 20000;
	int ret = gs_cond_wait_until(c, &b->mx, deadline);

	if (ret) {
		CHECK_EQ(-ETIMEDOUT, ret);
		b->timeouts++;
	}
}

/* Told with the mutex locked or not: both are allowed. */
static void buffer_leave(struct buffer *b, gs_cond *c, unsigned int *r)
{
	bool locked = rnd(r) % 2;

	if (locked)
		tell(b, c);
	gs_mutex_unlock(&b->mx);
	if (!locked)
		tell(b, c);
}

static void buffer_put(struct buffer *b, unsigned int *r)
{
	gs_mutex_lock(&b->mx);
	while (b->count == ROOM)
		buffer_wait(b, &b->not_full, r);
	b->count++;
	b->put++;
	buffer_leave(b, &b->not_empty, r);
}

static void buffer_get(struct buffer *b, unsigned int *r)
{
	gs_mutex_lock(&b->mx);
	while (!b->count)
		buffer_wait(b, &b->not_empty, r);
	b->count--;
	b->got++;
	buffer_leave(b, &b->not_full, r);
}

static void put_or_get(void *arg)
{
	struct buffer *b = arg;
	unsigned int id = __atomic_add_fetch(&b->seed, 1, __ATOMIC_RELAXED), r = id * 77;

	for (int i = 0; i < b->each; i++) {
		if (id % CROWD < CROWD / 2)
			buffer_put(b, &r);
		else
			buffer_get(b, &r);
	}
}

static void buffer_test(int kinds, bool broadcast)
{
	struct buffer b = {
		.each = ROUNDS(kinds, 5000, 300),
		.seed = test_seed() / CROWD * CROWD,
		.broadcast = broadcast,
	};

	crowd_run(kinds, CROWD, put_or_get, &b);
	CHECK_EQ(0, b.count);
	CHECK_EQ(CROWD / 2 * b.each, b.put);
	CHECK_EQ(CROWD / 2 * b.each, b.got);
}

/* No signal is lost, neither between unlocking and waiting nor to a passed deadline. */
TEST_CROWD(signals)
{
	buffer_test(kinds, false);
}

TEST_CROWD(broadcasts)
{
	buffer_test(kinds, true);
}

/* ------------------------------------------------------------------------- order */

struct line {
	gs_mutex mx;
	gs_cond cond;
	int next, served, log[CROWD];
};

static void stand_in_line(void *arg)
{
	struct line *l = arg;
	int ticket;

	gs_mutex_lock(&l->mx);
	ticket = l->next++;
	CHECK_EQ(0, gs_cond_wait(&l->cond, &l->mx));
	l->log[l->served++] = ticket;
	gs_mutex_unlock(&l->mx);
}

static int served(struct line *l)
{
	int n;

	gs_mutex_lock(&l->mx);
	n = l->served;
	gs_mutex_unlock(&l->mx);
	return n;
}

static void await_served(struct line *l, int n)
{
	int64_t end = gs_now() + PATIENCE;

	while (served(l) != n) {
		CHECK(gs_now() < end);
		gs_yield();
	}
}

TEST_CROWD(first_come_first_served)
{
	struct line l = { .next = 0 };
	struct crowd c;

	gs_cond_signal(&l.cond);	/* is not remembered */
	gs_cond_broadcast(&l.cond);
	crowd_start(&c, kinds, CROWD, stand_in_line, &l);
	await_waiting(&l.cond.lock, &l.cond.waiters, CROWD);
	for (int i = 0; i < CROWD; i++) {
		CHECK_EQ(i, served(&l));
		gs_cond_signal(&l.cond);
		await_served(&l, i + 1);
		CHECK_EQ(i, l.log[i]);
	}
	crowd_wait(&c);
	CHECK_EQ(0, l.cond.waiting);
}

TEST_CROWD(broadcast_wakes_all)
{
	struct line l = { .next = 0 };
	struct crowd c;

	crowd_start(&c, kinds, CROWD, stand_in_line, &l);
	await_waiting(&l.cond.lock, &l.cond.waiters, CROWD);
	gs_mutex_lock(&l.mx);
	gs_cond_broadcast(&l.cond);
	CHECK_EQ(0, l.served);
	gs_mutex_unlock(&l.mx);
	crowd_wait(&c);
	CHECK_EQ(CROWD, l.served);
}

/* -------------------------------------------------------------------- giving up */

TEST_GO(deadline)
{
	struct line l = { .next = 0 };
	int64_t t = gs_now() + 20 * MS;

	gs_mutex_lock(&l.mx);
	CHECK_EQ(-ETIMEDOUT, gs_cond_wait_until(&l.cond, &l.mx, 0));
	CHECK_EQ(-EBUSY, gs_mutex_trylock(&l.mx));
	CHECK_EQ(-ETIMEDOUT, gs_cond_wait_until(&l.cond, &l.mx, t));
	CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	CHECK_EQ(-EBUSY, gs_mutex_trylock(&l.mx));
	gs_mutex_unlock(&l.mx);
}

static void wait_shortly(void *arg)
{
	struct line *l = arg;

	gs_mutex_lock(&l->mx);
	CHECK_EQ(-ETIMEDOUT, gs_cond_wait_until(&l->cond, &l->mx, gs_now() + 10 * MS));
	CHECK_EQ(-EBUSY, gs_mutex_trylock(&l->mx));
	gs_mutex_unlock(&l->mx);
}

/* A signal is for those who wait still. */
TEST_CROWD(signal_after_deadline)
{
	struct line l = { .next = 0 };
	struct crowd first, second;

	crowd_start(&first, kinds, 2, wait_shortly, &l);
	crowd_start(&second, kinds, 1, stand_in_line, &l);
	crowd_wait(&first);
	await_waiting(&l.cond.lock, &l.cond.waiters, 1);
	gs_cond_signal(&l.cond);
	crowd_wait(&second);
}

static int cancelled_wait(void *arg)
{
	struct line *l = arg;
	int ret;

	gs_mutex_lock(&l->mx);
	ret = gs_cond_wait(&l->cond, &l->mx);
	CHECK_EQ(-EBUSY, gs_mutex_trylock(&l->mx));
	CHECK_EQ(-ECANCELED, gs_cond_wait(&l->cond, &l->mx));
	gs_mutex_unlock(&l->mx);
	return ret;
}

TEST_GO(cancelled)
{
	struct line l = { .next = 0 };
	gs_group grp = GS_GROUP_INIT;

	CHECK_EQ(0, gs_group_go(&grp, cancelled_wait, &l));
	await_waiting(&l.cond.lock, &l.cond.waiters, 1);
	/* Even if it must wait for the mutex: it comes back with it. */
	gs_mutex_lock(&l.mx);
	gs_group_cancel(&grp);
	await_waiting(&l.mx.lock, &l.mx.waiters, 1);
	gs_mutex_unlock(&l.mx);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	CHECK_EQ(0, gs_mutex_trylock(&l.mx));
}

/* ---------------------------------------------------------------- the last waiter */

struct object {
	gs_mutex mx;
	gs_cond cond;
	bool done;
};

/* Once it sees @done nobody uses the object any more, but who is about to leave it. */
static void wait_and_free(void *arg)
{
	struct object *o = arg;

	gs_mutex_lock(&o->mx);
	while (!o->done)
		gs_cond_wait_until(&o->cond, &o->mx, gs_now() + 50000);
	gs_mutex_unlock(&o->mx);
	memset(o, 0xff, sizeof(*o));
	free(o);
}

TEST_CROWD(freed_by_last_waiter)
{
	unsigned int r = test_seed();
	struct object *o;
	struct crowd c;

	for (int i = 0; i < ROUNDS(kinds, 3000, 100); i++) {
		o = calloc(1, sizeof(*o));
		crowd_start(&c, kinds, 1, wait_and_free, o);
		for (unsigned int n = rnd(&r) % 4; n; n--)
			gs_yield();
		gs_mutex_lock(&o->mx);
		o->done = true;
		if (rnd(&r) % 2)
			gs_cond_signal(&o->cond);
		else
			gs_cond_broadcast(&o->cond);
		gs_mutex_unlock(&o->mx);
		crowd_wait(&c);
	}
}

struct bare {
	gs_mutex mx;
	gs_cond cond;
	bool waiting;
};

/* It is told without the mutex, so it may go on while the signal is being sent. */
static void wait_once_and_free(void *arg)
{
	struct bare *b = arg;

	gs_mutex_lock(&b->mx);
	b->waiting = true;
	CHECK_EQ(0, gs_cond_wait(&b->cond, &b->mx));
	gs_mutex_unlock(&b->mx);
	memset(b, 0xff, sizeof(*b));
	free(b);
}

static bool is_waiting(struct bare *b)
{
	bool waiting;

	gs_mutex_lock(&b->mx);
	waiting = b->waiting;
	gs_mutex_unlock(&b->mx);
	return waiting;
}

TEST_CROWD(freed_by_only_waiter)
{
	unsigned int r = test_seed();
	struct crowd c;
	struct bare *b;

	for (int i = 0; i < ROUNDS(kinds, 2000, 40); i++) {
		b = calloc(1, sizeof(*b));
		crowd_start(&c, kinds, 1, wait_once_and_free, b);
		while (!is_waiting(b))
			gs_yield();
		if (rnd(&r) % 2)
			gs_cond_signal(&b->cond);
		else
			gs_cond_broadcast(&b->cond);
		crowd_wait(&c);
	}
}

/* ------------------------------------------------------------------------ misuse */

DIES(wait_without_mutex, "unlock of unlocked mutex")
{
	gs_mutex mx = GS_MUTEX_INIT;
	gs_cond cond = GS_COND_INIT;

	gs_cond_wait(&cond, &mx);
}

TEST_HARNESS_MAIN
