// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-off: an M that blocks with a P keeps it as long as nobody has a use for it,
 * and loses it at once to whoever has.
 *
 * But for the tests that are about the tick there is none here: it would make good
 * what hand-off has missed.
 */
#include "kmod_block.h"

/* A hand-off takes some ten microseconds; with no_tick() nothing else comes so soon. */
#define HANDOFF_NS	(900 * NSEC_PER_MSEC)

/* As good as none: once in a second. */
static void no_tick(struct gs *gs)
{
	must(gs_times(gs, GSCHED_MAX_TIME, GSCHED_MAX_TIME) == 0);
}

static void say_took(const char *what, int64_t ns)
{
	note("%s: %lld us", what, (long long)ns / 1000);
}


/* When block_lazily() was done. */
static int64_t kept_at;

/* The M is in its blocking call, and its P can be taken. */
static void block_lazily(struct gs *gs, struct block *b)
{
	__u32 before = nr_blocked(gs);

	actor_begin(b->who, act_block);
	must(eventually(nr_blocked(gs) == before + 1));
	kept_at = now_ns();
}

/* With a tick the P may be taken just before the block. */
static bool is_held(struct block *b)
{
	struct actor *a = b->who;

	return m_is(a->gs, a->id, "held") || m_is(a->gs, a->id, "preempted");
}

/* ------------------------------------------------------------ ways to block */

/* The main thread is no M; a blocks with P 0, t is the taker. */
FIXTURE(way) {
	struct gs gs;
	struct actor *a, *t;
	struct block *b;
	bool possible;
};

FIXTURE_VARIANT(way) {
	const char *name;
	const struct way *way;
};

#define WAY(what)								\
	FIXTURE_VARIANT_ADD(way, what) { .name = #what, .way = &(what) }

WAY(pipe_read);
WAY(pipe_write);
WAY(fifo_open);
WAY(socket_recv);
WAY(socket_accept);
WAY(eventfd_wait);
WAY(poll_pipe);
WAY(epoll_pipe);
WAY(nap);
WAY(futex);
WAY(mutex);
WAY(pi_mutex);
WAY(sigwait_one);
WAY(flock_file);
WAY(fcntl_lock);
WAY(fsync_disk);
WAY(major_fault);
WAY(userfault);
WAY(userfault_in_write);
WAY(waitpid_child);
WAY(vfork_and_wait);
WAY(spawn_and_wait);

FIXTURE_SETUP(way)
{
	gs_start_with(&self->gs, GSCHED_SETUP_NO_PREEMPT, 1, 1, 4, 0);
	no_tick(&self->gs);
	self->a = actor_start_m(&self->gs);
	self->t = actor_start_m(&self->gs);
	self->b = block_prepare(variant->way, self->a);
	self->possible = variant->way->prepare(self->b);
	ASSERT_EQ(0, actor_do(self->a, act_acquire));
}

FIXTURE_TEARDOWN(way)
{
	gs_stop(&self->gs);
}

#define SKIP_IMPOSSIBLE() do {							\
	if (!self->possible)							\
		SKIP(return, "not possible here: %s", variant->name);		\
} while (0)

/* A way that ends by itself cannot be looked at in the middle. */
#define SKIP_SHORT() do {							\
	SKIP_IMPOSSIBLE();							\
	if (!variant->way->end)							\
		SKIP(return, "ends by itself: %s", variant->name);		\
} while (0)

/*
 * The taker has the P. The M's call ends, and the M is held until the taker gives
 * the P up: it does not come back to user mode.
 */
static void end_and_hold(struct __test_metadata *_metadata, struct block *b, struct actor *t)
{
	struct gs *gs = t->gs;

	if (b->way->end) {
		EXPECT_FALSE(actor_ended(b->who));
		b->way->end(b);
	}
	EXPECT_TRUE(eventually(is_held(b)));
	EXPECT_TRUE(eventually(thread_state(getpid(), b->who->tid) == 'I'));
	sleep_ns(10 * NSEC_PER_MSEC);
	EXPECT_FALSE(actor_ended(b->who));
	EXPECT_EQ(t->id, owner_of_proc(gs, 0));
	EXPECT_EQ(0, actor_do(t, act_release));
	EXPECT_EQ(0, actor_end(b->who));
	EXPECT_TRUE(b->ok);
	EXPECT_EQ(0U, b->proc);
	EXPECT_EQ(b->who->id, owner_of_proc(gs, 0));
	EXPECT_EQ(0U, nr_blocked(gs));
}

TEST_F(way, to_who_waits)
{
	SKIP_IMPOSSIBLE();
	actor_begin_acquire(self->t);
	actor_begin(self->a, act_block);
	ASSERT_EQ(0, actor_end(self->t));
	EXPECT_EQ(0U, self->t->proc);
	say_took(variant->name, self->t->ended - self->b->began);
	EXPECT_GT(HANDOFF_NS, self->t->ended - self->b->began);
	EXPECT_EQ(self->t->id, owner_of_proc(&self->gs, 0));
	EXPECT_EQ(0U, nr_blocked(&self->gs));
	EXPECT_EQ(1UL, gs_counter(&self->gs, "handoffs"));
	end_and_hold(_metadata, self->b, self->t);
}

