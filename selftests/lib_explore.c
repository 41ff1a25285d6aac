// SPDX-License-Identifier: GPL-2.0
/*
 * The queues that several threads use without a lock, in many interleavings: the run
 * queue, and the inbox. Built from the library's sources, see lib_explore.h.
 */
#include "lib_explore.h"

#include "../userlib/runq.c"
#include "../userlib/inbox.c"

#include "kselftest_harness.h"

struct runtime rt;

#define PROCS		3
#define ITEMS		64
#define SLOTS		2

/* Gs are numbers here: nothing looks into them. */
#define G(n)		((struct g *)(uintptr_t)((n) * 16UL))
#define NR(g)		((unsigned int)((uintptr_t)(g) / 16))

static struct gsched_proc *procs;
static struct gsched_shared shared;
static struct gsched_slot slots[SLOTS];

static struct {
	unsigned int pushed;
	bool taken[ITEMS + 300];
	unsigned int last[XP_THREADS];	/* that each took, where the order is known */
} book;

static void take(struct g *g)
{
	unsigned int n = NR(g);

	XP_CHECK(n >= 1 && n <= book.pushed);
	XP_CHECK(!book.taken[n]);
	book.taken[n] = true;
}

static void start(void)
{
	if (!procs)
		procs = aligned_alloc(4096, PROCS * sizeof(*procs));
	for (int i = 0; i < PROCS; i++) {
		/* The ring's content may stay. */
		memset(&procs[i], 0, offsetof(struct gsched_proc, ring));
		memset(procs[i].user, 0, sizeof(procs[i].user));
	}
	memset(&book, 0, sizeof(book));
	memset(&shared, 0, sizeof(shared));
	memset(slots, 0, sizeof(slots));
	rt.procs = procs;
	rt.shared = &shared;
	rt.slots = slots;
	rt.seen_procs = PROCS;
	rt.membarrier = true;
}

static void push(struct gsched_proc *p)
{
	struct g *g = G(++book.pushed);

	if (!runq_push(p, g))
		take(g);
}

static void push_next(struct gsched_proc *p)
{
	struct g *old = runq_set_next(p, G(++book.pushed));

	if (old && !runq_push(p, old))
		take(old);
}

static void pop(struct gsched_proc *p)
{
	struct g *g = runq_pop(p);

	if (g)
		take(g);
}

/* What is left is taken by one thread alone. */
static void end(void)
{
	struct g *g;

	for (int i = 0; i < PROCS; i++)
		while ((g = runq_pop(procs + i)))
			take(g);
	for (unsigned int n = 1; n <= book.pushed; n++)
		XP_CHECK(book.taken[n]);
}

/* ------------------------------------------------------------------ run queue */

/* Indices are about to wrap. */
static void wrap(struct gsched_proc *p)
{
	p->head = UINT32_MAX - 1;
	p->tail = UINT32_MAX - 1;
}

static void runq_setup(void)
{
	start();
	wrap(procs);
	for (int i = 0; i < 3; i++)
		push(procs);
}

/* The next look around finds that stealing has ceased. */
static void calm(struct gsched_proc *p)
{
	p_local(p)->calm = CALM_LIMIT - 1;
	runq_calm(p);
}

static void owner(int self)
{
	(void)self;
	pop(procs);
	push_next(procs);
	calm(procs);
	pop(procs);
	push(procs);
	pop(procs);
	pop(procs);
}

static void thief(int self)
{
	struct g *g;

	for (int i = 0; i < 2; i++) {
		runq_share_all(procs + self);
		g = runq_steal(procs + self, procs, true);
		for (; g; g = runq_pop(procs + self))
			take(g);
	}
}

static const struct xp_program runq_program = {
	150, runq_setup, { owner, thief, thief }, end
};
static const struct xp_program runq_pair = {
	100, runq_setup, { owner, thief }, end
};

TEST(runq_random)
{
	EXPECT_EXPLORED(explore_random(&runq_program, 30000));
}

TEST(runq_all)
{
	EXPECT_EXPLORED(explore_all(&runq_pair, 2));
}

/* Longer, and with all that an owner does. */
static unsigned int script;

static void long_setup(void)
{
	runq_setup();
	script = xp_rnd();
}

static void long_owner(int self)
{
	unsigned int s = script;

	(void)self;
	for (int i = 0; i < 12; i++, s = s * 5 + 1) {
		switch (s >> 16 & 7) {
		case 0:
		case 1:
			push(procs);
			break;
		case 2:
			push_next(procs);
			break;
		case 3:
			calm(procs);
			break;
		case 4:
			runq_rotate(procs, 2);
			break;
		default:
			pop(procs);
		}
	}
}

static const struct xp_program runq_long = {
	300, long_setup, { long_owner, thief, thief }, end
};

