/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* global.h: the run queue that all Ps share. */
#ifndef GS_GLOBAL_H
#define GS_GLOBAL_H

#include "p.h"

/* Gs linked by their next, first to last. */
struct g_list {
	struct g *first, *last;
	uint32_t n;
};

static inline void g_list_add(struct g_list *l, struct g *g)
{
	g->next = NULL;
	if (l->first)
		l->last->next = g;
	else
		l->first = g;
	l->last = g;
	l->n++;
}

static inline uint32_t global_len(void)
{
	return __atomic_load_n(&rt.shared->global_len, __ATOMIC_ACQUIRE);
}

void global_put(struct g_list *l);
struct g *global_take(struct m *m, uint32_t most);
bool global_fill(struct m *m, uint32_t most);
void global_reset(void);

#endif /* GS_GLOBAL_H */
