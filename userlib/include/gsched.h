/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * gsched: goroutines for C on Linux.
 *
 * Rules that hold for every call
 *
 * - Results are a value or -errno. errno itself is a thread's, and a goroutine
 *   may go on in another thread after any call, so it is never the channel for
 *   an error.
 * - Calls that can wait come in two forms: NAME() waits without limit,
 *   NAME_until() until @deadline, CLOCK_MONOTONIC nanoseconds as gs_now() gives
 *   them; a deadline of 0 (or in the past) tries once, GS_FOREVER never comes. A
 *   passed deadline is -ETIMEDOUT; where there is no memory for the timer, -ENOMEM.
 * - Every wait of a goroutine that has been cancelled (gs_group_cancel()) ends with
 *   -ECANCELED, and so does every later one that would have to wait. What can be
 *   done without waiting is done. Calls without a result do not take part.
 * - "Goroutine context" means: called by a goroutine. A call not so marked may
 *   be made by any thread; one that waits then blocks that thread.
 * - No call may be made from a signal handler.
 * - A goroutine changes its thread only inside calls of this library.
 */
#ifndef GSCHED_H
#define GSCHED_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GS_API __attribute__((visibility("default")))

/* A deadline that never comes. */
#define GS_FOREVER INT64_MAX

/* ------------------------------------------------------------- the runtime */

/**
 * gs_main - run a program as goroutines
 * @fn:   the first goroutine; its result becomes gs_main's
 * @argc: passed to @fn
 * @argv: passed to @fn
 *
 * Starts the runtime, runs @fn as a goroutine and returns when it returns;
 * goroutines that still exist then do not run on. exit() works too, from any
 * goroutine. Environment: GSCHED_MAXPROCS (number of Ps; default: the CPUs that the
 * process may use, or its control group's CPU limit rounded up, at least 2, if that is
 * less; both are looked at again while the program runs), GSCHED_BACKEND (module or
 * epoll; default: module if /dev/gsched can be opened, else epoll), GSCHED_DEBUG:
 * settings for those who look for a fault or measure, separated by commas.
 *
 * Of the module, without meaning for the portable backend:
 *
 *   nohandoff   a thread that blocks keeps its P; then there is no preemption either: who
 *               is preempted may hold a lock for which that thread waits
 *   nohold      a thread that has lost its P goes on without one until its next
 *               call; then there is no preemption either
 *   nopreempt   a goroutine that computes keeps its P
 *   slice=MS    see gs_set_slice(); decimal fractions are allowed
 *   minrun=MS   the same
 *   maxms=N     the most threads that run goroutines, 1 to 16384; default 10000.
 *               When so many are blocked that no more can be made although a P is
 *               free, the runtime says so on standard error, once
 *
 * Of every backend:
 *
 *   leave=MS    a thread that has found nothing to do for so long ends, if more of
 *               them are idle than there are Ps; default 5000, 0: never
 *   schedtrace=MS    every so often a line about the scheduler on standard error
 *   scheddetail=1    with schedtrace: lines about every P, M and goroutine, too
 *   sigquit=1   SIGQUIT writes what gs_dump() writes to standard error, then ends the
 *               program as it would have without
 *   leaks=1     when gs_main() returns, or gs_stop() is called: the goroutines that
 *               have not ended, on standard error
 *   profile=1   gs_profile_start() at the start; gs_profile_write() to standard error at
 *               the end
 *
 * Return: @fn's result, or -errno if the runtime cannot start. -EBUSY: it runs
 * already. -EINVAL: GSCHED_BACKEND or GSCHED_DEBUG is not understood.
 */
GS_API int gs_main(int (*fn)(int, char **), int argc, char **argv);

/**
 * gs_start - start the runtime beside the caller
 *
 * For programs whose main thread is not theirs to give away: afterwards any thread may
 * call gs_go(). The environment means what it means to gs_main(). Not from a
 * goroutine. Return: 0, or gs_main()'s -errno.
 */
GS_API int gs_start(void);

/**
 * gs_stop - end the runtime that gs_start() started
 *
 * Goroutines that still exist end at their next call that may wait or that schedules (a
 * lock that is free they may still take); waiting ones never go on. Waits for the
 * runtime's threads, for at most a second: one may sit in a system call. Not from a
 * goroutine. Return: 0; -EINVAL: gs_start() has not been called; -EDEADLK: from
 * a goroutine; -EBUSY: some thread has not ended (it will at its next such call).
 */
