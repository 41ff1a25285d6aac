// SPDX-License-Identifier: GPL-2.0
/*
 * Registered files that are closed: by code that knows nothing of the context, by
 * the end of the last M, of the process, of a file's wait queue.
 */
#include "kmod.h"

#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <netinet/in.h>

#define READ	GSCHED_DIR_READ
#define WRITE	GSCHED_DIR_WRITE

/* What the specification promises, and what a slow machine adds. */
#define SWEEP_NS	(2 * NSEC_PER_SEC)

static bool within(int64_t ns, bool (*cond)(void *arg), void *arg)
{
	int64_t end = now_ns() + ns;

	while (!cond(arg)) {
		if (now_ns() >= end)
			return false;
		sleep_ns(NSEC_PER_MSEC);
	}
	return true;
}

struct view {
	struct gs *gs;
	__u32 slot;
};

static bool node_is_closed(struct gsched_node *node)
{
	return (node_events(node) & GSCHED_EV_CLOSED) &&
	       load64(&node->word) == GSCHED_WORD_READY;
}

static bool is_closed(void *arg)
{
	struct view *v = arg;

	return node_is_closed(gs_node(v->gs, v->slot, READ)) &&
	       node_is_closed(gs_node(v->gs, v->slot, WRITE));
}

static bool closes(struct gs *gs, __u32 slot)
{
	struct view v = { gs, slot };

	return within(SWEEP_NS, is_closed, &v);
}

static bool open_still(struct gs *gs, __u32 slot)
{
	return !((node_events(gs_node(gs, slot, READ)) |
		  node_events(gs_node(gs, slot, WRITE))) & GSCHED_EV_CLOSED);
}

static bool peer_sees_eof(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&pfd, 1, SWEEP_NS / NSEC_PER_MSEC) == 1 && read(fd, &byte, 1) == 0;
}

static void count_cookie(void *arg, __u64 cookie)
{
	(void)cookie;
	++*(unsigned int *)arg;
}

/* Only what is delivered now counts. */
static unsigned int delivered(struct gs *gs)
{
	unsigned int n = 0;

	inbox_take_all(gs, count_cookie, &n);
	return n;
}

/* The M exists, and does nothing: nodes and inboxes are looked at by hand. */
FIXTURE(closed) {
	struct gs gs;
	struct actor *m;
	int s[2];
	__u32 slot;
};

FIXTURE_SETUP(closed)
{
	gs_start(&self->gs, 1, 1, 4, 64);
	self->m = actor_start_m(&self->gs);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, self->s));
	ASSERT_EQ(0, gs_fd_register(&self->gs, self->s[0], &self->slot));
}

FIXTURE_TEARDOWN(closed)
{
}

TEST_F(closed, by_somebody_else)
{
	struct gsched_node *node = gs_node(&self->gs, self->slot, READ);

	ASSERT_TRUE(node_park(node, 42));
	ASSERT_EQ(0, close(self->s[0]));
	EXPECT_TRUE(peer_sees_eof(self->s[1]));
	EXPECT_TRUE(closes(&self->gs, self->slot));
	EXPECT_EQ(1U, delivered(&self->gs));
	EXPECT_EQ(0, gs_fd_unregister(&self->gs, self->slot));
}

/* An idle M is woken for it. */
TEST_F(closed, wakes_an_idle_m)
{
	ASSERT_TRUE(node_park(gs_node(&self->gs, self->slot, READ), 42));
	actor_begin_idle(self->m);
	ASSERT_EQ(0, close(self->s[0]));
	EXPECT_EQ(0, actor_end(self->m));
	EXPECT_EQ(1U, delivered(&self->gs));
}

/* Nobody closes what is in use. */
TEST_F(closed, not_while_open)
{
	sleep_ns(3 * NSEC_PER_SEC / 2);
	EXPECT_TRUE(open_still(&self->gs, self->slot));
}

