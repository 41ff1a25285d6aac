// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * chan.c: channels. chan.h says what they are.
 *
 * An element goes straight to the memory that a waiting receiver named, or comes
 * straight from a waiting sender's: that one does not run, so its stack keeps still, and
 * the lock orders the copy against the wait's other ends. So an element is delivered
 * exactly once: whoever takes a waiter out of its queue under the lock copies, and a
 * waiter whose deadline took it out is not there any more.
 *
 * The caller has a reference until its call returns, so the lock is not freed while
 * somebody still releases it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "chan.h"
#include "sysio.h"

#define CHAN_ELEM_MAX	(64 * 1024)	/* copied under the lock */

/**
 * chan_alloc - gs_chan_new, for buffers that have more in them
 * @elem_size: as gs_chan_new
 * @capacity:  the same
 * @buf_bytes: of @buf
 */
gs_chan *chan_alloc(size_t elem_size, size_t capacity, size_t buf_bytes)
{
	size_t bytes;
	gs_chan *c;

	if (__builtin_add_overflow(buf_bytes, sizeof(*c), &bytes))
		return NULL;
	c = malloc(bytes);
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->refs = 1;
	c->elem_size = elem_size;
	c->capacity = capacity;
	c->eventfd = -1;
	return c;
}

gs_chan *gs_chan_new(size_t elem_size, size_t capacity)
{
	size_t bytes;

	if (elem_size > CHAN_ELEM_MAX || __builtin_mul_overflow(elem_size, capacity, &bytes))
		return NULL;
	return chan_alloc(elem_size, capacity, bytes);
}

