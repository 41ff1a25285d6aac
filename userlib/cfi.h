/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* cfi.h: from a function's registers to its caller's. */
#ifndef GS_CFI_H
#define GS_CFI_H

#include <stdbool.h>

#include "regs_x86_64.h"

/* What may be read: all words from @lo to below @hi. */
struct cfi_memory {
	uintptr_t lo, hi;
	bool (*read)(const struct cfi_memory *memory, uintptr_t addr, uintptr_t *value);
};

enum cfi_result {
	CFI_CALL,		/* @regs are the caller's, and its pc is a return address */
	CFI_SIGNAL,		/* .. are those of code that a signal has interrupted */
	CFI_END,		/* there is no caller */
	CFI_UNKNOWN,		/* nothing tells, or it makes no sense */
};

enum cfi_result cfi_step(struct regs *regs, bool exact, const struct cfi_memory *memory);

#endif /* GS_CFI_H */
