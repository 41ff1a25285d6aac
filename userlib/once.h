/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* once.h: of gs_once, what the end of a goroutine needs. */
#ifndef GS_ONCE_H
#define GS_ONCE_H

#include "sched.h"

void once_abandon(struct m *m, struct g *g);

#endif /* GS_ONCE_H */
