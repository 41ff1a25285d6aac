// SPDX-License-Identifier: GPL-2.0
/*
 * Readiness: what happens to a registered file sets its slot's words and brings
 * waiting Gs into an inbox, where an idle M finds them.
 *
 * Every kind of file goes through the same four steps (check_event): wait in the
 * node, cause the event, see the cookie arrive, see READY in the node.
 */
#include "kmod.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#define READ	GSCHED_DIR_READ
#define WRITE	GSCHED_DIR_WRITE

/* ------------------------------------------------------------- the consumer */

#define MAX_COOKIE	4096

static unsigned int arrived[MAX_COOKIE];

static void cookie_arrives(void *arg, __u64 cookie)
{
	(void)arg;
	must(cookie < MAX_COOKIE);
	__atomic_fetch_add(&arrived[cookie], 1, __ATOMIC_SEQ_CST);
}

/* An M that idles and takes what comes. */
static void *idle_and_take(void *arg)
{
	struct gs *gs = arg;
	__u32 id, reason, proc;

	must(gs_register(gs, &id) == 0);
	while (gs_idle(gs, 0, &reason, &proc) == 0) {
		must(reason == GSCHED_IDLE_WORK);
		spinning_end(gs);
		while (inbox_take_all(gs, cookie_arrives, NULL))
			;
	}
	return NULL;
}

FIXTURE(ready) {
	struct gs gs;
};

static void start_consumer(struct gs *gs)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, idle_and_take, gs) == 0);
	/* A descriptor can be registered once there is an M. */
	must(eventually(gs_fd_unregister(gs, 0) == -ENOENT && touch_read(&gs->ms[0]) == 0));
}

FIXTURE_SETUP(ready)
{
	gs_start(&self->gs, 2, 2, 4, 64);
	start_consumer(&self->gs);
}

FIXTURE_TEARDOWN(ready)
{
}

static __u32 watch(struct gs *gs, int fd)
{
	__u32 slot;

	must(fd >= 0);
	must(gs_fd_register(gs, fd, &slot) == 0);
	must(slot >= gs->setup.first_slot && slot < gs->setup.first_slot + gs->setup.max_slots);
	return slot;
}

static bool has_arrived(__u64 cookie, unsigned int times)
{
	return eventually(load32(&arrived[cookie]) >= times);
}

/* A cookie for each wait. */
static __u64 next_cookie(void)
{
	static __u64 cookie = GSCHED_COOKIE_MIN;

	return cookie++;
}

/* Nothing has happened: the G waits. */
static __u64 wait_for(struct gsched_node *node)
{
	__u64 cookie = next_cookie();

	node_reset(node);
	must(node_park(node, cookie));
	return cookie;
}

static void check_arrival(struct gsched_node *node, __u64 cookie)
{
	must(has_arrived(cookie, 1));
	must(load64(&node->word) == GSCHED_WORD_READY);
	must(node->cookie == 0);
	sleep_ns(NSEC_PER_MSEC);
	must(arrived[cookie] == 1);
}

static void check_event(struct gs *gs, __u32 slot, int dir, void (*event)(int fd), int fd)
{
	struct gsched_node *node = gs_node(gs, slot, dir);
	__u64 cookie = wait_for(node);

	sleep_ns(5 * NSEC_PER_MSEC);
	must(arrived[cookie] == 0);
	event(fd);
	check_arrival(node, cookie);
}

/* With nobody waiting, the word remembers. */
static void check_event_unwatched(struct gs *gs, __u32 slot, int dir, void (*event)(int fd), int fd)
{
	struct gsched_node *node = gs_node(gs, slot, dir);

	node_reset(node);
	event(fd);
	must(eventually(load64(&node->word) == GSCHED_WORD_READY));
	must(!node_park(node, next_cookie()));
}

static void check_both(struct gs *gs, __u32 slot, int dir, void (*event)(int fd), int fd)
{
	check_event(gs, slot, dir, event, fd);
	check_event(gs, slot, dir, event, fd);
	check_event_unwatched(gs, slot, dir, event, fd);
}

