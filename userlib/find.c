// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * find.c: an M looks for a G to run.
 *
 * The order is that of the Go scheduler: now and then the rest of the world first
 * (a look around), else the P's own queue, timers, the global queue, descriptors, other
 * Ps' queues, and if all that is empty the M idles.
 *
 * An M that looks at other Ps' queues spins: shared->nr_spinning counts it, and as
 * long as it is not 0 nobody wakes another M. So that no work is overlooked:
 *
 *   - an M that finds work while it spins, and was the last to, wakes another if
 *     there is more (found_work), or if it was the one that waited for events and
 *     timers and a P is idle: what it has found may compute for long;
 *   - an M that finds none stops spinning before it idles, and the backend looks
 *     at all queues after it has marked the P idle;
 *   - at most half as many Ms spin as Ps are busy.
 */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "coarse.h"
#include "gfree.h"
#include "proc.h"
#include "timer.h"
#include "watch.h"

#define STEAL_ROUNDS	4
#define POLL_INTERVAL	20000		/* ns between looks at descriptors while busy */

static void attn_clear(struct gsched_proc *p, uint32_t bits)
{
	/* Before the look at what they stand for. */
	if (bits)
		__atomic_fetch_and(&p->attention, ~bits, __ATOMIC_SEQ_CST);
}

/** any_work - does any queue or inbox hold a G? A hint without a barrier. */
bool any_work(void)
{
	uint32_t n = seen_procs();

	if (global_len())
		return true;
	for (uint32_t i = 0; i < n; i++)
		if (runq_has_work(rt.procs + i) ||
		    __atomic_load_n(&rt.procs[i].inbox, __ATOMIC_RELAXED))
			return true;
	return false;
}

static void wake_if_work(void)
{
	if (p_available() && (any_work() || unwatched()))
		rt.backend->wake();
}

static void spin_begin(struct m *m)
{
	if (m->spinning)
		return;
	m->spinning = true;
	__atomic_fetch_add(&rt.shared->nr_spinning, 1, __ATOMIC_SEQ_CST);
}

/* Return: whether nobody spins any more. */
static bool spin_end(struct m *m)
{
	m->spinning = false;
	return __atomic_fetch_sub(&rt.shared->nr_spinning, 1, __ATOMIC_SEQ_CST) == 1;
}

/*
 * Others may have pushed and, seeing this M spin, have left it at that; their
 * push may still be in their CPU's store buffer. Only matters while a P can be had, and
 * somebody may have pushed.
 */
static void found_work(struct m *m)
{
	if (!spin_end(m) || !p_available())
		return;
	if (rt.membarrier && !alone())
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	wake_if_work();
}

/* ----------------------------------------------------------------------- idle */

/*
 * How long an M without work waits for some before it idles: about 5 us, which is less than
 * going to sleep and being woken costs, and than the barrier costs the others, on whose CPUs it is.
 */
#define LINGER_SPINS	512		/* pauses */
#define LINGER_RARELY	63		/* so many idle at once between two that try */
#define LINGER_PAUSES	32		/* at most, between looks: these take others' cache lines */

/*
 * Somebody who runs may push; or, where readiness comes by itself, who brings it has a CPU
 * left. A server whose client is about as fast as itself saves a system call for most messages.
 */
static bool may_linger(void)
{
	return !alone() || (!rt.backend->poll &&
			    __atomic_load_n(&rt.shared->nr_procs, __ATOMIC_RELAXED) <
			    __atomic_load_n(&rt.cpus, __ATOMIC_RELAXED));
}

static bool linger_pause(struct m *m)
{
	for (int i = 0, n = 1; i < LINGER_SPINS; i += n) {
		for (int j = 0; j < n; j++)
			arch_pause();
		if (any_work() || __atomic_load_n(&m_proc(m)->attention, __ATOMIC_RELAXED) &
				  ATTN_GIVE_UP)
			return true;
		if (n < LINGER_PAUSES)
			n *= 2;
	}
	return false;
}

/* Whose waits were in vain waits more and more rarely. Return: there is something to do. */
static bool linger(struct m *m)
{
	if (!may_linger())
		return false;
	if (m->linger_skip) {
		m->linger_skip--;
		return false;
	}
	if (linger_pause(m)) {
		m->linger_vain = 0;
		return true;
	}
	m->linger_vain = m->linger_vain < LINGER_RARELY ? 2 * m->linger_vain + 1 : LINGER_RARELY;
	m->linger_skip = m->linger_vain;
	return false;
}

