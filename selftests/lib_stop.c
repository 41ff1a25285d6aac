// SPDX-License-Identifier: GPL-2.0
/*
 * Stopping a program as a whole: SIGSTOP, Ctrl-Z and fg, the cgroup freezer, and
 * SIGKILL. Its Ms are in all states meanwhile; some wait for the P of one that stops
 * inside a section.
 */
#include "lib_live.h"

#include <sys/stat.h>
#include <termios.h>

FIXTURE(live) { unsigned int seed; };
LIVE_ON_ONE_AND_TWO_PS()

/*
 * 100 ms is what a user notices. On a machine that is busy otherwise some stops may
 * take longer, but not those of the kernel that wait for something.
 */
#define STOP_BOUND	(100 * MS)

static bool times_short(struct times *t, const char *what)
{
	times_print(t, what);
	return t->ns[0] >= 0 && times_quantile(t, 900) < STOP_BOUND &&
	       t->ns[t->n - 1] < 10 * STOP_BOUND;
}

/* ------------------------------------------------------------------ SIGSTOP */

static int64_t stop_by(int (*send)(unsigned int *seed, int sig), unsigned int *seed)
{
	int64_t begin = gs_now();

	CHECK_EQ(0, send(seed, SIGSTOP));
	return TIME_UNTIL(begin, tasks_all(live->pid, "T"));
}

static int to_process(unsigned int *seed, int sig)
{
	(void)seed;
	return kill(live->pid, sig);
}

static int to_thread(unsigned int *seed, int sig)
{
	int err;

	do {
		err = syscall(SYS_tgkill, live->pid, task_any(live->pid, seed), sig);
	} while (err && errno == ESRCH);
	return err;
}

static long progress_sum(void)
{
	long sum = 0;

	for (int i = 0; i < live->nr; i++)
		sum += __atomic_load_n(&live->progress[i], __ATOMIC_RELAXED);
	return sum;
}

static void stop_and_go(int (*send)(unsigned int *seed, int sig), unsigned int *seed,
			struct times *stops, struct times *goes)
{
	long before;

	times_add(stops, stop_by(send, seed));
	before = progress_sum();
	sleep_ns(2 * MS);
	CHECK_EQ(before, progress_sum());
	CHECK_EQ(0, kill(live->pid, SIGCONT));
	times_add(goes, live_goes_on());
	sleep_ns(rnd(seed) % 5000000);
}

static void stops_by(int (*send)(unsigned int *seed, int sig), unsigned int *seed)
{
	struct times stops = { 0 }, goes = { 0 };

	for (int i = 0; i < 12; i++)
		stop_and_go(send, seed, &stops, &goes);
	CHECK(times_short(&stops, "to a stop"));
	times_print(&goes, "until all go on");
	CHECK(goes.ns[0] >= 0);
}

TEST_F_TIMEOUT(live, sigstop_process, 60)
{
	stops_by(to_process, &self->seed);
	EXPECT_EQ(LIVE_STATUS, live_end());
}

TEST_F_TIMEOUT(live, sigstop_thread, 60)
{
	stops_by(to_thread, &self->seed);
	EXPECT_EQ(LIVE_STATUS, live_end());
}

/* Nobody waits for anything: stops begin before the last one has ended. */
TEST_F_TIMEOUT(live, sigstop_storm, 60)
{
	for (int i = 0; i < 400; i++) {
		to_thread(&self->seed, SIGSTOP);
		if (rnd(&self->seed) % 2)
			sleep_ns(rnd(&self->seed) % 1000000);
		kill(live->pid, SIGCONT);
		if (rnd(&self->seed) % 2)
			sleep_ns(rnd(&self->seed) % 1000000);
	}
	EXPECT_LE(0, live_goes_on());
	EXPECT_EQ(LIVE_STATUS, live_end());
}

/* ------------------------------------------------------------------- Ctrl-Z */

static int pty_open(char *slave, size_t size)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	CHECK(master >= 0);
	CHECK_EQ(0, grantpt(master));
	CHECK_EQ(0, unlockpt(master));
	CHECK_EQ(0, ptsname_r(master, slave, size));
	return master;
}

/* The terminal's job is the process group @pgid. */
static void job_foreground(int tty, pid_t pgid)
{
	CHECK_EQ(0, tcsetpgrp(tty, pgid));
}

/* As a shell: wait until it says that its job has stopped. */
static int64_t job_wait_stopped(int64_t begin)
{
	int status;

	CHECK_EQ(live->pid, waitpid(live->pid, &status, WUNTRACED));
	CHECK(WIFSTOPPED(status));
	CHECK_EQ(SIGTSTP, WSTOPSIG(status));
	return TIME_UNTIL(begin, tasks_all(live->pid, "T"));
}

static void ctrl_z_and_fg(int master, int tty, struct times *stops)
{
	int64_t begin = gs_now();

	CHECK_EQ(1, write(master, "\032", 1));
	times_add(stops, job_wait_stopped(begin));
	job_foreground(tty, getpid());
	job_foreground(tty, live->pid);
	CHECK_EQ(0, kill(-live->pid, SIGCONT));
	CHECK(live_goes_on() >= 0);
}

