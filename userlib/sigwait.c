// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * sigwait.c: gs_sigwait.
 *
 * sigtimedwait(2) that does not wait is the attempt; a signalfd, which nobody reads,
 * says when the next one is worth it. Where several wait for one signal all look and
 * one gets it. A signal that was sent to one thread only (pthread_kill) is nobody's
 * but that thread's.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "io.h"
#include "sysio.h"

struct sigwait {
	const sigset_t *set;
	siginfo_t *info;
};

static ssize_t try_sigwait(struct io *io)
{
	const struct sigwait *w = io->arg;

	return sys_sigtake(w->set, w->info);
}

int gs_sigwait_until(const sigset_t *set, siginfo_t *info, int64_t deadline)
{
	struct sigwait w = { .set = set, .info = info };
	struct io io = {
		.dir = GSCHED_DIR_READ, .deadline = deadline, .attempt = try_sigwait, .arg = &w,
	};
	int ret;

	call_begin();
	if (sigisemptyset(set))
		return -EINVAL;
	ret = sys_sigtake(set, info);
	if (ret != -EAGAIN && ret != -EINTR)
		return ret;
	if (deadline_passed(deadline))
		return -ETIMEDOUT;
	io.fd = sys_signalfd(set);
	return io.fd < 0 ? io.fd : (int)io_run_own(&io);
}

int gs_sigwait(const sigset_t *set, siginfo_t *info)
{
	return gs_sigwait_until(set, info, NO_DEADLINE);
}
