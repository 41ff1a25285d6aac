// SPDX-License-Identifier: GPL-2.0
/* gs_poll: several descriptors at a time, beside goroutines that use them. */
/* TSan takes a call on a number that another thread has just opened for a race. */
#define TSAN_SUPPRESSIONS "race:^sys_polln$\nrace:^sys_epoll_ctl$\n"
#include "lib_net.h"

#include <sys/resource.h>

#include "../userlib/fdtable.h"

static void write_soon(void *arg)
{
	gs_sleep(5 * MS);
	CHECK_EQ(1, gs_write(FD_OF(arg), "x", 1));
}

static struct pollfd want(int fd, int events)
{
	return (struct pollfd){ .fd = fd, .events = events, .revents = -1 };
}

TEST_GO(ready_at_once)
{
	struct pollfd p[4];
	int fd[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	CHECK_EQ(1, write(fd[1], "x", 1));
	p[0] = want(fd[0], POLLIN | POLLOUT);
	p[1] = want(fd[1], POLLIN);
	p[2] = want(-1, POLLIN);
	p[3] = want(900, POLLIN);
	CHECK_EQ(2, gs_poll(p, 4));
	CHECK_EQ(POLLIN | POLLOUT, p[0].revents);
	CHECK_EQ(0, p[1].revents);
	CHECK_EQ(0, p[2].revents);
	CHECK_EQ(POLLNVAL, p[3].revents);
	CHECK_EQ(1, gs_poll_until(p, 1, 0));
	gs_close(fd[0]);
	gs_close(fd[1]);
}

/* Each of several descriptors of different kinds ends the wait; the others stay 0. */
TEST_GO(wakes)
{
	int fd[5][2], i, j, open = open_fds();
	struct pollfd p[5];
	char c;

	tcp_pair(fd[0]);
	tcp_pair_plain(fd[1]);
	CHECK_EQ(0, pipe(fd[2]));
	CHECK_EQ(0, pipe2(fd[3], O_NONBLOCK));
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, fd[4]));
	for (i = 0; i < 5; i++) {
		for (j = 0; j < 5; j++)
			p[j] = want(fd[j][0], POLLIN);
		go(write_soon, FD_ARG(fd[i][1]));
		CHECK_EQ(1, gs_poll(p, 5));
		for (j = 0; j < 5; j++)
			CHECK_EQ(i == j ? POLLIN : 0, p[j].revents);
		CHECK_EQ(1, gs_poll(p, 5));	/* level triggered */
		CHECK_EQ(1, gs_read(fd[i][0], &c, 1));
		CHECK_EQ(-ETIMEDOUT, gs_poll_until(p, 5, 0));
	}
	for (i = 0; i < 5; i++) {
		gs_close(fd[i][0]);
		gs_close(fd[i][1]);
	}
	CHECK_EQ(open, open_fds());
}

static void read_all(void *arg)
{
	int fd = FD_OF(arg);
	char buf[4096];

	gs_sleep(5 * MS);
	while (gs_read(fd, buf, sizeof(buf)) > 0)
		;
	CHECK_EQ(0, gs_close(fd));
}

TEST_GO(room_to_write)
{
	static char buf[1 << 20];
	struct pollfd p;
	int fd[2];

	CHECK_EQ(0, pipe2(fd, O_NONBLOCK));
	while (gs_write_until(fd[1], buf, sizeof(buf), 0) > 0)
		;
	p = want(fd[1], POLLOUT);
	CHECK_EQ(-ETIMEDOUT, gs_poll_until(&p, 1, gs_now() + 5 * MS));
	CHECK_EQ(0, p.revents);
	go(read_all, FD_ARG(fd[0]));
	CHECK_EQ(1, gs_poll(&p, 1));
	CHECK_EQ(POLLOUT, p.revents);
	gs_close(fd[1]);
}

static void hang_up(void *arg)
{
	gs_sleep(5 * MS);
	CHECK_EQ(0, gs_close(FD_OF(arg)));
}

TEST_GO(hang_up)
{
	struct pollfd p[2];
	int fd[2];

	CHECK_EQ(0, pipe(fd));
	p[0] = want(fd[0], 0);		/* POLLHUP needs no asking */
	p[1] = want(-1, POLLIN);
	go(hang_up, FD_ARG(fd[1]));
	CHECK_EQ(1, gs_poll(p, 2));
	CHECK_EQ(POLLHUP, p[0].revents);
	gs_close(fd[0]);
}