/* ------------------------------------------------------------------- events */

static void put_byte(int fd)
{
	must(write(fd, "x", 1) == 1);
}

static void put_line(int fd)
{
	must(write(fd, "line\n", 5) == 5);
}

static void close_fd(int fd)
{
	must(close(fd) == 0);
}

static void drain(int fd)
{
	char buf[4096];

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

/* Write until EAGAIN. */
static void fill(int fd)
{
	static const char buf[4096];

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, buf, sizeof(buf)) > 0)
		;
	must(errno == EAGAIN);
}

/* ---------------------------------------------------------- pipes, eventfds */

TEST_F(ready, pipe)
{
	int p[2];
	__u32 slot;

	ASSERT_EQ(0, pipe(p));
	slot = watch(&self->gs, p[0]);
	EXPECT_EQ((__u64)GSCHED_WORD_NIL, load64(&gs_node(&self->gs, slot, READ)->word));
	check_both(&self->gs, slot, READ, put_byte, p[1]);
	check_event(&self->gs, slot, READ, close_fd, p[1]);
}

TEST_F(ready, pipe_write)
{
	int p[2];
	__u32 slot;

	ASSERT_EQ(0, pipe(p));
	slot = watch(&self->gs, p[1]);
	EXPECT_EQ((__u64)GSCHED_WORD_READY, load64(&gs_node(&self->gs, slot, WRITE)->word));
	fill(p[1]);
	check_event(&self->gs, slot, WRITE, drain, p[0]);
	fill(p[1]);
	check_event_unwatched(&self->gs, slot, WRITE, drain, p[0]);
	fill(p[1]);
	check_event(&self->gs, slot, WRITE, close_fd, p[0]);
}

TEST_F(ready, pipe_ready_from_the_start)
{
	int p[2];
	__u32 slot;

	ASSERT_EQ(0, pipe(p));
	put_byte(p[1]);
	slot = watch(&self->gs, p[0]);
	EXPECT_EQ((__u64)GSCHED_WORD_READY, load64(&gs_node(&self->gs, slot, READ)->word));
	EXPECT_FALSE(node_park(gs_node(&self->gs, slot, READ), next_cookie()));
}

static void add_one(int fd)
{
	__u64 one = 1;

	must(write(fd, &one, sizeof(one)) == sizeof(one));
}

TEST_F(ready, eventfd)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	__u32 slot = watch(&self->gs, fd);
	__u64 most = ~0ULL - 1;

	EXPECT_EQ((__u64)GSCHED_WORD_NIL, load64(&gs_node(&self->gs, slot, READ)->word));
	EXPECT_EQ((__u64)GSCHED_WORD_READY, load64(&gs_node(&self->gs, slot, WRITE)->word));
	check_both(&self->gs, slot, READ, add_one, fd);
	drain(fd);
	ASSERT_EQ(8, write(fd, &most, sizeof(most)));
	check_event(&self->gs, slot, WRITE, drain, fd);
}

/* ------------------------------------------------------------------ sockets */

static int tcp_listen(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*addr = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	must(bind(fd, (struct sockaddr *)addr, sizeof(*addr)) == 0);
	must(listen(fd, 8) == 0);
	must(getsockname(fd, (struct sockaddr *)addr, &len) == 0);
	return fd;
}

static void tcp_pair(int s[2])
{
	struct sockaddr_in addr;
	int lis = tcp_listen(&addr);

	s[1] = socket(AF_INET, SOCK_STREAM, 0);
	must(connect(s[1], (struct sockaddr *)&addr, sizeof(addr)) == 0);
	s[0] = accept(lis, NULL, NULL);
	must(s[0] >= 0);
	close(lis);
}

TEST_F(ready, tcp_read)
{
	int s[2];
	__u32 slot;

	tcp_pair(s);
	slot = watch(&self->gs, s[0]);
	EXPECT_EQ((__u64)GSCHED_WORD_NIL, load64(&gs_node(&self->gs, slot, READ)->word));
	EXPECT_EQ((__u64)GSCHED_WORD_READY, load64(&gs_node(&self->gs, slot, WRITE)->word));
	check_both(&self->gs, slot, READ, put_byte, s[1]);
	drain(s[0]);
	check_event(&self->gs, slot, READ, close_fd, s[1]);
}

