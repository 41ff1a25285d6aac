/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * sysio.h: system calls that return -errno.
 *
 * Each is a function of its own, never inlined. glibc declares the function that
 * says where errno is as constant, so a compiler may ask once per function; a function
 * that parks goes on in another thread, whose errno is elsewhere.
 */
#ifndef GS_SYSIO_H
#define GS_SYSIO_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

ssize_t sys_read(int fd, void *buf, size_t len);
ssize_t sys_write(int fd, const void *buf, size_t len);
ssize_t sys_readv(int fd, const struct iovec *iov, int n);
ssize_t sys_writev(int fd, const struct iovec *iov, int n);
ssize_t sys_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t sys_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t sys_sendfile(int out_fd, int in_fd, off_t *offset, size_t len);
ssize_t sys_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
		     socklen_t *addr_len);
ssize_t sys_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
		   socklen_t addr_len);
ssize_t sys_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t sys_sendmsg(int fd, const struct msghdr *msg, int flags);
int sys_accept(int fd, struct sockaddr *addr, socklen_t *len);
int sys_connect(int fd, const struct sockaddr *addr, socklen_t len);
int sys_socket(int domain, int type, int protocol);
int sys_bind(int fd, const struct sockaddr *addr, socklen_t len);
int sys_listen(int fd, int backlog);
int sys_setsockopt(int fd, int level, int option, int value);
int sys_close(int fd);

/* sys_poll - poll(2) of one descriptor; -EBADF instead of POLLNVAL. */
int sys_poll(int fd, int events, int timeout_ms);

/* sys_polln - poll(2); 0 instead of -EINTR. */
int sys_polln(struct pollfd *fds, nfds_t n, int timeout_ms);

int sys_epoll_create(void);
int sys_epoll_ctl(int epfd, int op, int fd, uint32_t events);

int sys_pidfd_open(pid_t pid);
pid_t sys_waitpid(pid_t pid, int *status, int options);
int sys_signalfd(const sigset_t *set);

/* sys_sigtake - take a pending signal, -EAGAIN: none is. */
int sys_sigtake(const sigset_t *set, siginfo_t *info);

/* sys_so_error - take a socket's pending error. Return: 0 or -errno. */
int sys_so_error(int fd);

int sys_protocol(int fd);
int sys_socktype(int fd);
int sys_domain(int fd);
bool sys_nonblock(int fd);

/* sys_mode - st_mode of an open file, or -errno. */
int sys_mode(int fd);

#endif /* GS_SYSIO_H */
