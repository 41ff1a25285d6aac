/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fault.h: page faults on a slow disk. Many readers touch cold pages of a mapping while
 * one task computes. A fault that keeps its P keeps the others from running, and so from
 * having faults of their own.
 *
 * ns_per_op is the time of all by the number of faults. compute is the computing task's
 * work beside the readers, relative to its work alone; it yields now and then (fault), or
 * never (fault_hog). The mapping is that of /dev/slow (vm.sh -s), whose latency should be
 * such that the CPUs, which are emulated, have enough to spare for all faults.
 */
#ifndef FAULT_H
#define FAULT_H

#include "measure.h"

#include <fcntl.h>
#include <sys/mman.h>

#define DISK		"/dev/slow"
#define PAGE_BYTES	4096L
#define READERS		16
#define CHUNK		16		/* units of work between two yields */
#define ALONE		(300 * MS)
#define BESIDE		(1000 * MS)

/* Start a task each: a computer(), and @n times reader(). Return when all have ended. */
static void run_tasks(int readers);
static void task_yield(void);

static const volatile char *map;
static long pages, next_page, faults, work;
static int stopping;
static bool yields;

/* Pages of the last run are cold again; what is read around a fault is that page. */
static void map_disk(void)
{
	int fd = open(DISK, O_RDONLY | O_CLOEXEC);
	off_t size;
	void *p;

	if (fd < 0)
		exit(SKIP);
	size = lseek(fd, 0, SEEK_END);
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	need(p != MAP_FAILED && !madvise(p, size, MADV_RANDOM));
	need(!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	map = p;
	pages = size / PAGE_BYTES;
}

static bool is_stopping(void)
{
	return __atomic_load_n(&stopping, __ATOMIC_RELAXED);
}

static void set_stopping(int v)
{
	__atomic_store_n(&stopping, v, __ATOMIC_RELAXED);
}

/* Each page once, in no order; the number of pages is a power of two. */
static void reader(void)
{
	long i;

	while (!is_stopping()) {
		i = __atomic_fetch_add(&next_page, 1, __ATOMIC_RELAXED);
		need(i < pages);
		(void)map[i * 40503 % pages * PAGE_BYTES];
		__atomic_add_fetch(&faults, 1, __ATOMIC_RELAXED);
	}
}

static void computer(void)
{
	while (!is_stopping()) {
		for (int i = 0; i < CHUNK; i++)
			work_unit();
		work += CHUNK;
		if (yields)
			task_yield();
	}
}

/* -------------------------------------------------------------- measurement */

/* A thread, since tasks may have no turn before they stop. */
static void *stop_later(void *ns)
{
	nap((intptr_t)ns);
	set_stopping(1);
	return NULL;
}

/* Return: how long it took. */
static int64_t run_for(int readers, int64_t ns)
{
	int64_t begin = now_ns();
	pthread_t t;

	work = faults = 0;
	set_stopping(0);
	t = thread_start(stop_later, (void *)(intptr_t)ns);
	run_tasks(readers);
	thread_join(t);
	return now_ns() - begin;
}

static void measure(const char *bench, const char *impl, int procs, const char *details)
{
	double alone, beside;
	char more[128];
	int64_t ns;

	ns = run_for(0, ALONE);
	alone = (double)work / ns;
	ns = run_for(READERS, BESIDE);
	beside = (double)work / ns;
	need(faults > 0);
	snprintf(more, sizeof(more), "compute=%.3f readers=%d%s", beside / alone, READERS, details);
	report(bench, impl, procs, faults, ns, more);
}

/* @details: " KEY=VALUE..." or "" */
static void measure_all(const char *impl, int procs, const char *details)
{
	map_disk();
	yields = true;
	measure("fault", impl, procs, details);
	yields = false;
	measure("fault_hog", impl, procs, details);
}

#endif /* FAULT_H */
