// SPDX-License-Identifier: GPL-2.0
/*
 * The run queue alone: its order, stealing, and the change between its modes while
 * an owner and thieves use it. Built from the library's source, without a runtime.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../userlib/runq.c"

#include "harness.h"

struct runtime rt;

#define PROCS 4

/* Gs are numbers here: nothing looks into them. */
#define G(n) ((struct g *)(uintptr_t)((n) * 16UL))

FIXTURE(runq) { struct gsched_proc *a, *b; };

FIXTURE_SETUP(runq)
{
	rt.procs = aligned_alloc(4096, PROCS * sizeof(*rt.procs));
	rt.shared = aligned_alloc(4096, sizeof(*rt.shared));
	ASSERT_TRUE(rt.procs && rt.shared);
	memset(rt.procs, 0, PROCS * sizeof(*rt.procs));
	memset(rt.shared, 0, sizeof(*rt.shared));
	rt.seen_procs = PROCS;
	rt.membarrier = !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
				 0, 0);
	self->a = rt.procs;
	self->b = rt.procs + 1;
}

FIXTURE_TEARDOWN(runq)
{
	free(rt.procs);
	free(rt.shared);
}

static void fill(struct gsched_proc *p, unsigned long first, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		if (!runq_push(p, G(first + i)))
			abort();
}

static bool shared(struct gsched_proc *p)
{
	return __atomic_load_n(&p->head, __ATOMIC_RELAXED) & RUNQ_SHARED;
}

TEST_F(runq, fifo_and_full)
{
	fill(self->a, 1, 256);
	EXPECT_FALSE(runq_push(self->a, G(257)));
	EXPECT_EQ(256, runq_len(self->a));
	for (unsigned long i = 1; i <= 256; i++)
		ASSERT_EQ(G(i), runq_pop(self->a));
	EXPECT_EQ(NULL, runq_pop(self->a));
	EXPECT_FALSE(runq_has_work(self->a));
}

TEST_F(runq, runnext_first_but_bounded)
{
	unsigned long n;

	fill(self->a, 1, 3);
	EXPECT_EQ(NULL, runq_set_next(self->a, G(100)));
	EXPECT_EQ(G(100), runq_set_next(self->a, G(101)));
	EXPECT_EQ(G(101), runq_pop(self->a));
	EXPECT_EQ(G(1), runq_pop(self->a));
	for (n = 0; n < 1000; n++) {
		runq_set_next(self->a, G(200));
		if (runq_pop(self->a) != G(200))
			break;
	}
	EXPECT_EQ(RUNNEXT_LIMIT, n);
	EXPECT_EQ(G(200), runq_pop(self->a));
	EXPECT_EQ(G(3), runq_pop(self->a));
	/* With nothing else to run there is no bound. */
	for (n = 0; n < 1000; n++) {
		runq_set_next(self->a, G(200));
		ASSERT_EQ(G(200), runq_pop(self->a));
	}
}

TEST_F(runq, spill_half)
{
	struct g *batch[RUNQ_HALF];

	fill(self->a, 1, 255);
	EXPECT_EQ(0, runq_take_half(self->a, batch));
	fill(self->a, 256, 1);
	ASSERT_EQ(RUNQ_HALF, runq_take_half(self->a, batch));
	for (unsigned long i = 0; i < RUNQ_HALF; i++)
		ASSERT_EQ(G(i + 1), batch[i]);
	EXPECT_EQ(G(129), runq_pop(self->a));
	EXPECT_EQ(127, runq_len(self->a));
}

/* The kernel takes the P from owners that make no steps. */
TEST_F(runq, only_takes_are_steps)
{
	struct g *batch[RUNQ_HALF];
	uint64_t steps;

	steps = self->a->steps;
	fill(self->a, 1, 256);
	runq_set_next(self->a, G(300));
	EXPECT_EQ(G(300), runq_set_next(self->a, G(301)));
	EXPECT_EQ(RUNQ_HALF, runq_take_half(self->a, batch));
	runq_rotate(self->a, 5);
	EXPECT_EQ(steps, self->a->steps);
	runq_pop(self->a);
	EXPECT_EQ(steps + 2, self->a->steps);
}

