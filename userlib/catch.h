/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * catch.h: C++ exceptions that are being handled while their goroutine waits.
 *
 * The C++ runtime keeps, for each thread, the exceptions that have been caught and not
 * left yet, and how many are on their way. They are the goroutine's: it takes them with
 * it when it leaves its M (catch_leave) and finds them where it goes on (catch_arrive).
 * On an M's own stack there are none.
 *
 * Mostly there is nothing to take, so that a switch looks at one word of the M, and in a
 * C++ program at one of the thread and one of each G besides.
 *
 * The reference is weak: a program without C++ does not get any from us. One that loads
 * C++ by dlopen() only has none either, as far as the library sees.
 */
#ifndef GS_CATCH_H
#define GS_CATCH_H

#include "m.h"
#include "sched.h"

struct caught *__cxa_get_globals(void) __attribute__((weak));

/* On the thread that @m is to be. */
static inline void catch_init(struct m *m)
{
	m->caught = __cxa_get_globals ? __cxa_get_globals() : NULL;
}

static inline void catch_leave(struct m *m, struct g *g)
{
	if (likely(!m->caught) || likely(!m->caught->exceptions && !m->caught->uncaught))
		return;
	g->caught = *m->caught;
	g->has_caught = true;
	*m->caught = (struct caught){ 0 };
}

static inline void catch_arrive(struct m *m, struct g *g)
{
	if (likely(!g->has_caught))
		return;
	*m->caught = g->caught;
	g->has_caught = false;
}

#endif /* GS_CATCH_H */
