// SPDX-License-Identifier: GPL-2.0
/*
 * Signals to a program whose Ms are in all states: each one is delivered once, and
 * its handler runs on an M that has a P.
 */
#include "lib_live.h"

FIXTURE(live) { unsigned int seed; };
LIVE_ON_ONE_AND_TWO_PS()

static int send_to_process(unsigned int *seed, siginfo_t *info)
{
	(void)seed;
	return syscall(SYS_rt_sigqueueinfo, live->pid, LIVE_SIGNAL, info);
}

/* A thread that has just ended is another's turn. */
static int send_to_thread(unsigned int *seed, siginfo_t *info)
{
	pid_t tid = task_any(live->pid, seed);

	return syscall(SYS_rt_tgsigqueueinfo, live->pid, tid, LIVE_SIGNAL, info);
}

static void send_one(int (*send)(unsigned int *seed, siginfo_t *info), unsigned int *seed,
		     int number)
{
	siginfo_t info = {
		.si_code = SI_QUEUE,
		.si_pid = getpid(),
		.si_value.sival_int = number,
	};
	int64_t end = gs_now() + PATIENCE;

	/* EAGAIN: too many wait to be delivered. */
	while (send(seed, &info)) {
		CHECK(errno == EAGAIN || errno == ESRCH);
		CHECK(gs_now() < end);
		sleep_ns(MS);
	}
}

/* Some at once, some alone. */
static void send_all(int (*send)(unsigned int *seed, siginfo_t *info), unsigned int *seed)
{
	for (int i = 0; i < LIVE_SIGNALS; i++) {
		send_one(send, seed, i);
		if (rnd(seed) % 4 == 0)
			sleep_ns(rnd(seed) % 1000000);
	}
}

static int seen_sum(void)
{
	int sum = 0;

	for (int i = 0; i < LIVE_SIGNALS; i++)
		sum += __atomic_load_n(&live->seen[i], __ATOMIC_RELAXED);
	return sum;
}

static void each_seen_once(void)
{
	CHECK(TIME_UNTIL(gs_now(), seen_sum() >= LIVE_SIGNALS) >= 0);
	CHECK(live_goes_on() >= 0);
	for (int i = 0; i < LIVE_SIGNALS; i++)
		CHECK_EQ(1, live->seen[i]);
	CHECK_EQ(0, live->without_p);
}

TEST_F_TIMEOUT(live, to_process, 60)
{
	send_all(send_to_process, &self->seed);
	each_seen_once();
	EXPECT_EQ(LIVE_STATUS, live_end());
}

TEST_F_TIMEOUT(live, to_threads, 60)
{
	send_all(send_to_thread, &self->seed);
	each_seen_once();
	EXPECT_EQ(LIVE_STATUS, live_end());
}

/* Sent while it is stopped, delivered afterwards. */
TEST_F_TIMEOUT(live, while_stopped, 60)
{
	for (int i = 0; i < LIVE_SIGNALS; i++) {
		if (i % 100 == 0)
			ASSERT_EQ(0, kill(live->pid, SIGSTOP));
		send_one(send_to_thread, &self->seed, i);
		if (i % 100 == 99)
			ASSERT_EQ(0, kill(live->pid, SIGCONT));
	}
	each_seen_once();
	EXPECT_EQ(LIVE_STATUS, live_end());
}

int main(int argc, char **argv)
{
	if (SANITIZED)
		ksft_exit_skip("TSan delivers signals by its own rules\n");
	return test_harness_run(argc, argv);
}
