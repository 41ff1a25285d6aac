// SPDX-License-Identifier: GPL-2.0
/* TCP round trips over loopback, goroutines at both ends: 1 and 64 connections. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include <gsched.h>

#define MESSAGES 128000

static int listener;
static gs_wg done = GS_WG_INIT;

static void serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[256];
	ssize_t n;

	while ((n = gs_read(fd, buf, sizeof(buf))) > 0)
		gs_write(fd, buf, n);
	gs_close(fd);
}

static void accept_all(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = gs_accept(listener, NULL, NULL)) >= 0)
		gs_go(serve, (void *)(intptr_t)fd);
}

static void client(void *arg)
{
	int fd = gs_socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char buf[64] = "";
	long i;

	getsockname(listener, (struct sockaddr *)&a, &len);
	if (gs_connect(fd, (struct sockaddr *)&a, len))
		exit(1);
	for (i = 0; i < (long)(intptr_t)arg; i++)
		if (gs_write(fd, buf, sizeof(buf)) != sizeof(buf) ||
		    gs_recv(fd, buf, sizeof(buf), MSG_WAITALL) != sizeof(buf))
			exit(1);
	gs_close(fd);
	gs_wg_done(&done);
}

static void clients(int procs, int n)
{
	int64_t begin = gs_now();
	int i;

	gs_wg_add(&done, n);
	for (i = 0; i < n; i++)
		gs_go(client, (void *)(intptr_t)(MESSAGES / n));
	gs_wg_wait(&done);
	printf("bench=echo_%d impl=gsched procs=%d ops=%d ns_per_op=%.1f backend=%s\n", n, procs,
	       MESSAGES, (double)(gs_now() - begin) / MESSAGES, gs_backend());
	fflush(stdout);
}

static int bench(int argc, char **argv)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int procs;

	(void)argc;
	(void)argv;
	listener = gs_socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1024))
		return 1;
	gs_go(accept_all, NULL);
	for (procs = 1; procs <= 2; procs++) {
		gs_set_maxprocs(procs);
		clients(procs, 1);
		clients(procs, 64);
	}
	return 0;
}

int main(int argc, char **argv)
{
	return gs_main(bench, argc, argv);
}