/**
 * m_idle - give the P up and sleep until there may be something to do
 * @m: the M, on its own stack, in a section
 *
 * Afterwards @m has a P, or is leaving. When an M leaves it wakes another (m_main),
 * which takes over the timer that this one may have slept for.
 */
void m_idle(struct m *m)
{
	int64_t deadline = timers_next(), look_again;
	uint32_t reason = 0;
	int err;

	if (m->spinning)
		spin_end(m);
	timers_sleep_begin(deadline);
	look_again = idle_begin();
	if (!look_again || (deadline && deadline < look_again))
		look_again = deadline;
	err = rt.backend->idle(m, look_again, &reason);
	idle_end();
	watch_work();
	timers_sleep_end(deadline);
	m->leaving = err;
	m->spinning = !err && reason == GSCHED_IDLE_WORK;
	/* An owner that gives its P up leaves no work there, unless it is pinned. */
	m->took_over = !err && runq_has_work(m_proc(m));
}

/* -------------------------------------------------------- a P that must retire */

static void queue_to_global(struct m *m)
{
	struct gsched_proc *p = m_proc(m);
	struct g_list l = { 0 };
	struct g *g;

	inbox_drain(m, p);
	while ((g = runq_pop(p)))
		g_list_add(&l, g);
	if (l.n)
		global_put(&l);
}

static bool timers_to_other(struct gsched_proc *p)
{
	return !__atomic_load_n(&p->next_when, __ATOMIC_RELAXED) || !timers_move(p, rt.procs);
}

/*
 * nr_procs fell below this P. If there is no memory to move its timers to P 0 (which
 * never retires) the bit stays set and the next step tries again.
 */
static bool empty_p(struct m *m)
{
	struct gsched_proc *p = m_proc(m);

	if (!timers_to_other(p))
		return false;
	gfree_empty(m);
	queue_to_global(m);
	attn_clear(p, GSCHED_ATTN_RETIRE);
	return true;
}

/* What the kernel left behind when it took a P from an owner that was not here to retire. */
static void rescue_from(struct m *m, struct gsched_proc *p)
{
	struct g *batch[RUNQ_HALF];
	struct g_list l = { 0 };
	uint32_t n;

	if (!runq_has_work(p))
		return;
	runq_share_all(m_proc(m));
	n = runq_grab(p, batch, true);
	for (uint32_t i = 0; i < n; i++)
		g_list_add(&l, batch[i]);
	if (!n)
		return;
	global_put(&l);
	wake_idle();
}

/*
 * Ms that find nothing to do look at dead Ps as at any other, and at inboxes and timers whose
 * owners are blocked. Where nobody ever gets to that, because there can be no more Ms, those with
 * work of their own do it now and then, at one P at a time: there may be a thousand.
 */
static void rescue(struct m *m, int64_t *now)
{
	struct p_local *l = p_local(m_proc(m));
	struct gsched_proc *p;

	if (l->rescue >= seen_procs())
		l->rescue = 0;
	p = rt.procs + l->rescue++;
	if (p == m_proc(m))
		return;
	timers_run(m, p, now);
	inbox_to_global(m, p);
	if (__atomic_load_n(&p->state, __ATOMIC_RELAXED) == GSCHED_P_DEAD)
		rescue_from(m, p);
}

/*
 * Fill up the ring from the global queue, to a half. Return: there is room for events, too.
 *
 * If not they wait where they are, in the order in which they came. In the ring they would
 * push others out into the global queue, which as long as the ring does not get empty has
 * one turn in 61: a descriptor that got there once would hardly ever have its turn again
 * beside as many others as fill the ring.
 */
static bool room_for_events(struct m *m)
{
	struct gsched_proc *p = m_proc(m);
	uint32_t len = runq_len(p);

	if (len < RUNQ_HALF && global_fill(m, RUNQ_HALF - len))
		len = runq_len(p);
	return len < RUNQ_HALF;
}

/* ------------------------------------------------------------------ attention */

#define ATTN_HERE (GSCHED_ATTN_PREEMPT | GSCHED_ATTN_SLICE | GSCHED_ATTN_INBOX | \
		   GSCHED_ATTN_TIMER)

/*
 * @old Gs have waited for their turn, the others in the queue have just become able to
 * run. These come first; but then one of the old ones runs before it is so again.
 */
