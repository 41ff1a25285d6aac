// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * waitq.c: parking in a queue, with a deadline.
 */
#include <errno.h>
#include <string.h>

#include "waitq.h"

/* The deadline has come. If a waker was first, the waiter is in no queue. */
static void waiter_expire(struct m *m, struct timer *t)
{
	struct waiter *w = t->arg;
	struct rt_lock *lock = w->lock;
	bool mine;

	rt_lock(lock);
	mine = w->next;
	if (mine) {
		waitq_del(w->queue, w);
		w->result = -ETIMEDOUT;
	}
	rt_unlock(lock);
	if (mine)
		ready(m, w->g);
}

static int waiter_arm(struct m *m, struct waiter *w, int64_t deadline)
{
	memset(&w->timer, 0, sizeof(w->timer));
	w->timer.when = deadline;
	w->timer.fn = waiter_expire;
	w->timer.arg = w;
	return timer_start(m, &w->timer);
}

/**
 * waitq_park - wait for @w, which the caller has put into @queue, to be taken out
 * @m:        the M, in a section
 * @lock:     the object's lock, held; released when this returns
 * @queue:    where @w is
 * @w:        @w->result says afterwards how the wait ended; @w->data is the caller's
 * @deadline: when to give up
 * @why:      for traces
 *
 * The timer is armed before the G is parked and may fire at once: it then waits for
 * @lock, which is released only after the G has left its stack. timer_stop comes
 * without the lock, since the timer takes it, and waits for a timer that runs: after
 * it nothing knows of @w.
 *
 * Return: the M that the G goes on in, in a section.
 */
struct m *waitq_park(struct m *m, struct rt_lock *lock, void **queue, struct waiter *w,
		     int64_t deadline, enum wait_reason why)
{
	if (deadline_passed(deadline)) {
		w->result = -ETIMEDOUT;
		goto out_unqueue;
	}
	w->g = g_self();
	if (!w->g)
		fatal("a call that has to wait was made outside of a goroutine");
	w->lock = lock;
	w->queue = queue;
	if (deadline != NO_DEADLINE) {
		w->result = waiter_arm(m, w, deadline);
		if (w->result)
			goto out_unqueue;
	}
	m = park_unlock(m, lock, why);
	if (deadline != NO_DEADLINE)
		timer_stop(m, &w->timer);
	return m;

out_unqueue:
	waitq_del(queue, w);
	rt_unlock(lock);
	return m;
}

/**
 * waitq_cut - empty a queue; lock held
 * @queue: the queue
 *
 * Return: its waiters in order, linked by @prev, for waitq_wake. Their timers let
 * them be from now on.
 */
struct waiter *waitq_cut(void **queue)
{
	struct waiter *list = NULL, **end = &list, *w;

	while ((w = waitq_pop(queue))) {
		*end = w;
		end = &w->prev;
	}
	*end = NULL;
	return list;
}

/**
 * waitq_wake - end the wait of a list of waiters
 * @m:      the M in a section, or NULL
 * @list:   from waitq_cut
 * @result: what they get
 *
 * Behind one another to the queue's tail: so many should not overtake everybody.
 */
void waitq_wake(struct m *m, struct waiter *list, int result)
{
	struct waiter *w, *next;

	for (w = list; w; w = next) {
		next = w->prev;		/* ready() ends @w's life */
		w->result = result;
		ready_tail(m, w->g);
	}
}
