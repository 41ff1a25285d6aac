// SPDX-License-Identifier: GPL-2.0
/*
 * Running a program: in a child, with a thread for each of its threads, and one that
 * watches over their time.
 *
 * Calls may sleep for ever. A thread that has been in one call for a while gets a signal,
 * and when nothing happens any more the whole process is ended, wherever its threads are.
 * In a program that is not free a call waits for the one before it, but not for long: it may
 * be the one that wakes it.
 */
#include "fuzz.h"

#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define STEP_NS		(2 * NSEC_PER_MSEC)	/* for the call before */
#define NUDGE_NS	(15 * NSEC_PER_MSEC)	/* in one call, before a signal */
#define QUIET_NS	(300 * NSEC_PER_MSEC)	/* in which no call begins or ends */
#define PROG_NS		(4 * NSEC_PER_SEC)	/* for all of it */
#define KILL_MS		15000			/* before it is killed from outside */
#define DEAD_MS		120000			/* and must be dead then */

struct world world;

/* Of the program that runs. */
static const struct prog *running;
static unsigned int call_done[MAX_CALLS];
static int64_t call_since[MAX_THREADS];		/* 0: in none */
static unsigned int threads_left;
static unsigned int steps;			/* beginnings and ends of calls */

/** world_open - what all programs of a worker inherit. */
void world_open(unsigned int worker)
{
	int fd = memfd_create("scratch", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, PAGE))
		abort();
	world.scratch = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)!mmap(world.scratch, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	world.read_only = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	for (int i = 0; i < NR_CTXS; i++)
		world.ctx[i].fd = -1;
	for (int i = 0; i < NR_FDS; i++)
		world.fd[i] = -1;
	snprintf(world.cgroup, sizeof(world.cgroup), "/sys/fs/cgroup/fuzz%u", worker);
	if (mkdir(world.cgroup, 0755) && errno != EEXIST)
		world.cgroup[0] = '\0';
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* -------------------------------------------------------------- in the child */

static void wait_for_call(unsigned int i)
{
	int64_t end = now_ns() + STEP_NS;

	while (!__atomic_load_n(&call_done[i], __ATOMIC_ACQUIRE) && now_ns() < end)
		doze_ns(50 * NSEC_PER_USEC);
}

static void run_call(unsigned int i, unsigned int thread)
{
	const struct call *c = &running->call[i];

	if (i && !running->free)
		wait_for_call(i - 1);
	__atomic_store_n(&call_since[thread], now_ns(), __ATOMIC_RELAXED);
	__atomic_fetch_add(&steps, 1, __ATOMIC_RELAXED);
	cover_begin();
	ops[c->op].fn(c->arg);
	cover_end(c->op);
	__atomic_store_n(&call_since[thread], 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&steps, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&call_done[i], 1, __ATOMIC_RELEASE);
}

static void *thread_main(void *arg)
{
	unsigned int thread = (uintptr_t)arg;

	__atomic_store_n(&world.tid[thread], gettid(), __ATOMIC_RELAXED);
	cover_thread(thread);
	for (unsigned int i = 0; i < running->nr; i++)
		if (running->call[i].thread == thread)
			run_call(i, thread);
	__atomic_fetch_sub(&threads_left, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void nudge(unsigned int thread, int64_t now)
{
	int64_t since = __atomic_load_n(&call_since[thread], __ATOMIC_RELAXED);
	pid_t tid = __atomic_load_n(&world.tid[thread], __ATOMIC_RELAXED);

	if (tid && since && now > since + NUDGE_NS)
		syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
}

static void watch(void)
{
	int64_t now = now_ns(), end = now + PROG_NS, quiet = now + QUIET_NS;
	unsigned int seen = 0, made;

	while (__atomic_load_n(&threads_left, __ATOMIC_ACQUIRE) && now < end && now < quiet) {
		doze_ns(2 * NSEC_PER_MSEC);
		now = now_ns();
		made = __atomic_load_n(&steps, __ATOMIC_RELAXED);
		if (made != seen)
			quiet = now + QUIET_NS;
		seen = made;
		for (unsigned int i = 0; i < MAX_THREADS; i++)
			nudge(i, now);
	}
}

static void child_main(void)
{
	pthread_t thread;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fault_init();
	for (uintptr_t i = 0; i < MAX_THREADS; i++) {
		threads_left++;
		if (pthread_create(&thread, NULL, thread_main, (void *)i))
			_exit(1);
	}
	watch();
	_exit(0);
}

/* ------------------------------------------------------------- in the parent */

/* Return: it is dead, and waited for. */
static bool dies_within(pid_t pid, int pidfd, int ms)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	if (poll(&pfd, 1, ms) <= 0)
		return false;
	return waitpid(pid, NULL, 0) == pid;
}

static void thaw(void)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.freeze", world.cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "0", 1);
	close(fd);
}

/* The program's own children and helpers are ours now. */
static void reap_group(pid_t group)
{
	while (!kill(-group, SIGKILL) || errno == EPERM)
		if (waitpid(-group, NULL, 0) < 0 && errno == ECHILD)
			break;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/** prog_run - run a program. */
enum run_result prog_run(const struct prog *p)
{
	enum run_result result = RUN_OK;
	pid_t pid;
	int pidfd;

	fflush(NULL);
	running = p;
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid)
		child_main();
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (!dies_within(pid, pidfd, KILL_MS)) {
		kill(pid, SIGKILL);
		if (!dies_within(pid, pidfd, DEAD_MS))
			result = RUN_STUCK;
	}
	close(pidfd);
	if (result == RUN_OK)
		reap_group(pid);
	if (world.cgroup[0])
		thaw();
	return result;
}
