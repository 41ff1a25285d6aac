// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * waitq.c: waiting in a queue, until a deadline, or until cancelled.
 */
#include <errno.h>
#include <string.h>

#include "futex.h"
#include "group.h"
#include "waitq.h"

/* What may end a wait early; on the stack of the one that waits. */
struct ending {
	struct timer timer;
	struct rt_lock *lock;
	void **queue;
	struct waiter *w;
};

/* ------------------------------------------------- threads that run no goroutine */

/*
 * word_wake - @word is a waiting thread's, which may return as soon as it is 1, and
 * the word be gone. The wake then is for an address: at worst it wakes a stranger, who
 * looks again.
 */
void word_wake(uint32_t *word)
{
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	futex_wake(word, 1);
}

/* word_wait - sleep until @word is 1. Return: false: the deadline has passed first. */
bool word_wait(uint32_t *word, int64_t deadline)
{
	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE)) {
		if (deadline_passed(deadline))
			return false;
		futex_wait(word, 0, deadline == NO_DEADLINE ? 0 : deadline);
	}
	return true;
}

/* ------------------------------------------------------------------ ending early */

/* Return: false: a waker was first; the waiter is in no queue. */
static bool end_early(struct ending *e, int result)
{
	bool mine;

	rt_lock(e->lock);
	mine = e->w->next;
	if (mine) {
		waitq_del(e->queue, e->w);
		e->w->result = result;
	}
	rt_unlock(e->lock);
	return mine;
}

/* Of several whose time has come the first one runs first: at the tail. */
static void on_deadline(struct m *m, struct timer *t)
{
	struct ending *e = t->arg;
	struct g *g = e->w->g;

	if (end_early(e, -ETIMEDOUT))
		ready_tail(m, g);
}

static void on_cancel(struct m *m, void *arg)
{
	struct ending *e = arg;
	struct g *g = e->w->g;

	if (end_early(e, -ECANCELED))
		ready_tail(m, g);
}

/* ----------------------------------------------------------------------- parking */

static int arm(struct m *m, struct ending *e, int64_t deadline)
{
	struct g *g = e->w->g;

	if (!e->w->shield && !cancel_begin(g, on_cancel, e))
		return -ECANCELED;
	if (deadline == NO_DEADLINE)
		return 0;
	memset(&e->timer, 0, sizeof(e->timer));
	e->timer.when = deadline;
	e->timer.fn = on_deadline;
	e->timer.arg = e;
	return timer_start(m, &e->timer);
}

static void disarm(struct m *m, struct ending *e, int64_t deadline)
{
	if (deadline != NO_DEADLINE)
		timer_stop(m, &e->timer);
	if (!e->w->shield)
		cancel_end(e->w->g);
}

/*
 * If cancelling comes between cancel_begin and the G's parking, it waits for the lock,
 * as the timer does.
 */
static struct m *park_g(struct m *m, struct ending *e, int64_t deadline, enum wait_reason why)
{
	int err = arm(m, e, deadline);

	if (err) {
		waitq_del(e->queue, e->w);
		e->w->result = err;
		rt_unlock(e->lock);
		if (err != -ECANCELED && !e->w->shield)
			cancel_end(e->w->g);
		return m;
	}
	m = park_unlock(m, e->lock, why);
	disarm(m, e, deadline);
	return m;
}

/* Not in a section while it sleeps: that would keep the runtime from ending. */
static void park_thread(struct ending *e, int64_t deadline)
{
	uint32_t word = 0;

	e->w->word = &word;
	rt_unlock(e->lock);
	sec_leave(NULL);
	if (word_wait(&word, deadline)) {
		sec_enter();
		return;
	}
	sec_enter();
	if (end_early(e, -ETIMEDOUT))
		return;
	/* Somebody has it in his hands. */
	sec_leave(NULL);
	word_wait(&word, NO_DEADLINE);
	sec_enter();
}

/**
 * waitq_park - wait for @w, which the caller has put into @queue, to be taken out
 * @m:        the M, in a section; NULL: a thread that is none, in a section
 * @lock:     the object's lock, held; released when this returns
 * @queue:    where @w is
 * @w:        @w->result says afterwards how the wait ended; @w->data is the caller's
 * @deadline: when to give up
 * @why:      for traces
 *
 * The timer is armed before the G is parked and may fire at once: it then waits for
 * @lock, which is released only after the G has left its stack. timer_stop and cancel_end
 * come without the lock, since what they end takes it, and wait for it: after them
 * nothing knows of @w.
 *
 * Return: the M that the G goes on in, in a section; NULL for a thread.
 */
struct m *waitq_park(struct m *m, struct rt_lock *lock, void **queue, struct waiter *w,
		     int64_t deadline, enum wait_reason why)
{
	struct ending e;

	if (deadline_passed(deadline)) {
		waitq_del(queue, w);
		w->result = -ETIMEDOUT;
		rt_unlock(lock);
		return m;
	}
	e.lock = lock;
	e.queue = queue;
	e.w = w;
	w->claim = NULL;
	w->g = m ? m_g(m) : NULL;
	if (likely(m))
		return park_g(m, &e, deadline, why);
	park_thread(&e, deadline);
	return NULL;
}

/**
 * waitq_cut - empty a queue; lock held
 * @queue: the queue
 *
 * Return: its waiters in order, linked by @prev, for waitq_wake. What else could end
 * their waits lets them be from now on.
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
		next = w->prev;		/* waking ends @w's life */
		w->result = result;
		waiter_wake_tail(m, w);
	}
}

/**
 * waitq_hand_over - end the wait of those who have been given what they waited for
 * @m:    the M in a section, or NULL
 * @list: as waitq_wake's
 *
 * Others wait for them now, so one alone runs next.
 */
void waitq_hand_over(struct m *m, struct waiter *list)
{
	if (list && !list->prev) {
		list->result = 0;
		waiter_wake(m, list);
	} else {
		waitq_wake(m, list, 0);
	}
}
