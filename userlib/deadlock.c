// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * deadlock.c: all goroutines wait for one another.
 *
 * The last M that is about to sleep looks whether anything can ever wake it: a
 * queue that holds work, a timer, a goroutine that waits for a descriptor, or a
 * thread that is not the library's and might call it. If not, the program would
 * hang; it is stopped with a list of its goroutines instead.
 *
 * idle_word counts the Ms that sleep (low half), and how often one has woken up
 * (high half). An M that wakes up counts that before it touches anything, so if the
 * word is the same after the look as before it, nothing has moved meanwhile. The
 * number of Ms must be the same, too: one that is being made counts before its thread
 * exists. Other threads are looked for first: once there are none, none will come.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc.h"
#include "stack.h"
#include "timer.h"

static uint64_t idle_word;

static const char *const state_names[] = {
	[G_RUNNABLE] = "runnable",
	[G_EXECUTING] = "executing",
	[G_WAITING] = "waiting",
	[G_SYSCALL] = "syscall",
	[G_DEAD] = "dead",
};

static const char *const why_names[] = {
	[WAIT_NONE] = "-",
	[WAIT_SLEEP] = "sleep",
	[WAIT_CHAN_SEND] = "chan send",
	[WAIT_CHAN_RECV] = "chan receive",
	[WAIT_MUTEX] = "mutex",
	[WAIT_GROUP] = "wait group",
	[WAIT_FD_READ] = "fd read",
	[WAIT_FD_WRITE] = "fd write",
};

/** state_name - as traces and dumps show it. */
const char *state_name(enum g_state state)
{
	return state_names[state];
}

/** why_name - as traces and dumps show it. */
const char *why_name(enum wait_reason why)
{
	return why_names[why];
}

static bool alive(struct g *g)
{
	return __atomic_load_n(&g->id, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&g->state, __ATOMIC_RELAXED) != G_DEAD;
}

static void dump_g(struct g *g)
{
	uint32_t state = __atomic_load_n(&g->state, __ATOMIC_RELAXED);
	char line[128];
	int n;

	n = snprintf(line, sizeof(line), "goroutine %llu \"%.*s\": %s%s%s\n",
		     (unsigned long long)__atomic_load_n(&g->id, __ATOMIC_RELAXED),
		     G_NAME_LEN, g->name, state_name(state),
		     state == G_WAITING ? ", " : "",
		     state == G_WAITING ? why_name(__atomic_load_n(&g->why, __ATOMIC_RELAXED)) : "");
	if (write(STDERR_FILENO, line, n) != n)
		return;
}

/** dump_goroutines - a line for each on standard error. */
void dump_goroutines(void)
{
	for (uint32_t i = 0; i < stack_count(); i++)
		if (alive(stack_g(i)))
			dump_g(stack_g(i));
}

static bool waits_for_fd(struct g *g)
{
	enum wait_reason why = __atomic_load_n(&g->why, __ATOMIC_RELAXED);

	return alive(g) && __atomic_load_n(&g->state, __ATOMIC_RELAXED) == G_WAITING &&
	       (why == WAIT_FD_READ || why == WAIT_FD_WRITE);
}

static bool any_fd_waiter(void)
{
	for (uint32_t i = 0; i < stack_count(); i++)
		if (waits_for_fd(stack_g(i)))
			return true;
	return false;
}

/* The Ms and the thread in gs_main. A directory's links are itself, "." and its children. */
static bool other_threads(uint32_t ms)
{
	struct stat st;

	return stat("/proc/self/task", &st) || st.st_nlink - 2 != ms + 1;
}

/* The one that costs a system call comes last. */
static bool hope(uint32_t ms)
{
	return stopping() || any_work() || timers_next() || any_fd_waiter() ||
	       other_threads(ms);
}

static bool moved(uint64_t word, uint32_t ms)
{
	arch_barrier();
	return __atomic_load_n(&idle_word, __ATOMIC_RELAXED) != word ||
	       __atomic_load_n(&rt_nr_ms, __ATOMIC_RELAXED) != ms;
}

static void check(uint64_t word, uint32_t ms)
{
	static const char text[] =
		"gsched: fatal: all goroutines are asleep - deadlock!\n";

	if (hope(ms) || moved(word, ms))
		return;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
		dump_goroutines();
	abort();
}

/** idle_begin - an M is about to sleep. */
void idle_begin(void)
{
	uint64_t word = __atomic_add_fetch(&idle_word, 1, __ATOMIC_SEQ_CST);
	uint32_t ms = __atomic_load_n(&rt_nr_ms, __ATOMIC_SEQ_CST);

	if ((uint32_t)word == ms)
		check(word, ms);
}

/** idle_end - it is awake. */
void idle_end(void)
{
	__atomic_fetch_add(&idle_word, (1ULL << 32) - 1, __ATOMIC_SEQ_CST);
}

/** idle_reset - for a new runtime. */
void idle_reset(void)
{
	idle_word = 0;
}
