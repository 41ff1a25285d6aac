// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * http_get: fetch pages over HTTP, every fetch in a goroutine.
 *
 *   http_get [-n COUNT] [-r ROOT] [-t TRACE] URL...
 *
 *   -n COUNT   after the first fetch, COUNT goroutines fetch the URLs in turn
 *   -r ROOT    compare each body, byte by byte, with the file below ROOT
 *   -t TRACE   record when which goroutine ran, waited and was runnable
 *
 * Goroutine G1 fetches the first URL and prints its status code. Each of the
 * COUNT goroutines opens its connection and then waits at a gate (a channel that
 * nobody sends to, until it is closed), so that all requests go out together.
 *
 * Exit status 0: every answer came whole, with a status code below 400.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <gsched.h>

#define DEADLINE_NS	(60 * 1000000000LL)	/* for one fetch, all of it */
#define TRACE_EVENTS	(1 << 17)		/* for each P */
#define ERRORS_SHOWN	5

struct page {
	const char *url;
	char *host;
	const char *path;		/* within @url */
	struct sockaddr_storage addr;
	socklen_t addrlen;
	const char *want;		/* the file's contents, NULL: not compared */
	size_t want_len;
};

struct fetch {
	const struct page *page;
	bool connected;
	int err;			/* 0 or -errno */
	int status;
	size_t body_len;
};

/* What has been received of an answer and not been consumed. */
struct conn {
	int fd;
	int64_t deadline;
	size_t len;
	char buf[16384];
};

static struct {
	long count;
	const char *root, *trace;
} opt;

static struct page *pages;
static size_t nr_pages;

static gs_wg connected = GS_WG_INIT;	/* goroutines that are on their way to the gate */
static gs_wg done = GS_WG_INIT;		/* goroutines that have not finished */
static gs_chan *gate;

/* ------------------------------------------------------------------ one fetch */

static int connect_to(const struct page *page, int64_t deadline)
{
	int fd = gs_socket(page->addr.ss_family, SOCK_STREAM, 0);
	int err;

	if (fd < 0)
		return fd;
	err = gs_connect_until(fd, (const struct sockaddr *)&page->addr, page->addrlen, deadline);
	if (err < 0) {
		gs_close(fd);
		return err;
	}
	return fd;
}

static int send_request(struct conn *c, const struct page *page)
{
	char req[2048];
	int len = snprintf(req, sizeof(req),
			   "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: http_get\r\n"
			   "Accept: */*\r\nConnection: close\r\n\r\n",
			   page->path, page->host);
	ssize_t n;

	if (len >= (int)sizeof(req))
		return -ENAMETOOLONG;
	n = gs_write_until(c->fd, req, len, c->deadline);
	return n < 0 ? n : 0;
}

/* Receive more behind what is there. Return: bytes, 0 at the end, or -errno. */
static ssize_t fill(struct conn *c)
{
	ssize_t n;

	if (c->len == sizeof(c->buf))
		return -EMSGSIZE;
	n = gs_recv_until(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, 0, c->deadline);
	if (n > 0)
		c->len += n;
	return n;
}

/* The value of header @name in the NUL-terminated @head, or NULL. */
static const char *header(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = strstr(head, "\r\n"); p; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, len) == 0 && p[len] == ':')
			return p + len + 1;
	}
	return NULL;
}

/* Read status line and headers; what follows them stays in @c. *@length: -1, none given. */
static int read_head(struct conn *c, int *status, int64_t *length)
{
	const char *value;
	char *end;
	size_t used;
	ssize_t n;

	while (!(end = memmem(c->buf, c->len, "\r\n\r\n", 4))) {
		n = fill(c);
		if (n <= 0)
			return n ? n : -EPROTO;
	}
	end[2] = '\0';			/* the blank line's: the last header keeps its end */
	if (sscanf(c->buf, "HTTP/1.%*d %d", status) != 1)
		return -EPROTO;
	if (header(c->buf, "Transfer-Encoding"))
		return -EOPNOTSUPP;
	value = header(c->buf, "Content-Length");
	*length = value ? strtoll(value, NULL, 10) : -1;
	used = end + 4 - c->buf;
	c->len -= used;
	memmove(c->buf, c->buf + used, c->len);
	return 0;
}

static bool body_differs(const struct page *page, size_t off, const char *data, size_t len)
{
	return page->want &&
	       (len > page->want_len - off || memcmp(page->want + off, data, len) != 0);
}

