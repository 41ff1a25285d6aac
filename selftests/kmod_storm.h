/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kmod_storm.h: processes that use a context at random, or spoil its memory, and end at
 * a random point in a random way. What one does is a function of its seed, as far as
 * timing allows.
 */
#ifndef KMOD_STORM_H
#define KMOD_STORM_H

#include "kmod.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>

#define MAX_THREADS	4

enum ending {
	BY_EXIT,
	BY_EXEC,
	BY_KILL,
	BY_CLOSE,
	BY_SIGNAL_FROM_PARENT,
	BY_PTHREAD_EXIT,
	NR_ENDINGS,
};

static struct gs gs;
static unsigned int child_seed;

static inline int some_fd(unsigned int *seed)
{
	int s[2];

	switch (rnd(seed, 3)) {
	case 0:
		return eventfd(1, EFD_NONBLOCK);
	case 1:
		return epoll_create1(0);
	default:
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
			return -1;
		if (rnd(seed, 2))
			close(s[1]);
		return s[0];
	}
}

/* Results do not matter here, but that there are any. */
static inline void use_fds(unsigned int *seed)
{
	int fd = some_fd(seed);
	__u32 slot;

	if (gs_fd_register(&gs, fd, &slot))
		return;
	if (rnd(seed, 2))
		node_park(gs_node(&gs, slot, rnd(seed, 2)), 2 + rnd(seed, 1000));
	if (rnd(seed, 2))
		close(fd);
	if (rnd(seed, 2))
		gs_fd_unregister(&gs, slot);
}

static inline void random_call(unsigned int *seed)
{
	__u32 id, proc, reason;

	switch (rnd(seed, 15)) {
	case 0:
		gs_register_bare(&gs, &id);
		break;
	case 1:
		gs_unregister(&gs);
		break;
	case 2:
	case 3:
		gs_acquire(&gs, rnd(seed, 2), &proc);
		break;
	case 4:
		gs_release(&gs);
		break;
	case 5:
		gs_idle(&gs, now_ns() + rnd(seed, 1000000), &reason, &proc);
		break;
	case 6:
		if (rnd(seed, 4) == 0)
			gs_idle(&gs, 0, &reason, &proc);
		break;
	case 7:
		gs_wake(&gs);
		break;
	case 8:
		gs_enqueue(&gs, rnd(seed, 4), 2 + rnd(seed, 100));
		break;
	case 9:
		use_fds(seed);
		break;
	case 10:
		gs_set_procs(&gs, 1 + rnd(seed, 4));
		break;
	case 11:
		inbox_take_all(&gs, ignore_cookie, NULL);
		gs.shared->nr_spinning = 0;
		break;
	case 12:
		gs_times(&gs, GSCHED_MIN_TIME + rnd(seed, 1000000), GSCHED_MIN_TIME);
		break;
	case 13:
		gs.procs[rnd(seed, gs.setup.nr_procs)].next_when = now_ns() + rnd(seed, 1000000);
		break;
	case 14:
		gs_idle_or_leave(&gs, 1, 0, &reason, &proc);
		break;
	}
}

static inline void *random_calls(void *arg)
{
	unsigned int seed = child_seed + (uintptr_t)arg;
	__u32 id;

	gs_register_bare(&gs, &id);
	for (;;) {
		random_call(&seed);
		rnd_delay(&seed);
	}
	return NULL;
}

static inline void *spawner(void *arg)
{
	__u32 reason;

	while (gs_spawner(&gs, rnd(&child_seed, 2), &reason) == 0)
		;
	return arg;
}

/* The threads go on without their leader until then. */
static inline void die_soon(void)
{
	struct itimerval soon = { .it_value.tv_usec = 20000 };

	must(setitimer(ITIMER_REAL, &soon, NULL) == 0);
}

static inline void end_as(enum ending how)
{
	switch (how) {
	case BY_EXEC:
		execl("/proc/self/exe", "nothing", "--nothing", NULL);
		break;
	case BY_KILL:
		raise(SIGKILL);
		break;
	case BY_CLOSE:
		close(gs.fd);
		sleep_ns(NSEC_PER_MSEC);
		break;
	case BY_SIGNAL_FROM_PARENT:
		pause();
		break;
	case BY_PTHREAD_EXIT:
		die_soon();
		pthread_exit(NULL);
	default:
		break;
	}
	_exit(0);
}

static inline enum ending ending_of(unsigned int seed)
{
	return (seed >> 4) % NR_ENDINGS;
}

