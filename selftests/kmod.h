/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kmod_*.c tests share: they speak to /dev/gsched by ioctl and shared
 * memory only, as <linux/gsched.h> says.
 *
 * kselftest's ASSERT_*() jump back to the test by longjmp, so they are for its
 * main thread only. Threads, children and helpers use must(), which ends the
 * process: the test then fails with the line that must() has printed.
 *
 * Threads that hold a P keep in_sched raised, so that the kernel never takes it
 * while the test looks elsewhere.
 */
#ifndef KMOD_H
#define KMOD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/gsched.h>

#include "clock.h"
#include "harness.h"
#include "random.h"

#define must(cond) do {								\
	if (!(cond)) {								\
		fprintf(stderr, "# %s:%d: %s: must be: %s (errno %d)\n",	\
			__FILE__, __LINE__, __func__, #cond, errno);		\
		_exit(1);							\
	}									\
} while (0)

/* A comment in the test's output; tests leave by _exit(). */
#define note(...) do {								\
	printf("# " __VA_ARGS__);						\
	putchar('\n');								\
	fflush(stdout);								\
} while (0)

/* A spawner that has failed is not asked again before. */
#define SPAWN_PAUSE_NS	(100 * NSEC_PER_MSEC)

/* Far beyond what any step takes: it only bounds how long a failure takes. */
#define PATIENCE_NS	(15 * NSEC_PER_SEC * slowness())

/* Wait until @cond is true; false: it did not become true. */
#define eventually(cond) ({						\
	int64_t end_ = now_ns() + PATIENCE_NS;				\
	bool ok_;							\
	while (!(ok_ = (cond)) && now_ns() < end_)			\
		sleep_ns(NSEC_PER_MSEC / 2);				\
	ok_;								\
})

/* Long enough for what must not happen to happen, if it does. */
static inline void let_it_happen(void)
{
	sleep_ns(60 * NSEC_PER_MSEC);
}

/* Iterations of a stress test: KMOD_SCALE multiplies them. */
static inline unsigned int scaled(unsigned int n)
{
	const char *s = getenv("KMOD_SCALE");

	return s ? n * atof(s) : n;
}

/* The seed of a randomised test: printed, and KMOD_SEED repeats it. */
static inline unsigned int test_seed(void)
{
	const char *s = getenv("KMOD_SEED");
	unsigned int seed = s ? strtoul(s, NULL, 0) : (unsigned int)(now_ns() ^ getpid());

	note("KMOD_SEED=%u", seed);
	return seed;
}

/* Delay by nothing, a short loop, a yield or some microseconds. */
static inline void rnd_delay(unsigned int *state)
{
	switch (rnd(state, 4)) {
	case 0:
		for (volatile unsigned int i = rnd(state, 500); i; i--)
			;
		break;
	case 1:
		sched_yield();
		break;
	case 2:
		sleep_ns(rnd(state, 50000));
		break;
	}
}

/* --------------------------------------------------------------- contexts */

struct gs {
	int fd;
	struct gsched_setup setup;
	struct gsched_shared *shared;
	struct gsched_proc *procs;
	struct gsched_m *ms;
	struct gsched_slot *slots;
	__u32 nr_ever;		/* Ps that ever were: a push can still come to a dead one */
};

/* 0 or -errno. */
static inline int gs_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

static inline int gs_open(void)
{
	return open(GSCHED_DEVICE, O_RDWR | O_CLOEXEC);
}

static inline void *gs_map(int fd, __u64 offset, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
}

static inline size_t page_align(size_t size)
{
	return (size + 4095) & ~4095UL;
}

static inline size_t gs_procs_size(struct gs *gs)
{
	return gs->setup.max_procs * sizeof(struct gsched_proc);
}

static inline size_t gs_ms_size(struct gs *gs)
{
	return page_align(gs->setup.max_ms * sizeof(struct gsched_m));
}

static inline size_t gs_slots_size(struct gs *gs)
{
	return page_align((gs->setup.first_slot + gs->setup.max_slots) *
			  sizeof(struct gsched_slot));
}