static void new_before_old(struct gsched_proc *p, uint32_t old)
{
	struct p_local *l = p_local(p);
	uint32_t len = runq_len(p), head = (uint32_t)__atomic_load_n(&p->head, __ATOMIC_RELAXED);

	if (!old || len <= old || l->old_turn - head - 1 <= GSCHED_RING_SIZE)
		return;
	runq_rotate(p, old);
	l->old_turn = head + len + 1;
}

/*
 * The kernel's tick sets TIMER, so that is rare, and steps may be slow. An INBOX comes
 * with every event: there the usual order is good enough, or PREEMPT comes, too.
 */
static void attend(struct m *m, uint32_t bits)
{
	struct gsched_proc *p = m_proc(m);
	bool events = bits & GSCHED_ATTN_INBOX && room_for_events(m);
	uint32_t old = runq_len(p);
	int64_t now = 0;

	if (events)
		inbox_drain(m, p);
	if (bits & GSCHED_ATTN_TIMER) {
		timers_run(m, p, &now);
		new_before_old(p, old);
	}
}

/*
 * On g0, so that no G is stuck with the M while it has no P. For HELD the P goes to an M
 * that has a G in hand; this one has none, so it does not queue for a P behind those,
 * but is idle until the kernel finds that it is the run queue's turn.
 */
static void give_up(struct m *m, uint32_t bits)
{
	if (bits & GSCHED_ATTN_RETIRE) {
		if (empty_p(m))
			m_idle(m);
	} else if (bits & GSCHED_ATTN_HELD) {
		attn_clear(m_proc(m), GSCHED_ATTN_HELD | GSCHED_ATTN_PREEMPT |
				      GSCHED_ATTN_SLICE);
		/* Who sleeps does not look for work; the P may not be idle even then. */
		if (m->spinning)
			found_work(m);
		m_idle(m);
	}
}

static void poll_events(struct m *m)
{
	p_local(m_proc(m))->looked = p_local(m_proc(m))->now;
	if (rt.backend->poll)
		rt.backend->poll(m, POLL_INTERVAL);
}

/*
 * Events that have waited for room for a step of the coarse clock, 17 ms: behind those in the
 * global queue, of which as many as there is room for come into the ring. So each has its
 * turn however long the steps are, and none is pushed out again.
 */
static void events_without_room(struct m *m)
{
	struct gsched_proc *p = m_proc(m);

	poll_events(m);
	inbox_to_global(m, p);
	global_fill(m, GSCHED_RING_SIZE - runq_len(p));
}

/*
 * The 61st step: a P whose own queue never gets empty must not forget the global
 * queue, its inbox, its timers and the descriptors. @events: these next, room or not.
 */
static void look_here(struct m *m, bool events)
{
	struct gsched_proc *p = m_proc(m);
	struct p_local *l = p_local(p);
	int64_t now = 0;

	l->countdown = LOOK_AROUND - 1;
	l->now = coarse_now();
	runq_calm(p);
	if (events || room_for_events(m)) {
		poll_events(m);
		inbox_drain(m, p);
	} else if (l->now != l->looked) {
		events_without_room(m);
	}
	timers_run(m, p, &now);
	rescue(m, &now);
}

static struct g *look_around(struct m *m, bool events)
{
	look_here(m, events);
	return global_take(m, 1);
}

/*
 * The P was taken from a G that did not let others run, perhaps because something
 * woke. The Gs in the queue may be of the same kind.
 */
static struct g *pick_after_hog(struct m *m)
{
	struct gsched_proc *p = m_proc(m);
	uint32_t old = runq_len(p);
	struct g *g;

	m->took_over = false;
	g = look_around(m, true);
	if (g)
		return g;
	new_before_old(p, old);
	return runq_pop(p);
}

/**
 * pick_slow - the next G of the P, when something has attention
 * @m: the M, in a section, no lock held
 *
 * Return: a G, or NULL: the P's queue is empty.
 */
struct g *pick_slow(struct m *m)
{
	struct gsched_proc *p = m_proc(m);
	uint32_t attention = __atomic_load_n(&p->attention, __ATOMIC_RELAXED);
	struct g *g = NULL;

	attn_clear(p, attention & ATTN_HERE);
	if (attention & GSCHED_ATTN_PREEMPT || m->took_over)
		return pick_after_hog(m);
	attend(m, attention);
	if (!p_local(p)->countdown)
		g = look_around(m, false);
	else
		p_local(p)->countdown--;
	return g ? g : runq_pop(p);
}

