// SPDX-License-Identifier: GPL-2.0
/*
 * Channels and selects in many interleavings: the queues of those who wait, and the claim
 * words by which a select is won. Built from the library's sources, see lib_explore.h;
 * a goroutine is a virtual thread, what is done when its stack has been left is done by
 * another one, the committer, and there is one timer.
 */
#include "lib_explore.h"

#include <sys/eventfd.h>

#undef GS_DEBUG
#include "../userlib/lock.c"
#include "../userlib/waitq.c"
#define end_early	select_end_early
#define on_deadline	select_on_deadline
#define on_cancel	select_on_cancel
#define arm		select_arm
#define park_g		select_park_g
#define park_thread	select_park_thread
#include "../userlib/select.c"
#undef arm
#include "../userlib/chan.c"

#include "kselftest_harness.h"

struct runtime rt;
__thread struct m *gs_m_tls;		/* arch_m()'s */

static struct gsched_proc *procs;
static struct gsched_shared shared;

static struct virtual {
	struct gsched_m shared;
	struct m m;
	struct g g;
	bool parks, woken;
	bool (*commit)(struct g *g, void *arg);
	void *arg;
} virtuals[XP_THREADS];

/* Those whose commits are to be done. */
static struct {
	struct virtual *queue[XP_THREADS];
	unsigned int head, tail;
} left;

/* --------------------------------------------------- what the scheduler would do */

static struct virtual *virtual_of(struct g *g)
{
	return (struct virtual *)((char *)g - offsetof(struct virtual, g));
}

struct m *park(struct m *m, bool (*commit)(struct g *g, void *arg), void *arg,
	       enum wait_reason why)
{
	struct virtual *v = virtual_of(m_g(m));

	(void)why;
	v->parks = true;
	v->commit = commit;
	v->arg = arg;
	left.queue[left.tail++ % XP_THREADS] = v;
	xp_wake(&left, 1);
	while (!v->woken)
		xp_sleep(&v->woken);
	v->parks = false;
	v->woken = false;
	return m;
}

static void committer(int self)
{
	xp.threads[self].daemon = true;
	for (;;) {
		struct virtual *v;

		while (left.head == left.tail)
			xp_sleep(&left);
		v = left.queue[left.head++ % XP_THREADS];
		XP_CHECK(v->commit(&v->g, v->arg));
	}
}

static bool unlock_it(struct g *g, void *arg)
{
	(void)g;
	rt_unlock(arg);
	return true;
}

struct m *park_unlock(struct m *m, struct rt_lock *l, enum wait_reason why)
{
	return park(m, unlock_it, l, why);
}

/* Each park takes exactly one. */
void ready(struct m *m, struct g *g)
{
	struct virtual *v = virtual_of(g);

	(void)m;
	xp_point();
	XP_CHECK(v->parks && !v->woken);
	v->woken = true;
	xp_wake(&v->woken, 1);
}

void ready_tail(struct m *m, struct g *g)
{
	ready(m, g);
}

static struct {
	struct timer *armed;
	bool runs;
} clockwork;

int timer_start(struct m *m, struct timer *t)
{
	(void)m;
	xp_point();
	clockwork.armed = t;
	return 0;
}

bool timer_stop(struct m *m, struct timer *t)
{
	bool armed;

	(void)m;
	xp_point();
	armed = clockwork.armed == t;
	if (armed)
		clockwork.armed = NULL;
	while (clockwork.runs)
		xp_pause();
	return armed;
}

int64_t gs_now(void)
{
	return 1000;
}

#define LATER	2000

/* None of these is come to. */
void sec_acquire(struct m *m) { (void)m; abort(); }
void sec_attention(struct m *m) { (void)m; abort(); }
void foreign_enter(void) { abort(); }
void foreign_leave(void) { abort(); }
bool member_begin(struct member *mb, void (*fn)(struct m *m, void *arg), void *arg)
{
	(void)mb;
	(void)fn;
	(void)arg;
	abort();
}

void member_end(struct member *mb) { (void)mb; abort(); }
bool chan_timer_end(gs_chan *c) { (void)c; abort(); }
int sys_close(int fd) { (void)fd; abort(); }
ssize_t sys_read(int fd, void *buf, size_t len) { (void)fd; (void)buf; (void)len; abort(); }
ssize_t sys_write(int fd, const void *buf, size_t len) { (void)fd; (void)buf; (void)len; abort(); }

/* ------------------------------------------------------------------- the programs */

#define VALUES	4

static gs_chan *a, *b;
static int results[XP_THREADS];
static struct {
	int sent[VALUES], got[VALUES];
} book;

static void go_on_as(int i)
{
	arch_set_m(&virtuals[i].m);
}

static gs_chan *chan_again(gs_chan *c, size_t capacity)
{
	if (c)
		free(c);
	return gs_chan_new(sizeof(int), capacity);
}

