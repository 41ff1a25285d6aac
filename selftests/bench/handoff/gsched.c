// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-off: from a goroutine's blocking system call until another goroutine runs with
 * its P, beside a futex round trip of two threads, in turns, on one CPU or on two.
 *
 * One P, two Ms: A makes B runnable and reads from an empty pipe; B runs, and writes
 * into the pipe. "back" is the way back: from that write until A has its P again.
 */
#include "handoff.h"
#include "measure_gs.h"

#include <sys/eventfd.h>

#define BATCHES	30
#define ROUNDS	100

static int order_fd, done_fd, pipe_fd[2];
static gs_chan *chan;
static int64_t t_block, t_run;
static struct samples handoff, back, futex;

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
		int64_t now = now_ns();

		if (!pin_again(&tid, last_cpu))
			samples_add(&handoff, now - t_block);
		t_run = now_ns();
		need(write(pipe_fd[1], &c, 1) == 1);
	}
}

static void a_round(void)
{
	char c;

	/* B waits for it, and runs next: when A blocks. */
	need(!gs_chan_send(chan, NULL));
	t_block = now_ns();
	need(read(pipe_fd[0], &c, 1) == 1);
	samples_add(&back, now_ns() - t_run);
	/* Let the other M, which has given the P back, come to rest. */
	for (int64_t end = now_ns() + 50000; now_ns() < end;)
		;
}

static int a(int argc, char **argv)
{
	pid_t tid = 0;

	(void)argc;
	(void)argv;
	if (!(gs_features() & GS_FEAT_HANDOFF))
		return 0;	/* B would never run */
	chan = gs_chan_new(0, 0);
	need(chan && !gs_go(b, NULL));
	gs_yield();
	for (int i = 0; i < BATCHES; i++) {
		event_wait(order_fd);
		pin_again(&tid, first_cpu);
		for (int r = 0; r < ROUNDS; r++)
			a_round();
		event_send(done_fd, 1);
	}
	return 1;
}

static void *conduct(void *arg)
{
	pin(first_cpu);
	for (int i = 0; i < BATCHES; i++) {
		futex_rounds(ROUNDS, &futex);
		event_send(order_fd, 1);
		event_wait(done_fd);
	}
	return arg;
}

int main(int argc, char **argv)
{
	int cpus = arg_procs(argc, argv);
	char more[128];

	find_cpus(cpus);
	need(!setenv("GSCHED_MAXPROCS", "1", 1));
	order_fd = eventfd(0, EFD_CLOEXEC);
	done_fd = eventfd(0, EFD_CLOEXEC);
	need(order_fd >= 0 && done_fd >= 0 && !pipe(pipe_fd));
	thread_start(pong, NULL);
	thread_start(conduct, NULL);
	if (!gs_main(a, 0, NULL))
		return SKIP;
	snprintf(more, sizeof(more), "futex_round_trip=%.0f ratio=%.2f back=%.0f backend=module",
		 samples_median(&futex), samples_median(&handoff) / samples_median(&futex),
		 samples_median(&back));
	report("handoff", "gsched", cpus, handoff.n, handoff.n * samples_median(&handoff), more);
	return 0;
}
