// SPDX-License-Identifier: GPL-2.0
/* Closing under waiting goroutines, by the library and behind its back. */
/*
 * TSan takes a call on a number that another thread has just opened for a race. Here
 * numbers change their meaning under the calls on purpose.
 */
#define TSAN_SUPPRESSIONS \
	"race:^sys_recvfrom$\nrace:^sys_sendto$\nrace:^sys_read$\nrace:^sys_write$\n"
#include "lib_net.h"
#include "clock.h"

#include <pthread.h>
#include <sys/mman.h>

#include "../userlib/fdtable.h"
#include "../userlib/proc.h"

struct user {
	int fd;
	int (*call)(int fd);
	int result;
	bool done;
	gs_wg wg;
};

static int do_read(int fd)
{
	char c;

	return (int)gs_read(fd, &c, 1);
}

static int do_read_until(int fd)
{
	char c;

	return (int)gs_read_until(fd, &c, 1, gs_now() + 20000 * MS);
}

static int do_readv(int fd)
{
	char c;
	struct iovec iov = { &c, 1 };

	return (int)gs_readv(fd, &iov, 1);
}

static int do_recvmsg(int fd)
{
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return (int)gs_recvmsg(fd, &m, 0);
}

static int do_recvfrom(int fd)
{
	char c;

	return (int)gs_recvfrom(fd, &c, 1, 0, NULL, NULL);
}

static char large[16 << 20];
static struct iovec large_iov[2] = { { large, 1 }, { large, sizeof(large) } };

/* What was written before the close is reported; then the next one says it. */
static int write_again(ssize_t n)
{
	return n < 0 ? (int)n : n < (ssize_t)sizeof(large) ? -EBADF : 0;
}

static int do_write(int fd)
{
	return write_again(gs_write(fd, large, sizeof(large)));
}

static int do_writev(int fd)
{
	return write_again(gs_writev(fd, large_iov, 2));
}

static int do_sendmsg(int fd)
{
	struct msghdr m = { .msg_iov = large_iov, .msg_iovlen = 2 };

	return write_again(gs_sendmsg(fd, &m, 0));
}

static int do_sendto(int fd)
{
	return write_again(gs_sendto(fd, large, sizeof(large), 0, NULL, 0));
}

static int do_sendfile(int fd)
{
	int in = memfd_create("gsched", 0);
	ssize_t n;

	CHECK_EQ(0, ftruncate(in, sizeof(large)));
	n = gs_sendfile(fd, in, NULL, sizeof(large));
	close(in);
	return write_again(n);
}

static int do_accept(int fd)
{
	return gs_accept(fd, NULL, NULL);
}

static int do_wait(int fd)
{
	return gs_wait_fd(fd, POLLIN);
}

static void wait_call(void *arg)
{
	struct user *w = arg;

	w->result = w->call(w->fd);
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	gs_wg_done(&w->wg);
}

static uint64_t users(int fd)
{
	struct gs_fd *e = fd_find(fd);

	return e ? __atomic_load_n(&e->state, __ATOMIC_ACQUIRE) / FD_REF : 0;
}

/*
 * Returns when the call has begun: one that has not yet would mean whatever the
 * number means by then.
 */
static void start(struct user *w, int fd, int (*call)(int fd))
{
	uint64_t before = users(fd);

	memset(w, 0, sizeof(*w));
	w->fd = fd;
	w->call = call;
	gs_wg_add(&w->wg, 1);
	go(wait_call, w);
	while (users(fd) == before && !__atomic_load_n(&w->done, __ATOMIC_ACQUIRE))
		gs_yield();
}

static int finish(struct user *w)
{
	CHECK_EQ(0, gs_wg_wait_until(&w->wg, gs_now() + 10000 * MS));
	return w->result;
}

static void close_under(int fd, int other, int (*call)(int fd))
{
	struct user w;

	start(&w, fd, call);
	gs_sleep(5 * MS);
	CHECK(!__atomic_load_n(&w.done, __ATOMIC_ACQUIRE));
	CHECK_EQ(0, gs_close(fd));
	CHECK_EQ(-EBADF, finish(&w));
	CHECK_EQ(-1, fcntl(fd, F_GETFD));
	if (other >= 0)
		gs_close(other);
}

TEST_GO(close_under_read)
{
	int fd[2];

	tcp_pair(fd);
	close_under(fd[0], fd[1], do_read);
	tcp_pair_plain(fd);
	close_under(fd[0], fd[1], do_read_until);
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, fd));
	close_under(fd[0], fd[1], do_read);
	CHECK_EQ(0, pipe2(fd, O_NONBLOCK));
	close_under(fd[0], fd[1], do_read);
}

