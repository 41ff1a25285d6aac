/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * runq.h: a P's run queue: a ring of 256 Gs and runnext, the G to run before it.
 *
 * Only the owner adds (at the tail); the owner and thieves take (at the head).
 * Almost always nobody steals, so the owner's usual take must not contain a locked
 * instruction. A queue is therefore in one of two modes, kept in the high half of
 * @head so that a compare-and-swap checks mode and index in one:
 *
 *   EXCL    the owner takes by plain loads and stores, nobody else takes;
 *   SHARED  everybody takes by compare-and-swap.
 *
 * Thieves switch a queue to SHARED, its owner back to EXCL when it has seen no
 * thief for a while.
 *
 * From EXCL to SHARED
 *
 *   owner                              thief
 *   -----                              -----
 *   steps = odd                        thieves++
 *   (compiler barrier)                 attention |= SHARE
 *   load attention, head          (T)  membarrier: a full barrier on every CPU
 *   SHARE or SHARED? use CAS           that runs a thread of ours
 *   else plain load and store     load steps: wait until it is even or has changed
 *   (release) steps = even             CAS head: EXCL|i -> SHARED|i
 *
 * The CPU may load attention before its store of steps is visible. (T) rules out
 * that this matters: a bracket whose store of steps comes before the thief's
 * barrier is seen as odd by the thief, which waits for its end; a bracket whose
 * store comes after it loads attention after it too, sees SHARE, and keeps to CAS.
 * So when the CAS changes the mode no plain take is going on, and none begins.
 * An owner that was descheduled in a bracket keeps steps odd for long; the thief
 * then gives up and leaves SHARE set, for the next thief to find.
 *
 * From SHARED to EXCL
 *
 *   owner, in a bracket                thief
 *   -------------------                -----
 *   attention &= ~SHARE                thieves++              (T2: locked)
 *   CAS head: SHARED|i -> EXCL|i       load head: SHARED? take by CAS
 *         (O2: locked)                 EXCL? the protocol above
 *   load thieves: not 0? undo          thieves--
 *
 * O2 and T2 are full barriers: either the owner sees the thief and goes back to
 * SHARED, or the thief's load of head, and whatever it does to attention, comes
 * after O2, and it sees EXCL. Without the count a thief that had found the mode
 * SHARED could still take runnext, whose word holds no mode, under a plain owner.
 *
 * Without membarrier (an old kernel, seccomp) an owner makes its queue SHARED in its
 * first look around, and it stays so.
 */
#ifndef GS_RUNQ_H
#define GS_RUNQ_H

#include "p.h"

#define RUNQ_SHARED	(1ULL << 32)		/* in head */
#define ATTN_SHARE	(1U << 16)		/* in attention */
#define RUNQ_HALF	(GSCHED_RING_SIZE / 2)
#define RUNNEXT_LIMIT	64			/* picks of runnext in a row */

static inline void runq_begin(struct gsched_proc *p)
{
	__atomic_store_n(&p->steps, p->steps + 1, __ATOMIC_RELAXED);
	barrier();
}

static inline void runq_end(struct gsched_proc *p)
{
	__atomic_store_n(&p->steps, p->steps + 1, __ATOMIC_RELEASE);
}

/*
 * runq_end_push - the end of a bracket in which no G was looked for
 *
 * It is no scheduling step, so the kernel, which takes the P from owners that make
 * none, shall not see one: @steps is as before. A thief that waits for the bracket's
 * end may take the next bracket for the same one, and gives up a little later.
 */
static inline void runq_end_push(struct gsched_proc *p)
{
	__atomic_store_n(&p->steps, p->steps - 1, __ATOMIC_RELEASE);
}

/* runq_exclusive - may the owner use plain loads and stores? In a bracket. */
static inline bool runq_exclusive(struct gsched_proc *p)
{
	return !((__atomic_load_n(&p->attention, __ATOMIC_RELAXED) & ATTN_SHARE) |
		 (__atomic_load_n(&p->head, __ATOMIC_RELAXED) >> 32));
}

