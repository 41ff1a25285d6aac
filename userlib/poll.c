// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * poll.c: waiting for readiness itself: gs_wait_fd, and gs_poll on several descriptors.
 *
 * gs_poll is a poll(2) that does not wait. If nothing is ready it puts the descriptors
 * into an epoll set of its own, waits until that is readable, and looks again. So a
 * gs_poll needs neither slots nor direction locks of the descriptors, and goroutines
 * that read and write them meanwhile do not notice it.
 *
 * What gs_close promises, it keeps by fd_poller:
 *
 *   gs_poll                                 gs_close
 *
 *   reference, into the entry's list        set FD_CLOSING              [B]
 *   register the set, store its slot [A]    for all in the list: wake the set's slot [C]
 *   attempt: look at FD_CLOSING      [D]
 *
 * All sequentially consistent: either [D] sees [B], or [B], and so [C], comes after [A]
 * and finds the slot; then the word is READY, and the attempt is made again. As gs_poll
 * holds a reference, the number means nothing else before it has looked. A
 * descriptor that foreign code closes leaves the set, as it leaves a poll(2) in
 * another thread: nothing is heard of it any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "io.h"
#include "sysio.h"

/* ------------------------------------------------------------------- gs_wait_fd */

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

/* ---------------------------------------------------------------------- gs_poll */

#define FEW 8

/* A descriptor of the array; @e is NULL while it is not in use. */
struct polled {
	struct fd_poller poller;
	struct gs_fd *e;
};

struct poll_call {
	struct pollfd *fds;
	nfds_t n;
	struct polled *members;
};

/* gs_close has been called on some: poll(2) does not know that yet. */
static int poll_closing(const struct poll_call *c, int ready)
{
	nfds_t i;

	for (i = 0; i < c->n; i++) {
		if (!c->members[i].e || !fd_closing(c->members[i].e))
			continue;
		ready += !c->fds[i].revents;
		c->fds[i].revents = POLLNVAL;
	}
	return ready;
}

static ssize_t try_poll(struct io *io)
{
	const struct poll_call *c = io->arg;
	int ret = 0;

	if (!fd_node(io->e, GSCHED_DIR_READ))
		ret = fd_watch(io->e, io->fd, GSCHED_DIR_READ);
	if (!ret)
		ret = sys_polln(c->fds, c->n, 0);
	if (ret >= 0)
		ret = poll_closing(c, ret);
	return ret ? ret : -EAGAIN;
}

/* A number that stands in several places is wanted for all they want. */
static uint32_t poll_events(const struct poll_call *c, nfds_t last)
{
	uint32_t events = 0;
	nfds_t i;

	for (i = 0; i <= last; i++)
		if (c->fds[i].fd == c->fds[last].fd)
			events |= (uint16_t)c->fds[i].events;
	return events;
}

static int poll_add(const struct poll_call *c, int epfd, nfds_t i)
{
	int fd = c->fds[i].fd;
	int ret = sys_epoll_ctl(epfd, EPOLL_CTL_ADD, fd, (uint16_t)c->fds[i].events);

	if (ret == -EEXIST)
		ret = sys_epoll_ctl(epfd, EPOLL_CTL_MOD, fd, poll_events(c, i));
	/*
	 * EPERM: a regular file, which becomes ready no more than it was. EBADF: just
	 * closed; the attempt will say so.
	 */
	return ret == -EPERM || ret == -EBADF ? 0 : ret;
}

static int poll_begin(const struct poll_call *c, int epfd, struct gs_fd *set)
{
	struct polled *mb;
	struct gs_fd *e;
	nfds_t i;
	int ret;

	for (i = 0; i < c->n; i++) {
		if (c->fds[i].fd < 0)
			continue;
		mb = &c->members[i];
		e = fd_get(c->fds[i].fd);
		if (!e)
			return -ENOMEM;
		mb->poller.wake = set;
		/* If the set has its number, it was closed after the first look. */
		if (c->fds[i].fd == epfd || fd_poll_begin(e, &mb->poller)) {
			c->fds[i].revents = POLLNVAL;
			return 1;
		}
		mb->e = e;
		ret = poll_add(c, epfd, i);
		if (ret)
			return ret;
	}
	return 0;
}

static void poll_end(const struct poll_call *c)
{
	nfds_t i;

	for (i = 0; i < c->n; i++)
		if (c->members[i].e)
			fd_poll_end(c->members[i].e, c->fds[i].fd, &c->members[i].poller);
}

/* Return: how many are ready, or -errno. */
static int poll_park(struct poll_call *c, int64_t deadline)
{
	struct io io = {
		.fd = sys_epoll_create(), .dir = GSCHED_DIR_READ, .deadline = deadline,
		.attempt = try_poll, .arg = c,
	};
	struct gs_fd *set = fd_get(io.fd);
	int ret;

	if (io.fd < 0)
		return io.fd;
	ret = set ? poll_begin(c, io.fd, set) : -ENOMEM;
	if (ret)
		gs_close(io.fd);
	else
		ret = (int)io_run_own(&io);
	poll_end(c);
	return ret;
}

static int poll_goroutine(struct pollfd *fds, nfds_t n, int64_t deadline)
{
	struct polled few[FEW] = { 0 };
	struct poll_call c = { .fds = fds, .n = n, .members = few };
	int ret;

	if (n > FEW)
		c.members = calloc(n, sizeof(*c.members));
	if (!c.members)
		return -ENOMEM;
	ret = poll_park(&c, deadline);
	if (n > FEW)
		free(c.members);
	return ret;
}

static int poll_thread(struct pollfd *fds, nfds_t n, int64_t deadline)
{
	int ret;

	do {
		ret = sys_polln(fds, n, io_timeout(deadline));
	} while (!ret && !deadline_passed(deadline));
	return ret ? ret : -ETIMEDOUT;
}

int gs_poll_until(struct pollfd *fds, nfds_t n, int64_t deadline)
{
	int ret;

	call_begin();
	ret = sys_polln(fds, n, 0);
	if (ret)
		return ret;
	if (deadline_passed(deadline))
		return -ETIMEDOUT;
	return g_self() ? poll_goroutine(fds, n, deadline) : poll_thread(fds, n, deadline);
}

int gs_poll(struct pollfd *fds, nfds_t n)
{
	return gs_poll_until(fds, n, NO_DEADLINE);
}
