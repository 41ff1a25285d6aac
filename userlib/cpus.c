// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * cpus.c: how many Ps there are.
 *
 * GSCHED_MAXPROCS says so, or gs_set_maxprocs(). As long as neither has, it is the
 * number of CPUs that the process may use; or, if that is less, its control groups' CPU
 * limit, rounded up: more Ps would use a period's time up at its beginning and then all
 * stand still. A limit below two CPUs still gives two Ps, else a goroutine that computes
 * would keep the others waiting although there is time left. Both can change while the
 * program runs, so they are looked at again now and then, by the watcher (watch.c).
 *
 * "CPUs that the process may use" are those of the thread that looks. All threads
 * inherit them from the one that starts the runtime, and what changes them from
 * outside (a cpuset, taskset -a) does so for all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "cgroup.h"
#include "cpus.h"
#include "info.h"
#include "runtime.h"

#define LEAST_LIMIT	2		/* Ps, if there are so many CPUs */
#define CPU_SET_BYTES	8192		/* eight times what the kernel can be built for */

/* Held while the number of Ps, and why, changes. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool follow;			/* the CPUs and the control groups */
static const char *why;

/* How many Ps there should be, and where that comes from. */
struct want {
	uint32_t procs;
	const char *why;
};

/* ------------------------------------------------------------ what is wanted */

/* Return: 0: not known. */
static uint32_t allowed_cpus(void)
{
	static char set[CPU_SET_BYTES] __attribute__((aligned(8)));
	size_t size = sizeof(set);

	if (sched_getaffinity(0, size, (cpu_set_t *)set))
		return 0;
	return CPU_COUNT_S(size, (cpu_set_t *)set);
}

static struct want want_cpus(uint32_t cpus)
{
	return (struct want){
		.procs = cpus < GSCHED_MAX_PROCS ? cpus : GSCHED_MAX_PROCS,
		.why = "CPU affinity",
	};
}

/* The CPUs, or the limit if that is less. */
static struct want want_default(void)
{
	struct want w = want_cpus(rt.cpus);
	struct cpu_limit l;
	uint32_t procs;

	if (!cgroup_cpu_limit(&l))
		return w;
	procs = l.quota / l.period + !!(l.quota % l.period);
	if (procs < LEAST_LIMIT)
		procs = LEAST_LIMIT;
	if (procs < w.procs) {
		w.procs = procs;
		w.why = info_text("cgroup %s %u/%u", l.file, l.quota, l.period);
	}
	return w;
}

/* Return: 0: the environment does not say. */
static uint32_t maxprocs_env(void)
{
	const char *s = getenv("GSCHED_MAXPROCS");
	long n = s ? strtol(s, NULL, 10) : 0;

	if (n <= 0)
		return 0;
	return n < GSCHED_MAX_PROCS ? n : GSCHED_MAX_PROCS;
}

/**
 * cpus_start - the runtime starts: look at all that decides
 *
 * Return: how many Ps it shall have.
 */
uint32_t cpus_start(void)
{
	uint32_t cpus = allowed_cpus(), env = maxprocs_env();
	struct want w;

	rt.cpus = cpus ? cpus : 1;
	follow = !env;
	w = env ? (struct want){ env, "GSCHED_MAXPROCS" } : want_default();
	why = w.why;
	return w.procs;
}

/** cpus_reset - for a new runtime. In a child after fork() the lock may be anybody's. */
void cpus_reset(void)
{
	lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	follow = false;
	why = NULL;
	cgroup_reset();
}

/** cpus_follow - does the number of Ps follow the CPUs and the control groups? */
bool cpus_follow(void)
{
	return __atomic_load_n(&follow, __ATOMIC_RELAXED);
}

/* --------------------------------------------------------------- changing it */

/*
 * The first @n Ps exist: those who look at all Ps look at them too.
 *
 *   procs_seen                         the runtime's end (stop() in runtime.c)
 *   store seen_procs                   store rt_stopping
 *   load rt_stopping: set ATTN_STOP    load seen_procs: set ATTN_STOP for all below
 *   for the new Ps
 *
 * All sequentially consistent: of the two loads at least one comes after the other's
 * store, so each P gets the bit, whose Gs would else go on for ever.
 */
static void procs_seen(uint32_t n)
{
	uint32_t seen = rt.seen_procs;

	if (n <= seen)
		return;
	__atomic_store_n(&rt.seen_procs, n, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&rt_stopping, __ATOMIC_SEQ_CST))
		procs_stop(seen, n);
	trace_procs(seen, n);
}

/** cpus_started - the backend has started with that number. */
void cpus_started(void)
{
	procs_seen(__atomic_load_n(&rt.shared->nr_procs, __ATOMIC_RELAXED));
}

static uint32_t procs_now(void)
{
	return __atomic_load_n(&rt.shared->nr_procs, __ATOMIC_RELAXED);
}

/** cpus_procs - how many Ps there are; @reason: why, good until the runtime ends. */
uint32_t cpus_procs(const char **reason)
{
	uint32_t procs;

	pthread_mutex_lock(&lock);
	procs = procs_now();
	*reason = why;
	pthread_mutex_unlock(&lock);
	return procs;
}

/* Locked. */
static int change(struct want w)
{
	int err = 0;

	if (w.procs != procs_now())
		err = rt.backend->set_procs(w.procs);
	if (err)
		return err;
	procs_seen(w.procs);
	why = w.why;
	return 0;
}

/*
 * New Ps are idle: there may be work for them, or nobody who waits for some. And a P that
 * goes leaves its work to others.
 */
static void wake_for_change(void)
{
	struct m *m = sec_enter();

	if (any_work() || unwatched())
		wake_idle();
	sec_leave(m);
}

/**
 * cpus_update - look at the CPUs and the control groups again
 *
 * By the watcher. If there is no memory for more Ps the next look tries again.
 */
void cpus_update(void)
{
	uint32_t cpus = allowed_cpus(), before = procs_now();
	struct want w;

	if (cpus)
		__atomic_store_n(&rt.cpus, cpus, __ATOMIC_RELAXED);
	w = want_default();
	pthread_mutex_lock(&lock);
	if (follow)
		change(w);
	pthread_mutex_unlock(&lock);
	if (procs_now() != before)
		wake_for_change();
}

/* Return: how many there were, or -errno. */
static int set_procs(uint32_t n)
{
	int old, err;

	pthread_mutex_lock(&lock);
	old = (int)procs_now();
	err = change((struct want){ n, "gs_set_maxprocs()" });
	if (!err)
		__atomic_store_n(&follow, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
	return err ? err : old;
}

int gs_set_maxprocs(int n)
{
	int ret;

	if (n > GSCHED_MAX_PROCS || !runtime_enter())
		return -EINVAL;
	ret = n > 0 ? set_procs(n) : (int)procs_now();
	if (n > 0)
		wake_for_change();
	runtime_leave();
	return ret == -ESHUTDOWN ? -EINVAL : ret;
}
