// SPDX-License-Identifier: GPL-2.0
/*
 * Hold: outside of sections no thread is in user mode without a P; signals and other
 * work are not lost for it. Stops are in kmod_stops.c.
 */
#include "kmod_block.h"

static bool is_held(struct actor *a)
{
	return m_is(a->gs, a->id, "held");
}

#define NEED_HOLD(gs) do {							\
	if (!(gs_features(gs) & GSCHED_FEAT_HOLD))				\
		SKIP(return, "this kernel has no hold");			\
} while (0)

/* -------------------------------------------------------------------- bound */

/*
 * MS Ms block and compute outside of sections, on fewer Ps. Three checkers:
 *
 * words   the M's word names a P, and the P's word the M. Holds at any time.
 * count   a counter that is raised while the M computes. Without preemption it may
 *         lose its P nowhere there, so it must not be above the number of Ps.
 * beats   of Ms that compute each counts up its own word. Who sees others move
 *         within some microseconds during which it was not interrupted itself has
 *         seen them in user mode at the same time. Independent of the kernel's words.
 */
#define MS		8
#define WINDOW_NS	15000

struct bound {
	struct gs gs;
	__u32 nr_procs;
	bool count_is_exact;
	bool violated;		/* it ends when all checkers have said so */
	unsigned int seed;
	unsigned int target;
	__u32 samples;
	__u32 windows;
	__u32 inside;
	__u32 bad_words;
	__u32 bad_count;
	__u32 bad_beats;
	__u32 rounds[MS];
	int link[2];
	struct {
		__u64 n;
		__u64 pad[7];
	} beat[MS];
};

static struct bound bound;

static void add32(__u32 *word, __u32 n)
{
	__atomic_add_fetch(word, n, __ATOMIC_RELAXED);
}

/*
 * The P may change between two loads, even there and back; it does not do so three
 * times in a row.
 */
static bool words_agree(__u32 id)
{
	struct gs *gs = &bound.gs;
	__u32 proc;

	for (int i = 0; i < 3; i++) {
		proc = load32(&gs->ms[id].proc);
		if (proc == GSCHED_NONE)
			return false;
		if (owner_of_proc(gs, proc) == id)
			return true;
	}
	return false;
}

static void beat_for_a_while(unsigned int slot)
{
	for (int i = 0; i < 400; i++)
		__atomic_store_n(&bound.beat[slot].n, bound.beat[slot].n + 1, __ATOMIC_RELAXED);
}

static unsigned int others_that_moved(unsigned int slot, __u64 beats[MS])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < MS; i++) {
		__u64 beat = __atomic_load_n(&bound.beat[i].n, __ATOMIC_RELAXED);

		n += i != slot && beat != beats[i];
		beats[i] = beat;
	}
	return n;
}

static void check_beats(unsigned int slot)
{
	int64_t start = now_ns();
	__u64 beats[MS] = { 0 };
	unsigned int moved;

	others_that_moved(slot, beats);
	beat_for_a_while(slot);
	moved = others_that_moved(slot, beats);
	if (now_ns() - start > WINDOW_NS)
		return;
	add32(&bound.windows, 1);
	if (moved >= bound.nr_procs)
		add32(&bound.bad_beats, 1);
}

static void check_count(void)
{
	if (__atomic_add_fetch(&bound.inside, 1, __ATOMIC_SEQ_CST) > bound.nr_procs)
		add32(&bound.bad_count, 1);
}

#define SAMPLES_PER_ROUND	20

static void compute_and_check(unsigned int slot, __u32 id)
{
	for (int i = 0; i < SAMPLES_PER_ROUND; i++)
		if (!words_agree(id))
			add32(&bound.bad_words, 1);
	if (bound.count_is_exact)
		check_count();
	/* For long enough that Ms would meet. */
	for (int i = 0; i < 20; i++)
		check_beats(slot);
	if (bound.count_is_exact)
		__atomic_sub_fetch(&bound.inside, 1, __ATOMIC_SEQ_CST);
	add32(&bound.samples, SAMPLES_PER_ROUND);
	add32(&bound.rounds[slot], 1);
}

