// SPDX-License-Identifier: GPL-2.0
/* Mutexes and wait groups. */
#include "lib_sync.h"

/* ------------------------------------------------------------------------ mutex */

#define CROWD 8

struct shared {
	gs_mutex mx;
	gs_wg wg;
	long count, timeouts;
	int inside;
	int each;
	unsigned int seed;
};

static void shared_enter(struct shared *s, unsigned int *r)
{
	CHECK_EQ(0, s->inside);
	s->inside = 1;
	s->count++;
	if (rnd(r) % 16 == 0)
		gs_yield();
	CHECK_EQ(1, s->inside);
	s->inside = 0;
}

static void count_up(void *arg)
{
	struct shared *s = arg;
	unsigned int r = __atomic_add_fetch(&s->seed, 1, __ATOMIC_RELAXED);
	int i;

	for (i = 0; i < s->each; i++) {
		if (rnd(&r) % 8 == 0) {
			while (gs_mutex_trylock(&s->mx))
				gs_yield();
		} else {
			gs_mutex_lock(&s->mx);
		}
		shared_enter(s, &r);
		gs_mutex_unlock(&s->mx);
	}
}

TEST_CROWD(mutex_excludes)
{
	struct shared s = { .each = ROUNDS(kinds, 5000, 300), .seed = test_seed() };

	crowd_run(kinds, CROWD, count_up, &s);
	CHECK_EQ(CROWD * s.each, s.count);
	CHECK_EQ(0, gs_mutex_trylock(&s.mx));
	CHECK_EQ(-EBUSY, gs_mutex_trylock(&s.mx));
	gs_mutex_unlock(&s.mx);
}

static void count_up_hurry(void *arg)
{
	struct shared *s = arg;
	unsigned int r = __atomic_add_fetch(&s->seed, 1, __ATOMIC_RELAXED);
	int i, ret;

	for (i = 0; i < s->each; i++) {
		ret = gs_mutex_lock_until(&s->mx, gs_now() + rnd(&r) % 20000);
		if (ret) {
			CHECK_EQ(-ETIMEDOUT, ret);
			__atomic_add_fetch(&s->timeouts, 1, __ATOMIC_RELAXED);
			continue;
		}
		shared_enter(s, &r);
		gs_mutex_unlock(&s->mx);
	}
}

/* Waiters that give up lose no wake-up of those that stay. */
TEST_CROWD(mutex_deadlines_race)
{
	struct shared s = { .each = ROUNDS(kinds, 5000, 300), .seed = test_seed() };
	struct crowd patient, hurried;

	crowd_start(&patient, kinds, CROWD / 2, count_up, &s);
	crowd_start(&hurried, kinds, CROWD / 2, count_up_hurry, &s);
	crowd_wait(&patient);
	crowd_wait(&hurried);
	printf("# %ld timeouts of %d\n", s.timeouts, CROWD / 2 * s.each);
	fflush(stdout);
	CHECK_EQ(CROWD * s.each, s.count + s.timeouts);
	CHECK_EQ(0, gs_mutex_trylock(&s.mx));
}

TEST_GO(mutex_deadline)
{
	gs_mutex mx = GS_MUTEX_INIT;
	int64_t t;

	gs_mutex_lock(&mx);
	CHECK_EQ(-ETIMEDOUT, gs_mutex_lock_until(&mx, 0));
	t = gs_now() + 30 * MS;
	CHECK_EQ(-ETIMEDOUT, gs_mutex_lock_until(&mx, t));
	CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	gs_mutex_unlock(&mx);
	CHECK_EQ(0, gs_mutex_lock_until(&mx, 0));
	gs_mutex_unlock(&mx);
}

/* Who unlocks and locks again at once does not keep the others out for ever. */
static void starve(void *arg)
{
	struct shared *s = arg;

	gs_mutex_lock(&s->mx);
	__atomic_store_n(&s->inside, 1, __ATOMIC_RELAXED);
	gs_mutex_unlock(&s->mx);
	gs_wg_done(&s->wg);
}

