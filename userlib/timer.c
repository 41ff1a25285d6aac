// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * timer.c: a heap of timers per P, four children per entry.
 *
 * A timer is started on the P that the caller holds, stays there, and can be run
 * by any M: the owner of its P looks at every 61st step and before it idles, an M
 * that looks for work looks at all Ps. p->next_when mirrors the heap's top for
 * those who look without the lock; the kernel reads it too.
 *
 * Locks: one per heap; two at once only in timers_move, in order of address. A timer
 * knows its place, and the place its entry, so that taking one out needs no search.
 *
 * States of a timer
 *
 *   REST      in no heap; its user may do anything with it
 *   QUEUED    in the heap t->heap
 *   RUNNING   in no heap, t->fn runs, or will when those taken out before have been
 *             run; the state alone is touched after that
 *   AWAITED   as RUNNING, and timer_stop sleeps on the state
 *   TICKING   periodic: in the heap for its next time, while t->fn runs
 *
 *   from      by                          to
 *   REST      start                       QUEUED
 *   QUEUED    stop                        REST
 *             due, once                   RUNNING
 *             due, periodic               TICKING
 *   TICKING   due                         TICKING: this time is left out
 *             stop                        RUNNING
 *             fn returns                  QUEUED
 *   RUNNING   stop, which then waits      AWAITED
 *             fn returns                  REST
 *   AWAITED   fn returns, and wakes stop  REST
 *
 * t->heap and being in it change under that heap's lock, and so does the state, but
 * for the end of fn: it takes no lock. So TICKING, which becomes QUEUED by that, is
 * left by compare-and-exchange only.
 *
 * A periodic timer stays in its heap, where its next time takes the place of the one
 * that has come: no memory is needed. Times that have passed meanwhile are left out,
 * and so is one that comes while fn still runs: fn never runs twice at once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "futex.h"
#include "proc.h"
#include "timer.h"

enum {
	TIMER_REST,
	TIMER_QUEUED,
	TIMER_RUNNING,
	TIMER_AWAITED,
	TIMER_TICKING,
};

#define HEAP_FIRST	256		/* entries */
#define STOP_SPINS	100
#define RUN_MOST	8		/* timers at once */

/*
 * The earliest time at which some idle M wakes up by itself; 0: not known. A new
 * timer that is due before that needs a wake-up.
 */
static int64_t sleep_until;

static struct gsched_proc *timers_proc(struct timers *ts)
{
	return (struct gsched_proc *)((uintptr_t)ts & ~(sizeof(struct gsched_proc) - 1));
}

static void set_next_when(struct timers *ts)
{
	int64_t when = 0;

	/* Zero says "none", so a time before the epoch is the epoch. */
	if (ts->nr) {
		if (__builtin_add_overflow(ts->heap[0].when, rt.clock_offset, &when))
			when = INT64_MAX;
		if (when < 1)
			when = 1;
	}
	__atomic_store_n(&timers_proc(ts)->next_when, when, __ATOMIC_RELEASE);
}

/* ------------------------------------------------------------------ the heap */

/* What moves. */
struct entry {
	int64_t when;
	uint32_t place;
};

static struct entry heap_get(struct timers *ts, uint32_t i)
{
	return (struct entry){ .when = ts->heap[i].when, .place = ts->heap[i].place };
}

static void heap_set(struct timers *ts, uint32_t i, struct entry e)
{
	ts->heap[i].when = e.when;
	ts->heap[i].place = e.place;
	ts->heap[e.place].pos = i;
}

/* The place of an entry's timer. */
static struct timer_slot *heap_place(struct timers *ts, uint32_t i)
{
	return ts->heap + ts->heap[i].place;
}

static void heap_up(struct timers *ts, uint32_t i, struct entry e)
{
	while (i) {
		uint32_t up = (i - 1) / 4;

		if (ts->heap[up].when <= e.when)
			break;
		heap_set(ts, i, heap_get(ts, up));
		i = up;
	}
	heap_set(ts, i, e);
}

static uint32_t heap_least_child(struct timers *ts, uint32_t i)
{
	uint32_t first = i * 4 + 1, least = first;

	for (uint32_t c = first + 1; c < first + 4 && c < ts->nr; c++)
		if (ts->heap[c].when < ts->heap[least].when)
			least = c;
	return least;
}

static void heap_down(struct timers *ts, uint32_t i, struct entry e)
{
	while (i * 4 + 1 < ts->nr) {
		uint32_t c = heap_least_child(ts, i);

		if (e.when <= ts->heap[c].when)
			break;
		heap_set(ts, i, heap_get(ts, c));
		i = c;
	}
	heap_set(ts, i, e);
}

