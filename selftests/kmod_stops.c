// SPDX-License-Identifier: GPL-2.0
/*
 * Stops: job control, ptrace, the freezer of cgroups and SIGKILL find an M in whatever
 * state it is, held for a P or in a section with the P that others wait for.
 */
#include "kmod_block.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>

/* What takes less than 100 ms on a quiet machine; this one is slow, and shared. */
#define SOON_NS		(3 * NSEC_PER_SEC)

/* ---------------------------------------------------------------- the world */

/*
 * A process with an M in every state:
 *
 * one    s computes in a section with the P; a is held, u in ACQUIRE, i idles
 * two    b is blocked with its P
 * three  g computes outside of sections with the P, and h would like to
 */
struct stops {
	pid_t pid;
	int orders[2];
	int answers[2];
	/* shared with the process: */
	struct stops_shared {
		pid_t tid[8];
		unsigned int nr;
		unsigned int blocked;	/* index of the one that stays in its call */
		__u64 spins;		/* of the M that is traced */
		__u32 stop_it;
	} *shared;
};

/*
 * A stop that is called off may let a held M run until the next tick; it is not to
 * get far.
 */
static bool read_and_spin(struct block *b)
{
	return read_byte(b) && spin_until_told(b);
}

static const struct way read_then_spin = { make_pipe, read_and_spin, write_byte };

static int act_spin_in_section(struct actor *a)
{
	spin_until_told(a->arg);
	return 0;
}

/* As a library does: a stop ends the wait, and it begins again. */
static int act_acquire_on(struct actor *a)
{
	int err;

	do {
		err = act_acquire(a);
	} while (err == -EINTR);
	return err;
}

static int act_idle_on(struct actor *a)
{
	int err;

	do {
		err = act_idle(a);
	} while (err == -EINTR);
	return err;
}

static struct actor *new_actor(struct gs *gs, struct stops *s, const struct way *way)
{
	struct actor *a = actor_start_m(gs);
	struct block *b = block_prepare(way, a);

	must(way->prepare(b));
	s->shared->tid[s->shared->nr++] = a->tid;
	return a;
}

static void answer(struct stops *s)
{
	must(write(s->answers[1], "a", 1) == 1);
}

static char next_order(struct stops *s)
{
	char order;

	must(read(s->orders[0], &order, 1) == 1);
	return order;
}

struct stops_world {
	struct gs one, two, three;
	struct actor *s, *a, *u, *i, *b, *g, *h;
};

static void fill_one(struct stops_world *w, struct stops *st)
{
	gs_start(&w->one, 1, 1, 8, 0);
	w->a = new_actor(&w->one, st, &read_then_spin);
	w->s = new_actor(&w->one, st, &spin);
	w->u = new_actor(&w->one, st, &pipe_read);
	w->i = new_actor(&w->one, st, &pipe_read);
	lose_p_and_be_held(w->a, w->s);
	actor_begin(w->s, act_spin_in_section);
	actor_begin_sleep(w->u, act_acquire_on, GSCHED_IOC_ACQUIRE);
	actor_begin_sleep(w->i, act_idle_on, GSCHED_IOC_IDLE);
}

static void fill_two(struct stops_world *w, struct stops *st)
{
	gs_start(&w->two, 1, 1, 8, 0);
	st->shared->blocked = st->shared->nr;
	w->b = new_actor(&w->two, st, &pipe_read);
	must(actor_do(w->b, act_acquire) == 0);
	actor_begin(w->b, act_block);
	must(eventually(nr_blocked(&w->two) == 1));
}

static void fill_three(struct stops_world *w, struct stops *st)
{
	gs_start(&w->three, 1, 1, 8, 0);
	w->g = new_actor(&w->three, st, &spin);
	w->h = new_actor(&w->three, st, &spin);
	must(actor_do(w->g, act_acquire) == 0);
	section_leave(&w->three, w->h->id);
	actor_begin(w->g, act_block);
	must(actor_do(w->h, act_acquire) == 0);	/* after g's minimum run */
	actor_begin(w->h, act_block);
}

/* Two actors end in whatever order they get the P. */
static void end_both(struct actor *g, struct actor *h)
{
	struct actor *first;

	must(eventually(actor_ended(g) || actor_ended(h)));
	first = actor_ended(g) ? g : h;
	must(actor_end(first) == 0 && actor_do(first, act_release) == 0);
	h = first == g ? h : g;
	must(actor_end(h) == 0 && actor_do(h, act_release) == 0);
}

