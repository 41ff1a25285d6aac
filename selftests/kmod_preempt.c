// SPDX-License-Identifier: GPL-2.0
/*
 * Preemption: a P's owner that makes no scheduling step loses the P, after the minimum
 * run to who has just become able to run, after the slice to who has waited.
 *
 * Both times are set so far apart that the one is not taken for the other on a slow
 * machine: a minimum run of 50 ms, and a slice of 1 s.
 */
#include "kmod_block.h"

#include <sys/uio.h>

#define MIN_RUN		(50 * NSEC_PER_MSEC)
#define SLICE		NSEC_PER_SEC

/* A tick may come early by an eighth; and a hog that starts late looks early, too. */
#define LEAST(ns)	((ns) * 8 / 10)

static void say(const char *what, int64_t ns)
{
	note("%s: %lld us", what, (long long)ns / 1000);
}

/* ----------------------------------------------------------------- hogs */

/* A hog computes outside of sections until it is told to stop, and counts. */
struct hog {
	struct actor *a;
	bool in_section;
	bool steps;
	__u32 stop;
	int64_t began;
	__u64 spins;
	__u32 proc;		/* what it held when it stopped */
};

static void hog_step(struct gs *gs, __u32 id)
{
	__u32 proc = load32(&gs->ms[id].proc);

	if (proc != GSCHED_NONE)
		__atomic_add_fetch(&gs->procs[proc].steps, 2, __ATOMIC_RELAXED);
}

/* It acquires a P first. */
static int act_hog(struct actor *a)
{
	struct hog *h = a->arg;
	int err = act_acquire(a);

	if (err)
		return err;
	h->began = now_ns();
	if (!h->in_section)
		section_leave(a->gs, a->id);
	while (!load32(&h->stop)) {
		__atomic_store_n(&h->spins, h->spins + 1, __ATOMIC_RELAXED);
		if (h->steps)
			hog_step(a->gs, a->id);
	}
	h->proc = load32(&a->gs->ms[a->id].proc);
	section_enter(a->gs, a->id);
	return err;
}

static __u64 spins(struct hog *h)
{
	return __atomic_load_n(&h->spins, __ATOMIC_RELAXED);
}

static struct hog *hog_new(struct gs *gs)
{
	struct hog *h = calloc(1, sizeof(*h));

	must(h);
	h->a = actor_start_m(gs);
	h->a->arg = h;
	return h;
}

static void hog_start(struct hog *h)
{
	actor_begin(h->a, act_hog);
	must(eventually(spins(h) > 0));
}

static void hog_stop(struct __test_metadata *_metadata, struct hog *h)
{
	__atomic_store_n(&h->stop, 1, __ATOMIC_SEQ_CST);
	EXPECT_EQ(0, actor_end(h->a));
	EXPECT_NE(GSCHED_NONE, h->proc);
	EXPECT_EQ(0, actor_do(h->a, act_release));
}

static bool is_preempted(struct hog *h)
{
	return m_is(h->a->gs, h->a->id, "preempted");
}

static bool it_spins(struct hog *h)
{
	__u64 before = spins(h);

	sleep_ns(20 * NSEC_PER_MSEC);
	return spins(h) != before;
}

static bool tick_on(struct gs *gs)
{
	return load32(&gs->shared->tick_on);
}

/* Who pushes work while the tick is off says so. */
static void say_there_is_work(struct gs *gs)
{
	if (!tick_on(gs))
		gs_wake(gs);
}

static __u32 attention(struct gs *gs, __u32 proc)
{
	return load32(&gs->procs[proc].attention);
}

/* One P, and hogs for it; t and u are Ms without a P. */
FIXTURE(hogs) {
	struct gs gs;
	struct hog *h;
	struct actor *t, *u;
};

FIXTURE_SETUP(hogs)
{
	gs_start(&self->gs, 1, 2, 16, 4);
	self->h = hog_new(&self->gs);
	self->t = actor_start_m(&self->gs);
	self->u = actor_start_m(&self->gs);
	ASSERT_EQ(0, gs_times(&self->gs, SLICE, MIN_RUN));
}

FIXTURE_TEARDOWN(hogs)
{
	gs_stop(&self->gs);
}

#define NEED_PREEMPT() do {							\
	if (!(gs_features(&self->gs) & GSCHED_FEAT_PREEMPT))			\
		SKIP(return, "this kernel has no preemption");			\
} while (0)

/* t has the P, after the minimum run and long before the slice's end. */
static void expect_at_min_run(struct __test_metadata *_metadata, struct actor *t,
			      struct hog *h, int64_t since)
{
	int64_t took;

	EXPECT_EQ(0, actor_end(t));
	took = t->ended - since;
	EXPECT_LE(LEAST(MIN_RUN), t->ended - h->began);
	EXPECT_GT(LEAST(SLICE), took);
	say("taken after", took);
	EXPECT_EQ(0U, load32(&t->gs->ms[t->id].proc));
	EXPECT_EQ(t->id, owner_of_proc(t->gs, 0));
	EXPECT_TRUE(eventually(is_preempted(h)));
	EXPECT_FALSE(it_spins(h));
}

