/* SPDX-License-Identifier: GPL-2.0 */
/* measure_gs.h: what the library's benchmarks share. */
#ifndef MEASURE_GS_H
#define MEASURE_GS_H

#include "measure.h"

#include <gsched.h>

/* gs_main() with as many Ps as the command line says. */
static inline int gs_bench(int (*fn)(int, char **), int argc, char **argv)
{
	char procs[16];

	snprintf(procs, sizeof(procs), "%d", arg_procs(argc, argv));
	need(!setenv("GSCHED_MAXPROCS", procs, 1));
	return gs_main(fn, argc, argv);
}

static inline void gs_report(const char *bench, long ops, double ns, const char *more)
{
	char all[256];

	snprintf(all, sizeof(all), "backend=%s%s%s", gs_backend(), more ? " " : "",
		 more ? more : "");
	report(bench, "gsched", gs_set_maxprocs(0), ops, ns, all);
}

#endif /* MEASURE_GS_H */
