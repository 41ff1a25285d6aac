/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * gsched: the interface between /dev/gsched and a user-level scheduler.
 *
 * Objects
 * -------
 *
 * context  One scheduler, made by open("/dev/gsched") and GSCHED_IOC_SETUP. It
 *          belongs to the process (thread group and address space) that opened
 *          it: every ioctl of any other process fails with -EPERM, a child
 *          after fork(), vfork() or exec() included.
 * P        A processor token, 0 .. nr_procs - 1. Only a thread that holds a P
 *          runs goroutines, so nr_procs (GOMAXPROCS) bounds how many run.
 * M        A thread that has registered with GSCHED_IOC_M_REGISTER. What becomes
 *          of its P while it blocks, and of itself without a P, is said below.
 * G        A goroutine. The kernel knows a G only as a cookie: 64 bits that it
 *          stores and hands back and never interprets. 0 and 1 are no cookies.
 * slot     A registered descriptor; it has one node for reading, one for
 *          writing.
 *
 * Errors common to all ioctls, beside those named at each
 * --------------------------------------------------------
 *
 * -ENOTTY     no such command
 * -EINVAL     the structure is shorter than its first version, a flag is
 *             unknown, or a reserved field is not zero
 * -E2BIG      the structure is longer than the kernel's and the excess is not
 *             zero
 * -EFAULT     the structure is not readable and writable memory. Nothing was done, but
 *             if it was writable when the call began: ACQUIRE and IDLE leave the M its
 *             P, which does not count in nr_spinning; TIMES leaves what it has set; a
 *             failure that SPAWNER was told is known; and FD_REGISTER leaves the slot,
 *             which the next one finds (-EEXIST) while the descriptor is that file's
 * -EPERM      the caller's process is not the one that opened the context
 * -ENXIO      GSCHED_IOC_SETUP has not been done (all but QUERY and SETUP)
 * -ESHUTDOWN  the owning process has closed a descriptor of the context: all
 *             that slept in it were woken, it does nothing more
 *
 * Every ioctl returns 0 or a negative errno. A structure's size travels in the
 * command's size bits; a structure grows at its end only, and zero in a field
 * that one side does not know means what it meant before the field existed.
 * The layouts are the same for 32-bit callers.
 *
 * Times are CLOCK_MONOTONIC nanoseconds of the initial time namespace. A caller
 * in another time namespace subtracts the offset between its own clock and
 * gsched_query.now_ns.
 *
 * Hand-off, hold, preemption
 * --------------------------
 *
 * What follows holds while an M's @in_sched is 0; gsched_query.features says which
 * of it this kernel has, gsched_setup.flags may leave any of it out.
 *
 * Hand-off  An M that blocks in the kernel (system call, page fault, lock) keeps
 *           its P only as long as nobody else has a use for it: an M that waits for
 *           a P, or an idle M (or one that the spawner can make) when a run queue,
 *           an inbox, the global queue or a due timer has work. Then the P is
 *           taken. A P whose owner is blocked counts in gsched_shared.nr_blocked.
 *
 * Hold      An M that has lost its P waits for one in the kernel before it returns
 *           to user mode: outside of sections (@in_sched) a thread does not see
 *           gsched_m.proc be GSCHED_NONE. Signal
 *           handlers run when the M has a P. A stop (job control, ptrace, the
 *           freezers) takes place within a tick, later when the user's share of time for
 *           ticks is used up; if it is called off before that, the
 *           thread may run for up to a minimum run; SIGKILL and exit need no P. An M that
 *           is traced waits 100 ms at most, and then goes on without a P, since
 *           its tracer may have stopped who holds it.
 *
 * Preempt   A P's owner that makes no scheduling step (gsched_proc.steps stays the
 *           same) loses the P to whoever has just become able to run (a due timer,
 *           a G in an inbox or in the global queue, an M that was blocked) once the
 *           minimum run is over, and to whoever has waited (Gs of its own run
 *           queue, Ms that were preempted themselves) once the slice is over. An
 *           owner that does make steps is asked by GSCHED_ATTN_HELD to give it up.
 *           Where the owner is in a section when the time comes, the P stays, and
 *           GSCHED_ATTN_PREEMPT or GSCHED_ATTN_HELD is set for the section's end.
 *
 * An M that was preempted before its slice was over runs first among those that
 * wait, for the rest of it. Who has waited for longer than a slice goes before
 * those that have just become able to run.
 *
 * Shared memory
 * -------------
 *
 * Four regions are mapped with MAP_SHARED at the offsets GSCHED_OFF_*. Their
 * pages come into being with their objects (P, M, slot); touching a page that
 * does not exist yet raises SIGBUS. They are not inherited by fork(). mmap fails
 * with
 *
 * -EPERM   the caller's process is not the one that opened the context (stacks too)
 * -ENXIO   GSCHED_IOC_SETUP has not been done
 * -EINVAL  the mapping leaves the region, or is not MAP_SHARED
 *
 * Each field below says who writes it, who reads it, and with what ordering:
 *
 *   K       the kernel
 *   owner   the M that holds the P (or the M itself, in struct gsched_m)
 *   any     any thread of the process
 *   RMW     changed by atomic read-modify-write only
 *   hint    read by the kernel without trust: a wrong value may cost the
 *           process that wrote it a wake-up or its own data, nothing else
 *
 * The kernel keeps private copies of all that it relies on.
 */
