// SPDX-License-Identifier: GPL-2.0
/*
 * Hostile user space: processes that write anything anywhere into the shared memory of
 * their contexts while these are in full use, and call everything with any argument. It
 * costs them their own contexts. The kernel goes on, they can be killed, they leave nothing
 * behind, and what another process does with its context stays right.
 *
 * kmod_storm's scribblers are many and short-lived; these use all that there is: several
 * contexts, Ms that compute, block, and are held, preempted, stopped and traced, arguments
 * that change while they are read, more mappings of the same pages.
 *
 * A life is a function of its seed: KMOD_SEED repeats it, as far as timing allows.
 */
#include "kmod.h"

#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define UID_BAD		1000
#define NR_GS		3
#define MAX_PROCS	8
#define MAX_MS		16
#define MAX_SLOTS	64
#define LIFE_NS		(400 * NSEC_PER_MSEC)
/* It takes no time, but the machine may be busy. */
#define KILL_NS		(20 * NSEC_PER_SEC)
/* A life that has not ended by itself by then is ended. */
#define END_NS		(4 * NSEC_PER_SEC)

static struct gs gs[NR_GS];
static unsigned int life_seed;

static unsigned int thread_seed(uintptr_t i)
{
	return life_seed * 2654435761u + i * 40503u;
}

static struct gs *some_gs(unsigned int *seed)
{
	return &gs[rnd(seed, NR_GS)];
}

static unsigned int rnd32(unsigned int *seed)
{
	return rnd(seed, 1 << 16) << 16 | rnd(seed, 1 << 16);
}

/* ------------------------------------------------------------------- nasty values */

static __u64 some_time(unsigned int *seed)
{
	return now_ns() + rnd(seed, 4000000) - 2000000;
}

static __u64 nasty(unsigned int *seed)
{
	static const __u64 values[] = {
		0, 1, 2, 3, MAX_PROCS - 1, MAX_PROCS, MAX_PROCS + 1, MAX_MS, 127, 128, 129, 255,
		256, 257, GSCHED_MAX_PROCS, GSCHED_MAX_MS, GSCHED_MAX_SLOTS, INT_MAX,
		(__u32)INT_MIN, UINT_MAX, UINT_MAX - 1, LONG_MAX, (__u64)LONG_MIN, ULONG_MAX,
		ULONG_MAX - 1, 0xffff888000000000, 0xffffffff81000000, 0xdead000000000100,
		0x8080808080808080, 1ULL << 32, 0xffffULL << 16,
	};

	switch (rnd(seed, 4)) {
	case 0:
		return some_time(seed);
	case 1:
		return (__u64)rnd32(seed) << 32 | rnd32(seed);
	default:
		return values[rnd(seed, ARRAY_SIZE(values))];
	}
}

/* ---------------------------------------------------------------------- scribblers */

struct region {
	char *base;
	size_t size;
};

static struct region some_region(unsigned int *seed)
{
	struct gs *g = some_gs(seed);
	struct region regions[] = {
		{ (char *)g->shared, sizeof(*g->shared) },
		{ (char *)g->procs, gs_procs_size(g) },
		{ (char *)g->ms, gs_ms_size(g) },
		{ (char *)g->slots, gs_slots_size(g) },
	};

	return regions[rnd(seed, ARRAY_SIZE(regions))];
}

static void store(char *at, unsigned int size, __u64 value)
{
	switch (size) {
	case 1:
		*(volatile __u8 *)at = value;
		break;
	case 2:
		*(volatile __u16 *)at = value;
		break;
	case 4:
		*(volatile __u32 *)at = value;
		break;
	default:
		*(volatile __u64 *)at = value;
	}
}

static void scribble_one(struct region r, unsigned int *seed)
{
	unsigned int size = 1U << rnd(seed, 4);

	store(r.base + rnd(seed, r.size / size) * size, size, nasty(seed));
}