TEST_GO(close_under_write)
{
	int fd[2];

	tcp_pair(fd);
	close_under(fd[0], fd[1], do_write);
	CHECK_EQ(0, pipe2(fd, O_NONBLOCK));
	close_under(fd[1], fd[0], do_write);
}

TEST_GO(close_under_messages)
{
	static int (*const calls[])(int) = {
		do_readv, do_recvmsg, do_recvfrom, do_writev, do_sendmsg, do_sendto, do_sendfile,
	};
	unsigned int i;
	int fd[2];

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		tcp_pair(fd);
		close_under(fd[0], fd[1], calls[i]);
	}
	CHECK_EQ(0, pipe2(fd, O_NONBLOCK));
	close_under(fd[0], fd[1], do_readv);
	CHECK_EQ(0, pipe2(fd, O_NONBLOCK));
	close_under(fd[1], fd[0], do_writev);
	CHECK_EQ(0, pipe2(fd, O_NONBLOCK));
	close_under(fd[1], fd[0], do_sendfile);
}

TEST_GO(close_under_wait_fd)
{
	int fd[2];

	tcp_pair(fd);
	close_under(fd[0], fd[1], do_wait);
}

/* The waiting accept is gone when gs_close returns: the port is free. */
TEST_GO(close_under_accept)
{
	struct sockaddr_in a;
	struct user w;
	int l, fd, i;

	for (i = 0; i < 20; i++) {
		l = tcp_listen(false);
		a = loopback(port_of(l));
		start(&w, l, do_accept);
		gs_sleep(MS);
		CHECK_EQ(0, gs_close(l));
		fd = gs_socket(AF_INET, SOCK_STREAM, 0);
		CHECK_EQ(0, bind(fd, (struct sockaddr *)&a, sizeof(a)));
		CHECK_EQ(0, listen(fd, 1));
		CHECK_EQ(-EBADF, finish(&w));
		CHECK_EQ(0, gs_close(fd));
	}
}

/* A blocking descriptor: its user may sit in a system call, gs_close does not wait. */
TEST_GO(close_under_blocking_pipe)
{
	struct user w;
	int fd[2];

	CHECK_EQ(0, pipe(fd));
	start(&w, fd[0], do_read);
	gs_sleep(5 * MS);
	CHECK_EQ(0, gs_close(fd[0]));
	CHECK_EQ(-EBADF, finish(&w));
	CHECK_EQ(-1, fcntl(fd[0], F_GETFD));
	CHECK_EQ(0, gs_close(fd[1]));
}

TEST_GO(close_under_queue)
{
	struct user w[6];
	int fd[2], i;

	tcp_pair(fd);
	for (i = 0; i < 6; i++)
		start(&w[i], fd[0], i % 2 ? do_write : do_read);
	gs_sleep(10 * MS);
	CHECK_EQ(0, gs_close(fd[0]));
	for (i = 0; i < 6; i++)
		CHECK_EQ(-EBADF, finish(&w[i]));
	CHECK_EQ(-EBADF, gs_close(fd[0]));
	gs_close(fd[1]);
}

/* The peer hears of gs_close at once although a reader waited. */
TEST_GO(peer_sees_end)
{
	struct user w;
	int fd[2];
	char c;

	tcp_pair(fd);
	start(&w, fd[0], do_read);
	gs_sleep(5 * MS);
	CHECK_EQ(0, gs_close(fd[0]));
	CHECK_EQ(0, recv_soon(fd[1], &c, 1, 0));
	CHECK_EQ(-EBADF, finish(&w));
	gs_close(fd[1]);
}

/* ------------------------------------------------------------ behind our back */

/* Foreign close(): the waiter comes back and the system call says what is. */
TEST_GO(foreign_close)
{
	struct user w;
	int fd[2];

	tcp_pair(fd);
	start(&w, fd[0], do_read);
	gs_sleep(5 * MS);
	CHECK_EQ(0, close(fd[0]));
	CHECK_EQ(-EBADF, finish(&w));
	CHECK_EQ(0, recv_soon(fd[1], &(char){0}, 1, 0));
	gs_close(fd[1]);
}

/* Make number @fd mean @with (which goes), as foreign code would. */
static void replace(int fd, int with)
{
	CHECK_EQ(fd, dup2(with, fd));
	CHECK_EQ(0, close(with));
}

/* The waiter waits on for what the number means now. */
static void reuse(int fd, int other, int with, int feed)
{
	struct user w;

	start(&w, fd, do_read);
	gs_sleep(5 * MS);
	replace(fd, with);
	gs_sleep(20 * MS);
	CHECK_EQ(1, write(feed, "x", 1));
	CHECK_EQ(1, finish(&w));
	close(other);
	/* And again, with what is known by now. */
	start(&w, fd, do_read);
	gs_sleep(5 * MS);
	CHECK_EQ(1, write(feed, "x", 1));
	CHECK_EQ(1, finish(&w));
	CHECK_EQ(0, gs_close(fd));
	CHECK_EQ(0, close(feed));
}

