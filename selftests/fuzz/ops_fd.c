// SPDX-License-Identifier: GPL-2.0
/*
 * Operations: descriptors of all kinds that a context may watch.
 */
#include "fuzz.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define FD	{ "fd", ARG_INDEX, NR_FDS }

/** fd_of - the entry of the descriptors' table that a number means. */
int *fd_of(uint64_t arg)
{
	return &world.fd[arg % NR_FDS];
}

/** fd_get - the descriptor that stands there, possibly -1. */
int fd_get(uint64_t arg)
{
	return __atomic_load_n(fd_of(arg), __ATOMIC_RELAXED);
}

/** fd_set_new - enter a descriptor. What stood there stays open. */
void fd_set_new(uint64_t arg, int fd)
{
	if (fd >= 0)
		__atomic_store_n(fd_of(arg), fd, __ATOMIC_RELAXED);
}

static void new_eventfd(int fd[2])
{
	fd[0] = eventfd(1, EFD_NONBLOCK);
}

static void new_pipe(int fd[2])
{
	if (pipe2(fd, O_NONBLOCK))
		fd[0] = -1;
}

static void new_unix_stream(int fd[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd))
		fd[0] = -1;
}

static void new_unix_dgram(int fd[2])
{
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fd))
		fd[0] = -1;
}

static void new_tcp(int fd[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (!bind(l, (struct sockaddr *)&addr, sizeof(addr)) && !listen(l, 2) &&
	    !getsockname(l, (struct sockaddr *)&addr, &len) &&
	    !connect(fd[0], (struct sockaddr *)&addr, sizeof(addr)))
		fd[1] = accept4(l, NULL, NULL, SOCK_NONBLOCK);
	close(l);
}

static void new_timerfd(int fd[2])
{
	struct itimerspec t = { { 0, 1000000 }, { 0, 500000 } };

	fd[0] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	timerfd_settime(fd[0], 0, &t, NULL);
}

static void new_signalfd(int fd[2])
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	fd[0] = signalfd(-1, &set, SFD_NONBLOCK);
}

static void new_epoll(int fd[2])
{
	fd[0] = epoll_create1(0);
}

static void new_inotify(int fd[2])
{
	fd[0] = inotify_init1(IN_NONBLOCK);
	inotify_add_watch(fd[0], "/tmp", IN_ALL_EVENTS);
}

static void new_pty(int fd[2])
{
	fd[0] = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (fd[0] < 0 || grantpt(fd[0]) || unlockpt(fd[0]))
		return;
	fd[1] = open(ptsname(fd[0]), O_RDWR | O_NOCTTY | O_NONBLOCK);
}

static void new_file(int fd[2])
{
	fd[0] = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	fd[1] = open("/dev/null", O_RDWR);
}

static void new_context(int fd[2])
{
	fd[0] = open(GSCHED_DEVICE, O_RDWR);
}

static void new_pidfd(int fd[2])
{
	fd[0] = (int)syscall(SYS_pidfd_open, getpid(), 0);
	fd[1] = open("/proc/self/mounts", O_RDONLY);
}

static void new_kmsg(int fd[2])
{
	fd[0] = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	fd[1] = open("/dev/random", O_RDONLY | O_NONBLOCK);
}

/* Many wait queues in one file: more than a slot has room for. */
static void new_wide_epoll(int fd[2])
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET };

	fd[0] = epoll_create1(0);
	for (int i = 0; i < NR_FDS; i++)
		epoll_ctl(fd[0], EPOLL_CTL_ADD, fd_get(i), &ev);
}

static void (*const kinds[])(int fd[2]) = {
	new_eventfd, new_pipe, new_unix_stream, new_unix_dgram, new_tcp, new_timerfd,
	new_signalfd, new_epoll, new_inotify, new_pty, new_file, new_context, new_pidfd,
	new_kmsg, new_wide_epoll,
};

static void op_fd_new(const uint64_t *a)
{
	int fd[2] = { -1, -1 };

	kinds[a[1] % NR_ELEMS(kinds)](fd);
	fd_set_new(a[0], fd[0]);
	fd_set_new(a[0] + 1, fd[1]);
}

static void op_fd_close(const uint64_t *a)
{
	int fd = fd_get(a[0]);

	if (fd >= 0)
		close(fd);
}

static void op_fd_dup(const uint64_t *a)
{
	if (a[2] & 1)
		dup2(fd_get(a[0]), fd_get(a[1]));
	else
		fd_set_new(a[1], dup(fd_get(a[0])));
}

/* The context's own descriptor among the others: a duplicate. */
static void op_fd_ctx(const uint64_t *a)
{
	fd_set_new(a[0], dup(ctx_of(a[1])->fd));
}

