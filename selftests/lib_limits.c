// SPDX-License-Identifier: GPL-2.0
/*
 * The library at the limits of its process: no more threads (RLIMIT_NPROC), no more
 * memory (RLIMIT_AS). It says so, goes on with what it has, and takes more as soon as
 * there is more.
 */
#include "lib_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/gsched.h>

#define SOME_USER	54321	/* who runs nothing else */
#define NOBODY		77	/* exit status: cannot become that user */

static int threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = -2;

	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void limit(int what, rlim_t n)
{
	struct rlimit r;

	CHECK_EQ(0, getrlimit(what, &r));
	r.rlim_cur = n;
	CHECK_EQ(0, setrlimit(what, &r));
}

static void unlimit(int what)
{
	struct rlimit r;

	CHECK_EQ(0, getrlimit(what, &r));
	limit(what, r.rlim_max);
}

/* ------------------------------------------------------------------- threads */

/* The limit is one of users, and none for root. Return: the exit status. */
static int as_some_user(void (*body)(void))
{
	struct stat device = { 0 };
	bool root = !getuid(), open = root && !stat(GSCHED_DEVICE, &device);
	int status;
	pid_t pid;

	if (open)
		CHECK_EQ(0, chmod(GSCHED_DEVICE, 0666));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		if (root && (setgid(SOME_USER) || setuid(SOME_USER)))
			_exit(NOBODY);
		body();
		_exit(0);
	}
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	if (open)
		CHECK_EQ(0, chmod(GSCHED_DEVICE, device.st_mode & 07777));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int nothing(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 42;
}

static void start_without_threads(void)
{
	setenv("GSCHED_MAXPROCS", "2", 1);
	for (int i = 0; i < 3; i++) {
		limit(RLIMIT_NPROC, 1);
		CHECK_EQ(-EAGAIN, gs_main(nothing, 0, NULL));
		CHECK_EQ(-EAGAIN, gs_start());
		unlimit(RLIMIT_NPROC);
		CHECK_EQ(42, gs_main(nothing, 0, NULL));
		CHECK_EQ(0, gs_start());
		CHECK_EQ(0, gs_stop());
	}
}

static void test_as_some_user(struct __test_metadata *_metadata, void (*body)(void))
{
	int status = as_some_user(body);

	if (status == NOBODY)
		SKIP(return, "cannot become another user");
	EXPECT_EQ(0, status);
}

TEST(no_thread_to_start_with)
{
	test_as_some_user(_metadata, start_without_threads);
}

#define BLOCKERS	8

static void block(void *arg)
{
	struct timespec ts = { .tv_nsec = 20 * MS };

	nanosleep(&ts, NULL);
	gs_wg_done(arg);
}

static void block_all(void)
{
	gs_wg wg = GS_WG_INIT;

	gs_wg_add(&wg, BLOCKERS);
	for (int i = 0; i < BLOCKERS; i++)
		go(block, &wg);
	gs_wg_wait(&wg);
}

/* The threads that there are do it one after the other; then there are more. */
static void few_threads(void)
{
	int n = threads();

	limit(RLIMIT_NPROC, 1);
	block_all();
	CHECK_EQ(0, gs_sleep(150 * MS));	/* another try to make one */
	block_all();
	CHECK(threads() <= n);
	unlimit(RLIMIT_NPROC);
	CHECK_EQ(0, gs_sleep(150 * MS));
	block_all();
	printf("# %d threads at the limit, %d later\n", n, threads());
	fflush(stdout);
}

static void run_with_few_threads(void)
{
	CHECK_EQ(0, run_on(2, few_threads));
}

TEST(no_thread_while_it_runs)
{
	test_as_some_user(_metadata, run_with_few_threads);
}

#define STEP	(20 * MS * slowness())	/* 61 of them: more than a second */
#define SOON	(400 * MS * slowness())

static int pipe_fds[2];
static int64_t written, has_read;

static void read_byte(void *arg)
{
	char byte;

	CHECK_EQ(1, gs_read(pipe_fds[0], &byte, 1));
	has_read = gs_now();
	gs_wg_done(arg);
}