static void expect_rotated(struct __test_metadata *_metadata, struct gsched_proc *p)
{
	static const unsigned int want[] = { 9, 3, 4, 5, 1, 2 };

	fill(p, 1, 5);
	runq_set_next(p, G(9));
	runq_rotate(p, 2);
	EXPECT_EQ(5, runq_len(p));
	for (unsigned int i = 0; i < 6; i++)
		EXPECT_EQ(G(want[i]), runq_pop(p));
}

TEST_F(runq, rotation)
{
	runq_rotate(self->a, 3);
	EXPECT_EQ(NULL, runq_pop(self->a));
	expect_rotated(_metadata, self->a);
	fill(self->a, 1, 256);
	runq_rotate(self->a, 1);
	EXPECT_EQ(256, runq_len(self->a));
	runq_share_all(self->b);
	ASSERT_TRUE(shared(self->a));
	for (unsigned long i = 2; i <= 256; i++)
		ASSERT_EQ(G(i), runq_pop(self->a));
	EXPECT_EQ(G(1), runq_pop(self->a));
	expect_rotated(_metadata, self->a);
}

/* What the owner of a dead P left is taken out without a P to put it in. */
TEST_F(runq, grab_what_is_left)
{
	struct g *batch[RUNQ_HALF];

	fill(self->a, 1, 3);
	runq_set_next(self->a, G(9));
	runq_share_all(self->b);
	ASSERT_EQ(2, runq_grab(self->a, batch, true));
	EXPECT_EQ(G(1), batch[0]);
	EXPECT_EQ(G(2), batch[1]);
	ASSERT_EQ(1, runq_grab(self->a, batch, true));
	EXPECT_EQ(G(3), batch[0]);
	EXPECT_EQ(0, runq_grab(self->a, batch, false));
	ASSERT_EQ(1, runq_grab(self->a, batch, true));
	EXPECT_EQ(G(9), batch[0]);
	EXPECT_EQ(0, runq_grab(self->a, batch, true));
	EXPECT_EQ(NULL, runq_pop(self->a));
}

TEST_F(runq, nothing_stolen_while_exclusive)
{
	if (!rt.membarrier)
		SKIP(return, "no membarrier here");
	fill(self->a, 1, 10);
	runq_set_next(self->a, G(99));
	EXPECT_EQ(NULL, runq_steal(self->b, self->a, true));
	EXPECT_FALSE(shared(self->a));
	EXPECT_EQ(0, self->a->attention);
}

TEST_F(runq, steal_takes_half)
{
	static const unsigned int have[] = { 1, 2, 3, 10, 11, 255, 256 };

	for (unsigned int i = 0; i < sizeof(have) / sizeof(*have); i++) {
		unsigned int n = have[i], take = n - n / 2;

		fill(self->a, 1, n);
		runq_share_all(self->b);
		ASSERT_TRUE(shared(self->a));
		/* The last of the stolen is run, the others come in their order. */
		ASSERT_EQ(G(take), runq_steal(self->b, self->a, false));
		ASSERT_EQ(take - 1, runq_len(self->b));
		ASSERT_EQ(n - take, runq_len(self->a));
		for (unsigned long g = 1; g < take; g++)
			ASSERT_EQ(G(g), runq_pop(self->b));
		for (unsigned long g = take + 1; g <= n; g++)
			ASSERT_EQ(G(g), runq_pop(self->a));
	}
	EXPECT_EQ(0, p_local(self->a)->thieves);
}

TEST_F(runq, runnext_stolen_last)
{
	runq_set_next(self->a, G(5));
	runq_share_all(self->b);
	EXPECT_EQ(NULL, runq_steal(self->b, self->a, false));
	EXPECT_EQ(G(5), runq_steal(self->b, self->a, true));
	EXPECT_EQ(NULL, runq_pop(self->a));
}

