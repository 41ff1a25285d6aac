// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls that sleep: ACQUIRE, IDLE, SPAWNER; and RELEASE, which does not.
 *
 * An M sleeps until somebody has set m->p under the context's lock, the context is
 * dead, or a signal is pending. The usual order holds:
 *
 *   M                                  waker
 *   -                                  -----
 *   put itself on a list (lock)        take it from the list, set m->p (lock)
 *   set_current_state()                wake_up_process()
 *   if m->p: stop
 *   schedule()
 *
 * m->parked says that this is our own wait, from before the M is on a list until it
 * knows whether it has a P: one that was given to it before it calls schedule() must
 * not be seen to block with it, and is not taken by a preemption either.
 */
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>

#include "delay.h"
#include "gsched.h"
#include "trace.h"

/*
 * Return: 0: the M has a P, -ETIME, -EINTR, -ESHUTDOWN. With an error the M may
 * have got a P all the same; that is decided under the lock.
 */
static int gs_m_sleep(struct gs_ctx *ctx, struct gs_m *m, ktime_t *deadline)
{
	int err = 0;

	GS_DELAY(GS_DELAY_QUEUE);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		if (READ_ONCE(m->p))
			break;
		GS_DELAY(GS_DELAY_PARK);
		if (READ_ONCE(ctx->dead))
			err = -ESHUTDOWN;
		else if (signal_pending(current))
			err = -EINTR;
		else if (!schedule_hrtimeout_range(deadline, 0, HRTIMER_MODE_ABS))
			err = -ETIME;
		if (err)
			break;
	}
	__set_current_state(TASK_RUNNING);
	return err;
}

/*
 * An M that has a P has it, whatever else happened meanwhile: a grant is never
 * dropped. One whose wait a signal has ended is held, so that the handler runs with
 * a P. Return: @err, or 0 if the M has a P; *@proc is its number then.
 */
static int gs_m_sleep_end(struct gs_ctx *ctx, struct gs_m *m, int err, u32 *proc)
{
	struct gs_wakeup wk;
	bool hold = false;

	gs_lock(ctx, &wk);
	if (m->p) {
		gs_p_begin(m->p);
		*proc = m->p->id;
		err = 0;
	} else {
		gs_m_dequeue(ctx, m);
		hold = err == -EINTR;
	}
	if (hold) {
		WRITE_ONCE(m->owed, true);
		m->preempted = false;
		m->lost_at = ktime_get_mono_fast_ns();
	}
	gs_unlock(ctx, &wk);
	WRITE_ONCE(m->parked, false);
	if (hold)
		gs_hold_arm(m);
	return err;
}

/* Return: true if the M has a P (*@proc), false if it is queued for one. */
static bool gs_acquire_start(struct gs_ctx *ctx, struct gs_m *m, bool yield, u32 *proc)
{
	struct gs_wakeup wk;
	struct gs_p *p;

	WRITE_ONCE(m->parked, true);
	gs_lock(ctx, &wk);
	if (m->p && yield)
		gs_p_release(ctx, m, &wk);
	if (!m->p) {
		/* Listed first, so that who blocks now sees the M: (D) of block.c */
		gs_m_enqueue(ctx, m, GS_WAITING);
		p = gs_p_take_free(ctx, m->last_p);
		if (p)
			gs_p_grant(ctx, p, m);
		else
			gs_tick_start(ctx);
	}
	p = m->p;
	if (p)
		*proc = p->id;
	gs_unlock(ctx, &wk);
	if (p)
		WRITE_ONCE(m->parked, false);
	return p;
}

int gs_ioc_acquire(struct gs_ctx *ctx, void *arg)
{
	struct gsched_acquire *a = arg;
	struct gs_m *m = gs_m_current(ctx);
	int err = 0;

	if (a->flags & ~GSCHED_ACQUIRE_YIELD)
		return -EINVAL;
	if (!m)
		return -ESRCH;
	if (!gs_acquire_start(ctx, m, a->flags & GSCHED_ACQUIRE_YIELD, &a->proc))
		err = gs_m_sleep_end(ctx, m, gs_m_sleep(ctx, m, NULL), &a->proc);
	return err;
}

