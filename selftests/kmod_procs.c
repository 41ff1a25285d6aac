// SPDX-License-Identifier: GPL-2.0
/*
 * Ps: who gets them and when, idling and waking, changing their number, and the
 * spawner.
 */
#include "kmod.h"

static __u32 state(struct gs *gs, __u32 proc)
{
	return load32(&gs->procs[proc].state);
}

/* The main thread is an M (main_m) and has three actors that are Ms. */
FIXTURE(one) {
	struct gs gs;
	struct actor *a, *b, *c;
	__u32 main_m;
};

FIXTURE_SETUP(one)
{
	gs_start(&self->gs, 1, 4, 8, 0);
	ASSERT_EQ(0, gs_register(&self->gs, &self->main_m));
	self->a = actor_start_m(&self->gs);
	self->b = actor_start_m(&self->gs);
	self->c = actor_start_m(&self->gs);
}

FIXTURE_TEARDOWN(one)
{
	gs_stop(&self->gs);
}

/* Make the actors own P 0 and P 1, a the first. */
static void own_two(struct gs *gs, struct actor *a, struct actor *b)
{
	must(gs_set_procs(gs, 2) == 0);
	must(actor_do(a, act_acquire) == 0);
	must(actor_do(b, act_acquire) == 0);
	must(a->proc + b->proc == 1);
	if (a->proc == 0)
		return;
	must(actor_do(a, act_release) == 0);
	must(actor_do(b, act_release) == 0);
	own_two(gs, b, a);
}

static struct actor *owner_of(struct gs *gs, __u32 proc, struct actor *a, struct actor *b)
{
	return load32(&gs->procs[proc].owner) == a->id ? a : b;
}

/* --------------------------------------------------------- acquire, release */

TEST_F(one, acquire_and_release)
{
	struct gs *gs = &self->gs;
	__u32 proc;

	ASSERT_EQ(0, gs_acquire(gs, 0, &proc));
	EXPECT_EQ(0U, proc);
	EXPECT_EQ(0U, load32(&gs->ms[self->main_m].proc));
	EXPECT_EQ(self->main_m, load32(&gs->procs[0].owner));
	EXPECT_EQ((__u32)GSCHED_P_RUN, state(gs, 0));
	EXPECT_EQ(0U, nr_idle(gs));

	ASSERT_EQ(0, gs_acquire(gs, 0, &proc));
	EXPECT_EQ(0U, proc);
	ASSERT_EQ(0, gs_acquire(gs, GSCHED_ACQUIRE_YIELD, &proc));
	EXPECT_EQ(0U, proc);

	ASSERT_EQ(0, gs_release(gs));
	EXPECT_EQ(GSCHED_NONE, load32(&gs->ms[self->main_m].proc));
	EXPECT_EQ(GSCHED_NONE, load32(&gs->procs[0].owner));
	EXPECT_EQ((__u32)GSCHED_P_IDLE, state(gs, 0));
	EXPECT_EQ(1U, nr_idle(gs));
	EXPECT_EQ(0, gs_release(gs));
	EXPECT_EQ(1U, nr_idle(gs));
}

TEST_F(one, acquire_in_order_of_arrival)
{
	struct actor *order[] = { self->b, self->a, self->c };
	__u32 proc;

	ASSERT_EQ(0, gs_acquire(&self->gs, 0, &proc));
	for (int i = 0; i < 3; i++)
		actor_begin_acquire(order[i]);
	ASSERT_EQ(0, gs_release(&self->gs));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, actor_end(order[i]));
		EXPECT_EQ(order[i]->id, load32(&self->gs.procs[0].owner));
		if (i < 2) {
			EXPECT_TRUE(stays_asleep(order[i + 1], GSCHED_IOC_ACQUIRE));
		}
		ASSERT_EQ(0, actor_do(order[i], act_release));
	}
	EXPECT_EQ(1U, nr_idle(&self->gs));
}

/* Who yields goes behind those that wait. */
TEST_F(one, yield)
{
	__u32 proc;

	ASSERT_EQ(0, gs_acquire(&self->gs, 0, &proc));
	actor_begin_acquire(self->a);
	actor_begin_acquire(self->b);
	self->c->flags = GSCHED_ACQUIRE_YIELD;
	actor_begin_acquire(self->c);
	EXPECT_TRUE(stays_asleep(self->a, GSCHED_IOC_ACQUIRE));
	ASSERT_EQ(0, gs_release(&self->gs));

	ASSERT_EQ(0, actor_end(self->a));
	self->a->flags = GSCHED_ACQUIRE_YIELD;
	actor_begin_acquire(self->a);
	ASSERT_EQ(0, actor_end(self->b));
	ASSERT_EQ(0, actor_do(self->b, act_release));
	ASSERT_EQ(0, actor_end(self->c));
	ASSERT_EQ(0, actor_do(self->c, act_release));
	ASSERT_EQ(0, actor_end(self->a));
}

