// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * backend_module.c: the backend on /dev/gsched: <linux/gsched.h> put into calls.
 *
 * A signal ends a sleep in the kernel with -EINTR and without a P; its handler has
 * run by then, and the call is made again.
 *
 * To stop, the descriptor's number is given another file, by which the kernel sees
 * the context closed and wakes all who sleep in it. The number stays ours: an M that
 * comes late must not do its ioctl to somebody else's file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "debug.h"
#include "proc.h"
#include "stack.h"
#include "timer.h"

static struct {
	int fd, spare;			/* -1: not open */
	struct gsched_m *ms;
	size_t slots_size;
} be;

static int ctl(unsigned long cmd, void *arg)
{
	int err;

	do {
		err = ioctl(be.fd, cmd, arg) ? -errno : 0;
	} while (err == -EINTR);
	/* What the file in the number's place says means nothing. */
	return err && stopping() ? -ESHUTDOWN : err;
}

static int module_set_procs(uint32_t n)
{
	struct gsched_set_procs a = { .nr_procs = n };

	return ctl(GSCHED_IOC_SET_PROCS, &a);
}

static int module_m_register(struct m *m)
{
	struct gsched_m_register a = { 0 };
	int err = ctl(GSCHED_IOC_M_REGISTER, &a);

	if (err)
		return err;
	m->id = a.id;
	m->shared = be.ms + a.id;
	return 0;
}

static void module_m_unregister(struct m *m)
{
	(void)m;
	/* Fails only if the context is closed, which has unregistered the M. */
	ctl(GSCHED_IOC_M_UNREGISTER, NULL);
}

static int module_acquire(struct m *m)
{
	struct gsched_acquire a = { 0 };

	(void)m;
	return ctl(GSCHED_IOC_ACQUIRE, &a);
}

static int module_wake(void)
{
	struct gsched_wake a = { 0 };

	return ctl(GSCHED_IOC_WAKE, &a);
}

static int module_release(struct m *m)
{
	int err = ctl(GSCHED_IOC_RELEASE, NULL);

	(void)m;
	/* The kernel sees to the queues; the timers need an M that sleeps for them. */
	if (timers_overslept())
		module_wake();
	return err;
}

static int module_idle(struct m *m, int64_t deadline, uint32_t *reason)
{
	struct gsched_idle a = { .leave_ms = settings.leave_ms };
	int64_t when;
	int err;

	(void)m;
	if (deadline && !__builtin_add_overflow(deadline, rt.clock_offset, &when))
		a.deadline = when > 0 ? when : 1;
	err = ctl(GSCHED_IOC_IDLE, &a);
	*reason = a.reason;
	return err;
}

static void tell_cap(void)
{
	char line[128];
	int n;

	n = snprintf(line, sizeof(line), "gsched: %u threads are blocked in system calls or "
		     "page faults; other goroutines wait for them\n", settings.max_ms);
	if (write(STDERR_FILENO, line, n) != n)
		return;
}

static int module_spawner(bool failed)
{
	struct gsched_spawner a = { .flags = failed ? GSCHED_SPAWNER_FAILED : 0 };
	int err;

	for (;;) {
		err = ctl(GSCHED_IOC_SPAWNER, &a);
		if (err || a.reason != GSCHED_SPAWN_CAP)
			return err;
		tell_cap();
		a = (struct gsched_spawner){ 0 };
	}
}

static int module_set_times(uint64_t slice, uint64_t min_run)
{
	struct gsched_times a = { .slice_ns = slice, .min_run_ns = min_run };

	return ctl(GSCHED_IOC_TIMES, &a);
}

static int module_fd_register(int fd, uint32_t *slot)
{
	struct gsched_fd a = { .fd = fd };
	int err = ctl(GSCHED_IOC_FD_REGISTER, &a);

	*slot = a.slot;
	return err;
}

static int module_fd_unregister(uint32_t slot)
{
	struct gsched_fd a = { .slot = slot };

	return ctl(GSCHED_IOC_FD_UNREGISTER, &a);
}

/* -------------------------------------------------------------- start and stop */

static void *map(uint64_t offset, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, be.fd, offset);

	return p == MAP_FAILED ? NULL : p;
}

static void unmap(void *p, size_t size)
{
	if (p)
		munmap(p, size);
}

