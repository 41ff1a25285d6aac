/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lib_live.h: a program whose threads are in all states at once, as a child of the
 * test, which stops it, traces it, or kills it.
 *
 * Its goroutines compute, block in raw system calls, wait in the library, or stay in
 * a section. Each counts what it does in memory that the test sees.
 */
#ifndef LIB_LIVE_H
#define LIB_LIVE_H

#include "lib_check.h"
#include "clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "../userlib/sched.h"

/* Only bounds how long a failure takes. */
#define PATIENCE	(20000 * MS * slowness())

#define LIVE_SIGNAL	SIGRTMIN
#define LIVE_SIGNALS	2000	/* how many may be sent */
#define LIVE_STATUS	42	/* of its orderly end */
#define LIVE_MOST	32	/* goroutines */
#define LIVE_TASKS	256	/* threads */

struct live {
	pid_t pid;		/* 0: it has ended */
	int nr;			/* goroutines */
	int stop;
	int in_section;		/* a goroutine is in its section */
	long progress[LIVE_MOST];
	unsigned int seen[LIVE_SIGNALS];	/* how often each signal came */
	unsigned int without_p;	/* handlers that ran without a P */
};

static struct live *live;

/* What the kernel does for us here: GSCHED_FEAT_*. */
static inline uint64_t live_features(void)
{
	const char *backend = getenv("GSCHED_BACKEND");
	struct gsched_query q = { 0 };
	int fd = open(GSCHED_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (ioctl(fd, GSCHED_IOC_QUERY, &q))
		q.features = 0;
	close(fd);
	return backend && !strcmp(backend, "epoll") ? 0 : q.features;
}

/* ------------------------------------------------------------ its goroutines */

static uint64_t live_has;

static inline bool live_over(void)
{
	return __atomic_load_n(&live->stop, __ATOMIC_RELAXED);
}

/* Where nobody can take its P a goroutine has to share it by itself. */
static inline void live_step(long *n)
{
	__atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
	if (!(live_has & GSCHED_FEAT_PREEMPT))
		gs_yield();
}

static inline void live_spin(int64_t ns)
{
	int64_t end = gs_now() + ns;

	while (gs_now() < end)
		;
}

/* Functions of their own: a debugger steps over one of them. */
static __attribute__((noinline)) void live_compute(void)
{
	for (volatile int i = 0; i < 20000; i++)
		;
}

static inline void live_hog(long *n)
{
	live_compute();
	live_step(n);
}

static inline void live_nap(long *n)
{
	sleep_ns(MS);
	live_step(n);
}

static inline int live_timerfd(int flags)
{
	struct itimerspec it = { { 0, 2 * MS }, { 0, MS } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | flags);

	CHECK(fd >= 0);
	CHECK_EQ(0, timerfd_settime(fd, 0, &it, NULL));
	return fd;
}

static inline void live_read(long *n)
{
	int fd = live_timerfd(0);
	uint64_t times;

	while (!live_over()) {
		ssize_t len = read(fd, &times, sizeof(times));

		CHECK(len == sizeof(times) || (len < 0 && errno == EINTR));
		live_step(n);
	}
	close(fd);
}

static inline void live_wait_fd(long *n)
{
	int fd = live_timerfd(TFD_NONBLOCK);
	uint64_t times;

	while (!live_over()) {
		CHECK_EQ(sizeof(times), gs_read(fd, &times, sizeof(times)));
		live_step(n);
	}
	gs_close(fd);
}

static inline void live_sleep(long *n)
{
	gs_sleep(MS);
	live_step(n);
}

/* Always in the library, and often in its locks. */
static gs_mutex live_mutex = GS_MUTEX_INIT;

static inline void live_lock(long *n)
{
	for (int i = 0; i < 100; i++) {
		gs_mutex_lock(&live_mutex);
		if (i % 10 == 0)
			gs_yield();
		gs_mutex_unlock(&live_mutex);
	}
	live_step(n);
}

/* In a section, where nobody can take its P, for much longer than one ever lasts. */
static inline void live_section(long *n)
{
	struct m *m = sec_enter();

	__atomic_store_n(&live->in_section, 1, __ATOMIC_RELAXED);
	live_spin(5 * MS);
	__atomic_store_n(&live->in_section, 0, __ATOMIC_RELAXED);
	sec_leave(m);
	live_step(n);
	gs_sleep(MS);
}

static void (*const live_body[])(long *n) = {
	live_hog, live_hog, live_hog, live_nap, live_nap, live_nap, live_nap, live_nap, live_nap,
	live_read, live_read, live_wait_fd, live_wait_fd, live_sleep, live_sleep, live_lock,
	live_lock, live_section,
};

#define LIVE_NR		((int)(sizeof(live_body) / sizeof(*live_body)))

static gs_wg live_wg = GS_WG_INIT;

static inline void live_g(void *arg)
{
	long *n = arg;

	while (!live_over())
		live_body[n - live->progress](n);
	gs_wg_done(&live_wg);
}

static inline int live_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	gs_wg_add(&live_wg, LIVE_NR);
	for (int i = 0; i < LIVE_NR; i++)
		go(live_g, &live->progress[i]);
	gs_wg_wait(&live_wg);
	return LIVE_STATUS;
}

