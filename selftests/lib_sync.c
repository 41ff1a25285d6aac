// SPDX-License-Identifier: GPL-2.0
/* Mutexes and wait groups. */
#include "lib_check.h"

#include <signal.h>
#include <sys/wait.h>

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
	gs_wg_done(&s->wg);
}

TEST_GO(mutex_excludes)
{
	struct shared s = { .each = TIMES(20000), .seed = test_seed() };
	int i;

	gs_wg_add(&s.wg, CROWD);
	for (i = 0; i < CROWD; i++)
		go(count_up, &s);
	gs_wg_wait(&s.wg);
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
	gs_wg_done(&s->wg);
}

/* Waiters that give up lose no wake-up of those that stay. */
TEST_GO(mutex_deadlines_race)
{
	struct shared s = { .each = TIMES(10000), .seed = test_seed() };
	int i;

	gs_wg_add(&s.wg, CROWD);
	for (i = 0; i < CROWD / 2; i++) {
		go(count_up, &s);
		go(count_up_hurry, &s);
	}
	gs_wg_wait(&s.wg);
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

static int unlock_unlocked(int argc, char **argv)
{
	gs_mutex mx = GS_MUTEX_INIT;

	(void)argc;
	(void)argv;
	gs_mutex_unlock(&mx);
	return 0;
}

/* The harness takes SIGABRT for a failed assertion, so not TEST_SIGNAL. */
static int signal_of(int (*fn)(int, char **))
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(gs_main(fn, 0, NULL));
	CHECK_EQ(child, waitpid(child, &status, 0));
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(mutex_unlock_of_unlocked)
{
	EXPECT_EQ(SIGABRT, signal_of(unlock_unlocked));
}

/* ------------------------------------------------------------------- wait group */

static void done(void *arg)
{
	gs_yield();
	gs_wg_done(arg);
}

/* On the stack, gone at once after the wait. */
static void wait_for(int n)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	gs_wg_add(&wg, n);
	for (i = 0; i < n; i++)
		go(done, &wg);
	gs_wg_wait(&wg);
	memset(&wg, 0xff, sizeof(wg));
}

TEST_GO(wg_on_stack)
{
	int i;

	wait_for(0);
	for (i = 0; i < TIMES(10000); i++)
		wait_for(1 + i % 5);
}

struct gate {
	gs_wg open, passed;
};

static void pass(void *arg)
{
	struct gate *g = arg;

	gs_wg_wait(&g->open);
	gs_wg_done(&g->passed);
}

TEST_GO(wg_many_wait)
{
	struct gate g = { GS_WG_INIT, GS_WG_INIT };
	int i;

	gs_wg_add(&g.open, 1);
	gs_wg_add(&g.passed, 50);
	for (i = 0; i < 50; i++)
		go(pass, &g);
	CHECK_EQ(-ETIMEDOUT, gs_wg_wait_until(&g.passed, gs_now() + 20 * MS));
	gs_wg_done(&g.open);
	gs_wg_wait(&g.passed);
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

static int below_zero(int argc, char **argv)
{
	gs_wg wg = GS_WG_INIT;

	(void)argc;
	(void)argv;
	gs_wg_done(&wg);
	return 0;
}

TEST(wg_below_zero)
{
	EXPECT_EQ(SIGABRT, signal_of(below_zero));
}

TEST_HARNESS_MAIN