TEST_F(way, to_an_idle_m_with_work)
{
	struct gs *gs = &self->gs;

	SKIP_IMPOSSIBLE();
	actor_begin_idle(self->t);
	gs->procs[0].tail = 1;
	actor_begin(self->a, act_block);
	ASSERT_EQ(0, actor_end(self->t));
	gs->procs[0].tail = 0;
	EXPECT_EQ((__u32)GSCHED_IDLE_WORK, self->t->reason);
	EXPECT_EQ(0U, self->t->proc);
	EXPECT_EQ(1U, take_spinning(gs));
	EXPECT_GT(HANDOFF_NS, self->t->ended - self->b->began);
	end_and_hold(_metadata, self->b, self->t);
}

/* It is kept until somebody comes who wants it. */
TEST_F(way, to_who_comes_later)
{
	struct gs *gs = &self->gs;

	SKIP_SHORT();
	block_lazily(gs, self->b);
	sleep_ns(10 * NSEC_PER_MSEC);
	EXPECT_EQ(self->a->id, owner_of_proc(gs, 0));
	EXPECT_EQ((__u32)GSCHED_P_RUN, load32(&gs->procs[0].state));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	EXPECT_GT(HANDOFF_NS, self->t->ended - kept_at);
	EXPECT_EQ(self->t->id, owner_of_proc(gs, 0));
	EXPECT_EQ(0U, nr_blocked(gs));
	end_and_hold(_metadata, self->b, self->t);
}

/* Nobody wants it: an idle M without work is nobody. */
TEST_F(way, to_nobody)
{
	struct gs *gs = &self->gs;

	SKIP_IMPOSSIBLE();
	actor_begin_idle(self->t);
	if (variant->way->end) {
		block_lazily(gs, self->b);
		EXPECT_EQ(0U, nr_idle(gs));
		variant->way->end(self->b);
	} else {
		actor_begin(self->a, act_block);
	}
	EXPECT_EQ(0, actor_end(self->a));
	EXPECT_TRUE(self->b->ok);
	EXPECT_EQ(0U, self->b->proc);
	EXPECT_EQ(self->a->id, owner_of_proc(gs, 0));
	EXPECT_EQ(0U, nr_blocked(gs));
	EXPECT_EQ(0UL, gs_counter(gs, "handoffs"));
	EXPECT_EQ(0UL, gs_counter(gs, "holds"));
	EXPECT_FALSE(actor_ended(self->t));
}

/* -------------------------------------------------- what makes a P wanted */

/* a has P 0 and blocks in a read; the others are Ms without a P. */
FIXTURE(lazy) {
	struct gs gs;
	struct actor *a, *t, *u;
	struct block *b;
};

FIXTURE_VARIANT(lazy) {
	__u32 flags;
};

FIXTURE_VARIANT_ADD(lazy, quiet) { .flags = GSCHED_SETUP_NO_PREEMPT };
FIXTURE_VARIANT_ADD(lazy, with_tick) { .flags = 0 };

FIXTURE_SETUP(lazy)
{
	gs_start_with(&self->gs, variant->flags, 1, 2, 8, 4);
	if (variant->flags)
		no_tick(&self->gs);
	self->a = actor_start_m(&self->gs);
	self->t = actor_start_m(&self->gs);
	self->u = actor_start_m(&self->gs);
	self->b = block_prepare(&pipe_read, self->a);
	must(make_pipe(self->b));
	ASSERT_EQ(0, actor_do(self->a, act_acquire));
}

FIXTURE_TEARDOWN(lazy)
{
	gs_stop(&self->gs);
}

/* t has P 0 now, with work to look for. */
static void expect_runner(struct __test_metadata *_metadata, struct gs *gs, struct actor *t)
{
	EXPECT_EQ(0, actor_end(t));
	EXPECT_GT(HANDOFF_NS, t->ended - kept_at);
	EXPECT_EQ((__u32)GSCHED_IDLE_WORK, t->reason);
	EXPECT_EQ(0U, t->proc);
	EXPECT_EQ(t->id, owner_of_proc(gs, 0));
	EXPECT_EQ(1U, take_spinning(gs));
	EXPECT_EQ(0U, nr_blocked(gs));
}

static void work_in_ring(struct gs *gs)
{
	gs->procs[0].tail = 1;
}

static void work_in_runnext(struct gs *gs)
{
	gs->procs[0].runnext = 2;
}

static void work_in_inbox(struct gs *gs)
{
	must(gs_enqueue(gs, 0, 7) == 0);
}

static void work_in_global(struct gs *gs)
{
	gs->shared->global_len = 1;
}

static void work_in_timer(struct gs *gs)
{
	__atomic_store_n(&gs->procs[0].next_when, now_ns(), __ATOMIC_SEQ_CST);
}

static void (*const kinds_of_work[])(struct gs *gs) = {
	work_in_ring, work_in_runnext, work_in_inbox, work_in_global, work_in_timer,
};

static void no_work(struct gs *gs)
{
	gs->procs[0].tail = 0;
	gs->procs[0].runnext = 0;
	gs->procs[0].next_when = 0;
	gs->procs[0].attention = 0;
	gs->shared->global_len = 0;
	inbox_take_all(gs, ignore_cookie, NULL);
}

/* The M's block sees the work that is there. */
TEST_F(lazy, any_work_wakes_an_idle_m)
{
	struct gs *gs = &self->gs;

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds_of_work); i++) {
		actor_begin_idle(self->t);
		kinds_of_work[i](gs);
		kept_at = now_ns();
		actor_begin(self->a, act_block);
		expect_runner(_metadata, gs, self->t);
		no_work(gs);
		end_and_hold(_metadata, self->b, self->t);
	}
}

