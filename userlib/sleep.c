// SPDX-License-Identifier: LGPL-2.1 OR MIT
/* sleep.c: the clock, and goroutines that wait for it. */
#include <time.h>

#include "sched.h"

int64_t gs_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* At the tail: of several whose time has come the first one runs first. */
static void sleep_over(struct m *m, struct timer *t)
{
	ready_tail(m, t->arg);
}

/* The timer may run as soon as it is armed: only after the G's stack was left. */
struct sleep {
	struct timer timer;
	int err;
};

static bool sleep_commit(struct g *g, void *arg)
{
	struct sleep *s = arg;
	int err;

	(void)g;
	err = timer_start(m_self(), &s->timer);
	/* Armed: another M may be running the G and have left this memory. */
	if (!err)
		return true;
	s->err = err;
	return false;
}

static int sleep_timer(int64_t deadline)
{
	struct sleep s = {
		.timer = { .when = deadline, .fn = sleep_over, .arg = g_self() },
	};
	struct m *m = sec_enter();

	m = park(m, sleep_commit, &s, WAIT_SLEEP);
	timer_stop(m, &s.timer);
	sec_leave(m);
	return s.err;
}

static int sleep_thread(int64_t deadline)
{
	struct timespec ts = {
		.tv_sec = deadline / 1000000000,
		.tv_nsec = deadline % 1000000000,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
		;
	return 0;
}

int gs_sleep_until(int64_t deadline)
{
	if (deadline <= gs_now()) {
		gs_yield();
		return 0;
	}
	if (!g_self())
		return sleep_thread(deadline);
	/* No memory for a timer: look at the clock now and then. */
	while (sleep_timer(deadline) && gs_now() < deadline)
		gs_yield();
	return 0;
}

int gs_sleep(int64_t ns)
{
	int64_t now;

	if (ns <= 0) {
		gs_yield();
		return 0;
	}
	now = gs_now();
	return gs_sleep_until(ns > INT64_MAX - now ? INT64_MAX : now + ns);
}
