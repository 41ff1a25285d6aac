// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * waitgroup.c: wait groups.
 *
 * @state is the count, times WG_ONE, plus WG_WAITERS if somebody may wait. The
 * flag is set under the lock while the count is not 0; it is cleared together with
 * the count's fall to 0, which then happens under the lock, too. A wait that ended by
 * its deadline leaves the flag alone: a flag without waiters costs one lock. Those who
 * waited are out of the queue when the count is 0, so it may be used anew while they
 * are still waking up.
 *
 * A wait group usually lives on the stack of the one that waits, and is gone as
 * soon as the wait returns. Hence each way to zero has its last touch:
 *
 *   without the flag  the compare-and-swap to 0. A wait that begins afterwards
 *                     sees state == 0 and no lock, and returns.
 *   with the flag     the lock's release; waiters are made ready after it. A wait
 *                     that begins between the fall to 0 and the release sees the
 *                     lock held: it was taken before @state became 0 (release), and
 *                     @state is loaded first (acquire). So it takes the lock, too,
 *                     and thereby comes after the release.
 */
#include <errno.h>

#include "waitq.h"

#define WG_WAITERS	1ULL
#define WG_ONE		(1ULL << 32)

static struct rt_lock *wg_lock(gs_wg *wg)
{
	return (struct rt_lock *)&wg->lock;
}

static int32_t wg_count(uint64_t state)
{
	return (int32_t)(state >> 32);
}

static uint64_t wg_sum(uint64_t state, int n)
{
	state += (uint64_t)(int64_t)n * WG_ONE;
	if (wg_count(state) < 0)
		fatal("negative wait group counter");
	return state;
}

static bool wg_swap(gs_wg *wg, uint64_t *old, uint64_t new)
{
	return __atomic_compare_exchange_n(&wg->state, old, new, true, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/*
 * The count may fall to 0 while somebody waits. Until the caller's part is
 * subtracted it is not 0, so @wg still exists when the lock is taken.
 */
static __attribute__((noinline)) void wg_add_locked(gs_wg *wg, int n)
{
	struct waiter *list = NULL;
	struct m *m = sec_enter();
	uint64_t old, new;

	rt_lock(wg_lock(wg));
	old = __atomic_load_n(&wg->state, __ATOMIC_RELAXED);
	do {
		new = wg_sum(old, n);
		if (wg_count(new) == 0)
			new = 0;
	} while (!wg_swap(wg, &old, new));
	if (!new)
		list = waitq_cut(&wg->waiters);
	rt_unlock(wg_lock(wg));
	waitq_wake(m, list, 0);
	sec_leave(m);
}

void gs_wg_add(gs_wg *wg, int n)
{
	uint64_t old = __atomic_load_n(&wg->state, __ATOMIC_RELAXED), new;

	do {
		new = wg_sum(old, n);
		if (new == WG_WAITERS) {
			wg_add_locked(wg, n);
			return;
		}
	} while (!wg_swap(wg, &old, new));
}

void gs_wg_done(gs_wg *wg)
{
	gs_wg_add(wg, -1);
}

/* Raise the flag, unless the count is 0: then there is nothing to wait for. */
static bool wg_flag(gs_wg *wg)
{
	uint64_t old = __atomic_load_n(&wg->state, __ATOMIC_ACQUIRE);

	do {
		if (wg_count(old) == 0)
			return false;
	} while (!wg_swap(wg, &old, old | WG_WAITERS));
	return true;
}

static __attribute__((noinline)) int wg_wait(gs_wg *wg, int64_t deadline)
{
	struct waiter w = { .result = 0 };
	struct m *m = sec_enter();

	rt_lock(wg_lock(wg));
	if (wg_flag(wg)) {
		waitq_add(&wg->waiters, &w);
		m = waitq_park(m, wg_lock(wg), &wg->waiters, &w, deadline, WAIT_GROUP);
	} else {
		rt_unlock(wg_lock(wg));
	}
	sec_leave(m);
	return w.result;
}

int gs_wg_wait_until(gs_wg *wg, int64_t deadline)
{
	if (!__atomic_load_n(&wg->state, __ATOMIC_ACQUIRE) &&
	    !__atomic_load_n(&wg->lock, __ATOMIC_ACQUIRE))
		return 0;
	return wg_wait(wg, deadline);
}

int gs_wg_wait(gs_wg *wg)
{
	return gs_wg_wait_until(wg, NO_DEADLINE);
}