int gs_ioc_release(struct gs_ctx *ctx, void *arg)
{
	struct gs_m *m = gs_m_current(ctx);
	struct gs_wakeup wk;

	if (!m)
		return -ESRCH;
	gs_lock(ctx, &wk);
	gs_m_dequeue(ctx, m);
	gs_p_release(ctx, m, &wk);
	gs_unlock(ctx, &wk);
	gs_recheck(ctx, m->cpus, m);
	return 0;
}

static void gs_ipi_mb(void *unused)
{
	smp_mb();	/* (B) of wake.c, on behalf of the CPU's user code */
}

/**
 * gs_sync_owners - make every CPU that runs the owner of a P execute a full barrier
 * @ctx:  the context
 * @cpus: scratch
 * @self: an M to leave out, or NULL
 *
 * (B) of wake.c. Process context. Why no owner is missed:
 *
 * - Who became an owner before the P was made idle, under the lock, is seen here.
 *   Who becomes one later takes the lock after that, which orders its loads.
 * - An owner that is seen off its CPU has stored its queue before it was switched
 *   out. When it is switched in, it executes the barrier in gs_m_sched_in() after
 *   on_cpu has been set and before it is in user mode; if we did not see on_cpu, its
 *   loads after that barrier see our stores before ours.
 * - An owner that moves to another CPU after its CPU was read is switched in there.
 */
void gs_sync_owners(struct gs_ctx *ctx, struct cpumask *cpus, struct gs_m *self)
{
	u32 i, nr = smp_load_acquire(&ctx->nr_alloc);	/* pairs with gs_procs_set() */
	struct gs_m *owner;

	cpumask_clear(cpus);
	smp_mb();	/* nr_idle before owner and on_cpu; (B) for this CPU */
	rcu_read_lock();
	for (i = 0; i < nr; i++) {
		owner = READ_ONCE(ctx->procs[i]->owner);
		if (owner && owner != self && READ_ONCE(owner->task->on_cpu))
			cpumask_set_cpu(task_cpu(owner->task), cpus);
	}
	rcu_read_unlock();
	if (!cpumask_empty(cpus)) {
		preempt_disable();
		smp_call_function_many(cpus, gs_ipi_mb, NULL, true);
		preempt_enable();
	}
	smp_mb();	/* on_cpu before the queues */
}

/**
 * gs_recheck - a P has become idle behind its owner's back: is there work for it?
 * @ctx:  the context
 * @cpus: scratch
 * @self: the M that gave it up, or NULL
 *
 * Process context.
 */
void gs_recheck(struct gs_ctx *ctx, struct cpumask *cpus, struct gs_m *self)
{
	struct gs_wakeup wk;

	if (!READ_ONCE(ctx->nr_idle) && !gs_nr_blocked(ctx))
		return;
	gs_sync_owners(ctx, cpus, self);
	if (!gs_has_work(ctx))
		return;
	gs_lock(ctx, &wk);
	gs_wake_one(ctx, GSCHED_NONE, &wk);
	gs_unlock(ctx, &wk);
}

static void gs_idle_start(struct gs_ctx *ctx, struct gs_m *m)
{
	struct gs_wakeup wk;

	WRITE_ONCE(m->parked, true);
	gs_lock(ctx, &wk);
	gs_p_pass(ctx, m, &wk);
	gs_m_enqueue(ctx, m, GS_IDLE);
	ctx->nr_idles++;
	trace_gsched_idle(m, NULL);
	gs_unlock(ctx, &wk);
}

/*
 * Take a P, if one is idle or its owner blocked, and nobody has given us one yet. If
 * there is none, the tick sees that what waits gets its turn.
 */
