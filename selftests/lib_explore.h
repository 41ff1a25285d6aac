/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lib_explore.h: run small programs of virtual threads in many orders.
 *
 * A test includes this, and then the sources of the library that it is about. Their
 * atomic accesses, pauses and futexes become points at which another of the virtual
 * threads may go on; between points a thread runs alone. So each run is one
 * interleaving, and the same choices give the same run. Memory is sequentially
 * consistent: what an x86 may reorder is for selftests/models.
 *
 * Choices are made in two ways:
 *
 *   explore_random()      probabilistic concurrency testing: each thread has a priority,
 *                         the highest that can runs, and at a few random points the one
 *                         that runs gets the lowest. A bug that needs d such changes in
 *                         a run of k points with n threads is found with a probability
 *                         of 1 / (n * k^(d-1)) or more. Prints its seed; SEED=n repeats.
 *   explore_all()         all runs in which a thread that could go on is interrupted at
 *                         most so many times.
 *
 * Who pauses lets the others go first, whatever their priority. All asleep on futexes, or a
 * run without end, is a failure.
 */
#ifndef LIB_EXPLORE_H
#define LIB_EXPLORE_H

#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define XP_THREADS	5
#define XP_STEPS	20000		/* of a run; more is a run without end */
#define XP_STACK	65536
#define XP_CHANGES	8

enum xp_state { XP_DONE, XP_READY, XP_ASLEEP };

struct xp_thread {
	ucontext_t ctx;
	void (*fn)(int self);
	enum xp_state state;
	const void *word;		/* it sleeps on */
	bool paused;			/* lets others go first */
	bool daemon;			/* may sleep for ever */
	int priority;
	char *stack;
};

/* A point at which there was a choice, when all are tried. */
struct xp_choice {
	uint8_t taken, nr;
};

static struct {
	struct xp_thread threads[XP_THREADS];
	int nr, now;
	ucontext_t back;
	bool on;
	unsigned int steps;
	const char *failed;

	unsigned int seed;
	unsigned int changes[XP_CHANGES], nr_changes;
	int lowest;

	bool all;
	struct xp_choice path[XP_STEPS];
	unsigned int depth, known;
	int budget;
} xp;

static unsigned int xp_rnd(void)
{
	xp.seed = xp.seed * 1664525 + 1013904223;
	return xp.seed >> 8;
}

/* ------------------------------------------------------------------- who goes on */

/* Those that can run, those that have not paused if there are any. Return: how many. */
static int xp_candidates(int *list)
{
	int n = 0;

	for (int pass = 0; pass < 2 && !n; pass++)
		for (int i = 0; i < xp.nr; i++)
			if (xp.threads[i].state == XP_READY && (pass || !xp.threads[i].paused))
				list[n++] = i;
	return n;
}

/* The choice of this run at this point, of @n; the first is to go on. */
static int xp_next_choice(int n)
{
	struct xp_choice *c = &xp.path[xp.depth];

	if (xp.depth++ == xp.known) {
		*c = (struct xp_choice){ .nr = n };
		xp.known++;
	}
	return c->taken;
}

static int xp_choose_all(const int *list, int n)
{
	int first = -1, i;

	for (i = 0; i < n; i++)
		if (list[i] == xp.now)
			first = i;
	if (first >= 0 && !xp.budget)
		return xp.now;
	if (n == 1)
		return list[0];
	i = xp_next_choice(n);
	if (first < 0)
		return list[i];
	if (!i)
		return xp.now;
	xp.budget--;
	return list[i <= first ? i - 1 : i];
}

static int xp_choose_random(const int *list, int n)
{
	int best = list[0];

	for (unsigned int i = 0; i < xp.nr_changes; i++)
		if (xp.changes[i] == xp.steps)
			xp.threads[xp.now].priority = --xp.lowest;
	for (int i = 1; i < n; i++)
		if (xp.threads[list[i]].priority > xp.threads[best].priority)
			best = list[i];
	return best;
}

static void xp_run_ended(void)
{
	setcontext(&xp.back);
	abort();
}