/* t gives it back, and the hog goes on. */
static void give_back(struct __test_metadata *_metadata, struct actor *t, struct hog *h)
{
	EXPECT_EQ(0, actor_do(t, act_release));
	EXPECT_TRUE(eventually(it_spins(h)));
	hog_stop(_metadata, h);
	EXPECT_EQ(0U, h->proc);
}

/* --------------------------------------------------- after the minimum run */

TEST_F(hogs, to_who_asks_for_a_p)
{
	NEED_PREEMPT();
	hog_start(self->h);
	actor_begin(self->t, act_acquire);
	expect_at_min_run(_metadata, self->t, self->h, self->h->began);
	EXPECT_EQ(1UL, gs_counter(&self->gs, "preempts"));
	give_back(_metadata, self->t, self->h);
}

/* One that was blocked runs before the hog that has its P. */
TEST_F(hogs, to_who_was_blocked)
{
	struct block *b = block_prepare(&pipe_read, self->t);

	NEED_PREEMPT();
	must(make_pipe(b));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	actor_begin(self->t, act_block);
	ASSERT_TRUE(eventually(nr_blocked(&self->gs) == 1));
	hog_start(self->h);
	write_byte(b);
	expect_at_min_run(_metadata, self->t, self->h, self->h->began);
	EXPECT_TRUE(b->ok);
	EXPECT_EQ(0U, b->proc);
	give_back(_metadata, self->t, self->h);
}

static void push_inbox(struct gs *gs)
{
	must(gs_enqueue(gs, 0, 7) == 0);
}

static void push_global(struct gs *gs)
{
	__atomic_store_n(&gs->shared->global_len, 1, __ATOMIC_SEQ_CST);
}

static void push_timer(struct gs *gs)
{
	__atomic_store_n(&gs->procs[0].next_when, now_ns() + 20 * NSEC_PER_MSEC,
			 __ATOMIC_SEQ_CST);
}

/* What has come is to be run, and not what has been there: the P's attention says so. */
static const struct {
	void (*push)(struct gs *gs);
	__u32 attention;
} fresh_work[] = {
	{ push_inbox, GSCHED_ATTN_INBOX },
	{ push_global, GSCHED_ATTN_PREEMPT },
	{ push_timer, GSCHED_ATTN_TIMER },
};

static void no_work(struct gs *gs)
{
	gs->procs[0].next_when = 0;
	gs->procs[0].tail = 0;
	gs->shared->global_len = 0;
	gs->shared->nr_spinning = 0;
	inbox_take_all(gs, ignore_cookie, NULL);
}

TEST_F(hogs, to_an_idle_m_for_fresh_work)
{
	struct gs *gs = &self->gs;

	NEED_PREEMPT();
	for (unsigned int i = 0; i < ARRAY_SIZE(fresh_work); i++) {
		self->h = hog_new(gs);
		actor_begin_idle(self->t);
		hog_start(self->h);
		fresh_work[i].push(gs);
		say_there_is_work(gs);
		expect_at_min_run(_metadata, self->t, self->h, self->h->began);
		EXPECT_EQ((__u32)GSCHED_IDLE_WORK, self->t->reason);
		EXPECT_EQ(1U, load32(&gs->shared->nr_spinning));
		EXPECT_TRUE(attention(gs, 0) & fresh_work[i].attention);
		gs->procs[0].attention = 0;
		no_work(gs);
		give_back(_metadata, self->t, self->h);
	}
}

/* The tick is off for long: nothing was to be done. The timer comes late. */
TEST_F(hogs, to_a_timer_when_the_tick_is_off)
{
	struct gs *gs = &self->gs;
	int64_t when;

	NEED_PREEMPT();
	ASSERT_EQ(0, gs_times(gs, SLICE, NSEC_PER_MSEC));
	actor_begin_idle(self->t);
	hog_start(self->h);
	ASSERT_TRUE(eventually(!tick_on(gs)));
	when = now_ns() + 100 * NSEC_PER_MSEC;
	__atomic_store_n(&gs->procs[0].next_when, when, __ATOMIC_SEQ_CST);
	gs_wake(gs);
	EXPECT_NE(0ULL, load64(&gs->shared->tick_next));
	EXPECT_GE((__u64)when, load64(&gs->shared->tick_next));
	expect_at_min_run(_metadata, self->t, self->h, when);
	EXPECT_LE(when, self->t->ended);
	no_work(gs);
	give_back(_metadata, self->t, self->h);
}

/* No M idles: one is asked for, and has the P after that. */
TEST_F(hogs, to_a_new_m)
{
	struct gs *gs = &self->gs;
	struct actor *s = actor_start(gs);

	NEED_PREEMPT();
	actor_begin_spawner(s);
	hog_start(self->h);
	push_inbox(gs);
	EXPECT_EQ(0, actor_end(s));
	EXPECT_EQ((__u32)GSCHED_SPAWN_M, s->reason);
	actor_begin(self->t, act_idle);
	expect_at_min_run(_metadata, self->t, self->h, self->h->began);
	EXPECT_EQ(1U, inbox_take(gs, 0, ignore_cookie, NULL));
	no_work(gs);
	give_back(_metadata, self->t, self->h);
}

