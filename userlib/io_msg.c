// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * io_msg.c: the calls for sockets only: gs_recv, gs_send and their kin.
 *
 * As with blocking sockets, a send on a stream returns when all has been sent, and
 * MSG_WAITALL receives until all is there: these may take several attempts. The
 * attempts that cannot be the first go on where the last one stopped: a send without
 * its control data, which went with the first bytes; a receive only as long as no
 * control data has come, so that none is lost (the kernel stops there, too).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>

#include "io.h"
#include "sysio.h"

/*
 * A unix datagram socket found the receiver's queue full. The failed attempt has freed
 * its own buffer, which is an event: those would come without end. And of room in the
 * queue an unconnected socket hears nothing. So do not wait for events.
 */
static void note_full(struct io *io, ssize_t n)
{
	if (n == -EAGAIN && !(io_facts(io) & FD_TCP) && sys_domain(io->fd) == AF_UNIX &&
	    sys_socktype(io->fd) == SOCK_DGRAM)
		io->pause = IO_UNIX_PAUSE_NS;
}

/* Does MSG_WAITALL mean anything here? */
static bool wants_all(int fd, int flags)
{
	return flags & MSG_WAITALL && !(flags & MSG_PEEK) && sys_socktype(fd) == SOCK_STREAM;
}

/* ---------------------------------------------------------------------- receive */

/** io_recv - an attempt: into @io->buf, whatever there is. */
ssize_t io_recv(struct io *io)
{
	size_t len = io->len - io->done;
	ssize_t n = sys_recvfrom(io->fd, io->buf + io->done, len, io->flags | MSG_DONTWAIT,
				 io->addr, io->addr_len);

	return io_received(io, n, len);
}

static ssize_t recv_all(struct io *io)
{
	return io_all(io, io_recv);
}

ssize_t gs_recvfrom_until(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
			  socklen_t *addr_len, int64_t deadline)
{
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_READ, .deadline = deadline,
		.attempt = wants_all(fd, flags) ? recv_all : io_recv,
		.buf = buf, .len = len, .flags = flags, .addr = addr, .addr_len = addr_len,
		.once = flags & (MSG_DONTWAIT | IO_ASIDE),
	};

	return io_run(&io);
}

ssize_t gs_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
		    socklen_t *addr_len)
{
	return gs_recvfrom_until(fd, buf, len, flags, addr, addr_len, NO_DEADLINE);
}

ssize_t gs_recv_until(int fd, void *buf, size_t len, int flags, int64_t deadline)
{
	return gs_recvfrom_until(fd, buf, len, flags, NULL, NULL, deadline);
}

ssize_t gs_recv(int fd, void *buf, size_t len, int flags)
{
	return gs_recvfrom_until(fd, buf, len, flags, NULL, NULL, NO_DEADLINE);
}

/**
 * io_recvmsg - an attempt: into the parts of @io->msg, whatever there is
 * @io: the call; @io->arg: the msghdr that gets the results, or NULL
 */
ssize_t io_recvmsg(struct io *io)
{
	struct msghdr m = *io->msg, *result = io->arg;
	struct iovec rest[IOV_WINDOW];
	size_t len = io->len;
	ssize_t n;

	if (io->done) {
		m.msg_iov = rest;
		m.msg_iovlen = iov_rest(rest, io, SIZE_MAX, &len);
	}
	n = io_received(io, sys_recvmsg(io->fd, &m, io->flags | MSG_DONTWAIT), len);
	if (n >= 0 && result) {
		result->msg_namelen = m.msg_namelen;
		result->msg_controllen = m.msg_controllen;
		result->msg_flags = m.msg_flags;
	}
	return n;
}

static ssize_t recvmsg_all(struct io *io)
{
	const struct msghdr *result = io->arg;
	ssize_t n;

	do {
		n = io_recvmsg(io);
		if (n < 0)
			return n;
		io->done += n;
	} while (n && io->done < io->len && !result->msg_controllen);
	return io->done;
}

