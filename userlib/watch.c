// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * watch.c: the watcher, a thread that looks at what changes slowly: the number of CPUs
 * and the control groups' limit, every second, and what GSCHED_DEBUG=schedtrace prints.
 * If neither is wanted there is no such thread.
 *
 * It is no M: it reads files, writes to standard error, and takes its time. While all Ps
 * are idle it does not look at limits, but sleeps until an M is woken up, so that a
 * program that waits wakes up for nobody; an M that comes back pays for a load.
 *
 *   watcher                            an M
 *   -------                            ----
 *   state = IDLE                       nr_idle-- (by whoever gives it a P)
 *   (full barrier)                     (full barrier, in idle_end)
 *   load nr_idle: all? sleep           load state: IDLE? wake the watcher
 *
 * Either the watcher sees that a P is busy, or the M sees that it sleeps.
 *
 * Rejected: the spawner's thread, which exists anyway. With the module it sleeps in an
 * ioctl that returns when an M is missing; it would need a time-out there, and the
 * kernel a notion of when that is of no use. Rejected, too: the Ms themselves, as they
 * come by. They would have to read a clock to know that it is time, and then files in a
 * section.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "cpus.h"
#include "debug.h"
#include "futex.h"
#include "proc.h"
#include "schedtrace.h"
#include "watch.h"

#define CPUS_INTERVAL	1000000000LL
#define NS_PER_MS	1000000LL
#define NEVER		INT64_MAX
#define STACK_SIZE	(256 * 1024)

uint32_t watch_state;
static pthread_t thread;

/* When to look at what. */
struct rounds {
	int64_t since;
	int64_t cpus, trace;
};

/* --------------------------------------------------------------- the watcher */

static bool all_idle(void)
{
	return __atomic_load_n(&rt.shared->nr_idle, __ATOMIC_SEQ_CST) >=
	       __atomic_load_n(&rt.shared->nr_procs, __ATOMIC_RELAXED);
}

/* Return: false: another state has come. */
static bool change_state(uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&watch_state, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* Sleeps until @deadline, or until the state is another. */
static void sleep_in(uint32_t state, int64_t deadline)
{
	while (__atomic_load_n(&watch_state, __ATOMIC_ACQUIRE) == state && gs_now() < deadline)
		futex_wait(&watch_state, state, deadline == NEVER ? 0 : deadline);
}

/* Only the limits can wait until there is something to do. */
static void sleep_idle(void)
{
	if (!change_state(WATCH_AWAKE, WATCH_IDLE))
		return;
	if (all_idle())
		sleep_in(WATCH_IDLE, NEVER);
	change_state(WATCH_IDLE, WATCH_AWAKE);
}

static void look(struct rounds *r)
{
	int64_t now = gs_now();

	if (!cpus_follow())
		r->cpus = NEVER;
	if (now >= r->cpus) {
		cpus_update();
		r->cpus = now + CPUS_INTERVAL;
	}
	if (now >= r->trace) {
		schedtrace(now - r->since, settings.scheddetail);
		r->trace = now + settings.schedtrace_ms * NS_PER_MS;
	}
}

static void *watch_main(void *arg)
{
	int64_t now = gs_now();
	struct rounds r = {
		.since = now,
		.cpus = now + CPUS_INTERVAL,
		.trace = settings.schedtrace_ms ? now : NEVER,
	};

	(void)arg;
	while (__atomic_load_n(&watch_state, __ATOMIC_ACQUIRE) != WATCH_STOP) {
		look(&r);
		sleep_in(WATCH_AWAKE, r.cpus < r.trace ? r.cpus : r.trace);
		if (r.trace == NEVER && r.cpus != NEVER)
			sleep_idle();
	}
	return NULL;
}

/** watch_wake - an M has something to do while the watcher sleeps. */
void watch_wake(void)
{
	if (change_state(WATCH_IDLE, WATCH_AWAKE))
		futex_wake(&watch_state, 1);
}

/* ------------------------------------------------------------- start and stop */

/* The program's signal handlers are for its own threads, and for stacks like theirs. */
static int create(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int err;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, watch_main, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

/** watch_start - start the watcher, if there is something to watch. Return: 0, -errno. */
int watch_start(void)
{
	int err;

	if (!cpus_follow() && !settings.schedtrace_ms)
		return 0;
	__atomic_store_n(&watch_state, WATCH_AWAKE, __ATOMIC_RELAXED);
	err = create();
	if (err)
		__atomic_store_n(&watch_state, WATCH_NONE, __ATOMIC_RELAXED);
	return err;
}

/** watch_stop - end it. */
void watch_stop(void)
{
	if (!watch_threads())
		return;
	__atomic_store_n(&watch_state, WATCH_STOP, __ATOMIC_SEQ_CST);
	futex_wake(&watch_state, 1);
	pthread_join(thread, NULL);
	/* An M that comes late may still look. */
	__atomic_store_n(&watch_state, WATCH_NONE, __ATOMIC_RELAXED);
}

/** watch_reset - in a child after fork(): the thread does not exist. */
void watch_reset(void)
{
	watch_state = WATCH_NONE;
}

/** watch_threads - how many threads that is: 0 or 1. */
uint32_t watch_threads(void)
{
	return __atomic_load_n(&watch_state, __ATOMIC_RELAXED) != WATCH_NONE;
}
