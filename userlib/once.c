// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * once.c: functions that are called once.
 *
 * @state goes from 0 to ONCE_RUNNING, by the one that makes the call, and from there to
 * ONCE_DONE. ONCE_WAITERS beside ONCE_RUNNING says that others wait; it is set under the
 * lock, and goes together with ONCE_RUNNING under the lock.
 *
 * A once may be freed by whoever finds it done, while the one that made the call is still
 * about to return. Its last touch is the compare-and-swap to ONCE_DONE; with
 * ONCE_WAITERS it is the lock's release, until which those who wait, and are woken
 * after it, keep the once by being in their calls.
 *
 * Calls in progress are linked, innermost first, from their goroutine or thread. So the
 * end of a goroutine finds those it leaves (gs_goexit in @fn: their frames are on its
 * stack still), and a call finds out that it would wait for itself.
 */
#include "once.h"
#include "waitq.h"

#define ONCE_RUNNING	(1U << 0)
#define ONCE_WAITERS	(1U << 1)
#define ONCE_DONE	(1U << 2)

struct once_run {
	gs_once *once;
	struct once_run *outer;
};

/* Of a thread that runs no goroutines. */
static __thread struct once_run *thread_runs;

static struct once_run **once_runs(void)
{
	struct g *g = g_self();

	return g ? &g->once_runs : &thread_runs;
}

static struct rt_lock *once_lock(gs_once *o)
{
	return (struct rt_lock *)&o->lock;
}

static bool once_swap(gs_once *o, uint32_t *old, uint32_t new)
{
	return __atomic_compare_exchange_n(&o->state, old, new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static void once_done(struct m *m, gs_once *o)
{
	uint32_t old = ONCE_RUNNING;
	struct waiter *list;

	if (once_swap(o, &old, ONCE_DONE))
		return;
	rt_lock(once_lock(o));
	list = waitq_cut(&o->waiters);
	__atomic_store_n(&o->state, ONCE_DONE, __ATOMIC_RELEASE);
	rt_unlock(once_lock(o));
	waitq_wake(m, list, 0);
}

static void once_call(gs_once *o, void (*fn)(void *), void *arg)
{
	struct once_run **runs = once_runs();
	struct once_run run = { .once = o, .outer = *runs };
	struct m *m;

	*runs = &run;
	fn(arg);
	*runs = run.outer;

	m = sec_enter();
	once_done(m, o);
	sec_leave(m);
}

/**
 * once_abandon - a goroutine ends inside of gs_once_do
 * @m: the M, in a section
 * @g: the goroutine
 */
void once_abandon(struct m *m, struct g *g)
{
	for (struct once_run *run = g->once_runs; run; run = run->outer)
		once_done(m, run->once);
}

static void once_check(gs_once *o)
{
	for (struct once_run *run = *once_runs(); run; run = run->outer)
		if (run->once == o)
			fatal("gs_once_do: the function waits for itself, once %p", (void *)o);
}

/* Lock held. Return: false: it is done. */
static bool once_flag(gs_once *o)
{
	uint32_t old = __atomic_load_n(&o->state, __ATOMIC_ACQUIRE);

	do {
		if (old == ONCE_DONE)
			return false;
	} while (!once_swap(o, &old, old | ONCE_WAITERS));
	return true;
}

static void once_wait(gs_once *o)
{
	struct waiter w = { .shield = true };
	struct m *m;

	once_check(o);
	m = sec_enter();
	rt_lock(once_lock(o));
	if (once_flag(o)) {
		waitq_add(&o->waiters, &w);
		m = waitq_park(m, once_lock(o), &o->waiters, &w, NO_DEADLINE, WAIT_ONCE);
	} else {
		rt_unlock(once_lock(o));
	}
	sec_leave(m);
}

void gs_once_do(gs_once *o, void (*fn)(void *), void *arg)
{
	uint32_t old = __atomic_load_n(&o->state, __ATOMIC_ACQUIRE);

	if (likely(old == ONCE_DONE))
		return;
	if (!old && once_swap(o, &old, ONCE_RUNNING))
		once_call(o, fn, arg);
	else if (old != ONCE_DONE)
		once_wait(o);
}
