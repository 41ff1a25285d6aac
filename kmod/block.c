// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-off: an M that blocks outside of sections gives its P to those who have a
 * use for it.
 *
 * LAZY REVOCATION
 *
 * Most blocks are short, and nobody wants the P meanwhile. So the M keeps it, and
 * m->blk says that it can be taken:
 *
 *   NO     -> KEPT    by the M in sched_out, with a P, outside of sections
 *   KEPT   -> TAKEN   by cmpxchg, under the context's lock: whoever takes the P
 *   KEPT   -> NO      by cmpxchg, by the M in sched_in: it still has it
 *   TAKEN  -> NO      by the M in sched_in, under the lock, when it is held
 *
 * shared->nr_blocked counts the Ms in KEPT. Either the M finds a taker, or a taker
 * finds the M:
 *
 *   M in sched_out                     who wants a P (ACQUIRE, IDLE, hold, WAKE)
 *   --------------                     --------------------------------------
 *   blk = KEPT                         put itself on a list / push work (lock)
 *   nr_blocked++ (full barrier)  (C)   full barrier                      (D)
 *   does anybody wait? is there        if nr_blocked
 *   work, and an idle M?                       cmpxchg(blk, KEPT, TAKEN)
 *
 * (D) is gs_nr_blocked(). Every block of every M comes by here, so the usual one is
 * short and calls nothing. An owner of another P that pushes work has no barrier
 * between its push and its load of nr_blocked, and nobody can lend it one from here,
 * under the run queue's lock. If both loads are early, the work waits in a queue
 * whose owner runs, and only the chance to run it at the same time is missed: the
 * tick, which runs as long as this can happen, makes up for it.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "delay.h"
#include "gsched.h"
#include "trace.h"

static inline atomic_t *gs_blocked_count(struct gs_ctx *ctx)
{
	return (atomic_t *)&ctx->shared->nr_blocked;
}

/**
 * gs_nr_blocked - how many Ps could be taken from blocked owners?
 * @ctx: the context
 *
 * A full barrier first: (D). The number stands in shared memory; whoever spoils it
 * waits longer for his own Ps.
 */
u32 gs_nr_blocked(struct gs_ctx *ctx)
{
	u32 nr;

	smp_mb();	/* (D), pairs with (C) in gs_block() */
	nr = atomic_read(gs_blocked_count(ctx));
	GS_DELAY(GS_DELAY_LOOK);
	return nr;
}

static bool gs_blk_take(struct gs_ctx *ctx, struct gs_m *m)
{
	/* Looked at first: who has spoiled nr_blocked makes us come by for nothing. */
	if (READ_ONCE(m->blk) != GS_BLK_KEPT ||
	    cmpxchg(&m->blk, GS_BLK_KEPT, GS_BLK_TAKEN) != GS_BLK_KEPT)
		return false;
	atomic_dec(gs_blocked_count(ctx));
	GS_DELAY(GS_DELAY_STEAL);
	gs_p_take(ctx, m);
	ctx->nr_handoffs++;
	return true;
}

/**
 * gs_p_steal - take a P whose owner is blocked
 * @ctx: the context
 * @p:   the P
 *
 * Under the lock. Return: true: the P is in no state until it is granted.
 */
bool gs_p_steal(struct gs_ctx *ctx, struct gs_p *p)
{
	struct gs_m *owner = p->owner;

	if (!owner || !gs_blk_take(ctx, owner))
		return false;
	trace_gsched_handoff(owner, p);
	return true;
}

/**
 * gs_p_bury - a P that shall retire, and whose owner is blocked, dies at once
 * @ctx: the context
 * @p:   the P
 *
 * Under the lock. Return: it is dead.
 */
bool gs_p_bury(struct gs_ctx *ctx, struct gs_p *p)
{
	if (p->id < ctx->nr_procs || !gs_p_steal(ctx, p))
		return false;
	gs_p_set_dead(p);
	gs_tick_start(ctx);	/* finds what is left in it */
	return true;
}

/* Without the lock. Return: somebody may have a use for the P now. */
static inline bool gs_wanted(struct gs_ctx *ctx, struct gs_p *p)
{
	u64 when;

	if (READ_ONCE(ctx->nr_waiting_ms) || READ_ONCE(ctx->nr_hogs) ||
	    p->id >= READ_ONCE(ctx->nr_procs))
		return true;
	if (gs_p_has_work(p) || READ_ONCE(ctx->shared->global_len))
		return READ_ONCE(ctx->nr_idle_ms) || gs_may_spawn(ctx);
	when = READ_ONCE(p->sh->next_when);
	return when && when <= ktime_get_mono_fast_ns();
}

/* Some other P has an owner that may push work which this M's P could run. */
static bool gs_others_run(struct gs_ctx *ctx)
{
	return READ_ONCE(ctx->nr_procs) - READ_ONCE(ctx->nr_idle) > 1;
}

