// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * cond.c: condition variables.
 *
 * @waiters and its lock do the work. @waiting is 0 only if the queue is empty, so that
 * a signal for nobody costs a load; both values are written under the lock. A wait that
 * ends by itself leaves it alone: a 1 without waiters costs one lock.
 *
 * No signal is missed: a waiter is in the queue, and @waiting is 1, before it unlocks the
 * mutex. Who signals after that has locked the mutex since, or was told by somebody who
 * has, and so sees the 1; the order comes with the mutex, and the load can be relaxed.
 *
 * Between unlocking the mutex and parking the condition's lock is held. So who takes
 * the waiter out finds it parked (as always, see waitq.h). The mutex's own lock is taken
 * under the condition's; nothing takes them the other way round.
 *
 * A broadcast wakes all, each of which locks the mutex for itself. At most as many as
 * there are Ps do so at a time, so there is no stampede that moving them over to the
 * mutex's queue would have to prevent, as there is with threads; and a waiter
 * whose deadline is armed belongs to one lock.
 *
 * The condition may be freed when all waits have returned, while the signal or broadcast
 * that ended the last of them has not: their last touch is the lock's release, waiters
 * are woken after it.
 */
#include "mutex.h"
#include "waitq.h"

static struct rt_lock *cond_lock(gs_cond *c)
{
	return (struct rt_lock *)&c->lock;
}

static bool cond_idle(gs_cond *c)
{
	return !__atomic_load_n(&c->waiting, __ATOMIC_RELAXED);
}

static void cond_set_waiting(gs_cond *c, bool waiting)
{
	__atomic_store_n(&c->waiting, waiting, __ATOMIC_RELAXED);
}

int gs_cond_wait_until(gs_cond *c, gs_mutex *mx, int64_t deadline)
{
	struct waiter w = { .result = 0 };
	struct m *m = sec_enter();

	rt_lock(cond_lock(c));
	cond_set_waiting(c, true);
	waitq_add(&c->waiters, &w);
	mutex_unlock(m, mx);
	m = waitq_park(m, cond_lock(c), &c->waiters, &w, deadline, WAIT_COND);
	sec_leave(m);

	gs_mutex_lock(mx);
	return w.result;
}

int gs_cond_wait(gs_cond *c, gs_mutex *mx)
{
	return gs_cond_wait_until(c, mx, NO_DEADLINE);
}

void gs_cond_signal(gs_cond *c)
{
	struct waiter *w;
	struct m *m;

	if (cond_idle(c))
		return;
	m = sec_enter();
	rt_lock(cond_lock(c));
	w = waitq_pop(&c->waiters);
	cond_set_waiting(c, c->waiters);
	rt_unlock(cond_lock(c));
	if (w) {
		w->result = 0;
		waiter_wake(m, w);
	}
	sec_leave(m);
}

void gs_cond_broadcast(gs_cond *c)
{
	struct waiter *list;
	struct m *m;

	if (cond_idle(c))
		return;
	m = sec_enter();
	rt_lock(cond_lock(c));
	list = waitq_cut(&c->waiters);
	cond_set_waiting(c, false);
	rt_unlock(cond_lock(c));
	waitq_wake(m, list, 0);
	sec_leave(m);
}
