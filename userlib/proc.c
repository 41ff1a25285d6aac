// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * proc.c: Gs start, run, wait, become runnable, and end.
 *
 * A G that stops running switches straight to the next one. Whatever makes it
 * visible to others again (into a queue, unlocking what it waits for, a free
 * list) is done by the side that runs next, once its stack has been left: before
 * that another M could run it on the stack that is still in use. The M carries the
 * action across the switch (m->left, m->commit). If no G is runnable here the M
 * goes on on its own stack, g0, in m_schedule().
 */
#include <sched.h>

#include "catch.h"
#include "coarse.h"
#include "gfree.h"
#include "group.h"
#include "once.h"
#include "pin.h"
#include "proc.h"
#include "profile.h"
#include "stack.h"

#define ID_BATCH 16

/* ------------------------------------------------------------------ wake-ups */

/*
 * A P can be had, or nobody would notice if this one were kept from what was queued. An M
 * on its own stack keeps it from nobody: it comes to start_tick(), or idles.
 */
static __attribute__((noinline)) void wake_slow(struct m *m)
{
	bool p = p_available() && !__atomic_load_n(&rt.shared->nr_spinning, __ATOMIC_RELAXED);
	bool tick = tick_stopped() && !(m && !m_g(m));

	if (p || tick)
		rt.backend->wake();
}

/**
 * start_tick - a G goes on, for how long nobody knows, and the kernel's tick does not run
 * @m: the M
 *
 * It shall if others wait here, or if a timer is due before the tick looks.
 */
__attribute__((noinline)) void start_tick(struct m *m)
{
	struct gsched_proc *p = m_proc(m);
	uint64_t when = __atomic_load_n(&p->next_when, __ATOMIC_RELAXED);
	uint64_t next = __atomic_load_n(&rt.shared->tick_next, __ATOMIC_RELAXED);

	if (runq_has_work(p) || (when && (!next || when < next)))
		rt.backend->wake();
}

/*
 * wake_idle_inline - work has been queued: set an idle P to it
 *
 * Whoever has pushed and then sees no idle P, or somebody who spins, may leave it
 * at that:
 *
 *   this side                          the side that gives up
 *   push                               nr_idle++, in the backend
 *   (owner: no barrier; others: a      a full barrier on every CPU that runs us,
 *   full one)                          there too
 *   load nr_idle                       look at all queues, there too
 *
 *   push                               nr_spinning--, in find.c
 *   load nr_spinning                   the same barrier, look at all queues
 *
 * An owner that blocks takes no such pains: nr_blocked may be seen too late, and
 * tick_on, too. The kernel's tick makes up for the first, and its last look, a while
 * after it has stored 0 in tick_on, for the second.
 */
static inline __attribute__((always_inline)) void wake_idle_inline(struct m *m)
{
	if (unlikely(!rt.membarrier))
		arch_barrier();
	if (unlikely(p_available() || tick_stopped()))
		wake_slow(m);
}

/** wake_idle - wake_idle_inline for others. */
void wake_idle(void)
{
	wake_idle_inline(NULL);
}

