/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * p.h: the library's part of a P, in gsched_proc.user.
 *
 * "Owner" is the M that holds the P. What it alone touches needs no atomics: the
 * P passes from M to M through the backend, which orders memory.
 *
 * field        written by                     read by
 * countdown .. owner                          owner
 *  id_end
 * now          owner                          owner
 * trace,       trace.c                        owner
 *  traced
 * trace_busy   owner                          trace_stop
 * old_turn,    owner                          owner
 *  rescue,
 *  looked
 * thieves      thieves                        owner, see runq.c
 * timers       any, under its lock            any
 *
 * A P's page is born zeroed and may be given to an M at once: zero is a good value
 * for all of it.
 */
#ifndef GS_P_H
#define GS_P_H

#include "sched.h"

struct trace_ring;

/*
 * Two things that have only their number in common: an entry of the heap, which moves about
 * in it, and a place, which a timer has as long as it is queued. Each knows where the other
 * is. So moving entries touches this array alone: timers lie on as many stacks, and each that
 * were told where its entry is would cost a miss of the cache and of the TLB.
 */
struct timer_slot {
	int64_t when;			/* the entry's */
	uint32_t place;			/* the entry's timer has */
	uint32_t pos : 31;		/* of the entry of the place's timer */
	uint32_t periodic : 1;		/* the place's timer is */
	struct timer *t;		/* the place's */
};

/* The entries heap[nr .. places - 1] have the places that were used once and are free. */
struct timers {
	struct rt_lock lock;
	uint32_t nr;
	uint32_t places;
	uint32_t room;
	struct timer_slot *heap;	/* four children per entry */
};

struct p_local {
	uint32_t countdown;		/* steps to the next look around */
	uint32_t next_runs;		/* consecutive picks of runnext */
	uint32_t calm;			/* looks around that saw no thief */
	uint32_t nr_free;
	struct g *free;
	uint64_t id, id_end;		/* numbers for new Gs */
	struct trace_ring *trace;
	uint32_t trace_busy;
	uint32_t old_turn;		/* head + 1 after a G that has waited runs */
	uint32_t rescue;		/* the P to look at next */
	uint32_t now;			/* the time, see coarse.h, a while ago */
	uint32_t looked;		/* the same, of the last look for events */
	bool traced;			/* events are recorded, or times accounted */

	struct timers timers __attribute__((aligned(64)));

	uint32_t thieves __attribute__((aligned(64)));
};

_Static_assert(sizeof(struct p_local) <= GSCHED_PROC_USER, "p_local must fit");
_Static_assert(offsetof(struct gsched_proc, user) % 64 == 0, "p_local is aligned");

static inline struct p_local *p_local(struct gsched_proc *p)
{
	return (struct p_local *)(void *)p->user;
}

/* Ps 0 .. seen_procs() - 1 exist or did. */
static inline uint32_t seen_procs(void)
{
	return __atomic_load_n(&rt.seen_procs, __ATOMIC_ACQUIRE);
}

#endif /* GS_P_H */
