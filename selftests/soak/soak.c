// SPDX-License-Identifier: GPL-2.0
/*
 * soak: one round of the soak test.
 *
 *   soak SEED SECONDS
 *
 * A round is a function of its seed, as far as timing allows:
 *
 *   1. some workers run (worker_abi.c, worker_lib.c), each a process. One that ends is
 *      replaced by another. It may end by itself in any way, or be killed.
 *   2. disturbers (disturb.c) do all kinds of things to them, for SECONDS
 *   3. calm: the disturbers end, and every lane of every worker that lives must go on.
 *      This is where a wake-up that was lost for good shows.
 *   4. half of the workers are told to end, and must end well; the others are killed.
 *      The module must be unloadable right then, with what they leave still under way.
 *
 * The exit status is 0 if nothing was wrong. soak.sh runs round after round, and
 * looks after each at what the kernel has to say.
 */
#include "disturb.h"
#include "soak.h"
#include "system.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/gsched.h>

#define DISTURBERS	3
#define DRIVER_FD	10	/* the shared memory, in the driver */

static struct soak *soak;
static unsigned int seed;
static unsigned int nr_started, nr_failed;

static void failed(const char *what, unsigned int nr)
{
	fprintf(stderr, "# worker %u, process %d: %s\n", nr, soak->workers[nr].pid, what);
	nr_failed++;
}

/* ------------------------------------------------------------------- workers */

/* What the next child will live in. The caller itself stays where it is. */
static void time_ns_enter(void)
{
	char offset[32];

	if (unshare(CLONE_NEWTIME))
		return;
	snprintf(offset, sizeof(offset), "monotonic %d 0", (int)rnd(&seed, 200000));
	sys_write(offset, "/proc/self/timens_offsets");
}

static void time_ns_leave(int ns)
{
	soak_must(setns(ns, CLONE_NEWTIME) == 0);
	close(ns);
}

static void worker_exec(unsigned int nr, unsigned int worker_seed)
{
	static const char *const programs[] = { "worker_lib", "worker_abi" };
	const char *program = programs[worker_seed % 3 == 0];
	char path[128], nr_text[16], seed_text[16];

	groups_enter(nr);
	sys_write("500", "/proc/self/oom_score_adj");
	soak_must(dup2(DRIVER_FD, SOAK_FD) == SOAK_FD);
	snprintf(path, sizeof(path), "%s/%s", getenv("SOAK_DIR") ?: ".", program);
	snprintf(nr_text, sizeof(nr_text), "%u", nr);
	snprintf(seed_text, sizeof(seed_text), "%u", worker_seed);
	execl(path, program, nr_text, seed_text, NULL);
	/* The group may have no memory left for that. */
	soak_must(errno == ENOMEM || errno == E2BIG);
	_exit(SOAK_NO_MEMORY);
}

/*
 * What the last process of this number was subject to remains: a disturber may not have
 * seen yet that it has ended.
 */
static void worker_start(unsigned int nr)
{
	struct worker *w = &soak->workers[nr];
	unsigned int worker_seed = soak_seed(seed, ++nr_started);
	int ns = rnd(&seed, 4) ? -1 : open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
	pid_t pid;

	soak_store(&w->nr_lanes, 0);
	if (ns >= 0)
		time_ns_enter();
	pid = fork();
	soak_must(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		worker_exec(nr, worker_seed);
	}
	if (ns >= 0)
		time_ns_leave(ns);
	soak_store(&w->pid, pid);
}

static bool status_allowed(struct worker *w, int status)
{
	if (WIFSIGNALED(status))
		return soak_load(&w->deaths) & (1ULL << WTERMSIG(status));
	return WEXITSTATUS(status) == 0 ||
	       (WEXITSTATUS(status) == SOAK_NO_MEMORY && soak_load(&w->squeezed));
}

static void show_lanes(struct worker *w)
{
	for (unsigned int i = 0; i < w->nr_lanes; i++)
		fprintf(stderr, "#   lane %s: %llu steps\n", w->lanes[i].name,
			(unsigned long long)w->lanes[i].steps);
}

/* Return: the worker is there no more. */
static bool worker_reap(unsigned int nr)
{
	struct worker *w = &soak->workers[nr];
	char what[64];
	int status;

	if (!w->pid || waitpid(w->pid, &status, WNOHANG) != w->pid)
		return !w->pid;
	if (!status_allowed(w, status)) {
		snprintf(what, sizeof(what), "ended with status %#x, not one of %#llx", status,
			 (unsigned long long)w->deaths);
		failed(what, nr);
		show_lanes(w);
	}
	soak_store(&w->pid, 0);
	return true;
}

static bool worker_ends(unsigned int nr)
{
	int64_t end = now_ns() + SOAK_PATIENCE;

	while (!worker_reap(nr)) {
		if (now_ns() > end)
			return false;
		sleep_ns(5 * NSEC_PER_MSEC);
	}
	return true;
}

/* --------------------------------------------------------- what does not go on */

static void show_thread(pid_t pid, pid_t tid)
{
	fprintf(stderr, "#   thread %d\n", tid);
	sys_show("/proc/%d/task/%d/wchan", pid, tid);
	sys_show("/proc/%d/task/%d/syscall", pid, tid);
	sys_show("/proc/%d/task/%d/stack", pid, tid);
	fputs("\n", stderr);
}

