// SPDX-License-Identifier: GPL-2.0
/* Messages with addresses and control data: gs_recvfrom, gs_sendto, gs_recvmsg, gs_sendmsg. */
#include "lib_net.h"

#include <linux/errqueue.h>
#include <limits.h>

/* --------------------------------------------------- counting what says EAGAIN */

static long recvmsgs, recvmsg_eagains, send_eagains;

/*
 * The library's system calls are these. TSan's own would be hidden by them, so there
 * they are left out.
 */
#ifndef __SANITIZE_THREAD__
#include <sys/syscall.h>

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t n = syscall(SYS_recvmsg, fd, msg, flags);

	__atomic_add_fetch(&recvmsgs, 1, __ATOMIC_RELAXED);
	if (n < 0 && errno == EAGAIN)
		__atomic_add_fetch(&recvmsg_eagains, 1, __ATOMIC_RELAXED);
	return n;
}

static ssize_t sent(ssize_t n)
{
	if (n < 0 && errno == EAGAIN)
		__atomic_add_fetch(&send_eagains, 1, __ATOMIC_RELAXED);
	return n;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return sent(syscall(SYS_sendmsg, fd, msg, flags));
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
	       socklen_t addr_len)
{
	return sent(syscall(SYS_sendto, fd, buf, len, flags, addr, addr_len));
}
#endif

struct echo {
	int fd;
	bool vec;
	gs_wg wg;
};

