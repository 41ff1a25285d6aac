// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * epoll_idle.c: who holds which P, who waits for one, who sleeps.
 *
 * Idle Ms all sleep in epoll_wait() on one epoll instance, each with its own
 * deadline, so that whoever is woken by an event can run what it makes ready at
 * once. Another M wakes one of them through an eventfd (the kick). What the woken
 * M is to do is not in the event but in ep.token: a P set aside for an idle M. Any
 * idle M takes it, whether the kick woke it or something else.
 *
 * While a P is idle an M sleeps here, one of them no longer than until the first timer is
 * due: else nobody would see an event, or that time, before one of those who run comes by. Who
 * starts a timer or registers a descriptor wakes an M if none does (timers_sleep_begin() and
 * wake_for() in timer.c, epoll_fd_register()), and so does who leaves:
 *
 *   an M that leaves with work spins, and looks (epoll_unwatched()) when it has found
 *   some (found_work() in find.c). Should another spin then, that one looks; and who
 *   spins and finds nothing comes back here.
 *   An M that leaves for a timer runs it. If that makes a G ready, ready() wakes
 *   another; else the M comes back.
 *
 * The one that is woken or made finds nothing to do and sleeps here in its turn. So there
 * soon are as many Ms as Ps, and then one sleeps here as a rule whoever leaves.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "debug.h"
#include "epoll.h"
#include "timer.h"

/** epoll_kick - wake one of the sleepers. */
void epoll_kick(void)
{
	uint64_t one = 1;

	if (write(ep.kick, &one, sizeof(one)) < 0)
		fatal("eventfd: %s", strerror(errno));
}

/* --------------------------------------------------------- Ps, with the lock */

/** proc_set_state - as others see it. Locked. */
void proc_set_state(uint32_t proc, uint32_t p_state, uint32_t owner)
{
	__atomic_store_n(&rt.procs[proc].state, p_state, __ATOMIC_RELAXED);
	__atomic_store_n(&rt.procs[proc].owner, owner, __ATOMIC_RELAXED);
}

static void add_idle(int n)
{
	__atomic_store_n(&rt.shared->nr_idle, rt.shared->nr_idle + n, __ATOMIC_SEQ_CST);
}

/** proc_is_idle - is it in the set of idle Ps? Locked. */
bool proc_is_idle(uint32_t proc)
{
	return ep.idle[proc / 64] >> (proc % 64) & 1;
}

/** proc_make_idle - put a P into the set of idle Ps. Locked. */
void proc_make_idle(uint32_t proc)
{
	proc_set_state(proc, GSCHED_P_IDLE, GSCHED_NONE);
	ep.idle[proc / 64] |= 1ULL << (proc % 64);
	add_idle(1);
}

/** proc_unmake_idle - take it out, for whatever use. Locked. */
void proc_unmake_idle(uint32_t proc)
{
	ep.idle[proc / 64] &= ~(1ULL << (proc % 64));
	add_idle(-1);
}

/** proc_find_idle - an idle P, @hint if that is one, or GSCHED_NONE. Locked. */
uint32_t proc_find_idle(uint32_t hint)
{
	if (!rt.shared->nr_idle)
		return GSCHED_NONE;
	if (hint < GSCHED_MAX_PROCS && proc_is_idle(hint))
		return hint;
	for (uint32_t i = 0; i < GSCHED_MAX_PROCS / 64; i++)
		if (ep.idle[i])
			return i * 64 + __builtin_ctzll(ep.idle[i]);
	return GSCHED_NONE;
}

/** proc_find_busy - a P in use that is not idle, @hint if that is one, or GSCHED_NONE. Locked. */
uint32_t proc_find_busy(uint32_t hint)
{
	if (hint < rt.shared->nr_procs && !proc_is_idle(hint))
		return hint;
	for (uint32_t i = 0; i < rt.shared->nr_procs; i++)
		if (!proc_is_idle(i))
			return i;
	return GSCHED_NONE;
}

/** proc_assign - give an M a P that is in no other hands. Locked. */
void proc_assign(struct m *m, uint32_t proc)
{
	proc_set_state(proc, GSCHED_P_RUN, m->id);
	__atomic_store_n(&m->shared->proc, proc, __ATOMIC_RELAXED);
}

/** proc_take_idle - give an M an idle P, @hint if it is one. Locked. Return: it has one. */
bool proc_take_idle(struct m *m, uint32_t hint)
{
	uint32_t proc = proc_find_idle(hint);

	if (proc == GSCHED_NONE)
		return false;
	proc_unmake_idle(proc);
	proc_assign(m, proc);
	return true;
}

/**
 * proc_offer - a P is free: somebody's who waits for one, or idle, or dead if its number
 * is too high. Locked.
 */
void proc_offer(uint32_t proc)
{
	if (proc >= rt.shared->nr_procs)
		proc_set_state(proc, GSCHED_P_DEAD, GSCHED_NONE);
	else if (!wanter_serve(proc))
		proc_make_idle(proc);
}