#ifndef _UAPI_LINUX_GSCHED_H
#define _UAPI_LINUX_GSCHED_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define GSCHED_DEVICE		"/dev/gsched"

/* ------------------------------------------------------------------ limits */

#define GSCHED_MAX_PROCS	1024		/* Ps of a context */
#define GSCHED_MAX_MS		16384		/* Ms of a context */
#define GSCHED_MAX_SLOTS	(1U << 20)	/* descriptors of a context */

#define GSCHED_NONE		0xffffffffU	/* no P, no M; any P */

/* ------------------------------------------------------------- mmap offsets */

/*
 * Bits 38 and up of the offset select the region. The stack region is private
 * and its number is the binary logarithm of the stack slot's size.
 */
#define GSCHED_OFF_SHIFT	38
#define GSCHED_OFF(region)	((__u64)(region) << GSCHED_OFF_SHIFT)
#define GSCHED_OFF_SHARED	GSCHED_OFF(0)	/* struct gsched_shared, once */
#define GSCHED_OFF_PROCS	GSCHED_OFF(1)	/* struct gsched_proc [P] */
#define GSCHED_OFF_MS		GSCHED_OFF(2)	/* struct gsched_m [M] */
#define GSCHED_OFF_SLOTS	GSCHED_OFF(3)	/* struct gsched_slot [slot] */

/*
 * Stacks: mmap(MAP_PRIVATE | MAP_NORESERVE, PROT_READ | PROT_WRITE) at
 * GSCHED_OFF_STACKS(shift) gives demand-zero memory cut into slots of
 * 1 << shift bytes, in which the lowest GSCHED_STACK_GUARD bytes of every slot
 * raise SIGSEGV. One mapping, however many stacks. It needs no SETUP, survives
 * fork(), and MADV_DONTNEED gives pages back. It cannot grow, and mlock() has no
 * effect on it. Without MAP_NORESERVE, or with vm.overcommit_memory = 2, all of it
 * counts as committed memory. mmap fails with
 *
 * -EINVAL  shift out of range, MAP_SHARED, or the mapping leaves the region
 */
#define GSCHED_STACK_SHIFT_MIN	17		/* 128 KiB, half of it guard */
#define GSCHED_STACK_SHIFT_MAX	30		/* 1 GiB */
#define GSCHED_STACK_GUARD	(64 * 1024)
#define GSCHED_OFF_STACKS(shift) GSCHED_OFF(shift)