GS_API int gs_stop(void);

/**
 * gs_go - start a goroutine
 * @fn:  its function
 * @arg: its argument
 *
 * Any thread. Never waits. The new goroutine is in no group. Return: 0, -ENOMEM, or
 * -EINVAL if no runtime runs.
 */
GS_API int gs_go(void (*fn)(void *), void *arg);

/** gs_goexit - end the calling goroutine. Goroutine context. */
GS_API void gs_goexit(void) __attribute__((noreturn));

/** gs_yield - let other goroutines run. Goroutine context. */
GS_API void gs_yield(void);

/** gs_now - CLOCK_MONOTONIC in nanoseconds: what deadlines are measured in. */
GS_API int64_t gs_now(void);

/** gs_sleep - sleep for @ns nanoseconds. Return: 0, -ECANCELED. 0 or less yields. */
GS_API int gs_sleep(int64_t ns);

/** gs_sleep_until - sleep until @deadline. Return: 0, -ECANCELED. */
GS_API int gs_sleep_until(int64_t deadline);

/**
 * gs_set_maxprocs - change how many goroutines may run at the same time
 * @n: the new number of Ps; 0 or less: change nothing
 *
 * Any thread. A P that is taken away goes when its goroutine makes its next call,
 * with preemption (gs_features()) soon in any case. From then on the number no longer
 * follows the CPUs and the control group. Return: the number before, -EINVAL if @n is
 * too large or no runtime runs, or -ENOMEM.
 */
GS_API int gs_set_maxprocs(int n);

/**
 * gs_set_slice - how long a goroutine may keep a P from others
 * @slice_ns:   after so long a goroutine that computes must share with those that have
 *              waited; 250 us to 1 s, at first 10 ms; 0: as it is
 * @min_run_ns: after so long something that has just woken may take the P from it: a
 *              timer, a descriptor, a thread that was blocked; 250 us to the slice,
 *              at first 1 ms; 0: as it is
 *
 * Any thread. Return: 0, -EINVAL: out of range, or no runtime runs; -ENOTSUP: not with
 * the portable backend.
 */
GS_API int gs_set_slice(int64_t slice_ns, int64_t min_run_ns);

#define GS_FEAT_HANDOFF	(1U << 0)	/* who blocks in the kernel gives its P to others */
#define GS_FEAT_HOLD	(1U << 1)	/* the number of Ps is a bound at every instant */
#define GS_FEAT_PREEMPT	(1U << 2)	/* who computes for long must share its P */

/**
 * gs_features - what the kernel does for the running program
 *
 * Any thread. Return: GS_FEAT_*; none of them with the portable backend, or if no
 * runtime runs.
 */
GS_API unsigned int gs_features(void);

/**
 * gs_lock_thread - stay on this thread, alone
 *
 * From here on the calling goroutine runs on this thread only and no other one does:
 * for libraries that keep state in the thread, and for calls that change the thread
 * (setns, uselocale, a pthread mutex held over waits). Nests. While the goroutine
 * waits the thread sleeps, and its P serves others; each wait costs a thread's
 * switch. If the goroutine ends locked, the thread ends. Goroutine context. Return: 0,
 * -EINVAL on a thread that runs no goroutine.
 */
GS_API int gs_lock_thread(void);

/** gs_unlock_thread - undo one gs_lock_thread(). Return: 0, -EINVAL: not locked. */
GS_API int gs_unlock_thread(void);

/**
 * struct gs_info - what is in force, and why
 * @backend:        "module" or "epoll"
 * @backend_why:    a sentence
 * @features:       GS_FEAT_*
 * @features_why:   a sentence that says why some are missing, or ""
 * @procs:          the number of Ps
 * @procs_why:      a sentence: where the number comes from
 * @threads:        threads that run goroutines, waiting ones included
 * @goroutines:     that exist
 */
struct gs_info {
	const char *backend;
	const char *backend_why;
	const char *features_why;
	const char *procs_why;
	uint32_t features;
	uint32_t procs;
	uint32_t threads;
	uint32_t reserved;
	uint64_t goroutines;
};