TEST_GO(mutex_starvation)
{
	struct shared s = { .each = 0 };
	int64_t end = gs_now() + 3000 * MS, turn;

	gs_mutex_lock(&s.mx);
	gs_wg_add(&s.wg, 1);
	go(starve, &s);
	while (!__atomic_load_n(&s.inside, __ATOMIC_RELAXED)) {
		CHECK(gs_now() < end);
		/* On several Ps the waiter looks while this holds the mutex, too. */
		for (turn = gs_now() + 200000; gs_now() < turn;)
			gs_yield();
		gs_mutex_unlock(&s.mx);
		gs_mutex_lock(&s.mx);
	}
	gs_mutex_unlock(&s.mx);
	gs_wg_wait(&s.wg);
}

/* The last owner frees the mutex right after its unlock. */
struct object {
	gs_mutex mx;
	int refs;
};

static void object_put(void *arg)
{
	struct object *o = arg;
	int refs;

	gs_mutex_lock(&o->mx);
	refs = --o->refs;
	if (refs % 2)
		gs_yield();
	gs_mutex_unlock(&o->mx);
	if (!refs) {
		memset(o, 0xff, sizeof(*o));
		free(o);
	}
}

TEST_GO(mutex_freed_by_last_owner)
{
	struct object *o;
	int i, j;

	for (i = 0; i < TIMES(5000); i++) {
		o = calloc(1, sizeof(*o));
		o->refs = 4;
		for (j = 0; j < 4; j++)
			go(object_put, o);
		gs_yield();
	}
}

static int lock_until_cancelled(void *arg)
{
	struct shared *s = arg;
	int ret = gs_mutex_lock_until(&s->mx, GS_FOREVER);

	CHECK_EQ(-ECANCELED, gs_mutex_lock_until(&s->mx, GS_FOREVER));
	return ret;
}

static int lock_shielded(void *arg)
{
	struct shared *s = arg;

	gs_mutex_lock(&s->mx);
	CHECK_EQ(1, gs_cancelled());
	s->count++;
	gs_mutex_unlock(&s->mx);
	CHECK_EQ(0, gs_mutex_lock_until(&s->mx, GS_FOREVER));
	gs_mutex_unlock(&s->mx);
	return 0;
}

TEST_GO(mutex_cancelled)
{
	gs_group grp = GS_GROUP_INIT;
	struct shared s = { .each = 0 };

	gs_mutex_lock(&s.mx);
	CHECK_EQ(0, gs_group_go(&grp, lock_until_cancelled, &s));
	await_waiting(&s.mx.lock, &s.mx.waiters, 1);
	gs_group_cancel(&grp);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));

	CHECK_EQ(0, gs_group_go(&grp, lock_shielded, &s));
	await_waiting(&s.mx.lock, &s.mx.waiters, 1);
	gs_group_cancel(&grp);
	CHECK_EQ(1, nr_waiting(&s.mx.lock, &s.mx.waiters));
	gs_mutex_unlock(&s.mx);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	CHECK_EQ(1, s.count);
	CHECK_EQ(0, s.mx.state);
}

DIES(mutex_unlock_of_unlocked, "unlock of unlocked mutex")
{
	gs_mutex mx = GS_MUTEX_INIT;

	gs_mutex_unlock(&mx);
}

DIES(mutex_unlocked_twice, "unlock of unlocked mutex")
{
	gs_mutex mx = GS_MUTEX_INIT;

	gs_mutex_lock(&mx);
	gs_mutex_unlock(&mx);
	gs_mutex_unlock(&mx);
}

/* ------------------------------------------------------------------- wait group */

static void done(void *arg)
{
	gs_yield();
	gs_wg_done(arg);
}

/* Freed at once after the wait. */
static void wait_for(int kinds, int n)
{
	gs_wg *wg = calloc(1, sizeof(*wg));
	struct crowd c;

	gs_wg_add(wg, n);
	crowd_start(&c, kinds, n, done, wg);
	CHECK_EQ(0, gs_wg_wait(wg));
	memset(wg, 0xff, sizeof(*wg));
	free(wg);
	crowd_wait(&c);
}

