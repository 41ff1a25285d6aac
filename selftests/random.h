/* SPDX-License-Identifier: GPL-2.0 */
/* random.h: numbers that a seed determines. */
#ifndef SELFTESTS_RANDOM_H
#define SELFTESTS_RANDOM_H

/* Below @n; @state is the caller's own. */
static inline unsigned int rnd(unsigned int *state, unsigned int n)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % n;
}

#endif /* SELFTESTS_RANDOM_H */
