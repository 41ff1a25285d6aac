// SPDX-License-Identifier: GPL-2.0
/*
 * Races of hand-off, hold, preemption and tick, with their windows held open.
 *
 * Needs a module that was built with delay points, see kmod/delay.h. Each variant of
 * a fixture holds one window open; each test lets others come into it, at random
 * moments, many times. What must hold:
 *
 * - in a section the M has its P for itself, and the words of both say so
 * - outside of sections, in user mode, it has some P
 * - nobody waits for a P while one is idle or its owner blocked
 * - in the end no M counts as blocked, and nothing is left of a process
 *
 * The tick would hide much of what goes wrong here: it looks at everything anew. So
 * it comes once in a second, and who has waited for half of that was lost.
 */
#include "kmod_block.h"

#define DELAYS_FILE	"/sys/module/gsched/parameters/delays"

/* As in kmod/delay.h */
enum point {
	BLOCK, UNBLOCK, STEAL, HOLD, PARK, KICK, TICK, COUNT, LOOK, GRANT, QUEUE, SEND,
	FIRE, QUIET, WATCH, NR_POINTS,
};

#define BIT(point)	(1U << (point))

/*
 * A window is as wide as the moments at which others come are spread, and these as
 * wide as threads are late here anyway.
 */
#define WINDOW_NS	150000
#define SPREAD_NS	(2 * WINDOW_NS)

#define TICK_NS		GSCHED_MAX_TIME
#define LOST_NS		(500 * NSEC_PER_MSEC)

static void set_delays(unsigned int points, unsigned int ns)
{
	char text[256];
	int n = 0;

	for (int i = 0; i < NR_POINTS; i++)
		n += snprintf(text + n, sizeof(text) - n, "%s%u", i ? "," : "",
			      points & BIT(i) ? ns : 0);
	write_file(DELAYS_FILE, text);
}

static void spin_ns(int64_t ns)
{
	int64_t end = now_ns() + ns;

	while (now_ns() < end)
		;
}

/* ------------------------------------------------------------------ players */

struct race;

/* Somebody with a part in each round. */
struct player {
	struct actor *a;
	struct race *race;
	unsigned int seed;
	int (*part)(struct player *p);
	int fd[2];		/* what it blocks on */
	bool waits;		/* until somebody is blocked, rather than for some time */
};

#define MAX_PLAYERS	5
#define MAX_PS		4

struct race {
	struct gs gs;
	unsigned int seed;
	unsigned int nr;
	struct player player[MAX_PLAYERS];
	__u32 busy[MAX_PS];	/* an M is in a section with it */
	int64_t worst;
	unsigned int lost;
};

static struct race race;

static __u32 id_of(struct player *p)
{
	return p->a->id;
}

/* In a section: nobody else has the P, and the M's words and the P's agree. */
static void check_section(struct race *r, __u32 id)
{
	struct gs *gs = &r->gs;
	__u32 proc = load32(&gs->ms[id].proc);

	must(proc < MAX_PS);
	must(__atomic_exchange_n(&r->busy[proc], 1, __ATOMIC_SEQ_CST) == 0);
	must(owner_of_proc(gs, proc) == id);
	must(load32(&gs->procs[proc].state) == GSCHED_P_RUN);
	__atomic_store_n(&r->busy[proc], 0, __ATOMIC_SEQ_CST);
}

/* Come at a random moment, or when there is a P to be taken, if that comes soon. */
static void come_at_random(struct player *p)
{
	int64_t end = now_ns() + 10 * SPREAD_NS;

	if (p->waits && rnd(&p->seed, 3) == 0)
		while (!nr_blocked(&p->race->gs) && now_ns() < end)
			;
	else
		spin_ns(rnd(&p->seed, SPREAD_NS));
}

static int act_part(struct actor *a)
{
	struct player *p = a->arg;

	come_at_random(p);
	return p->part(p);
}

static struct player *player_new(struct race *r, int (*part)(struct player *p))
{
	struct player *p = &r->player[r->nr];

	p->race = r;
	p->seed = r->seed + r->nr++;
	p->part = part;
	p->a = actor_start(&r->gs);
	p->a->arg = p;
	must(pipe(p->fd) == 0);
	return p;
}

static struct player *m_new(struct race *r, int (*part)(struct player *p))
{
	struct player *p = player_new(r, part);

	must(actor_do(p->a, act_register) == 0);
	return p;
}

static void player_begin(struct player *p)
{
	actor_begin(p->a, act_part);
}

static void player_end(struct player *p)
{
	must(actor_end(p->a) == 0);
}

/* For a part that takes its time. */
static void player_end_late(struct player *p)
{
	for (int i = 0; i < 3 && !actor_ended(p->a); i++)
		eventually(actor_ended(p->a));
	player_end(p);
}

/* What somebody waited for from @start on has come. */
static void note_wait(struct race *r, int64_t start)
{
	int64_t took = now_ns() - start;

	if (took > r->worst)
		r->worst = took;
	if (took > LOST_NS)
		r->lost++;
}

/* -------------------------------------------------------------------- parts */

