// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * sem.c: semaphores.
 *
 * @permits is what can be taken. SEM_WAITERS in it, the sign bit, says that somebody
 * may wait: it makes the number negative, less than whatever anybody could want,
 * and so sends everybody to the lock. The bit is set and cleared under the lock; while
 * it is set the number changes under the lock only.
 *
 * Permits are handed over: they are taken out of @permits for a waiter before it is
 * woken. The first waiter gets as many as it wants before the second gets any, and
 * nobody takes some past the queue. (As golang.org/x/sync/semaphore.) If the first
 * gives up the next one may be satisfied with what there is: so giving up looks.
 *
 * A semaphore may be freed as soon as an acquire has returned that makes it known that
 * all permits have been given back, while the release that did so has not returned.
 * So release must not touch it any more from then on. Its last touch is
 *
 *   without the bit   the compare-and-swap that adds the permits
 *   with the bit      the lock's release. While the bit was set somebody was in an
 *                     acquire, and still is: its wait goes on, or it will be woken when
 *                     the lock has been released, or its wait has ended by itself and
 *                     it has yet to take the lock, to give up.
 */
#include <errno.h>

#include "waitq.h"

#define SEM_WAITERS	INT64_MIN
#define SEM_MAX		(INT64_MAX / 2)		/* so that a sum of two is a number */

static struct rt_lock *sem_lock(gs_sem *s)
{
	return (struct rt_lock *)&s->lock;
}

static int64_t sem_load(gs_sem *s)
{
	return __atomic_load_n(&s->permits, __ATOMIC_RELAXED);
}

static bool sem_swap(gs_sem *s, int64_t *old, int64_t new)
{
	return __atomic_compare_exchange_n(&s->permits, old, new, true, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/* A semaphore that began below zero shows up here: it is SEM_WAITERS and much else. */
static int64_t sem_number(gs_sem *s, int64_t permits)
{
	permits &= ~SEM_WAITERS;
	if (permits > SEM_MAX)
		fatal("semaphore %p has a bad number of permits", (void *)s);
	return permits;
}

static int64_t sem_sum(gs_sem *s, int64_t permits, int64_t n)
{
	if (n > SEM_MAX || permits > SEM_MAX - n)
		fatal("semaphore %p has too many permits", (void *)s);
	return permits + n;
}

static bool sem_take(gs_sem *s, int64_t n)
{
	int64_t old = sem_load(s);

	while (old >= n)
		if (sem_swap(s, &old, old - n))
			return true;
	return false;
}

/* Lock held. Take @n permits if nobody waits, else set the bit or leave it. */
static bool sem_take_locked(gs_sem *s, int64_t n, bool will_wait)
{
	int64_t old = sem_load(s), new;
	bool take;

	do {
		new = sem_number(s, old);
		take = !s->waiters && new >= n;
		if (take)
			new -= n;
		else if (s->waiters || will_wait)
			new |= SEM_WAITERS;
	} while (!sem_swap(s, &old, new));
	return take;
}

/*
 * Add @more and serve the queue. Lock held, the bit set; clears it if nobody waits any
 * more. Return: those who have got their permits, for waitq_hand_over.
 */
static struct waiter *sem_grant(gs_sem *s, int64_t more)
{
	int64_t permits = sem_sum(s, sem_number(s, sem_load(s)), more), n;
	struct waiter *list = NULL, **end = &list, *w;

	while ((w = s->waiters)) {
		n = *(int64_t *)w->data;
		if (n > permits)
			break;
		permits -= n;
		waitq_del(&s->waiters, w);
		*end = w;
		end = &w->prev;
	}
	*end = NULL;
	if (s->waiters)
		permits |= SEM_WAITERS;
	__atomic_store_n(&s->permits, permits, __ATOMIC_RELEASE);
	return list;
}

/* A wait has ended by itself. The bit is not set if somebody else has tidied up. */
static void sem_give_up(struct m *m, gs_sem *s)
{
	struct waiter *list = NULL;

	rt_lock(sem_lock(s));
	if (sem_load(s) < 0)
		list = sem_grant(s, 0);
	rt_unlock(sem_lock(s));
	waitq_hand_over(m, list);
}

static __attribute__((noinline)) int sem_wait(gs_sem *s, int64_t n, int64_t deadline)
{
	struct waiter w = { .data = &n };
	struct m *m = sec_enter();

	rt_lock(sem_lock(s));
	if (sem_take_locked(s, n, true)) {
		rt_unlock(sem_lock(s));
	} else {
		waitq_add(&s->waiters, &w);
		m = waitq_park(m, sem_lock(s), &s->waiters, &w, deadline, WAIT_SEM);
		if (w.result)
			sem_give_up(m, s);
	}
	sec_leave(m);
	return w.result;
}

int gs_sem_acquire_until(gs_sem *s, int64_t n, int64_t deadline)
{
	if (n < 0)
		return -EINVAL;
	return sem_take(s, n) ? 0 : sem_wait(s, n, deadline);
}

int gs_sem_acquire(gs_sem *s, int64_t n)
{
	return gs_sem_acquire_until(s, n, NO_DEADLINE);
}

static bool sem_try_locked(gs_sem *s, int64_t n)
{
	struct m *m = sec_enter();
	bool taken;

	rt_lock(sem_lock(s));
	taken = sem_take_locked(s, n, false);
	rt_unlock(sem_lock(s));
	sec_leave(m);
	return taken;
}

int gs_sem_try_acquire(gs_sem *s, int64_t n)
{
	if (n < 0)
		return -EINVAL;
	if (sem_take(s, n))
		return 0;
	return sem_load(s) < 0 && sem_try_locked(s, n) ? 0 : -EAGAIN;
}

/* Return: false: nothing has been done, the bit is not set. */
static bool sem_release_locked(gs_sem *s, int64_t n)
{
	struct waiter *list = NULL;
	struct m *m = sec_enter();
	bool waiters;

	rt_lock(sem_lock(s));
	waiters = sem_load(s) < 0;
	if (waiters)
		list = sem_grant(s, n);
	rt_unlock(sem_lock(s));
	waitq_hand_over(m, list);
	sec_leave(m);
	return waiters;
}

static bool sem_put(gs_sem *s, int64_t n)
{
	int64_t old = sem_load(s);

	while (old >= 0)
		if (sem_swap(s, &old, sem_sum(s, old, n)))
			return true;
	return false;
}

static __attribute__((noinline)) void sem_release(gs_sem *s, int64_t n)
{
	while (!sem_release_locked(s, n) && !sem_put(s, n))
		;
}

void gs_sem_release(gs_sem *s, int64_t n)
{
	if (n < 0)
		fatal("release of %lld permits of semaphore %p", (long long)n, (void *)s);
	if (!sem_put(s, n))
		sem_release(s, n);
}
