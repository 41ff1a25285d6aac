// SPDX-License-Identifier: GPL-2.0
/*
 * ENQUEUE: Gs put into inboxes by ioctl, and the protocol of the nodes that carry
 * them.
 */
#include "kmod.h"

#define POOL	256

/* What the consumer saw, in order. */
struct log {
	unsigned int n;
	__u64 cookie[4 * POOL];
};

static void log_cookie(void *arg, __u64 cookie)
{
	struct log *log = arg;

	must(log->n < ARRAY_SIZE(log->cookie));
	log->cookie[log->n++] = cookie;
}

FIXTURE(enqueue) {
	struct gs gs;
	struct actor *a, *b;
	struct log log;
};

FIXTURE_SETUP(enqueue)
{
	gs_start(&self->gs, 2, 4, 4, 8);
	self->a = actor_start_m(&self->gs);
	self->b = actor_start_m(&self->gs);
}

FIXTURE_TEARDOWN(enqueue)
{
	gs_stop(&self->gs);
}

TEST_F(enqueue, goes_to_the_given_proc)
{
	struct gs *gs = &self->gs;

	for (__u32 p = 0; p < 2; p++) {
		ASSERT_EQ(0, gs_enqueue(gs, p, 1000 + p));
		EXPECT_NE(0U, load32(&gs->procs[p].inbox));
		EXPECT_EQ(GSCHED_ATTN_INBOX, load32(&gs->procs[p].attention) & GSCHED_ATTN_INBOX);
		EXPECT_EQ(0U, load32(&gs->procs[!p].inbox));
		self->log.n = 0;
		EXPECT_EQ(1U, inbox_take(gs, p, log_cookie, &self->log));
		EXPECT_EQ(1000ULL + p, self->log.cookie[0]);
	}
}

/* Also to one that is busy, and then nobody is woken for lack of an idle P. */
TEST_F(enqueue, goes_to_a_busy_proc)
{
	struct gs *gs = &self->gs;

	ASSERT_EQ(0, gs_set_procs(gs, 1));
	ASSERT_EQ(0, actor_do(self->a, act_acquire));
	actor_begin_idle(self->b);
	ASSERT_EQ(0, gs_enqueue(gs, 0, 5));
	let_it_happen();
	EXPECT_FALSE(actor_ended(self->b));
	EXPECT_EQ(1U, inbox_take(gs, 0, log_cookie, &self->log));
}

TEST_F(enqueue, any_means_an_idle_one)
{
	struct actor *idle = actor_start_m(&self->gs);
	struct gs *gs = &self->gs;
	__u32 busy;

	actor_begin_idle(idle);
	gs->shared->nr_spinning = 1;	/* it stays there */
	for (int round = 0; round < 2; round++) {
		ASSERT_EQ(0, actor_do(self->a, act_acquire));
		busy = self->a->proc;
		if (round == 1) {	/* the other one */
			ASSERT_EQ(0, actor_do(self->b, act_acquire));
			ASSERT_EQ(0, actor_do(self->a, act_release));
			busy = self->b->proc;
		}
		ASSERT_EQ(0, gs_enqueue(gs, GSCHED_NONE, 9));
		EXPECT_EQ(0U, load32(&gs->procs[busy].inbox));
		EXPECT_EQ(1U, inbox_take(gs, !busy, log_cookie, &self->log));
	}
}

/* Who would come to an idle P has to be made, and perhaps cannot be. */
TEST_F(enqueue, any_means_a_busy_one_without_an_idle_m)
{
	struct gs *gs = &self->gs;

	ASSERT_EQ(0, actor_do(self->a, act_acquire));
	ASSERT_EQ(0, gs_enqueue(gs, GSCHED_NONE, 9));
	EXPECT_EQ(0U, load32(&gs->procs[!self->a->proc].inbox));
	EXPECT_EQ(1U, inbox_take(gs, self->a->proc, log_cookie, &self->log));
}

TEST_F(enqueue, any_with_all_busy)
{
	struct gs *gs = &self->gs;

	ASSERT_EQ(0, actor_do(self->a, act_acquire));
	ASSERT_EQ(0, actor_do(self->b, act_acquire));
	ASSERT_EQ(0, gs_enqueue(gs, GSCHED_NONE, 9));
	EXPECT_EQ(1U, inbox_take_all(gs, log_cookie, &self->log));
}

