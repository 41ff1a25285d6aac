// SPDX-License-Identifier: GPL-2.0
/* The echo server on State Threads, which know one CPU only. */
#include "server.h"
#include "echo.h"

#include <st.h>

#define STACK_BYTES (64 * 1024)

static void *serve(void *arg)
{
	st_netfd_t fd = arg;
	char buf[BUFFER_BYTES];
	ssize_t n;

	while ((n = st_read(fd, buf, sizeof(buf), ST_UTIME_NO_TIMEOUT)) > 0 &&
	       st_write(fd, buf, n, ST_UTIME_NO_TIMEOUT) == n)
		;
	st_netfd_close(fd);
	return NULL;
}

static void *accept_all(void *arg)
{
	st_netfd_t fd, listener = st_netfd_open_socket((int)(intptr_t)arg);

	need(listener);
	while ((fd = st_accept(listener, NULL, NULL, ST_UTIME_NO_TIMEOUT)))
		need(st_thread_create(serve, fd, 0, STACK_BYTES));
	return NULL;
}

static void *run(void *listener)
{
	/* Debian's library has no epoll, and select() knows 1,024 descriptors. */
	need(!st_set_eventsys(ST_EVENTSYS_POLL) && !st_init());
	return accept_all(listener);
}

int main(int argc, char **argv)
{
	arg_only_one(argc, argv);
	return server_threads(1, run);
}
