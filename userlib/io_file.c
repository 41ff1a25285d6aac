// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * io_file.c: gs_pread, gs_pwrite, gs_sendfile.
 *
 * Positioned reads and writes take neither reference nor direction lock: there is
 * nothing to wait for, and many goroutines may read one file at a time.
 */
#include <limits.h>
#include <sys/stat.h>

#include "io.h"
#include "sysio.h"

ssize_t gs_pread(int fd, void *buf, size_t len, off_t offset)
{
	call_begin();
	return sys_pread(fd, buf, len, offset);
}

ssize_t gs_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	call_begin();
	return sys_pwrite(fd, buf, len, offset);
}

struct transfer {
	int in_fd;
	off_t *offset;
};

/*
 * sendfile(2) goes by O_NONBLOCK. Without: poll(2), and no more than what that
 * promises room for. Return: how many bytes at most, or -errno.
 */
static ssize_t sendfile_room(struct io *io)
{
	int ret;

	if (io_facts(io) & FD_NONBLOCK || sys_nonblock(io->fd))
		return SSIZE_MAX;
	ret = io_may_block(io);
	if (!ret)
		ret = sys_mode(io->fd);
	if (ret < 0 || S_ISREG(ret))
		return ret < 0 ? ret : SSIZE_MAX;
	ret = io_poll(io);
	return ret < 0 ? ret : PIPE_BUF;
}

static ssize_t sendfile_some(struct io *io)
{
	const struct transfer *t = io->arg;
	size_t len = io->len - io->done;
	ssize_t room = sendfile_room(io);

	if (room < 0)
		return room;
	return sys_sendfile(io->fd, t->in_fd, t->offset, len < (size_t)room ? len : (size_t)room);
}

static ssize_t try_sendfile(struct io *io)
{
	return io_all(io, sendfile_some);
}

ssize_t gs_sendfile_until(int out_fd, int in_fd, off_t *offset, size_t len, int64_t deadline)
{
	struct transfer t = { .in_fd = in_fd, .offset = offset };
	struct io io = {
		.fd = out_fd, .dir = GSCHED_DIR_WRITE, .deadline = deadline,
		.attempt = try_sendfile, .arg = &t, .len = len,
	};

	return io_run(&io);
}

ssize_t gs_sendfile(int out_fd, int in_fd, off_t *offset, size_t len)
{
	return gs_sendfile_until(out_fd, in_fd, offset, len, NO_DEADLINE);
}