static void finish_one(struct stops_world *w)
{
	must(!actor_ended(w->a) && !actor_ended(w->u) && !actor_ended(w->i));
	must(eventually(m_is(&w->one, w->a->id, "held")));
	futex_wake(w->a->arg);
	futex_wake(w->s->arg);
	must(actor_end(w->s) == 0 && actor_do(w->s, act_release) == 0);
	end_both(w->a, w->u);
	must(((struct block *)w->a->arg)->proc == 0);
	must(eventually(m_is(&w->one, w->i->id, "idle")));
	must(gs_wake(&w->one) == 0);
	must(actor_end(w->i) == 0);
}

/* Everybody finishes what he was about, as if nothing had happened. */
static int stops_main(void *arg)
{
	static struct stops_world w;
	struct stops *st = arg;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fill_one(&w, st);
	fill_two(&w, st);
	fill_three(&w, st);
	answer(st);
	must(next_order(st) == 'f');
	finish_one(&w);
	must(!actor_ended(w.b));
	write_byte(w.b->arg);
	must(actor_end(w.b) == 0 && ((struct block *)w.b->arg)->proc == 0);
	futex_wake(w.g->arg);
	futex_wake(w.h->arg);
	end_both(w.g, w.h);
	return 0;
}

FIXTURE(stops) {
	struct stops s;
	int64_t worst;
};

static void stops_start(struct stops *s, int (*body)(void *arg))
{
	char byte;

	must(module_unused());
	must(pipe(s->orders) == 0 && pipe(s->answers) == 0);
	s->shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(s->shared != MAP_FAILED);
	s->pid = child_start(body, s);
	must(read(s->answers[0], &byte, 1) == 1);
}

static void stops_order(struct stops *s, char order)
{
	must(write(s->orders[1], &order, 1) == 1);
}

FIXTURE_SETUP(stops)
{
	struct gs gs;

	gs_start(&gs, 1, 1, 1, 0);
	if (!(gs_features(&gs) & GSCHED_FEAT_HOLD))
		ksft_exit_skip("this kernel has no hold\n");
	gs_stop(&gs);
	self->worst = 0;
}

FIXTURE_TEARDOWN(stops)
{
	if (self->s.pid > 0) {
		kill(self->s.pid, SIGCONT);
		stops_order(&self->s, 'f');
		EXPECT_EQ(0, child_wait(self->s.pid));
	}
	EXPECT_TRUE(module_unused());
	if (self->worst)
		note("stopped within %lld us", (long long)self->worst / 1000);
}

static bool all_threads_are(struct stops *s, char state)
{
	for (unsigned int i = 0; i < s->shared->nr; i++)
		if (thread_state(s->pid, s->shared->tid[i]) != state)
			return false;
	return true;
}

/* Wait until @cond, measured finely; the time it took. */
#define time_until(cond) ({							\
	int64_t start_ = now_ns();						\
	while (!(cond) && now_ns() - start_ < PATIENCE_NS)			\
		sleep_ns(100000);						\
	now_ns() - start_;							\
})

TEST_F(stops, sigstop)
{
	struct stops *s = &self->s;
	int64_t took;

	stops_start(s, stops_main);
	for (unsigned int i = 0; i < scaled(20); i++) {
		kill(s->pid, SIGSTOP);
		took = time_until(all_threads_are(s, 'T'));
		if (took > self->worst)
			self->worst = took;
		kill(s->pid, SIGCONT);
		if (i % 2)
			sleep_ns(5 * NSEC_PER_MSEC);
	}
	EXPECT_GT(SOON_NS, self->worst);
}

/* No sooner told than done: stops and continuations that overtake each other. */
TEST_F(stops, sigstop_storm)
{
	struct stops *s = &self->s;
	unsigned int seed = test_seed();

	stops_start(s, stops_main);
	for (unsigned int i = 0; i < scaled(200); i++) {
		kill(s->pid, rnd(&seed, 2) ? SIGTSTP : SIGSTOP);
		rnd_delay(&seed);
		kill(s->pid, SIGCONT);
		rnd_delay(&seed);
	}
}

/* ----------------------------------------------------------------- freezer */

#define CGROUP	"/sys/fs/cgroup/kmod_stops"

static bool frozen(long want)
{
	return read_key(CGROUP "/cgroup.events", "frozen") == want;
}