TEST_F(ready, tcp_write)
{
	int s[2];
	__u32 slot;

	tcp_pair(s);
	slot = watch(&self->gs, s[1]);
	fill(s[1]);
	check_event(&self->gs, slot, WRITE, drain, s[0]);
}

static struct sockaddr_in server;

static void connect_to_server(int fd)
{
	must(connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0);
}

TEST_F(ready, tcp_accept)
{
	int lis = tcp_listen(&server);
	__u32 slot = watch(&self->gs, lis);

	for (int i = 0; i < 3; i++) {
		check_event(&self->gs, slot, READ, connect_to_server,
			    socket(AF_INET, SOCK_STREAM, 0));
		EXPECT_LE(0, accept(lis, NULL, NULL));
	}
}

static void start_connect(int fd)
{
	must(connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0 && errno == EINPROGRESS);
}

TEST_F(ready, tcp_connect)
{
	int lis = tcp_listen(&server), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int err = -1;
	socklen_t len = sizeof(err);
	__u32 slot = watch(&self->gs, fd);

	check_event(&self->gs, slot, WRITE, start_connect, fd);
	EXPECT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	EXPECT_EQ(0, err);
	close(lis);
}

TEST_F(ready, tcp_connect_refused)
{
	int lis = tcp_listen(&server), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int err = 0;
	socklen_t len = sizeof(err);
	__u32 slot = watch(&self->gs, fd);

	close(lis);
	check_event(&self->gs, slot, WRITE, start_connect, fd);
	EXPECT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	EXPECT_EQ(ECONNREFUSED, err);
}

TEST_F(ready, udp)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int in = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);

	ASSERT_EQ(0, bind(in, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, getsockname(in, (struct sockaddr *)&addr, &len));
	ASSERT_EQ(0, connect(out, (struct sockaddr *)&addr, sizeof(addr)));
	check_both(&self->gs, watch(&self->gs, in), READ, put_byte, out);
}

static void check_unix(struct gs *gs, int type)
{
	__u32 slot;
	int s[2];

	must(socketpair(AF_UNIX, type, 0, s) == 0);
	slot = watch(gs, s[0]);
	must(load64(&gs_node(gs, slot, READ)->word) == GSCHED_WORD_NIL);
	must(load64(&gs_node(gs, slot, WRITE)->word) == GSCHED_WORD_READY);
	check_both(gs, slot, READ, put_byte, s[1]);
	drain(s[0]);
	fill(s[0]);
	check_event(gs, slot, WRITE, drain, s[1]);
	check_event(gs, slot, READ, type == SOCK_DGRAM ? put_byte : close_fd, s[1]);
}

TEST_F(ready, unix_stream)
{
	check_unix(&self->gs, SOCK_STREAM);
}

TEST_F(ready, unix_dgram)
{
	check_unix(&self->gs, SOCK_DGRAM);
}

/* Many senders, one queue: it is the receiver's that is full, not the sender's. */
TEST_F(ready, unix_dgram_to_a_full_queue)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "\0kmod_ready" };
	int in = socket(AF_UNIX, SOCK_DGRAM, 0), out = socket(AF_UNIX, SOCK_DGRAM, 0);
	__u32 slot;

	ASSERT_EQ(0, bind(in, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, connect(out, (struct sockaddr *)&addr, sizeof(addr)));
	slot = watch(&self->gs, out);
	fill(out);
	check_event(&self->gs, slot, WRITE, drain, in);
}

TEST_F(ready, unix_seqpacket)
{
	check_unix(&self->gs, SOCK_SEQPACKET);
}

/* --------------------------------------------------------- timers and signals */

static void arm_soon(int fd)
{
	struct itimerspec its = { .it_value.tv_nsec = 5 * NSEC_PER_MSEC };

	must(timerfd_settime(fd, 0, &its, NULL) == 0);
}

