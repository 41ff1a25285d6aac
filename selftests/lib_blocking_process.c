// SPDX-License-Identifier: GPL-2.0
/* Waiting for processes: system(), posix_spawn() and waitpid(), fork(), popen(). */
#include "lib_blocking.h"

#include <spawn.h>

extern char **environ;

#define SLEEP_TEXT	"0.5"
#define SLEEP		(500 * MS)

static void one_system(int i)
{
	char command[64];
	int status;

	snprintf(command, sizeof(command), "sleep " SLEEP_TEXT "; exit %d", i);
	status = system(command);
	CHECK(WIFEXITED(status));
	CHECK_EQ(i, WEXITSTATUS(status));
}

static void systems(void)
{
	crowd_run("system", crowd_size(), one_system, crowd_size() * SLEEP);
}

TEST(system_waits_for_a_shell)
{
	EXPECT_EQ(0, run_on(1, systems));
}

/* The child is a process of its own: no goroutine, and nothing of the runtime's runs. */
static void one_fork(int i)
{
	struct timespec pause = { .tv_nsec = SLEEP };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		nanosleep(&pause, NULL);
		_exit(i);
	}
	CHECK(pid > 0);
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status));
	CHECK_EQ(i, WEXITSTATUS(status));
}

static void forks(void)
{
	crowd_run("fork and waitpid", crowd_size(), one_fork, crowd_size() * SLEEP);
}

TEST(waitpid_waits_for_a_fork)
{
	EXPECT_EQ(0, run_on(1, forks));
}

static void one_popen(int i)
{
	char command[64], line[64];
	FILE *f;

	snprintf(command, sizeof(command), "sleep " SLEEP_TEXT "; echo %d", i);
	f = popen(command, "r");
	CHECK(f);
	CHECK(fgets(line, sizeof(line), f));
	CHECK_EQ(i, atoi(line));
	CHECK_EQ(0, pclose(f));
}

static void popens(void)
{
	crowd_run("popen", crowd_size(), one_popen, crowd_size() * SLEEP);
}

TEST(popen_reads_from_a_shell)
{
	EXPECT_EQ(0, run_on(1, popens));
}

/* A child that a signal ends, while its parent waits. */
static void one_killed(int i)
{
	char seconds[] = "1000", *argv[] = { (char *)"sleep", seconds, NULL };
	struct timespec pause = { .tv_nsec = 50 * MS };
	int status;
	pid_t pid;

	(void)i;
	CHECK_EQ(0, posix_spawnp(&pid, "sleep", NULL, NULL, argv, environ));
	nanosleep(&pause, NULL);
	CHECK_EQ(0, kill(pid, SIGTERM));
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(SIGTERM, WTERMSIG(status));
}

static void killed(void)
{
	crowd_run("posix_spawn, kill, waitpid", crowd_size(), one_killed, 0);
}

TEST(killed_children_are_waited_for)
{
	EXPECT_EQ(0, run_on(1, killed));
}

TEST_HARNESS_MAIN