static ssize_t echo_recv(const struct echo *e, char *buf, size_t len)
{
	struct iovec iov[2] = { { buf, 10 }, { buf + 10, len - 10 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	return e->vec ? gs_readv(e->fd, iov, 2) : gs_recvmsg(e->fd, &m, 0);
}

static ssize_t echo_send(const struct echo *e, char *buf, size_t len)
{
	struct iovec iov[2] = { { buf, 10 }, { buf + 10, len - 10 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	return e->vec ? gs_writev(e->fd, iov, 2) : gs_sendmsg(e->fd, &m, 0);
}

static void echo(void *arg)
{
	struct echo *e = arg;
	char buf[1000];
	ssize_t n;

	while ((n = echo_recv(e, buf, sizeof(buf))) > 0)
		CHECK_EQ(n, echo_send(e, buf, n));
	CHECK_EQ(0, n);
	CHECK_EQ(0, gs_close(e->fd));
	gs_wg_done(&e->wg);
}

/* A message costs one recvmsg(2): that the next would find nothing is known. */
static void no_eagain(bool vec)
{
	struct echo e = { .vec = vec };
	long n = TIMES(2000), calls, eagains, i;
	char buf[64] = { 0 };
	int fd[2], one = 1;

	tcp_pair(fd);
	CHECK_EQ(0, setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	CHECK_EQ(0, setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	e.fd = fd[0];
	gs_wg_add(&e.wg, 1);
	go(echo, &e);
	calls = __atomic_load_n(&recvmsgs, __ATOMIC_RELAXED);
	eagains = __atomic_load_n(&recvmsg_eagains, __ATOMIC_RELAXED);
	for (i = 0; i < n; i++) {
		CHECK_EQ(64, gs_write(fd[1], buf, 64));
		CHECK_EQ(64, gs_read(fd[1], buf, 64));
	}
	calls = __atomic_load_n(&recvmsgs, __ATOMIC_RELAXED) - calls;
	eagains = __atomic_load_n(&recvmsg_eagains, __ATOMIC_RELAXED) - eagains;
	CHECK_EQ(0, gs_close(fd[1]));
	gs_wg_wait(&e.wg);
	printf("# %ld recvmsg, %ld EAGAIN for %ld messages\n", calls, eagains, n);
	fflush(stdout);
	/* An event may overtake the read that has its data, if rarely. */
	CHECK(eagains <= n / 10);
#ifndef __SANITIZE_THREAD__
	CHECK(calls >= n);
#endif
}

TEST_GO(no_eagain)
{
	no_eagain(false);
	no_eagain(true);
}

/* -------------------------------------------------------- addresses of datagrams */

static int udp_bound(struct sockaddr_in *a, bool plain)
{
	int fd = plain ? socket(AF_INET, SOCK_DGRAM, 0) : gs_socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(*a);

	*a = loopback(0);
	CHECK(fd >= 0);
	CHECK_EQ(0, bind(fd, (struct sockaddr *)a, len));
	CHECK_EQ(0, getsockname(fd, (struct sockaddr *)a, &len));
	return fd;
}

/* Answers each datagram to where it came from, until an empty one comes. */
static void udp_serve(void *arg)
{
	int fd = FD_OF(arg);
	struct sockaddr_in from;
	char buf[100];
	socklen_t len;
	ssize_t n;

	do {
		len = sizeof(from);
		n = gs_recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		CHECK(n >= 0);
		CHECK_EQ(sizeof(from), len);
		CHECK_EQ(n, gs_sendto(fd, buf, n, 0, (struct sockaddr *)&from, len));
	} while (n);
}

static void udp_echo(bool plain)
{
	struct sockaddr_in a[2], from;
	struct iovec iov = { NULL, 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd[2] = { udp_bound(&a[0], plain), udp_bound(&a[1], plain) }, i;
	char buf[100];
	socklen_t len;

	go(udp_serve, FD_ARG(fd[0]));
	for (i = 10; i >= 0; i--) {
		len = sizeof(from);
		memset(buf, i, sizeof(buf));
		CHECK_EQ(i, gs_sendto(fd[1], buf, i, 0, (struct sockaddr *)&a[0], sizeof(a[0])));
		CHECK_EQ(i, gs_recvfrom(fd[1], buf, 100, 0, (struct sockaddr *)&from, &len));
		CHECK_EQ(a[0].sin_port, from.sin_port);
	}
	/* The same as messages. */
	go(udp_serve, FD_ARG(fd[0]));
	for (i = 10; i >= 0; i--) {
		iov = (struct iovec){ buf, i };
		m.msg_name = &a[0];
		m.msg_namelen = sizeof(a[0]);
		CHECK_EQ(i, gs_sendmsg(fd[1], &m, 0));
		iov.iov_len = 100;
		m.msg_name = &from;
		m.msg_namelen = sizeof(from);
		memset(&from, 0, sizeof(from));
		CHECK_EQ(i, gs_recvmsg(fd[1], &m, 0));
		CHECK_EQ(sizeof(from), m.msg_namelen);
		CHECK_EQ(a[0].sin_port, from.sin_port);
	}
	if (plain)
		CHECK_EQ(0, fcntl(fd[0], F_GETFL) & O_NONBLOCK);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

TEST_GO(udp_addresses)
{
	udp_echo(false);
	udp_echo(true);
}

struct sink {
	int fd;
	int n;
	gs_wg wg;
};

/* Begins when the sender has found the queue full. */
static void drain(void *arg)
{
	struct sink *s = arg;
	char buf[1000];
	int i;

	gs_sleep(10 * MS);
	for (i = 0; i < s->n; i++) {
		CHECK_EQ(1000, gs_recv(s->fd, buf, sizeof(buf), 0));
		CHECK_EQ((char)i, buf[0]);
	}
	gs_wg_done(&s->wg);
}

/* Datagrams of somebody else's, until no more go. Return: how many. */
static int fill(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), n = 0;
	char buf[1000] = { 0 };

	while (sendto(fd, buf, sizeof(buf), MSG_DONTWAIT, (const struct sockaddr *)a,
		      sizeof(*a)) > 0)
		buf[0] = (char)++n;
	CHECK_EQ(0, close(fd));
	return n;
}

/* Somebody else has filled a receiver's queue: the sender looks, but not all the time. */
static void unix_full_queue(bool connected, bool msg)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct sink s = { .fd = gs_socket(AF_UNIX, SOCK_DGRAM, 0) };
	int fd = gs_socket(AF_UNIX, SOCK_DGRAM, 0), i;
	char buf[1000];
	struct iovec iov = { buf, 1000 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	socklen_t len = 0;
	int64_t begin;
	long eagains;

	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "gsched-msg-%d", getpid());
	CHECK_EQ(0, bind(s.fd, (struct sockaddr *)&a, sizeof(a)));
	if (connected) {
		CHECK_EQ(0, gs_connect(fd, (struct sockaddr *)&a, sizeof(a)));
	} else {
		len = sizeof(a);
		m.msg_name = &a;
		m.msg_namelen = len;
	}
	i = fill(&a);
	CHECK(i > 0);
	s.n = i + 200;
	eagains = __atomic_load_n(&send_eagains, __ATOMIC_RELAXED);
	begin = gs_now();
	gs_wg_add(&s.wg, 1);
	go(drain, &s);
	for (; i < s.n; i++) {
		memset(buf, i, sizeof(buf));
		if (msg)
			CHECK_EQ(1000, gs_sendmsg(fd, &m, 0));
		else
			CHECK_EQ(1000, gs_sendto(fd, buf, 1000, 0,
						 len ? (struct sockaddr *)&a : NULL, len));
	}
	eagains = __atomic_load_n(&send_eagains, __ATOMIC_RELAXED) - eagains;
	CHECK(eagains <= (gs_now() - begin) / MS + 5);
	gs_wg_wait(&s.wg);
	gs_close(fd);
	gs_close(s.fd);
}

TEST_GO(unix_full_queue)
{
	int i;

	for (i = 0; i < 4; i++)
		unix_full_queue(i & 1, i & 2);
}

/* ------------------------------------------------------------------ control data */

union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int))];
};

/* Message @iov[n] with descriptor @pass, or -1: without. */
static ssize_t send_fd(int fd, struct iovec *iov, size_t n, int pass)
{
	union fd_control c = { .align.cmsg_len = CMSG_LEN(sizeof(int)) };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };

	if (pass >= 0) {
		c.align.cmsg_level = SOL_SOCKET;
		c.align.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&c.align), &pass, sizeof(pass));
		m.msg_control = c.buf;
		m.msg_controllen = sizeof(c.buf);
	}
	return gs_sendmsg(fd, &m, 0);
}