static void gs_idle_take(struct gs_ctx *ctx, struct gs_m *m, u32 reason)
{
	struct gs_wakeup wk;
	struct gs_p *p;

	gs_lock(ctx, &wk);
	if (reason == GSCHED_IDLE_TIMEOUT)
		m->deadline = 0;
	p = m->p ? NULL : gs_p_take_free(ctx, m->last_p);
	if (!m->p && !p)
		gs_tick_start(ctx);
	if (p) {
		m->reason = reason;
		if (reason == GSCHED_IDLE_WORK)
			gs_spinning_inc(ctx);
		else
			ctx->nr_timeouts++;
		gs_p_grant(ctx, p, m);
	}
	gs_unlock(ctx, &wk);
}

/*
 * The first timer of any P: one may have been started, on a P whose goroutine then
 * computes on, after the caller chose its deadline. Any value will do: it is user
 * space's own sleep that it ends.
 */
static u64 gs_first_timer(struct gs_ctx *ctx, u64 deadline)
{
	u32 i, nr = smp_load_acquire(&ctx->nr_alloc);	/* pairs with gs_procs_set() */
	u64 when;

	for (i = 0; i < nr; i++) {
		when = READ_ONCE(ctx->procs[i]->sh->next_when);
		if (when && (!deadline || when < deadline))
			deadline = when;
	}
	return deadline;
}

/* Return: the M is one too many, and on no list any more. */
static bool gs_idle_leave(struct gs_ctx *ctx, struct gs_m *m)
{
	struct gs_wakeup wk;
	bool leave;

	gs_lock(ctx, &wk);
	leave = !m->p && ctx->nr_idle_ms > ctx->nr_procs;
	if (leave)
		gs_m_dequeue(ctx, m);
	gs_unlock(ctx, &wk);
	return leave;
}

/*
 * From now on others rely on it that the M wakes up at its deadline. If it has got a P
 * already, the tick does that.
 */
static u64 gs_idle_deadline(struct gs_ctx *ctx, struct gs_m *m, u64 deadline)
{
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	if (m->sleep == GS_IDLE)
		m->deadline = deadline;
	else
		gs_tick_by(ctx, deadline);
	gs_unlock(ctx, &wk);
	return deadline;
}

static int gs_idle_sleep_until(struct gs_ctx *ctx, struct gs_m *m, u64 until)
{
	ktime_t when = ns_to_ktime(min_t(u64, until, KTIME_MAX));

	return gs_m_sleep(ctx, m, until ? &when : NULL);
}

static u64 gs_earlier(u64 a, u64 b)
{
	return a && b ? min(a, b) : a ? : b;
}

/*
 * @deadline ends the sleep once. Whether the M is one too many is asked after @pause
 * (0: never), and then less and less often: the number of Ps may change.
 */
static int gs_idle_sleep(struct gs_ctx *ctx, struct gs_m *m, u64 deadline, u64 pause)
{
	u64 leave = pause ? ktime_get_ns() + pause : 0;
	int err;

	for (;;) {
		u64 until = gs_earlier(deadline, leave);

		err = gs_idle_sleep_until(ctx, m, until);
		if (err != -ETIME)
			return err;
		if (until == leave) {
			if (gs_idle_leave(ctx, m))
				return -ETIME;
			pause *= 2;
			leave += pause;
		} else {
			gs_idle_take(ctx, m, GSCHED_IDLE_TIMEOUT);
			deadline = 0;
		}
	}
}

