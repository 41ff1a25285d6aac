/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A memory cgroup for a test's children. The test itself stays outside, lest the OOM
 * killer take it, but for a moment in which it measures what it is charged.
 */
#ifndef KMOD_CGROUP_H
#define KMOD_CGROUP_H

#include "kmod.h"

#define MIB	(1024L * 1024)

/* The harness's exit status for a skipped test: returning from setup runs it. */
#define SKIPPED	255

#define CGROUP_ROOT	"/sys/fs/cgroup"
#define CGROUP		CGROUP_ROOT "/kmod_test"

/* False if there is no cgroup2 with the memory controller. */
static inline bool cgroup_make(void)
{
	int fd = open(CGROUP_ROOT "/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	bool on = fd >= 0 && write(fd, "+memory", 7) == 7;

	close(fd);
	return on && (mkdir(CGROUP, 0755) == 0 || errno == EEXIST);
}

static inline void cgroup_limit(long bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", bytes);
	write_file(CGROUP "/memory.max", text);
}

static inline void cgroup_enter(void)
{
	write_file(CGROUP "/cgroup.procs", "0");
}

/* Counters lag behind by some pages per CPU. */
#define SLACK	(2 * MIB)

static inline long cgroup_current(void)
{
	long value = -1;
	FILE *f = fopen(CGROUP "/memory.current", "re");

	must(f);
	must(fscanf(f, "%ld", &value) == 1);
	fclose(f);
	return value;
}

#endif /* KMOD_CGROUP_H */