gs_chan *gs_chan_ref(gs_chan *c)
{
	__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

/* Acquire and release: the one that frees comes after everything the others did. */
void gs_chan_unref(gs_chan *c)
{
	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (unlikely(c->is_timer) && !chan_timer_end(c))
		return;
	if (c->eventfd >= 0)
		sys_close(c->eventfd);
	free(c);
}

static void elem_copy(gs_chan *c, void *to, const void *from)
{
	if (to && c->elem_size)
		memcpy(to, from, c->elem_size);
}

/* elem_at - the ring's entry @i places after the first; i <= capacity. */
static void *elem_at(gs_chan *c, size_t i)
{
	size_t pos = c->first + i;

	if (pos >= c->capacity)
		pos -= c->capacity;
	return c->buf + pos * c->elem_size;
}

static void ring_put(gs_chan *c, const void *elem)
{
	elem_copy(c, elem_at(c, c->count), elem);
	c->count++;
}

static void ring_get(gs_chan *c, void *elem)
{
	elem_copy(c, elem, elem_at(c, 0));
	c->count--;
	if (++c->first == c->capacity)
		c->first = 0;
}

/* ------------------------------------------------------------ without waiting */

/**
 * chan_try_send - send without waiting. Lock held
 * @c:    the channel
 * @elem: what
 * @wake: set to a waiter to be woken after the unlock
 *
 * Return: 0, -EPIPE, -EAGAIN.
 */
int chan_try_send(gs_chan *c, const void *elem, struct waiter **wake)
{
	if (c->closed)
		return -EPIPE;
	*wake = waitq_pop(&c->receivers);
	if (*wake) {
		elem_copy(c, (*wake)->data, elem);
		(*wake)->result = 1;
		return 0;
	}
	if (c->count == c->capacity)
		return -EAGAIN;
	ring_put(c, elem);
	return 0;
}

/**
 * chan_try_recv - receive without waiting. Lock held
 * @c:    the channel
 * @elem: where to, or NULL
 * @wake: set to a waiter to be woken after the unlock
 *
 * A sender that waited moves up into the buffer. Return: 1, 0: closed and drained,
 * -EAGAIN.
 */
int chan_try_recv(gs_chan *c, void *elem, struct waiter **wake)
{
	if (c->count) {
		ring_get(c, elem);
		*wake = waitq_pop(&c->senders);
		if (*wake)
			ring_put(c, (*wake)->data);
	} else {
		*wake = waitq_pop(&c->senders);
		if (*wake)
			elem_copy(c, elem, (*wake)->data);
		else
			return c->closed ? 0 : -EAGAIN;
	}
	if (*wake)
		(*wake)->result = 0;
	return 1;
}

/**
 * chan_can_send - would chan_try_send() do something? Lock held
 *
 * It may not after all: who waits may be a select that goes on elsewhere just now.
 */
bool chan_can_send(gs_chan *c)
{
	return c->closed || c->count < c->capacity || waitq_peek(&c->receivers);
}

/** chan_can_recv - would chan_try_recv() do something? As chan_can_send(). */
bool chan_can_recv(gs_chan *c)
{
	return c->closed || c->count || waitq_peek(&c->senders);
}

static int try_send(gs_chan *c, const void *elem)
{
	struct m *m = sec_enter();
	struct waiter *wake = NULL;
	int ret;

	rt_lock(&c->lock);
	ret = chan_try_send(c, elem, &wake);
	chan_unlock(c);
	if (wake)
		waiter_wake(m, wake);
	sec_leave(m);
	return ret;
}

static int try_recv(gs_chan *c, void *elem)
{
	struct m *m = sec_enter();
	struct waiter *wake = NULL;
	int ret;

	rt_lock(&c->lock);
	ret = chan_try_recv(c, elem, &wake);
	chan_unlock(c);
	if (wake)
		waiter_wake(m, wake);
	sec_leave(m);
	return ret;
}

static int recv_result(gs_chan *c, void *elem, int ret)
{
	if (ret == 0 && elem)
		memset(elem, 0, c->elem_size);
	return ret;
}

int gs_chan_try_send(gs_chan *c, const void *elem)
{
	return c ? try_send(c, elem) : -EAGAIN;
}

int gs_chan_try_recv(gs_chan *c, void *elem)
{
	return c ? recv_result(c, elem, try_recv(c, elem)) : -EAGAIN;
}

/* ------------------------------------------------------------------- send, receive */

int gs_chan_send_until(gs_chan *c, const void *elem, int64_t deadline)
{
	struct waiter w, *wake = NULL;
	struct m *m;

	if (!c)
		return gs_select_until(NULL, 0, deadline);
	m = sec_enter();
	rt_lock(&c->lock);
	w.result = chan_try_send(c, elem, &wake);
	if (w.result == -EAGAIN) {
		w.data = (void *)elem;
		w.shield = false;
		w.claim = NULL;
		waitq_add(&c->senders, &w);
		if (unlikely(c->eventfd >= 0))
			chan_show(c);
		m = waitq_park(m, &c->lock, &c->senders, &w, deadline, WAIT_CHAN_SEND);
	} else {
		chan_unlock(c);
		if (wake)
			waiter_wake(m, wake);
	}
	sec_leave(m);
	return w.result;
}

int gs_chan_send(gs_chan *c, const void *elem)
{
	return gs_chan_send_until(c, elem, NO_DEADLINE);
}

int gs_chan_recv_until(gs_chan *c, void *elem, int64_t deadline)
{
	struct waiter w, *wake = NULL;
	struct m *m;

	if (!c)
		return gs_select_until(NULL, 0, deadline);
	m = sec_enter();
	rt_lock(&c->lock);
	w.result = chan_try_recv(c, elem, &wake);
	if (w.result == -EAGAIN) {
		w.data = elem;
		w.shield = false;
		waitq_add(&c->receivers, &w);
		m = waitq_park(m, &c->lock, &c->receivers, &w, deadline, WAIT_CHAN_RECV);
	} else {
		chan_unlock(c);
		if (wake)
			waiter_wake(m, wake);
	}
	sec_leave(m);
	return recv_result(c, elem, w.result);
}

int gs_chan_recv(gs_chan *c, void *elem)
{
	return gs_chan_recv_until(c, elem, NO_DEADLINE);
}

int gs_chan_close(gs_chan *c)
{
	struct waiter *senders, *receivers;
	struct m *m = sec_enter();
	bool closed;

	rt_lock(&c->lock);
	closed = c->closed;
	c->closed = true;
	senders = waitq_cut(&c->senders);
	receivers = waitq_cut(&c->receivers);
	chan_unlock(c);
	waitq_wake(m, senders, -EPIPE);
	waitq_wake(m, receivers, 0);
	sec_leave(m);
	return closed ? -EPIPE : 0;
}

size_t gs_chan_len(gs_chan *c)
{
	struct m *m = sec_enter();
	size_t n;

	rt_lock(&c->lock);
	n = c->count;
	rt_unlock(&c->lock);
	sec_leave(m);
	return n;
}

size_t gs_chan_cap(gs_chan *c)
{
	return c->capacity;
}

/* ---------------------------------------------------------------- the eventfd */

/**
 * chan_show - make the eventfd say whether a receive would wait. Lock held
 *
 * A sender that gives up leaves it as it is: then it says too much until the next
 * call, and gs_chan_try_recv() says -EAGAIN and puts it right. Never too little.
 */
void chan_show(gs_chan *c)
{
	bool can = chan_can_recv(c);
	uint64_t n = 1;

	if (can == c->shown)
		return;
	c->shown = can;
	/* Neither can wait: it is at 0 or 1, and non-blocking. */
	if (can)
		sys_write(c->eventfd, &n, sizeof(n));
	else
		sys_read(c->eventfd, &n, sizeof(n));
}

static int sys_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int gs_chan_eventfd(gs_chan *c)
{
	int fd = sys_eventfd(), mine;
	struct m *m;

	if (fd < 0)
		return fd;
	m = sec_enter();
	rt_lock(&c->lock);
	if (c->eventfd < 0) {
		__atomic_store_n(&c->eventfd, fd, __ATOMIC_RELAXED);
		chan_show(c);
	}
	mine = c->eventfd;
	rt_unlock(&c->lock);
	sec_leave(m);
	if (mine != fd)
		sys_close(fd);
	return mine;
}
