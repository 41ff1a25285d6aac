// SPDX-License-Identifier: GPL-2.0
/*
 * Who gets a P that becomes free.
 *
 * Three kinds of claimants wait for one:
 *
 *   waiting  Ms with a G in hand that have become able to run: held after a block,
 *            or in ACQUIRE; first come, first served
 *   hogs     Ms with a G in hand that were preempted
 *   queues   the Gs in the P's run queue and inbox, in the global queue, and behind
 *            due timers. They need an idle M, which becomes their runner.
 *
 * What has just become able to run goes first (waiting, and of the queues what is
 * fresh: inbox, due timers, global queue), the two in turn. It is what does not
 * compute for long, or it becomes a hog itself. Then come those that compute, hogs
 * and the rest of the queue: who has the rest of a slice goes on with it, else who
 * has waited longest begins a new one. So that a stream of wake-ups starves nobody, one
 * of those that compute goes first if it has waited for longer than a slice; but never
 * two of them in a row, since a hundred may have waited that long.
 */
#include <linux/ktime.h>
#include <linux/mm.h>

#include "gsched.h"
#include "trace.h"

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

/** gs_fresh_work - has something become runnable here? A hint. */
bool gs_fresh_work(struct gs_ctx *ctx, struct gs_p *p, u64 now)
{
	u64 when = READ_ONCE(p->sh->next_when);

	if (READ_ONCE(p->sh->inbox) || (when && when <= now))
		return true;
	/* Anybody may take this, and who looks for work does. */
	return (READ_ONCE(ctx->shared->global_len) || READ_ONCE(ctx->orphans)) &&
	       !READ_ONCE(ctx->shared->nr_spinning);
}

static u64 gs_waited(const struct gs_claim *c, u64 now)
{
	return c->since && now > c->since ? now - c->since : 0;
}

/*
 * Of the first hog and the P's queue, who goes first? Either may be NULL. The rest
 * of a slice comes before a new one.
 */
static const struct gs_claim *gs_older(const struct gs_claim *hog, const struct gs_claim *queue,
				       u64 now)
{
	if (!hog || !queue)
		return hog ? : queue;
	if (!hog->left != !queue->left)
		return hog->left ? hog : queue;
	return gs_waited(queue, now) > gs_waited(hog, now) ? queue : hog;
}

static struct gs_m *gs_take_turns(struct gs_ctx *ctx, struct gs_m *held, struct gs_m *runner)
{
	if (!held || !runner)
		return held ? : runner;
	ctx->queues_turn = !ctx->queues_turn;
	return ctx->queues_turn ? held : runner;
}

/*
 * Does @tired, who computes and waits, go before those that have just become able to run,
 * if there are any (@rested)? To be asked before they take turns: else, with somebody of all
 * three kinds at each pick, one of the two would have all the turns that count.
 */
static bool gs_tired_first(struct gs_ctx *ctx, bool rested, struct gs_m *tired, bool aged)
{
	if (!rested || !tired)
		return tired;
	ctx->aged_turn = aged && !ctx->aged_turn;
	return ctx->aged_turn;
}

static struct gs_m *gs_pick_among(struct gs_ctx *ctx, struct gs_p *p, struct gs_m *idle, u64 now)
{
	struct gs_m *held = list_first_entry_or_null(&ctx->waiting_ms, struct gs_m, list);
	struct gs_m *hog = list_first_entry_or_null(&ctx->hogs, struct gs_m, list);
	struct gs_m *runner = idle && gs_fresh_work(ctx, p, now) ? idle : NULL;
	struct gs_m *tired = NULL;
	const struct gs_claim *older;

	older = gs_older(hog ? &hog->claim : NULL,
			 idle && gs_queue_has_work(p) ? &p->claim : NULL, now);
	if (older)
		tired = older == &p->claim ? idle : hog;
	if (gs_tired_first(ctx, held || runner, tired,
			   older && gs_waited(older, now) >= ctx->slice))
		return tired;
	return gs_take_turns(ctx, held, runner);
}

/**
 * gs_pick_held - the M with a G in hand to which a free P goes
 * @ctx: the context
 * @now: the time
 *
 * Under the lock. Return: the M, or NULL if none waits.
 */
struct gs_m *gs_pick_held(struct gs_ctx *ctx, u64 now)
{
	struct gs_m *held = list_first_entry_or_null(&ctx->waiting_ms, struct gs_m, list);
	struct gs_m *hog = list_first_entry_or_null(&ctx->hogs, struct gs_m, list);

	if (gs_tired_first(ctx, held, hog, hog && gs_waited(&hog->claim, now) >= ctx->slice))
		return hog;
	return held;
}

/**
 * gs_pick - the M to which a P goes that is taken from its owner
 * @ctx: the context
 * @p:   the P
 * @now: the time
 *
 * Under the lock. Return: the M, held or idle, or NULL if nobody has a use for it.
 */
struct gs_m *gs_pick(struct gs_ctx *ctx, struct gs_p *p, u64 now)
{
	return gs_pick_among(ctx, p, list_first_entry_or_null(&ctx->idle_ms, struct gs_m, list),
			     now);
}

/**
 * gs_pick_released - the M to which a P goes that its owner gives up
 * @ctx: the context
 * @p:   the P
 * @now: the time
 *
 * Under the lock, and just taken from the owner. One that makes steps serves the queues by
 * itself. Those that give the P to one another without must not starve them. Return: the M, or
 * NULL if none waits.
 */
struct gs_m *gs_pick_released(struct gs_ctx *ctx, struct gs_p *p, u64 now)
{
	bool waits = ctx->nr_waiting_ms || ctx->nr_hogs;
	bool served = p->runner || READ_ONCE(p->sh->steps) != p->seen_steps;

	if (waits && (gs_waited(&p->claim, now) >= ctx->slice ||
		      (!served && gs_fresh_work(ctx, p, now))))
		return gs_pick(ctx, p, now);
	return gs_pick_held(ctx, now);
}

/* A runner shall look first at what it was woken for, not at the queue. */
static void gs_say_why(struct gs_ctx *ctx, struct gs_p *p)
{
	u64 when = READ_ONCE(p->sh->next_when);
	u32 bits = 0;

	if (when && when <= ktime_get_mono_fast_ns())
		bits |= GSCHED_ATTN_TIMER;
	if (READ_ONCE(p->sh->inbox))
		bits |= GSCHED_ATTN_INBOX;
	if (READ_ONCE(ctx->shared->global_len) || READ_ONCE(ctx->orphans))
		bits |= GSCHED_ATTN_PREEMPT;
	if (bits)
		atomic_or(bits, (atomic_t *)&p->sh->attention);
}

/**
 * gs_p_give - give a P to an M that sleeps
 * @ctx: the context
 * @p:   the P, nobody's
 * @m:   the M; one that is idle becomes a runner: it counts as spinning
 * @wk:  gets the M
 *
 * Under the lock; @wk must hold no M yet.
 */
void gs_p_give(struct gs_ctx *ctx, struct gs_p *p, struct gs_m *m, struct gs_wakeup *wk)
{
	if (m->sleep == GS_IDLE) {
		gs_spinning_inc(ctx);
		m->reason = GSCHED_IDLE_WORK;
		ctx->nr_wakes++;
		trace_gsched_wake(m, p);
	}
	gs_p_grant(ctx, p, m);
	if (p->runner)
		gs_say_why(ctx, p);
	wk->m = m;
}