/* Those that let each other have it do not starve its queue. */
TEST_F(one, queue_has_its_turn)
{
	struct actor *turn[] = { self->a, self->b, self->c };
	struct actor *idle = actor_start_m(&self->gs), *next;
	int64_t end = now_ns() + PATIENCE_NS;
	int i;

	actor_begin_idle(idle);
	ASSERT_EQ(0, actor_do(turn[0], act_acquire));
	actor_begin_acquire(turn[1]);
	__atomic_store_n(&self->gs.procs[0].tail, 1, __ATOMIC_RELEASE);
	for (i = 0; !actor_ended(idle) && now_ns() < end; i++) {
		next = turn[(i + 1) % 3];
		actor_begin_acquire(turn[(i + 2) % 3]);
		ASSERT_EQ(0, actor_do(turn[i % 3], act_release));
		ASSERT_TRUE(eventually(actor_ended(next) || actor_ended(idle)));
		if (actor_ended(next))
			ASSERT_EQ(0, actor_end(next));
	}
	if (!actor_ended(idle)) {
		note("%d turns", i);
		gs_show(&self->gs);
	}
	ASSERT_TRUE(actor_ended(idle));
	EXPECT_EQ(0, actor_end(idle));
	EXPECT_EQ((__u32)GSCHED_IDLE_WORK, idle->reason);
}

/* --------------------------------------------------------------- bound, stress */

struct bound {
	struct gs gs;
	unsigned int rounds;
	__u32 inside;
	__u32 most;
	__u32 owned[4];
	bool stop;
};

static struct bound bound;

