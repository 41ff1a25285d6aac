// SPDX-License-Identifier: GPL-2.0
/*
 * Hold: an M that has lost its P waits for one before it returns to user mode.
 *
 * m->owed says that the M has lost its P and must not run in user mode without one.
 * It is set when the P is gone (sched_in after a block, a preemption, a signal that
 * ended ACQUIRE or IDLE), and each grant clears it. Whoever sets it, and every
 * sched_in that finds it set, arms the hold: a task_work, which runs on the way to
 * user mode and sleeps until somebody grants a P.
 *
 * STOPS
 *
 * The sleep is killable, not interruptible: an interruptible one would end at once
 * for any signal, and the signal is not delivered before the hold has ended. So a
 * signal with a handler waits for the P like the rest of the M. But job control, a
 * tracer, or a freezer must be able to stop an M that is held (who has the P may be
 * stopped already), and none of them wakes a killable sleeper. The tick does, and
 * the hold then lets the M go without a P, into the signal code, where it stops. The
 * sched_in after the stop arms the hold again. If it did not stop after all (the
 * signal was ignored, the tracer let go), it is on ctx->loose_ms, and the tick sends
 * it an interrupt that arms the hold.
 *
 * OTHER WORK
 *
 * Task works run last in, first out. What was queued before ours (the end of a file,
 * hence of a connection; io_uring's completions) must not wait for a P: if there is
 * any, ours queues up anew and lets it run first.
 *
 * THE LADDER
 *
 * task_work_add() is exported by Debian's kernels only. The parameter "hold" says how
 * to find it: "export", "kprobe" (a probe that is never hit tells the address), or
 * "none": hand-off only, no hold and no preemption. "auto" is the first that works.
 * The call is a static call, that is a direct one: on a kernel with IBT the address
 * that a probe tells lies past the ENDBR at which indirect calls must land, which may
 * even have been sealed.
 */
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/signal.h>
#include <linux/static_call.h>
#include <linux/task_work.h>

#include "delay.h"
#include "gsched.h"
#include "trace.h"

/* How long a traced M is held: whoever has the P may be stopped by the same tracer. */
#define GS_TRACED_NS	(100 * NSEC_PER_MSEC)

static char *hold = "auto";
module_param(hold, charp, 0444);
MODULE_PARM_DESC(hold, "how to find task_work_add: auto, export, kprobe, none");

typedef int (*gs_task_work_add_t)(struct task_struct *, struct callback_head *,
				  enum task_work_notify_mode);

static int gs_no_task_work(struct task_struct *task, struct callback_head *work,
			   enum task_work_notify_mode notify)
{
	return -EOPNOTSUPP;
}

DEFINE_STATIC_CALL(gs_task_work_add, gs_no_task_work);
static bool gs_hold_works;

static gs_task_work_add_t gs_find_export(void)
{
	return (gs_task_work_add_t)__symbol_get("task_work_add");
}

static gs_task_work_add_t gs_find_kprobe(void)
{
	struct kprobe kp = { .symbol_name = "task_work_add" };
	unsigned long addr;

	if (register_kprobe(&kp))
		return NULL;
	addr = (unsigned long)kp.addr;
	unregister_kprobe(&kp);
	return (gs_task_work_add_t)addr;
}

/**
 * gs_hold_init - find task_work_add as the module parameter says
 *
 * Return: 0, -EINVAL for an unknown word, -ENOENT if the way asked for fails.
 */
int gs_hold_init(void)
{
	bool any = !strcmp(hold, "auto");
	gs_task_work_add_t add = NULL;

	if (!strcmp(hold, "none"))
		return 0;
	if (!any && strcmp(hold, "export") && strcmp(hold, "kprobe"))
		return -EINVAL;
	if (any || !strcmp(hold, "export"))
		add = gs_find_export();
	if (!add && (any || !strcmp(hold, "kprobe")))
		add = gs_find_kprobe();
	if (!add)
		return any ? 0 : -ENOENT;
	static_call_update(gs_task_work_add, add);
	gs_hold_works = true;
	return 0;
}

/** gs_hold_features - the features that depend on the hold, if there is one. */
u64 gs_hold_features(void)
{
	return gs_hold_works ? GSCHED_FEAT_HOLD | GSCHED_FEAT_PREEMPT : 0;
}

/**
 * gs_task_work_add - run a work in the calling thread on its way to user mode
 * @work: the work
 *
 * Any context in which current is the thread. Return: 0, -ESRCH if it is past that,
 * -EOPNOTSUPP.
 */
int gs_task_work_add(struct callback_head *work)
{
	return static_call(gs_task_work_add)(current, work, TWA_RESUME);
}

/* ------------------------------------------------------------------- stops */

/* The signals that stop are all in the first word. */
static unsigned long gs_pending_stops(struct task_struct *task)
{
	unsigned long set;

	/* Without the signal lock: whoever adds one comes by again with the tick. */
	set = data_race(task->pending.signal.sig[0] |
			task->signal->shared_pending.signal.sig[0]);
	/* As above. */
	set &= ~data_race(task->blocked.sig[0]);
	return set & SIG_KERNEL_STOP_MASK;
}

/**
 * gs_stop_wanted - must a thread be let go, so that it can stop?
 * @task: the thread
 *
 * Any context; the thread is referenced. A hint, on the side of yes: a pending stop
 * signal may have a handler.
 */