TEST_F(ready, timerfd)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	check_both(&self->gs, watch(&self->gs, fd), READ, arm_soon, fd);
}

/* To the process, where every thread blocks it. */
static void signal_self(int sig)
{
	must(kill(getpid(), sig) == 0);
}

TEST(signals)
{
	struct gs gs;
	sigset_t set;
	__u32 slot;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, NULL));
	gs_start(&gs, 2, 2, 4, 4);
	start_consumer(&gs);
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	slot = watch(&gs, fd);
	check_event(&gs, slot, READ, signal_self, SIGUSR1);
	drain(fd);
	check_event(&gs, slot, READ, signal_self, SIGUSR2);
}

/* --------------------------------------------------------------- ttys and ptys */

static void raw_pty(int p[2])
{
	struct termios tio;

	must(openpty(&p[0], &p[1], NULL, NULL, NULL) == 0);
	must(tcgetattr(p[1], &tio) == 0);
	cfmakeraw(&tio);
	must(tcsetattr(p[1], TCSANOW, &tio) == 0);
}

/* p[0]: the master, p[1]: the slave, which is a tty. */
TEST_F(ready, pty)
{
	__u32 slot[2];
	int p[2];

	raw_pty(p);
	slot[0] = watch(&self->gs, p[0]);
	slot[1] = watch(&self->gs, p[1]);
	check_both(&self->gs, slot[0], READ, put_byte, p[1]);
	check_both(&self->gs, slot[1], READ, put_byte, p[0]);
}

TEST_F(ready, pty_line)
{
	int p[2];

	ASSERT_EQ(0, openpty(&p[0], &p[1], NULL, NULL, NULL));
	check_event(&self->gs, watch(&self->gs, p[1]), READ, put_line, p[0]);
}

TEST_F(ready, pty_write)
{
	__u32 slot;
	int p[2];

	raw_pty(p);
	slot = watch(&self->gs, p[1]);
	fill(p[1]);
	check_event(&self->gs, slot, WRITE, drain, p[0]);
}

TEST_F(ready, pty_master_hangs_up)
{
	struct gsched_node *node;
	__u32 slot;
	int p[2];

	raw_pty(p);
	slot = watch(&self->gs, p[1]);
	node = gs_node(&self->gs, slot, READ);
	node_clear_events(node, GSCHED_EV_VERIFY);
	check_event(&self->gs, slot, READ, close_fd, p[0]);
	EXPECT_EQ(GSCHED_EV_VERIFY, node_events(node) & GSCHED_EV_VERIFY);
}

TEST_F(ready, pty_slave_hangs_up)
{
	__u32 slot;
	int p[2];

	raw_pty(p);
	slot = watch(&self->gs, p[0]);
	check_event(&self->gs, slot, READ, close_fd, p[1]);
}

/* ------------------------------------------------------------ epoll, inotify */

static void epoll_watch(int ep, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
}

TEST_F(ready, epoll)
{
	int ep = epoll_create1(0), p[2];
	__u32 slot;

	ASSERT_EQ(0, pipe(p));
	epoll_watch(ep, p[0]);
	slot = watch(&self->gs, ep);
	EXPECT_EQ((__u64)GSCHED_WORD_NIL, load64(&gs_node(&self->gs, slot, READ)->word));
	check_event(&self->gs, slot, READ, put_byte, p[1]);
}

TEST_F(ready, nested_epoll)
{
	int ep[3], p[2];

	ASSERT_EQ(0, pipe(p));
	for (int i = 0; i < 3; i++) {
		ep[i] = epoll_create1(0);
		epoll_watch(ep[i], i ? ep[i - 1] : p[0]);
	}
	check_event(&self->gs, watch(&self->gs, ep[2]), READ, put_byte, p[1]);
}

