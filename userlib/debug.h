/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* debug.h: what GSCHED_DEBUG says. */
#ifndef GS_DEBUG_H
#define GS_DEBUG_H

#include <stdint.h>

struct settings {
	uint32_t setup_flags;		/* GSCHED_SETUP_* */
	uint32_t max_ms;
	uint32_t leave_ms;		/* 0: never */
	uint32_t sigquit, leaks;	/* 0 or 1 */
	uint64_t slice_ns, min_run_ns;	/* 0: the kernel's own */
	uint32_t schedtrace_ms;		/* 0: no */
	uint32_t scheddetail;
	uint32_t profile;
};

/* Written before the runtime starts. */
extern struct settings settings;

int settings_read(void);

#endif /* GS_DEBUG_H */
