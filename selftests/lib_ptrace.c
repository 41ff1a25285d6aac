// SPDX-License-Identifier: GPL-2.0
/*
 * A tracer: it seizes all threads of a program, stops them, makes single steps while
 * the others run or stand still, and leaves. One that waits for a P whose owner the
 * tracer has stopped must step all the same.
 */
#include "lib_live.h"

#include <sys/ptrace.h>

#define STEPS 100

/* More than the kernel lets a traced M wait for a P, on a busy machine. */
#define STEP_WAIT	(3000 * MS)

/* Ms that have nothing to do may leave at any time. */
struct tracee {
	pid_t tid;
	bool stopped;
	bool interrupted;	/* that is why it has stopped */
	bool gone;
	int steps;
};

FIXTURE(live)
{
	unsigned int seed;
	int n;
	struct tracee threads[LIVE_TASKS];
};

LIVE_ON_ONE_AND_TWO_PS()

/* A traced zombie would keep the process from ending. */
static void order(struct tracee *t, int request)
{
	if (t->gone || !ptrace(request, t->tid, 0, 0))
		return;
	CHECK_EQ(ESRCH, errno);
	CHECK_EQ(t->tid, waitpid(t->tid, NULL, __WALL));
	t->gone = true;
}

/* Wait up to @ns for the thread's next stop, or its end. */
static bool wait_stop(struct tracee *t, int64_t ns)
{
	int64_t end = gs_now() + ns;
	int status;
	pid_t pid;

	if (t->gone)
		return true;
	while (!(pid = waitpid(t->tid, &status, WNOHANG | __WALL))) {
		if (gs_now() > end)
			return false;
		sleep_ns(MS / 20);
	}
	CHECK_EQ(t->tid, pid);
	t->stopped = WIFSTOPPED(status);
	t->interrupted = status >> 16 == PTRACE_EVENT_STOP;
	t->gone = !t->stopped;
	return true;
}

/* Threads that begin later are not traced. */
static int seize_all(struct tracee *threads)
{
	pid_t tids[LIVE_TASKS];
	int n = task_list(live->pid, tids), seized = 0;

	for (int i = 0; i < n; i++) {
		if (ptrace(PTRACE_SEIZE, tids[i], 0, 0))
			continue;
		threads[seized++] = (struct tracee){ .tid = tids[i] };
	}
	return seized;
}

/* Its last step may end just before: then the stop that was asked for is the next. */
static void interrupt(struct tracee *t)
{
	order(t, PTRACE_INTERRUPT);
	CHECK(wait_stop(t, PATIENCE));
	while (!t->gone && !t->interrupted) {
		order(t, PTRACE_CONT);
		CHECK(wait_stop(t, PATIENCE));
	}
}

static int64_t interrupt_all(struct tracee *threads, int n)
{
	int64_t begin = gs_now();

	for (int i = 0; i < n; i++)
		order(&threads[i], PTRACE_INTERRUPT);
	for (int i = 0; i < n; i++)
		CHECK(wait_stop(&threads[i], PATIENCE));
	return gs_now() - begin;
}

static void resume(struct tracee *t)
{
	t->stopped = false;
	order(t, PTRACE_CONT);
}

static void resume_all(struct tracee *threads, int n)
{
	for (int i = 0; i < n; i++)
		resume(&threads[i]);
}

static void detach_all(struct tracee *threads, int n)
{
	for (int i = 0; i < n; i++) {
		if (!threads[i].stopped)
			interrupt(&threads[i]);
		order(&threads[i], PTRACE_DETACH);
	}
}

TEST_F_TIMEOUT(live, interrupt, 60)
{
	struct times stops = { 0 };

	self->n = seize_all(self->threads);
	for (int i = 0; i < 12; i++) {
		times_add(&stops, interrupt_all(self->threads, self->n));
		resume_all(self->threads, self->n);
		EXPECT_LE(0, live_goes_on());
		sleep_ns(rnd(&self->seed) % 3000000);
	}
	times_print(&stops, "all threads to a stop");
	EXPECT_GT(100 * MS, times_quantile(&stops, 900));
	detach_all(self->threads, self->n);
	EXPECT_LE(0, live_goes_on());
	EXPECT_EQ(LIVE_STATUS, live_end());
}

/* A thread may sleep in a system call for long; a wait for a P is in state D. */
static bool sleeps(struct tracee *t)
{
	return task_state(live->pid, t->tid) == 'S';
}

