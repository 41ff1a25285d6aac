// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * runq.c: the run queue's rarer paths: takes by compare-and-swap, stealing, and
 * the change between the modes that runq.h describes.
 */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runq.h"

/* How long a thief waits for an owner that is in a bracket: far more than one takes. */
#define BRACKET_SPINS	1000
/* How long runnext must stay with an owner that makes no step: about 3 us. */
#define RUNNEXT_SPINS	100
/* Looks around without a thief before a queue becomes exclusive again. */
#define CALM_LIMIT	32

static bool head_cas(struct gsched_proc *p, uint64_t *old, uint64_t new)
{
	return __atomic_compare_exchange_n(&p->head, old, new, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static uint64_t head_add(uint64_t head, uint32_t n)
{
	return (head & RUNQ_SHARED) | (uint32_t)(head + n);
}

/* The queue's first; in a bracket, in either mode. */
static struct g *pop_ring(struct gsched_proc *p)
{
	uint64_t h = __atomic_load_n(&p->head, __ATOMIC_ACQUIRE);
	uint32_t t = __atomic_load_n(&p->tail, __ATOMIC_RELAXED);
	struct g *g;

	do {
		if ((uint32_t)h == t)
			return NULL;
		g = runq_entry(p, h);
	} while (!head_cas(p, &h, head_add(h, 1)));
	return g;
}

/* In a bracket. */
static struct g *pop_shared(struct gsched_proc *p)
{
	uint32_t h = (uint32_t)__atomic_load_n(&p->head, __ATOMIC_RELAXED);
	uint32_t t = __atomic_load_n(&p->tail, __ATOMIC_RELAXED);
	struct g *g;

	if (p_local(p)->next_runs < RUNNEXT_LIMIT || h == t) {
		g = (struct g *)(uintptr_t)__atomic_exchange_n(&p->runnext, 0,
							       __ATOMIC_ACQ_REL);
		if (g) {
			p_local(p)->next_runs++;
			return g;
		}
	}
	p_local(p)->next_runs = 0;
	return pop_ring(p);
}

/**
 * runq_pop - the owner takes the next G
 * @p: its P
 *
 * Return: runnext, else the queue's first, else NULL.
 */
struct g *runq_pop(struct gsched_proc *p)
{
	struct g *g;

	runq_begin(p);
	g = runq_exclusive(p) ? runq_pop_plain(p) : pop_shared(p);
	runq_end(p);
	return g;
}

/**
 * runq_set_next - make a G the next to run
 * @p: the caller's P
 * @g: the G
 *
 * Return: the G that was to run next before, or NULL.
 */
struct g *runq_set_next(struct gsched_proc *p, struct g *g)
{
	uint64_t old;

	runq_begin(p);
	if (runq_exclusive(p)) {
		old = __atomic_load_n(&p->runnext, __ATOMIC_RELAXED);
		__atomic_store_n(&p->runnext, (uintptr_t)g, __ATOMIC_RELEASE);
	} else {
		old = __atomic_exchange_n(&p->runnext, (uintptr_t)g, __ATOMIC_ACQ_REL);
	}
	runq_end_push(p);
	return (struct g *)(uintptr_t)old;
}

/**
 * runq_take_half - the owner of a full ring takes its older half out
 * @p:     its P
 * @batch: room for RUNQ_HALF Gs
 *
 * Return: how many: none if thieves made room meanwhile.
 */
uint32_t runq_take_half(struct gsched_proc *p, struct g **batch)
{
	uint32_t t = __atomic_load_n(&p->tail, __ATOMIC_RELAXED);
	uint64_t h;
	uint32_t n = 0;

	runq_begin(p);
	h = __atomic_load_n(&p->head, __ATOMIC_ACQUIRE);
	if (t - (uint32_t)h == GSCHED_RING_SIZE) {
		for (uint32_t i = 0; i < RUNQ_HALF; i++)
			batch[i] = runq_entry(p, (uint32_t)h + i);
		/* A CAS is right in either mode, and this is rare. */
		if (head_cas(p, &h, head_add(h, RUNQ_HALF)))
			n = RUNQ_HALF;
	}
	runq_end_push(p);
	return n;
}

/**
 * runq_rotate - the owner moves the first Gs behind the others
 * @p: its P
 * @n: how many
 */
void runq_rotate(struct gsched_proc *p, uint32_t n)
{
	while (n--) {
		struct g *g;

		runq_begin(p);
		g = pop_ring(p);
		runq_end_push(p);
		/* There is room: for the one that was taken. */
		if (!g || !runq_push(p, g))
			return;
	}
}

/* ------------------------------------------------------------------ thieves */

static void thief_enter(struct gsched_proc *p)
{
	__atomic_fetch_add(&p_local(p)->thieves, 1, __ATOMIC_SEQ_CST);
}

static void thief_leave(struct gsched_proc *p)
{
	__atomic_fetch_sub(&p_local(p)->thieves, 1, __ATOMIC_RELEASE);
}

/* Has every bracket ended that may have begun before SHARE was set? */
static bool bracket_over(struct gsched_proc *p)
{
	uint64_t steps = __atomic_load_n(&p->steps, __ATOMIC_ACQUIRE);

	if (!(steps & 1))
		return true;
	for (int i = 0; i < BRACKET_SPINS; i++) {
		arch_pause();
		if (__atomic_load_n(&p->steps, __ATOMIC_ACQUIRE) != steps)
			return true;
	}
	return false;
}

static void set_shared(struct gsched_proc *p)
{
	uint64_t h = __atomic_load_n(&p->head, __ATOMIC_RELAXED);

	while (!(h & RUNQ_SHARED) && !head_cas(p, &h, h | RUNQ_SHARED))
		;
}

static bool is_shared(struct gsched_proc *p)
{
	return __atomic_load_n(&p->head, __ATOMIC_ACQUIRE) & RUNQ_SHARED;
}

/**
 * runq_share_all - switch the queues that hold work to SHARED
 * @except: the caller's own
 *
 * One barrier on all CPUs serves for all queues. A queue whose owner does not
 * leave its bracket stays as it is.
 */
void runq_share_all(struct gsched_proc *except)
{
	uint64_t marked[GSCHED_MAX_PROCS / 64];
	uint32_t n = seen_procs();
	bool any = false;

	for (uint32_t i = 0; i < n; i++) {
		struct gsched_proc *p = rt.procs + i;

		if (i % 64 == 0)
			marked[i / 64] = 0;
		if (p == except || !rt.membarrier || !runq_has_work(p) || is_shared(p))
			continue;
		thief_enter(p);
		__atomic_fetch_or(&p->attention, ATTN_SHARE, __ATOMIC_SEQ_CST);
		marked[i / 64] |= 1ULL << (i % 64);
		any = true;
	}
	if (!any)
		return;
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	for (uint32_t i = 0; i < n; i++) {
		if (!(marked[i / 64] >> (i % 64) & 1))
			continue;
		if (bracket_over(rt.procs + i))
			set_shared(rt.procs + i);
		thief_leave(rt.procs + i);
	}
}

/* Takes the victim's older half. */
static uint32_t grab_half(struct gsched_proc *from, struct g **batch)
{
	uint64_t h = __atomic_load_n(&from->head, __ATOMIC_ACQUIRE);

	for (;;) {
		uint32_t n = __atomic_load_n(&from->tail, __ATOMIC_ACQUIRE) - (uint32_t)h;

		n -= n / 2;
		if (!n || !(h & RUNQ_SHARED))
			return 0;
		if (n > RUNQ_HALF) {
			/* Head and tail were not of one moment. */
			h = __atomic_load_n(&from->head, __ATOMIC_ACQUIRE);
			continue;
		}
		for (uint32_t i = 0; i < n; i++)
			batch[i] = runq_entry(from, (uint32_t)h + i);
		if (head_cas(from, &h, head_add(h, n)))
			return n;
	}
}

/*
 * An owner that makes steps runs its runnext soon and where its data is; only one
 * that does something else is robbed of it.
 */
static struct g *grab_next(struct gsched_proc *from)
{
	uint64_t g = __atomic_load_n(&from->runnext, __ATOMIC_ACQUIRE);
	uint64_t steps = __atomic_load_n(&from->steps, __ATOMIC_RELAXED);

	if (!g)
		return NULL;
	for (int i = 0; i < RUNNEXT_SPINS; i++) {
		arch_pause();
		if (__atomic_load_n(&from->steps, __ATOMIC_RELAXED) != steps)
			return NULL;
	}
	if (!__atomic_compare_exchange_n(&from->runnext, &g, 0, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return NULL;
	return (struct g *)(uintptr_t)g;
}

/**
 * runq_grab - take half of another P's queue
 * @from:     the victim; nothing is taken from an exclusive queue
 * @batch:    room for RUNQ_HALF Gs
 * @next_too: take runnext if there is nothing else
 *
 * Return: how many.
 */
uint32_t runq_grab(struct gsched_proc *from, struct g **batch, bool next_too)
{
	uint32_t n;

	thief_enter(from);
	n = grab_half(from, batch);
	if (!n && next_too && is_shared(from)) {
		batch[0] = grab_next(from);
		n = !!batch[0];
	}
	thief_leave(from);
	return n;
}

/**
 * runq_steal - take half of another P's queue into one's own
 * @to:       the caller's P, whose ring is at most half full
 * @from:     the victim; nothing is taken from an exclusive queue
 * @next_too: take runnext if there is nothing else
 *
 * Return: one stolen G, to be run now; the others are in @to. NULL: none.
 */
struct g *runq_steal(struct gsched_proc *to, struct gsched_proc *from, bool next_too)
{
	struct g *batch[RUNQ_HALF];
	uint32_t tail = __atomic_load_n(&to->tail, __ATOMIC_RELAXED), n;

	if (!runq_has_work(from))
		return NULL;
	n = runq_grab(from, batch, next_too);
	if (!n)
		return NULL;
	/* The last of the batch is run; the others become visible at once. */
	for (uint32_t i = 0; i < n - 1; i++)
		runq_set_entry(to, tail + i, batch[i]);
	__atomic_store_n(&to->tail, tail + n - 1, __ATOMIC_RELEASE);
	return batch[n - 1];
}

/* ------------------------------------------------------- back to EXCL: owner */

static void make_exclusive(struct gsched_proc *p)
{
	uint64_t h;

	runq_begin(p);
	__atomic_fetch_and(&p->attention, ~ATTN_SHARE, __ATOMIC_SEQ_CST);
	h = __atomic_load_n(&p->head, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&p->head, &h, (uint32_t)h, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	if (__atomic_load_n(&p_local(p)->thieves, __ATOMIC_SEQ_CST))
		set_shared(p);
	runq_end_push(p);
}

/**
 * runq_calm - at a look around: has stealing ceased?
 * @p: the caller's P
 */
void runq_calm(struct gsched_proc *p)
{
	struct p_local *l = p_local(p);

	if (!rt.membarrier)
		set_shared(p);
	if (!rt.membarrier || runq_exclusive(p))
		return;
	if (__atomic_load_n(&rt.shared->nr_idle, __ATOMIC_RELAXED) ||
	    __atomic_load_n(&rt.shared->nr_spinning, __ATOMIC_RELAXED)) {
		l->calm = 0;
		return;
	}
	if (++l->calm < CALM_LIMIT)
		return;
	l->calm = 0;
	make_exclusive(p);
}
