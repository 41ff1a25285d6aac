// SPDX-License-Identifier: GPL-2.0
/*
 * The tick: a timer interrupt that looks at the context's Ps, while there is a
 * reason to.
 *
 * It is there for what nobody else sees in time: a G that computes while others have
 * become able to run, work and timers behind an owner that is blocked, Ms that are
 * held and must stop. It looks every minimum run while it sees such a thing; if only
 * timers are awaited, when the first is due; after some looks that saw nothing it
 * ends.
 *
 *   tick_on    it looks every minimum run
 *   tick_at    what the timer is set to, 0: it is not, or the tick is looking
 *   tick_said  it looks by then, unless its user's share of the CPU is used up; 0: never
 *
 * All under the context's lock. shared->tick_on and tick_next mirror the first and the
 * last for those who push work or resume a G: they call WAKE if the tick sleeps for
 * too long. They have no barrier, so before the tick looks less often it says so, and
 * looks once more:
 *
 *   owner                              tick
 *   -----                              ----
 *   push, or set next_when             tick_on = 0, tick_next = later
 *   load tick_on, tick_next            a minimum run passes
 *                                      looks once more, and only then sleeps as said
 *
 * A store that is not visible a minimum run after it was made does not exist. The
 * kernel's own callers read the private copies, which change at the same time.
 *
 * A user can scribble over what the tick reads. That changes what it does with his
 * Ps, but not how long a look takes: once over the Ps, and at most one search for a P to
 * give. All that his ticks may take of a CPU's time, in whatever many contexts, is his
 * share of it (user.c). If that is used up, a tick that has fired gets its turn later
 * instead, at which it looks for certain; until then nothing can make it fire. A turn that
 * is less than GS_TICK_BURST away is taken at once: several contexts' ticks may well come
 * together. A look is expected to cost what the last one has, and more if there are many
 * Ps, as each of many contexts may be new; it is paid when it is over.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "compat.h"
#include "delay.h"
#include "gsched.h"
#include "trace.h"

/* Looks in a row that see nothing before the tick says that it is off. */
#define GS_EMPTY_LOOKS	8
/* Ps that are looked at under the lock, if there is nobody to be woken. */
#define GS_LOOK_BATCH	8
/* Ms per look that are asked whether they must stop. */
#define GS_STOP_BATCH	256
/* How far a user's share may be used up in advance, ns. */
#define GS_TICK_BURST	NSEC_PER_MSEC
/* What comes with a look, ns: the interrupt, and another one that gave it its turn. */
#define GS_TICK_ENTRY	2000
/*
 * What a look takes at most, ns, and each of its Ps: the machine itself may be a guest
 * that was not run meanwhile.
 */
#define GS_TICK_COST	(100 * NSEC_PER_USEC)
#define GS_TICK_P_COST	(8 * NSEC_PER_USEC)
/* What it is expected to take at least for each P, ns, before anybody knows. */
#define GS_TICK_P_GUESS	200

/**
 * struct gs_look - what one look at all Ps has seen
 * @now:	its time
 * @next:	when the first timer is due that is not due yet, 0: there is none
 * @busy:	there is something to look at again in a minimum run
 * @searched:	a P was searched for those that wait
 * @kicks:	how many more owners may be asked for their Ps: no more than Ms wait
 * @orphans:	a dead P has work: anybody may run it
 * @waiting:	held Ms that still need a P asked for them
 * @hogs:	the same for hogs
 */
struct gs_look {
	u64 now;
	u64 next;
	bool busy;
	bool searched;
	bool orphans;
	u32 kicks;
	u32 waiting;
	u32 hogs;
};

/* ------------------------------------------------------------ start and stop */

static void gs_tick_set_on(struct gs_ctx *ctx, bool on)
{
	WRITE_ONCE(ctx->tick_on, on);
	WRITE_ONCE(ctx->shared->tick_on, on);
}

static void gs_tick_say(struct gs_ctx *ctx, u64 when)
{
	ctx->tick_said = when;
	WRITE_ONCE(ctx->shared->tick_next, when);
}

