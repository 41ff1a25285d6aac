/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * waitq.h: goroutines that wait, in order, for something that an object's lock
 * protects: a channel's elements, a mutex, a descriptor's lock.
 *
 * Objects
 *
 * waiter   on the waiting G's stack, from the call of waitq_park to its return
 * queue    a `void *` inside the object, NULL when empty, else the first waiter of
 *          a ring (so that a queue costs the object one pointer)
 *
 * Who may touch what
 *
 *   queue, next, prev        under the object's lock
 *   result, data             by the G before it parks; after that by whoever has
 *                            taken the waiter out of the queue, until ready()
 *
 * A waiter leaves its queue exactly once: taken by a waker, or by its own timer.
 * Both do it under the lock, so exactly one of them makes the G ready; and the
 * waiter's memory is good until then, because its G does not run.
 */
#ifndef GS_WAITQ_H
#define GS_WAITQ_H

#include "sched.h"

/* A deadline that never comes. */
#define NO_DEADLINE INT64_MAX

struct waiter {
	struct waiter *next, *prev;	/* NULL: in no queue */
	struct g *g;
	void *data;			/* the object's */
	int result;			/* the waker's, or -ETIMEDOUT */
	struct rt_lock *lock;
	void **queue;
	struct timer timer;
};

/** waitq_add - append @w. Lock held. */
static inline void waitq_add(void **queue, struct waiter *w)
{
	struct waiter *first = *queue;

	if (first) {
		w->next = first;
		w->prev = first->prev;
		w->prev->next = w;
		first->prev = w;
	} else {
		w->next = w;
		w->prev = w;
		*queue = w;
	}
}

/** waitq_del - take @w out. Lock held. */
static inline void waitq_del(void **queue, struct waiter *w)
{
	if (*queue == w)
		*queue = w->next == w ? NULL : w->next;
	w->prev->next = w->next;
	w->next->prev = w->prev;
	w->next = NULL;
}

/** waitq_pop - take the first out. Lock held. Return: it, or NULL. */
static inline struct waiter *waitq_pop(void **queue)
{
	struct waiter *w = *queue;

	if (w)
		waitq_del(queue, w);
	return w;
}

/** waitq_push - put @w before the first: it waited before and lost. Lock held. */
static inline void waitq_push(void **queue, struct waiter *w)
{
	waitq_add(queue, w);
	*queue = w;
}

/* deadline_passed - the clock is read only if the answer depends on it. */
static inline bool deadline_passed(int64_t deadline)
{
	return deadline != NO_DEADLINE && (deadline <= 0 || deadline <= gs_now());
}

struct m *waitq_park(struct m *m, struct rt_lock *lock, void **queue, struct waiter *w,
		     int64_t deadline, enum wait_reason why);
struct waiter *waitq_cut(void **queue);
void waitq_wake(struct m *m, struct waiter *list, int result);

#endif /* GS_WAITQ_H */
