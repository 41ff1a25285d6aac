/* SPDX-License-Identifier: GPL-2.0 */
/* lib_stderr.h: what a program says on standard error before it ends. */
#ifndef LIB_STDERR_H
#define LIB_STDERR_H

/* First: it says which declarations are wanted. */
#include "lib_check.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* What a child does: @before, and then @body, under run_on() or, with 0 Ps, as it is. */
struct child {
	void (*before)(void);
	void (*body)(void);
	int procs;
};

static inline int child_main(const struct child *c)
{
	if (c->before)
		c->before();
	if (c->procs)
		return -run_on(c->procs, c->body);
	c->body();
	return 0;
}

/* Run @c in a process of its own. Return: as waitpid's status. */
static inline int child_run(const struct child *c, char *buf, size_t room)
{
	const struct rlimit none = { 0 };
	size_t len = 0;
	ssize_t n;
	int fd[2], status;
	pid_t pid;

	CHECK_EQ(0, pipe(fd));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		alarm(30 * slowness());
		setrlimit(RLIMIT_CORE, &none);
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		_exit(child_main(c));
	}
	close(fd[1]);
	while ((n = read(fd[0], buf + len, room - 1 - len)) > 0)
		len += n;
	buf[len] = '\0';
	close(fd[0]);
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	return status;
}

static inline int child_stderr(void (*body)(void), int procs, char *buf, size_t room)
{
	return child_run(&(struct child){ NULL, body, procs }, buf, room);
}

#endif /* LIB_STDERR_H */
