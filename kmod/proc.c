// SPDX-License-Identifier: GPL-2.0
/*
 * Ps: who holds them, who gets them, whom to wake.
 *
 * A P is held by an M (RUN), or idle, or dead (its number is at or above
 * nr_procs). All of it changes under ctx->lock, which keeps:
 *
 *   an M waits in ACQUIRE  =>  no P is idle
 *   p->owner == m          <=> m->p == p
 *
 * LOST WAKE-UPS
 *
 * A submitter pushes work and then looks for an idle P; an M that goes idle
 * publishes that its P is idle and then looks for work. With a full barrier
 * between the two steps on both sides, at least one sees the other:
 *
 *   submitter                          M in IDLE
 *   ---------                          ---------
 *   push                               nr_idle++           (gs_p_set_idle)
 *   full barrier              (A)      full barrier        (B)
 *   if nr_idle && !nr_spinning         if any queue holds work
 *           wake                               take a P back
 *
 * (A) is the successful cmpxchg of gs_inbox_push for the kernel's own pushes and
 * an explicit fence for threads that are no Ms. Owners, who push most often, have
 * none: (B), gs_sync_owners() in park.c, makes their CPUs execute it.
 *
 * Whoever else makes a P idle (RELEASE, the end of an M, SET_PROCS) owes the same
 * look: gs_recheck() does it, and wakes an M.
 *
 * A spinning M stands for the wake-up that is left out: it takes nr_spinning down
 * (a full barrier) before its last look at the queues.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "gsched.h"

/**
 * gs_lock - take the context's lock
 * @ctx: the context
 * @wk:  collects who is to be woken
 *
 * Any context in which interrupts may be disabled; begins an RCU read section, so
 * that an M found under the lock can be woken after it.
 */
void gs_lock(struct gs_ctx *ctx, struct gs_wakeup *wk)
	__acquires(RCU) __acquires(&ctx->lock)
{
	wk->m = NULL;
	wk->spawner = NULL;
	rcu_read_lock();
	raw_spin_lock_irqsave(&ctx->lock, wk->flags);
}

/** gs_unlock - drop the lock, then wake. Where wake_up_process() is allowed. */
void gs_unlock(struct gs_ctx *ctx, struct gs_wakeup *wk)
	__releases(&ctx->lock) __releases(RCU)
{
	raw_spin_unlock_irqrestore(&ctx->lock, wk->flags);
	if (wk->m)
		wake_up_process(wk->m->task);
	if (wk->spawner)
		wake_up_process(wk->spawner);
	rcu_read_unlock();
}

/*
 * Leave a wake-up to the irq_work. Under the lock. An M that is queued already
 * needs no second place: the wake-up to come serves both.
 */
static void gs_wake_later(struct gs_ctx *ctx, struct gs_m *m)
{
	if (test_and_set_bit(0, &m->wake_queued))
		return;
	kref_get(&m->ref);
	llist_add(&m->wake_node, &ctx->wake_list);
}

/**
 * gs_unlock_deferred - drop the lock, and wake from an interrupt
 * @ctx: the context
 * @wk:  whom to wake
 *
 * For the sched_out notifier, which runs under a run queue's lock.
 */
void gs_unlock_deferred(struct gs_ctx *ctx, struct gs_wakeup *wk)
	__releases(&ctx->lock) __releases(RCU)
{
	if (wk->m)
		gs_wake_later(ctx, wk->m);
	raw_spin_unlock_irqrestore(&ctx->lock, wk->flags);
	if (!llist_empty(&ctx->wake_list))
		irq_work_queue(&ctx->irq_work);
	rcu_read_unlock();
}

/** gs_deferred_wakeups - do what gs_unlock_deferred left. Hard interrupt. */
void gs_deferred_wakeups(struct gs_ctx *ctx)
{
	struct gs_m *m, *next;

	llist_for_each_entry_safe(m, next, llist_del_all(&ctx->wake_list), wake_node) {
		/* From here on the node may be queued again; the grant is visible. */
		clear_bit(0, &m->wake_queued);
		smp_mb__after_atomic();	/* the bit before the wake-up's look at the state */
		wake_up_process(m->task);
		gs_m_put(m);
	}
}