/* What is right for another word, of this object or another one. */
static void scribble_copy(struct region to, struct region from, unsigned int *seed)
{
	__u32 value = *(volatile __u32 *)(from.base + rnd(seed, from.size / 4) * 4);

	store(to.base + rnd(seed, to.size / 4) * 4, 4, value + rnd(seed, 3) - 1);
}

/* Every word in turn. */
static void scribble_all(struct region r, unsigned int *seed)
{
	__u64 value = nasty(seed);

	for (size_t off = 0; off < r.size; off += 8)
		store(r.base + off, 8, value);
}

/* The words that the kernel looks at most, as fast as can be. */
static void scribble_hot(struct gs *g, unsigned int *seed)
{
	struct gsched_proc *p = &g->procs[rnd(seed, MAX_PROCS)];
	struct gsched_m *m = &g->ms[rnd(seed, MAX_MS)];
	struct gsched_node *node = gs_node(g, rnd(seed, GSCHED_NONE) %
					   (g->setup.first_slot + MAX_SLOTS), rnd(seed, 2));
	char *words[] = {
		(char *)&p->inbox, (char *)&p->attention, (char *)&p->steps, (char *)&p->next_when,
		(char *)&p->head, (char *)&p->tail, (char *)&p->runnext, (char *)&m->in_sched,
		(char *)&g->shared->nr_blocked, (char *)&g->shared->nr_spinning,
		(char *)&g->shared->global_len, (char *)&g->shared->nr_idle,
		(char *)&node->word, (char *)&node->cookie, (char *)&node->next,
		(char *)&node->proc, (char *)&node->events,
	};
	char *at = words[rnd(seed, ARRAY_SIZE(words))];
	__u64 a = nasty(seed), b = nasty(seed);

	for (int i = 0; i < 500; i++)
		store(at, 4, i & 1 ? a : b);
}

