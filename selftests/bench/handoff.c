// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-off: from a goroutine's blocking system call until another goroutine runs with
 * its P, beside a futex round trip of two threads, in turns, on one CPU and on two.
 *
 * One P, two Ms: A makes B runnable and reads from an empty pipe; B runs, and writes
 * into the pipe. "back" is the way back: from that write until A has its P again.
 */
#include "measure.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BATCHES	30
#define ROUNDS	100

static int cpus, order_fd, done_fd, pipe_fd[2];
static gs_chan *chan;
static int64_t t_block, t_run;
static struct samples handoff, back, futex;
static uint32_t ping_word, pong_word;

static uint64_t event_wait(int fd)
{
	uint64_t n;

	need(read(fd, &n, sizeof(n)) == sizeof(n));
	return n;
}

static void event_send(int fd, uint64_t n)
{
	need(write(fd, &n, sizeof(n)) == sizeof(n));
}

/* ------------------------------------------------------------- the goroutines */

/* A new thread has begun to run the goroutine. Return: whether that is so. */
static bool pin_again(pid_t *last, int cpu)
{
	pid_t tid = gettid();

	if (tid == *last)
		return false;
	*last = tid;
	pin(cpu);
	return true;
}

static void b(void *arg)
{
	pid_t tid = 0;
	char c = 0;

	(void)arg;
	while (gs_chan_recv(chan, NULL) > 0) {
		int64_t now = gs_now();

		if (!pin_again(&tid, cpus - 1))
			samples_add(&handoff, now - t_block);
		t_run = gs_now();
		need(write(pipe_fd[1], &c, 1) == 1);
	}
}

static void a_round(void)
{
	char c;

	/* B waits for it, and runs next: when A blocks. */
	need(!gs_chan_send(chan, NULL));
	t_block = gs_now();
	need(read(pipe_fd[0], &c, 1) == 1);
	samples_add(&back, gs_now() - t_run);
	/* Let the other M, which has given the P back, come to rest. */
	for (int64_t end = gs_now() + 50000; gs_now() < end;)
		;
}

static int a(int argc, char **argv)
{
	pid_t tid = 0;

	(void)argc;
	(void)argv;
	if (!(gs_features() & GS_FEAT_HANDOFF))
		return 0;
	chan = gs_chan_new(0, 0);
	need(chan && !gs_go(b, NULL));
	gs_yield();
	for (int i = 0; i < BATCHES; i++) {
		event_wait(order_fd);
		pin_again(&tid, 0);
		for (int r = 0; r < ROUNDS; r++)
			a_round();
		event_send(done_fd, 1);
	}
	return 1;
}

/* ----------------------------------------------------------------- the futex */

static void futex_wait_for(uint32_t *word)
{
	while (!__atomic_exchange_n(word, 0, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void futex_send(uint32_t *word)
{
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *pong(void *arg)
{
	(void)arg;
	pin(cpus - 1);
	for (int i = 0; i < BATCHES * ROUNDS; i++) {
		futex_wait_for(&ping_word);
		futex_send(&pong_word);
	}
	return NULL;
}

static void futex_rounds(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		int64_t begin = gs_now();

		futex_send(&ping_word);
		futex_wait_for(&pong_word);
		samples_add(&futex, gs_now() - begin);
	}
}

static void *conduct(void *arg)
{
	(void)arg;
	pin(0);
	for (int i = 0; i < BATCHES; i++) {
		futex_rounds();
		event_send(order_fd, 1);
		event_wait(done_fd);
	}
	return NULL;
}

static void measure(void)
{
	setenv("GSCHED_MAXPROCS", "1", 1);
	order_fd = eventfd(0, EFD_CLOEXEC);
	done_fd = eventfd(0, EFD_CLOEXEC);
	need(order_fd >= 0 && done_fd >= 0 && !pipe(pipe_fd));
	thread_start(pong, NULL);
	thread_start(conduct, NULL);
	if (!gs_main(a, 0, NULL))
		return;
	printf("bench=handoff impl=gsched procs=1 ops=%zu ns_per_op=%.0f cpus=%d futex_round_trip=%.0f ratio=%.2f back=%.0f backend=module\n",
	       handoff.n, samples_median(&handoff), cpus, samples_median(&futex),
	       samples_median(&handoff) / samples_median(&futex), samples_median(&back));
	fflush(stdout);
}

/* Each in a process of its own: what has been pinned stays so. */
static int measure_on(int n)
{
	int status;
	pid_t pid = fork();

	need(pid >= 0);
	if (pid == 0) {
		cpus = n;
		measure();
		_exit(0);
	}
	need(waitpid(pid, &status, 0) == pid);
	return status != 0;
}

int main(void)
{
	int err = measure_on(1);

	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		err |= measure_on(2);
	return err;
}