/* --------------------------------------------------------- after the slice */

static void expect_at_slice(struct __test_metadata *_metadata, int64_t took)
{
	say("taken after", took);
	EXPECT_LE(LEAST(SLICE), took);
	EXPECT_GT(5 * SLICE, took);
}

TEST_F(hogs, to_its_own_queue)
{
	struct gs *gs = &self->gs;

	NEED_PREEMPT();
	actor_begin_idle(self->t);
	hog_start(self->h);
	__atomic_store_n(&gs->procs[0].tail, 1, __ATOMIC_SEQ_CST);
	say_there_is_work(gs);
	ASSERT_EQ(0, actor_end(self->t));
	expect_at_slice(_metadata, self->t->ended - self->h->began);
	EXPECT_EQ(self->t->id, owner_of_proc(gs, 0));
	EXPECT_TRUE(eventually(is_preempted(self->h)));
	no_work(gs);
	give_back(_metadata, self->t, self->h);
}

/*
 * Ms give the P to one another, and each makes a step, so that the queue's claim is always
 * fresh and has the rest of a slice: it must not stand before the hog's each time.
 */
TEST_F(hogs, beside_those_that_wait)
{
	struct gs *gs = &self->gs;
	struct actor *turn[] = { self->t, self->u, actor_start_m(gs) }, *next;
	struct actor *idle = actor_start_m(gs);
	int64_t end = now_ns() + PATIENCE_NS;
	__u32 hog = self->h->a->id;

	NEED_PREEMPT();
	actor_begin_idle(idle);
	hog_start(self->h);
	sleep_ns(2 * SLICE);		/* nothing is left of its own */
	ASSERT_EQ(0, actor_do(turn[0], act_acquire));
	ASSERT_TRUE(eventually(is_preempted(self->h)));
	actor_begin_acquire(turn[1]);
	__atomic_store_n(&gs->procs[0].tail, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; is_preempted(self->h) && now_ns() < end; i++) {
		next = turn[(i + 1) % 3];
		actor_begin_acquire(turn[(i + 2) % 3]);
		hog_step(gs, turn[i % 3]->id);
		ASSERT_EQ(0, actor_do(turn[i % 3], act_release));
		ASSERT_TRUE(eventually(actor_ended(next) || owner_of_proc(gs, 0) == hog));
		if (actor_ended(next))
			ASSERT_EQ(0, actor_end(next));
	}
	EXPECT_FALSE(is_preempted(self->h));
	EXPECT_FALSE(actor_ended(idle));
}

/*
 * The same without steps, and what waits came from outside: it is nobody's turn more than
 * that of the idle M.
 */
TEST_F(hogs, fresh_work_beside_those_that_wait)
{
	struct gs *gs = &self->gs;
	struct actor *turn[] = { self->t, self->u, actor_start_m(gs) }, *next;
	struct actor *idle = actor_start_m(gs);

	NEED_PREEMPT();
	actor_begin_idle(idle);
	ASSERT_EQ(0, actor_do(turn[0], act_acquire));
	actor_begin_acquire(turn[1]);
	push_inbox(gs);
	for (int i = 0; i < 10 && owner_of_proc(gs, 0) != idle->id; i++) {
		next = turn[(i + 1) % 3];
		actor_begin_acquire(turn[(i + 2) % 3]);
		ASSERT_EQ(0, actor_do(turn[i % 3], act_release));
		ASSERT_TRUE(eventually(actor_ended(next) || owner_of_proc(gs, 0) == idle->id));
		if (actor_ended(next))
			ASSERT_EQ(0, actor_end(next));
	}
	EXPECT_EQ(idle->id, owner_of_proc(gs, 0));
	no_work(gs);
}

/* Who owned P 0, and from when. */
struct turn {
	__u32 owner;
	int64_t since;
};

static unsigned int watch_turns(struct gs *gs, struct turn *turn, unsigned int max, int64_t ns)
{
	int64_t end = now_ns() + ns;
	unsigned int n = 0;

	while (now_ns() < end) {
		__u32 owner = owner_of_proc(gs, 0);

		if (owner != GSCHED_NONE && (!n || turn[n - 1].owner != owner)) {
			must(n < max);
			turn[n++] = (struct turn){ owner, now_ns() };
		}
		sleep_ns(NSEC_PER_MSEC);
	}
	return n;
}

#define SHORT_SLICE	(100 * NSEC_PER_MSEC)