static inline void gs_map_all(struct gs *gs)
{
	gs->shared = gs_map(gs->fd, GSCHED_OFF_SHARED, sizeof(*gs->shared));
	must(gs->shared != MAP_FAILED);
	gs->procs = gs_map(gs->fd, GSCHED_OFF_PROCS, gs_procs_size(gs));
	must(gs->procs != MAP_FAILED);
	gs->ms = gs_map(gs->fd, GSCHED_OFF_MS, gs_ms_size(gs));
	must(gs->ms != MAP_FAILED);
	gs->slots = gs_map(gs->fd, GSCHED_OFF_SLOTS, gs_slots_size(gs));
	must(gs->slots != MAP_FAILED);
}

static inline void gs_unmap_all(struct gs *gs)
{
	munmap(gs->shared, sizeof(*gs->shared));
	munmap(gs->procs, gs_procs_size(gs));
	munmap(gs->ms, gs_ms_size(gs));
	munmap(gs->slots, gs_slots_size(gs));
}

/* Open, set up and map a context; @flags are GSCHED_SETUP_*. */
static inline void gs_start_with(struct gs *gs, __u32 flags, __u32 nr_procs, __u32 max_procs,
				 __u32 max_ms, __u32 max_slots)
{
	memset(gs, 0, sizeof(*gs));
	gs->setup = (struct gsched_setup){
		.flags = flags,
		.nr_procs = nr_procs,
		.max_procs = max_procs,
		.max_ms = max_ms,
		.max_slots = max_slots,
	};
	gs->nr_ever = nr_procs;
	gs->fd = gs_open();
	must(gs->fd >= 0);
	must(gs_ioctl(gs->fd, GSCHED_IOC_SETUP, &gs->setup) == 0);
	gs_map_all(gs);
}

static inline void gs_start(struct gs *gs, __u32 nr_procs, __u32 max_procs,
			    __u32 max_ms, __u32 max_slots)
{
	gs_start_with(gs, 0, nr_procs, max_procs, max_ms, max_slots);
}

static inline void gs_stop(struct gs *gs)
{
	gs_unmap_all(gs);
	close(gs->fd);
}

/* ------------------------------------------------------- one call, one line */

static inline int gs_set_procs(struct gs *gs, __u32 n)
{
	struct gsched_set_procs arg = { .nr_procs = n };
	int err = gs_ioctl(gs->fd, GSCHED_IOC_SET_PROCS, &arg);
	__u32 ever = __atomic_load_n(&gs->nr_ever, __ATOMIC_RELAXED);

	while (!err && n > ever && !__atomic_compare_exchange_n(&gs->nr_ever, &ever, n, false,
								__ATOMIC_SEQ_CST,
								__ATOMIC_SEQ_CST))
		;
	return err;
}

static inline int gs_register_bare(struct gs *gs, __u32 *id)
{
	struct gsched_m_register arg = { .id = GSCHED_NONE };
	int err = gs_ioctl(gs->fd, GSCHED_IOC_M_REGISTER, &arg);

	*id = arg.id;
	return err;
}

/* With in_sched raised: what the M gets, it keeps. */
static inline int gs_register(struct gs *gs, __u32 *id)
{
	int err = gs_register_bare(gs, id);

	if (!err)
		gs->ms[*id].in_sched = 1;
	return err;
}

static inline int gs_unregister(struct gs *gs)
{
	return gs_ioctl(gs->fd, GSCHED_IOC_M_UNREGISTER, NULL);
}

static inline int gs_acquire(struct gs *gs, __u32 flags, __u32 *proc)
{
	struct gsched_acquire arg = { .flags = flags, .proc = GSCHED_NONE };
	int err = gs_ioctl(gs->fd, GSCHED_IOC_ACQUIRE, &arg);

	*proc = arg.proc;
	return err;
}

static inline int gs_times(struct gs *gs, __u64 slice_ns, __u64 min_run_ns)
{
	struct gsched_times arg = { .slice_ns = slice_ns, .min_run_ns = min_run_ns };

	return gs_ioctl(gs->fd, GSCHED_IOC_TIMES, &arg);
}

static inline int gs_release(struct gs *gs)
{
	return gs_ioctl(gs->fd, GSCHED_IOC_RELEASE, NULL);
}

/* Gives up after @leave_ms, if more Ms idle than there are Ps. */
static inline int gs_idle_or_leave(struct gs *gs, __u32 leave_ms, __u64 deadline, __u32 *reason,
				   __u32 *proc)
{
	struct gsched_idle arg = {
		.leave_ms = leave_ms, .deadline = deadline, .proc = GSCHED_NONE,
	};
	int err = gs_ioctl(gs->fd, GSCHED_IOC_IDLE, &arg);

	*reason = arg.reason;
	*proc = arg.proc;
	return err;
}

