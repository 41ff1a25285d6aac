/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs of the soak test share.
 *
 * struct worker   a process that uses the module, and its words in memory that the
 *                 driver (soak.c), the disturbers (disturb.c) and it share. Made by the
 *                 driver, once for all; a slot's process is replaced when it ends.
 * struct lane     one thing that a worker does for ever, and checks. Its steps tell the
 *                 driver that it goes on.
 *
 * field            written by                read by
 * w->pid           driver                    disturbers: a process that has ended is a
 *                                            zombie until the driver has written 0
 * w->stop          driver                    worker: end, everything should be in order
 * w->deaths        driver, disturbers, the   driver: signals by which it may have died, by
 *                  worker itself, before     number; they add up during a round
 * w->squeezed      disturbers, before        driver: it may have failed for want of memory
 * w->nr_lanes      worker                    driver
 * lane.steps       worker                    driver
 */
#ifndef SOAK_H
#define SOAK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "../clock.h"
#include "../random.h"

#define SOAK_WORKERS	4
#define SOAK_LANES	24
#define SOAK_FD		3	/* the shared memory, in a worker */

/* A worker's exit status: there was not enough memory to begin. */
#define SOAK_NO_MEMORY	75

struct lane {
	char name[24];
	uint64_t steps;
};

struct worker {
	int32_t pid;
	uint32_t stop;
	uint64_t deaths;
	uint32_t squeezed;
	uint32_t nr_lanes;
	struct lane lanes[SOAK_LANES];
};

struct soak {
	uint32_t calm;		/* disturbers: come to an end */
	struct worker workers[SOAK_WORKERS];
};

#define soak_must(cond) do {							\
	if (!(cond)) {								\
		fprintf(stderr, "# %s:%d: %s: must be: %s (errno %d)\n",	\
			__FILE__, __LINE__, __func__, #cond, errno);		\
		abort();							\
	}									\
} while (0)

/* The same about a call's result, which is told. */
#define soak_result(result, cond) do {						\
	if (!(cond)) {								\
		fprintf(stderr, "# %s:%d: %s: must be: %s (%s is %lld)\n",	\
			__FILE__, __LINE__, __func__, #cond, #result, (long long)(result)); \
		abort();							\
	}									\
} while (0)

static inline struct soak *soak_map(int fd)
{
	struct soak *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	soak_must(s != MAP_FAILED);
	return s;
}

#define soak_load(p)		__atomic_load_n(p, __ATOMIC_SEQ_CST)
#define soak_store(p, v)	__atomic_store_n(p, v, __ATOMIC_SEQ_CST)

/* The worker may die by the signal from now on. */
static inline void soak_may_die(struct worker *w, int sig)
{
	__atomic_fetch_or(&w->deaths, 1ULL << sig, __ATOMIC_SEQ_CST);
}

/* Begin to do something for ever. NULL: there are too many lanes. */
static inline struct lane *soak_lane(struct worker *w, const char *name)
{
	uint32_t n = __atomic_load_n(&w->nr_lanes, __ATOMIC_SEQ_CST);
	struct lane *lane;

	if (n == SOAK_LANES)
		return NULL;
	lane = &w->lanes[n];
	lane->steps = 0;
	snprintf(lane->name, sizeof(lane->name), "%s", name);
	soak_store(&w->nr_lanes, n + 1);
	return lane;
}

static inline void soak_step(struct lane *lane)
{
	__atomic_fetch_add(&lane->steps, 1, __ATOMIC_SEQ_CST);
}

/* A seed for number @n of what has the seed @seed. */
static inline unsigned int soak_seed(unsigned int seed, unsigned int n)
{
	unsigned int x = seed ^ (n * 2654435769u);

	x = (x ^ (x >> 16)) * 2246822507u;
	x = (x ^ (x >> 13)) * 3266489909u;
	return x ^ (x >> 16);
}

/* Far beyond what anything takes that is left alone, on an emulated and busy CPU. */
#define SOAK_PATIENCE	(90 * NSEC_PER_SEC)

#endif /* SOAK_H */
