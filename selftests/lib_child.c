// SPDX-License-Identifier: GPL-2.0
/* gs_waitpid: children that end before, during and after the wait. */
#include "lib_net.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* A child that ends with @status when all of @fd's writers are gone. */
static pid_t child(const int fd[2], int status)
{
	pid_t pid = fork();
	char c;

	CHECK(pid >= 0);
	if (!pid) {
		close(fd[1]);
		while (read(fd[0], &c, 1) > 0)
			;
		_exit(status);
	}
	return pid;
}

static void let_go(void *arg)
{
	gs_sleep(5 * MS);
	CHECK_EQ(0, close((int)(intptr_t)arg));
}

TEST_GO(waits)
{
	int fd[2], status = -1, open = open_fds();
	pid_t pid;

	CHECK_EQ(0, pipe(fd));
	pid = child(fd, 42);
	go(let_go, (void *)(intptr_t)fd[1]);
	CHECK_EQ(0, gs_waitpid(pid, &status, WNOHANG));
	CHECK_EQ(pid, gs_waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status));
	CHECK_EQ(42, WEXITSTATUS(status));
	CHECK_EQ(-ECHILD, gs_waitpid(pid, &status, 0));
	CHECK_EQ(-ECHILD, gs_waitpid(pid, &status, WNOHANG));
	close(fd[0]);
	CHECK_EQ(open, open_fds());
}

