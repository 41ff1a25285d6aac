// SPDX-License-Identifier: GPL-2.0
/* Functions that are called once. */
#include "lib_sync.h"

#define CROWD 6

struct lazy {
	gs_once once, inner;
	int calls, value, started, leave;
	unsigned int seed;
};

static void begin(struct lazy *l)
{
	l->calls++;
	__atomic_store_n(&l->started, 1, __ATOMIC_RELEASE);
}

static void init(void *arg)
{
	struct lazy *l = arg;
	unsigned int r = l->seed;

	begin(l);
	for (unsigned int n = rnd(&r) % 8; n; n--)
		gs_yield();
	l->value = 42;
}

static void use(void *arg)
{
	struct lazy *l = arg;

	gs_once_do(&l->once, init, l);
	CHECK_EQ(42, l->value);
	gs_once_do(&l->once, init, l);
}

TEST_CROWD(one_call)
{
	unsigned int seed = test_seed();
	struct lazy l;

	for (int i = 0; i < ROUNDS(kinds, 1000, 20); i++) {
		l = (struct lazy){ .seed = seed + i };
		crowd_run(kinds, CROWD, use, &l);
		CHECK_EQ(1, l.calls);
	}
}

/* Waits until told to leave, so that others come meanwhile. */
static void init_slowly(void *arg)
{
	struct lazy *l = arg;
	int64_t end = gs_now() + PATIENCE;

	begin(l);
	while (!__atomic_load_n(&l->leave, __ATOMIC_ACQUIRE)) {
		CHECK(gs_now() < end);
		gs_yield();
	}
	l->value = 42;
}

static void use_slowly(void *arg)
{
	struct lazy *l = arg;

	gs_once_do(&l->once, init_slowly, l);
	CHECK_EQ(42, l->value);
}

TEST_CROWD(all_wait)
{
	struct lazy l = { .calls = 0 };
	struct crowd c;

	crowd_start(&c, kinds, CROWD, use_slowly, &l);
	await_waiting(&l.once.lock, &l.once.waiters, CROWD - 1);
	__atomic_store_n(&l.leave, 1, __ATOMIC_RELEASE);
	crowd_wait(&c);
	CHECK_EQ(1, l.calls);
}

/* --------------------------------------------------------------- ends and cancels */

static void init_and_end(void *arg)
{
	init_slowly(arg);
	gs_goexit();
}

static void init_inner_and_end(void *arg)
{
	struct lazy *l = arg;

	gs_once_do(&l->inner, init_and_end, l);
	CHECK(0);
}

static void use_and_end(void *arg)
{
	struct lazy *l = arg;

	gs_once_do(&l->once, init_inner_and_end, l);
	CHECK(0);
}

static void never(void *arg)
{
	(void)arg;
	CHECK(0);
}

static void use_outer(void *arg)
{
	struct lazy *l = arg;

	gs_once_do(&l->once, never, l);
	CHECK_EQ(42, l->value);
	gs_once_do(&l->inner, never, l);
}

/* A goroutine that ends in the function has done it; in one inside another, both. */
TEST_CROWD(goroutine_ends)
{
	int64_t end = gs_now() + PATIENCE;
	struct lazy l = { .calls = 0 };
	struct crowd c;

	if (kinds == THREADS)
		return;
	go(use_and_end, &l);
	while (!__atomic_load_n(&l.started, __ATOMIC_ACQUIRE)) {
		CHECK(gs_now() < end);
		gs_yield();
	}
	crowd_start(&c, kinds, CROWD, use_outer, &l);
	await_waiting(&l.once.lock, &l.once.waiters, CROWD);
	__atomic_store_n(&l.leave, 1, __ATOMIC_RELEASE);
	crowd_wait(&c);
	CHECK_EQ(1, l.calls);
}

static int use_cancelled(void *arg)
{
	use_slowly(arg);
	CHECK_EQ(1, gs_cancelled());
	return 0;
}

TEST_GO(not_cancelled)
{
	gs_group grp = GS_GROUP_INIT;
	struct lazy l = { .calls = 0 };

	CHECK_EQ(0, gs_group_go(&grp, use_cancelled, &l));
	CHECK_EQ(0, gs_group_go(&grp, use_cancelled, &l));
	await_waiting(&l.once.lock, &l.once.waiters, 1);
	gs_group_cancel(&grp);
	CHECK_EQ(1, nr_waiting(&l.once.lock, &l.once.waiters));
	__atomic_store_n(&l.leave, 1, __ATOMIC_RELEASE);
	CHECK_EQ(-ECANCELED, gs_group_wait(&grp));
	CHECK_EQ(1, l.calls);
}

/* --------------------------------------------------------------------- the last one */

static void start_it(void *arg)
{
	struct lazy *l = arg;

	gs_once_do(&l->once, init, l);
}

/* Who finds it done frees it, while the one that has done it is about to return. */
TEST_CROWD(freed_when_done)
{
	unsigned int seed = test_seed();
	struct crowd c;
	struct lazy *l;

	for (int i = 0; i < ROUNDS(kinds, 2000, 60); i++) {
		l = calloc(1, sizeof(*l));
		l->seed = seed + i;
		crowd_start(&c, kinds, 1, start_it, l);
		while (!__atomic_load_n(&l->started, __ATOMIC_ACQUIRE))
			gs_yield();
		gs_once_do(&l->once, never, l);
		CHECK_EQ(42, l->value);
		memset(l, 0xff, sizeof(*l));
		free(l);
		crowd_wait(&c);
	}
}

/* ------------------------------------------------------------------------ misuse */

static void again(void *arg)
{
	gs_once_do(arg, again, arg);
}

DIES(waits_for_itself, "the function waits for itself")
{
	gs_once once = GS_ONCE_INIT;

	gs_once_do(&once, again, &once);
}

static gs_once outer_once = GS_ONCE_INIT, inner_once = GS_ONCE_INIT;

static void outer_again(void *arg)
{
	gs_once_do(&outer_once, never, arg);
}

static void inner(void *arg)
{
	gs_once_do(&inner_once, outer_again, arg);
}

DIES(waits_for_itself_inside_another, "the function waits for itself")
{
	gs_once_do(&outer_once, inner, NULL);
}

static void *again_thread(void *arg)
{
	again(arg);
	return NULL;
}

DIES(thread_waits_for_itself, "the function waits for itself")
{
	gs_once once = GS_ONCE_INIT;
	pthread_t thread;

	CHECK_EQ(0, pthread_create(&thread, NULL, again_thread, &once));
	CHECK_EQ(0, pthread_join(thread, NULL));
}

TEST_HARNESS_MAIN
