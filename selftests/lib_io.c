// SPDX-License-Identifier: GPL-2.0
/* The calls with the system calls' shapes: kinds of files, deadlines, errors. */
#include "lib_net.h"

/* ----------------------------------------------- a stream, whatever it is made of */

struct stream {
	int rd, wr;
	gs_wg wg;
	size_t bytes;
};

/* What is at @i: a run of 256 bytes 0..255, rotated by one in each block. */
static void pattern(char *buf, size_t at, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		buf[i] = (char)(at + i + (at + i) / 256);
}

static void stream_write(void *arg)
{
	struct stream *s = arg;
	char *buf = malloc(s->bytes);

	pattern(buf, 0, s->bytes);
	CHECK_EQ(s->bytes, gs_write(s->wr, buf, s->bytes));
	free(buf);
	CHECK_EQ(0, gs_close(s->wr));
	gs_wg_done(&s->wg);
}

/* All bytes arrive in order, then the end; read with sizes around the writer's. */
static void stream_run(int rd, int wr)
{
	struct stream s = { .rd = rd, .wr = wr, .bytes = TIMES(3000000) };
	static char buf[50000], expected[50000];
	size_t at = 0;
	ssize_t n;

	gs_wg_add(&s.wg, 1);
	go(stream_write, &s);
	while ((n = gs_read(rd, buf, 1 + at % sizeof(buf)))) {
		CHECK(n > 0);
		pattern(expected, at, n);
		CHECK(!memcmp(expected, buf, n));
		at += n;
	}
	CHECK_EQ(s.bytes, at);
	gs_wg_wait(&s.wg);
	CHECK_EQ(0, gs_close(rd));
}

TEST_GO(stream_pipe_blocking)
{
	int p[2];

	CHECK_EQ(0, pipe(p));
	stream_run(p[0], p[1]);
}

TEST_GO(stream_pipe_nonblocking)
{
	int p[2];

	CHECK_EQ(0, pipe2(p, O_NONBLOCK));
	stream_run(p[0], p[1]);
}

TEST_GO(stream_tcp)
{
	int fd[2];

	tcp_pair(fd);
	stream_run(fd[0], fd[1]);
}

TEST_GO(stream_tcp_blocking)
{
	int fd[2];

	tcp_pair_plain(fd);
	stream_run(fd[0], fd[1]);
	CHECK_EQ(-1, fcntl(fd[0], F_GETFL));
}

