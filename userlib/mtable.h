/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* mtable.h: all Ms by number, for those who look at them from outside. */
#ifndef GS_MTABLE_H
#define GS_MTABLE_H

#include <sys/types.h>

#include "proc.h"

void mtable_add(struct m *m);
void mtable_del(struct m *m);
void mtable_reset(void);
uint32_t mtable_size(void);
pid_t mtable_tid(uint32_t id);
struct g *mtable_g(uint32_t id);
uint32_t mtable_proc(uint32_t id);

int64_t mtable_cpu(uint32_t id);
void mtable_mark(void);
int64_t mtable_marked(uint32_t id);

#endif /* GS_MTABLE_H */
