// SPDX-License-Identifier: LGPL-2.1 OR MIT
/* backend_epoll.c: the portable backend: its start, its end, the number of Ps. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "epoll.h"
#include "stack.h"

struct epoll_be ep;

/* New, or dead: idle. Else it is to retire and has an owner, or one on the way. */
static void proc_on(uint32_t proc)
{
	if (proc >= ep.made_procs || rt.procs[proc].state == GSCHED_P_DEAD)
		proc_offer(proc);
	else
		__atomic_fetch_and(&rt.procs[proc].attention, ~GSCHED_ATTN_RETIRE,
				   __ATOMIC_SEQ_CST);
}

static void proc_off(uint32_t proc)
{
	if (proc_is_idle(proc)) {
		proc_unmake_idle(proc);
		proc_set_state(proc, GSCHED_P_DEAD, GSCHED_NONE);
	} else {
		__atomic_fetch_or(&rt.procs[proc].attention, GSCHED_ATTN_RETIRE,
				  __ATOMIC_SEQ_CST);
	}
}

/*
 * The caller holds a mutex, and all Ms may come to wait for it, each with its P: this must
 * not be where the G is made to wait for one. It will be asked again soon.
 */
static int epoll_set_procs(uint32_t n)
{
	struct m *m = sec_enter_m();
	uint32_t old;

	rt_lock(&ep.lock);
	old = rt.shared->nr_procs;
	__atomic_store_n(&rt.shared->nr_procs, n, __ATOMIC_RELAXED);
	for (uint32_t i = old; i < n; i++)
		proc_on(i);
	for (uint32_t i = n; i < old; i++)
		proc_off(i);
	if (n > ep.made_procs)
		ep.made_procs = n;
	rt_unlock(&ep.lock);
	if (m)
		sec_leave_quiet(m);
	return 0;
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unmap(void *p, size_t size)
{
	if (p)
		munmap(p, size);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void epoll_cleanup(void)
{
	close_fd(ep.epfd);
	close_fd(ep.kick);
	close_fd(ep.downfd);
	unmap(rt.shared, sizeof(*rt.shared));
	unmap(rt.procs, GSCHED_MAX_PROCS * sizeof(*rt.procs));
	unmap(rt.slots, MAX_SLOTS * sizeof(*rt.slots));
	unmap(ep.ms, MAX_MS * sizeof(*ep.ms));
	unmap(ep.watch, MAX_SLOTS * sizeof(*ep.watch));
	unmap(ep.slot_of, MAX_SLOTS * sizeof(*ep.slot_of));
	unmap(ep.free_slots, MAX_SLOTS * sizeof(*ep.free_slots));
}

static int start_memory(void)
{
	rt.shared = map(sizeof(*rt.shared));
	rt.procs = map(GSCHED_MAX_PROCS * sizeof(*rt.procs));
	rt.slots = map(MAX_SLOTS * sizeof(*rt.slots));
	ep.ms = map(MAX_MS * sizeof(*ep.ms));
	rt.ms = ep.ms;
	ep.watch = map(MAX_SLOTS * sizeof(*ep.watch));
	ep.slot_of = map(MAX_SLOTS * sizeof(*ep.slot_of));
	ep.free_slots = map(MAX_SLOTS * sizeof(*ep.free_slots));
	if (!rt.shared || !rt.procs || !rt.slots || !ep.ms || !ep.watch || !ep.slot_of ||
	    !ep.free_slots)
		return -ENOMEM;
	return 0;
}

static int add_internal(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	if (fd < 0 || epoll_ctl(ep.epfd, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	return 0;
}

static int start_epoll(void)
{
	int err;

	ep.epfd = epoll_create1(EPOLL_CLOEXEC);
	ep.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ep.downfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ep.epfd < 0)
		return -errno;
	err = add_internal(ep.kick, EPOLLIN | EPOLLET, DATA_KICK);
	/* Level triggered: once it is written to, nobody sleeps any more. */
	return err ? err : add_internal(ep.downfd, EPOLLIN, DATA_DOWN);
}

static int epoll_start(uint32_t nr_procs)
{
	int err;

	/* A former runtime's, or, after fork(), what a start or an end had come to. */
	memset(&ep, 0, sizeof(ep));
	err = start_epoll();
	if (!err)
		err = start_memory();
	if (err) {
		epoll_cleanup();
		return err;
	}
	stack_arena_init(-1);
	rt.max_procs = GSCHED_MAX_PROCS;
	rt.shared->nr_procs = nr_procs;
	rt.shared->tick_on = 1;		/* for ever: nobody needs to ask for it */
	ep.made_procs = nr_procs;
	for (uint32_t i = 0; i < nr_procs; i++)
		proc_make_idle(i);
	return 0;
}

static void epoll_stop(void)
{
	uint64_t one = 1;

	rt_lock(&ep.lock);
	ep.down = true;
	wanters_stop();
	rt_unlock(&ep.lock);
	if (write(ep.downfd, &one, sizeof(one)) < 0)
		fatal("eventfd: %s", strerror(errno));
	monitor_wake();
}

const struct backend epoll_backend = {
	.name = "epoll",
	.start = epoll_start,
	.stop = epoll_stop,
	.cleanup = epoll_cleanup,
	.forked = epoll_cleanup,
	.set_procs = epoll_set_procs,
	.m_register = epoll_m_register,
	.m_unregister = epoll_m_unregister,
	.acquire = epoll_acquire,
	.release = epoll_release,
	.idle = epoll_idle,
	.wake = epoll_wake,
	.unwatched = epoll_unwatched,
	.spawner = epoll_spawner,
	.fd_register = epoll_fd_register,
	.fd_unregister = epoll_fd_unregister,
	.poll = epoll_poll,
};