/* ------------------------------------------------------------ shared memory */

/**
 * struct gsched_shared - what the whole context shares; region GSCHED_OFF_SHARED
 * @nr_procs:	Ps in use. Written by K, read by any.
 * @nr_idle:	Ps that are idle. Written by K, read by any. A submitter that
 *		has pushed work and then sees @nr_idle nonzero and @nr_spinning
 *		zero calls GSCHED_IOC_WAKE. An owner needs no barrier between
 *		push and load: the kernel, whenever it has raised @nr_idle and
 *		before it looks at the queues, makes every CPU that runs an
 *		owner execute a full barrier. Any other thread needs one. A full
 *		barrier follows when it is lowered, too, before the P's new owner
 *		is in user mode. The same does not hold for @nr_spinning: an M
 *		that stops looking has to look again, in GSCHED_IOC_IDLE or by
 *		itself after a barrier on all CPUs such as membarrier(2).
 * @nr_blocked:	Ps whose owners are blocked in the kernel, so that they can be taken.
 *		RMW by K, read by any; hint. To be treated as @nr_idle by a submitter;
 *		where its load is early and misses one, the tick makes up for it.
 *		Aligned so that both can be loaded at once.
 * @tick_on:	nonzero while the kernel's tick looks at all Ps every minimum run. Written
 *		by K, read by any. It is the tick that keeps a G which computes from
 *		starving others, and it runs while it sees a reason to. Who pushes work
 *		while it does not, or resumes a G while there is work in the P's queue,
 *		calls GSCHED_IOC_WAKE. No barrier is needed: the kernel looks once more
 *		a while after it has stored 0.
 * @tick_next:	when the tick looks at the Ps next, 0: never. Written by K, read by any;
 *		later than a minimum run if only a @next_when is awaited. Who resumes a G
 *		while the P's @next_when is earlier than that and @tick_on is 0 calls
 *		GSCHED_IOC_WAKE.
 * @nr_spinning: Ms that look for work. RMW by any and K; hint. The kernel adds
 *		one for each M that it wakes to look for work. When a descriptor
 *		becomes ready or a G is enqueued it wakes none while this is
 *		nonzero. Who takes it from 1 to 0 must look at all queues once
 *		more after that.
 * @global_len:	length of the library's global run queue. Written by any (under
 *		the library's lock), hint.
 * @reserved0:	zero
 * @reserved1:	zero
 * @reserved2:	zero
 * @reserved3:	zero
 *
 * Each block of fields has a cache line of its own.
 */
struct gsched_shared {
	__u32 nr_procs;
	__u32 tick_on;
	__u32 nr_idle;
	__u32 nr_blocked;
	__u64 tick_next;
	__u64 reserved0[5];

	__u32 nr_spinning;
	__u32 reserved1[15];

	__u32 global_len;
	__u32 reserved2[15];

	__u8 reserved3[4096 - 192];
};

/* gsched_proc.state */
#define GSCHED_P_IDLE		0	/* no owner */
#define GSCHED_P_RUN		1	/* an M holds it */
#define GSCHED_P_BLOCKED	2	/* fdinfo only: RUN, and its owner is blocked */
#define GSCHED_P_DEAD		3	/* its number is at or above nr_procs */

/* gsched_proc.attention: set by K except where noted, cleared by the owner */
#define GSCHED_ATTN_INBOX	(1U << 0)	/* the inbox is not empty */
#define GSCHED_ATTN_TIMER	(1U << 1)	/* @next_when has passed */
#define GSCHED_ATTN_PREEMPT	(1U << 2)	/* let another G run */
#define GSCHED_ATTN_HELD	(1U << 3)	/* others wait for a P: give this one up soon,
						 * by GSCHED_IOC_IDLE
						 */