static void heap_remove(struct timers *ts, uint32_t i)
{
	struct entry last = heap_get(ts, --ts->nr);

	ts->heap[ts->nr].place = ts->heap[i].place;
	if (i == ts->nr)
		return;
	if (i && last.when < ts->heap[(i - 1) / 4].when)
		heap_up(ts, i, last);
	else
		heap_down(ts, i, last);
}

/* Memory comes from the kernel: malloc's lock may be held by a goroutine. */
static int heap_reserve(struct timers *ts, uint32_t room)
{
	uint32_t new_room = ts->room ? ts->room : HEAP_FIRST;
	size_t size = sizeof(struct timer_slot);
	void *heap;

	if (likely(room <= ts->room))
		return 0;
	while (new_room < room)
		new_room *= 2;
	if (ts->room)
		heap = san_mremap(ts->heap, ts->room * size, new_room * size);
	else
		heap = mmap(NULL, new_room * size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (heap == MAP_FAILED)
		return -ENOMEM;
	ts->heap = heap;
	ts->room = new_room;
	return 0;
}

static void heap_add(struct timers *ts, struct timer *t, int64_t when)
{
	uint32_t place = ts->nr == ts->places ? ts->places++ : ts->heap[ts->nr].place;

	t->place = place;
	ts->heap[place].t = t;
	ts->heap[place].periodic = t->period != 0;
	__atomic_store_n(&t->heap, ts, __ATOMIC_RELAXED);
	heap_up(ts, ts->nr++, (struct entry){ .when = when, .place = place });
}

/* ------------------------------------------------------------ start and stop */

/* A P can be had, and all who could take it sleep for longer. */
static bool all_oversleep(int64_t when)
{
	int64_t until = __atomic_load_n(&sleep_until, __ATOMIC_RELAXED);

	return p_available() && (!until || until > when);
}

/*
 * The timer is the first of its heap and everybody sleeps longer: if this M runs a hog
 * nobody would look in time (but the kernel's tick, if there is one).
 *
 *   timer_start                        an M that idles
 *   store next_when                    store sleep_until
 *   full barrier                       full barrier (in backend->idle)
 *   load sleep_until                   load next_when of all Ps (there too)
 */
static void wake_for(int64_t when)
{
	arch_barrier();
	if (all_oversleep(when))
		rt.backend->wake();
}

/* The tick does not run, nor look by the time that the timer is due. */
static bool tick_oversleeps(int64_t when)
{
	uint64_t next = __atomic_load_n(&rt.shared->tick_next, __ATOMIC_RELAXED);

	return tick_stopped() && (!next || when < (int64_t)next - rt.clock_offset);
}

/* As wake_for(). The tick's side of this needs no barrier: it looks once more. */
static void wake_or_tick_for(int64_t when)
{
	arch_barrier();
	if (all_oversleep(when) || tick_oversleeps(when))
		rt.backend->wake();
}

/* Return: 1: @t is the first of @ts, 0: it is not, or -ENOMEM. */
static int enqueue(struct timers *ts, struct timer *t)
{
	int ret;

	rt_lock(&ts->lock);
	ret = heap_reserve(ts, ts->nr + 1);
	if (!ret) {
		__atomic_store_n(&t->state, TIMER_QUEUED, __ATOMIC_RELAXED);
		heap_add(ts, t, t->when);
		ret = ts->heap[t->place].pos == 0;
		if (ret)
			set_next_when(ts);
	}
	rt_unlock(&ts->lock);
	return ret;
}

int timer_start(struct m *m, struct timer *t)
{
	int64_t when = t->when;		/* @t may be gone once it is queued */
	int ret = enqueue(&p_local(m_proc(m))->timers, t);

	if (ret > 0)
		wake_for(when);
	return ret < 0 ? ret : 0;
}

int timer_start_apart(struct m *m, struct timer *t)
{
	struct gsched_proc *p = m ? m_proc(m) : rt.procs;
	int64_t when = t->when;
	int ret = enqueue(&p_local(p)->timers, t);

	if (ret > 0)
		wake_or_tick_for(when);
	return ret < 0 ? ret : 0;
}

static bool queued(uint32_t state)
{
	return state == TIMER_QUEUED || state == TIMER_TICKING;
}

/* Return: false: @t was not in @ts. */
static bool stop_queued(struct timers *ts, struct timer *t)
{
	uint32_t state;
	bool found;

	rt_lock(&ts->lock);
	state = __atomic_load_n(&t->state, __ATOMIC_ACQUIRE);
	found = queued(state) && __atomic_load_n(&t->heap, __ATOMIC_RELAXED) == ts;
	if (found) {
		uint32_t pos = ts->heap[t->place].pos;

		heap_remove(ts, pos);
		if (!pos)
			set_next_when(ts);
		while (!__atomic_compare_exchange_n(&t->state, &state, state == TIMER_QUEUED ?
						    TIMER_REST : TIMER_RUNNING, false,
						    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
			;
	}
	rt_unlock(&ts->lock);
	return found;
}

static void wait_running(struct timer *t)
{
	uint32_t state = TIMER_RUNNING;

	for (int i = 0; i < STOP_SPINS; i++) {
		if (__atomic_load_n(&t->state, __ATOMIC_ACQUIRE) != TIMER_RUNNING)
			break;
		arch_pause();
	}
	__atomic_compare_exchange_n(&t->state, &state, TIMER_AWAITED, false,
				    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&t->state, __ATOMIC_ACQUIRE) == TIMER_AWAITED)
		futex_wait(&t->state, TIMER_AWAITED, 0);
}

bool timer_stop(struct m *m, struct timer *t)
{
	bool stopped = false;

	(void)m;
	for (;;) {
		switch (__atomic_load_n(&t->state, __ATOMIC_ACQUIRE)) {
		case TIMER_REST:
			return stopped;
		case TIMER_QUEUED:
		case TIMER_TICKING:
			/* False: it has just been taken out, or moved to another P. */
			stopped |= stop_queued(__atomic_load_n(&t->heap, __ATOMIC_RELAXED), t);
			break;
		default:
			wait_running(t);
		}
	}
}

/* ----------------------------------------------------------------- run them */

static void run_one(struct m *m, struct timer *t)
{
	uint32_t state;

	t->fn(m, t);
	state = __atomic_load_n(&t->state, __ATOMIC_RELAXED);
	/* The last touch: its user may be waiting to reuse the memory. */
	while (!__atomic_compare_exchange_n(&t->state, &state, state == TIMER_TICKING ?
					    TIMER_QUEUED : TIMER_REST, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	if (state == TIMER_AWAITED)
		futex_wake(&t->state, 1);
}

/* The first time after @now that is a multiple of @period after @when <= @now. */
static int64_t next_tick(int64_t when, int64_t period, int64_t now)
{
	int64_t next = when + (now - when) / period * period;

	return period > INT64_MAX - next ? INT64_MAX : next + period;
}

/* A timer lies on a stack, most of the time, below what is needed to wake its user. */
static void prefetch(const struct timer *t)
{
	for (int line = 0; line < 7; line++)
		__builtin_prefetch((const char *)t + line * 64, 1);
}

/* The heap's first is due. */
static struct timer *take_first(struct timers *ts, int64_t now)
{
	struct timer_slot *place = heap_place(ts, 0);
	struct timer *t = place->t;
	struct entry e;

	prefetch(t);
	if (place->periodic) {
		e = heap_get(ts, 0);
		e.when = next_tick(e.when, t->period, now);
		heap_down(ts, 0, e);
	} else {
		heap_remove(ts, 0);
	}
	return t;
}

/* Return: false: it still runs for its last time. */
static bool start_run(struct timer *t)
{
	if (t->period)
		/* Acquire: this run of fn comes after the last one. */
		return __atomic_exchange_n(&t->state, TIMER_TICKING, __ATOMIC_ACQUIRE) ==
		       TIMER_QUEUED;
	__atomic_store_n(&t->state, TIMER_RUNNING, __ATOMIC_RELAXED);
	return true;
}

/*
 * Take out what is due, the first of it. With many timers each lies in memory that has not
 * been touched for long: so that they are waited for together, none is looked at before
 * all are on their way. Return: how many; those that are not to be run are NULL.
 */
static int take_due(struct timers *ts, int64_t now, struct timer *due[RUN_MOST])
{
	int n = 0;

	rt_lock(&ts->lock);
	while (n < RUN_MOST && ts->nr && ts->heap[0].when <= now)
		due[n++] = take_first(ts, now);
	if (n)
		set_next_when(ts);
	for (int i = 0; i < n; i++)
		if (!start_run(due[i]))
			due[i] = NULL;
	rt_unlock(&ts->lock);
	return n;
}

/**
 * timers_run - run a P's due timers
 * @m:   the caller's M
 * @p:   any P
 * @now: the time, or 0: is read here if it is needed
 *
 * Return: whether any timer ran.
 */
bool timers_run(struct m *m, struct gsched_proc *p, int64_t *now)
{
	int64_t when = __atomic_load_n(&p->next_when, __ATOMIC_RELAXED);
	struct timer *due[RUN_MOST];
	bool any = false;
	int n;

	if (!when)
		return false;
	if (!*now)
		*now = gs_now();
	if (when - rt.clock_offset > *now)
		return false;
	while ((n = take_due(&p_local(p)->timers, *now, due))) {
		for (int i = 0; i < n; i++) {
			if (!due[i])
				continue;
			run_one(m, due[i]);
			any = true;
		}
	}
	return any;
}

/** timers_run_all - run all Ps' due timers. Return: whether any ran. */
bool timers_run_all(struct m *m)
{
	uint32_t n = seen_procs();
	int64_t now = 0;
	bool any = false;

	for (uint32_t i = 0; i < n; i++)
		any |= timers_run(m, rt.procs + i, &now);
	return any;
}

/**
 * timers_next - when the first timer of all Ps is due, 0: there is none
 *
 * Timers are moved to P 0, which is looked at last: who finds them gone from the other
 * (acquire) finds them there.
 */
int64_t timers_next(void)
{
	int64_t next = 0;

	for (uint32_t i = seen_procs(); i--;) {
		int64_t when = __atomic_load_n(&rt.procs[i].next_when, __ATOMIC_ACQUIRE);

		if (when && (!next || when < next))
			next = when;
	}
	return next ? next - rt.clock_offset : 0;
}

/** timers_count - how many are armed on a P. In a section. */
uint32_t timers_count(struct gsched_proc *p)
{
	struct timers *ts = &p_local(p)->timers;
	uint32_t n;

	rt_lock(&ts->lock);
	n = ts->nr;
	rt_unlock(&ts->lock);
	return n;
}

/* ------------------------------------------------------------- sleepers, Ps */

/**
 * timers_overslept - would nobody wake up for the first timer?
 *
 * For an M that has given its P up, and does not sleep for the timers itself. A full
 * barrier comes before: as in wake_for(). A sleeper that has woken up while there was no
 * P for it sleeps on without a deadline, and its time is past.
 */
bool timers_overslept(void)
{
	int64_t next = timers_next();

	return next && (all_oversleep(next) ||
			__atomic_load_n(&sleep_until, __ATOMIC_RELAXED) <= gs_now());
}

/** timers_sleep_until - when the first of those Ms wakes up that sleep, 0: not known. */
int64_t timers_sleep_until(void)
{
	return __atomic_load_n(&sleep_until, __ATOMIC_RELAXED);
}

/** timers_sleep_begin - an M is about to sleep until @deadline (0: for ever). */
void timers_sleep_begin(int64_t deadline)
{
	int64_t until = __atomic_load_n(&sleep_until, __ATOMIC_RELAXED);

	if (!deadline)
		deadline = INT64_MAX;
	while ((!until || deadline < until) &&
	       !__atomic_compare_exchange_n(&sleep_until, &until, deadline, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

/**
 * timers_sleep_over - nobody knows any more when an M wakes up
 *
 * One's deadline has come, and it sleeps on, as there is no idle P: before there is one
 * again. Who then starts a timer must not rely on this M. Too much of it costs wake-ups.
 */
void timers_sleep_over(void)
{
	__atomic_store_n(&sleep_until, 0, __ATOMIC_RELAXED);
}

/** timers_sleep_end - that M is awake; others may sleep longer than it would have. */
void timers_sleep_end(int64_t deadline)
{
	int64_t mine = deadline ? deadline : INT64_MAX;

	__atomic_compare_exchange_n(&sleep_until, &mine, 0, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
}

static void lock_two(struct timers *a, struct timers *b)
{
	rt_lock(a < b ? &a->lock : &b->lock);
	rt_lock(a < b ? &b->lock : &a->lock);
}

/**
 * timers_move - give all timers of a P that retires to another
 * @from: the P that retires
 * @to:   another
 *
 * Return: 0, or -ENOMEM: none was moved.
 */
int timers_move(struct gsched_proc *from, struct gsched_proc *to)
{
	struct timers *a = &p_local(from)->timers, *b = &p_local(to)->timers;
	int err;

	lock_two(a, b);
	err = heap_reserve(b, b->nr + a->nr);
	if (!err) {
		for (uint32_t i = 0; i < a->nr; i++)
			heap_add(b, heap_place(a, i)->t, a->heap[i].when);
		a->nr = 0;
		/* In this order: for timers_next(). */
		set_next_when(b);
		set_next_when(a);
	}
	rt_unlock(&a->lock);
	rt_unlock(&b->lock);
	return err;
}

/** timers_end - at the runtime's end, when no M is left: give the heaps back. */
void timers_end(void)
{
	for (uint32_t i = 0; i < seen_procs(); i++) {
		struct timers *ts = &p_local(rt.procs + i)->timers;

		if (ts->room)
			munmap(ts->heap, ts->room * sizeof(*ts->heap));
	}
}

/**
 * timers_reset - for a new runtime
 *
 * In a child after fork() nobody sleeps who did, and the heaps stay: where they are stands
 * in the Ps, which the child may not have.
 */
void timers_reset(void)
{
	sleep_until = 0;
}