static void start(size_t capacity)
{
	if (!procs)
		procs = aligned_alloc(4096, sizeof(*procs));
	memset(procs, 0, sizeof(*procs));
	rt.procs = procs;
	rt.shared = &shared;
	memset(virtuals, 0, sizeof(virtuals));
	for (int i = 0; i < XP_THREADS; i++) {
		virtuals[i].m.shared = &virtuals[i].shared;
		virtuals[i].m.rand = xp_rnd();
		virtuals[i].shared.cookie = (uintptr_t)&virtuals[i].g;
	}
	memset(&book, 0, sizeof(book));
	memset(&clockwork, 0, sizeof(clockwork));
	memset(&left, 0, sizeof(left));
	memset(results, 0, sizeof(results));
	xp_switched = go_on_as;
	a = chan_again(a, capacity);
	b = chan_again(b, capacity);
}

static void got(int v)
{
	XP_CHECK(v >= 0 && v < VALUES && book.sent[v] && !book.got[v]);
	book.got[v]++;
}

static void end(void)
{
	XP_CHECK(!a->senders && !a->receivers && !b->senders && !b->receivers);
	XP_CHECK(!a->lock.word && !b->lock.word);
	for (int i = 0; i < VALUES; i++)
		XP_CHECK(book.got[i] == book.sent[i]);
}

/*
 * The select is over, and its frame gone: who still looks there finds nothing good. (An
 * address of it may be given to futex_wake.)
 */
static __attribute__((noinline)) void clobber(void)
{
	volatile unsigned char junk[2048];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = 0xff;
}

/* Receives from either until it has two, and is not put off by deadlines. */
static void receiver(int self)
{
	int v = -1, n = 0;
	struct gs_case cases[] = {
		{ .chan = a, .recv = &v, .dir = GS_RECV },
		{ .chan = b, .recv = &v, .dir = GS_RECV },
	};

	(void)self;
	while (n < 2) {
		int i = gs_select_until(cases, 2, n || clockwork.armed ? NO_DEADLINE : LATER);

		if (i == -ETIMEDOUT) {
			i = gs_select(cases, 2);
			XP_CHECK(i >= 0);
		}
		clobber();
		XP_CHECK((i == 0 || i == 1) && cases[i].result == 1);
		got(v);
		n++;
	}
}

static void send_to(gs_chan *c, int v)
{
	book.sent[v] = 1;
	XP_CHECK(gs_chan_send(c, &v) == 0);
}

static void sender_a(int self)
{
	send_to(a, self);
}

static void sender_b(int self)
{
	send_to(b, self);
}

static void the_clock(int self)
{
	struct timer *t;

	(void)self;
	for (int i = 0; i < 4; i++) {
		xp_pause();
		t = clockwork.armed;
		if (!t)
			continue;
		clockwork.armed = NULL;
		clockwork.runs = true;
		t->fn(&virtuals[self].m, t);
		clockwork.runs = false;
	}
}

static void setup_unbuffered(void)
{
	start(0);
}

static const struct xp_program race = {
	200, setup_unbuffered, { receiver, sender_a, sender_b, the_clock, committer }, end
};
static const struct xp_program race_of_three = {
	150, setup_unbuffered, { receiver, sender_a, sender_b, committer }, end
};

TEST(select_random)
{
	EXPECT_EXPLORED(explore_random(&race, 20000));
}

TEST(select_all)
{
	EXPECT_EXPLORED(explore_all(&race_of_three, 2));
}

/*
 * Selects that face each other: some send to a or receive from b, others the other way
 * round. Each meets one of the others, once.
 */
static void exchange(int self, gs_chan *out, gs_chan *in)
{
	int v = self, w = -1;
	struct gs_case cases[] = {
		{ .chan = out, .send = &v, .dir = GS_SEND },
		{ .chan = in, .recv = &w, .dir = GS_RECV },
	};
	int i;

	book.sent[self] = 1;
	i = gs_select(cases, 2);
	clobber();
	XP_CHECK(i == 0 || i == 1);
	results[self] = i;
	if (i == 1)
		book.sent[self] = 0;
	if (i == 1 && cases[1].result == 1)
		book.got[w]++;
	XP_CHECK(i == 1 || cases[0].result == 0);
}

static void first(int self)
{
	exchange(self, a, b);
}

static void second(int self)
{
	exchange(self, b, a);
}

static const struct xp_program meeting = {
	150, setup_unbuffered, { first, second, committer }, end
};
static const struct xp_program crowd = {
	250, setup_unbuffered, { first, second, first, second, committer }, end
};

TEST(selects_meet)
{
	EXPECT_EXPLORED(explore_all(&meeting, 3));
}

TEST(selects_meet_in_a_crowd)
{
	EXPECT_EXPLORED(explore_random(&crowd, 20000));
}

TEST_HARNESS_MAIN
