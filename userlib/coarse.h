/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * coarse.h: a clock for "how long has it waited": in steps of 17 ms, in 32 bits, so that
 * differences are good for two years.
 */
#ifndef GS_COARSE_H
#define GS_COARSE_H

#include <stdint.h>
#include <time.h>

#define COARSE_SHIFT	24

static inline uint32_t coarse_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint32_t)((ts.tv_sec * 1000000000LL + ts.tv_nsec) >> COARSE_SHIFT);
}

/** coarse_seconds - from @then to now. */
static inline uint32_t coarse_seconds(uint32_t then)
{
	int32_t steps = coarse_now() - then;

	return steps < 0 ? 0 : ((uint64_t)steps << COARSE_SHIFT) / 1000000000;
}

#endif /* GS_COARSE_H */