/* The number does not mean the file any more, though the file lives on. */
TEST_F(closed, number_but_not_file)
{
	int copy = dup(self->s[0]);

	ASSERT_EQ(0, close(self->s[0]));
	EXPECT_TRUE(closes(&self->gs, self->slot));
	ASSERT_EQ(1, write(copy, "x", 1));
	ASSERT_EQ(0, gs_fd_register(&self->gs, copy, &self->slot));
	EXPECT_TRUE(open_still(&self->gs, self->slot));
}

TEST_F(closed, number_means_another_file)
{
	int other = eventfd(0, 0);

	ASSERT_EQ(self->s[0], dup2(other, self->s[0]));
	EXPECT_TRUE(closes(&self->gs, self->slot));
	EXPECT_TRUE(peer_sees_eof(self->s[1]));
}

static int hold_for_ever(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

TEST_F(closed, child_keeps_the_file)
{
	pid_t pid = child_start(hold_for_ever, NULL);

	ASSERT_EQ(0, close(self->s[0]));
	EXPECT_TRUE(closes(&self->gs, self->slot));
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, child_wait(pid));
	EXPECT_TRUE(peer_sees_eof(self->s[1]));
}

/* The number is registered anew before the sweep has looked. */
TEST_F(closed, number_registered_again)
{
	int other = eventfd(0, 0);
	__u32 slot;

	for (int i = 0; i < 20; i++) {
		ASSERT_TRUE(node_park(gs_node(&self->gs, self->slot, READ), 42));
		ASSERT_EQ(self->s[0], dup2(other, self->s[0]));
		ASSERT_EQ(0, gs_fd_register(&self->gs, self->s[0], &slot));
		EXPECT_NE(self->slot, slot);
		EXPECT_TRUE(is_closed(&(struct view){ &self->gs, self->slot }));
		EXPECT_TRUE(open_still(&self->gs, slot));
		ASSERT_EQ(0, gs_fd_unregister(&self->gs, self->slot));
		EXPECT_EQ(1U, delivered(&self->gs));
		self->slot = slot;
		other = i % 2 ? eventfd(0, 0) : epoll_create1(0);
	}
}

