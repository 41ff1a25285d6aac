// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * rwmutex.c: locks for many readers or one writer.
 *
 * @state tells who holds the lock; the queues and their lock serve those who wait.
 *
 *   WRITER    a writer holds it
 *   WAITERS   somebody waits, or has given up but not said so: everybody goes
 *             through the lock, but for readers who leave others behind. Set and
 *             cleared under the lock
 *   READER    the unit in which readers are counted, above the bits
 *
 * The lock is handed over: @state says that a waiter holds it before it is woken. When
 * a writer leaves, all readers that wait go first; when the last reader leaves, the
 * first writer. So readers that wait get in after at most one writer, and a writer
 * after those before it and one batch of readers for each; for while writers
 * wait, readers that come have to wait. Writers do not barge, as they do into a mutex:
 * they are few, or an rwmutex is not the thing to use.
 *
 * Readers wait only behind a writer, one that holds the lock or one that waits.
 * Whoever takes either away lets them in: the writer that leaves, the last reader that
 * leaves, and a waiter that gives up, since it may have been that writer. Between a
 * writer's deadline and its giving up readers may wait for nothing, for that long.
 * And whoever is the last to leave lets somebody in if anybody waits; so while the
 * lock's holder is nobody, nobody waits.
 *
 * The next owner may free the lock at once. So unlocking must not touch it any more from
 * then on. Its last touch is
 *
 *   without WAITERS   the compare-and-swap
 *   with WAITERS      the lock's release. While WAITERS was set somebody was in a call
 *                     that waits, and still is: its wait goes on, or it will be
 *                     woken when the lock has been released, or its wait has ended by
 *                     itself and it has yet to take the lock, to give up.
 */
#include <errno.h>

#include "waitq.h"

#define RW_WRITER	(1U << 0)
#define RW_WAITERS	(1U << 1)
#define RW_READER	(1U << 2)

static struct rt_lock *rw_lock(gs_rwmutex *rw)
{
	return (struct rt_lock *)&rw->lock;
}

static uint32_t rw_load(gs_rwmutex *rw)
{
	return __atomic_load_n(&rw->state, __ATOMIC_RELAXED);
}

