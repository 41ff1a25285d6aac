/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* schedtrace.h: GSCHED_DEBUG=schedtrace: the scheduler's state on standard error. */
#ifndef GS_SCHEDTRACE_H
#define GS_SCHEDTRACE_H

#include <stdbool.h>
#include <stdint.h>

void schedtrace(int64_t since_start, bool detail);

#endif /* GS_SCHEDTRACE_H */
