// SPDX-License-Identifier: GPL-2.0
/*
 * The echo server on io_uring: a ring per CPU. One request accepts all connections, one
 * for each connection receives all its messages, into buffers that the kernel picks.
 */
#include "server.h"
#include "echo.h"

#include <liburing.h>
#include <sys/mman.h>

#define ENTRIES		4096
#define COMPLETIONS	32768
#define BUFFERS		16384		/* a power of two: more than connections */
#define BUFFER_SIZE	256
#define GROUP		0

enum what {
	ACCEPT,
	RECV,
	SEND,
};

/* Of a request, comes back with its completion. */
union tag {
	struct {
		uint32_t fd;
		uint16_t what, buffer;
	};
	uint64_t u64;
};

struct server {
	struct io_uring ring;
	struct io_uring_buf_ring *free;
	char *buffers;
};

static char *buffer(struct server *s, int i)
{
	return s->buffers + (size_t)i * BUFFER_SIZE;
}

static void buffer_put(struct server *s, int i)
{
	io_uring_buf_ring_add(s->free, buffer(s, i), BUFFER_SIZE, i,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(s->free, 1);
}

static void *memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(p != MAP_FAILED);
	return p;
}

static void buffers_make(struct server *s)
{
	struct io_uring_buf_reg reg = { .ring_entries = BUFFERS, .bgid = GROUP };

	s->free = memory(BUFFERS * sizeof(struct io_uring_buf));
	s->buffers = memory(BUFFERS * BUFFER_SIZE);
	reg.ring_addr = (uintptr_t)s->free;
	need(!io_uring_register_buf_ring(&s->ring, &reg, 0));
	for (int i = 0; i < BUFFERS; i++)
		buffer_put(s, i);
}

/* -------------------------------------------------------------- requests */

static struct io_uring_sqe *request(struct server *s)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	if (!sqe) {
		need(io_uring_submit(&s->ring) > 0);
		sqe = io_uring_get_sqe(&s->ring);
	}
	need(sqe);
	return sqe;
}

static void ask_accept(struct server *s, int listener)
{
	struct io_uring_sqe *sqe = request(s);
	union tag tag = { .fd = listener, .what = ACCEPT };

	io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
	io_uring_sqe_set_data64(sqe, tag.u64);
}

static void ask_recv(struct server *s, int fd)
{
	struct io_uring_sqe *sqe = request(s);
	union tag tag = { .fd = fd, .what = RECV };

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	io_uring_sqe_set_data64(sqe, tag.u64);
}

static void ask_send(struct server *s, int fd, int i, int bytes)
{
	struct io_uring_sqe *sqe = request(s);
	union tag tag = { .fd = fd, .what = SEND, .buffer = i };

	io_uring_prep_send(sqe, fd, buffer(s, i), bytes, MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, tag.u64);
}

/* ----------------------------------------------------------- completions */

static void accepted(struct server *s, int listener, struct io_uring_cqe *cqe)
{
	need(cqe->res >= 0);
	ask_recv(s, cqe->res);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		ask_accept(s, listener);
}

static void received(struct server *s, int fd, struct io_uring_cqe *cqe)
{
	if (cqe->res > 0)
		ask_send(s, fd, cqe->flags >> IORING_CQE_BUFFER_SHIFT, cqe->res);
	else if (cqe->res != -ENOBUFS)
		close(fd);
	if ((cqe->res > 0 || cqe->res == -ENOBUFS) && !(cqe->flags & IORING_CQE_F_MORE))
		ask_recv(s, fd);
}

static void completed(struct server *s, struct io_uring_cqe *cqe)
{
	union tag tag = { .u64 = io_uring_cqe_get_data64(cqe) };

	if (tag.what == ACCEPT)
		accepted(s, tag.fd, cqe);
	else if (tag.what == RECV)
		received(s, tag.fd, cqe);
	else
		buffer_put(s, tag.buffer);
}

static void *run(void *arg)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = COMPLETIONS,
	};
	struct io_uring_cqe *cqe;
	struct server s;
	unsigned int head, n;

	need(!io_uring_queue_init_params(ENTRIES, &s.ring, &params));
	buffers_make(&s);
	ask_accept(&s, (int)(intptr_t)arg);
	for (;;) {
		need(io_uring_submit_and_wait(&s.ring, 1) >= 0);
		n = 0;
		io_uring_for_each_cqe(&s.ring, head, cqe) {
			completed(&s, cqe);
			n++;
		}
		io_uring_cq_advance(&s.ring, n);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	return server_threads(arg_procs(argc, argv), run);
}