/* The tick may have asked once more before the M that came had the P. */
static void begin_spawner_anew(struct actor *s)
{
	actor_begin(s, act_spawner);
	let_it_happen();
	if (actor_ended(s)) {
		must(actor_end(s) == 0);
		s->flags = GSCHED_SPAWNER_FAILED;
		actor_begin_spawner(s);
		s->flags = 0;
		sleep_ns(SPAWN_PAUSE_NS * 3 / 2);
	}
}

/* No M idles: one is asked for, and finds the P. */
TEST_F(lazy, any_work_asks_the_spawner)
{
	struct gs *gs = &self->gs;
	struct actor *s = actor_start(gs), *fresh;

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds_of_work); i++) {
		begin_spawner_anew(s);
		kinds_of_work[i](gs);
		actor_begin(self->a, act_block);
		ASSERT_EQ(0, actor_end(s)) TH_LOG("kind %u", i);
		EXPECT_EQ((__u32)GSCHED_SPAWN_M, s->reason);
		EXPECT_EQ(self->a->id, owner_of_proc(gs, 0));
		/* The tick may have asked before a has blocked. */
		EXPECT_TRUE(eventually(nr_blocked(gs) == 1));
		fresh = actor_start_m(gs);
		kept_at = now_ns();
		ASSERT_EQ(0, actor_do(fresh, act_idle));
		EXPECT_GT(HANDOFF_NS, fresh->ended - kept_at);
		EXPECT_EQ(fresh->id, owner_of_proc(gs, 0));
		EXPECT_EQ(0U, nr_blocked(gs));
		take_spinning(gs);
		no_work(gs);
		end_and_hold(_metadata, self->b, fresh);
		actor_exit(fresh);
	}
}

/* ------------------------------------------- who takes a P that was kept */

TEST_F(lazy, wake_takes_it)
{
	actor_begin_idle(self->t);
	block_lazily(&self->gs, self->b);
	EXPECT_TRUE(stays_asleep(self->t, GSCHED_IOC_IDLE));
	EXPECT_EQ(0, gs_wake(&self->gs));
	expect_runner(_metadata, &self->gs, self->t);
	end_and_hold(_metadata, self->b, self->t);
	EXPECT_EQ(-EAGAIN, gs_wake(&self->gs));
}

TEST_F(lazy, wake_asks_the_spawner)
{
	struct actor *s = actor_start(&self->gs);

	actor_begin_spawner(s);
	block_lazily(&self->gs, self->b);
	EXPECT_TRUE(stays_asleep(s, GSCHED_IOC_SPAWNER));
	EXPECT_EQ(0, gs_wake(&self->gs));
	EXPECT_EQ(0, actor_end(s));
	work_in_global(&self->gs);
	kept_at = now_ns();
	EXPECT_EQ(0, actor_do(self->t, act_idle));
	EXPECT_GT(HANDOFF_NS, self->t->ended - kept_at);
	EXPECT_EQ(self->t->id, owner_of_proc(&self->gs, 0));
	no_work(&self->gs);
	end_and_hold(_metadata, self->b, self->t);
}

TEST_F(lazy, enqueue_takes_it)
{
	static const __u32 where[] = { 0, GSCHED_NONE };

	for (int i = 0; i < 2; i++) {
		actor_begin_idle(self->t);
		block_lazily(&self->gs, self->b);
		EXPECT_EQ(0, gs_enqueue(&self->gs, where[i], 7));
		expect_runner(_metadata, &self->gs, self->t);
		EXPECT_EQ(1U, inbox_take(&self->gs, 0, ignore_cookie, NULL));
		no_work(&self->gs);
		end_and_hold(_metadata, self->b, self->t);
	}
}

TEST_F(lazy, readiness_takes_it)
{
	struct gs *gs = &self->gs;
	__u64 one = 1;
	int fd = eventfd(0, EFD_NONBLOCK);
	__u32 slot;

	ASSERT_EQ(0, gs_fd_register(gs, fd, &slot));
	ASSERT_TRUE(node_park(gs_node(gs, slot, GSCHED_DIR_READ), 33));
	actor_begin_idle(self->t);
	block_lazily(gs, self->b);
	must(write(fd, &one, sizeof(one)) == sizeof(one));
	expect_runner(_metadata, gs, self->t);
	EXPECT_EQ(1U, inbox_take(gs, 0, ignore_cookie, NULL));
	no_work(gs);
	end_and_hold(_metadata, self->b, self->t);
}

TEST_F(lazy, idle_with_work_takes_it)
{
	block_lazily(&self->gs, self->b);
	work_in_global(&self->gs);
	actor_begin(self->t, act_idle);
	expect_runner(_metadata, &self->gs, self->t);
	no_work(&self->gs);
	end_and_hold(_metadata, self->b, self->t);
}

/* The deadline of an M that idles: the caller's, or the P's first timer. */
TEST_F(lazy, deadline_takes_it)
{
	struct gs *gs = &self->gs;
	int64_t when;

	for (int i = 0; i < 2; i++) {
		block_lazily(gs, self->b);
		when = now_ns() + 30 * NSEC_PER_MSEC;
		self->t->deadline = i ? 0 : when;
		gs->procs[0].next_when = i ? when : 0;
		ASSERT_EQ(0, actor_do(self->t, act_idle));
		EXPECT_LE(when, self->t->ended);
		EXPECT_GT(HANDOFF_NS, self->t->ended - when);
		EXPECT_EQ(self->t->id, owner_of_proc(gs, 0));
		take_spinning(gs);
		no_work(gs);
		end_and_hold(_metadata, self->b, self->t);
	}
}