/* Outside of sections an M that runs has a P, in a signal handler too. */
static inline void live_on_signal(int sig, siginfo_t *info, void *context)
{
	struct m *m = m_self();
	uint32_t in_sched = m ? __atomic_load_n(&m->shared->in_sched, __ATOMIC_RELAXED) : 0;

	(void)sig;
	(void)context;
	if (m && !in_sched && (live_has & GSCHED_FEAT_HOLD) &&
	    __atomic_load_n(&m->shared->proc, __ATOMIC_RELAXED) == GSCHED_NONE)
		__atomic_add_fetch(&live->without_p, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&live->seen[info->si_value.sival_int], 1, __ATOMIC_RELAXED);
}

static inline void live_child(int procs)
{
	struct sigaction sa = {
		.sa_sigaction = live_on_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	char n[16];

	CHECK_EQ(0, sigaction(LIVE_SIGNAL, &sa, NULL));
	snprintf(n, sizeof(n), "%d", procs);
	setenv("GSCHED_MAXPROCS", n, 1);
	live_has = live_features();
	exit(gs_main(live_main, 0, NULL));
}

/* -------------------------------------------------------------- for the test */

/*
 * Wait until each goroutine has done something since now. Return: how long it took,
 * -1: one did not.
 */
static inline int64_t live_goes_on(void)
{
	int64_t begin = gs_now();
	long before[LIVE_MOST];

	memcpy(before, live->progress, sizeof(before));
	for (int i = 0; i < live->nr; i++) {
		while (__atomic_load_n(&live->progress[i], __ATOMIC_RELAXED) == before[i]) {
			if (gs_now() - begin > PATIENCE) {
				fprintf(stderr, "# goroutine %d of %d stands still\n", i,
					live->nr);
				return -1;
			}
			sleep_ns(MS / 2);
		}
	}
	return gs_now() - begin;
}

/* Memory that a child shares with the test. */
static inline void *live_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* It is the caller's child. */
static inline void live_start(int procs)
{
	pid_t pid;

	live = live_alloc(sizeof(*live));
	live->nr = LIVE_NR;
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		live_child(procs);
	}
	live->pid = pid;
	CHECK(live_goes_on() >= 0);
}