TEST_GO(foreign_reuse)
{
	int a[2], b[2], kind;

	for (kind = 0; kind < 4; kind++) {
		tcp_pair(a);
		if (kind == 0)
			tcp_pair(b);
		else if (kind == 1)
			CHECK_EQ(0, pipe(b));
		else if (kind == 2)
			CHECK_EQ(0, pipe2(b, O_NONBLOCK));
		else
			CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, b));
		reuse(a[0], a[1], b[0], b[1]);
	}
}

TEST_GO(foreign_reuse_of_pipe)
{
	int a[2], b[2];

	CHECK_EQ(0, pipe2(a, O_NONBLOCK));
	tcp_pair_plain(b);
	reuse(a[0], a[1], b[0], b[1]);
	CHECK_EQ(0, pipe(a));
	CHECK_EQ(0, pipe2(b, O_NONBLOCK));
	reuse(a[0], a[1], b[0], b[1]);
}

/* A thread that gives a number one meaning after the other, while it is told one. */
struct changer {
	pthread_t thread;
	int fd[2];
	int number;			/* -1: none, -2: the end */
	int at;				/* the number that it changes now, -1: none */
	long changes;
};

static void *change(void *arg)
{
	struct changer *c = arg;
	int number;

	while ((number = __atomic_load_n(&c->number, __ATOMIC_SEQ_CST)) != -2) {
		__atomic_store_n(&c->at, number, __ATOMIC_SEQ_CST);
		if (number < 0 || __atomic_load_n(&c->number, __ATOMIC_SEQ_CST) != number)
			continue;
		CHECK_EQ(number, dup2(c->fd[c->changes % 2], number));
		c->changes++;
	}
	return NULL;
}

/* @number or none is to be changed from now on, and no other is. */
static void change_only(struct changer *c, int number)
{
	__atomic_store_n(&c->number, number, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&c->at, __ATOMIC_SEQ_CST) != number)
		gs_yield();
}

/* The number is open all the time: nobody hears EBADF, whenever it is changed. */
TEST_GO(foreign_reuse_at_once)
{
	struct changer c = { .number = -1, .at = -1 };
	int64_t end = gs_now() + 2000 * MS;
	int a[2], b[2], number;
	long reads = 0;
	char byte;

	tcp_pair(a);
	CHECK_EQ(0, pipe2(b, O_NONBLOCK));
	c.fd[0] = a[0];
	c.fd[1] = b[0];
	CHECK(!pthread_create(&c.thread, NULL, change, &c));
	while (gs_now() < end) {
		number = dup(a[0]);
		change_only(&c, number);
		CHECK_EQ(-ETIMEDOUT, gs_read_until(number, &byte, 1, gs_now() + 100000));
		change_only(&c, -1);
		CHECK_EQ(0, gs_close(number));
		reads++;
	}
	__atomic_store_n(&c.number, -2, __ATOMIC_SEQ_CST);
	pthread_join(c.thread, NULL);
	printf("# %ld reads, %ld changes\n", reads, c.changes);
	fflush(stdout);
	CHECK(c.changes > reads);
	for (int i = 0; i < 2; i++) {
		gs_close(a[i]);
		gs_close(b[i]);
	}
}

/* The library gets a number back that it knew as something else. */
TEST_GO(foreign_close_own_reopen)
{
	int fd[2], filler, again, l = tcp_listen(false), i, tries = 0;
	char c;

	for (i = 0; i < 50; i++) {
		tcp_pair(fd);
		CHECK_EQ(-ETIMEDOUT, gs_read_until(fd[0], &c, 1, gs_now() + 1));
		filler = dup(l);
		CHECK_EQ(0, close(fd[0]));
		again = tcp_connect(port_of(l));
		tries += again == fd[0];
		gs_close(fd[1]);
		fd[1] = gs_accept(l, NULL, NULL);
		CHECK_EQ(-ETIMEDOUT, gs_read_until(again, &c, 1, gs_now() + 1));
		CHECK_EQ(1, gs_write(fd[1], "y", 1));
		CHECK_EQ(1, recv_soon(again, &c, 1, 0));
		gs_close(again);
		gs_close(fd[1]);
		close(filler);
	}
	CHECK(tries > 0);
	gs_close(l);
}

/* ------------------------------------------------- readers, closers, new openers */

/*
 * Several readers use whatever is in a shared place, one goroutine closes it and puts
 * the next there, which has the same number, most of the time. Each incarnation
 * carries its own number as data: nobody may see another's.
 */
#define READERS 3

struct place {
	uint64_t now;			/* incarnation << 32 | fd */
	bool stop;
	gs_wg wg;
	long reads, closed;
};

