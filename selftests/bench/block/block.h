/* SPDX-License-Identifier: GPL-2.0 */
/*
 * block.h: what is left of the work that four yielding tasks do on one P, while a fifth
 * blocks for a millisecond at a time: in nanosleep(), in the read of a pipe, and in page
 * faults; another thread, outside of the P, writes the pipe and serves the faults.
 *
 * Times with and without the fifth alternate; kept is the median of their ratios,
 * kept_least the worst of them. A program says how its tasks yield and rest, starts
 * worker() WORKERS times and blocker() once, and calls compare_all() beside them.
 */
#ifndef BLOCK_H
#define BLOCK_H

#include "measure.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define WORKERS	4
#define CHUNK	16			/* units of work between two yields */
#define PAIRS	4
#define WINDOW	(100 * MS)

static void task_yield(void);
static void task_rest(int64_t ns);

enum kind {
	REST,
	SLEEP,
	PIPE,
	FAULT,
	END,
};

static int kind_now;
static long units[WORKERS][8];		/* a cache line each */
static long blocks;

/* Nobody takes the P from who blocks: it shares after each block at least. */
static bool must_share;

static int what(void)
{
	return __atomic_load_n(&kind_now, __ATOMIC_RELAXED);
}

/* ---------------------------------------------------------------- the pipe */

static int ask[2], answer[2];

static void *serve_pipe(void *arg)
{
	char c;

	while (read(ask[0], &c, 1) == 1) {
		nap(MS);
		need(write(answer[1], &c, 1) == 1);
	}
	return arg;
}

static void wait_for_pipe(void)
{
	char c = 0;

	need(write(ask[1], &c, 1) == 1 && read(answer[0], &c, 1) == 1);
}

/* -------------------------------------------------------------- page faults */

#define PAGES		1024
#define PAGE_BYTES	4096

static char *region;
static int uffd;

static void region_make(void)
{
	struct uffdio_api api = { UFFD_API, 0, 0 };
	struct uffdio_register reg = { { 0, 0 }, UFFDIO_REGISTER_MODE_MISSING, 0 };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	need(uffd >= 0);
	region = (char *)mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(region != MAP_FAILED);
	reg.range.start = (uintptr_t)region;
	reg.range.len = PAGES * PAGE_BYTES;
	need(!ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &reg));
}

static void *serve_faults(void *arg)
{
	struct uffdio_zeropage zero = { { 0, PAGE_BYTES }, 0, 0 };
	struct uffd_msg msg;

	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		nap(MS);
		zero.range.start = msg.arg.pagefault.address & ~(PAGE_BYTES - 1ULL);
		need(!ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
	}
	return arg;
}

static void fault(void)
{
	static unsigned int page;

	if (page == PAGES) {
		need(!madvise(region, PAGES * PAGE_BYTES, MADV_DONTNEED));
		page = 0;
	}
	(void)*(volatile char *)(region + PAGE_BYTES * page++);
}

/* Before there is anything that would give its threads less than all CPUs. */
static void partners_start(void)
{
	need(!pipe(ask) && !pipe(answer));
	region_make();
	thread_start(serve_pipe, NULL);
	thread_start(serve_faults, NULL);
}

/* ------------------------------------------------------- workers and blocker */

static void worker(long *n)
{
	while (what() != END) {
		for (int i = 0; i < CHUNK; i++)
			work_unit();
		__atomic_store_n(n, *n + CHUNK, __ATOMIC_RELAXED);
		task_yield();
	}
}

/* Return: false at the end. */
static bool block(void)
{
	switch (what()) {
	case SLEEP:
		nap(MS);
		break;
	case PIPE:
		wait_for_pipe();
		break;
	case FAULT:
		fault();
		break;
	case REST:
		task_rest(10 * MS);
		return true;
	default:
		return false;
	}
	__atomic_store_n(&blocks, blocks + 1, __ATOMIC_RELAXED);
	return true;
}

static void blocker(void)
{
	while (block()) {
		if (must_share)
			task_yield();
	}
}

/* -------------------------------------------------------------- measurement */

static long units_done(void)
{
	long sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += __atomic_load_n(units[i], __ATOMIC_RELAXED);
	return sum;
}

struct work {
	long units;
	double ns;
};

/* Units of work in a nanosecond. They are added to @w. */
static double rate(int kind, struct work *w)
{
	int64_t begin;
	long done;

	__atomic_store_n(&kind_now, kind, __ATOMIC_RELAXED);
	task_rest(20 * MS);
	done = units_done();
	begin = now_ns();
	task_rest(WINDOW);
	done = units_done() - done;
	begin = now_ns() - begin;
	w->units += done;
	w->ns += begin;
	return (double)done / begin;
}

static void compare(const char *name, int kind, const char *impl, int procs, const char *backend)
{
	struct work alone = { 0, 0 }, with = { 0, 0 };
	struct samples ratios = { 0, 0, NULL };
	long before = blocks, n;
	char more[128];

	for (int i = 0; i < PAIRS; i++) {
		double r = rate(REST, &alone);

		samples_add(&ratios, rate(kind, &with) / r);
	}
	n = __atomic_load_n(&blocks, __ATOMIC_RELAXED) - before;
	need(n > 0 && with.units > 0);
	snprintf(more, sizeof(more), "kept=%.3f kept_least=%.3f blocks=%ld%s",
		 samples_median(&ratios), samples_quantile(&ratios, 0), n, backend);
	report(name, impl, procs, with.units, with.ns, more);
}

/* @backend: " backend=NAME" or "" */
static void compare_all(const char *impl, int procs, const char *backend)
{
	compare("block_sleep", SLEEP, impl, procs, backend);
	compare("block_pipe", PIPE, impl, procs, backend);
	compare("block_fault", FAULT, impl, procs, backend);
	__atomic_store_n(&kind_now, END, __ATOMIC_RELAXED);
}

#endif /* BLOCK_H */
