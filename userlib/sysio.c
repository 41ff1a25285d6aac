// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * sysio.c: system calls that return -errno.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

NOINLINE ssize_t sys_readv(int fd, const struct iovec *iov, int n)
{
	ssize_t ret = readv(fd, iov, n);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_writev(int fd, const struct iovec *iov, int n)
{
	ssize_t ret = writev(fd, iov, n);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_pread(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t ret = pread(fd, buf, len, offset);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	ssize_t ret = pwrite(fd, buf, len, offset);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_sendfile(int out_fd, int in_fd, off_t *offset, size_t len)
{
	ssize_t ret = sendfile(out_fd, in_fd, offset, len);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
			      socklen_t *addr_len)
{
	ssize_t ret = recvfrom(fd, buf, len, flags, addr, addr_len);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_sendto(int fd, const void *buf, size_t len, int flags,
			    const struct sockaddr *addr, socklen_t addr_len)
{
	ssize_t ret = sendto(fd, buf, len, flags, addr, addr_len);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t ret = recvmsg(fd, msg, flags);

	return ret < 0 ? -errno : ret;
}

NOINLINE ssize_t sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t ret = sendmsg(fd, msg, flags);

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

NOINLINE int sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return bind(fd, addr, len) < 0 ? -errno : 0;
}

NOINLINE int sys_listen(int fd, int backlog)
{
	return listen(fd, backlog) < 0 ? -errno : 0;
}

NOINLINE int sys_setsockopt(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
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

NOINLINE int sys_polln(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int ret = poll(fds, n, timeout_ms);

	if (ret < 0)
		return errno == EINTR ? 0 : -errno;
	return ret;
}

NOINLINE int sys_epoll_create(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

NOINLINE int sys_epoll_ctl(int epfd, int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	return epoll_ctl(epfd, op, fd, &ev) < 0 ? -errno : 0;
}

NOINLINE int sys_pidfd_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

NOINLINE pid_t sys_waitpid(pid_t pid, int *status, int options)
{
	pid_t ret = waitpid(pid, status, options);

	return ret < 0 ? -errno : ret;
}

NOINLINE int sys_signalfd(const sigset_t *set)
{
	int fd = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

NOINLINE int sys_sigtake(const sigset_t *set, siginfo_t *info)
{
	static const struct timespec none;
	int ret = sigtimedwait(set, info, &none);

	return ret < 0 ? -errno : ret;
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

int sys_domain(int fd)
{
	return sys_sockopt(fd, SO_DOMAIN);
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
