// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to the soak test's workers, and to the machine: a table of
 * disturbances. Several disturbers work at it at the same time, each a process of
 * its own, so that one can stop what another traces and a third one kills.
 *
 * Most of them do something, wait for a random time, and undo it. What a kernel does
 * not offer fails without a word: the calls' results are not looked at.
 */
#include "disturb.h"
#include "system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

/**
 * struct victim - whom a disturbance is meant for
 * @soak:	all
 * @w:		a worker that lived a moment ago
 * @nr:		its number, that is its groups'
 * @pid:	its process
 * @seed:	the disturber's
 */
struct victim {
	struct soak *soak;
	struct worker *w;
	unsigned int nr;
	pid_t pid;
	unsigned int seed;
};

static void wait_ms(struct victim *v, unsigned int most)
{
	sleep_ns(rnd(&v->seed, most * 16) * (NSEC_PER_MSEC / 16));
}

static void hit(struct victim *v, int sig)
{
	soak_may_die(v->w, sig);
	kill(v->pid, sig);
}

/* ------------------------------------------------------------------- signals */

static void do_kill(struct victim *v)
{
	hit(v, SIGKILL);
}

static void do_stop(struct victim *v)
{
	for (unsigned int n = 1 + rnd(&v->seed, 3); n; n--) {
		kill(v->pid, SIGSTOP);
		wait_ms(v, 400);
		kill(v->pid, SIGCONT);
		wait_ms(v, 2);
	}
}

static void do_kill_stopped(struct victim *v)
{
	kill(v->pid, SIGSTOP);
	wait_ms(v, 50);
	hit(v, SIGKILL);
}

/* A signal with a handler, to whatever threads. The process may just be executing another. */
static void do_signals(struct victim *v)
{
	pid_t tid;

	soak_may_die(v->w, SIGUSR1);
	for (unsigned int n = 1 + rnd(&v->seed, 50); n; n--) {
		tid = sys_some_thread(v->pid, &v->seed);
		if (tid)
			syscall(SYS_tgkill, v->pid, tid, SIGUSR1);
		wait_ms(v, 3);
	}
}

/* It dumps core while its threads are wherever they are. */
static void do_dump_core(struct victim *v)
{
	struct rlimit lim = { 32 << 20, 32 << 20 };

	prlimit(v->pid, RLIMIT_CORE, &lim, NULL);
	hit(v, SIGQUIT);
}

/* -------------------------------------------------------------------- tracing */

static void trace_steps(struct victim *v, pid_t tid)
{
	static const int how[] = { PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SINGLESTEP };
	unsigned int n = rnd(&v->seed, 30);
	int request, status, sig;

	while (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) {
		if (!n--)
			return;
		/* Ends of system calls and events are no signals to be handed on. */
		sig = WSTOPSIG(status) == SIGUSR1 ? SIGUSR1 : 0;
		request = how[rnd(&v->seed, 3)];
		if (ptrace(request, tid, NULL, sig))
			return;
		if (request == PTRACE_CONT) {
			wait_ms(v, 20);
			ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
		}
	}
}

/*
 * The tracer: it may also just end, and with it the tracing, or take the traced along.
 * A thread that was making single steps then goes on with them.
 */
static void trace(struct victim *v)
{
	bool all = rnd(&v->seed, 8) == 0;
	long options = all ? PTRACE_O_EXITKILL : 0;
	pid_t tid = sys_some_thread(v->pid, &v->seed);

	soak_may_die(v->w, SIGTRAP);
	if (all)
		soak_may_die(v->w, SIGKILL);
	if (!tid || ptrace(PTRACE_SEIZE, tid, NULL, options) ||
	    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return;
	trace_steps(v, tid);
	if (rnd(&v->seed, 2))
		ptrace(PTRACE_DETACH, tid, NULL, NULL);
}

/* The tracer does not wait for ever for a thread that does not stop. */
static void do_trace(struct victim *v)
{
	pid_t tracer = fork();

	if (tracer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		trace(v);
		_exit(0);
	}
	for (int i = 0; i < 200 && waitpid(tracer, NULL, WNOHANG) == 0; i++)
		sleep_ns(5 * NSEC_PER_MSEC);
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);
}

/* ------------------------------------------------------------------- freezers */

static void stay_frozen(struct victim *v)
{
	wait_ms(v, 300);
	if (rnd(&v->seed, 8) == 0)
		hit(v, SIGKILL);
}

static void do_freeze(struct victim *v)
{
	sys_write("1", SOAK_GROUP "/%u/cgroup.freeze", v->nr);
	stay_frozen(v);
	sys_write("0", SOAK_GROUP "/%u/cgroup.freeze", v->nr);
}

/* As the machine's suspend freezes it. */
static void do_freeze_v1(struct victim *v)
{
	int fd = freezer_have();

	sys_write("FROZEN", SOAK_FREEZER "/%u/freezer.state", v->nr);
	stay_frozen(v);
	sys_write("THAWED", SOAK_FREEZER "/%u/freezer.state", v->nr);
	close(fd);
}