static void gs_tick_arm(struct gs_ctx *ctx, u64 when)
{
	WRITE_ONCE(ctx->tick_at, when);
	hrtimer_start(&ctx->tick, ns_to_ktime(min_t(u64, when, KTIME_MAX)),
		      HRTIMER_MODE_ABS_PINNED_HARD);
}

/* May be called while the tick is looking: the timer then fires after that. */
static void gs_tick_set(struct gs_ctx *ctx, u64 when)
{
	if (ctx->dead || !when || ctx->tick_turn)
		return;
	/* An eighth: those who ask for it all the time shall not make it come all the time. */
	when = max(when, ctx->tick_last + ctx->min_run / 8);
	if (!ctx->tick_at || when < ctx->tick_at)
		gs_tick_arm(ctx, when);
}

static bool gs_later(u64 a, u64 b)
{
	return a - 1 > b - 1;		/* 0: never */
}

/**
 * gs_tick_by - the tick shall look at a time at the latest
 * @ctx:  the context
 * @when: the time, ns; 0: never
 *
 * Under the lock. A time that has passed is now: a timer that has fired, though its
 * look has not begun, is not set back.
 */
void gs_tick_by(struct gs_ctx *ctx, u64 when)
{
	if (!when)
		return;
	when = max_t(u64, when, ktime_get_ns());
	gs_tick_set(ctx, when);
	if (gs_later(ctx->tick_said, when))
		gs_tick_say(ctx, when);
}

/**
 * gs_tick_start - the tick shall look every minimum run, as long as it sees a reason
 * @ctx: the context
 *
 * Under the lock.
 */
void gs_tick_start(struct gs_ctx *ctx)
{
	ctx->tick_empty = 0;
	if (ctx->dead || ctx->tick_on)
		return;
	gs_tick_set_on(ctx, true);
	gs_tick_by(ctx, ktime_get_ns() + ctx->min_run);
}

/* ------------------------------------------------------------------- one look */

static void gs_look_timer(struct gs_look *look, u64 when)
{
	if (when > look->now && (!look->next || when < look->next))
		look->next = when;
}

static void gs_set_attention(struct gs_p *p, u32 bits)
{
	if (~READ_ONCE(p->sh->attention) & bits)
		atomic_or(bits, (atomic_t *)&p->sh->attention);
}

/* Does a P that nobody runs have something to run? */
static bool gs_left_alone(struct gs_p *p, u64 now)
{
	u64 when = READ_ONCE(p->sh->next_when);

	return gs_p_has_work(p) || (when && when <= now);
}

/* Return: an M has got a P to see to the work that was found. */
static bool gs_look_for_p(struct gs_ctx *ctx, struct gs_look *look, u32 prefer,
			  struct gs_wakeup *wk)
{
	if (look->searched || READ_ONCE(ctx->shared->nr_spinning))
		return false;
	look->searched = true;
	gs_wake_one(ctx, prefer, wk);
	return wk->m;
}

/* Nobody has the P. Work that waits there needs an M, and this P or another. */
static void gs_look_free(struct gs_ctx *ctx, struct gs_p *p, struct gs_look *look,
			 struct gs_wakeup *wk)
{
	bool global = p->state == GSCHED_P_IDLE && READ_ONCE(ctx->shared->global_len);

	if (!global && !gs_left_alone(p, look->now))
		return;
	look->busy |= ctx->nr_idle_ms;
	look->orphans |= p->state == GSCHED_P_DEAD;
	gs_look_for_p(ctx, look, p->id, wk);
}

/* Its owner is blocked. */
static void gs_look_blocked(struct gs_ctx *ctx, struct gs_p *p, struct gs_look *look,
			    struct gs_wakeup *wk)
{
	struct gs_m *next;

	if (gs_p_bury(ctx, p))
		return;
	next = gs_pick(ctx, p, look->now);
	if (next)
		look->busy = true;
	if (next && gs_p_steal(ctx, p))
		gs_p_give(ctx, p, next, wk);
	else if (!next && (gs_left_alone(p, look->now) || gs_fresh_work(ctx, p, look->now)))
		gs_spawn(ctx, wk);
}

