/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* cpus.h: how many Ps there are, and why. */
#ifndef GS_CPUS_H
#define GS_CPUS_H

#include <stdbool.h>
#include <stdint.h>

uint32_t cpus_start(void);
void cpus_started(void);
void cpus_update(void);
bool cpus_follow(void);
uint32_t cpus_procs(const char **reason);
void cpus_reset(void);

#endif /* GS_CPUS_H */
