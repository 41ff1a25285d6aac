// SPDX-License-Identifier: GPL-2.0
/*
 * Operations: what may happen to a thread or a process that is in the middle of it.
 */
#include "fuzz.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define THREAD	{ "thread", ARG_INDEX, MAX_THREADS }

extern char **environ;

static pid_t tid_of(uint64_t arg)
{
	return __atomic_load_n(&world.tid[arg % MAX_THREADS], __ATOMIC_RELAXED);
}

static void op_sleep(const uint64_t *a)
{
	doze_ns((int64_t)(a[0] % 50000) * NSEC_PER_USEC);
}

static void op_yield(const uint64_t *a)
{
	(void)a;
	sched_yield();
}

static void op_signal(const uint64_t *a)
{
	static const int sigs[] = { SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD };
	pid_t tid = tid_of(a[0]);

	if (tid)
		syscall(SYS_tgkill, getpid(), tid, sigs[a[1] % NR_ELEMS(sigs)]);
}

static void op_affinity(const uint64_t *a)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < 8; i++)
		if (a[1] >> i & 1)
			CPU_SET(i, &set);
	sched_setaffinity(tid_of(a[0]), sizeof(set), &set);
}

static void op_policy(const uint64_t *a)
{
	static const int policies[] = { SCHED_OTHER, SCHED_BATCH, SCHED_IDLE };
	struct sched_param param = { 0 };

	sched_setscheduler(tid_of(a[0]), policies[a[1] % NR_ELEMS(policies)], &param);
}

static void op_unshare(const uint64_t *a)
{
	static const int what[] = { CLONE_FILES, CLONE_FS, CLONE_FILES | CLONE_FS };

	unshare(what[a[0] % NR_ELEMS(what)]);
}

static void op_exit(const uint64_t *a)
{
	(void)a;
	syscall(SYS_exit, 0);
}

/* ----------------------------------------------------------------- threads */

struct extra {
	struct fuzz_ctx *ctx;
	uint64_t what;
};

/* An M that comes for a moment. */
static void *extra_main(void *arg)
{
	struct extra *e = arg;
	struct gsched_m_register reg = { 0 };
	struct gsched_acquire acquire = { 0 };
	struct gsched_idle idle = { .deadline = now_ns() + NSEC_PER_MSEC };
	struct hog { int64_t end; } hog = { now_ns() + NSEC_PER_MSEC };

	ioctl(e->ctx->fd, GSCHED_IOC_M_REGISTER, &reg);
	if (e->what & 1)
		ioctl(e->ctx->fd, GSCHED_IOC_ACQUIRE, &acquire);
	if (e->what & 2)
		ioctl(e->ctx->fd, GSCHED_IOC_IDLE, &idle);
	while (e->what & 4 && now_ns() < hog.end)
		;
	if (e->what & 8)
		ioctl(e->ctx->fd, GSCHED_IOC_M_UNREGISTER, NULL);
	free(e);
	return NULL;
}

static void op_thread(const uint64_t *a)
{
	struct extra *e = malloc(sizeof(*e));
	pthread_t thread;

	*e = (struct extra){ ctx_of(a[0]), a[1] };
	if (pthread_create(&thread, NULL, extra_main, e))
		free(e);
	else
		pthread_detach(thread);
}

/* --------------------------------------------------------------- processes */

/*
 * In the image after exec: the contexts of the old one are still open. First it is
 * switched out, so that the module sees where it is.
 */
int after_exec(void)
{
	doze_ns(NSEC_PER_MSEC);
	for (int fd = 3; fd < 32; fd++)
		any_ioctls(fd);
	return 0;
}

static char *const exec_argv[] = { "fuzz", "--after-exec", NULL };

static void op_exec(const uint64_t *a)
{
	(void)a;
	execve("/proc/self/exe", exec_argv, environ);
}

static void touch_regions(void)
{
	char byte = 0;

	for (int i = 0; i < NR_CTXS; i++) {
		for (int r = 0; r < NR_REGIONS; r++)
			if (world.ctx[i].map[r])
				guarded_copy(&byte, world.ctx[i].map[r], 1);
		if (world.ctx[i].stacks)
			guarded_copy(world.ctx[i].stacks + world.ctx[i].stacks_len - 1, &byte, 1);
	}
}

static void own_context(void)
{
	struct gsched_setup setup = {
		.nr_procs = 1, .max_procs = 2, .max_ms = 2, .max_slots = 40,
	};
	int fd = open(GSCHED_DEVICE, O_RDWR);

	ioctl(fd, GSCHED_IOC_SETUP, &setup);
	any_ioctls(fd);
	for (int i = 0; i < NR_FDS; i++) {
		struct gsched_fd reg = { .fd = world.fd[i] };

		ioctl(fd, GSCHED_IOC_FD_REGISTER, &reg);
	}
	doze_ns(NSEC_PER_MSEC);
}

enum child {
	CHILD_ENDS,
	CHILD_ASKS,		/* calls on its parent's contexts */
	CHILD_TOUCHES,		/* its parent's mappings */
	CHILD_CLOSES,
	CHILD_STAYS,		/* longer than its parent */
	CHILD_OWN,		/* has a context of its own, and watches the parent's files */
	CHILD_EXECS,
	NR_CHILDREN,
};