bool gs_stop_wanted(struct task_struct *task)
{
	if (READ_ONCE(task->jobctl) & (JOBCTL_PENDING_MASK | JOBCTL_TRAP_FREEZE))
		return true;
	if (!test_tsk_thread_flag(task, TIF_SIGPENDING))
		return false;
	if (READ_ONCE(task->ptrace))
		return true;
	return gs_pending_stops(task);
}

/* For the caller itself it is known whether the signal has a handler. */
static bool gs_must_stop(void)
{
	/* A thread's own cannot go away. */
	struct sighand_struct *hand = rcu_dereference_protected(current->sighand, true);
	unsigned long stops;
	int sig;

	if (!gs_stop_wanted(current))
		return false;
	if ((READ_ONCE(current->jobctl) & (JOBCTL_PENDING_MASK | JOBCTL_TRAP_FREEZE)) ||
	    READ_ONCE(current->ptrace))
		return true;
	stops = gs_pending_stops(current);
	for (sig = 1; stops; sig++, stops >>= 1)
		if ((stops & 1) && READ_ONCE(hand->action[sig - 1].sa.sa_handler) == SIG_DFL)
			return true;
	return false;
}

/* ---------------------------------------------------------------- the hold */

static bool gs_hold_over(struct gs_m *m)
{
	if (READ_ONCE(m->ctx->dead) || (current->flags & PF_EXITING) ||
	    current->mm != m->ctx->mm)
		return true;
	/* A signal's bit comes before its wake-up: who misses the one has the other. */
	return data_race(fatal_signal_pending(current));
}

/**
 * gs_hold_waived - is an M traced, and was held for so long that it goes on without a P?
 * @m:   the M
 * @now: the time
 *
 * Until it gets a P again, at some later hold.
 */
bool gs_hold_waived(struct gs_m *m, u64 now)
{
	return READ_ONCE(m->task->ptrace) && now > m->lost_at + GS_TRACED_NS;
}

/* Return: true: the M is queued up for a P. */
static bool gs_hold_start(struct gs_ctx *ctx, struct gs_m *m)
{
	struct gs_wakeup wk;
	struct gs_p *p = NULL;
	bool queued = false;

	gs_lock(ctx, &wk);
	if (m->owed) {
		gs_m_enqueue(ctx, m, m->preempted ? GS_HOG : GS_HELD);
		/* Listed first, so that who blocks now sees the M: (D) of block.c */
		p = gs_p_take_free(ctx, m->last_p);
		if (p)
			gs_p_grant(ctx, p, m);
		queued = !p;
	}
	if (queued) {
		ctx->nr_holds++;
		gs_tick_start(ctx);
	}
	gs_unlock(ctx, &wk);
	return queued;
}

static void gs_hold_sleep(struct gs_m *m)
{
	for (;;) {
		set_current_state(TASK_KILLABLE | TASK_NOLOAD | TASK_FREEZABLE);
		if (READ_ONCE(m->p) || gs_hold_over(m) || gs_must_stop() ||
		    gs_hold_waived(m, ktime_get_mono_fast_ns()))
			break;
		GS_DELAY(GS_DELAY_PARK);
		schedule();
	}
	__set_current_state(TASK_RUNNING);
}

/* A grant is never dropped; without one the M is loose, but for one that ends. */
static void gs_hold_end(struct gs_ctx *ctx, struct gs_m *m)
{
	u64 now = ktime_get_mono_fast_ns(), waited = now - m->lost_at;
	struct gs_wakeup wk;

	gs_lock(ctx, &wk);
	ctx->nr_held_ns += waited;
	if (m->p) {
		gs_p_begin(m->p);
	} else if (gs_hold_over(m)) {
		gs_m_dequeue(ctx, m);
		WRITE_ONCE(m->owed, false);
	} else {
		gs_m_enqueue(ctx, m, GS_LOOSE);
		ctx->nr_waived += gs_hold_waived(m, now);
		gs_tick_start(ctx);
	}
	gs_unlock(ctx, &wk);
	trace_gsched_hold(m, waited);
}

static void gs_hold_wait(struct gs_m *m)
{
	struct gs_ctx *ctx = m->ctx;

	if (gs_hold_over(m))
		return;
	GS_DELAY(GS_DELAY_HOLD);
	WRITE_ONCE(m->parked, true);
	if (gs_hold_start(ctx, m)) {
		gs_hold_sleep(m);
		gs_hold_end(ctx, m);
	}
	WRITE_ONCE(m->parked, false);
}

static void gs_hold(struct callback_head *work)
{
	struct gs_m *m = container_of(work, struct gs_m, hold_work);
	bool others = work->next || READ_ONCE(current->task_works);

	clear_bit(0, &m->hold_armed);
	/* It may have been unregistered since. */
	if (gs_m_of_thread() == m) {
		if (others)
			gs_hold_arm(m);
		else
			gs_hold_wait(m);
	}
	gs_m_put(m);
}

/**
 * gs_hold_arm - the calling M is owed a P: hold it before it returns to user mode
 * @m: the M
 *
 * Process context, the sched_in notifier, or a hard interrupt on the M's CPU.
 */
void gs_hold_arm(struct gs_m *m)
{
	if (!(m->ctx->features & GSCHED_FEAT_HOLD) || test_and_set_bit(0, &m->hold_armed))
		return;
	kref_get(&m->ref);
	/* It fails in a thread that is past exit_task_work: that is never in user mode. */
	if (gs_task_work_add(&m->hold_work)) {
		clear_bit(0, &m->hold_armed);
		gs_m_put(m);
	}
}

/** gs_hold_init_m - make a new M ready to be held. */
void gs_hold_init_m(struct gs_m *m)
{
	init_task_work(&m->hold_work, gs_hold);
}
