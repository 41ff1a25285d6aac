/* SPDX-License-Identifier: GPL-2.0 */
/*
 * http.h: the least that a server of "hello" does with what it has read: requests end at an
 * empty line, several may come at once, and the last one in part.
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#define BUFFER_BYTES	4096
#define REQUEST_LEAST	18		/* bytes: "GET / HTTP/1.1" and two line ends */

static const char response[] =
	"HTTP/1.1 200 OK\r\n"
	"Content-Type: text/plain\r\n"
	"Content-Length: 13\r\n"
	"\r\n"
	"Hello, world\n";

#define RESPONSE_BYTES	(sizeof(response) - 1)

struct http {
	size_t in, out;			/* bytes in what follows */
	char request[BUFFER_BYTES];
	char response[BUFFER_BYTES / REQUEST_LEAST * RESPONSE_BYTES];
};

/* @n bytes have been added to the requests. Return: false if they are none. */
static inline bool http_answer(struct http *h, size_t n)
{
	char *from = h->request, *end;

	h->in += n;
	h->out = 0;
	while ((end = memmem(from, h->in, "\r\n\r\n", 4))) {
		end += 4;
		if (end - from < REQUEST_LEAST || memcmp(from, "GET / HTTP/1.1\r\n", 16))
			return false;
		memcpy(h->response + h->out, response, RESPONSE_BYTES);
		h->out += RESPONSE_BYTES;
		h->in -= end - from;
		from = end;
	}
	memmove(h->request, from, h->in);
	return h->in < BUFFER_BYTES;
}

#endif /* HTTP_H */
