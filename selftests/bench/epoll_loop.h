/* SPDX-License-Identifier: GPL-2.0 */
/*
 * epoll_loop.h: a thread per CPU, each with an epoll of its own, edge-triggered. Before
 * it is included a program defines struct conn, zeros at first, with a member fd.
 */
#ifndef EPOLL_LOOP_H
#define EPOLL_LOOP_H

#include "server.h"

#include <sys/epoll.h>

#define EVENTS 256

/* Do all that can be done now. Return: whether the connection goes on. */
static bool conn_ready(struct conn *c);

static inline void watch(int epoll, int fd, uint32_t events, void *ptr)
{
	struct epoll_event e = { .events = events, .data.ptr = ptr };

	need(!epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e));
}

static inline void accept_conn(int epoll, int listener)
{
	struct conn *c = calloc(1, sizeof(*c));

	need(c);
	c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	need(c->fd >= 0);
	watch(epoll, c->fd, EPOLLIN | EPOLLET, c);
}

static inline void *epoll_serve(void *arg)
{
	int listener = (int)(intptr_t)arg, epoll = epoll_create1(0), i, n;
	struct epoll_event e[EVENTS];

	need(epoll >= 0);
	watch(epoll, listener, EPOLLIN, NULL);
	for (;;) {
		n = epoll_wait(epoll, e, EVENTS, -1);
		need(n >= 0);
		for (i = 0; i < n; i++) {
			struct conn *c = e[i].data.ptr;

			if (!c) {
				accept_conn(epoll, listener);
			} else if (!conn_ready(c)) {
				close(c->fd);
				free(c);
			}
		}
	}
	return NULL;
}

#endif /* EPOLL_LOOP_H */