TEST_CROWD(wg_freed_after_wait)
{
	int i;

	wait_for(kinds, 0);
	for (i = 0; i < ROUNDS(kinds, 5000, 40); i++)
		wait_for(kinds, 1 + i % 5);
}

struct gate {
	gs_wg open, passed;
};

static void pass(void *arg)
{
	struct gate *g = arg;

	CHECK_EQ(0, gs_wg_wait(&g->open));
	gs_wg_done(&g->passed);
}

/* The group is used again while those who waited for the last round still wake up. */
TEST_CROWD(wg_many_wait)
{
	struct gate g = { GS_WG_INIT, GS_WG_INIT };
	struct crowd c;

	gs_wg_add(&g.open, 1);
	gs_wg_add(&g.passed, CROWD_MOST);
	crowd_start(&c, kinds, CROWD_MOST, pass, &g);
	await_waiting(&g.open.lock, &g.open.waiters, CROWD_MOST);
	CHECK_EQ(-ETIMEDOUT, gs_wg_wait_until(&g.passed, gs_now() + 5 * MS));
	gs_wg_done(&g.open);
	gs_wg_add(&g.open, 1);
	CHECK_EQ(0, gs_wg_wait(&g.passed));
	CHECK_EQ(-ETIMEDOUT, gs_wg_wait_until(&g.open, 0));
	crowd_wait(&c);
}

static int wait_cancelled(void *arg)
{
	int ret = gs_wg_wait(arg);

	CHECK_EQ(-ECANCELED, gs_wg_wait_until(arg, GS_FOREVER));
	return ret;
}

TEST_GO(wg_cancelled)
{
	gs_group grp = GS_GROUP_INIT;
	gs_wg wg = GS_WG_INIT;

	gs_wg_add(&wg, 1);
	CHECK_EQ(0, gs_group_go(&grp, wait_cancelled, &wg));
	await_waiting(&wg.lock, &wg.waiters, 1);
	gs_group_cancel(&grp);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	gs_wg_done(&wg);
	CHECK_EQ(0, gs_wg_wait(&wg));
	CHECK_EQ(0, wg.state);
}

TEST_GO(wg_deadline)
{
	gs_wg wg = GS_WG_INIT;
	int64_t t;

	CHECK_EQ(0, gs_wg_wait_until(&wg, 0));
	gs_wg_add(&wg, 2);
	CHECK_EQ(-ETIMEDOUT, gs_wg_wait_until(&wg, 0));
	t = gs_now() + 20 * MS;
	CHECK_EQ(-ETIMEDOUT, gs_wg_wait_until(&wg, t));
	CHECK(gs_now() >= t);
	gs_wg_add(&wg, -2);
	CHECK_EQ(0, gs_wg_wait_until(&wg, 0));
}

static void wait_hurry(void *arg)
{
	struct shared *s = arg;
	unsigned int r = __atomic_add_fetch(&s->seed, 1, __ATOMIC_RELAXED);

	while (gs_wg_wait_until(&s->wg, gs_now() + rnd(&r) % 3000))
		__atomic_add_fetch(&s->timeouts, 1, __ATOMIC_RELAXED);
}

TEST_GO(wg_deadlines_race)
{
	unsigned int seed = test_seed();
	struct shared s;
	int i;

	for (i = 0; i < TIMES(2000); i++) {
		s = (struct shared){ .seed = seed + i };
		gs_wg_add(&s.wg, 2);
		go(done, &s.wg);
		go(done, &s.wg);
		wait_hurry(&s);
	}
}

DIES(wg_below_zero, "negative wait group counter")
{
	gs_wg wg = GS_WG_INIT;

	gs_wg_done(&wg);
}

DIES(wg_below_zero_at_once, "negative wait group counter")
{
	gs_wg wg = GS_WG_INIT;

	gs_wg_add(&wg, 2);
	gs_wg_add(&wg, -3);
}

DIES(wg_too_many, "negative wait group counter")
{
	gs_wg wg = GS_WG_INIT;

	gs_wg_add(&wg, INT32_MAX);
	gs_wg_add(&wg, 1);
}

TEST_HARNESS_MAIN