/* The ring is full: half of it and @g go to the global queue. */
static __attribute__((noinline)) bool spill(struct gsched_proc *p, struct g *g)
{
	struct g *batch[RUNQ_HALF];
	uint32_t n = runq_take_half(p, batch);
	struct g_list l = { 0 };

	if (!n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		g_list_add(&l, batch[i]);
	g_list_add(&l, g);
	global_put(&l);
	return true;
}

/* queue_tail - put a G at the P's tail. */
static inline void queue_tail(struct m *m, struct g *g)
{
	struct gsched_proc *p = m_proc(m);

	while (unlikely(!runq_push(p, g)))
		if (spill(p, g))
			return;
}

static void queue_next(struct m *m, struct g *g)
{
	struct g *old = runq_set_next(m_proc(m), g);

	if (old)
		queue_tail(m, old);
}

static void set_runnable(struct m *m, struct g *g)
{
	if (m)
		trace(m_proc(m), g, G_RUNNABLE, WAIT_NONE);
	else
		profile(g, G_RUNNABLE);
	__atomic_store_n(&g->state, G_RUNNABLE, __ATOMIC_RELAXED);
}

/**
 * ready_begin - a G becomes runnable
 * @m: the M in a section, or NULL
 * @g: as ready's
 *
 * Return: it is to be queued; if it is pinned that has been done.
 */
inline bool ready_begin(struct m *m, struct g *g)
{
	set_runnable(m, g);
	if (likely(!g->pinned))
		return true;
	pin_ready(g);
	return false;
}

/* When the runtime has ended, or is about to, nobody runs the G any more. */
static void ready_foreign(struct g *g)
{
	struct g_list l = { 0 };

	if (!runtime_runs() || !ready_begin(NULL, g))
		return;
	g_list_add(&l, g);
	global_put(&l);
	/* No P, no membarrier meets us: the barrier is ours. */
	arch_barrier();
	wake_idle();
}

void ready(struct m *m, struct g *g)
{
	if (unlikely(!m)) {
		ready_foreign(g);
		return;
	}
	if (unlikely(!ready_begin(m, g)))
		return;
	queue_next(m, g);
	wake_idle_inline(m);
}

void ready_tail(struct m *m, struct g *g)
{
	if (unlikely(!m)) {
		ready_foreign(g);
		return;
	}
	if (unlikely(!ready_begin(m, g)))
		return;
	queue_tail(m, g);
	wake_idle_inline(m);
}

/* ---------------------------------------------------------------- the switch */

static bool commit_next(struct g *g, void *arg)
{
	struct m *m = m_self();

	(void)arg;
	queue_next(m, g);
	wake_idle_inline(m);
	return true;
}

/* The G that was left, if its action says that it goes on at once. */
static inline struct g *finish_left(struct m *m)
{
	struct g *g = m->left;

	if (!g)
		return NULL;
	m->left = NULL;
	if (likely(!m->commit)) {
		queue_tail(m, g);
		wake_idle_inline(m);
		return NULL;
	}
	return m->commit(g, m->commit_arg) ? NULL : g;
}

static inline void set_executing(struct m *m, struct g *g)
{
	__atomic_store_n(&g->state, G_EXECUTING, __ATOMIC_RELAXED);
	catch_arrive(m, g);
	m_set_g(m, g);
}

static inline void leave_for(struct m *m, struct g *self, bool (*commit)(struct g *, void *),
			     void *arg)
{
	catch_leave(m, self);
	m->left = self;
	m->commit = commit;
	m->commit_arg = arg;
}

/*
 * What a G does first when it goes on: the former one's action. If that fails the
 * former one is next, and this one comes right after it.
 */
static inline __attribute__((always_inline)) struct m *arrive(struct g *self)
{
	for (;;) {
		struct m *m = m_self();
		struct g *back = finish_left(m);

		if (likely(!back)) {
			if (unlikely(tick_stopped()))
				start_tick(m);
			return m;
		}
		__atomic_store_n(&self->state, G_RUNNABLE, __ATOMIC_RELAXED);
		leave_for(m, self, commit_next, NULL);
		set_executing(m, back);
		san_switch(&self->san, &back->san, false);
		arch_switch(&self->ctx, &back->ctx);
		san_switched(&self->san);
	}
}

/* From a G to another; its action has been set. Return: the M it goes on in. */
static inline __attribute__((always_inline)) struct m *
switch_g(struct m *m, struct g *self, struct g *to)
{
	set_executing(m, to);
	san_switch(&self->san, &to->san, false);
	arch_switch(&self->ctx, &to->ctx);
	san_switched(&self->san);
	return arrive(self);
}

/* From a G to its M's own stack. */
static inline __attribute__((always_inline)) struct m *
switch_g0(struct m *m, struct g *self, bool dying)
{
	m_set_g(m, NULL);
	san_switch(&self->san, &m->g0_san, dying);
	arch_switch(&self->ctx, &m->g0);
	san_switched(&self->san);
	return arrive(self);
}

/* From the M's own stack to a G, until some G comes back here. */
static ARCH_SWITCHES void run_g(struct m *m, struct g *g)
{
	set_executing(m, g);
	san_switch(&m->g0_san, &g->san, false);
	arch_switch(&m->g0, &g->ctx);
	san_switched(&m->g0_san);
}

/**
 * m_schedule - run Gs until the runtime stops
 * @m: the M, on its own stack, in a section, with a P
 */
void m_schedule(struct m *m)
{
	struct g *g = NULL;

	while (!stopping()) {
		if (!g)
			g = find_runnable(m);
		if (!g)
			return;
		trace(m_proc(m), g, G_EXECUTING, WAIT_NONE);
		p_local(m_proc(m))->now = coarse_now();
		run_g(m, g);
		g = finish_left(m);
	}
}

/** m_leave - leave the G where it is: the runtime stops. */
ARCH_SWITCHES void m_leave(struct m *m)
{
	m->left = NULL;
	switch_g0(m, m_g(m), true);
	__builtin_unreachable();
}

/* -------------------------------------------------------------- yield and park */

/*
 * pick_next_only - for a G that parks or ends
 *
 * Its object's lock may be held until its stack has been left, so nothing may
 * happen here that takes locks or sleeps: timers, giving the P up. When there is
 * more to do than a look at the queue, g0 does it.
 */
static inline struct g *pick_next_only(struct gsched_proc *p)
{
	struct g *g;

	if (unlikely(__atomic_load_n(&p->attention, __ATOMIC_RELAXED) & ~ATTN_SHARE) ||
	    !p_local(p)->countdown)
		return NULL;
	p_local(p)->countdown--;
	runq_begin(p);
	if (likely(runq_exclusive(p))) {
		g = runq_pop_plain(p);
		runq_end(p);
		return g;
	}
	runq_end(p);
	return runq_pop(p);
}

static inline bool tracing(struct gsched_proc *p)
{
	return __atomic_load_n(&p->attention, __ATOMIC_RELAXED) & ATTN_TRACE;
}

static void trace_yield(struct m *m, struct g *from, struct g *to)
{
	trace(m_proc(m), from, G_RUNNABLE, WAIT_NONE);
	if (to)
		trace(m_proc(m), to, G_EXECUTING, WAIT_NONE);
}

/*
 * A section that encloses this one would go on in another goroutine. Or there is none:
 * a signal handler has jumped out of one.
 */
static inline void check_nesting(struct m *m)
{
	if (unlikely(m->shared->in_sched != 1))
		fatal("a goroutine waits in a nested section; "
		      "did a signal handler call the library, or jump out of it?");
}

static inline __attribute__((always_inline)) struct m *
yield_to(struct m *m, struct g *self, struct g *to, bool (*commit)(struct g *, void *))
{
	__atomic_store_n(&self->state, G_RUNNABLE, __ATOMIC_RELAXED);
	leave_for(m, self, commit, NULL);
	return to ? switch_g(m, self, to) : switch_g0(m, self, false);
}

/* The P is to be given up (g0 does it), or there is more to look at than the queue. */
static ARCH_SWITCHES struct m *yield_slow(struct m *m, bool (*commit)(struct g *, void *))
{
	uint32_t attention = __atomic_load_n(&m_proc(m)->attention, __ATOMIC_RELAXED);
	struct g *self = m_g(m), *g = NULL;

	check_nesting(m);
	if (unlikely(self->pinned))
		return pin_yield(m);
	if (!(attention & ATTN_GIVE_UP)) {
		g = pick_slow(m);
		if (!g)
			g = global_take(m, RUNQ_HALF);
		if (!g)
			return m;
	}
	if (attention & ATTN_TRACE)
		trace_yield(m, self, g);
	return yield_to(m, self, g, commit);
}

/*
 * The usual case must be fast: nothing has attention, nobody steals, it is not the
 * 61st step.
 */
ARCH_SWITCHES void gs_yield(void)
{
	struct m *m = sec_enter_m();
	struct gsched_proc *p;
	struct g *g;

	if (unlikely(!m)) {
		sched_yield();
		return;
	}
	p = m_proc(m);
	runq_begin(p);
	if (unlikely(!runq_quiet(p) || !p_local(p)->countdown || m_g(m)->pinned)) {
		/* A pinned G does not look for another one. */
		if (m_g(m)->pinned)
			runq_end_push(p);
		else
			runq_end(p);
		m = yield_slow(m, NULL);
		sec_leave_quiet(m);
		return;
	}
	p_local(p)->countdown--;
	g = runq_pop_plain(p);
	runq_end(p);
	if (unlikely(!g))
		g = global_take(m, RUNQ_HALF);
	if (likely(g))
		m = yield_to(m, m_g(m), g, NULL);
	/* It had its turn: what attention says now is for the next call. */
	sec_leave_quiet(m);
}

/**
 * g_too_late - the runtime ends: the calling goroutine does not run on
 *
 * Outside sections, by call_begin(). Returns on a thread that runs no goroutine.
 */
void g_too_late(void)
{
	struct m *m = sec_enter_m();

	if (m)
		m_leave(m);
}

/**
 * sec_attention - at the end of a section: the P is wanted
 *
 * The G did not ask to be interrupted. Unless its slice is over it goes on before those
 * that are queued: one that wakes up often must not start at the tail each time.
 */
void sec_attention(struct m *m)
{
	uint32_t attention;

	/* Timers and the scheduler itself have sections on the M's own stack. */
	if (!m_g(m))
		return;
	m = sec_enter();
	attention = __atomic_load_n(&m_proc(m)->attention, __ATOMIC_RELAXED);
	m = yield_slow(m, attention & GSCHED_ATTN_SLICE ? NULL : commit_next);
	sec_leave_quiet(m);
}

/** sec_acquire - a section begins without a P. */
void sec_acquire(struct m *m)
{
	if (rt.backend->acquire(m))
		m_leave(m);
}

ARCH_SWITCHES struct m *park(struct m *m, bool (*commit)(struct g *g, void *arg), void *arg,
			     enum wait_reason why)
{
	struct gsched_proc *p = m_proc(m);
	struct g *self = m_g(m), *g;

	check_nesting(m);
	stack_check(self);
	g = unlikely(self->pinned) ? NULL : pick_next_only(p);
	if (unlikely(tracing(p)))
		trace(p, self, G_WAITING, why);
	/*
	 * A clock is too much for the fast path. Its P's time was right when the P last
	 * looked around or was on g0: not more than 61 steps ago, but a G that computes
	 * for long while others are queued and nobody preempts it makes these long.
	 */
	__atomic_store_n(&self->since, g ? p_local(p)->now : coarse_now(),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&self->why, why, __ATOMIC_RELAXED);
	__atomic_store_n(&self->state, G_WAITING, __ATOMIC_RELAXED);
	if (unlikely(self->pinned))
		return pin_park(m, commit, arg);
	leave_for(m, self, commit, arg);
	return g ? switch_g(m, self, g) : switch_g0(m, self, false);
}

static bool commit_unlock(struct g *g, void *arg)
{
	(void)g;
	rt_unlock(arg);
	return true;
}

struct m *park_unlock(struct m *m, struct rt_lock *l, enum wait_reason why)
{
	return park(m, commit_unlock, l, why);
}

/* ------------------------------------------------------------- birth and death */

static uint64_t next_id = 1;

/* Numbers are given to Ps by the batch. */
static uint64_t new_id(struct m *m)
{
	struct p_local *l;

	if (!m)
		return __atomic_fetch_add(&next_id, 1, __ATOMIC_RELAXED);
	l = p_local(m_proc(m));
	if (l->id == l->id_end) {
		l->id = __atomic_fetch_add(&next_id, ID_BATCH, __ATOMIC_RELAXED);
		l->id_end = l->id + ID_BATCH;
	}
	return l->id++;
}

/** g_ids_reset - for a new runtime. */
void g_ids_reset(void)
{
	next_id = 1;
}

/**
 * g_init - begin a G's next life
 * @m:   the caller's M, or NULL
 * @g:   a dead G
 * @fn:  its function
 * @arg: its argument
 */
void g_init(struct m *m, struct g *g, void (*fn)(void *), void *arg)
{
	arch_ctx_init(&g->ctx, g);
	__atomic_store_n(&g->id, new_id(m), __ATOMIC_RELAXED);
	__atomic_store_n(&g->fn, fn, __ATOMIC_RELAXED);
	g->arg = arg;
	__atomic_store_n(&g->member, NULL, __ATOMIC_RELAXED);
	g->once_runs = NULL;
	g->name[0] = '\0';
	g->has_caught = false;
	san_g_start(&g->san, stack_low(g), g);
}

static bool commit_free(struct g *g, void *arg)
{
	(void)arg;
	gfree_put(m_self(), g);
	return true;
}

static ARCH_SWITCHES __attribute__((noreturn)) void g_end(struct m *m)
{
	struct gsched_proc *p = m_proc(m);
	struct g *self = m_g(m), *g = NULL;

	stack_check(self);
	if (unlikely(self->pinned))
		pin_end(m, self);
	else
		g = pick_next_only(p);
	if (unlikely(tracing(p)))
		trace(p, self, G_DEAD, WAIT_NONE);
	__atomic_store_n(&self->state, G_DEAD, __ATOMIC_RELAXED);
	leave_for(m, self, commit_free, NULL);
	if (g) {
		set_executing(m, g);
		san_switch(&self->san, &g->san, true);
		arch_switch(&self->ctx, &g->ctx);
	} else {
		switch_g0(m, self, true);
	}
	__builtin_unreachable();
}

/** g_start - the first frame of every G; called by arch_entry. */
__attribute__((noreturn, used)) void g_start(void)
{
	struct g *self = m_g(m_self());

	san_switched(&self->san);
	sec_leave(arrive(self));
	self->fn(self->arg);
	gs_goexit();
}

void gs_goexit(void)
{
	struct m *m = sec_enter_m();

	if (!m)
		exit_outside();
	if (unlikely(m_g(m)->once_runs))
		once_abandon(m, m_g(m));
	if (unlikely(m_g(m)->member))
		m = member_leave(m, m_g(m));
	g_end(m);
}
