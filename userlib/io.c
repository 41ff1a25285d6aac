// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * io.c: the loop that the calls run in, and what kind of file a descriptor is.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>

#include "io.h"
#include "sysio.h"

/* ------------------------------------------------------------------- the loop */

static int io_events(const struct io *io)
{
	return io->dir == GSCHED_DIR_READ ? POLLIN : POLLOUT;
}

static int64_t io_wake_time(const struct io *io)
{
	int64_t t = io->pause ? gs_now() + io->pause : NO_DEADLINE;

	return t < io->deadline ? t : io->deadline;
}

/** io_timeout - poll(2)'s for a wait that ends at @until. */
int io_timeout(int64_t until)
{
	int64_t ms;

	if (until == NO_DEADLINE)
		return -1;
	ms = (until - gs_now() + 999999) / 1000000;
	return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

static int io_thread_wait(const struct io *io)
{
	int ret = sys_poll(io->pause ? -1 : io->fd, io_events(io),
			   io_timeout(io_wake_time(io)));

	return ret < 0 ? ret : 0;
}

static int io_wait(struct io *io)
{
	int ret;

	if (io->once)
		return -EAGAIN;
	if (deadline_passed(io->deadline))
		return -ETIMEDOUT;
	if (!io->e)
		return io_thread_wait(io);
	/* Events may come, of the attempt's own doing, and mean nothing. */
	if (io->pause)
		return gs_sleep_until(io_wake_time(io));
	ret = fd_park(io->e, io->fd, io->dir, io->deadline);
	return ret == -EPERM ? -EAGAIN : ret;	/* no file to wait for */
}

static ssize_t io_loop(struct io *io)
{
	ssize_t ret;

	for (;;) {
		ret = io->e ? fd_prepare(io->e, io->dir) : 0;
		if (ret)
			return ret;
		ret = io->attempt(io);
		if (ret == -EINTR)
			continue;
		if (ret != -EAGAIN)
			return ret;
		ret = io_wait(io);
		if (ret)
			return ret;
	}
}

/*
 * The last read emptied a TCP socket: it was short, and nothing but data had
 * happened (GSCHED_EV_VERIFY). The word was reset before that read and is NIL
 * still, so nothing has come since (it would have made the word READY, see fdwait.c):
 * another read would say EAGAIN, so park at once. A call that may not wait
 * reads: the epoll backend hears of events later than the socket does.
 *
 * Whatever call comes next, it forgets this first: its fd_prepare takes the READY
 * and the GSCHED_EV_VERIFY away on which the next read would have relied.
 */
static bool io_drained(const struct io *io)
{
	struct gs_fd *e = io->e;
	struct gsched_node *node;

	if (io->dir != GSCHED_DIR_READ || !e->drained)
		return false;
	e->drained = false;
	if (io->flags & IO_ASIDE || io->once || deadline_passed(io->deadline) || fd_closing(e))
		return false;
	node = fd_node(e, GSCHED_DIR_READ);
	return node && __atomic_load_n(&node->word, __ATOMIC_ACQUIRE) == GSCHED_WORD_NIL &&
	       !__atomic_load_n(&node->events, __ATOMIC_ACQUIRE);
}

static ssize_t io_locked(struct io *io)
{
	int ret;

	if (io_drained(io)) {
		ret = io_wait(io);
		if (ret)
			return ret;
	}
	return io_loop(io);
}

/**
 * io_run - make a call
 * @io: the call, filled in down to @io->once
 *
 * Return: the attempt's result, @io->done if an error came after that many bytes, or
 * -errno.
 */
ssize_t io_run(struct io *io)
{
	ssize_t ret;

	if (!g_self()) {
		ret = io_loop(io);
	} else {
		call_begin();
		io->e = fd_get(io->fd);
		if (!io->e)
			return io->fd < 0 ? -EBADF : -ENOMEM;
		ret = fd_acquire(io->e, io->fd, io->dir, io->once ? 0 : io->deadline);
		if (ret)
			return ret == -ETIMEDOUT && io->once ? -EAGAIN : ret;
		ret = io_locked(io);
		fd_release(io->e, io->fd, io->dir);
	}
	return ret < 0 && io->done ? (ssize_t)io->done : ret;
}

/**
 * io_run_own - io_run on a descriptor opened for this call alone, which is then closed
 * @io: the call
 */
ssize_t io_run_own(struct io *io)
{
	ssize_t ret;

	if (g_self())
		fd_opened(io->fd, FD_OTHER | FD_NONBLOCK | FD_LOOKED);
	ret = io_run(io);
	gs_close(io->fd);
	return ret;
}

/* ------------------------------------------------------ what kind of descriptor */

/** io_learn_other - the entry believed in a socket, or knew nothing. */
void io_learn_other(struct io *io)
{
	if (!io->e)
		return;
	fd_forget(io->e);
	fd_learn(io->e, FD_OTHER);
}

/**
 * io_may_block - the next system call may block the thread
 * @io: the call
 *
 * gs_close cannot wake it: so gs_close shall not wait (fd_end_close). Return: 0, -EBADF:
 * it has been called.
 */
int io_may_block(struct io *io)
{
	io_learn(io, FD_MAY_BLOCK);
	return io->e && fd_closing(io->e) ? -EBADF : 0;
}

/** io_poll - Return: poll(2)'s revents, -EAGAIN: not ready, or another -errno. */
int io_poll(struct io *io)
{
	int ret = sys_poll(io->fd, io_events(io), 0);

	return ret ? ret : -EAGAIN;
}

/* An unregistered descriptor that is no socket: register it, if that makes sense. */
static int other_first(struct io *io)
{
	int mode = sys_mode(io->fd);

	if (mode < 0)
		return mode;
	if (S_ISREG(mode) || S_ISBLK(mode) || S_ISDIR(mode))
		return -EPERM;
	if (!io->e)
		return 0;
	if (S_ISSOCK(mode)) {		/* the number's meaning has changed */
		fd_forget(io->e);
		return -EINTR;
	}
	return fd_watch(io->e, io->fd, io->dir);
}

/**
 * other_ready - may a descriptor that is no socket be read or written now?
 * @io: the call
 *
 * Return: other_kind, -EAGAIN: would block, -EINTR: begin anew, or another -errno.
 */
int other_ready(struct io *io)
{
	int ret = 0;

	if (!io->e || !fd_node(io->e, io->dir))
		ret = other_first(io);
	if (ret == -EPERM)
		return io_may_block(io);
	if (ret)
		return ret;
	if (io_facts(io) & FD_NONBLOCK)
		return OTHER_DIRECT;
	ret = io_may_block(io);
	if (!ret)
		ret = io_poll(io);
	return ret < 0 ? ret : OTHER_POLLED;
}

/* -------------------------------------------------------------- reads of sockets */

/* A read of a socket ended with @n: what does that say of the next one? */
static void note_read(struct io *io, ssize_t n, size_t len)
{
	struct gs_fd *e = io->e;
	struct gsched_node *node;

	if (!e || io->flags & (MSG_PEEK | IO_ASIDE))
		return;
	node = fd_node(e, GSCHED_DIR_READ);
	if (n == -EAGAIN)
		e->verify = false;
	e->drained = node && n > 0 && (size_t)n < len && fd_facts(e) & FD_TCP && !e->verify &&
		     !__atomic_load_n(&node->events, __ATOMIC_ACQUIRE);
}

/**
 * io_received - note what a read tells of its socket
 * @io:  the call
 * @n:   its result, or -errno
 * @len: how many bytes it could have given
 *
 * Return: @n.
 */
ssize_t io_received(struct io *io, ssize_t n, size_t len)
{
	if (n != -ENOTSOCK) {
		io_learn(io, FD_SOCKET);
		note_read(io, n, len);
	}
	return n;
}
