// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * epoll_want.c: Ms that have a G in hand and wait for a P: those of pinned Gs, see
 * pin.c.
 *
 * A P that becomes free goes to the one that has waited longest, and to the queues'
 * Gs, in turn: two pinned Gs that wake each other could otherwise keep a P for ever. If
 * none becomes free for a while, all who hold one are asked to give it up at their next
 * step, as the module's tick does.
 *
 * An idle P must always have an M that sleeps for events and timers. One that idles
 * does that by itself; one that releases its P leaves, and so looks whether another
 * does.
 */
#include <errno.h>

#include "epoll.h"
#include "futex.h"
#include "timer.h"

/*
 * In ns, until others are asked for their Ps. Some ten times what it costs to pass a P
 * from thread to thread, so that this is not what the time goes into.
 */
#define PATIENCE	100000LL

static void done(struct wanter *w, int err)
{
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	else
		ep.last_wanter = w->link;
	w->err = err;
	/* It may return, and @w be gone, before the wake; that is harmless. */
	__atomic_store_n(&w->word, 1, __ATOMIC_RELEASE);
	futex_wake(&w->word, 1);
}

static void add(struct wanter *w)
{
	if (!ep.wanters)
		ep.last_wanter = &ep.wanters;
	w->link = ep.last_wanter;
	*w->link = w;
	ep.last_wanter = &w->next;
}

/* Ask all who hold a P, or take it back. */
static void ask(bool on)
{
	for (uint32_t i = 0; i < rt.shared->nr_procs; i++) {
		uint32_t *attention = &rt.procs[i].attention;

		if (on)
			__atomic_fetch_or(attention, GSCHED_ATTN_HELD, __ATOMIC_RELAXED);
		else if (__atomic_load_n(attention, __ATOMIC_RELAXED) & GSCHED_ATTN_HELD)
			__atomic_fetch_and(attention, ~GSCHED_ATTN_HELD, __ATOMIC_RELAXED);
	}
}

static void grant(struct wanter *w, uint32_t proc)
{
	proc_assign(w->m, proc);
	done(w, 0);
	if (!ep.wanters)
		ask(false);
}

/**
 * wanter_serve - a P is free: does somebody wait for it whose turn it is? Locked.
 * @proc: the P
 *
 * It is the queues' turn only if an M is there that can run what they hold.
 *
 * Return: the P has been given away.
 */
bool wanter_serve(uint32_t proc)
{
	bool others = ep.wanter_served && ep.nr_sleepers && any_work();

	if (!ep.wanters)
		return false;
	ep.wanter_served = !others;
	if (!others)
		grant(ep.wanters, proc);
	return !others;
}

/** wanters_stop - nobody gets a P any more. Locked. */
void wanters_stop(void)
{
	while (ep.wanters)
		done(ep.wanters, -ESHUTDOWN);
}

/* It has waited for long. The P that is idle was left to others, who did not come. */
static void insist(struct wanter *w)
{
	uint32_t proc;

	rt_lock(&ep.lock);
	if (!w->word) {
		proc = proc_find_idle(GSCHED_NONE);
		if (proc == GSCHED_NONE) {
			ask(true);
		} else {
			proc_unmake_idle(proc);
			grant(w, proc);
		}
	}
	rt_unlock(&ep.lock);
}

static int wait_for_p(struct wanter *w)
{
	int64_t until = gs_now() + PATIENCE;

	while (!__atomic_load_n(&w->word, __ATOMIC_ACQUIRE)) {
		futex_wait(&w->word, 0, until);
		if (gs_now() < until)
			continue;
		insist(w);
		until = gs_now() + PATIENCE;
	}
	return w->err;
}

/** epoll_acquire - backend.acquire */
int epoll_acquire(struct m *m)
{
	struct wanter w = { .m = m };
	bool got, down;

	rt_lock(&ep.lock);
	down = ep.down;
	got = !down && !ep.wanters && proc_take_idle(m, GSCHED_NONE);
	if (!down && !got)
		add(&w);
	rt_unlock(&ep.lock);
	if (down)
		return -ESHUTDOWN;
	return got ? 0 : wait_for_p(&w);
}

/** epoll_release - backend.release */
int epoll_release(struct m *m)
{
	rt_lock(&ep.lock);
	proc_give_up(m);
	rt_unlock(&ep.lock);
	epoll_barrier();
	rt_lock(&ep.lock);
	if (!ep.nr_sleepers || any_work() || timers_overslept())
		wake_locked();
	rt_unlock(&ep.lock);
	return 0;
}
