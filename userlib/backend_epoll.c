// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * backend_epoll.c: the portable backend: Ps and Ms by a lock and futexes,
 * descriptors by epoll. It does what the module does but for what only a kernel
 * can: an M that blocks keeps its P, and nobody is preempted.
 *
 * Idle Ms all sleep in epoll_wait() on one epoll instance, each with its own
 * deadline, so that whoever is woken by an event can run what it makes ready at
 * once. Another M wakes one of them through an eventfd (the kick). What the woken
 * M is to do is not in the event but in be.token: a P set aside for an idle M. Any
 * idle M takes it, whether the kick woke it or something else.
 *
 * Lock: be.lock protects all of struct be, P states and nr_idle. Descriptors are
 * registered and looked up under it too, so that an event which epoll has already
 * handed out finds its slot gone, not another descriptor's.
 *
 * The thread in gs_main, between making Ms, is the monitor: while all Ps are busy
 * it looks for events every 10 ms, for hogs let nobody else do it, and it finds
 * descriptors that were closed behind the library's back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "futex.h"
#include "proc.h"
#include "stack.h"
#include "timer.h"

#define MAX_MS		GSCHED_MAX_MS
#define MAX_SLOTS	GSCHED_MAX_SLOTS
#define BATCH		64		/* events per epoll_wait */
#define TICK		10000000LL	/* ns between looks for events while all Ps are busy */
#define QUIET_TICKS	10		/* with an idle P, until looks become rare */
#define SWEEP_TIME	100000000LL	/* ns between looks for closed descriptors */
#define SWEEP_BATCH	1024

/* Event data that is no slot. */
#define DATA_KICK	UINT64_MAX
#define DATA_DOWN	(UINT64_MAX - 1)

/* m->futex of an M that waits for a P */
enum {
	LINE_WAITS,
	LINE_SERVED,
	LINE_DOWN,
};

struct watch {
	int fd;
	uint32_t gen;			/* changes when the slot is closed */
	bool open;
};

static struct {
	struct rt_lock lock;
	bool down;
	int epfd, kick, downfd;

	uint64_t idle[GSCHED_MAX_PROCS / 64];
	uint32_t made_procs;		/* Ps that exist or did */
	uint32_t sleepers;		/* Ms in idle() */
	uint32_t token;			/* the P + 1 that the next one takes */
	struct m *waiting, *last_waiting;	/* Ms in acquire(), in order */
	struct gsched_m *ms;
	uint32_t nr_ms, free_ms[MAX_MS], nr_free_ms;

	uint32_t monitor;		/* futex: changes to wake the monitor */
	bool monitor_slow;		/* does not notice soon that all Ps are busy */
	bool spawn_wanted, spawn_pending;

	struct watch *watch;		/* [MAX_SLOTS] */
	uint32_t *slot_of;		/* [fd]: slot + 1 */
	uint32_t nr_slots;		/* ever used */
	uint32_t *free_slots;		/* a ring of slots */
	uint32_t free_head, free_tail;
	uint32_t nr_open;
	uint32_t sweep;			/* next slot to look at */
	int64_t last_poll;
} be;

static void wake_monitor(void)
{
	__atomic_fetch_add(&be.monitor, 1, __ATOMIC_RELEASE);
	futex_wake(&be.monitor, 1);
}

static void kick(void)
{
	uint64_t one = 1;

	if (write(be.kick, &one, sizeof(one)) < 0)
		fatal("eventfd: %s", strerror(errno));
}

/* --------------------------------------------------------- Ps, with the lock */

static void set_state(uint32_t proc, uint32_t p_state, uint32_t owner)
{
	__atomic_store_n(&rt.procs[proc].state, p_state, __ATOMIC_RELAXED);
	__atomic_store_n(&rt.procs[proc].owner, owner, __ATOMIC_RELAXED);
}

static void add_idle(int n)
{
	__atomic_store_n(&rt.shared->nr_idle, rt.shared->nr_idle + n, __ATOMIC_SEQ_CST);
}

