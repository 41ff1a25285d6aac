// SPDX-License-Identifier: GPL-2.0
/*
 * Preemption: a P is taken from an M that runs.
 *
 * Only on the M's own CPU, in an interrupt that finds the M current or in its
 * sched_in: there a plain load tells whether it is in a section. If it is, the P
 * stays, and a bit in the P's attention asks the section's end for it. If not, the M
 * may be anywhere in its G, in libc with a lock held, or in the kernel; it keeps the
 * G, and goes on when it has a P again.
 *
 * The tick decides (gs_preempt_why) and sends an interrupt to the M's CPU (gs_kick),
 * which decides anew: meanwhile the M may have made a step, or the P been lost.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "delay.h"
#include "gsched.h"
#include "trace.h"

/* How long the owner has made no step. */
static u64 gs_still(struct gs_p *p, u64 now)
{
	if (READ_ONCE(p->sh->steps) != p->seen_steps || now < p->moved_at)
		return 0;
	return now - p->moved_at;
}

/*
 * The tick comes once in a minimum run, and the clock that it reads is not quite the
 * one that it was programmed by.
 */
static bool gs_has_run(struct gs_ctx *ctx, u64 still)
{
	return still + ctx->min_run / 8 >= ctx->min_run;
}

/**
 * gs_preempt_why - should a running owner lose its P?
 * @ctx: the context
 * @p:   the P
 * @now: the time
 *
 * Under the lock.
 */
enum gs_why gs_preempt_why(struct gs_ctx *ctx, struct gs_p *p, u64 now)
{
	u64 still = gs_still(p, now);

	if (!(ctx->features & GSCHED_FEAT_PREEMPT))
		return GS_KEEP;
	if (p->id >= ctx->nr_procs)
		return GS_PREEMPT_RETIRE;
	if (!gs_has_run(ctx, still))
		return GS_KEEP;
	if (ctx->nr_waiting_ms || (ctx->nr_idle_ms && gs_fresh_work(ctx, p, now)))
		return GS_PREEMPT_WAKE;
	if (ctx->nr_hogs && now >= p->share_at)
		return now >= p->slice_end ? GS_PREEMPT_SLICE : GS_PREEMPT_WAKE;
	if (ctx->nr_idle_ms && gs_queue_has_work(p) && still >= ctx->slice)
		return GS_PREEMPT_SLICE;
	return GS_KEEP;
}

/* The owner is in a section: its end sees to it. */
static void gs_defer(struct gs_ctx *ctx, struct gs_p *p, enum gs_why why)
{
	u32 bits = GSCHED_ATTN_PREEMPT;

	if (why == GS_PREEMPT_SLICE)
		bits |= GSCHED_ATTN_SLICE;
	if (ctx->nr_waiting_ms || ctx->nr_hogs)
		bits |= GSCHED_ATTN_HELD;
	atomic_or(bits, (atomic_t *)&p->sh->attention);
	ctx->nr_deferred++;
}

/* Return: the P was taken. */
static bool gs_preempt_take(struct gs_m *m, struct gs_p *p, enum gs_why why, u64 now,
			    struct gs_wakeup *wk)
{
	struct gs_ctx *ctx = m->ctx;
	struct gs_m *next = gs_pick(ctx, p, now);

	if (why == GS_PREEMPT_RETIRE) {
		gs_p_release(ctx, m, wk);
	} else if (next) {
		gs_p_take(ctx, m);
		gs_p_give(ctx, p, next, wk);
		if (p->runner)
			gs_spawn_spare(ctx, wk);
		/* A runner that came for a timer must not stay for all that is queued. */
		if (why == GS_PREEMPT_WAKE && p->runner)
			p->share_at = now + ctx->min_run;
	} else {
		return false;
	}
	return true;
}

static bool gs_preempt_locked(struct gs_m *m, struct gs_wakeup *wk)
{
	struct gs_ctx *ctx = m->ctx;
	u64 now = ktime_get_mono_fast_ns(), left;
	struct gs_p *p = m->p;
	enum gs_why why;

	if (!p)
		return m->owed;
	why = gs_preempt_why(ctx, p, now);
	if (why == GS_KEEP)
		return false;
	if (READ_ONCE(m->sh->in_sched)) {
		gs_defer(ctx, p, why);
		return false;
	}
	left = gs_slice_left(p, now);
	if (!gs_preempt_take(m, p, why, now, wk))
		return false;
	trace_gsched_preempt(m, p, why);
	ctx->nr_preempts++;
	m->claim.left = why == GS_PREEMPT_WAKE ? left : 0;
	WRITE_ONCE(m->owed, true);
	m->preempted = true;
	m->lost_at = now;
	return true;
}

/**
 * gs_section_resumes - an owner was switched out in a section, and goes on
 * @m: the M
 *
 * The sched_in notifier. The tick does not wait for an owner that sleeps in a section;
 * the same G may now compute on without ever looking whether the tick runs.
 */
void gs_section_resumes(struct gs_m *m)
{
	struct gs_ctx *ctx = m->ctx;
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	if (m->p && (gs_p_has_work(m->p) || READ_ONCE(m->p->sh->next_when)))
		gs_tick_start(ctx);
	gs_unlock(ctx, &wk);
}

/**
 * gs_preempt - take the calling M's P if others should have it
 * @m: the M
 *
 * The sched_in notifier, or a hard interrupt on the M's CPU. An M that runs without a
 * P that it is owed is held, too.
 */
void gs_preempt(struct gs_m *m)
{
	struct gs_wakeup wk;
	bool hold;

	GS_DELAY(GS_DELAY_KICK);
	/* In one of our own waits it is not on its way to user mode. */
	if (READ_ONCE(m->parked))
		return;
	gs_lock(m->ctx, &wk);
	hold = gs_preempt_locked(m, &wk);
	gs_unlock(m->ctx, &wk);
	if (hold)
		gs_hold_arm(m);
}

static void gs_kicked(void *info)
{
	struct gs_m *m = info;

	clear_bit(0, &m->kick_busy);
	if (current == m->task)
		gs_preempt(m);
	else
		WRITE_ONCE(m->kicked, true);
	gs_m_put(m);
}

/**
 * gs_kick_begin - make ready to send an M's CPU an interrupt
 * @m: the M
 *
 * Under the lock, which keeps the M there. Return: false: one is on its way.
 */
bool gs_kick_begin(struct gs_m *m)
{
	if (test_and_set_bit(0, &m->kick_busy))
		return false;
	kref_get(&m->ref);
	return true;
}

/**
 * gs_kick - send it
 * @m: the M for which gs_kick_begin() has returned true
 *
 * Without the lock: on the own CPU it runs at once. Interrupts off. An M that is not
 * on a CPU looks when it is switched in; if it just is, the next tick comes by.
 */
void gs_kick(struct gs_m *m)
{
	if (READ_ONCE(m->task->on_cpu) &&
	    !smp_call_function_single_async(task_cpu(m->task), &m->kick_csd))
		return;
	clear_bit(0, &m->kick_busy);
	WRITE_ONCE(m->kicked, true);
	gs_m_put(m);
}

/** gs_preempt_init_m - make a new M ready to be preempted. */
void gs_preempt_init_m(struct gs_m *m)
{
	INIT_CSD(&m->kick_csd, gs_kicked, m);
}