/* A P that must retire need not wait for its owner, who runs on with another. */
TEST_F(lazy, set_procs_takes_it)
{
	struct gs *gs = &self->gs;

	ASSERT_EQ(0, gs_set_procs(gs, 2));
	ASSERT_EQ(0, actor_do(self->a, act_release));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	ASSERT_EQ(0, actor_do(self->a, act_acquire));
	ASSERT_EQ(0, actor_do(self->t, act_release));
	ASSERT_EQ(1U, self->a->proc);
	block_lazily(gs, self->b);
	ASSERT_EQ(0, gs_set_procs(gs, 1));
	EXPECT_EQ((__u32)GSCHED_P_DEAD, load32(&gs->procs[1].state));
	EXPECT_EQ(GSCHED_NONE, owner_of_proc(gs, 1));
	EXPECT_EQ(0U, nr_blocked(gs));
	write_byte(self->b);
	EXPECT_EQ(0, actor_end(self->a));
	EXPECT_EQ(0U, self->b->proc);
}

/* A held M takes the P of one that has blocked meanwhile: no P is idle. */
TEST_F(lazy, hold_takes_it)
{
	struct gs *gs = &self->gs;
	struct block *second = block_prepare(&pipe_read, self->t);

	must(make_pipe(second));
	block_lazily(gs, self->b);
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	block_lazily(gs, second);
	write_byte(self->b);
	EXPECT_EQ(0, actor_end(self->a));
	EXPECT_GT(HANDOFF_NS, self->a->ended - kept_at);
	EXPECT_EQ(0U, self->b->proc);
	EXPECT_EQ(self->a->id, owner_of_proc(gs, 0));
	write_byte(second);
	EXPECT_TRUE(eventually(is_held(second)));
	/* And one that blocks gives its P to a held M. */
	actor_begin(self->a, act_block);
	EXPECT_EQ(0, actor_end(self->t));
	EXPECT_EQ(0U, second->proc);
	end_and_hold(_metadata, self->b, self->t);
}

/* ---------------------------------------------------------- who keeps it */

static int act_read_in_section(struct actor *a)
{
	return !read_byte(a->arg);
}

TEST_F(lazy, section_keeps_it)
{
	actor_begin_acquire(self->t);
	actor_begin(self->a, act_read_in_section);
	EXPECT_TRUE(stays_asleep(self->t, GSCHED_IOC_ACQUIRE));
	EXPECT_EQ(0U, nr_blocked(&self->gs));
	EXPECT_EQ(self->a->id, owner_of_proc(&self->gs, 0));
	write_byte(self->b);
	EXPECT_EQ(0, actor_end(self->a));
	EXPECT_FALSE(actor_ended(self->t));
}

/* Sleeping in our own ioctls is no block: they say themselves what becomes of the P. */
TEST_F(lazy, idle_is_no_block)
{
	section_leave(&self->gs, self->t->id);
	actor_begin_idle(self->t);
	EXPECT_EQ(0U, nr_blocked(&self->gs));
	EXPECT_EQ(0, actor_do(self->a, act_release));
	EXPECT_EQ(0, gs_wake(&self->gs));
	EXPECT_EQ(0, actor_end(self->t));
	EXPECT_EQ(self->t->id, owner_of_proc(&self->gs, 0));
}

static long involuntary_switches(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	return read_key(path, "nonvoluntary_ctxt_switches");
}

static void *compete_on_cpu_0(void *arg)
{
	pin_to_cpu(0);
	while (!load32(arg))
		;
	return NULL;
}

/* Another thread takes the CPU from it: that is the kernel's business, not the P's. */
TEST(preempted_is_not_blocked)
{
	struct actor *a, *t;
	struct block *b;
	__u32 stop = 0;
	pthread_t hog;
	struct gs gs;

	gs_start_with(&gs, GSCHED_SETUP_NO_PREEMPT, 1, 1, 4, 0);
	a = actor_start_m(&gs);
	t = actor_start_m(&gs);
	/* Here already: a thread that changes its own CPU may sleep until that is done. */
	must(pin_thread_to_cpu(a->tid, 0) == 0);
	b = block_prepare(&spin, a);
	ASSERT_EQ(0, actor_do(a, act_acquire));
	actor_begin_acquire(t);
	ASSERT_EQ(0, pthread_create(&hog, NULL, compete_on_cpu_0, &stop));
	actor_begin(a, act_block);
	EXPECT_TRUE(eventually(involuntary_switches(a->tid) >= 10));
	EXPECT_EQ(a->id, owner_of_proc(&gs, 0));
	EXPECT_EQ(0U, nr_blocked(&gs));
	EXPECT_EQ(0UL, gs_counter(&gs, "handoffs"));
	futex_wake(b);
	EXPECT_EQ(0, actor_end(a));
	EXPECT_FALSE(actor_ended(t));
	stop = 1;
	pthread_join(hog, NULL);
	gs_stop(&gs);
}

TEST(no_handoff)
{
	struct actor *a, *t;
	struct block *b;
	struct gs gs;

	gs_start_with(&gs, GSCHED_SETUP_NO_HANDOFF | GSCHED_SETUP_NO_PREEMPT, 1, 1, 4, 0);
	a = actor_start_m(&gs);
	t = actor_start_m(&gs);
	b = block_prepare(&pipe_read, a);
	must(make_pipe(b));
	ASSERT_EQ(0, actor_do(a, act_acquire));
	actor_begin_acquire(t);
	actor_begin(a, act_block);
	EXPECT_TRUE(stays_asleep(t, GSCHED_IOC_ACQUIRE));
	EXPECT_EQ(0U, nr_blocked(&gs));
	EXPECT_EQ(a->id, owner_of_proc(&gs, 0));
	write_byte(b);
	EXPECT_EQ(0, actor_end(a));
	EXPECT_EQ(0, actor_do(a, act_release));
	EXPECT_EQ(0, actor_end(t));
	gs_stop(&gs);
}

