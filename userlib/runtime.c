// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * runtime.c: gs_main and what programs ask of the runtime as a whole.
 *
 * The thread that calls gs_main is no M: it makes the others (spawner.c) and
 * returns as soon as the first goroutine has ended, whatever the other goroutines
 * are doing. Those end at their next call. Memory is freed when all Ms have left;
 * if some goroutine does not come to that, the process can have no second gs_main.
 *
 * States: NONE -> STARTING -> RUNNING -> LEAVING -> NONE; changed by the thread in
 * gs_main only.
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

/* How long gs_main waits for goroutines to come to their next call. */
#define LEAVE_WAIT	(10 * 1000000LL)
#define RESTART_WAIT	(1000 * 1000000LL)

struct runtime rt;
bool rt_stopping;
uint32_t rt_epoch;			/* how many runtimes have ended */

static uint32_t state;
static uint32_t foreigners;		/* threads that are no Ms, inside a call */
static bool forked;

static struct {
	int (*fn)(int argc, char **argv);
	int argc;
	char **argv;
	int result;
} program;

/* ------------------------------------------------------------------ settings */

static void membarrier_register(void)
{
	rt.membarrier = !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
				 0, 0);
}

static int start_backend(const struct backend *b, uint32_t procs, const char *why)
{
	rt.backend = b;
	info_backend_why(why);
	return b->start(procs);
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
	timers_reset();
	rt.backend->cleanup();
	stack_arena_free();
	forget();
}

/*
 * The child has this thread alone, perhaps on a goroutine's stack, which stays
 * mapped. It has no runtime, and may start one.
 */
static void after_fork(void)
{
	if (state == NONE)
		return;
	forked = true;
	arch_set_m(NULL);
	rt.backend->cleanup();
	stack_arena_forget();
	forget();
	foreigners = 0;
	state = NONE;
}

static int once_per_process(void)
{
	static bool done;
	int err;

	if (done)
		return 0;
	err = overflow_handler_install();
	if (!err)
		err = -pthread_atfork(NULL, NULL, after_fork);
	done = !err;
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

/* Makes every M leave at its next step. */
static void stop(void)
{
	__atomic_store_n(&rt_stopping, true, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < seen_procs(); i++)
		__atomic_fetch_or(&rt.procs[i].attention, ATTN_STOP, __ATOMIC_SEQ_CST);
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
	/* Leaves the section for ever. */
	sec_leave(m);
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

/* Foreign threads that came in before the state changed must be out. */
static void leave(void)
{
	bool gone;

	watch_stop();
	__atomic_store_n(&state, LEAVING, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&foreigners, __ATOMIC_SEQ_CST))
		sched_yield();
	gone = ms_gone(LEAVE_WAIT);
	profile_end();
	if (!gone)
		return;
	cleanup();
	__atomic_store_n(&state, NONE, __ATOMIC_RELEASE);
}

int gs_main(int (*fn)(int, char **), int argc, char **argv)
{
	int err = claim();

	if (err)
		return err;
	err = start();
	if (err) {
		__atomic_store_n(&state, NONE, __ATOMIC_RELEASE);
		return err;
	}
	program.fn = fn;
	program.argc = argc;
	program.argv = argv;
	__atomic_store_n(&state, RUNNING, __ATOMIC_SEQ_CST);
	err = start_program();
	if (!err)
		spawner_run();
	leave();
	return err ? err : program.result;
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
	__atomic_fetch_add(&foreigners, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&state, __ATOMIC_SEQ_CST) == RUNNING)
		return true;
	__atomic_fetch_sub(&foreigners, 1, __ATOMIC_SEQ_CST);
	return false;
}

/** runtime_leave - end it. */
void runtime_leave(void)
{
	if (!m_self())
		__atomic_fetch_sub(&foreigners, 1, __ATOMIC_SEQ_CST);
}

/**
 * foreign_enter - a thread that is no M begins a section
 *
 * As runtime_enter(), whether there is a runtime or not: what the section finds, such
 * as a goroutine in a channel's queue, stays as long as the runtime ran when it began.
 */
void foreign_enter(void)
{
	__atomic_fetch_add(&foreigners, 1, __ATOMIC_SEQ_CST);
}

/** foreign_leave - it ends it. */
void foreign_leave(void)
{
	__atomic_fetch_sub(&foreigners, 1, __ATOMIC_SEQ_CST);
}

/** runtime_runs - is there a runtime? In a section; it stays until the section's end. */
bool runtime_runs(void)
{
	return __atomic_load_n(&state, __ATOMIC_SEQ_CST) == RUNNING;
}

static int go_foreign(void (*fn)(void *), void *arg)
{
	struct g *g;

	if (!runtime_enter())
		return -EINVAL;
	g = g_get();
	if (g) {
		g_init(NULL, g, fn, arg);
		ready(NULL, g);
	}
	runtime_leave();
	return g ? 0 : -ENOMEM;
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
	return err;
}

/** exit_outside - gs_goexit on a thread that is no M. */
void exit_outside(void)
{
	/* After fork() this thread is what is left of the process. */
	if (forked)
		exit(0);
	fatal("gs_goexit outside of a goroutine");
}