#define GSCHED_ATTN_RETIRE	(1U << 4)	/* nr_procs fell: empty this P and give it up */
#define GSCHED_ATTN_SLICE	(1U << 5)	/* with PREEMPT or HELD: the slice is over, the G
						 * queues up; else it goes on next
						 */
#define GSCHED_ATTN_USER	0xffff0000U	/* bits that only user space sets */

#define GSCHED_RING_SIZE	256
#define GSCHED_PROC_USER	1536

/**
 * struct gsched_proc - a P; region GSCHED_OFF_PROCS, one page each
 * @state:	GSCHED_P_*. Written by K, read by any.
 * @attention:	GSCHED_ATTN_*. RMW by K and any; the owner loads it plainly at
 *		every scheduling step, clears a bit, and only then looks at what
 *		the bit stands for.
 * @owner:	the M that holds the P, or GSCHED_NONE. Written by K.
 * @steps:	counts scheduling steps; odd while the owner is changing the run
 *		queue. A change without a look for the next G is no step, and leaves
 *		it as it was: to K a step means that the queue has been served.
 *		Written by owner with plain stores, read by any; hint.
 * @next_when:	when the first timer of this P is due, 0: none. Written by owner
 *		or under the library's timer lock; hint.
 * @head:	run queue head: index in the low 32 bits, the library's mode in
 *		the high 32. The owner's plain stores or any's RMW, as the mode
 *		says; hint.
 * @tail:	run queue tail index. Written by owner (release), read by any
 *		(acquire); hint.
 * @runnext:	the G to run before the queue, or 0. As @head; hint.
 * @inbox:	node + 1 of the Gs made ready by the kernel, newest first, or 0.
 *		RMW by K (push) and any (exchange with 0 to take all). A push may
 *		still come when the P is dead: whoever looks for work looks at
 *		all Ps that ever were, queue and inbox.
 * @ring:	the queue; entry i stands at i % GSCHED_RING_SIZE. A slot is
 *		written by owner before @tail moves over it.
 * @user:	the library's own; the kernel neither reads nor writes it.
 * @reserved0:	zero
 * @reserved1:	zero
 * @reserved2:	zero
 * @reserved3:	zero
 * @reserved4:	zero
 * @reserved5:	zero
 * @reserved6:	zero
 */
struct gsched_proc {
	__u32 state;
	__u32 attention;
	__u32 owner;
	__u32 reserved0[13];

	__u64 steps;
	__u64 next_when;
	__u64 reserved1[6];

	__u64 head;
	__u64 reserved2[7];

	__u32 tail;
	__u32 reserved3;
	__u64 runnext;
	__u64 reserved4[6];

	__u32 inbox;
	__u32 reserved5[15];

	__u8 reserved6[512 - 5 * 64];

	__u64 ring[GSCHED_RING_SIZE];
	__u8 user[GSCHED_PROC_USER];
};

/**
 * struct gsched_m - an M; region GSCHED_OFF_MS
 * @in_sched:	nesting of the library's sections. Written by owner with plain
 *		stores, read by K on the owner's CPU only. While it is nonzero the
 *		kernel never takes the M's P.
 * @proc:	the P that the M holds, or GSCHED_NONE. Written by K, while the M
 *		is in the kernel or on its own CPU; read by owner inside a section.
 *		GSCHED_NONE in a section that has just begun: there is no hold, or it
 *		was waived; the owner calls GSCHED_IOC_ACQUIRE.
 * @cookie:	the G that the M runs, 0: none. Written by owner; shown in
 *		traces, otherwise unused by K.
 * @reserved:	zero
 */
struct gsched_m {
	__u32 in_sched;
	__u32 proc;
	__u64 cookie;
	__u64 reserved[6];
};

/* gsched_node.word, where it is no cookie */
#define GSCHED_WORD_NIL		0	/* nobody waits, nothing known */
#define GSCHED_WORD_READY	1	/* ready since the word was last reset */
#define GSCHED_COOKIE_MIN	2

