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
 */
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>

#include "gsched.h"

/*
 * Return: 0: the M has a P, -ETIME, -EINTR, -ESHUTDOWN. With an error the M may
 * have got a P all the same; that is decided under the lock.
 */
static int gs_m_sleep(struct gs_ctx *ctx, struct gs_m *m, ktime_t *deadline)
{
	int err = 0;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		if (READ_ONCE(m->p))
			break;
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
 * dropped. Return: @err, or 0 if the M has a P.
 */
static int gs_m_sleep_end(struct gs_ctx *ctx, struct gs_m *m, int err)
{
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	if (m->p)
		err = 0;
	else
		gs_m_dequeue(ctx, m);
	gs_unlock(ctx, &wk);
	return err;
}

/* Return: true if the M has a P, false if it is queued for one. */
static bool gs_acquire_start(struct gs_ctx *ctx, struct gs_m *m, bool yield)
{
	struct gs_wakeup wk;
	struct gs_p *p;

	gs_lock(ctx, &wk);
	if (m->p && yield)
		gs_p_release(ctx, m, &wk);
	if (!m->p) {
		p = gs_p_take_idle(ctx, m->last_p);
		if (p)
			gs_p_grant(ctx, p, m);
		else
			gs_m_enqueue(ctx, m, GS_WAITING);
	}
	p = m->p;
	gs_unlock(ctx, &wk);
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
	if (!gs_acquire_start(ctx, m, a->flags & GSCHED_ACQUIRE_YIELD))
		err = gs_m_sleep_end(ctx, m, gs_m_sleep(ctx, m, NULL));
	if (!err)
		a->proc = m->p->id;
	return err;
}

int gs_ioc_release(struct gs_ctx *ctx, void *arg)
{
	struct gs_m *m = gs_m_current(ctx);
	struct gs_wakeup wk;

	if (!m)
		return -ESRCH;
	if (!m->p)
		return 0;
	gs_lock(ctx, &wk);
	gs_p_release(ctx, m, &wk);
	gs_unlock(ctx, &wk);
	gs_recheck(ctx, m->cpus, m);
	return 0;
}

static void gs_ipi_mb(void *unused)
{
	smp_mb();	/* (B) of proc.c, on behalf of the CPU's user code */
}

/**
 * gs_sync_owners - make every CPU that runs the owner of a P execute a full barrier
 * @ctx:  the context
 * @cpus: scratch
 * @self: an M to leave out, or NULL
 *
 * (B) of proc.c. Process context. Why no owner is missed:
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

	if (!READ_ONCE(ctx->nr_idle))
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

	gs_lock(ctx, &wk);
	gs_p_release(ctx, m, &wk);
	gs_m_enqueue(ctx, m, GS_IDLE);
	ctx->nr_idles++;
	gs_unlock(ctx, &wk);
}

/* Take an idle P back, if there is one and nobody has given us one yet. */
static void gs_idle_take(struct gs_ctx *ctx, struct gs_m *m, u32 reason)
{
	struct gs_wakeup wk;
	struct gs_p *p;

	gs_lock(ctx, &wk);
	p = m->p ? NULL : gs_p_take_idle(ctx, m->last_p);
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

static int gs_idle_sleep(struct gs_ctx *ctx, struct gs_m *m, u64 deadline)
{
	ktime_t when = ns_to_ktime(min_t(u64, deadline, KTIME_MAX));
	int err = gs_m_sleep(ctx, m, deadline ? &when : NULL);

	if (err == -ETIME) {
		gs_idle_take(ctx, m, GSCHED_IDLE_TIMEOUT);
		/* No P is idle: their owners see to the timers. */
		err = gs_m_sleep(ctx, m, NULL);
	}
	return gs_m_sleep_end(ctx, m, err);
}

int gs_ioc_idle(struct gs_ctx *ctx, void *arg)
{
	struct gsched_idle *idle = arg;
	struct gs_m *m = gs_m_current(ctx);
	int err;

	if (idle->flags || idle->reserved)
		return -EINVAL;
	if (!m)
		return -ESRCH;
	gs_idle_start(ctx, m);
	gs_sync_owners(ctx, m->cpus, m);
	if (gs_has_work(ctx))
		gs_idle_take(ctx, m, GSCHED_IDLE_WORK);
	err = gs_idle_sleep(ctx, m, gs_first_timer(ctx, idle->deadline));
	if (!err) {
		idle->reason = m->reason;
		idle->proc = m->p->id;
	}
	return err;
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
			ctx->spawn_busy = false;
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
static int gs_spawner_end(struct gs_ctx *ctx, int err)
{
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	ctx->spawner = NULL;
	if (ctx->spawn_wanted) {
		WRITE_ONCE(ctx->spawn_wanted, false);
		err = 0;
	}
	gs_unlock(ctx, &wk);
	return err;
}

int gs_ioc_spawner(struct gs_ctx *ctx, void *arg)
{
	struct gsched_spawner *s = arg;
	int err;

	if ((s->flags & ~GSCHED_SPAWNER_FAILED) || s->reserved)
		return -EINVAL;
	if (gs_thread_is_m())
		return -EDEADLK;
	err = gs_spawner_start(ctx, s->flags & GSCHED_SPAWNER_FAILED);
	if (err)
		return err;
	return gs_spawner_end(ctx, gs_spawner_sleep(ctx));
}
