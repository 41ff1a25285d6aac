// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * epoll_watch.c: descriptors: their slots, and epoll's events put into them.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "epoll.h"

/* --------------------------------------------------------- descriptors: slots */

static uint32_t slot_alloc(void)
{
	/*
	 * A node of a former life may still be linked in an inbox: its cookie says
	 * so. The oldest free slot is the least likely; else take a fresh one.
	 */
	if (ep.free_head != ep.free_tail) {
		uint32_t slot = ep.free_slots[ep.free_head % MAX_SLOTS];
		struct gsched_node *n = rt.slots[slot].node;

		if (!__atomic_load_n(&n[0].cookie, __ATOMIC_ACQUIRE) &&
		    !__atomic_load_n(&n[1].cookie, __ATOMIC_ACQUIRE)) {
			ep.free_head++;
			return slot;
		}
	}
	return ep.nr_slots < MAX_SLOTS ? ep.nr_slots++ : GSCHED_NONE;
}

static void slot_free(uint32_t slot)
{
	ep.free_slots[ep.free_tail++ % MAX_SLOTS] = slot;
}

static void node_reset(struct gsched_node *n)
{
	__atomic_store_n(&n->word, GSCHED_WORD_NIL, __ATOMIC_RELAXED);
	__atomic_store_n(&n->events, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&n->proc, GSCHED_NONE, __ATOMIC_RELAXED);
}

/*
 * Where the node's G is to run: its last P, unless that is busy and another idle. Who comes
 * to an idle P sleeps now, or may never come: there may be no more threads.
 */
static uint32_t choose_proc(struct gsched_node *n)
{
	uint32_t hint = __atomic_load_n(&n->proc, __ATOMIC_RELAXED);
	uint32_t proc = ep.nr_sleepers ? proc_find_idle(hint) : proc_find_busy(hint);

	if (proc != GSCHED_NONE)
		return proc;
	return hint < rt.shared->nr_procs ? hint : 0;
}

/*
 * As the kernel's wake-up callback. @to: the P whose inbox is used, GSCHED_NONE:
 * choose. Return: whether a G was delivered.
 */
static bool deliver(uint32_t node, uint32_t to, uint32_t events)
{
	struct gsched_node *n = &rt.slots[node / 2].node[node % 2];
	uint64_t old;

	if (events)
		__atomic_fetch_or(&n->events, events, __ATOMIC_SEQ_CST);
	old = __atomic_exchange_n(&n->word, GSCHED_WORD_READY, __ATOMIC_SEQ_CST);
	if (old < GSCHED_COOKIE_MIN)
		return false;
	if (to == GSCHED_NONE)
		to = choose_proc(n);
	inbox_push(rt.procs + to, node, (struct g *)(uintptr_t)old);
	return true;
}

#define EV_BAD (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)

static uint32_t deliver_event(struct epoll_event *ev, uint32_t to)
{
	uint32_t slot = (uint32_t)ev->data.u64, gen = ev->data.u64 >> 32;
	uint32_t verify = ev->events & EV_BAD ? GSCHED_EV_VERIFY : 0;
	uint32_t n = 0;

	if (!ep.watch[slot].open || ep.watch[slot].gen != gen)
		return 0;
	if (ev->events & (EPOLLIN | EV_BAD))
		n += deliver(slot * 2 + GSCHED_DIR_READ, to, verify);
	if (ev->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		n += deliver(slot * 2 + GSCHED_DIR_WRITE, to, verify);
	return n;
}

/**
 * watch_events - put events into the nodes they belong to. Locked.
 * @ev:     the events
 * @n:      how many
 * @to:     the P whose inbox is used, GSCHED_NONE: the node's hint decides
 * @kicked: set if the kick was among them
 *
 * Return: how many Gs were delivered.
 */
uint32_t watch_events(struct epoll_event *ev, int n, uint32_t to, bool *kicked)
{
	uint32_t delivered = 0;

	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 == DATA_KICK)
			*kicked = true;
		else if (ev[i].data.u64 != DATA_DOWN)
			delivered += deliver_event(ev + i, to);
	}
	return delivered;
}

static struct epoll_event watch_event(uint32_t slot)
{
	return (struct epoll_event){
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
		.data.u64 = (uint64_t)ep.watch[slot].gen << 32 | slot,
	};
}

static int watch_ctl(int op, uint32_t slot)
{
	struct epoll_event ev = watch_event(slot);

	return epoll_ctl(ep.epfd, op, ep.watch[slot].fd, &ev) ? -errno : 0;
}

/**
 * watch_close - a slot watches nothing any more. Locked.
 * @slot: the slot, which stays its user's until it is unregistered
 *
 * Return: how many Gs were delivered.
 */
uint32_t watch_close(uint32_t slot)
{
	struct watch *w = ep.watch + slot;

	if (!w->open)
		return 0;
	w->open = false;
	w->gen++;
	__atomic_store_n(&ep.nr_open, ep.nr_open - 1, __ATOMIC_RELAXED);
	if (ep.slot_of[w->fd] == slot + 1) {
		ep.slot_of[w->fd] = 0;
		/* Fails if the number means another file by now: that one is not ours. */
		epoll_ctl(ep.epfd, EPOLL_CTL_DEL, w->fd, NULL);
	}
	return deliver(slot * 2 + GSCHED_DIR_READ, GSCHED_NONE, GSCHED_EV_CLOSED) +
	       deliver(slot * 2 + GSCHED_DIR_WRITE, GSCHED_NONE, GSCHED_EV_CLOSED);
}