/* gsched_node.events: sticky bits, RMW: set by K, cleared by any */
#define GSCHED_EV_VERIFY	(1U << 0)	/* a short read may hide EOF, an error or
						 * urgent data: only EAGAIN proves the
						 * queue empty
						 */
#define GSCHED_EV_CLOSED	(1U << 1)	/* the slot watches nothing any more; never
						 * cleared before the slot is unregistered
						 */

/**
 * struct gsched_node - one direction of a slot
 * @word:	NIL, READY or the cookie of the G that waits. RMW by any and K.
 *		Park: compare-and-swap NIL -> cookie, only after leaving the G's
 *		stack; failing means READY. Reset: exchange with NIL *before* the
 *		system call that may fail with EAGAIN, then see whether @events
 *		has GSCHED_EV_CLOSED: after that no READY comes. The kernel
 *		exchanges it with READY; if it finds a cookie there it delivers
 *		that G.
 * @cookie:	the delivered G. Written by K before the push to an inbox. The
 *		consumer reads @cookie and @next, then stores 0 (release): until
 *		then the node is linked and K will not use it again.
 * @next:	node + 1 of the next node of the inbox, 0: the last. Written by K
 *		before the push, and by who has exchanged the inbox.
 * @proc:	the P whose inbox is preferred. Written by any, hint.
 * @events:	GSCHED_EV_*.
 * @reserved:	zero
 */
struct gsched_node {
	__u64 word;
	__u64 cookie;
	__u32 next;
	__u32 proc;
	__u32 events;
	__u32 reserved;
};

#define GSCHED_DIR_READ		0
#define GSCHED_DIR_WRITE	1

/**
 * struct gsched_slot - a descriptor's nodes; region GSCHED_OFF_SLOTS
 * @node:	by GSCHED_DIR_*; node number = slot * 2 + direction
 */
struct gsched_slot {
	struct gsched_node node[2];
};

/* ------------------------------------------------------------------- ioctls */

/* gsched_query.features */
#define GSCHED_FEAT_READY	(1ULL << 0)	/* descriptor readiness into inboxes */
#define GSCHED_FEAT_STACKS	(1ULL << 1)	/* the stack region */
#define GSCHED_FEAT_HANDOFF	(1ULL << 2)	/* a blocking M hands its P over */
#define GSCHED_FEAT_HOLD	(1ULL << 3)	/* an M waits for a P before user mode */
#define GSCHED_FEAT_PREEMPT	(1ULL << 4)	/* a hog's P is taken */

/**
 * struct gsched_query - GSCHED_IOC_QUERY: what this kernel offers
 * @flags:	in: 0
 * @reserved:	in: 0
 * @features:	out: GSCHED_FEAT_*
 * @now_ns:	out: the kernel's CLOCK_MONOTONIC, outside any time namespace
 * @max_procs:	out: largest gsched_setup.max_procs
 * @max_ms:	out: largest gsched_setup.max_ms
 * @max_slots:	out: largest gsched_setup.max_slots
 * @page_size:	out: the size of a page of the shared regions
 */
struct gsched_query {
	__u32 flags;
	__u32 reserved;
	__u64 features;
	__u64 now_ns;
	__u32 max_procs;
	__u32 max_ms;
	__u32 max_slots;
	__u32 page_size;
};

/* gsched_setup.flags */
#define GSCHED_SETUP_NO_HANDOFF	(1U << 0)	/* a P stays with an M that blocks; no preemption */
#define GSCHED_SETUP_NO_HOLD	(1U << 1)	/* an M goes on without a P; no preemption */
#define GSCHED_SETUP_NO_PREEMPT	(1U << 2)	/* a hog keeps its P */

