/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * sched.h: what the parts of the library see of the scheduler.
 *
 * Objects
 *
 * G    a goroutine; struct g stands at the top of its own stack slot.
 * M    a thread that runs Gs; struct m in the library, struct gsched_m shared
 *      with the kernel.
 * P    the right to run Gs, with run queue, inbox, timers and free lists; struct
 *      gsched_proc shared with the kernel, the library's part in its @user bytes.
 *
 * Sections
 *
 * All code that touches a P, a run queue or a runtime lock runs inside a section:
 * sec_enter() .. sec_leave(). In a section the thread's P cannot be taken. Hence:
 * inside a section there is no libc call that may lock or block (malloc, stdio,
 * getenv ..), no user callback, no sleeping system call but the backend's own,
 * and no fault that may sleep for long. park() and the switch leave one G's
 * section and go on in another's: a section may begin in one G and end in another.
 * park() is called at nesting depth one.
 *
 * Outside of a section the kernel may take the P at any instruction, and keep the
 * thread from user mode until it has another; meanwhile other Gs run. The G stays
 * where it is: it leaves its M at its own calls only. So what belongs to the thread
 * or to the G (m_self(), m_g(), a pthread mutex, malloc's lock) is good outside of
 * sections, too; what belongs to the P is not, and nothing may wait there by
 * spinning for another thread that needs a P.
 *
 * Runtime locks (struct rt_lock) are held inside sections only (threads that are
 * no Ms have none and need none): all Ms that want the lock of one that has lost its
 * P would wait for it, holding theirs. Order: an object's lock (channel, mutex, fd) ->
 * timer heap lock -> global queue lock -> the backend's lock. Two object locks are
 * never held at once, but for a condition's and then its mutex's, a timer channel's
 * (chan_timer.c), and those of a select's channels, in order of address (select.c).
 */
#ifndef GS_SCHED_H
#define GS_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/gsched.h>

#include "gsched.h"
#include "m.h"

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define barrier()	asm volatile("" ::: "memory")

/* States, as traces and dumps name them. */
enum g_state {
	G_RUNNABLE,
	G_EXECUTING,
	G_WAITING,
	G_SYSCALL,
	G_DEAD,
};

enum wait_reason {
	WAIT_NONE,
	WAIT_SLEEP,
	WAIT_CHAN_SEND,
	WAIT_CHAN_RECV,
	WAIT_MUTEX,
	WAIT_GROUP,
	WAIT_FD_READ,
	WAIT_FD_WRITE,
	WAIT_SELECT,
	WAIT_JOIN,
	WAIT_READ_LOCK,
	WAIT_WRITE_LOCK,
	WAIT_COND,
	WAIT_SEM,
	WAIT_ONCE,
};

/* -------------------------------------------------------------- the runtime */

struct backend;

struct runtime {
	const struct backend *backend;
	struct gsched_shared *shared;
	struct gsched_proc *procs;	/* [max_procs] */
	struct gsched_slot *slots;	/* [max_slots] */
	struct gsched_m *ms;		/* [ever registered] */
	uint32_t max_procs;
	uint32_t seen_procs;		/* Ps that exist or ever did */
	uint32_t cpus;			/* that the process may use */
	uint32_t features;		/* GS_FEAT_* in force */
	bool membarrier;		/* the kernel can interrupt all our CPUs */
	int64_t clock_offset;		/* the kernel's clock minus gs_now()'s */
};

extern struct runtime rt;

/** m_proc - the P that @m holds. In a section. */
static inline struct gsched_proc *m_proc(struct m *m)
{
	return rt.procs + __atomic_load_n(&m->shared->proc, __ATOMIC_RELAXED);
}

extern bool rt_stopping;

static inline bool stopping(void)
{
	return __atomic_load_n(&rt_stopping, __ATOMIC_RELAXED);
}

void g_too_late(void);

/**
 * call_begin - a call that may come through without a section begins
 *
 * While the runtime ends a goroutine ends here. Outside of sections.
 */
static inline void call_begin(void)
{
	if (unlikely(stopping()))
		g_too_late();
}

/* ---------------------------------------------------------------- sections */

/* What sec_leave looks for: the P is wanted by others. */
#define ATTN_STOP	(1U << 17)	/* the runtime ends; set for all Ps, for ever */
#define ATTN_LEAVE	(GSCHED_ATTN_PREEMPT | GSCHED_ATTN_HELD | GSCHED_ATTN_RETIRE | ATTN_STOP)

/* Of these the first wants another G to run here, the others want the P. */
#define ATTN_GIVE_UP	(ATTN_LEAVE & ~GSCHED_ATTN_PREEMPT)

void sec_acquire(struct m *m);
void sec_attention(struct m *m);

void foreign_enter(void);
void foreign_leave(void);

/** sec_enter_m - sec_enter, but nothing has begun if there is no M. */
static inline struct m *sec_enter_m(void)
{
	struct m *m = m_self();

	if (unlikely(!m))
		return NULL;
	/*
	 * A plain add: the kernel looks at it on this CPU only. The barrier keeps
	 * what the section does behind it.
	 */
	__atomic_store_n(&m->shared->in_sched, m->shared->in_sched + 1, __ATOMIC_RELAXED);
	barrier();
	if (unlikely(__atomic_load_n(&m->shared->proc, __ATOMIC_RELAXED) == GSCHED_NONE))
		sec_acquire(m);
	return m;
}

/**
 * sec_enter - begin a section
 *
 * On a thread that is no M it keeps the runtime, and with it all stacks, from going
 * away until sec_leave(); runtime.c says how. Return: the M, or NULL.
 */
static inline struct m *sec_enter(void)
{
	struct m *m = sec_enter_m();

	if (unlikely(!m))
		foreign_enter();
	return m;
}

/* Ends a section without looking whether others want the P. */
static inline void sec_leave_quiet(struct m *m)
{
	barrier();
	__atomic_store_n(&m->shared->in_sched, m->shared->in_sched - 1, __ATOMIC_RELAXED);
}

/** sec_leave - end a section; @m: sec_enter's, or the M that park returned. */
static inline void sec_leave(struct m *m)
{
	struct gsched_proc *p;

	if (unlikely(!m)) {
		foreign_leave();
		return;
	}
	p = m_proc(m);
	sec_leave_quiet(m);
	barrier();
	/*
	 * From here on the P may be another M's: then its bits are read for
	 * nothing. Bits that are set later come with a preemption by the kernel.
	 */
	if (unlikely(__atomic_load_n(&p->attention, __ATOMIC_RELAXED) & ATTN_LEAVE))
		sec_attention(m);
}

/** g_self - the calling goroutine, or NULL. */
static inline struct g *g_self(void)
{
	struct m *m = m_self();

	return m ? m_g(m) : NULL;
}

/* ------------------------------------------------------------ runtime locks */

/* Zero is unlocked. Spins for a bounded time, then sleeps on a futex. */
struct rt_lock {
	uint32_t word;
};

void rt_lock(struct rt_lock *l);
void rt_unlock(struct rt_lock *l);

/* ------------------------------------------------------------- park and ready */

/**
 * park - stop running the calling G until somebody makes it ready
 * @m:      the M (in a section)
 * @commit: run after the G's stack has been left, on another stack, still in the
 *          section: from the moment it publishes the G, the G may run elsewhere.
 *          If it returns false the G goes on at once.
 * @arg:    passed to @commit; may point into the G's stack, but after publishing
 *          the G @commit must not touch it
 * @why:    for traces and dumps
 *
 * Return: the M that the G goes on in, in a section.
 */
struct m *park(struct m *m, bool (*commit)(struct g *g, void *arg), void *arg,
	       enum wait_reason why);

/** park_unlock - park; commit is rt_unlock(@l). */
struct m *park_unlock(struct m *m, struct rt_lock *l, enum wait_reason why);

/**
 * ready - make a parked G runnable
 * @m: the caller's M in a section, NULL on any other thread
 * @g: a G whose park has been committed, published by the object that the caller
 *     took it from; each park takes exactly one ready
 *
 * With an M the G becomes its P's runnext (the former runnext goes to the queue's
 * tail); without, it goes to the global queue. Wakes an idle P if nobody looks for
 * work and the P has more than it can do at once.
 */
void ready(struct m *m, struct g *g);

/** ready_tail - as ready, at the queue's tail: for Gs that should not jump ahead. */
void ready_tail(struct m *m, struct g *g);

/* ------------------------------------------------------------------- timers */

/*
 * A timer lives in its user's memory. @fn runs in a section, on a scheduler or
 * goroutine stack of any M (@m is that M); it may take an object lock and call
 * ready(), and must not park or start a timer. With a @period it runs at @when and then
 * every @period ns, but for the times that have passed before anybody came to run it,
 * or while it still runs for the last one; else once. Zero is a timer at rest. Whoever
 * has started a timer calls timer_stop before its memory goes away, even if @fn
 * has run: it may not have returned yet. Starts and stops of one timer by several
 * threads are its user's to keep apart.
 */
struct timer {
	int64_t when;
	int64_t period;
	void (*fn)(struct m *m, struct timer *t);
	void *arg;
	uint32_t place;		/* in the heap */
	uint32_t state;		/* the timer code's */
	void *heap;		/* where it is queued */
};

/**
 * timer_start - arm @t for @t->when on the M's P; for a G that parks next
 *
 * In a section. Return: 0, -ENOMEM.
 */
int timer_start(struct m *m, struct timer *t);

/**
 * timer_start_apart - arm @t; for a G that goes on, perhaps for long, and for threads
 *                     that are no Ms (@m NULL): its P, or P 0, which is always there
 *
 * Return: 0, -ENOMEM.
 */
int timer_start_apart(struct m *m, struct timer *t);

/**
 * timer_stop - disarm. In a section, no lock held that any timer's @fn takes: those that
 *              are due are run one after the other.
 *
 * Return: true: @fn was to run (periodic: again), and will not. False: it has run, or
 * was not armed. If it is running now, this waits until it has returned, so @t may be
 * reused in either case.
 */
bool timer_stop(struct m *m, struct timer *t);

/* ------------------------------------------------------------------ backends */

/*
 * What the scheduler needs of the kernel, by the module or by epoll and futex.
 * Slow paths only. "With P": the M holds one when the call is made or returns.
 * All return 0 or -errno; -ESHUTDOWN once stop has been called.
 */
struct backend {
	const char *name;

	/* Make nr Ps and the stack arena; fill in rt. */
	int (*start)(uint32_t nr_procs);
	/* Wake all who sleep here, for ever. Any thread. */
	void (*stop)(void);
	/* Undo start; nobody uses the backend any more. */
	void (*cleanup)(void);
	/* In a child after fork(): close and unmap what it has of all that. */
	void (*forked)(void);
	int (*set_procs)(uint32_t n);

	int (*m_register)(struct m *m);		/* sets m->shared; without P */
	void (*m_unregister)(struct m *m);	/* gives a P up */
	int (*acquire)(struct m *m);		/* until with P */
	/* Give the P up, and see to it that others use it. In a section. */
	int (*release)(struct m *m);
	/*
	 * Give the P up, if there is one, sleep until woken or @deadline (gs_now()
	 * clock, 0: none) or the next_when of any P, return with P; *@reason:
	 * GSCHED_IDLE_*. -ETIME: too many are idle, the M is to end; without P.
	 */
	int (*idle)(struct m *m, int64_t deadline, uint32_t *reason);
	int (*wake)(void);			/* any thread; -EAGAIN: nobody was woken */
	/*
	 * A P is idle: would all the same nobody see an event, or the first timer's time?
	 * A hint, but never wrong while nobody comes or goes. NULL: the kernel sees them.
	 */
	bool (*unwatched)(void);
	int (*spawner)(bool failed);		/* sleep until an M is missing */
	int (*set_times)(uint64_t slice, uint64_t min_run);	/* NULL: no preemption */

	/* Watch a descriptor; node words as <linux/gsched.h> says. Any thread. */
	int (*fd_register)(int fd, uint32_t *slot);
	int (*fd_unregister)(uint32_t slot);
	/*
	 * Look for events without sleeping, at most once in @interval ns (NULL: they
	 * come by themselves). In a section, with P; what is found is in its inbox.
	 */
	void (*poll)(struct m *m, int64_t interval);
};

extern const struct backend module_backend, epoll_backend;

/** g_proc_hint - the P that @m holds: for gsched_node.proc. In a section. */
static inline uint32_t g_proc_hint(struct m *m)
{
	return __atomic_load_n(&m->shared->proc, __ATOMIC_RELAXED);
}

/** node_ready - exchange a node's word with READY, as the kernel does on
 *  readiness, and make the G that was there ready. */
void node_ready(struct m *m, uint32_t node);

/** fatal - "gsched: fatal: ..." with the calling goroutine's number and name; abort. */
void fatal(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif /* GS_SCHED_H */