/** proc_give_up - take an M's P away, if it has one. Locked. */
void proc_give_up(struct m *m)
{
	uint32_t proc = m->shared->proc;

	if (proc == GSCHED_NONE)
		return;
	__atomic_store_n(&m->shared->proc, GSCHED_NONE, __ATOMIC_RELAXED);
	proc_offer(proc);
}

/* ------------------------------------------------------------------------ Ms */

/** epoll_m_register - backend.m_register */
int epoll_m_register(struct m *m)
{
	uint32_t id;

	rt_lock(&ep.lock);
	ep.spawn_pending = false;
	if (ep.nr_free_ms)
		id = ep.free_ms[--ep.nr_free_ms];
	else if (ep.nr_ms < MAX_MS)
		id = ep.nr_ms++;
	else
		id = GSCHED_NONE;
	rt_unlock(&ep.lock);
	if (id == GSCHED_NONE)
		return -ENOSPC;
	m->id = id;
	m->shared = ep.ms + id;
	m->shared->proc = GSCHED_NONE;
	return 0;
}

/** epoll_m_unregister - backend.m_unregister */
void epoll_m_unregister(struct m *m)
{
	rt_lock(&ep.lock);
	proc_give_up(m);
	ep.free_ms[ep.nr_free_ms++] = m->id;
	rt_unlock(&ep.lock);
}

/* -------------------------------------------------------------- wake and idle */

/** wake_locked - set an idle P to work, by an idle M or a new one. Locked. */
int wake_locked(void)
{
	uint32_t proc = proc_find_idle(GSCHED_NONE);

	if (proc == GSCHED_NONE || ep.down)
		return -EAGAIN;
	if (__atomic_load_n(&rt.shared->nr_spinning, __ATOMIC_SEQ_CST) || ep.token)
		return 0;
	if (ep.nr_sleepers) {
		proc_unmake_idle(proc);
		ep.token = proc + 1;
		__atomic_fetch_add(&rt.shared->nr_spinning, 1, __ATOMIC_SEQ_CST);
		/* The last to come has yet to sleep: before that it looks here, with the lock. */
		if (ep.sleepers->until != FOR_ALL)
			epoll_kick();
	} else if (!ep.spawn_pending) {
		ep.spawn_pending = true;
		ep.spawn_wanted = true;
		monitor_wake();
	}
	return 0;
}

/** epoll_wake - backend.wake */
int epoll_wake(void)
{
	int err;

	rt_lock(&ep.lock);
	err = wake_locked();
	rt_unlock(&ep.lock);
	return err;
}

/**
 * epoll_barrier - between marking a P as idle and looking for work
 *
 * Who pushes from now on sees that the P is idle; who pushed before and did not see it,
 * its push is seen after this.
 */
void epoll_barrier(void)
{
	if (rt.membarrier)
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	else
		arch_barrier();
}

static void sleeper_add(struct sleeper *s)
{
	s->next = ep.sleepers;
	s->link = &ep.sleepers;
	if (s->next)
		s->next->link = &s->next;
	ep.sleepers = s;
	ep.nr_sleepers++;
}

static void sleeper_del(struct sleeper *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	ep.nr_sleepers--;
}

/*
 * Does an M other than @self's sleep no longer than until @when? One that has yet to look how long
 * will do so for the first timer, so nobody else need begin to; but who is about to sleep for
 * something else must not leave that to it.
 */
static bool slept_for(int64_t when, const struct sleeper *self)
{
	for (const struct sleeper *s = ep.sleepers; s; s = s->next)
		if (s != self && s->until && s->until <= when && !(self && s->until == FOR_ALL))
			return true;
	return false;
}

/** epoll_unwatched - backend.unwatched */
bool epoll_unwatched(void)
{
	int64_t next;
	bool alone;

	rt_lock(&ep.lock);
	next = timers_next();
	alone = (ep.nr_open && !ep.sleepers) || (next && !slept_for(next, NULL));
	rt_unlock(&ep.lock);
	return alone;
}

/* For at most eleven days: who wakes up too early looks at the clock and comes again. */
static int in_ms(const struct timespec *ts)
{
	if (!ts)
		return -1;
	return ts->tv_sec < 1000000 ? ts->tv_sec * 1000 + (ts->tv_nsec + 999999) / 1000000
				    : 1000000000;
}

/* Linux has epoll_pwait2() since 5.11. Valgrind knows no such call, and says so each time. */
static int wait_timed(struct epoll_event *ev, const struct timespec *ts)
{
	static bool missing;

	if (!__atomic_load_n(&missing, __ATOMIC_RELAXED)) {
		int n = epoll_pwait2(ep.epfd, ev, BATCH, ts, NULL);

		if (n >= 0 || errno != ENOSYS)
			return n;
		__atomic_store_n(&missing, true, __ATOMIC_RELAXED);
	}
	return epoll_wait(ep.epfd, ev, BATCH, in_ms(ts));
}