static void block_somehow(unsigned int *seed)
{
	struct pollfd pfd = { .fd = bound.link[0], .events = POLLIN };
	char byte;

	switch (rnd(seed, 4)) {
	case 0:
		sleep_ns(rnd(seed, 50000));
		break;
	case 1:
		must(write(bound.link[1], "x", 1) == 1);
		must(read(bound.link[0], &byte, 1) == 1);
		break;
	case 2:
		poll(&pfd, 1, rnd(seed, 2));
		break;
	case 3:
		sched_yield();
		break;
	}
}

/*
 * To be seen by its beats an M must run at the same time as one too many: an emulated
 * machine can do that with two CPUs, but not with any number.
 */
static bool expect_beats(void)
{
	return bound.nr_procs == 1 && nr_cpus() > 1;
}

static bool seen_enough(void)
{
	return bound.violated && load32(&bound.bad_words) &&
	       (!bound.count_is_exact || load32(&bound.bad_count)) &&
	       (!expect_beats() || load32(&bound.bad_beats));
}

static void *bound_m(void *arg)
{
	unsigned int slot = (uintptr_t)arg, seed = bound.seed + slot;
	struct gs *gs = &bound.gs;
	__u32 id, proc;

	must(gs_register(gs, &id) == 0);
	must(gs_acquire(gs, 0, &proc) == 0);
	section_leave(gs, id);
	while (load32(&bound.samples) < bound.target && !seen_enough()) {
		compute_and_check(slot, id);
		block_somehow(&seed);
	}
	section_enter(gs, id);
	must(gs_unregister(gs) == 0);
	return NULL;
}

static void run_bound(__u32 flags, __u32 nr_procs, unsigned int target)
{
	pthread_t thread[MS];

	memset(&bound, 0, sizeof(bound));
	gs_start_with(&bound.gs, flags, nr_procs, nr_procs, MS, 0);
	bound.nr_procs = nr_procs;
	bound.count_is_exact = flags & GSCHED_SETUP_NO_PREEMPT;
	bound.violated = flags & GSCHED_SETUP_NO_HOLD;
	bound.seed = test_seed();
	bound.target = target;
	must(pipe(bound.link) == 0);
	for (uintptr_t i = 0; i < MS; i++)
		must(pthread_create(&thread[i], NULL, bound_m, (void *)i) == 0);
	for (int i = 0; i < MS; i++)
		must(pthread_join(thread[i], NULL) == 0);
	note("procs %u: %u samples, %u windows, bad: words %u count %u beats %u; holds %lu",
	     nr_procs, bound.samples, bound.windows, bound.bad_words, bound.bad_count,
	     bound.bad_beats, gs_counter(&bound.gs, "holds"));
}

static __u32 fewest_rounds(void)
{
	__u32 least = bound.rounds[0];

	for (int i = 1; i < MS; i++)
		if (bound.rounds[i] < least)
			least = bound.rounds[i];
	return least;
}

FIXTURE(bound) {
};

FIXTURE_VARIANT(bound) {
	__u32 flags;
	__u32 nr_procs;
};

FIXTURE_VARIANT_ADD(bound, 1) { .flags = GSCHED_SETUP_NO_PREEMPT, .nr_procs = 1 };
FIXTURE_VARIANT_ADD(bound, 2) { .flags = GSCHED_SETUP_NO_PREEMPT, .nr_procs = 2 };
FIXTURE_VARIANT_ADD(bound, 1_preempted) { .nr_procs = 1 };
FIXTURE_VARIANT_ADD(bound, 2_preempted) { .nr_procs = 2 };

FIXTURE_SETUP(bound)
{
}

FIXTURE_TEARDOWN(bound)
{
	gs_stop(&bound.gs);
}

