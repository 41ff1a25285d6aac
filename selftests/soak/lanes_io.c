// SPDX-License-Identifier: GPL-2.0
/* Lanes: descriptors. What arrives is what was sent. */
#include "lanes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define MESSAGE		2500

static void fill(unsigned char *buf, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = seed + i * 7 + (i >> 8);
}

static void check(const unsigned char *buf, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		soak_must(buf[i] == (unsigned char)(seed + i * 7 + (i >> 8)));
}

/* Read until @len bytes are there. Return: how many, less at the end only. */
static size_t read_full(int fd, unsigned char *buf, size_t len)
{
	size_t got = 0;
	ssize_t n;

	while (got < len) {
		n = gs_read(fd, buf + got, len - got);
		if (lanes_no_memory(n))
			continue;
		soak_result(n, n >= 0);
		if (n == 0)
			break;
		got += n;
	}
	return got;
}

static void write_full(int fd, const unsigned char *buf, size_t len)
{
	size_t put = 0;
	ssize_t n;

	while (put < len) {
		n = gs_write(fd, buf + put, len - put);
		if (lanes_no_memory(n))
			continue;
		soak_result(n, n > 0);
		put += n;
	}
}

/* ---------------------------------------------------------------------- echo */

struct conn {
	int fd;
	gs_wg *wg;
};

/* Give back what comes, until the end of the file. */
static void echo_conn(void *arg)
{
	struct conn *conn = arg;
	unsigned char buf[3000];
	ssize_t n;

	while ((n = gs_read(conn->fd, buf, sizeof(buf))) > 0 || lanes_no_memory(n))
		if (n > 0)
			write_full(conn->fd, buf, n);
	soak_result(n, n == 0);
	soak_must(gs_close(conn->fd) == 0);
	gs_wg_done(conn->wg);
	free(conn);
}

struct server {
	int fd;
	gs_wg conns;
	gs_wg done;
};

static void echo_server(void *arg)
{
	struct server *s = arg;
	struct conn *conn;
	int fd;

	for (;;) {
		fd = gs_accept(s->fd, NULL, NULL);
		if (lanes_no_memory(fd))
			continue;
		if (fd < 0)
			break;
		conn = malloc(sizeof(*conn));
		*conn = (struct conn){ fd, &s->conns };
		gs_wg_add(&s->conns, 1);
		lanes_go(echo_conn, conn);
	}
	soak_result(fd, fd == -EBADF);
	gs_wg_done(&s->done);
}

static int listen_somewhere(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd;

	while (lanes_no_memory(fd = gs_listen("tcp4", "127.0.0.1:0")))
		;
	soak_result(fd, fd >= 0);
	soak_must(getsockname(fd, (struct sockaddr *)addr, &len) == 0);
	return fd;
}

static int connect_to(const struct sockaddr_in *addr)
{
	int fd, err;

	for (;;) {
		fd = gs_socket(AF_INET, SOCK_STREAM, 0);
		if (lanes_no_memory(fd))
			continue;
		soak_result(fd, fd >= 0);
		err = gs_connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
		if (!err)
			return fd;
		soak_must(lanes_no_memory(err));
		gs_close(fd);
	}
}

/* One connection: some messages there and back. */
static void echo_client(struct lane *lane, const struct sockaddr_in *addr, unsigned int *seed)
{
	unsigned char *buf = malloc(MESSAGE);
	int fd = connect_to(addr);

	for (unsigned int n = rnd(seed, 40); n; n--) {
		size_t len = 1 + rnd(seed, rnd(seed, 4) ? 200 : MESSAGE);
		unsigned int s = *seed;

		fill(buf, len, s);
		write_full(fd, buf, len);
		memset(buf, 0, len);
		soak_must(read_full(fd, buf, len) == len);
		check(buf, len, s);
		soak_step(lane);
	}
	soak_must(gs_close(fd) == 0);
	free(buf);
}

void lane_echo(struct lane *lane, unsigned int seed)
{
	struct server s = { .conns = GS_WG_INIT, .done = GS_WG_INIT };
	struct sockaddr_in addr;

	s.fd = listen_somewhere(&addr);
	gs_wg_add(&s.done, 1);
	lanes_go(echo_server, &s);
	while (!lanes_end())
		echo_client(lane, &addr, &seed);
	soak_must(gs_close(s.fd) == 0);
	gs_wg_wait(&s.done);
	gs_wg_wait(&s.conns);
}

/* ------------------------------------------------------- a pipe, and its end */

struct writer {
	int fd;
	unsigned int seed;
	size_t len;
	gs_wg done;
};

static void pipe_writer(void *arg)
{
	struct writer *w = arg;
	unsigned char *buf = malloc(w->len);

	fill(buf, w->len, w->seed);
	write_full(w->fd, buf, w->len);
	soak_must(gs_close(w->fd) == 0);
	free(buf);
	gs_wg_done(&w->done);
}

static void pipe_once(unsigned int *seed)
{
	struct writer w = { .seed = *seed, .len = 1 + rnd(seed, 200000), .done = GS_WG_INIT };
	unsigned char *buf = malloc(w.len + 1);
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK)) {
		soak_must(lanes_no_memory(-errno));
		free(buf);
		return;
	}
	w.fd = fd[1];
	gs_wg_add(&w.done, 1);
	lanes_go(pipe_writer, &w);
	soak_must(read_full(fd[0], buf, w.len + 1) == w.len);
	check(buf, w.len, w.seed);
	soak_must(gs_close(fd[0]) == 0);
	gs_wg_wait(&w.done);
	free(buf);
}

void lane_pipe(struct lane *lane, unsigned int seed)
{
	while (!lanes_end()) {
		pipe_once(&seed);
		soak_step(lane);
	}
}

/* -------------------------------------------------------------- datagrams */

static void dgram_once(int fd, unsigned int *seed)
{
	unsigned char buf[1024];
	size_t len = 1 + rnd(seed, sizeof(buf) - 1);
	ssize_t n;

	fill(buf, len, *seed);
	while (lanes_no_memory(n = gs_send(fd, buf, len, 0)))
		;
	soak_result(n, n == (ssize_t)len);
	memset(buf, 0, len);
	while (lanes_no_memory(n = gs_recv(fd, buf, sizeof(buf), 0)))
		;
	soak_result(n, n == (ssize_t)len);
	check(buf, len, *seed);
}

struct echo_dgrams {
	int fd;
	gs_wg done;
};

static void dgram_echo(void *arg)
{
	struct echo_dgrams *e = arg;
	unsigned char buf[1024];
	ssize_t n;

	for (;;) {
		n = gs_recv(e->fd, buf, sizeof(buf), 0);
		if (lanes_no_memory(n))
			continue;
		if (n <= 0)
			break;
		while (lanes_no_memory(n = gs_send(e->fd, buf, n, 0)))
			;
	}
	soak_result(n, n == 0 || n == -EBADF || n == -ECONNRESET);
	gs_wg_done(&e->done);
}

void lane_dgram(struct lane *lane, unsigned int seed)
{
	struct echo_dgrams e = { .done = GS_WG_INIT };
	int fd[2];

	while (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd))
		soak_must(lanes_no_memory(-errno));
	e.fd = fd[1];
	gs_wg_add(&e.done, 1);
	lanes_go(dgram_echo, &e);
	while (!lanes_end()) {
		dgram_once(fd[0], &seed);
		soak_step(lane);
	}
	soak_must(gs_close(fd[0]) == 0);
	gs_wg_wait(&e.done);
	soak_must(gs_close(fd[1]) == 0);
}