/* An owner that makes steps gives the P up when it is asked to. */
static void gs_look_stepping(struct gs_ctx *ctx, struct gs_p *p, struct gs_look *look)
{
	u64 when = READ_ONCE(p->sh->next_when);

	/* Without preemption it is the owner's look around that finds them, in their order. */
	if (when && when <= look->now && (ctx->features & GSCHED_FEAT_PREEMPT))
		gs_set_attention(p, GSCHED_ATTN_TIMER);
	if (look->waiting && look->now + ctx->min_run / 8 >= p->granted_at + ctx->min_run) {
		look->waiting--;
		gs_set_attention(p, GSCHED_ATTN_HELD);
	} else if (look->hogs && look->now >= p->share_at) {
		look->hogs--;
		gs_set_attention(p, look->now < p->slice_end ? GSCHED_ATTN_HELD :
				 GSCHED_ATTN_HELD | GSCHED_ATTN_SLICE);
	}
}

/*
 * Work waits behind an owner that runs. A P whose owner is blocked could have it: see
 * (C) of block.c. And who shall have it if this owner makes no step? Return: somebody
 * is on his way.
 */
static bool gs_look_work(struct gs_ctx *ctx, struct gs_look *look, bool stepping,
			 struct gs_wakeup *wk)
{
	if (ctx->nr_idle || gs_nr_blocked(ctx))
		return gs_look_for_p(ctx, look, GSCHED_NONE, wk);
	if (!stepping && !ctx->nr_idle_ms)
		gs_spawn(ctx, wk);
	return false;
}

/*
 * No more owners are interrupted than there are Ms to take their Ps. One that cannot
 * lose its P now does not count.
 */
static bool gs_may_kick(struct gs_p *p, struct gs_look *look, enum gs_why why)
{
	struct gs_m *m = p->owner;

	if (why == GS_PREEMPT_RETIRE || !READ_ONCE(m->task->on_cpu) || READ_ONCE(m->sh->in_sched))
		return true;
	if (!look->kicks)
		return false;
	look->kicks--;
	return true;
}

/* Return: the owner, if it shall look whether it must give the P up. */
static struct gs_m *gs_look_running(struct gs_ctx *ctx, struct gs_p *p, struct gs_look *look,
				    struct gs_wakeup *wk)
{
	u64 steps = READ_ONCE(p->sh->steps);
	bool stepping = steps != p->seen_steps;
	bool work = gs_fresh_work(ctx, p, look->now) || gs_queue_has_work(p);
	enum gs_why why;

	/* One that sleeps in a section is in nobody's way for long, or is stopped. */
	if ((work || p->id >= ctx->nr_procs) && READ_ONCE(p->owner->task->on_rq))
		look->busy = true;
	if (work && gs_look_work(ctx, look, stepping, wk))
		return NULL;
	why = gs_preempt_why(ctx, p, look->now);
	if (why != GS_KEEP)
		return gs_may_kick(p, look, why) ? p->owner : NULL;
	if (stepping) {
		p->seen_steps = steps;
		p->moved_at = look->now;
		p->runner = true;
		gs_look_stepping(ctx, p, look);
	}
	return NULL;
}

/* Return: as gs_look_running(). */
static struct gs_m *gs_look_at(struct gs_ctx *ctx, struct gs_p *p, struct gs_look *look,
			       struct gs_wakeup *wk)
{
	struct gs_m *owner = p->owner;

	gs_look_timer(look, READ_ONCE(p->sh->next_when));
	if (!owner)
		gs_look_free(ctx, p, look, wk);
	else if (READ_ONCE(owner->blk) == GS_BLK_KEPT)
		gs_look_blocked(ctx, p, look, wk);
	else
		return gs_look_running(ctx, p, look, wk);
	return NULL;
}

/*
 * Look at some Ps from the @i-th on, until somebody must be woken or interrupted: both
 * are done without the lock. Return: where to go on.
 */