static void *scribbler(void *arg)
{
	unsigned int seed = thread_seed((uintptr_t)arg);

	for (;;) {
		switch (rnd(&seed, 64)) {
		case 0:
			scribble_all(some_region(&seed), &seed);
			break;
		case 1 ... 4:
			scribble_hot(some_gs(&seed), &seed);
			break;
		case 5 ... 20:
			scribble_copy(some_region(&seed), some_region(&seed), &seed);
			break;
		default:
			scribble_one(some_region(&seed), &seed);
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------ calls, any of them */

/* Where an argument may lie: also where a scribbler writes while it is read. */
static void *some_arg(unsigned int *seed, void *own)
{
	struct region r;

	switch (rnd(seed, 16)) {
	case 0:
		return NULL;
	case 1:
		return (void *)nasty(seed);
	case 2:
		return (char *)own + 4096 - rnd(seed, 64);	/* into what is not mapped */
	case 3 ... 5:
		r = some_region(seed);
		return r.base + rnd(seed, r.size);
	default:
		return own;
	}
}

static unsigned long some_cmd(unsigned int *seed)
{
	static const unsigned long cmds[] = {
		GSCHED_IOC_QUERY, GSCHED_IOC_SETUP, GSCHED_IOC_SET_PROCS, GSCHED_IOC_M_REGISTER,
		GSCHED_IOC_M_UNREGISTER, GSCHED_IOC_ACQUIRE, GSCHED_IOC_RELEASE, GSCHED_IOC_IDLE,
		GSCHED_IOC_WAKE, GSCHED_IOC_SPAWNER, GSCHED_IOC_ENQUEUE, GSCHED_IOC_FD_REGISTER,
		GSCHED_IOC_FD_UNREGISTER, GSCHED_IOC_TIMES,
	};
	unsigned long cmd = cmds[rnd(seed, ARRAY_SIZE(cmds))];

	if (rnd(seed, 8) == 0)
		cmd = _IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), rnd(seed, 1 << 14));
	if (rnd(seed, 32) == 0)
		cmd ^= 1UL << rnd(seed, 32);
	return cmd;
}

/* Mostly small numbers, some of which are right. */
static void fill_arg(__u32 *arg, unsigned int *seed)
{
	memset(arg, 0, 4096);
	for (unsigned int i = 0; i < 8; i++) {
		if (rnd(seed, 3) == 0)
			arg[i] = rnd(seed, 4) ? rnd(seed, 200) : nasty(seed);
	}
	if (rnd(seed, 2))
		memcpy(&arg[2], &(__u64){ some_time(seed) }, 8);
}

static void *own_page(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(page != MAP_FAILED);
	must(munmap(page + 4096, 4096) == 0);
	return page;
}

static void any_call(unsigned int *seed, void *page)
{
	fill_arg(page, seed);
	ioctl(some_gs(seed)->fd, some_cmd(seed), some_arg(seed, page));
}

/* Its own arguments may end it up anywhere, but in SPAWNER, IDLE and ACQUIRE for ever. */
static void *caller(void *arg)
{
	unsigned int seed = thread_seed((uintptr_t)arg);
	void *page = own_page();

	for (;;)
		any_call(&seed, page);
	return NULL;
}

/* ------------------------------------------------------------------------------- Ms */

static int some_file(unsigned int *seed)
{
	struct itimerspec often = { { 0, 300000 }, { 0, 300000 } };
	int s[2], fd;

	switch (rnd(seed, 4)) {
	case 0:
		return eventfd(1, EFD_NONBLOCK);
	case 1:
		return epoll_create1(0);
	case 2:
		fd = timerfd_create(CLOCK_MONOTONIC, 0);
		timerfd_settime(fd, 0, &often, NULL);
		return fd;
	default:
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
			return -1;
		close(s[1]);
		return s[0];
	}
}

static void use_file(struct gs *g, unsigned int *seed)
{
	__u64 one = 1;
	int fd = some_file(seed), err;
	__u32 slot;

	err = gs_fd_register(g, fd, &slot);
	for (unsigned int i = rnd(seed, 20); i; i--)
		must(write(fd, &one, sizeof(one)) || true);
	if (rnd(seed, 2))
		close(fd);
	if (!err && rnd(seed, 2))
		gs_fd_unregister(g, slot);
	if (rnd(seed, 2))
		gs_fd_unregister(g, g->setup.first_slot + rnd(seed, MAX_SLOTS));
	close(fd);
}

static void compute(unsigned int *seed)
{
	for (volatile unsigned int i = rnd(seed, 300000); i; i--)
		;
}

static void m_step(struct gs *g, unsigned int *seed)
{
	__u32 id, proc, reason;

	switch (rnd(seed, 12)) {
	case 0:
	case 1:
		gs_acquire(g, rnd(seed, 2), &proc);
		break;
	case 2:
	case 3:
		compute(seed);			/* until it is preempted, and held */
		break;
	case 4:
	case 5:
		sleep_ns(rnd(seed, 300000));	/* its P is taken meanwhile */
		break;
	case 6:
		gs_idle_or_leave(g, rnd(seed, 3), some_time(seed), &reason, &proc);
		break;
	case 7:
		use_file(g, seed);
		break;
	case 8:
		gs_enqueue(g, rnd(seed, MAX_PROCS + 1) - 1, 2 + rnd(seed, 1000));
		break;
	case 9:
		gs_release(g);
		break;
	case 10:
		gs_set_procs(g, 1 + rnd(seed, MAX_PROCS));
		break;
	case 11:
		if (rnd(seed, 8) == 0) {
			gs_unregister(g);
			gs_register_bare(some_gs(seed), &id);
		}
		break;
	}
}

static void *be_m(void *arg)
{
	unsigned int seed = thread_seed((uintptr_t)arg);
	__u32 id;

	gs_register_bare(&gs[(uintptr_t)arg % NR_GS], &id);
	for (;;)
		m_step(rnd(&seed, 8) ? &gs[(uintptr_t)arg % NR_GS] : some_gs(&seed), &seed);
	return NULL;
}

static void *spawner(void *arg)
{
	unsigned int seed = thread_seed((uintptr_t)arg);
	__u32 reason;

	for (;;) {
		gs_spawner(some_gs(&seed), rnd(&seed, 2), &reason);
		rnd_delay(&seed);
	}
	return NULL;
}

/* ------------------------------------------------------------------------- mappings */

/* What mapped pages can be asked for, whether it makes sense or not. */
static void bend_mapping(char *at, size_t size, unsigned int *seed)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_DOFORK, MADV_DONTFORK, MADV_REMOVE, MADV_PAGEOUT, MADV_COLD,
		MADV_FREE, MADV_MERGEABLE, MADV_HUGEPAGE, MADV_DODUMP, MADV_WILLNEED,
		MADV_POPULATE_WRITE, MADV_WIPEONFORK, MADV_HWPOISON,
	};
	size_t more = size * (1 + rnd(seed, 2));
	void *moved;

	switch (rnd(seed, 5)) {
	case 0:
		mprotect(at, size, PROT_READ);
		break;
	case 1:
		moved = mremap(at, size, more, MREMAP_MAYMOVE);
		if (moved == MAP_FAILED)
			break;
		at = moved;
		size = more;
		break;
	case 2:
		mlock(at, size);
		break;
	default:
		madvise(at, size, advice[rnd(seed, ARRAY_SIZE(advice))]);
	}
	munmap(at, size);
}