TEST_F(runq, owner_in_bracket_is_left_alone)
{
	if (!rt.membarrier)
		SKIP(return, "no membarrier here");
	fill(self->a, 1, 4);
	runq_begin(self->a);
	runq_share_all(self->b);
	EXPECT_FALSE(shared(self->a));
	EXPECT_EQ(NULL, runq_steal(self->b, self->a, true));
	/* But it knows: its next take is by compare-and-swap, and the next thief waits less. */
	EXPECT_TRUE(self->a->attention & ATTN_SHARE);
	EXPECT_FALSE(runq_exclusive(self->a));
	runq_end(self->a);
	runq_share_all(self->b);
	EXPECT_EQ(G(2), runq_steal(self->b, self->a, true));
}

TEST_F(runq, exclusive_again_when_calm)
{
	int i;

	if (!rt.membarrier)
		SKIP(return, "no membarrier here");
	fill(self->a, 1, 4);
	runq_share_all(self->b);
	rt.shared->nr_idle = 1;
	for (i = 0; i < 100; i++)
		runq_calm(self->a);
	EXPECT_TRUE(shared(self->a));
	rt.shared->nr_idle = 0;
	for (i = 0; i < CALM_LIMIT; i++)
		runq_calm(self->a);
	EXPECT_FALSE(shared(self->a));
	EXPECT_EQ(0, self->a->attention);
	EXPECT_EQ(G(1), runq_pop(self->a));
	/* Not while a thief is at it. */
	runq_share_all(self->b);
	thief_enter(self->a);
	for (i = 0; i < CALM_LIMIT; i++)
		runq_calm(self->a);
	EXPECT_TRUE(shared(self->a));
	thief_leave(self->a);
}

/* ------------------------------------------------------------------------ stress */

#define THIEVES 2
#ifdef __SANITIZE_THREAD__
#define ITEMS 100000UL
#else
#define ITEMS 2000000UL
#endif

static unsigned char taken[ITEMS + 1];
static bool over;

static void take(struct g *g)
{
	unsigned long n = (uintptr_t)g / 16;

	if (n < 1 || n > ITEMS || __atomic_exchange_n(taken + n, 1, __ATOMIC_RELAXED)) {
		fprintf(stderr, "# %lu was taken twice, or never was\n", n);
		abort();
	}
}

static void *thief(void *arg)
{
	struct gsched_proc *own = arg;
	unsigned int r = (unsigned int)(own - rt.procs);
	struct g *g;

	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		/* Pauses, in which the owner goes back to the plain mode. */
		for (r = r * 1664525 + 1; r >> 16 & 0x3ff; r = r * 1664525 + 12345)
			arch_pause();
		runq_share_all(own);
		for (int i = 0; i < 20; i++) {
			g = runq_steal(own, rt.procs, true);
			for (; g; g = runq_pop(own))
				take(g);
		}
	}
	return NULL;
}

static unsigned long changes;

static void owner(struct gsched_proc *p)
{
	bool was = false;
	struct g *g;

	for (unsigned long n = 1; n <= ITEMS;) {
		for (int i = n % 7; i >= 0 && n <= ITEMS; i--) {
			if (n % 3 == 0) {
				g = runq_set_next(p, G(n++));
				if (g && !runq_push(p, g))
					take(g);
			} else if (runq_push(p, G(n))) {
				n++;
			} else {
				break;
			}
		}
		if (n % 11 == 0)
			runq_rotate(p, n % 13);
		for (int i = n % 5; i >= 0 && (g = runq_pop(p)); i--)
			take(g);
		if (n % 4 == 0)
			runq_calm(p);
		changes += was != shared(p);
		was = shared(p);
	}
	while ((g = runq_pop(p)))
		take(g);
}

/* Every G is taken exactly once, whoever takes it and in whatever mode. */
TEST_F_TIMEOUT(runq, owner_against_thieves, 120)
{
	pthread_t thread[THIEVES];
	unsigned long n, missing = 0;

	for (n = 0; n < THIEVES; n++)
		ASSERT_EQ(0, pthread_create(thread + n, NULL, thief, rt.procs + 1 + n));
	owner(rt.procs);
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	for (n = 0; n < THIEVES; n++)
		pthread_join(thread[n], NULL);
	for (n = 1; n <= ITEMS; n++)
		missing += !taken[n];
	EXPECT_EQ(0, missing);
	printf("# the mode changed %lu times\n", changes);
	if (rt.membarrier)
		EXPECT_GT(changes, 2);
}

TEST_HARNESS_MAIN
