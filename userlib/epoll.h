/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * epoll.h: the portable backend's inside: backend_epoll.c (start, stop, the number
 * of Ps), epoll_idle.c (Ms and Ps), epoll_want.c (pinned Gs and Ps), epoll_watch.c
 * (descriptors), epoll_monitor.c.
 *
 * The backend does what the module does but for what only a kernel can: an M that
 * blocks keeps its P, and nobody is preempted. So an M lacks a P only while it is
 * idle or its G is pinned and waits, and the tick never runs.
 *
 * Lock: ep.lock protects all of struct epoll_be, P states and nr_idle; functions
 * marked "locked" are called with it. Descriptors are registered and looked up under
 * it too, so that an event which epoll has already handed out finds its slot gone,
 * not another descriptor's.
 */
#ifndef GS_EPOLL_H
#define GS_EPOLL_H

#include <sys/epoll.h>

#include "proc.h"

#define MAX_MS		GSCHED_MAX_MS
#define MAX_SLOTS	GSCHED_MAX_SLOTS
#define BATCH		64		/* events per epoll_wait */

/* Event data that is no slot. */
#define DATA_KICK	UINT64_MAX
#define DATA_DOWN	(UINT64_MAX - 1)

struct watch {
	int fd;
	uint32_t gen;			/* changes when the slot is closed */
	bool open;
};

/* An M that waits for a P, on its stack. */
struct wanter {
	struct wanter *next, **link;	/* where it is linked */
	struct m *m;
	uint32_t word;			/* futex: 0 until it is done */
	int err;
};

/* An M in idle(), on its stack. */
struct sleeper {
	struct sleeper *next, **link;	/* where it is linked */
	int64_t until;			/* 0: for ever */
};

/*
 * It is about to look how long; earlier than any timer. It looks under the lock, so that it
 * sees each timer that somebody has left to it on the strength of this.
 */
#define FOR_ALL		1

struct epoll_be {
	struct rt_lock lock;
	bool down;
	int epfd, kick, downfd;

	uint64_t idle[GSCHED_MAX_PROCS / 64];
	uint32_t made_procs;		/* Ps that exist or did */
	uint32_t nr_sleepers;		/* Ms in idle() */
	struct sleeper *sleepers;
	int64_t spare_since;		/* there has always been an M too many, 0: not so */
	uint32_t token;			/* the P + 1 that the next one takes */
	struct wanter *wanters, **last_wanter;	/* those who came first, first */
	bool wanter_served;		/* the last free P went to one of them */
	struct gsched_m *ms;
	uint32_t nr_ms, free_ms[MAX_MS], nr_free_ms;

	uint32_t monitor;		/* futex: changes to wake the monitor */
	uint32_t nr_waits;		/* Ms have gone to wait for events so often */
	bool spawn_wanted, spawn_pending;

	struct watch *watch;		/* [MAX_SLOTS] */
	uint32_t *slot_of;		/* [fd]: slot + 1 */
	uint32_t nr_slots;		/* ever used */
	uint32_t *free_slots;		/* a ring of slots */
	uint32_t free_head, free_tail;
	uint32_t nr_open;
	uint32_t sweep;			/* next slot to look at */
	int64_t last_poll;
};

extern struct epoll_be ep;

/* epoll_idle.c, locked */
void proc_set_state(uint32_t proc, uint32_t state, uint32_t owner);
bool proc_is_idle(uint32_t proc);
void proc_make_idle(uint32_t proc);
void proc_unmake_idle(uint32_t proc);
uint32_t proc_find_idle(uint32_t hint);
uint32_t proc_find_busy(uint32_t hint);
void proc_offer(uint32_t proc);
void proc_assign(struct m *m, uint32_t proc);
bool proc_take_idle(struct m *m, uint32_t hint);
void proc_give_up(struct m *m);
int wake_locked(void);
/* the calls */
int epoll_m_register(struct m *m);
void epoll_m_unregister(struct m *m);
int epoll_idle(struct m *m, int64_t deadline, uint32_t *reason);
int epoll_wake(void);
bool epoll_unwatched(void);
void epoll_barrier(void);

/* epoll_want.c, locked */
bool wanter_serve(uint32_t proc);
void wanters_stop(void);
/* the calls */
int epoll_acquire(struct m *m);
int epoll_release(struct m *m);

/* epoll_watch.c, locked */
uint32_t watch_events(struct epoll_event *ev, int n, uint32_t to, bool *kicked);
uint32_t watch_close(uint32_t slot);
bool watch_is_stale(uint32_t slot);
/* the calls */
int epoll_fd_register(int fd, uint32_t *slot);
int epoll_fd_unregister(uint32_t slot);
void epoll_poll(struct m *m, int64_t interval);
void poll_events(uint32_t to);

/* epoll_monitor.c */
void monitor_wake(void);
int epoll_spawner(bool failed);

void epoll_kick(void);

#endif /* GS_EPOLL_H */