static bool is_idle(uint32_t proc)
{
	return be.idle[proc / 64] >> (proc % 64) & 1;
}

static void make_idle(uint32_t proc)
{
	set_state(proc, GSCHED_P_IDLE, GSCHED_NONE);
	be.idle[proc / 64] |= 1ULL << (proc % 64);
	add_idle(1);
}

static void unmake_idle(uint32_t proc)
{
	be.idle[proc / 64] &= ~(1ULL << (proc % 64));
	add_idle(-1);
	if (be.monitor_slow && !rt.shared->nr_idle) {
		be.monitor_slow = false;
		wake_monitor();
	}
}

/* Return: an idle P, @hint if that is one, or GSCHED_NONE. */
static uint32_t find_idle(uint32_t hint)
{
	if (!rt.shared->nr_idle)
		return GSCHED_NONE;
	if (hint < GSCHED_MAX_PROCS && is_idle(hint))
		return hint;
	for (uint32_t i = 0; i < GSCHED_MAX_PROCS / 64; i++)
		if (be.idle[i])
			return i * 64 + __builtin_ctzll(be.idle[i]);
	return GSCHED_NONE;
}

static void assign(struct m *m, uint32_t proc)
{
	set_state(proc, GSCHED_P_RUN, m->id);
	__atomic_store_n(&m->shared->proc, proc, __ATOMIC_RELAXED);
}

static bool take_idle(struct m *m, uint32_t hint)
{
	uint32_t proc = find_idle(hint);

	if (proc == GSCHED_NONE)
		return false;
	unmake_idle(proc);
	assign(m, proc);
	return true;
}

static struct m *next_waiting(void)
{
	struct m *m = be.waiting;

	if (m)
		be.waiting = m->next;
	return m;
}

/* The last touch of @m but for the wake, which needs no memory behind the word. */
static void tell(struct m *m, uint32_t what)
{
	__atomic_store_n(&m->futex, what, __ATOMIC_RELEASE);
	futex_wake(&m->futex, 1);
}

/* A P is free: who waits for one gets it. */
static void offer(uint32_t proc)
{
	struct m *m;

	if (proc >= rt.shared->nr_procs) {
		set_state(proc, GSCHED_P_DEAD, GSCHED_NONE);
		return;
	}
	m = next_waiting();
	if (!m) {
		make_idle(proc);
		return;
	}
	assign(m, proc);
	tell(m, LINE_SERVED);
}

static void give_up_p(struct m *m)
{
	uint32_t proc = m->shared->proc;

	if (proc == GSCHED_NONE)
		return;
	__atomic_store_n(&m->shared->proc, GSCHED_NONE, __ATOMIC_RELAXED);
	offer(proc);
}

/* ------------------------------------------------------------------------ Ms */

static int epoll_m_register(struct m *m)
{
	uint32_t id;

	rt_lock(&be.lock);
	be.spawn_pending = false;
	if (be.nr_free_ms)
		id = be.free_ms[--be.nr_free_ms];
	else if (be.nr_ms < MAX_MS)
		id = be.nr_ms++;
	else
		id = GSCHED_NONE;
	rt_unlock(&be.lock);
	if (id == GSCHED_NONE)
		return -ENOSPC;
	m->id = id;
	m->shared = be.ms + id;
	m->shared->proc = GSCHED_NONE;
	return 0;
}

static void epoll_m_unregister(struct m *m)
{
	rt_lock(&be.lock);
	give_up_p(m);
	be.free_ms[be.nr_free_ms++] = m->id;
	rt_unlock(&be.lock);
}

static void wait_in_line(struct m *m)
{
	m->next = NULL;
	__atomic_store_n(&m->futex, LINE_WAITS, __ATOMIC_RELAXED);
	if (be.waiting)
		be.last_waiting->next = m;
	else
		be.waiting = m;
	be.last_waiting = m;
}

