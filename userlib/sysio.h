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

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

ssize_t sys_read(int fd, void *buf, size_t len);
ssize_t sys_write(int fd, const void *buf, size_t len);
ssize_t sys_recv(int fd, void *buf, size_t len, int flags);
ssize_t sys_send(int fd, const void *buf, size_t len, int flags);
int sys_accept(int fd, struct sockaddr *addr, socklen_t *len);
int sys_connect(int fd, const struct sockaddr *addr, socklen_t len);
int sys_socket(int domain, int type, int protocol);
int sys_close(int fd);

/* sys_poll - poll(2) of one descriptor; -EBADF instead of POLLNVAL. */
int sys_poll(int fd, int events, int timeout_ms);

/* sys_so_error - take a socket's pending error. Return: 0 or -errno. */
int sys_so_error(int fd);

int sys_protocol(int fd);
int sys_socktype(int fd);
bool sys_nonblock(int fd);

/* sys_mode - st_mode of an open file, or -errno. */
int sys_mode(int fd);

#endif /* GS_SYSIO_H */