/**
 * struct gsched_setup - GSCHED_IOC_SETUP: make the context's Ps
 * @flags:	in: GSCHED_SETUP_*
 * @nr_procs:	in: Ps to start with, 1 .. @max_procs
 * @max_procs:	in: the most that SET_PROCS may ask for, 1 .. GSCHED_MAX_PROCS
 * @max_ms:	in: the most Ms, 1 .. GSCHED_MAX_MS
 * @max_slots:	in: the most descriptors, 0 .. GSCHED_MAX_SLOTS
 * @first_slot:	out: slots below this one carry the Gs of GSCHED_IOC_ENQUEUE; map
 *		@first_slot + @max_slots slots
 *
 * -EINVAL  a number out of its range
 * -EBUSY   done already
 * -EUSERS  the user has too many contexts
 * -ENOMEM
 */
struct gsched_setup {
	__u32 flags;
	__u32 nr_procs;
	__u32 max_procs;
	__u32 max_ms;
	__u32 max_slots;
	__u32 first_slot;
};

/**
 * struct gsched_set_procs - GSCHED_IOC_SET_PROCS: change GOMAXPROCS
 * @flags:	in: 0
 * @nr_procs:	in: 1 .. gsched_setup.max_procs
 *
 * New Ps go to Ms that wait for one, else are idle; if a queue shows work, an
 * idle M is woken. A P above the new number that is idle is dead at once; one that
 * runs gets GSCHED_ATTN_RETIRE and dies when its owner gives it up.
 *
 * -EINVAL  a number out of its range
 * -ENOMEM
 */
struct gsched_set_procs {
	__u32 flags;
	__u32 nr_procs;
};

/**
 * struct gsched_m_register - GSCHED_IOC_M_REGISTER: make the caller an M
 * @flags:	in: 0
 * @id:		out: index in region GSCHED_OFF_MS
 *
 * The M starts without a P. It ends by GSCHED_IOC_M_UNREGISTER (no argument;
 * gives its P up; -ESRCH if the caller is no M), or when the thread ends or
 * executes another program.
 *
 * -EBUSY   the thread is an M already, of this context or another
 * -ENOSPC  gsched_setup.max_ms is reached (a thread that has just been joined may
 *          still count)
 * -ENOMEM
 */
struct gsched_m_register {
	__u32 flags;
	__u32 id;
};

/* gsched_acquire.flags */
#define GSCHED_ACQUIRE_YIELD	(1U << 0)	/* give the P up first; whoever waits gets it */

/**
 * struct gsched_acquire - GSCHED_IOC_ACQUIRE: wait for a P
 * @flags:	in: GSCHED_ACQUIRE_*
 * @proc:	out: the P
 *
 * Ms are served in order of arrival. Returns at once if the M holds a P and
 * GSCHED_ACQUIRE_YIELD is not set, or nobody waits.
 *
 * -ESRCH   the caller is no M of this context
 * -EINTR   interrupted, by a signal or otherwise; without hold the M has no P
 */
struct gsched_acquire {
	__u32 flags;
	__u32 proc;
};

/**
 * struct gsched_times - GSCHED_IOC_TIMES: how long a G may keep a P
 * @flags:	in: 0
 * @reserved:	in: 0
 * @slice_ns:	in: the slice, GSCHED_MIN_TIME .. GSCHED_MAX_TIME, 0: as it is;
 *		out: the slice until now
 * @min_run_ns:	in: the minimum run, GSCHED_MIN_TIME .. slice, 0: as it is;
 *		out: the minimum run until now
 *
 * -EINVAL  out of range
 */
struct gsched_times {
	__u32 flags;
	__u32 reserved;
	__u64 slice_ns;
	__u64 min_run_ns;
};

#define GSCHED_SLICE		10000000ULL	/* at first, ns */
#define GSCHED_MIN_RUN		1000000ULL
#define GSCHED_MIN_TIME		250000ULL
#define GSCHED_MAX_TIME		1000000000ULL

/* gsched_idle.reason */
#define GSCHED_IDLE_WORK	1	/* there may be work; the caller counts in nr_spinning */
#define GSCHED_IDLE_TIMEOUT	2	/* the deadline has passed */