TEST_F(stops, freezer)
{
	struct stops *s = &self->s;
	char pid[16];
	int64_t took;

	if (mkdir(CGROUP, 0700) && errno != EEXIST)
		SKIP(return, "no cgroup2");
	stops_start(s, stops_main);
	snprintf(pid, sizeof(pid), "%d", s->pid);
	write_file(CGROUP "/cgroup.procs", pid);
	for (unsigned int i = 0; i < scaled(10); i++) {
		write_file(CGROUP "/cgroup.freeze", "1");
		took = time_until(frozen(1));
		if (took > self->worst)
			self->worst = took;
		write_file(CGROUP "/cgroup.freeze", "0");
		EXPECT_GT(SOON_NS, time_until(frozen(0)));
		if (i % 2)
			sleep_ns(5 * NSEC_PER_MSEC);
	}
	EXPECT_GT(SOON_NS, self->worst);
	write_file("/sys/fs/cgroup/cgroup.procs", pid);
	EXPECT_EQ(0, rmdir(CGROUP));
}

/* Killed while it is frozen. */
TEST_F(stops, killed_when_frozen)
{
	struct stops *s = &self->s;
	char pid[16];

	if (mkdir(CGROUP, 0700) && errno != EEXIST)
		SKIP(return, "no cgroup2");
	stops_start(s, stops_main);
	snprintf(pid, sizeof(pid), "%d", s->pid);
	write_file(CGROUP "/cgroup.procs", pid);
	write_file(CGROUP "/cgroup.freeze", "1");
	EXPECT_GT(SOON_NS, time_until(frozen(1)));
	kill(s->pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, child_wait(s->pid));
	s->pid = 0;
	EXPECT_TRUE(eventually(rmdir(CGROUP) == 0));
}

/* ------------------------------------------------------------------- ptrace */

/* Wait for the traced thread's stop; its status, or -1 when it does not come. */
static int wait_stop(pid_t tid)
{
	int64_t end = now_ns() + SOON_NS;
	int status;
	pid_t got;

	while (!(got = waitpid(tid, &status, __WALL | WNOHANG)) && now_ns() < end)
		sleep_ns(100000);
	return got == tid && WIFSTOPPED(status) ? status : -1;
}

#define SINGLE_STOP	(SIGTRAP | PTRACE_EVENT_STOP << 8)

static void interrupt_thread(struct __test_metadata *_metadata, pid_t tid, int64_t *worst)
{
	int64_t start = now_ns();

	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, tid, 0, 0)) TH_LOG("errno %d", errno);
	EXPECT_EQ(SINGLE_STOP, wait_stop(tid) >> 8) TH_LOG("tid %d", tid);
	if (now_ns() - start > *worst)
		*worst = now_ns() - start;
}

/* The thread is stopped; its call is over, unless it is the one in a read. */
static void step_thread(struct __test_metadata *_metadata, struct stops *s, unsigned int i)
{
	pid_t tid = s->shared->tid[i];

	for (int n = 0; n < 3 && i != s->shared->blocked; n++) {
		ASSERT_EQ(0, ptrace(PTRACE_SINGLESTEP, tid, 0, 0));
		EXPECT_EQ(SIGTRAP, wait_stop(tid) >> 8) TH_LOG("thread %u, step %d", i, n);
	}
}

/* Each thread is interrupted and stepped while the others run, or are stopped too. */
TEST_F(stops, traced)
{
	struct stops *s = &self->s;
	unsigned int n;

	stops_start(s, stops_main);
	n = s->shared->nr;
	for (unsigned int i = 0; i < n; i++) {
		pid_t tid = s->shared->tid[i];

		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, tid, 0, 0));
		interrupt_thread(_metadata, tid, &self->worst);
		step_thread(_metadata, s, i);
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, tid, 0, 0));
	}
	for (unsigned int i = 0; i < n; i++) {
		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, s->shared->tid[i], 0, 0));
	}
	for (unsigned int i = 0; i < n; i++)
		interrupt_thread(_metadata, s->shared->tid[i], &self->worst);
	EXPECT_TRUE(all_threads_are(s, 't'));
	for (unsigned int i = 0; i < n; i++)
		step_thread(_metadata, s, i);
	for (unsigned int i = 0; i < n; i++) {
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, s->shared->tid[i], 0, 0));
	}
	EXPECT_GT(SOON_NS, self->worst);
}