static void *mapper(void *arg)
{
	unsigned int seed = thread_seed((uintptr_t)arg);

	for (;;) {
		size_t size = 4096UL << rnd(&seed, 4);
		__u64 offset = GSCHED_OFF(rnd(&seed, 32)) + 4096ULL * rnd(&seed, 4);
		char *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
				rnd(&seed, 4) ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE,
				some_gs(&seed)->fd, offset);

		if (at != MAP_FAILED)
			bend_mapping(at, size, &seed);
	}
	return NULL;
}

/* A child that has the pages after all. */
static void fork_scribbler(void)
{
	for (int i = 0; i < NR_GS; i++) {
		madvise(gs[i].shared, sizeof(*gs[i].shared), MADV_DOFORK);
		madvise(gs[i].procs, gs_procs_size(&gs[i]), MADV_DOFORK);
		madvise(gs[i].ms, gs_ms_size(&gs[i]), MADV_DOFORK);
		madvise(gs[i].slots, gs_slots_size(&gs[i]), MADV_DOFORK);
	}
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		scribbler((void *)99);
	}
}

/* --------------------------------------------------------------------------- a life */

enum ending {
	BY_EXIT,
	BY_EXEC,
	BY_KILL,
	BY_CLOSE,
	BY_PARENT,
	BY_CORE,
	NR_ENDINGS,
};

static enum ending ending_of(unsigned int seed)
{
	return seed % NR_ENDINGS;
}

static void end_as(enum ending how)
{
	switch (how) {
	case BY_EXEC:
		execl("/proc/self/exe", "kmod_hostile", "--nothing", NULL);
		break;
	case BY_KILL:
		raise(SIGKILL);
		break;
	case BY_CLOSE:
		for (int i = 0; i < NR_GS; i++)
			close(gs[i].fd);
		sleep_ns(10 * NSEC_PER_MSEC);
		break;
	case BY_PARENT:
		for (;;)
			pause();
	case BY_CORE:
		signal(SIGABRT, SIG_DFL);
		abort();
	default:
		break;
	}
	_exit(0);
}