static u32 gs_look_at_some(struct gs_ctx *ctx, u32 i, u32 nr, struct gs_look *look)
{
	u32 end = min(nr, i + GS_LOOK_BATCH);
	struct gs_m *kick = NULL;
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	while (i < end && !kick && !wk.m) {
		kick = gs_look_at(ctx, ctx->procs[i++], look, &wk);
		if (kick && !gs_kick_begin(kick))
			kick = NULL;
	}
	gs_unlock(ctx, &wk);
	if (kick) {
		GS_DELAY(GS_DELAY_SEND);
		gs_kick(kick);
	}
	return i;
}

static void gs_look_at_ps(struct gs_ctx *ctx, struct gs_look *look)
{
	u32 i = 0, nr = smp_load_acquire(&ctx->nr_alloc);	/* pairs with gs_procs_set() */

	while (i < nr)
		i = gs_look_at_some(ctx, i, nr, look);
}

/* ------------------------------------------------- Ms that are held or were let go */

static bool gs_is_held(struct gs_m *m)
{
	enum gs_sleep sleep = READ_ONCE(m->sleep);

	return sleep == GS_HELD || sleep == GS_HOG;
}

/* Does it wait for a P, and could use one? */
static bool gs_waits_awake(struct gs_m *m)
{
	return (gs_is_held(m) || READ_ONCE(m->sleep) == GS_WAITING) &&
	       READ_ONCE(m->task->__state) != TASK_FROZEN;
}

/* Return: the M, if it runs without a P that it is owed. Off its CPU, sched_in sees to it. */
static struct gs_m *gs_look_at_m(struct gs_ctx *ctx, struct gs_m *m, struct gs_look *look)
{
	struct gs_m *kick = NULL;
	struct gs_wakeup wk;

	if (!gs_is_held(m) && READ_ONCE(m->sleep) != GS_LOOSE)
		return NULL;
	gs_lock(ctx, &wk);
	if (gs_is_held(m) && (gs_stop_wanted(m->task) || READ_ONCE(m->task->ptrace)))
		wk.m = m;
	else if (m->sleep == GS_LOOSE && READ_ONCE(m->task->on_cpu) &&
		 !gs_hold_waived(m, look->now) && gs_kick_begin(m))
		kick = m;
	gs_unlock(ctx, &wk);
	return kick;
}

static void gs_look_at_ms(struct gs_ctx *ctx, struct gs_look *look)
{
	unsigned long id;
	struct gs_m *m, *kick;
	int n = 0;

	if (!READ_ONCE(ctx->nr_waiting_ms) && !READ_ONCE(ctx->nr_hogs) &&
	    !READ_ONCE(ctx->nr_loose))
		return;
	rcu_read_lock();
	xa_for_each_start(&ctx->ms, id, m, ctx->tick_scan) {
		if (++n > GS_STOP_BATCH)
			break;
		look->busy |= gs_waits_awake(m);
		kick = gs_look_at_m(ctx, m, look);
		if (!kick)
			continue;
		look->busy = true;
		gs_kick(kick);
	}
	rcu_read_unlock();
	ctx->tick_scan = n > GS_STOP_BATCH ? id : 0;
	/* There are more. */
	look->busy |= ctx->tick_scan && (READ_ONCE(ctx->nr_waiting_ms) || READ_ONCE(ctx->nr_hogs));
}

/* -------------------------------------------------------------------- the timer */

/* When to look for timers: one look ahead, too, to see whether their owner makes steps. */
static u64 gs_tick_ahead(struct gs_ctx *ctx, struct gs_look *look)
{
	u64 soon = look->now + ctx->min_run;

	if (!look->next)
		return 0;
	return look->next > soon + ctx->min_run ? look->next - ctx->min_run :
						  max(look->next, soon);
}

/* When to look again, 0: not at all. Under the lock. */
static u64 gs_tick_next(struct gs_ctx *ctx, struct gs_look *look)
{
	u64 soon = look->now + ctx->min_run, ahead = gs_tick_ahead(ctx, look);
	bool once_more;

	if (look->busy)
		gs_tick_start(ctx);
	if (ctx->tick_on && ctx->tick_empty++ < GS_EMPTY_LOOKS)
		return look->next ? clamp(look->next, look->now + ctx->min_run / 8, soon) : soon;
	once_more = ctx->tick_on || gs_later(ahead, ctx->tick_said);
	gs_tick_set_on(ctx, false);
	gs_tick_say(ctx, ahead);
	return once_more ? soon : ahead;
}