/* runq_quiet - exclusive, and nothing else has attention either? In a bracket. */
static inline bool runq_quiet(struct gsched_proc *p)
{
	return !(__atomic_load_n(&p->attention, __ATOMIC_RELAXED) |
		 (__atomic_load_n(&p->head, __ATOMIC_RELAXED) >> 32));
}

static inline struct g *runq_entry(struct gsched_proc *p, uint32_t i)
{
	return (struct g *)(uintptr_t)__atomic_load_n(&p->ring[i % GSCHED_RING_SIZE],
						      __ATOMIC_RELAXED);
}

static inline void runq_set_entry(struct gsched_proc *p, uint32_t i, struct g *g)
{
	__atomic_store_n(&p->ring[i % GSCHED_RING_SIZE], (uintptr_t)g, __ATOMIC_RELAXED);
}

/*
 * runq_pop_plain - the owner's take while the queue is exclusive; in a bracket
 *
 * runnext comes first, but not for ever: two Gs that make each other ready must
 * not keep the queue waiting.
 */
static inline struct g *runq_pop_plain(struct gsched_proc *p)
{
	struct g *g = (struct g *)(uintptr_t)__atomic_load_n(&p->runnext, __ATOMIC_RELAXED);
	uint32_t h = (uint32_t)__atomic_load_n(&p->head, __ATOMIC_RELAXED);
	bool empty = h == __atomic_load_n(&p->tail, __ATOMIC_RELAXED);

	if (g && (empty || p_local(p)->next_runs < RUNNEXT_LIMIT)) {
		p_local(p)->next_runs++;
		__atomic_store_n(&p->runnext, 0, __ATOMIC_RELAXED);
		return g;
	}
	p_local(p)->next_runs = 0;
	if (empty)
		return NULL;
	g = runq_entry(p, h);
	__atomic_store_n(&p->head, h + 1, __ATOMIC_RELAXED);
	g_prefetch(runq_entry(p, h + 1));
	return g;
}

/* runq_push - the owner adds @g at the tail. Return: false: the ring is full. */
static inline bool runq_push(struct gsched_proc *p, struct g *g)
{
	uint32_t t = __atomic_load_n(&p->tail, __ATOMIC_RELAXED);
	uint32_t h = (uint32_t)__atomic_load_n(&p->head, __ATOMIC_ACQUIRE);

	if (unlikely(t - h >= GSCHED_RING_SIZE))
		return false;
	runq_set_entry(p, t, g);
	/* Pairs with the thieves' acquire: who sees the tail sees entry and G. */
	__atomic_store_n(&p->tail, t + 1, __ATOMIC_RELEASE);
	return true;
}

static inline uint32_t runq_len(struct gsched_proc *p)
{
	uint32_t h = (uint32_t)__atomic_load_n(&p->head, __ATOMIC_RELAXED);
	uint32_t n = __atomic_load_n(&p->tail, __ATOMIC_ACQUIRE) - h;

	/* The head may have passed the tail that was read before. */
	return n <= GSCHED_RING_SIZE ? n : 0;
}

/* runq_has_work - a hint on another P's queue; exact for one's own. */
static inline bool runq_has_work(struct gsched_proc *p)
{
	return runq_len(p) || __atomic_load_n(&p->runnext, __ATOMIC_RELAXED);
}

struct g *runq_pop(struct gsched_proc *p);
struct g *runq_set_next(struct gsched_proc *p, struct g *g);
uint32_t runq_take_half(struct gsched_proc *p, struct g **batch);
void runq_rotate(struct gsched_proc *p, uint32_t n);
void runq_calm(struct gsched_proc *p);
void runq_share_all(struct gsched_proc *except);
uint32_t runq_grab(struct gsched_proc *from, struct g **batch, bool next_too);
struct g *runq_steal(struct gsched_proc *to, struct gsched_proc *from, bool next_too);

#endif /* GS_RUNQ_H */
