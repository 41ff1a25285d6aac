/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Private header of the gsched module: objects, lifetimes and locks.
 *
 * OBJECTS
 *
 * struct gs_ctx   a context. Referenced by its open file and by each M; the last
 *                 reference frees it from a work item, since freeing sleeps.
 * struct gs_p     a P. Made by SETUP and SET_PROCS, freed with the context, so a
 *                 pointer to one needs no reference beside the context's.
 * struct gs_m     an M. Made by M_REGISTER; it ends by M_UNREGISTER, at exec, or
 *                 at TASK_DEAD. Memory and task reference go one RCU grace period
 *                 later: who found an M under the context's lock may wake it after
 *                 dropping the lock, if it was in an RCU read section throughout.
 * struct gs_slot  a registered descriptor (fd.c).
 *
 * LOCKS, in the order in which they nest
 *
 * 1. ctx->admin (mutex): SETUP, SET_PROCS, the making and removing of Ms. Held
 *    over allocations. Exists so that ranges and counts are checked once.
 * 2. ctx->fd_lock (mutex): the tables of slots. Never held over vfs_poll() or
 *    fput(), which run foreign code. Not nested with admin.
 * 3. wait queue locks of foreign files; our callback runs under them, as may be
 *    signals' and sockets' locks above.
 * 4. rq lock: only in the sense that the sched_out notifier runs under it.
 * 5. ctx->lock (raw spinlock, interrupts off): who holds which P, who sleeps, the
 *    tick. Taken under 3 and 4 and in hard interrupts, so nothing is woken under
 *    it: gs_lock() / gs_unlock() collect the one M and the spawner that are to be
 *    woken and wake them after the unlock; the notifier, which may wake nobody at
 *    all, uses an irq_work.
 * 6. hrtimer base locks: the tick is started under 5.
 *
 * ctx->enq_lock guards the pool of ENQUEUE's nodes and nests with nothing. gs_users_lock
 * guards the table of users and nests in 1.
 *
 * WHO PROTECTS WHAT
 *
 * field                     written under         read under
 * ctx->nr_procs             admin and lock        either, or acquire
 * ctx->nr_alloc             admin (release)       admin, or acquire
 * ctx->procs[i]             admin, before         after nr_alloc (acquire)
 *                           nr_alloc (release)
 * ctx->nr_idle, idle_ps     lock                  lock, or READ_ONCE as a hint
 * ctx->idle_ms, waiting_ms, lock                  lock; their lengths READ_ONCE
 *  hogs, loose_ms                                 as a hint
 * ctx->tick_*, orphans,     lock                  lock, or READ_ONCE as a hint
 *  futile
 * ctx->user                 SETUP                 after ctx->ready (acquire)
 * ctx->dead                 lock                  lock, or READ_ONCE as a hint
 * ctx->ms, nr_ms            admin                 admin, RCU
 * p->owner, p->state        lock                  lock, or READ_ONCE as a hint
 * m->p, m->sleep            lock                  lock; m->p by the M itself, to
 *                                                 whom it may be lost when it blocks
 *                                                 or at an interrupt while it is
 *                                                 outside of sections
 * m->blk                    see block.c           the same
 * m->owed, preempted        lock, by the M or     lock, or the M itself
 *                           the granter
 * m->parked                 the M                  the M, in its notifiers too
 * p->claim, granted_at,     lock                  lock
 *  slice_end, share_at,
 *  m->claim
 * p->seen_steps, moved_at   lock, by the tick     lock
 *
 * SHARED PAGES
 *
 * Words that user space can write are read with READ_ONCE, once, and bounded.
 * They decide whom to wake or in which inbox to push, never what memory to
 * touch beyond that bound, and no loop's length.
 */
#ifndef GS_GSCHED_H
#define GS_GSCHED_H

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <linux/gsched.h>

#define GS_ENQ_SLOTS	128U		/* 256 nodes for ENQUEUE */
#define GS_PER_PAGE(t)	(PAGE_SIZE / sizeof(t))

struct gs_m;
struct gs_user;
struct seq_file;