/* It reads from its pipe, outside of a section, and comes back with some P. */
static void block_on_pipe(struct player *p)
{
	struct gs *gs = &p->race->gs;
	char byte;

	section_leave(gs, id_of(p));
	must(read(p->fd[0], &byte, 1) == 1);
	must(load32(&gs->ms[id_of(p)].proc) != GSCHED_NONE);
	/* Long enough for a thief to do what it has begun. */
	spin_ns(rnd(&p->seed, SPREAD_NS));
	must(load32(&gs->ms[id_of(p)].proc) != GSCHED_NONE);
	must(section_enter(gs, id_of(p)) != GSCHED_NONE);
	check_section(p->race, id_of(p));
}

/* Who had a P gives it up in the end: so every round ends whoever was first. */
static int block_and_release(struct player *p)
{
	block_on_pipe(p);
	return gs_release(&p->race->gs);
}

static void use_and_release(struct player *p)
{
	check_section(p->race, id_of(p));
	spin_ns(rnd(&p->seed, SPREAD_NS));
	check_section(p->race, id_of(p));
	must(gs_release(&p->race->gs) == 0);
}

static int acquire(struct player *p)
{
	__u32 proc;

	must(gs_acquire(&p->race->gs, 0, &proc) == 0);
	use_and_release(p);
	return 0;
}

/* It can lose the P as soon as it has it. */
static int acquire_outside(struct player *p)
{
	struct gs *gs = &p->race->gs;
	__u32 proc;
	int err;

	for (int i = 0; i < 3; i++) {
		section_leave(gs, id_of(p));
		err = gs_acquire(gs, 0, &proc);
		must(err == 0 || err == -EINTR);
		must(load32(&gs->ms[id_of(p)].proc) != GSCHED_NONE);
		must(section_enter(gs, id_of(p)) != GSCHED_NONE);
		use_and_release(p);
	}
	return 0;
}

static void no_work(struct gs *gs)
{
	__atomic_store_n(&gs->procs[0].tail, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&gs->shared->global_len, 0, __ATOMIC_SEQ_CST);
	gs->procs[0].attention = 0;
	inbox_take_all(gs, ignore_cookie, NULL);
}

/* It idles until it is given a P to look for work with, and finds it. */
static int idle_for(struct player *p, int64_t ns)
{
	struct gs *gs = &p->race->gs;
	__u32 reason, proc;

	must(gs_idle(gs, ns ? now_ns() + ns : 0, &reason, &proc) == 0);
	check_section(p->race, id_of(p));
	no_work(gs);
	if (reason == GSCHED_IDLE_WORK)
		spinning_end(gs);
	use_and_release(p);
	return 0;
}

static int idle(struct player *p)
{
	return idle_for(p, 0);
}

static int idle_for_a_moment(struct player *p)
{
	return idle_for(p, 1 + rnd(&p->seed, SPREAD_NS));
}

static int push_and_wake(struct player *p)
{
	struct gs *gs = &p->race->gs;

	__atomic_store_n(&gs->procs[0].tail, 1, __ATOMIC_SEQ_CST);
	if (nr_idle(gs) || nr_blocked(gs))
		gs_wake(gs);
	return 0;
}

static int enqueue(struct player *p)
{
	return gs_enqueue(&p->race->gs, GSCHED_NONE, 7);
}

/* ------------------------------------------------------------------- windows */

FIXTURE(window) {
	struct race *r;
	struct player *m;	/* blocks with a P */
};

FIXTURE_VARIANT(window) {
	unsigned int points;
};

#define WINDOW(name, points_)							\
	FIXTURE_VARIANT_ADD(window, at_##name) { .points = (points_) }

WINDOW(block, BIT(BLOCK));
WINDOW(unblock, BIT(UNBLOCK));
WINDOW(steal, BIT(STEAL));
WINDOW(hold, BIT(HOLD));
WINDOW(park, BIT(PARK));
WINDOW(grant, BIT(PARK) | BIT(GRANT));
WINDOW(count, BIT(COUNT));
WINDOW(look, BIT(LOOK));
WINDOW(queue, BIT(QUEUE));
WINDOW(all, BIT(NR_POINTS) - 1);

static void race_start(struct race *r, __u32 nr_procs, unsigned int points)
{
	memset(r, 0, sizeof(*r));
	r->seed = test_seed();
	gs_start(&r->gs, nr_procs, MAX_PS, 2 * MAX_PLAYERS, 4);
	must(gs_times(&r->gs, TICK_NS, TICK_NS) == 0);
	set_delays(points, points == BIT(NR_POINTS) - 1 ? WINDOW_NS / 3 : WINDOW_NS);
}

FIXTURE_SETUP(window)
{
	self->r = &race;
	race_start(self->r, 1, variant->points);
	self->m = m_new(self->r, block_and_release);
}

static bool all_is_idle(struct gs *gs)
{
	return nr_blocked(gs) == 0 && nr_idle(gs) == load32(&gs->shared->nr_procs);
}

FIXTURE_TEARDOWN(window)
{
	struct race *r = &race;

	set_delays(0, 0);
	EXPECT_TRUE(eventually(all_is_idle(&r->gs)));
	printf("# %lu handoffs, %lu holds, longest wait %lld us, lost %u\n",
	       gs_counter(&r->gs, "handoffs"), gs_counter(&r->gs, "holds"),
	       (long long)r->worst / 1000, r->lost);
	fflush(stdout);
	EXPECT_EQ(0U, r->lost);
	gs_stop(&r->gs);
}

#define ROUNDS		scaled(40)

/* The M blocks, and what it waits for comes at a random moment. */
static int64_t begin_block(struct player *m)
{
	must(actor_do(m->a, act_acquire) == 0);
	player_begin(m);
	return now_ns();
}

static void end_block(struct player *m)
{
	spin_ns(rnd(&m->race->seed, 2 * SPREAD_NS));
	must(write(m->fd[1], "x", 1) == 1);
}

/* All have what they came for, but for @but. */
static void end_all(struct race *r, struct player *but, int64_t start)
{
	for (unsigned int i = 0; i < r->nr; i++)
		if (&r->player[i] != but)
			player_end(&r->player[i]);
	note_wait(r, start);
}

/*
 * Rounds in which @m blocks, and those after it in the race have their parts. In some
 * its block ends just then, in others it goes on until the others have had its P.
 */
static void rounds(struct player *m)
{
	struct race *r = m->race;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		bool long_block = rnd(&r->seed, 3);
		int64_t start = begin_block(m);

		for (unsigned int j = 1; j < r->nr; j++)
			player_begin(&r->player[j]);
		if (long_block)
			end_all(r, m, start);
		start = now_ns();
		end_block(m);
		if (long_block)
			player_end(m);
		else
			end_all(r, NULL, start);
		note_wait(r, start);
		must(nr_blocked(&r->gs) == 0);
		must(nr_idle(&r->gs) == load32(&r->gs.shared->nr_procs));
	}
}