/* Two hogs: the slice is the time from one turn to the next, or a little more. */
TEST_F(hogs, turns_are_slices)
{
	struct gs *gs = &self->gs;
	struct hog *other = hog_new(gs);
	unsigned long turns;
	int64_t took;

	NEED_PREEMPT();
	ASSERT_EQ(0, gs_times(gs, SHORT_SLICE, 5 * NSEC_PER_MSEC));
	hog_start(self->h);
	hog_start(other);
	turns = gs_counter(gs, "preempts");
	took = now_ns();
	sleep_ns(15 * SHORT_SLICE);
	turns = gs_counter(gs, "preempts") - turns;
	took = now_ns() - took;
	note("%lu turns in %lld us", turns, (long long)took / 1000);
	EXPECT_GE(1 + took / SHORT_SLICE, (int64_t)turns);
	EXPECT_LE(took / SHORT_SLICE / 3, (int64_t)turns);
	hog_stop(_metadata, self->h);
	hog_stop(_metadata, other);
}

/*
 * Three hogs share one P equally: as equally as a machine allows that is late for the
 * end of a slice now and then.
 */
TEST_F(hogs, equal_shares)
{
	struct hog *h[3] = { self->h, hog_new(&self->gs), hog_new(&self->gs) };
	__u64 n[3], sum = 0;

	NEED_PREEMPT();
	ASSERT_EQ(0, gs_times(&self->gs, SHORT_SLICE / 2, GSCHED_MIN_RUN));
	for (int i = 0; i < 3; i++)
		hog_start(h[i]);
	for (int i = 0; i < 3; i++)
		n[i] = spins(h[i]);
	sleep_ns(30 * 3 * SHORT_SLICE / 2);
	for (int i = 0; i < 3; i++)
		sum += n[i] = spins(h[i]) - n[i];
	note("shares %.3f %.3f %.3f, %lu preemptions", (double)n[0] / sum, (double)n[1] / sum,
	     (double)n[2] / sum, gs_counter(&self->gs, "preempts"));
	for (int i = 0; i < 3; i++) {
		EXPECT_LT(0.25, (double)n[i] / sum);
		EXPECT_GT(0.42, (double)n[i] / sum);
	}
	EXPECT_LT(30UL, gs_counter(&self->gs, "preempts"));
	for (int i = 0; i < 3; i++)
		hog_stop(_metadata, h[i]);
}

/*
 * h is interrupted by a wake-up in its slice: it goes on before the other, which has
 * waited for longer, and for no more than the rest.
 */
TEST_F(hogs, rest_of_the_slice)
{
	struct gs *gs = &self->gs;
	struct hog *other = hog_new(gs), *h = self->h;
	struct turn turn[32];
	unsigned int n, i;
	int64_t took;

	NEED_PREEMPT();
	hog_start(other);
	hog_start(h);		/* after the other's minimum run */
	ASSERT_EQ(h->a->id, owner_of_proc(gs, 0));
	sleep_ns(SLICE / 4);
	actor_begin(self->t, act_acquire);
	ASSERT_EQ(0, actor_end(self->t));
	ASSERT_TRUE(eventually(is_preempted(h)));
	EXPECT_GT(LEAST(SLICE), now_ns() - h->began);
	ASSERT_EQ(0, actor_do(self->t, act_release));
	n = watch_turns(gs, turn, ARRAY_SIZE(turn), SLICE * 3 / 2);
	for (i = 0; i < n && turn[i].owner != h->a->id; i++)
		;
	ASSERT_EQ(0U, i);
	ASSERT_LT(1U, n);
	EXPECT_EQ(other->a->id, turn[1].owner);
	took = turn[1].since - h->began;
	say("a slice with an interruption", took);
	EXPECT_LE(LEAST(SLICE), took);
	EXPECT_GT(SLICE * 14 / 10, took);
	hog_stop(_metadata, h);
	hog_stop(_metadata, other);
}

/* Wake-ups without end do not keep a hog out for good, nor a queue. */
static int act_wake_up_for_ever(struct actor *a)
{
	struct hog *h = a->arg;
	int err = 0;

	while (!err && !load32(&h->stop)) {
		err = act_acquire(a);
		section_leave(a->gs, a->id);
		sleep_ns(100000);
		section_enter(a->gs, a->id);
		if (!err)
			err = act_release(a);
	}
	return err;
}

TEST_F(hogs, wake_ups_do_not_starve_them)
{
	struct gs *gs = &self->gs;
	struct hog *other = hog_new(gs);
	__u64 before[2];

	NEED_PREEMPT();
	ASSERT_EQ(0, gs_times(gs, GSCHED_SLICE, GSCHED_MIN_RUN));
	self->t->arg = self->u->arg = self->h;
	hog_start(self->h);
	hog_start(other);
	actor_begin(self->t, act_wake_up_for_ever);
	actor_begin(self->u, act_wake_up_for_ever);
	sleep_ns(100 * NSEC_PER_MSEC);
	for (int i = 0; i < 5; i++) {
		before[0] = spins(self->h);
		before[1] = spins(other);
		EXPECT_TRUE(eventually(spins(self->h) != before[0] && spins(other) != before[1]));
	}
	hog_stop(_metadata, self->h);
	EXPECT_EQ(0, actor_end(self->t));
	EXPECT_EQ(0, actor_end(self->u));
	hog_stop(_metadata, other);
}

