// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * crawler: visit a site's pages, as many at once as allowed, for as long as allowed.
 *
 *   crawler [-j AT_ONCE] [-n PAGES] [-t SECONDS] http://HOST:PORT/PATH
 *
 * Each page is a goroutine, which starts one for each new link to the same site. All of
 * them are one group, which is given a deadline: when that comes the group is cancelled,
 * and whoever waits for a connection, an answer, or his turn, returns -ECANCELED.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gsched.h>

#define PAGE_SIZE	(256 * 1024)	/* what is behind that is not looked at */
#define PAGE_NS		(10 * 1000000000LL)

static struct {
	int at_once, pages, seconds;
} opt = { .at_once = 8, .pages = 1000, .seconds = 60 };

static char *host;			/* with the port */
static gs_sem turns;
static gs_group crawl = GS_GROUP_INIT;

/* The paths that have been seen, in the order in which they were. */
static gs_mutex seen_lock = GS_MUTEX_INIT;
static char **seen;
static int nr_seen;

static int nr_ok, nr_failed;

/* ------------------------------------------------------------------------ one page */

static int request(int fd, const char *path, int64_t deadline)
{
	char *text;
	int len = asprintf(&text, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, host);
	ssize_t n;

	if (len < 0)
		return -ENOMEM;
	n = gs_write_until(fd, text, len, deadline);
	free(text);
	return n < 0 ? n : 0;
}

/* Read until the server closes. Return: the length, or -errno. */
static ssize_t answer(int fd, char *page, int64_t deadline)
{
	size_t len = 0;
	ssize_t n = 0;

	while (len < PAGE_SIZE - 1) {
		n = gs_read_until(fd, page + len, PAGE_SIZE - 1 - len, deadline);
		if (n <= 0)
			break;
		len += n;
	}
	page[len] = '\0';
	return n < 0 ? n : (ssize_t)len;
}

/* Return: the status code, or -errno. */
static int fetch(const char *path, char *page)
{
	int64_t deadline = gs_now() + PAGE_NS;
	int fd = gs_dial_until("tcp", host, deadline), status;
	ssize_t n;

	if (fd < 0)
		return fd;
	n = request(fd, path, deadline);
	if (!n)
		n = answer(fd, page, deadline);
	gs_close(fd);
	if (n < 0)
		return n;
	return sscanf(page, "HTTP/%*s %d", &status) == 1 ? status : -EPROTO;
}

static int visit(void *arg);

/* Start a visit, unless the page has been seen or it would be one too many. */
static void follow(const char *path, int len)
{
	char *copy = NULL;
	bool known = false;

	gs_mutex_lock(&seen_lock);
	for (int i = 0; i < nr_seen && !known; i++)
		known = strncmp(seen[i], path, len) == 0 && !seen[i][len];
	if (!known && nr_seen < opt.pages)
		copy = seen[nr_seen] = strndup(path, len);
	nr_seen += !!copy;
	gs_mutex_unlock(&seen_lock);
	if (copy && gs_group_go(&crawl, visit, copy))
		fprintf(stderr, "crawler: %s: cannot start a goroutine\n", copy);
}

/* Links to other sites have a scheme, and are not followed. */
static void follow_links(const char *page)
{
	static const char link[] = "href=\"/";

	while ((page = strstr(page, link))) {
		page += sizeof(link) - 2;
		follow(page, strcspn(page, "\"#"));
	}
}

static void report(const char *path, int status)
{
	bool ok = status >= 200 && status < 400;

	__atomic_add_fetch(ok ? &nr_ok : &nr_failed, 1, __ATOMIC_RELAXED);
	if (status < 0)
		printf("--- %s: %s\n", path, strerror(-status));
	else
		printf("%d %s\n", status, path);
}

/* A page that fails is no reason to stop the others: so 0, but when cancelled. */
static int visit(void *arg)
{
	const char *path = arg;
	char *page;
	int status = gs_sem_acquire(&turns, 1);

	if (status)
		return status;
	page = malloc(PAGE_SIZE);
	status = page ? fetch(path, page) : -ENOMEM;
	gs_sem_release(&turns, 1);
	if (status != -ECANCELED)
		report(path, status);
	if (status == 200)
		follow_links(page);
	free(page);
	return status == -ECANCELED ? status : 0;
}

/* --------------------------------------------------------------------- the program */

static int run(int argc, char **argv)
{
	const char *path = strchr(argv[optind] + strlen("http://"), '/');
	int err;

	(void)argc;
	host = strndup(argv[optind] + strlen("http://"), path - argv[optind] - strlen("http://"));
	seen = calloc(opt.pages, sizeof(char *));
	if (!host || !seen)
		return 1;
	gs_sem_release(&turns, opt.at_once);
	follow(path, strlen(path));
	err = gs_group_wait_until(&crawl, gs_now() + opt.seconds * 1000000000LL);
	printf("%d pages, %d failed%s\n", nr_ok, nr_failed,
	       err == -ETIMEDOUT ? "; the time was over" : "");
	for (int i = 0; i < nr_seen; i++)
		free(seen[i]);
	free(seen);
	free(host);
	return err || nr_failed ? 1 : 0;
}

static void parse_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "j:n:t:")) != -1) {
		if (c == 'j')
			opt.at_once = atoi(optarg);
		else if (c == 'n')
			opt.pages = atoi(optarg);
		else if (c == 't')
			opt.seconds = atoi(optarg);
		else
			optind = argc;
	}
	if (optind + 1 != argc || opt.at_once < 1 || opt.pages < 1 ||
	    strncmp(argv[optind], "http://", strlen("http://")) != 0 ||
	    !strchr(argv[optind] + strlen("http://"), '/')) {
		fprintf(stderr, "usage: crawler [-j AT_ONCE] [-n PAGES] [-t SECONDS] "
			"http://HOST:PORT/PATH\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	return gs_main(run, argc, argv) ? 1 : 0;
}