TEST_F_TIMEOUT(bound, holds, 100)
{
	run_bound(variant->flags, variant->nr_procs, scaled(120000));
	NEED_HOLD(&bound.gs);
	EXPECT_EQ(0U, bound.bad_words);
	EXPECT_EQ(0U, bound.bad_count);
	EXPECT_EQ(0U, bound.bad_beats);
	EXPECT_LT(0U, bound.windows);
	EXPECT_LT(0UL, gs_counter(&bound.gs, "holds"));
	EXPECT_LT(bound.target / SAMPLES_PER_ROUND / MS / 20, fewest_rounds());
	EXPECT_EQ(variant->nr_procs, nr_idle(&bound.gs));
	EXPECT_EQ(0U, nr_blocked(&bound.gs));
}

/* Without the hold the same checkers find that the bound is broken. */
TEST_F_TIMEOUT(bound, violation_is_seen, 100)
{
	run_bound(variant->flags | GSCHED_SETUP_NO_HOLD, variant->nr_procs, scaled(2000000));
	EXPECT_LT(0U, bound.bad_words);
	if (bound.count_is_exact) {
		EXPECT_LT(0U, bound.bad_count);
	}
	if (expect_beats()) {
		EXPECT_LT(0U, bound.bad_beats);
	}
}

/* ------------------------------------------------------------- one held M */

/* a has lost its P to t, which keeps it in a section, and is held. */
FIXTURE(held) {
	struct gs gs;
	struct actor *a, *t, *u;
	struct block *b;
};

FIXTURE_SETUP(held)
{
	gs_start(&self->gs, 1, 2, 8, 0);
	self->a = actor_start_m(&self->gs);
	self->t = actor_start_m(&self->gs);
	self->u = actor_start_m(&self->gs);
	self->b = block_prepare(&pipe_read, self->a);
	must(make_pipe(self->b));
	if (gs_features(&self->gs) & GSCHED_FEAT_HOLD)
		lose_p_and_be_held(self->a, self->t);
}

FIXTURE_TEARDOWN(held)
{
	gs_stop(&self->gs);
}

static void release_and_end(struct __test_metadata *_metadata, struct actor *a, struct actor *t)
{
	struct block *b = a->arg;

	EXPECT_EQ(0, actor_do(t, act_release));
	EXPECT_EQ(0, actor_end(a));
	EXPECT_TRUE(b->ok);
	EXPECT_EQ(0U, b->proc);
	EXPECT_EQ(a->id, owner_of_proc(a->gs, 0));
}

/* Held Ms and those in ACQUIRE: first come, first served. */
TEST_F(held, in_order_of_arrival)
{
	struct gs *gs = &self->gs;
	struct actor *late = actor_start_m(gs);
	struct block *b = block_prepare(&pipe_read, late);

	NEED_HOLD(gs);
	actor_begin_acquire(self->u);
	release_and_end(_metadata, self->a, self->t);
	EXPECT_TRUE(stays_asleep(self->u, GSCHED_IOC_ACQUIRE));

	/* The other way round: who came in ACQUIRE before is first. */
	ASSERT_EQ(0, actor_do(self->a, act_release));
	ASSERT_EQ(0, actor_end(self->u));
	ASSERT_EQ(0, actor_do(self->u, act_release));
	must(make_pipe(b));
	ASSERT_EQ(0, actor_do(late, act_acquire));
	actor_begin(late, act_block);
	ASSERT_TRUE(eventually(nr_blocked(gs) == 1));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	actor_begin_acquire(self->u);
	write_byte(b);
	ASSERT_TRUE(eventually(is_held(late)));
	ASSERT_EQ(0, actor_do(self->t, act_release));
	EXPECT_EQ(0, actor_end(self->u));
	let_it_happen();
	EXPECT_FALSE(actor_ended(late));
	release_and_end(_metadata, late, self->u);
}