/* Its P is for work that it finds, and that computes. */
static int act_find_a_hog(struct actor *a)
{
	struct hog *h = a->arg;
	int err = act_idle(a);

	if (err)
		return err;
	if (a->reason == GSCHED_IDLE_WORK)
		spinning_end(a->gs);
	section_leave(a->gs, a->id);
	while (!load32(&h->stop))
		__atomic_store_n(&h->spins, h->spins + 1, __ATOMIC_RELAXED);
	section_enter(a->gs, a->id);
	return err;
}

static unsigned int how_many_spin(struct hog **h)
{
	return !!spins(h[0]) + !!spins(h[1]) + !!spins(h[2]);
}

/*
 * Some compute and have waited for their slice, some have just become able to run, and there
 * is fresh work: all of them at each turn. None of these is left to the last.
 */
TEST_F(hogs, all_kinds_have_their_turn)
{
	struct gs *gs = &self->gs;
	struct hog *wait[3], *find[3], *old[] = { self->h, hog_new(gs), hog_new(gs) };

	NEED_PREEMPT();
	for (int i = 0; i < 3; i++)
		hog_start(old[i]);
	for (int i = 0; i < 3; i++) {
		wait[i] = hog_new(gs);
		find[i] = hog_new(gs);
		actor_begin(find[i]->a, act_find_a_hog);
	}
	ASSERT_EQ(0, gs_times(gs, SHORT_SLICE, SHORT_SLICE));
	for (int i = 0; i < 3; i++)
		actor_begin(wait[i]->a, act_hog);
	push_global(gs);
	ASSERT_TRUE(eventually(how_many_spin(wait) + how_many_spin(find) >= 3));
	note("%u waited, %u found", how_many_spin(wait), how_many_spin(find));
	EXPECT_LE(1U, how_many_spin(wait));
	EXPECT_LE(1U, how_many_spin(find));
	no_work(gs);
}

/* ------------------------------------------------------------ in a section */

TEST_F(hogs, section_is_asked)
{
	struct gs *gs = &self->gs;
	const __u32 both = GSCHED_ATTN_PREEMPT | GSCHED_ATTN_HELD;

	NEED_PREEMPT();
	self->h->in_section = true;
	hog_start(self->h);
	actor_begin_acquire(self->t);
	EXPECT_TRUE(eventually((attention(gs, 0) & both) == both));
	EXPECT_LE(LEAST(MIN_RUN), now_ns() - self->h->began);
	EXPECT_TRUE(stays_asleep(self->t, GSCHED_IOC_ACQUIRE));
	EXPECT_EQ(self->h->a->id, owner_of_proc(gs, 0));
	EXPECT_TRUE(it_spins(self->h));
	EXPECT_LT(0UL, gs_counter(gs, "deferred"));
	EXPECT_EQ(0UL, gs_counter(gs, "preempts"));
	/* It is asked again when it has looked. */
	__atomic_and_fetch(&gs->procs[0].attention, ~both, __ATOMIC_SEQ_CST);
	EXPECT_TRUE(eventually((attention(gs, 0) & both) == both));
	/* What it was asked for is done: the next owner is not. */
	hog_stop(_metadata, self->h);
	EXPECT_EQ(0, actor_end(self->t));
	EXPECT_EQ(0U, attention(gs, 0) & both);
}

/* Nobody is held: the owner shall run another G itself. */
TEST_F(hogs, section_is_asked_for_fresh_work)
{
	struct gs *gs = &self->gs;

	NEED_PREEMPT();
	self->h->in_section = true;
	actor_begin_idle(self->t);
	hog_start(self->h);
	push_inbox(gs);
	EXPECT_TRUE(eventually(attention(gs, 0) & GSCHED_ATTN_PREEMPT));
	EXPECT_EQ(0U, attention(gs, 0) & GSCHED_ATTN_HELD);
	EXPECT_TRUE(stays_asleep(self->t, GSCHED_IOC_IDLE));
	no_work(gs);
	hog_stop(_metadata, self->h);
}

/* ------------------------------------------------------- owners that make steps */

/* It is not taken, and asked for: soon for who has become able to run. */
TEST_F(hogs, steps_for_who_waits)
{
	struct gs *gs = &self->gs;

	NEED_PREEMPT();
	self->h->steps = true;
	hog_start(self->h);
	actor_begin_acquire(self->t);
	EXPECT_TRUE(eventually(attention(gs, 0) & GSCHED_ATTN_HELD));
	say("asked after", now_ns() - self->h->began);
	EXPECT_LE(LEAST(MIN_RUN), now_ns() - self->h->began);
	EXPECT_GT(LEAST(SLICE), now_ns() - self->h->began);
	EXPECT_TRUE(stays_asleep(self->t, GSCHED_IOC_ACQUIRE));
	EXPECT_EQ(self->h->a->id, owner_of_proc(gs, 0));
	EXPECT_EQ(0UL, gs_counter(gs, "preempts"));
	hog_stop(_metadata, self->h);
	EXPECT_EQ(0, actor_end(self->t));
}