/* Read the body to its end: @length bytes, or until the server closes. */
static int read_body(struct conn *c, struct fetch *f, int64_t length)
{
	const struct page *page = f->page;
	ssize_t n;

	for (;;) {
		if (body_differs(page, f->body_len, c->buf, c->len))
			return -EBADMSG;
		f->body_len += c->len;
		c->len = 0;
		if (length >= 0 && f->body_len >= (size_t)length)
			break;
		n = fill(c);
		if (n < 0)
			return n;
		if (n == 0)
			break;
	}
	if (length >= 0 && f->body_len != (size_t)length)
		return -EPROTO;
	return page->want && f->body_len != page->want_len ? -EBADMSG : 0;
}

static int exchange(struct conn *c, struct fetch *f)
{
	int64_t length;
	int err = send_request(c, f->page);

	if (!err)
		err = read_head(c, &f->status, &length);
	if (!err)
		err = read_body(c, f, length);
	return err;
}

/* ----------------------------------------------------------- one and many of them */

static void fetch_one(struct fetch *f)
{
	struct conn c = { .deadline = gs_now() + DEADLINE_NS };

	f->err = c.fd = connect_to(f->page, c.deadline);
	if (c.fd < 0)
		return;
	f->err = exchange(&c, f);
	gs_close(c.fd);
}

static void fetch_at_gate(void *arg)
{
	struct fetch *f = arg;
	struct conn c = { .deadline = gs_now() + DEADLINE_NS };

	gs_set_name(strrchr(f->page->path, '/') + 1);
	f->err = c.fd = connect_to(f->page, c.deadline);
	f->connected = c.fd >= 0;
	gs_wg_done(&connected);
	gs_chan_recv(gate, NULL);
	if (f->connected) {
		f->err = exchange(&c, f);
		gs_close(c.fd);
	}
	gs_wg_done(&done);
}

static bool failed(const struct fetch *f)
{
	return f->err || f->status >= 400;
}

static const char *reason(const struct fetch *f)
{
	if (f->err == -EBADMSG)
		return "the body differs from the file";
	return f->err ? strerror(-f->err) : "refused by the server";
}

static bool print_first(const struct fetch *f)
{
	if (f->err)
		printf("G%ju: %s: %s\n", gs_id(), f->page->url, reason(f));
	else
		printf("G%ju: %s: status code %d, %zu bytes\n", gs_id(), f->page->url,
		       f->status, f->body_len);
	return !failed(f);
}

static void count_statuses(const struct fetch *f, long count)
{
	long nr[1000] = { 0 };

	for (long i = 0; i < count; i++)
		if (!f[i].err && f[i].status >= 0 && f[i].status < 1000)
			nr[f[i].status]++;
	for (int status = 0; status < 1000; status++)
		if (nr[status])
			printf("    status code %d: %ld times\n", status, nr[status]);
}

/* Return: the number of errors. */
static long print_many(const struct fetch *f, int64_t ns)
{
	double ms = ns / 1e6;
	size_t bytes = 0;
	long errors = 0, at_gate = 0;

	for (long i = 0; i < opt.count; i++)
		at_gate += f[i].connected;
	printf("%ld goroutines, %ld connections open at the same time:\n", opt.count, at_gate);
	for (long i = 0; i < opt.count; i++) {
		bytes += f[i].body_len;
		if (failed(&f[i]) && errors++ < ERRORS_SHOWN)
			printf("    %s: %s\n", f[i].page->url, reason(&f[i]));
	}
	count_statuses(f, opt.count);
	printf("    %ld errors; %.1f MB in bodies%s\n", errors, bytes / 1e6,
	       opt.root ? ", each compared with its file" : "");
	printf("    %.1f ms from the opening of the gate: %.0f requests/s\n", ms,
	       opt.count / (ms / 1e3));
	return errors;
}

/* Start the goroutines; -errno if not all could be started. */
static int start_many(struct fetch *f)
{
	int err;

	for (long i = 0; i < opt.count; i++) {
		f[i].page = &pages[i % nr_pages];
		err = gs_go(fetch_at_gate, &f[i]);
		if (err)
			return err;
	}
	return 0;
}