/**
 * gs_info - fill in a struct gs_info
 * @info: the structure
 * @size: sizeof(*info); later versions may have more at its end
 *
 * Any thread. The strings are constant, or good until the runtime ends. Return: 0;
 * -EINVAL: no runtime runs, or @size is not that of any version.
 */
GS_API int gs_info(struct gs_info *info, size_t size);

/** gs_id - the calling goroutine's number, 1 for gs_main's; 0: no goroutine. */
GS_API uint64_t gs_id(void);

/**
 * gs_set_name - name the calling goroutine in traces and messages
 * @name: copied, cut to 15 bytes
 *
 * Goroutine context.
 */
GS_API void gs_set_name(const char *name);

/** gs_backend - "module" or "epoll"; NULL: no runtime runs. Any thread. */
GS_API const char *gs_backend(void);

/**
 * gs_errno_location - this thread's errno, asked anew at every use
 *
 * glibc declares its own such function as constant, so the compiler may keep the
 * address over a call in which the goroutine changes its thread. A file that uses
 * errno around calls of this library defines GS_REDEFINE_ERRNO before it includes
 * this header.
 */
GS_API int *gs_errno_location(void);

#ifdef GS_REDEFINE_ERRNO
#include <errno.h>
#undef errno
#define errno (*gs_errno_location())
#endif

/* ------------------------------------------------------------ groups, cancelling */

/*
 * A group is goroutines that are waited for together. The first one that returns
 * something negative cancels the others, and that is what the group returns. Zero
 * bytes are an empty group. Not to be copied. It may live on the stack of whoever
 * waits: gs_group_wait() returns only when all have ended. To cancel one goroutine,
 * give it a group of its own.
 */
typedef struct {
	uint32_t lock;
	uint32_t flags;
	int32_t err;
	uint32_t cancellers;
	uint64_t count;
	void *live, *cancelled;
	void *waiters;
} gs_group;

#define GS_GROUP_INIT { 0, 0, 0, 0, 0, NULL, NULL, NULL }

/**
 * gs_group_go - start a goroutine in a group
 * @g:   the group
 * @fn:  its function; returns 0 or -errno
 * @arg: its argument
 *
 * Any thread. In a group that has been cancelled it starts cancelled. Return: 0,
 * -ENOMEM, or -EINVAL if no runtime runs.
 */
GS_API int gs_group_go(gs_group *g, int (*fn)(void *), void *arg);

/**
 * gs_group_cancel - cancel a group's goroutines, those to come included
 *
 * Returns when all have been told, not when they have ended. A cancelled goroutine
 * goes on; its waits end with -ECANCELED, see the top. Any thread.
 */
GS_API void gs_group_cancel(gs_group *g);

/**
 * gs_group_wait - wait until all of a group's goroutines have ended
 *
 * If the caller is cancelled it cancels the group, too, and still waits. Afterwards
 * the group is as new. Return: the first negative result of a goroutine, else
 * -ECANCELED if the group or the caller was cancelled before all had ended, else 0.
 */
GS_API int gs_group_wait(gs_group *g);

/**
 * gs_group_wait_until - gs_group_wait(), but at @deadline cancel the group
 *
 * Return: as gs_group_wait(); -ETIMEDOUT if the deadline was what ended it.
 */
GS_API int gs_group_wait_until(gs_group *g, int64_t deadline);

/** gs_cancelled - has the calling goroutine been cancelled? Return: 1 or 0. */
GS_API int gs_cancelled(void);

/**
 * gs_cancel_shield - let the calling goroutine's waits end as if it were not cancelled
 * @on: 1 or 0
 *
 * For work that must be done in any case, such as to say goodbye. Goroutine context.
 * Return: what it was before, to be given back; 0 for a goroutine in no group.
 */
GS_API int gs_cancel_shield(int on);

/* --------------------------------------------------------------- descriptors */

/*
 * These have the shapes of the system calls and park the goroutine where the
 * system call would block the thread. O_NONBLOCK is never changed on a
 * descriptor that the library did not open. On a file that cannot be waited for
 * (a regular file) they are the plain system calls.
 *
 * When another goroutine closes the descriptor with gs_close() while one waits,
 * the wait ends with -EBADF. Two goroutines may use one descriptor at a time,
 * one reading and one writing; more of them queue.
 */
