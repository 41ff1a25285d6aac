/* SPDX-License-Identifier: GPL-2.0 */
/* gs_server.h: a goroutine for each connection; it closes its descriptor. */
#ifndef GS_SERVER_H
#define GS_SERVER_H

#include "measure_gs.h"
#include "server.h"

static int server_listener;

static void serve_conn(void *fd);

static void accept_all(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = gs_accept(server_listener, NULL, NULL)) >= 0)
		need(!gs_go(serve_conn, (void *)(intptr_t)fd));
}

static int server_main(int argc, char **argv)
{
	char backend[32], c;

	(void)argc;
	(void)argv;
	server_listener = gs_listen("tcp4", "127.0.0.1:0");
	need(server_listener >= 0 && !gs_go(accept_all, NULL));
	snprintf(backend, sizeof(backend), " backend=%s", gs_backend());
	server_ready(server_listener, backend);
	while (gs_read(0, &c, 1) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	return gs_bench(server_main, argc, argv);
}

#endif /* GS_SERVER_H */
