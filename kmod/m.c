// SPDX-License-Identifier: GPL-2.0
/*
 * Ms: registration, and the three ways in which an M ends.
 *
 * M_UNREGISTER  the thread takes its notifier out and removes the M.
 * TASK_DEAD     the sched_out notifier sees the thread's last context switch. It
 *               passes the P on; the rest is left to an irq_work and a work item.
 *               The notifier stays in the dead task's list: to take it out while
 *               the list is walked would lead the walk astray, and nobody walks it
 *               again. The M's memory outlives the walk by an RCU grace period.
 * exec          the thread goes on in another address space. Its old program's
 *               context is none of its business now: the next sched_in notifier
 *               queues a task_work that unregisters it, and so does the attempt to
 *               register again if that comes first.
 */
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "compat.h"
#include "gsched.h"

static struct preempt_ops gs_m_ops;

/** gs_m_of_thread - the calling thread's M, of whatever context, or NULL. */
struct gs_m *gs_m_of_thread(void)
{
	struct preempt_notifier *pn;

	/* Only the thread itself changes its list. */
	hlist_for_each_entry(pn, &current->preempt_notifiers, link)
		if (pn->ops == &gs_m_ops)
			return container_of(pn, struct gs_m, pn);
	return NULL;
}

/** gs_m_current - the calling thread's M, if it is one of this context, or NULL. */
struct gs_m *gs_m_current(struct gs_ctx *ctx)
{
	struct gs_m *m = gs_m_of_thread();

	return m && m->ctx == ctx ? m : NULL;
}

/** gs_thread_is_m - is the calling thread an M, of whatever context? */
bool gs_thread_is_m(void)
{
	return gs_m_of_thread();
}

static void gs_m_free(struct work_struct *work)
{
	struct gs_m *m = container_of(to_rcu_work(work), struct gs_m, free_work);

	put_task_struct(m->task);
	free_cpumask_var(m->cpus);
	gs_ctx_put(m->ctx);
	kfree(m);
}

static void gs_m_release(struct kref *ref)
{
	struct gs_m *m = container_of(ref, struct gs_m, ref);

	queue_rcu_work(gs_wq, &m->free_work);
}

/** gs_m_put - drop a reference. Any context but under a run queue's lock. */
void gs_m_put(struct gs_m *m)
{
	kref_put(&m->ref, gs_m_release);
}

/* The M holds no P and sleeps nowhere. Process context. */
static void gs_m_remove(struct gs_m *m)
{
	struct gs_ctx *ctx = m->ctx;
	bool last;

	mutex_lock(&ctx->admin);
	xa_erase(&ctx->ms, m->id);
	WRITE_ONCE(ctx->nr_ms, ctx->nr_ms - 1);
	last = !ctx->nr_ms;
	mutex_unlock(&ctx->admin);
	/*
	 * Nobody is left to run what a descriptor makes ready, and a context whose
	 * own file travels in a socket that it watches must not keep itself alive.
	 */
	if (last)
		gs_fd_close_all(ctx);
	else
		gs_recheck(ctx, m->cpus, m);
	gs_m_put(m);
}

static void gs_m_unregister(struct gs_m *m)
{
	struct gs_ctx *ctx = m->ctx;
	struct gs_wakeup wk;

	preempt_disable();
	preempt_notifier_unregister(&m->pn);
	preempt_enable();
	gs_lock(ctx, &wk);
	gs_m_dequeue(ctx, m);
	gs_p_release(ctx, m, &wk);
	gs_unlock(ctx, &wk);
	gs_m_remove(m);
}

/* Runs in the thread after exec; by then it may have done this itself. */
static void gs_m_exec_work(struct callback_head *work)
{
	struct gs_m *m = container_of(work, struct gs_m, exec_work);

	if (gs_m_of_thread() == m)
		gs_m_unregister(m);
	gs_m_put(m);
}

/*
 * The thread has executed another program: its P is the old one's. Without task
 * works the M stays until the thread registers again or ends.
 */
static noinline void gs_m_stale(struct gs_m *m)
{
	struct gs_wakeup wk;

	m->stale = true;
	gs_lock(m->ctx, &wk);
	gs_m_dequeue(m->ctx, m);
	gs_p_release(m->ctx, m, &wk);
	gs_unlock(m->ctx, &wk);
	kref_get(&m->ref);
	/* It fails in a thread that is past exit_task_work, too: TASK_DEAD is next. */
	if (gs_task_work_add(&m->exec_work))
		gs_m_put(m);
}

static void gs_m_sched_in(struct preempt_notifier *pn, int cpu)
{
	struct gs_m *m = container_of(pn, struct gs_m, pn);

	/*
	 * In either case a full barrier between on_cpu and user space: pairs with
	 * gs_sync_owners(), which leaves out the CPUs of threads that it sees off theirs.
	 */
	if (READ_ONCE(m->blk) != GS_BLK_NO)
		gs_unblock(m);
	else
		smp_mb();	/* as above */
	if (unlikely(current->mm != m->ctx->mm)) {
		if (current->mm && !m->stale)
			gs_m_stale(m);
		return;
	}
	if (unlikely(READ_ONCE(m->kicked))) {
		WRITE_ONCE(m->kicked, false);
		gs_preempt(m);
	}
	/* In the hold itself it is not on its way to user mode. */
	if (unlikely(READ_ONCE(m->owed) && !READ_ONCE(m->parked)))
		gs_hold_arm(m);
	if (unlikely(READ_ONCE(m->sh->in_sched) && !READ_ONCE(m->parked) && READ_ONCE(m->p) &&
		     !READ_ONCE(m->ctx->tick_on)))
		gs_section_resumes(m);
}