/**
 * struct gs_claim - somebody's claim to a P: a held M's, or that of a P's own queue
 * @since:	when the waiting began, ns; 0: it does not wait
 * @left:	what is left of a slice that was cut short, ns; 0: a new one
 */
struct gs_claim {
	u64 since;
	u64 left;
};

/**
 * struct gs_p - a P
 * @sh:		its shared page
 * @page:	the same
 * @owner:	the M that holds it, NULL: idle or dead
 * @id:		its number
 * @state:	GSCHED_P_*, the kernel's copy
 * @claim:	that of the Gs in its queue, while its owner has a G of its own
 * @runner:	its owner runs what is in the queue: the slice is the queue's
 * @granted_at:	when its owner got it
 * @slice_end:	when its owner's slice is over
 * @share_at:	when hogs that wait may have it: then, or earlier if its owner came for a
 *		timer only
 * @seen_steps:	its count of steps when the tick looked last
 * @moved_at:	when the tick saw that change
 * @grants:	how often an M got it
 * @readies:	how many Gs were pushed into its inbox
 */
struct gs_p {
	struct gsched_proc *sh;
	struct page *page;
	struct gs_m *owner;
	u32 id;
	u32 state;
	struct gs_claim claim;
	bool runner;
	u64 granted_at;
	u64 slice_end;
	u64 share_at;
	u64 seen_steps;
	u64 moved_at;
	u64 grants;
	atomic_long_t readies;
};

enum gs_sleep {
	GS_AWAKE,
	GS_WAITING,		/* in ACQUIRE, on ctx->waiting_ms */
	GS_HELD,		/* held after a block, on ctx->waiting_ms */
	GS_HOG,			/* held after a preemption, on ctx->hogs */
	GS_LOOSE,		/* let go without a P by a hold, on ctx->loose_ms */
	GS_IDLE,		/* in IDLE, on ctx->idle_ms */
};

/* Why a running owner should lose its P. */
enum gs_why {
	GS_KEEP,
	GS_PREEMPT_WAKE,	/* for what has just become able to run */
	GS_PREEMPT_SLICE,	/* its slice is over and others wait */
	GS_PREEMPT_RETIRE,	/* there are too many Ps */
};

/* m->blk, see block.c */
enum gs_blk {
	GS_BLK_NO,		/* not blocked, or blocked without a P */
	GS_BLK_KEPT,		/* blocked with its P, which may be taken */
	GS_BLK_TAKEN,		/* blocked, and its P was taken */
};

/**
 * struct gs_m - an M
 * @pn:		the scheduler's notifier; also how an ioctl finds its M
 * @ctx:	the context, referenced
 * @task:	the thread, referenced
 * @sh:		its shared words
 * @p:		the P it holds, or NULL
 * @sleep:	what it sleeps in
 * @list:	in one of the context's lists, as @sleep says
 * @blk:	enum gs_blk
 * @parked:	about to sleep, or asleep, in one of our own waits
 * @owed:	it lost its P and must not run in user mode before it has one
 * @preempted:	it lost it to a preemption
 * @kicked:	its next sched_in shall see whether its P is wanted
 * @claim:	while it is held
 * @hold_armed:	bit 0: @hold_work is queued
 * @hold_work:	holds it, on return to user mode
 * @kick_busy:	bit 0: @kick_csd is on its way
 * @kick_csd:	asks its CPU to see whether its P is wanted
 * @lost_at:	when it lost its P
 * @deadline:	while it is idle: when it wakes up by itself, 0: never
 * @reason:	why IDLE ends, set together with @p
 * @last_p:	the P it held last: likely to be warm
 * @id:		its number
 * @stale:	exec has happened, @exec_work is queued
 * @cpus:	scratch for gs_sync_owners
 * @wake_queued: bit 0: in ctx->wake_list
 * @wake_node:	the entry there
 * @dead_node:	in ctx->dead_list
 * @exec_work:	unregisters the M after exec
 * @ref:	registration, and membership in ctx->wake_list
 * @free_work:	frees it after a grace period
 */
