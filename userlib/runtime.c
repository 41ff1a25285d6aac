// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * runtime.c: gs_main, gs_start, and what programs ask of the runtime as a whole.
 *
 * The thread that calls gs_main is no M: it makes the others (spawner.c) and
 * returns as soon as the first goroutine has ended, whatever the other goroutines
 * are doing. Those end at their next call that may wait or that schedules: one without
 * a section begins with call_begin(), but for the fast paths of locks and the like, which
 * pay nothing for it. gs_start makes a thread in its place, which ends when gs_stop is
 * called. Memory is freed when all Ms have left; if some goroutine does not come to that,
 * the process can have no second runtime.
 *
 * Of goroutines that have not ended the stacks stay: they may wait in channels or locks
 * that the program goes on to use. Who finds one there wakes nobody.
 *
 * States: NONE -> STARTING -> RUNNING -> LEAVING -> NONE; changed by the thread in
 * gs_main, gs_start or gs_stop only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gfree.h"
#include "altstack.h"
#include "cpus.h"
#include "debug.h"
#include "dump.h"
#include "fdtable.h"
#include "group.h"
#include "info.h"
#include "mtable.h"
#include "profile.h"
#include "pin.h"
#include "runtime.h"
#include "stack.h"
#include "timer.h"
#include "watch.h"

enum {
	NONE,
	STARTING,
	RUNNING,
	LEAVING,
};

/* How long gs_main waits for goroutines to come to such a call. */
#define LEAVE_WAIT	(10 * 1000000LL)
#define RESTART_WAIT	(1000 * 1000000LL)
#define STOP_WAIT	(1000 * 1000000LL)

struct runtime rt;
bool rt_stopping;
uint32_t rt_epoch;			/* how many runtimes have ended */

static uint32_t state;
/* Threads that are no Ms, inside a call; new ones go to @foreign_side. */
static uint32_t foreigners[2];
static uint32_t foreign_side;
static __thread struct {
	uint32_t depth, side;
} inside;
static bool forked;

static struct {
	int (*fn)(int argc, char **argv);
	int argc;
	char **argv;
	int result;
} program;

/* What gs_start has started. */
static struct {
	bool runs;			/* taken by gs_stop, once */
	pthread_t thread;
} embedded;

/* ------------------------------------------------------------------ settings */

static void membarrier_register(void)
{
	rt.membarrier = !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
				 0, 0);
}

/* One that cannot start has unmapped what it had: the next, if it cannot either, must not. */
static void shared_forget(void)
{
	rt.shared = NULL;
	rt.procs = NULL;
	rt.slots = NULL;
	rt.ms = NULL;
}

static int start_backend(const struct backend *b, uint32_t procs, const char *why)
{
	int err;

	rt.backend = b;
	info_backend_why(why);
	err = b->start(procs);
	if (err)
		shared_forget();
	return err;
}

/* The module, if that works. */
static int start_any_backend(uint32_t procs)
{
	int err = start_backend(&module_backend, procs, "/dev/gsched can be opened");

	if (!err)
		return 0;
	return start_backend(&epoll_backend, procs,
			     info_text("/dev/gsched: %s, so the portable backend",
				       strerror(-err)));
}

static int choose_backend(uint32_t procs)
{
	const char *name = getenv("GSCHED_BACKEND");

	if (!name || !*name)
		return start_any_backend(procs);
	if (!strcmp(name, module_backend.name))
		return start_backend(&module_backend, procs, "GSCHED_BACKEND=module");
	if (!strcmp(name, epoll_backend.name))
		return start_backend(&epoll_backend, procs, "GSCHED_BACKEND=epoll");
	return -EINVAL;
}

/* ------------------------------------------------------------ start and stop */

static void forget(void)
{
	__atomic_fetch_add(&rt_epoch, 1, __ATOMIC_RELAXED);
	global_reset();
	gfree_reset();
	timers_reset();
	g_ids_reset();
	fdtable_reset();
	trace_reset();
	watch_reset();
	profile_reset();
	mtable_reset();
	cpus_reset();
	info_reset();
	pins_reset();
	memset(&rt, 0, sizeof(rt));
	rt_nr_ms = 0;
	idle_reset();
	__atomic_store_n(&rt_stopping, false, __ATOMIC_RELAXED);
}

/* No M is left. */
static void cleanup(void)
{
	timers_end();
	trace_end();
	rt.backend->cleanup();
	stack_arena_free();
	forget();
}

/*
 * The child has this thread alone, perhaps on a goroutine's stack, which stays
 * mapped. It has no runtime, and may start one.
 *
 * Its memory is what the other threads had written up to one moment, each in its order.
 * Only if they were between a start and an end does the backend say what is there to be
 * undone: a start that is under way has not written that down yet, and an end has closed
 * and unmapped what is still written there, and others may have the numbers and addresses
 * by now. Then all of it stays, unknown to anybody, until the child ends.
 */
