// SPDX-License-Identifier: GPL-2.0
/*
 * getaddrinfo() against a name server that takes its time. Server, /etc/resolv.conf
 * and loopback are in namespaces of the test's own.
 */
#include "lib_blocking.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DELAY		(400 * MS)
#define ADDRESS		0x0a000000	/* 10.0.0.0 + N is hN.test's */

/* --------------------------------------------------------------- the name server */

#define HEADER_SIZE	12
#define TYPE_A		1

struct query {
	int64_t due;
	struct sockaddr_in from;
	socklen_t fromlen;
	ssize_t len;
	unsigned char text[512];
};

/* All of them take the same time: the first is the first to be answered. */
static struct query queries[1024];
static unsigned int head, tail;

static int64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 * MS + t.tv_nsec;
}

/* The type that the question asks for, or -1; *@end: where the question ends. */
static int question(const struct query *q, ssize_t *end)
{
	ssize_t at = HEADER_SIZE;

	while (at < q->len && q->text[at])
		at += q->text[at] + 1;
	*end = at + 5;
	if (*end > q->len)
		return -1;
	return q->text[at + 1] << 8 | q->text[at + 2];
}

/* "This name, class IN, for 60 seconds": the address for A, nothing for others. */
static ssize_t answer(struct query *q)
{
	static const unsigned char record[] = { 0xc0, HEADER_SIZE, 0, TYPE_A, 0, 1, 0, 0, 0, 60,
						0, 4 };
	ssize_t end;
	int type = question(q, &end);
	in_addr_t a = htonl(ADDRESS + atoi((char *)q->text + HEADER_SIZE + 2));

	if (type < 0)
		return 0;
	q->text[2] = 0x85;	/* an answer, with authority */
	q->text[3] = 0x80;
	memset(q->text + 6, 0, 6);
	if (type != TYPE_A)
		return end;
	q->text[7] = 1;
	memcpy(q->text + end, record, sizeof(record));
	memcpy(q->text + end + sizeof(record), &a, sizeof(a));
	return end + sizeof(record) + sizeof(a);
}

static void take_query(int fd)
{
	struct query *q = queries + tail % 1024;

	q->fromlen = sizeof(q->from);
	q->len = recvfrom(fd, q->text, sizeof(q->text) - 32, 0, (struct sockaddr *)&q->from,
			  &q->fromlen);
	q->due = clock_now() + DELAY;
	tail += q->len > HEADER_SIZE;
}

static void answer_first(int fd)
{
	struct query *q = queries + head++ % 1024;
	ssize_t len = answer(q);

	if (len)
		sendto(fd, q->text, len, 0, (struct sockaddr *)&q->from, q->fromlen);
}

static int server_fd;

static void name_server(void)
{
	struct pollfd p = { .fd = server_fd, .events = POLLIN };
	struct timespec t;
	int64_t wait;

	for (;;) {
		wait = head == tail ? 1000 * MS : queries[head % 1024].due - clock_now();
		if (head != tail && wait <= 0) {
			answer_first(server_fd);
			continue;
		}
		t = (struct timespec){ .tv_sec = wait / (1000 * MS), .tv_nsec = wait % (1000 * MS) };
		if (ppoll(&p, 1, &t, NULL) > 0)
			take_query(server_fd);
	}
}

/* ------------------------------------------------------------------- a world for it */

static bool put_over(const char *path, const char *text)
{
	char name[] = "/tmp/lib_blocking_dns.XXXXXX";
	int fd = mkstemp(name);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
		  !fchmod(fd, 0644) && !mount(name, path, NULL, MS_BIND, NULL);

	close(fd);
	unlink(name);
	return ok;
}

static bool loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = !ioctl(fd, SIOCSIFFLAGS, &ifr);

	close(fd);
	return ok;
}

static bool bind_server(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	server_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return !bind(server_fd, (struct sockaddr *)&a, sizeof(a));
}

static bool own_namespaces(void)
{
	int user = geteuid() ? CLONE_NEWUSER : 0;

	return !unshare(user | CLONE_NEWNS | CLONE_NEWNET) &&
	       !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && loopback_up();
}

/* ---------------------------------------------------------------------- resolving */

static void one(int i)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	struct sockaddr_in *a;
	char name[32];
	int err;

	snprintf(name, sizeof(name), "h%d.test", i);
	err = getaddrinfo(name, "80", &hints, &ai);
	if (err) {
		fprintf(stderr, "# %s: %s\n", name, gai_strerror(err));
		CHECK(0);
	}
	a = (struct sockaddr_in *)ai->ai_addr;
	CHECK_EQ(AF_INET, ai->ai_family);
	CHECK(!ai->ai_next);
	CHECK_EQ(htons(80), a->sin_port);
	CHECK_EQ(ADDRESS + i, ntohl(a->sin_addr.s_addr));
	freeaddrinfo(ai);
}

static void all(void)
{
	crowd_run("getaddrinfo", crowd_size(), one, crowd_size() * DELAY);
}

TEST(resolver)
{
	pid_t server;

	if (!own_namespaces())
		SKIP(return, "no namespaces for this user: %s", strerror(errno));
	/* A query that has to be repeated would be counted as a slow one. */
	ASSERT_TRUE(put_over("/etc/resolv.conf",
			     "nameserver 127.0.0.1\noptions timeout:20 attempts:1\n"));
	ASSERT_TRUE(put_over("/etc/nsswitch.conf", "hosts: files dns\nservices: files\n"));
	ASSERT_TRUE(bind_server());
	server = server_start(name_server);
	EXPECT_EQ(0, run_on(1, all));
	server_stop(server);
}

TEST_HARNESS_MAIN
