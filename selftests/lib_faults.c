// SPDX-License-Identifier: GPL-2.0
/*
 * The library when the system has no more memory, threads or descriptors for it: one
 * call of libc after the other fails, in a program that does a bit of everything, until
 * there is none left to fail. gs_main then either says so, or the program's calls do, and
 * work when they are made again; nothing hangs, nothing is lost.
 *
 * The calls are this program's own functions of those names, which the library is linked
 * with. Which of a call's errors is played is what the system would say.
 */
#include "lib_check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <linux/gsched.h>

#if SANITIZED
/* The sanitizers have functions of those names, too. */
static const char *fault_in;

static void faults_from(long n, const char *only)
{
	(void)n;
	(void)only;
}

static long faults_left(void)
{
	return 1;
}
#else

/* ------------------------------------------------------------ what can fail */

static long fault_at;		/* 1: the next call; 0: none */
static const char *fault_only;	/* of this name; NULL: any */
static const char *fault_in;	/* which call it was */

static void faults_from(long n, const char *only)
{
	fault_in = "none";
	fault_only = only;
	__atomic_store_n(&fault_at, n, __ATOMIC_SEQ_CST);
}

/* How many are missing to the fault; 0: it happened. */
static long faults_left(void)
{
	return __atomic_load_n(&fault_at, __ATOMIC_SEQ_CST);
}

static bool fault(const char *call)
{
	long n = __atomic_load_n(&fault_at, __ATOMIC_SEQ_CST);

	do {
		if (!n || (fault_only && strcmp(fault_only, call)))
			return false;
	} while (!__atomic_compare_exchange_n(&fault_at, &n, n - 1, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	if (n > 1)
		return false;
	fault_in = call;
	return true;
}

static long fails_with(int err)
{
	errno = err;
	return -1;
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_memalign(size_t align, size_t size);

void *malloc(size_t size)
{
	return fault("malloc") ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fault("calloc") ? NULL : __libc_calloc(n, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	return fault("aligned_alloc") ? NULL : __libc_memalign(align, size);
}

void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (fault("mmap"))
		return (void *)fails_with(ENOMEM);
	return (void *)syscall(SYS_mmap, addr, size, prot, flags, fd, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (!real)
		real = dlsym(RTLD_NEXT, "pthread_create");
	return fault("pthread_create") ? EAGAIN : real(thread, attr, fn, arg);
}

int eventfd(unsigned int n, int flags)
{
	return fault("eventfd") ? fails_with(EMFILE) : syscall(SYS_eventfd2, n, flags);
}

int epoll_create1(int flags)
{
	return fault("epoll_create1") ? fails_with(EMFILE) : syscall(SYS_epoll_create1, flags);
}

/* Memory is needed only for what is not in there yet. */
int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	int ret = syscall(SYS_epoll_ctl, epfd, op, fd, ev);

	if (ret || op != EPOLL_CTL_ADD || !fault("epoll_ctl"))
		return ret;
	syscall(SYS_epoll_ctl, epfd, EPOLL_CTL_DEL, fd, ev);
	return fails_with(ENOMEM);
}

int ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch (cmd) {
	case GSCHED_IOC_SETUP:
	case GSCHED_IOC_SET_PROCS:
	case GSCHED_IOC_M_REGISTER:
	case GSCHED_IOC_FD_REGISTER:
		if (fault("ioctl"))
			return fails_with(ENOMEM);
	}
	return syscall(SYS_ioctl, fd, cmd, arg);
}
#endif

/* ----------------------------------------------- a bit of everything, on two Ps */

static long nth;		/* the fault under way */

static char hang_text[64];

static void hangs(int sig)
{
	(void)sig;
	if (write(STDERR_FILENO, hang_text, strlen(hang_text)) < 0 ||
	    write(STDERR_FILENO, fault_in, strlen(fault_in)) < 0)
		_exit(1);
	abort();
}

static void must_not_hang(void)
{
	snprintf(hang_text, sizeof(hang_text), "\n# hangs after fault %ld: in ", nth);
	alarm(30 * slowness());
}

#define OK(cond) do {								\
	if (!(cond)) {								\
		printf("# fault %ld, in %s\n", nth, fault_in);			\
		fflush(stdout);							\
		CHECK(cond);							\
	}									\
} while (0)

static bool is_shortage(long err)
{
	return err == -ENOMEM || err == -EAGAIN || err == -EMFILE;
}

/* Make a call until it works; it may fail for want of something. */
#define INSIST(call) ({								\
	long ret_;								\
	while ((ret_ = (call)) < 0) {						\
		OK(is_shortage(ret_));						\
		gs_sleep(MS);							\
	}									\
	ret_;									\
})

#define INSIST_ON(call) ({							\
	__typeof__(call) p_;							\
	while (!(p_ = (call)))							\
		gs_sleep(MS);							\
	p_;									\
})

#define WORKERS	6

static int pipes[2];
static int done;

/* Blocks in the kernel, so that threads are missing; sleeps; writes. */
static void worker(void *arg)
{
	struct timespec ts = { .tv_nsec = 2 * MS };

	nanosleep(&ts, NULL);
	OK(gs_sleep(MS) == 0);
	OK(INSIST(gs_write(pipes[1], "w", 1)) == 1);
	gs_wg_done(arg);
}