/* One M computes, and is the only one: who looks for events meanwhile? A P is idle. */
static void one_thread(void)
{
	gs_wg wg = GS_WG_INIT;

	limit(RLIMIT_NPROC, 1);
	CHECK_EQ(0, pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC));
	gs_wg_add(&wg, 1);
	go(read_byte, &wg);
	for (int i = 0; i < 100 && !has_read; i++) {
		int64_t end = gs_now() + STEP;

		while (gs_now() < end)
			;
		if (i == 5) {
			written = gs_now();
			CHECK_EQ(1, write(pipe_fds[1], "", 1));
		}
		gs_yield();
	}
	gs_wg_wait(&wg);
	printf("# %d threads; read after %lld ms\n", threads(),
	       (long long)((has_read - written) / MS));
	fflush(stdout);
	CHECK(has_read - written < SOON);
	unlimit(RLIMIT_NPROC);
}

static void run_with_one_thread(void)
{
	CHECK_EQ(0, run_on(2, one_thread));
}

TEST(events_without_a_thread_for_them)
{
	test_as_some_user(_metadata, run_with_one_thread);
}

static int blocker_state;
enum { BLOCKER_RUNS = 1, BLOCKER_BLOCKS, BLOCKER_IS_BLOCKED, BLOCKER_IS_BACK };

/* Its P is the reader's last one. */
static void block_beside_reader(void *arg)
{
	struct timespec ts = { .tv_sec = 5 * slowness() };

	__atomic_store_n(&blocker_state, BLOCKER_RUNS, __ATOMIC_RELEASE);
	while (__atomic_load_n(&blocker_state, __ATOMIC_ACQUIRE) != BLOCKER_BLOCKS)
		;
	go(read_byte, arg);
	gs_yield();
	__atomic_store_n(&blocker_state, BLOCKER_IS_BLOCKED, __ATOMIC_RELEASE);
	nanosleep(&ts, NULL);
	__atomic_store_n(&blocker_state, BLOCKER_IS_BACK, __ATOMIC_RELEASE);
	gs_wg_done(arg);
}

static bool blocker_is(int state)
{
	return __atomic_load_n(&blocker_state, __ATOMIC_ACQUIRE) == state;
}

static void await_blocker(int state)
{
	while (!blocker_is(state))
		;
}

/*
 * Of two Ms one is blocked and the other has always something to do, while a P is idle:
 * who takes what comes for the one that is blocked?
 */
static void one_is_blocked(void)
{
	gs_wg wg = GS_WG_INIT;

	CHECK_EQ(0, pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC));
	gs_wg_add(&wg, 2);
	go(block_beside_reader, &wg);
	await_blocker(BLOCKER_RUNS);
	limit(RLIMIT_NPROC, 1);
	gs_set_maxprocs(3);
	__atomic_store_n(&blocker_state, BLOCKER_BLOCKS, __ATOMIC_RELEASE);
	await_blocker(BLOCKER_IS_BLOCKED);
	for (int i = 0; !has_read && blocker_is(BLOCKER_IS_BLOCKED); i++) {
		int64_t end = gs_now() + MS;

		while (gs_now() < end)
			;
		if (i == 100) {
			written = gs_now();
			CHECK_EQ(1, write(pipe_fds[1], "", 1));
		}
		gs_yield();
	}
	CHECK(has_read);
	CHECK(blocker_is(BLOCKER_IS_BLOCKED));
	printf("# %d threads; read after %lld ms\n", threads(),
	       (long long)((has_read - written) / MS));
	fflush(stdout);
	gs_wg_wait(&wg);
	unlimit(RLIMIT_NPROC);
}

static void run_with_one_blocked(void)
{
	CHECK_EQ(0, run_on(2, one_is_blocked));
}

TEST(events_for_one_who_is_blocked)
{
	test_as_some_user(_metadata, run_with_one_blocked);
}

/* -------------------------------------------------------------------- memory */

static rlim_t mapped(void)
{
	unsigned long pages;
	FILE *f = fopen("/proc/self/statm", "re");

	CHECK(f);
	CHECK_EQ(1, fscanf(f, "%lu", &pages));
	fclose(f);
	return (rlim_t)pages * 4096;
}