/* The session's leader. Its job is not yet in a group of its own: no signal until then. */
static int shell(int procs)
{
	struct times stops = { 0 };
	int master, tty;
	char name[64];

	CHECK(setsid() > 0);
	master = pty_open(name, sizeof(name));
	tty = open(name, O_RDWR | O_CLOEXEC);
	CHECK(tty >= 0);
	CHECK_EQ(0, ioctl(tty, TIOCSCTTY, 0));
	signal(SIGTTOU, SIG_IGN);
	live_start(procs);
	CHECK_EQ(0, setpgid(live->pid, live->pid));
	job_foreground(tty, live->pid);
	for (int i = 0; i < 10; i++)
		ctrl_z_and_fg(master, tty, &stops);
	CHECK(times_short(&stops, "Ctrl-Z to a stop"));
	CHECK_EQ(LIVE_STATUS, live_end());
	return 0;
}

static void ctrl_z_on(int procs)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		exit(shell(procs));
	}
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK_EQ(0, status);
}

TEST(ctrl_z_1)
{
	ctrl_z_on(1);
}

TEST(ctrl_z_2)
{
	ctrl_z_on(2);
}

/* ------------------------------------------------------------------ freezer */

#define CGROUP "/sys/fs/cgroup/lib_stop"

static bool file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

static bool file_has(const char *path, const char *what)
{
	char text[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return strstr(text, what);
}

static bool cgroup_make(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", live->pid);
	return (!mkdir(CGROUP, 0755) || errno == EEXIST) &&
	       file_write(CGROUP "/cgroup.freeze", "0") &&
	       file_write(CGROUP "/cgroup.procs", pid);
}

static int64_t freeze(const char *on, const char *event)
{
	int64_t begin = gs_now();

	CHECK(file_write(CGROUP "/cgroup.freeze", on));
	return TIME_UNTIL(begin, file_has(CGROUP "/cgroup.events", event));
}

static void freeze_and_thaw(struct times *freezes, struct times *thaws)
{
	long before;

	times_add(freezes, freeze("1", "frozen 1"));
	before = progress_sum();
	sleep_ns(2 * MS);
	CHECK_EQ(before, progress_sum());
	times_add(thaws, freeze("0", "frozen 0"));
	CHECK(live_goes_on() >= 0);
}

TEST_F_TIMEOUT(live, freezer, 60)
{
	struct times freezes = { 0 }, thaws = { 0 };

	if (!cgroup_make())
		SKIP(return, "no cgroup2 at " CGROUP);
	for (int i = 0; i < 12; i++) {
		freeze_and_thaw(&freezes, &thaws);
		sleep_ns(rnd(&self->seed) % 5000000);
	}
	CHECK(times_short(&freezes, "to a frozen state"));
	CHECK(times_short(&thaws, "to a thawed state"));
	EXPECT_EQ(LIVE_STATUS, live_end());
	EXPECT_EQ(0, rmdir(CGROUP));
}

/* ------------------------------------------------------------------ SIGKILL */

static void before_running(unsigned int *seed)
{
	sleep_ns(rnd(seed) % 3000000);
}

static void before_stopped(unsigned int *seed)
{
	CHECK(stop_by(to_process, seed) >= 0);
}

static void before_stopping(unsigned int *seed)
{
	CHECK_EQ(0, to_thread(seed, SIGSTOP));
}

static void before_frozen(unsigned int *seed)
{
	(void)seed;
	if (cgroup_make())
		CHECK(freeze("1", "frozen 1") >= 0);
}

static void (*const before_kill[])(unsigned int *seed) = {
	before_running, before_stopped, before_stopping, before_frozen,
};

static bool gone(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return access(path, F_OK) && errno == ENOENT;
}

/* The test itself is the only other one that could hold the module, and does not. */
static bool module_free(void)
{
	return access("/sys/module/gsched/refcnt", F_OK) ||
	       file_has("/sys/module/gsched/refcnt", "0\n");
}

TEST_F_TIMEOUT(live, sigkill, 60)
{
	struct times kills = { 0 };

	for (int i = 0; i < 8; i++) {
		pid_t pid = live->pid;
		int64_t begin;

		before_kill[i % 4](&self->seed);
		begin = gs_now();
		ASSERT_EQ(128 + SIGKILL, live_kill());
		times_add(&kills, gs_now() - begin);
		EXPECT_TRUE(gone(pid));
		live_start(variant->procs);
	}
	times_print(&kills, "to the end");
	EXPECT_EQ(LIVE_STATUS, live_end());
	EXPECT_LE(0, TIME_UNTIL(gs_now(), module_free()));
	rmdir(CGROUP);
}

int main(int argc, char **argv)
{
	if (SANITIZED)
		ksft_exit_skip("a sanitizer has nothing to see here\n");
	return test_harness_run(argc, argv);
}
