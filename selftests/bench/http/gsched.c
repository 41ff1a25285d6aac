// SPDX-License-Identifier: GPL-2.0
/* The server of "hello" with a goroutine for each connection. */
#define _GNU_SOURCE
#include "http.h"

#include "gs_server.h"

static void serve_conn(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct http *h = calloc(1, sizeof(*h));
	ssize_t n;

	need(h);
	do {
		n = gs_read(fd, h->request + h->in, sizeof(h->request) - h->in);
	} while (n > 0 && http_answer(h, n) &&
		 (!h->out || gs_write(fd, h->response, h->out) == (ssize_t)h->out));
	free(h);
	gs_close(fd);
}