TEST_F(enqueue, wakes_an_idle_m)
{
	struct gs *gs = &self->gs;

	for (__u32 p = 0; p < 3; p++) {
		actor_begin_idle(self->a);
		ASSERT_EQ(0, gs_enqueue(gs, p < 2 ? p : GSCHED_NONE, 3));
		ASSERT_EQ(0, actor_end(self->a));
		EXPECT_EQ((__u32)GSCHED_IDLE_WORK, self->a->reason);
		if (p < 2) {
			EXPECT_EQ(p, self->a->proc);
		}
		EXPECT_EQ(1U, inbox_take(gs, self->a->proc, log_cookie, &self->log));
		EXPECT_EQ(1U, load32(&gs->shared->nr_spinning));
		spinning_end(gs);
		ASSERT_EQ(0, actor_do(self->a, act_release));
	}
}

/* Somebody looks for work already: nobody is woken. */
TEST_F(enqueue, wakes_nobody_while_somebody_spins)
{
	struct gs *gs = &self->gs;

	gs->shared->nr_spinning = 1;
	actor_begin_idle(self->a);
	ASSERT_EQ(0, gs_enqueue(gs, 0, 3));
	let_it_happen();
	EXPECT_FALSE(actor_ended(self->a));
	EXPECT_EQ(1U, load32(&gs->shared->nr_spinning));
	EXPECT_EQ(1U, inbox_take(gs, 0, log_cookie, &self->log));
}

TEST_F(enqueue, order)
{
	for (__u64 i = 0; i < 100; i++) {
		ASSERT_EQ(0, gs_enqueue(&self->gs, 1, 100 + i));
	}
	ASSERT_EQ(100U, inbox_take(&self->gs, 1, log_cookie, &self->log));
	for (__u64 i = 0; i < 100; i++) {
		EXPECT_EQ(100 + i, self->log.cookie[i]);
	}
}

/* ----------------------------------------------------------------- the pool */

static unsigned int enqueue_until_full(struct gs *gs)
{
	unsigned int n = 0;
	int err;

	while ((err = gs_enqueue(gs, n % 2, 10 + n)) == 0)
		n++;
	must(err == -EAGAIN);
	return n;
}

TEST_F(enqueue, no_more_than_the_pool)
{
	struct gs *gs = &self->gs;

	for (int round = 0; round < 3; round++) {
		self->log.n = 0;
		EXPECT_EQ((unsigned int)POOL, enqueue_until_full(gs));
		EXPECT_EQ(-EAGAIN, gs_enqueue(gs, GSCHED_NONE, 2));
		EXPECT_EQ((unsigned int)POOL / 2, inbox_take(gs, 0, log_cookie, &self->log));
		EXPECT_EQ((unsigned int)POOL / 2, inbox_take(gs, 1, log_cookie, &self->log));
	}
}

/*
 * Taking the list is not enough: a node is free when its cookie is 0, and only
 * that one.
 */
TEST_F(enqueue, cookie_zero_frees_the_node)
{
	struct gs *gs = &self->gs;
	struct gsched_node *node;
	__u32 link;

	ASSERT_EQ((unsigned int)POOL, enqueue_until_full(gs));
	link = __atomic_exchange_n(&gs->procs[0].inbox, 0, __ATOMIC_SEQ_CST);
	EXPECT_EQ(-EAGAIN, gs_enqueue(gs, 0, 2));
	node = gs_node_nr(gs, link - 1);
	__atomic_store_n(&node->cookie, 0, __ATOMIC_RELEASE);
	EXPECT_EQ(0, gs_enqueue(gs, 1, 4711));
	EXPECT_EQ(-EAGAIN, gs_enqueue(gs, 0, 2));
	EXPECT_EQ(4711ULL, node->cookie);
	EXPECT_EQ(link, load32(&gs->procs[1].inbox));
}

/* Nodes of the pool lie below first_slot, each in one list once. */
TEST_F(enqueue, nodes)
{
	struct gs *gs = &self->gs;
	bool seen[POOL] = { false };
	__u32 link;

	ASSERT_EQ((unsigned int)POOL, enqueue_until_full(gs));
	for (__u32 p = 0; p < 2; p++) {
		__u32 newest = POOL;

		for (link = gs->procs[p].inbox; link; link = gs_node_nr(gs, link - 1)->next) {
			struct gsched_node *node = gs_node_nr(gs, link - 1);

			ASSERT_GT(2 * gs->setup.first_slot, link - 1);
			ASSERT_GT((__u32)POOL, link - 1);
			ASSERT_FALSE(seen[link - 1]);
			seen[link - 1] = true;
			ASSERT_GT(newest, (__u32)node->cookie - 10);
			newest = node->cookie - 10;
		}
	}
}

/* ------------------------------------------------------------------- callers */

static int act_enqueue(struct actor *a)
{
	return gs_enqueue(a->gs, a->proc, 0xabc);
}