TEST_F_TIMEOUT(window, acquire, 60)
{
	m_new(self->r, acquire)->waits = true;
	rounds(self->m);
	EXPECT_LT(0UL, gs_counter(&self->r->gs, "handoffs"));
}

/* Several want it. Who has it before it sleeps must not be seen to block with it. */
TEST_F_TIMEOUT(window, acquire_outside, 60)
{
	m_new(self->r, acquire_outside)->waits = true;
	m_new(self->r, acquire_outside);
	m_new(self->r, acquire_outside);
	rounds(self->m);
}

/* One is in IDLE before the work is there, or comes after it. */
static void rounds_with_work(struct player *m, int (*submit)(struct player *p))
{
	struct race *r = m->race;

	m_new(r, idle);
	player_new(r, submit)->waits = true;
	rounds(m);
}

TEST_F_TIMEOUT(window, wake, 60)
{
	rounds_with_work(self->m, push_and_wake);
}

TEST_F_TIMEOUT(window, enqueue, 60)
{
	rounds_with_work(self->m, enqueue);
}

static int make_ready(struct player *p)
{
	__u64 one = 1;

	return write(p->fd[0], &one, sizeof(one)) - sizeof(one);
}

/* A G waits for an eventfd, and is parked anew in each round by its consumer. */
static int idle_and_park(struct player *p)
{
	struct gs *gs = &p->race->gs;
	struct gsched_node *node = gs_node(gs, gs->setup.first_slot, GSCHED_DIR_READ);

	idle(p);
	node_reset(node);
	must(node_park(node, 33));
	return 0;
}

TEST_F_TIMEOUT(window, readiness, 60)
{
	struct race *r = self->r;
	struct gs *gs = &r->gs;
	struct player *t = m_new(r, idle_and_park), *w = player_new(r, make_ready);

	w->waits = true;
	w->fd[0] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT_EQ(0, gs_fd_register(gs, w->fd[0], &t->a->flags));
	ASSERT_EQ(gs->setup.first_slot, t->a->flags);
	t->a->flags = 0;
	ASSERT_TRUE(node_park(gs_node(gs, gs->setup.first_slot, GSCHED_DIR_READ), 33));
	rounds(self->m);
}

/* It is its own deadline that wakes it, and finds a P or none. */
static int idle_until_p(struct player *p)
{
	int err = idle_for_a_moment(p);

	__atomic_store_n(&p->a->leave_ms, 1, __ATOMIC_SEQ_CST);
	return err;
}

static int wake_until_done(struct player *p)
{
	struct player *t = p - 1;
	struct gs *gs = &p->race->gs;

	/* A deadline at which there is no P is dropped. */
	while (!load32(&t->a->leave_ms)) {
		sleep_ns(NSEC_PER_MSEC);
		gs_wake(gs);
	}
	__atomic_store_n(&t->a->leave_ms, 0, __ATOMIC_SEQ_CST);
	return 0;
}

TEST_F_TIMEOUT(window, deadline, 60)
{
	m_new(self->r, idle_until_p);
	player_new(self->r, wake_until_done);
	rounds(self->m);
}

/* An M that has lost its P comes back while the one that has it blocks. */
static void hold_round(struct player *m, struct player *u)
{
	int64_t start;

	must(actor_do(u->a, act_acquire) == 0);
	player_begin(u);
	must(eventually(nr_blocked(&m->race->gs) == 1));
	start = begin_block(m);
	if (rnd(&m->race->seed, 2)) {
		end_block(u);
		player_end(u);
		note_wait(m->race, start);
		end_block(m);
	} else {
		end_block(m);
		end_block(u);
		player_end(u);
	}
	player_end(m);
	note_wait(m->race, start);
}

TEST_F_TIMEOUT(window, hold, 60)
{
	struct player *u = m_new(self->r, block_and_release);

	for (unsigned int i = 0; i < ROUNDS; i++)
		hold_round(self->m, u);
	EXPECT_LE(ROUNDS, gs_counter(&self->r->gs, "handoffs"));
}