static void place_read(void *arg)
{
	struct place *p = arg;
	uint64_t now;
	uint32_t got;
	ssize_t n;

	while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE)) {
		now = __atomic_load_n(&p->now, __ATOMIC_ACQUIRE);
		if (!now) {
			gs_yield();
			continue;
		}
		n = gs_recv((int)(uint32_t)now, &got, 4, 0);
		if (n == 4) {
			/* It may have been reopened between our load and our call. */
			CHECK(got >= now >> 32);
			__atomic_add_fetch(&p->reads, 1, __ATOMIC_RELAXED);
		} else {
			CHECK(n == -EBADF || n == 0);
			__atomic_add_fetch(&p->closed, 1, __ATOMIC_RELAXED);
		}
	}
	gs_wg_done(&p->wg);
}

static void place_reopen(struct place *p, uint32_t nr, unsigned int *r)
{
	int fd[2], i;

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd));
	__atomic_store_n(&p->now, (uint64_t)nr << 32 | (uint32_t)fd[0], __ATOMIC_RELEASE);
	for (i = rnd(r) % 4; i >= 0; i--) {
		CHECK_EQ(4, gs_write(fd[1], &nr, 4));
		if (rnd(r) % 2)
			gs_yield();
	}
	if (rnd(r) % 4 == 0)
		gs_sleep(rnd(r) % 30000);
	__atomic_store_n(&p->now, 0, __ATOMIC_RELEASE);
	CHECK_EQ(0, gs_close(fd[0]));
	CHECK_EQ(0, gs_close(fd[1]));
}

TEST_GO(close_reopen_storm)
{
	struct place p = { .now = 0 };
	unsigned int r = test_seed();
	int i;

	gs_wg_add(&p.wg, READERS);
	for (i = 0; i < READERS; i++)
		go(place_read, &p);
	for (i = 1; i <= TIMES(5000); i++)
		place_reopen(&p, i, &r);
	__atomic_store_n(&p.stop, true, __ATOMIC_RELEASE);
	gs_wg_wait(&p.wg);
	printf("# %ld reads, %ld closed\n", p.reads, p.closed);
	fflush(stdout);
	CHECK(p.reads > 0);
}

static struct {
	int fd, reads, spins;
} last;

static void last_reader(void *arg)
{
	char c;

	(void)arg;
	__atomic_store_n(&last.reads, 1, __ATOMIC_RELEASE);
	gs_read(last.fd, &c, 1);
}

static void last_hog(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&last.spins, 1, __ATOMIC_RELEASE);
	while (!stopping())
		;
}

/* A thread's gs_close that the last user does not get to do is done all the same. */
TEST_F(procs, close_at_the_end)
{
	char n[16];
	int fd[2];

	snprintf(n, sizeof(n), "%d", variant->n);
	setenv("GSCHED_MAXPROCS", n, 1);
	last.reads = 0;
	last.spins = 0;
	ASSERT_EQ(0, pipe(fd));
	last.fd = fd[0];
	ASSERT_EQ(0, gs_start());
	go(last_reader, NULL);
	while (!__atomic_load_n(&last.reads, __ATOMIC_ACQUIRE))
		sleep_ns(MS);
	sleep_ns(20 * MS);
	for (int i = 0; i < variant->n; i++)
		go(last_hog, NULL);
	while (__atomic_load_n(&last.spins, __ATOMIC_ACQUIRE) < variant->n)
		sleep_ns(MS);
	EXPECT_EQ(0, gs_close(fd[0]));
	ASSERT_EQ(0, gs_stop());
	EXPECT_EQ(-1, fcntl(fd[0], F_GETFD));
	close(fd[1]);
}

static void *opens_and_closes(void *arg)
{
	int fd;

	while (!__atomic_load_n((int *)arg, __ATOMIC_RELAXED)) {
		fd = gs_socket(AF_UNIX, SOCK_STREAM, 0);
		CHECK(fd >= 0);
		CHECK_EQ(0, gs_close(fd));
	}
	return NULL;
}

static int first_free(void)
{
	int fd = eventfd(0, 0);

	close(fd);
	return fd;
}

/* Without a runtime, or while it comes and goes, descriptors are opened and closed. */
TEST_F(procs, threads_beside_the_end)
{
	int before = first_free();
	char n[16];
	pthread_t thread;

	snprintf(n, sizeof(n), "%d", variant->n);
	setenv("GSCHED_MAXPROCS", n, 1);
	last.reads = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, opens_and_closes, &last.reads));
	for (int i = 0; i < TIMES(200); i++) {
		ASSERT_EQ(0, gs_start());
		sleep_ns(MS / 2);
		ASSERT_EQ(0, gs_stop());
	}
	__atomic_store_n(&last.reads, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(before, first_free());
}

TEST_HARNESS_MAIN