/* After the slice for a hog that waits. */
TEST_F(hogs, steps_for_a_hog)
{
	struct gs *gs = &self->gs;
	struct hog *stepper = hog_new(gs);

	NEED_PREEMPT();
	ASSERT_EQ(0, gs_times(gs, SLICE / 2, MIN_RUN));
	stepper->steps = true;
	hog_start(self->h);
	hog_start(stepper);	/* it preempts the other, who waits */
	ASSERT_TRUE(eventually(is_preempted(self->h)));
	EXPECT_TRUE(eventually(attention(gs, 0) & GSCHED_ATTN_HELD));
	say("asked after", now_ns() - stepper->began);
	EXPECT_LE(LEAST(SLICE / 2), now_ns() - stepper->began);
	EXPECT_GT(5 * SLICE, now_ns() - stepper->began);
	EXPECT_EQ(stepper->a->id, owner_of_proc(gs, 0));
	hog_stop(_metadata, stepper);
	EXPECT_TRUE(eventually(it_spins(self->h)));
	hog_stop(_metadata, self->h);
}

TEST_F(hogs, steps_for_a_timer)
{
	struct gs *gs = &self->gs;
	int64_t when;

	NEED_PREEMPT();
	self->h->steps = true;
	hog_start(self->h);
	when = now_ns() + 30 * NSEC_PER_MSEC;
	__atomic_store_n(&gs->procs[0].next_when, when, __ATOMIC_SEQ_CST);
	gs_wake(gs);
	EXPECT_TRUE(eventually(attention(gs, 0) & GSCHED_ATTN_TIMER));
	EXPECT_LE(when, now_ns());
	EXPECT_GT(LEAST(SLICE), now_ns() - when);
	EXPECT_EQ(self->h->a->id, owner_of_proc(gs, 0));
	hog_stop(_metadata, self->h);
	no_work(gs);
}

/* --------------------------------------------------------- in the kernel */

#define IOVECS		1024
#define LARGEST_PIECE	(1 << 20)

static size_t piece = 1 << 15;

/* One system call that fills so many bytes 1024 times. */
static int64_t read_zeros(void)
{
	static char data[LARGEST_PIECE];
	static struct iovec iov[IOVECS];
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int64_t start = now_ns();

	for (int i = 0; i < IOVECS; i++)
		iov[i] = (struct iovec){ data, piece };
	must(fd >= 0);
	must(readv(fd, iov, IOVECS) == (ssize_t)(IOVECS * piece));
	close(fd);
	return now_ns() - start;
}

/* Make it last; the time it takes. */
static int64_t choose_piece(void)
{
	int64_t took;

	while ((took = read_zeros()) < 150 * NSEC_PER_MSEC && piece < LARGEST_PIECE)
		piece *= 2;
	return took;
}


static int act_read_zeros(struct actor *a)
{
	struct hog *h = a->arg;
	int err = act_acquire(a);

	h->began = now_ns();
	section_leave(a->gs, a->id);
	__atomic_store_n(&h->spins, 1, __ATOMIC_RELAXED);
	read_zeros();
	h->proc = load32(&a->gs->ms[a->id].proc);
	section_enter(a->gs, a->id);
	return err;
}

/* A system call that computes goes on without a P, but not beyond its end. */
TEST_F(hogs, long_system_call)
{
	struct gs *gs = &self->gs;
	struct hog *h = self->h;
	int64_t alone;

	NEED_PREEMPT();
	alone = choose_piece();
	say("a system call of", alone);
	ASSERT_EQ(0, gs_times(gs, SLICE, GSCHED_MIN_RUN));
	actor_begin(h->a, act_read_zeros);
	ASSERT_TRUE(eventually(spins(h) > 0));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	say("its P was taken after", self->t->ended - h->began);
	EXPECT_GT(alone / 2, self->t->ended - h->began);
	EXPECT_TRUE(eventually(is_preempted(h)));
	EXPECT_FALSE(actor_ended(h->a));
	EXPECT_EQ(0, actor_do(self->t, act_release));
	EXPECT_EQ(0, actor_end(h->a));
	EXPECT_EQ(0U, h->proc);
}

/* --------------------------------------------------------- features left out */

static void expect_never(struct __test_metadata *_metadata, __u32 flags)
{
	struct actor *t, *idle;
	struct hog *h;
	struct gs gs;

	gs_start_with(&gs, flags, 1, 1, 8, 0);
	h = hog_new(&gs);
	t = actor_start_m(&gs);
	idle = actor_start_m(&gs);
	actor_begin_idle(idle);
	hog_start(h);
	actor_begin_acquire(t);
	push_inbox(&gs);
	push_global(&gs);
	gs_wake(&gs);
	sleep_ns(20 * GSCHED_SLICE);
	EXPECT_FALSE(actor_ended(t));
	EXPECT_FALSE(actor_ended(idle));
	EXPECT_EQ(h->a->id, owner_of_proc(&gs, 0));
	EXPECT_EQ(0U, attention(&gs, 0) & (GSCHED_ATTN_PREEMPT | GSCHED_ATTN_HELD));
	EXPECT_EQ(0UL, gs_counter(&gs, "preempts"));
	hog_stop(_metadata, h);
	EXPECT_EQ(0, actor_end(t));
	gs_stop(&gs);
}

