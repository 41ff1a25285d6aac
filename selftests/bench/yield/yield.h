/* SPDX-License-Identifier: GPL-2.0 */
/*
 * yield.h: from where tasks yield, the same for all in C and C++. A switch that has one
 * indirect jump for all places in the program is predicted worse if there are several,
 * and so is a return into a caller whose callers have not been there for long.
 *
 * Who includes it defines YIELD().
 */
#ifndef YIELD_H
#define YIELD_H

#include "measure.h"

#define YIELDS	5000000L

/* What compilers must not make one place of. */
#define DEEP static __attribute__((noinline))

static void one_place(long yields)
{
	for (long i = 0; i < yields; i++)
		YIELD();
}

DEEP void third_call(void)
{
	YIELD();
	asm volatile("");
}

DEEP void second_call(void)
{
	third_call();
	YIELD();
	asm volatile("");
}

DEEP void first_call(void)
{
	second_call();
	YIELD();
	asm volatile("");
}

/* Four places, up to three calls deep. */
static void four_places(long yields)
{
	long i = 0;

	for (; i + 4 <= yields; i += 4) {
		first_call();
		YIELD();
	}
	one_place(yields - i);
}

struct shape {
	const char *bench;
	int tasks;
	void (*run)(long yields);
};

static const struct shape shapes[] = {
	{ "yield_2", 2, one_place },
	{ "yield_2_places", 2, four_places },
	{ "yield_1000", 1000, one_place },
	{ "yield_1000_places", 1000, four_places },
};

#define NR_SHAPES	(sizeof(shapes) / sizeof(*shapes))

/* The @i-th task of @s: together they yield @yields times, not all at one place at a time. */
static inline void task(const struct shape *s, long i, long yields)
{
	long mine = yields / s->tasks, first = i % 4 < mine ? i % 4 : mine;

	one_place(first);
	s->run(mine - first);
}

#endif /* YIELD_H */
