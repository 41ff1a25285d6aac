/* SPDX-License-Identifier: GPL-2.0 */
/* lib_net.h: descriptors for the tests. */
#ifndef LIB_NET_H
#define LIB_NET_H

#include "lib_check.h"	/* before all others: _GNU_SOURCE */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

/* How many descriptors are open. */
static inline int open_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static inline struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static inline int port_of(int fd)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);

	CHECK_EQ(0, getsockname(fd, (struct sockaddr *)&a, &len));
	return ntohs(a.sin_port);
}

/* A listening TCP socket on a free port; @plain: blocking, not the library's. */
static inline int tcp_listen(bool plain)
{
	struct sockaddr_in a = loopback(0);
	int fd = plain ? socket(AF_INET, SOCK_STREAM, 0) : gs_socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK_EQ(0, bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK_EQ(0, listen(fd, 1024));
	return fd;
}

static inline int tcp_connect(int port)
{
	struct sockaddr_in a = loopback(port);
	int fd = gs_socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK_EQ(0, gs_connect(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

/* fd[0] accepted by gs_accept, fd[1] connected by gs_connect. */
static inline void tcp_pair(int fd[2])
{
	int l = tcp_listen(false);

	fd[1] = tcp_connect(port_of(l));
	fd[0] = gs_accept(l, NULL, NULL);
	CHECK(fd[0] >= 0);
	CHECK_EQ(0, gs_close(l));
}

/* As tcp_pair, but of blocking sockets that the library does not know. */
static inline void tcp_pair_plain(int fd[2])
{
	int l = tcp_listen(true);
	struct sockaddr_in a = loopback(port_of(l));

	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(0, connect(fd[1], (struct sockaddr *)&a, sizeof(a)));
	fd[0] = accept(l, NULL, NULL);
	CHECK(fd[0] >= 0);
	CHECK_EQ(0, close(l));
}

/*
 * A read that must not have to wait for its deadline: then the library would look
 * once more, and find what it had missed.
 */
static inline ssize_t recv_soon(int fd, void *buf, size_t len, int flags)
{
	int64_t begin = gs_now();
	ssize_t n = gs_recv_until(fd, buf, len, flags, begin + 6000 * MS);

	CHECK(gs_now() < begin + 5000 * MS);
	return n;
}

#endif /* LIB_NET_H */
