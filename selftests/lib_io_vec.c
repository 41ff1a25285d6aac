// SPDX-License-Identifier: GPL-2.0
/* Arrays of parts, and files: gs_readv, gs_writev, gs_pread, gs_pwrite, gs_sendfile. */
#include "lib_net.h"

#include <limits.h>

#define MOST_PARTS 40

/* What is at @i: a run of 256 bytes 0..255, rotated by one in each block. */
static char byte_at(size_t i)
{
	return (char)(i + i / 256);
}

static void fill(char *buf, size_t at, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		buf[i] = byte_at(at + i);
}

static void check(const char *buf, size_t at, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		CHECK_EQ(byte_at(at + i), buf[i]);
}

/* Cut up to @len bytes of @buf into parts, some of them empty. Return: how many parts. */
static int cut(struct iovec *iov, char *buf, size_t len, unsigned int *r)
{
	size_t n, at = 0;
	int parts = 0;

	while (parts < MOST_PARTS && at < len) {
		n = rnd(r) % 4 ? rnd(r) % 3000 : 0;
		if (n > len - at)
			n = len - at;
		iov[parts++] = (struct iovec){ buf + at, n };
		at += n;
	}
	return parts;
}

static size_t sum(const struct iovec *iov, int n)
{
	size_t s = 0;
	int i;

	for (i = 0; i < n; i++)
		s += iov[i].iov_len;
	return s;
}

struct stream {
	int wr;
	unsigned int seed;
	size_t bytes;
	gs_wg wg;
};

static void stream_write(void *arg)
{
	struct stream *s = arg;
	unsigned int r = s->seed;
	char *buf = malloc(s->bytes);
	struct iovec iov[MOST_PARTS];
	size_t at = 0;
	int n;

	fill(buf, 0, s->bytes);
	while (at < s->bytes) {
		n = cut(iov, buf + at, s->bytes - at, &r);
		CHECK_EQ(sum(iov, n), gs_writev(s->wr, iov, n));
		at += sum(iov, n);
	}
	free(buf);
	CHECK_EQ(0, gs_close(s->wr));
	gs_wg_done(&s->wg);
}

/* All bytes arrive in order, each in its part, then the end. */
static void stream_run(int rd, int wr)
{
	struct stream s = { .wr = wr, .seed = test_seed(), .bytes = TIMES(2000000) };
	unsigned int r = s.seed + 1;
	static char buf[MOST_PARTS * 3000];
	struct iovec iov[MOST_PARTS];
	size_t at = 0;
	ssize_t got;
	int n;

	gs_wg_add(&s.wg, 1);
	go(stream_write, &s);
	for (;;) {
		do {
			n = cut(iov, buf, 1 + rnd(&r) % sizeof(buf), &r);
		} while (!sum(iov, n));
		got = gs_readv(rd, iov, n);
		CHECK(got >= 0);
		if (!got)
			break;
		check(buf, at, got);
		at += got;
	}
	CHECK_EQ(s.bytes, at);
	gs_wg_wait(&s.wg);
	CHECK_EQ(0, gs_close(rd));
}

TEST_GO(stream_pipe)
{
	int p[2];

	CHECK_EQ(0, pipe(p));
	stream_run(p[0], p[1]);
	CHECK_EQ(0, pipe2(p, O_NONBLOCK));
	stream_run(p[0], p[1]);
}

TEST_GO(stream_tcp)
{
	int fd[2];

	tcp_pair(fd);
	stream_run(fd[0], fd[1]);
	tcp_pair_plain(fd);
	stream_run(fd[0], fd[1]);
	CHECK_EQ(-1, fcntl(fd[0], F_GETFL));
}

