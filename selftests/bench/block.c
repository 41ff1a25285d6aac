// SPDX-License-Identifier: GPL-2.0
/*
 * What is left of the work that four yielding goroutines do on one P, while a fifth
 * blocks for a millisecond at a time: in a raw system call, and in page faults (which
 * another thread serves a millisecond late). The same with threads on one CPU.
 *
 * Times with and without the fifth alternate; kept is the median of their ratios.
 */
#include "measure.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define WORKERS	4
#define PAIRS	8
#define WINDOW	(100 * MS)

enum kind {
	REST,
	SLEEP,
	FAULT,
	END,
};

static int kind;
static long units[WORKERS][8];		/* a cache line each */
static long blocks;
static const char *impl = "gsched";

/* How the two implementations differ. */
static void (*yield)(void) = gs_yield;
static void (*rest)(int64_t ns);
static bool must_share;			/* nobody takes the P from who blocks */

static int what(void)
{
	return __atomic_load_n(&kind, __ATOMIC_RELAXED);
}

/* -------------------------------------------------------------- page faults */

#define PAGES 4096

static char *region;
static int uffd = -1;

static bool region_make(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0)
		return false;
	region = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	need(region != MAP_FAILED);
	reg.range.start = (uintptr_t)region;
	reg.range.len = PAGES * 4096;
	return !ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &reg);
}

static void *serve_faults(void *arg)
{
	struct uffd_msg msg;

	(void)arg;
	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		struct uffdio_zeropage zero = {
			.range = { msg.arg.pagefault.address & ~4095ULL, 4096 },
		};

		nap(MS);
		need(!ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
	}
	return NULL;
}

static void fault(void)
{
	static unsigned int page;

	if (page == PAGES) {
		need(!madvise(region, PAGES * 4096, MADV_DONTNEED));
		page = 0;
	}
	*(volatile char *)(region + 4096 * page++);
}

/* ------------------------------------------------------- workers and blocker */

static void worker(long *n)
{
	while (what() != END) {
		work_unit();
		__atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
		yield();
	}
}

static void blocker(void)
{
	for (;; __atomic_store_n(&blocks, blocks + 1, __ATOMIC_RELAXED)) {
		switch (what()) {
		case SLEEP:
			nap(MS);
			break;
		case FAULT:
			fault();
			break;
		case REST:
			rest(10 * MS);
			break;
		default:
			return;
		}
		if (must_share)
			yield();
	}
}

/* -------------------------------------------------------------- measurement */

static double rate(int k)
{
	int64_t begin;
	long sum = 0;

	__atomic_store_n(&kind, k, __ATOMIC_RELAXED);
	rest(20 * MS);
	for (int i = 0; i < WORKERS; i++)
		sum -= __atomic_load_n(units[i], __ATOMIC_RELAXED);
	begin = gs_now();
	rest(WINDOW);
	for (int i = 0; i < WORKERS; i++)
		sum += __atomic_load_n(units[i], __ATOMIC_RELAXED);
	return sum / ((double)(gs_now() - begin));
}

static void compare(const char *name, int k, const char *backend)
{
	struct samples ratios = { 0 }, with = { 0 };
	long before = blocks;

	for (int i = 0; i < PAIRS; i++) {
		double alone = rate(REST), r = rate(k);

		samples_add(&ratios, r / alone);
		samples_add(&with, r);
	}
	printf("bench=%s impl=%s procs=1 ops=%ld ns_per_op=%.1f kept=%.3f kept_least=%.3f backend=%s\n",
	       name, impl, blocks - before, 1 / samples_median(&with), samples_median(&ratios),
	       samples_quantile(&ratios, 0), backend);
	fflush(stdout);
}

static void compare_all(const char *backend)
{
	compare("block_sleep", SLEEP, backend);
	if (uffd >= 0)
		compare("block_fault", FAULT, backend);
	__atomic_store_n(&kind, END, __ATOMIC_RELAXED);
}

/* --------------------------------------------------------------- goroutines */

static gs_wg wg;

static void worker_g(void *arg)
{
	worker(arg);
	gs_wg_done(&wg);
}

static void blocker_g(void *arg)
{
	(void)arg;
	blocker();
	gs_wg_done(&wg);
}

static void rest_g(int64_t ns)
{
	gs_sleep(ns);
}

static int goroutines(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	rest = rest_g;
	must_share = !(gs_features() & GS_FEAT_HANDOFF);
	gs_wg_add(&wg, WORKERS + 1);
	for (int i = 0; i < WORKERS; i++)
		need(!gs_go(worker_g, units[i]));
	need(!gs_go(blocker_g, NULL));
	compare_all(gs_backend());
	gs_wg_wait(&wg);
	return 0;
}

/* ------------------------------------------------------------------ threads */

static void *worker_t(void *arg)
{
	worker(arg);
	return NULL;
}

static void *blocker_t(void *arg)
{
	blocker();
	return arg;
}

static void yield_t(void)
{
	sched_yield();
}

static void threads(void)
{
	pthread_t t[WORKERS + 1];

	impl = "threads";
	yield = yield_t;
	rest = nap;
	must_share = false;
	kind = REST;
	pin(0);
	for (int i = 0; i < WORKERS; i++)
		t[i] = thread_start(worker_t, units[i]);
	t[WORKERS] = thread_start(blocker_t, NULL);
	compare_all("none");
	for (int i = 0; i <= WORKERS; i++)
		pthread_join(t[i], NULL);
}

int main(int argc, char **argv)
{
	int err;

	if (region_make())
		thread_start(serve_faults, NULL);
	setenv("GSCHED_MAXPROCS", "1", 1);
	err = gs_main(goroutines, argc, argv);
	if (!err)
		threads();
	return err != 0;
}
