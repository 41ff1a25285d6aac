// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * io_vec.c: gs_readv and gs_writev; going on in the middle of an array of parts.
 *
 * The caller's array is constant. A call that goes on after some bytes copies the next
 * few parts that are left, the first one cut.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>

#include "io.h"
#include "sysio.h"

/**
 * iov_total - bytes of all parts
 * @iov: the parts
 * @n:   how many
 *
 * Return: the sum, or -EINVAL: too many parts or bytes.
 */
ssize_t iov_total(const struct iovec *iov, size_t n)
{
	ssize_t sum = 0;
	size_t i;

	if (n > IOV_MAX)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (__builtin_add_overflow(sum, iov[i].iov_len, &sum))
			return -EINVAL;
	return sum;
}

/**
 * iov_rest - the next parts after @io->done bytes of @io->msg
 * @rest:  room for IOV_WINDOW parts
 * @io:    the call; there are bytes left
 * @most:  no more than so many bytes
 * @bytes: how many are in @rest
 *
 * Return: how many parts.
 */
size_t iov_rest(struct iovec *rest, const struct io *io, size_t most, size_t *bytes)
{
	const struct iovec *v = io->msg->msg_iov, *end = v + io->msg->msg_iovlen;
	size_t skip = io->done, len, n = 0;

	*bytes = 0;
	for (; v < end && n < IOV_WINDOW && *bytes < most; v++) {
		if (v->iov_len <= skip) {
			skip -= v->iov_len;
			continue;
		}
		len = v->iov_len - skip;
		if (len > most - *bytes)
			len = most - *bytes;
		rest[n++] = (struct iovec){ (char *)v->iov_base + skip, len };
		*bytes += len;
		skip = 0;
	}
	return n;
}

static ssize_t other_readv(struct io *io)
{
	int kind = other_ready(io);

	return kind < 0 ? kind : sys_readv(io->fd, io->msg->msg_iov, (int)io->msg->msg_iovlen);
}

static ssize_t try_readv(struct io *io)
{
	return io_by_kind(io, io_recvmsg, other_readv);
}

ssize_t gs_readv_until(int fd, const struct iovec *iov, int n, int64_t deadline)
{
	const struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };
	ssize_t len = n < 0 ? -EINVAL : iov_total(iov, n);
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_READ, .deadline = deadline,
		.attempt = try_readv, .len = len, .msg = &msg,
	};

	if (len < 0)
		return len;
	if (len)
		return io_run(&io);
	call_begin();
	return sys_readv(fd, iov, n);	/* takes no datagram, as recvmsg would */
}

ssize_t gs_readv(int fd, const struct iovec *iov, int n)
{
	return gs_readv_until(fd, iov, n, NO_DEADLINE);
}

static ssize_t other_writev_some(struct io *io)
{
	struct iovec rest[IOV_WINDOW];
	int kind = other_ready(io), n;
	size_t most, bytes;

	if (kind < 0)
		return kind;
	most = kind == OTHER_POLLED ? PIPE_BUF : SIZE_MAX;
	/* All at once if that can be: on a pipe it is then not cut by other writers. */
	if (!io->done && io->len <= most)
		return sys_writev(io->fd, io->msg->msg_iov, (int)io->msg->msg_iovlen);
	n = (int)iov_rest(rest, io, most, &bytes);
	return sys_writev(io->fd, rest, n);
}

static ssize_t other_writev(struct io *io)
{
	return io_all(io, other_writev_some);
}

static ssize_t try_writev(struct io *io)
{
	return io_by_kind(io, io_sendmsg, other_writev);
}

ssize_t gs_writev_until(int fd, const struct iovec *iov, int n, int64_t deadline)
{
	const struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };
	ssize_t len = n < 0 ? -EINVAL : iov_total(iov, n);
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_WRITE, .deadline = deadline,
		.attempt = try_writev, .len = len, .flags = MSG_NOSIGNAL, .msg = &msg,
	};

	if (len < 0)
		return len;
	if (len)
		return io_run(&io);
	call_begin();
	return sys_writev(fd, iov, n);	/* sends no datagram, as sendmsg would */
}

ssize_t gs_writev(int fd, const struct iovec *iov, int n)
{
	return gs_writev_until(fd, iov, n, NO_DEADLINE);
}