/* Return: gs_recvmsg's result; @pass: the descriptor that came, or -1. */
static ssize_t recv_fd(int fd, struct iovec *iov, size_t n, int flags, int *pass)
{
	union fd_control c = { .align.cmsg_len = 0 };
	struct msghdr m = {
		.msg_iov = iov, .msg_iovlen = n,
		.msg_control = c.buf, .msg_controllen = sizeof(c.buf),
	};
	ssize_t ret = gs_recvmsg(fd, &m, flags);

	*pass = -1;
	CHECK_EQ(0, m.msg_flags & MSG_CTRUNC);
	if (ret > 0 && m.msg_controllen) {
		CHECK_EQ(SCM_RIGHTS, c.align.cmsg_type);
		memcpy(pass, CMSG_DATA(&c.align), sizeof(*pass));
	}
	return ret;
}

static void send_pipe(void *arg)
{
	int fd = FD_OF(arg), p[2];
	struct iovec iov = { "here", 4 };

	gs_sleep(5 * MS);
	CHECK_EQ(0, pipe(p));
	CHECK_EQ(4, send_fd(fd, &iov, 1, p[0]));
	CHECK_EQ(0, gs_close(p[0]));
	CHECK_EQ(6, gs_write(p[1], "inside", 6));
	CHECK_EQ(0, gs_close(p[1]));
}