TEST_GO(stream_unix)
{
	int fd[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	stream_run(fd[0], fd[1]);
}

/* Handed-in descriptors keep their flags. */
TEST_GO(flags_untouched)
{
	int fd[4], i;
	char c;

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	CHECK_EQ(0, pipe(fd + 2));
	for (i = 0; i < 4; i += 2) {
		CHECK_EQ(-ETIMEDOUT, gs_read_until(fd[i], &c, 1, gs_now() + MS));
		CHECK_EQ(1, gs_write(fd[i + 1], "x", 1));
		CHECK_EQ(1, gs_read(fd[i], &c, 1));
		CHECK_EQ(0, fcntl(fd[i], F_GETFL) & O_NONBLOCK);
		CHECK_EQ(0, fcntl(fd[i + 1], F_GETFL) & O_NONBLOCK);
		CHECK_EQ(0, gs_close(fd[i]));
		CHECK_EQ(0, gs_close(fd[i + 1]));
	}
}

/* ------------------------------------------------------------ messages, counters */

/* Goroutines that use a test's descriptors: they have ended when it closes those. */
static gs_wg others;

static void go_with_fd(void (*fn)(void *), int fd)
{
	gs_wg_add(&others, 1);
	go(fn, FD_ARG(fd));
}

static void send_three(void *arg)
{
	int fd = FD_OF(arg);

	CHECK_EQ(3, gs_write(fd, "abc", 3));
	CHECK_EQ(1, gs_send(fd, "d", 1, 0));
	CHECK_EQ(0, gs_send(fd, "", 0, 0));
	gs_wg_done(&others);
}

static void datagrams(int type)
{
	char buf[10];
	int fd[2];

	CHECK_EQ(0, socketpair(AF_UNIX, type, 0, fd));
	go_with_fd(send_three, fd[1]);
	CHECK_EQ(3, gs_recv(fd[0], buf, sizeof(buf), 0));
	CHECK(!memcmp(buf, "abc", 3));
	CHECK_EQ(0, gs_read(fd[0], buf, 0));	/* takes no message */
	CHECK_EQ(1, gs_read(fd[0], buf, sizeof(buf)));
	CHECK_EQ(0, gs_recv(fd[0], buf, sizeof(buf), 0));
	CHECK_EQ(-ETIMEDOUT, gs_read_until(fd[0], buf, 1, 0));
	gs_wg_wait(&others);
	CHECK_EQ(0, gs_close(fd[0]));
	CHECK_EQ(0, gs_close(fd[1]));
}

TEST_GO(datagram_unix)
{
	datagrams(SOCK_DGRAM);
}

TEST_GO(seqpacket_unix)
{
	datagrams(SOCK_SEQPACKET);
}

struct sink {
	int fd;
	int n;
	gs_wg wg;
};

static void drain(void *arg)
{
	struct sink *s = arg;
	char buf[1000];
	int i;

	for (i = 0; i < s->n; i++)
		CHECK_EQ(1000, gs_read(s->fd, buf, sizeof(buf)));
	CHECK_EQ(0, gs_close(s->fd));
	gs_wg_done(&s->wg);
}

/* A full queue of datagrams parks the sender. */
TEST_GO(datagram_backpressure)
{
	static char buf[1000];
	struct sink s = { .n = 2000 };
	int fd[2], i;

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, fd));
	s.fd = fd[0];
	gs_wg_add(&s.wg, 1);
	go(drain, &s);
	for (i = 0; i < s.n; i++)
		CHECK_EQ(1000, gs_write(fd[1], buf, sizeof(buf)));
	CHECK_EQ(0, gs_close(fd[1]));
	gs_wg_wait(&s.wg);
}

static void add_seven(void *arg)
{
	uint64_t seven = 7;

	gs_sleep(5 * MS);
	CHECK_EQ(8, gs_write(FD_OF(arg), &seven, 8));
	gs_wg_done(&others);
}

static void eventfd_run(int flags)
{
	int fd = eventfd(0, flags);
	uint64_t v;

	go_with_fd(add_seven, fd);
	CHECK_EQ(8, gs_read(fd, &v, 8));
	CHECK_EQ(7, v);
	CHECK_EQ(-ETIMEDOUT, gs_read_until(fd, &v, 8, gs_now() + MS));
	CHECK_EQ(8, gs_write(fd, &v, 8));
	CHECK_EQ(-EINVAL, gs_read(fd, &v, 4));
	gs_wg_wait(&others);
	CHECK_EQ(0, gs_close(fd));
}

TEST_GO(eventfd)
{
	eventfd_run(0);
	eventfd_run(EFD_NONBLOCK);
}

TEST_GO(regular_file)
{
	char name[] = "/tmp/gsched-XXXXXX", buf[10];
	int fd = mkstemp(name);

	CHECK(fd >= 0);
	CHECK_EQ(5, gs_write(fd, "hello", 5));
	CHECK_EQ(0, lseek(fd, 0, SEEK_SET));
	CHECK_EQ(5, gs_read(fd, buf, sizeof(buf)));
	CHECK_EQ(0, gs_read(fd, buf, sizeof(buf)));
	CHECK_EQ(0, gs_read_until(fd, buf, sizeof(buf), 0));
	CHECK_EQ(-EPERM, gs_wait_fd(fd, POLLIN));
	CHECK_EQ(-ENOTSOCK, gs_recv(fd, buf, sizeof(buf), 0));
	CHECK_EQ(0, gs_close(fd));
	CHECK_EQ(-EBADF, gs_close(fd));
	unlink(name);

	fd = open("/dev/null", O_RDWR);
	CHECK_EQ(0, gs_read(fd, buf, sizeof(buf)));
	CHECK_EQ(10, gs_write(fd, buf, 10));
	CHECK_EQ(0, gs_close(fd));
}

