// SPDX-License-Identifier: GPL-2.0
/* Semaphores. */
#include "lib_sync.h"

#define CROWD 6
#define PERMITS 5

struct shared {
	gs_sem sem;
	long inside, times, timeouts;
	int each;
	unsigned int seed;
};

static bool acquire_somehow(struct shared *s, int64_t n, unsigned int *r)
{
	int ret;

	switch (rnd(r) % 4) {
	case 0:
		ret = gs_sem_acquire_until(&s->sem, n, gs_now() + rnd(r) % 20000);
		if (ret) {
			CHECK_EQ(-ETIMEDOUT, ret);
			__atomic_add_fetch(&s->timeouts, 1, __ATOMIC_RELAXED);
		}
		return !ret;
	case 1:
		ret = gs_sem_try_acquire(&s->sem, n);
		if (ret)
			CHECK_EQ(-EAGAIN, ret);
		return !ret;
	default:
		CHECK_EQ(0, gs_sem_acquire(&s->sem, n));
		return true;
	}
}

static void acquire_and_release(void *arg)
{
	struct shared *s = arg;
	unsigned int r = __atomic_add_fetch(&s->seed, 1, __ATOMIC_RELAXED);
	int64_t n;

	for (int i = 0; i < s->each; i++) {
		n = rnd(&r) % (PERMITS + 1);
		if (!acquire_somehow(s, n, &r))
			continue;
		CHECK(__atomic_add_fetch(&s->inside, n, __ATOMIC_RELAXED) <= PERMITS);
		if (rnd(&r) % 16 == 0)
			gs_yield();
		__atomic_sub_fetch(&s->inside, n, __ATOMIC_RELAXED);
		__atomic_add_fetch(&s->times, 1, __ATOMIC_RELAXED);
		gs_sem_release(&s->sem, n);
	}
}

/* Never more than there are; none who waits is forgotten; none are lost. */
TEST_CROWD(limits)
{
	struct shared s = {
		.sem = GS_SEM_INIT(PERMITS),
		.each = ROUNDS(kinds, 10000, 500),
		.seed = test_seed(),
	};

	crowd_run(kinds, CROWD, acquire_and_release, &s);
	printf("# %ld times, %ld timeouts\n", s.times, s.timeouts);
	fflush(stdout);
	CHECK_EQ(0, gs_sem_try_acquire(&s.sem, PERMITS));
	CHECK_EQ(-EAGAIN, gs_sem_try_acquire(&s.sem, 1));
	CHECK_EQ(0, gs_sem_try_acquire(&s.sem, 0));
	gs_sem_release(&s.sem, PERMITS);
	CHECK_EQ(PERMITS, s.sem.permits);
}

/* One permit is a lock. */
static void count_up(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < s->each; i++) {
		CHECK_EQ(0, gs_sem_acquire(&s->sem, 1));
		s->times++;
		gs_sem_release(&s->sem, 1);
	}
}

TEST_CROWD(excludes)
{
	struct shared s = { .sem = GS_SEM_INIT(1), .each = ROUNDS(kinds, 5000, 500) };

	crowd_run(kinds, CROWD, count_up, &s);
	CHECK_EQ(CROWD * s.each, s.times);
}

/* ------------------------------------------------------------------------- order */

struct order {
	gs_sem sem;
	char log[16];
	int n, gone;
};

static void log_add(struct order *o, char who)
{
	o->log[__atomic_fetch_add(&o->n, 1, __ATOMIC_RELAXED)] = who;
}

static void want_3(void *arg)
{
	struct order *o = arg;

	CHECK_EQ(0, gs_sem_acquire(&o->sem, 3));
	log_add(o, '3');
	gs_sem_release(&o->sem, 3);
}

static void want_1(void *arg)
{
	struct order *o = arg;

	CHECK_EQ(0, gs_sem_acquire(&o->sem, 1));
	log_add(o, '1');
	gs_sem_release(&o->sem, 1);
}

/* Who wants many is not overtaken by those who want few. */
TEST_CROWD(first_come_first_served)
{
	struct order o = { .sem = GS_SEM_INIT(0) };
	struct crowd big, small;

	crowd_start(&big, kinds, 1, want_3, &o);
	await_waiting(&o.sem.lock, &o.sem.waiters, 1);
	gs_sem_release(&o.sem, 2);
	crowd_start(&small, kinds, 2, want_1, &o);
	await_waiting(&o.sem.lock, &o.sem.waiters, 3);
	CHECK_EQ(-EAGAIN, gs_sem_try_acquire(&o.sem, 1));
	CHECK_EQ(-EAGAIN, gs_sem_try_acquire(&o.sem, 0));
	CHECK_EQ(-ETIMEDOUT, gs_sem_acquire_until(&o.sem, 1, 0));
	CHECK_EQ(-ETIMEDOUT, gs_sem_acquire_until(&o.sem, 1, gs_now() + 5 * MS));
	CHECK_EQ(0, __atomic_load_n(&o.n, __ATOMIC_RELAXED));
	gs_sem_release(&o.sem, 1);
	crowd_wait(&big);
	crowd_wait(&small);
	CHECK(!strcmp(o.log, "311"));
	CHECK_EQ(0, gs_sem_try_acquire(&o.sem, 3));
}

static void take_1(void *arg)
{
	CHECK_EQ(0, gs_sem_acquire(arg, 1));
}

/* One release is enough for as many as it has permits for, and not for more. */
TEST_CROWD(release_of_many)
{
	gs_sem sem = GS_SEM_INIT(0);
	struct crowd c;

	crowd_start(&c, kinds, 5, take_1, &sem);
	await_waiting(&sem.lock, &sem.waiters, 5);
	gs_sem_release(&sem, 3);
	CHECK_EQ(2, nr_waiting(&sem.lock, &sem.waiters));
	gs_sem_release(&sem, 4);
	crowd_wait(&c);
	CHECK_EQ(0, gs_sem_try_acquire(&sem, 2));
	CHECK_EQ(-EAGAIN, gs_sem_try_acquire(&sem, 1));
}

