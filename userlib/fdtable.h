/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * fdtable.h: what the library knows of a descriptor.
 *
 * Objects
 *
 * entry (struct gs_fd)   one per descriptor number, made at its first use, never
 *                        freed: a late reader always finds an entry
 * incarnation            an entry's use for one open descriptor, from the first call
 *                        with the number to gs_close's close(2)
 * user                   a call in progress; it holds a reference, and the lock of
 *                        its direction
 *
 * As in Go's fdMutex the reference count keeps three goroutines apart: G1, which
 * has seen EAGAIN and will try again; G2, which closes the descriptor; and G3,
 * which opens another file and gets the same number. G2 only marks the entry and
 * wakes G1. The slot is unregistered and close(2) is called when the last reference is
 * dropped, so G3 cannot have the number, and nobody else the slot, while G1 uses
 * either. Everybody who comes after G2 gets -EBADF.
 *
 * A foreign close() goes past all of this. The kernel (or the epoll backend) marks
 * the slot GSCHED_EV_CLOSED and delivers who waits there; each direction then lets go
 * of the slot, forgets what it knew, and starts anew with whatever the
 * number means by now.
 *
 * Who may touch what
 *
 *   state            anybody, by compare-and-swap
 *   slot[dir]        written by the holder of direction @dir's lock, under @reg (or
 *                    alone: by the last user, or holding both locks); read by gs_close
 *   facts            anybody, atomically
 *   drained, verify  the holder of the READ lock
 *   waiters, closers, pollers   under @lock, a runtime lock
 *
 * Locks: @reg is a mutex for goroutines, held over the backend's register and
 * unregister calls, which may sleep. Direction lock -> @reg.
 */
#ifndef GS_FDTABLE_H
#define GS_FDTABLE_H

#include "waitq.h"

/* gs_fd.state: flags, and the number of users from FD_REF on. */
#define FD_CLOSING	1ULL			/* gs_close has been called */
#define FD_LOCK(dir)	(2ULL << (dir))		/* a user has this direction */
#define FD_WAIT(dir)	(8ULL << (dir))		/* users may queue for it */
#define FD_REF		(1ULL << 8)

/* gs_fd.facts: of this incarnation, learnt on the way. */
#define FD_SOCKET	(1U << 0)
#define FD_OTHER	(1U << 1)	/* no socket */
#define FD_TCP		(1U << 2)
#define FD_NONBLOCK	(1U << 3)	/* O_NONBLOCK was set when we looked */
#define FD_LOOKED	(1U << 4)	/* FD_TCP and FD_NONBLOCK are known */
#define FD_MAY_BLOCK	(1U << 5)	/* a user may sit in a blocking system call */

/*
 * struct fd_poller - one gs_poll's interest in one descriptor
 *
 * It holds a reference but no direction, so it disturbs no reader or writer; gs_close
 * wakes it by @wake, the entry of the descriptor that it waits on instead.
 */
struct fd_poller {
	struct fd_poller *next, **at;
	struct gs_fd *wake;
};

struct gs_fd {
	uint64_t state;
	uint32_t slot[2];		/* slot + 1 of each direction, 0: none */
	uint32_t facts;
	bool drained;			/* the last read emptied the TCP socket */
	bool verify;			/* GSCHED_EV_VERIFY since the last EAGAIN */
	struct rt_lock lock;
	void *waiters[2];		/* for the direction locks */
	void *closers;			/* gs_close, waiting for the last user */
	struct fd_poller *pollers;
	gs_mutex reg;
} __attribute__((aligned(128)));

struct gs_fd *fd_find(int fd);
struct gs_fd *fd_get(int fd);
void fdtable_end(void);
void fdtable_reset(void);

int fd_acquire(struct gs_fd *e, int fd, unsigned int dir, int64_t deadline);
void fd_release(struct gs_fd *e, int fd, unsigned int dir);
int fd_poll_begin(struct gs_fd *e, struct fd_poller *p);
void fd_poll_end(struct gs_fd *e, int fd, struct fd_poller *p);
int fd_close(struct gs_fd *e, int fd);
void fd_opened(int fd, uint32_t facts);

int fd_watch(struct gs_fd *e, int fd, unsigned int dir);
void fd_unwatch_both(struct gs_fd *e);
int fd_prepare(struct gs_fd *e, unsigned int dir);
int fd_park(struct gs_fd *e, int fd, unsigned int dir, int64_t deadline);
void fd_wake(struct m *m, struct gs_fd *e);

static inline uint32_t fd_facts(const struct gs_fd *e)
{
	return __atomic_load_n(&e->facts, __ATOMIC_RELAXED);
}

/* fd_forget - the number may mean another file now; who blocks in a call still does. */
static inline void fd_forget(struct gs_fd *e)
{
	__atomic_fetch_and(&e->facts, FD_MAY_BLOCK, __ATOMIC_RELAXED);
}

static inline void fd_set_facts(struct gs_fd *e, uint32_t facts)
{
	__atomic_store_n(&e->facts, facts, __ATOMIC_RELAXED);
}

static inline void fd_learn(struct gs_fd *e, uint32_t facts)
{
	__atomic_fetch_or(&e->facts, facts, __ATOMIC_SEQ_CST);
}

/* fd_node - the caller's direction's node; NULL: not registered. */
static inline struct gsched_node *fd_node(const struct gs_fd *e, unsigned int dir)
{
	uint32_t slot = __atomic_load_n(&e->slot[dir], __ATOMIC_RELAXED);

	return slot ? &rt.slots[slot - 1].node[dir] : NULL;
}

static inline bool fd_closing(const struct gs_fd *e)
{
	return __atomic_load_n(&e->state, __ATOMIC_SEQ_CST) & FD_CLOSING;
}

#endif /* GS_FDTABLE_H */