/* Every page that there will ever be exists before the scribbling begins. */
static void make_pages(struct gs *g, unsigned int flags)
{
	__u32 id, slot;
	int fd[MAX_SLOTS];

	gs_start_with(g, flags, MAX_PROCS, MAX_PROCS, MAX_MS, MAX_SLOTS);
	must(gs_register(g, &id) == 0);
	for (int i = 0; i < MAX_SLOTS; i++) {
		fd[i] = eventfd(0, 0);
		must(gs_fd_register(g, fd[i], &slot) == 0);
	}
	for (int i = 0; i < MAX_SLOTS; i++)
		must(gs_fd_unregister(g, g->setup.first_slot + i) == 0 && close(fd[i]) == 0);
	must(gs_unregister(g) == 0);
	must(gs_set_procs(g, 2) == 0);
	must(gs_times(g, GSCHED_MIN_TIME * 4, GSCHED_MIN_TIME) == 0);
}

static pthread_t threads[32];

static void start(void *(*fn)(void *arg), uintptr_t i)
{
	must(pthread_create(&threads[i], NULL, fn, (void *)i) == 0);
}

/* Signals end what would last for ever. */
static void disturb(uintptr_t nr, int64_t ns, unsigned int *seed)
{
	int64_t end = now_ns() + ns;

	while (now_ns() < end) {
		pthread_kill(threads[rnd(seed, nr)], SIGUSR1);
		sleep_ns(rnd(seed, 1000000));
	}
}

static void ignore_signal(int sig)
{
	(void)sig;
}

static void live(unsigned int seed)
{
	struct rlimit core = { 4 << 20, 4 << 20 };
	unsigned int state = seed;
	uintptr_t i = 0;

	life_seed = seed;
	must(setgroups(0, NULL) == 0 && setresgid(UID_BAD, UID_BAD, UID_BAD) == 0 &&
	     setresuid(UID_BAD, UID_BAD, UID_BAD) == 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
	signal(SIGPIPE, SIG_IGN);
	if (ending_of(seed) == BY_CORE)
		setrlimit(RLIMIT_CORE, &core);
	setpriority(PRIO_PROCESS, 0, 5);
	for (int g = 0; g < NR_GS; g++)
		make_pages(&gs[g], g == 2 ? rnd(&state, 8) : 0);
	while (i < 6)
		start(be_m, i++);
	while (i < 8)
		start(caller, i++);
	start(spawner, i++);
	start(mapper, i++);
	if (rnd(&state, 4) == 0)
		fork_scribbler();
	start(scribbler, i++);
	start(scribbler, i++);
	disturb(i, LIFE_NS, &state);
	end_as(ending_of(seed));
}

/* ---------------------------------------------------------------------- from outside */

/* Of the process beside which it happens; in memory that the parent reads. */
struct good {
	unsigned long rounds;		/* of all Ms, made under their Ps */
	unsigned long taken;		/* Gs that came by the inbox */
	unsigned int stop;
};

static struct good *good;

static pid_t start_life(unsigned int seed)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (pid == 0) {
		must(chdir("/tmp") == 0);
		/* Its random stores may go anywhere in its memory, and this is shared. */
		must(munmap(good, 4096) == 0);
		live(seed);
	}
	return pid;
}

/* One of its threads, or 0. */
static pid_t some_thread(pid_t pid, unsigned int *seed)
{
	char path[64];
	struct dirent *d;
	pid_t tid = 0;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((d = readdir(dir))) {
		if (d->d_name[0] != '.' && rnd(seed, ++n) == 0)
			tid = atoi(d->d_name);
	}
	closedir(dir);
	return tid;
}

/*
 * A thread that ends while it is traced waits for its tracer, and an exec for that thread;
 * and who then traces another thread waits for the exec. One that is stopped may end before
 * it is let go.
 */