/* nr_spinning belongs to user space, which may have put anything there. */
void gs_spinning_inc(struct gs_ctx *ctx)
{
	atomic_inc((atomic_t *)&ctx->shared->nr_spinning);
}

static void gs_p_set_state(struct gs_p *p, u32 state)
{
	WRITE_ONCE(p->state, state);
	WRITE_ONCE(p->sh->state, state);
}

static void gs_set_nr_idle(struct gs_ctx *ctx, u32 n)
{
	WRITE_ONCE(ctx->nr_idle, n);
	WRITE_ONCE(ctx->shared->nr_idle, n);
}

static void gs_p_set_idle(struct gs_ctx *ctx, struct gs_p *p)
{
	gs_p_set_state(p, GSCHED_P_IDLE);
	__set_bit(p->id, ctx->idle_ps);
	gs_set_nr_idle(ctx, ctx->nr_idle + 1);
}

static void gs_p_clear_idle(struct gs_ctx *ctx, struct gs_p *p)
{
	__clear_bit(p->id, ctx->idle_ps);
	gs_set_nr_idle(ctx, ctx->nr_idle - 1);
}

/**
 * gs_p_take_idle - take an idle P
 * @ctx:    the context
 * @prefer: the P wanted most, or GSCHED_NONE
 *
 * Under the lock. Return: a P that is in no state until it is granted, or NULL.
 */
struct gs_p *gs_p_take_idle(struct gs_ctx *ctx, u32 prefer)
{
	struct gs_p *p;
	u32 id = prefer;

	if (id >= ctx->nr_procs || !test_bit(id, ctx->idle_ps))
		id = find_first_bit(ctx->idle_ps, ctx->nr_procs);
	if (id >= ctx->nr_procs)
		return NULL;
	p = ctx->procs[id];
	gs_p_clear_idle(ctx, p);
	return p;
}

/** gs_m_enqueue - put an M on a list of sleepers. Under the lock. */
void gs_m_enqueue(struct gs_ctx *ctx, struct gs_m *m, enum gs_sleep sleep)
{
	m->sleep = sleep;
	if (sleep == GS_IDLE) {
		list_add(&m->list, &ctx->idle_ms);
		ctx->nr_idle_ms++;
	} else {
		list_add_tail(&m->list, &ctx->waiting_ms);
		ctx->nr_waiting_ms++;
	}
}

/** gs_m_dequeue - take an M off its list, if it is on one. Under the lock. */
void gs_m_dequeue(struct gs_ctx *ctx, struct gs_m *m)
{
	if (m->sleep == GS_AWAKE)
		return;
	list_del_init(&m->list);
	if (m->sleep == GS_IDLE)
		ctx->nr_idle_ms--;
	else
		ctx->nr_waiting_ms--;
	m->sleep = GS_AWAKE;
}

/**
 * gs_p_grant - give a P to an M
 * @ctx: the context
 * @p:   the P
 * @m:   the M
 *
 * Under the lock. The P is nobody's and not idle; the M holds none, and sleeps in
 * the kernel or is the caller.
 */
void gs_p_grant(struct gs_ctx *ctx, struct gs_p *p, struct gs_m *m)
{
	gs_m_dequeue(ctx, m);
	WRITE_ONCE(p->owner, m);
	p->grants++;
	gs_p_set_state(p, GSCHED_P_RUN);
	WRITE_ONCE(p->sh->owner, m->id);
	WRITE_ONCE(m->sh->proc, p->id);
	m->last_p = p->id;
	WRITE_ONCE(m->p, p);
}

/**
 * gs_p_release - take an M's P, if it has one, and pass it on
 * @ctx: the context
 * @m:   the M
 * @wk:  gets the M that has the P now
 *
 * Under the lock. The P goes to the M that has waited longest, else it is idle, or
 * dead if its number has gone.
 */