/*
 * All of a suspend but for the sleep: "core" takes the other CPUs off, too, and stops
 * the clock. An emulated machine has nothing that could wake it up.
 */
static void do_suspend(struct victim *v)
{
	static const char *const levels[] = { "freezer", "devices", "processors", "core" };
	int fd;

	if (access("/sys/power/pm_test", W_OK))
		return;
	fd = freezer_have();
	sys_write("1", "/sys/module/suspend/parameters/pm_test_delay");
	sys_write(levels[rnd(&v->seed, 4)], "/sys/power/pm_test");
	sys_write("mem", "/sys/power/state");
	close(fd);
}

/* ----------------------------------------------------------------------- CPUs */

static unsigned int nr_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_CONF);
}

/* CPU 0 cannot go. */
static void do_cpus(struct victim *v)
{
	unsigned int cpu = nr_cpus() > 1 ? 1 + rnd(&v->seed, nr_cpus() - 1) : 0;

	if (!cpu)
		return;
	for (unsigned int n = 1 + rnd(&v->seed, 3); n; n--) {
		sys_write("0", "/sys/devices/system/cpu/cpu%u/online", cpu);
		wait_ms(v, 300);
		sys_write("1", "/sys/devices/system/cpu/cpu%u/online", cpu);
		wait_ms(v, 20);
	}
}

static void do_cpuset(struct victim *v)
{
	char cpu[16], all[64];

	sys_read(all, sizeof(all), "/sys/devices/system/cpu/possible");
	for (unsigned int n = 1 + rnd(&v->seed, 5); n; n--) {
		snprintf(cpu, sizeof(cpu), "%u", rnd(&v->seed, nr_cpus()));
		sys_write(cpu, SOAK_GROUP "/%u/cpuset.cpus", v->nr);
		wait_ms(v, 100);
		sys_write(all, SOAK_GROUP "/%u/cpuset.cpus", v->nr);
		wait_ms(v, 20);
	}
}

static void do_affinity(struct victim *v)
{
	pid_t tid = sys_some_thread(v->pid, &v->seed);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(rnd(&v->seed, nr_cpus()), &set);
	sched_setaffinity(tid, sizeof(set), &set);
	wait_ms(v, 200);
	for (unsigned int cpu = 0; cpu < nr_cpus(); cpu++)
		CPU_SET(cpu, &set);
	sched_setaffinity(tid, sizeof(set), &set);
}

static void do_quota(struct victim *v)
{
	sys_write("4000 50000", SOAK_GROUP "/%u/cpu.max", v->nr);
	wait_ms(v, 400);
	sys_write("max", SOAK_GROUP "/%u/cpu.max", v->nr);
}

static void do_policy(struct victim *v)
{
	static const int policies[] = { SCHED_BATCH, SCHED_IDLE, SCHED_RR, SCHED_FIFO };
	int policy = policies[rnd(&v->seed, 4)];
	pid_t tid = sys_some_thread(v->pid, &v->seed);
	struct sched_param param = { .sched_priority = policy == SCHED_RR || policy == SCHED_FIFO };

	if (!tid)
		return;
	sched_setscheduler(tid, policy, &param);
	wait_ms(v, 200);
	param.sched_priority = 0;
	sched_setscheduler(tid, SCHED_OTHER, &param);
}

/* --------------------------------------------------------------------- memory */

static void do_squeeze(struct victim *v)
{
	long used = sys_number(SOAK_GROUP "/%u/memory.current", v->nr);
	const char *file = rnd(&v->seed, 2) ? "memory.max" : "memory.high";
	char limit[32];

	if (used < 0)
		return;
	snprintf(limit, sizeof(limit), "%ld", used / 8 * (6 + rnd(&v->seed, 4)));
	soak_store(&v->w->squeezed, 1);
	soak_may_die(v->w, SIGKILL);
	sys_write(limit, SOAK_GROUP "/%u/%s", v->nr, file);
	wait_ms(v, 300);
	sys_write("max", SOAK_GROUP "/%u/%s", v->nr, file);
}

static long available_kb(void)
{
	char text[1024], *at;

	sys_read(text, sizeof(text), "/proc/meminfo");
	at = strstr(text, "MemAvailable:");
	return at ? strtol(at + strlen("MemAvailable:"), NULL, 10) : 0;
}

/* In small steps: who has been told to freeze shall come to that. */
static void fill_memory(size_t size)
{
	size_t step = 1 << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t at = 0; p != MAP_FAILED && at + step <= size; at += step)
		madvise(p + at, step, MADV_POPULATE_WRITE);
}

/* A good part of what is free, in another process, which is the first to go. */
static void do_balloon(struct victim *v)
{
	size_t size = (size_t)available_kb() * 256;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sys_write("1000", "/proc/self/oom_score_adj");
		fill_memory(size);
		wait_ms(v, 300);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	sys_write("3", "/proc/sys/vm/drop_caches");
	sys_write("1", "/proc/sys/vm/compact_memory");
}