GS_API ssize_t gs_read(int fd, void *buf, size_t len);
GS_API ssize_t gs_read_until(int fd, void *buf, size_t len, int64_t deadline);
/** gs_write - as write(2): may write less than @len only after an error. */
GS_API ssize_t gs_write(int fd, const void *buf, size_t len);
GS_API ssize_t gs_write_until(int fd, const void *buf, size_t len, int64_t deadline);
GS_API ssize_t gs_recv(int fd, void *buf, size_t len, int flags);
GS_API ssize_t gs_recv_until(int fd, void *buf, size_t len, int flags, int64_t deadline);
GS_API ssize_t gs_send(int fd, const void *buf, size_t len, int flags);
GS_API ssize_t gs_send_until(int fd, const void *buf, size_t len, int flags, int64_t deadline);
/* gs_readv, gs_writev - at most IOV_MAX parts; gs_writev writes all, as gs_write. */
GS_API ssize_t gs_readv(int fd, const struct iovec *iov, int n);
GS_API ssize_t gs_readv_until(int fd, const struct iovec *iov, int n, int64_t deadline);
GS_API ssize_t gs_writev(int fd, const struct iovec *iov, int n);
GS_API ssize_t gs_writev_until(int fd, const struct iovec *iov, int n, int64_t deadline);
/* gs_pread, gs_pwrite - of files; they never wait for readiness, so no deadline. */
GS_API ssize_t gs_pread(int fd, void *buf, size_t len, off_t offset);
GS_API ssize_t gs_pwrite(int fd, const void *buf, size_t len, off_t offset);
GS_API ssize_t gs_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
			   socklen_t *addr_len);
GS_API ssize_t gs_recvfrom_until(int fd, void *buf, size_t len, int flags,
				 struct sockaddr *addr, socklen_t *addr_len, int64_t deadline);
GS_API ssize_t gs_sendto(int fd, const void *buf, size_t len, int flags,
			 const struct sockaddr *addr, socklen_t addr_len);
GS_API ssize_t gs_sendto_until(int fd, const void *buf, size_t len, int flags,
			       const struct sockaddr *addr, socklen_t addr_len,
			       int64_t deadline);
GS_API ssize_t gs_recvmsg(int fd, struct msghdr *msg, int flags);
GS_API ssize_t gs_recvmsg_until(int fd, struct msghdr *msg, int flags, int64_t deadline);
GS_API ssize_t gs_sendmsg(int fd, const struct msghdr *msg, int flags);
GS_API ssize_t gs_sendmsg_until(int fd, const struct msghdr *msg, int flags, int64_t deadline);
/**
 * gs_sendfile - as sendfile(2), until @len bytes, the file's end, or an error
 *
 * Waits for room in @out_fd; reading the file may block the thread. On a socket whose
 * peer is gone SIGPIPE comes, too.
 */
GS_API ssize_t gs_sendfile(int out_fd, int in_fd, off_t *offset, size_t len);
GS_API ssize_t gs_sendfile_until(int out_fd, int in_fd, off_t *offset, size_t len,
				 int64_t deadline);
/** gs_accept - as accept4(2) with SOCK_NONBLOCK | SOCK_CLOEXEC. */
GS_API int gs_accept(int fd, struct sockaddr *addr, socklen_t *len);
GS_API int gs_accept_until(int fd, struct sockaddr *addr, socklen_t *len, int64_t deadline);
GS_API int gs_connect(int fd, const struct sockaddr *addr, socklen_t len);
GS_API int gs_connect_until(int fd, const struct sockaddr *addr, socklen_t len, int64_t deadline);
/** gs_socket - as socket(2), with SOCK_NONBLOCK | SOCK_CLOEXEC added. Any thread. */
GS_API int gs_socket(int domain, int type, int protocol);
/** gs_close - as close(2); goroutines that wait on @fd get -EBADF. */
GS_API int gs_close(int fd);

/**
 * gs_wait_fd - wait until a descriptor is ready
 * @fd:     the descriptor
 * @events: POLLIN or POLLOUT
 *
 * Level triggered, as poll(2). Return: the poll(2) revents (more than @events
 * if there is an error or hang-up), -EINVAL, -EBADF, -EPERM if the file cannot
 * be waited for, -ETIMEDOUT.
 */
GS_API int gs_wait_fd(int fd, int events);
GS_API int gs_wait_fd_until(int fd, int events, int64_t deadline);

