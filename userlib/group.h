/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* group.h: goroutines that belong to a group, and how their waits are ended. */
#ifndef GS_GROUP_H
#define GS_GROUP_H

#include "sched.h"

/*
 * A member is at the bottom of its goroutine's stack, from birth to death.
 *
 * field        written by                              under
 * next, pprev  whoever adds, cancels, removes it       the group's lock
 * busy         1: a canceller, who thereby keeps the   the group's lock
 *              member from ending; 0: he, when done
 * cancelled    a canceller, once                       @lock; its own G reads it
 * end, arg     its own G, around each wait             @lock; a canceller reads them
 * shield       its own G                               -
 */
struct member {
	gs_group *group;
	int (*fn)(void *arg);
	void *fn_arg;
	struct member *next, **pprev;
	struct rt_lock lock;
	uint32_t busy;
	bool cancelled;
	bool shield;
	void (*end)(struct m *m, void *arg);
	void *arg;
} __attribute__((aligned(16)));

/* member_place - of a goroutine that is in a group; its frames begin below. */
static inline struct member *member_place(const struct g *g)
{
	return (struct member *)g - 1;
}

struct m *member_leave(struct m *m, struct g *g);
bool member_begin(struct member *mb, void (*end)(struct m *m, void *arg), void *arg);
void member_end(struct member *mb);

/**
 * cancel_begin - the calling goroutine is about to wait
 * @g:   it
 * @end: ends the wait if the goroutine is cancelled. Called in a section, by any
 *       thread, without locks; perhaps before the goroutine has parked, perhaps after
 *       somebody else has ended the wait. @m is NULL on a thread that is no M
 * @arg: passed to it; must be good until cancel_end() has returned
 *
 * In a section; the object's lock may be held. Return: false: it has been cancelled
 * already and shall not wait; then there is no cancel_end().
 */
static inline bool cancel_begin(struct g *g, void (*end)(struct m *m, void *arg), void *arg)
{
	return likely(!g->member) || member_begin(g->member, end, arg);
}

/**
 * cancel_end - the wait is over
 *
 * Waits for an @end that runs: no lock held that it takes. In a section.
 */
static inline void cancel_end(struct g *g)
{
	if (unlikely(g->member))
		member_end(g->member);
}

#endif /* GS_GROUP_H */