/* Whatever can be written or read, but do not sleep for it: see new_tcp() */
static void op_fd_write(const uint64_t *a)
{
	static const char buf[65536];
	uint64_t one = 1;
	int fd = fd_get(a[0]);
	size_t n = a[1] % sizeof(buf);

	if (send(fd, buf, n ? n : 8, MSG_DONTWAIT | (a[2] & 1 ? MSG_OOB : 0)) < 0 &&
	    errno == ENOTSOCK && fd > 2)
		(void)!write(fd, n ? buf : (char *)&one, n ? n : sizeof(one));
}

static void op_fd_read(const uint64_t *a)
{
	char buf[4096];
	int fd = fd_get(a[0]);
	size_t n = a[1] % sizeof(buf);

	if (recv(fd, buf, n ? n : sizeof(buf), MSG_DONTWAIT) < 0 && errno == ENOTSOCK && fd > 2)
		(void)!read(fd, buf, n ? n : sizeof(buf));
}

static void op_fd_shutdown(const uint64_t *a)
{
	shutdown(fd_get(a[0]), (int)(a[1] % 3));
}

/* A reset instead of an orderly end. */
static void op_fd_reset(const uint64_t *a)
{
	struct linger linger = { 1, 0 };
	struct sockaddr addr = { .sa_family = AF_UNSPEC };

	setsockopt(fd_get(a[0]), SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)!connect(fd_get(a[0]), &addr, sizeof(addr));
}

/* A descriptor, maybe the context's own, travels in a socket. */
static void op_fd_send(const uint64_t *a)
{
	char byte = 1, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd = a[2] ? ctx_of(a[2])->fd : fd_get(a[1]);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	sendmsg(fd_get(a[0]), &msg, MSG_DONTWAIT);
}

static void op_fd_receive(const uint64_t *a)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(fd_get(a[0]), &msg, MSG_DONTWAIT) < 0)
		return;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	fd_set_new(a[1], fd);
}

static void op_epoll(const uint64_t *a)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | (a[3] & 1 ? EPOLLET : 0) };
	static const int what[] = { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD };
	int fd = a[4] ? ctx_of(a[4])->fd : fd_get(a[1]);

	epoll_ctl(fd_get(a[0]), what[a[2] % 3], fd, &ev);
}

static void op_flags(const uint64_t *a)
{
	fcntl(fd_get(a[0]), F_SETFL, a[1] & 1 ? O_NONBLOCK | O_ASYNC : O_NONBLOCK);
}

static void op_listen(const uint64_t *a)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len)) {
		close(fd);
		return;
	}
	fd_set_new(a[0], fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	(void)!connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	fd_set_new(a[0] + 1, fd);
}

static void op_accept(const uint64_t *a)
{
	fd_set_new(a[1], accept4(fd_get(a[0]), NULL, NULL, SOCK_NONBLOCK));
}

const struct op fd_ops[] = {
	{ "fd_new", 20, { FD, { "kind", ARG_INDEX, NR_ELEMS(kinds) } }, op_fd_new },
	{ "fd_close", 10, { FD }, op_fd_close },
	{ "fd_dup", 5, { FD, { "to", ARG_INDEX, NR_FDS }, { "replace", ARG_CHOICE, 2 } },
	  op_fd_dup },
	{ "fd_ctx", 2, { FD, { "ctx", ARG_INDEX, NR_CTXS } }, op_fd_ctx },
	{ "fd_write", 16, { FD, { "bytes", ARG_CHOICE, 65536 }, { "oob", ARG_CHOICE, 2 } },
	  op_fd_write },
	{ "fd_read", 12, { FD, { "bytes", ARG_CHOICE, 4096 } }, op_fd_read },
	{ "fd_shutdown", 4, { FD, { "how", ARG_CHOICE, 3 } }, op_fd_shutdown },
	{ "fd_reset", 2, { FD }, op_fd_reset },
	{ "fd_send", 5, { FD, { "what", ARG_INDEX, NR_FDS }, { "ctx", ARG_CHOICE, NR_CTXS } },
	  op_fd_send },
	{ "fd_receive", 3, { FD, { "to", ARG_INDEX, NR_FDS } }, op_fd_receive },
	{ "epoll", 8, { FD, { "what", ARG_INDEX, NR_FDS }, { "op", ARG_CHOICE, 3 },
	  { "edge", ARG_CHOICE, 2 }, { "ctx", ARG_CHOICE, NR_CTXS } }, op_epoll },
	{ "fd_flags", 2, { FD, { "async", ARG_CHOICE, 2 } }, op_flags },
	{ "listen", 2, { FD }, op_listen },
	{ "accept", 2, { FD, { "to", ARG_INDEX, NR_FDS } }, op_accept },
};

const unsigned int nr_fd_ops = NR_ELEMS(fd_ops);