static void enter_proc(__u32 proc)
{
	__u32 n = __atomic_add_fetch(&bound.inside, 1, __ATOMIC_SEQ_CST);
	__u32 most = load32(&bound.most);

	must(proc < 4);
	must(__atomic_exchange_n(&bound.owned[proc], 1, __ATOMIC_SEQ_CST) == 0);
	while (n > most && !__atomic_compare_exchange_n(&bound.most, &most, n, false,
							__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static void leave_proc(__u32 proc)
{
	__atomic_store_n(&bound.owned[proc], 0, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(&bound.inside, 1, __ATOMIC_SEQ_CST);
}

/* Give the P up in one way or another. */
static void give_up(struct gs *gs, unsigned int how)
{
	__u32 reason, proc;

	switch (how) {
	case 0:
		must(gs_release(gs) == 0);
		break;
	case 1:
		must(gs_acquire(gs, GSCHED_ACQUIRE_YIELD, &proc) == 0);
		break;
	case 2:
		must(gs_idle(gs, 1, &reason, &proc) == 0);
		if (reason == GSCHED_IDLE_WORK)
			spinning_end(gs);
		break;
	}
}

static void *acquire_and_count(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	struct gs *gs = &bound.gs;
	__u32 id, proc;

	must(gs_register(gs, &id) == 0);
	for (unsigned int i = 0; i < bound.rounds; i++) {
		must(gs_acquire(gs, 0, &proc) == 0);
		must(proc == load32(&gs->ms[id].proc));
		must(load32(&gs->procs[proc].owner) == id);
		enter_proc(proc);
		rnd_delay(&seed);
		leave_proc(proc);
		give_up(gs, rnd(&seed, 3));
		if (load32(&gs->ms[id].proc) != GSCHED_NONE)
			must(gs_release(gs) == 0);
	}
	must(gs_unregister(gs) == 0);
	return NULL;
}

/*
 * More than one M asks for a P that nobody needs at the moment: IDLE with a
 * deadline in the past may find no P idle. Then it sleeps until it is woken, which
 * this thread does.
 */
static void *wake_all_the_time(void *arg)
{
	while (!__atomic_load_n(&bound.stop, __ATOMIC_RELAXED)) {
		gs_wake(&bound.gs);
		sleep_ns(200000);
	}
	return arg;
}

static void run_bound(unsigned int nr_procs, unsigned int rounds, unsigned int seed)
{
	pthread_t thread[8], waker;

	gs_start(&bound.gs, nr_procs, 4, 16, 0);
	bound.rounds = rounds;
	must(pthread_create(&waker, NULL, wake_all_the_time, NULL) == 0);
	for (uintptr_t i = 0; i < 8; i++)
		must(pthread_create(&thread[i], NULL, acquire_and_count, (void *)(seed + i)) == 0);
	for (int i = 0; i < 8; i++)
		must(pthread_join(thread[i], NULL) == 0);
	bound.stop = true;
	must(pthread_join(waker, NULL) == 0);
}

TEST(never_more_than_nr_procs)
{
	unsigned int seed = test_seed();

	for (__u32 n = 1; n <= 3; n++) {
		memset(&bound, 0, sizeof(bound));
		run_bound(n, scaled(300), seed + n);
		EXPECT_GE(n, bound.most);
		EXPECT_EQ(n, nr_idle(&bound.gs));
		for (__u32 p = 0; p < n; p++) {
			EXPECT_EQ((__u32)GSCHED_P_IDLE, state(&bound.gs, p));
		}
		gs_stop(&bound.gs);
	}
}

static void *change_nr_procs(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	while (!__atomic_load_n(&bound.stop, __ATOMIC_RELAXED)) {
		must(gs_set_procs(&bound.gs, 1 + rnd(&seed, 4)) == 0);
		rnd_delay(&seed);
	}
	return NULL;
}

static __u32 idle_or_dead(bool idle)
{
	return idle ? GSCHED_P_IDLE : GSCHED_P_DEAD;
}

/* Ps come and go under the Ms' feet: nobody shares one, nobody hangs. */
TEST(change_nr_procs_while_running)
{
	unsigned int seed = test_seed();
	pthread_t changer[2], waker, thread[6];
	struct gs *gs = &bound.gs;

	gs_start(gs, 2, 4, 16, 0);
	bound.rounds = scaled(300);
	for (uintptr_t i = 0; i < 2; i++)
		must(pthread_create(&changer[i], NULL, change_nr_procs, (void *)(seed + i)) == 0);
	must(pthread_create(&waker, NULL, wake_all_the_time, NULL) == 0);
	for (uintptr_t i = 0; i < 6; i++)
		must(pthread_create(&thread[i], NULL, acquire_and_count, (void *)(seed + i)) == 0);
	for (int i = 0; i < 6; i++)
		must(pthread_join(thread[i], NULL) == 0);
	bound.stop = true;
	for (int i = 0; i < 2; i++)
		must(pthread_join(changer[i], NULL) == 0);
	must(pthread_join(waker, NULL) == 0);

	for (__u32 n = 4; n >= 1; n--) {
		ASSERT_EQ(0, gs_set_procs(gs, n));
		EXPECT_EQ(n, nr_idle(gs));
		for (__u32 p = 0; p < 4; p++) {
			EXPECT_EQ(idle_or_dead(p < n), state(gs, p));
		}
	}
}

/* --------------------------------------------------------------- SET_PROCS */

TEST_F(one, more_procs_go_to_those_who_wait)
{
	struct gs *gs = &self->gs;
	__u32 proc;

	ASSERT_EQ(0, gs_acquire(gs, 0, &proc));
	actor_begin_acquire(self->a);
	actor_begin_acquire(self->b);
	ASSERT_EQ(0, gs_set_procs(gs, 2));
	ASSERT_EQ(0, actor_end(self->a));
	EXPECT_EQ(1U, self->a->proc);
	EXPECT_TRUE(stays_asleep(self->b, GSCHED_IOC_ACQUIRE));
	ASSERT_EQ(0, gs_set_procs(gs, 4));
	ASSERT_EQ(0, actor_end(self->b));
	EXPECT_EQ(1U, nr_idle(gs));
	EXPECT_EQ(4U, load32(&gs->shared->nr_procs));
}

TEST_F(one, idle_proc_dies_at_once)
{
	struct gs *gs = &self->gs;

	ASSERT_EQ(0, gs_set_procs(gs, 3));
	EXPECT_EQ(3U, nr_idle(gs));
	ASSERT_EQ(0, gs_set_procs(gs, 1));
	EXPECT_EQ(1U, nr_idle(gs));
	EXPECT_EQ((__u32)GSCHED_P_IDLE, state(gs, 0));
	EXPECT_EQ((__u32)GSCHED_P_DEAD, state(gs, 1));
	EXPECT_EQ((__u32)GSCHED_P_DEAD, state(gs, 2));
	ASSERT_EQ(0, gs_set_procs(gs, 2));
	EXPECT_EQ((__u32)GSCHED_P_IDLE, state(gs, 1));
	EXPECT_EQ((__u32)GSCHED_P_DEAD, state(gs, 2));
	EXPECT_EQ(2U, nr_idle(gs));
}

TEST_F(one, running_proc_dies_when_given_up)
{
	struct gs *gs = &self->gs;
	struct actor *first, *second;

	own_two(gs, self->a, self->b);
	first = owner_of(gs, 0, self->a, self->b);
	second = owner_of(gs, 1, self->a, self->b);
	actor_begin_acquire(self->c);

	ASSERT_EQ(0, gs_set_procs(gs, 1));
	EXPECT_EQ(1U, load32(&gs->shared->nr_procs));
	EXPECT_EQ((__u32)GSCHED_P_RUN, state(gs, 1));
	EXPECT_EQ(GSCHED_ATTN_RETIRE, load32(&gs->procs[1].attention) & GSCHED_ATTN_RETIRE);
	EXPECT_EQ(0U, load32(&gs->procs[0].attention) & GSCHED_ATTN_RETIRE);

	ASSERT_EQ(0, actor_do(second, act_release));
	EXPECT_EQ((__u32)GSCHED_P_DEAD, state(gs, 1));
	EXPECT_EQ(GSCHED_NONE, load32(&gs->procs[1].owner));
	EXPECT_EQ(0U, nr_idle(gs));
	EXPECT_TRUE(stays_asleep(self->c, GSCHED_IOC_ACQUIRE));

	ASSERT_EQ(0, actor_do(first, act_release));
	ASSERT_EQ(0, actor_end(self->c));
	EXPECT_EQ(0U, self->c->proc);
}

/* It dies too when its owner idles, yields, or ends. */
TEST_F(one, ways_to_retire)
{
	struct gs *gs = &self->gs;
	struct actor *second;
	__u32 proc;

	for (int how = 0; how < 3; how++) {
		own_two(gs, self->a, self->b);
		second = owner_of(gs, 1, self->a, self->b);
		ASSERT_EQ(0, gs_set_procs(gs, 1));
		if (how == 0) {
			second->deadline = 0;
			actor_begin_idle(second);
		} else if (how == 1) {
			second->flags = GSCHED_ACQUIRE_YIELD;
			actor_begin_acquire(second);
			second->flags = 0;
		} else {
			ASSERT_EQ(0, actor_do(second, act_unregister));
		}
		EXPECT_EQ((__u32)GSCHED_P_DEAD, state(gs, 1));
		ASSERT_EQ(0, actor_do(owner_of(gs, 0, self->a, self->b), act_release));
		if (how == 0) {
			ASSERT_EQ(0, gs_wake(gs));
			take_spinning(gs);
		}
		if (how != 2) {
			ASSERT_EQ(0, actor_end(second));
			ASSERT_EQ(0, actor_do(second, act_release));
		}
		EXPECT_EQ(1U, nr_idle(gs));
	}
	ASSERT_EQ(0, gs_acquire(gs, 0, &proc));
}

TEST_F(one, retirement_called_off)
{
	struct gs *gs = &self->gs;
	struct actor *second;

	own_two(gs, self->a, self->b);
	second = owner_of(gs, 1, self->a, self->b);
	ASSERT_EQ(0, gs_set_procs(gs, 1));
	ASSERT_EQ(0, gs_set_procs(gs, 2));
	EXPECT_EQ((__u32)GSCHED_P_RUN, state(gs, 1));
	ASSERT_EQ(0, actor_do(second, act_release));
	EXPECT_EQ((__u32)GSCHED_P_IDLE, state(gs, 1));
	EXPECT_EQ(1U, nr_idle(gs));
}

/* ------------------------------------------------------------- idle and wake */

TEST_F(one, wake_needs_an_idle_proc)
{
	__u32 proc;

	ASSERT_EQ(0, gs_acquire(&self->gs, 0, &proc));
	actor_begin_idle(self->a);
	EXPECT_EQ(-EAGAIN, gs_wake(&self->gs));
	EXPECT_TRUE(stays_asleep(self->a, GSCHED_IOC_IDLE));
	EXPECT_EQ(0U, load32(&self->gs.shared->nr_spinning));
}

TEST_F(one, wake)
{
	struct gs *gs = &self->gs;

	ASSERT_EQ(0, actor_do(self->a, act_acquire));
	actor_begin_idle(self->a);
	EXPECT_EQ(1U, nr_idle(gs));
	EXPECT_EQ((__u32)GSCHED_P_IDLE, state(gs, 0));
	EXPECT_TRUE(stays_asleep(self->a, GSCHED_IOC_IDLE));

	ASSERT_EQ(0, gs_wake(gs));
	EXPECT_EQ(1U, load32(&gs->shared->nr_spinning));
	ASSERT_EQ(0, actor_end(self->a));
	EXPECT_EQ((__u32)GSCHED_IDLE_WORK, self->a->reason);
	EXPECT_EQ(0U, self->a->proc);
	EXPECT_EQ(self->a->id, load32(&gs->procs[0].owner));
	EXPECT_EQ(0U, nr_idle(gs));
	EXPECT_EQ(1U, take_spinning(gs));
	EXPECT_EQ(-EAGAIN, gs_wake(gs));
}

TEST(wake_needs_an_m)
{
	struct actor *m;
	struct gs gs;

	gs_start(&gs, 2, 2, 1, 0);
	EXPECT_EQ(0, gs_wake(&gs));	/* asks for one */
	m = actor_start_m(&gs);
	EXPECT_EQ(-EAGAIN, gs_wake(&gs));
	EXPECT_EQ(0, actor_do(m, act_acquire));
	EXPECT_EQ(-EAGAIN, gs_wake(&gs));
	actor_begin_idle(m);
	EXPECT_EQ(0, gs_wake(&gs));
	EXPECT_EQ(0, actor_end(m));
	gs_stop(&gs);
}

/* Each wake wakes one. */
TEST_F(one, wakes_are_single)
{
	struct actor *all[] = { self->a, self->b, self->c };
	struct gs *gs = &self->gs;
	int awake = 0;

	ASSERT_EQ(0, gs_set_procs(gs, 3));
	for (int i = 0; i < 3; i++)
		actor_begin_idle(all[i]);
	for (int n = 1; n <= 3; n++) {
		ASSERT_EQ(0, gs_wake(gs));
		EXPECT_EQ(1U, take_spinning(gs));
		let_it_happen();
		awake = 0;
		for (int i = 0; i < 3; i++)
			awake += actor_ended(all[i]);
		EXPECT_EQ(n, awake);
	}
	EXPECT_EQ(-EAGAIN, gs_wake(gs));
}

/* An M that wants a P anyway comes before one that idles. */
TEST_F(one, release_serves_those_who_wait_first)
{
	__u32 proc;

	ASSERT_EQ(0, gs_acquire(&self->gs, 0, &proc));
	actor_begin_idle(self->a);
	actor_begin_acquire(self->b);
	self->gs.shared->global_len = 1;
	ASSERT_EQ(0, gs_release(&self->gs));
	ASSERT_EQ(0, actor_end(self->b));
	EXPECT_TRUE(stays_asleep(self->a, GSCHED_IOC_IDLE));
	self->gs.shared->global_len = 0;
}

TEST_F(one, release_with_work_wakes)
{
	struct gs *gs = &self->gs;
	__u32 proc;

	for (int kind = 0; kind < 2; kind++) {
		ASSERT_EQ(0, gs_acquire(gs, 0, &proc));
		actor_begin_idle(self->a);
		if (kind == 0)
			gs->procs[0].tail = 1;
		else
			gs->procs[0].runnext = 2;
		ASSERT_EQ(0, gs_release(gs));
		ASSERT_EQ(0, actor_end(self->a));
		EXPECT_EQ((__u32)GSCHED_IDLE_WORK, self->a->reason);
		EXPECT_EQ(1U, take_spinning(gs));
		gs->procs[0].tail = 0;
		gs->procs[0].runnext = 0;
		ASSERT_EQ(0, actor_do(self->a, act_release));
	}
}

/* Work anywhere, and the spawner where no M idles. */
TEST_F(one, release_with_work_elsewhere_wakes)
{
	struct gs *gs = &self->gs;
	struct actor *s = actor_start(gs);

	own_two(gs, self->a, self->b);
	actor_begin_idle(self->c);
	gs->shared->global_len = 1;
	ASSERT_EQ(0, actor_do(self->a, act_release));
	ASSERT_EQ(0, actor_end(self->c));
	EXPECT_EQ(1U, take_spinning(gs));
	gs->shared->global_len = 0;
	gs->procs[self->c->proc].tail = 1;
	actor_begin_spawner(s);
	ASSERT_EQ(0, actor_do(self->b, act_release));
	EXPECT_EQ(0, actor_end(s));
	EXPECT_EQ(1U, nr_idle(gs));
}

TEST_F(one, new_procs_with_work_wake)
{
	struct gs *gs = &self->gs;
	__u32 proc;

	ASSERT_EQ(0, gs_acquire(gs, 0, &proc));
	actor_begin_idle(self->a);
	gs->procs[0].tail = 5;
	ASSERT_EQ(0, gs_set_procs(gs, 2));
	ASSERT_EQ(0, actor_end(self->a));
	EXPECT_EQ((__u32)GSCHED_IDLE_WORK, self->a->reason);
	EXPECT_EQ(1U, self->a->proc);
}

TEST_F(one, release_without_work_wakes_nobody)
{
	__u32 proc;

	ASSERT_EQ(0, gs_acquire(&self->gs, 0, &proc));
	actor_begin_idle(self->a);
	ASSERT_EQ(0, gs_release(&self->gs));
	EXPECT_TRUE(stays_asleep(self->a, GSCHED_IOC_IDLE));
	EXPECT_EQ(1U, nr_idle(&self->gs));
}

/* ------------------------------------------------- IDLE looks before it sleeps */

static void show_work(struct gs *gs, int kind, bool on)
{
	switch (kind) {
	case 0:
		gs->procs[0].tail = on;
		break;
	case 1:
		gs->procs[1].tail = on;
		break;
	case 2:
		gs->procs[0].runnext = on ? 2 : 0;
		break;
	case 3:
		gs->procs[1].runnext = on ? 2 : 0;
		break;
	case 4:
		gs->shared->global_len = on;
		break;
	case 5:		/* indices wrap */
		gs->procs[1].head = 0xffffffff;
		gs->procs[1].tail = on ? 0 : 0xffffffff;
		break;
	case 6:		/* the mode in the head's upper half is no index */
		gs->procs[0].head = 5ULL << 32 | 7;
		gs->procs[0].tail = on ? 8 : 7;
		break;
	}
}

TEST_F(one, idle_sees_work)
{
	struct gs *gs = &self->gs;
	__u32 reason, proc;

	ASSERT_EQ(0, gs_set_procs(gs, 2));
	for (int kind = 0; kind < 7; kind++) {
		show_work(gs, kind, true);
		ASSERT_EQ(0, gs_idle(gs, 0, &reason, &proc));
		EXPECT_EQ((__u32)GSCHED_IDLE_WORK, reason) TH_LOG("kind %d", kind);
		EXPECT_GT(2U, proc);
		EXPECT_EQ(1U, take_spinning(gs));
		show_work(gs, kind, false);
		ASSERT_EQ(0, gs_idle(gs, now_ns() + NSEC_PER_MSEC, &reason, &proc));
		EXPECT_EQ((__u32)GSCHED_IDLE_TIMEOUT, reason) TH_LOG("kind %d", kind);
	}
}

TEST_F(one, idle_sees_inboxes)
{
	struct gs *gs = &self->gs;
	__u32 reason, proc;

	ASSERT_EQ(0, gs_set_procs(gs, 2));
	for (__u32 p = 0; p < 2; p++) {
		/* The P is busy when the G arrives, so nobody is asked for. */
		own_two(gs, self->a, self->b);
		ASSERT_EQ(0, gs_enqueue(gs, p, 77));
		ASSERT_EQ(0, actor_do(self->a, act_release));
		ASSERT_EQ(0, actor_do(self->b, act_release));
		take_spinning(gs);
		ASSERT_EQ(0, gs_idle(gs, 0, &reason, &proc));
		EXPECT_EQ((__u32)GSCHED_IDLE_WORK, reason);
		EXPECT_EQ(1U, take_spinning(gs));
		EXPECT_EQ(1U, inbox_take_all(gs, ignore_cookie, NULL));
		ASSERT_EQ(0, gs_release(gs));
	}
}

/* With all Ps busy an M sleeps, work or not: their owners see to it. */
TEST_F(one, idle_needs_an_idle_proc)
{
	struct gs *gs = &self->gs;
	__u32 proc;

	ASSERT_EQ(0, gs_acquire(gs, 0, &proc));
	gs->procs[0].runnext = 2;
	actor_begin_idle(self->a);
	EXPECT_TRUE(stays_asleep(self->a, GSCHED_IOC_IDLE));
	EXPECT_EQ(0U, load32(&gs->shared->nr_spinning));
	gs->procs[0].runnext = 0;
}

/* ------------------------------------------------------------------ deadlines */

TEST_F(one, deadline)
{
	__u32 reason, proc;
	int64_t least = NSEC_PER_SEC;

	for (int i = 0; i < 10; i++) {
		int64_t deadline = now_ns() + 20 * NSEC_PER_MSEC, late;

		ASSERT_EQ(0, gs_idle(&self->gs, deadline, &reason, &proc));
		late = now_ns() - deadline;
		EXPECT_EQ((__u32)GSCHED_IDLE_TIMEOUT, reason);
		EXPECT_EQ(0U, proc);
		EXPECT_EQ(self->main_m, load32(&self->gs.procs[0].owner));
		EXPECT_LE(0, late);
		if (late < least)
			least = late;
	}
	EXPECT_EQ(0U, load32(&self->gs.shared->nr_spinning));
	EXPECT_GT(50 * NSEC_PER_MSEC, least);
}

/* The earlier of deadline and next_when counts, and a next_when without a deadline. */
TEST_F(one, next_when_is_a_deadline)
{
	struct gsched_proc *p = &self->gs.procs[0];
	__u32 reason, proc;

	for (int i = 0; i < 2; i++) {
		int64_t when = now_ns() + 20 * NSEC_PER_MSEC;

		__atomic_store_n(&p->next_when, when, __ATOMIC_RELAXED);
		ASSERT_EQ(0, gs_idle(&self->gs, i ? when + 3600 * NSEC_PER_SEC : 0,
				     &reason, &proc));
		/* The tick may see the timer first, and wakes for work. */
		EXPECT_EQ(reason == GSCHED_IDLE_WORK, take_spinning(&self->gs));
		EXPECT_LE(when, now_ns());
	}
	__atomic_store_n(&p->next_when, now_ns() + 3600 * NSEC_PER_SEC, __ATOMIC_RELAXED);
	ASSERT_EQ(0, gs_idle(&self->gs, now_ns() + NSEC_PER_MSEC, &reason, &proc));
	EXPECT_EQ((__u32)GSCHED_IDLE_TIMEOUT, reason);
}

TEST_F(one, deadline_in_the_past)
{
	__u32 reason, proc;
	int64_t start = now_ns();

	ASSERT_EQ(0, gs_idle(&self->gs, 1, &reason, &proc));
	EXPECT_EQ((__u32)GSCHED_IDLE_TIMEOUT, reason);
	ASSERT_EQ(0, gs_idle(&self->gs, start, &reason, &proc));
	EXPECT_EQ((__u32)GSCHED_IDLE_TIMEOUT, reason);
}

/* Far, farther, and beyond what the kernel's clock can express. */
TEST_F(one, deadline_far_away)
{
	static const __u64 far[] = { 1ULL << 62, (1ULL << 63) - 1, 1ULL << 63, ~0ULL };

	for (unsigned int i = 0; i < ARRAY_SIZE(far); i++) {
		self->a->deadline = far[i];
		actor_begin_idle(self->a);
		EXPECT_TRUE(stays_asleep(self->a, GSCHED_IOC_IDLE)) TH_LOG("%llx", far[i]);
		ASSERT_EQ(0, gs_wake(&self->gs));
		ASSERT_EQ(0, actor_end(self->a));
		take_spinning(&self->gs);
		ASSERT_EQ(0, actor_do(self->a, act_release));
	}
}

TEST_F(one, wake_beats_deadline)
{
	self->a->deadline = now_ns() + 3600 * NSEC_PER_SEC;
	actor_begin_idle(self->a);
	ASSERT_EQ(0, gs_wake(&self->gs));
	ASSERT_EQ(0, actor_end(self->a));
	EXPECT_EQ((__u32)GSCHED_IDLE_WORK, self->a->reason);
}

/* No P is idle when it passes: dropped, also for the time after. */
TEST_F(one, deadline_dropped)
{
	struct gs *gs = &self->gs;
	__u32 proc;

	ASSERT_EQ(0, gs_acquire(gs, 0, &proc));
	self->a->deadline = now_ns() + 20 * NSEC_PER_MSEC;
	actor_begin_idle(self->a);
	EXPECT_TRUE(stays_asleep(self->a, GSCHED_IOC_IDLE));
	ASSERT_EQ(0, gs_release(gs));
	EXPECT_TRUE(stays_asleep(self->a, GSCHED_IOC_IDLE));
	ASSERT_EQ(0, gs_wake(gs));
	ASSERT_EQ(0, actor_end(self->a));
	EXPECT_EQ((__u32)GSCHED_IDLE_WORK, self->a->reason);
}

/* ------------------------------------------------------------- Ms that leave */

/* One M too many: one of the two leaves, and the other stays however long. */
TEST_F(one, surplus_leaves)
{
	struct actor *m[] = { self->a, self->b }, *left, *stays;
	int64_t start = now_ns();

	for (int i = 0; i < 2; i++) {
		m[i]->leave_ms = 50;
		actor_begin_idle(m[i]);
	}
	ASSERT_TRUE(eventually(actor_ended(m[0]) || actor_ended(m[1])));
	left = actor_ended(m[0]) ? m[0] : m[1];
	stays = left == m[0] ? m[1] : m[0];
	EXPECT_EQ(-ETIME, actor_end(left));
	EXPECT_LE(45 * NSEC_PER_MSEC, now_ns() - start);
	EXPECT_EQ(GSCHED_NONE, load32(&self->gs.ms[left->id].proc));
	let_it_happen();
	EXPECT_TRUE(stays_asleep(stays, GSCHED_IOC_IDLE));
	ASSERT_EQ(0, gs_wake(&self->gs));
	EXPECT_EQ(0, actor_end(stays));
	/* It can come back. */
	left->leave_ms = 0;
	actor_begin_idle(left);
	ASSERT_EQ(0, actor_do(stays, act_release));
	ASSERT_EQ(0, gs_wake(&self->gs));
	EXPECT_EQ(0, actor_end(left));
}

TEST_F(one, no_surplus_stays)
{
	ASSERT_EQ(0, gs_set_procs(&self->gs, 2));
	self->a->leave_ms = 10;
	self->b->leave_ms = 10;
	actor_begin_idle(self->a);
	actor_begin_idle(self->b);
	let_it_happen();
	EXPECT_TRUE(stays_asleep(self->a, GSCHED_IOC_IDLE));
	EXPECT_TRUE(stays_asleep(self->b, GSCHED_IOC_IDLE));
	/* The third is one too many. */
	self->c->leave_ms = 10;
	actor_begin(self->c, act_idle);
	EXPECT_TRUE(eventually(actor_ended(self->a) + actor_ended(self->b) +
			       actor_ended(self->c) == 1));
	let_it_happen();
	EXPECT_EQ(1, actor_ended(self->a) + actor_ended(self->b) + actor_ended(self->c));
}

/* The deadline comes first, and it counts. */
TEST_F(one, deadline_before_leaving)
{
	actor_begin_idle(self->b);
	self->a->leave_ms = 500;
	self->a->deadline = now_ns() + 20 * NSEC_PER_MSEC;
	EXPECT_EQ(0, actor_do(self->a, act_idle));
	EXPECT_EQ((__u32)GSCHED_IDLE_TIMEOUT, self->a->reason);
}

/* ----------------------------------------------------------------- signals */

static void on_signal(int sig)
{
	(void)sig;
}

static void catch_signal(int flags)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = flags };

	must(sigaction(SIGUSR1, &act, NULL) == 0);
}

/* With a hold the M has a P again before the handler runs, without it it has none. */
FIXTURE(interrupted) {
	struct gs gs;
	struct actor *a, *b, *owner;
	bool held;
};

FIXTURE_VARIANT(interrupted) {
	__u32 flags;
};

FIXTURE_VARIANT_ADD(interrupted, held) { .flags = 0 };
FIXTURE_VARIANT_ADD(interrupted, not_held) { .flags = GSCHED_SETUP_NO_HOLD };

FIXTURE_SETUP(interrupted)
{
	gs_start_with(&self->gs, variant->flags, 1, 1, 8, 0);
	self->held = !variant->flags && (gs_features(&self->gs) & GSCHED_FEAT_HOLD);
	self->a = actor_start_m(&self->gs);
	self->b = actor_start_m(&self->gs);
	self->owner = actor_start_m(&self->gs);
}

FIXTURE_TEARDOWN(interrupted)
{
	gs_stop(&self->gs);
}

TEST_F(interrupted, acquire)
{
	struct gs *gs = &self->gs;
	struct actor *a = self->a, *owner = self->owner;

	for (int restart = 0; restart < 2; restart++) {
		ASSERT_EQ(0, actor_do(owner, act_acquire));
		catch_signal(restart ? SA_RESTART : 0);
		actor_begin_acquire(a);
		pthread_kill(a->thread, SIGUSR1);
		if (self->held) {
			EXPECT_TRUE(eventually(m_is(gs, a->id, "held")));
			EXPECT_EQ(0, actor_do(owner, act_release));
		}
		EXPECT_EQ(-EINTR, actor_end(a)) TH_LOG("restart %d", restart);
		EXPECT_EQ(self->held ? 0 : GSCHED_NONE, load32(&gs->ms[a->id].proc));
		EXPECT_EQ(0, actor_do(self->held ? a : owner, act_release));
	}
	/* It does not stand in the queue any more. */
	ASSERT_EQ(0, actor_do(owner, act_acquire));
	actor_begin_acquire(self->b);
	ASSERT_EQ(0, actor_do(owner, act_release));
	ASSERT_EQ(0, actor_end(self->b));
}

TEST_F(interrupted, idle)
{
	struct gs *gs = &self->gs;
	struct actor *a = self->a;

	for (int restart = 0; restart < 2; restart++) {
		catch_signal(restart ? SA_RESTART : 0);
		ASSERT_EQ(0, actor_do(a, act_acquire));
		a->deadline = restart ? now_ns() + 3600 * NSEC_PER_SEC : 0;
		actor_begin_idle(a);
		pthread_kill(a->thread, SIGUSR1);
		EXPECT_EQ(-EINTR, actor_end(a)) TH_LOG("restart %d", restart);
		EXPECT_EQ(self->held ? 0 : GSCHED_NONE, load32(&gs->ms[a->id].proc));
		EXPECT_EQ(!self->held, nr_idle(gs));
		EXPECT_EQ(0U, load32(&gs->shared->nr_spinning));
	}
}

TEST_F(one, signals_end_spawner)
{
	struct actor *s;

	s = actor_start(&self->gs);
	for (int restart = 0; restart < 2; restart++) {
		catch_signal(restart ? SA_RESTART : 0);
		actor_begin_spawner(s);
		pthread_kill(s->thread, SIGUSR1);
		EXPECT_EQ(-EINTR, actor_end(s)) TH_LOG("restart %d", restart);
	}
	actor_begin_spawner(s);
	EXPECT_TRUE(stays_asleep(s, GSCHED_IOC_SPAWNER));
}

/* ------------------------------------------------------------------- spawner */

TEST_F(one, spawner_refuses)
{
	struct actor *s, *t;
	__u32 reason;

	EXPECT_EQ(-EDEADLK, gs_spawner(&self->gs, 0, &reason));
	s = actor_start(&self->gs);
	t = actor_start(&self->gs);
	actor_begin_spawner(s);
	EXPECT_EQ(-EBUSY, actor_do(t, act_spawner));
	EXPECT_TRUE(stays_asleep(s, GSCHED_IOC_SPAWNER));
}

/* No M idles: the spawner is asked, once until the M has come. */
TEST_F(one, spawner_is_asked_once)
{
	struct gs *gs = &self->gs;
	struct actor *s, *fresh;

	s = actor_start(gs);
	fresh = actor_start(gs);
	actor_begin_spawner(s);
	EXPECT_EQ(0, gs_wake(gs));
	EXPECT_EQ(0, actor_end(s));
	EXPECT_EQ((__u32)GSCHED_SPAWN_M, s->reason);
	EXPECT_EQ(1U, nr_idle(gs));

	actor_begin_spawner(s);
	EXPECT_EQ(0, gs_wake(gs));
	EXPECT_EQ(0, gs_wake(gs));
	EXPECT_TRUE(stays_asleep(s, GSCHED_IOC_SPAWNER));

	ASSERT_EQ(0, actor_do(fresh, act_register));
	EXPECT_TRUE(stays_asleep(s, GSCHED_IOC_SPAWNER));
	/* Not at once. */
	EXPECT_TRUE(eventually(gs_wake(gs) == 0));
	EXPECT_EQ(0, actor_end(s));
}

TEST_F(one, spawner_failed)
{
	struct gs *gs = &self->gs;
	int64_t failed_at;
	struct actor *s;

	s = actor_start(gs);
	actor_begin_spawner(s);
	EXPECT_EQ(0, gs_wake(gs));
	EXPECT_EQ(0, actor_end(s));
	s->flags = GSCHED_SPAWNER_FAILED;
	failed_at = now_ns();
	actor_begin_spawner(s);
	EXPECT_TRUE(eventually(gs_wake(gs) == 0));
	EXPECT_LE(SPAWN_PAUSE_NS * 9 / 10, now_ns() - failed_at);
	EXPECT_EQ(0, actor_end(s));

	/* Work that waits for it asks by itself, after the same time. */
	gs->shared->global_len = 1;
	EXPECT_EQ(0, gs_set_procs(gs, 2));
	failed_at = now_ns();
	actor_begin_spawner(s);
	EXPECT_EQ(0, actor_end(s));
	EXPECT_LE(SPAWN_PAUSE_NS * 9 / 10, s->ended - failed_at);
	gs->shared->global_len = 0;
}

/* A request that comes while nobody waits is not lost. */
TEST_F(one, spawner_comes_late)
{
	struct actor *s;

	EXPECT_EQ(0, gs_wake(&self->gs));
	s = actor_start(&self->gs);
	EXPECT_EQ(0, actor_do(s, act_spawner));
	actor_begin_spawner(s);
	EXPECT_TRUE(stays_asleep(s, GSCHED_IOC_SPAWNER));
}

TEST_F(one, spawner_is_not_asked_while_an_m_idles)
{
	struct actor *s;

	s = actor_start(&self->gs);
	actor_begin_spawner(s);
	actor_begin_idle(self->a);
	EXPECT_EQ(0, gs_wake(&self->gs));
	EXPECT_EQ(0, actor_end(self->a));
	EXPECT_TRUE(stays_asleep(s, GSCHED_IOC_SPAWNER));
}

/* No more Ms are allowed: that is said, and said once. */
TEST(spawner_is_told_of_the_cap)
{
	struct actor *s, *m;
	struct gs gs;

	gs_start(&gs, 1, 1, 1, 0);
	s = actor_start(&gs);
	m = actor_start_m(&gs);
	actor_begin_spawner(s);
	EXPECT_EQ(-EAGAIN, gs_wake(&gs));
	EXPECT_EQ(0, actor_end(s));
	EXPECT_EQ((__u32)GSCHED_SPAWN_CAP, s->reason);
	actor_begin_spawner(s);
	EXPECT_EQ(-EAGAIN, gs_wake(&gs));
	EXPECT_TRUE(stays_asleep(s, GSCHED_IOC_SPAWNER));
	/* One goes, another may come. */
	EXPECT_EQ(0, actor_do(m, act_unregister));
	EXPECT_EQ(0, gs_wake(&gs));
	EXPECT_EQ(0, actor_end(s));
	EXPECT_EQ((__u32)GSCHED_SPAWN_M, s->reason);
	gs_stop(&gs);
}

/* A G that becomes ready asks too. */
TEST_F(one, spawner_is_asked_by_enqueue)
{
	struct actor *s;

	s = actor_start(&self->gs);
	actor_begin_spawner(s);
	EXPECT_EQ(0, gs_enqueue(&self->gs, 0, 2));
	EXPECT_EQ(0, actor_end(s));
}

/* Register, and idle: the first M of the world finds the work that asked for it. */
TEST(spawned_m_finds_work)
{
	struct actor *s, *m;
	struct gs gs;

	gs_start(&gs, 1, 1, 2, 0);
	s = actor_start(&gs);
	m = actor_start(&gs);
	actor_begin_spawner(s);
	EXPECT_EQ(0, gs_enqueue(&gs, GSCHED_NONE, 2));
	EXPECT_EQ(0, actor_end(s));
	EXPECT_EQ(0, actor_do(m, act_register));
	EXPECT_EQ(0, actor_do(m, act_idle));
	EXPECT_EQ((__u32)GSCHED_IDLE_WORK, m->reason);
	EXPECT_EQ(1U, inbox_take_all(&gs, ignore_cookie, NULL));
	gs_stop(&gs);
}

KMOD_MAIN