ssize_t gs_recvmsg_until(int fd, struct msghdr *msg, int flags, int64_t deadline)
{
	ssize_t len = iov_total(msg->msg_iov, msg->msg_iovlen);
	const struct msghdr room = *msg;
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_READ, .deadline = deadline,
		.attempt = wants_all(fd, flags) ? recvmsg_all : io_recvmsg,
		.arg = msg, .len = len, .flags = flags, .msg = &room,
		.once = flags & (MSG_DONTWAIT | IO_ASIDE),
	};

	if (len < 0)
		return msg->msg_iovlen > IOV_MAX ? -EMSGSIZE : len;
	return io_run(&io);
}

ssize_t gs_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return gs_recvmsg_until(fd, msg, flags, NO_DEADLINE);
}

/* ------------------------------------------------------------------------- send */

static ssize_t send_some(struct io *io)
{
	socklen_t addr_len = io->addr_len ? *io->addr_len : 0;
	ssize_t n = sys_sendto(io->fd, io->buf + io->done, io->len - io->done,
			       io->flags | MSG_DONTWAIT, io->addr, addr_len);

	if (n != -ENOTSOCK)
		io_learn(io, FD_SOCKET);
	note_full(io, n);
	return n;
}

/** io_send - an attempt: all of @io->buf. */
ssize_t io_send(struct io *io)
{
	return io_all(io, send_some);
}

ssize_t gs_sendto_until(int fd, const void *buf, size_t len, int flags,
			const struct sockaddr *addr, socklen_t addr_len, int64_t deadline)
{
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_WRITE, .deadline = deadline,
		.attempt = io_send, .buf = (char *)buf, .len = len, .flags = flags,
		.addr = (struct sockaddr *)addr, .addr_len = &addr_len,
		.once = flags & MSG_DONTWAIT,
	};

	return io_run(&io);
}

ssize_t gs_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
		  socklen_t addr_len)
{
	return gs_sendto_until(fd, buf, len, flags, addr, addr_len, NO_DEADLINE);
}

ssize_t gs_send_until(int fd, const void *buf, size_t len, int flags, int64_t deadline)
{
	return gs_sendto_until(fd, buf, len, flags, NULL, 0, deadline);
}

ssize_t gs_send(int fd, const void *buf, size_t len, int flags)
{
	return gs_sendto_until(fd, buf, len, flags, NULL, 0, NO_DEADLINE);
}

static ssize_t sendmsg_some(struct io *io)
{
	struct msghdr m = *io->msg;
	struct iovec rest[IOV_WINDOW];
	size_t bytes;
	ssize_t n;

	if (io->done) {
		m.msg_control = NULL;
		m.msg_controllen = 0;
		m.msg_iov = rest;
		m.msg_iovlen = iov_rest(rest, io, SIZE_MAX, &bytes);
	}
	n = sys_sendmsg(io->fd, &m, io->flags | MSG_DONTWAIT);
	if (n != -ENOTSOCK)
		io_learn(io, FD_SOCKET);
	note_full(io, n);
	return n;
}

/** io_sendmsg - an attempt: all parts of @io->msg. */
ssize_t io_sendmsg(struct io *io)
{
	return io_all(io, sendmsg_some);
}

ssize_t gs_sendmsg_until(int fd, const struct msghdr *msg, int flags, int64_t deadline)
{
	ssize_t len = iov_total(msg->msg_iov, msg->msg_iovlen);
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_WRITE, .deadline = deadline,
		.attempt = io_sendmsg, .len = len, .flags = flags, .msg = msg,
		.once = flags & MSG_DONTWAIT,
	};

	if (len < 0)
		return msg->msg_iovlen > IOV_MAX ? -EMSGSIZE : len;
	return io_run(&io);
}

ssize_t gs_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return gs_sendmsg_until(fd, msg, flags, NO_DEADLINE);
}