static void use_workers(void)
{
	gs_wg wg = GS_WG_INIT;
	char byte;

	gs_wg_add(&wg, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		INSIST(gs_go(worker, &wg));
	for (int i = 0; i < WORKERS; i++)
		OK(INSIST(gs_read(pipes[0], &byte, 1)) == 1 && byte == 'w');
	gs_wg_wait(&wg);
}

static void use_channels(void)
{
	gs_chan *c = INSIST_ON(gs_chan_new(sizeof(int), 1)), *t;
	struct gs_case cases[10];
	int v = 7, got = 0;

	OK(INSIST(gs_chan_send(c, &v)) == 0);
	for (int i = 0; i < 10; i++)
		cases[i] = (struct gs_case){ .chan = i == 9 ? c : NULL, .recv = &got,
					     .dir = GS_RECV };
	OK(INSIST(gs_select(cases, 10)) == 9);
	OK(got == 7);
	gs_chan_unref(c);
	t = INSIST_ON(gs_after(MS));
	OK(INSIST(gs_chan_recv(t, NULL)) == 1);
	gs_chan_unref(t);
}

static void use_poll(void)
{
	struct pollfd p[2] = {
		{ .fd = pipes[0], .events = POLLIN },
		{ .fd = pipes[1], .events = POLLOUT },
	};

	OK(INSIST(gs_poll(p, 2)) == 1);
	OK(p[1].revents == POLLOUT);
}

static int everything(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	INSIST(gs_set_maxprocs(3));
	use_workers();
	use_channels();
	use_poll();
	gs_close(pipes[0]);
	gs_close(pipes[1]);
	done++;
	return 0;
}

static int run(void)
{
	int err, before = done;

	CHECK_EQ(0, pipe(pipes));
	err = gs_main(everything, 0, NULL);
	if (err) {
		OK(is_shortage(err));
		OK(done == before);
		close(pipes[0]);
		close(pipes[1]);
	}
	return err;
}

/* ------------------------------------------------------------ one after the other */

static int open_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/*
 * The least number that is open after a run. It is more where a thread has not come to
 * its end yet when gs_main returns: the next start cleans up then.
 */
static int files_after_run(void)
{
	int least = INT_MAX;

	for (int i = 0; i < 5; i++) {
		OK(run() == 0);
		if (open_files() < least)
			least = open_files();
	}
	return least;
}

static long mapped_kib(void)
{
	char line[128];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "re");

	CHECK(f);
	while (kib < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmSize: %ld", &kib) != 1)
			kib = -1;
	fclose(f);
	return kib;
}

/*
 * A goroutine that has not quite ended with its program keeps the first stacks, 64 MiB
 * of address space. If a start that fails did so, it would be a gigabyte.
 */
#define MOST_KIB	(512 * 1024)

static void each_fault(void)
{
	long failed = 0, left, kib;
	int files;

	signal(SIGALRM, hangs);
	setenv("GSCHED_MAXPROCS", "2", 1);
	files = files_after_run();
	kib = mapped_kib();
	for (nth = 1, left = 0; !left; nth++) {
		must_not_hang();
		faults_from(nth, NULL);
		failed += run() != 0;
		left = faults_left();
		faults_from(0, NULL);
		OK(run() == 0);
	}
	alarm(0);
	CHECK_EQ(files, files_after_run());
	printf("# %ld faults, %ld of them in the start; %ld KiB more are mapped\n", nth - 2,
	       failed, mapped_kib() - kib);
	fflush(stdout);
	CHECK(failed > 0 && failed < nth - 2);
	CHECK(mapped_kib() - kib < MOST_KIB);
}

TEST(each_fault_once)
{
	if (SANITIZED)
		SKIP(return, "the sanitizers have functions of their own");
	each_fault();
}

/* ------------------------------------------------------------ a start after a start */

#define HOLES		64
#define HOLE_PAGES	256

static char *fill_hole(long pages)
{
	char *p = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	CHECK(p != MAP_FAILED);
	p[0] = 42;
	return p;
}

/*
 * What the first start has mapped and unmapped belongs to the program when the second one
 * fails: it comes to lie where the first one's memory was.
 */
static void fail_twice(long nr)
{
	char *small[HOLES], *large[HOLES];

	faults_from(nr, "mmap");
	CHECK_EQ(-ENOMEM, run());
	for (int i = 0; i < HOLES; i++) {
		small[i] = fill_hole(1);
		large[i] = fill_hole(HOLE_PAGES);
	}
	faults_from(1, "eventfd");
	CHECK_EQ(-EMFILE, run());
	for (int i = 0; i < HOLES; i++) {
		CHECK_EQ(42, small[i][0]);
		CHECK_EQ(42, large[i][0]);
		munmap(small[i], 4096);
		munmap(large[i], HOLE_PAGES * 4096);
	}
}

TEST(two_starts_that_fail)
{
	const char *backend = getenv("GSCHED_BACKEND");

	if (SANITIZED)
		SKIP(return, "the sanitizers have functions of their own");
	if (!backend || !*backend)
		setenv("GSCHED_BACKEND", "epoll", 1);
	/* Both backends map four regions at least. */
	for (long nr = 2; nr <= 4; nr++)
		fail_twice(nr);
}

TEST_HARNESS_MAIN
