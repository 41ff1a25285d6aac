/* SPDX-License-Identifier: GPL-2.0 */
/* lib_stderr.h: what a program says on standard error before it ends. */
#ifndef LIB_STDERR_H
#define LIB_STDERR_H

/* First: it says which declarations are wanted. */
#include "lib_check.h"

#include <sys/wait.h>

/* Run @body as run_on() does, in a child. *@status: as waitpid's. */
static inline void child_stderr(void (*body)(void), int procs, char *buf, size_t room,
				int *status)
{
	size_t len = 0;
	ssize_t n;
	int fd[2];
	pid_t pid;

	CHECK_EQ(0, pipe(fd));
	pid = fork();
	if (!pid) {
		alarm(20);
		dup2(fd[1], 2);
		_exit(run_on(procs, body));
	}
	close(fd[1]);
	while ((n = read(fd[0], buf + len, room - 1 - len)) > 0)
		len += n;
	buf[len] = '\0';
	close(fd[0]);
	CHECK_EQ(pid, waitpid(pid, status, 0));
}

#endif /* LIB_STDERR_H */
