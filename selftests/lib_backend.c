// SPDX-License-Identifier: GPL-2.0
/* Which backend is chosen; the process around it. */
#include "lib_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

static char chosen[16];

static int tell(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	snprintf(chosen, sizeof(chosen), "%s", gs_backend());
	return 0;
}

static int device(void)
{
	int fd = open("/dev/gsched", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

TEST(by_name)
{
	setenv("GSCHED_BACKEND", "epoll", 1);
	EXPECT_EQ(0, gs_main(tell, 0, NULL));
	EXPECT_STREQ("epoll", chosen);
	setenv("GSCHED_BACKEND", "nonsense", 1);
	EXPECT_EQ(-EINVAL, gs_main(tell, 0, NULL));
	setenv("GSCHED_BACKEND", "module", 1);
	if (!device()) {
		EXPECT_GT(0, gs_main(tell, 0, NULL));
	} else {
		EXPECT_EQ(0, gs_main(tell, 0, NULL));
		EXPECT_STREQ("module", chosen);
	}
}

TEST(by_itself)
{
	unsetenv("GSCHED_BACKEND");
	EXPECT_EQ(0, gs_main(tell, 0, NULL));
	EXPECT_STREQ(device() ? "module" : "epoll", chosen);
	setenv("GSCHED_BACKEND", "", 1);
	EXPECT_EQ(0, gs_main(tell, 0, NULL));
	EXPECT_STREQ(device() ? "module" : "epoll", chosen);
}

static int count_dir(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int count_lines(const char *path)
{
	FILE *f = fopen(path, "r");
	int c, n = 0;

	CHECK(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static void work(void *arg)
{
	gs_sleep(MS);
	gs_wg_done(arg);
}

static void some_work(void)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	gs_wg_add(&wg, 20);
	for (i = 0; i < 20; i++)
		go(work, &wg);
	gs_wg_wait(&wg);
}

/*
 * Nothing is left behind: descriptors, threads, mappings. On a busy machine an M may
 * need longer to leave than gs_main waits; then the next gs_main cleans up.
 */
#define MORE_RUNS	30

TEST(cleans_up)
{
	int fds, tries = 0, maps, i;

	fds = count_dir("/proc/self/fd");
	do {
		ASSERT_EQ(0, run_on(2, some_work));
		ASSERT_GT(100, tries++);
	} while (tries < 10 || count_dir("/proc/self/fd") != fds);
	maps = count_lines("/proc/self/maps");
	for (i = 0; i < MORE_RUNS || count_dir("/proc/self/fd") != fds; i++) {
		ASSERT_EQ(0, run_on(2, some_work));
		ASSERT_GT(100, i);
	}
	/* libc keeps some stacks and arenas of threads; one mapping a run would be a leak. */
	if (!SANITIZED)
		EXPECT_GT(maps + MORE_RUNS, count_lines("/proc/self/maps"));
}

static int ticks;

static void on_alarm(int sig)
{
	(void)sig;
	__atomic_add_fetch(&ticks, 1, __ATOMIC_RELAXED);
}

/* Signals to an M interrupt whatever it sleeps in; nobody notices. */
TEST_GO(signals)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerspec it = { { 0, 500000 }, { 0, 500000 } };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
	timer_t timer;
	int i;

	ev._sigev_un._tid = gettid();
	CHECK_EQ(0, sigaction(SIGALRM, &sa, NULL));
	CHECK_EQ(0, timer_create(CLOCK_MONOTONIC, &ev, &timer));
	CHECK_EQ(0, timer_settime(timer, 0, &it, NULL));
	for (i = 0; i < TIMES(100); i++) {
		int64_t begin = gs_now();

		some_work();
		CHECK(gs_now() - begin >= MS);
	}
	CHECK_EQ(0, timer_delete(timer));
	CHECK(__atomic_load_n(&ticks, __ATOMIC_RELAXED) > 0);
}

TEST_HARNESS_MAIN