/* One file through both: registered here, and in an epoll that is registered. */
TEST_F(ready, both_ways)
{
	int ep = epoll_create1(0), p[2];
	struct gsched_node *direct, *nested;
	__u64 a, b;

	ASSERT_EQ(0, pipe(p));
	epoll_watch(ep, p[0]);
	nested = gs_node(&self->gs, watch(&self->gs, ep), READ);
	direct = gs_node(&self->gs, watch(&self->gs, p[0]), READ);
	a = wait_for(direct);
	b = wait_for(nested);
	put_byte(p[1]);
	check_arrival(direct, a);
	check_arrival(nested, b);
}

static char inotify_dir[] = "/tmp/kmod_ready.XXXXXX";

static void make_file(int fd)
{
	char path[64];

	(void)fd;
	snprintf(path, sizeof(path), "%s/file", inotify_dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	unlink(path);
}

TEST_F(ready, inotify)
{
	int fd = inotify_init1(IN_NONBLOCK);

	ASSERT_NE(NULL, mkdtemp(inotify_dir));
	ASSERT_LE(0, inotify_add_watch(fd, inotify_dir, IN_CREATE));
	check_event(&self->gs, watch(&self->gs, fd), READ, make_file, fd);
	rmdir(inotify_dir);
}

/* ------------------------------------------------------------------- VERIFY */

/* Data alone does not make a short read doubtful; what hides behind it does. */
FIXTURE(verify) {
	struct gs gs;
	struct gsched_node *node;
	__u32 slot;
	int s[2];
};

FIXTURE_SETUP(verify)
{
	gs_start(&self->gs, 2, 2, 4, 64);
	start_consumer(&self->gs);
	tcp_pair(self->s);
	self->slot = watch(&self->gs, self->s[0]);
	self->node = gs_node(&self->gs, self->slot, READ);
	node_clear_events(self->node, GSCHED_EV_VERIFY);
}

FIXTURE_TEARDOWN(verify)
{
}

static bool verify_is_set(struct gsched_node *node)
{
	return node_events(node) & GSCHED_EV_VERIFY;
}

TEST_F(verify, not_by_data)
{
	for (int i = 0; i < 5; i++)
		check_event(&self->gs, self->slot, READ, put_byte, self->s[1]);
	EXPECT_FALSE(verify_is_set(self->node));
}

/* One segment carries both, so there may be only one event. */
static void data_and_fin(int fd)
{
	int one = 1;

	must(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &one, sizeof(one)) == 0);
	must(write(fd, "last", 4) == 4);
	must(shutdown(fd, SHUT_WR) == 0);
}

TEST_F(verify, by_data_and_fin)
{
	check_event(&self->gs, self->slot, READ, data_and_fin, self->s[1]);
	EXPECT_TRUE(eventually(verify_is_set(self->node)));
}

static void shut(int fd)
{
	must(shutdown(fd, SHUT_WR) == 0);
}

TEST_F(verify, by_fin)
{
	check_event(&self->gs, self->slot, READ, shut, self->s[1]);
	EXPECT_TRUE(eventually(verify_is_set(self->node)));
}

static void reset(int fd)
{
	struct linger linger = { 1, 0 };

	must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	close(fd);
}

TEST_F(verify, by_reset)
{
	check_event(&self->gs, self->slot, READ, reset, self->s[1]);
	EXPECT_TRUE(eventually(verify_is_set(self->node)));
}

static void urgent(int fd)
{
	must(send(fd, "!", 1, MSG_OOB) == 1);
}

TEST_F(verify, by_urgent_data)
{
	check_event(&self->gs, self->slot, READ, urgent, self->s[1]);
	EXPECT_TRUE(eventually(verify_is_set(self->node)));
}

/* It is sticky: data that comes later does not take it back. */
TEST_F(verify, is_sticky)
{
	check_event(&self->gs, self->slot, READ, urgent, self->s[1]);
	ASSERT_TRUE(eventually(verify_is_set(self->node)));
	check_event(&self->gs, self->slot, READ, put_byte, self->s[1]);
	EXPECT_TRUE(verify_is_set(self->node));
}