static void show(unsigned int nr)
{
	struct worker *w = &soak->workers[nr];

	show_lanes(w);
	kill(w->pid, SIGUSR2);		/* it says what its goroutines do */
	sleep_ns(2 * NSEC_PER_SEC);
	sys_show("/proc/%d/status", w->pid);
	for (int fd = 3; fd < 8; fd++)
		sys_show("/proc/%d/fdinfo/%d", w->pid, fd);
	sys_each_thread(w->pid, show_thread);
}

/* ----------------------------------------------------------------- the phases */

static void replace_ended(void)
{
	for (unsigned int i = 0; i < SOAK_WORKERS; i++)
		if (worker_reap(i))
			worker_start(i);
}

static void disturbers_start(pid_t pids[DISTURBERS])
{
	for (unsigned int i = 0; i < DISTURBERS; i++) {
		pids[i] = fork();
		soak_must(pids[i] >= 0);
		if (pids[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		disturb(soak, soak_seed(seed, 1000000 + i));
		_exit(0);
	}
}

static void disturbers_end(pid_t pids[DISTURBERS])
{
	int status;

	soak_store(&soak->calm, 1);
	for (unsigned int i = 0; i < DISTURBERS; i++) {
		soak_must(waitpid(pids[i], &status, 0) == pids[i]);
		if (status) {
			fprintf(stderr, "# a disturber ended with status %#x\n", status);
			nr_failed++;
		}
	}
	disturb_undo(soak);
}

static bool lane_goes_on(struct worker *w, struct lane *lane, uint64_t steps, int64_t end)
{
	while (soak_load(&lane->steps) == steps && !worker_reap(w - soak->workers)) {
		if (now_ns() > end)
			return false;
		sleep_ns(10 * NSEC_PER_MSEC);
	}
	return true;
}

/* A worker that executes another program begins anew: any number will do then. */
static void must_go_on(unsigned int nr)
{
	struct worker *w = &soak->workers[nr];
	int64_t end = now_ns() + SOAK_PATIENCE;
	uint64_t steps[SOAK_LANES];
	char what[64];

	for (unsigned int i = 0; i < SOAK_LANES; i++)
		steps[i] = soak_load(&w->lanes[i].steps);
	for (unsigned int i = 0; i < soak_load(&w->nr_lanes); i++) {
		if (lane_goes_on(w, &w->lanes[i], steps[i], end))
			continue;
		snprintf(what, sizeof(what), "lane %s does not go on", w->lanes[i].name);
		failed(what, nr);
		show(nr);
		return;
	}
}

static void calm(void)
{
	for (unsigned int i = 0; i < SOAK_WORKERS; i++)
		if (!worker_reap(i))
			must_go_on(i);
}

static void end_well(unsigned int nr)
{
	soak_store(&soak->workers[nr].stop, 1);
	if (worker_ends(nr))
		return;
	failed("does not end", nr);
	show(nr);
}

static void end_workers(void)
{
	for (unsigned int i = 0; i < SOAK_WORKERS; i++)
		if (rnd(&seed, 2))
			end_well(i);
	for (unsigned int i = 0; i < SOAK_WORKERS; i++) {
		if (!soak->workers[i].pid)
			continue;
		soak_may_die(&soak->workers[i], SIGKILL);
		kill(soak->workers[i].pid, SIGKILL);
		if (!worker_ends(i))
			failed("cannot be killed", i);
	}
}

/* Nobody has a context any more: all that counts them must soon come to zero. */
static void unload(int context)
{
	int64_t end = now_ns() + SOAK_PATIENCE;

	close(context);
	while (syscall(SYS_delete_module, "gsched", O_NONBLOCK)) {
		if (now_ns() > end) {
			fprintf(stderr, "# the module cannot be unloaded: %s, %ld references\n",
				strerror(errno), sys_number("/sys/module/gsched/refcnt"));
			nr_failed++;
			return;
		}
		sched_yield();
	}
}

static int make_memory(void)
{
	int fd = memfd_create("soak", 0);

	soak_must(fd >= 0 && ftruncate(fd, sizeof(struct soak)) == 0);
	soak_must(dup3(fd, DRIVER_FD, O_CLOEXEC) == DRIVER_FD);
	return close(fd);
}

int main(int argc, char **argv)
{
	pid_t disturbers[DISTURBERS];
	int64_t end;
	int context;

	soak_must(argc == 3);
	seed = strtoul(argv[1], NULL, 0);
	soak_must(make_memory() == 0);
	soak = soak_map(DRIVER_FD);
	sys_write("-1000", "/proc/self/oom_score_adj");
	groups_make(SOAK_WORKERS);
	groups_reset(SOAK_WORKERS);
	context = open(GSCHED_DEVICE, O_RDWR | O_CLOEXEC);
	soak_must(context >= 0);

	replace_ended();
	disturbers_start(disturbers);
	end = now_ns() + strtol(argv[2], NULL, 10) * NSEC_PER_SEC;
	while (now_ns() < end) {
		replace_ended();
		sleep_ns(5 * NSEC_PER_MSEC);
	}
	disturbers_end(disturbers);
	calm();
	end_workers();
	unload(context);
	printf("# %u workers, %u failures\n", nr_started, nr_failed);
	return nr_failed > 0;
}