TEST(no_preempt)
{
	expect_never(_metadata, GSCHED_SETUP_NO_PREEMPT);
}

TEST(no_hold)
{
	expect_never(_metadata, GSCHED_SETUP_NO_HOLD);
}

/* ---------------------------------------------------------------- retirement */

/* A hog's P that is one too many is gone at once; the hog waits for another. */
TEST_F(hogs, retire)
{
	struct gs *gs = &self->gs;
	int64_t start;

	NEED_PREEMPT();
	ASSERT_EQ(0, gs_times(gs, SLICE, GSCHED_MIN_RUN));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	ASSERT_EQ(0U, self->t->proc);
	ASSERT_EQ(0, gs_set_procs(gs, 2));
	hog_start(self->h);
	EXPECT_EQ(self->h->a->id, owner_of_proc(gs, 1));
	start = now_ns();
	ASSERT_EQ(0, gs_set_procs(gs, 1));
	EXPECT_TRUE(eventually(load32(&gs->procs[1].state) == GSCHED_P_DEAD));
	say("retired after", now_ns() - start);
	EXPECT_GT(LEAST(SLICE), now_ns() - start);
	EXPECT_TRUE(eventually(is_preempted(self->h)));
	EXPECT_FALSE(it_spins(self->h));
	give_back(_metadata, self->t, self->h);
}

/* --------------------------------------------------------------------- tick */

static bool no_ticks(struct gs *gs)
{
	unsigned long before = gs_counter(gs, "ticks");

	sleep_ns(100 * NSEC_PER_MSEC);
	return gs_counter(gs, "ticks") == before;
}

TEST_F(hogs, no_tick_without_a_reason)
{
	struct gs *gs = &self->gs;

	NEED_PREEMPT();
	ASSERT_EQ(0, gs_times(gs, GSCHED_SLICE, GSCHED_MIN_RUN));
	actor_begin_idle(self->t);
	actor_begin_idle(self->u);
	EXPECT_TRUE(eventually(!tick_on(gs)));
	EXPECT_TRUE(eventually(no_ticks(gs)));
	EXPECT_EQ(0ULL, load64(&gs->shared->tick_next));

	/* A hog alone is no reason. */
	hog_start(self->h);
	EXPECT_TRUE(eventually(!tick_on(gs)));
	EXPECT_TRUE(eventually(no_ticks(gs)));

	/* Nor is a timer that is far away. */
	__atomic_store_n(&gs->procs[0].next_when, now_ns() + 3600 * NSEC_PER_SEC,
			 __ATOMIC_SEQ_CST);
	gs_wake(gs);
	EXPECT_TRUE(eventually(!tick_on(gs)));
	EXPECT_TRUE(eventually(no_ticks(gs)));
	EXPECT_LT((__u64)now_ns(), load64(&gs->shared->tick_next));

	/* Work is, once it is known. */
	no_work(gs);
	__atomic_store_n(&gs->procs[0].tail, 1, __ATOMIC_SEQ_CST);
	gs_wake(gs);
	EXPECT_TRUE(tick_on(gs));
	EXPECT_EQ(0, actor_end(self->u));	/* who has come last goes first */
	no_work(gs);
	EXPECT_EQ(0, actor_do(self->u, act_release));
	hog_stop(_metadata, self->h);
}

/* Whoever asks for it all the time does not make it come more often. */
TEST_F(hogs, tick_rate_is_bounded)
{
	struct gs *gs = &self->gs;
	int64_t start, took;
	unsigned long n;

	NEED_PREEMPT();
	ASSERT_EQ(0, gs_times(gs, GSCHED_SLICE, GSCHED_MIN_RUN));
	hog_start(self->h);
	n = gs_counter(gs, "ticks");
	start = now_ns();
	while (now_ns() - start < 300 * NSEC_PER_MSEC) {
		__atomic_store_n(&gs->procs[0].next_when, now_ns() + 20000, __ATOMIC_SEQ_CST);
		gs_wake(gs);
	}
	took = now_ns() - start;
	n = gs_counter(gs, "ticks") - n;
	note("%lu ticks in %lld us", n, (long long)took / 1000);
	EXPECT_GE(10 + 9 * took / (int64_t)GSCHED_MIN_RUN, (int64_t)n);
	no_work(gs);
	hog_stop(_metadata, self->h);
}

/* ------------------------------------------- readiness, in each state of an M */

static __u64 cookies_got[4];
static unsigned int nr_cookies_got;

static void keep_cookie(void *arg, __u64 cookie)
{
	(void)arg;
	must(nr_cookies_got < ARRAY_SIZE(cookies_got));
	cookies_got[nr_cookies_got++] = cookie;
}

/* A G waits for a descriptor; make it ready. */
struct waiting {
	int fd;
	__u32 slot;
};