/* A connection to this machine: s[0] here, s[1] there. */
static void tcp_pair(int s[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(l, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	must(listen(l, 1) == 0);
	must(getsockname(l, (struct sockaddr *)&addr, &len) == 0);
	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	must(connect(s[0], (struct sockaddr *)&addr, sizeof(addr)) == 0);
	s[1] = accept(l, NULL, NULL);
	must(s[1] >= 0);
	close(l);
}

static void set_linger(int fd, int seconds)
{
	struct linger linger = { .l_onoff = 1, .l_linger = seconds };

	must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
}

/* Nobody reads what is in it: its close would take a hundred seconds. */
static void make_linger(int s[2])
{
	char buf[65536] = "";

	tcp_pair(s);
	while (send(s[0], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	must(errno == EAGAIN);
	set_linger(s[0], 100);
}

/*
 * The kernel has one thread for all files whose last reference is dropped by a kernel
 * thread, as the sweep is: it must not wait for what a socket's owner has asked for.
 */
TEST_F(closed, lingering_socket)
{
	__u32 slot;
	int s[2];

	make_linger(s);
	ASSERT_EQ(0, gs_fd_register(&self->gs, s[0], &slot));
	ASSERT_EQ(0, close(s[0]));
	EXPECT_TRUE(closes(&self->gs, slot));
	let_it_happen();
	ASSERT_EQ(0, close(self->s[0]));
	EXPECT_TRUE(peer_sees_eof(self->s[1]));
}

static int die_with_lingering_socket(void *arg)
{
	__u32 slot, id;
	struct gs gs;
	int s[2];

	gs_start(&gs, 1, 1, 1, 1);
	must(gs_register(&gs, &id) == 0);
	make_linger(s);
	must(gs_fd_register(&gs, s[0], &slot) == 0);
	(void)arg;
	raise(SIGKILL);
	return 0;
}

/* The last M's end closes what is registered, and not in the M's thread. */
TEST_F(closed, lingering_socket_of_the_dead)
{
	int refs = module_refs();

	EXPECT_EQ(128 + SIGKILL, in_child(die_with_lingering_socket, NULL));
	EXPECT_TRUE(eventually(module_refs() == refs));
	let_it_happen();
	ASSERT_EQ(0, close(self->s[0]));
	EXPECT_TRUE(peer_sees_eof(self->s[1]));
}

/* To linger for no time means to reset, whoever closes. */
TEST_F(closed, resetting_socket)
{
	struct pollfd pfd = { .events = POLLIN };
	__u32 slot;
	char byte;
	int s[2];

	tcp_pair(s);
	set_linger(s[0], 0);
	ASSERT_EQ(0, gs_fd_register(&self->gs, s[0], &slot));
	ASSERT_EQ(0, close(s[0]));
	pfd.fd = s[1];
	EXPECT_EQ(1, poll(&pfd, 1, SWEEP_NS / NSEC_PER_MSEC));
	EXPECT_EQ(-1, read(s[1], &byte, 1));
	EXPECT_EQ(ECONNRESET, errno);
}

/* A closed slot is the caller's until he gives it back. */
TEST_F(closed, slot_is_kept)
{
	__u32 slot;

	ASSERT_EQ(0, close(self->s[0]));
	ASSERT_TRUE(closes(&self->gs, self->slot));
	for (int i = 0; i < 63; i++) {
		ASSERT_EQ(0, gs_fd_register(&self->gs, eventfd(0, 0), &slot));
		EXPECT_NE(self->slot, slot);
	}
	EXPECT_EQ(-ENOSPC, gs_fd_register(&self->gs, eventfd(0, 0), &slot));
	ASSERT_EQ(0, gs_fd_unregister(&self->gs, self->slot));
	ASSERT_EQ(0, gs_fd_register(&self->gs, eventfd(0, 0), &slot));
	EXPECT_EQ(self->slot, slot);
}

/* Nor does anybody get it while its nodes are still in an inbox. */
TEST_F(closed, linked_slot_is_not_reused)
{
	__u32 slot[64];

	ASSERT_TRUE(node_park(gs_node(&self->gs, self->slot, READ), 42));
	ASSERT_EQ(0, gs_fd_unregister(&self->gs, self->slot));
	for (int i = 0; i < 63; i++) {
		ASSERT_EQ(0, gs_fd_register(&self->gs, eventfd(0, 0), &slot[i]));
		ASSERT_NE(self->slot, slot[i]);
	}
	EXPECT_EQ(-ENOSPC, gs_fd_register(&self->gs, self->s[0], &slot[63]));
	EXPECT_EQ(1U, delivered(&self->gs));
	ASSERT_EQ(0, gs_fd_register(&self->gs, self->s[0], &slot[63]));
	EXPECT_EQ(self->slot, slot[63]);
}

/* The last M's end closes all, whichever way it ends. */
TEST_F(closed, by_the_last_m)
{
	struct actor *second = actor_start_m(&self->gs);
	__u32 slot;

	ASSERT_TRUE(node_park(gs_node(&self->gs, self->slot, READ), 42));
	ASSERT_EQ(0, actor_do(self->m, act_unregister));
	let_it_happen();
	EXPECT_TRUE(open_still(&self->gs, self->slot));
	ASSERT_EQ(0, actor_do(second, act_unregister));
	EXPECT_TRUE(closes(&self->gs, self->slot));
	EXPECT_EQ(1U, delivered(&self->gs));
	EXPECT_EQ(-ESRCH, gs_fd_register(&self->gs, self->s[0], &slot));
	ASSERT_EQ(0, actor_do(second, act_register));
	EXPECT_EQ(0, gs_fd_register(&self->gs, self->s[0], &slot));
	EXPECT_NE(self->slot, slot);
}

TEST_F(closed, by_the_last_ms_thread)
{
	close(self->s[0]);
	actor_exit(self->m);
	EXPECT_TRUE(closes(&self->gs, self->slot));
	EXPECT_TRUE(peer_sees_eof(self->s[1]));
}

TEST_F(closed, by_the_context)
{
	int copy = dup(self->gs.fd);

	close(self->gs.fd);
	close(self->s[0]);
	EXPECT_TRUE(closes(&self->gs, self->slot));
	EXPECT_TRUE(peer_sees_eof(self->s[1]));
	close(copy);
}

/* ------------------------------------------------------------ process's end */

FIXTURE(process) {
	int s[2];
};

FIXTURE_SETUP(process)
{
	ASSERT_TRUE(module_unused());
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, self->s));
}

FIXTURE_TEARDOWN(process)
{
	EXPECT_TRUE(module_unused());
}

static void start_with(struct gs *gs, int fd)
{
	__u32 id, slot;

	gs_start(gs, 1, 1, 4, 64);
	must(gs_register(gs, &id) == 0);
	must(gs_fd_register(gs, fd, &slot) == 0);
}

static int register_and_exit(void *arg)
{
	int *s = arg;
	struct gs gs;

	close(s[1]);
	start_with(&gs, s[0]);
	return 0;
}

static int register_and_die(void *arg)
{
	register_and_exit(arg);
	raise(SIGKILL);
	return 0;
}

TEST_F(process, exits_and_dies)
{
	EXPECT_EQ(0, in_child(register_and_exit, self->s));
	EXPECT_EQ(128 + SIGKILL, in_child(register_and_die, self->s));
	close(self->s[0]);
	EXPECT_TRUE(peer_sees_eof(self->s[1]));
}

static void send_fd(int sock, int fd)
{
	char byte = 'f', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
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

/*
 * The context holds the socket, in whose queue is the context: nobody else holds
 * either when the process has gone.
 */
static int make_cycle(void *arg)
{
	int s[2];
	struct gs gs;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	start_with(&gs, s[0]);
	send_fd(s[1], gs.fd);
	if (arg)
		raise(SIGKILL);
	return 0;
}

TEST_F(process, cycle)
{
	EXPECT_EQ(0, in_child(make_cycle, NULL));
	EXPECT_TRUE(module_unused());
	EXPECT_EQ(128 + SIGKILL, in_child(make_cycle, self));
}

/* The context is in a socket's queue, and that socket in another's, and that one's in its. */
static int cycle_of_sockets(void *arg)
{
	int *sync = arg, s[2], back[2];
	struct gs gs;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, back) == 0);
	start_with(&gs, s[0]);
	send_fd(s[1], gs.fd);
	send_fd(back[1], s[0]);
	send_fd(s[1], back[0]);
	must(write(*sync, "x", 1) == 1);
	return 0;
}

/*
 * The sockets are in flight in each other's queues, so it takes the kernel's
 * collection of such garbage, which the closing of a unix socket starts.
 */
static bool unused_after_collection(void)
{
	int s[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	close(s[0]);
	close(s[1]);
	return module_refs() == 0;
}

TEST_F(process, cycle_through_another_socket)
{
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, in_child(cycle_of_sockets, &self->s[0]));
		EXPECT_TRUE(eventually(unused_after_collection()));
	}
}