/**
 * struct gsched_idle - GSCHED_IOC_IDLE: give the P up and sleep
 * @flags:	in: 0
 * @leave_ms:	in: fail with -ETIME after about so long without work, if more Ms are
 *		idle than there are Ps; 0: never
 * @deadline:	in: absolute time, 0: none
 * @reason:	out: GSCHED_IDLE_*
 * @proc:	out: the P
 *
 * The P goes to an M that waits for one, else it is idle. A caller without a P just
 * sleeps. After the P is marked idle the kernel looks at every P's run queue and inbox
 * and at the global queue's length, and returns at once if any holds work. It
 * looks at every P's @next_when, too, and takes the earliest of them for the
 * deadline if that is earlier. A P whose owner is blocked is taken as if it were
 * idle. A deadline that passes while no P can be had is dropped: whoever holds the
 * Ps sees its own timers, or the tick does.
 *
 * -ESRCH   the caller is no M of this context
 * -EINTR   interrupted, by a signal or otherwise; without hold the M has no P
 * -ETIME   @leave_ms is over, and the M is one too many; it has no P
 */
struct gsched_idle {
	__u32 flags;
	__u32 leave_ms;
	__u64 deadline;
	__u32 reason;
	__u32 proc;
};

/**
 * struct gsched_wake - GSCHED_IOC_WAKE: set an idle P to work
 * @flags:	in: 0
 * @reserved:	in: 0
 *
 * Gives an idle P, else one whose owner is blocked, to an idle M (which counts in
 * nr_spinning from then on), or, when no M is idle, asks the spawner for another M.
 * In any case the tick runs afterwards, if there is anything for it to look at. The
 * caller need not be an M.
 *
 * -EAGAIN  no P is idle or blocked, or no M is idle and there can be no more
 */
struct gsched_wake {
	__u32 flags;
	__u32 reserved;
};

/* gsched_spawner.flags */
#define GSCHED_SPAWNER_FAILED	(1U << 0)	/* the last request could not be met */

/* gsched_spawner.reason */
#define GSCHED_SPAWN_M		1	/* an M should be created */
#define GSCHED_SPAWN_CAP	2	/* it should, but max_ms is reached; said once */

/**
 * struct gsched_spawner - GSCHED_IOC_SPAWNER: sleep until an M is missing
 * @flags:	in: GSCHED_SPAWNER_*
 * @reason:	out: GSCHED_SPAWN_*
 *
 * For one thread that is no M. It returns 0 each time an M should be created;
 * until an M has registered, or the next call has GSCHED_SPAWNER_FAILED and 100 ms
 * have passed, no other is asked for. A new M calls GSCHED_IOC_IDLE: what it was
 * asked for may have been done by others meanwhile.
 *
 * -EBUSY   another thread waits here
 * -EDEADLK the caller is an M
 * -EINTR   a signal arrived
 */
struct gsched_spawner {
	__u32 flags;
	__u32 reason;
};

/**
 * struct gsched_enqueue - GSCHED_IOC_ENQUEUE: put a G into a P's inbox
 * @flags:	in: 0
 * @proc:	in: the P, or GSCHED_NONE: an idle one if there is one, and an idle M for it
 * @cookie:	in: the G, at least GSCHED_COOKIE_MIN
 *
 * An M is woken as for a ready descriptor. The caller need not be an M.
 *
 * -EINVAL  no such P, or no cookie
 * -EAGAIN  256 enqueued Gs have not been taken out yet
 */
struct gsched_enqueue {
	__u32 flags;
	__u32 proc;
	__u64 cookie;
};

