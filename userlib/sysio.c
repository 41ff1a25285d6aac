// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * sysio.c: system calls that return -errno.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sysio.h"

#define NOINLINE __attribute__((noinline))

NOINLINE ssize_t sys_read(int fd, void *buf, size_t len)
{
	ssize_t ret = read(fd, buf, len);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_write(int fd, const void *buf, size_t len)
{
	ssize_t ret = write(fd, buf, len);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_recv(int fd, void *buf, size_t len, int flags)
{
	ssize_t ret = recv(fd, buf, len, flags);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_send(int fd, const void *buf, size_t len, int flags)
{
	ssize_t ret = send(fd, buf, len, flags);

	return ret < 0 ? -errno : ret;
}

NOINLINE int sys_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	int ret = accept4(fd, addr, len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return ret < 0 ? -errno : ret;
}

NOINLINE int sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return connect(fd, addr, len) < 0 ? -errno : 0;
}

NOINLINE int sys_socket(int domain, int type, int protocol)
{
	int ret = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

	return ret < 0 ? -errno : ret;
}

/* EINTR is no failure: Linux has freed the number by then. */
NOINLINE int sys_close(int fd)
{
	return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

NOINLINE int sys_poll(int fd, int events, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (poll(&p, 1, timeout_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	return p.revents & POLLNVAL ? -EBADF : p.revents;
}

static NOINLINE int sys_sockopt(int fd, int option)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -errno : value;
}

int sys_so_error(int fd)
{
	int ret = sys_sockopt(fd, SO_ERROR);

	return ret > 0 ? -ret : ret;
}

int sys_protocol(int fd)
{
	return sys_sockopt(fd, SO_PROTOCOL);
}

int sys_socktype(int fd)
{
	return sys_sockopt(fd, SO_TYPE);
}

NOINLINE bool sys_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && flags & O_NONBLOCK;
}

NOINLINE int sys_mode(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? -errno : (int)st.st_mode;
}