/* Steps of one thread, until it has made enough or sleeps in a system call. */
static void step(struct tracee *t, int most, struct times *times)
{
	for (t->steps = 0; t->steps < most && !t->gone; t->steps++) {
		int64_t begin = gs_now();

		t->stopped = false;
		order(t, PTRACE_SINGLESTEP);
		while (!wait_stop(t, 20 * MS)) {
			CHECK(gs_now() - begin < STEP_WAIT);
			if (sleeps(t)) {
				interrupt(t);
				return;
			}
		}
		if (times->n < TIMES_MOST)
			times_add(times, gs_now() - begin);
	}
}

/* Return: how many threads have made all of @most steps; a few are enough. */
static int step_all(struct tracee *threads, int n, bool others_run, int most,
		    struct times *times)
{
	int complete = 0, tried = 0;

	for (; tried < n && complete < 5; tried++) {
		struct tracee *t = &threads[tried];

		if (!t->stopped)
			interrupt(t);
		step(t, most, times);
		complete += t->steps == most;
		if (others_run)
			resume(t);
	}
	printf("# %d of %d threads made %d steps\n", complete, tried, most);
	return complete;
}

TEST_F_TIMEOUT(live, step_while_others_run, 60)
{
	struct times times = { 0 };

	self->n = seize_all(self->threads);
	EXPECT_LT(0, step_all(self->threads, self->n, true, STEPS, &times));
	times_print(&times, "a step");
	EXPECT_LE(0, live_goes_on());
	detach_all(self->threads, self->n);
	EXPECT_LE(0, live_goes_on());
	EXPECT_EQ(LIVE_STATUS, live_end());
}

TEST_F_TIMEOUT(live, step_while_others_stand, 60)
{
	struct times times = { 0 };

	self->n = seize_all(self->threads);
	interrupt_all(self->threads, self->n);
	EXPECT_LT(0, step_all(self->threads, self->n, false, STEPS, &times));
	times_print(&times, "a step");
	resume_all(self->threads, self->n);
	EXPECT_LE(0, live_goes_on());
	detach_all(self->threads, self->n);
	EXPECT_LE(0, live_goes_on());
	EXPECT_EQ(LIVE_STATUS, live_end());
}

/*
 * The P belongs to one that stands in a section, and nobody may take it: each step of
 * another goes on without one, in the end.
 */
TEST_F_TIMEOUT(live, step_beside_a_section, 60)
{
	struct times times = { 0 };

	self->n = seize_all(self->threads);
	for (int i = 0; i < 1000 * slowness(); i++) {
		interrupt_all(self->threads, self->n);
		if (__atomic_load_n(&live->in_section, __ATOMIC_RELAXED))
			break;
		resume_all(self->threads, self->n);
		sleep_ns(rnd(&self->seed) % 3000000);
	}
	ASSERT_EQ(1, live->in_section);
	EXPECT_LT(1, step_all(self->threads, self->n, false, 3, &times));
	times_print(&times, "a step");
	resume_all(self->threads, self->n);
	EXPECT_LE(0, live_goes_on());
	detach_all(self->threads, self->n);
	EXPECT_EQ(LIVE_STATUS, live_end());
}

/* Nothing is left of one that is killed in a trace stop, or when its tracer goes. */
TEST_F_TIMEOUT(live, killed_in_a_stop, 60)
{
	for (int i = 0; i < 4; i++) {
		self->n = seize_all(self->threads);
		interrupt_all(self->threads, self->n);
		ASSERT_EQ(0, kill(live->pid, SIGKILL));
		for (int t = 0; t < self->n; t++)
			if (self->threads[t].tid != live->pid)
				waitpid(self->threads[t].tid, NULL, __WALL);
		ASSERT_EQ(128 + SIGKILL, live_wait());
		live_start(variant->procs);
	}
	EXPECT_EQ(LIVE_STATUS, live_end());
}

static void tracer_that_goes(void)
{
	static struct tracee threads[LIVE_TASKS];
	int n = seize_all(threads);

	interrupt_all(threads, n);
	_exit(0);
}

TEST_F_TIMEOUT(live, tracer_ends, 60)
{
	for (int i = 0; i < 4; i++) {
		int status;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (pid == 0)
			tracer_that_goes();
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status);
		ASSERT_LE(0, live_goes_on());
	}
	EXPECT_EQ(LIVE_STATUS, live_end());
}

int main(int argc, char **argv)
{
	if (SANITIZED)
		ksft_exit_skip("a sanitizer has nothing to see here\n");
	return test_harness_run(argc, argv);
}
