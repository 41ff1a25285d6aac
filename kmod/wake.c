// SPDX-License-Identifier: GPL-2.0
/*
 * The context's lock, and waking after it is dropped.
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
 * look: gs_recheck() does it, and wakes an M. A P whose owner blocks is available
 * too; block.c says who looks there.
 *
 * A spinning M stands for the wake-up that is left out: it takes nr_spinning down
 * (a full barrier) before its last look at the queues.
 */
#include <linux/ktime.h>
#include <linux/sched.h>

#include "delay.h"
#include "gsched.h"
#include "trace.h"

/* Before a spawner that has failed is asked again. */
#define GS_SPAWN_PAUSE_NS	(100 * NSEC_PER_MSEC)

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
	if (wk->m) {
		GS_DELAY(GS_DELAY_GRANT);
		wake_up_process(wk->m->task);
	}
	if (wk->spawner)
		wake_up_process(wk->spawner);
	rcu_read_unlock();
}

/**
 * gs_wake_later - leave a wake-up to the irq_work
 * @ctx: the context
 * @m:   whom to wake
 *
 * Under the lock; gs_unlock_deferred() sets it going. An M that is queued already
 * needs no second place: the wake-up to come serves both.
 */
void gs_wake_later(struct gs_ctx *ctx, struct gs_m *m)
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
 * For the sched_out notifier, which runs under a run queue's lock, and for those
 * who have several to wake.
 */
void gs_unlock_deferred(struct gs_ctx *ctx, struct gs_wakeup *wk)
	__releases(&ctx->lock) __releases(RCU)
{
	bool later = wk->spawner;

	if (wk->m)
		gs_wake_later(ctx, wk->m);
	later |= !llist_empty(&ctx->wake_list);
	raw_spin_unlock_irqrestore(&ctx->lock, wk->flags);
	if (later)
		irq_work_queue(&ctx->irq_work);
	rcu_read_unlock();
}

/** gs_deferred_wakeups - do what gs_unlock_deferred left. Hard interrupt. */
void gs_deferred_wakeups(struct gs_ctx *ctx)
{
	struct gs_m *m, *next;
	struct gs_wakeup wk;

	llist_for_each_entry_safe(m, next, llist_del_all(&ctx->wake_list), wake_node) {
		/* From here on the node may be queued again; the grant is visible. */
		clear_bit(0, &m->wake_queued);
		smp_mb__after_atomic();	/* the bit before the wake-up's look at the state */
		wake_up_process(m->task);
		gs_m_put(m);
	}
	if (READ_ONCE(ctx->spawn_wanted)) {
		gs_lock(ctx, &wk);
		wk.spawner = ctx->spawn_wanted ? ctx->spawner : NULL;
		gs_unlock(ctx, &wk);
	}
}

/**
 * gs_spinning_inc - one M more looks for work
 * @ctx: the context
 *
 * User space writes the word, too, so for us it is a hint: while it is not 0 the tick
 * finds what nobody was woken for.
 */
void gs_spinning_inc(struct gs_ctx *ctx)
{
	atomic_inc((atomic_t *)&ctx->shared->nr_spinning);
}

/**
 * gs_spawner_tell - leave a request for the spawner
 * @ctx:    the context
 * @reason: GSCHED_SPAWN_*
 * @wk:     gets the spawner, if it sleeps
 *
 * Under the lock.
 */
void gs_spawner_tell(struct gs_ctx *ctx, u32 reason, struct gs_wakeup *wk)
{
	ctx->spawn_reason = reason;
	WRITE_ONCE(ctx->spawn_wanted, true);
	wk->spawner = ctx->spawner;
}

/**
 * gs_spawn - ask the spawner for an M
 * @ctx: the context
 * @wk:  gets the spawner
 *
 * Under the lock. Return: an M is on its way, or will be asked for.
 */
bool gs_spawn(struct gs_ctx *ctx, struct gs_wakeup *wk)
{
	if (ctx->spawn_busy)
		return true;
	if (ctx->spawn_after && ktime_get_ns() < ctx->spawn_after) {
		gs_tick_by(ctx, ctx->spawn_after);
		return false;
	}
	if (READ_ONCE(ctx->nr_ms) < ctx->max_ms) {
		WRITE_ONCE(ctx->spawn_busy, true);
		ctx->nr_spawns++;
		gs_spawner_tell(ctx, GSCHED_SPAWN_M, wk);
		return true;
	}
	if (!ctx->cap_told) {
		WRITE_ONCE(ctx->cap_told, true);
		gs_spawner_tell(ctx, GSCHED_SPAWN_CAP, wk);
	}
	return false;
}

/**
 * gs_spawn_spare - the last idle M was just given a P: ask for another in time
 * @ctx: the context
 * @wk:  gets the spawner
 *
 * Under the lock. To make a thread takes longer than most wait for one.
 */
void gs_spawn_spare(struct gs_ctx *ctx, struct gs_wakeup *wk)
{
	if (!ctx->nr_idle_ms && READ_ONCE(ctx->nr_ms) < ctx->max_ms)
		gs_spawn(ctx, wk);
}

/**
 * gs_spawn_failed - the spawner could not make the M that it was asked for
 * @ctx: the context
 *
 * Under the lock. The tick asks again, but not at once.
 */
void gs_spawn_failed(struct gs_ctx *ctx)
{
	WRITE_ONCE(ctx->spawn_busy, false);
	ctx->spawn_after = ktime_get_ns() + GS_SPAWN_PAUSE_NS;
	gs_tick_by(ctx, ctx->spawn_after);
}

/**
 * gs_wake_one - give a P to the M that went idle last
 * @ctx:    the context
 * @prefer: the P wanted most, or GSCHED_NONE
 * @wk:     gets the M, or the spawner
 *
 * The P is an idle one, else one whose owner is blocked. Under the lock; @wk must
 * hold no M yet. The M counts as spinning from now on, so that those who come after
 * us wake nobody until it has looked at the queues.
 *
 * Return: false if no P can be had, or no M.
 */
bool gs_wake_one(struct gs_ctx *ctx, u32 prefer, struct gs_wakeup *wk)
{
	struct gs_p *p;
	struct gs_m *m;

	if (ctx->dead || (!ctx->nr_idle && !gs_nr_blocked(ctx)))
		return false;
	m = list_first_entry_or_null(&ctx->idle_ms, struct gs_m, list);
	if (!m)
		return gs_spawn(ctx, wk);
	p = gs_p_take_free(ctx, prefer);
	if (!p)
		return false;
	gs_p_give(ctx, p, m, wk);
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
	gs_tick_start(ctx);
	gs_unlock(ctx, &wk);
	return woken ? 0 : -EAGAIN;
}
