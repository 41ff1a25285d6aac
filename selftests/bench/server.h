/* SPDX-License-Identifier: GPL-2.0 */
/*
 * server.h: what the servers share. A server's only argument is on how many CPUs it
 * serves. When it does, it prints a line: its port, and what else there is to say in the
 * line of results. It ends when its standard input does.
 */
#ifndef SERVER_H
#define SERVER_H

#include "measure.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

static inline in_port_t server_port(int listener)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);

	need(!getsockname(listener, (struct sockaddr *)&a, &len));
	return ntohs(a.sin_port);
}

/* @port: 0, or one that other threads listen on, too. */
static inline int server_listen(in_port_t port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	need(fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
	need(!bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, SOMAXCONN));
	return fd;
}

static inline void server_ready(int listener, const char *more)
{
	/* Who writes to a connection that is gone is told so. */
	signal(SIGPIPE, SIG_IGN);
	printf("%d%s\n", server_port(listener), more);
	fflush(stdout);
}

static inline int server_wait(void)
{
	char c;

	while (read(0, &c, 1) > 0)
		;
	return 0;
}

/* @serve on as many threads, each with a listener of its own; returns at the end. */
static inline int server_threads(int procs, void *(*serve)(void *listener))
{
	int i, first = server_listen(0), listener = first;

	for (i = 0; i < procs; i++) {
		if (i)
			listener = server_listen(server_port(first));
		thread_start(serve, (void *)(intptr_t)listener);
	}
	server_ready(first, "");
	return server_wait();
}

#endif /* SERVER_H */
