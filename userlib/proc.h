/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* proc.h: the scheduler's inner seams: proc.c, find.c, runtime.c. */
#ifndef GS_PROC_H
#define GS_PROC_H

#include "global.h"
#include "runq.h"
#include "trace.h"

#define LOOK_AROUND	61		/* steps between looks at the rest of the world */

/* may_alias: the kernel, and the portable backend, write the halves. */
typedef uint64_t __attribute__((may_alias)) nr_idle_and_blocked;

/* p_available - is any P idle, or can be taken from an owner that is blocked? */
static inline bool p_available(void)
{
	return __atomic_load_n((nr_idle_and_blocked *)&rt.shared->nr_idle, __ATOMIC_RELAXED);
}

/*
 * alone - does the calling M, which has a P, hold the only one that is in use?
 *
 * Then nobody has pushed what the caller cannot see yet: who gave his P up did so with the
 * barrier that the caller's load meets, and nobody else pushes without one. And who takes an
 * idle P from now on sees what the caller stored before this, if a full barrier is between:
 *
 *   the caller                         who takes a P
 *   store                              store nr_idle, one less
 *   full barrier                       full barrier, in the backend
 *   load nr_idle                       load
 *
 * Loaded in this order: a new P counts in nr_procs before it is idle. One whose number has
 * gone counts in seen_procs(), as its owner may not know yet.
 */
static inline bool alone(void)
{
	uint32_t idle = __atomic_load_n(&rt.shared->nr_idle, __ATOMIC_SEQ_CST);
	uint32_t procs = __atomic_load_n(&rt.shared->nr_procs, __ATOMIC_ACQUIRE);
	uint32_t seen = seen_procs();

	return idle + 1 == (procs > seen ? procs : seen);
}

/* unwatched - an M is wanted to wait for events and timers: a P is idle, and none does. */
static inline bool unwatched(void)
{
	return rt.backend->unwatched && rt.backend->unwatched();
}

/* tick_stopped - would nobody notice soon if a G computed for long? */
static inline bool tick_stopped(void)
{
	return !__atomic_load_n(&rt.shared->tick_on, __ATOMIC_RELAXED);
}

_Static_assert(offsetof(struct gsched_shared, nr_idle) % 8 == 0 &&
	       offsetof(struct gsched_shared, nr_blocked) ==
	       offsetof(struct gsched_shared, nr_idle) + 4, "both are loaded at once");

/* proc.c */
void g_init(struct m *m, struct g *g, void (*fn)(void *), void *arg);
void g_ids_reset(void);
void m_schedule(struct m *m);
void m_leave(struct m *m) __attribute__((noreturn));
void wake_idle(void);
bool ready_begin(struct m *m, struct g *g);
void start_tick(struct m *m);

/* find.c */
struct g *pick_slow(struct m *m);
struct g *find_runnable(struct m *m);
bool any_work(void);
bool others_wait(struct m *m);
void p_let_go(struct m *m);
void m_idle(struct m *m);

/* inbox.c */
void inbox_drain(struct m *m, struct gsched_proc *from);
void inbox_to_global(struct m *m, struct gsched_proc *from);
void inbox_push(struct gsched_proc *p, uint32_t node, struct g *g);

/* deadlock.c */
int64_t idle_begin(void);
void idle_end(void);
void idle_left(void);
uint32_t idle_count(void);
void idle_reset(void);
const char *state_name(enum g_state state);
const char *why_name(enum wait_reason why);

/* runtime.c */
bool runtime_runs(void);
void procs_stop(uint32_t from, uint32_t to);
extern uint32_t rt_nr_ms;
extern uint32_t rt_epoch;
uintptr_t g_entry(struct g *g);
void exit_outside(void) __attribute__((noreturn));

#endif /* GS_PROC_H */