/* Under the lock. */
static void gs_tick_account(struct gs_ctx *ctx, struct gs_look *look)
{
	u64 took = ktime_get_ns() - look->now;

	ctx->nr_ticks++;
	ctx->nr_tick_ns += took;
	took = min_t(u64, took, GS_TICK_COST + READ_ONCE(ctx->nr_alloc) * GS_TICK_P_COST);
	gs_user_tick_settle(ctx->user, took - ctx->tick_cost);
	ctx->tick_cost = took;
}

static void gs_tick_end(struct gs_ctx *ctx, struct gs_look *look)
{
	struct gs_wakeup wk;

	GS_DELAY(GS_DELAY_QUIET);
	gs_lock(ctx, &wk);
	gs_tick_account(ctx, look);
	WRITE_ONCE(ctx->orphans, look->orphans);
	gs_tick_set(ctx, gs_tick_next(ctx, look));
	gs_unlock(ctx, &wk);
}

/* Under the lock. Return: when it is this tick's turn to look. */
static u64 gs_tick_get_turn(struct gs_ctx *ctx, u64 now)
{
	u64 turn;

	if (ctx->tick_turn)
		return now;
	ctx->tick_cost = max_t(u64, ctx->tick_cost, READ_ONCE(ctx->nr_alloc) * GS_TICK_P_GUESS);
	turn = gs_user_tick_turn(ctx->user, now, ctx->tick_cost + GS_TICK_ENTRY);
	return turn > now + GS_TICK_BURST ? turn : now;
}

/* Under the lock. */
static void gs_look_init(struct gs_ctx *ctx, struct gs_look *look)
{
	look->kicks = ctx->nr_waiting_ms + ctx->nr_hogs + ctx->nr_idle_ms;
	look->waiting = ctx->nr_waiting_ms;
	look->hogs = ctx->nr_hogs;
	ctx->tick_last = look->now;
	ctx->futile = 0;
}

/* Return: false: this tick's turn is later, or the context is dead, and all are woken. */
static bool gs_tick_begin(struct gs_ctx *ctx, struct gs_look *look)
{
	struct gs_wakeup wk;
	bool looks = false;
	u64 turn;

	gs_lock(ctx, &wk);
	WRITE_ONCE(ctx->tick_at, 0);
	if (!ctx->dead) {
		turn = gs_tick_get_turn(ctx, look->now);
		looks = turn <= look->now;
		WRITE_ONCE(ctx->tick_turn, !looks);
		if (looks)
			gs_look_init(ctx, look);
		else
			gs_tick_arm(ctx, turn);
	}
	gs_unlock(ctx, &wk);
	return looks;
}

static enum hrtimer_restart gs_tick(struct hrtimer *timer)
{
	struct gs_ctx *ctx = container_of(timer, struct gs_ctx, tick);
	struct gs_look look = { .now = ktime_get_ns() };

	GS_DELAY(GS_DELAY_FIRE);
	if (gs_tick_begin(ctx, &look)) {
		smp_mb();	/* tick_at, tick_turn before all else: (C), see gs_watched() */
		if (!ctx->tick_on)
			GS_DELAY(GS_DELAY_TICK);
		gs_look_at_ps(ctx, &look);
		gs_look_at_ms(ctx, &look);
		gs_tick_end(ctx, &look);
	}
	/* It has set itself anew, if need be. */
	return HRTIMER_NORESTART;
}

/** gs_tick_init - a new context's tick is off. */
void gs_tick_init(struct gs_ctx *ctx)
{
	gs_hrtimer_setup(&ctx->tick, gs_tick, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
}

/** gs_tick_stop - it never looks again. Process context; the context is dead. */
void gs_tick_stop(struct gs_ctx *ctx)
{
	hrtimer_cancel(&ctx->tick);
}
