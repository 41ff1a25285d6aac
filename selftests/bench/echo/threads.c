// SPDX-License-Identifier: GPL-2.0
/* The echo server with a thread for each connection; on how many CPUs is its affinity. */
#include "server.h"
#include "echo.h"

#define STACK_BYTES (64 * 1024)

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[BUFFER_BYTES];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0 && write(fd, buf, n) == n)
		;
	close(fd);
	return NULL;
}

static void *accept_all(void *arg)
{
	int fd, listener = (int)(intptr_t)arg;
	pthread_attr_t attr;
	pthread_t t;

	need(!pthread_attr_init(&attr));
	need(!pthread_attr_setstacksize(&attr, STACK_BYTES));
	need(!pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
	while ((fd = accept(listener, NULL, NULL)) >= 0)
		need(!pthread_create(&t, &attr, serve, (void *)(intptr_t)fd));
	return NULL;
}

int main(void)
{
	int listener = server_listen(0);

	thread_start(accept_all, (void *)(intptr_t)listener);
	server_ready(listener, "");
	return server_wait();
}
