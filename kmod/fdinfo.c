// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/PID/fdinfo/FD of a context: its Ps, Ms, queue depths and counters.
 */
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "gsched.h"

static const char *gs_state_name(u32 state)
{
	static const char * const names[] = {
		[GSCHED_P_IDLE] = "idle",
		[GSCHED_P_RUN] = "run",
		[GSCHED_P_BLOCKED] = "blocked",
		[GSCHED_P_DEAD] = "dead",
	};

	return names[state];
}

/* What the shared page says is user space's word, and shown as such. */
static void gs_show_p(struct seq_file *s, struct gs_ctx *ctx, struct gs_p *p)
{
	struct gsched_proc *sh = p->sh;
	struct gs_wakeup wk;
	u32 state, owner;
	u64 grants;

	gs_lock(ctx, &wk);
	state = p->state;
	if (p->owner && READ_ONCE(p->owner->blk) == GS_BLK_KEPT)
		state = GSCHED_P_BLOCKED;
	owner = p->owner ? p->owner->id : GSCHED_NONE;
	grants = p->grants;
	gs_unlock(ctx, &wk);

	seq_printf(s, "p%u:\tstate=%s m=%d queue=%u runnext=%d inbox=%d steps=%llu grants=%llu readies=%ld\n",
		   p->id, gs_state_name(state), (int)owner,
		   READ_ONCE(sh->tail) - (u32)READ_ONCE(sh->head),
		   !!READ_ONCE(sh->runnext), !!READ_ONCE(sh->inbox),
		   READ_ONCE(sh->steps), grants, atomic_long_read(&p->readies));
}

static void gs_show_ms(struct seq_file *s, struct gs_ctx *ctx)
{
	struct pid_namespace *ns = proc_pid_ns(file_inode(s->file)->i_sb);
	static const char * const names[] = {
		[GS_AWAKE] = "awake",
		[GS_WAITING] = "waiting",
		[GS_HELD] = "held",
		[GS_HOG] = "preempted",
		[GS_LOOSE] = "loose",
		[GS_IDLE] = "idle",
	};
	struct gs_m *m;
	unsigned long id;

	rcu_read_lock();
	xa_for_each(&ctx->ms, id, m)
		seq_printf(s, "m%u:\ttid=%d p=%d state=%s\n", m->id,
			   task_pid_nr_ns(m->task, ns), (int)READ_ONCE(m->sh->proc),
			   names[READ_ONCE(m->sleep)]);
	rcu_read_unlock();
}

static void gs_show_ctx(struct seq_file *s, struct gs_ctx *ctx)
{
	struct gs_wakeup wk;
	u64 wakes, idles, timeouts, spawns;
	u64 handoffs, holds, held_ns, preempts, deferred, waived, ticks, tick_ns;
	u32 procs, idle_ps, idle_ms, waiting_ms, hogs;

	gs_lock(ctx, &wk);
	procs = ctx->nr_procs;
	idle_ps = ctx->nr_idle;
	idle_ms = ctx->nr_idle_ms;
	waiting_ms = ctx->nr_waiting_ms;
	hogs = ctx->nr_hogs;
	handoffs = ctx->nr_handoffs;
	holds = ctx->nr_holds;
	held_ns = ctx->nr_held_ns;
	preempts = ctx->nr_preempts;
	deferred = ctx->nr_deferred;
	waived = ctx->nr_waived;
	ticks = ctx->nr_ticks;
	tick_ns = ctx->nr_tick_ns;
	wakes = ctx->nr_wakes;
	idles = ctx->nr_idles;
	timeouts = ctx->nr_timeouts;
	spawns = ctx->nr_spawns;
	gs_unlock(ctx, &wk);

	seq_printf(s, "procs:\t%u idle=%u\n", procs, idle_ps);
	seq_printf(s, "ms:\t%u idle=%u waiting=%u preempted=%u max=%u\n", READ_ONCE(ctx->nr_ms),
		   idle_ms, waiting_ms, hogs, ctx->max_ms);
	seq_printf(s, "slots:\t%u max=%u\n", READ_ONCE(ctx->nr_slots), ctx->max_slots);
	seq_printf(s, "spinning:\t%u\n", READ_ONCE(ctx->shared->nr_spinning));
	seq_printf(s, "global:\t%u\n", READ_ONCE(ctx->shared->global_len));
	seq_printf(s, "counters:\twakes=%llu idles=%llu timeouts=%llu spawns=%llu\n",
		   wakes, idles, timeouts, spawns);
	seq_printf(s, "handoffs:\t%llu\nholds:\t%llu ns=%llu waived=%llu\n", handoffs, holds,
		   held_ns, waived);
	seq_printf(s, "preempts:\t%llu deferred=%llu ticks=%llu tick_ns=%llu\n", preempts,
		   deferred, ticks, tick_ns);
}

/**
 * gs_show_fdinfo - fill /proc/PID/fdinfo/FD
 * @s:    what is read
 * @file: the context's file
 *
 * Process context of the reader, who may be anybody that procfs lets in.
 */
void gs_show_fdinfo(struct seq_file *s, struct file *file)
{
	struct gs_ctx *ctx = file->private_data;
	u32 i, nr;

	if (!smp_load_acquire(&ctx->ready))	/* pairs with the end of SETUP */
		return;
	gs_show_ctx(s, ctx);
	nr = smp_load_acquire(&ctx->nr_alloc);	/* pairs with gs_procs_set */
	for (i = 0; i < nr; i++)
		gs_show_p(s, ctx, ctx->procs[i]);
	gs_show_ms(s, ctx);
}
