// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * fdwait.c: waiting until a descriptor is ready.
 *
 * A call on a descriptor is a loop of fd_prepare, the attempt, and, if that says
 * EAGAIN, fd_park:
 *
 *   the goroutine                          the kernel (node_ready likewise)
 *
 *   reset: exchange word with NIL    [A]   the file becomes ready
 *   attempt: looks at the file             exchange word with READY          [B]
 *   EAGAIN:                                if a cookie was there: deliver it
 *   commit: NIL -> cookie            [C]
 *
 * If [B] comes before [A], the attempt comes after the event and sees it ([A] is a full
 * barrier, and so is the kernel's wake-up path up to [B]). If [B] comes after [A]
 * and before [C], [C] fails and the loop goes round. After [C], [B] finds the
 * cookie. A word that is NIL already needs no exchange: nothing is erased, so
 * there is no [B] that the attempt would have to come after.
 *
 * Four may take a cookie out of the word: the kernel, the deadline's timer, who cancels
 * the G, and gs_close. All do it by the same exchange with READY, so exactly one finds it and
 * makes the G ready. None says why: the G goes round the loop, where a closing entry is
 * -EBADF, a successful attempt is a success however late, and EAGAIN after the
 * deadline is -ETIMEDOUT, after cancelling -ECANCELED. A READY too many costs one attempt.
 *
 * The cookie is the G, the same in each of its waits; so could a waker of an
 * earlier wait take the cookie of a later one? It would make the G ready, once, and
 * the G would look and wait again: harmless, and also excluded: kernel wakers act on
 * the file's state, not on an old word; timer_stop waits for a timer that runs, and
 * cancel_end for a canceller; and gs_close's effect is permanent.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "fdtable.h"
#include "group.h"
#include "sysio.h"

static const enum wait_reason wait_reason[2] = { WAIT_FD_READ, WAIT_FD_WRITE };

/* What the calls want to know of a descriptor that they wait for. */
static void fd_look(struct gs_fd *e, int fd)
{
	uint32_t facts = FD_LOOKED;
	int protocol;

	if (sys_nonblock(fd))
		facts |= FD_NONBLOCK;
	if (!(fd_facts(e) & FD_OTHER)) {
		protocol = sys_protocol(fd);
		facts |= protocol < 0 ? FD_OTHER : FD_SOCKET;
		if (protocol == IPPROTO_TCP)
			facts |= FD_TCP;
	}
	fd_learn(e, facts);
}

/**
 * fd_watch - register a descriptor for one direction
 * @e:   the entry, direction @dir locked by the caller
 * @fd:  the number
 * @dir: GSCHED_DIR_*
 *
 * Both directions get the same slot. The word says afterwards whether the
 * descriptor is ready, so an attempt that failed need not be made again.
 *
 * gs_close may have looked for slots before this one was stored, and woken nobody:
 * hence the look at FD_CLOSING after the store (it sets FD_CLOSING before it looks
 * for slots; all of it sequentially consistent).
 *
 * Return: 0, -EINTR: the number got another meaning meanwhile, begin anew, or another
 * -errno.
 */
int fd_watch(struct gs_fd *e, int fd, unsigned int dir)
{
	uint32_t slot;
	int ret;

	gs_mutex_lock(&e->reg);
	ret = rt.backend->fd_register(fd, &slot);
	if (ret == -EEXIST)
		ret = 0;
	if (!ret) {
		if (dir == GSCHED_DIR_READ) {
			e->drained = false;
			e->verify = true;
		}
		__atomic_store_n(&e->slot[dir], slot + 1, __ATOMIC_SEQ_CST);
	}
	gs_mutex_unlock(&e->reg);
	/* Of what has been registered, or later: if that is another file, its slot says so. */
	if (!(fd_facts(e) & FD_LOOKED))
		fd_look(e, fd);
	if (ret == -ESHUTDOWN) {
		call_begin();
		fatal("the module's context is gone: was a copy of its descriptor closed?");
	}
	if (!ret && fd_closing(e))
		return -EBADF;
	if (ret == -EAGAIN) {
		fd_forget(e);
		return -EINTR;
	}
	return ret;
}

/* The slot watches nothing any more. The last direction that used it returns it. */
static void fd_unwatch(struct gs_fd *e, unsigned int dir)
{
	uint32_t slot;

	gs_mutex_lock(&e->reg);
	slot = e->slot[dir];
	__atomic_store_n(&e->slot[dir], 0, __ATOMIC_RELAXED);
	if (slot != e->slot[!dir])
		rt.backend->fd_unregister(slot - 1);
	gs_mutex_unlock(&e->reg);
	fd_forget(e);
}

/**
 * fd_unwatch_both - let go of the slots; the caller is the only user
 * @e: the entry
 */
void fd_unwatch_both(struct gs_fd *e)
{
	uint32_t rd = e->slot[GSCHED_DIR_READ], wr = e->slot[GSCHED_DIR_WRITE];

	__atomic_store_n(&e->slot[GSCHED_DIR_READ], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&e->slot[GSCHED_DIR_WRITE], 0, __ATOMIC_RELAXED);
	if (rd)
		rt.backend->fd_unregister(rd - 1);
	if (wr && wr != rd)
		rt.backend->fd_unregister(wr - 1);
}

/*
 * GSCHED_EV_VERIFY becomes the entry's @verify, which the next EAGAIN ends. The bit is
 * cleared before the attempt: cleared after it, it could be that of an event that
 * came after the attempt.
 */
static void verify_take(struct gs_fd *e, struct gsched_node *node)
{
	if (!(__atomic_load_n(&node->events, __ATOMIC_RELAXED) & GSCHED_EV_VERIFY))
		return;
	__atomic_fetch_and(&node->events, ~GSCHED_EV_VERIFY, __ATOMIC_SEQ_CST);
	e->verify = true;
}

/**
 * fd_prepare - before each attempt
 * @e:   the entry, direction @dir locked by the caller
 * @dir: GSCHED_DIR_*
 *
 * Resets the word, and then looks whether the slot has been closed (the number was
 * closed behind our back) or the entry is being closed. The kernel sets
 * GSCHED_EV_CLOSED, and gs_close FD_CLOSING, before it exchanges the word with READY
 * for the last time; so either this reset came first and the READY stays, or these
 * looks, which come after the reset, see it.
 *
 * Return: 0, or -EBADF.
 */
int fd_prepare(struct gs_fd *e, unsigned int dir)
{
	struct gsched_node *node = fd_node(e, dir);

	if (node) {
		if (dir == GSCHED_DIR_READ)
			verify_take(e, node);
		if (__atomic_load_n(&node->word, __ATOMIC_ACQUIRE) != GSCHED_WORD_NIL)
			__atomic_exchange_n(&node->word, GSCHED_WORD_NIL, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&node->events, __ATOMIC_ACQUIRE) & GSCHED_EV_CLOSED)
			fd_unwatch(e, dir);
	}
	return fd_closing(e) ? -EBADF : 0;
}