static int epoll_acquire(struct m *m, uint32_t flags)
{
	uint32_t told = LINE_SERVED;

	rt_lock(&be.lock);
	if (flags & GSCHED_ACQUIRE_YIELD && be.waiting)
		give_up_p(m);
	if (be.down)
		told = LINE_DOWN;
	else if (m->shared->proc == GSCHED_NONE && !take_idle(m, GSCHED_NONE))
		told = LINE_WAITS;
	if (told == LINE_WAITS)
		wait_in_line(m);
	rt_unlock(&be.lock);
	while (told == LINE_WAITS) {
		futex_wait(&m->futex, LINE_WAITS, 0);
		told = __atomic_load_n(&m->futex, __ATOMIC_ACQUIRE);
	}
	return told == LINE_DOWN ? -ESHUTDOWN : 0;
}

/* --------------------------------------------------------- descriptors: slots */

static uint32_t slot_alloc(void)
{
	/*
	 * A node of a former life may still be linked in an inbox: its cookie says
	 * so. The oldest free slot is the least likely; else take a fresh one.
	 */
	if (be.free_head != be.free_tail) {
		uint32_t slot = be.free_slots[be.free_head % MAX_SLOTS];
		struct gsched_node *n = rt.slots[slot].node;

		if (!__atomic_load_n(&n[0].cookie, __ATOMIC_ACQUIRE) &&
		    !__atomic_load_n(&n[1].cookie, __ATOMIC_ACQUIRE)) {
			be.free_head++;
			return slot;
		}
	}
	return be.nr_slots < MAX_SLOTS ? be.nr_slots++ : GSCHED_NONE;
}

static void slot_free(uint32_t slot)
{
	be.free_slots[be.free_tail++ % MAX_SLOTS] = slot;
}

static void node_reset(struct gsched_node *n)
{
	__atomic_store_n(&n->word, GSCHED_WORD_NIL, __ATOMIC_RELAXED);
	__atomic_store_n(&n->events, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&n->proc, GSCHED_NONE, __ATOMIC_RELAXED);
}

/* Where the node's G is to run: its last P, unless that is busy and another idle. */
static uint32_t choose_proc(struct gsched_node *n)
{
	uint32_t hint = __atomic_load_n(&n->proc, __ATOMIC_RELAXED);
	uint32_t proc = find_idle(hint);

	if (proc != GSCHED_NONE)
		return proc;
	return hint < rt.shared->nr_procs ? hint : 0;
}

/*
 * As the kernel's wake-up callback. @to: the P whose inbox is used, GSCHED_NONE:
 * choose. Return: whether a G was delivered.
 */
static bool deliver(uint32_t node, uint32_t to, uint32_t events)
{
	struct gsched_node *n = &rt.slots[node / 2].node[node % 2];
	uint64_t old;

	if (events)
		__atomic_fetch_or(&n->events, events, __ATOMIC_SEQ_CST);
	old = __atomic_exchange_n(&n->word, GSCHED_WORD_READY, __ATOMIC_SEQ_CST);
	if (old < GSCHED_COOKIE_MIN)
		return false;
	if (to == GSCHED_NONE)
		to = choose_proc(n);
	inbox_push(rt.procs + to, node, (struct g *)(uintptr_t)old);
	return true;
}

#define EV_BAD (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)

static uint32_t deliver_event(struct epoll_event *ev, uint32_t to)
{
	uint32_t slot = (uint32_t)ev->data.u64, gen = ev->data.u64 >> 32;
	uint32_t verify = ev->events & EV_BAD ? GSCHED_EV_VERIFY : 0;
	uint32_t n = 0;

	if (!be.watch[slot].open || be.watch[slot].gen != gen)
		return 0;
	if (ev->events & (EPOLLIN | EV_BAD))
		n += deliver(slot * 2 + GSCHED_DIR_READ, to, verify);
	if (ev->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		n += deliver(slot * 2 + GSCHED_DIR_WRITE, to, verify);
	return n;
}

/* Return: how many Gs were delivered; *@kicked: the kick was among the events. */
static uint32_t deliver_events(struct epoll_event *ev, int n, uint32_t to, bool *kicked)
{
	uint32_t delivered = 0;

	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 == DATA_KICK)
			*kicked = true;
		else if (ev[i].data.u64 != DATA_DOWN)
			delivered += deliver_event(ev + i, to);
	}
	return delivered;
}