/* What had happened before registration counts too. */
TEST_F(verify, from_the_start)
{
	int s[2];
	__u32 slot;

	tcp_pair(s);
	data_and_fin(s[1]);
	must(eventually(poll(&(struct pollfd){ s[0], POLLRDHUP, 0 }, 1, 0) == 1));
	slot = watch(&self->gs, s[0]);
	EXPECT_TRUE(verify_is_set(gs_node(&self->gs, slot, READ)));
	EXPECT_EQ((__u64)GSCHED_WORD_READY, load64(&gs_node(&self->gs, slot, READ)->word));
}

/* ----------------------------------------------------------------- register */

TEST_F(ready, what_cannot_be_registered)
{
	struct gs *gs = &self->gs, other;
	char path[] = "/tmp/kmod_ready.XXXXXX";
	__u32 slot;
	int fd;

	fd = mkstemp(path);
	EXPECT_EQ(-EPERM, gs_fd_register(gs, fd, &slot));
	unlink(path);
	EXPECT_EQ(-EPERM, gs_fd_register(gs, open("/", O_RDONLY | O_DIRECTORY), &slot));

	EXPECT_EQ(-EBADF, gs_fd_register(gs, -1, &slot));
	EXPECT_EQ(-EBADF, gs_fd_register(gs, 1 << 20, &slot));
	EXPECT_EQ(-EBADF, gs_fd_register(gs, open("/", O_PATH), &slot));
	close(fd);
	EXPECT_EQ(-EBADF, gs_fd_register(gs, fd, &slot));

	gs_start(&other, 1, 1, 1, 0);
	EXPECT_EQ(-ELOOP, gs_fd_register(gs, gs->fd, &slot));
	EXPECT_EQ(-ELOOP, gs_fd_register(gs, other.fd, &slot));
	gs_stop(&other);
}

struct changer {
	int number;
	int fd[2];
	bool end;
};

static void *change(void *arg)
{
	struct changer *c = arg;

	for (int i = 0; !__atomic_load_n(&c->end, __ATOMIC_RELAXED); i++)
		must(dup2(c->fd[i % 2], c->number) == c->number);
	return NULL;
}

/* A number that means one file after the other is open all the time. */
TEST_F(ready, number_that_changes)
{
	struct changer c = { dup(0), { eventfd(0, 0), eventfd(0, 0) }, false };
	int64_t end = now_ns() + PATIENCE_NS;
	unsigned int changed = 0;
	pthread_t thread;
	__u32 slot;
	int err;

	must(dup2(c.fd[1], c.number) == c.number);
	must(pthread_create(&thread, NULL, change, &c) == 0);
	do {
		err = gs_fd_register(&self->gs, c.number, &slot);
		if (err == -EAGAIN)
			changed++;
		else
			EXPECT_TRUE(!err || err == -EEXIST) TH_LOG("%d", err);
		if (!err || err == -EEXIST)
			EXPECT_EQ(0, gs_fd_unregister(&self->gs, slot));
	} while (changed < 10 && now_ns() < end);
	__atomic_store_n(&c.end, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_LT(0U, changed);
}

/* Nor can a context be watched by others. */
TEST_F(ready, context_in_epoll)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0);

	EXPECT_EQ(-1, epoll_ctl(ep, EPOLL_CTL_ADD, self->gs.fd, &ev));
	EXPECT_EQ(EPERM, errno);
}

TEST_F(ready, registered_twice)
{
	int fd = eventfd(0, 0), copy = dup(fd);
	__u32 slot = watch(&self->gs, fd), again, second;

	EXPECT_EQ(-EEXIST, gs_fd_register(&self->gs, fd, &again));
	EXPECT_EQ(slot, again);
	second = watch(&self->gs, copy);
	EXPECT_NE(slot, second);
	check_event(&self->gs, slot, READ, add_one, fd);
	check_event(&self->gs, second, READ, add_one, fd);
	EXPECT_EQ(0, gs_fd_unregister(&self->gs, slot));
	check_event(&self->gs, second, READ, add_one, fd);
	slot = watch(&self->gs, fd);
	EXPECT_NE(second, slot);
}

