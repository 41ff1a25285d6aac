/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* profile.h: where goroutines' time goes. */
#ifndef GS_PROFILE_H
#define GS_PROFILE_H

#include "sched.h"

extern uint32_t profile_run;

void profile_record(struct g *g, enum g_state to);
void profile_env(void);
void profile_end(void);
void profile_reset(void);

/** profiling - are times accounted? */
static inline bool profiling(void)
{
	return __atomic_load_n(&profile_run, __ATOMIC_RELAXED);
}

/**
 * profile - @g is about to enter the state @to
 *
 * Before @g->state says so; by whoever has @g in hand: the M that runs it, or who makes
 * it ready.
 */
static inline void profile(struct g *g, enum g_state to)
{
	if (unlikely(profiling()))
		profile_record(g, to);
}

#endif /* GS_PROFILE_H */