/* ----------------------------------------------------------------------- time */

static void do_clock(struct victim *v)
{
	struct timespec real, before, after;
	int jump = (int)rnd(&v->seed, 2 * 86400) - 86400;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &before);
	real.tv_sec += jump;
	clock_settime(CLOCK_REALTIME, &real);
	wait_ms(v, 200);
	clock_gettime(CLOCK_MONOTONIC, &after);
	real.tv_sec += after.tv_sec - before.tv_sec - jump;
	clock_settime(CLOCK_REALTIME, &real);
}

/* ------------------------------------------------------------------ onlookers */

static void read_all(const char *path)
{
	static char buf[65536];

	sys_read(buf, sizeof(buf), "%s", path);
}

static void look_at_thread(pid_t pid, pid_t tid)
{
	static const char *const files[] = { "stack", "stat", "syscall", "wchan", "sched" };
	char path[64];

	for (unsigned int i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, files[i]);
		read_all(path);
	}
}

static void look_at_fds(pid_t pid)
{
	char path[320];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, e->d_name);
		read_all(path);
	}
	if (dir)
		closedir(dir);
}

static void do_look(struct victim *v)
{
	char path[64];

	look_at_fds(v->pid);
	sys_each_thread(v->pid, look_at_thread);
	snprintf(path, sizeof(path), "/proc/%d/smaps", v->pid);
	read_all(path);
}

static void do_trace_events(struct victim *v)
{
	sys_write("1", "/sys/kernel/tracing/events/gsched/enable");
	wait_ms(v, 300);
	sys_write("0", "/sys/kernel/tracing/events/gsched/enable");
}

/* The driver has a context open: it must fail. */
static void do_unload(struct victim *v)
{
	(void)v;
	soak_must(syscall(SYS_delete_module, "gsched", O_NONBLOCK) && errno == EWOULDBLOCK);
}

/* ---------------------------------------------------------------------- table */

static const struct disturbance {
	const char *name;
	unsigned int weight;
	void (*act)(struct victim *v);
} disturbances[] = {
	{ "kill", 4, do_kill },
	{ "stop", 8, do_stop },
	{ "kill stopped", 2, do_kill_stopped },
	{ "signals", 8, do_signals },
	{ "dump core", 1, do_dump_core },
	{ "trace", 10, do_trace },
	{ "freeze", 8, do_freeze },
	{ "freeze v1", 6, do_freeze_v1 },
	{ "suspend", 1, do_suspend },
	{ "cpus", 6, do_cpus },
	{ "cpuset", 6, do_cpuset },
	{ "affinity", 6, do_affinity },
	{ "quota", 4, do_quota },
	{ "policy", 4, do_policy },
	{ "squeeze", 4, do_squeeze },
	{ "balloon", 2, do_balloon },
	{ "clock", 3, do_clock },
	{ "look", 6, do_look },
	{ "trace events", 2, do_trace_events },
	{ "unload", 1, do_unload },
};

#define NR_DISTURBANCES	(sizeof(disturbances) / sizeof(disturbances[0]))

static const struct disturbance *choose(unsigned int *seed)
{
	const struct disturbance *d = disturbances;
	unsigned int all = 0, n;

	for (unsigned int i = 0; i < NR_DISTURBANCES; i++)
		all += disturbances[i].weight;
	for (n = rnd(seed, all); n >= d->weight; d++)
		n -= d->weight;
	return d;
}

/* SOAK_ONLY=NAME: that disturbance only; SOAK_VERBOSE: say what is done. */
void disturb(struct soak *soak, unsigned int seed)
{
	const char *only = getenv("SOAK_ONLY");
	bool verbose = getenv("SOAK_VERBOSE");
	struct victim v = { .soak = soak, .seed = seed };

	/* There is less to see in a storm that waits for its victims. */
	setpriority(PRIO_PROCESS, 0, -15);
	while (!soak_load(&soak->calm)) {
		const struct disturbance *d = choose(&v.seed);

		v.nr = rnd(&v.seed, SOAK_WORKERS);
		v.w = &soak->workers[v.nr];
		v.pid = soak_load(&v.w->pid);
		if (v.pid && (!only || strstr(only, d->name))) {
			if (verbose)
				fprintf(stderr, "# %lld ms: %s worker %u, process %d\n",
					(long long)(now_ns() / NSEC_PER_MSEC), d->name, v.nr, v.pid);
			d->act(&v);
		}
		wait_ms(&v, 100);
	}
}

void disturb_undo(struct soak *soak)
{
	groups_reset(SOAK_WORKERS);
	for (unsigned int i = 0; i < SOAK_WORKERS; i++) {
		pid_t pid = soak_load(&soak->workers[i].pid);

		if (pid)
			kill(pid, SIGCONT);
	}
	for (unsigned int cpu = 1; cpu < nr_cpus(); cpu++)
		sys_write("1", "/sys/devices/system/cpu/cpu%u/online", cpu);
	sys_write("0", "/sys/kernel/tracing/events/gsched/enable");
}
