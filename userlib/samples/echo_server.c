// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * echo_server: send back what comes, a goroutine for each connection.
 *
 *   echo_server [PORT]		default: 7007
 *
 * The code reads as if every call blocked. What waits is the goroutine: ten
 * thousand idle connections are ten thousand parked goroutines and no thread.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsched.h>

static void serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	ssize_t n;

	while ((n = gs_read(fd, buf, sizeof(buf))) > 0)
		if (gs_write(fd, buf, n) != n)
			break;
	gs_close(fd);
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in6 addr = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = in6addr_any,	/* IPv4 too, as ::ffff:a.b.c.d */
	};
	int fd = gs_socket(AF_INET6, SOCK_STREAM, 0);
	int one = 1;

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, SOMAXCONN)) {
		perror("echo_server");
		exit(1);
	}
	return fd;
}

static int run(int argc, char **argv)
{
	int port = argc > 1 ? atoi(argv[1]) : 7007;
	int listener = listen_on(port);
	int fd;

	if (listener < 0) {
		fprintf(stderr, "echo_server: socket: %s\n", strerror(-listener));
		return 1;
	}
	printf("echo_server: port %d, %s backend\n", port, gs_backend());
	fflush(stdout);
	while ((fd = gs_accept(listener, NULL, NULL)) >= 0)
		if (gs_go(serve, (void *)(intptr_t)fd))
			gs_close(fd);
	fprintf(stderr, "echo_server: accept: %s\n", strerror(-fd));
	return 1;
}

int main(int argc, char **argv)
{
	return gs_main(run, argc, argv);
}
