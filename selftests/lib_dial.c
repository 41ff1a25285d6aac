// SPDX-License-Identifier: GPL-2.0
/* gs_listen, gs_dial: networks, addresses, what goes wrong. */
#include "lib_net.h"

static int dial_port(const char *network, const char *host, int port)
{
	char address[64];

	snprintf(address, sizeof(address), "%s:%d", host, port);
	return gs_dial(network, address);
}

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int v = -1;

	CHECK_EQ(0, getsockopt(fd, level, name, &v, &len));
	return v;
}

static bool have_ipv6(void)
{
	int fd = gs_listen("tcp6", "[::1]:0");

	if (fd >= 0)
		gs_close(fd);
	return fd >= 0;
}

/* IPv4's and IPv6's ports stand at the same place. */
static int port(int fd)
{
	struct sockaddr_in6 a = { 0 };
	socklen_t len = sizeof(a);

	CHECK_EQ(0, getsockname(fd, (struct sockaddr *)&a, &len));
	return ntohs(a.sin6_port);
}

static void echo_one(void *arg)
{
	int l = FD_OF(arg), fd = gs_accept(l, NULL, NULL);
	char c;

	CHECK(fd >= 0);
	CHECK_EQ(1, gs_read(fd, &c, 1));
	CHECK_EQ(1, gs_write(fd, &c, 1));
	CHECK_EQ(0, gs_close(fd));
}

/* @fd is connected to @l: by way of a goroutine that serves it a byte comes back. */
static void talk(int l, int fd)
{
	char c = 0;

	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	go(echo_one, FD_ARG(l));
	CHECK_EQ(1, gs_write(fd, "x", 1));
	CHECK_EQ(1, gs_read(fd, &c, 1));
	CHECK_EQ('x', c);
	CHECK_EQ(0, gs_close(fd));
}

TEST_GO(tcp_all_addresses)
{
	int l = gs_listen("tcp", ":0"), fd;

	CHECK(l >= 0);
	CHECK(fcntl(l, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(l, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(1, option(l, SOL_SOCKET, SO_REUSEADDR));
	fd = dial_port("tcp", "127.0.0.1", port(l));
	CHECK_EQ(1, option(fd, IPPROTO_TCP, TCP_NODELAY));
	talk(l, fd);
	talk(l, dial_port("tcp4", "", port(l)));
	talk(l, dial_port("tcp", "", port(l)));
	if (have_ipv6()) {
		talk(l, dial_port("tcp", "[::1]", port(l)));
		talk(l, dial_port("tcp6", "", port(l)));
	}
	gs_close(l);
}

TEST_GO(tcp_one_family)
{
	int l = gs_listen("tcp4", ":0");

	talk(l, dial_port("tcp", "127.0.0.1", port(l)));
	CHECK_EQ(AF_INET, option(l, SOL_SOCKET, SO_DOMAIN));
	gs_close(l);
	if (!have_ipv6())
		return;
	l = gs_listen("tcp6", ":0");
	CHECK_EQ(-ECONNREFUSED, dial_port("tcp", "127.0.0.1", port(l)));
	talk(l, dial_port("tcp", "[::1]", port(l)));
	gs_close(l);
}

/* "" is ::1 and 127.0.0.1; whichever comes first, both are tried. */
TEST_GO(tries_all_addresses)
{
	int l = gs_listen("tcp", "127.0.0.1:0"), p = port(l);

	talk(l, dial_port("tcp", "", p));
	gs_close(l);
	if (have_ipv6()) {
		l = gs_listen("tcp", "[::1]:0");
		p = port(l);
		talk(l, dial_port("tcp", "", p));
		gs_close(l);
	}
	CHECK_EQ(-ECONNREFUSED, dial_port("tcp", "127.0.0.1", p));
}

TEST_GO(udp)
{
	int l = gs_listen("udp", "127.0.0.1:0"), fd = dial_port("udp", "127.0.0.1", port(l));
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[10];

	CHECK(fd >= 0);
	CHECK_EQ(3, gs_send(fd, "abc", 3, 0));
	CHECK_EQ(3, gs_recvfrom(l, buf, 10, 0, (struct sockaddr *)&from, &len));
	CHECK_EQ(2, gs_sendto(l, "de", 2, 0, (struct sockaddr *)&from, len));
	CHECK_EQ(2, gs_read(fd, buf, 10));
	gs_close(fd);
	gs_close(l);
	l = gs_listen("udp", ":0");
	CHECK(l >= 0);
	fd = dial_port("udp4", "", port(l));
	CHECK_EQ(1, gs_write(fd, "z", 1));
	CHECK_EQ(1, gs_read(l, buf, 10));
	gs_close(fd);
	gs_close(l);
}

static void unix_at(const char *address)
{
	char buf[10];
	int l, fd;

	l = gs_listen("unix", address);
	CHECK(l >= 0);
	CHECK_EQ(-EADDRINUSE, gs_listen("unix", address));
	talk(l, gs_dial("unix", address));
	CHECK_EQ(*address == '@' ? -ECONNREFUSED : -EPROTOTYPE, gs_dial("unixgram", address));
	gs_close(l);
	CHECK_EQ(-ECONNREFUSED, gs_dial("unix", address));
	unlink(address);

	l = gs_listen("unixpacket", address);
	talk(l, gs_dial("unixpacket", address));
	gs_close(l);
	unlink(address);

	l = gs_listen("unixgram", address);
	fd = gs_dial("unixgram", address);
	CHECK(fd >= 0);
	CHECK_EQ(3, gs_write(fd, "abc", 3));
	CHECK_EQ(3, gs_read(l, buf, sizeof(buf)));
	gs_close(l);
	gs_close(fd);
	unlink(address);
}

TEST_GO(unix_sockets)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/gsched-dial-%d", getpid());
	unix_at(path);
	CHECK_EQ(-ENOENT, gs_dial("unix", path));
	snprintf(path, sizeof(path), "@gsched-dial-%d", getpid());
	unix_at(path);
}

TEST_GO(not_understood)
{
	static const char *const bad[] = {
		"", "80", "localhost", "127.0.0.1:", "::1:80", "[::1]", "[::1]80", "[]:80",
		"[:80", "127.0.0.1:65536", "127.0.0.1:100000000000000000000",
	};
	char name[200];
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(-EINVAL, gs_listen("tcp", bad[i]));
		CHECK_EQ(-EINVAL, gs_dial("udp", bad[i]));
	}
	CHECK_EQ(-EINVAL, gs_listen("tcp5", ":0"));
	CHECK_EQ(-EINVAL, gs_dial("", "127.0.0.1:1"));
	CHECK_EQ(-EINVAL, gs_dial("unix", ""));
	CHECK_EQ(-EINVAL, gs_listen("unix", "@"));
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	CHECK_EQ(-ENAMETOOLONG, gs_listen("unix", name));
	name[108] = '\0';
	CHECK_EQ(-ENAMETOOLONG, gs_dial("unix", name));
	name[107] = '\0';
	CHECK_EQ(-ENOENT, gs_dial("unix", name));
}

TEST_GO(no_such_thing)
{
	int l = gs_listen("tcp", "127.0.0.1:0");
	char address[64];

	CHECK_EQ(-ENOENT, gs_dial("tcp", "127.0.0.1:no-such-service"));
	CHECK_EQ(-ENOENT, gs_listen("tcp6", "127.0.0.1:0"));
	CHECK_EQ(-EADDRNOTAVAIL, gs_listen("tcp", "192.0.2.1:0"));
	snprintf(address, sizeof(address), "127.0.0.1:%d", port(l));
	CHECK_EQ(-EADDRINUSE, gs_listen("tcp", address));
	gs_close(l);
	CHECK_EQ(-ECONNREFUSED, gs_dial("tcp", address));
	CHECK_EQ(-ECONNREFUSED, gs_dial_until("tcp", address, 0));
	l = gs_listen("tcp", address);		/* SO_REUSEADDR */
	CHECK(l >= 0);
	gs_close(l);
}

static bool stop;

static void count(void *arg)
{
	long *n = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		__atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
		gs_yield();
	}
}