static void xp_fail(const char *what)
{
	xp.failed = what;
	xp.on = false;
	xp_run_ended();
}

#define XP_CHECK(cond) do {			\
	if (!(cond))				\
		xp_fail(#cond);			\
} while (0)

static void (*xp_switched)(int to);

/* Go on with whoever is to; the caller's state has been set. */
static void xp_switch(void)
{
	int list[XP_THREADS], n = xp_candidates(list), from = xp.now;

	if (!n) {
		for (int i = 0; i < xp.nr; i++)
			if (xp.threads[i].state == XP_ASLEEP && !xp.threads[i].daemon)
				xp_fail("all are asleep");
		xp_run_ended();
	}
	if (++xp.steps >= XP_STEPS)
		xp_fail("a run without end");
	xp.now = xp.all ? xp_choose_all(list, n) : xp_choose_random(list, n);
	xp.threads[xp.now].paused = false;
	if (xp.now == from)
		return;
	if (xp_switched)
		xp_switched(xp.now);
	swapcontext(&xp.threads[from].ctx, &xp.threads[xp.now].ctx);
}

static void xp_point(void)
{
	if (xp.on)
		xp_switch();
}

static void xp_pause(void)
{
	if (!xp.on)
		return;
	xp.threads[xp.now].paused = true;
	xp_switch();
}

static void xp_sleep(const void *word)
{
	xp.threads[xp.now].state = XP_ASLEEP;
	xp.threads[xp.now].word = word;
	xp_switch();
}

static void xp_wake(const void *word, int n)
{
	for (int i = 0; i < xp.nr && n; i++) {
		struct xp_thread *t = &xp.threads[i];

		if (t->state != XP_ASLEEP || t->word != word)
			continue;
		t->state = XP_READY;
		n--;
	}
}

/* ----------------------------------------------------------------------- runs */

static void xp_entry(int i)
{
	xp.threads[i].fn(i);
	xp.threads[i].state = XP_DONE;
	xp_switch();
}

static void xp_thread_init(int i, void (*fn)(int self))
{
	struct xp_thread *t = &xp.threads[i];

	if (!t->stack)
		t->stack = malloc(XP_STACK);
	getcontext(&t->ctx);
	t->ctx.uc_stack.ss_sp = t->stack;
	t->ctx.uc_stack.ss_size = XP_STACK;
	t->ctx.uc_link = &xp.back;
	makecontext(&t->ctx, (void (*)(void))xp_entry, 1, i);
	t->fn = fn;
	t->state = XP_READY;
	t->paused = false;
	t->daemon = false;
}

/*
 * A program: @setup before each run, @threads, @end after it, which checks, with XP_CHECK,
 * what must hold then.
 */
struct xp_program {
	unsigned int length;		/* about how many points a run has */
	void (*setup)(void);
	void (*threads[XP_THREADS])(int self);
	void (*end)(void);
};

/* Return: false: this run has failed; xp.failed says why. */
static bool xp_run(const struct xp_program *p)
{
	volatile bool ended = false;	/* xp.back is come to twice, or thrice if @end fails */

	xp.failed = NULL;
	xp.steps = 0;
	xp.depth = 0;
	xp.on = false;
	p->setup();
	for (xp.nr = 0; xp.nr < XP_THREADS && p->threads[xp.nr]; xp.nr++)
		xp_thread_init(xp.nr, p->threads[xp.nr]);
	getcontext(&xp.back);
	if (!ended) {
		ended = true;
		xp.on = true;
		xp.now = 0;
		/* The first thread is a choice, too. */
		xp.threads[0].paused = !xp.all && xp_rnd() % 2;
		if (xp_switched)
			xp_switched(0);
		setcontext(&xp.threads[0].ctx);
	}
	if (xp.on) {
		xp.on = false;
		p->end();
	}
	return !xp.failed;
}

/* Return: as xp_run() */
static bool xp_run_random(const struct xp_program *p)
{
	xp.all = false;
	xp.lowest = 0;
	for (int i = 0; i < XP_THREADS; i++)
		xp.threads[i].priority = 1 + (int)(xp_rnd() % 1000);
	xp.nr_changes = xp_rnd() % (XP_CHANGES + 1);
	for (unsigned int i = 0; i < xp.nr_changes; i++)
		xp.changes[i] = 1 + xp_rnd() % p->length;
	return xp_run(p);
}

