// SPDX-License-Identifier: GPL-2.0
/* The echo server with a goroutine for each connection. */
#include "gs_server.h"
#include "echo.h"

static void serve_conn(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[BUFFER_BYTES];
	ssize_t n;

	while ((n = gs_read(fd, buf, sizeof(buf))) > 0 && gs_write(fd, buf, n) == n)
		;
	gs_close(fd);
}
