/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* cgroup.h: how much CPU time the process's control groups grant it. */
#ifndef GS_CGROUP_H
#define GS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/* @quota microseconds of CPU time in every @period. */
struct cpu_limit {
	uint32_t quota, period;
	const char *file;		/* the kind of file that says so */
};

/* Stands before every path that is opened: tests have a tree of their own. */
extern const char *cgroup_root;

bool cgroup_cpu_limit(struct cpu_limit *limit);
void cgroup_reset(void);

#endif /* GS_CGROUP_H */