/* Who idles gives to who is held, and comes after it. */
TEST_F(held, before_who_idles)
{
	NEED_HOLD(&self->gs);
	actor_begin_idle(self->t);
	EXPECT_EQ(0, actor_end(self->a));
	EXPECT_EQ(0U, self->b->proc);
	EXPECT_TRUE(stays_asleep(self->t, GSCHED_IOC_IDLE));
}

TEST_F(held, more_procs_end_it)
{
	struct gs *gs = &self->gs;

	NEED_HOLD(gs);
	ASSERT_EQ(0, gs_set_procs(gs, 2));
	EXPECT_EQ(0, actor_end(self->a));
	EXPECT_EQ(1U, self->b->proc);
	EXPECT_EQ(0U, nr_idle(gs));
}

/* ------------------------------------------------------------------ signals */

static struct gs *handler_gs;
static __u32 handler_id;
static __u32 handled;
static __u32 handled_without_p;
static __u32 handled_out_of_order;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (load32(&handler_gs->ms[handler_id].proc) == GSCHED_NONE)
		add32(&handled_without_p, 1);
	if (sig == SIGRTMIN && (__u32)info->si_value.sival_int != load32(&handled))
		add32(&handled_out_of_order, 1);
	add32(&handled, 1);
}

static void handle_signal_of(struct actor *a, int sig, int flags)
{
	struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };

	handler_gs = a->gs;
	handler_id = a->id;
	must(sigaction(sig, &act, NULL) == 0);
}

TEST_F(held, handler_runs_with_a_p)
{
	NEED_HOLD(&self->gs);
	handle_signal_of(self->a, SIGUSR1, 0);
	pthread_kill(self->a->thread, SIGUSR1);
	let_it_happen();
	EXPECT_EQ(0U, handled);
	EXPECT_FALSE(actor_ended(self->a));
	release_and_end(_metadata, self->a, self->t);
	EXPECT_EQ(1U, handled);
	EXPECT_EQ(0U, handled_without_p);
}

static void queue_signals(struct actor *a, unsigned int first, unsigned int n)
{
	for (unsigned int i = first; i < first + n; i++)
		must(pthread_sigqueue(a->thread, SIGRTMIN,
				      (union sigval){ .sival_int = i }) == 0);
}

TEST_F(held, queued_signals_are_delivered_once)
{
	NEED_HOLD(&self->gs);
	handle_signal_of(self->a, SIGRTMIN, 0);
	queue_signals(self->a, 0, 100);
	let_it_happen();
	EXPECT_EQ(0U, handled);
	release_and_end(_metadata, self->a, self->t);
	EXPECT_EQ(100U, handled);
	EXPECT_EQ(0U, handled_without_p);
}

/* They come while it is blocked, held, and runs; each counts once, in order. */
TEST_F(held, signals_in_all_states)
{
	unsigned int sent = 0, rounds = scaled(100);
	struct actor *a = self->a;

	NEED_HOLD(&self->gs);
	release_and_end(_metadata, a, self->t);
	handle_signal_of(a, SIGRTMIN, SA_RESTART);
	for (unsigned int i = 0; i < rounds; i++) {
		actor_begin(a, act_block);
		queue_signals(a, sent, 3);
		must(actor_do(self->t, act_acquire) == 0);
		queue_signals(a, sent + 3, 3);
		write_byte(self->b);
		queue_signals(a, sent + 6, 3);
		sent += 9;
		must(actor_do(self->t, act_release) == 0);
		must(actor_end(a) == 0);
		must(self->b->ok && self->b->proc == 0);
	}
	EXPECT_EQ(sent, handled);
	EXPECT_EQ(0U, handled_without_p);
	EXPECT_EQ(0U, handled_out_of_order);
}

static int act_acquire_outside(struct actor *a)
{
	int err;

	section_leave(a->gs, a->id);
	err = gs_acquire(a->gs, 0, &a->proc);
	a->proc = load32(&a->gs->ms[a->id].proc);
	section_enter(a->gs, a->id);
	return err;
}