static inline int gs_idle(struct gs *gs, __u64 deadline, __u32 *reason, __u32 *proc)
{
	return gs_idle_or_leave(gs, 0, deadline, reason, proc);
}

static inline int gs_wake(struct gs *gs)
{
	struct gsched_wake arg = { 0 };

	return gs_ioctl(gs->fd, GSCHED_IOC_WAKE, &arg);
}

static inline int gs_spawner(struct gs *gs, __u32 flags, __u32 *reason)
{
	struct gsched_spawner arg = { .flags = flags };
	int err = gs_ioctl(gs->fd, GSCHED_IOC_SPAWNER, &arg);

	*reason = arg.reason;
	return err;
}

static inline int gs_enqueue(struct gs *gs, __u32 proc, __u64 cookie)
{
	struct gsched_enqueue arg = { .proc = proc, .cookie = cookie };

	return gs_ioctl(gs->fd, GSCHED_IOC_ENQUEUE, &arg);
}

static inline int gs_fd_register(struct gs *gs, int fd, __u32 *slot)
{
	struct gsched_fd arg = { .fd = fd };
	int err = gs_ioctl(gs->fd, GSCHED_IOC_FD_REGISTER, &arg);

	*slot = arg.slot;
	return err;
}

static inline int gs_fd_unregister(struct gs *gs, __u32 slot)
{
	struct gsched_fd arg = { .slot = slot };

	return gs_ioctl(gs->fd, GSCHED_IOC_FD_UNREGISTER, &arg);
}

static inline __u64 gs_features(struct gs *gs)
{
	struct gsched_query q = { 0 };

	must(gs_ioctl(gs->fd, GSCHED_IOC_QUERY, &q) == 0);
	return q.features;
}

/* ------------------------------------------------------------------ fdinfo */

#define FDINFO_LINE	128
#define FDINFO_TEXT	16384

static inline void gs_fdinfo_text(struct gs *gs, char text[FDINFO_TEXT])
{
	char path[64];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", gs->fd);
	f = fopen(path, "re");
	must(f);
	len = fread(text, 1, FDINFO_TEXT - 1, f);
	fclose(f);
	text[len] = '\0';
}

/* The rest of the first line of the context's fdinfo after @key, or "". */
static inline void gs_fdinfo(struct gs *gs, const char *key, char rest[FDINFO_LINE])
{
	char text[FDINFO_TEXT], *at;

	rest[0] = '\0';
	gs_fdinfo_text(gs, text);
	at = strstr(text, key);
	if (at)
		snprintf(rest, FDINFO_LINE, "%.*s", (int)strcspn(at + strlen(key), "\n"),
			 at + strlen(key));
}

/* What the kernel knows, for who looks into a failure. */
static inline void gs_show(struct gs *gs)
{
	char text[FDINFO_TEXT];

	gs_fdinfo_text(gs, text);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		note("%s", line);
}

/* A counter: "NAME:\t1" at the start of a line, or "NAME=1" within one. */
static inline unsigned long gs_counter(struct gs *gs, const char *name)
{
	static const char *const forms[] = { "\n%s:\t", " %s=", "\t%s=" };
	char key[32], value[FDINFO_LINE] = "";

	for (unsigned int i = 0; i < 3 && !value[0]; i++) {
		snprintf(key, sizeof(key), forms[i], name);
		gs_fdinfo(gs, key, value);
	}
	must(value[0]);
	return strtoul(value, NULL, 10);
}

/* Is the M "awake", "waiting", "idle", "held", "preempted", "loose"? */
static inline bool m_is(struct gs *gs, __u32 id, const char *state)
{
	char key[32], line[FDINFO_LINE], *at;

	snprintf(key, sizeof(key), "\nm%u:\t", id);
	gs_fdinfo(gs, key, line);
	at = strstr(line, "state=");
	must(at);
	return !strcmp(at + strlen("state="), state);
}

/* ----------------------------------------------------------- shared memory */