static void pass_fd(int type)
{
	char buf[10];
	struct iovec iov = { buf, sizeof(buf) };
	int fd[2], got;

	CHECK_EQ(0, socketpair(AF_UNIX, type, 0, fd));
	go(send_pipe, FD_ARG(fd[1]));
	CHECK_EQ(4, recv_fd(fd[0], &iov, 1, 0, &got));
	CHECK(got >= 0);
	CHECK_EQ(6, gs_read(got, buf, sizeof(buf)));
	CHECK(!memcmp(buf, "inside", 6));
	CHECK_EQ(0, gs_read(got, buf, sizeof(buf)));
	gs_close(got);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

TEST_GO(pass_descriptors)
{
	pass_fd(SOCK_STREAM);
	pass_fd(SOCK_DGRAM);
	pass_fd(SOCK_SEQPACKET);
}

struct large {
	int fd;
	size_t len;
	gs_wg wg;
};

#define PARTS 200

static void send_large(void *arg)
{
	struct large *l = arg;
	size_t each = l->len / PARTS;
	char *buf = malloc(l->len);
	struct iovec iov[PARTS];
	int i;

	for (i = 0; i < PARTS; i++) {
		iov[i] = (struct iovec){ buf + i * each, each };
		memset(iov[i].iov_base, i, each);
	}
	CHECK_EQ(l->len, send_fd(l->fd, iov, PARTS, 0));
	free(buf);
	gs_wg_done(&l->wg);
}

/* A send that takes many attempts passes its descriptor once, with the first byte. */
TEST_GO(large_message_one_descriptor)
{
	struct large l = { .len = PARTS * 10000 };
	char *buf = malloc(l.len);
	int fd[2], got, nr = 0, i;
	struct iovec iov;
	size_t at;
	ssize_t n;

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	l.fd = fd[1];
	gs_wg_add(&l.wg, 1);
	go(send_large, &l);
	for (at = 0; at < l.len; at += n) {
		iov = (struct iovec){ buf + at, l.len - at };
		n = recv_fd(fd[0], &iov, 1, 0, &got);
		CHECK(n > 0);
		if (got >= 0) {
			CHECK_EQ(0, at);
			nr++;
			gs_close(got);
		}
	}
	CHECK_EQ(1, nr);
	for (i = 0; i < PARTS; i++)
		CHECK(buf[i * 10000] == (char)i && buf[i * 10000 + 9999] == (char)i);
	gs_wg_wait(&l.wg);
	free(buf);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

static void send_in_pieces(void *arg)
{
	int fd = FD_OF(arg), i;
	struct iovec iov = { "0123456789", 10 };

	for (i = 0; i < 10; i++) {
		gs_sleep(MS);
		CHECK_EQ(10, send_fd(fd, &iov, 1, i == 5 ? fd : -1));
	}
}

/* MSG_WAITALL over many pieces; it stops behind the one with a descriptor. */
TEST_GO(waitall)
{
	char buf[100];
	struct iovec iov[3] = { { buf, 7 }, { buf + 7, 0 }, { buf + 7, 93 } };
	int fd[2], got, i;

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	go(send_in_pieces, FD_ARG(fd[1]));
	CHECK_EQ(60, recv_fd(fd[0], iov, 3, MSG_WAITALL, &got));
	CHECK(got >= 0);
	gs_close(got);
	for (i = 0; i < 60; i++)
		CHECK_EQ('0' + i % 10, buf[i]);
	iov[2].iov_len = 33;
	CHECK_EQ(40, recv_fd(fd[0], iov, 3, MSG_WAITALL, &got));
	CHECK_EQ(-1, got);
	for (i = 0; i < 40; i++)
		CHECK_EQ('0' + i % 10, buf[i]);
	gs_close(fd[1]);
	CHECK_EQ(0, recv_fd(fd[0], iov, 3, MSG_WAITALL, &got));
	gs_close(fd[0]);
}

TEST_GO(flags_of_messages)
{
	char buf[4], control[100];
	struct iovec iov = { buf, 4 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };
	int fd[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, fd));
	CHECK_EQ(8, gs_send(fd[1], "too long", 8, 0));
	m.msg_controllen = sizeof(control);
	CHECK_EQ(8, gs_recvmsg(fd[0], &m, MSG_TRUNC));
	CHECK_EQ(MSG_TRUNC, m.msg_flags & MSG_TRUNC);
	CHECK_EQ(0, m.msg_controllen);
	CHECK_EQ(-EAGAIN, gs_recvmsg(fd[0], &m, MSG_DONTWAIT));
	CHECK_EQ(-EAGAIN, gs_recvfrom(fd[0], buf, 4, MSG_DONTWAIT, NULL, NULL));
	gs_close(fd[0]);
	gs_close(fd[1]);
}

/* An empty error queue is never waited for. */
TEST_GO(error_queue)
{
	struct sockaddr_in a, dead;
	char buf[100], control[200];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd = udp_bound(&a, false), gone = udp_bound(&dead, false), one = 1;

	CHECK_EQ(-EAGAIN, gs_recvmsg(fd, &m, MSG_ERRQUEUE));
	CHECK_EQ(-EAGAIN, gs_recv(fd, buf, 1, MSG_ERRQUEUE));
	CHECK_EQ(0, setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one)));
	CHECK_EQ(0, gs_close(gone));
	CHECK_EQ(0, gs_connect(fd, (struct sockaddr *)&dead, sizeof(dead)));
	CHECK_EQ(1, gs_send(fd, "x", 1, 0));
	CHECK_EQ(-ECONNREFUSED, gs_recv(fd, buf, 1, 0));
	m.msg_control = control;
	m.msg_controllen = sizeof(control);
	CHECK_EQ(1, gs_recvmsg(fd, &m, MSG_ERRQUEUE));
	CHECK(m.msg_flags & MSG_ERRQUEUE && m.msg_controllen);
	CHECK_EQ(-EAGAIN, gs_recvmsg(fd, &m, MSG_ERRQUEUE));
	gs_close(fd);
}

/* ------------------------------------------------------------- deadlines, errors */