/**
 * others_wait - does anybody wait for the P of a G that must not be queued itself?
 * @m: the M, in a section, no lock held
 */
bool others_wait(struct m *m)
{
	struct gsched_proc *p = m_proc(m);
	uint32_t attention = __atomic_load_n(&p->attention, __ATOMIC_RELAXED);

	attn_clear(p, attention & ATTN_HERE);
	/* Not from the global queue: the P may go to one that computes. */
	look_here(m, true);
	return attention & ATTN_GIVE_UP || runq_has_work(p) || global_len();
}

/**
 * p_let_go - as far as attention is concerned the P may be given up
 * @m: the M, in a section, no lock held
 */
void p_let_go(struct m *m)
{
	struct gsched_proc *p = m_proc(m);
	uint32_t attention = __atomic_load_n(&p->attention, __ATOMIC_RELAXED);

	if (attention & GSCHED_ATTN_RETIRE)
		empty_p(m);
	attn_clear(p, attention & (GSCHED_ATTN_HELD | GSCHED_ATTN_PREEMPT |
				   GSCHED_ATTN_SLICE));
}

/* -------------------------------------------------------------------- spinning */

static uint32_t rnd(struct m *m)
{
	m->rand = m->rand * 1664525 + 1013904223;
	return m->rand >> 8;
}

static bool may_spin(struct m *m)
{
	uint32_t procs = __atomic_load_n(&rt.shared->nr_procs, __ATOMIC_RELAXED);
	uint32_t idle = __atomic_load_n(&rt.shared->nr_idle, __ATOMIC_RELAXED);
	uint32_t spinning = __atomic_load_n(&rt.shared->nr_spinning, __ATOMIC_RELAXED);

	if (m->spinning)
		return true;
	return seen_procs() > 1 &&
	       2 * spinning < procs - idle;
}

/* -------------------------------------------------------------------- stealing */

static struct g *steal_from(struct m *m, struct gsched_proc *victim, bool last_round)
{
	struct gsched_proc *own = m_proc(m);
	struct g *g = runq_steal(own, victim, last_round);

	if (g)
		return g;
	inbox_drain(m, victim);
	return runq_pop(own);
}

static struct g *steal_round(struct m *m, bool last)
{
	uint32_t n = seen_procs();
	uint32_t first = rnd(m) % n;

	runq_share_all(m_proc(m));
	for (uint32_t i = 0; i < n; i++) {
		struct gsched_proc *victim = rt.procs + (first + i) % n;
		struct g *g;

		if (victim == m_proc(m))
			continue;
		g = steal_from(m, victim, last);
		if (g)
			return g;
	}
	return NULL;
}

static struct g *steal(struct m *m)
{
	struct g *g = NULL;

	if (!may_spin(m))
		return NULL;
	spin_begin(m);
	for (int i = 1; i <= STEAL_ROUNDS && !g && !stopping(); i++)
		g = steal_round(m, i == STEAL_ROUNDS);
	return g;
}

/*
 * Who is alone sleeps for events next, and sees then what is there already; unless he has
 * stacks to trim before.
 */
static struct g *poll_now(struct m *m)
{
	if (!rt.backend->poll || (alone() && !gfree_untrimmed()))
		return NULL;
	rt.backend->poll(m, 0);
	inbox_drain(m, m_proc(m));
	return runq_pop(m_proc(m));
}

static struct g *find_once(struct m *m)
{
	struct g *g;

	give_up(m, __atomic_load_n(&m_proc(m)->attention, __ATOMIC_RELAXED));
	if (stopping() || m->leaving)
		return NULL;
	g = pick_slow(m);
	if (!g && timers_run_all(m))
		g = runq_pop(m_proc(m));
	if (!g)
		g = global_take(m, RUNQ_HALF);
	if (!g) {
		inbox_drain(m, m_proc(m));
		g = runq_pop(m_proc(m));
	}
	if (!g)
		g = poll_now(m);
	return g ? g : steal(m);
}

/**
 * find_runnable - find a G, waiting for one as long as it takes
 * @m: the M, on its own stack
 *
 * Return: the G, or NULL: the M is to end.
 */
struct g *find_runnable(struct m *m)
{
	while (!stopping() && !m->leaving) {
		struct g *g = find_once(m);

		if (g) {
			if (m->spinning)
				found_work(m);
			return g;
		}
		if (!m->leaving && !gfree_trim() && !linger(m))
			m_idle(m);
	}
	if (m->spinning)
		spin_end(m);
	return NULL;
}