/* ------------------------------------------------------------------- tick */

#define NEEDS_TICK() do {							\
	if (variant->flags & GSCHED_SETUP_NO_PREEMPT)				\
		SKIP(return, "no tick");					\
} while (0)

/* A timer behind a P whose M sleeps on: the M was idle before the timer was there. */
TEST_F(lazy, tick_sees_the_timer)
{
	struct gs *gs = &self->gs;
	int64_t when, worst = 0;

	NEEDS_TICK();
	for (int i = 0; i < 5; i++) {
		actor_begin_idle(self->t);
		when = now_ns() + 50 * NSEC_PER_MSEC;
		__atomic_store_n(&gs->procs[0].next_when, when, __ATOMIC_SEQ_CST);
		block_lazily(gs, self->b);
		ASSERT_EQ(0, actor_end(self->t));
		EXPECT_EQ(self->t->id, owner_of_proc(gs, 0));
		EXPECT_LE(when, self->t->ended);
		EXPECT_GT(HANDOFF_NS, self->t->ended - when);
		if (self->t->ended - when > worst)
			worst = self->t->ended - when;
		take_spinning(gs);
		no_work(gs);
		end_and_hold(_metadata, self->b, self->t);
	}
	say_took("timer of a blocked M's P, late by at most", worst);
}

/* The tick was asked to come late: the M blocks with an earlier timer. */
TEST_F(lazy, tick_comes_earlier)
{
	struct gs *gs = &self->gs;
	int64_t when = now_ns() + 3600 * NSEC_PER_SEC;

	NEEDS_TICK();
	actor_begin_idle(self->t);
	__atomic_store_n(&gs->procs[0].next_when, when, __ATOMIC_SEQ_CST);
	block_lazily(gs, self->b);
	EXPECT_TRUE(stays_asleep(self->t, GSCHED_IOC_IDLE));
	write_byte(self->b);
	ASSERT_EQ(0, actor_end(self->a));
	when = now_ns() + 50 * NSEC_PER_MSEC;
	__atomic_store_n(&gs->procs[0].next_when, when, __ATOMIC_SEQ_CST);
	block_lazily(gs, self->b);
	ASSERT_EQ(0, actor_end(self->t));
	EXPECT_GT(HANDOFF_NS, self->t->ended - when);
	EXPECT_EQ(self->t->id, owner_of_proc(gs, 0));
}

/* What another P's queue holds is work too; its owner does not say so. */
TEST_F(lazy, tick_sees_the_others_backlog)
{
	struct gs *gs = &self->gs;
	struct actor *busy = self->u;
	__u32 lazy;

	NEEDS_TICK();
	ASSERT_EQ(0, gs_set_procs(gs, 2));
	ASSERT_EQ(0, actor_do(busy, act_acquire));
	lazy = self->a->proc;
	actor_begin_idle(self->t);
	block_lazily(gs, self->b);
	EXPECT_TRUE(stays_asleep(self->t, GSCHED_IOC_IDLE));
	gs->procs[busy->proc].tail = 5;
	EXPECT_EQ(0, gs_wake(gs));
	ASSERT_EQ(0, actor_end(self->t));
	EXPECT_EQ(lazy, self->t->proc);
	gs->procs[busy->proc].tail = 0;
	take_spinning(gs);
	EXPECT_EQ(0, actor_do(self->t, act_release));

	/* It is there when the M blocks, and nobody says anything. */
	write_byte(self->b);
	ASSERT_EQ(0, actor_end(self->a));
	ASSERT_EQ(lazy, self->b->proc);
	actor_begin_idle(self->t);
	gs->procs[busy->proc].tail = 5;
	actor_begin(self->a, act_block);
	ASSERT_EQ(0, actor_end(self->t));
	EXPECT_EQ(lazy, self->t->proc);
	EXPECT_GT(HANDOFF_NS, self->t->ended - self->b->began);
	say_took("backlog of another P, seen after", self->t->ended - self->b->began);
}

/* ------------------------------------------------------- blocks in our ioctls */

static bool acquire_missing(struct block *b)
{
	return gs_ioctl(b->who->gs->fd, GSCHED_IOC_ACQUIRE, b->page) == 0;
}

static bool idle_missing(struct block *b)
{
	struct gsched_idle *idle = (void *)b->page;

	/* Zero: no deadline, so there must be work. */
	return gs_ioctl(b->who->gs->fd, GSCHED_IOC_IDLE, idle) == 0;
}

static bool wake_missing(struct block *b)
{
	return gs_ioctl(b->who->gs->fd, GSCHED_IOC_WAKE, b->page) == -EAGAIN;
}

static const struct way acquire_fault = { make_missing_page, acquire_missing, supply_page };
static const struct way idle_fault = { make_missing_page, idle_missing, supply_page };
static const struct way wake_fault = { make_missing_page, wake_missing, supply_page };

WAY(wake_fault);

