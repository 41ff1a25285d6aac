// SPDX-License-Identifier: GPL-2.0
/*
 * Contexts: open, SETUP, shutdown, the end.
 *
 * A context belongs to the process that opened it. Both the thread group and the
 * address space are compared: after exec the first is the same, in a vfork child
 * the second. ctx->mm is pinned (mmgrab) so that no other address space can get
 * the same address while the context lives.
 */
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "gsched.h"

bool gs_ctx_is_mine(struct gs_ctx *ctx)
{
	return current->mm == ctx->mm && task_tgid(current) == ctx->tgid;
}

/**
 * gs_shared_page_alloc - a page to share with user space
 *
 * Charged to the caller's memory cgroup, zeroed, and in the kernel's direct
 * mapping: it can be touched in any context.
 */
struct page *gs_shared_page_alloc(void)
{
	return alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
}

static void gs_pages_free(struct page **pages, u32 nr)
{
	u32 i;

	if (!pages)
		return;
	for (i = 0; i < nr; i++)
		if (pages[i])
			__free_page(pages[i]);
	kvfree(pages);
}

static u32 gs_nr_m_pages(struct gs_ctx *ctx)
{
	return DIV_ROUND_UP(ctx->max_ms, GS_PER_PAGE(struct gsched_m));
}

static u32 gs_nr_slot_pages(struct gs_ctx *ctx)
{
	return DIV_ROUND_UP(GS_ENQ_SLOTS + ctx->max_slots, GS_PER_PAGE(struct gsched_slot));
}

/* Undoes SETUP, whole or in part. */
static void gs_ctx_free_setup(struct gs_ctx *ctx)
{
	gs_procs_free(ctx);
	bitmap_free(ctx->idle_ps);
	ctx->idle_ps = NULL;
	gs_pages_free(ctx->slot_pages, gs_nr_slot_pages(ctx));
	ctx->slot_pages = NULL;
	gs_pages_free(ctx->m_pages, gs_nr_m_pages(ctx));
	ctx->m_pages = NULL;
	if (ctx->shared_page)
		__free_page(ctx->shared_page);
	ctx->shared_page = NULL;
	if (ctx->user)
		gs_user_uncharge(ctx->user);
	ctx->user = NULL;
}

static void gs_ctx_free(struct work_struct *work)
{
	struct gs_ctx *ctx = container_of(work, struct gs_ctx, free_work);

	gs_fd_destroy(ctx);
	gs_tick_stop(ctx);
	irq_work_sync(&ctx->irq_work);
	cancel_work_sync(&ctx->reap_work);
	WARN_ON(!xa_empty(&ctx->ms));
	xa_destroy(&ctx->ms);
	gs_ctx_free_setup(ctx);
	put_pid(ctx->tgid);
	mmdrop(ctx->mm);
	free_cpumask_var(ctx->cpus);
	kfree(ctx);
	module_put(THIS_MODULE);
}

static void gs_ctx_release(struct kref *ref)
{
	struct gs_ctx *ctx = container_of(ref, struct gs_ctx, ref);

	queue_work(gs_wq, &ctx->free_work);
}

void gs_ctx_get(struct gs_ctx *ctx)
{
	kref_get(&ctx->ref);
}

/** gs_ctx_put - drop a reference. Any context but under the context's lock. */
void gs_ctx_put(struct gs_ctx *ctx)
{
	kref_put(&ctx->ref, gs_ctx_release);
}

static void gs_irq_work(struct irq_work *work)
{
	struct gs_ctx *ctx = container_of(work, struct gs_ctx, irq_work);

	gs_deferred_wakeups(ctx);
	if (!llist_empty(&ctx->dead_list))
		queue_work(gs_wq, &ctx->reap_work);
}

/**
 * gs_ctx_open - make a context for the calling process
 *
 * Process context. Return: the context with one reference, or an ERR_PTR.
 */
struct gs_ctx *gs_ctx_open(void)
{
	struct gs_ctx *ctx;

	if (!current->mm)
		return ERR_PTR(-EINVAL);
	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);
	if (!ctx)
		return ERR_PTR(-ENOMEM);
	if (!zalloc_cpumask_var(&ctx->cpus, GFP_KERNEL_ACCOUNT)) {
		kfree(ctx);
		return ERR_PTR(-ENOMEM);
	}

	kref_init(&ctx->ref);
	INIT_WORK(&ctx->free_work, gs_ctx_free);
	ctx->mm = current->mm;
	mmgrab(ctx->mm);
	ctx->tgid = get_pid(task_tgid(current));
	ctx->files = current->files;
	mutex_init(&ctx->admin);
	xa_init_flags(&ctx->ms, XA_FLAGS_ALLOC | XA_FLAGS_ACCOUNT);
	raw_spin_lock_init(&ctx->lock);
	INIT_LIST_HEAD(&ctx->idle_ms);
	INIT_LIST_HEAD(&ctx->waiting_ms);
	INIT_LIST_HEAD(&ctx->hogs);
	INIT_LIST_HEAD(&ctx->loose_ms);
	ctx->slice = GSCHED_SLICE;
	ctx->min_run = GSCHED_MIN_RUN;
	gs_tick_init(ctx);
	init_llist_head(&ctx->wake_list);
	init_llist_head(&ctx->dead_list);
	ctx->irq_work = IRQ_WORK_INIT_HARD(gs_irq_work);
	INIT_WORK(&ctx->reap_work, gs_m_reap);
	spin_lock_init(&ctx->enq_lock);
	gs_fd_init(ctx);
	__module_get(THIS_MODULE);
	return ctx;
}

