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
 *   them; a deadline of 0 (or in the past) tries once. A passed deadline is
 *   -ETIMEDOUT; where there is no memory for the timer, -ENOMEM.
 * - "Goroutine context" means: called by a goroutine. A call not so marked may
 *   be made by any thread of a program whose runtime is running.
 * - No call may be made from a signal handler.
 * - A goroutine changes its thread only inside calls of this library.
 */
#ifndef GSCHED_H
#define GSCHED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GS_API __attribute__((visibility("default")))

/* ------------------------------------------------------------- the runtime */

/**
 * gs_main - run a program as goroutines
 * @fn:   the first goroutine; its result becomes gs_main's
 * @argc: passed to @fn
 * @argv: passed to @fn
 *
 * Starts the runtime, runs @fn as a goroutine and returns when it returns;
 * goroutines that still exist then do not run on. exit() works too, from any
 * goroutine. Environment: GSCHED_MAXPROCS (number of Ps; default: the CPUs that
 * the process may use), GSCHED_BACKEND (module or epoll; default: module if
 * /dev/gsched can be opened, else epoll), GSCHED_DEBUG: settings for those who look
 * for a fault or measure, separated by commas; all but leave are the module's and
 * mean nothing to the portable backend:
 *
 *   nohandoff   a thread that blocks keeps its P
 *   nohold      a thread that has lost its P goes on without one until its next
 *               call; then there is no preemption either
 *   nopreempt   a goroutine that computes keeps its P
 *   slice=MS    see gs_set_slice(); decimal fractions are allowed
 *   minrun=MS   the same
 *   maxms=N     the most threads that run goroutines, 1 to 16384; default 10000.
 *               When so many are blocked that no more can be made although a P is
 *               free, the runtime says so on standard error, once
 *   leave=MS    a thread that has found nothing to do for so long ends, if more of
 *               them are idle than there are Ps; default 5000, 0: never
 *
 * Return: @fn's result, or -errno if the runtime cannot start. -EBUSY: it runs
 * already. -EINVAL: GSCHED_BACKEND or GSCHED_DEBUG is not understood.
 */
GS_API int gs_main(int (*fn)(int, char **), int argc, char **argv);

/**
 * gs_go - start a goroutine
 * @fn:  its function
 * @arg: its argument
 *
 * Any thread. Never waits. Return: 0, -ENOMEM, or -EINVAL if no runtime runs.
 */
GS_API int gs_go(void (*fn)(void *), void *arg);

/** gs_goexit - end the calling goroutine. Goroutine context. */
GS_API void gs_goexit(void) __attribute__((noreturn));

/** gs_yield - let other goroutines run. Goroutine context. */
GS_API void gs_yield(void);

/** gs_now - CLOCK_MONOTONIC in nanoseconds: what deadlines are measured in. */
GS_API int64_t gs_now(void);

/**
 * gs_sleep - sleep for @ns nanoseconds
 *
 * Goroutine context. Return: 0. Sleeping for 0 or less yields.
 */
GS_API int gs_sleep(int64_t ns);

/** gs_sleep_until - sleep until @deadline. Goroutine context. Return: 0. */
GS_API int gs_sleep_until(int64_t deadline);

/**
 * gs_set_maxprocs - change how many goroutines may run at the same time
 * @n: the new number of Ps; 0 or less: change nothing
 *
 * Any thread. A P that is taken away goes when its goroutine makes its next call,
 * with preemption (gs_features()) soon in any case. Return: the number before,
 * -EINVAL if @n is too large, or -ENOMEM.
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

/* --------------------------------------------------------------- descriptors */

/*
 * These have the shapes of the system calls and park the goroutine where the
 * system call would block the thread. O_NONBLOCK is never changed on a
 * descriptor that the library did not open. On a file that cannot be waited for
 * (a regular file) they are the plain system calls. Goroutine context.
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

/* ------------------------------------------------------------------ channels */

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

/** gs_chan_unref - drop a reference; the last frees. Nobody may wait in @c then. */
GS_API void gs_chan_unref(gs_chan *c);

/**
 * gs_chan_send - send a copy of *@elem
 *
 * Goroutine context. Return: 0, -EPIPE if the channel is closed, -ETIMEDOUT.
 */
GS_API int gs_chan_send(gs_chan *c, const void *elem);
GS_API int gs_chan_send_until(gs_chan *c, const void *elem, int64_t deadline);

/**
 * gs_chan_recv - receive into *@elem (may be NULL: discard)
 *
 * Goroutine context. Return: 1, 0 if the channel is closed and drained (*@elem
 * is then zeroed), -ETIMEDOUT.
 */
GS_API int gs_chan_recv(gs_chan *c, void *elem);
GS_API int gs_chan_recv_until(gs_chan *c, void *elem, int64_t deadline);

/** gs_chan_close - no more sends; wakes all who wait. Return: 0, -EPIPE if closed already. */
GS_API int gs_chan_close(gs_chan *c);

/** gs_chan_len - elements buffered now. */
GS_API size_t gs_chan_len(gs_chan *c);

/** gs_chan_cap - elements that it can buffer. */
GS_API size_t gs_chan_cap(gs_chan *c);

/* ------------------------------------------------------- mutex and wait group */

/* Zero bytes are an unlocked mutex, a wait group of none. Not to be copied. */
typedef struct {
	uint32_t state;
	uint32_t lock;
	void *head, *tail;
} gs_mutex;

typedef struct {
	uint64_t state;
	uint32_t lock;
	uint32_t reserved;
	void *waiters;
} gs_wg;

#define GS_MUTEX_INIT { 0, 0, NULL, NULL }
#define GS_WG_INIT { 0, 0, 0, NULL }

/** gs_mutex_lock - lock; parks while another goroutine holds @m. Goroutine context. */
GS_API void gs_mutex_lock(gs_mutex *m);
/** gs_mutex_lock_until - Return: 0, or -ETIMEDOUT. Goroutine context. */
GS_API int gs_mutex_lock_until(gs_mutex *m, int64_t deadline);
/** gs_mutex_trylock - Return: 0, or -EBUSY. */
GS_API int gs_mutex_trylock(gs_mutex *m);
/** gs_mutex_unlock - unlock; any goroutine may. Stops the program if @m is not locked. */
GS_API void gs_mutex_unlock(gs_mutex *m);

/** gs_wg_add - add @n, which may be negative. Stops the program below zero. */
GS_API void gs_wg_add(gs_wg *wg, int n);
/** gs_wg_done - add -1. */
GS_API void gs_wg_done(gs_wg *wg);
/** gs_wg_wait - wait until the count is zero. Goroutine context. */
GS_API void gs_wg_wait(gs_wg *wg);
/** gs_wg_wait_until - Return: 0, or -ETIMEDOUT. Goroutine context. */
GS_API int gs_wg_wait_until(gs_wg *wg, int64_t deadline);

/* --------------------------------------------------------------------- traces */

/**
 * gs_trace_start - record scheduling events
 * @events: events that each P keeps (rounded up to a power of two); when a P's
 *          ring is full its oldest are overwritten
 *
 * Any thread. Return: 0, -EBUSY if recording, -ENOMEM.
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
