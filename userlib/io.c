// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * io.c: the calls that have the shapes of system calls.
 *
 * Each is an attempt that returns -EAGAIN where the system call would block, in
 * one loop: prepare, attempt, park (fdwait.c says why in this order). How an attempt
 * avoids blocking without touching O_NONBLOCK, which others may share:
 *
 *   sockets             MSG_DONTWAIT. That a descriptor is a socket costs no call:
 *                       recv or send is tried first, and -ENOTSOCK says the contrary.
 *                       accept has no such flag: unless the listening socket
 *                       is known to be O_NONBLOCK, poll(2) goes before it.
 *   regular files       the plain call; nothing can be waited for
 *   other, O_NONBLOCK   the plain call
 *   other, blocking     (pipes, ttys) poll(2), then the plain call, of at most
 *                       PIPE_BUF bytes for a write: what poll promises room for. If
 *                       another process is faster, the call blocks the thread.
 *
 * What is known of a descriptor that is no socket is believed only while it is
 * registered, since only then somebody tells when the number gets another meaning.
 *
 * gs_write differs from write(2) in one thing: a socket whose peer is gone gives
 * -EPIPE and no SIGPIPE, for a signal is the process's and the error the
 * goroutine's. On pipes SIGPIPE comes as ever; gs_send obeys its flags.
 *
 * gs_connect on a blocking socket that the library did not open blocks its thread:
 * nothing but O_NONBLOCK makes connect(2) return early.
 *
 * A thread that is no goroutine may call these, too: it waits in poll(2).
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>

#include "fdtable.h"
#include "sysio.h"

/* How often a full listen queue of a unix socket is tried: no event tells. */
#define UNIX_CONNECT_PAUSE_NS	1000000

/* recv's flags that do not look at the queue of data. */
#define ASIDE (MSG_OOB | MSG_ERRQUEUE)

struct io {
	int fd;
	unsigned int dir;
	int64_t deadline;
	ssize_t (*attempt)(struct io *io);
	char *buf;
	size_t len;
	int flags;		/* recv's or send's */
	struct sockaddr *addr;
	socklen_t *addr_len;
	bool once;		/* the caller wants -EAGAIN */

	struct gs_fd *e;	/* NULL: the caller is no goroutine */
	size_t done;		/* bytes moved by earlier attempts */
	int64_t pause;		/* no event will come: try again after this time */
	bool connecting;
};

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