static bool fetch_many(void)
{
	struct fetch *f = calloc(opt.count, sizeof(*f));
	int64_t start;
	long errors;
	int err;

	gate = gs_chan_new(0, 0);
	if (!f || !gate) {
		fprintf(stderr, "http_get: out of memory\n");
		exit(1);
	}
	gs_wg_add(&connected, opt.count);
	gs_wg_add(&done, opt.count);
	err = start_many(f);
	if (err) {
		fprintf(stderr, "http_get: cannot start a goroutine: %s\n", strerror(-err));
		exit(1);
	}
	gs_wg_wait(&connected);
	start = gs_now();
	gs_chan_close(gate);
	gs_wg_wait(&done);
	errors = print_many(f, gs_now() - start);
	gs_chan_unref(gate);
	free(f);
	return errors == 0;
}

/* -------------------------------------------------------------------- the program */

static bool start_trace(int *fd)
{
	int err;

	*fd = open(opt.trace, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	err = *fd < 0 ? -errno : gs_trace_start(TRACE_EVENTS);
	if (err)
		fprintf(stderr, "http_get: %s: %s\n", opt.trace, strerror(-err));
	return !err;
}

static bool stop_trace(int fd)
{
	int err = gs_trace_stop(fd);

	close(fd);
	if (err)
		fprintf(stderr, "http_get: %s: %s\n", opt.trace, strerror(-err));
	return !err;
}

static void print_where(void)
{
	struct utsname uts;

	uname(&uts);
	printf("%s backend, Linux %s, %d Ps\n", gs_backend(), uts.release, gs_set_maxprocs(0));
}

static int run(int argc, char **argv)
{
	struct fetch first = { .page = &pages[0] };
	int trace = -1;
	bool ok;

	(void)argc, (void)argv;
	gs_set_name("main");
	print_where();
	if (opt.trace && !start_trace(&trace))
		return 1;
	fetch_one(&first);
	ok = print_first(&first);
	if (ok && opt.count)
		ok = fetch_many();
	if (opt.trace && !stop_trace(trace))
		ok = false;
	return ok ? 0 : 1;
}

/* ------------------------------------------------------- before there are goroutines */

static void __attribute__((noreturn)) die(const char *what, const char *why)
{
	fprintf(stderr, "http_get: %s: %s\n", what, why);
	exit(2);
}

static void resolve(struct page *page, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	int err = getaddrinfo(page->host, port, &hints, &ai);

	if (err)
		die(page->url, gai_strerror(err));
	memcpy(&page->addr, ai->ai_addr, ai->ai_addrlen);
	page->addrlen = ai->ai_addrlen;
	freeaddrinfo(ai);
}

static void parse_url(struct page *page, const char *url)
{
	const char *host = url + strlen("http://");
	char *port;

	if (strncmp(url, "http://", strlen("http://")) != 0)
		die(url, "not an http:// URL");
	page->url = url;
	page->path = strchr(host, '/');
	if (!page->path)
		die(url, "no path");
	page->host = strndup(host, page->path - host);
	port = strchr(page->host, ':');
	if (port)
		*port++ = '\0';
	resolve(page, port ? port : "80");
}

static void map_file(struct page *page)
{
	char *name;
	struct stat st;
	int fd;

	if (asprintf(&name, "%s%s", opt.root, page->path) < 0)
		die(page->url, strerror(ENOMEM));
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || st.st_size == 0)
		die(name, "cannot be read, or is empty");
	page->want_len = st.st_size;
	page->want = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (page->want == MAP_FAILED)
		die(name, strerror(errno));
	close(fd);
	free(name);
}

static void parse_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:r:t:")) != -1) {
		if (c == 'n')
			opt.count = atol(optarg);
		else if (c == 'r')
			opt.root = optarg;
		else if (c == 't')
			opt.trace = optarg;
		else
			optind = argc;
	}
	if (optind >= argc || opt.count < 0) {
		fprintf(stderr, "usage: http_get [-n COUNT] [-r ROOT] [-t TRACE] URL...\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	int err;

	parse_options(argc, argv);
	nr_pages = argc - optind;
	pages = calloc(nr_pages, sizeof(*pages));
	if (!pages)
		die("pages", strerror(ENOMEM));
	for (size_t i = 0; i < nr_pages; i++) {
		parse_url(&pages[i], argv[optind + i]);
		if (opt.root)
			map_file(&pages[i]);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	err = gs_main(run, argc, argv);
	if (err < 0)
		die("gs_main", strerror(-err));
	return err;
}