static void trace(pid_t pid, pid_t tid)
{
	siginfo_t info = { 0 };

	if (!tid || ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return;
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	if (waitid(P_PID, tid, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL))
		return;
	if (ptrace(PTRACE_DETACH, tid, NULL, NULL) && tid != pid)
		waitid(P_PID, tid, &info, WEXITED | __WALL);
}

/* Stop it, let it go, signal it, trace it. It may end any time. */
static void torment(pid_t pid, unsigned int *seed)
{
	switch (rnd(seed, 4)) {
	case 0:
		kill(pid, SIGSTOP);
		sleep_ns(rnd(seed, 10000000));
		kill(pid, SIGCONT);
		break;
	case 1:
		kill(pid, SIGUSR1);
		break;
	case 2:
		trace(pid, some_thread(pid, seed));
		break;
	}
	sleep_ns(rnd(seed, 20000000));
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	must(waitid(P_PID, pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0);
	return info.si_pid == pid;
}

/* As it should, or killed by us before. */
static bool ended_well(enum ending how, int status)
{
	if (status == 128 + SIGKILL || (how == BY_EXEC && status == 128 + SIGUSR1))
		return true;
	return how == BY_CORE ? status == 128 + SIGABRT : status == 0;
}

/* Return: it ended in time, and by what should end it; if nothing else, SIGKILL does. */
static bool end_life(pid_t pid, unsigned int seed)
{
	int64_t end = now_ns() + KILL_NS;
	int status;

	kill(pid, SIGKILL);
	while (!has_ended(pid)) {
		if (now_ns() > end) {
			note("seed %u: cannot be killed", seed);
			return false;
		}
		sleep_ns(NSEC_PER_MSEC);
	}
	status = child_wait(pid);
	if (!ended_well(ending_of(seed), status))
		note("seed %u: ending %d, status %d", seed, ending_of(seed), status);
	return ended_well(ending_of(seed), status);
}

static void torment_for(pid_t pid, int64_t ns, unsigned int *seed)
{
	int64_t end = now_ns() + ns;

	while (now_ns() < end && !has_ended(pid))
		torment(pid, seed);
}

/* Return: it could be ended. */
static bool one_life(unsigned int seed)
{
	pid_t pid = start_life(seed);
	unsigned int state = seed;

	torment_for(pid, ending_of(seed) == BY_PARENT ? 2 * LIFE_NS : END_NS, &state);
	return end_life(pid, seed);
}

/* ----------------------------------------------------------------------- the good one */

#define GOOD_PROCS	2
#define GOOD_MS		4

static struct gs good_gs;
static struct {
	unsigned int used;		/* somebody has the P */
	unsigned long count;		/* changed by who has it only */
} good_p[GOOD_PROCS];

/* A P is one M's. What stands beside it is changed without atomics. */
static void good_round(__u32 proc)
{
	must(proc < GOOD_PROCS);
	must(__atomic_exchange_n(&good_p[proc].used, 1, __ATOMIC_SEQ_CST) == 0);
	good_p[proc].count++;
	for (volatile int i = 0; i < 200; i++)
		;
	__atomic_add_fetch(&good->taken,
			   inbox_take(&good_gs, proc, ignore_cookie, NULL), __ATOMIC_RELAXED);
	must(__atomic_exchange_n(&good_p[proc].used, 0, __ATOMIC_SEQ_CST) == 1);
}

static void *good_m(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	unsigned long rounds = 0;
	__u32 id, proc;

	must(gs_register(&good_gs, &id) == 0);
	must(gs_acquire(&good_gs, 0, &proc) == 0);
	while (!load32(&good->stop)) {
		good_round(proc);
		rounds++;
		section_leave(&good_gs, id);
		if (rnd(&seed, 64) == 0)
			sleep_ns(50000);
		else
			compute(&(unsigned int){ seed % 512 });
		proc = section_enter(&good_gs, id);
		if (rnd(&seed, 16) == 0)
			must(gs_acquire(&good_gs, GSCHED_ACQUIRE_YIELD, &proc) == 0);
	}
	__atomic_add_fetch(&good->rounds, rounds, __ATOMIC_SEQ_CST);
	must(gs_unregister(&good_gs) == 0);
	return NULL;
}

/* Every G that is sent arrives. */
static unsigned long send_gs(void)
{
	unsigned long sent = 0;
	int err;

	while (!load32(&good->stop)) {
		err = gs_enqueue(&good_gs, sent % GOOD_PROCS, 2 + sent);
		must(err == 0 || err == -EAGAIN);
		sent += !err;
		sleep_ns(200000);
	}
	return sent;
}

static int be_good(void *arg)
{
	pthread_t thread[GOOD_MS];
	unsigned long count = 0, sent;

	(void)arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	gs_start(&good_gs, GOOD_PROCS, GOOD_PROCS, GOOD_MS, 1);
	for (uintptr_t i = 0; i < GOOD_MS; i++)
		must(pthread_create(&thread[i], NULL, good_m, (void *)i) == 0);
	sent = send_gs();
	for (int i = 0; i < GOOD_MS; i++)
		must(pthread_join(thread[i], NULL) == 0);
	for (int i = 0; i < GOOD_PROCS; i++) {
		count += good_p[i].count;
		good->taken += inbox_take(&good_gs, i, ignore_cookie, NULL);
	}
	if (count != good->rounds || good->taken != sent)
		note("%lu of %lu rounds, %lu of %lu Gs", count, good->rounds, good->taken, sent);
	return count != good->rounds || good->taken != sent;
}

static pid_t good_start(void)
{
	memset(good, 0, sizeof(*good));
	return child_start(be_good, NULL);
}

/* Return: rounds in a second. */
static unsigned long good_stop(pid_t pid, int64_t start)
{
	__atomic_store_n(&good->stop, 1, __ATOMIC_SEQ_CST);
	must(child_wait(pid) == 0);
	return good->rounds * 1000 / ((now_ns() - start) / NSEC_PER_MSEC);
}

static unsigned long good_alone(void)
{
	int64_t start = now_ns();
	pid_t pid = good_start();

	sleep_ns(2 * NSEC_PER_SEC);
	return good_stop(pid, start);
}

/* ----------------------------------------------------------------------------- tests */

/* On a kernel that looks for leaks: ask it now. True: none. */
static bool no_leaks(void)
{
	const char *path = "/sys/kernel/debug/kmemleak";
	char text[4096];
	ssize_t n = 0;
	int fd;

	if (access(path, F_OK))
		return true;
	sleep_ns(6 * NSEC_PER_SEC);	/* what is younger than five seconds is not told */
	write_file(path, "scan");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n > 0)
		note("%.*s", (int)n, text);
	return n <= 0;
}

FIXTURE(hostile) {
	mode_t mode;
};

FIXTURE_SETUP(hostile)
{
	struct sigaction act = { .sa_handler = ignore_signal };
	struct stat st;

	ASSERT_TRUE(module_unused());
	sigaction(SIGUSR1, &act, NULL);
	must(stat(GSCHED_DEVICE, &st) == 0);
	self->mode = st.st_mode;
	must(chmod(GSCHED_DEVICE, 0666) == 0);
	good = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)good);
}

FIXTURE_TEARDOWN(hostile)
{
	chmod(GSCHED_DEVICE, self->mode);
	EXPECT_TRUE(module_unused());
	EXPECT_TRUE(no_leaks());
}

TEST_F_TIMEOUT(hostile, harms_itself_only, 200)
{
	unsigned int seed = test_seed(), n = scaled(12);
	unsigned long alone = good_alone(), beside;
	int64_t start_at = now_ns();
	pid_t pid = good_start();

	for (unsigned int i = 0; i < n; i++) {
		EXPECT_TRUE(one_life(seed * 31 + i));
	}
	beside = good_stop(pid, start_at);
	note("%lu rounds a second alone, %lu beside %u hostile processes", alone, beside, n);
	EXPECT_LE(alone / 20, beside);
}

KMOD_MAIN