/**
 * struct gsched_fd - GSCHED_IOC_FD_REGISTER, GSCHED_IOC_FD_UNREGISTER
 * @flags:	in: 0
 * @fd:		in: the descriptor; 0 to unregister
 * @slot:	register: in 0, out the slot; unregister: in the slot
 * @reserved:	in: 0
 *
 * Register: both nodes start with the word READY if the descriptor is ready,
 * NIL if not. From then on each readiness event of the file sets it. The kernel
 * holds a reference to the file, but drops it, within 100 ms for each 4,096
 * slots (later if the user's contexts have tens of thousands together), when the
 * descriptor's number no longer means that file in the process, or nobody else has
 * the file open: both nodes then get GSCHED_EV_CLOSED and READY, and waiting Gs are
 * delivered. A slot is the caller's until it unregisters it, closed or not. If the
 * number is already registered for another file, that slot is closed at once.
 * All slots are closed when the context's last M is gone.
 *
 * -EBADF   no such descriptor, or it was closed meanwhile
 * -EAGAIN  the number got another meaning meanwhile: try again
 * -EPERM   the file cannot be waited for (a regular file, a directory)
 * -ELOOP   the file is a gsched context
 * -EEXIST  this file is registered under this number; @slot says where
 * -ESRCH   the context has no M
 * -EMFILE  RLIMIT_NOFILE slots are in use
 * -ENOSPC  gsched_setup.max_slots is reached, or the user has too many slots
 * -ENOMEM
 *
 * Unregister: closes the slot and gives it back. Gs that wait in it are
 * delivered. No readiness event of the file touches the slot afterwards.
 *
 * -ENOENT  no such slot
 */
struct gsched_fd {
	__u32 flags;
	__s32 fd;
	__u32 slot;
	__u32 reserved;
};

#define GSCHED_IOC_MAGIC	0xf5

#define GSCHED_IOC_QUERY	_IOWR(GSCHED_IOC_MAGIC, 0, struct gsched_query)
#define GSCHED_IOC_SETUP	_IOWR(GSCHED_IOC_MAGIC, 1, struct gsched_setup)
#define GSCHED_IOC_SET_PROCS	_IOW(GSCHED_IOC_MAGIC, 2, struct gsched_set_procs)
#define GSCHED_IOC_M_REGISTER	_IOWR(GSCHED_IOC_MAGIC, 3, struct gsched_m_register)
#define GSCHED_IOC_M_UNREGISTER	_IO(GSCHED_IOC_MAGIC, 4)
#define GSCHED_IOC_ACQUIRE	_IOWR(GSCHED_IOC_MAGIC, 5, struct gsched_acquire)
#define GSCHED_IOC_RELEASE	_IO(GSCHED_IOC_MAGIC, 6)
#define GSCHED_IOC_IDLE		_IOWR(GSCHED_IOC_MAGIC, 7, struct gsched_idle)
#define GSCHED_IOC_WAKE		_IOW(GSCHED_IOC_MAGIC, 8, struct gsched_wake)
#define GSCHED_IOC_SPAWNER	_IOWR(GSCHED_IOC_MAGIC, 9, struct gsched_spawner)
#define GSCHED_IOC_ENQUEUE	_IOW(GSCHED_IOC_MAGIC, 10, struct gsched_enqueue)
#define GSCHED_IOC_FD_REGISTER	_IOWR(GSCHED_IOC_MAGIC, 11, struct gsched_fd)
#define GSCHED_IOC_FD_UNREGISTER _IOW(GSCHED_IOC_MAGIC, 12, struct gsched_fd)
#define GSCHED_IOC_TIMES	_IOWR(GSCHED_IOC_MAGIC, 13, struct gsched_times)

/*
 * GSCHED_IOC_RELEASE (no argument): give the P up and go on without one. Fails
 * with -ESRCH if the caller is no M of this context. The P goes to an M that
 * waits for one, or to an idle M if it is the turn of the Gs in the P's queues.
 * If no M waits it is idle, and if any queue shows work an idle M is woken, or
 * the spawner asked for one.
 */

#endif /* _UAPI_LINUX_GSCHED_H */