/* -------------------------------------------------------------------- giving up */

TEST_GO(deadline)
{
	gs_sem sem = GS_SEM_INIT(1);
	int64_t t;

	CHECK_EQ(0, gs_sem_acquire_until(&sem, 1, 0));
	CHECK_EQ(-ETIMEDOUT, gs_sem_acquire_until(&sem, 1, 0));
	t = gs_now() + 20 * MS;
	CHECK_EQ(-ETIMEDOUT, gs_sem_acquire_until(&sem, 1, t));
	CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	CHECK_EQ(0, sem.permits);
	gs_sem_release(&sem, 1);
	CHECK_EQ(0, gs_sem_acquire_until(&sem, 1, 0));
}

TEST(arguments)
{
	gs_sem sem = GS_SEM_INIT(1);

	EXPECT_EQ(-EINVAL, gs_sem_acquire(&sem, -1));
	EXPECT_EQ(-EINVAL, gs_sem_acquire_until(&sem, -1, 0));
	EXPECT_EQ(-EINVAL, gs_sem_try_acquire(&sem, INT64_MIN));
	EXPECT_EQ(-EAGAIN, gs_sem_try_acquire(&sem, INT64_MAX));
	EXPECT_EQ(-ETIMEDOUT, gs_sem_acquire_until(&sem, INT64_MAX, 0));
	gs_sem_release(&sem, 0);
	EXPECT_EQ(0, gs_sem_acquire(&sem, 0));
	EXPECT_EQ(0, gs_sem_acquire(&sem, 1));
}

static void want_3_shortly(void *arg)
{
	struct order *o = arg;

	CHECK_EQ(-ETIMEDOUT, gs_sem_acquire_until(&o->sem, 3, gs_now() + 100 * MS));
	__atomic_store_n(&o->gone, 1, __ATOMIC_RELAXED);
}

/*
 * There is enough for those behind a first one that gives up. (Where its time is
 * over before anybody looks this shows nothing.)
 */
TEST_CROWD(first_gives_up)
{
	struct order o = { .sem = GS_SEM_INIT(2) };
	struct crowd big, small;

	crowd_start(&big, kinds, 1, want_3_shortly, &o);
	while (!nr_waiting(&o.sem.lock, &o.sem.waiters) && !__atomic_load_n(&o.gone, __ATOMIC_RELAXED))
		gs_yield();
	crowd_start(&small, kinds, 3, want_1, &o);
	crowd_wait(&small);
	crowd_wait(&big);
	CHECK_EQ(2, o.sem.permits);
}

static int cancelled_acquire(void *arg)
{
	int ret = gs_sem_acquire(arg, 3);

	CHECK_EQ(-ECANCELED, gs_sem_acquire(arg, 3));
	return ret;
}

TEST_GO(cancelled)
{
	gs_sem sem = GS_SEM_INIT(2);
	gs_group grp = GS_GROUP_INIT;

	CHECK_EQ(0, gs_group_go(&grp, cancelled_acquire, &sem));
	await_waiting(&sem.lock, &sem.waiters, 1);
	gs_group_cancel(&grp);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	CHECK_EQ(2, sem.permits);
}

/* As first_gives_up. */
TEST_GO(first_cancelled)
{
	struct order o = { .sem = GS_SEM_INIT(2) };
	gs_group grp = GS_GROUP_INIT;
	struct crowd small;

	CHECK_EQ(0, gs_group_go(&grp, cancelled_acquire, &o.sem));
	await_waiting(&o.sem.lock, &o.sem.waiters, 1);
	crowd_start(&small, BOTH, 4, want_1, &o);
	await_waiting(&o.sem.lock, &o.sem.waiters, 5);
	gs_group_cancel(&grp);
	crowd_wait(&small);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
}

/* --------------------------------------------------------------- the last acquire */

/* It gets the last permit back and frees the semaphore at once. */
static void acquire_and_free(void *arg)
{
	gs_sem *sem = arg;

	while (gs_sem_acquire_until(sem, 2, gs_now() + 2000))
		;
	memset(sem, 0xff, sizeof(*sem));
	free(sem);
}

TEST_CROWD(freed_by_last_acquire)
{
	unsigned int r = test_seed();
	struct crowd c;
	gs_sem *sem;

	for (int i = 0; i < ROUNDS(kinds, 3000, 100); i++) {
		sem = calloc(1, sizeof(*sem));
		crowd_start(&c, kinds, 1, acquire_and_free, sem);
		gs_sem_release(sem, 1);
		for (unsigned int n = rnd(&r) % 4; n; n--)
			gs_yield();
		gs_sem_release(sem, 1);
		crowd_wait(&c);
	}
}

/* ------------------------------------------------------------------------ misuse */

DIES(release_below_zero, "release of -1 permits of semaphore")
{
	gs_sem sem = GS_SEM_INIT(1);

	gs_sem_release(&sem, -1);
}

DIES(release_too_many, "has too many permits")
{
	gs_sem sem = GS_SEM_INIT(INT64_MAX / 2);

	gs_sem_release(&sem, 1);
}

DIES(release_far_too_many, "has too many permits")
{
	gs_sem sem = GS_SEM_INIT(1);

	gs_sem_release(&sem, INT64_MAX);
}

DIES(begun_below_zero, "has a bad number of permits")
{
	gs_sem sem = GS_SEM_INIT(-1);

	gs_sem_acquire_until(&sem, 1, 0);
}

TEST_HARNESS_MAIN
