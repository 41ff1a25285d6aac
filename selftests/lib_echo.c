// SPDX-License-Identifier: GPL-2.0
/* An echo server with 64 connections, each with a message under way. */
#include "lib_net.h"

#define CONNECTIONS 64

struct echo {
	int listener;
	int rounds;
	gs_wg clients, servers;
};

static void serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[256];
	ssize_t n;

	while ((n = gs_read(fd, buf, sizeof(buf))) > 0)
		CHECK_EQ(n, gs_write(fd, buf, n));
	CHECK_EQ(0, n);
	CHECK_EQ(0, gs_close(fd));
}

static void accept_all(void *arg)
{
	struct echo *e = arg;
	int fd;

	while ((fd = gs_accept(e->listener, NULL, NULL)) >= 0)
		go(serve, (void *)(intptr_t)fd);
	CHECK_EQ(-EBADF, fd);
	gs_wg_done(&e->servers);
}

static void client(void *arg)
{
	struct echo *e = arg;
	int fd = tcp_connect(port_of(e->listener)), i, len;
	char out[256], in[256];

	for (i = 0; i < e->rounds; i++) {
		len = 1 + i * 13 % 200;
		memset(out, 'a' + i % 26, len);
		CHECK_EQ(len, gs_write(fd, out, len));
		CHECK_EQ(len, gs_recv(fd, in, len, MSG_WAITALL));
		CHECK(!memcmp(in, out, len));
	}
	CHECK_EQ(0, gs_close(fd));
	gs_wg_done(&e->clients);
}

TEST_GO(echo)
{
	struct echo e = { .listener = tcp_listen(false), .rounds = TIMES(500) };
	int i;

	gs_wg_add(&e.servers, 1);
	go(accept_all, &e);
	gs_wg_add(&e.clients, CONNECTIONS);
	for (i = 0; i < CONNECTIONS; i++)
		go(client, &e);
	gs_wg_wait(&e.clients);
	CHECK_EQ(0, gs_close(e.listener));
	gs_wg_wait(&e.servers);
}

TEST_HARNESS_MAIN