static void watch_open(int fd, uint32_t slot)
{
	ep.watch[slot].fd = fd;
	ep.watch[slot].open = true;
	node_reset(&rt.slots[slot].node[GSCHED_DIR_READ]);
	node_reset(&rt.slots[slot].node[GSCHED_DIR_WRITE]);
	if (!ep.nr_open)
		monitor_wake();
	__atomic_store_n(&ep.nr_open, ep.nr_open + 1, __ATOMIC_RELAXED);
}

/* ----------------------------------------------------- descriptors: the calls */

static int register_locked(int fd, uint32_t *slot)
{
	uint32_t s = slot_alloc();
	int err;

	if (s == GSCHED_NONE)
		return -ENOSPC;
	watch_open(fd, s);
	err = watch_ctl(EPOLL_CTL_ADD, s);
	if (err == -EEXIST && ep.slot_of[fd]) {
		/* What epoll knows may be the slot of an older registration. */
		*slot = ep.slot_of[fd] - 1;
		if (watch_ctl(EPOLL_CTL_MOD, *slot))
			err = -EAGAIN;
	} else if (err == -EEXIST) {
		err = watch_ctl(EPOLL_CTL_MOD, s) ? -EAGAIN : 0;
	}
	if (err) {
		ep.watch[s].open = false;
		ep.watch[s].gen++;
		__atomic_store_n(&ep.nr_open, ep.nr_open - 1, __ATOMIC_RELAXED);
		slot_free(s);
		return err;
	}
	/* The number meant another file before. */
	if (ep.slot_of[fd]) {
		uint32_t old = ep.slot_of[fd] - 1;

		ep.slot_of[fd] = 0;
		watch_close(old);
	}
	ep.slot_of[fd] = s + 1;
	*slot = s;
	return 0;
}

/**
 * epoll_fd_register - backend.fd_register
 *
 * Who sleeps hears of the descriptor: epoll tells those who wait of one that is added
 * ready, and whoever leaves the sleepers does so under the lock, after this, and looks
 * whether somebody is left (epoll_idle.c). If none sleeps one is woken, unless one spins,
 * which looks, too, when it has found something.
 */
int epoll_fd_register(int fd, uint32_t *slot)
{
	struct m *m = sec_enter();
	int err = -EBADF;

	rt_lock(&ep.lock);
	if (fd >= 0 && (uint32_t)fd < MAX_SLOTS)
		err = register_locked(fd, slot);
	if (!ep.sleepers)
		wake_locked();
	rt_unlock(&ep.lock);
	sec_leave(m);
	return err;
}

/** epoll_fd_unregister - backend.fd_unregister */
int epoll_fd_unregister(uint32_t slot)
{
	struct m *m = sec_enter();
	bool known;

	rt_lock(&ep.lock);
	known = slot < ep.nr_slots;
	if (known) {
		if (watch_close(slot))
			wake_locked();
		slot_free(slot);
	}
	rt_unlock(&ep.lock);
	sec_leave(m);
	return known ? 0 : -ENOENT;
}

/** poll_events - look for events without sleeping; @to: as watch_events. */
void poll_events(uint32_t to)
{
	struct epoll_event ev[BATCH];
	bool kicked = false;
	int n = epoll_wait(ep.epfd, ev, BATCH, 0);

	if (n <= 0)
		return;
	rt_lock(&ep.lock);
	if (watch_events(ev, n, to, &kicked) > 1 || to == GSCHED_NONE)
		wake_locked();
	/* The kick was meant for one who sleeps. */
	if (kicked && ep.token)
		epoll_kick();
	rt_unlock(&ep.lock);
}

/** epoll_poll - backend.poll */
void epoll_poll(struct m *m, int64_t interval)
{
	if (!__atomic_load_n(&ep.nr_open, __ATOMIC_RELAXED))
		return;
	if (interval) {
		int64_t now = gs_now();

		if (now - __atomic_load_n(&ep.last_poll, __ATOMIC_RELAXED) < interval)
			return;
		__atomic_store_n(&ep.last_poll, now, __ATOMIC_RELAXED);
	}
	poll_events(m->shared->proc);
}

/**
 * watch_is_stale - was a slot's descriptor closed behind our back? Locked.
 *
 * epoll forgets a closed descriptor silently. Adding it again fails with -EEXIST as
 * long as the number means the same file, and does nothing then: a change of the
 * registration would tell once more of readiness that was told, and so hide from
 * every test that a wake-up was lost.
 *
 * The number may be closed just now. That is no mistake of the program's, which TSan would
 * tell of if it saw the call; and it does see glibc's.
 */
bool watch_is_stale(uint32_t slot)
{
	struct epoll_event ev = watch_event(slot);

	return ep.watch[slot].open &&
	       (!syscall(SYS_epoll_ctl, ep.epfd, EPOLL_CTL_ADD, ep.watch[slot].fd, &ev) ||
		errno != EEXIST);
}