/**
 * gs_poll - poll(2) on several descriptors
 * @fds: as poll(2)'s; negative descriptors are left out
 * @n:   how many
 *
 * Disturbs no goroutine that reads or writes them meanwhile. A descriptor that
 * gs_close() closes becomes ready with POLLNVAL. Waiting takes a descriptor more.
 *
 * Return: how many are ready (an @revents that is not 0), -ETIMEDOUT, -ENOMEM,
 * -EMFILE; -EINVAL: more than RLIMIT_NOFILE allows.
 */
GS_API int gs_poll(struct pollfd *fds, nfds_t n);
GS_API int gs_poll_until(struct pollfd *fds, nfds_t n, int64_t deadline);

/**
 * gs_waitpid - waitpid(2) for one child
 * @pid:     the child, > 0
 * @status:  as waitpid(2)'s, or NULL
 * @options: WNOHANG or 0
 *
 * Return: @pid, 0 with WNOHANG, -ECHILD, -EINVAL, -ETIMEDOUT.
 */
GS_API pid_t gs_waitpid(pid_t pid, int *status, int options);
GS_API pid_t gs_waitpid_until(pid_t pid, int *status, int options, int64_t deadline);

/**
 * gs_sigwait - wait for a signal
 * @set:  signals that are blocked in all threads (block them before the runtime starts)
 * @info: what came, or NULL
 *
 * Return: the signal's number, -EINVAL, -ETIMEDOUT.
 */
GS_API int gs_sigwait(const sigset_t *set, siginfo_t *info);
GS_API int gs_sigwait_until(const sigset_t *set, siginfo_t *info, int64_t deadline);

/**
 * gs_listen - open a socket and listen, or bind, on it
 * @network: "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "unixgram",
 *           "unixpacket"
 * @address: "host:port", "[v6]:port", ":port" (all addresses); names and services as
 *           getaddrinfo(3) knows them, resolved as a blocking call. A path for unix;
 *           "@name" is in the abstract namespace
 *
 * TCP sockets have SO_REUSEADDR; "tcp" and "udp" on all addresses serve IPv6 and IPv4
 * where there is IPv6. Return: the descriptor, or -errno. -EINVAL: not understood;
 * -ENOENT: no such name; -EAGAIN: the name servers do not answer just now.
 */
GS_API int gs_listen(const char *network, const char *address);

/**
 * gs_dial - open a socket and connect it
 *
 * As gs_listen(), but ":port" is this machine. All of a name's addresses are tried in
 * order; TCP has TCP_NODELAY. The deadline is for the connection: resolving a name takes
 * as long as it takes. Return: the descriptor, or the last address's -errno.
 */
GS_API int gs_dial(const char *network, const char *address);
GS_API int gs_dial_until(const char *network, const char *address, int64_t deadline);

/* ------------------------------------------------------------------ channels */

/*
 * A channel carries elements of one size by copy, in order. It lives until its last
 * reference is dropped: gs_chan_new() returns one, gs_chan_ref() makes one more. The
 * simple rule: each goroutine that uses a channel has a reference, taken for it before
 * it starts, and drops it when it ends. Whoever makes a call has one until it returns.
 *
 * Threads of the program that are no goroutines may use channels, too.
 */
typedef struct gs_chan gs_chan;

/**
 * gs_chan_new - make a channel
 * @elem_size: bytes of an element, may be 0
 * @capacity:  elements it buffers, 0: every send meets a receive
 *
 * Return: the channel with one reference, or NULL: out of memory, or too large.
 */
GS_API gs_chan *gs_chan_new(size_t elem_size, size_t capacity);

/** gs_chan_ref - take one more reference; give it to another goroutine. Return: @c. */
GS_API gs_chan *gs_chan_ref(gs_chan *c);

/** gs_chan_unref - drop a reference; the last frees. NULL is nothing. */
GS_API void gs_chan_unref(gs_chan *c);

/**
 * gs_chan_send - send a copy of *@elem
 *
 * On a NULL channel it waits for ever. Return: 0, -EPIPE if the channel is closed,
 * -ETIMEDOUT, -ECANCELED.
 */
GS_API int gs_chan_send(gs_chan *c, const void *elem);
GS_API int gs_chan_send_until(gs_chan *c, const void *elem, int64_t deadline);
/** gs_chan_try_send - send if that needs no wait. Return: 0, -EPIPE, -EAGAIN. */
GS_API int gs_chan_try_send(gs_chan *c, const void *elem);