struct gs_m {
	struct preempt_notifier pn;
	struct gs_ctx *ctx;
	struct task_struct *task;
	struct gsched_m *sh;
	struct gs_p *p;
	enum gs_sleep sleep;
	struct list_head list;
	u32 blk;
	bool parked;
	bool owed;
	bool preempted;
	bool kicked;
	struct gs_claim claim;
	unsigned long hold_armed;
	struct callback_head hold_work;
	unsigned long kick_busy;
	call_single_data_t kick_csd;
	u64 lost_at;
	u64 deadline;
	u32 reason;
	u32 last_p;
	u32 id;
	bool stale;
	cpumask_var_t cpus;

	unsigned long wake_queued;
	struct llist_node wake_node;
	struct llist_node dead_node;
	struct callback_head exec_work;
	struct kref ref;
	struct rcu_work free_work;
};

/**
 * struct gs_ctx - a context; the table above says who protects what
 * @ref:	the open file, and each M
 * @free_work:	frees it
 * @mm:		the owner's address space; pinned, so that it stays unique
 * @tgid:	the owner's thread group
 * @files:	the descriptor table that opened it; compared, never followed
 * @user:	whose quota it counts in, once it is set up
 * @admin:	lock 1 above
 * @ready:	SETUP is done; stored with release
 * @features:	GSCHED_FEAT_* in force here
 * @max_procs:	limits given by SETUP
 * @max_ms:	the same
 * @max_slots:	the same
 * @shared:	the words that the whole context shares
 * @shared_page: their page
 * @m_pages:	pages of struct gsched_m; each stored with release
 * @slot_pages:	pages of struct gsched_slot; each stored with release
 * @ms:		number -> M
 * @nr_ms:	how many
 * @cpus:	scratch for gs_sync_owners, under @admin
 * @lock:	lock 5 above
 * @dead:	the owner has closed it
 * @nr_procs:	GOMAXPROCS
 * @nr_alloc:	how many Ps there are; those from @nr_procs on are dead, or about to be
 * @nr_idle:	how many of them are idle
 * @procs:	the Ps
 * @idle_ps:	which are idle
 * @idle_ms:	Ms in IDLE, the last to come first
 * @waiting_ms:	Ms that wait for a P after a block or in ACQUIRE, first come first
 * @hogs:	Ms that were preempted: with the rest of a slice at the head, else at
 *		the tail
 * @loose_ms:	Ms without a P that a hold has let go
 * @nr_idle_ms:	length of @idle_ms
 * @nr_waiting_ms: length of @waiting_ms
 * @nr_hogs:	length of @hogs
 * @nr_loose:	length of @loose_ms
 * @queues_turn: of a held M and fresh work, the M was served last
 * @aged_turn:	one that has waited for a slice was served before fresh ones last
 * @slice:	ns
 * @min_run:	ns
 * @spawner:	the thread in SPAWNER, or NULL; under @lock
 * @spawn_wanted: it shall return
 * @spawn_busy:	it was asked, and no M has come yet
 * @spawn_after: after a failure it is not asked before this time
 * @cap_told:	it was told that there can be no more Ms
 * @spawn_reason: GSCHED_SPAWN_*
 * @tick:	the tick
 * @tick_at:	what its timer is set to, 0: it is not
 * @tick_said:	it looks by then, unless @tick_turn; 0: never
 * @tick_last:	when it looked last
 * @tick_on:	it looks every @min_run
 * @tick_empty:	looks in a row that saw nothing to do
 * @tick_scan:	where the look for Ms that must stop goes on
 * @tick_turn:	its user's share of the CPU is used up; @tick_at is its turn
 * @tick_cost:	how long the next look is expected to take, or the last one took, ns
 * @orphans:	the tick saw work in a dead P
 * @futile:	searches for a blocked owner on events, since the tick looked last, that
 *		found none
 * @nr_wakes:	how many idle Ms were given a P to look for work
 * @nr_idles:	how many times an M went idle
 * @nr_timeouts: how many of them ended at their deadline
 * @nr_spawns:	how many times the spawner was asked
 * @nr_handoffs: how many Ps were taken from blocked owners
 * @nr_holds:	how many times an M had to wait for a P on its way to user mode
 * @nr_held_ns:	for how long, together
 * @nr_preempts: how many Ps were taken from running owners
 * @nr_deferred: how many times a section kept an owner from that
 * @nr_waived:	how many times a traced M was let go without a P
 * @nr_ticks:	how many times the tick has looked
 * @nr_tick_ns:	how long that took, together
 * @wake_list:	Ms that @irq_work shall wake
 * @dead_list:	Ms whose threads have died, for @reap_work
 * @irq_work:	what the sched_out notifier leaves to an interrupt
 * @reap_work:	gs_m_reap
 * @enq_lock:	the pool of ENQUEUE's nodes
 * @enq_next:	where to look for a free one
 * @fd_lock:	lock 2 above
 * @fds:	descriptor number -> slot that watches a file
 * @slots:	number -> slot
 * @nr_slots:	how many
 * @slots_linked: free numbers below it may still be linked in an inbox
 * @sweep_next:	where the sweep goes on
 * @sweep_turn:	not before this time, ns
 * @sweep:	gs_sweep
 */
