/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * waitq.h: who waits, in order, for something that an object's lock protects: a
 * channel's elements, a mutex, a descriptor's lock.
 *
 * Objects
 *
 * waiter   on the stack of the one that waits, from the call of waitq_park to its
 *          return (of a select: several, in its memory). A goroutine, or a thread
 *          that runs none
 * queue    a `void *` inside the object, NULL when empty, else the first waiter of
 *          a ring (so that a queue costs the object one pointer)
 *
 * Who may touch what
 *
 *   queue, next, prev        under the object's lock
 *   result, data             by the one that waits before it parks; after that by
 *                            whoever has taken the waiter out of the queue, until
 *                            waiter_wake()
 *
 * A waiter leaves its queue exactly once: taken by a waker, or by its own deadline,
 * or because its goroutine was cancelled. All do it under the lock, so exactly one of
 * them wakes it; and the waiter's memory is good until then, because its owner does
 * not run.
 *
 * A select waits in several queues, under several locks. There, to be taken out of a
 * queue is not enough: who takes a waiter claims its select, and the first wins.
 * A waiter whose select is claimed already counts as not there.
 */
#ifndef GS_WAITQ_H
#define GS_WAITQ_H

#include "sched.h"

/* A deadline that never comes. */
#define NO_DEADLINE GS_FOREVER

struct waiter {
	struct waiter *next, *prev;	/* NULL: in no queue */
	struct g *g;			/* NULL: a thread, which sleeps on @word */
	uint32_t *word;
	struct waiter **claim;		/* the select's winner; NULL: no select */
	void *data;			/* the object's */
	int result;			/* the waker's, -ETIMEDOUT, -ECANCELED, -ENOMEM */
	bool shield;			/* not ended by cancelling */
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

/* waiter_claim - may the caller, who has taken @w out of its queue, end its wait? */
static inline bool waiter_claim(struct waiter *w)
{
	struct waiter *none = NULL;

	return likely(!w->claim) ||
	       __atomic_compare_exchange_n(w->claim, &none, w, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/** waitq_pop - take the first out. Lock held. Return: it, or NULL. */
static inline struct waiter *waitq_pop(void **queue)
{
	struct waiter *w;

	while ((w = *queue)) {
		waitq_del(queue, w);
		if (waiter_claim(w))
			break;
	}
	return w;
}

/**
 * waitq_peek - the first, left where it is. Lock held. Return: it, or NULL
 *
 * If it is a select's somebody else may claim it at any time.
 */
static inline struct waiter *waitq_peek(void **queue)
{
	struct waiter *w;

	while ((w = *queue)) {
		if (likely(!w->claim) || !__atomic_load_n(w->claim, __ATOMIC_RELAXED))
			break;
		waitq_del(queue, w);
	}
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

void word_wake(uint32_t *word);
bool word_wait(uint32_t *word, int64_t deadline);

/**
 * waiter_wake - let @w, which has been taken out and given its result, go on
 * @m: the M in a section, or NULL
 *
 * A goroutine runs next here, see ready(). Ends @w's life. No lock held that the
 * owner takes.
 */
static inline void waiter_wake(struct m *m, struct waiter *w)
{
	if (likely(w->g))
		ready(m, w->g);
	else
		word_wake(w->word);
}

/** waiter_wake_tail - the same; a goroutine is queued at the tail. */
static inline void waiter_wake_tail(struct m *m, struct waiter *w)
{
	if (likely(w->g))
		ready_tail(m, w->g);
	else
		word_wake(w->word);
}

struct m *waitq_park(struct m *m, struct rt_lock *lock, void **queue, struct waiter *w,
		     int64_t deadline, enum wait_reason why);
struct waiter *waitq_cut(void **queue);
void waitq_wake(struct m *m, struct waiter *list, int result);
void waitq_hand_over(struct m *m, struct waiter *list);

#endif /* GS_WAITQ_H */
