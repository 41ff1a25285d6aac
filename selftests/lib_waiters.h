/* SPDX-License-Identifier: GPL-2.0 */
/* lib_waiters.h: who waits in a queue of the library's. */
#ifndef LIB_WAITERS_H
#define LIB_WAITERS_H

#include "lib_check.h"

#include "../userlib/chan.h"

/* How many stand in @queue, which @lock protects. */
static inline int waiters_in(struct rt_lock *lock, void **queue)
{
	struct m *m = sec_enter();
	struct waiter *first, *w;
	int n = 0;

	rt_lock(lock);
	first = *queue;
	for (w = first; w; w = w->next == first ? NULL : w->next)
		n++;
	rt_unlock(lock);
	sec_leave(m);
	return n;
}

/* How many wait at @c to do what @dir says. */
static inline int chan_waiters(gs_chan *c, int dir)
{
	return waiters_in(&c->lock, dir == GS_SEND ? &c->senders : &c->receivers);
}

/* until_waiting - come back when @n wait at @c to do what @dir says. Goroutine context. */
static inline void until_waiting(gs_chan *c, int dir, int n)
{
	while (chan_waiters(c, dir) != n)
		gs_sleep(MS / 10);
}

#endif /* LIB_WAITERS_H */