/* ACQUIRE without a P: it waits for one, as for any other M. */
TEST_F(lazy, fault_in_acquire)
{
	struct gs *gs = &self->gs;

	self->b = block_prepare(&acquire_fault, self->a);
	ASSERT_TRUE(make_missing_page(self->b));
	actor_begin(self->a, act_block);
	/* Did t ask before, the tick could take the P before the fault: then there is none. */
	ASSERT_TRUE(eventually(nr_blocked(gs) == 1));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	supply_page(self->b);
	EXPECT_TRUE(eventually(m_is(gs, self->a->id, "waiting")));
	EXPECT_EQ(0, actor_do(self->t, act_release));
	EXPECT_EQ(0, actor_end(self->a));
	EXPECT_TRUE(self->b->ok);
	EXPECT_EQ(0U, self->b->proc);
}

/* IDLE without a P: it gets one when there is work for it. */
TEST_F(lazy, fault_in_idle)
{
	struct gs *gs = &self->gs;

	self->b = block_prepare(&idle_fault, self->a);
	ASSERT_TRUE(make_missing_page(self->b));
	actor_begin(self->a, act_block);
	/* Did t ask before, the tick could take the P before the fault: then there is none. */
	ASSERT_TRUE(eventually(nr_blocked(gs) == 1));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	supply_page(self->b);
	EXPECT_TRUE(eventually(m_is(gs, self->a->id, "idle")));
	let_it_happen();
	EXPECT_FALSE(actor_ended(self->a));
	work_in_global(gs);
	EXPECT_EQ(0, actor_do(self->t, act_release));
	EXPECT_EQ(0, actor_end(self->a));
	EXPECT_TRUE(self->b->ok);
	EXPECT_EQ(0U, self->b->proc);
}

/* --------------------------------------------------------- ends by force */

/*
 * Ms in each state that a block leads to:
 *
 * first   m[0] has its P still
 * second  m[0] has lost it and is blocked on, m[1] has lost it and is held, m[2]
 *         has it in a section, m[3] waits in ACQUIRE
 */
struct blocked_world {
	struct gs first, second;
	struct actor *lazy, *m[4];
	struct block *b[2];
};

static struct blocked_world world;

static struct actor *start_blocker(struct gs *gs, struct block **b)
{
	struct actor *a = actor_start_m(gs);

	*b = block_prepare(&pipe_read, a);
	must(make_pipe(*b));
	must(actor_do(a, act_acquire) == 0);
	block_lazily(gs, *b);
	return a;
}

static void fill_world(struct blocked_world *w)
{
	struct block *b;

	gs_start(&w->first, 1, 1, 4, 0);
	w->lazy = start_blocker(&w->first, &b);

	gs_start(&w->second, 1, 1, 8, 0);
	for (int i = 0; i < 2; i++)
		w->m[i] = start_blocker(&w->second, &w->b[i]);
	w->m[2] = actor_start_m(&w->second);
	must(actor_do(w->m[2], act_acquire) == 0);
	write_byte(w->b[1]);
	must(eventually(is_held(w->b[1])));
	w->m[3] = actor_start_m(&w->second);
	actor_begin_acquire(w->m[3]);
}

FIXTURE(process) {
};

FIXTURE_SETUP(process)
{
	ASSERT_TRUE(module_unused());
}

FIXTURE_TEARDOWN(process)
{
	EXPECT_TRUE(module_unused());
}

static int fill_and_wait(void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fill_world(&world);
	must(write(*(int *)arg, "r", 1) == 1);
	pause();
	return 0;
}

TEST_F(process, killed)
{
	int ready[2];
	char byte;

	ASSERT_EQ(0, pipe(ready));
	for (int i = 0; i < 5; i++) {
		pid_t pid = child_start(fill_and_wait, &ready[1]);
		int64_t start;

		ASSERT_EQ(1, read(ready[0], &byte, 1));
		start = now_ns();
		kill(pid, SIGKILL);
		EXPECT_EQ(128 + SIGKILL, child_wait(pid));
		EXPECT_GT(PATIENCE_NS, now_ns() - start);
	}
}

static int fill_and_exit(void *arg)
{
	(void)arg;
	fill_world(&world);
	return 0;
}

TEST_F(process, exits)
{
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(0, in_child(fill_and_exit, NULL));
	}
}

static int act_exec(struct actor *a)
{
	(void)a;
	execl("/proc/self/exe", "kmod_block", "--nothing", NULL);
	return -errno;
}

/* By the leader, by another thread, by an M of the context. */
static int fill_and_exec(void *arg)
{
	struct actor *doer;

	fill_world(&world);
	switch (*(int *)arg) {
	case 0:
		act_exec(NULL);
		break;
	case 1:
		doer = actor_start(&world.first);
		actor_begin(doer, act_exec);
		break;
	case 2:
		actor_begin(world.m[2], act_exec);
		break;
	}
	pause();
	return 1;
}

TEST_F(process, execs)
{
	for (int who = 0; who < 3; who++) {
		EXPECT_EQ(0, in_child(fill_and_exec, &who)) TH_LOG("by %d", who);
	}
}

static int live_a_little(void *arg)
{
	__u32 id, proc;
	struct gs gs;

	must(gs_register(arg, &id) == -EPERM);
	gs_start(&gs, 1, 1, 1, 0);
	must(gs_register(&gs, &id) == 0);
	section_leave(&gs, id);
	must(gs_acquire(&gs, 0, &proc) == 0);
	sleep_ns(NSEC_PER_MSEC);
	must(load32(&gs.ms[id].proc) == proc);
	return 0;
}

static int act_fork(struct actor *a)
{
	section_leave(a->gs, a->id);
	a->flags = in_child(live_a_little, a->gs);
	section_enter(a->gs, a->id);
	return 0;
}

