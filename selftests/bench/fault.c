// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults on a slow disk: many readers touch cold pages of a mapping while one
 * goroutine computes, on two Ps. A fault that keeps its P keeps the others from
 * running, and so from having faults of their own.
 *
 *   fault            all of the following in turn, three times; prints medians
 *   fault module     goroutines; a P whose goroutine waits for the disk is handed on
 *   fault nohandoff  goroutines on the module without hand-off
 *   fault threads    a thread for each reader, and one that computes
 *
 * compute=X is the computing goroutine's work beside the readers, relative to its
 * work alone; it yields now and then (fault), or never (fault_hog). The mapping is
 * that of /dev/slow (vm.sh -s); without it this prints nothing. Its latency is such
 * that the CPUs, which are emulated, have enough to spare for all faults.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gsched.h>

#define DISK		"/dev/slow"
#define PAGE		4096L
#define READERS		16
#define TIMES		3
#define ALONE_NS	500000000L
#define BESIDE_NS	1500000000L

/* What a run finds out; goes to the parent through a pipe. */
struct result {
	long faults;
	double ns, compute;
};

static const volatile char *map;
static long pages, next_page, faults, work;
static int stop;
static bool yields;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static bool stopping(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void set_stop(int v)
{
	__atomic_store_n(&stop, v, __ATOMIC_RELAXED);
}

/* Each page once, in no order; the number of pages is a power of two. */
static void touch_pages(void)
{
	long i;

	while (!stopping()) {
		i = __atomic_fetch_add(&next_page, 1, __ATOMIC_RELAXED);
		if (i >= pages) {
			fprintf(stderr, "fault: %s is too small\n", DISK);
			exit(1);
		}
		(void)map[i * 40503 % pages * PAGE];
		__atomic_add_fetch(&faults, 1, __ATOMIC_RELAXED);
	}
}

static void compute_some(void)
{
	unsigned int r = 1;
	int i;

	for (i = 0; i < 20000; i++)
		r = r * 1664525 + 1013904223;
	asm volatile("" :: "r"(r));
	work++;
}

/* ------------------------------------------------------------ goroutines, threads */

static gs_wg running;

static void reader(void *arg)
{
	(void)arg;
	touch_pages();
	gs_wg_done(&running);
}

static void computer(void *arg)
{
	(void)arg;
	while (!stopping()) {
		compute_some();
		if (yields)
			gs_yield();
	}
	gs_wg_done(&running);
}

static void run_goroutines(int readers, int64_t ns)
{
	int i;

	gs_wg_add(&running, readers + 1);
	gs_go(computer, NULL);
	for (i = 0; i < readers; i++)
		gs_go(reader, NULL);
	gs_sleep(ns);
	set_stop(1);
	gs_wg_wait(&running);
}

static void *reader_thread(void *arg)
{
	(void)arg;
	touch_pages();
	return NULL;
}

static void *computer_thread(void *arg)
{
	(void)arg;
	while (!stopping())
		compute_some();
	return NULL;
}

static void start_thread(pthread_t *t, void *(*fn)(void *))
{
	if (pthread_create(t, NULL, fn, NULL))
		die("pthread_create");
}

static void run_threads(int readers, int64_t ns)
{
	struct timespec pause = { ns / 1000000000, ns % 1000000000 };
	pthread_t t[READERS + 1];
	int i;

	start_thread(t + readers, computer_thread);
	for (i = 0; i < readers; i++)
		start_thread(t + i, reader_thread);
	nanosleep(&pause, NULL);
	set_stop(1);
	for (i = 0; i <= readers; i++)
		pthread_join(t[i], NULL);
}

/* ------------------------------------------------------------------------ one run */

static int64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Return: work in a nanosecond. */
static double measure(void (*run)(int, int64_t), int readers, int64_t ns, struct result *r)
{
	int64_t begin = clock_ns();

	work = faults = 0;
	set_stop(0);
	run(readers, ns);
	r->ns = clock_ns() - begin;
	r->faults = faults;
	return work / r->ns;
}

static void measure_all(void (*run)(int, int64_t), struct result *r)
{
	double alone = measure(run, 0, ALONE_NS, r);

	r->compute = measure(run, READERS, BESIDE_NS, r) / alone;
}

static int in_runtime(int argc, char **argv)
{
	(void)argc;
	measure_all(run_goroutines, (struct result *)argv);
	return 0;
}

/* Pages of the last run are cold again; what is read around a fault is that page. */
static void map_disk(void)
{
	int fd = open(DISK, O_RDONLY | O_CLOEXEC);
	off_t size;
	void *p;

	if (fd < 0)
		die(DISK);
	size = lseek(fd, 0, SEEK_END);
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || madvise(p, size, MADV_RANDOM) ||
	    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		die(DISK);
	map = p;
	pages = size / PAGE;
}

static void run_one(const char *impl, struct result *r)
{
	map_disk();
	if (strcmp(impl, "threads") == 0) {
		measure_all(run_threads, r);
		return;
	}
	setenv("GSCHED_MAXPROCS", "2", 1);
	setenv("GSCHED_BACKEND", "module", 1);
	if (strcmp(impl, "nohandoff") == 0)
		setenv("GSCHED_DEBUG", "nohandoff", 1);
	if (gs_main(in_runtime, 0, (char **)r)) {
		fprintf(stderr, "fault: %s does not start\n", impl);
		exit(1);
	}
}

/* In a process of its own. */
static void run_child(const char *impl, struct result *r)
{
	int fd[2];

	if (pipe(fd))
		die("pipe");
	if (fork() == 0) {
		run_one(impl, r);
		_exit(write(fd[1], r, sizeof(*r)) != sizeof(*r));
	}
	close(fd[1]);
	if (read(fd[0], r, sizeof(*r)) != sizeof(*r))
		exit(1);		/* it has said why */
	close(fd[0]);
	wait(NULL);
}

/* --------------------------------------------------------------- all, and medians */

static const char *const all[] = { "module", "nohandoff", "threads" };

#define NR_IMPLS	(sizeof(all) / sizeof(*all))

static int by_faults(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	return x->faults < y->faults ? -1 : x->faults > y->faults;
}

static int by_compute(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	return x->compute < y->compute ? -1 : x->compute > y->compute;
}

/* The medians of @n runs. */
static void print(const char *impl, struct result *r, int n)
{
	double compute;

	qsort(r, n, sizeof(*r), by_compute);
	compute = r[n / 2].compute;
	qsort(r, n, sizeof(*r), by_faults);
	r += n / 2;
	printf("bench=%s impl=%s procs=2 ops=%ld ns_per_op=%.0f compute=%.3f readers=%d\n",
	       yields ? "fault" : "fault_hog", impl, r->faults, r->ns / r->faults, compute,
	       READERS);
	fflush(stdout);
}

static void run_impls(const char *const *impl, int impls, int times)
{
	struct result r[NR_IMPLS][TIMES] = { 0 };
	int i, t;

	for (t = 0; t < times; t++)
		for (i = 0; i < impls; i++)
			run_child(impl[i], &r[i][t]);
	for (i = 0; i < impls; i++)
		print(impl[i], r[i], times);
}

int main(int argc, char **argv)
{
	int hog;

	if (access(DISK, R_OK))
		return 0;
	for (hog = 0; hog < 2; hog++) {
		yields = !hog;
		if (argc > 1)
			run_impls((const char *const *)argv + 1, 1, 1);
		else
			run_impls(all, NR_IMPLS, TIMES);
	}
	return 0;
}
