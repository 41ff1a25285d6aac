// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * chan.c: channels.
 *
 * All of a channel is protected by its lock but @refs (atomic) and the sizes
 * (constant). At most one of the two queues is not empty, and then
 *
 *   receivers wait: the buffer is empty, the channel is open
 *   senders wait:   the buffer is full, the channel is open
 *
 * An element goes straight to the memory that a waiting receiver named, or comes
 * straight from a waiting sender's: its G is parked, so its stack keeps still, and
 * the lock orders the copy against the wait's other end, the deadline. So an
 * element is delivered exactly once: whoever takes a waiter out of its queue
 * under the lock copies, and a waiter whose deadline took it out is not there any
 * more.
 *
 * A sender or receiver holds a reference of its own for the time of the call, so
 * the lock is not freed while somebody still releases it.
 */
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "waitq.h"

#define CHAN_ELEM_MAX	(64 * 1024)	/* copied under the lock */

struct gs_chan {
	struct rt_lock lock;
	uint32_t refs;
	size_t elem_size, capacity;
	size_t first, count;		/* of the ring in @buf */
	void *senders, *receivers;
	bool closed;
	alignas(16) unsigned char buf[];
};

gs_chan *gs_chan_new(size_t elem_size, size_t capacity)
{
	size_t bytes;
	gs_chan *c;

	if (elem_size > CHAN_ELEM_MAX || __builtin_mul_overflow(elem_size, capacity, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(*c), &bytes))
		return NULL;
	c = malloc(bytes);
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->refs = 1;
	c->elem_size = elem_size;
	c->capacity = capacity;
	return c;
}

gs_chan *gs_chan_ref(gs_chan *c)
{
	__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

/* Acquire and release: the one that frees comes after everything the others did. */
void gs_chan_unref(gs_chan *c)
{
	if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0)
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

/* Send without waiting. *@wake: a waiter to be made ready after the unlock. */
static int try_send(gs_chan *c, const void *elem, struct waiter **wake)
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

/* Receive without waiting. A sender that waited moves up into the buffer. */
static int try_recv(gs_chan *c, void *elem, struct waiter **wake)
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

int gs_chan_send_until(gs_chan *c, const void *elem, int64_t deadline)
{
	struct waiter w, *wake = NULL;
	struct m *m = sec_enter();

	rt_lock(&c->lock);
	w.result = try_send(c, elem, &wake);
	if (w.result == -EAGAIN) {
		w.data = (void *)elem;
		waitq_add(&c->senders, &w);
		m = waitq_park(m, &c->lock, &c->senders, &w, deadline, WAIT_CHAN_SEND);
	} else {
		rt_unlock(&c->lock);
		if (wake)
			ready(m, wake->g);
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
	struct m *m = sec_enter();

	rt_lock(&c->lock);
	w.result = try_recv(c, elem, &wake);
	if (w.result == -EAGAIN) {
		w.data = elem;
		waitq_add(&c->receivers, &w);
		m = waitq_park(m, &c->lock, &c->receivers, &w, deadline, WAIT_CHAN_RECV);
	} else {
		rt_unlock(&c->lock);
		if (wake)
			ready(m, wake->g);
	}
	sec_leave(m);
	if (w.result == 0 && elem)
		memset(elem, 0, c->elem_size);
	return w.result;
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
	rt_unlock(&c->lock);
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