/* Nobody takes the P @now: the tick sees what comes after that. */
static void gs_watch(struct gs_ctx *ctx, struct gs_p *p, u64 now)
{
	u64 when = READ_ONCE(p->sh->next_when);

	if (gs_others_run(ctx))
		gs_tick_start(ctx);
	else if (when > now)
		gs_tick_by(ctx, when);
}

/*
 * Somebody may have taken this P already, for the sake of another blocked M that is
 * counted; then that one's is free. The last idle M is replaced before it is missed.
 */
static bool gs_handoff_to(struct gs_ctx *ctx, struct gs_p *p, struct gs_m *next,
			  struct gs_wakeup *wk)
{
	bool runner = next->sleep == GS_IDLE;

	if (!gs_p_steal(ctx, p)) {
		p = runner ? NULL : gs_p_take_free(ctx, GSCHED_NONE);
		if (!p)
			return false;
	}
	gs_p_give(ctx, p, next, wk);
	if (runner)
		gs_spawn_spare(ctx, wk);
	return true;
}

/*
 * Somebody may want the P, or nobody watches it. One time is used for both: a timer that
 * becomes due after it was not wanted must be watched.
 */
static noinline void gs_handoff(struct gs_ctx *ctx, struct gs_p *p)
{
	u64 now = ktime_get_mono_fast_ns();
	struct gs_wakeup wk;
	struct gs_m *next;

	gs_lock(ctx, &wk);
	if (!gs_p_bury(ctx, p)) {
		next = gs_pick(ctx, p, now);
		if (!next)
			gs_watch(ctx, p, now);
		else if (!gs_handoff_to(ctx, p, next, &wk))
			gs_tick_start(ctx);	/* who has taken it may leave that be */
		if (!next && (gs_p_has_work(p) || gs_fresh_work(ctx, p, now)))
			gs_spawn(ctx, &wk);
	}
	gs_unlock_deferred(ctx, &wk);
}

/* Does the tick look at the P in time? Others may push work for it, or it has a timer. */
static inline bool gs_watched(struct gs_ctx *ctx, struct gs_p *p)
{
	u64 when;

	GS_DELAY(GS_DELAY_WATCH);
	if (READ_ONCE(ctx->tick_on) || READ_ONCE(ctx->tick_turn))
		return true;
	if (gs_others_run(ctx))
		return false;
	when = READ_ONCE(p->sh->next_when);
	return !when || READ_ONCE(ctx->tick_at) - 1 < when;	/* 0: never */
}

/**
 * gs_block - the calling M blocks, and has a P
 * @m: the M
 *
 * In the sched_out notifier: under the run queue's lock.
 */
void gs_block(struct gs_m *m)
{
	struct gs_ctx *ctx = m->ctx;
	struct gs_p *p = m->p;

	if (READ_ONCE(m->parked) || READ_ONCE(m->sh->in_sched) ||
	    !(ctx->features & GSCHED_FEAT_HANDOFF))
		return;
	trace_gsched_block(m, p);
	WRITE_ONCE(m->blk, GS_BLK_KEPT);
	GS_DELAY(GS_DELAY_COUNT);
	/* (C): a full barrier before and after; pairs with (D) in gs_nr_blocked() */
	atomic_inc_return(gs_blocked_count(ctx));
	GS_DELAY(GS_DELAY_BLOCK);
	if (unlikely(gs_wanted(ctx, p) || !gs_watched(ctx, p)))
		gs_handoff(ctx, p);
}

/* Its P was taken. Who took it may still be at it: the lock waits for that. */
static noinline void gs_unblock_late(struct gs_m *m)
{
	struct gs_ctx *ctx = m->ctx;
	struct gs_wakeup wk;

	smp_mb();	/* as a cmpxchg that succeeds, see gs_m_sched_in() */
	gs_lock(ctx, &wk);
	WRITE_ONCE(m->blk, GS_BLK_NO);
	WRITE_ONCE(m->owed, true);
	m->preempted = false;
	m->claim.left = 0;
	m->lost_at = ktime_get_mono_fast_ns();
	gs_unlock(ctx, &wk);
}

/**
 * gs_unblock - the calling M was blocked with a P and runs again
 * @m: the M
 *
 * In the sched_in notifier. A full barrier.
 */
void gs_unblock(struct gs_m *m)
{
	GS_DELAY(GS_DELAY_UNBLOCK);
	if (likely(cmpxchg(&m->blk, GS_BLK_KEPT, GS_BLK_NO) == GS_BLK_KEPT))
		atomic_dec(gs_blocked_count(m->ctx));
	else
		gs_unblock_late(m);
	trace_gsched_unblock(m, READ_ONCE(m->p));
}