TEST_F(enqueue, by_ms_and_others)
{
	struct actor *plain;

	plain = actor_start(&self->gs);
	plain->proc = 1;
	EXPECT_EQ(0, actor_do(plain, act_enqueue));
	self->a->proc = 1;
	EXPECT_EQ(0, actor_do(self->a, act_enqueue));
	ASSERT_EQ(0, actor_do(self->a, act_acquire));
	self->a->proc = 1;
	EXPECT_EQ(0, actor_do(self->a, act_enqueue));
	EXPECT_EQ(3U, inbox_take(&self->gs, 1, log_cookie, &self->log));
}

/* No M at all: the Gs wait for one. */
TEST(enqueue_without_ms)
{
	struct actor *m;
	struct log log = { 0 };
	struct gs gs;

	gs_start(&gs, 1, 1, 1, 0);
	ASSERT_EQ(0, gs_enqueue(&gs, GSCHED_NONE, 55));
	m = actor_start_m(&gs);
	ASSERT_EQ(0, actor_do(m, act_idle));
	EXPECT_EQ((__u32)GSCHED_IDLE_WORK, m->reason);
	EXPECT_EQ(1U, inbox_take(&gs, 0, log_cookie, &log));
	EXPECT_EQ(55ULL, log.cookie[0]);
	gs_stop(&gs);
}

/* -------------------------------------------------------------------- stress */

#define PRODUCERS	4
#define CONSUMERS	3

struct stress {
	struct gs gs;
	unsigned int each;		/* tokens of a producer */
	unsigned int seed;
	unsigned char *taken;		/* by cookie */
	unsigned int nr_taken;
};

static struct stress st;

static void *produce(void *arg)
{
	unsigned int me = (uintptr_t)arg, seed = st.seed + me;
	int err;

	for (unsigned int i = 0; i < st.each; i++) {
		__u64 cookie = GSCHED_COOKIE_MIN + me * st.each + i;
		__u32 proc = rnd(&seed, 4);

		do {
			err = gs_enqueue(&st.gs, proc < 3 ? proc : GSCHED_NONE, cookie);
			must(err == 0 || err == -EAGAIN);
			if (err)
				sched_yield();
		} while (err);
		if (rnd(&seed, 8) == 0)
			rnd_delay(&seed);
	}
	return NULL;
}

static void take_token(void *arg, __u64 cookie)
{
	__u64 nr = cookie - GSCHED_COOKIE_MIN;

	(void)arg;
	must(nr < (__u64)PRODUCERS * st.each);
	must(__atomic_exchange_n(&st.taken[nr], 1, __ATOMIC_RELAXED) == 0);
	__atomic_fetch_add(&st.nr_taken, 1, __ATOMIC_SEQ_CST);
}

/* Take all there is; then idle until there is more. Ends when the context does. */
static void *consume(void *arg)
{
	__u32 id, proc, reason;
	int err;

	must(gs_register(&st.gs, &id) == 0);
	must(gs_acquire(&st.gs, 0, &proc) == 0);
	for (;;) {
		while (inbox_take_all(&st.gs, take_token, NULL))
			;
		err = gs_idle(&st.gs, 0, &reason, &proc);
		if (err)
			break;
		/* Before the look at the inboxes, so that this look is the last one. */
		if (reason == GSCHED_IDLE_WORK)
			spinning_end(&st.gs);
	}
	must(err == -ESHUTDOWN || err == -EBADF);
	return arg;
}

static void run_stress(unsigned int each, unsigned int seed)
{
	pthread_t producer[PRODUCERS], consumer[CONSUMERS];

	memset(&st, 0, sizeof(st));
	st.each = each;
	st.seed = seed;
	st.taken = calloc(PRODUCERS, each);
	gs_start(&st.gs, 3, 3, 16, 0);
	for (uintptr_t i = 0; i < CONSUMERS; i++)
		must(pthread_create(&consumer[i], NULL, consume, NULL) == 0);
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		must(pthread_create(&producer[i], NULL, produce, (void *)i) == 0);
	for (int i = 0; i < PRODUCERS; i++)
		must(pthread_join(producer[i], NULL) == 0);
	must(eventually(load32(&st.nr_taken) == PRODUCERS * each));
	close(st.gs.fd);
	for (int i = 0; i < CONSUMERS; i++)
		must(pthread_join(consumer[i], NULL) == 0);
	gs_unmap_all(&st.gs);
	free(st.taken);
}

TEST_F_TIMEOUT(enqueue, nothing_lost_nothing_doubled, 60)
{
	run_stress(scaled(5000), test_seed());
}

KMOD_MAIN