/* What a runtime leaves behind that takes its time to end goes when the next one is tried. */
static rlim_t mapped_at_rest(void)
{
	char *backend = getenv("GSCHED_BACKEND");

	backend = backend ? strdup(backend) : NULL;
	setenv("GSCHED_BACKEND", "none", 1);
	CHECK_EQ(-EINVAL, gs_main(nothing, 0, NULL));
	while (threads() > 1)
		usleep(1000);
	if (backend)
		setenv("GSCHED_BACKEND", backend, 1);
	else
		unsetenv("GSCHED_BACKEND");
	free(backend);
	return mapped();
}

TEST(no_memory_to_start_with)
{
	if (SANITIZED)
		SKIP(return, "the sanitizers need memory for themselves");
	setenv("GSCHED_MAXPROCS", "2", 1);
	for (int i = 0; i < 3; i++) {
		limit(RLIMIT_AS, mapped_at_rest() + 65536);
		EXPECT_EQ(-ENOMEM, gs_main(nothing, 0, NULL));
		EXPECT_EQ(-ENOMEM, gs_start());
		unlimit(RLIMIT_AS);
		EXPECT_EQ(42, gs_main(nothing, 0, NULL));
	}
}

static int sleepers;

static void sleep_a_while(void *arg)
{
	CHECK_EQ(0, gs_sleep(50 * MS));
	__atomic_sub_fetch(&sleepers, 1, __ATOMIC_RELAXED);
	gs_wg_done(arg);
}

/* Return: how many there were, when there was no memory for another. */
static int go_until_it_fails(gs_wg *wg)
{
	int n = 0, err;

	for (;;) {
		gs_wg_add(wg, 1);
		__atomic_add_fetch(&sleepers, 1, __ATOMIC_RELAXED);
		err = gs_go(sleep_a_while, wg);
		if (err)
			break;
		n++;
		CHECK(n < 1000000);
	}
	gs_wg_done(wg);
	__atomic_sub_fetch(&sleepers, 1, __ATOMIC_RELAXED);
	CHECK_EQ(-ENOMEM, err);
	return n;
}

static void go_all(gs_wg *wg, int n)
{
	for (int i = 0; i < n; i++) {
		gs_wg_add(wg, 1);
		__atomic_add_fetch(&sleepers, 1, __ATOMIC_RELAXED);
		go(sleep_a_while, wg);
	}
	gs_wg_wait(wg);
	CHECK_EQ(0, sleepers);
}

static void send_to_itself(int from, int to)
{
	char byte;

	CHECK_EQ(1, gs_write(from, "x", 1));
	CHECK_EQ(1, gs_read(to, &byte, 1));
}

#define HIGH	1500		/* a number whose part of the library's table is not there yet */

static void no_stacks(void)
{
	gs_wg wg = GS_WG_INIT;
	int n, pipefd[2], high;

	CHECK_EQ(0, pipe(pipefd));
	limit(RLIMIT_NOFILE, HIGH + 1);
	high = fcntl(pipefd[1], F_DUPFD_CLOEXEC, HIGH);
	CHECK(high >= HIGH);
	send_to_itself(pipefd[1], pipefd[0]);
	limit(RLIMIT_AS, mapped() + 16384);
	n = go_until_it_fails(&wg);
	send_to_itself(pipefd[1], pipefd[0]);
	CHECK_EQ(-ENOMEM, gs_write(high, "x", 1));
	gs_wg_wait(&wg);
	CHECK_EQ(0, sleepers);
	/* Stacks of those that have ended are used again. */
	go_all(&wg, n / 2);
	unlimit(RLIMIT_AS);
	go_all(&wg, n + 100);
	send_to_itself(high, pipefd[0]);
	printf("# %d goroutines at the limit\n", n);
	fflush(stdout);
}

TEST(no_memory_for_stacks)
{
	if (SANITIZED)
		SKIP(return, "the sanitizers need memory for themselves");
	EXPECT_EQ(0, run_on(2, no_stacks));
}

TEST_HARNESS_MAIN