static void gs_ctx_wake_all(struct gs_ctx *ctx)
{
	struct gs_m *m;
	unsigned long id;

	/*
	 * Pairs with set_current_state() of the sleepers: each of them sees dead, or
	 * is seen here.
	 */
	smp_mb();
	rcu_read_lock();
	xa_for_each(&ctx->ms, id, m)
		if (READ_ONCE(m->sleep) != GS_AWAKE)
			wake_up_process(m->task);
	rcu_read_unlock();
}

/**
 * gs_ctx_shutdown - the owner has closed the context: nothing more happens in it
 * @ctx: the context
 *
 * Everybody who sleeps in it returns with -ESHUTDOWN, every descriptor is given
 * back. Process context.
 */
void gs_ctx_shutdown(struct gs_ctx *ctx)
{
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	WRITE_ONCE(ctx->dead, true);
	wk.spawner = ctx->spawner;
	gs_unlock(ctx, &wk);
	gs_ctx_wake_all(ctx);
	gs_fd_close_all(ctx);
}

static u64 gs_features(u32 flags)
{
	u64 f = GSCHED_FEAT_READY | GSCHED_FEAT_STACKS | GSCHED_FEAT_HANDOFF |
		gs_hold_features();

	/*
	 * An M that is preempted may hold a lock, in libc for instance. Who then blocks on
	 * that lock must hand over the P, or its holder never has one again.
	 */
	if (flags & (GSCHED_SETUP_NO_HANDOFF | GSCHED_SETUP_NO_HOLD | GSCHED_SETUP_NO_PREEMPT))
		f &= ~GSCHED_FEAT_PREEMPT;
	if (flags & GSCHED_SETUP_NO_HANDOFF)
		f &= ~GSCHED_FEAT_HANDOFF;
	if (flags & GSCHED_SETUP_NO_HOLD)
		f &= ~GSCHED_FEAT_HOLD;
	return f;
}

int gs_ioc_query(struct gs_ctx *ctx, void *arg)
{
	struct gsched_query *q = arg;

	if (q->flags || q->reserved)
		return -EINVAL;
	q->features = gs_features(0);
	q->now_ns = ktime_get_ns();
	q->max_procs = GSCHED_MAX_PROCS;
	q->max_ms = GSCHED_MAX_MS;
	q->max_slots = GSCHED_MAX_SLOTS;
	q->page_size = PAGE_SIZE;
	return 0;
}

static bool gs_setup_valid(const struct gsched_setup *s)
{
	return !(s->flags & ~(GSCHED_SETUP_NO_HANDOFF | GSCHED_SETUP_NO_HOLD |
			      GSCHED_SETUP_NO_PREEMPT)) &&
	       s->max_procs >= 1 && s->max_procs <= GSCHED_MAX_PROCS &&
	       s->nr_procs >= 1 && s->nr_procs <= s->max_procs &&
	       s->max_ms >= 1 && s->max_ms <= GSCHED_MAX_MS &&
	       s->max_slots <= GSCHED_MAX_SLOTS;
}

/* The pages of ENQUEUE's nodes exist from the start. */
static int gs_setup_enq_pages(struct gs_ctx *ctx)
{
	u32 i;

	for (i = 0; i < GS_ENQ_SLOTS / GS_PER_PAGE(struct gsched_slot); i++) {
		ctx->slot_pages[i] = gs_shared_page_alloc();
		if (!ctx->slot_pages[i])
			return -ENOMEM;
	}
	return 0;
}

static int gs_setup_alloc(struct gs_ctx *ctx, u32 nr_procs)
{
	ctx->shared_page = gs_shared_page_alloc();
	ctx->m_pages = kvcalloc(gs_nr_m_pages(ctx), sizeof(struct page *), GFP_KERNEL_ACCOUNT);
	ctx->slot_pages = kvcalloc(gs_nr_slot_pages(ctx), sizeof(struct page *),
				   GFP_KERNEL_ACCOUNT);
	ctx->procs = kvcalloc(ctx->max_procs, sizeof(*ctx->procs), GFP_KERNEL_ACCOUNT);
	ctx->idle_ps = bitmap_zalloc(ctx->max_procs, GFP_KERNEL_ACCOUNT);
	if (!ctx->shared_page || !ctx->m_pages || !ctx->slot_pages || !ctx->procs ||
	    !ctx->idle_ps || gs_setup_enq_pages(ctx))
		return -ENOMEM;
	ctx->shared = page_address(ctx->shared_page);
	return gs_procs_set(ctx, nr_procs);
}

static int gs_setup_locked(struct gs_ctx *ctx, struct gsched_setup *s)
{
	int err;

	if (ctx->ready)
		return -EBUSY;
	ctx->user = gs_user_charge(current_uid());
	if (IS_ERR(ctx->user)) {
		err = PTR_ERR(ctx->user);
		ctx->user = NULL;
		return err;
	}
	ctx->features = gs_features(s->flags);
	ctx->max_procs = s->max_procs;
	ctx->max_ms = s->max_ms;
	ctx->max_slots = s->max_slots;
	err = gs_setup_alloc(ctx, s->nr_procs);
	if (err) {
		gs_ctx_free_setup(ctx);
		return err;
	}
	/* Pairs with the acquire of whoever finds the context ready. */
	smp_store_release(&ctx->ready, true);
	return 0;
}

/** gs_setup_result - what SETUP will say, if it succeeds. */
void gs_setup_result(void *arg)
{
	struct gsched_setup *s = arg;

	s->first_slot = GS_ENQ_SLOTS;
}

int gs_ioc_setup(struct gs_ctx *ctx, void *arg)
{
	struct gsched_setup *s = arg;
	int err;

	if (!gs_setup_valid(s))
		return -EINVAL;
	mutex_lock(&ctx->admin);
	err = gs_setup_locked(ctx, s);
	mutex_unlock(&ctx->admin);
	return err;
}