static void after_fork(void)
{
	if (state == NONE)
		return;
	forked = true;
	arch_set_m(NULL);
	if (state == RUNNING)
		rt.backend->forked();
	stack_arena_forget();
	forget();
	memset(foreigners, 0, sizeof(foreigners));
	inside.depth = 0;
	embedded.runs = false;
	state = NONE;
}

static int once_per_process(void)
{
	static bool done;
	int err;

	if (done)
		return 0;
	err = overflow_handler_install();
	done = !err;
	return err;
}

/*
 * Before the state changes for the first time. Two threads may come here at once: of two
 * handlers the second finds nothing to do.
 */
static int fork_handler_install(void)
{
	static bool done;
	int err;

	if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		return 0;
	err = -pthread_atfork(NULL, NULL, after_fork);
	if (!err)
		__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	return err;
}

/* Two threads may call gs_main at the same time; a former one may be leaving. */
static int claim(void)
{
	uint32_t old = NONE;

	if (__atomic_compare_exchange_n(&state, &old, STARTING, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return 0;
	if (old != LEAVING || !ms_gone(RESTART_WAIT) ||
	    !__atomic_compare_exchange_n(&state, &old, STARTING, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return -EBUSY;
	cleanup();
	return 0;
}

static int start(void)
{
	int err = once_per_process();

	if (err)
		return err;
	err = settings_read();
	if (!err)
		err = quit_handler_install();
	if (err)
		return err;
	membarrier_register();
	err = choose_backend(cpus_start());
	if (err)
		return err;
	cpus_started();
	profile_env();
	return 0;
}

/** procs_stop - the runtime ends: those who run on Ps from @from below @to leave. */
void procs_stop(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		__atomic_fetch_or(&rt.procs[i].attention, ATTN_STOP, __ATOMIC_SEQ_CST);
}

/* Makes every M leave at its next step. Ps that appear just now: see procs_seen(). */
static void stop(void)
{
	__atomic_store_n(&rt_stopping, true, __ATOMIC_SEQ_CST);
	procs_stop(0, __atomic_load_n(&rt.seen_procs, __ATOMIC_SEQ_CST));
	rt.backend->stop();
	pins_stop();
}

static void main_g(void *arg)
{
	struct m *m;

	(void)arg;
	program.result = program.fn(program.argc, program.argv);
	if (!m_self())
		exit(program.result);
	if (settings.leaks)
		leaks_report();
	m = sec_enter();
	stop();
	profile(m_g(m), G_DEAD);
	/* Nothing refers to it any more, as to those that wait. */
	__atomic_store_n(&m_g(m)->state, G_DEAD, __ATOMIC_RELAXED);
	m_leave(m);
}

/** g_entry - the function that the program has started @g with. */
uintptr_t g_entry(struct g *g)
{
	void (*fn)(void *) = __atomic_load_n(&g->fn, __ATOMIC_RELAXED);
	struct member *mb = __atomic_load_n(&g->member, __ATOMIC_ACQUIRE);

	if (fn == main_g)
		return (uintptr_t)program.fn;
	return mb ? (uintptr_t)mb->fn : (uintptr_t)fn;
}

/*
 * The first goroutine waits in the global queue for the first M. Nobody is woken for
 * it: that would ask for one M more.
 */
static int start_program(void)
{
	struct g_list l = { 0 };
	struct g *g = stack_new();
	int err;

	if (!g)
		return -ENOMEM;
	g_init(NULL, g, main_g, NULL);
	g_list_add(&l, g);
	global_put(&l);
	err = watch_start();
	if (!err)
		err = m_spawn();
	if (err)
		stop();
	return err;
}

static int begin(void)
{
	int err = fork_handler_install();

	if (!err)
		err = claim();
	if (err)
		return err;
	err = start();
	__atomic_store_n(&state, err ? NONE : RUNNING, __ATOMIC_SEQ_CST);
	return err;
}

static void foreigners_wait(uint32_t side)
{
	while (__atomic_load_n(&foreigners[side], __ATOMIC_SEQ_CST))
		sched_yield();
}

/*
 * Foreign threads that came in before the state changed must be out. Others may keep
 * coming, so they are let in on the other side, when that is empty: one that has read
 * @foreign_side long ago may just have come in there.
 *
 * Return: -EBUSY: some M is not out, after @wait ns.
 */
static int leave(int64_t wait)
{
	uint32_t side = foreign_side;
	bool gone;

	watch_stop();
	__atomic_store_n(&state, LEAVING, __ATOMIC_SEQ_CST);
	foreigners_wait(!side);
	__atomic_store_n(&foreign_side, !side, __ATOMIC_SEQ_CST);
	foreigners_wait(side);
	gone = ms_gone(wait);
	profile_end();
	if (!gone)
		return -EBUSY;
	/* Here only: once gs_main has returned numbers may have become somebody else's. */
	fdtable_end();
	cleanup();
	__atomic_store_n(&state, NONE, __ATOMIC_RELEASE);
	return 0;
}

int gs_main(int (*fn)(int, char **), int argc, char **argv)
{
	int err = begin();

	if (err)
		return err;
	program.fn = fn;
	program.argc = argc;
	program.argv = argv;
	err = start_program();
	if (!err)
		spawner_run();
	leave(LEAVE_WAIT);
	return err ? err : program.result;
}

/* ------------------------------------------------------------------- embedding */

static void *spawner_main(void *arg)
{
	(void)arg;
	spawner_run();
	return NULL;
}

int gs_start(void)
{
	int err = begin();

	if (err)
		return err;
	err = watch_start();
	if (!err)
		err = -pthread_create(&embedded.thread, NULL, spawner_main, NULL);
	if (err) {
		stop();
		leave(STOP_WAIT);
		return err;
	}
	__atomic_store_n(&embedded.runs, true, __ATOMIC_RELEASE);
	return 0;
}

int gs_stop(void)
{
	if (m_self())
		return -EDEADLK;
	if (!__atomic_exchange_n(&embedded.runs, false, __ATOMIC_ACQUIRE))
		return -EINVAL;
	if (settings.leaks)
		leaks_report();
	stop();
	pthread_join(embedded.thread, NULL);
	return leave(STOP_WAIT);
}

/* ------------------------------------------- calls of threads that are no Ms */

/**
 * runtime_enter - begin a call that any thread may make
 *
 * Until runtime_leave() the runtime stays. Return: false: there is none.
 *
 *   a thread that is no M              gs_main's end
 *   foreigners++ (full barrier)        state = LEAVING (full barrier)
 *   state is RUNNING?                  foreigners is 0?
 */
bool runtime_enter(void)
{
	if (m_self())
		return true;
	foreign_enter();
	if (runtime_runs())
		return true;
	foreign_leave();
	return false;
}

/** runtime_leave - end it. */
void runtime_leave(void)
{
	if (!m_self())
		foreign_leave();
}

/**
 * foreign_enter - a thread that is no M begins a section
 *
 * As runtime_enter(), whether there is a runtime or not: what the section finds, such
 * as a goroutine in a channel's queue, stays as long as the runtime ran when it began.
 */
void foreign_enter(void)
{
	if (inside.depth++)
		return;
	inside.side = __atomic_load_n(&foreign_side, __ATOMIC_RELAXED);
	__atomic_fetch_add(&foreigners[inside.side], 1, __ATOMIC_SEQ_CST);
}

/** foreign_leave - it ends it. */
void foreign_leave(void)
{
	if (!--inside.depth)
		__atomic_fetch_sub(&foreigners[inside.side], 1, __ATOMIC_SEQ_CST);
}

/** runtime_runs - is there a runtime? In a section; it stays until the section's end. */
bool runtime_runs(void)
{
	return __atomic_load_n(&state, __ATOMIC_SEQ_CST) == RUNNING;
}

static int go_foreign(void (*fn)(void *), void *arg)
{
	struct g *g;
	int err = 0;

	if (!runtime_enter())
		return -EINVAL;
	g = g_get();
	if (g) {
		g_init(NULL, g, fn, arg);
		ready(NULL, g);
	} else {
		/* While the runtime ends there are no more stacks. */
		err = stopping() ? -EINVAL : -ENOMEM;
	}
	runtime_leave();
	return err;
}

int gs_go(void (*fn)(void *), void *arg)
{
	struct m *m = sec_enter_m();
	struct g *g;

	if (unlikely(!m))
		return go_foreign(fn, arg);
	g = gfree_get(m);
	if (unlikely(!g)) {
		/* Mapping memory and touching it first may sleep. */
		sec_leave(m);
		g = stack_new();
		if (!g)
			return -ENOMEM;
		m = sec_enter();
	}
	g_init(m, g, fn, arg);
	ready(m, g);
	sec_leave(m);
	return 0;
}

/* --------------------------------------------------------------- small things */

uint64_t gs_id(void)
{
	struct g *g = g_self();

	return g ? g->id : 0;
}

void gs_set_name(const char *name)
{
	struct g *g = g_self();

	if (g)
		strncpy(g->name, name, G_NAME_LEN - 1);
}

const char *gs_backend(void)
{
	return __atomic_load_n(&state, __ATOMIC_ACQUIRE) == RUNNING ? rt.backend->name : NULL;
}

unsigned int gs_features(void)
{
	return gs_backend() ? rt.features : 0;
}

int gs_set_slice(int64_t slice_ns, int64_t min_run_ns)
{
	int err = -ENOTSUP;

	if (slice_ns < 0 || min_run_ns < 0 || !runtime_enter())
		return -EINVAL;
	if (rt.backend->set_times)
		err = rt.backend->set_times(slice_ns, min_run_ns);
	runtime_leave();
	return err == -ESHUTDOWN ? -EINVAL : err;
}

/** exit_outside - gs_goexit on a thread that is no M. */
void exit_outside(void)
{
	/* After fork() this thread is what is left of the process. */
	if (forked)
		exit(0);
	fatal("gs_goexit outside of a goroutine");
}
