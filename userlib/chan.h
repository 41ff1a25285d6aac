/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * chan.h: a channel.
 *
 * All of it is protected by its lock but @refs (atomic) and the sizes (constant). At
 * most one of the two queues is not empty, and then
 *
 *   receivers wait: the buffer is empty, the channel is open
 *   senders wait:   the buffer is full, the channel is open
 *
 * (Waiters of selects that have gone on elsewhere may still stand in a queue; they
 * count as not there.)
 */
#ifndef GS_CHAN_H
#define GS_CHAN_H

#include <stdalign.h>

#include "waitq.h"

struct gs_chan {
	struct rt_lock lock;
	uint32_t refs;
	size_t elem_size, capacity;
	size_t first, count;		/* of the ring in @buf */
	void *senders, *receivers;
	bool closed;
	bool shown;			/* @eventfd is readable */
	bool is_timer;			/* constant; chan_timer.c */
	int eventfd;			/* -1: none */
	alignas(16) unsigned char buf[];
};

gs_chan *chan_alloc(size_t elem_size, size_t capacity, size_t buf_bytes);
int chan_try_send(gs_chan *c, const void *elem, struct waiter **wake);
int chan_try_recv(gs_chan *c, void *elem, struct waiter **wake);
bool chan_can_send(gs_chan *c);
bool chan_can_recv(gs_chan *c);
void chan_show(gs_chan *c);

/* chan_timer.c */
bool chan_timer_end(gs_chan *c);

/** chan_unlock - release the lock, after anything that may have changed the channel. */
static inline void chan_unlock(gs_chan *c)
{
	if (unlikely(c->eventfd >= 0))
		chan_show(c);
	rt_unlock(&c->lock);
}

#endif /* GS_CHAN_H */
