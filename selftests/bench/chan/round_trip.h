/* SPDX-License-Identifier: GPL-2.0 */
/*
 * round_trip.h: a number goes there and back, where there are no channels. A program defines
 * struct slot with put() and take() before it includes this.
 */
#ifndef ROUND_TRIP_H
#define ROUND_TRIP_H

#include "measure.h"

static struct slot there, back;

static void *echo(void *arg)
{
	for (long i = 0; i < (long)arg; i++)
		put(&back, -take(&there));
	return arg;
}

/* While echo() runs, with the same number */
static void round_trips(const char *impl, int procs, long rounds)
{
	int64_t begin = now_ns();

	for (long i = 0; i < rounds; i++) {
		put(&there, i);
		need(take(&back) == -i);
	}
	report("chan_round_trip", impl, procs, rounds, now_ns() - begin, NULL);
}

#endif /* ROUND_TRIP_H */