static int wait_events(struct epoll_event *ev, int64_t deadline)
{
	struct timespec ts = { 0 };
	int64_t left;
	int n;

	if (deadline) {
		left = deadline - gs_now();
		if (left > 0) {
			ts.tv_sec = left / 1000000000;
			ts.tv_nsec = left % 1000000000;
		}
	}
	n = wait_timed(ev, deadline ? &ts : NULL);
	return n < 0 ? 0 : n;
}

/* Locked. Return: whether the sleep is over: with a P, or the runtime ends. */
static bool leave_idle(struct m *m, bool work, bool late, uint32_t hint, uint32_t *reason)
{
	if (ep.down)
		return true;
	if (ep.token) {
		proc_assign(m, ep.token - 1);
		ep.token = 0;
		*reason = GSCHED_IDLE_WORK;
		return true;
	}
	if (!(work || late) || !proc_take_idle(m, hint))
		return false;
	*reason = work ? GSCHED_IDLE_WORK : GSCHED_IDLE_TIMEOUT;
	if (work)
		__atomic_fetch_add(&rt.shared->nr_spinning, 1, __ATOMIC_SEQ_CST);
	return true;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* When an idle M asks whether it is one too many. */
struct leave {
	int64_t begun;			/* 0: it never asks, nor do others */
	int64_t when;
	int64_t pause;
};

static struct leave leave_begin(void)
{
	int64_t pause = settings.leave_ms * 1000000LL, now;

	if (!pause)
		return (struct leave){ 0 };
	now = gs_now();
	return (struct leave){ .begun = now, .when = now + pause, .pause = pause };
}

/*
 * Ms that take turns at timers and messages all sleep, but none for long. So it is also
 * remembered since when there has always been one more than all Ps can use, and one to
 * take the next turn. Locked, the Ms counted are those that sleep from the first call to
 * the second.
 */
static bool spare(void)
{
	return ep.nr_sleepers > rt.shared->nr_idle + 1;
}

static void spare_begin(int64_t now)
{
	if (spare() && !ep.spare_since)
		ep.spare_since = now;
}

static void spare_end(void)
{
	if (!spare())
		ep.spare_since = 0;
}

/* Return: @leave's M is that one; the next has to be seen anew. */
static bool spare_leaves(const struct leave *leave)
{
	if (!ep.spare_since || leave->begun - ep.spare_since < leave->pause)
		return false;
	ep.spare_since = leave->begun;
	return true;
}

/*
 * Locked. Those that idle from now on count this one, so it need not ask again, were
 * it not that the number of Ps may fall: it asks more and more rarely.
 */
static bool too_many(struct leave *leave)
{
	int64_t now;

	if (!leave->begun)
		return false;
	if (spare_leaves(leave))
		return true;
	now = gs_now();
	if (now < leave->when)
		return false;
	leave->pause *= 2;
	leave->when = now + leave->pause;
	return ep.nr_sleepers > rt.shared->nr_procs;
}

/*
 * Locked. One has left. What was said of when the first wakes up may have been said by an M
 * that sleeps for longer, since this one slept for no longer than that.
 */
static void claim_again(void)
{
	int64_t until = timers_sleep_until();

	if (until && !slept_for(until, NULL))
		timers_sleep_over();
}

/** epoll_idle - backend.idle */
int epoll_idle(struct m *m, int64_t deadline, uint32_t *reason)
{
	struct epoll_event ev[BATCH];
	uint32_t hint = m->shared->proc, to;
	struct leave leave = leave_begin();
	struct sleeper self = { .until = FOR_ALL };
	bool work, late = false, kicked, others;
	int n = 0, err = 0;

	rt_lock(&ep.lock);
	sleeper_add(&self);
	proc_give_up(m);
	spare_begin(leave.begun);
	/* Those that have gone are not idle, but that costs no more than a barrier. */
	others = rt.shared->nr_idle != ep.made_procs;
	rt_unlock(&ep.lock);
	/* Who gave his P up before us did so with the lock, and so will who takes one. */
	if (others)
		epoll_barrier();
	work = any_work();

	for (;;) {
		rt_lock(&ep.lock);
		/* Into the P that this M is about to get, if it gets one. */
		to = ep.token ? ep.token - 1 : proc_find_idle(hint);
		work |= watch_events(ev, n, to, &kicked) > 0;
		if (leave_idle(m, work, late, hint, reason))
			break;
		if (!work && too_many(&leave)) {
			err = -ETIME;
			break;
		}
		/* Others hold all Ps: they see this work and their timers. */
		work = false;
		if (late) {
			deadline = 0;
			timers_sleep_over();
		}
		if (self.until == FOR_ALL)
			deadline = earlier(deadline, timers_next());
		/* One is enough: when it leaves, somebody looks whether another is wanted. */
		if (deadline && slept_for(deadline, &self))
			deadline = 0;
		self.until = deadline;
		ep.nr_waits++;
		rt_unlock(&ep.lock);
		n = wait_events(ev, earlier(deadline, leave.when));
		late = deadline && gs_now() >= deadline;
	}
	sleeper_del(&self);
	claim_again();
	spare_end();
	if (ep.down)
		err = -ESHUTDOWN;
	rt_unlock(&ep.lock);
	return err;
}