/* a is held for good: it spins as soon as it is let go, and counts. */
static bool read_and_count(struct block *b)
{
	struct stops_shared *shared = (void *)b->page;

	if (!read_byte(b))
		return false;
	while (!load32(&shared->stop_it))
		__atomic_store_n(&shared->spins, shared->spins + 1, __ATOMIC_RELAXED);
	return true;
}

static const struct way read_then_count = { make_pipe, read_and_count, write_byte };

/* Orders: w: how many were waived; s: somebody blocks, and a P is free; f: end. */
static int traced_main(void *arg)
{
	struct stops *st = arg;
	struct actor *a, *s;
	struct gs gs;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	gs_start(&gs, 1, 1, 4, 0);
	a = new_actor(&gs, st, &read_then_count);
	((struct block *)a->arg)->page = (void *)st->shared;
	s = new_actor(&gs, st, &spin);
	lose_p_and_be_held(a, s);
	answer(st);
	must(next_order(st) == 'w');
	must(gs_counter(&gs, "waived") > 0);
	answer(st);
	must(next_order(st) == 's');
	must(actor_do(s, act_release) == 0);
	answer(st);
	must(next_order(st) == 'f');
	__atomic_store_n(&st->shared->stop_it, 1, __ATOMIC_SEQ_CST);
	must(actor_end(a) == 0);
	must(((struct block *)a->arg)->proc == 0);
	return 0;
}

static __u64 spins(struct stops *s)
{
	return __atomic_load_n(&s->shared->spins, __ATOMIC_RELAXED);
}

static bool it_spins(struct stops *s)
{
	__u64 before = spins(s);

	sleep_ns(20 * NSEC_PER_MSEC);
	return spins(s) != before;
}

static void order_and_wait(struct stops *s, char order)
{
	char byte;

	stops_order(s, order);
	must(read(s->answers[0], &byte, 1) == 1);
}

/* What is traced must not wait for who may be stopped; what is not traced must. */
TEST_F(stops, traced_thread_is_waived)
{
	struct stops *s = &self->s;
	int64_t start;
	pid_t tid;

	stops_start(s, traced_main);
	tid = s->shared->tid[0];
	EXPECT_FALSE(it_spins(s));
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, tid, 0, 0));
	EXPECT_GT(SOON_NS, time_until(it_spins(s)));
	start = now_ns();
	for (int i = 0; i < 3; i++) {
		interrupt_thread(_metadata, tid, &self->worst);
		for (int step = 0; step < 3; step++) {
			ASSERT_EQ(0, ptrace(PTRACE_SINGLESTEP, tid, 0, 0));
			EXPECT_EQ(SIGTRAP, wait_stop(tid) >> 8);
		}
		ASSERT_EQ(0, ptrace(PTRACE_CONT, tid, 0, 0));
	}
	note("3 interrupts and 9 single steps took %lld us", (long long)(now_ns() - start) / 1000);
	EXPECT_GT(SOON_NS, time_until(it_spins(s)));
	order_and_wait(s, 'w');

	/* Alone again it is held as all the others. */
	interrupt_thread(_metadata, tid, &self->worst);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, tid, 0, 0));
	EXPECT_GT(SOON_NS, time_until(!it_spins(s)));
	EXPECT_FALSE(it_spins(s));
	order_and_wait(s, 's');
	EXPECT_GT(SOON_NS, time_until(it_spins(s)));
}

/* Its tracer dies. */
static int trace_and_die(void *arg)
{
	struct stops *s = arg;

	must(ptrace(PTRACE_SEIZE, s->shared->tid[0], 0, 0) == 0);
	must(time_until(it_spins(s)) < SOON_NS);
	return 0;
}

TEST_F(stops, tracer_dies)
{
	struct stops *s = &self->s;

	stops_start(s, traced_main);
	EXPECT_EQ(0, in_child(trace_and_die, s));
	EXPECT_GT(SOON_NS, time_until(!it_spins(s)));
	order_and_wait(s, 'w');
	order_and_wait(s, 's');
	EXPECT_GT(SOON_NS, time_until(it_spins(s)));
}

TEST_F(stops, killed)
{
	int64_t start;

	stops_start(&self->s, stops_main);
	start = now_ns();
	kill(self->s.pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, child_wait(self->s.pid));
	EXPECT_GT(SOON_NS, now_ns() - start);
	self->s.pid = 0;
}

KMOD_MAIN
