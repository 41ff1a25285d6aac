/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* watch.h: the thread that looks at what changes slowly. */
#ifndef GS_WATCH_H
#define GS_WATCH_H

#include "sched.h"

enum watch_state {
	WATCH_NONE,		/* there is no such thread */
	WATCH_AWAKE,		/* it will look by itself, or need not */
	WATCH_IDLE,		/* all Ps are idle: it sleeps until an M has something to do */
	WATCH_STOP,		/* it is to end */
};

extern uint32_t watch_state;

int watch_start(void);
void watch_stop(void);
void watch_reset(void);
uint32_t watch_threads(void);
void watch_wake(void);

/** watch_work - an M has been woken up: there is something to do. */
static inline void watch_work(void)
{
	if (unlikely(__atomic_load_n(&watch_state, __ATOMIC_RELAXED) == WATCH_IDLE))
		watch_wake();
}

#endif /* GS_WATCH_H */