struct gs_ctx {
	struct kref ref;
	struct work_struct free_work;

	struct mm_struct *mm;
	struct pid *tgid;
	struct files_struct *files;
	struct gs_user *user;

	struct mutex admin;		/* lock 1 above */
	bool ready;
	u64 features;
	u32 max_procs;
	u32 max_ms;
	u32 max_slots;
	struct gsched_shared *shared;
	struct page *shared_page;
	struct page **m_pages;
	struct page **slot_pages;
	struct xarray ms;
	u32 nr_ms;
	cpumask_var_t cpus;

	raw_spinlock_t lock;		/* lock 5 above */
	bool dead;
	u32 nr_procs;
	u32 nr_alloc;
	u32 nr_idle;
	struct gs_p **procs;
	unsigned long *idle_ps;
	struct list_head idle_ms;
	struct list_head waiting_ms;
	struct list_head hogs;
	struct list_head loose_ms;
	u32 nr_idle_ms;
	u32 nr_waiting_ms;
	u32 nr_hogs;
	u32 nr_loose;
	bool queues_turn;
	bool aged_turn;
	u64 slice;
	u64 min_run;

	struct hrtimer tick;
	u64 tick_at;
	u64 tick_said;
	u64 tick_last;
	bool tick_on;
	u32 tick_empty;
	unsigned long tick_scan;
	bool tick_turn;
	u64 tick_cost;
	bool orphans;
	u32 futile;

	struct task_struct *spawner;
	bool spawn_wanted;
	bool spawn_busy;
	u64 spawn_after;
	bool cap_told;
	u32 spawn_reason;

	u64 nr_wakes;
	u64 nr_idles;
	u64 nr_timeouts;
	u64 nr_spawns;
	u64 nr_handoffs;
	u64 nr_holds;
	u64 nr_held_ns;
	u64 nr_preempts;
	u64 nr_deferred;
	u64 nr_waived;
	u64 nr_ticks;
	u64 nr_tick_ns;

	struct llist_head wake_list;
	struct llist_head dead_list;
	struct irq_work irq_work;
	struct work_struct reap_work;

	spinlock_t enq_lock;		/* the pool of ENQUEUE's nodes */
	u32 enq_next;

	struct mutex fd_lock;		/* lock 2 above */
	struct xarray fds;
	struct xarray slots;
	u32 nr_slots;
	u32 slots_linked;
	u32 sweep_next;
	atomic64_t sweep_turn;
	struct delayed_work sweep;
};

/**
 * struct gs_wakeup - whom to wake after the context's lock is dropped
 * @flags:	saved interrupt state
 * @m:		an M that has got a P
 * @spawner:	the spawner
 */
struct gs_wakeup {
	unsigned long flags;
	struct gs_m *m;
	struct task_struct *spawner;
};

/** gs_queue_has_work - does a P's run queue hold a G? A hint. */
static inline bool gs_queue_has_work(struct gs_p *p)
{
	struct gsched_proc *sh = p->sh;

	return READ_ONCE(sh->runnext) || (u32)READ_ONCE(sh->head) != READ_ONCE(sh->tail);
}