TEST_F(ready, no_more_than_max_slots)
{
	__u32 slot[65], extra;

	for (int i = 0; i < 64; i++)
		slot[i] = watch(&self->gs, eventfd(0, 0));
	for (int i = 0; i < 64; i++) {
		for (int j = 0; j < i; j++) {
			ASSERT_NE(slot[i], slot[j]);
		}
	}
	EXPECT_EQ(-ENOSPC, gs_fd_register(&self->gs, eventfd(0, 0), &extra));
	EXPECT_EQ(0, gs_fd_unregister(&self->gs, slot[20]));
	EXPECT_EQ(0, gs_fd_register(&self->gs, eventfd(0, 0), &extra));
	EXPECT_EQ(slot[20], extra);
	EXPECT_EQ(-ENOSPC, gs_fd_register(&self->gs, eventfd(0, 0), &extra));
}

TEST_F(ready, no_more_than_rlimit)
{
	struct rlimit limit = { 16, 200000 };
	int fd[17];
	__u32 slot;

	for (int i = 0; i < 17; i++)
		fd[i] = eventfd(0, 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 16;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < 16; i++)
		slot = watch(&self->gs, fd[i]);
	EXPECT_EQ(-EMFILE, gs_fd_register(&self->gs, fd[16], &slot));
	EXPECT_EQ(-EMFILE, gs_fd_register(&self->gs, fd[16], &slot));
}

TEST(register_needs_an_m)
{
	int fd = eventfd(0, 0);
	__u32 slot, id;
	struct gs gs;

	gs_start(&gs, 1, 1, 2, 4);
	EXPECT_EQ(-ESRCH, gs_fd_register(&gs, fd, &slot));
	ASSERT_EQ(0, gs_register(&gs, &id));
	EXPECT_EQ(0, gs_fd_register(&gs, fd, &slot));
	gs_stop(&gs);
}

TEST(no_slots)
{
	__u32 slot, id;
	struct gs gs;

	gs_start(&gs, 1, 1, 2, 0);
	ASSERT_EQ(0, gs_register(&gs, &id));
	EXPECT_EQ(-ENOSPC, gs_fd_register(&gs, eventfd(0, 0), &slot));
	gs_stop(&gs);
}

/* --------------------------------------------------------------- unregister */

TEST_F(ready, unregister_delivers)
{
	int s[2];
	__u32 slot;
	struct gsched_node *r, *w;
	__u64 a, b;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	fill(s[0]);
	slot = watch(&self->gs, s[0]);
	r = gs_node(&self->gs, slot, READ);
	w = gs_node(&self->gs, slot, WRITE);
	a = wait_for(r);
	b = wait_for(w);
	ASSERT_EQ(0, gs_fd_unregister(&self->gs, slot));
	EXPECT_TRUE(has_arrived(a, 1));
	EXPECT_TRUE(has_arrived(b, 1));
	EXPECT_EQ(GSCHED_EV_CLOSED, node_events(r) & GSCHED_EV_CLOSED);
	EXPECT_EQ(GSCHED_EV_CLOSED, node_events(w) & GSCHED_EV_CLOSED);
	EXPECT_EQ((__u64)GSCHED_WORD_READY, load64(&r->word));
	EXPECT_EQ((__u64)GSCHED_WORD_READY, load64(&w->word));
	EXPECT_EQ(-ENOENT, gs_fd_unregister(&self->gs, slot));
}

TEST_F(ready, silent_after_unregister)
{
	int fd = eventfd(0, 0);
	__u32 slot = watch(&self->gs, fd);
	struct gsched_node *node = gs_node(&self->gs, slot, READ);

	ASSERT_EQ(0, gs_fd_unregister(&self->gs, slot));
	node_reset(node);
	add_one(fd);
	let_it_happen();
	EXPECT_EQ((__u64)GSCHED_WORD_NIL, load64(&node->word));
}