static bool rw_swap(gs_rwmutex *rw, uint32_t *old, uint32_t new)
{
	return __atomic_compare_exchange_n(&rw->state, old, new, true, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

static uint32_t rw_length(struct waiter *list)
{
	uint32_t n = 0;

	for (; list; list = list->prev)
		n++;
	return n;
}

/*
 * Let in who is next, if the lock's state allows it. Lock held: if somebody waits,
 * WAITERS is set, and @state changes but by readers that leave others behind. Clears it
 * if nobody waits any more. Return: the new owners, for waitq_hand_over.
 */
static struct waiter *rw_admit(gs_rwmutex *rw, bool readers_first)
{
	uint32_t state = __atomic_load_n(&rw->state, __ATOMIC_ACQUIRE);
	struct waiter *list = NULL;

	if (state & RW_WRITER) {
		list = NULL;
	} else if (rw->readers && (readers_first || !rw->writers)) {
		list = waitq_cut(&rw->readers);
		__atomic_fetch_add(&rw->state, rw_length(list) * RW_READER, __ATOMIC_RELAXED);
	} else if (rw->writers && state < RW_READER) {
		list = waitq_pop(&rw->writers);
		list->prev = NULL;
		__atomic_fetch_or(&rw->state, RW_WRITER, __ATOMIC_RELAXED);
	}
	if (!rw->readers && !rw->writers)
		__atomic_fetch_and(&rw->state, ~RW_WAITERS, __ATOMIC_RELAXED);
	return list;
}

/*
 * Leave, @mine being the caller's part of @state, in favour of those who wait. Return:
 * false: nothing has been done, WAITERS is not set any more.
 */
static __attribute__((noinline)) bool rw_pass(gs_rwmutex *rw, uint32_t mine)
{
	struct waiter *list = NULL;
	struct m *m = sec_enter();
	bool waiters;

	rt_lock(rw_lock(rw));
	waiters = rw_load(rw) & RW_WAITERS;
	if (waiters) {
		__atomic_fetch_sub(&rw->state, mine, __ATOMIC_ACQ_REL);
		list = rw_admit(rw, mine == RW_WRITER);
	}
	rt_unlock(rw_lock(rw));
	waitq_hand_over(m, list);
	sec_leave(m);
	return waiters;
}

/* A wait has ended by itself: those behind it may be let in. */
static void rw_give_up(struct m *m, gs_rwmutex *rw)
{
	struct waiter *list;

	rt_lock(rw_lock(rw));
	list = rw_admit(rw, false);
	rt_unlock(rw_lock(rw));
	waitq_hand_over(m, list);
}

/* ---------------------------------------------------------------------- writers */

/* Lock held. Return: whether the caller has it now; if not, WAITERS is set. */
static bool rw_lock_or_flag(gs_rwmutex *rw)
{
	uint32_t old = rw_load(rw);

	do {
		if (!old && rw_swap(rw, &old, RW_WRITER))
			return true;
	} while (!old || !rw_swap(rw, &old, old | RW_WAITERS));
	return false;
}

static __attribute__((noinline)) int rw_lock_wait(gs_rwmutex *rw, int64_t deadline,
						  bool shield)
{
	struct waiter w = { .shield = shield };
	struct m *m = sec_enter();

	rt_lock(rw_lock(rw));
	if (rw_lock_or_flag(rw)) {
		rt_unlock(rw_lock(rw));
	} else {
		waitq_add(&rw->writers, &w);
		m = waitq_park(m, rw_lock(rw), &rw->writers, &w, deadline, WAIT_WRITE_LOCK);
		if (w.result)
			rw_give_up(m, rw);
	}
	sec_leave(m);
	return w.result;
}

static bool rw_try_lock(gs_rwmutex *rw)
{
	uint32_t old = 0;

	do {
		if (rw_swap(rw, &old, RW_WRITER))
			return true;
	} while (!old);
	return false;
}

int gs_rwmutex_trylock(gs_rwmutex *rw)
{
	return rw_try_lock(rw) ? 0 : -EBUSY;
}

int gs_rwmutex_lock_until(gs_rwmutex *rw, int64_t deadline)
{
	return rw_try_lock(rw) ? 0 : rw_lock_wait(rw, deadline, false);
}

void gs_rwmutex_lock(gs_rwmutex *rw)
{
	if (!rw_try_lock(rw))
		rw_lock_wait(rw, NO_DEADLINE, true);
}

void gs_rwmutex_unlock(gs_rwmutex *rw)
{
	uint32_t old = RW_WRITER;

	for (;;) {
		if (!(old & RW_WRITER))
			fatal("unlock of unlocked rwmutex %p", (void *)rw);
		if (old & RW_WAITERS) {
			if (rw_pass(rw, RW_WRITER))
				return;
			old = rw_load(rw);
		} else if (rw_swap(rw, &old, old & ~RW_WRITER)) {
			return;
		}
	}
}

/* ---------------------------------------------------------------------- readers */

/* Lock held. Return: whether the caller has it now; if not, WAITERS is set. */
static bool rw_rlock_or_flag(gs_rwmutex *rw)
{
	uint32_t old = rw_load(rw);
	bool free;

	do {
		free = !(old & RW_WRITER) && !rw->writers;
	} while (!rw_swap(rw, &old, free ? old + RW_READER : old | RW_WAITERS));
	return free;
}

static __attribute__((noinline)) int rw_rlock_wait(gs_rwmutex *rw, int64_t deadline,
						   bool shield)
{
	struct waiter w = { .shield = shield };
	struct m *m = sec_enter();

	rt_lock(rw_lock(rw));
	if (rw_rlock_or_flag(rw)) {
		rt_unlock(rw_lock(rw));
	} else {
		waitq_add(&rw->readers, &w);
		m = waitq_park(m, rw_lock(rw), &rw->readers, &w, deadline, WAIT_READ_LOCK);
		if (w.result)
			rw_give_up(m, rw);
	}
	sec_leave(m);
	return w.result;
}

static bool rw_try_rlock(gs_rwmutex *rw)
{
	uint32_t old = rw_load(rw);

	do {
		if (old & (RW_WRITER | RW_WAITERS))
			return false;
	} while (!rw_swap(rw, &old, old + RW_READER));
	return true;
}

int gs_rwmutex_tryrlock(gs_rwmutex *rw)
{
	return rw_try_rlock(rw) ? 0 : -EBUSY;
}

int gs_rwmutex_rlock_until(gs_rwmutex *rw, int64_t deadline)
{
	return rw_try_rlock(rw) ? 0 : rw_rlock_wait(rw, deadline, false);
}

void gs_rwmutex_rlock(gs_rwmutex *rw)
{
	if (!rw_try_rlock(rw))
		rw_rlock_wait(rw, NO_DEADLINE, true);
}

void gs_rwmutex_runlock(gs_rwmutex *rw)
{
	uint32_t old = rw_load(rw);

	for (;;) {
		if (old & RW_WRITER || old < RW_READER)
			fatal("read unlock of rwmutex %p, which no reader has locked", (void *)rw);
		if (old == (RW_READER | RW_WAITERS)) {
			if (rw_pass(rw, RW_READER))
				return;
			old = rw_load(rw);
		} else if (rw_swap(rw, &old, old - RW_READER)) {
			return;
		}
	}
}
