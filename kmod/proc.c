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
 * A P is lost by its M in three ways: the M gives it up (gs_p_release), the M blocks
 * and somebody has a use for the P (block.c), or the M is preempted (preempt.c).
 * pick.c says who gets it then.
 */
#include <linux/bitmap.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/minmax.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "gsched.h"
#include "trace.h"

static void gs_p_set_state(struct gs_p *p, u32 state)
{
	WRITE_ONCE(p->state, state);
	WRITE_ONCE(p->sh->state, state);
}

/** gs_p_set_dead - a P whose number has gone is nobody's. Under the lock. */
void gs_p_set_dead(struct gs_p *p)
{
	gs_p_set_state(p, GSCHED_P_DEAD);
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
	/*
	 * Before anything that the P's new owner does in user mode. An M that looks for work
	 * and sees all other Ps idle goes without membarrier(2); see alone() in userlib/proc.h.
	 */
	smp_mb();
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

/**
 * gs_p_take_free - take a P that is idle, or whose owner is blocked
 * @ctx:    the context
 * @prefer: the P wanted most, or GSCHED_NONE
 *
 * Under the lock. Return: a P that is in no state until it is granted, or NULL.
 */
struct gs_p *gs_p_take_free(struct gs_ctx *ctx, u32 prefer)
{
	struct gs_p *p = gs_p_take_idle(ctx, prefer);
	u32 i;

	if (p || !gs_nr_blocked(ctx))
		return p;
	if (prefer < ctx->nr_procs && gs_p_steal(ctx, ctx->procs[prefer]))
		return ctx->procs[prefer];
	for (i = 0; i < ctx->nr_procs; i++)
		if (gs_p_steal(ctx, ctx->procs[i]))
			return ctx->procs[i];
	return NULL;
}

/* Where Ms in state @sleep are listed, and how many they are. */
static struct list_head *gs_sleepers(struct gs_ctx *ctx, enum gs_sleep sleep, u32 **nr)
{
	switch (sleep) {
	case GS_IDLE:
		*nr = &ctx->nr_idle_ms;
		return &ctx->idle_ms;
	case GS_HOG:
		*nr = &ctx->nr_hogs;
		return &ctx->hogs;
	case GS_LOOSE:
		*nr = &ctx->nr_loose;
		return &ctx->loose_ms;
	default:
		*nr = &ctx->nr_waiting_ms;
		return &ctx->waiting_ms;
	}
}

/** gs_m_dequeue - take an M off its list, if it is on one. Under the lock. */
void gs_m_dequeue(struct gs_ctx *ctx, struct gs_m *m)
{
	u32 *nr;

	if (m->sleep == GS_AWAKE)
		return;
	gs_sleepers(ctx, m->sleep, &nr);
	list_del_init(&m->list);
	WRITE_ONCE(*nr, *nr - 1);
	WRITE_ONCE(m->sleep, GS_AWAKE);
	/* Others may have relied on its waking up. */
	gs_tick_by(ctx, m->deadline);
	m->deadline = 0;
}

/**
 * gs_m_enqueue - put an M on a list of sleepers
 * @ctx:   the context
 * @m:     the M; it leaves the list that it is on
 * @sleep: which
 *
 * Under the lock. The last M to go idle is the first to be woken; a hog with the
 * rest of a slice is first; all others queue up.
 */
void gs_m_enqueue(struct gs_ctx *ctx, struct gs_m *m, enum gs_sleep sleep)
{
	struct list_head *list;
	u32 *nr;

	gs_m_dequeue(ctx, m);
	list = gs_sleepers(ctx, sleep, &nr);
	WRITE_ONCE(m->sleep, sleep);
	m->claim.since = ktime_get_mono_fast_ns();
	if (sleep == GS_IDLE || (sleep == GS_HOG && m->claim.left))
		list_add(&m->list, list);
	else
		list_add_tail(&m->list, list);
	WRITE_ONCE(*nr, *nr + 1);
}

/** gs_slice_left - what is left of the owner's slice, ns. Under the lock. */
u64 gs_slice_left(struct gs_p *p, u64 now)
{
	return p->slice_end > now ? p->slice_end - now : 0;
}

/*
 * The P changes hands: since when do the Gs in its queue wait? The slice of an owner
 * that ran them was theirs.
 */
static void gs_queue_claims(struct gs_p *p, u64 now)
{
	if (!gs_queue_has_work(p)) {
		p->claim = (struct gs_claim){ 0 };
	} else if (p->runner || READ_ONCE(p->sh->steps) != p->seen_steps) {
		p->claim.since = now;
		p->claim.left = gs_slice_left(p, now);
	} else if (!p->claim.since) {
		p->claim.since = now;
	}
}

static void gs_attention_clear(struct gs_p *p, u32 bits)
{
	if (READ_ONCE(p->sh->attention) & bits)
		atomic_andnot(bits, (atomic_t *)&p->sh->attention);
}

/**
 * gs_p_grant - give a P to an M
 * @ctx: the context
 * @p:   the P
 * @m:   the M
 *
 * Under the lock. The P is nobody's and not idle; the M holds none, and sleeps in
 * the kernel or is the caller. Its slice begins, or what is left of one goes on: the
 * M's, or the queue's if the M was idle.
 */
void gs_p_grant(struct gs_ctx *ctx, struct gs_p *p, struct gs_m *m)
{
	u64 now = ktime_get_mono_fast_ns();
	struct gs_claim *claim;

	p->runner = m->sleep == GS_IDLE;
	claim = p->runner ? &p->claim : &m->claim;
	gs_m_dequeue(ctx, m);
	p->granted_at = now;
	p->slice_end = now + (claim->left ? : ctx->slice);
	p->share_at = p->slice_end;
	*claim = (struct gs_claim){ 0 };
	p->seen_steps = READ_ONCE(p->sh->steps);
	p->moved_at = now;

	/* What the last owner was asked for, this one need not do. */
	gs_attention_clear(p, GSCHED_ATTN_HELD | GSCHED_ATTN_PREEMPT | GSCHED_ATTN_SLICE);

	WRITE_ONCE(p->owner, m);
	p->grants++;
	gs_p_set_state(p, GSCHED_P_RUN);
	WRITE_ONCE(p->sh->owner, m->id);
	WRITE_ONCE(m->sh->proc, p->id);
	m->last_p = p->id;
	WRITE_ONCE(m->owed, false);
	m->preempted = false;
	WRITE_ONCE(m->p, p);
	if (!p->runner)
		gs_queue_claims(p, now);
}

/**
 * gs_p_begin - the M to which a P was given has woken up
 * @p: the P
 *
 * Under the lock. The slice begins now: on a busy machine the M may have got its CPU
 * long after its P.
 */
void gs_p_begin(struct gs_p *p)
{
	u64 now = ktime_get_mono_fast_ns();

	p->slice_end += now - p->granted_at;
	p->share_at += now - p->granted_at;
	p->granted_at = now;
	p->moved_at = now;
}

/**
 * gs_p_take - take an M's P
 * @ctx: the context
 * @m:   the M, which has one
 *
 * Under the lock. The P is in no state until it is granted or idle.
 */
void gs_p_take(struct gs_ctx *ctx, struct gs_m *m)
{
	struct gs_p *p = m->p;

	gs_queue_claims(p, ktime_get_mono_fast_ns());
	WRITE_ONCE(p->owner, NULL);
	WRITE_ONCE(p->sh->owner, GSCHED_NONE);
	WRITE_ONCE(m->sh->proc, GSCHED_NONE);
	WRITE_ONCE(m->p, NULL);
}

/**
 * gs_p_pass - take an M's P, if it has one, and pass it on
 * @ctx: the context
 * @m:   the M
 * @wk:  gets the M that has the P now
 *
 * Under the lock. If an M waits the P goes to one, or to an idle one for its queue, as
 * gs_pick_released() finds; else it is idle, or dead if its number has gone. Return: the P if
 * nobody has it, else NULL. Nobody minds its timers then.
 */
struct gs_p *gs_p_pass(struct gs_ctx *ctx, struct gs_m *m, struct gs_wakeup *wk)
{
	struct gs_p *p = m->p;
	struct gs_m *next;

	WRITE_ONCE(m->owed, false);
	if (!p)
		return NULL;
	gs_p_take(ctx, m);
	if (p->id >= ctx->nr_procs) {
		gs_p_set_dead(p);
		return p;
	}
	next = gs_pick_released(ctx, p, ktime_get_mono_fast_ns());
	if (!next) {
		gs_p_set_idle(ctx, p);
		return p;
	}
	gs_p_give(ctx, p, next, wk);
	return NULL;
}

/**
 * gs_p_release - gs_p_pass(), for an M that does not stay to mind the P's timers
 * @ctx: the context
 * @m:   the M
 * @wk:  gets the M that has the P now
 */
void gs_p_release(struct gs_ctx *ctx, struct gs_m *m, struct gs_wakeup *wk)
{
	struct gs_p *p = gs_p_pass(ctx, m, wk);

	if (p)
		gs_tick_by(ctx, READ_ONCE(p->sh->next_when));
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
		gs_p_set_dead(p);
	} else if (p->state == GSCHED_P_RUN && !gs_p_bury(ctx, p)) {
		atomic_or(GSCHED_ATTN_RETIRE, (atomic_t *)&p->sh->attention);
		gs_tick_start(ctx);
	}
}