/* --------------------------------------------- files that drop their wait queue */

static int new_signalfd(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	must(fd >= 0);
	return fd;
}

/*
 * A signalfd's wait queue is the process's, and goes with it; the file, and the
 * context that watches it, live on in the grandchild.
 */
static int hold_until_eof(void *arg)
{
	char byte;

	return read(*(int *)arg, &byte, 1) != 0;
}

struct signalfd_plan {
	int hold[2];
	bool exec;
};

static int watch_signalfd(void *arg)
{
	struct signalfd_plan *plan = arg;
	struct gs gs;

	start_with(&gs, new_signalfd());
	close(plan->hold[1]);
	must(child_start(hold_until_eof, &plan->hold[0]) > 0);
	kill(getpid(), SIGUSR1);
	if (plan->exec)
		execl("/proc/self/exe", "kmod_close", "--nothing", NULL);
	return plan->exec;
}

TEST_F(process, signalfd_outlives_its_owner)
{
	for (unsigned int i = 0; i < scaled(20); i++) {
		struct signalfd_plan plan = { .exec = i % 2 };

		ASSERT_EQ(0, pipe(plan.hold));
		EXPECT_EQ(0, in_child(watch_signalfd, &plan));
		close(plan.hold[0]);
		close(plan.hold[1]);
	}
}

