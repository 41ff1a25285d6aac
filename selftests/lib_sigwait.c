// SPDX-License-Identifier: GPL-2.0
/* gs_sigwait: signals that come before, during and after the wait. */
#include "lib_check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

/* Before there is any other thread: all inherit it. */
__attribute__((constructor)) static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static sigset_t set_of(int a, int b)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, a);
	if (b)
		sigaddset(&set, b);
	return set;
}

static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void send_soon(void *arg)
{
	gs_sleep(5 * MS);
	CHECK_EQ(0, kill(getpid(), (int)(intptr_t)arg));
}

TEST_GO(waits)
{
	sigset_t set = set_of(SIGUSR1, SIGUSR2);
	int lowest = lowest_free(), i;
	siginfo_t info;

	for (i = 0; i < 5; i++) {
		memset(&info, 0, sizeof(info));
		go(send_soon, (void *)(intptr_t)(i % 2 ? SIGUSR1 : SIGUSR2));
		CHECK_EQ(i % 2 ? SIGUSR1 : SIGUSR2, gs_sigwait(&set, &info));
		CHECK_EQ(i % 2 ? SIGUSR1 : SIGUSR2, info.si_signo);
		CHECK_EQ(getpid(), info.si_pid);
		CHECK_EQ(SI_USER, info.si_code);
	}
	go(send_soon, (void *)(intptr_t)SIGUSR1);
	CHECK_EQ(SIGUSR1, gs_sigwait(&set, NULL));
	CHECK_EQ(lowest, lowest_free());
}

/* Of those that are pending each is taken once; others are left. */
TEST_GO(pending_before)
{
	sigset_t set = set_of(SIGUSR1, SIGRTMIN), other = set_of(SIGUSR2, 0);
	union sigval v;
	siginfo_t info;
	int i;

	CHECK_EQ(0, kill(getpid(), SIGUSR2));
	CHECK_EQ(0, kill(getpid(), SIGUSR1));
	for (i = 0; i < 3; i++) {
		v.sival_int = i;
		CHECK_EQ(0, sigqueue(getpid(), SIGRTMIN, v));
	}
	CHECK_EQ(SIGUSR1, gs_sigwait_until(&set, &info, 0));
	for (i = 0; i < 3; i++) {
		CHECK_EQ(SIGRTMIN, gs_sigwait(&set, &info));
		CHECK_EQ(SI_QUEUE, info.si_code);
		CHECK_EQ(i, info.si_value.sival_int);
	}
	CHECK_EQ(-ETIMEDOUT, gs_sigwait_until(&set, &info, 0));
	CHECK_EQ(-ETIMEDOUT, gs_sigwait_until(&set, &info, gs_now() + 5 * MS));
	CHECK_EQ(SIGUSR2, gs_sigwait_until(&other, NULL, 0));
}

TEST_GO(deadlines)
{
	sigset_t set = set_of(SIGUSR1, 0);
	int64_t t;
	int i;

	CHECK_EQ(-ETIMEDOUT, gs_sigwait_until(&set, NULL, 0));
	for (i = 0; i < 3; i++) {
		t = gs_now() + 10 * MS;
		CHECK_EQ(-ETIMEDOUT, gs_sigwait_until(&set, NULL, t));
		CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	}
}

TEST_GO(empty_set)
{
	sigset_t set;

	sigemptyset(&set);
	CHECK_EQ(-EINVAL, gs_sigwait(&set, NULL));
	CHECK_EQ(-EINVAL, gs_sigwait_until(&set, NULL, 0));
}

struct waiter {
	int n;
	int got, sum;
	int left;			/* who still wait */
	gs_wg wg;
};

static void take(void *arg)
{
	struct waiter *w = arg;
	sigset_t set = set_of(SIGRTMIN, SIGUSR1);
	siginfo_t info;

	while (gs_sigwait(&set, &info) == SIGRTMIN) {
		__atomic_add_fetch(&w->sum, info.si_value.sival_int, __ATOMIC_RELAXED);
		__atomic_add_fetch(&w->got, 1, __ATOMIC_RELAXED);
	}
	__atomic_sub_fetch(&w->left, 1, __ATOMIC_RELAXED);
	gs_wg_done(&w->wg);
}

/* Several wait for the same signals: each signal goes to one of them. */
TEST_GO(several_waiters)
{
	struct waiter w = { .n = TIMES(500), .left = 4 };
	unsigned int r = test_seed();
	union sigval v;
	int i;

	gs_wg_add(&w.wg, 4);
	for (i = 0; i < 4; i++)
		go(take, &w);
	for (i = 1; i <= w.n; i++) {
		v.sival_int = i;
		while (sigqueue(getpid(), SIGRTMIN, v))
			gs_sleep(MS);		/* the queue has a limit */
		if (rnd(&r) % 2)
			gs_sleep(rnd(&r) % 100000);
	}
	while (__atomic_load_n(&w.got, __ATOMIC_RELAXED) < w.n)
		gs_sleep(MS);
	/* One at a time: the kernel keeps one of each such signal. */
	for (i = 3; i >= 0; i--) {
		CHECK_EQ(0, kill(getpid(), SIGUSR1));
		while (__atomic_load_n(&w.left, __ATOMIC_RELAXED) > i)
			gs_sleep(MS);
	}
	CHECK_EQ(0, gs_wg_wait_until(&w.wg, gs_now() + 20000 * MS));
	CHECK_EQ(w.n * (w.n + 1) / 2, w.sum);
}

static int wait_in_group(void *arg)
{
	return gs_sigwait(arg, NULL);
}

TEST_GO(cancelled)
{
	gs_group g = GS_GROUP_INIT;
	sigset_t set = set_of(SIGUSR1, 0);

	CHECK_EQ(0, gs_group_go(&g, wait_in_group, &set));
	gs_sleep(5 * MS);
	gs_group_cancel(&g);
	CHECK_EQ(-ECANCELED, gs_group_wait(&g));
}

/* A thread that is no goroutine waits in poll(2). */
TEST(plain_thread)
{
	sigset_t set = set_of(SIGUSR1, 0);

	EXPECT_EQ(-ETIMEDOUT, gs_sigwait_until(&set, NULL, gs_now() + 5 * MS));
	EXPECT_EQ(0, kill(getpid(), SIGUSR1));
	EXPECT_EQ(SIGUSR1, gs_sigwait(&set, NULL));
}

TEST_HARNESS_MAIN
