// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * pipeline: a chain of stages, of which each may fail and then ends all.
 *
 *   pipeline < NUMBERS
 *
 * Reads lines from standard input, makes numbers of them, adds up their squares. The
 * stages are a group: the first that returns an error cancels the others. Even the one
 * that waits for input then ends, which an ordinary read() would not let it do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gsched.h>

#define LINE_SIZE 80

struct line {
	long nr;
	char text[LINE_SIZE];
};

static gs_chan *lines, *numbers;
static long long sum;

/* Send the whole lines of @buf on. Return: how many bytes they were, or -errno. */
static ssize_t send_lines(const char *buf, size_t len, long *nr)
{
	const char *at = buf, *end;

	while ((end = memchr(at, '\n', buf + len - at))) {
		struct line line = { .nr = ++*nr };
		int err;

		if (end - at >= LINE_SIZE)
			return -EMSGSIZE;
		memcpy(line.text, at, end - at);
		err = gs_chan_send(lines, &line);
		if (err)
			return err;
		at = end + 1;
	}
	return at - buf;
}

/* A stage closes its output when it ends without an error: then the next one ends. */
static int read_lines(void *arg)
{
	char buf[4096];
	size_t len = 0;
	long nr = 0;
	ssize_t n;

	(void)arg;
	while ((n = gs_read(STDIN_FILENO, buf + len, sizeof(buf) - len)) > 0) {
		len += n;
		n = send_lines(buf, len, &nr);
		if (n < 0)
			return n;
		len -= n;
		memmove(buf, buf + n, len);
		if (len == sizeof(buf))
			return -EMSGSIZE;
	}
	gs_chan_close(lines);
	return n;
}

static int parse_lines(void *arg)
{
	struct line line;
	int ret;

	(void)arg;
	while ((ret = gs_chan_recv(lines, &line)) == 1) {
		char *end;
		long n = strtol(line.text, &end, 10);

		if (end == line.text || *end) {
			printf("line %ld: not a number: %s\n", line.nr, line.text);
			return -EINVAL;
		}
		ret = gs_chan_send(numbers, &n);
		if (ret)
			return ret;
	}
	gs_chan_close(numbers);
	return ret;
}

static int add_squares(void *arg)
{
	long n;
	int ret;

	(void)arg;
	while ((ret = gs_chan_recv(numbers, &n)) == 1)
		sum += (long long)n * n;
	return ret;
}

static int run(int argc, char **argv)
{
	int (*const stages[])(void *) = { read_lines, parse_lines, add_squares };
	gs_group group = GS_GROUP_INIT;
	int err = 0;

	(void)argc, (void)argv;
	lines = gs_chan_new(sizeof(struct line), 8);
	numbers = gs_chan_new(sizeof(long), 8);
	if (!lines || !numbers)
		return 1;
	for (int i = 0; i < 3 && !err; i++)
		err = gs_group_go(&group, stages[i], NULL);
	/* If one could not be started the others shall not wait for it. */
	if (err)
		gs_group_cancel(&group);
	err = gs_group_wait(&group);
	if (err)
		printf("failed: %s\n", strerror(-err));
	else
		printf("the sum of the squares is %lld\n", sum);
	gs_chan_unref(lines);
	gs_chan_unref(numbers);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	return gs_main(run, argc, argv) ? 1 : 0;
}
