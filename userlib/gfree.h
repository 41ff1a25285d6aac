/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* gfree.h: dead Gs, waiting for their next life. */
#ifndef GS_GFREE_H
#define GS_GFREE_H

#include "p.h"

struct g *gfree_get(struct m *m);
struct g *g_get(void);
void gfree_put(struct m *m, struct g *g);
void gfree_empty(struct m *m);
bool gfree_untrimmed(void);
bool gfree_trim(void);
uint32_t gfree_count(void);
void gfree_reset(void);

#endif /* GS_GFREE_H */
