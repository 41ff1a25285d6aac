/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* trace.h: recording of scheduling events. */
#ifndef GS_TRACE_H
#define GS_TRACE_H

#include "p.h"

#define ATTN_TRACE	(1U << 18)	/* in attention: every step takes the slow path */

void trace_record(struct gsched_proc *p, struct g *g, enum g_state state,
		  enum wait_reason why);
void trace_procs(uint32_t from, uint32_t to);
void trace_states(void);
void trace_end(void);
void trace_reset(void);

/*
 * trace - @g is about to enter @state, if anybody wants to know
 *
 * In a section, by the P's owner; before @g->state says so.
 */
static inline void trace(struct gsched_proc *p, struct g *g, enum g_state state,
			 enum wait_reason why)
{
	if (unlikely(__atomic_load_n(&p_local(p)->traced, __ATOMIC_RELAXED)))
		trace_record(p, g, state, why);
}

#endif /* GS_TRACE_H */