static int poll_timeout(int64_t until)
{
	int64_t ms;

	if (until == NO_DEADLINE)
		return -1;
	ms = (until - gs_now() + 999999) / 1000000;
	return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

static int thread_wait(const struct io *io)
{
	int ret = sys_poll(io->pause ? -1 : io->fd, io_events(io),
			   poll_timeout(io_wake_time(io)));

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
		return thread_wait(io);
	ret = fd_park(io->e, io->fd, io->dir, io_wake_time(io));
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
	if (io->flags & ASIDE || io->once || deadline_passed(io->deadline) || fd_closing(e))
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

static ssize_t io_run(struct io *io)
{
	ssize_t ret;

	if (!g_self()) {
		ret = io_loop(io);
	} else {
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

/* ------------------------------------------------------ what kind of descriptor */

static uint32_t io_facts(const struct io *io)
{
	return io->e ? fd_facts(io->e) : 0;
}

static void io_learn(struct io *io, uint32_t fact)
{
	if (io->e && !(fd_facts(io->e) & fact))
		fd_learn(io->e, fact);
}

/* The entry believed in a socket, or knew nothing. */
static void io_learn_other(struct io *io)
{
	if (!io->e)
		return;
	fd_forget(io->e);
	fd_learn(io->e, FD_OTHER);
}

/*
 * The next call may block the thread, and gs_close cannot wake it: so gs_close
 * shall not wait (fd_end_close). Return: 0, -EBADF: it has been called.
 */
static int io_may_block(struct io *io)
{
	io_learn(io, FD_MAY_BLOCK);
	return io->e && fd_closing(io->e) ? -EBADF : 0;
}

static int io_poll(struct io *io)
{
	int ret = sys_poll(io->fd, io_events(io), 0);

	return ret ? ret : -EAGAIN;
}

enum other_kind {
	OTHER_DIRECT,		/* the plain call, now */
	OTHER_POLLED,		/* ready, but a blocking descriptor */
};

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

/* Return: other_kind, -EAGAIN: would block, -EINTR: begin anew, or another -errno. */
static int other_ready(struct io *io)
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

/* -------------------------------------------------------------- read and receive */

/* A read of a socket ended with @n: what does that say of the next one? */
static void note_read(struct io *io, ssize_t n, size_t len)
{
	struct gs_fd *e = io->e;
	struct gsched_node *node;

	if (!e || io->flags & (MSG_PEEK | ASIDE))
		return;
	node = fd_node(e, GSCHED_DIR_READ);
	if (n == -EAGAIN)
		e->verify = false;
	e->drained = node && n > 0 && (size_t)n < len && fd_facts(e) & FD_TCP && !e->verify &&
		     !__atomic_load_n(&node->events, __ATOMIC_ACQUIRE);
}

static ssize_t socket_read(struct io *io)
{
	char *buf = io->buf + io->done;
	size_t len = io->len - io->done;
	ssize_t n = sys_recv(io->fd, buf, len, io->flags | MSG_DONTWAIT);

	if (n != -ENOTSOCK) {
		io_learn(io, FD_SOCKET);
		note_read(io, n, len);
	}
	return n;
}

static ssize_t try_read(struct io *io)
{
	ssize_t n;

	if (!(io_facts(io) & FD_OTHER)) {
		n = socket_read(io);
		if (n != -ENOTSOCK)
			return n;
		io_learn_other(io);
	}
	n = other_ready(io);
	return n < 0 ? n : sys_read(io->fd, io->buf, io->len);
}

ssize_t gs_read_until(int fd, void *buf, size_t len, int64_t deadline)
{
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_READ, .deadline = deadline,
		.attempt = try_read, .buf = buf, .len = len,
	};

	if (!len)
		return sys_read(fd, buf, 0);	/* takes no datagram, as recv would */
	return io_run(&io);
}

ssize_t gs_read(int fd, void *buf, size_t len)
{
	return gs_read_until(fd, buf, len, NO_DEADLINE);
}

/* MSG_WAITALL on a stream: until all is there, or the end, or an error. */
static ssize_t try_recv_all(struct io *io)
{
	ssize_t n;

	do {
		n = socket_read(io);
		if (n < 0)
			return n;
		io->done += n;
	} while (n && io->done < io->len);
	return io->done;
}

ssize_t gs_recv_until(int fd, void *buf, size_t len, int flags, int64_t deadline)
{
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_READ, .deadline = deadline,
		.attempt = socket_read, .buf = buf, .len = len, .flags = flags,
		.once = flags & MSG_DONTWAIT,
	};

	if (flags & MSG_WAITALL && !(flags & MSG_PEEK) && sys_socktype(fd) == SOCK_STREAM)
		io.attempt = try_recv_all;
	return io_run(&io);
}

ssize_t gs_recv(int fd, void *buf, size_t len, int flags)
{
	return gs_recv_until(fd, buf, len, flags, NO_DEADLINE);
}

/* ---------------------------------------------------------------- write and send */

static ssize_t socket_write(struct io *io)
{
	ssize_t n = sys_send(io->fd, io->buf + io->done, io->len - io->done,
			     io->flags | MSG_DONTWAIT);

	if (n != -ENOTSOCK)
		io_learn(io, FD_SOCKET);
	return n;
}

static ssize_t other_write(struct io *io)
{
	size_t len = io->len - io->done;
	int kind = other_ready(io);

	if (kind < 0)
		return kind;
	if (kind == OTHER_POLLED && len > PIPE_BUF)
		len = PIPE_BUF;
	return sys_write(io->fd, io->buf + io->done, len);
}

static ssize_t write_some(struct io *io)
{
	ssize_t n;

	if (!(io_facts(io) & FD_OTHER)) {
		n = socket_write(io);
		if (n != -ENOTSOCK)
			return n;
		io_learn_other(io);
	}
	return other_write(io);
}

static ssize_t try_write(struct io *io)
{
	ssize_t n;

	do {
		n = write_some(io);
		if (n < 0)
			return n;
		io->done += n;
	} while (n && io->done < io->len);
	return io->done;
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

ssize_t gs_send_until(int fd, const void *buf, size_t len, int flags, int64_t deadline)
{
	struct io io = {
		.fd = fd, .dir = GSCHED_DIR_WRITE, .deadline = deadline,
		.attempt = socket_write, .buf = (char *)buf, .len = len, .flags = flags,
		.once = flags & MSG_DONTWAIT,
	};

	return io_run(&io);
}

ssize_t gs_send(int fd, const void *buf, size_t len, int flags)
{
	return gs_send_until(fd, buf, len, flags, NO_DEADLINE);
}

/* ------------------------------------------------------------ accept and connect */

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
		io->pause = UNIX_CONNECT_PAUSE_NS;
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
	int fd = sys_socket(domain, type, protocol);

	if (fd < 0)
		return fd;
	if ((domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_STREAM &&
	    (protocol == 0 || protocol == IPPROTO_TCP))
		facts |= FD_TCP;
	if (gs_backend())
		fd_opened(fd, facts);
	return fd;
}

/* ------------------------------------------------------------------ close and wait */

int gs_close(int fd)
{
	struct gs_fd *e = gs_backend() ? fd_find(fd) : NULL;

	return e ? fd_close(e, fd) : sys_close(fd);
}

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