/* A slot begins anew for its next descriptor. */
TEST_F(ready, slot_reused)
{
	int fd = eventfd(0, 0);
	__u32 slot = watch(&self->gs, fd), again;

	ASSERT_EQ(0, gs_fd_unregister(&self->gs, slot));
	again = watch(&self->gs, fd);
	EXPECT_EQ(slot, again);
	EXPECT_EQ(0U, node_events(gs_node(&self->gs, again, READ)) & GSCHED_EV_CLOSED);
	EXPECT_EQ((__u64)GSCHED_WORD_NIL, load64(&gs_node(&self->gs, again, READ)->word));
	check_event(&self->gs, again, READ, add_one, fd);
}

/* ------------------------------------------------------------- many, hints */

TEST_F(ready, many_wait_at_once)
{
	struct gsched_node *node[64];
	__u64 cookie[64];
	int fd[64];

	for (int i = 0; i < 64; i++) {
		fd[i] = eventfd(0, 0);
		node[i] = gs_node(&self->gs, watch(&self->gs, fd[i]), READ);
		cookie[i] = wait_for(node[i]);
	}
	for (int i = 63; i >= 0; i--)
		add_one(fd[i]);
	for (int i = 0; i < 64; i++)
		check_arrival(node[i], cookie[i]);
}

/* The preferred P may be any number. */
TEST_F(ready, proc_hint_is_a_hint)
{
	static const __u32 hints[] = { 0, 1, 2, 1023, 1024, GSCHED_NONE, 0x80000000 };
	int fd = eventfd(0, 0);
	__u32 slot = watch(&self->gs, fd);

	for (unsigned int i = 0; i < ARRAY_SIZE(hints); i++) {
		gs_node(&self->gs, slot, READ)->proc = hints[i];
		check_event(&self->gs, slot, READ, add_one, fd);
	}
}

/* With all Ps idle the G goes where it wants to. */
TEST(proc_hint_is_taken)
{
	int fd = eventfd(0, 0);
	struct gsched_node *node;
	struct actor *m;
	struct gs gs;
	__u32 slot;

	gs_start(&gs, 4, 4, 4, 4);
	m = actor_start_m(&gs);
	ASSERT_EQ(0, gs_fd_register(&gs, fd, &slot));
	node = gs_node(&gs, slot, READ);
	for (__u32 p = 0; p < 4; p++) {
		node->proc = p;
		gs.shared->nr_spinning = 1;
		wait_for(node);
		add_one(fd);
		EXPECT_TRUE(eventually(load32(&gs.procs[p].inbox)));
		EXPECT_EQ(GSCHED_ATTN_INBOX, load32(&gs.procs[p].attention) & GSCHED_ATTN_INBOX);
		EXPECT_EQ(1U, inbox_take(&gs, p, cookie_arrives, NULL));
	}
	(void)m;
}

/* To an idle P somebody has to come: where no M is idle, the busy one's owner looks. */
TEST(idle_proc_needs_an_idle_m)
{
	int fd = eventfd(0, 0);
	struct gsched_node *node;
	struct actor *m, *idle;
	__u32 slot, busy;
	struct gs gs;

	gs_start(&gs, 4, 4, 4, 4);
	m = actor_start_m(&gs);
	ASSERT_EQ(0, actor_do(m, act_acquire));
	busy = load32(&gs.ms[m->id].proc);
	ASSERT_NE(2, busy);
	ASSERT_EQ(0, gs_fd_register(&gs, fd, &slot));
	node = gs_node(&gs, slot, READ);
	node->proc = 2;
	gs.shared->nr_spinning = 1;
	wait_for(node);
	add_one(fd);
	EXPECT_TRUE(eventually(load32(&gs.procs[busy].inbox)));
	EXPECT_EQ(0, load32(&gs.procs[2].inbox));
	EXPECT_EQ(1U, inbox_take(&gs, busy, cookie_arrives, NULL));
	idle = actor_start_m(&gs);
	gs.shared->nr_spinning = 0;
	actor_begin_idle(idle);
	gs.shared->nr_spinning = 1;
	wait_for(node);
	add_one(fd);
	EXPECT_TRUE(eventually(load32(&gs.procs[2].inbox)));
}

KMOD_MAIN
