// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * epoll_monitor.c: the thread in gs_main, between making Ms: it finds descriptors that
 * were closed behind the library's back, and while all Ps are busy for long, or nobody is
 * there to take one, it looks for events every 10 ms, for hogs let nobody else do it.
 *
 * That they are busy it sees when it comes by, every 100 ms. To be woken for it would cost
 * those who are idle now and then a system call each time they are not.
 */
#include <errno.h>

#include "epoll.h"
#include "futex.h"

#define TICK		10000000LL	/* ns between looks for events while all Ps are busy */
#define SWEEP_TIME	100000000LL	/* ns between looks for closed descriptors */
#define SWEEP_BATCH	1024

/** monitor_wake - something has changed that the monitor must see. */
void monitor_wake(void)
{
	__atomic_fetch_add(&ep.monitor, 1, __ATOMIC_RELEASE);
	futex_wake(&ep.monitor, 1);
}

static void sweep(void)
{
	uint32_t delivered = 0;

	rt_lock(&ep.lock);
	for (uint32_t i = 0; i < SWEEP_BATCH && i < ep.nr_slots; i++) {
		uint32_t slot = ep.sweep++ % ep.nr_slots;

		if (watch_is_stale(slot))
			delivered += watch_close(slot);
	}
	if (delivered)
		wake_locked();
	rt_unlock(&ep.lock);
}

/* The monitor's own, and stays while it makes an M. */
struct pace {
	uint32_t waits;			/* ep.nr_waits at the last tick */
	int64_t next_tick, next_sweep;
};

static struct pace pace;

/* Return: when to look again, 0: when a descriptor is registered. */
static int64_t tick(void)
{
	int64_t now;
	bool busy, still;

	if (!__atomic_load_n(&ep.nr_open, __ATOMIC_RELAXED))
		return 0;
	now = gs_now();
	if (now < pace.next_tick)
		return pace.next_tick;
	rt_lock(&ep.lock);
	busy = !rt.shared->nr_idle || !ep.nr_sleepers;
	still = busy && ep.nr_waits == pace.waits;
	pace.waits = ep.nr_waits;
	rt_unlock(&ep.lock);
	if (still)
		poll_events(GSCHED_NONE);
	if (now >= pace.next_sweep) {
		sweep();
		pace.next_sweep = now + SWEEP_TIME;
	}
	pace.next_tick = busy ? now + TICK : pace.next_sweep;
	return pace.next_tick;
}

/** epoll_spawner - backend.spawner */
int epoll_spawner(bool failed)
{
	for (;;) {
		uint32_t seen = __atomic_load_n(&ep.monitor, __ATOMIC_ACQUIRE);
		bool wanted, down;

		rt_lock(&ep.lock);
		if (failed)
			ep.spawn_pending = false;
		failed = false;
		wanted = ep.spawn_wanted;
		ep.spawn_wanted = false;
		down = ep.down;
		rt_unlock(&ep.lock);
		if (down)
			return -ESHUTDOWN;
		if (wanted)
			return 0;
		futex_wait(&ep.monitor, seen, tick());
	}
}