/* On the scheduler's stack. After the swap the G and @arg belong to the waker. */
static bool fd_commit(struct g *g, void *arg)
{
	struct gsched_node *node = arg;
	__u64 nil = GSCHED_WORD_NIL;

	return __atomic_compare_exchange_n(&node->word, &nil, (uintptr_t)g, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/*
 * The deadline. It may come before the commit: then the READY that it leaves makes
 * the commit fail.
 */
static void fd_expire(struct m *m, struct timer *t)
{
	node_ready(m, (uint32_t)(uintptr_t)t->arg);
}

/* Cancelled. As the deadline; the G will not get past node_park() any more. */
static void fd_cancel(struct m *m, void *arg)
{
	node_ready(m, (uint32_t)(uintptr_t)arg);
}

static int node_park(uint32_t node_nr, enum wait_reason why, int64_t deadline)
{
	struct gsched_node *node = &rt.slots[node_nr / 2].node[node_nr % 2];
	struct m *m = sec_enter();
	struct g *g = m_g(m);
	struct timer timer;
	int ret = 0;

	if (!cancel_begin(g, fd_cancel, (void *)(uintptr_t)node_nr)) {
		sec_leave(m);
		return -ECANCELED;
	}
	__atomic_store_n(&node->proc, g_proc_hint(m), __ATOMIC_RELAXED);
	if (deadline == NO_DEADLINE) {
		m = park(m, fd_commit, node, why);
		goto out_leave;
	}
	memset(&timer, 0, sizeof(timer));
	timer.when = deadline;
	timer.fn = fd_expire;
	timer.arg = (void *)(uintptr_t)node_nr;
	ret = timer_start(m, &timer);
	if (ret)
		goto out_leave;
	m = park(m, fd_commit, node, why);
	timer_stop(m, &timer);
out_leave:
	cancel_end(g);
	sec_leave(m);
	return ret;
}

/**
 * fd_park - wait until it is worth trying again
 * @e:        the entry, direction @dir locked by the caller
 * @fd:       the number
 * @dir:      GSCHED_DIR_*
 * @deadline: when to come back in any case
 *
 * The first wait registers the descriptor.
 *
 * Return: 0, or -errno if it cannot be waited for.
 */
int fd_park(struct gs_fd *e, int fd, unsigned int dir, int64_t deadline)
{
	int ret;

	if (!e->slot[dir]) {
		ret = fd_watch(e, fd, dir);
		if (ret)
			return ret == -EINTR ? 0 : ret;
	}
	return node_park((e->slot[dir] - 1) * 2 + dir, wait_reason[dir], deadline);
}

/**
 * fd_wake - make the users of a closing descriptor look at it
 * @m: the M in a section, or NULL
 * @e: the entry, referenced
 *
 * A user that changes its slot at this moment may have returned the slot that is
 * found here; then this wakes a stranger, who looks and waits again.
 */
void fd_wake(struct m *m, struct gs_fd *e)
{
	uint32_t slot;
	unsigned int dir;

	for (dir = GSCHED_DIR_READ; dir <= GSCHED_DIR_WRITE; dir++) {
		slot = __atomic_load_n(&e->slot[dir], __ATOMIC_SEQ_CST);
		if (slot)
			node_ready(m, (slot - 1) * 2 + dir);
	}
}