/**
 * gs_chan_recv - receive into *@elem (may be NULL: discard)
 *
 * On a NULL channel it waits for ever. Return: 1, 0 if the channel is closed and
 * drained (*@elem is then zeroed), -ETIMEDOUT, -ECANCELED.
 */
GS_API int gs_chan_recv(gs_chan *c, void *elem);
GS_API int gs_chan_recv_until(gs_chan *c, void *elem, int64_t deadline);
/** gs_chan_try_recv - receive if that needs no wait. Return: 1, 0, -EAGAIN. */
GS_API int gs_chan_try_recv(gs_chan *c, void *elem);

/** gs_chan_close - no more sends; wakes all who wait. Return: 0, -EPIPE if closed already. */
GS_API int gs_chan_close(gs_chan *c);

/** gs_chan_len - elements buffered now. */
GS_API size_t gs_chan_len(gs_chan *c);

/** gs_chan_cap - elements that it can buffer. */
GS_API size_t gs_chan_cap(gs_chan *c);

/**
 * gs_chan_eventfd - a descriptor for event loops
 *
 * It is readable as long as a receive would not wait: an element is there, a sender
 * waits, or the channel is closed. So a loop polls it and then calls
 * gs_chan_try_recv() until that says -EAGAIN. It belongs to the channel: do not read,
 * write or close it. The first call makes it. Any thread. Return: it, or -errno.
 */
GS_API int gs_chan_eventfd(gs_chan *c);

enum gs_dir {
	GS_SEND = 1,
	GS_RECV = 2,
};

/**
 * struct gs_case - one thing that gs_select may do
 * @chan:   the channel; NULL: never ready
 * @send:   what to send, GS_SEND
 * @recv:   where to receive into, or NULL: discard, GS_RECV
 * @dir:    GS_SEND or GS_RECV
 * @result: of the case that was chosen: as gs_chan_send()'s or gs_chan_recv()'s
 */
struct gs_case {
	gs_chan *chan;
	union {
		const void *send;
		void *recv;
	};
	int32_t dir;
	int32_t result;
};

/**
 * gs_select - do one of several sends and receives
 * @cases: what could be done; the same channel may stand in several
 * @n:     how many, up to 65536; with none, or only NULL channels, it waits for ever
 *
 * Waits until one of them can be done, does that one, and none of the others. Among
 * several that can be done at once each is as likely. A closed channel can be received
 * from (@result 0) and sent to (@result -EPIPE) at once.
 *
 * Return: the index of the case that was done, -ETIMEDOUT, -ECANCELED, -ENOMEM, -EINVAL.
 */
GS_API int gs_select(struct gs_case *cases, size_t n);
GS_API int gs_select_until(struct gs_case *cases, size_t n, int64_t deadline);
/** gs_try_select - as a select with a default case. Return: an index, -EAGAIN, -EINVAL. */
GS_API int gs_try_select(struct gs_case *cases, size_t n);

/* -------------------------------------------------------------------- timers */

/*
 * A timer is a channel of int64_t with a buffer of one: it is sent the time, gs_now(),
 * when it fires, unless the last one has not been received yet. gs_chan_unref() ends
 * it. Stopped or set anew it holds no old time. Any thread.
 */

/** gs_after - fires once, in @ns nanoseconds. NULL: no memory, or no runtime runs. */
GS_API gs_chan *gs_after(int64_t ns);

/**
 * gs_tick - fires every @ns nanoseconds (> 0), the first time after @ns
 *
 * Ticks that nobody receives in time are left out, not made up for; the times stay
 * multiples of @ns after the start. Return: the timer; NULL: no memory, no runtime, or
 * @ns is not positive.
 */
GS_API gs_chan *gs_tick(int64_t ns);

/**
 * gs_timer_stop - it does not fire any more
 * @t: from gs_after() or gs_tick()
 *
 * Return: 1: it was to fire, or had fired and the time had not been received; 0: the
 * time had been received, or the timer been stopped; -EINVAL: @t is no timer.
 */
GS_API int gs_timer_stop(gs_chan *t);

/**
 * gs_timer_reset - start @t anew with @ns, as gs_after() or gs_tick()
 *
 * Return: as gs_timer_stop(); -EINVAL also for what gs_after() and gs_tick() refuse. After
 * -ENOMEM it is stopped.
 */
