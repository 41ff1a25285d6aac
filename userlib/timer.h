/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* timer.h: what the scheduler needs of the timers. */
#ifndef GS_TIMER_H
#define GS_TIMER_H

#include "p.h"

int64_t timers_next(void);
uint32_t timers_count(struct gsched_proc *p);
bool timers_run(struct m *m, struct gsched_proc *p, int64_t *now);
bool timers_run_all(struct m *m);
int timers_move(struct gsched_proc *from, struct gsched_proc *to);
void timers_end(void);
void timers_reset(void);
bool timers_overslept(void);
int64_t timers_sleep_until(void);
void timers_sleep_begin(int64_t deadline);
void timers_sleep_over(void);
void timers_sleep_end(int64_t deadline);

#endif /* GS_TIMER_H */
