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
 * exists. When it is known that there are no other threads, none will come, but what
 * they did before they ended must be looked at again.
 *
 * An M that has nothing to do may leave. It cannot cause a false verdict: until it
 * has taken itself off rt_nr_ms it counts there but not as one that sleeps, so
 * nobody looks; after that it is a thread that does nothing any more. Nor is a
 * deadlock missed because of it, for two reasons. Whoever went to sleep while it still
 * counted has not looked: so it wakes another M when it has left (m_main), which
 * will look when it sleeps again. And that one may still see its thread, which ends
 * a little later, and take it for a stranger's: if an M has left in the last
 * second, who finds no hope but in other threads looks again after a while.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dump.h"
#include "proc.h"
#include "stack.h"
#include "timer.h"
#include "watch.h"

#define ENDS_WITHIN	(1000 * 1000000LL)	/* a thread, after its M has left */
#define LOOK_AGAIN	(100 * 1000000LL)

static uint64_t idle_word;
static int64_t left_at;			/* when the last M left */

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
	[WAIT_SELECT] = "select",
	[WAIT_JOIN] = "goroutines of a group",
	[WAIT_READ_LOCK] = "rwmutex rlock",
	[WAIT_WRITE_LOCK] = "rwmutex lock",
	[WAIT_COND] = "condition",
	[WAIT_SEM] = "semaphore",
	[WAIT_ONCE] = "once",
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

static bool waits_for_fd(struct g *g)
{
	enum wait_reason why = __atomic_load_n(&g->why, __ATOMIC_RELAXED);

	return alive(g) && __atomic_load_n(&g->state, __ATOMIC_RELAXED) == G_WAITING &&
	       (why == WAIT_FD_READ || why == WAIT_FD_WRITE);
}

/* Who goes to sleep often finds the same one each time: it looks there first. */
static bool any_fd_waiter(void)
{
	static uint32_t last;
	uint32_t n = stack_count(), i = __atomic_load_n(&last, __ATOMIC_RELAXED);

	if (i < n && waits_for_fd(stack_g(i)))
		return true;
	for (i = 0; i < n; i++) {
		if (waits_for_fd(stack_g(i))) {
			__atomic_store_n(&last, i, __ATOMIC_RELAXED);
			return true;
		}
	}
	return false;
}

/*
 * The Ms, the thread in gs_main, and the watcher. A directory's links are itself, "."
 * and its children.
 */
static bool other_threads(uint32_t ms)
{
	struct stat st;

	return stat("/proc/self/task", &st) || st.st_nlink - 2 != ms + 1 + watch_threads();
}

static bool hope(void)
{
	return stopping() || any_work() || timers_next() || any_fd_waiter();
}

/* Return: when to look again for threads that may be none but Ms that have left. */
static int64_t look_again(void)
{
	int64_t left = __atomic_load_n(&left_at, __ATOMIC_RELAXED), now;

	if (!left)
		return 0;
	now = gs_now();
	return now - left < ENDS_WITHIN ? now + LOOK_AGAIN : 0;
}

static bool moved(uint64_t word, uint32_t ms)
{
	arch_barrier();
	return __atomic_load_n(&idle_word, __ATOMIC_RELAXED) != word ||
	       __atomic_load_n(&rt_nr_ms, __ATOMIC_RELAXED) != ms;
}

static int64_t check(uint64_t word, uint32_t ms)
{
	static const char text[] =
		"gsched: fatal: all goroutines are asleep - deadlock!\n\n";

	/* What costs a system call comes only if all the rest is without hope. */
	if (hope())
		return 0;
	if (other_threads(ms))
		return look_again();
	if (hope() || moved(word, ms))
		return 0;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
		dump_all(STDERR_FILENO, NULL);
	abort();
}

/**
 * idle_begin - an M is about to sleep
 *
 * Return: when it shall wake up to look again, 0: never.
 */
int64_t idle_begin(void)
{
	uint64_t word = __atomic_add_fetch(&idle_word, 1, __ATOMIC_SEQ_CST);
	uint32_t ms = __atomic_load_n(&rt_nr_ms, __ATOMIC_SEQ_CST);

	return (uint32_t)word == ms ? check(word, ms) : 0;
}

/** idle_end - it is awake. */
void idle_end(void)
{
	__atomic_fetch_add(&idle_word, (1ULL << 32) - 1, __ATOMIC_SEQ_CST);
}

/** idle_count - how many Ms sleep. */
uint32_t idle_count(void)
{
	return (uint32_t)__atomic_load_n(&idle_word, __ATOMIC_RELAXED);
}

/** idle_left - an M leaves: its thread will end soon. */
void idle_left(void)
{
	__atomic_store_n(&left_at, gs_now(), __ATOMIC_RELAXED);
}

/** idle_reset - for a new runtime. The old one's threads may still be ending. */
void idle_reset(void)
{
	idle_word = 0;
	left_at = gs_now();
}