GS_API int gs_timer_reset(gs_chan *t, int64_t ns);

/* ---------------------------------------------------------- locks and the like */

/*
 * Zero bytes are all of them unlocked, at none. Not to be copied. Goroutines and
 * threads of the program that are none may use the same one. Of calls without a
 * result, and of unlocking, misuse stops the program with a message.
 */

typedef struct {
	uint32_t state;
	uint32_t lock;
	void *waiters;
} gs_mutex;

typedef struct {
	uint64_t state;
	uint32_t lock;
	uint32_t reserved;
	void *waiters;
} gs_wg;

#define GS_MUTEX_INIT { 0, 0, NULL }
#define GS_WG_INIT { 0, 0, 0, NULL }

/** gs_mutex_lock - lock; parks while another goroutine holds @m. Not cancelled. */
GS_API void gs_mutex_lock(gs_mutex *m);
/** gs_mutex_lock_until - Return: 0, -ETIMEDOUT, -ECANCELED. */
GS_API int gs_mutex_lock_until(gs_mutex *m, int64_t deadline);
/** gs_mutex_trylock - Return: 0, or -EBUSY. */
GS_API int gs_mutex_trylock(gs_mutex *m);
/** gs_mutex_unlock - unlock; any goroutine may. Stops the program if @m is not locked. */
GS_API void gs_mutex_unlock(gs_mutex *m);

/** gs_wg_add - add @n, which may be negative. Stops the program below zero. */
GS_API void gs_wg_add(gs_wg *wg, int n);
/** gs_wg_done - add -1. */
GS_API void gs_wg_done(gs_wg *wg);
/** gs_wg_wait - wait until the count is zero. Return: 0, -ECANCELED. */
GS_API int gs_wg_wait(gs_wg *wg);
/** gs_wg_wait_until - Return: 0, -ETIMEDOUT, -ECANCELED. */
GS_API int gs_wg_wait_until(gs_wg *wg, int64_t deadline);

/*
 * Many readers or one writer. A writer that waits keeps new readers out; when it
 * unlocks, the readers that waited go first. So neither starves, and a reader must not
 * lock a second time while it holds the lock.
 */
typedef struct {
	uint32_t state;
	uint32_t lock;
	void *readers, *writers;
} gs_rwmutex;

#define GS_RWMUTEX_INIT { 0, 0, NULL, NULL }

/* The calls without a result are not cancelled; _until: 0, -ETIMEDOUT, -ECANCELED. */
GS_API void gs_rwmutex_lock(gs_rwmutex *rw);
GS_API int gs_rwmutex_lock_until(gs_rwmutex *rw, int64_t deadline);
/** gs_rwmutex_trylock - Return: 0, or -EBUSY. */
GS_API int gs_rwmutex_trylock(gs_rwmutex *rw);
GS_API void gs_rwmutex_unlock(gs_rwmutex *rw);
GS_API void gs_rwmutex_rlock(gs_rwmutex *rw);
GS_API int gs_rwmutex_rlock_until(gs_rwmutex *rw, int64_t deadline);
/** gs_rwmutex_tryrlock - Return: 0, or -EBUSY. */
GS_API int gs_rwmutex_tryrlock(gs_rwmutex *rw);
GS_API void gs_rwmutex_runlock(gs_rwmutex *rw);

/* A condition variable. Waiters are woken in the order in which they came. */
typedef struct {
	uint32_t waiting;
	uint32_t lock;
	void *waiters;
} gs_cond;

#define GS_COND_INIT { 0, 0, NULL }

/**
 * gs_cond_wait - unlock @m, wait for a signal, lock @m
 *
 * A signal sent after @m has been unlocked is not missed. Wakes for nothing but a
 * signal; but what was signalled may be gone again, so wait in a loop. @m is locked
 * again whatever is returned: 0, -ECANCELED; _until: also -ETIMEDOUT.
 */
GS_API int gs_cond_wait(gs_cond *c, gs_mutex *m);
GS_API int gs_cond_wait_until(gs_cond *c, gs_mutex *m, int64_t deadline);
/** gs_cond_signal - wake one waiter; with or without the mutex. */
GS_API void gs_cond_signal(gs_cond *c);
/** gs_cond_broadcast - wake all. */
GS_API void gs_cond_broadcast(gs_cond *c);