static int act_idle_outside(struct actor *a)
{
	int err;

	section_leave(a->gs, a->id);
	err = gs_idle(a->gs, 0, &a->reason, &a->proc);
	a->proc = load32(&a->gs->ms[a->id].proc);
	section_enter(a->gs, a->id);
	return err;
}

/* A signal ends the wait, and still the M does not run without a P. */
static void interrupt_and_hold(struct __test_metadata *_metadata, struct actor *u,
			       int (*call)(struct actor *a), unsigned int cmd)
{
	struct actor *t = u->arg;

	handle_signal_of(u, SIGUSR1, 0);
	handled = 0;
	actor_begin_sleep(u, call, cmd);
	pthread_kill(u->thread, SIGUSR1);
	EXPECT_TRUE(eventually(is_held(u)));
	EXPECT_EQ(0U, handled);
	EXPECT_FALSE(actor_ended(u));
	EXPECT_EQ(0, actor_do(t, act_release));
	EXPECT_EQ(-EINTR, actor_end(u));
	EXPECT_EQ(1U, handled);
	EXPECT_EQ(0U, handled_without_p);
	EXPECT_EQ(0U, u->proc);
	EXPECT_EQ(0, actor_do(u, act_release));
	EXPECT_EQ(0, actor_do(t, act_acquire));
}

TEST_F(held, interrupted_waits_are_held)
{
	NEED_HOLD(&self->gs);
	release_and_end(_metadata, self->a, self->t);
	ASSERT_EQ(0, actor_do(self->a, act_release));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	self->u->arg = self->t;
	interrupt_and_hold(_metadata, self->u, act_acquire_outside, GSCHED_IOC_ACQUIRE);
	interrupt_and_hold(_metadata, self->u, act_idle_outside, GSCHED_IOC_IDLE);
}

/* ------------------------------------------------------- work queued behind it */

static void send_with_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { "f", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	must(sendmsg(sock, &msg, 0) == 1);
}

static bool make_dgram_sockets(struct block *b)
{
	return socketpair(AF_UNIX, SOCK_DGRAM, 0, b->fd) == 0;
}

/* Takes the first message at once, throws away the file in it, and waits for more. */
static bool recv_two(struct block *b)
{
	char bytes[2];
	struct iovec iov[2] = { { &bytes[0], 1 }, { &bytes[1], 1 } };
	struct mmsghdr msg[2] = {
		{ .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } },
	};

	return recvmmsg(b->fd[0], msg, 2, 0, NULL) == 2;
}

static const struct way recv_and_drop = { make_dgram_sockets, recv_two, write_byte };

/*
 * The end of a file is work that its last holder does on the way to user mode, as
 * the hold is, and it was queued before. Whoever waits for it must not wait for a P.
 */
TEST_F(held, end_of_a_file_does_not_wait)
{
	struct gs *gs = &self->gs;
	struct pollfd peer = { .events = POLLIN };
	int s[2];

	NEED_HOLD(gs);
	release_and_end(_metadata, self->a, self->t);
	self->b = block_prepare(&recv_and_drop, self->a);
	ASSERT_TRUE(make_dgram_sockets(self->b));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	send_with_fd(self->b->fd[1], s[0]);
	close(s[0]);
	peer.fd = s[1];

	actor_begin(self->a, act_block);
	ASSERT_TRUE(eventually(nr_blocked(gs) == 1));
	ASSERT_EQ(0, actor_do(self->t, act_acquire));
	EXPECT_EQ(0, poll(&peer, 1, 60));	/* it is in the call, with the file */
	write_byte(self->b);
	ASSERT_TRUE(eventually(is_held(self->a)));
	EXPECT_EQ(1, poll(&peer, 1, 5000));
	EXPECT_TRUE(peer.revents & POLLHUP);
	EXPECT_FALSE(actor_ended(self->a));
	release_and_end(_metadata, self->a, self->t);
}

KMOD_MAIN