/* Every other context does all that it can. */
static inline __u32 some_flags(unsigned int *seed)
{
	return rnd(seed, 2) ? 0 : rnd(seed, 8);
}

/* For at most @most_ns. */
static inline void live_for(unsigned int seed, unsigned int most_ns)
{
	enum ending how = ending_of(seed);
	pthread_t thread;

	child_seed = seed;
	gs_start_with(&gs, some_flags(&seed), 1 + rnd(&seed, 3), 4, 8, 64);
	if (rnd(&seed, 4) == 0)
		fcntl(gs.fd, F_SETFD, 0);
	for (uintptr_t i = 0; i < 1 + rnd(&seed, MAX_THREADS); i++)
		must(pthread_create(&thread, NULL, random_calls, (void *)i) == 0);
	if (rnd(&seed, 2))
		must(pthread_create(&thread, NULL, spawner, NULL) == 0);
	sleep_ns(rnd(&seed, most_ns));
	end_as(how);
}

/* ---------------------------------------------------------------- scribblers */

/*
 * A process that writes anything anywhere into the shared memory harms itself
 * only: the kernel relies on nothing that stands there.
 */
static inline void *scribble(void *arg)
{
	unsigned int seed = child_seed ^ (uintptr_t)arg;
	struct { void *base; size_t size; } where[] = {
		{ gs.shared, 192 },
		{ gs.procs, 4 * sizeof(struct gsched_proc) },
		{ gs.ms, 8 * sizeof(struct gsched_m) },
		{ gs.slots, gs_slots_size(&gs) },
	};
	static const __u64 values[] = { 0, 1, 2, ~0ULL, 0x80000000, 0xffffffff, 128, 257 };

	for (;;) {
		unsigned int w = rnd(&seed, ARRAY_SIZE(where));
		__u64 *at = (__u64 *)where[w].base + rnd(&seed, where[w].size / 8);

		*(volatile __u64 *)at = rnd(&seed, 2) ? values[rnd(&seed, ARRAY_SIZE(values))]
						      : seed;
	}
	return NULL;
}

/* As random_call, but it must not trust what it reads either. */
static inline void blind_call(unsigned int *seed)
{
	__u32 slot, proc;
	__u64 one = 1;
	int fd;

	switch (rnd(seed, 6)) {
	case 0:
		fd = eventfd(0, EFD_NONBLOCK);
		gs_fd_register(&gs, fd, &slot);
		for (int i = 0; i < 50; i++)
			must(write(fd, &one, sizeof(one)) == sizeof(one));
		close(fd);
		break;
	case 1:
		gs_enqueue(&gs, rnd(seed, 5) - 1, 2 + rnd(seed, 100));
		break;
	case 2:
		gs_wake(&gs);
		break;
	case 3:
		gs_set_procs(&gs, 1 + rnd(seed, 4));
		break;
	case 4:
		gs_release(&gs);
		gs_acquire(&gs, 0, &proc);
		break;
	case 5:
		gs_fd_unregister(&gs, gs.setup.first_slot + rnd(seed, 64));
		break;
	}
}

static inline void *blind_calls(void *arg)
{
	unsigned int seed = child_seed + (uintptr_t)arg;
	__u32 id, reason, proc;

	gs_register_bare(&gs, &id);
	for (;;) {
		blind_call(&seed);
		if (rnd(&seed, 8) == 0)
			gs_idle(&gs, now_ns() + rnd(&seed, 100000), &reason, &proc);
	}
	return NULL;
}

/* Every page there will ever be exists before the scribbling begins. */
static inline void scribble_for(unsigned int seed, unsigned int life_ns)
{
	pthread_t thread;
	__u32 id, slot;
	int fd[64];

	child_seed = seed;
	gs_start(&gs, 4, 4, 8, 64);
	must(gs_register(&gs, &id) == 0);
	for (int i = 0; i < 64; i++) {
		fd[i] = eventfd(0, 0);
		must(gs_fd_register(&gs, fd[i], &slot) == 0);
	}
	for (int i = 0; i < 64; i++)
		must(gs_fd_unregister(&gs, gs.setup.first_slot + i) == 0 && close(fd[i]) == 0);
	for (uintptr_t i = 0; i < 2; i++)
		must(pthread_create(&thread, NULL, scribble, (void *)i) == 0);
	for (uintptr_t i = 0; i < 3; i++)
		must(pthread_create(&thread, NULL, blind_calls, (void *)i) == 0);
	sleep_ns(life_ns);
	end_as(ending_of(seed));
}

#endif /* KMOD_STORM_H */