void gs_p_release(struct gs_ctx *ctx, struct gs_m *m, struct gs_wakeup *wk)
{
	struct gs_p *p = m->p;
	struct gs_m *next;

	if (!p)
		return;
	WRITE_ONCE(p->owner, NULL);
	WRITE_ONCE(p->sh->owner, GSCHED_NONE);
	WRITE_ONCE(m->sh->proc, GSCHED_NONE);
	WRITE_ONCE(m->p, NULL);

	if (p->id >= ctx->nr_procs) {
		gs_p_set_state(p, GSCHED_P_DEAD);
		return;
	}
	next = list_first_entry_or_null(&ctx->waiting_ms, struct gs_m, list);
	if (next) {
		gs_p_grant(ctx, p, next);
		wk->m = next;
	} else {
		gs_p_set_idle(ctx, p);
	}
}

/** gs_p_has_work - does a P's page show work? A hint. */
bool gs_p_has_work(struct gs_p *p)
{
	struct gsched_proc *sh = p->sh;

	return READ_ONCE(sh->inbox) || READ_ONCE(sh->runnext) ||
	       (u32)READ_ONCE(sh->head) != READ_ONCE(sh->tail);
}

/**
 * gs_has_work - does any queue of the context show work? A hint.
 * @ctx: the context
 *
 * Dead Ps included: what is left in them can be stolen.
 */
bool gs_has_work(struct gs_ctx *ctx)
{
	u32 i, n = smp_load_acquire(&ctx->nr_alloc);	/* pairs with gs_procs_set */

	if (READ_ONCE(ctx->shared->global_len))
		return true;
	for (i = 0; i < n; i++)
		if (gs_p_has_work(ctx->procs[i]))
			return true;
	return false;
}

/* Under the lock. Return: an M is on its way, or will be asked for. */
static bool gs_spawn(struct gs_ctx *ctx, struct gs_wakeup *wk)
{
	if (ctx->spawn_busy)
		return true;
	if (READ_ONCE(ctx->nr_ms) >= ctx->max_ms)
		return false;
	ctx->spawn_busy = true;
	WRITE_ONCE(ctx->spawn_wanted, true);
	ctx->nr_spawns++;
	wk->spawner = ctx->spawner;
	return true;
}

/**
 * gs_proc - a P by its number
 * @ctx: the context
 * @id:  the number, possibly user space's
 *
 * Any context. Return: the P, or NULL if there is none of that number in use.
 */
struct gs_p *gs_proc(struct gs_ctx *ctx, u32 id)
{
	u32 nr = smp_load_acquire(&ctx->nr_procs);	/* pairs with gs_set_nr_procs() */

	return id < nr ? ctx->procs[array_index_nospec(id, nr)] : NULL;
}

/**
 * gs_wake_one - give an idle P to the M that went idle last
 * @ctx:    the context
 * @prefer: the P wanted most, or GSCHED_NONE
 * @wk:     gets the M, or the spawner
 *
 * Under the lock; @wk must hold no M yet. The M counts as spinning from now on, so
 * that those who come after us wake nobody until it has looked at the queues.
 *
 * Return: false if no P is idle, or no M can be had.
 */
bool gs_wake_one(struct gs_ctx *ctx, u32 prefer, struct gs_wakeup *wk)
{
	struct gs_m *m;

	if (!ctx->nr_idle || ctx->dead)
		return false;
	m = list_first_entry_or_null(&ctx->idle_ms, struct gs_m, list);
	if (!m)
		return gs_spawn(ctx, wk);
	gs_spinning_inc(ctx);
	m->reason = GSCHED_IDLE_WORK;
	gs_p_grant(ctx, gs_p_take_idle(ctx, prefer), m);
	ctx->nr_wakes++;
	wk->m = m;
	return true;
}

int gs_ioc_wake(struct gs_ctx *ctx, void *arg)
{
	struct gsched_wake *w = arg;
	struct gs_wakeup wk;
	bool woken;

	if (w->flags || w->reserved)
		return -EINVAL;
	gs_lock(ctx, &wk);
	woken = gs_wake_one(ctx, GSCHED_NONE, &wk);
	gs_unlock(ctx, &wk);
	return woken ? 0 : -EAGAIN;
}

