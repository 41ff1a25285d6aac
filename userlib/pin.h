/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * pin.h: goroutines that stay on their thread, alone: gs_lock_thread().
 *
 * A pinned G is in no run queue, and never leaves its stack: while it waits its thread
 * sleeps on @word. pin.c says how.
 *
 * field        written by                          read by
 * g->pinned    the G                               who makes it ready
 * word         the G, who makes it ready, the      the same
 *              runtime's end; RMW
 * depth        the G                               the G
 * next, prev   under pin.c's lock                  the same
 */
#ifndef GS_PIN_H
#define GS_PIN_H

#include "sched.h"

struct m *pin_park(struct m *m, bool (*commit)(struct g *g, void *arg), void *arg);
struct m *pin_yield(struct m *m);
void pin_ready(struct g *g);
void pin_end(struct m *m, struct g *g);
void pins_stop(void);
void pins_reset(void);
void pin_for_ever(struct g *g);

#endif /* GS_PIN_H */
