/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* mutex.h: of a mutex, what a condition needs. */
#ifndef GS_MUTEX_H
#define GS_MUTEX_H

#include "sched.h"

void mutex_unlock(struct m *m, gs_mutex *mx);

#endif /* GS_MUTEX_H */