/* Two block, two come: each of these has a P while those sleep. */
TEST_F_TIMEOUT(window, two, 60)
{
	struct race *r = self->r;
	struct player *b = m_new(r, block_and_release), *t[2];
	int64_t start;

	ASSERT_EQ(0, gs_set_procs(&r->gs, 2));
	for (int i = 0; i < 2; i++)
		t[i] = m_new(r, acquire);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		begin_block(self->m);
		begin_block(b);
		for (int j = 0; j < 2; j++)
			player_begin(t[j]);
		start = now_ns();
		for (int j = 0; j < 2; j++)
			player_end(t[j]);
		note_wait(r, start);
		start = now_ns();
		end_block(self->m);
		end_block(b);
		player_end(self->m);
		player_end(b);
		note_wait(r, start);
	}
}

/* The number of Ps falls and rises while Ms block, come back and wait. */
static int fewer_and_more(struct player *p)
{
	struct gs *gs = &p->race->gs;

	must(gs_set_procs(gs, 1) == 0);
	spin_ns(rnd(&p->seed, SPREAD_NS));
	return gs_set_procs(gs, 2);
}

TEST_F_TIMEOUT(window, set_procs, 60)
{
	struct race *r = self->r;
	struct player *b = m_new(r, block_and_release);
	struct player *t = m_new(r, acquire), *s = player_new(r, fewer_and_more);
	int64_t start;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, gs_set_procs(&r->gs, 2));
		begin_block(self->m);
		start = begin_block(b);
		player_begin(s);
		player_begin(t);
		end_block(self->m);
		end_block(b);
		for (unsigned int j = 0; j < r->nr; j++)
			player_end(&r->player[j]);
		note_wait(r, start);
		ASSERT_TRUE(all_is_idle(&r->gs));
	}
}

static void on_signal(int sig)
{
	(void)sig;
}

/* A signal ends the wait when the P comes, or a little before or after. */
TEST_F_TIMEOUT(window, signal, 60)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct player *t = m_new(self->r, acquire_outside);
	int64_t start;

	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	for (unsigned int i = 0; i < ROUNDS; i++) {
		start = begin_block(self->m);
		player_begin(t);
		spin_ns(rnd(&self->r->seed, SPREAD_NS));
		if (!actor_ended(t->a))
			pthread_kill(t->a->thread, SIGUSR1);
		end_block(self->m);
		player_end(self->m);
		player_end(t);
		note_wait(self->r, start);
	}
}

/* ------------------------------------------------------------------ preemption */

/*
 * Hogs that do all that a thread can do just when an interrupt for it is on its way:
 * it blocks, makes a step, begins a section, yields, goes idle, ends, comes anew.
 * More of them than Ps, and the tick comes as often as it can.
 */
FIXTURE(preempt) {
	struct race *r;
};

FIXTURE_VARIANT(preempt) {
	unsigned int points;
};