int gs_ioc_idle(struct gs_ctx *ctx, void *arg)
{
	struct gsched_idle *idle = arg;
	struct gs_m *m = gs_m_current(ctx);
	u64 deadline;
	int err;

	if (idle->flags)
		return -EINVAL;
	if (!m)
		return -ESRCH;
	gs_idle_start(ctx, m);
	gs_sync_owners(ctx, m->cpus, m);
	if (gs_has_work(ctx))
		gs_idle_take(ctx, m, GSCHED_IDLE_WORK);
	deadline = gs_idle_deadline(ctx, m, gs_first_timer(ctx, idle->deadline));
	err = gs_idle_sleep(ctx, m, deadline, (u64)idle->leave_ms * NSEC_PER_MSEC);
	err = gs_m_sleep_end(ctx, m, err, &idle->proc);
	if (!err)
		idle->reason = m->reason;
	return err;
}

/**
 * gs_idle_undo - the caller will not learn that it was woken to look for work
 * @ctx: the context
 * @arg: what IDLE has said
 *
 * It keeps the P, which the next IDLE gives up. Those who have woken nobody because the
 * caller was on his way to look rely on somebody to look.
 */
int gs_idle_undo(struct gs_ctx *ctx, void *arg)
{
	struct gsched_idle *idle = arg;
	struct gs_m *m = gs_m_current(ctx);

	if (idle->reason != GSCHED_IDLE_WORK)
		return 0;
	atomic_dec_return((atomic_t *)&ctx->shared->nr_spinning);	/* a full barrier */
	if (m)
		gs_recheck(ctx, m->cpus, NULL);
	return 0;
}

static int gs_spawner_start(struct gs_ctx *ctx, bool failed)
{
	struct gs_wakeup wk;
	int err = 0;

	gs_lock(ctx, &wk);
	if (ctx->spawner) {
		err = -EBUSY;
	} else {
		ctx->spawner = current;
		if (failed)
			gs_spawn_failed(ctx);
	}
	gs_unlock(ctx, &wk);
	return err;
}

static int gs_spawner_sleep(struct gs_ctx *ctx)
{
	int err = 0;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		if (READ_ONCE(ctx->spawn_wanted))
			break;
		if (READ_ONCE(ctx->dead))
			err = -ESHUTDOWN;
		else if (signal_pending(current))
			err = -EINTR;
		if (err)
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return err;
}

/* A request is taken if it is there, whatever ended the sleep. */
static int gs_spawner_end(struct gs_ctx *ctx, int err, u32 *reason)
{
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	ctx->spawner = NULL;
	if (ctx->spawn_wanted) {
		WRITE_ONCE(ctx->spawn_wanted, false);
		*reason = ctx->spawn_reason;
		err = 0;
	}
	gs_unlock(ctx, &wk);
	return err;
}

int gs_ioc_spawner(struct gs_ctx *ctx, void *arg)
{
	struct gsched_spawner *s = arg;
	int err;

	if (s->flags & ~GSCHED_SPAWNER_FAILED)
		return -EINVAL;
	if (gs_thread_is_m())
		return -EDEADLK;
	err = gs_spawner_start(ctx, s->flags & GSCHED_SPAWNER_FAILED);
	if (err)
		return err;
	return gs_spawner_end(ctx, gs_spawner_sleep(ctx), &s->reason);
}

/**
 * gs_spawner_undo - the caller will not learn of the request: the next one gets it
 * @ctx: the context
 * @arg: what SPAWNER has said
 */
int gs_spawner_undo(struct gs_ctx *ctx, void *arg)
{
	struct gsched_spawner *s = arg;
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	/*
	 * While spawn_busy nobody else asks for an M, so that request must not get lost, nor
	 * be replaced. Where there could be no more Ms, one is asked for once more.
	 */
	if (s->reason == GSCHED_SPAWN_CAP || ctx->spawn_wanted)
		WRITE_ONCE(ctx->cap_told, false);
	if (s->reason == GSCHED_SPAWN_M && ctx->spawn_busy)
		gs_spawner_tell(ctx, s->reason, &wk);
	else if (s->reason == GSCHED_SPAWN_CAP && !ctx->spawn_wanted)
		gs_spawn(ctx, &wk);
	gs_unlock(ctx, &wk);
	return 0;
}
