// SPDX-License-Identifier: GPL-2.0
/* The server of "hello" with nothing but epoll. */
#define _GNU_SOURCE
#include "http.h"

struct conn {
	int fd;
	struct http http;
};

#include "epoll_loop.h"

static bool conn_ready(struct conn *c)
{
	struct http *h = &c->http;
	size_t room;
	ssize_t n;

	/* What comes after a read that did not fill the buffer is another edge. */
	do {
		room = sizeof(h->request) - h->in;
		n = read(c->fd, h->request + h->in, room);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0 || !http_answer(h, n))
			return false;
		if (h->out && write(c->fd, h->response, h->out) != (ssize_t)h->out)
			return false;
	} while ((size_t)n == room);
	return true;
}

int main(int argc, char **argv)
{
	return server_threads(arg_procs(argc, argv), epoll_serve);
}
