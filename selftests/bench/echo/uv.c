// SPDX-License-Identifier: GPL-2.0
/* The echo server on libuv: a loop per CPU, each with a listener of its own. */
#include "server.h"
#include "echo.h"

#include <uv.h>

static void provide(uv_handle_t *conn, size_t size, uv_buf_t *buf)
{
	/* One per loop is enough: what was read is written before the next read. */
	static __thread char bytes[BUFFER_BYTES];

	(void)conn;
	(void)size;
	*buf = uv_buf_init(bytes, sizeof(bytes));
}

static void end(uv_handle_t *conn)
{
	free(conn);
}

static void answer(uv_stream_t *conn, ssize_t n, const uv_buf_t *buf)
{
	uv_buf_t out;

	if (!n)
		return;
	out = uv_buf_init(buf->base, n > 0 ? n : 0);
	if (n < 0 || uv_try_write(conn, &out, 1) != n)
		uv_close((uv_handle_t *)conn, end);
}

static void accept_conn(uv_stream_t *listener, int status)
{
	uv_tcp_t *conn = malloc(sizeof(*conn));

	need(!status && conn && !uv_tcp_init(listener->loop, conn));
	need(!uv_accept(listener, (uv_stream_t *)conn));
	need(!uv_read_start((uv_stream_t *)conn, provide, answer));
}

static void *run(void *arg)
{
	uv_loop_t loop;
	uv_tcp_t listener;

	need(!uv_loop_init(&loop) && !uv_tcp_init(&loop, &listener));
	need(!uv_tcp_open(&listener, (int)(intptr_t)arg));
	need(!uv_listen((uv_stream_t *)&listener, SOMAXCONN, accept_conn));
	uv_run(&loop, UV_RUN_DEFAULT);
	return NULL;
}

int main(int argc, char **argv)
{
	return server_threads(arg_procs(argc, argv), run);
}
