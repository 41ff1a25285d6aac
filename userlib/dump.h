/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* dump.h: what goroutines do, for people. */
#ifndef GS_DUMP_H
#define GS_DUMP_H

#include <stdint.h>

struct regs;

uint64_t g_count(void);

int dump_all(int fd, struct regs *self);
void dump_here(int fd, struct regs *regs);
void leaks_report(void);

#endif /* GS_DUMP_H */
