// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints' code, and the delay points' parameter.
 */
#include <linux/moduleparam.h>

#include "delay.h"
#include "gsched.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

#ifdef GSCHED_DELAYS
unsigned int gs_delays[GS_NR_DELAYS];
module_param_array_named(delays, gs_delays, uint, NULL, 0644);
MODULE_PARM_DESC(delays, "ns to wait at each delay point, see delay.h");
#endif