TEST_GO(deadlines)
{
	static char buf[8 << 20];
	struct iovec iov[2] = { { buf, sizeof(buf) / 2 }, { buf + sizeof(buf) / 2, 9 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	struct sockaddr_in a;
	int fd[2], pair[2], u = udp_bound(&a, false);
	ssize_t n;

	tcp_pair(fd);
	CHECK_EQ(-ETIMEDOUT, gs_recvmsg_until(fd[0], &m, 0, 0));
	CHECK_EQ(-ETIMEDOUT, gs_recvmsg_until(fd[0], &m, 0, gs_now() + 5 * MS));
	CHECK_EQ(-ETIMEDOUT, gs_recvmsg_until(fd[0], &m, MSG_WAITALL, gs_now() + 5 * MS));
	CHECK_EQ(-ETIMEDOUT, gs_recvfrom_until(u, buf, 1, 0, NULL, NULL, gs_now() + 5 * MS));
	/* Of TCP nobody could say when its buffers are full for good. */
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	n = gs_sendmsg_until(pair[1], &m, 0, gs_now() + 20 * MS);
	CHECK(n > 0);
	while (n > 0)
		n = gs_sendmsg_until(pair[1], &m, 0, gs_now() + 20 * MS);
	CHECK_EQ(-ETIMEDOUT, n);
	CHECK_EQ(-ETIMEDOUT, gs_sendto_until(pair[1], buf, 1 << 20, 0, NULL, 0, gs_now() + MS));
	gs_close(pair[0]);
	gs_close(pair[1]);
	gs_close(fd[0]);
	gs_close(fd[1]);
	gs_close(u);
}

TEST_GO(bad_input)
{
	char c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct sockaddr_in a = loopback(9);
	int fd[2];

	CHECK_EQ(-EBADF, gs_recvmsg(-1, &m, 0));
	CHECK_EQ(-EBADF, gs_sendmsg(900, &m, 0));
	CHECK_EQ(-EBADF, gs_recvfrom(900, &c, 1, 0, NULL, NULL));
	CHECK_EQ(-EBADF, gs_sendto(-1, &c, 1, 0, (struct sockaddr *)&a, sizeof(a)));
	CHECK_EQ(0, pipe(fd));
	CHECK_EQ(-ENOTSOCK, gs_recvmsg(fd[0], &m, 0));
	CHECK_EQ(-ENOTSOCK, gs_sendmsg(fd[1], &m, 0));
	CHECK_EQ(-ENOTSOCK, gs_sendto(fd[1], &c, 1, 0, NULL, 0));
	gs_close(fd[0]);
	gs_close(fd[1]);
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, fd));
	m.msg_iovlen = IOV_MAX + 1;
	CHECK_EQ(-EMSGSIZE, gs_recvmsg(fd[0], &m, 0));
	CHECK_EQ(-EMSGSIZE, gs_sendmsg(fd[0], &m, 0));
	iov.iov_len = -1;
	m.msg_iovlen = 1;
	CHECK_EQ(-EINVAL, gs_sendmsg(fd[0], &m, 0));
	CHECK_EQ(0, gs_close(fd[1]));
	CHECK_EQ(-ECONNREFUSED, gs_sendto(fd[0], &c, 1, MSG_NOSIGNAL, NULL, 0));
	gs_close(fd[0]);
}

/* A thread that is no goroutine waits in poll(2). */
TEST(plain_thread)
{
	char buf[10];
	struct iovec iov = { buf, 10 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct sockaddr_in a, from;
	socklen_t len = sizeof(from);
	int fd = udp_bound(&a, true);

	EXPECT_EQ(-ETIMEDOUT, gs_recvmsg_until(fd, &m, 0, gs_now() + 5 * MS));
	EXPECT_EQ(3, gs_sendto(fd, "abc", 3, 0, (struct sockaddr *)&a, sizeof(a)));
	EXPECT_EQ(3, gs_recvfrom(fd, buf, 10, 0, (struct sockaddr *)&from, &len));
	EXPECT_EQ(a.sin_port, from.sin_port);
	m.msg_name = &a;
	m.msg_namelen = sizeof(a);
	EXPECT_EQ(10, gs_sendmsg(fd, &m, 0));
	EXPECT_EQ(10, gs_recvmsg(fd, &m, 0));
	EXPECT_EQ(0, gs_close(fd));
}

TEST_HARNESS_MAIN
