// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * mutex.c: mutexes.
 *
 * @state tells everything; the queue and its lock serve those who wait.
 *
 *   LOCKED    somebody holds the mutex
 *   WAITERS   the queue may hold waiters. Set under the lock and while LOCKED;
 *             cleared under the lock
 *   WOKEN     a waiter was taken out and told to try again: until it has locked, or
 *             queued, or given up, an unlock wakes nobody else
 *   STARVING  the first waiter has lost for 1 ms: unlock hands the mutex over, LOCKED
 *             stays set and nobody may barge in. Never together with WOKEN
 *
 * Normally a newcomer may take the mutex before the waiter that was woken: it runs
 * already, so the mutex does not idle for the time of a wake-up. That is
 * unfair, and STARVING bounds it. (The rules are those of Go's sync.Mutex.)
 *
 * Nobody is forgotten: who gives LOCKED up takes a waiter out first or has seen, in
 * the same compare-and-swap, that there is none or that one is WOKEN. A woken one that
 * gives up clears WOKEN by a compare-and-swap that sees LOCKED, so that the
 * holder's unlock comes after it and looks at WAITERS.
 *
 * The next owner may free the mutex at once. So unlock's last touch is what lets
 * it in: the compare-and-swap that clears LOCKED, after the lock's release, or
 * waking the one to which the mutex is handed over.
 */
#include <errno.h>

#include "mutex.h"
#include "waitq.h"

#define MUTEX_LOCKED	(1U << 0)
#define MUTEX_WAITERS	(1U << 1)
#define MUTEX_WOKEN	(1U << 2)
#define MUTEX_STARVING	(1U << 3)

#define STARVING_NS	1000000

/* waiter.result */
#define GOT_TURN	0		/* try again */
#define GOT_MUTEX	1

struct mutex_waiter {
	struct waiter w;	/* first */
	int64_t since;		/* when it queued first, 0: not yet */
};

static struct rt_lock *mutex_lock_of(gs_mutex *mx)
{
	return (struct rt_lock *)&mx->lock;
}

static bool mutex_swap(gs_mutex *mx, uint32_t *old, uint32_t new)
{
	return __atomic_compare_exchange_n(&mx->state, old, new, true, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

static void mutex_clear(gs_mutex *mx, uint32_t bits)
{
	__atomic_fetch_and(&mx->state, ~bits, __ATOMIC_RELAXED);
}

static bool mutex_try(gs_mutex *mx)
{
	uint32_t old = 0;

	do {
		if (mutex_swap(mx, &old, old | MUTEX_LOCKED))
			return true;
	} while (!(old & MUTEX_LOCKED));
	return false;
}

int gs_mutex_trylock(gs_mutex *mx)
{
	return mutex_try(mx) ? 0 : -EBUSY;
}

/*
 * Lock, or leave @set in a locked mutex's state and take @clear out of it. Return:
 * whether it was locked by the caller.
 */
static bool mutex_try_or(gs_mutex *mx, uint32_t set, uint32_t clear)
{
	uint32_t old = __atomic_load_n(&mx->state, __ATOMIC_RELAXED), new;

	do {
		if (old & MUTEX_LOCKED)
			new = (old | set) & ~clear;
		else
			new = (old | MUTEX_LOCKED) & ~clear;
	} while (!mutex_swap(mx, &old, new));
	return !(old & MUTEX_LOCKED);
}

/* The deadline ended the wait; its timer does not know of @state. */
static void mutex_give_up(gs_mutex *mx)
{
	struct m *m = sec_enter();

	rt_lock(mutex_lock_of(mx));
	if (!mx->waiters)
		mutex_clear(mx, MUTEX_WAITERS | MUTEX_STARVING);
	rt_unlock(mutex_lock_of(mx));
	sec_leave(m);
}

/*
 * Queue and park once, or lock. A waiter that was woken and lost goes to the front
 * again. Return: GOT_MUTEX, GOT_TURN, or -errno.
 */
static int mutex_wait(gs_mutex *mx, struct mutex_waiter *mw, int64_t deadline)
{
	uint32_t set = MUTEX_WAITERS, clear = 0;
	struct m *m = sec_enter();
	int64_t now = gs_now();

	if (mw->since) {
		clear = MUTEX_WOKEN;
		if (now - mw->since > STARVING_NS)
			set |= MUTEX_STARVING;
	}
	rt_lock(mutex_lock_of(mx));
	if (mutex_try_or(mx, set, clear)) {
		rt_unlock(mutex_lock_of(mx));
		sec_leave(m);
		return GOT_MUTEX;
	}
	if (mw->since) {
		waitq_push(&mx->waiters, &mw->w);
	} else {
		mw->since = now;
		waitq_add(&mx->waiters, &mw->w);
	}
	m = waitq_park(m, mutex_lock_of(mx), &mx->waiters, &mw->w, deadline, WAIT_MUTEX);
	sec_leave(m);
	return mw->w.result;
}

/* Out of line: what it puts on the stack would cost those who need not wait. */
static __attribute__((noinline)) int mutex_lock(gs_mutex *mx, int64_t deadline, bool shield)
{
	struct mutex_waiter mw = { .w.shield = shield };
	int ret;

	do {
		ret = mutex_wait(mx, &mw, deadline);
	} while (ret == GOT_TURN);
	if (ret == GOT_MUTEX)
		return 0;
	mutex_give_up(mx);
	return ret;
}

int gs_mutex_lock_until(gs_mutex *mx, int64_t deadline)
{
	return mutex_try(mx) ? 0 : mutex_lock(mx, deadline, false);
}

void gs_mutex_lock(gs_mutex *mx)
{
	if (!mutex_try(mx))
		mutex_lock(mx, NO_DEADLINE, true);
}

/* Whether the mutex goes straight to @mw, which has been taken out of the queue. */
static bool mutex_starves(gs_mutex *mx, struct mutex_waiter *mw)
{
	bool starves = __atomic_load_n(&mx->state, __ATOMIC_RELAXED) & MUTEX_STARVING;

	if (!mx->waiters)
		mutex_clear(mx, MUTEX_WAITERS | MUTEX_STARVING);
	else if (starves && gs_now() - mw->since < STARVING_NS)
		mutex_clear(mx, MUTEX_STARVING);
	return starves;
}

/* Unlock in favour of the first waiter. Return: false: there was none. */
static __attribute__((noinline)) bool mutex_pass(struct m *m, gs_mutex *mx)
{
	struct mutex_waiter *mw;
	bool starves = false;

	rt_lock(mutex_lock_of(mx));
	mw = (struct mutex_waiter *)waitq_pop(&mx->waiters);
	if (!mw) {
		mutex_clear(mx, MUTEX_WAITERS | MUTEX_STARVING);
	} else {
		starves = mutex_starves(mx, mw);
		mw->w.result = starves ? GOT_MUTEX : GOT_TURN;
		if (!starves)
			__atomic_fetch_or(&mx->state, MUTEX_WOKEN, __ATOMIC_RELAXED);
	}
	rt_unlock(mutex_lock_of(mx));

	if (mw && !starves)
		__atomic_fetch_and(&mx->state, ~MUTEX_LOCKED, __ATOMIC_RELEASE);
	if (mw)
		waiter_wake(m, &mw->w);
	return mw;
}

/* Unlock, unless a waiter has to be woken. Return: whether it is unlocked. */
static bool mutex_release(gs_mutex *mx)
{
	uint32_t old = MUTEX_LOCKED;

	do {
		if (!(old & MUTEX_LOCKED))
			fatal("unlock of unlocked mutex %p", (void *)mx);
		if ((old & MUTEX_WAITERS) && !(old & MUTEX_WOKEN))
			return false;
	} while (!mutex_swap(mx, &old, old & ~MUTEX_LOCKED));
	return true;
}

/**
 * mutex_unlock - gs_mutex_unlock in a section
 * @m:  the M, or NULL
 * @mx: the mutex
 */
void mutex_unlock(struct m *m, gs_mutex *mx)
{
	while (!mutex_release(mx) && !mutex_pass(m, mx))
		;
}

void gs_mutex_unlock(gs_mutex *mx)
{
	struct m *m;

	if (mutex_release(mx))
		return;
	m = sec_enter();
	mutex_unlock(m, mx);
	sec_leave(m);
}
