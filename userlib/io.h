/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * io.h: the calls that have the shapes of system calls, and what they share.
 *
 * io.c        the loop, what kind of file a descriptor is
 * io_rw.c     gs_read, gs_write
 * io_vec.c    gs_readv, gs_writev
 * io_msg.c    gs_recv*, gs_send*
 * io_file.c   gs_pread, gs_pwrite, gs_sendfile
 * io_conn.c   gs_socket, gs_accept, gs_connect, gs_close
 * poll.c      gs_wait_fd, gs_poll
 * child.c, sigwait.c   gs_waitpid, gs_sigwait
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
 *                       another process is faster, the call blocks the thread. So
 *                       does gs_sendfile on blocking sockets, too: it has no flag.
 *
 * What is known of a descriptor that is no socket is believed only while it is
 * registered, since only then somebody tells when the number gets another meaning.
 *
 * gs_write and gs_writev differ from write(2) in one thing: a socket whose peer is gone
 * gives -EPIPE and no SIGPIPE, for a signal is the process's and the error the
 * goroutine's. On pipes SIGPIPE comes as ever; gs_send and its kin obey their flags.
 *
 * gs_connect on a blocking socket that the library did not open blocks its thread:
 * nothing but O_NONBLOCK makes connect(2) return early.
 *
 * Where the kernel has a descriptor for what is waited for (a child, a signal, several
 * descriptors), a call that has to wait opens one of its own.
 *
 * A thread that is no goroutine may call all of these, too: it waits in poll(2).
 */
#ifndef GS_IO_H
#define GS_IO_H

#include <errno.h>

#include "fdtable.h"

/* How often a full queue of a unix socket is tried where no event tells. */
#define IO_UNIX_PAUSE_NS	1000000

/* recv's flags that do not look at the queue of data; such calls never wait. */
#define IO_ASIDE	(MSG_OOB | MSG_ERRQUEUE)

/* struct io - a call in progress */
struct io {
	int fd;
	unsigned int dir;
	int64_t deadline;
	ssize_t (*attempt)(struct io *io);
	void *arg;			/* the attempt's own */
	char *buf;
	size_t len;			/* of @buf, or of all of @msg's parts */
	int flags;			/* recv's or send's */
	struct sockaddr *addr;
	socklen_t *addr_len;
	const struct msghdr *msg;
	bool once;			/* the caller wants -EAGAIN */

	struct gs_fd *e;		/* NULL: the caller is no goroutine */
	size_t done;			/* bytes moved by earlier attempts */
	int64_t pause;			/* no event will come: try again after this time */
	bool connecting;
};

/* What other_ready says of how to make the call. */
enum other_kind {
	OTHER_DIRECT,			/* the plain call, now */
	OTHER_POLLED,			/* ready, but a blocking descriptor */
};

ssize_t io_run(struct io *io);
ssize_t io_run_own(struct io *io);
int io_timeout(int64_t until);

void io_learn_other(struct io *io);
int io_may_block(struct io *io);
int io_poll(struct io *io);
int other_ready(struct io *io);

/* Attempts, or halves of them */
ssize_t io_received(struct io *io, ssize_t n, size_t len);
ssize_t io_recv(struct io *io);
ssize_t io_send(struct io *io);
ssize_t io_recvmsg(struct io *io);
ssize_t io_sendmsg(struct io *io);

/* io_vec.c */
#define IOV_WINDOW 64

ssize_t iov_total(const struct iovec *iov, size_t n);
size_t iov_rest(struct iovec *rest, const struct io *io, size_t most, size_t *bytes);

static inline uint32_t io_facts(const struct io *io)
{
	return io->e ? fd_facts(io->e) : 0;
}

static inline void io_learn(struct io *io, uint32_t fact)
{
	if (io->e && !(fd_facts(io->e) & fact))
		fd_learn(io->e, fact);
}

/**
 * io_by_kind - an attempt on a descriptor of any kind
 * @io:    the call
 * @sock:  the attempt on a socket, -ENOTSOCK: it is none
 * @other: the attempt on anything else
 */
static inline ssize_t io_by_kind(struct io *io, ssize_t (*sock)(struct io *),
				 ssize_t (*other)(struct io *))
{
	ssize_t n;

	if (!(io_facts(io) & FD_OTHER)) {
		n = sock(io);
		if (n != -ENOTSOCK)
			return n;
		io_learn_other(io);
	}
	return other(io);
}

/**
 * io_all - an attempt to move all bytes
 * @io:   the call; @io->done counts, also over several attempts
 * @some: moves some
 */
static inline ssize_t io_all(struct io *io, ssize_t (*some)(struct io *))
{
	ssize_t n;

	do {
		n = some(io);
		if (n < 0)
			return n;
		io->done += n;
	} while (n && io->done < io->len);
	return io->done;
}

#endif /* GS_IO_H */
