// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * io_rw.c: gs_read and gs_write.
 */
#include <limits.h>

#include "io.h"
#include "sysio.h"

static ssize_t other_read(struct io *io)
{
	int kind = other_ready(io);

	return kind < 0 ? kind : sys_read(io->fd, io->buf, io->len);
}

static ssize_t try_read(struct io *io)
{
	return io_by_kind(io, io_recv, other_read);
}

ssize_t gs_read_until(int fd, void *buf, size_t len, int64_t deadline)
{
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_READ, .deadline = deadline,
		.attempt = try_read, .buf = buf, .len = len,
	};

	if (len)
		return io_run(&io);
	call_begin();
	return sys_read(fd, buf, 0);	/* takes no datagram, as recv would */
}

ssize_t gs_read(int fd, void *buf, size_t len)
{
	return gs_read_until(fd, buf, len, NO_DEADLINE);
}

static ssize_t other_write_some(struct io *io)
{
	size_t len = io->len - io->done;
	int kind = other_ready(io);

	if (kind < 0)
		return kind;
	if (kind == OTHER_POLLED && len > PIPE_BUF)
		len = PIPE_BUF;
	return sys_write(io->fd, io->buf + io->done, len);
}

static ssize_t other_write(struct io *io)
{
	return io_all(io, other_write_some);
}

static ssize_t try_write(struct io *io)
{
	return io_by_kind(io, io_send, other_write);
}

ssize_t gs_write_until(int fd, const void *buf, size_t len, int64_t deadline)
{
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_WRITE, .deadline = deadline,
		.attempt = try_write, .buf = (char *)buf, .len = len, .flags = MSG_NOSIGNAL,
	};

	return io_run(&io);
}

ssize_t gs_write(int fd, const void *buf, size_t len)
{
	return gs_write_until(fd, buf, len, NO_DEADLINE);
}