static struct epoll_event watch_event(uint32_t slot)
{
	return (struct epoll_event){
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
		.data.u64 = (uint64_t)be.watch[slot].gen << 32 | slot,
	};
}

static int watch_ctl(int op, uint32_t slot)
{
	struct epoll_event ev = watch_event(slot);

	return epoll_ctl(be.epfd, op, be.watch[slot].fd, &ev) ? -errno : 0;
}

/* The slot watches nothing any more. Return: how many Gs were delivered. */
static uint32_t watch_close(uint32_t slot)
{
	struct watch *w = be.watch + slot;

	if (!w->open)
		return 0;
	w->open = false;
	w->gen++;
	__atomic_store_n(&be.nr_open, be.nr_open - 1, __ATOMIC_RELAXED);
	if (be.slot_of[w->fd] == slot + 1) {
		be.slot_of[w->fd] = 0;
		/* Fails if the number means another file by now: that one is not ours. */
		epoll_ctl(be.epfd, EPOLL_CTL_DEL, w->fd, NULL);
	}
	return deliver(slot * 2 + GSCHED_DIR_READ, GSCHED_NONE, GSCHED_EV_CLOSED) +
	       deliver(slot * 2 + GSCHED_DIR_WRITE, GSCHED_NONE, GSCHED_EV_CLOSED);
}

static void watch_open(int fd, uint32_t slot)
{
	be.watch[slot].fd = fd;
	be.watch[slot].open = true;
	node_reset(&rt.slots[slot].node[GSCHED_DIR_READ]);
	node_reset(&rt.slots[slot].node[GSCHED_DIR_WRITE]);
	if (!be.nr_open)
		wake_monitor();
	__atomic_store_n(&be.nr_open, be.nr_open + 1, __ATOMIC_RELAXED);
}

/* -------------------------------------------------------------- wake and idle */

/* An idle P is set to work, by an idle M or by a new one. Lock held. */
static int wake_locked(void)
{
	uint32_t proc = find_idle(GSCHED_NONE);

	if (proc == GSCHED_NONE || be.down)
		return -EAGAIN;
	if (__atomic_load_n(&rt.shared->nr_spinning, __ATOMIC_SEQ_CST) || be.token)
		return 0;
	if (be.sleepers) {
		unmake_idle(proc);
		be.token = proc + 1;
		__atomic_fetch_add(&rt.shared->nr_spinning, 1, __ATOMIC_SEQ_CST);
		kick();
	} else if (!be.spawn_pending) {
		be.spawn_pending = true;
		be.spawn_wanted = true;
		wake_monitor();
	}
	return 0;
}

static int epoll_wake(void)
{
	int err;

	rt_lock(&be.lock);
	err = wake_locked();
	rt_unlock(&be.lock);
	return err;
}

static int wait_events(struct epoll_event *ev, int64_t deadline)
{
	struct timespec ts = { 0 };
	int64_t left;
	int n;

	if (deadline) {
		left = deadline - gs_now();
		if (left > 0) {
			ts.tv_sec = left / 1000000000;
			ts.tv_nsec = left % 1000000000;
		}
	}
	n = epoll_pwait2(be.epfd, ev, BATCH, deadline ? &ts : NULL, NULL);
	if (n < 0 && errno == ENOSYS)
		n = epoll_wait(be.epfd, ev, BATCH,
			       deadline ? ts.tv_sec * 1000 + (ts.tv_nsec + 999999) / 1000000 : -1);
	return n < 0 ? 0 : n;
}