/** gs_p_has_work - does a P's page show work? A hint. */
static inline bool gs_p_has_work(struct gs_p *p)
{
	return READ_ONCE(p->sh->inbox) || gs_queue_has_work(p);
}

/** gs_may_spawn - can another M be asked for? A hint without the lock. */
static inline bool gs_may_spawn(struct gs_ctx *ctx)
{
	return !READ_ONCE(ctx->spawn_busy) &&
	       (READ_ONCE(ctx->nr_ms) < ctx->max_ms || !READ_ONCE(ctx->cap_told));
}

extern struct workqueue_struct *gs_wq;
extern const struct file_operations gs_fops;

/* context.c */
struct gs_ctx *gs_ctx_open(void);
void gs_ctx_get(struct gs_ctx *ctx);
void gs_ctx_put(struct gs_ctx *ctx);
void gs_ctx_shutdown(struct gs_ctx *ctx);
bool gs_ctx_is_mine(struct gs_ctx *ctx);
struct page *gs_shared_page_alloc(void);
int gs_ioc_query(struct gs_ctx *ctx, void *arg);
int gs_ioc_setup(struct gs_ctx *ctx, void *arg);
void gs_setup_result(void *arg);

/* user.c */
struct gs_user *gs_user_charge(kuid_t uid);
void gs_user_uncharge(struct gs_user *user);
bool gs_user_charge_slot(struct gs_user *user);
void gs_user_uncharge_slot(struct gs_user *user);
u64 gs_user_tick_turn(struct gs_user *user, u64 now, u64 cost);
void gs_user_tick_settle(struct gs_user *user, s64 more);
u64 gs_user_sweep_turn(struct gs_user *user, u64 now, u64 cost);
void gs_user_init(void);
void gs_user_exit(void);

/* wake.c */
void gs_lock(struct gs_ctx *ctx, struct gs_wakeup *wk);
void gs_unlock(struct gs_ctx *ctx, struct gs_wakeup *wk);
void gs_unlock_deferred(struct gs_ctx *ctx, struct gs_wakeup *wk);
void gs_wake_later(struct gs_ctx *ctx, struct gs_m *m);
void gs_deferred_wakeups(struct gs_ctx *ctx);
void gs_spinning_inc(struct gs_ctx *ctx);
void gs_spawner_tell(struct gs_ctx *ctx, u32 reason, struct gs_wakeup *wk);
bool gs_spawn(struct gs_ctx *ctx, struct gs_wakeup *wk);
void gs_spawn_spare(struct gs_ctx *ctx, struct gs_wakeup *wk);
void gs_spawn_failed(struct gs_ctx *ctx);
bool gs_wake_one(struct gs_ctx *ctx, u32 prefer, struct gs_wakeup *wk);
int gs_ioc_wake(struct gs_ctx *ctx, void *arg);

/* proc.c */
int gs_procs_set(struct gs_ctx *ctx, u32 n);
void gs_procs_free(struct gs_ctx *ctx);
void gs_p_set_dead(struct gs_p *p);
u64 gs_slice_left(struct gs_p *p, u64 now);
struct gs_p *gs_p_take_idle(struct gs_ctx *ctx, u32 prefer);
struct gs_p *gs_p_take_free(struct gs_ctx *ctx, u32 prefer);
void gs_m_enqueue(struct gs_ctx *ctx, struct gs_m *m, enum gs_sleep sleep);
void gs_m_dequeue(struct gs_ctx *ctx, struct gs_m *m);
void gs_p_grant(struct gs_ctx *ctx, struct gs_p *p, struct gs_m *m);
void gs_p_take(struct gs_ctx *ctx, struct gs_m *m);
void gs_p_begin(struct gs_p *p);
struct gs_p *gs_p_pass(struct gs_ctx *ctx, struct gs_m *m, struct gs_wakeup *wk);
void gs_p_release(struct gs_ctx *ctx, struct gs_m *m, struct gs_wakeup *wk);
struct gs_p *gs_proc(struct gs_ctx *ctx, u32 id);
int gs_ioc_set_procs(struct gs_ctx *ctx, void *arg);
int gs_ioc_times(struct gs_ctx *ctx, void *arg);