/* A semaphore of @permits; who wants many is not overtaken by those who want few. */
typedef struct {
	uint32_t lock;
	uint32_t reserved;
	int64_t permits;
	void *waiters;
} gs_sem;

#define GS_SEM_INIT(permits) { 0, 0, permits, NULL }

/** gs_sem_acquire - take @n permits. Return: 0, -ECANCELED, -EINVAL: @n < 0. */
GS_API int gs_sem_acquire(gs_sem *s, int64_t n);
/** gs_sem_acquire_until - Return: as before, and -ETIMEDOUT. */
GS_API int gs_sem_acquire_until(gs_sem *s, int64_t n, int64_t deadline);
/** gs_sem_try_acquire - Return: 0, -EAGAIN, -EINVAL. */
GS_API int gs_sem_try_acquire(gs_sem *s, int64_t n);
/** gs_sem_release - give @n permits back, or add them. Stops the program if @n < 0. */
GS_API void gs_sem_release(gs_sem *s, int64_t n);

typedef struct {
	uint32_t state;
	uint32_t lock;
	void *waiters;
} gs_once;

#define GS_ONCE_INIT { 0, 0, NULL }

/**
 * gs_once_do - call @fn(@arg) if nobody has with this @o
 *
 * Returns when the call has returned, whoever makes it; not cancelled. If @fn ends its
 * goroutine it counts as done. Stops the program if @fn itself gets here with this @o.
 */
GS_API void gs_once_do(gs_once *o, void (*fn)(void *), void *arg);

/* ------------------------------------------------------------------- diagnosis */

/**
 * gs_dump - write what every goroutine does
 * @fd: where to
 *
 * One block each: number, name, state, for how long, what it waits for, and a backtrace
 * where it can be had: of the caller and of all that do not run just now. A goroutine
 * that runs meanwhile may be shown as it was a moment before. Any thread. Return: 0,
 * -EINVAL if no runtime runs, or write's -errno.
 */
GS_API int gs_dump(int fd);

/**
 * gs_fatal - stop the program: message, goroutine, backtrace on standard error; abort
 * @fmt: as printf's
 */
GS_API void gs_fatal(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/**
 * struct gs_times - where a goroutine's time went, in nanoseconds
 * @executing: on a CPU
 * @runnable:  ready, waiting for a P
 * @waiting:   parked
 * @insyscall: blocked in the kernel, or kept off the CPU by it, while it had a P or was
 *             on its way to one
 */
struct gs_times {
	uint64_t executing, runnable, waiting, insyscall;
};

/** gs_profile_start - account times from now on. Any thread. Return: 0, -EINVAL: no runtime. */
GS_API int gs_profile_start(void);

/** gs_times - the calling goroutine's since gs_profile_start(). Return: 0, -EINVAL. */
GS_API int gs_times(struct gs_times *t);

/**
 * gs_profile_write - sums by entry function
 * @fd: where to
 *
 * A line per function that goroutines were started with, the largest executing time
 * first: how many, executing, runnable, waiting, insyscall (ns), the function's name
 * or address, separated by tabs; the first line names the columns. Goroutines that
 * exist count up to now. Any thread. Return: 0, -EINVAL: not started, or write's -errno.
 */
GS_API int gs_profile_write(int fd);

/* --------------------------------------------------------------------- traces */

/**
 * gs_trace_start - record scheduling events
 * @events: events that each P keeps (rounded up to a power of two); when a P's
 *          ring is full its oldest are overwritten
 *
 * Any thread. Return: 0, -EBUSY if recording, -EINVAL if no runtime runs, -ENOMEM.
 */
GS_API int gs_trace_start(size_t events);

/**
 * gs_trace_stop - stop recording and write what was recorded
 * @fd: where to
 *
 * Any thread; writes with write(2). The text is one event a line, in order of
 * time: nanoseconds since gs_trace_start, P, CPU, G, the state that G enters
 * (runnable, executing, waiting, syscall, dead), a wait reason or "-", the G's
 * name or "-", separated by single tabs; the first line names the columns.
 * Return: 0, -EINVAL if not recording, or write's -errno.
 */
GS_API int gs_trace_stop(int fd);

#ifdef __cplusplus
}
#endif

#endif /* GSCHED_H */