struct dial {
	char address[64];
	int filler[20], nr;
};

/* A listener whose queue is full: the kernel drops who knocks. */
static int full_listener(struct dial *d)
{
	int l = gs_listen("tcp", "127.0.0.1:0"), fd;

	CHECK_EQ(0, listen(l, 0));
	snprintf(d->address, sizeof(d->address), "127.0.0.1:%d", port(l));
	for (d->nr = 0; d->nr < 20; d->nr++) {
		fd = gs_dial_until("tcp", d->address, gs_now() + 100 * MS);
		if (fd == -ETIMEDOUT)
			break;
		CHECK(fd >= 0);
		d->filler[d->nr] = fd;
	}
	CHECK(d->nr < 20);
	return l;
}

static void end(struct dial *d, int l)
{
	while (d->nr)
		gs_close(d->filler[--d->nr]);
	gs_close(l);
}

/* It waits without keeping others from running. */
TEST_GO(deadline)
{
	struct dial d;
	int l = full_listener(&d);
	static long n;
	int64_t t;

	__atomic_store_n(&stop, false, __ATOMIC_RELEASE);
	go(count, &n);
	t = gs_now() + 20 * MS;
	CHECK_EQ(-ETIMEDOUT, gs_dial_until("tcp", d.address, t));
	CHECK(gs_now() >= t && gs_now() < t + 2000 * MS);
	CHECK_EQ(-ETIMEDOUT, gs_dial_until("tcp", d.address, 0));
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	CHECK(__atomic_load_n(&n, __ATOMIC_RELAXED) > 10);
	end(&d, l);
}

static int dial_in_group(void *arg)
{
	return gs_dial("tcp", arg);
}

TEST_GO(cancelled)
{
	gs_group g = GS_GROUP_INIT;
	struct dial d;
	int l = full_listener(&d);

	CHECK_EQ(0, gs_group_go(&g, dial_in_group, d.address));
	gs_sleep(5 * MS);
	gs_group_cancel(&g);
	CHECK_EQ(-ECANCELED, gs_group_wait(&g));
	end(&d, l);
}

/* A thread that is no goroutine. */
TEST(plain_thread)
{
	int l = gs_listen("tcp", "127.0.0.1:0"), fd, s;
	char c;

	ASSERT_LE(0, l);
	fd = dial_port("tcp", "127.0.0.1", port(l));
	ASSERT_LE(0, fd);
	s = gs_accept(l, NULL, NULL);
	ASSERT_LE(0, s);
	EXPECT_EQ(1, gs_write(fd, "x", 1));
	EXPECT_EQ(1, gs_read(s, &c, 1));
	gs_close(l);
	gs_close(s);
	EXPECT_EQ(-ECONNREFUSED, dial_port("tcp", "127.0.0.1", 1));
	EXPECT_EQ(-EINVAL, gs_dial("tcp", "nonsense"));
	gs_close(fd);
}

TEST_HARNESS_MAIN