/*
 * A signalfd that a child (which shares nothing with it but the file) has polled
 * waits on the child's queue: POLLFREE when the child goes, the file still open
 * here, and registered by the child's own context.
 */
static int watch_inherited(void *arg)
{
	struct gs gs;

	start_with(&gs, *(int *)arg);
	return 0;
}

TEST_F(process, signalfd_watched_by_a_child)
{
	int fd = new_signalfd();

	for (unsigned int i = 0; i < scaled(20); i++) {
		EXPECT_EQ(0, in_child(watch_inherited, &fd));
	}
}

static bool no_reader(int fd)
{
	struct pollfd pfd = { .fd = fd };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLERR);
}

/* An epoll is closed, and what it watched too, both watched by the context. */
static int close_watched_epoll(void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0), p[2];
	__u32 slot;
	struct gs gs;

	(void)arg;
	must(pipe(p) == 0);
	must(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0);
	start_with(&gs, ep);
	must(gs_fd_register(&gs, p[0], &slot) == 0);
	close(p[0]);
	must(closes(&gs, slot));
	must(eventually(no_reader(p[1])));
	close(ep);
	return 0;
}

TEST_F(process, epoll_closed)
{
	EXPECT_EQ(0, in_child(close_watched_epoll, NULL));
}

/* ------------------------------------------------------------------- races */

#define RACERS	4
#define EVENTS	8

struct race {
	struct gs gs;
	int event[EVENTS];
	unsigned int rounds;
	unsigned int seed;
	bool stop;
};

static struct race race;