/* A P that was to retire and has not yet done so simply goes on. */
static void gs_p_revive(struct gs_ctx *ctx, struct gs_p *p)
{
	if (p->state == GSCHED_P_DEAD) {
		gs_p_set_idle(ctx, p);
		gs_tick_by(ctx, READ_ONCE(p->sh->next_when));
	}
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

	while ((m = gs_pick_held(ctx, ktime_get_mono_fast_ns()))) {
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

static bool gs_time_valid(u64 ns)
{
	return !ns || (ns >= GSCHED_MIN_TIME && ns <= GSCHED_MAX_TIME);
}

static int gs_times_set(struct gs_ctx *ctx, struct gsched_times *t)
{
	u64 slice = t->slice_ns ? : ctx->slice, min_run = t->min_run_ns ? : ctx->min_run;

	if (min_run > slice)
		return -EINVAL;
	swap(ctx->slice, slice);
	swap(ctx->min_run, min_run);
	if (ctx->tick_at)
		gs_tick_by(ctx, ktime_get_ns() + ctx->min_run);
	t->slice_ns = slice;
	t->min_run_ns = min_run;
	return 0;
}

int gs_ioc_times(struct gs_ctx *ctx, void *arg)
{
	struct gsched_times *t = arg;
	struct gs_wakeup wk;
	int err;

	if (t->flags || t->reserved || !gs_time_valid(t->slice_ns) ||
	    !gs_time_valid(t->min_run_ns))
		return -EINVAL;
	gs_lock(ctx, &wk);
	err = gs_times_set(ctx, t);
	gs_unlock(ctx, &wk);
	return err;
}