static inline __u32 load32(const __u32 *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static inline __u64 load64(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static inline struct gsched_node *gs_node(struct gs *gs, __u32 slot, int dir)
{
	return &gs->slots[slot].node[dir];
}

/* Forget readiness: before the system call that may fail with EAGAIN. */
static inline __u64 node_reset(struct gsched_node *node)
{
	return __atomic_exchange_n(&node->word, GSCHED_WORD_NIL, __ATOMIC_SEQ_CST);
}

/* True: @cookie waits in the node. False: it is ready. */
static inline bool node_park(struct gsched_node *node, __u64 cookie)
{
	__u64 nil = GSCHED_WORD_NIL;

	return __atomic_compare_exchange_n(&node->word, &nil, cookie, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline __u32 node_events(struct gsched_node *node)
{
	return load32(&node->events);
}

static inline void node_clear_events(struct gsched_node *node, __u32 bits)
{
	__atomic_fetch_and(&node->events, ~bits, __ATOMIC_SEQ_CST);
}

static inline struct gsched_node *gs_node_nr(struct gs *gs, __u32 nr)
{
	must(nr < 2 * (gs->setup.first_slot + gs->setup.max_slots));
	return gs_node(gs, nr / 2, nr % 2);
}

/* Reverse the list of nodes that begins with @link, which is node + 1. */
static inline __u32 inbox_reverse(struct gs *gs, __u32 link)
{
	__u32 done = 0;

	while (link) {
		struct gsched_node *node = gs_node_nr(gs, link - 1);
		__u32 next = node->next;

		node->next = done;
		done = link;
		link = next;
	}
	return done;
}

/*
 * Take all of a P's inbox and hand the cookies to @got, the oldest first. The
 * store of 0 gives the node back to the kernel, so next is read before it: it is
 * the release to the acquire with which the kernel looks whether the node is free.
 */
static inline unsigned int inbox_take(struct gs *gs, __u32 proc,
				      void (*got)(void *arg, __u64 cookie), void *arg)
{
	__u32 link = __atomic_exchange_n(&gs->procs[proc].inbox, 0, __ATOMIC_SEQ_CST);
	unsigned int n = 0;

	link = inbox_reverse(gs, link);
	while (link) {
		struct gsched_node *node = gs_node_nr(gs, link - 1);
		__u64 cookie = node->cookie;

		link = node->next;
		must(cookie >= GSCHED_COOKIE_MIN);
		__atomic_store_n(&node->cookie, 0, __ATOMIC_RELEASE);
		got(arg, cookie);
		n++;
	}
	return n;
}

/* The same for all Ps. */
static inline unsigned int inbox_take_all(struct gs *gs,
					  void (*got)(void *arg, __u64 cookie), void *arg)
{
	unsigned int n = 0;

	for (__u32 p = 0; p < load32(&gs->nr_ever); p++) {
		if (load32(&gs->procs[p].inbox))
			n += inbox_take(gs, p, got, arg);
	}
	return n;
}

static inline void ignore_cookie(void *arg, __u64 cookie)
{
	(void)arg;
	(void)cookie;
}

/*
 * Outside of a section the kernel may take the P, and the M has one whenever it is
 * in user mode; only what the M itself reads of that can be relied on.
 */
static inline void section_leave(struct gs *gs, __u32 id)
{
	__atomic_store_n(&gs->ms[id].in_sched, 0, __ATOMIC_RELEASE);
}

/* Return: the P that the M holds, and keeps now. */
static inline __u32 section_enter(struct gs *gs, __u32 id)
{
	__atomic_store_n(&gs->ms[id].in_sched, 1, __ATOMIC_SEQ_CST);
	return load32(&gs->ms[id].proc);
}

static inline __u32 owner_of_proc(struct gs *gs, __u32 proc)
{
	return load32(&gs->procs[proc].owner);
}

static inline __u32 nr_idle(struct gs *gs)
{
	return load32(&gs->shared->nr_idle);
}

static inline __u32 nr_blocked(struct gs *gs)
{
	return load32(&gs->shared->nr_blocked);
}

/* Take back what the kernel added for an M that it woke to look for work. */
static inline __u32 take_spinning(struct gs *gs)
{
	return __atomic_exchange_n(&gs->shared->nr_spinning, 0, __ATOMIC_SEQ_CST);
}

/* End of the search for work that IDLE_WORK began. True: look once more. */
static inline bool spinning_end(struct gs *gs)
{
	return __atomic_fetch_sub(&gs->shared->nr_spinning, 1, __ATOMIC_SEQ_CST) == 1;
}

/* ------------------------------------------------------------------ actors */

/*
 * A thread that makes one call at a time, when told. The test begins a call that
 * may sleep, looks at the world, and later collects the result.
 */
struct actor {
	struct gs *gs;
	pthread_t thread;
	pid_t tid;
	sem_t todo;
	sem_t done;
	int (*call)(struct actor *a);
	int result;
	int64_t ended;		/* when the call returned */
	void *arg;		/* the test's own */

	/* arguments and results of the calls below */
	__u32 id;
	__u32 flags;
	__u32 proc;
	__u32 reason;
	__u32 leave_ms;
	__u64 deadline;
};

static inline void sem_wait_for(sem_t *sem)
{
	while (sem_wait(sem))
		must(errno == EINTR);
}

static inline void *actor_main(void *arg)
{
	struct actor *a = arg;

	a->tid = syscall(SYS_gettid);
	sem_post(&a->done);
	for (;;) {
		sem_wait_for(&a->todo);
		if (!a->call)
			return NULL;
		a->result = a->call(a);
		a->ended = now_ns();
		sem_post(&a->done);
	}
}

/* On the heap, for ever: its call may end after the test, with the context. */
static inline struct actor *actor_start(struct gs *gs)
{
	struct actor *a = calloc(1, sizeof(*a));

	must(a);
	a->gs = gs;
	a->id = GSCHED_NONE;
	sem_init(&a->todo, 0, 0);
	sem_init(&a->done, 0, 0);
	must(pthread_create(&a->thread, NULL, actor_main, a) == 0);
	sem_wait_for(&a->done);
	return a;
}

static inline void actor_begin(struct actor *a, int (*call)(struct actor *a))
{
	a->call = call;
	sem_post(&a->todo);
}

static inline bool actor_ended(struct actor *a)
{
	int n;

	sem_getvalue(&a->done, &n);
	return n > 0;
}

/* Collect the result of actor_begin(); a call that never ends fails the test. */
static inline int actor_end(struct actor *a)
{
	must(eventually(actor_ended(a)));
	sem_wait_for(&a->done);
	return a->result;
}

static inline int actor_do(struct actor *a, int (*call)(struct actor *a))
{
	actor_begin(a, call);
	return actor_end(a);
}

/* The thread ends, still registered if it was. */
static inline void actor_exit(struct actor *a)
{
	actor_begin(a, NULL);
	must(pthread_join(a->thread, NULL) == 0);
	free(a);
}

static inline int act_register(struct actor *a)
{
	return gs_register(a->gs, &a->id);
}

static inline int act_unregister(struct actor *a)
{
	return gs_unregister(a->gs);
}

static inline int act_acquire(struct actor *a)
{
	return gs_acquire(a->gs, a->flags, &a->proc);
}

static inline int act_release(struct actor *a)
{
	return gs_release(a->gs);
}

static inline int act_idle(struct actor *a)
{
	return gs_idle_or_leave(a->gs, a->leave_ms, a->deadline, &a->reason, &a->proc);
}

static inline int act_spawner(struct actor *a)
{
	return gs_spawner(a->gs, a->flags, &a->reason);
}

/* A thread that is an M. */
static inline struct actor *actor_start_m(struct gs *gs)
{
	struct actor *a = actor_start(gs);

	must(actor_do(a, act_register) == 0);
	return a;
}

/* True while the thread sleeps in the ioctl @cmd. */
static inline bool sleeps_in(pid_t tid, unsigned int cmd)
{
	char path[64], line[256] = "";
	unsigned long fd, seen;
	int nr, f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	f = open(path, O_RDONLY | O_CLOEXEC);
	must(f >= 0);
	must(read(f, line, sizeof(line) - 1) > 0);
	close(f);
	return sscanf(line, "%d %lx %lx", &nr, &fd, &seen) == 3 &&
	       nr == SYS_ioctl && (unsigned int)seen == cmd;
}

/*
 * True if the actor has not left the call after a while. It may be awake for a moment,
 * to look whether it has to sleep on.
 */
static inline bool stays_asleep(struct actor *a, unsigned int cmd)
{
	let_it_happen();
	return eventually(actor_ended(a) || sleeps_in(a->tid, cmd)) && !actor_ended(a);
}

/* Begin a call of the actor and wait until it sleeps in it. */
static inline void actor_begin_sleep(struct actor *a, int (*call)(struct actor *a),
				     unsigned int cmd)
{
	actor_begin(a, call);
	must(eventually(sleeps_in(a->tid, cmd)));
}

static inline void actor_begin_acquire(struct actor *a)
{
	actor_begin_sleep(a, act_acquire, GSCHED_IOC_ACQUIRE);
}

static inline void actor_begin_idle(struct actor *a)
{
	actor_begin_sleep(a, act_idle, GSCHED_IOC_IDLE);
}

static inline void actor_begin_spawner(struct actor *a)
{
	actor_begin_sleep(a, act_spawner, GSCHED_IOC_SPAWNER);
}

/* The letter of a thread's state in /proc. */
static inline char thread_state(pid_t pid, pid_t tid)
{
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "re");
	must(f);
	must(fgets(line, sizeof(line), f));
	fclose(f);
	return strrchr(line, ')')[2];
}

static inline int pin_thread_to_cpu(pid_t tid, unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(tid, sizeof(set), &set);
}

static inline void pin_to_cpu(unsigned int cpu)
{
	must(pin_thread_to_cpu(0, cpu) == 0);
}

static inline unsigned int nr_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

/* --------------------------------------------------------------- processes */

/* Exit status, 128 + signal if it was killed. */
static inline int child_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		must(errno == EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline pid_t child_start(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (pid == 0)
		_exit(fn(arg));
	return pid;
}

/* Run @fn in a child; its return value is the exit status. */
static inline int in_child(int (*fn)(void *arg), void *arg)
{
	return child_wait(child_start(fn, arg));
}

/* ------------------------------------------------------------------ memory */

static sigjmp_buf fault_env;
static siginfo_t fault_info;

static inline void fault_handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	fault_info = *info;
	siglongjmp(fault_env, 1);
}

/* Write to (or only read) a byte: 0, or the signal that it raised. */
static inline int touch(void *addr, bool write)
{
	struct sigaction act = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO };
	struct sigaction segv, bus;
	volatile char *p = addr;
	int sig = 0;

	sigaction(SIGSEGV, &act, &segv);
	sigaction(SIGBUS, &act, &bus);
	if (sigsetjmp(fault_env, 1))
		sig = fault_info.si_signo;
	else if (write)
		*p = *p + 1;
	else
		(void)*p;
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

static inline int touch_read(void *addr)
{
	return touch(addr, false);
}

static inline int touch_write(void *addr)
{
	return touch(addr, true);
}

/* ------------------------------------------------------------------ module */

/* References to the module, -1: it is not loaded. */
static inline int module_refs(void)
{
	FILE *f = fopen("/sys/module/gsched/refcnt", "re");
	int n = -1;

	if (f) {
		must(fscanf(f, "%d", &n) == 1);
		fclose(f);
	}
	return n;
}

/* All contexts of processes that are gone, and of closed files, are freed. */
static inline bool module_unused(void)
{
	return eventually(module_refs() == 0);
}

/* The first number after @key in a file like /proc/meminfo or memory.stat. */
static inline long read_key(const char *path, const char *key)
{
	char line[256];
	long value = -1;
	FILE *f = fopen(path, "re");

	must(f);
	while (value < 0 && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, strlen(key)))
			must(sscanf(line + strlen(key), "%*[: \t]%ld", &value) == 1);
	}
	fclose(f);
	return value;
}

static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0);
	must(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* A context's short life: for what must work whatever has happened before. */
static inline void use_context(void)
{
	__u32 id, proc, reason, slot;
	struct gs gs;

	gs_start(&gs, 2, 2, 2, 4);
	must(gs_register(&gs, &id) == 0);
	must(gs_acquire(&gs, 0, &proc) == 0);
	must(gs_fd_register(&gs, eventfd(1, 0), &slot) == 0);
	must(load64(&gs_node(&gs, slot, GSCHED_DIR_READ)->word) == GSCHED_WORD_READY);
	must(gs_enqueue(&gs, GSCHED_NONE, 5) == 0);
	must(gs_idle(&gs, 0, &reason, &proc) == 0);
	must(inbox_take_all(&gs, ignore_cookie, NULL) == 1);
	must(gs_unregister(&gs) == 0);
	gs_stop(&gs);
}

/* With "--nothing" it is what a test executes in the place of a process. */
#define KMOD_MAIN								\
	int main(int argc, char **argv)						\
	{									\
		if (argc == 2 && !strcmp(argv[1], "--nothing"))			\
			return 0;						\
		if (access(GSCHED_DEVICE, F_OK))				\
			ksft_exit_skip("there is no %s\n", GSCHED_DEVICE);	\
		return test_harness_run(argc, argv);				\
	}

#endif /* KMOD_H */