static void *make_events(void *arg)
{
	unsigned int seed = race.seed + (uintptr_t)arg;
	__u64 one = 1, value;

	while (!__atomic_load_n(&race.stop, __ATOMIC_RELAXED)) {
		int fd = race.event[rnd(&seed, EVENTS)];

		if (rnd(&seed, 4))
			must(write(fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN);
		else
			must(read(fd, &value, sizeof(value)) == sizeof(value) || errno == EAGAIN);
	}
	return NULL;
}

/* Own copies of the descriptors: two threads never use one number. */
static void *register_in_circles(void *arg)
{
	unsigned int seed = race.seed ^ (uintptr_t)arg;
	int mine[EVENTS];
	__u32 id, slot;

	must(gs_register(&race.gs, &id) == 0);
	for (int i = 0; i < EVENTS; i++)
		mine[i] = dup(race.event[i]);
	for (unsigned int i = 0; i < race.rounds; i++) {
		must(gs_fd_register(&race.gs, mine[rnd(&seed, EVENTS)], &slot) == 0);
		if (rnd(&seed, 2))
			node_park(gs_node(&race.gs, slot, READ), 2 + i);
		must(gs_fd_unregister(&race.gs, slot) == 0);
		inbox_take_all(&race.gs, ignore_cookie, NULL);
	}
	return NULL;
}

static void run_race(unsigned int seed)
{
	pthread_t maker[2], racer[RACERS];

	race.seed = seed;
	race.rounds = scaled(5000);
	gs_start(&race.gs, 2, 2, 16, 4096);
	for (int i = 0; i < EVENTS; i++)
		race.event[i] = eventfd(0, EFD_NONBLOCK);
	for (uintptr_t i = 0; i < 2; i++)
		must(pthread_create(&maker[i], NULL, make_events, (void *)i) == 0);
	for (uintptr_t i = 0; i < RACERS; i++)
		must(pthread_create(&racer[i], NULL, register_in_circles, (void *)i) == 0);
	for (int i = 0; i < RACERS; i++)
		must(pthread_join(racer[i], NULL) == 0);
	race.stop = true;
	for (int i = 0; i < 2; i++)
		must(pthread_join(maker[i], NULL) == 0);
}

TEST_F_TIMEOUT(process, register_against_events, 100)
{
	int64_t start = now_ns();

	run_race(test_seed());
	printf("# %u cycles, %lld ns each\n", RACERS * race.rounds,
	       (long long)(now_ns() - start) / (RACERS * race.rounds));
	gs_stop(&race.gs);
}

/* Numbers change their meaning under several threads, none of which unregisters. */
static void *reuse_numbers(void *arg)
{
	unsigned int seed = race.seed ^ (uintptr_t)arg;
	__u32 slot;

	for (unsigned int i = 0; i < race.rounds; i++) {
		int fd = rnd(&seed, 2) ? eventfd(0, 0) : epoll_create1(0);

		must(fd >= 0);
		must(gs_fd_register(&race.gs, fd, &slot) == 0);
		close(fd);
		must(gs_fd_unregister(&race.gs, slot) == 0);
	}
	return NULL;
}

TEST_F_TIMEOUT(process, reuse_of_numbers, 100)
{
	pthread_t thread[4];
	__u32 id;

	race.seed = test_seed();
	race.rounds = scaled(1500);
	gs_start(&race.gs, 2, 2, 16, 4096);
	ASSERT_EQ(0, gs_register(&race.gs, &id));
	for (uintptr_t i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, reuse_numbers, (void *)i));
	}
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	}
	ASSERT_EQ(0, gs_unregister(&race.gs));
	gs_stop(&race.gs);
}

/*
 * Registration against the end of the last M, and of the context: whichever comes
 * first, a slot that exists afterwards is closed.
 */
static int act_fd_register(struct actor *a)
{
	return gs_fd_register(a->gs, a->flags, &a->id);
}

TEST_F(process, register_against_the_last_m)
{
	struct actor *m, *other;
	struct gs gs;
	int s[2];

	gs_start(&gs, 1, 1, 4, 8);
	m = actor_start(&gs);
	other = actor_start(&gs);
	for (unsigned int i = 0; i < scaled(150); i++) {
		must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
		must(actor_do(m, act_register) == 0);
		other->flags = s[0];
		actor_begin(other, act_fd_register);
		actor_begin(m, act_unregister);
		must(actor_end(m) == 0);
		if (actor_end(other) == 0) {
			must(closes(&gs, other->id));
			must(gs_fd_unregister(&gs, other->id) == 0);
		} else {
			must(other->result == -ESRCH);
		}
		close(s[0]);
		must(peer_sees_eof(s[1]));
		close(s[1]);
	}
	gs_stop(&gs);
}

static int act_close(struct actor *a)
{
	return close(a->flags);
}

TEST_F(process, register_against_the_contexts_end)
{
	for (unsigned int i = 0; i < scaled(50); i++) {
		struct actor *m, *closer;
		struct gs gs;
		int s[2], err;

		gs_start(&gs, 1, 1, 4, 8);
		m = actor_start_m(&gs);
		closer = actor_start(&gs);
		must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
		m->flags = s[0];
		closer->flags = dup(gs.fd);
		actor_begin(m, act_fd_register);
		actor_begin(closer, act_close);
		must(actor_end(closer) == 0);
		err = actor_end(m);
		must(err == 0 || err == -ESHUTDOWN);
		close(s[0]);
		must(peer_sees_eof(s[1]));
		close(s[1]);
		gs_stop(&gs);
		actor_exit(m);
		actor_exit(closer);
	}
}