static inline unsigned int xp_seed(void)
{
	const char *s = getenv("SEED");
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return s ? strtoul(s, NULL, 0) : (unsigned int)ts.tv_nsec;
}

/* explore_random - @runs random ones. Return: NULL, or what was wrong. */
static inline const char *explore_random(const struct xp_program *p, unsigned int runs)
{
	unsigned int seed = xp_seed(), longest = 0, first;

	printf("# SEED=%u\n", seed);
	fflush(stdout);
	for (unsigned int i = 0; i < runs; i++) {
		xp.seed = first = seed + i;
		for (int k = 0; k < 3; k++)
			xp_rnd();
		if (!xp_run_random(p)) {
			printf("# run %u, that is SEED=%u, %u points: %s\n", i, first, xp.steps,
			       xp.failed);
			fflush(stdout);
			return xp.failed;
		}
		if (xp.steps > longest)
			longest = xp.steps;
	}
	printf("# %u runs of up to %u points\n", runs, longest);
	fflush(stdout);
	return NULL;
}

/* The next path in order. Return: false: there is none. */
static inline bool xp_next_path(void)
{
	while (xp.known) {
		struct xp_choice *c = &xp.path[xp.known - 1];

		if (++c->taken < c->nr)
			return true;
		xp.known--;
	}
	return false;
}

/* explore_all - all runs with up to @preemptions. Return: NULL, or what was wrong. */
static inline const char *explore_all(const struct xp_program *p, int preemptions)
{
	unsigned long runs = 0;

	xp.all = true;
	xp.known = 0;
	do {
		xp.budget = preemptions;
		runs++;
		if (!xp_run(p)) {
			printf("# run %lu, %u points: %s\n", runs, xp.steps, xp.failed);
			fflush(stdout);
			return xp.failed;
		}
	} while (xp_next_path());
	printf("# %lu runs\n", runs);
	fflush(stdout);
	return NULL;
}

/* --------------------------------------------------------------------- the hooks */

#define GS_FUTEX_H

static inline void futex_wait(uint32_t *word, uint32_t val, int64_t deadline)
{
	(void)deadline;
	if (*word == val)
		xp_sleep(word);
}

static inline void futex_wake(uint32_t *word, int n)
{
	xp_wake(word, n);
}

/* Another's instructions have no order here but the one that they run in. */
static inline long xp_syscall(void)
{
	xp_point();
	return 0;
}

#include "../userlib/arch_x86_64.h"

#define arch_pause()	xp_pause()
#define arch_barrier()	xp_point()
#define syscall(...)	xp_syscall()

#define __atomic_load_n(...)			(xp_point(), __atomic_load_n(__VA_ARGS__))
#define __atomic_store_n(...)			(xp_point(), __atomic_store_n(__VA_ARGS__))
#define __atomic_exchange_n(...)		(xp_point(), __atomic_exchange_n(__VA_ARGS__))
#define __atomic_compare_exchange_n(...)	\
	(xp_point(), __atomic_compare_exchange_n(__VA_ARGS__))
#define __atomic_fetch_add(...)			(xp_point(), __atomic_fetch_add(__VA_ARGS__))
#define __atomic_fetch_sub(...)			(xp_point(), __atomic_fetch_sub(__VA_ARGS__))
#define __atomic_fetch_and(...)			(xp_point(), __atomic_fetch_and(__VA_ARGS__))
#define __atomic_fetch_or(...)			(xp_point(), __atomic_fetch_or(__VA_ARGS__))

/* A sanitizer sees one thread here, whose stacks it does not know. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define XP_BLIND	true
#else
#define XP_BLIND	false
#endif

#define EXPECT_EXPLORED(call) do {					\
	if (XP_BLIND)							\
		SKIP(return, "virtual threads, under a sanitizer");	\
	EXPECT_EQ(NULL, call);						\
} while (0)

#endif /* LIB_EXPLORE_H */