/* Lock held. Return: whether the sleep is over: with a P, or the runtime ends. */
static bool leave_idle(struct m *m, bool work, bool late, uint32_t hint, uint32_t *reason)
{
	if (be.down)
		return true;
	if (be.token) {
		assign(m, be.token - 1);
		be.token = 0;
		*reason = GSCHED_IDLE_WORK;
		return true;
	}
	if (!(work || late) || !take_idle(m, hint))
		return false;
	*reason = work ? GSCHED_IDLE_WORK : GSCHED_IDLE_TIMEOUT;
	if (work)
		__atomic_fetch_add(&rt.shared->nr_spinning, 1, __ATOMIC_SEQ_CST);
	return true;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

static int epoll_idle(struct m *m, int64_t deadline, uint32_t *reason)
{
	struct epoll_event ev[BATCH];
	uint32_t hint = m->shared->proc, to;
	bool work, late = false, kicked;
	int n = 0;

	rt_lock(&be.lock);
	be.sleepers++;
	give_up_p(m);
	rt_unlock(&be.lock);
	/*
	 * The P is marked idle. Who pushes from now on sees that; who pushed before
	 * and did not see it, its push is seen after this.
	 */
	if (rt.membarrier)
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	else
		arch_barrier();
	work = any_work();
	deadline = earlier(deadline, timers_next());

	for (;;) {
		rt_lock(&be.lock);
		/* Into the P that this M is about to get, if it gets one. */
		to = be.token ? be.token - 1 : find_idle(hint);
		work |= deliver_events(ev, n, to, &kicked) > 0;
		if (leave_idle(m, work, late, hint, reason))
			break;
		rt_unlock(&be.lock);
		/* Others hold all Ps: they see this work and their timers. */
		work = false;
		if (late)
			deadline = 0;
		n = wait_events(ev, deadline);
		late = deadline && gs_now() >= deadline;
	}
	be.sleepers--;
	n = be.down ? -ESHUTDOWN : 0;
	rt_unlock(&be.lock);
	return n;
}

/* ----------------------------------------------------- descriptors: the calls */

static int register_locked(int fd, uint32_t *slot)
{
	uint32_t s = slot_alloc();
	int err;

	if (s == GSCHED_NONE)
		return -ENOSPC;
	watch_open(fd, s);
	err = watch_ctl(EPOLL_CTL_ADD, s);
	if (err == -EEXIST && be.slot_of[fd]) {
		/* What epoll knows may be the slot of an older registration. */
		*slot = be.slot_of[fd] - 1;
		watch_ctl(EPOLL_CTL_MOD, *slot);
	} else if (err == -EEXIST) {
		err = watch_ctl(EPOLL_CTL_MOD, s);
	}
	if (err) {
		be.watch[s].open = false;
		be.watch[s].gen++;
		__atomic_store_n(&be.nr_open, be.nr_open - 1, __ATOMIC_RELAXED);
		slot_free(s);
		return err;
	}
	/* The number meant another file before. */
	if (be.slot_of[fd]) {
		uint32_t old = be.slot_of[fd] - 1;

		be.slot_of[fd] = 0;
		watch_close(old);
	}
	be.slot_of[fd] = s + 1;
	*slot = s;
	return 0;
}

static int epoll_fd_register(int fd, uint32_t *slot)
{
	struct m *m = sec_enter();
	int err = -EBADF;

	rt_lock(&be.lock);
	if (fd >= 0 && (uint32_t)fd < MAX_SLOTS)
		err = register_locked(fd, slot);
	rt_unlock(&be.lock);
	wake_idle();
	sec_leave(m);
	return err;
}

static int epoll_fd_unregister(uint32_t slot)
{
	struct m *m = sec_enter();
	bool known;

	rt_lock(&be.lock);
	known = slot < be.nr_slots;
	if (known) {
		if (watch_close(slot))
			wake_locked();
		slot_free(slot);
	}
	rt_unlock(&be.lock);
	sec_leave(m);
	return known ? 0 : -ENOENT;
}

static void poll_events(uint32_t to)
{
	struct epoll_event ev[BATCH];
	bool kicked = false;
	int n = epoll_wait(be.epfd, ev, BATCH, 0);

	if (n <= 0)
		return;
	rt_lock(&be.lock);
	if (deliver_events(ev, n, to, &kicked) > 1 || to == GSCHED_NONE)
		wake_locked();
	/* The kick was meant for one who sleeps. */
	if (kicked && be.token)
		kick();
	rt_unlock(&be.lock);
}

static void epoll_poll(struct m *m, int64_t interval)
{
	if (!__atomic_load_n(&be.nr_open, __ATOMIC_RELAXED))
		return;
	if (interval) {
		int64_t now = gs_now();

		if (now - __atomic_load_n(&be.last_poll, __ATOMIC_RELAXED) < interval)
			return;
		__atomic_store_n(&be.last_poll, now, __ATOMIC_RELAXED);
	}
	poll_events(m->shared->proc);
}

/* ---------------------------------------------------------------- the monitor */

static bool has_waiter(uint32_t slot)
{
	struct gsched_node *n = rt.slots[slot].node;

	return be.watch[slot].open &&
	       (__atomic_load_n(&n[0].word, __ATOMIC_RELAXED) >= GSCHED_COOKIE_MIN ||
		__atomic_load_n(&n[1].word, __ATOMIC_RELAXED) >= GSCHED_COOKIE_MIN);
}

/*
 * epoll forgets a closed descriptor silently: changing its registration (to what
 * it is) then fails.
 */
static void sweep(void)
{
	uint32_t delivered = 0;

	rt_lock(&be.lock);
	for (uint32_t i = 0; i < SWEEP_BATCH && i < be.nr_slots; i++) {
		uint32_t slot = be.sweep++ % be.nr_slots;

		if (has_waiter(slot) && watch_ctl(EPOLL_CTL_MOD, slot))
			delivered += watch_close(slot);
	}
	if (delivered)
		wake_locked();
	rt_unlock(&be.lock);
}

struct pace {
	uint32_t quiet;			/* ticks with an idle P */
	int64_t next_sweep;
};

/* Return: when to look again, 0: when a descriptor is registered. */
static int64_t tick(struct pace *pace)
{
	int64_t now = gs_now();
	bool busy;

	rt_lock(&be.lock);
	busy = !rt.shared->nr_idle;
	pace->quiet = busy ? 0 : pace->quiet + 1;
	be.monitor_slow = pace->quiet > QUIET_TICKS || !be.nr_open;
	rt_unlock(&be.lock);
	if (!__atomic_load_n(&be.nr_open, __ATOMIC_RELAXED))
		return 0;
	if (busy)
		poll_events(GSCHED_NONE);
	if (now >= pace->next_sweep) {
		sweep();
		pace->next_sweep = now + SWEEP_TIME;
	}
	return pace->quiet > QUIET_TICKS ? pace->next_sweep : now + TICK;
}

static int epoll_spawner(bool failed)
{
	struct pace pace = { 0 };

	for (;;) {
		uint32_t seen = __atomic_load_n(&be.monitor, __ATOMIC_ACQUIRE);
		bool wanted, down;

		rt_lock(&be.lock);
		if (failed)
			be.spawn_pending = false;
		failed = false;
		wanted = be.spawn_wanted;
		be.spawn_wanted = false;
		down = be.down;
		rt_unlock(&be.lock);
		if (down)
			return -ESHUTDOWN;
		if (wanted)
			return 0;
		futex_wait(&be.monitor, seen, tick(&pace));
	}
}

/* -------------------------------------------------------------- start and stop */

/* New, or dead: idle. Else it is to retire and has an owner, or one on the way. */
static void proc_on(uint32_t proc)
{
	if (proc >= be.made_procs || rt.procs[proc].state == GSCHED_P_DEAD)
		offer(proc);
	else
		__atomic_fetch_and(&rt.procs[proc].attention, ~GSCHED_ATTN_RETIRE,
				   __ATOMIC_SEQ_CST);
}

static void proc_off(uint32_t proc)
{
	if (is_idle(proc)) {
		unmake_idle(proc);
		set_state(proc, GSCHED_P_DEAD, GSCHED_NONE);
	} else {
		__atomic_fetch_or(&rt.procs[proc].attention, GSCHED_ATTN_RETIRE,
				  __ATOMIC_SEQ_CST);
	}
}

static int epoll_set_procs(uint32_t n)
{
	struct m *m = sec_enter();
	uint32_t old;

	rt_lock(&be.lock);
	old = rt.shared->nr_procs;
	__atomic_store_n(&rt.shared->nr_procs, n, __ATOMIC_RELAXED);
	for (uint32_t i = old; i < n; i++)
		proc_on(i);
	for (uint32_t i = n; i < old; i++)
		proc_off(i);
	if (n > be.made_procs)
		be.made_procs = n;
	rt_unlock(&be.lock);
	sec_leave(m);
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
	close_fd(be.epfd);
	close_fd(be.kick);
	close_fd(be.downfd);
	unmap(rt.shared, sizeof(*rt.shared));
	unmap(rt.procs, GSCHED_MAX_PROCS * sizeof(*rt.procs));
	unmap(rt.slots, MAX_SLOTS * sizeof(*rt.slots));
	unmap(be.ms, MAX_MS * sizeof(*be.ms));
	unmap(be.watch, MAX_SLOTS * sizeof(*be.watch));
	unmap(be.slot_of, MAX_SLOTS * sizeof(*be.slot_of));
	unmap(be.free_slots, MAX_SLOTS * sizeof(*be.free_slots));
	memset(&be, 0, sizeof(be));
}

static int start_memory(void)
{
	rt.shared = map(sizeof(*rt.shared));
	rt.procs = map(GSCHED_MAX_PROCS * sizeof(*rt.procs));
	rt.slots = map(MAX_SLOTS * sizeof(*rt.slots));
	be.ms = map(MAX_MS * sizeof(*be.ms));
	be.watch = map(MAX_SLOTS * sizeof(*be.watch));
	be.slot_of = map(MAX_SLOTS * sizeof(*be.slot_of));
	be.free_slots = map(MAX_SLOTS * sizeof(*be.free_slots));
	if (!rt.shared || !rt.procs || !rt.slots || !be.ms || !be.watch || !be.slot_of ||
	    !be.free_slots)
		return -ENOMEM;
	return 0;
}

static int add_internal(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	if (fd < 0 || epoll_ctl(be.epfd, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	return 0;
}

static int start_epoll(void)
{
	int err;

	be.epfd = epoll_create1(EPOLL_CLOEXEC);
	be.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	be.downfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (be.epfd < 0)
		return -errno;
	err = add_internal(be.kick, EPOLLIN | EPOLLET, DATA_KICK);
	/* Level triggered: once it is written to, nobody sleeps any more. */
	return err ? err : add_internal(be.downfd, EPOLLIN, DATA_DOWN);
}

static int epoll_start(uint32_t nr_procs)
{
	int err = start_epoll();

	if (!err)
		err = start_memory();
	if (err) {
		epoll_cleanup();
		return err;
	}
	stack_arena_init(-1);
	rt.max_procs = GSCHED_MAX_PROCS;
	rt.shared->nr_procs = nr_procs;
	be.made_procs = nr_procs;
	for (uint32_t i = 0; i < nr_procs; i++)
		make_idle(i);
	return 0;
}

static void epoll_stop(void)
{
	uint64_t one = 1;
	struct m *m;

	rt_lock(&be.lock);
	be.down = true;
	while ((m = next_waiting()))
		tell(m, LINE_DOWN);
	rt_unlock(&be.lock);
	if (write(be.downfd, &one, sizeof(one)) < 0)
		fatal("eventfd: %s", strerror(errno));
	wake_monitor();
}

const struct backend epoll_backend = {
	.name = "epoll",
	.start = epoll_start,
	.stop = epoll_stop,
	.cleanup = epoll_cleanup,
	.set_procs = epoll_set_procs,
	.m_register = epoll_m_register,
	.m_unregister = epoll_m_unregister,
	.acquire = epoll_acquire,
	.idle = epoll_idle,
	.wake = epoll_wake,
	.spawner = epoll_spawner,
	.fd_register = epoll_fd_register,
	.fd_unregister = epoll_fd_unregister,
	.poll = epoll_poll,
};