static void child(enum child what)
{
	switch (what) {
	case CHILD_ASKS:
		for (int i = 0; i < NR_CTXS; i++)
			any_ioctls(world.ctx[i].fd);
		break;
	case CHILD_TOUCHES:
		touch_regions();
		break;
	case CHILD_CLOSES:
		for (int i = 0; i < NR_CTXS; i++)
			close(world.ctx[i].fd);
		break;
	case CHILD_STAYS:
		doze_ns(30 * NSEC_PER_MSEC);
		break;
	case CHILD_OWN:
		own_context();
		break;
	case CHILD_EXECS:
		execve("/proc/self/exe", exec_argv, environ);
		break;
	default:
		break;
	}
	_exit(0);
}

static void op_fork(const uint64_t *a)
{
	pid_t pid = fork();

	if (!pid)
		child(a[0] % NR_CHILDREN);
	if (pid > 0 && a[1] & 1)
		waitpid(pid, NULL, 0);
}

/* By vfork(): the child runs in our address space, and is another process. */
static void op_spawn(const uint64_t *a)
{
	pid_t pid;

	(void)a;
	if (!posix_spawn(&pid, "/proc/self/exe", NULL, NULL, exec_argv, environ))
		waitpid(pid, NULL, 0);
}

/* A helper outside of the program, which must not outlive it for long. */
static pid_t helper(void)
{
	pid_t pid = fork();

	if (!pid) {
		signal(SIGALRM, SIG_DFL);
		alarm(2);
	}
	return pid;
}

static void op_stop(const uint64_t *a)
{
	pid_t parent = getpid();

	if (helper())
		return;
	kill(parent, a[1] & 1 ? SIGTSTP : SIGSTOP);
	doze_ns((int64_t)(a[0] % 20000) * NSEC_PER_USEC);
	kill(parent, SIGCONT);
	_exit(0);
}

static void trace(pid_t tid, unsigned int steps, int64_t ns)
{
	int status;

	if (ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD))
		return;
	ptrace(PTRACE_INTERRUPT, tid, 0, 0);
	if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
		return;
	doze_ns(ns);
	while (steps--) {
		if (ptrace(steps & 1 ? PTRACE_SYSCALL : PTRACE_SINGLESTEP, tid, 0, 0) ||
		    waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
			return;
	}
	ptrace(PTRACE_DETACH, tid, 0, 0);
}

static void op_trace(const uint64_t *a)
{
	pid_t tid = tid_of(a[0]);

	if (!tid || helper())
		return;
	trace(tid, a[1] % 32, (int64_t)(a[2] % 150000) * NSEC_PER_USEC);
	_exit(0);
}

static void write_text(const char *name, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", world.cgroup, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text));
	close(fd);
}

static void op_freeze(const uint64_t *a)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (!world.cgroup[0] || helper())
		return;
	write_text("cgroup.procs", pid);
	write_text("cgroup.freeze", "1");
	doze_ns((int64_t)(a[0] % 20000) * NSEC_PER_USEC);
	write_text("cgroup.freeze", "0");
	_exit(0);
}

/* A core dump reads every mapping: of a child, since it ends the process. */
static void op_core(const uint64_t *a)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };

	(void)a;
	if (fork())
		return;
	if (chdir("/tmp"))
		_exit(1);
	setrlimit(RLIMIT_CORE, &limit);
	signal(SIGQUIT, SIG_DFL);
	raise(SIGQUIT);
	_exit(0);
}

static void op_nofile(const uint64_t *a)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = a[0] % (limit.rlim_max + 1);
	setrlimit(RLIMIT_NOFILE, &limit);
}

const struct op task_ops[] = {
	{ "sleep", 16, { { "for", ARG_USEC, 3000 } }, op_sleep },
	{ "yield", 4, { { "-", ARG_NONE, 0 } }, op_yield },
	{ "signal", 8, { THREAD, { "what", ARG_INDEX, 4 } }, op_signal },
	{ "affinity", 4, { THREAD, { "cpus", ARG_COUNT, 15 } }, op_affinity },
	{ "policy", 2, { THREAD, { "what", ARG_INDEX, 3 } }, op_policy },
	{ "unshare", 2, { { "what", ARG_INDEX, 3 } }, op_unshare },
	{ "exit", 2, { { "-", ARG_NONE, 0 } }, op_exit },
	{ "thread", 8, { { "ctx", ARG_INDEX, NR_CTXS }, { "what", ARG_COUNT, 15 } }, op_thread },
	{ "exec", 1, { { "-", ARG_NONE, 0 } }, op_exec },
	{ "fork", 6, { { "what", ARG_INDEX, NR_CHILDREN }, { "wait", ARG_CHOICE, 2 } }, op_fork },
	{ "spawn", 1, { { "-", ARG_NONE, 0 } }, op_spawn },
	{ "stop", 2, { { "for", ARG_USEC, 4000 }, { "soft", ARG_CHOICE, 2 } }, op_stop },
	{ "trace", 3, { THREAD, { "steps", ARG_CHOICE, 32 }, { "for", ARG_USEC, 20000 } },
	  op_trace },
	{ "freeze", 2, { { "for", ARG_USEC, 4000 } }, op_freeze },
	{ "core", 1, { { "-", ARG_NONE, 0 } }, op_core },
	{ "nofile", 1, { { "limit", ARG_COUNT, 64 } }, op_nofile },
};

const unsigned int nr_task_ops = NR_ELEMS(task_ops);
