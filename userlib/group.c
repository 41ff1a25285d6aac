// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * group.c: goroutines that are waited for, and cancelled, together.
 *
 * The group's lock protects all of it. @count counts members and cancellers; whoever
 * waits for the group may free it as soon as he has seen 0 under the lock, so the last
 * touch of whoever makes it 0 is the lock's release (rt_unlock ends in one exchange).
 *
 * Cancelling takes the members one by one from the list @live to the list @cancelled,
 * so that each is taken once, and those that end meanwhile are in neither. It must not
 * hold the group's lock while it ends a wait, since that takes the lock of what is waited
 * for, which may be another group. So it marks the member busy, which keeps it from
 * ending, lets go of the lock, and then:
 *
 *   canceller                              the member's goroutine
 *   under its lock: cancelled = true,      under its lock: cancelled? end = ..
 *                   look at end            park
 *   end(arg)                               under its lock: end = NULL
 *   busy = 0                               wait until busy is 0
 *
 * Either the goroutine sees that it is cancelled, or the canceller sees how to end the
 * wait; and the goroutine does not leave the wait's memory while he may use it.
 *
 * Lock order: an object's lock -> a member's lock; a group's lock is an object's.
 */
#include <errno.h>

#include "futex.h"
#include "gfree.h"
#include "group.h"
#include "proc.h"
#include "runtime.h"
#include "stack.h"
#include "waitq.h"

#define CANCELLED	1U		/* gs_group.flags */

/* member.busy */
#define BUSY		1U
#define BUSY_AWAITED	2U

#define BUSY_SPINS	100

static struct rt_lock *group_lock(gs_group *grp)
{
	return (struct rt_lock *)&grp->lock;
}

/* ------------------------------------------------------------------------- waits */

static void wait_busy(struct member *mb)
{
	uint32_t busy = BUSY;

	for (int i = 0; i < BUSY_SPINS; i++) {
		if (!__atomic_load_n(&mb->busy, __ATOMIC_ACQUIRE))
			return;
		arch_pause();
	}
	__atomic_compare_exchange_n(&mb->busy, &busy, BUSY_AWAITED, false, __ATOMIC_ACQUIRE,
				    __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&mb->busy, __ATOMIC_ACQUIRE))
		futex_wait(&mb->busy, BUSY_AWAITED, 0);
}

/** member_begin - see cancel_begin(). */
bool member_begin(struct member *mb, void (*end)(struct m *m, void *arg), void *arg)
{
	bool may_wait = true;

	if (mb->shield)
		return true;
	rt_lock(&mb->lock);
	may_wait = !mb->cancelled;
	if (may_wait) {
		mb->end = end;
		mb->arg = arg;
	}
	rt_unlock(&mb->lock);
	return may_wait;
}

/** member_end - see cancel_end(). */
void member_end(struct member *mb)
{
	if (mb->shield)
		return;
	rt_lock(&mb->lock);
	mb->end = NULL;
	rt_unlock(&mb->lock);
	if (unlikely(__atomic_load_n(&mb->busy, __ATOMIC_ACQUIRE)))
		wait_busy(mb);
}

/* ------------------------------------------------------------------------- lists */

static void list_add(void **list, struct member *mb)
{
	struct member **head = (struct member **)list;

	mb->next = *head;
	mb->pprev = head;
	if (mb->next)
		mb->next->pprev = &mb->next;
	*head = mb;
}

static void list_del(struct member *mb)
{
	*mb->pprev = mb->next;
	if (mb->next)
		mb->next->pprev = mb->pprev;
}

/* One less; lock held, is released. */
static void put_unlock(struct m *m, gs_group *grp)
{
	struct waiter *list = NULL;

	if (--grp->count == 0)
		list = waitq_cut(&grp->waiters);
	rt_unlock(group_lock(grp));
	waitq_wake(m, list, 0);
}

/* -------------------------------------------------------------------- cancelling */

/* @mb is busy on the caller's behalf. */
static void cancel_one(struct m *m, struct member *mb)
{
	void (*end)(struct m *m, void *arg);
	void *arg;

	rt_lock(&mb->lock);
	__atomic_store_n(&mb->cancelled, true, __ATOMIC_RELAXED);
	end = mb->end;
	arg = mb->arg;
	rt_unlock(&mb->lock);
	if (end)
		end(m, arg);
	/* The last touch: the member may end. */
	if (__atomic_exchange_n(&mb->busy, 0, __ATOMIC_RELEASE) == BUSY_AWAITED)
		futex_wake(&mb->busy, 1);
}

/* Take the next member from @live. Lock held. Return: it, busy, or NULL. */
static struct member *take_live(gs_group *grp)
{
	struct member *mb = grp->live;

	if (!mb)
		return NULL;
	list_del(mb);
	list_add(&grp->cancelled, mb);
	__atomic_store_n(&mb->busy, BUSY, __ATOMIC_RELAXED);
	return mb;
}