TEST_GO(bad_descriptors)
{
	char c = 0;

	CHECK_EQ(-EBADF, gs_read(-1, &c, 1));
	CHECK_EQ(-EBADF, gs_read(-1, &c, 0));
	CHECK_EQ(-EBADF, gs_write(900, &c, 1));
	CHECK_EQ(-EBADF, gs_read(900, &c, 1));
	CHECK_EQ(-EBADF, gs_recv(900, &c, 1, 0));
	CHECK_EQ(-EBADF, gs_accept(900, NULL, NULL));
	CHECK_EQ(-EBADF, gs_wait_fd(900, POLLIN));
	CHECK_EQ(-EBADF, gs_close(900));
	CHECK_EQ(-EBADF, gs_close(-1));
	CHECK_EQ(-EINVAL, gs_wait_fd(0, POLLIN | POLLOUT));
	CHECK_EQ(-EAFNOSUPPORT, gs_socket(12345, SOCK_STREAM, 0));
}

/* -------------------------------------------------------------------- deadlines */

/*
 * Something to read has arrived, and no wait of the library's was needed for that. A sleep
 * would not do: a packet may be left to ksoftirqd, which may have to wait for its CPU.
 */
static void arrived(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	CHECK_EQ(1, poll(&p, 1, 10000));
}

