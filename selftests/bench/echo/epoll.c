// SPDX-License-Identifier: GPL-2.0
/* The echo server with nothing but epoll: the practical limit. */
struct conn {
	int fd;
};

#include "epoll_loop.h"
#include "echo.h"

static bool conn_ready(struct conn *c)
{
	char buf[BUFFER_BYTES];
	ssize_t n;

	/* What comes after a read that did not fill the buffer is another edge. */
	do {
		n = read(c->fd, buf, sizeof(buf));
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0 || write(c->fd, buf, n) != n)
			return false;
	} while (n == sizeof(buf));
	return true;
}

int main(int argc, char **argv)
{
	return server_threads(arg_procs(argc, argv), epoll_serve);
}