/* Under the run queue's lock: no wake-up, no call_rcu, no sleeping lock. */
static noinline void gs_m_dead(struct gs_m *m)
{
	struct gs_ctx *ctx = m->ctx;
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	gs_m_dequeue(ctx, m);
	gs_p_release(ctx, m, &wk);
	gs_unlock_deferred(ctx, &wk);
	llist_add(&m->dead_node, &ctx->dead_list);
	irq_work_queue(&ctx->irq_work);
}

static void gs_m_sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	struct gs_m *m = container_of(pn, struct gs_m, pn);

	if (unlikely(READ_ONCE(current->__state) & TASK_DEAD))
		gs_m_dead(m);
	else if (READ_ONCE(m->p) && gs_task_blocks(current))
		gs_block(m);
}

static struct preempt_ops gs_m_ops = {
	.sched_in = gs_m_sched_in,
	.sched_out = gs_m_sched_out,
};

/** gs_m_reap - remove the Ms whose threads have died. Work item. */
void gs_m_reap(struct work_struct *work)
{
	struct gs_ctx *ctx = container_of(work, struct gs_ctx, reap_work);
	struct gs_m *m, *next;

	llist_for_each_entry_safe(m, next, llist_del_all(&ctx->dead_list), dead_node)
		gs_m_remove(m);
}

static struct gs_m *gs_m_alloc(struct gs_ctx *ctx)
{
	struct gs_m *m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);

	if (!m)
		return NULL;
	if (!zalloc_cpumask_var(&m->cpus, GFP_KERNEL_ACCOUNT)) {
		kfree(m);
		return NULL;
	}
	INIT_LIST_HEAD(&m->list);
	kref_init(&m->ref);
	INIT_RCU_WORK(&m->free_work, gs_m_free);
	init_task_work(&m->exec_work, gs_m_exec_work);
	gs_hold_init_m(m);
	gs_preempt_init_m(m);
	preempt_notifier_init(&m->pn, &gs_m_ops);
	m->last_p = GSCHED_NONE;
	m->ctx = ctx;
	m->task = current;
	return m;
}

/* Under ctx->admin. */
static int gs_m_map(struct gs_ctx *ctx, struct gs_m *m)
{
	u32 per = GS_PER_PAGE(struct gsched_m);
	struct page **page = &ctx->m_pages[m->id / per];

	if (!*page) {
		struct page *new = gs_shared_page_alloc();

		if (!new)
			return -ENOMEM;
		/* The fault handler reads it without the lock. */
		smp_store_release(page, new);
	}
	m->sh = (struct gsched_m *)page_address(*page) + m->id % per;
	memset(m->sh, 0, sizeof(*m->sh));
	m->sh->proc = GSCHED_NONE;
	return 0;
}

/* Under ctx->admin. */
static int gs_m_insert(struct gs_ctx *ctx, struct gs_m *m)
{
	int err;

	if (ctx->nr_ms >= ctx->max_ms)
		return -ENOSPC;
	/* Reserve the number; the M is in the table only when it is whole. */
	err = xa_alloc(&ctx->ms, &m->id, NULL, XA_LIMIT(0, ctx->max_ms - 1), GFP_KERNEL_ACCOUNT);
	if (err)
		return err == -EBUSY ? -ENOSPC : err;
	err = gs_m_map(ctx, m);
	if (err) {
		xa_erase(&ctx->ms, m->id);
		return err;
	}
	get_task_struct(current);
	gs_ctx_get(ctx);
	WRITE_ONCE(ctx->nr_ms, ctx->nr_ms + 1);
	xa_store(&ctx->ms, m->id, m, GFP_KERNEL);	/* reserved: cannot fail */
	return 0;
}

static int gs_m_add(struct gs_ctx *ctx, struct gs_m *m)
{
	int err;

	mutex_lock(&ctx->admin);
	err = gs_m_insert(ctx, m);
	mutex_unlock(&ctx->admin);
	return err;
}

static void gs_spawn_done(struct gs_ctx *ctx)
{
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	WRITE_ONCE(ctx->spawn_busy, false);
	gs_unlock(ctx, &wk);
}

/* An M of the program before exec, or of a context that was closed, is a relic. */
static bool gs_m_is_current(struct gs_m *m)
{
	return m->ctx->mm == current->mm && !READ_ONCE(m->ctx->dead);
}

int gs_ioc_m_register(struct gs_ctx *ctx, void *arg)
{
	struct gsched_m_register *r = arg;
	struct gs_m *m = gs_m_of_thread();
	int err;

	if (r->flags)
		return -EINVAL;
	if (m && gs_m_is_current(m))
		return -EBUSY;
	if (m)
		gs_m_unregister(m);

	m = gs_m_alloc(ctx);
	if (!m)
		return -ENOMEM;
	err = gs_m_add(ctx, m);
	if (err == -ENOSPC) {
		/* Threads that have ended count until they are reaped. */
		flush_work(&ctx->reap_work);
		err = gs_m_add(ctx, m);
	}
	if (err) {
		free_cpumask_var(m->cpus);
		kfree(m);
		return err;
	}
	preempt_disable();
	preempt_notifier_register(&m->pn);
	preempt_enable();
	gs_spawn_done(ctx);
	r->id = m->id;
	return 0;
}

int gs_ioc_m_unregister(struct gs_ctx *ctx, void *arg)
{
	struct gs_m *m = gs_m_current(ctx);

	if (!m)
		return -ESRCH;
	gs_m_unregister(m);
	return 0;
}
