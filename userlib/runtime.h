/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* runtime.h: start and stop: runtime.c, spawner.c. */
#ifndef GS_RUNTIME_H
#define GS_RUNTIME_H

#include "proc.h"

int m_spawn(void);
void spawner_run(void);
bool ms_gone(int64_t wait);
bool runtime_enter(void);
void runtime_leave(void);

#endif /* GS_RUNTIME_H */
