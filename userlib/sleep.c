// SPDX-License-Identifier: LGPL-2.1 OR MIT
/* sleep.c: the clock, and goroutines that wait for it. */
#include <errno.h>
#include <time.h>

#include "waitq.h"

int64_t gs_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* In a queue of its own: nobody but its deadline, or cancelling, takes it out. */
static int sleep_g(int64_t deadline)
{
	struct rt_lock lock = { 0 };
	struct waiter w = { .shield = false };
	void *queue = NULL;
	struct m *m = sec_enter();

	rt_lock(&lock);
	waitq_add(&queue, &w);
	m = waitq_park(m, &lock, &queue, &w, deadline, WAIT_SLEEP);
	sec_leave(m);
	return w.result;
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
	int err;

	if (deadline <= gs_now()) {
		gs_yield();
		return 0;
	}
	if (!g_self())
		return sleep_thread(deadline);
	/* For ever is a time, too: who sleeps is not deadlocked. */
	if (deadline == NO_DEADLINE)
		deadline--;
	/* No memory for a timer: look at the clock now and then. */
	while ((err = sleep_g(deadline)) == -ENOMEM)
		gs_yield();
	return err == -ETIMEDOUT ? 0 : err;
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