/* Exit status, 128 + signal if it was killed, -1: it does not end. */
static inline int live_wait(void)
{
	int64_t end = gs_now() + PATIENCE;
	int status;
	pid_t pid;

	while (!(pid = waitpid(live->pid, &status, WNOHANG | __WALL)) ||
	       (pid > 0 && !WIFEXITED(status) && !WIFSIGNALED(status))) {
		if (gs_now() > end)
			return -1;
		sleep_ns(MS / 2);
	}
	CHECK_EQ(live->pid, pid);
	live->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Let it end by itself. */
static inline int live_end(void)
{
	__atomic_store_n(&live->stop, 1, __ATOMIC_RELAXED);
	return live_wait();
}

static inline int live_kill(void)
{
	CHECK_EQ(0, kill(live->pid, SIGKILL));
	return live_wait();
}

/* ------------------------------------------------------------------- threads */

static inline int task_list(pid_t pid, pid_t tids[LIVE_TASKS])
{
	struct dirent *d;
	char path[32];
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir)))
		if (d->d_name[0] != '.' && n < LIVE_TASKS)
			tids[n++] = atoi(d->d_name);
	if (dir)
		closedir(dir);
	return n;
}

/* One of the threads. It may have ended meanwhile. */
static inline pid_t task_any(pid_t pid, unsigned int *seed)
{
	pid_t tids[LIVE_TASKS];
	int n = task_list(pid, tids);

	CHECK(n > 0);
	return tids[rnd(seed) % n];
}

/* The state in /proc/PID/task/TID/stat, 0: there is no such thread. */
static inline char task_state(pid_t pid, pid_t tid)
{
	char path[64], text[512], *at;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = 0;
	at = strrchr(text, ')');
	return at ? at[2] : 0;
}

/* Whether all threads are in a state among @states. */
static inline bool tasks_all(pid_t pid, const char *states)
{
	pid_t tids[LIVE_TASKS];
	int n = task_list(pid, tids);

	for (int i = 0; i < n; i++) {
		char state = task_state(pid, tids[i]);

		if (state && !strchr(states, state))
			return false;
	}
	return n > 0;
}

/* Wait until @cond. Return: how long it took from @begin, -1: it never came true. */
#define TIME_UNTIL(begin, cond) ({						\
	int64_t tu_begin = (begin), tu_took;					\
	while ((tu_took = gs_now() - tu_begin) < PATIENCE && !(cond))		\
		sleep_ns(MS / 5);						\
	tu_took < PATIENCE ? tu_took : -1;					\
})

/* --------------------------------------------------------------------- times */

#define TIMES_MOST	4096

struct times {
	int n;
	int64_t ns[TIMES_MOST];
};

static inline void times_add(struct times *t, int64_t ns)
{
	CHECK(t->n < TIMES_MOST);
	t->ns[t->n++] = ns;
}

static inline int times_cmp(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Below it lie @per_mille of them. */
static inline int64_t times_quantile(struct times *t, int per_mille)
{
	CHECK(t->n);
	qsort(t->ns, t->n, sizeof(*t->ns), times_cmp);
	return t->ns[(t->n - 1) * per_mille / 1000];
}

static inline void times_print(struct times *t, const char *what)
{
	int64_t median = times_quantile(t, 500), p90 = times_quantile(t, 900);

	printf("# %s: %d times, median %.2f ms, 90%% %.2f ms, max %.2f ms\n", what, t->n,
	       median / 1e6, p90 / 1e6, t->ns[t->n - 1] / 1e6);
	fflush(stdout);
}

/* The fixture "live", which has a @seed: each test with the program on 1 and on 2 Ps. */
#define LIVE_ON_ONE_AND_TWO_PS()			\
FIXTURE_VARIANT(live) { int procs; };			\
FIXTURE_VARIANT_ADD(live, 1) { .procs = 1 };		\
FIXTURE_VARIANT_ADD(live, 2) { .procs = 2 };		\
FIXTURE_SETUP(live)					\
{							\
	self->seed = test_seed();			\
	live_start(variant->procs);			\
}							\
FIXTURE_TEARDOWN(live)					\
{							\
	if (live->pid)					\
		live_kill();				\
}

#endif /* LIB_LIVE_H */
