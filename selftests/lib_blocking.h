/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lib_blocking.h: a crowd of goroutines on one P that block in calls of other
 * people's libraries, and a beat beside them.
 *
 * The calls are the plain ones: nothing tells the runtime that they block. With the
 * module a hundred of them wait at the same time, and a goroutine that wants to run
 * each millisecond hardly notices. The portable backend cannot do that: there a
 * smaller crowd shows that the results are right, and no time is looked at.
 */
#ifndef LIB_BLOCKING_H
#define LIB_BLOCKING_H

#include "lib_check.h"	/* before all others: _GNU_SOURCE */

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define CROWD_MODULE	100
#define CROWD_PORTABLE	4

#define BEAT		MS
#define BEATS_MAX	100000

/*
 * How late the beat may be, on an emulated machine whose host others use too: with a
 * quarter of it taken away the median has been seen at 155 ms, p99 at 2.4 s. A beat
 * that has to wait for the blocking calls comes a few times in all.
 */
#define LATE_MEDIAN	(250 * MS)
#define LATE_P99	(4000 * MS)
#define LATE_MAX	(6000 * MS)

static inline bool on_module(void)
{
	return strcmp(gs_backend(), "module") == 0;
}

static inline int crowd_size(void)
{
	return on_module() ? CROWD_MODULE : CROWD_PORTABLE;
}

/* A body that means nothing, or never ends, where a goroutine that blocks keeps its P. */
static void (*module_body)(void);
static bool module_missing;

static inline void run_if_module(void)
{
	module_missing = !on_module();
	if (!module_missing)
		module_body();
}

/* Run @body on the module, and skip the test on the portable backend. */
#define RUN_ON_MODULE(procs, body) do {						\
	module_body = body;							\
	EXPECT_EQ(0, run_on(procs, run_if_module));					\
	if (module_missing)							\
		SKIP(return, "only the module notices that a call blocks");	\
} while (0)

/* ---------------------------------------------------------------------- the beat */

static struct {
	int stop;
	long n;
	int64_t late[BEATS_MAX];
	gs_wg done;
} beat;

/*
 * Each beat of the grid counts, those that passed while nothing ran too: a standstill
 * of 30 ms is beats late by 30, 29, 28 .. ms, not a single late one.
 */
static inline void beat_run(void *arg)
{
	int64_t next = gs_now(), wait;

	(void)arg;
	while (!__atomic_load_n(&beat.stop, __ATOMIC_RELAXED) && beat.n < BEATS_MAX) {
		next += BEAT;
		wait = next - gs_now();
		/*
		 * To sleep until a time that has passed meanwhile is a yield to all that
		 * is queued: not for so short a time.
		 */
		if (wait > 0)
			gs_sleep(wait > BEAT / 4 ? wait : BEAT / 4);
		beat.late[beat.n++] = gs_now() - next;
	}
	gs_wg_done(&beat.done);
}

static inline int beat_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static inline void beat_start(void)
{
	beat.stop = beat.n = 0;
	gs_wg_add(&beat.done, 1);
	go(beat_run, NULL);
}

static inline void beat_stop(void)
{
	__atomic_store_n(&beat.stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&beat.done);
	CHECK(beat.n > 0);
	qsort(beat.late, beat.n, sizeof(*beat.late), beat_compare);
}

/* @took: how long the crowd took: that also tells how slow the machine is. */
static inline void beat_check(const char *what, int64_t took)
{
	int64_t median = beat.late[beat.n / 2], p99 = beat.late[beat.n * 99 / 100];
	int64_t max = beat.late[beat.n - 1];

	if (!on_module())
		return;
	printf("# %s: %ld beats, late by %.3f ms (median), %.3f (p99), %.3f (max)\n", what,
	       beat.n, median / 1e6, p99 / 1e6, max / 1e6);
	fflush(stdout);
	CHECK(beat.n >= 20);
	CHECK(median <= LATE_MEDIAN * slowness() || median <= took / 4);
	CHECK(p99 <= LATE_P99 * slowness());
	CHECK(max <= LATE_MAX * slowness());
}

/* --------------------------------------------------------------------- the crowd */

static struct {
	void (*fn)(int i);
	gs_wg done;
} crowd;

static inline void crowd_one(void *arg)
{
	crowd.fn((int)(long)arg);
	gs_wg_done(&crowd.done);
}

/*
 * Run @fn(0) .. @fn(n - 1), each in a goroutine, beside the beat. @serial: how long all
 * of them block at least, one after the other: with the module they take less than half
 * of it. 0: that is not looked at.
 */
static inline void crowd_run(const char *what, int n, void (*fn)(int i), int64_t serial)
{
	int64_t begin, took;
	long i;

	crowd.fn = fn;
	gs_wg_add(&crowd.done, n);
	beat_start();
	begin = gs_now();
	for (i = 0; i < n; i++)
		go(crowd_one, (void *)i);
	gs_wg_wait(&crowd.done);
	took = gs_now() - begin;
	beat_stop();
	printf("# %s: %d goroutines took %.0f ms on %s", what, n, took / 1e6, gs_backend());
	if (serial)
		printf("; one after the other %.0f at least", serial / 1e6);
	printf("\n");
	CHECK(took >= serial / n);
	/* The calls' waiting overlaps; a slow machine takes long for all else, too. */
	if (on_module() && serial && slowness() == 1)
		CHECK(took < serial / 2);
	beat_check(what, took);
}

/* ---------------------------------------------------------------------- servers */

/*
 * Run @fn in a process that ends with the test's. Before there are goroutines, from
 * the thread that stays until the end.
 */
static inline pid_t server_start(void (*fn)(void))
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		fn();
	_exit(127);
}

static inline void server_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#endif /* LIB_BLOCKING_H */