static struct gs_p *gs_p_alloc(u32 id)
{
	struct gs_p *p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);

	if (!p)
		return NULL;
	p->page = gs_shared_page_alloc();
	if (!p->page) {
		kfree(p);
		return NULL;
	}
	p->sh = page_address(p->page);
	p->id = id;
	p->sh->owner = GSCHED_NONE;
	gs_p_set_state(p, GSCHED_P_DEAD);
	return p;
}

static void gs_p_retire(struct gs_ctx *ctx, struct gs_p *p)
{
	if (p->state == GSCHED_P_IDLE) {
		gs_p_clear_idle(ctx, p);
		gs_p_set_state(p, GSCHED_P_DEAD);
	} else {
		atomic_or(GSCHED_ATTN_RETIRE, (atomic_t *)&p->sh->attention);
	}
}

/* A P that was to retire and has not yet done so simply goes on. */
static void gs_p_revive(struct gs_ctx *ctx, struct gs_p *p)
{
	if (p->state == GSCHED_P_DEAD)
		gs_p_set_idle(ctx, p);
	atomic_andnot(GSCHED_ATTN_RETIRE, (atomic_t *)&p->sh->attention);
}

static void gs_set_nr_procs(struct gs_ctx *ctx, u32 n)
{
	u32 i, old = ctx->nr_procs;

	/* Pairs with gs_proc(): who sees the number sees the Ps below it. */
	smp_store_release(&ctx->nr_procs, n);
	WRITE_ONCE(ctx->shared->nr_procs, n);
	for (i = n; i < old; i++)
		gs_p_retire(ctx, ctx->procs[i]);
	for (i = old; i < n; i++)
		gs_p_revive(ctx, ctx->procs[i]);
}

/*
 * Restore "an M waits => no P is idle". Under the lock, so that no newcomer gets
 * ahead; there may be many to wake, which is left to the irq_work.
 */
static void gs_serve_waiting(struct gs_ctx *ctx)
{
	struct gs_m *m;
	struct gs_p *p;

	while (!list_empty(&ctx->waiting_ms)) {
		m = list_first_entry(&ctx->waiting_ms, struct gs_m, list);
		p = gs_p_take_idle(ctx, m->last_p);
		if (!p)
			return;
		gs_p_grant(ctx, p, m);
		gs_wake_later(ctx, m);
	}
}

/**
 * gs_procs_set - set the number of Ps, making those that are missing
 * @ctx: the context
 * @n:   the number, within its limits
 *
 * Under ctx->admin. Return: 0, or -ENOMEM: the number is as before.
 */
int gs_procs_set(struct gs_ctx *ctx, u32 n)
{
	struct gs_wakeup wk;
	u32 i;

	for (i = ctx->nr_alloc; i < n; i++) {
		ctx->procs[i] = gs_p_alloc(i);
		if (!ctx->procs[i])
			return -ENOMEM;
		/* Whoever sees the number sees the P. */
		smp_store_release(&ctx->nr_alloc, i + 1);
	}
	gs_lock(ctx, &wk);
	gs_set_nr_procs(ctx, n);
	gs_serve_waiting(ctx);
	gs_unlock_deferred(ctx, &wk);
	return 0;
}

void gs_procs_free(struct gs_ctx *ctx)
{
	u32 i;

	for (i = 0; i < ctx->nr_alloc; i++) {
		__free_page(ctx->procs[i]->page);
		kfree(ctx->procs[i]);
	}
	ctx->nr_alloc = 0;
	kvfree(ctx->procs);
	ctx->procs = NULL;
}

int gs_ioc_set_procs(struct gs_ctx *ctx, void *arg)
{
	struct gsched_set_procs *s = arg;
	int err;

	if (s->flags || s->nr_procs < 1 || s->nr_procs > ctx->max_procs)
		return -EINVAL;
	mutex_lock(&ctx->admin);
	err = gs_procs_set(ctx, s->nr_procs);
	if (!err)
		gs_recheck(ctx, ctx->cpus, NULL);
	mutex_unlock(&ctx->admin);
	return err;
}
