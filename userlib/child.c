// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * child.c: gs_waitpid.
 *
 * waitpid(2) that does not wait is the attempt, and a pidfd says when the next one is
 * worth it. The attempt is repeated after the pidfd has been opened, so a child that
 * ends in between is not missed. If SIGCHLD is ignored a child vanishes instead of
 * being waited for: the pidfd becomes readable all the same, and the attempt says
 * -ECHILD, as waitpid(2) does then. A pidfd tells of the end only: stops of a child
 * that is traced are seen when it ends, or by a call without waiting.
 */
#include <errno.h>
#include <sys/wait.h>

#include "io.h"
#include "sysio.h"

struct child {
	pid_t pid;
	int *status;
};

static ssize_t try_waitpid(struct io *io)
{
	const struct child *c = io->arg;
	pid_t ret = sys_waitpid(c->pid, c->status, WNOHANG);

	return ret ? ret : -EAGAIN;
}

pid_t gs_waitpid_until(pid_t pid, int *status, int options, int64_t deadline)
{
	struct child c = { .pid = pid, .status = status };
	struct io io = {
		.dir = GSCHED_DIR_READ, .deadline = deadline, .attempt = try_waitpid, .arg = &c,
	};
	pid_t ret;

	call_begin();
	if (pid <= 0 || options & ~WNOHANG)
		return -EINVAL;
	do {
		ret = sys_waitpid(pid, status, WNOHANG);
		if (ret || options & WNOHANG)
			return ret;
		if (deadline_passed(deadline))
			return -ETIMEDOUT;
		io.fd = sys_pidfd_open(pid);
		/* It has gone since, in the first case even its number: waitpid says how. */
	} while (io.fd == -ESRCH || io.fd == -EINVAL);
	return io.fd < 0 ? io.fd : (pid_t)io_run_own(&io);
}

pid_t gs_waitpid(pid_t pid, int *status, int options)
{
	return gs_waitpid_until(pid, status, options, NO_DEADLINE);
}
