// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * poll.c: waiting for readiness itself: gs_wait_fd.
 */
#include "io.h"
#include "sysio.h"

static ssize_t try_wait_fd(struct io *io)
{
	int ret = 0;

	if (io->e && !fd_node(io->e, io->dir))
		ret = fd_watch(io->e, io->fd, io->dir);
	return ret ? ret : io_poll(io);
}

int gs_wait_fd_until(int fd, int events, int64_t deadline)
{
	struct io io = {
		.fd = fd, .deadline = deadline, .attempt = try_wait_fd,
		.dir = events == POLLIN ? GSCHED_DIR_READ : GSCHED_DIR_WRITE,
	};

	if (events != POLLIN && events != POLLOUT)
		return -EINVAL;
	return io_run(&io);
}

int gs_wait_fd(int fd, int events)
{
	return gs_wait_fd_until(fd, events, NO_DEADLINE);
}