static int setup(uint32_t nr_procs)
{
	struct gsched_setup s = {
		.flags = settings.setup_flags,
		.nr_procs = nr_procs,
		.max_procs = GSCHED_MAX_PROCS,
		.max_ms = settings.max_ms,
		.max_slots = GSCHED_MAX_SLOTS,
	};
	int err = ctl(GSCHED_IOC_SETUP, &s);

	if (err)
		return err;
	be.slots_size = ((size_t)s.first_slot + s.max_slots) * sizeof(struct gsched_slot);
	rt.max_procs = GSCHED_MAX_PROCS;
	rt.shared = map(GSCHED_OFF_SHARED, sizeof(*rt.shared));
	rt.procs = map(GSCHED_OFF_PROCS, GSCHED_MAX_PROCS * sizeof(*rt.procs));
	rt.slots = map(GSCHED_OFF_SLOTS, be.slots_size);
	be.ms = map(GSCHED_OFF_MS, settings.max_ms * sizeof(*be.ms));
	rt.ms = be.ms;
	return rt.shared && rt.procs && rt.slots && be.ms ? 0 : -ENOMEM;
}

/*
 * In a time namespace the clocks differ by a constant. Outside one the kernel's
 * reading lies between two of ours, and the constant is 0.
 */
static int64_t clock_offset(int64_t before, int64_t kernel, int64_t after)
{
	if (kernel < before)
		return kernel - before;
	return kernel > after ? kernel - after : 0;
}

static uint32_t in_force(uint64_t offered)
{
	uint32_t no_preempt = GSCHED_SETUP_NO_PREEMPT | GSCHED_SETUP_NO_HANDOFF, features = 0;

	if (offered & GSCHED_FEAT_HANDOFF && !(settings.setup_flags & GSCHED_SETUP_NO_HANDOFF))
		features |= GS_FEAT_HANDOFF;
	if (settings.setup_flags & GSCHED_SETUP_NO_HOLD)
		return features;
	if (offered & GSCHED_FEAT_HOLD)
		features |= GS_FEAT_HOLD;
	if (offered & GSCHED_FEAT_PREEMPT && !(settings.setup_flags & no_preempt))
		features |= GS_FEAT_PREEMPT;
	return features;
}

static int query(struct gsched_query *q)
{
	int64_t before = gs_now();
	int err = ctl(GSCHED_IOC_QUERY, q);

	if (err)
		return err;
	rt.clock_offset = clock_offset(before, q->now_ns, gs_now());
	if (!(q->features & GSCHED_FEAT_READY) || q->page_size != sizeof(struct gsched_proc))
		return -ENOTSUP;
	return 0;
}

/* The shared regions are not there: the kernel copies none of them (VM_DONTCOPY). */
static void module_forked(void)
{
	close(be.fd);
	close(be.spare);
}

static void module_cleanup(void)
{
	unmap(rt.shared, sizeof(*rt.shared));
	unmap(rt.procs, GSCHED_MAX_PROCS * sizeof(*rt.procs));
	unmap(rt.slots, be.slots_size);
	unmap(be.ms, settings.max_ms * sizeof(*be.ms));
	close(be.fd);
	close(be.spare);
}

static int module_start(uint32_t nr_procs)
{
	struct gsched_query q = { 0 };
	int err;

	/* A former runtime's, or, after fork(), what a start or an end had come to. */
	memset(&be, 0, sizeof(be));
	be.fd = open(GSCHED_DEVICE, O_RDWR | O_CLOEXEC);
	if (be.fd < 0)
		return -errno;
	be.spare = eventfd(0, EFD_CLOEXEC);
	err = be.spare < 0 ? -errno : query(&q);
	if (!err)
		err = setup(nr_procs);
	if (!err && (settings.slice_ns || settings.min_run_ns))
		err = module_set_times(settings.slice_ns, settings.min_run_ns);
	if (err) {
		module_cleanup();
		return err;
	}
	rt.features = in_force(q.features);
	stack_arena_init(q.features & GSCHED_FEAT_STACKS ? be.fd : -1);
	return 0;
}

static void module_stop(void)
{
	dup3(be.spare, be.fd, O_CLOEXEC);
}

const struct backend module_backend = {
	.name = "module",
	.start = module_start,
	.stop = module_stop,
	.cleanup = module_cleanup,
	.forked = module_forked,
	.set_procs = module_set_procs,
	.m_register = module_m_register,
	.m_unregister = module_m_unregister,
	.acquire = module_acquire,
	.release = module_release,
	.idle = module_idle,
	.wake = module_wake,
	.spawner = module_spawner,
	.set_times = module_set_times,
	.fd_register = module_fd_register,
	.fd_unregister = module_fd_unregister,
};