TEST_GO(read_deadlines)
{
	int64_t t, before;
	int fd[2], i;
	char c;

	tcp_pair(fd);
	CHECK_EQ(-ETIMEDOUT, gs_read_until(fd[0], &c, 1, 0));
	CHECK_EQ(-ETIMEDOUT, gs_read_until(fd[0], &c, 1, gs_now() - MS));
	for (i = 0; i < 5; i++) {
		before = gs_now();
		t = before + 10 * MS;
		CHECK_EQ(-ETIMEDOUT, gs_read_until(fd[0], &c, 1, t));
		CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	}
	CHECK_EQ(1, gs_write(fd[1], "x", 1));
	CHECK_EQ(1, gs_read_until(fd[0], &c, 1, gs_now() + 5000 * MS));
	CHECK_EQ(1, gs_write(fd[1], "y", 1));
	arrived(fd[0]);
	CHECK_EQ(1, gs_read_until(fd[0], &c, 1, 0));
	CHECK_EQ('y', c);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

/* What was written before the deadline is reported. */
TEST_GO(write_deadline)
{
	static char buf[8 << 20];
	ssize_t n;
	int fd[2];

	tcp_pair(fd);
	n = gs_write_until(fd[1], buf, sizeof(buf), gs_now() + 20 * MS);
	CHECK(n > 0 && n < (ssize_t)sizeof(buf));
	/* The receiver's window may still grow a little. */
	while (n > 0)
		n = gs_write_until(fd[1], buf, sizeof(buf), gs_now() + 20 * MS);
	CHECK_EQ(-ETIMEDOUT, n);
	while (n > 0 || n == -ETIMEDOUT)
		n = gs_send(fd[1], buf, 1 << 20, MSG_DONTWAIT);
	CHECK_EQ(-EAGAIN, n);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

static void read_one(void *arg)
{
	char c;

	CHECK_EQ(1, gs_read(FD_OF(arg), &c, 1));
	CHECK_EQ(1, gs_write(FD_OF(arg), &c, 1));
	gs_wg_done(&others);
}

TEST_GO(deadline_behind_another_reader)
{
	int fd[2];
	char c;

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	go_with_fd(read_one, fd[0]);
	gs_sleep(5 * MS);
	CHECK_EQ(-ETIMEDOUT, gs_read_until(fd[0], &c, 1, 0));
	CHECK_EQ(-ETIMEDOUT, gs_read_until(fd[0], &c, 1, gs_now() + 5 * MS));
	CHECK_EQ(2, gs_write(fd[1], "12", 2));
	CHECK_EQ(1, gs_read(fd[1], &c, 1));
	CHECK_EQ('1', c);
	CHECK_EQ(1, gs_read(fd[0], &c, 1));
	CHECK_EQ('2', c);
	gs_wg_wait(&others);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

struct hurry {
	int rd, wr;
	int n;
	unsigned int seed;
	gs_wg wg;
};

static void write_slowly(void *arg)
{
	struct hurry *h = arg;
	unsigned int r = h->seed;
	int i;

	for (i = 0; i < h->n; i++) {
		CHECK_EQ(4, gs_write(h->wr, &i, 4));
		if (rnd(&r) % 2)
			gs_sleep(rnd(&r) % 60000);
	}
	gs_wg_done(&h->wg);
}

/* Deadlines around the time of the data: nothing is lost, nobody sleeps on. */
static void deadlines_race(int rd, int wr)
{
	struct hurry h = { .rd = rd, .wr = wr, .n = TIMES(5000), .seed = test_seed() };
	unsigned int r = h.seed + 1;
	int i = 0, v, late = 0;
	ssize_t n;

	gs_wg_add(&h.wg, 1);
	go(write_slowly, &h);
	while (i < h.n) {
		n = gs_recv_until(rd, &v, 4, MSG_WAITALL, gs_now() + rnd(&r) % 60000);
		if (n == -ETIMEDOUT) {
			late++;
			continue;
		}
		CHECK_EQ(4, n);
		CHECK_EQ(i, v);
		i++;
	}
	gs_wg_wait(&h.wg);
	printf("# %d deadlines passed\n", late);
	fflush(stdout);
	gs_close(rd);
	gs_close(wr);
}

TEST_GO(deadlines_race_tcp)
{
	int fd[2], one = 1;

	tcp_pair(fd);
	setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	deadlines_race(fd[0], fd[1]);
}

TEST_GO(deadlines_race_unix)
{
	int fd[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	deadlines_race(fd[0], fd[1]);
}

/* ----------------------------------------------------------- TCP's special cases */

/* Teach the library that a short read drains this socket: two messages. */
static void warm_up(int rd, int wr)
{
	char buf[100];
	int i;

	for (i = 0; i < 3; i++) {
		CHECK_EQ(-ETIMEDOUT, gs_read_until(rd, buf, sizeof(buf), gs_now() + MS));
		CHECK_EQ(2, gs_write(wr, "hi", 2));
		CHECK_EQ(2, gs_read(rd, buf, sizeof(buf)));
	}
}

static void data_then_fin(void *arg)
{
	int fd = FD_OF(arg);

	gs_sleep(3 * MS);
	CHECK_EQ(3, send(fd, "bye", 3, MSG_MORE));	/* leaves with the FIN */
	CHECK_EQ(0, shutdown(fd, SHUT_WR));
	gs_wg_done(&others);
}

/*
 * Data and end in one event: the short read must not hide the end. In turn the
 * reader waits for the event, and reads when all events are over.
 */
TEST_GO(data_and_fin)
{
	char buf[100];
	int fd[2], i;

	for (i = 0; i < 20; i++) {
		tcp_pair(fd);
		warm_up(fd[0], fd[1]);
		go_with_fd(data_then_fin, fd[1]);
		if (i % 2)
			gs_sleep(10 * MS);
		CHECK_EQ(3, gs_read(fd[0], buf, sizeof(buf)));
		CHECK_EQ(0, recv_soon(fd[0], buf, sizeof(buf), 0));
		gs_wg_wait(&others);
		gs_close(fd[0]);
		gs_close(fd[1]);
	}
}

static void data_then_reset(void *arg)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };
	int fd = FD_OF(arg);

	gs_sleep(3 * MS);
	CHECK_EQ(3, gs_write(fd, "bye", 3));
	CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	CHECK_EQ(0, gs_close(fd));
	gs_wg_done(&others);
}

TEST_GO(data_and_reset)
{
	char buf[100];
	int fd[2], i;
	ssize_t n;

	for (i = 0; i < 20; i++) {
		tcp_pair(fd);
		warm_up(fd[0], fd[1]);
		go_with_fd(data_then_reset, fd[1]);
		if (i % 2)
			gs_sleep(10 * MS);
		n = gs_read(fd[0], buf, sizeof(buf));
		CHECK(n == 3 || n == -ECONNRESET);
		if (n == 3)
			CHECK_EQ(-ECONNRESET, recv_soon(fd[0], buf, sizeof(buf), 0));
		CHECK_EQ(-EPIPE, gs_write(fd[0], "x", 1));
		gs_wg_wait(&others);
		gs_close(fd[0]);
	}
}

static void urgent(void *arg)
{
	int fd = FD_OF(arg);

	gs_sleep(3 * MS);
	CHECK_EQ(2, gs_write(fd, "ab", 2));
	CHECK_EQ(1, gs_send(fd, "!", 1, MSG_OOB));
	CHECK_EQ(2, gs_write(fd, "cd", 2));
	gs_wg_done(&others);
}

/* Reads stop at the urgent mark: a short one there has not emptied the queue. */
TEST_GO(urgent_data)
{
	char buf[100], c;
	int fd[2], i, got;
	ssize_t n;

	for (i = 0; i < 20; i++) {
		tcp_pair(fd);
		warm_up(fd[0], fd[1]);
		go_with_fd(urgent, fd[1]);
		if (i % 2)
			gs_sleep(10 * MS);
		for (got = 0; got < 4; got += n) {
			if (got == 2) {
				while ((n = gs_recv(fd[0], &c, 1, MSG_OOB)) == -EINVAL)
					gs_yield();	/* not sent yet */
				CHECK_EQ(1, n);
				CHECK_EQ('!', c);
			}
			n = recv_soon(fd[0], buf + got, sizeof(buf) - got, 0);
			CHECK(n > 0);
		}
		CHECK(!memcmp(buf, "abcd", 4));
		gs_wg_wait(&others);
		gs_close(fd[0]);
		gs_close(fd[1]);
	}
}

/* Peeking takes nothing, so it says nothing of what is left. */
TEST_GO(peek)
{
	char buf[100];
	int fd[2];

	tcp_pair(fd);
	warm_up(fd[0], fd[1]);
	CHECK_EQ(2, gs_write(fd[1], "hi", 2));
	arrived(fd[0]);
	CHECK_EQ(2, gs_recv(fd[0], buf, sizeof(buf), MSG_PEEK));
	CHECK_EQ(2, recv_soon(fd[0], buf, sizeof(buf), MSG_PEEK));
	CHECK_EQ(2, recv_soon(fd[0], buf, sizeof(buf), 0));
	CHECK_EQ(-EINVAL, gs_recv(fd[0], buf, 1, MSG_OOB));
	CHECK_EQ(-EAGAIN, gs_recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT));
	gs_close(fd[0]);
	gs_close(fd[1]);
}

static void write_in_pieces(void *arg)
{
	int i;

	for (i = 0; i < 10; i++) {
		gs_sleep(MS);
		CHECK_EQ(10, gs_write(FD_OF(arg), "0123456789", 10));
	}
	gs_wg_done(&others);
}

TEST_GO(waitall)
{
	char buf[100];
	int fd[2];

	tcp_pair(fd);
	go_with_fd(write_in_pieces, fd[1]);
	CHECK_EQ(95, gs_recv(fd[0], buf, 95, MSG_WAITALL));
	CHECK_EQ(5, gs_recv(fd[0], buf, 100, 0));
	gs_wg_wait(&others);
	gs_close(fd[1]);
	CHECK_EQ(0, gs_recv(fd[0], buf, 100, MSG_WAITALL));
	gs_close(fd[0]);
}

/* The library's gs_write gives no SIGPIPE on sockets. */
TEST_GO(no_sigpipe)
{
	int fd[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	CHECK_EQ(0, gs_close(fd[0]));
	CHECK_EQ(-EPIPE, gs_write(fd[1], "x", 1));
	CHECK_EQ(-EPIPE, gs_send(fd[1], "x", 1, MSG_NOSIGNAL));
	CHECK_EQ(0, gs_close(fd[1]));
}

/* ------------------------------------------------------------ accept and connect */

TEST_GO(connect_refused)
{
	struct sockaddr_in a;
	int l = tcp_listen(false), fd = gs_socket(AF_INET, SOCK_STREAM, 0);

	a = loopback(port_of(l));
	CHECK_EQ(0, gs_close(l));
	CHECK_EQ(-ECONNREFUSED, gs_connect(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_EQ(0, gs_close(fd));
}

TEST_GO(connect_blocking_socket)
{
	int l = tcp_listen(false), fd = socket(AF_INET, SOCK_STREAM, 0), s;
	struct sockaddr_in a = loopback(port_of(l));
	char c;

	CHECK_EQ(0, gs_connect(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_EQ(-EISCONN, gs_connect(fd, (struct sockaddr *)&a, sizeof(a)));
	s = gs_accept(l, NULL, NULL);
	CHECK_EQ(1, gs_write(fd, "x", 1));
	CHECK_EQ(1, gs_read(s, &c, 1));
	CHECK_EQ(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(s, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(s, F_GETFD) & FD_CLOEXEC);
	gs_close(fd);
	gs_close(s);
	gs_close(l);
}

TEST_GO(accept_deadline)
{
	struct sockaddr_in a;
	socklen_t len;
	int l, fd, s, plain;

	for (plain = 0; plain < 2; plain++) {
		l = tcp_listen(plain);
		CHECK_EQ(-ETIMEDOUT, gs_accept_until(l, NULL, NULL, 0));
		CHECK_EQ(-ETIMEDOUT, gs_accept_until(l, NULL, NULL, gs_now() + 5 * MS));
		fd = tcp_connect(port_of(l));
		len = sizeof(a);
		s = gs_accept(l, (struct sockaddr *)&a, &len);
		CHECK(s >= 0);
		CHECK_EQ(sizeof(a), len);
		CHECK_EQ(port_of(fd), ntohs(a.sin_port));
		gs_close(s);
		gs_close(fd);
		gs_close(l);
	}
}

struct storm {
	int port;
	int each;
	gs_wg wg;
};

static void storm_connect(void *arg)
{
	struct storm *s = arg;
	int i, fd;
	char c;

	for (i = 0; i < s->each; i++) {
		fd = tcp_connect(s->port);
		CHECK_EQ(1, gs_write(fd, "x", 1));
		CHECK_EQ(1, gs_read(fd, &c, 1));
		CHECK_EQ(0, gs_close(fd));
	}
	gs_wg_done(&s->wg);
}

static void storm_serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char c;

	CHECK_EQ(1, gs_read(fd, &c, 1));
	CHECK_EQ(1, gs_write(fd, &c, 1));
	CHECK_EQ(0, gs_read(fd, &c, 1));
	CHECK_EQ(0, gs_close(fd));
}

static void accept_storm(bool plain)
{
	struct storm s = { .each = TIMES(200) };
	int l = tcp_listen(plain), i, fd;

	s.port = port_of(l);
	gs_wg_add(&s.wg, 8);
	for (i = 0; i < 8; i++)
		go(storm_connect, &s);
	for (i = 0; i < 8 * s.each; i++) {
		fd = gs_accept(l, NULL, NULL);
		CHECK(fd >= 0);
		go(storm_serve, (void *)(intptr_t)fd);
	}
	gs_wg_wait(&s.wg);
	CHECK_EQ(0, gs_close(l));
}

TEST_GO(accept_storms)
{
	accept_storm(false);
	accept_storm(true);
}

struct unix_client {
	struct sockaddr_un a;
	gs_wg wg;
};

static void unix_connect(void *arg)
{
	struct unix_client *u = arg;
	int fd = gs_socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK_EQ(0, gs_connect(fd, (struct sockaddr *)&u->a, sizeof(u->a)));
	CHECK_EQ(1, gs_write(fd, "x", 1));
	CHECK_EQ(0, gs_close(fd));
	gs_wg_done(&u->wg);
}

/* A full listen queue of a unix socket is waited for, though no event tells. */
TEST_GO(unix_backlog)
{
	struct unix_client u = { .a.sun_family = AF_UNIX };
	int l = gs_socket(AF_UNIX, SOCK_STREAM, 0), i, fd;
	char c;

	snprintf(u.a.sun_path + 1, sizeof(u.a.sun_path) - 1, "gsched-%d", getpid());
	CHECK_EQ(0, bind(l, (struct sockaddr *)&u.a, sizeof(u.a)));
	CHECK_EQ(0, listen(l, 1));
	gs_wg_add(&u.wg, 10);
	for (i = 0; i < 10; i++)
		go(unix_connect, &u);
	gs_sleep(5 * MS);
	for (i = 0; i < 10; i++) {
		fd = gs_accept(l, NULL, NULL);
		CHECK_EQ(1, gs_read(fd, &c, 1));
		CHECK_EQ(0, gs_close(fd));
	}
	gs_wg_wait(&u.wg);
	CHECK_EQ(0, gs_close(l));
}

/* ---------------------------------------------------------------- gs_wait_fd etc. */

TEST_GO(wait_fd)
{
	char buf[1000];
	int fd[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	CHECK_EQ(POLLOUT, gs_wait_fd(fd[0], POLLOUT));
	CHECK_EQ(-ETIMEDOUT, gs_wait_fd_until(fd[0], POLLIN, 0));
	CHECK_EQ(-ETIMEDOUT, gs_wait_fd_until(fd[0], POLLIN, gs_now() + 5 * MS));
	go_with_fd(write_in_pieces, fd[1]);
	CHECK_EQ(POLLIN, gs_wait_fd(fd[0], POLLIN));
	CHECK_EQ(POLLIN, gs_wait_fd(fd[0], POLLIN));	/* level triggered */
	CHECK_EQ(100, gs_recv(fd[0], buf, 100, MSG_WAITALL));
	gs_wg_wait(&others);
	CHECK_EQ(0, gs_close(fd[1]));
	CHECK_EQ(POLLIN | POLLHUP, gs_wait_fd(fd[0], POLLIN) & (POLLIN | POLLHUP));
	CHECK_EQ(0, gs_close(fd[0]));
}

struct readers {
	int fd;
	int got[3];
	gs_wg wg;
	int nr;
};

static void read_byte(void *arg)
{
	struct readers *r = arg;
	int me = __atomic_fetch_add(&r->nr, 1, __ATOMIC_RELAXED);
	unsigned char c;

	CHECK_EQ(1, gs_read(r->fd, &c, 1));
	r->got[me] = c;
	gs_wg_done(&r->wg);
}

/* Several readers of one descriptor queue. */
TEST_GO(readers_queue)
{
	struct readers r = { .nr = 0 };
	int fd[2], i;

	tcp_pair(fd);
	r.fd = fd[0];
	gs_wg_add(&r.wg, 3);
	for (i = 0; i < 3; i++)
		go(read_byte, &r);
	gs_sleep(10 * MS);
	CHECK_EQ(3, gs_write(fd[1], "\1\2\3", 3));
	gs_wg_wait(&r.wg);
	CHECK_EQ(6, r.got[0] + r.got[1] + r.got[2]);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

static void write_block(void *arg)
{
	struct readers *r = arg;
	static const char fill[3] = "abc";
	size_t len = 300000;
	char *buf = malloc(len);
	int me = __atomic_fetch_add(&r->nr, 1, __ATOMIC_RELAXED);

	memset(buf, fill[me], len);
	CHECK_EQ(len, gs_write(r->fd, buf, len));
	free(buf);
	gs_wg_done(&r->wg);
}

/* A gs_write is not cut in two by another one, however long it has to wait. */
TEST_GO(writers_queue)
{
	struct readers r = { .nr = 0 };
	char *buf = malloc(900000);
	int fd[2], i;

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	r.fd = fd[1];
	gs_wg_add(&r.wg, 3);
	for (i = 0; i < 3; i++)
		go(write_block, &r);
	CHECK_EQ(900000, gs_recv(fd[0], buf, 900000, MSG_WAITALL));
	for (i = 1; i < 900000; i++)
		CHECK(i % 300000 == 0 || buf[i] == buf[i - 1]);
	gs_wg_wait(&r.wg);
	free(buf);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

/* A thread that is no goroutine waits in poll(2). */
TEST(plain_thread)
{
	int fd[2], p[2];
	char c;

	EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	EXPECT_EQ(0, pipe(p));
	EXPECT_EQ(-ETIMEDOUT, gs_read_until(fd[0], &c, 1, gs_now() + 5 * MS));
	EXPECT_EQ(-ETIMEDOUT, gs_read_until(p[0], &c, 1, gs_now() + 5 * MS));
	EXPECT_EQ(1, gs_write(fd[1], "x", 1));
	EXPECT_EQ(1, gs_write(p[1], "x", 1));
	EXPECT_EQ(1, gs_read(fd[0], &c, 1));
	EXPECT_EQ(1, gs_read(p[0], &c, 1));
	EXPECT_EQ(0, gs_close(fd[0]));
	EXPECT_EQ(-EBADF, gs_close(fd[0]));
	EXPECT_EQ(-EPIPE, gs_write(fd[1], "x", 1));
}

TEST_HARNESS_MAIN
