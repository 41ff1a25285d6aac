// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * fdlock.c: who uses a descriptor, and closing it under its users.
 */
#include <errno.h>

#include "fdtable.h"
#include "runtime.h"
#include "sysio.h"

static const enum wait_reason wait_reason[2] = { WAIT_FD_READ, WAIT_FD_WRITE };

static bool fd_swap(struct gs_fd *e, uint64_t *old, uint64_t new)
{
	return __atomic_compare_exchange_n(&e->state, old, new, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* Nobody uses the descriptor and nobody will: the last one out closes it. */
static int fd_finish(struct gs_fd *e, int fd)
{
	struct waiter *closer;
	struct m *m;
	int ret;

	fd_unwatch_both(e);
	fd_set_facts(e, 0);

	m = sec_enter();
	rt_lock(&e->lock);
	closer = waitq_pop(&e->closers);
	rt_unlock(&e->lock);
	sec_leave(m);

	/* Before close(2): after it the number may be somebody else's at once. */
	__atomic_store_n(&e->state, 0, __ATOMIC_RELEASE);
	ret = sys_close(fd);

	if (closer) {
		closer->result = ret;
		m = sec_enter();
		waiter_wake(m, closer);
		sec_leave(m);
	}
	return ret;
}

/* Drop a reference. @state is what remains: FD_CLOSING alone means nobody is left. */
static void fd_dropped(struct gs_fd *e, int fd, uint64_t state)
{
	if (state == FD_CLOSING)
		fd_finish(e, fd);
}

static uint64_t fd_drop(struct gs_fd *e)
{
	return __atomic_sub_fetch(&e->state, FD_REF, __ATOMIC_SEQ_CST);
}

/* The direction was in use. Queue for it; the lock is handed over in order. */
static int fd_acquire_wait(struct gs_fd *e, int fd, unsigned int dir, int64_t deadline)
{
	struct waiter w = { .result = 0 };
	struct m *m = sec_enter();
	uint64_t old, new;

	rt_lock(&e->lock);
	old = __atomic_load_n(&e->state, __ATOMIC_RELAXED);
	do {
		if (old & FD_CLOSING) {
			rt_unlock(&e->lock);
			sec_leave(m);
			return -EBADF;
		}
		new = old + FD_REF;
		new |= old & FD_LOCK(dir) ? FD_WAIT(dir) : FD_LOCK(dir);
	} while (!fd_swap(e, &old, new));
	if (old & FD_LOCK(dir)) {
		waitq_add(&e->waiters[dir], &w);
		m = waitq_park(m, &e->lock, &e->waiters[dir], &w, deadline, wait_reason[dir]);
	} else {
		rt_unlock(&e->lock);
	}
	sec_leave(m);
	if (w.result)
		fd_dropped(e, fd, fd_drop(e));
	return w.result;
}

/**
 * fd_acquire - begin to use a descriptor in one direction
 * @e:        its entry
 * @fd:       its number
 * @dir:      GSCHED_DIR_*
 * @deadline: how long to queue behind other users of the direction
 *
 * Return: 0, -EBADF: it is being closed, -ETIMEDOUT, -ENOMEM.
 */
int fd_acquire(struct gs_fd *e, int fd, unsigned int dir, int64_t deadline)
{
	uint64_t old = __atomic_load_n(&e->state, __ATOMIC_RELAXED);

	do {
		if (old & FD_CLOSING)
			return -EBADF;
		if (old & FD_LOCK(dir))
			return fd_acquire_wait(e, fd, dir, deadline);
	} while (!fd_swap(e, &old, (old + FD_REF) | FD_LOCK(dir)));
	return 0;
}

/* Hand the direction to who waits for it. */
static void fd_release_wait(struct gs_fd *e, int fd, unsigned int dir)
{
	struct m *m = sec_enter();
	uint64_t old, new;
	struct waiter *w;

	rt_lock(&e->lock);
	w = waitq_pop(&e->waiters[dir]);
	old = __atomic_load_n(&e->state, __ATOMIC_RELAXED);
	do {
		new = old - FD_REF;
		if (!w)
			new &= ~FD_LOCK(dir);
		if (!e->waiters[dir])
			new &= ~FD_WAIT(dir);
	} while (!fd_swap(e, &old, new));
	rt_unlock(&e->lock);
	if (w) {
		w->result = 0;
		waiter_wake(m, w);
	}
	sec_leave(m);
	fd_dropped(e, fd, new);
}

/**
 * fd_release - end what fd_acquire began
 * @e:   the entry
 * @fd:  its number
 * @dir: GSCHED_DIR_*
 *
 * The last user of a descriptor that is being closed closes it.
 */
void fd_release(struct gs_fd *e, int fd, unsigned int dir)
{
	uint64_t old = __atomic_load_n(&e->state, __ATOMIC_RELAXED), new;

	do {
		if (old & FD_WAIT(dir)) {
			fd_release_wait(e, fd, dir);
			return;
		}
		new = (old - FD_REF) & ~FD_LOCK(dir);
	} while (!fd_swap(e, &old, new));
	fd_dropped(e, fd, new);
}

/**
 * fd_poll_begin - begin to use a descriptor in no direction
 * @e: its entry
 * @p: memory for it, @p->wake filled in
 *
 * Whoever finds FD_CLOSING not set here is in the list when gs_close goes through it,
 * which then wakes @p->wake; its user looks at FD_CLOSING of @e each time.
 *
 * Return: 0, -EBADF: it is being closed.
 */
int fd_poll_begin(struct gs_fd *e, struct fd_poller *p)
{
	struct m *m = sec_enter();
	uint64_t old;

	rt_lock(&e->lock);
	old = __atomic_load_n(&e->state, __ATOMIC_RELAXED);
	while (!(old & FD_CLOSING) && !fd_swap(e, &old, old + FD_REF))
		;
	if (!(old & FD_CLOSING)) {
		p->next = e->pollers;
		p->at = &e->pollers;
		if (p->next)
			p->next->at = &p->next;
		e->pollers = p;
	}
	rt_unlock(&e->lock);
	sec_leave(m);
	return old & FD_CLOSING ? -EBADF : 0;
}

/**
 * fd_poll_end - end what fd_poll_begin began
 * @e:  the entry
 * @fd: its number
 * @p:  the same
 */
void fd_poll_end(struct gs_fd *e, int fd, struct fd_poller *p)
{
	struct m *m = sec_enter();

	rt_lock(&e->lock);
	*p->at = p->next;
	if (p->next)
		p->next->at = p->at;
	rt_unlock(&e->lock);
	sec_leave(m);
	fd_dropped(e, fd, fd_drop(e));
}

/* In the lock: it keeps the pollers' memory. */
static void fd_wake_pollers(struct m *m, struct gs_fd *e)
{
	struct fd_poller *p;

	for (p = e->pollers; p; p = p->next)
		fd_wake(m, p->wake);
}

/*
 * Mark the entry, with a reference of the caller's own, and turn away who queues
 * for the direction locks. Return: whether the caller is the one that closes.
 */
static bool fd_begin_close(struct gs_fd *e)
{
	uint64_t old = __atomic_load_n(&e->state, __ATOMIC_RELAXED), new;
	struct waiter *list[2] = { NULL, NULL };
	struct m *m = sec_enter();
	bool mine = true;

	rt_lock(&e->lock);
	do {
		mine = !(old & FD_CLOSING);
		if (!mine)
			break;
		new = (old + FD_REF) | FD_CLOSING;
		new &= ~(FD_WAIT(GSCHED_DIR_READ) | FD_WAIT(GSCHED_DIR_WRITE));
	} while (!fd_swap(e, &old, new));
	if (mine) {
		list[GSCHED_DIR_READ] = waitq_cut(&e->waiters[GSCHED_DIR_READ]);
		list[GSCHED_DIR_WRITE] = waitq_cut(&e->waiters[GSCHED_DIR_WRITE]);
		fd_wake_pollers(m, e);
	}
	rt_unlock(&e->lock);
	waitq_wake(m, list[GSCHED_DIR_READ], -EBADF);
	waitq_wake(m, list[GSCHED_DIR_WRITE], -EBADF);
	if (mine)
		fd_wake(m, e);
	sec_leave(m);
	return mine;
}

/*
 * Drop the closer's reference; if others are left, wait until the last of them has
 * closed the descriptor, so that the caller finds the port free and the peer told.
 *
 * Not if a user may sit in a blocking system call, from which nothing wakes it.
 * Such a user sets FD_MAY_BLOCK and then looks at FD_CLOSING; the caller has
 * set FD_CLOSING and then looks at FD_MAY_BLOCK (both full barriers): one sees the
 * other's.
 */
static int fd_end_close(struct gs_fd *e, int fd)
{
	struct waiter w = { .shield = true };
	struct m *m;

	if (!g_self() || __atomic_load_n(&e->facts, __ATOMIC_SEQ_CST) & FD_MAY_BLOCK) {
		fd_dropped(e, fd, fd_drop(e));
		return 0;
	}
	m = sec_enter();
	rt_lock(&e->lock);
	if (fd_drop(e) == FD_CLOSING) {
		rt_unlock(&e->lock);
		sec_leave(m);
		return fd_finish(e, fd);
	}
	/* fd_finish looks for closers under the lock, after the count fell to 0. */
	waitq_add(&e->closers, &w);
	m = waitq_park(m, &e->lock, &e->closers, &w, NO_DEADLINE, WAIT_FD_WRITE);
	sec_leave(m);
	return w.result;
}

/**
 * fd_close - close a descriptor that has an entry
 * @e:  the entry
 * @fd: its number
 *
 * Return: close(2)'s result, or 0 if a user closes it later, or -EBADF. If that user
 * has not come to it when the runtime ends, fdtable_end() closes it.
 */
int fd_close(struct gs_fd *e, int fd)
{
	uint64_t unused = 0;

	if (fd_swap(e, &unused, FD_CLOSING))
		return fd_finish(e, fd);
	if (!fd_begin_close(e))
		return -EBADF;
	return fd_end_close(e, fd);
}

static void opened(int fd, uint32_t facts)
{
	struct gs_fd *e = fd_get(fd);
	uint64_t unused = 0;

	if (!e || !fd_swap(e, &unused, FD_LOCK(GSCHED_DIR_READ) | FD_LOCK(GSCHED_DIR_WRITE) |
			   2 * FD_REF))
		return;
	fd_unwatch_both(e);
	fd_set_facts(e, facts);
	fd_release(e, fd, GSCHED_DIR_READ);
	fd_release(e, fd, GSCHED_DIR_WRITE);
}

/**
 * fd_opened - the library has just opened a descriptor
 * @fd:    its number
 * @facts: what is known of it
 *
 * The entry may still know a descriptor that foreign code closed. If calls on
 * that are in progress even now, nothing is done: they notice the mark in the slot, and
 * facts are learnt again. Without a runtime they are of no use.
 */
void fd_opened(int fd, uint32_t facts)
{
	if (!runtime_enter())
		return;
	opened(fd, facts);
	runtime_leave();
}