TEST_GO(stream_unix)
{
	int fd[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	stream_run(fd[0], fd[1]);
}

struct blob {
	int fd;
	size_t len;
	gs_wg wg;
};

static void read_blob(void *arg)
{
	struct blob *b = arg;
	char *buf = malloc(b->len);
	size_t at;
	ssize_t n;

	for (at = 0; at < b->len; at += n) {
		n = gs_read(b->fd, buf + at, b->len - at);
		CHECK(n > 0);
	}
	check(buf, 0, b->len);
	free(buf);
	gs_wg_done(&b->wg);
}

/* More than there is room for at once, in as many parts as there may be. */
static void write_most(int rd, int wr)
{
	struct blob b = { .fd = rd, .len = (size_t)IOV_MAX * (SANITIZED ? 300 : 3000) };
	static struct iovec iov[IOV_MAX];
	char *buf = malloc(b.len);
	int i;

	fill(buf, 0, b.len);
	for (i = 0; i < IOV_MAX; i++)
		iov[i] = (struct iovec){ buf + i * (b.len / IOV_MAX), b.len / IOV_MAX };
	gs_wg_add(&b.wg, 1);
	go(read_blob, &b);
	CHECK_EQ(b.len, gs_writev(wr, iov, IOV_MAX));
	gs_wg_wait(&b.wg);
	free(buf);
	gs_close(rd);
	gs_close(wr);
}

TEST_GO(write_most_parts)
{
	int fd[2];

	tcp_pair(fd);
	write_most(fd[0], fd[1]);
	CHECK_EQ(0, pipe(fd));
	write_most(fd[0], fd[1]);
}

/* The parts are one message; no bytes are none. */
TEST_GO(datagrams)
{
	char a[4], b[4];
	struct iovec out[2] = { { "ab", 2 }, { "cde", 3 } };
	struct iovec in[2] = { { a, 4 }, { b, 4 } };
	struct iovec none = { a, 0 };
	int fd[2];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, fd));
	CHECK_EQ(5, gs_writev(fd[1], out, 2));
	CHECK_EQ(0, gs_readv(fd[0], &none, 1));
	CHECK_EQ(0, gs_readv(fd[0], in, 0));
	CHECK_EQ(5, gs_readv(fd[0], in, 2));
	CHECK(!memcmp(a, "abcd", 4) && b[0] == 'e');
	CHECK_EQ(0, gs_writev(fd[1], &none, 1));
	CHECK_EQ(-ETIMEDOUT, gs_readv_until(fd[0], in, 2, 0));
	gs_close(fd[0]);
	gs_close(fd[1]);
}

TEST_GO(deadlines)
{
	static char buf[8 << 20];
	struct iovec iov[2] = { { buf, sizeof(buf) / 2 }, { buf + sizeof(buf) / 2, 9 } };
	int64_t t;
	ssize_t n;
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(-ETIMEDOUT, gs_readv_until(fd[0], iov, 2, 0));
	t = gs_now() + 10 * MS;
	CHECK_EQ(-ETIMEDOUT, gs_readv_until(fd[0], iov, 2, t));
	CHECK(gs_now() >= t);
	/* What was written before the deadline counts; the window may still grow. */
	n = gs_writev_until(fd[1], iov, 2, gs_now() + 20 * MS);
	CHECK(n > 0);
	while (n > 0)
		n = gs_writev_until(fd[1], iov, 2, gs_now() + 20 * MS);
	CHECK_EQ(-ETIMEDOUT, n);
	gs_close(fd[0]);
	gs_close(fd[1]);
}

TEST_GO(bad_input)
{
	static struct iovec many[IOV_MAX + 1];
	char c[8];
	struct iovec v[2] = { { c, 8 }, { c, SSIZE_MAX } };
	int fd = eventfd(0, 0), p[2];

	CHECK_EQ(-EBADF, gs_readv(-1, v, 1));
	CHECK_EQ(-EBADF, gs_readv(-1, v, 0));
	CHECK_EQ(-EBADF, gs_writev(900, v, 1));
	CHECK_EQ(-EINVAL, gs_readv(fd, v, -1));
	CHECK_EQ(-EINVAL, gs_writev(fd, v, -1));
	CHECK_EQ(-EINVAL, gs_readv(fd, v, 2));
	CHECK_EQ(-EINVAL, gs_writev(fd, v, 2));
	CHECK_EQ(-EINVAL, gs_readv(fd, many, IOV_MAX + 1));
	CHECK_EQ(-EINVAL, gs_writev(fd, many, IOV_MAX + 1));
	gs_close(fd);
	CHECK_EQ(-EBADF, gs_pread(900, c, 1, 0));
	CHECK_EQ(-EBADF, gs_pwrite(-1, c, 1, 0));
	CHECK_EQ(0, pipe(p));
	CHECK_EQ(-ESPIPE, gs_pread(p[0], c, 1, 0));
	CHECK_EQ(-EBADF, gs_sendfile(900, p[0], NULL, 1));
	CHECK_EQ(-EBADF, gs_sendfile(p[1], 900, NULL, 1));
	gs_close(p[0]);
	gs_close(p[1]);
	/* No SIGPIPE, as gs_write. */
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	gs_close(p[0]);
	CHECK_EQ(-EPIPE, gs_writev(p[1], v, 1));
	gs_close(p[1]);
}

/* ------------------------------------------------------------------------ files */

/* A file of @len bytes that has no name any more; the offset is at its start. */
static int file(size_t len)
{
	char name[] = "/tmp/gsched-XXXXXX", *buf = malloc(len + 1);
	int fd = mkstemp(name);

	CHECK(fd >= 0);
	unlink(name);
	fill(buf, 0, len);
	CHECK_EQ(len, gs_pwrite(fd, buf, len, 0));
	free(buf);
	return fd;
}

