/* SPDX-License-Identifier: GPL-2.0 */
/*
 * measure.h: what the benchmarks in C and in C++ share. Those of the library itself
 * include measure_gs.h.
 *
 * A program is called as "PROGRAM PROCS [FACTOR]": how many tasks may run at the same time,
 * and how much of the usual number of operations it shall do. It ends with SKIP if it cannot
 * have so many.
 */
#ifndef MEASURE_H
#define MEASURE_H

/* Included first: it asks for GNU's declarations. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define US	1000LL
#define MS	1000000LL

/* kselftest's */
#define SKIP	4

/* A benchmark that cannot go on has measured nothing. */
#define need(cond) do {								\
	if (!(cond)) {								\
		fprintf(stderr, "%s:%d: needs %s (errno %d)\n", __FILE__, __LINE__, #cond, errno); \
		exit(1);							\
	}									\
} while (0)

/* ---------------------------------------------------------------- arguments, report */

static inline int arg_procs(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;

	need(n > 0);
	return n;
}

/* For what has one thread and no more. */
static inline void arg_only_one(int argc, char **argv)
{
	if (arg_procs(argc, argv) != 1)
		exit(SKIP);
}

/* @n times FACTOR */
static inline long arg_count(int argc, char **argv, long n)
{
	double count = argc > 2 ? n * atof(argv[2]) : n;

	need(count >= 1);
	return count;
}

/* @ns: of all of them; @more: "KEY=VALUE..." or NULL */
static inline void report(const char *bench, const char *impl, int procs, long ops, double ns,
			  const char *more)
{
	printf("bench=%s impl=%s procs=%d ops=%ld ns_per_op=%.1f%s%s\n", bench, impl, procs, ops,
	       ns / ops, more ? " " : "", more ? more : "");
	fflush(stdout);
}

/* -------------------------------------------------------------------------- clocks */

static inline int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline int64_t timeval_ns(struct timeval t)
{
	return t.tv_sec * 1000000000LL + t.tv_usec * US;
}

/* The time that the process has had on CPUs. */
static inline int64_t cpu_ns(void)
{
	struct rusage usage;

	need(!getrusage(RUSAGE_SELF, &usage));
	return timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
}

static inline void nap(int64_t ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&ts, NULL);
}

/* ------------------------------------------------------------------------- samples */

struct samples {
	size_t n, room;
	double *v;
};

static inline void samples_add(struct samples *s, double v)
{
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 1024;
		s->v = (double *)realloc(s->v, s->room * sizeof(*s->v));
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

/* -------------------------------------------------------------------- CPUs, threads */

/* The calling thread's CPU; also that of the threads it starts. */
static inline void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	need(!sched_setaffinity(0, sizeof(set), &set));
}

/* Keep to the first @n of the CPUs that it may use: what a number of Ps is to threads. */
static inline void pin_to_some(int n)
{
	cpu_set_t set;

	need(!sched_getaffinity(0, sizeof(set), &set));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && n-- <= 0)
			CPU_CLR(cpu, &set);
	need(!sched_setaffinity(0, sizeof(set), &set));
}

static inline pthread_t thread_start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	need(!pthread_create(&t, NULL, fn, arg));
	return t;
}

static inline void thread_join(pthread_t t)
{
	need(!pthread_join(t, NULL));
}

/* Some work, a microsecond or a few: a chain of multiplications. */
static inline void work_unit(void)
{
	uint32_t r = 1;

	for (int i = 0; i < 1000; i++)
		r = r * 1664525 + 1013904223;
	asm volatile("" : : "r" (r));
}

/* ---------------------------------------------------------------------- memory */

/* Bytes that are resident, page tables included. */
static inline long resident(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	long kb, sum = 0, found = 0;
	char line[256];

	need(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1 || sscanf(line, "VmPTE: %ld", &kb) == 1) {
			sum += kb;
			found++;
		}
	fclose(f);
	need(found == 2);
	return sum * 1024;
}

#endif /* MEASURE_H */