/* Collect the calls of @n actors in whatever order they get the P. */
static void serve(struct actor **m, unsigned int n)
{
	unsigned int i;

	for (unsigned int left = n; left; left--) {
		must(eventually(({
			for (i = 0; i < n && !(m[i] && actor_ended(m[i])); i++)
				;
			i < n;
		})));
		must(actor_end(m[i]) == 0);
		must(actor_do(m[i], act_release) == 0);
		m[i] = NULL;
	}
}

/* By a thread beside them, and by an M, which blocks in wait. */
static int fill_and_fork(void *arg)
{
	struct actor *forker;

	(void)arg;
	fill_world(&world);
	must(in_child(live_a_little, &world.first) == 0);
	forker = world.m[2];
	actor_begin(forker, act_fork);
	serve(&world.m[1], 3);
	must(forker->flags == 0);
	must(world.b[1]->proc == 0);
	return 0;
}

TEST_F(process, forks)
{
	EXPECT_EQ(0, in_child(fill_and_fork, NULL));
}

/* Whoever was held goes on, without a P; nothing more happens in the context. */
static int fill_and_close(void *arg)
{
	(void)arg;
	fill_world(&world);
	close(world.first.fd);
	close(world.second.fd);
	must(actor_end(world.m[1]) == 0);
	must(world.b[1]->ok);
	must(actor_end(world.m[3]) == -ESHUTDOWN);
	write_byte(world.b[0]);
	must(actor_end(world.m[0]) == 0);
	write_byte(world.lazy->arg);
	must(actor_end(world.lazy) == 0);
	/* They can block as they like. */
	actor_begin(world.m[1], act_block);
	write_byte(world.b[1]);
	must(actor_end(world.m[1]) == 0);
	return 0;
}

TEST_F(process, closes)
{
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, in_child(fill_and_close, NULL));
	}
}

static int fill_and_try_unload(void *arg)
{
	(void)arg;
	fill_world(&world);
	must(syscall(SYS_delete_module, "gsched", O_NONBLOCK) && errno == EWOULDBLOCK);
	close(world.first.fd);
	close(world.second.fd);
	must(syscall(SYS_delete_module, "gsched", O_NONBLOCK) && errno == EWOULDBLOCK);
	return 0;
}

TEST_F(process, keeps_the_module)
{
	EXPECT_EQ(0, in_child(fill_and_try_unload, NULL));
}

/* A thread that is cancelled in a block dies with what it has. */
TEST_F(lazy, cancelled)
{
	struct gs *gs = &self->gs;

	block_lazily(gs, self->b);
	pthread_cancel(self->a->thread);
	pthread_join(self->a->thread, NULL);
	EXPECT_EQ(0, actor_do(self->t, act_acquire));
	EXPECT_EQ(self->t->id, owner_of_proc(gs, 0));
	EXPECT_EQ(0U, nr_blocked(gs));

	/* Once more, and the P is gone: it needs one for its handlers. */
	self->b = block_prepare(&pipe_read, self->t);
	must(make_pipe(self->b));
	block_lazily(gs, self->b);
	EXPECT_EQ(0, actor_do(self->u, act_acquire));
	pthread_cancel(self->t->thread);
	EXPECT_TRUE(eventually(is_held(self->b)));
	EXPECT_EQ(0, actor_do(self->u, act_release));
	pthread_join(self->t->thread, NULL);
	EXPECT_TRUE(eventually(nr_idle(gs) == 1));
	EXPECT_EQ(0U, nr_blocked(gs));
}

/* ------------------------------------------------------------------ storm */

#define STORM_MS	8
#define STORM_LINKS	4

struct storm {
	struct gs gs;
	unsigned int seed;
	unsigned int rounds;
	__u32 busy[4];		/* per P: an M is in a section with it */
	int link[STORM_LINKS][2];
	pthread_mutex_t mutex;
};

static struct storm *storm;

/* In a section: nobody else has the P, and the M's words and the P's agree. */
static void check_section(__u32 id)
{
	struct gs *gs = &storm->gs;
	__u32 proc = load32(&gs->ms[id].proc);

	must(proc < 4);
	must(__atomic_exchange_n(&storm->busy[proc], 1, __ATOMIC_SEQ_CST) == 0);
	must(owner_of_proc(gs, proc) == id);
	must(load32(&gs->procs[proc].state) == GSCHED_P_RUN);
	__atomic_store_n(&storm->busy[proc], 0, __ATOMIC_SEQ_CST);
}

/* A token goes round, or it does not: the pipe never blocks for long. */
static void storm_pipe(unsigned int *seed)
{
	int *link = storm->link[rnd(seed, STORM_LINKS)];
	struct pollfd pfd = { .fd = link[0], .events = POLLIN };
	char byte;

	if (rnd(seed, 2)) {
		must(write(link[1], "x", 1) == 1);
		must(read(link[0], &byte, 1) == 1);
	} else {
		poll(&pfd, 1, rnd(seed, 2));
	}
}

static void storm_block(unsigned int *seed)
{
	switch (rnd(seed, 5)) {
	case 0:
		sleep_ns(rnd(seed, 300000));
		break;
	case 1:
		storm_pipe(seed);
		break;
	case 2:
		sched_yield();
		break;
	case 3:
		pthread_mutex_lock(&storm->mutex);
		sleep_ns(rnd(seed, 50000));
		pthread_mutex_unlock(&storm->mutex);
		break;
	case 4:
		for (volatile unsigned int i = rnd(seed, 20000); i; i--)
			;
		break;
	}
}