static void wait_in_slot(struct gs *gs, struct waiting *w)
{
	w->fd = eventfd(0, EFD_NONBLOCK);
	must(gs_fd_register(gs, w->fd, &w->slot) == 0);
	must(node_park(gs_node(gs, w->slot, GSCHED_DIR_READ), 77));
	gs_node(gs, w->slot, GSCHED_DIR_READ)->proc = 0;
}

static void make_ready(struct waiting *w)
{
	__u64 one = 1;

	must(write(w->fd, &one, sizeof(one)) == sizeof(one));
}

/* It has arrived, once, and whoever has the P now finds it. */
static void expect_delivered(struct __test_metadata *_metadata, struct gs *gs)
{
	nr_cookies_got = 0;
	inbox_take_all(gs, keep_cookie, NULL);
	EXPECT_EQ(1U, nr_cookies_got);
	EXPECT_EQ(77ULL, cookies_got[0]);
}

TEST_F(hogs, ready_while_an_m_idles)
{
	struct waiting w;

	NEED_PREEMPT();
	wait_in_slot(&self->gs, &w);
	actor_begin_idle(self->t);
	hog_start(self->h);
	make_ready(&w);
	expect_at_min_run(_metadata, self->t, self->h, self->h->began);
	expect_delivered(_metadata, &self->gs);
	no_work(&self->gs);
	give_back(_metadata, self->t, self->h);
}

/* The only M is the hog: somebody else must come. */
TEST_F(hogs, ready_while_the_only_m_computes)
{
	struct gs *gs = &self->gs;
	struct actor *s = actor_start(gs);
	struct waiting w;

	NEED_PREEMPT();
	wait_in_slot(gs, &w);
	actor_begin_spawner(s);
	hog_start(self->h);
	make_ready(&w);
	EXPECT_TRUE(attention(gs, 0) & GSCHED_ATTN_INBOX);
	EXPECT_EQ(0, actor_end(s));
	actor_begin(self->t, act_idle);
	expect_at_min_run(_metadata, self->t, self->h, self->h->began);
	expect_delivered(_metadata, gs);
	no_work(gs);
	give_back(_metadata, self->t, self->h);
}

TEST_F(hogs, ready_while_an_m_acquires)
{
	struct gs *gs = &self->gs;
	struct waiting w;

	NEED_PREEMPT();
	wait_in_slot(gs, &w);
	hog_start(self->h);
	actor_begin(self->t, act_acquire);
	make_ready(&w);
	expect_at_min_run(_metadata, self->t, self->h, self->h->began);
	expect_delivered(_metadata, gs);
	no_work(gs);
	give_back(_metadata, self->t, self->h);
}

/* t is held, the hog computes: t first, and the G is not forgotten. */
TEST_F(hogs, ready_while_an_m_is_held)
{
	struct gs *gs = &self->gs;
	struct block *b = block_prepare(&pipe_read, self->t);
	struct waiting w;

	NEED_PREEMPT();
	wait_in_slot(gs, &w);
	must(make_pipe(b));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	actor_begin(self->t, act_block);
	ASSERT_TRUE(eventually(nr_blocked(gs) == 1));
	ASSERT_EQ(0, actor_do(self->u, act_acquire));
	write_byte(b);
	ASSERT_TRUE(eventually(m_is(gs, self->t->id, "held")));
	make_ready(&w);
	EXPECT_TRUE(attention(gs, 0) & GSCHED_ATTN_INBOX);
	/* u gives its P to t, and is woken for the rest by the tick or by t. */
	actor_begin(self->u, act_idle);
	EXPECT_TRUE(eventually(actor_ended(self->t) || actor_ended(self->u)));
	if (actor_ended(self->u)) {
		EXPECT_EQ(0, actor_end(self->u));
		EXPECT_EQ(0, actor_do(self->u, act_release));
		EXPECT_EQ(0, actor_end(self->t));
	} else {
		EXPECT_EQ(0, actor_end(self->t));
		EXPECT_EQ(0, actor_do(self->t, act_release));
		EXPECT_EQ(0, actor_end(self->u));
	}
	expect_delivered(_metadata, gs);
	no_work(gs);
}

TEST_F(hogs, ready_while_the_owner_is_blocked)
{
	struct gs *gs = &self->gs;
	struct block *b = block_prepare(&pipe_read, self->t);
	struct actor *s = actor_start(gs);
	struct waiting w;

	wait_in_slot(gs, &w);
	must(make_pipe(b));
	actor_begin_spawner(s);
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	actor_begin(self->t, act_block);
	ASSERT_TRUE(eventually(nr_blocked(gs) == 1));
	make_ready(&w);
	EXPECT_EQ(0, actor_end(s));
	ASSERT_EQ(0, actor_do(self->u, act_idle));
	EXPECT_EQ(self->u->id, owner_of_proc(gs, 0));
	expect_delivered(_metadata, gs);
	no_work(gs);
	write_byte(b);
	EXPECT_EQ(0, actor_do(self->u, act_release));
	EXPECT_EQ(0, actor_end(self->t));
}

KMOD_MAIN