TEST_GO(deadlines)
{
	char name[] = "/tmp/gsched-XXXXXX";
	struct pollfd p[20];
	int fd[2], reg = mkstemp(name), i;
	int64_t t;

	unlink(name);
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	for (i = 0; i < 20; i++)
		p[i] = want(i % 3 ? fd[0] : -1, POLLIN);
	p[19] = want(reg, 0);		/* never ready for nothing */
	for (i = 0; i < 20; i += 5) {
		CHECK_EQ(-ETIMEDOUT, gs_poll_until(p, i, 0));
		CHECK_EQ(-ETIMEDOUT, gs_poll_until(p, i, gs_now() - 1));
		t = gs_now() + 10 * MS;
		CHECK_EQ(-ETIMEDOUT, gs_poll_until(p, i ? i + 5 : 0, t));
		CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	}
	p[0] = want(reg, POLLIN);
	CHECK_EQ(1, gs_poll(p, 20));
	gs_close(reg);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

/* One number in several places, for different events. */
TEST_GO(same_descriptor_twice)
{
	static char buf[1 << 20];
	struct pollfd p[3];
	int fd[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	while (gs_write_until(fd[0], buf, sizeof(buf), 0) > 0)
		;
	p[0] = want(fd[0], POLLOUT);
	p[1] = want(fd[0], POLLIN);
	p[2] = want(fd[0], POLLOUT);
	go(write_soon, FD_ARG(fd[1]));
	CHECK_EQ(1, gs_poll(p, 3));
	CHECK_EQ(POLLIN, p[1].revents);
	CHECK_EQ(1, gs_read(fd[0], buf, 1));
	go(read_all, FD_ARG(fd[1]));
	CHECK_EQ(2, gs_poll(p, 3));
	CHECK_EQ(POLLOUT, p[0].revents);
	CHECK_EQ(0, p[1].revents);
	CHECK_EQ(POLLOUT, p[2].revents);
	gs_close(fd[0]);
}

/* ----------------------------------------------------- beside readers and writers */

struct user {
	int fd;
	gs_wg wg;
};

static void read_five(void *arg)
{
	struct user *u = arg;
	char buf[5];

	CHECK_EQ(5, gs_recv(u->fd, buf, 5, MSG_WAITALL));
	gs_wg_done(&u->wg);
}

/* Who polls keeps no reader out, and misses nothing because of one. */
TEST_GO(beside_a_reader)
{
	struct pollfd p;
	struct user u;
	int fd[2], i;
	char c;

	tcp_pair(fd);
	memset(&u, 0, sizeof(u));
	u.fd = fd[0];
	for (i = 0; i < 3; i++) {
		gs_wg_add(&u.wg, 1);
		go(read_five, &u);
		p = want(fd[0], POLLIN);
		CHECK_EQ(-ETIMEDOUT, gs_poll_until(&p, 1, gs_now() + 5 * MS));
		CHECK_EQ(5, gs_write(fd[1], "12345", 5));
		CHECK_EQ(0, gs_wg_wait_until(&u.wg, gs_now() + 20000 * MS));
		go(write_soon, FD_ARG(fd[1]));
		CHECK_EQ(1, gs_poll(&p, 1));
		CHECK_EQ(1, gs_read(fd[0], &c, 1));
	}
	gs_close(fd[0]);
	gs_close(fd[1]);
}

/* ------------------------------------------------------------------------ closing */

struct poller {
	struct pollfd p[2];
	int result;
	gs_wg wg;
};

static void poll_two(void *arg)
{
	struct poller *w = arg;

	w->result = gs_poll(w->p, 2);
	gs_wg_done(&w->wg);
}

static uint64_t users(int fd)
{
	struct gs_fd *e = fd_find(fd);

	return e ? __atomic_load_n(&e->state, __ATOMIC_ACQUIRE) / FD_REF : 0;
}

/* Closed when all pollers are inside; in turn soon, or when they wait. */
TEST_GO(close_under_poll)
{
	struct poller w[3];
	int fd[2], other[2], i, j;

	for (i = 0; i < 5; i++) {
		memset(w, 0, sizeof(w));
		tcp_pair(fd);
		CHECK_EQ(0, pipe(other));
		for (j = 0; j < 3; j++) {
			w[j].p[0] = want(other[0], POLLIN);
			w[j].p[1] = want(fd[0], POLLIN);
			gs_wg_add(&w[j].wg, 1);
			go(poll_two, &w[j]);
		}
		while (users(fd[0]) < 3)
			gs_yield();
		if (i % 2)
			gs_sleep(5 * MS);
		CHECK_EQ(0, gs_close(fd[0]));
		CHECK_EQ(-1, fcntl(fd[0], F_GETFD));
		for (j = 0; j < 3; j++) {
			CHECK_EQ(0, gs_wg_wait_until(&w[j].wg, gs_now() + 10000 * MS));
			CHECK_EQ(1, w[j].result);
			CHECK_EQ(0, w[j].p[0].revents);
			CHECK_EQ(POLLNVAL, w[j].p[1].revents);
		}
		gs_close(fd[1]);
		gs_close(other[0]);
		gs_close(other[1]);
	}
}

/*
 * Pollers, closers, numbers that come again: each incarnation of the place is closed
 * by who opened it, and whoever polls it hears of that. The numbers are high ones: a low
 * one might next be that of a set in which another poller waits.
 */
#define HIGH 500

struct place {
	int now;			/* a descriptor, or -1 */
	bool stop;
	long woken, closed;
	gs_wg wg;
};

static void place_poll(void *arg)
{
	struct place *s = arg;
	struct pollfd p[2];
	int ret;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		p[0] = want(__atomic_load_n(&s->now, __ATOMIC_ACQUIRE), POLLIN);
		p[1] = want(-1, 0);
		if (p[0].fd < 0) {
			gs_yield();
			continue;
		}
		ret = gs_poll(p, 2);
		CHECK_EQ(1, ret);
		if (p[0].revents & POLLNVAL)
			__atomic_add_fetch(&s->closed, 1, __ATOMIC_RELAXED);
		else
			__atomic_add_fetch(&s->woken, 1, __ATOMIC_RELAXED);
		gs_yield();		/* a call that need not wait keeps its P */
	}
	gs_wg_done(&s->wg);
}

TEST_GO(close_reopen_storm)
{
	unsigned int r = test_seed();
	struct place s = { .now = -1 };
	int fd[2], high, i;

	gs_wg_add(&s.wg, 3);
	for (i = 0; i < 3; i++)
		go(place_poll, &s);
	for (i = 0; i < TIMES(2000); i++) {
		CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
		high = fcntl(fd[0], F_DUPFD, HIGH);
		CHECK(high >= HIGH);
		close(fd[0]);
		__atomic_store_n(&s.now, high, __ATOMIC_RELEASE);
		if (rnd(&r) % 2)
			gs_yield();
		else
			gs_sleep(rnd(&r) % 50000);
		if (rnd(&r) % 8 == 0) {
			CHECK_EQ(1, gs_write(fd[1], "x", 1));
			gs_sleep(10000);
		}
		__atomic_store_n(&s.now, -1, __ATOMIC_RELEASE);
		CHECK_EQ(0, gs_close(high));
		CHECK_EQ(0, gs_close(fd[1]));
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELEASE);
	CHECK_EQ(0, gs_wg_wait_until(&s.wg, gs_now() + 20000 * MS));
	printf("# %ld woken, %ld closed\n", s.woken, s.closed);
	fflush(stdout);
	CHECK(s.closed > 0 && s.woken > 0);
}

static int poll_in_group(void *arg)
{
	return gs_poll(arg, 1);
}

TEST_GO(cancelled)
{
	gs_group g = GS_GROUP_INIT;
	struct pollfd p;
	int fd[2];

	CHECK_EQ(0, pipe(fd));
	p = want(fd[0], POLLIN);
	CHECK_EQ(0, gs_group_go(&g, poll_in_group, &p));
	gs_sleep(5 * MS);
	gs_group_cancel(&g);
	CHECK_EQ(-ECANCELED, gs_group_wait(&g));
	gs_close(fd[0]);
	gs_close(fd[1]);
}

/* A number for which no file can be waited for, and which nobody changes. */
TEST_GO(path_only)
{
	int fd = open("/", O_PATH | O_CLOEXEC);
	struct pollfd p = want(fd, POLLIN);
	char byte;

	CHECK(fd >= 0);
	CHECK_EQ(-EBADF, gs_wait_fd(fd, POLLIN));
	CHECK_EQ(-EBADF, gs_read(fd, &byte, 1));
	CHECK_EQ(1, gs_poll(&p, 1));
	CHECK_EQ(POLLNVAL, p.revents);
	gs_close(fd);
}

TEST_GO(bad_input)
{
	static struct pollfd many[200];
	struct rlimit old, few;
	struct pollfd p;
	int fd[2], i;

	CHECK_EQ(0, pipe(fd));
	for (i = 0; i < 200; i++)
		many[i] = want(fd[0], POLLIN);
	CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	few = old;
	few.rlim_cur = 199;
	CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	CHECK_EQ(-EINVAL, gs_poll_until(many, 200, 0));
	few.rlim_cur = fd[1] + 1;		/* no room for an epoll set */
	CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	p = want(fd[0], POLLIN);
	CHECK_EQ(-ETIMEDOUT, gs_poll_until(&p, 1, 0));
	CHECK_EQ(-EMFILE, gs_poll(&p, 1));
	CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	gs_close(fd[0]);
	gs_close(fd[1]);
}

/* A thread that is no goroutine waits in poll(2). */
TEST(plain_thread)
{
	struct pollfd p[2];
	int fd[2];

	EXPECT_EQ(0, pipe(fd));
	p[0] = want(fd[0], POLLIN);
	p[1] = want(fd[1], 0);
	EXPECT_EQ(-ETIMEDOUT, gs_poll_until(p, 2, gs_now() + 5 * MS));
	EXPECT_EQ(1, gs_write(fd[1], "x", 1));
	EXPECT_EQ(1, gs_poll(p, 2));
	EXPECT_EQ(POLLIN, p[0].revents);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

TEST_HARNESS_MAIN