/* pick.c */
bool gs_has_work(struct gs_ctx *ctx);
bool gs_fresh_work(struct gs_ctx *ctx, struct gs_p *p, u64 now);
struct gs_m *gs_pick_held(struct gs_ctx *ctx, u64 now);
struct gs_m *gs_pick_released(struct gs_ctx *ctx, struct gs_p *p, u64 now);
struct gs_m *gs_pick(struct gs_ctx *ctx, struct gs_p *p, u64 now);
void gs_p_give(struct gs_ctx *ctx, struct gs_p *p, struct gs_m *m, struct gs_wakeup *wk);

/* block.c */
void gs_block(struct gs_m *m);
void gs_unblock(struct gs_m *m);
bool gs_p_steal(struct gs_ctx *ctx, struct gs_p *p);
bool gs_p_bury(struct gs_ctx *ctx, struct gs_p *p);
void gs_section_resumes(struct gs_m *m);
u32 gs_nr_blocked(struct gs_ctx *ctx);

/* hold.c */
int gs_hold_init(void);
u64 gs_hold_features(void);
int gs_task_work_add(struct callback_head *work);
void gs_hold_arm(struct gs_m *m);
bool gs_stop_wanted(struct task_struct *task);
bool gs_hold_waived(struct gs_m *m, u64 now);
void gs_hold_init_m(struct gs_m *m);

/* tick.c */
void gs_tick_init(struct gs_ctx *ctx);
void gs_tick_stop(struct gs_ctx *ctx);
void gs_tick_start(struct gs_ctx *ctx);
void gs_tick_by(struct gs_ctx *ctx, u64 when);

/* preempt.c */
void gs_preempt_init_m(struct gs_m *m);
enum gs_why gs_preempt_why(struct gs_ctx *ctx, struct gs_p *p, u64 now);
void gs_preempt(struct gs_m *m);
bool gs_kick_begin(struct gs_m *m);
void gs_kick(struct gs_m *m);

/* m.c */
struct gs_m *gs_m_of_thread(void);
struct gs_m *gs_m_current(struct gs_ctx *ctx);
void gs_m_put(struct gs_m *m);
void gs_m_reap(struct work_struct *work);
int gs_ioc_m_register(struct gs_ctx *ctx, void *arg);
int gs_ioc_m_unregister(struct gs_ctx *ctx, void *arg);
bool gs_thread_is_m(void);

/* park.c */
void gs_sync_owners(struct gs_ctx *ctx, struct cpumask *cpus, struct gs_m *self);
void gs_recheck(struct gs_ctx *ctx, struct cpumask *cpus, struct gs_m *self);
int gs_ioc_acquire(struct gs_ctx *ctx, void *arg);
int gs_ioc_release(struct gs_ctx *ctx, void *arg);
int gs_ioc_idle(struct gs_ctx *ctx, void *arg);
int gs_idle_undo(struct gs_ctx *ctx, void *arg);
int gs_ioc_spawner(struct gs_ctx *ctx, void *arg);
int gs_spawner_undo(struct gs_ctx *ctx, void *arg);

/* inbox.c */
struct gsched_node *gs_node(struct gs_ctx *ctx, u32 node);
void gs_node_ready(struct gs_ctx *ctx, u32 node, struct gsched_node *sh);
int gs_ioc_enqueue(struct gs_ctx *ctx, void *arg);

/* fd.c */
void gs_fd_init(struct gs_ctx *ctx);
void gs_fd_close_all(struct gs_ctx *ctx);
void gs_fd_destroy(struct gs_ctx *ctx);
int gs_ioc_fd_register(struct gs_ctx *ctx, void *arg);
int gs_ioc_fd_unregister(struct gs_ctx *ctx, void *arg);

/* mmap.c, stack.c */
int gs_mmap(struct file *file, struct vm_area_struct *vma);
int gs_stack_mmap(struct vm_area_struct *vma, u32 shift);
int gs_stack_init(void);
void gs_stack_exit(void);

/* fdinfo.c */
void gs_show_fdinfo(struct seq_file *m, struct file *file);

#endif /* GS_GSCHED_H */