TEST_GO(regular_file)
{
	char buf[100], more[100];
	struct iovec iov[2] = { { buf, 60 }, { more, 100 } };
	int fd = file(100);

	CHECK_EQ(40, gs_pread(fd, buf, 100, 60));
	check(buf, 60, 40);
	CHECK_EQ(0, gs_pread(fd, buf, 100, 100));
	CHECK_EQ(-EINVAL, gs_pread(fd, buf, 1, -1));
	CHECK_EQ(100, gs_readv(fd, iov, 2));
	check(buf, 0, 60);
	check(more, 60, 40);
	CHECK_EQ(0, gs_readv_until(fd, iov, 2, 0));
	CHECK_EQ(160, gs_writev(fd, iov, 2));
	CHECK_EQ(10, gs_pwrite(fd, buf, 10, 1000));
	CHECK_EQ(1010, lseek(fd, 0, SEEK_END));
	CHECK_EQ(0, gs_close(fd));
}

/* From the middle of a file to its end, and further. */
static void sendfile_run(int rd, int wr, bool offset)
{
	size_t len = TIMES(3000000), skip = 1234;
	struct blob b = { .fd = rd, .len = len };
	int fd = file(len);
	off_t at = skip;

	gs_wg_add(&b.wg, 1);
	go(read_blob, &b);
	CHECK_EQ(skip, gs_sendfile(wr, fd, NULL, skip));
	if (offset) {
		CHECK_EQ(len - skip, gs_sendfile(wr, fd, &at, len));
		CHECK_EQ(len, at);
		CHECK_EQ(skip, lseek(fd, 0, SEEK_CUR));
	} else {
		CHECK_EQ(len - skip, gs_sendfile(wr, fd, NULL, len));
	}
	gs_wg_wait(&b.wg);
	gs_close(fd);
	gs_close(rd);
	gs_close(wr);
}

TEST_GO(sendfile)
{
	int fd[2];

	tcp_pair(fd);
	sendfile_run(fd[0], fd[1], true);
	tcp_pair_plain(fd);
	sendfile_run(fd[0], fd[1], false);
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	sendfile_run(fd[0], fd[1], true);
	CHECK_EQ(0, pipe(fd));
	sendfile_run(fd[0], fd[1], false);
	CHECK_EQ(0, pipe2(fd, O_NONBLOCK));
	sendfile_run(fd[0], fd[1], true);
}

TEST_GO(sendfile_to_file)
{
	int in = file(100000), out = file(0);
	static char buf[100000];

	CHECK_EQ(100000, gs_sendfile(out, in, NULL, 200000));
	CHECK_EQ(0, gs_sendfile(out, in, NULL, 200000));
	CHECK_EQ(100000, gs_pread(out, buf, sizeof(buf), 0));
	check(buf, 0, sizeof(buf));
	gs_close(in);
	gs_close(out);
}

TEST_GO(sendfile_deadline)
{
	size_t len = 16 << 20;
	int fd[2], in = file(len), plain;
	off_t at;
	ssize_t n;

	for (plain = 0; plain < 2; plain++) {
		if (plain)
			tcp_pair_plain(fd);
		else
			tcp_pair(fd);
		at = 0;
		n = gs_sendfile_until(fd[1], in, &at, len, gs_now() + 20 * MS);
		CHECK(n > 0 && n < (ssize_t)len);
		CHECK_EQ(n, at);
		/* The receiver's window may still grow a little. */
		while (n > 0)
			n = gs_sendfile_until(fd[1], in, &at, len, gs_now() + 20 * MS);
		CHECK_EQ(-ETIMEDOUT, n);
		gs_close(fd[0]);
		gs_close(fd[1]);
	}
	gs_close(in);
}

/* A thread that is no goroutine waits in poll(2). */
TEST(plain_thread)
{
	char buf[10];
	struct iovec iov = { buf, 10 };
	int fd[2], in;

	EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	EXPECT_EQ(-ETIMEDOUT, gs_readv_until(fd[0], &iov, 1, gs_now() + 5 * MS));
	EXPECT_EQ(10, gs_writev(fd[1], &iov, 1));
	EXPECT_EQ(10, gs_readv(fd[0], &iov, 1));
	in = file(10);
	EXPECT_EQ(10, gs_sendfile(fd[1], in, NULL, 100));
	EXPECT_EQ(10, gs_readv(fd[0], &iov, 1));
	EXPECT_EQ(0, gs_close(fd[0]));
	EXPECT_EQ(-EPIPE, gs_writev(fd[1], &iov, 1));
	gs_close(fd[1]);
	gs_close(in);
}

TEST_HARNESS_MAIN
