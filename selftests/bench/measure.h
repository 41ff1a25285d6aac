/* SPDX-License-Identifier: GPL-2.0 */
/* measure.h: what benchmarks that compare two things share. */
#ifndef MEASURE_H
#define MEASURE_H

/* Included first: it asks for GNU's declarations. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <gsched.h>

#define MS	1000000LL

/* A benchmark that cannot go on has measured nothing. */
#define need(cond) do {								\
	if (!(cond)) {								\
		fprintf(stderr, "%s:%d: needs %s (errno %d)\n", __FILE__, __LINE__, #cond, errno); \
		exit(1);							\
	}									\
} while (0)

struct samples {
	size_t n, room;
	double *v;
};

static inline void samples_add(struct samples *s, double v)
{
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 1024;
		s->v = realloc(s->v, s->room * sizeof(*s->v));
		need(s->v);
	}
	s->v[s->n++] = v;
}

static inline int samples_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* What @q of them (0 .. 1) do not exceed; 0: there are none. */
static inline double samples_quantile(struct samples *s, double q)
{
	if (!s->n)
		return 0;
	qsort(s->v, s->n, sizeof(*s->v), samples_cmp);
	return s->v[(size_t)((s->n - 1) * q)];
}

static inline double samples_median(struct samples *s)
{
	return samples_quantile(s, 0.5);
}

/* The calling thread's CPU; also that of the threads it starts. */
static inline void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	need(!sched_setaffinity(0, sizeof(set), &set));
}

static inline void nap(int64_t ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&ts, NULL);
}

/* Some work, a microsecond or a few. */
static inline void work_unit(void)
{
	for (volatile int i = 0; i < 1000; i++)
		;
}

static inline pthread_t thread_start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	need(!pthread_create(&t, NULL, fn, arg));
	return t;
}

#endif /* MEASURE_H */