/* With @err, unless the group has one already. */
static void cancel(gs_group *grp, int err)
{
	struct m *m = sec_enter();
	struct member *mb;

	rt_lock(group_lock(grp));
	if (!grp->err)
		grp->err = err;
	if (grp->flags & CANCELLED) {
		rt_unlock(group_lock(grp));
		sec_leave(m);
		return;
	}
	grp->flags |= CANCELLED;
	grp->count++;
	while ((mb = take_live(grp))) {
		rt_unlock(group_lock(grp));
		cancel_one(m, mb);
		/* There may be many: others want the P now and then. */
		sec_leave(m);
		m = sec_enter();
		rt_lock(group_lock(grp));
	}
	put_unlock(m, grp);
	sec_leave(m);
}

void gs_group_cancel(gs_group *grp)
{
	cancel(grp, 0);
}

/* ----------------------------------------------------------------- birth and death */

static void member_main(void *arg)
{
	struct member *mb = arg;
	int err = mb->fn(mb->fn_arg);

	if (err < 0)
		cancel(mb->group, err);
}

/* The member is at the stack's bottom; what runs there begins below. */
static void member_init(struct g *g, gs_group *grp, int (*fn)(void *), void *arg)
{
	struct member *mb = member_place(g);

	*mb = (struct member){ .group = grp, .fn = fn, .fn_arg = arg };
	arch_ctx_init(&g->ctx, mb);
	/* For those who look from outside. */
	__atomic_store_n(&g->member, mb, __ATOMIC_RELEASE);
}

static void member_add(struct m *m, struct g *g, gs_group *grp)
{
	struct member *mb = g->member;

	rt_lock(group_lock(grp));
	grp->count++;
	mb->cancelled = grp->flags & CANCELLED;
	list_add(mb->cancelled ? &grp->cancelled : &grp->live, mb);
	rt_unlock(group_lock(grp));
	ready(m, g);
}

/** member_leave - the calling goroutine ends. In a section. Return: the M. */
struct m *member_leave(struct m *m, struct g *g)
{
	struct member *mb = g->member;
	gs_group *grp = mb->group;

	rt_lock(group_lock(grp));
	list_del(mb);
	rt_unlock(group_lock(grp));
	/* Only a member in a list is made busy. */
	if (unlikely(__atomic_load_n(&mb->busy, __ATOMIC_ACQUIRE)))
		wait_busy(mb);
	__atomic_store_n(&g->member, NULL, __ATOMIC_RELAXED);
	rt_lock(group_lock(grp));
	put_unlock(m, grp);
	return m;
}

int gs_group_go(gs_group *grp, int (*fn)(void *), void *arg)
{
	struct g *g;
	struct m *m;

	if (!runtime_enter())
		return -EINVAL;
	g = g_get();
	if (!g) {
		runtime_leave();
		return -ENOMEM;
	}
	m = sec_enter();
	g_init(m, g, member_main, member_place(g));
	member_init(g, grp, fn, arg);
	member_add(m, g, grp);
	sec_leave(m);
	runtime_leave();
	return 0;
}

/* ------------------------------------------------------------------------- waiting */

/* Return: 0: nobody is left, else how the wait ended. */
static int wait_all(gs_group *grp, int64_t deadline, bool shield)
{
	struct waiter w = { .shield = shield };
	struct m *m = sec_enter();

	rt_lock(group_lock(grp));
	if (grp->count) {
		waitq_add(&grp->waiters, &w);
		m = waitq_park(m, group_lock(grp), &grp->waiters, &w, deadline, WAIT_JOIN);
	} else {
		rt_unlock(group_lock(grp));
	}
	sec_leave(m);
	return w.result;
}

/* All have ended: the group's result, once. */
static int take_result(gs_group *grp)
{
	struct m *m = sec_enter();
	int err;

	rt_lock(group_lock(grp));
	err = grp->err;
	if (!err && grp->flags & CANCELLED)
		err = -ECANCELED;
	grp->err = 0;
	grp->flags = 0;
	rt_unlock(group_lock(grp));
	sec_leave(m);
	return err;
}

int gs_group_wait_until(gs_group *grp, int64_t deadline)
{
	int err = wait_all(grp, deadline, false);

	if (err) {
		cancel(grp, err == -ECANCELED ? 0 : err);
		wait_all(grp, NO_DEADLINE, true);
	}
	return take_result(grp);
}

int gs_group_wait(gs_group *grp)
{
	return gs_group_wait_until(grp, NO_DEADLINE);
}

int gs_cancelled(void)
{
	struct g *g = g_self();

	return g && g->member && __atomic_load_n(&g->member->cancelled, __ATOMIC_RELAXED);
}

int gs_cancel_shield(int on)
{
	struct g *g = g_self();
	int old;

	if (!g || !g->member)
		return 0;
	old = g->member->shield;
	g->member->shield = on;
	return old;
}
