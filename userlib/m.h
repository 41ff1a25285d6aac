/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * m.h: a thread that runs goroutines, and the sections in which it holds on to
 * its P.
 *
 * All of struct m is the thread's own.
 */
#ifndef GS_M_H
#define GS_M_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/gsched.h>

#include "g.h"

struct m {
	struct gsched_m *shared;

	/*
	 * What the G that was left is waiting for, done by whoever runs next on
	 * this M: NULL means put it at the queue's tail.
	 */
	struct g *left;
	bool (*commit)(struct g *g, void *arg);
	void *commit_arg;

	struct arch_ctx g0;		/* the thread's own stack */
	struct san_ctx g0_san;
	struct caught *caught;		/* the thread's; NULL: there is no C++ */
	bool spinning;			/* counts in shared->nr_spinning */
	bool leaving;			/* has no P and gets none: is to end */
	bool took_over;			/* its P was taken from another M */
	uint32_t linger_skip;		/* how often it idles at once, see linger() */
	uint32_t linger_vain;
	uint32_t rand;
	uint32_t id;			/* the backend's */
} __attribute__((aligned(64)));

static inline struct m *m_self(void)
{
	return arch_m();
}

/* The G that @m runs, NULL while it is on its own stack. */
static inline struct g *m_g(struct m *m)
{
	return (struct g *)(uintptr_t)__atomic_load_n(&m->shared->cookie, __ATOMIC_RELAXED);
}

static inline void m_set_g(struct m *m, struct g *g)
{
	__atomic_store_n(&m->shared->cookie, (uintptr_t)g, __ATOMIC_RELAXED);
}

#endif /* GS_M_H */