static void storm_call(__u32 id, unsigned int *seed)
{
	struct gs *gs = &storm->gs;
	__u32 reason, proc;

	switch (rnd(seed, 8)) {
	case 0:
		must(gs_acquire(gs, GSCHED_ACQUIRE_YIELD, &proc) == 0);
		break;
	case 1:
		must(gs_release(gs) == 0);
		break;
	case 2:
		must(gs_idle(gs, now_ns() + rnd(seed, 300000), &reason, &proc) == 0);
		if (reason == GSCHED_IDLE_WORK)
			spinning_end(gs);
		break;
	case 3:
		gs_wake(gs);
		break;
	case 4:
		gs_enqueue(gs, rnd(seed, 4), 2);
		inbox_take_all(gs, ignore_cookie, NULL);
		break;
	case 5:
		must(gs_set_procs(gs, 1 + rnd(seed, 3)) == 0);
		break;
	}
	if (load32(&gs->ms[id].proc) == GSCHED_NONE)
		must(gs_acquire(gs, 0, &proc) == 0);
}

static void *storm_m(void *arg)
{
	unsigned int seed = storm->seed * 16 + (uintptr_t)arg;
	struct gs *gs = &storm->gs;
	__u32 id, proc;

	must(gs_register(gs, &id) == 0);
	must(gs_acquire(gs, 0, &proc) == 0);
	for (unsigned int i = 0; i < storm->rounds; i++) {
		section_leave(gs, id);
		storm_block(&seed);
		must(section_enter(gs, id) != GSCHED_NONE);
		check_section(id);
		storm_call(id, &seed);
		check_section(id);
	}
	must(gs_unregister(gs) == 0);
	return NULL;
}

/* IDLE may have found no P at its deadline: somebody must wake it. */
static void *storm_waker(void *arg)
{
	while (!load32(arg)) {
		gs_wake(&storm->gs);
		sleep_ns(500000);
	}
	return NULL;
}

static void storm_prepare(unsigned int seed)
{
	static const __u32 flags[] = { 0, 0, GSCHED_SETUP_NO_PREEMPT };

	storm = calloc(1, sizeof(*storm));
	must(storm);
	storm->seed = seed;
	storm->rounds = scaled(150);
	pthread_mutex_init(&storm->mutex, NULL);
	for (int i = 0; i < STORM_LINKS; i++)
		must(pipe(storm->link[i]) == 0);
	gs_start_with(&storm->gs, flags[rnd(&seed, 3)], 1 + rnd(&seed, 3), 4, STORM_MS + 1, 0);
	if (rnd(&seed, 2))
		must(gs_times(&storm->gs, 2 * GSCHED_MIN_TIME, GSCHED_MIN_TIME) == 0);
}

static void storm_check_end(struct gs *gs)
{
	must(nr_blocked(gs) == 0);
	must(nr_idle(gs) == load32(&gs->shared->nr_procs));
	for (__u32 p = 0; p < gs->nr_ever; p++)
		must(owner_of_proc(gs, p) == GSCHED_NONE);
}

static int storm_process(void *arg)
{
	pthread_t thread[STORM_MS], waker;
	__u32 stop = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	storm_prepare(*(unsigned int *)arg);
	must(pthread_create(&waker, NULL, storm_waker, &stop) == 0);
	for (uintptr_t i = 0; i < STORM_MS; i++)
		must(pthread_create(&thread[i], NULL, storm_m, (void *)i) == 0);
	for (int i = 0; i < STORM_MS; i++)
		must(pthread_join(thread[i], NULL) == 0);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	must(pthread_join(waker, NULL) == 0);
	storm_check_end(&storm->gs);
	return 0;
}

#define STORM_AT_ONCE	3

static void storms(struct __test_metadata *_metadata, unsigned int n, unsigned int seed)
{
	pid_t pid[STORM_AT_ONCE];
	unsigned int its_seed;

	for (unsigned int i = 0; i < n; i++) {
		for (int j = 0; j < STORM_AT_ONCE; j++) {
			its_seed = seed + i * STORM_AT_ONCE + j;
			pid[j] = child_start(storm_process, &its_seed);
		}
		for (int j = 0; j < STORM_AT_ONCE; j++) {
			EXPECT_EQ(0, child_wait(pid[j])) TH_LOG("round %u, process %d", i, j);
		}
	}
}

TEST_F_TIMEOUT(process, storm, 100)
{
	storms(_metadata, scaled(3), test_seed());
}

/* ns by point, see kmod/delay.h; only in modules that are built for it. */
#define DELAYS_FILE	"/sys/module/gsched/parameters/delays"

static int count_delays(void)
{
	FILE *f = fopen(DELAYS_FILE, "re");
	int n = 1, c;

	must(f);
	while ((c = fgetc(f)) != EOF)
		n += c == ',';
	fclose(f);
	return n;
}

static void set_delays(int point, int nr)
{
	char text[512];
	int n = 0;

	for (int i = 0; i < nr; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%u", i ? "," : "",
			      i == point ? 30000 : 0);
	write_file(DELAYS_FILE, text);
}

/* Each window in which a race is decided is held open once. */
TEST_F_TIMEOUT(process, storm_with_delays, 300)
{
	unsigned int seed = test_seed();
	int nr;

	if (access(DELAYS_FILE, W_OK))
		SKIP(return, "the module has no delay points");
	nr = count_delays();
	for (int point = 0; point < nr; point++) {
		set_delays(point, nr);
		storms(_metadata, 1, seed + 100 * point);
	}
	set_delays(-1, nr);
	note("%d delay points", nr);
}

KMOD_MAIN