/*
 * The opener's table of descriptors is gone with the opener, the other threads have
 * copies of it: now only the count of who holds the file tells that it was closed.
 */
static int act_open(struct actor *a)
{
	gs_start(a->gs, 1, 1, 4, 8);
	return 0;
}

static int act_unshare(struct actor *a)
{
	(void)a;
	return unshare(CLONE_FILES) ? -errno : 0;
}

static int close_in_copied_tables(void *arg)
{
	struct actor *opener, *m;
	struct gs gs;
	int s[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
	opener = actor_start(&gs);
	must(actor_do(opener, act_open) == 0);
	m = actor_start_m(&gs);
	m->flags = s[0];
	must(actor_do(m, act_fd_register) == 0);
	must(actor_do(m, act_unshare) == 0);
	must(unshare(CLONE_FILES) == 0);
	actor_exit(opener);

	must(close(s[0]) == 0);
	let_it_happen();
	must(open_still(&gs, m->id));
	must(actor_do(m, act_close) == 0);
	must(closes(&gs, m->id));
	return arg != NULL;
}

TEST_F(process, closed_in_copied_tables)
{
	EXPECT_EQ(0, in_child(close_in_copied_tables, NULL));
}

/*
 * One M comes while another one, the last till then, goes: what the new one
 * registers is not closed with what the old one leaves. First with so much to be
 * closed that there is time to come while it is.
 */
#define MUCH	4000

TEST_F(process, last_m_leaves_much)
{
	int base = eventfd(0, 0);
	struct actor *m;
	__u32 first = 0, slot, id;
	struct gs gs;

	gs_start(&gs, 1, 1, 4, MUCH + 8);
	m = actor_start_m(&gs);
	for (int i = 0; i < MUCH; i++) {
		ASSERT_EQ(0, gs_fd_register(&gs, dup(base), i ? &slot : &first));
	}
	actor_begin(m, act_unregister);
	while (open_still(&gs, first))
		;
	ASSERT_EQ(0, gs_register(&gs, &id));
	ASSERT_EQ(0, gs_fd_register(&gs, eventfd(0, 0), &slot));
	ASSERT_EQ(0, actor_end(m));
	EXPECT_TRUE(open_still(&gs, slot));
	ASSERT_EQ(0, gs_unregister(&gs));
	EXPECT_TRUE(closes(&gs, slot));
	gs_stop(&gs);
}

static void *come_and_go(void *arg)
{
	__u32 id;

	for (unsigned int i = 0; i < race.rounds; i++) {
		must(gs_register(&race.gs, &id) == 0);
		must(gs_unregister(&race.gs) == 0);
	}
	return arg;
}

static void *come_and_use(void *arg)
{
	int fd = eventfd(0, 0);
	__u32 id, slot;

	for (unsigned int i = 0; i < race.rounds; i++) {
		must(gs_register(&race.gs, &id) == 0);
		must(gs_fd_register(&race.gs, fd, &slot) == 0);
		rnd_delay(&race.seed);
		must(open_still(&race.gs, slot));
		must(gs_fd_unregister(&race.gs, slot) == 0);
		must(gs_unregister(&race.gs) == 0);
	}
	return arg;
}

TEST_F(process, last_m_against_the_next)
{
	pthread_t going, using;

	race.seed = test_seed();
	race.rounds = scaled(2000);
	gs_start(&race.gs, 1, 1, 4, 8);
	ASSERT_EQ(0, pthread_create(&going, NULL, come_and_go, NULL));
	ASSERT_EQ(0, pthread_create(&using, NULL, come_and_use, NULL));
	ASSERT_EQ(0, pthread_join(going, NULL));
	ASSERT_EQ(0, pthread_join(using, NULL));
	gs_stop(&race.gs);
}

KMOD_MAIN
