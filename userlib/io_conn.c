// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * io_conn.c: sockets: opening, accepting, connecting; closing of any descriptor.
 */
#include <errno.h>
#include <netinet/in.h>

#include "io.h"
#include "runtime.h"
#include "sysio.h"

static ssize_t try_accept(struct io *io)
{
	int ret = 0;

	if (!(io_facts(io) & FD_NONBLOCK)) {
		ret = io_may_block(io);
		if (!ret)
			ret = io_poll(io);
	}
	if (ret >= 0)
		ret = sys_accept(io->fd, io->addr, io->addr_len);
	return ret == -ECONNABORTED ? -EINTR : ret;
}

int gs_accept_until(int fd, struct sockaddr *addr, socklen_t *len, int64_t deadline)
{
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_READ, .deadline = deadline,
		.attempt = try_accept, .addr = addr, .addr_len = len,
	};
	int ret = io_run(&io);

	if (ret >= 0)
		/* Of TCP if the listener is, if that is known yet. */
		fd_opened(ret, FD_SOCKET | FD_NONBLOCK |
			       (io_facts(&io) & (FD_LOOKED | FD_TCP)));
	return ret;
}

int gs_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return gs_accept_until(fd, addr, len, NO_DEADLINE);
}

/* Under way: poll(2) tells, and SO_ERROR how it ended. */
static int connect_result(struct io *io)
{
	int ret = io_poll(io);

	return ret < 0 ? ret : sys_so_error(io->fd);
}

static ssize_t try_connect(struct io *io)
{
	int ret;

	if (io->connecting)
		return connect_result(io);
	if (!(io_facts(io) & FD_NONBLOCK) && !sys_nonblock(io->fd)) {
		ret = io_may_block(io);
		if (ret)
			return ret;
	}
	ret = sys_connect(io->fd, io->addr, *io->addr_len);
	if (ret == -EINPROGRESS || ret == -EINTR) {
		io->connecting = true;
		return connect_result(io);
	}
	if (ret == -EAGAIN && io->addr->sa_family == AF_UNIX)
		io->pause = IO_UNIX_PAUSE_NS;
	else if (ret == -EAGAIN)
		io->once = true;	/* no resources, not a matter of waiting */
	return ret;
}

int gs_connect_until(int fd, const struct sockaddr *addr, socklen_t len, int64_t deadline)
{
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_WRITE, .deadline = deadline,
		.attempt = try_connect, .addr = (struct sockaddr *)addr, .addr_len = &len,
	};

	return io_run(&io);
}

int gs_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return gs_connect_until(fd, addr, len, NO_DEADLINE);
}

int gs_socket(int domain, int type, int protocol)
{
	uint32_t facts = FD_SOCKET | FD_NONBLOCK | FD_LOOKED;
	int fd;

	call_begin();
	fd = sys_socket(domain, type, protocol);
	if (fd < 0)
		return fd;
	if ((domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_STREAM &&
	    (protocol == 0 || protocol == IPPROTO_TCP))
		facts |= FD_TCP;
	fd_opened(fd, facts);
	return fd;
}

/* By a thread: without a runtime nobody else uses the descriptor by the library. */
int gs_close(int fd)
{
	struct gs_fd *e;
	int ret;

	call_begin();
	if (!runtime_enter())
		return sys_close(fd);
	e = fd_find(fd);
	ret = e ? fd_close(e, fd) : sys_close(fd);
	runtime_leave();
	return ret;
}