TEST_GO(has_ended_before)
{
	int fd[2], status;
	siginfo_t info;
	pid_t pid;

	CHECK_EQ(0, pipe(fd));
	pid = child(fd, 7);
	CHECK_EQ(0, kill(pid, SIGKILL));
	CHECK_EQ(0, waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	CHECK_EQ(pid, gs_waitpid_until(pid, &status, 0, 0));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	pid = child(fd, 7);
	close(fd[1]);
	CHECK_EQ(pid, gs_waitpid(pid, NULL, 0));
	close(fd[0]);
}

TEST_GO(deadlines)
{
	int fd[2], status, i;
	int64_t t;
	pid_t pid;

	CHECK_EQ(0, pipe(fd));
	pid = child(fd, 0);
	CHECK_EQ(-ETIMEDOUT, gs_waitpid_until(pid, &status, 0, 0));
	CHECK_EQ(0, gs_waitpid_until(pid, &status, WNOHANG, 0));
	for (i = 0; i < 3; i++) {
		t = gs_now() + 10 * MS;
		CHECK_EQ(-ETIMEDOUT, gs_waitpid_until(pid, &status, 0, t));
		CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	}
	close(fd[1]);
	CHECK_EQ(pid, gs_waitpid_until(pid, &status, 0, gs_now() + 20000 * MS));
	close(fd[0]);
}

TEST_GO(bad_input)
{
	CHECK_EQ(-EINVAL, gs_waitpid(0, NULL, 0));
	CHECK_EQ(-EINVAL, gs_waitpid(-1, NULL, 0));
	CHECK_EQ(-EINVAL, gs_waitpid(1, NULL, WUNTRACED));
	CHECK_EQ(-ECHILD, gs_waitpid(1, NULL, 0));
	CHECK_EQ(-ECHILD, gs_waitpid(getpid(), NULL, 0));
}

/* As waitpid(2): it waits for the end, and then there is no child. */
TEST_GO(sigchld_ignored)
{
	int fd[2], status = 1234;
	int64_t begin;
	pid_t pid;

	CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	CHECK_EQ(0, pipe(fd));
	pid = child(fd, 0);
	CHECK_EQ(-ETIMEDOUT, gs_waitpid_until(pid, &status, 0, gs_now() + 5 * MS));
	begin = gs_now();
	go(let_go, (void *)(intptr_t)fd[1]);
	CHECK_EQ(-ECHILD, gs_waitpid(pid, &status, 0));
	CHECK(gs_now() - begin >= 5 * MS);
	CHECK_EQ(1234, status);
	close(fd[0]);
	signal(SIGCHLD, SIG_DFL);
}

struct waiter {
	pid_t pid;
	int status;
	pid_t result;
	gs_wg *wg;
};

static void wait_for(void *arg)
{
	struct waiter *w = arg;

	w->result = gs_waitpid(w->pid, &w->status, 0);
	gs_wg_done(w->wg);
}

/* Many at the same time, each its own; they end in no order. */
TEST_GO(many)
{
	enum { N = SANITIZED ? 10 : 50 };
	struct waiter w[N];
	gs_wg wg = GS_WG_INIT;
	unsigned int r = test_seed();
	int fd[2], i;

	CHECK_EQ(0, pipe(fd));
	gs_wg_add(&wg, N);
	for (i = 0; i < N; i++) {
		w[i] = (struct waiter){ .pid = child(fd, i), .wg = &wg };
		go(wait_for, &w[i]);
		if (rnd(&r) % 2)
			gs_yield();
	}
	close(fd[1]);
	CHECK_EQ(0, gs_wg_wait_until(&wg, gs_now() + 30000 * MS));
	for (i = 0; i < N; i++) {
		CHECK_EQ(w[i].pid, w[i].result);
		CHECK_EQ(i, WEXITSTATUS(w[i].status));
	}
	close(fd[0]);
}

/* Two wait for one child: one gets it, the other hears that it is gone. */
TEST_GO(two_for_one)
{
	struct waiter w[2];
	gs_wg wg = GS_WG_INIT;
	int fd[2], i;
	pid_t pid;

	CHECK_EQ(0, pipe(fd));
	pid = child(fd, 3);
	gs_wg_add(&wg, 2);
	for (i = 0; i < 2; i++) {
		w[i] = (struct waiter){ .pid = pid, .wg = &wg };
		go(wait_for, &w[i]);
	}
	gs_sleep(5 * MS);
	close(fd[1]);
	CHECK_EQ(0, gs_wg_wait_until(&wg, gs_now() + 20000 * MS));
	CHECK_EQ((long)pid - ECHILD, (long)w[0].result + w[1].result);
	close(fd[0]);
}

static int wait_in_group(void *arg)
{
	return gs_waitpid(*(pid_t *)arg, NULL, 0);
}

TEST_GO(cancelled)
{
	gs_group g = GS_GROUP_INIT;
	int fd[2];
	pid_t pid;

	CHECK_EQ(0, pipe(fd));
	pid = child(fd, 0);
	CHECK_EQ(0, gs_group_go(&g, wait_in_group, &pid));
	gs_sleep(5 * MS);
	gs_group_cancel(&g);
	CHECK_EQ(-ECANCELED, gs_group_wait(&g));
	close(fd[1]);
	CHECK_EQ(pid, gs_waitpid(pid, NULL, 0));
	close(fd[0]);
}

TEST_GO(no_descriptor)
{
	struct rlimit old, few;
	int fd[2];
	pid_t pid;

	CHECK_EQ(0, pipe(fd));
	pid = child(fd, 0);
	CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	few = old;
	few.rlim_cur = fd[1] + 1;
	CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	CHECK_EQ(-EMFILE, gs_waitpid(pid, NULL, 0));
	CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	close(fd[1]);
	CHECK_EQ(pid, gs_waitpid(pid, NULL, 0));
	close(fd[0]);
}

/* A thread that is no goroutine waits in poll(2). */
TEST(plain_thread)
{
	int fd[2], status;
	pid_t pid;

	EXPECT_EQ(0, pipe(fd));
	pid = child(fd, 5);
	EXPECT_EQ(-ETIMEDOUT, gs_waitpid_until(pid, &status, 0, gs_now() + 5 * MS));
	close(fd[1]);
	EXPECT_EQ(pid, gs_waitpid(pid, &status, 0));
	EXPECT_EQ(5, WEXITSTATUS(status));
	close(fd[0]);
}

TEST_HARNESS_MAIN