TEST(runq_random_scripts)
{
	EXPECT_EXPLORED(explore_random(&runq_long, 20000));
}

/* The ring is full: its owner spills half of it while a thief takes the same. */
static void full_setup(void)
{
	start();
	wrap(procs);
	while (runq_len(procs) < GSCHED_RING_SIZE)
		push(procs);
}

static void spiller(int self)
{
	struct g *batch[RUNQ_HALF];

	(void)self;
	for (int i = 0; i < 2; i++) {
		uint32_t n = runq_take_half(procs, batch);

		while (n)
			take(batch[--n]);
		push(procs);
	}
}

static const struct xp_program runq_full = {
	1000, full_setup, { spiller, thief }, end
};

TEST(runq_spill)
{
	EXPECT_EXPLORED(explore_random(&runq_full, 300));
}

/* Without runnext a queue is one: each takes what it takes in order. */
static void take_in_order(int self, struct g *g)
{
	take(g);
	XP_CHECK(NR(g) > book.last[self]);
	book.last[self] = NR(g);
}

static void fifo_owner(int self)
{
	struct g *g;

	for (int i = 0; i < 5; i++) {
		push(procs);
		g = runq_pop(procs);
		if (g)
			take_in_order(self, g);
		if (i == 2)
			calm(procs);
	}
}

static void fifo_thief(int self)
{
	struct g *batch[RUNQ_HALF];

	for (int i = 0; i < 3; i++) {
		uint32_t n;

		runq_share_all(procs + self);
		n = runq_grab(procs, batch, false);
		for (uint32_t k = 0; k < n; k++)
			take_in_order(self, batch[k]);
	}
}

static const struct xp_program runq_fifo = {
	150, runq_setup, { fifo_owner, fifo_thief, fifo_thief }, end
};

TEST(runq_order)
{
	EXPECT_EXPLORED(explore_random(&runq_fifo, 20000));
}

/* ----------------------------------------------------------------------- inbox */

/*
 * A G waits in each of two nodes, and does so again as soon as it was run. Delivered by
 * two interrupts, which both use the third node, too, as ENQUEUE does: whenever nobody needs
 * it any more.
 */
#define NODES		3
#define ROUNDS		2

static struct {
	bool waits[NODES];
	unsigned int delivered[NODES], runs[NODES];
} fds;

/* Two Ms, each with a run queue: a G is run at the end of a drain at the earliest. */
void ready_tail(struct m *m, struct g *g)
{
	unsigned int n = NR(g) - 1;

	(void)m;
	xp_point();
	XP_CHECK(n < NODES && fds.delivered[n] > fds.runs[n]);
	XP_CHECK(n == 2 || fds.delivered[n] == fds.runs[n] + 1);
	fds.runs[n]++;
	fds.waits[n] = true;
}

void ready(struct m *m, struct g *g)
{
	ready_tail(m, g);
}

/* What inbox_to_global() would put into the queue has run. */
bool ready_begin(struct m *m, struct g *g)
{
	ready_tail(m, g);
	return false;
}

void global_put(struct g_list *l)
{
	XP_CHECK(!l);
}

void wake_idle(void)
{
}

static void inbox_setup(void)
{
	start();
	memset(&fds, 0, sizeof(fds));
	for (int i = 0; i < NODES; i++)
		fds.waits[i] = true;
}

static void deliver(unsigned int n)
{
	struct gsched_node *node = node_of(n);

	if (n == 2 ? node->cookie : !fds.waits[n])
		return;
	node->cookie = (uintptr_t)G(n + 1);
	fds.waits[n] = false;
	fds.delivered[n]++;
	inbox_push(procs, n, G(n + 1));
}

static void irq(int self)
{
	for (int i = 0; i < ROUNDS; i++) {
		deliver((unsigned int)self);
		deliver(2);
	}
}

static void drainer(int self)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (self % 2)
			inbox_drain(NULL, procs);
		else
			inbox_to_global(NULL, procs);
		xp_pause();
	}
}

static void inbox_end(void)
{
	inbox_drain(NULL, procs);
	for (int i = 0; i < NODES; i++) {
		XP_CHECK(fds.runs[i] == fds.delivered[i]);
		XP_CHECK(fds.waits[i]);
		XP_CHECK(!node_of(i)->cookie);
	}
	XP_CHECK(procs->attention & GSCHED_ATTN_INBOX);
}

static const struct xp_program inbox_program = {
	80, inbox_setup, { irq, irq, drainer, drainer }, inbox_end
};
static const struct xp_program inbox_three = {
	60, inbox_setup, { irq, irq, drainer }, inbox_end
};

TEST(inbox_random)
{
	EXPECT_EXPLORED(explore_random(&inbox_program, 30000));
}

TEST(inbox_all)
{
	EXPECT_EXPLORED(explore_all(&inbox_three, 2));
}

TEST_HARNESS_MAIN