#define PREEMPT_WINDOW(name, points_)						\
	FIXTURE_VARIANT_ADD(preempt, at_##name) { .points = (points_) }

PREEMPT_WINDOW(block, BIT(BLOCK));
PREEMPT_WINDOW(unblock, BIT(UNBLOCK));
PREEMPT_WINDOW(steal, BIT(STEAL));
PREEMPT_WINDOW(hold, BIT(HOLD));
PREEMPT_WINDOW(park, BIT(PARK) | BIT(GRANT));
PREEMPT_WINDOW(queue, BIT(QUEUE));
PREEMPT_WINDOW(kick, BIT(KICK));
PREEMPT_WINDOW(send, BIT(SEND));
PREEMPT_WINDOW(tick, BIT(FIRE) | BIT(TICK) | BIT(QUIET));
PREEMPT_WINDOW(all, BIT(NR_POINTS) - 1);

/* Who is kept from sleeping for so long after it got a P has run for its time. */
#define LONG_WINDOW_NS	(2 * GSCHED_MIN_TIME)

FIXTURE_SETUP(preempt)
{
	self->r = &race;
	race_start(self->r, 2, 0);
	must(gs_times(&self->r->gs, 2 * GSCHED_MIN_TIME, GSCHED_MIN_TIME) == 0);
	set_delays(variant->points, variant->points == BIT(QUEUE) ? LONG_WINDOW_NS :
		   WINDOW_NS / 3);
}

FIXTURE_TEARDOWN(preempt)
{
	struct gs *gs = &race.gs;

	set_delays(0, 0);
	EXPECT_TRUE(eventually(all_is_idle(gs)));
	printf("# %lu preemptions, %lu deferred, %lu handoffs, %lu holds\n",
	       gs_counter(gs, "preempts"), gs_counter(gs, "deferred"),
	       gs_counter(gs, "handoffs"), gs_counter(gs, "holds"));
	fflush(stdout);
	gs_stop(gs);
}

/* What a hog does once, outside of sections. */
static void hog_outside(struct player *p)
{
	struct gs *gs = &p->race->gs;
	struct pollfd pfd = { .fd = p->fd[0], .events = POLLIN };
	__u32 proc;
	char byte;

	switch (rnd(&p->seed, 6)) {
	case 0:
		sleep_ns(rnd(&p->seed, 100000));
		break;
	case 1:
		poll(&pfd, 1, rnd(&p->seed, 2));
		break;
	case 2:
		must(write(p->fd[1], "x", 1) == 1);
		must(read(p->fd[0], &byte, 1) == 1);
		break;
	case 3:
		gs_acquire(gs, GSCHED_ACQUIRE_YIELD, &proc);
		break;
	default:
		spin_ns(rnd(&p->seed, 3 * GSCHED_MIN_TIME));
	}
}

/* The same in a section; after it the M has a P. */
static void hog_inside(struct player *p)
{
	struct gs *gs = &p->race->gs;
	__u32 reason, proc = load32(&gs->ms[id_of(p)].proc);

	switch (rnd(&p->seed, 8)) {
	case 0:
		must(gs_unregister(gs) == 0);
		must(gs_register(gs, &p->a->id) == 0);
		break;
	case 1:
		must(gs_release(gs) == 0);
		break;
	case 2:
		must(gs_idle(gs, now_ns() + rnd(&p->seed, 300000), &reason, &proc) == 0);
		if (reason == GSCHED_IDLE_WORK)
			spinning_end(gs);
		break;
	case 3:
		must(gs_acquire(gs, GSCHED_ACQUIRE_YIELD, &proc) == 0);
		break;
	case 4:
		spin_ns(rnd(&p->seed, 4 * GSCHED_MIN_TIME));
		must(load32(&gs->ms[id_of(p)].proc) == proc);
		break;
	default:
		__atomic_store_n(&gs->procs[proc].steps, gs->procs[proc].steps + 2,
				 __ATOMIC_RELAXED);
	}
	if (load32(&gs->ms[id_of(p)].proc) == GSCHED_NONE)
		must(gs_acquire(gs, 0, &proc) == 0);
}

/* At least until one of them was preempted: on a slow machine few run for a slice. */
static int hog_for_a_while(struct player *p)
{
	struct gs *gs = &p->race->gs;
	__u32 proc;

	must(gs_acquire(gs, 0, &proc) == 0);
	for (unsigned int i = 0; i < scaled(150) || !gs_counter(gs, "preempts"); i++) {
		section_leave(gs, id_of(p));
		hog_outside(p);
		must(load32(&gs->ms[id_of(p)].proc) != GSCHED_NONE);
		must(section_enter(gs, id_of(p)) != GSCHED_NONE);
		check_section(p->race, id_of(p));
		hog_inside(p);
		check_section(p->race, id_of(p));
	}
	/* The next one is a new M. */
	must(gs_unregister(gs) == 0);
	return gs_register(gs, &p->a->id);
}

/* A deadline at which there is no P is dropped: those who are idle then are woken. */
static int wake_the_others(struct player *p)
{
	struct gs *gs = &p->race->gs;
	bool all;

	do {
		gs_wake(gs);
		sleep_ns(500000);
		all = true;
		for (int i = 0; i < MAX_PLAYERS - 1; i++)
			all = all && actor_ended(p->race->player[i].a);
	} while (!all);
	return 0;
}

TEST_F_TIMEOUT(preempt, hogs, 60)
{
	struct race *r = self->r;

	for (int i = 0; i < MAX_PLAYERS - 1; i++)
		m_new(r, hog_for_a_while);
	player_new(r, wake_the_others);
	for (int i = 0; i < MAX_PLAYERS; i++)
		player_begin(&r->player[i]);
	for (int i = MAX_PLAYERS - 1; i >= 0; i--)
		player_end_late(&r->player[i]);
}

/* It is wanted by others before it has slept at all. */
TEST_F_TIMEOUT(preempt, before_it_sleeps, 60)
{
	struct race *r = self->r;

	ASSERT_EQ(0, gs_set_procs(&r->gs, 1));
	for (int i = 0; i < 3; i++)
		m_new(r, acquire_outside);
	for (unsigned int i = 0; i < ROUNDS / 4; i++) {
		for (unsigned int j = 0; j < r->nr; j++)
			player_begin(&r->player[j]);
		for (unsigned int j = 0; j < r->nr; j++)
			player_end(&r->player[j]);
	}
}

/* ------------------------------------------------------------------- the tick */

/*
 * One P. The M m has it; t idles. What m has to offer while the tick is about to end
 * is found all the same, by the tick or because m sees that it has ended.
 */
FIXTURE(tick) {
	struct race *r;
	struct player *m, *t;
};

FIXTURE_VARIANT(tick) {
	unsigned int points;
};

FIXTURE_VARIANT_ADD(tick, at_fire) { .points = BIT(FIRE) };
FIXTURE_VARIANT_ADD(tick, at_tick) { .points = BIT(TICK) };
FIXTURE_VARIANT_ADD(tick, at_quiet) { .points = BIT(QUIET) };
FIXTURE_VARIANT_ADD(tick, at_watch) { .points = BIT(WATCH) };

#define TICK_DELAY_NS	700000
#define TICK_PERIOD_NS	(2 * NSEC_PER_MSEC)

/*
 * The tick is the test's: on CPU 0, begun at @tick_began when it was off. m runs on CPU
 * 1, where no tick interrupts it.
 */
static int64_t tick_began;

/* How long the tick goes on when there is nothing to see, as an earlier round told. */
static int64_t tick_ends_after;

/* And how long after that the window opens that is of interest. */
static int64_t last_look_after;

FIXTURE_SETUP(tick)
{
	self->r = &race;
	race_start(self->r, 1, 0);
	must(gs_times(&self->r->gs, TICK_PERIOD_NS, TICK_PERIOD_NS) == 0);
	/* The next timer that there is belongs to a P that nobody has. */
	ASSERT_EQ(0, gs_set_procs(&self->r->gs, 2));
	self->r->gs.procs[1].next_when = now_ns() + 3600 * NSEC_PER_SEC;
	ASSERT_EQ(0, gs_set_procs(&self->r->gs, 1));
	/* The tick says that it ends, and looks once more. */
	tick_ends_after = 9 * TICK_PERIOD_NS;
	last_look_after = variant->points & BIT(QUIET) ? 0 : TICK_PERIOD_NS + TICK_DELAY_NS;
	set_delays(variant->points, TICK_DELAY_NS);
}

static void race_end(struct __test_metadata *_metadata, struct race *r)
{
	set_delays(0, 0);
	EXPECT_TRUE(eventually(all_is_idle(&r->gs)));
	printf("# %lu looks, %lu preemptions, longest wait %lld us, lost %u\n",
	       gs_counter(&r->gs, "ticks"), gs_counter(&r->gs, "preempts"),
	       (long long)r->worst / 1000, r->lost);
	fflush(stdout);
	EXPECT_EQ(0U, r->lost);
	gs_stop(&r->gs);
}

FIXTURE_TEARDOWN(tick)
{
	race_end(_metadata, &race);
}

static bool tick_on(struct gs *gs)
{
	return load32(&gs->shared->tick_on);
}

static void let_the_tick_end(struct gs *gs)
{
	must(eventually(!tick_on(gs)));
	sleep_ns(2 * TICK_PERIOD_NS);
}

/* m has the P, t idles, and the tick begins. Return: now. */
static int64_t begin_tick(struct player *m, struct player *t, int (*idle)(struct actor *a))
{
	struct gs *gs = &m->race->gs;

	actor_begin_sleep(t->a, idle, GSCHED_IOC_IDLE);
	must(actor_do(m->a, act_acquire) == 0);
	let_the_tick_end(gs);
	pin_to_cpu(0);
	must(gs_wake(gs) == -EAGAIN);
	tick_began = now_ns();
	return tick_began;
}

/* Within the window that ends then, or a little before or after; or just then. */
static void spin_until_about_tick_end(struct player *p)
{
	int64_t when = tick_began + tick_ends_after + last_look_after +
		       rnd(&p->seed, 2 * TICK_DELAY_NS) - TICK_DELAY_NS * 3 / 2;

	pin_to_cpu(1 % nr_cpus());
	if (rnd(&p->seed, 4)) {
		spin_ns(when - now_ns());
		return;
	}
	while (tick_on(&p->race->gs))
		;
	tick_ends_after = now_ns() - tick_began;
}

static void wait_to_be_preempted(struct player *p)
{
	struct gs *gs = &p->race->gs;

	/* t empties the queue when it has the P. */
	while (load32(&gs->procs[0].tail))
		;
	must(load32(&gs->ms[id_of(p)].proc) != GSCHED_NONE);
}

/* It computes, pushes work into its queue, and computes on. */
static int push_and_compute(struct player *p)
{
	struct gs *gs = &p->race->gs;

	section_leave(gs, id_of(p));
	spin_until_about_tick_end(p);
	__atomic_store_n(&gs->procs[0].tail, 1, __ATOMIC_SEQ_CST);
	if (!tick_on(gs))
		gs_wake(gs);
	wait_to_be_preempted(p);
	must(section_enter(gs, id_of(p)) != GSCHED_NONE);
	return gs_release(gs);
}

#define TICK_ROUNDS	scaled(30)

static int act_idle_part(struct actor *a)
{
	return idle(a->arg);
}

TEST_F_TIMEOUT(tick, push, 60)
{
	struct race *r = self->r;
	int64_t start;

	self->m = m_new(r, push_and_compute);
	self->t = m_new(r, idle);
	for (unsigned int i = 0; i < TICK_ROUNDS; i++) {
		start = begin_tick(self->m, self->t, act_idle_part);
		player_begin(self->m);
		player_end(self->t);
		player_end(self->m);
		note_wait(r, start);
	}
	EXPECT_LE(TICK_ROUNDS, gs_counter(&r->gs, "preempts"));
}

/*
 * It starts a timer, and blocks. Who resumes a G says so if the tick does not come in
 * time for it; who blocks need not.
 */
static int timer_and_block(struct player *p)
{
	struct gs *gs = &p->race->gs;
	__u64 when, next;

	spin_until_about_tick_end(p);
	when = now_ns() + rnd(&p->seed, 2 * TICK_PERIOD_NS);
	__atomic_store_n(&gs->procs[0].next_when, when, __ATOMIC_SEQ_CST);
	next = load64(&gs->shared->tick_next);
	if (rnd(&p->seed, 2) && !tick_on(gs) && (!next || when < next))
		gs_wake(gs);
	block_on_pipe(p);
	return gs_release(gs);
}

/* The timer's G is what it looks for. */
static int act_idle_for_timer(struct actor *a)
{
	struct player *p = a->arg;
	struct gs *gs = a->gs;
	int err = gs_idle(gs, 0, &a->reason, &a->proc);

	check_section(p->race, id_of(p));
	__atomic_store_n(&gs->procs[0].next_when, 0, __ATOMIC_SEQ_CST);
	take_spinning(gs);
	return err ? err : gs_release(gs);
}

TEST_F_TIMEOUT(tick, timer, 60)
{
	struct race *r = self->r;
	int64_t start;

	self->m = m_new(r, timer_and_block);
	self->t = m_new(r, NULL);
	for (unsigned int i = 0; i < TICK_ROUNDS; i++) {
		start = begin_tick(self->m, self->t, act_idle_for_timer);
		player_begin(self->m);
		player_end(self->t);
		note_wait(r, start);
		end_block(self->m);
		player_end(self->m);
	}
}

/*
 * An M blocks with a timer that is long due, while the tick's timer has just fired for
 * another; and then there is nothing to wait for. If the timer was started a second time
 * meanwhile, and only then told when to come next, in an hour, it is out of order among
 * the CPU's timers, and all others wait for it.
 */
static __u64 due_when;

static int block_with_due_timer(struct player *p)
{
	struct gs *gs = &p->race->gs;
	__u64 *next_when = &gs->procs[0].next_when, when;
	__u32 proc;

	must(gs_acquire(gs, 0, &proc) == 0);
	for (unsigned int i = 0; i < TICK_ROUNDS; i++) {
		let_the_tick_end(gs);
		when = now_ns() + 3 * NSEC_PER_MSEC;
		__atomic_store_n(next_when, when, __ATOMIC_SEQ_CST);
		section_leave(gs, id_of(p));
		/* The timer is on the CPU where it sleeps now. */
		pin_to_cpu(0);
		sleep_ns(50000);
		pin_to_cpu(1 % nr_cpus());
		__atomic_store_n(next_when, when - 300000, __ATOMIC_SEQ_CST);
		__atomic_store_n(&due_when, when, __ATOMIC_SEQ_CST);
		spin_ns(when - now_ns() + rnd(&p->seed, TICK_DELAY_NS / 2));
		sleep_ns(50000);
		section_enter(gs, id_of(p));
	}
	return gs_release(gs);
}

/* Beside it: takes the due timer away before the tick sees it. */
static int forget_due_timer(struct player *p)
{
	struct race *r = p->race;
	__u64 when;

	while (!actor_ended(r->player[0].a)) {
		when = __atomic_exchange_n(&due_when, 0, __ATOMIC_SEQ_CST);
		while (when && (__u64)now_ns() < when + TICK_DELAY_NS * 2 / 3)
			;
		if (when)
			__atomic_store_n(&r->gs.procs[0].next_when, 0, __ATOMIC_SEQ_CST);
		sched_yield();
	}
	return 0;
}

static int nap_on_each_cpu(struct player *p)
{
	int64_t start;

	for (unsigned int i = 0; !actor_ended(p->race->player[0].a); i++) {
		pin_to_cpu(i % nr_cpus());
		start = now_ns();
		sleep_ns(100000);
		note_wait(p->race, start);
	}
	return 0;
}

TEST_F_TIMEOUT(tick, timers_of_others, 60)
{
	struct race *r = self->r;

	m_new(r, block_with_due_timer);
	player_new(r, forget_due_timer);
	player_new(r, nap_on_each_cpu);
	for (unsigned int i = 0; i < r->nr; i++)
		player_begin(&r->player[i]);
	for (unsigned int i = r->nr; i--; )
		player_end_late(&r->player[i]);
	EXPECT_LE(TICK_ROUNDS / 4, gs_counter(&r->gs, "ticks"));
}

/*
 * An M blocks with a timer that is due soon; before it looks whether anybody wants its P, one
 * that comes back from a block has taken it, and computes. The timer is still seen.
 */
FIXTURE(taken) {
	struct race *r;
	struct player *m, *t, *back;
};

FIXTURE_SETUP(taken)
{
	self->r = &race;
	race_start(self->r, 1, 0);
	must(gs_times(&self->r->gs, TICK_PERIOD_NS, TICK_PERIOD_NS) == 0);
	set_delays(BIT(BLOCK), TICK_DELAY_NS);
}

FIXTURE_TEARDOWN(taken)
{
	race_end(_metadata, &race);
}

static int wake_another_and_block(struct player *p)
{
	struct race *r = p->race;

	pin_to_cpu(1 % nr_cpus());
	__atomic_store_n(&r->gs.procs[0].next_when, now_ns() + rnd(&p->seed, TICK_DELAY_NS),
			 __ATOMIC_SEQ_CST);
	end_block(&r->player[0]);
	block_on_pipe(p);
	return gs_release(&r->gs);
}

static int come_back_and_compute(struct player *p)
{
	struct gs *gs = &p->race->gs;
	int64_t end;
	char byte;

	pin_to_cpu(0);
	section_leave(gs, id_of(p));
	must(read(p->fd[0], &byte, 1) == 1);
	end = now_ns() + 2 * LOST_NS;
	while (load64(&gs->procs[0].next_when) && now_ns() < end)
		;
	must(section_enter(gs, id_of(p)) != GSCHED_NONE);
	return gs_release(gs);
}

TEST_F_TIMEOUT(taken, timer, 60)
{
	struct race *r = self->r;
	struct gs *gs = &r->gs;
	int64_t start;

	self->back = m_new(r, come_back_and_compute);
	self->m = m_new(r, wake_another_and_block);
	self->t = m_new(r, NULL);
	for (unsigned int i = 0; i < TICK_ROUNDS; i++) {
		must(actor_do(self->back->a, act_acquire) == 0);
		player_begin(self->back);
		must(eventually(nr_blocked(gs) == 1));
		must(actor_do(self->m->a, act_acquire) == 0);
		actor_begin_sleep(self->t->a, act_idle_for_timer, GSCHED_IOC_IDLE);
		let_the_tick_end(gs);
		start = now_ns();
		player_begin(self->m);
		player_end_late(self->t);
		note_wait(r, start);
		end_block(self->m);
		player_end(self->m);
		player_end_late(self->back);
	}
}

/* --------------------------------------------------------------- ends by force */

/* A process is ended in one way or another while its Ms race in a window. */
FIXTURE(ends) {
};

FIXTURE_VARIANT(ends) {
	unsigned int points;
};

#define ENDS_WINDOW(name, points_)						\
	FIXTURE_VARIANT_ADD(ends, at_##name) { .points = (points_) }

ENDS_WINDOW(block, BIT(BLOCK) | BIT(COUNT));
ENDS_WINDOW(unblock, BIT(UNBLOCK));
ENDS_WINDOW(steal, BIT(STEAL) | BIT(LOOK));
ENDS_WINDOW(hold, BIT(HOLD));
ENDS_WINDOW(park, BIT(PARK) | BIT(GRANT) | BIT(QUEUE));
ENDS_WINDOW(kick, BIT(KICK) | BIT(SEND));
ENDS_WINDOW(tick, BIT(FIRE) | BIT(TICK) | BIT(QUIET));

FIXTURE_SETUP(ends)
{
	ASSERT_TRUE(module_unused());
	set_delays(variant->points, WINDOW_NS / 2);
}

FIXTURE_TEARDOWN(ends)
{
	set_delays(0, 0);
	EXPECT_TRUE(module_unused());
}

/* Results do not matter any more: the end may come at any time. */
static void *race_until_dead(void *arg)
{
	unsigned int seed = race.seed + (uintptr_t)arg;
	struct gs *gs = &race.gs;
	__u32 id, proc, reason;
	int err;

	err = gs_register(gs, &id);
	while (err != -ESHUTDOWN && err != -EBADF) {
		err = gs_acquire(gs, rnd(&seed, 2), &proc);
		section_leave(gs, id);
		rnd_delay(&seed);
		if (rnd(&seed, 2))
			section_enter(gs, id);
		if (rnd(&seed, 4) == 0)
			err = gs_idle(gs, now_ns() + rnd(&seed, 200000), &reason, &proc);
		if (rnd(&seed, 16) == 0)
			err = gs_set_procs(gs, 1 + rnd(&seed, 2));
	}
	return NULL;
}

enum ending {
	BY_EXIT, BY_KILL, BY_EXEC, BY_EXEC_OF_AN_M, BY_CLOSE, BY_FORK, NR_ENDINGS,
};

static void exec_nothing(void)
{
	execl("/proc/self/exe", "kmod_races", "--nothing", NULL);
	_exit(1);
}

static int nothing(void *arg)
{
	return arg != &race;
}

static int end_as(enum ending how, pthread_t *thread, unsigned int n)
{
	__u32 id;

	switch (how) {
	case BY_KILL:
		raise(SIGKILL);
		break;
	case BY_EXEC_OF_AN_M:
		gs_register(&race.gs, &id);
		exec_nothing();
		break;
	case BY_EXEC:
		exec_nothing();
		break;
	case BY_CLOSE:
		close(race.gs.fd);
		for (unsigned int i = 0; i < n; i++)
			must(pthread_join(thread[i], NULL) == 0);
		break;
	case BY_FORK:
		for (int i = 0; i < 5; i++)
			must(in_child(nothing, &race) == 0);
		break;
	default:
		break;
	}
	return 0;
}

#define RACERS	5

static int race_and_end(void *arg)
{
	pthread_t thread[RACERS];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	gs_start(&race.gs, 2, 2, RACERS + 1, 0);
	must(gs_times(&race.gs, 2 * GSCHED_MIN_TIME, GSCHED_MIN_TIME) == 0);
	for (uintptr_t i = 0; i < RACERS; i++)
		must(pthread_create(&thread[i], NULL, race_until_dead, (void *)i) == 0);
	sleep_ns(rnd(&race.seed, 10000000));
	return end_as(*(enum ending *)arg, thread, RACERS);
}

static void race_and_end_as(struct __test_metadata *_metadata, enum ending how)
{
	for (unsigned int i = 0; i < scaled(3); i++) {
		race.seed += 100;
		EXPECT_EQ(how == BY_KILL ? 128 + SIGKILL : 0, in_child(race_and_end, &how))
			TH_LOG("ending %d", how);
	}
}

TEST_F_TIMEOUT(ends, processes, 60)
{
	race.seed = test_seed();
	for (int how = 0; how < NR_ENDINGS; how++)
		race_and_end_as(_metadata, how);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--nothing"))
		return 0;
	if (access(DELAYS_FILE, W_OK))
		ksft_exit_skip("the module has no delay points\n");
	return test_harness_run(argc, argv);
}
