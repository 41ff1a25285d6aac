// SPDX-License-Identifier: GPL-2.0
/*
 * A user who takes all that he can get: of the memory, of the time of interrupts, of
 * the slots. He gets what is his; the machine and other users go on.
 */
#include "kmod_cgroup.h"

#include <grp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define UID_BAD		1000
#define UID_GOOD	1001

static void become(uid_t uid)
{
	must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	if (!uid)
		return;
	must(setgroups(0, NULL) == 0);
	must(setresgid(uid, uid, uid) == 0);
	must(setresuid(uid, uid, uid) == 0);
	/* Lost with the change of user. */
	must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
}

static int use_context_as(void *uid)
{
	become(*(uid_t *)uid);
	use_context();
	return 0;
}

/* The device is everybody's while a test runs. */
static mode_t device_mode;

static void device_open_to_all(void)
{
	struct stat st;

	must(stat(GSCHED_DEVICE, &st) == 0);
	device_mode = st.st_mode;
	must(chmod(GSCHED_DEVICE, 0666) == 0);
}

static void device_as_before(void)
{
	must(chmod(GSCHED_DEVICE, device_mode) == 0);
}

/* A child that does something and then stays, until it is told to go. */
struct guest {
	pid_t pid;
	int ready[2];
	int go[2];
};

static void guest_start(struct guest *g, void (*fn)(const void *arg), const void *arg)
{
	must(pipe2(g->ready, O_CLOEXEC) == 0 && pipe2(g->go, O_CLOEXEC) == 0);
	g->pid = fork();
	must(g->pid >= 0);
	if (g->pid == 0) {
		char c;

		close(g->ready[0]);
		close(g->go[1]);
		fn(arg);
		must(write(g->ready[1], "", 1) == 1);
		must(read(g->go[0], &c, 1) == 0);
		_exit(0);
	}
	close(g->ready[1]);
	close(g->go[0]);
}

/* Return: it has done what it should, and stays; false: it has ended. */
static bool guest_is_ready(struct guest *g)
{
	char c;

	return read(g->ready[0], &c, 1) == 1;
}

static void guest_kill(struct guest *g)
{
	kill(g->pid, SIGKILL);
	child_wait(g->pid);
	close(g->ready[0]);
	close(g->go[1]);
}

/* ------------------------------------------------------------------ interrupts */

/*
 * The tick looks at all Ps that ever were, every minimum run, for as long as an M waits for
 * a P. It takes two threads that sleep: no time of the user's own.
 */
struct ticking {
	uid_t uid;
	__u32 procs;
	unsigned int contexts;
	__u64 min_run;
};

static void *keep_p(void *arg)
{
	struct gs *gs = arg;
	__u32 id, proc;

	must(gs_register(gs, &id) == 0);
	must(gs_acquire(gs, 0, &proc) == 0);
	for (;;)
		pause();
	return NULL;
}

static void *want_p(void *arg)
{
	struct gs *gs = arg;
	__u32 id, proc;

	must(gs_register(gs, &id) == 0);
	gs_acquire(gs, 0, &proc);
	return NULL;
}

/* Return: 0, or -errno. */
static int start_thread_if(void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	err = pthread_create(&thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return -err;
}

static void start_thread(void *(*fn)(void *arg), void *arg)
{
	must(start_thread_if(fn, arg) == 0);
}

static void make_tick(struct gs *gs, const struct ticking *t)
{
	gs_start(gs, t->procs, t->procs, 2, 0);
	must(gs_set_procs(gs, 1) == 0);
	must(gs_times(gs, 0, t->min_run) == 0);
	start_thread(keep_p, gs);
	must(eventually(load32(&gs->procs[0].owner) != GSCHED_NONE));
	start_thread(want_p, gs);
	must(eventually(load32(&gs->shared->tick_on)));
}

#define MAX_TICKING	64

static struct gs ticking_gs[MAX_TICKING];

static unsigned long sum_of(unsigned int n, const char *counter)
{
	unsigned long sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += gs_counter(&ticking_gs[i], counter);
	return sum;
}

/* In a child: of the CPU 0, on which all their ticks are, what part do they take? */
static int measure_ticks(void *arg)
{
	const struct ticking *t = arg;
	unsigned long ns, ticks;
	int64_t start, took;

	become(t->uid);
	pin_to_cpu(0);
	for (unsigned int i = 0; i < t->contexts; i++)
		make_tick(&ticking_gs[i], t);
	pin_to_cpu(nr_cpus() - 1);
	sleep_ns(NSEC_PER_SEC);		/* what was fresh in the share is used up */
	start = now_ns();
	ns = sum_of(t->contexts, "tick_ns");
	ticks = sum_of(t->contexts, "ticks");
	sleep_ns(3 * NSEC_PER_SEC);
	ns = sum_of(t->contexts, "tick_ns") - ns;
	ticks = sum_of(t->contexts, "ticks") - ticks;
	took = now_ns() - start;
	note("%lu looks in %lld ms, %lu ns each, %lu percent of a CPU", ticks,
	     (long long)(took / NSEC_PER_MSEC), ticks ? ns / ticks : 0, 100 * ns / took);
	must(ticks >= t->contexts / 2);
	/*
	 * A twentieth is his. The machine may be busy while it looks, and what he is charged
	 * for a look has a limit, which a slow kernel exceeds.
	 */
	must((slowness() > 1 ? 5 : 10) * ns <= (unsigned long)took);
	return 0;
}

FIXTURE(ticks) {
};

FIXTURE_VARIANT(ticks) {
	struct ticking t;
};

FIXTURE_VARIANT_ADD(ticks, one) { .t = { UID_BAD, GSCHED_MAX_PROCS, 1, GSCHED_MIN_TIME } };
FIXTURE_VARIANT_ADD(ticks, large) { .t = { UID_BAD, GSCHED_MAX_PROCS, 16, GSCHED_MIN_TIME } };
FIXTURE_VARIANT_ADD(ticks, small) { .t = { UID_BAD, 1, MAX_TICKING, GSCHED_MIN_TIME } };

FIXTURE_SETUP(ticks)
{
	ASSERT_TRUE(module_unused());
	device_open_to_all();
}

FIXTURE_TEARDOWN(ticks)
{
	device_as_before();
	EXPECT_TRUE(module_unused());
}

TEST_F_TIMEOUT(ticks, take_their_share, 60)
{
	struct ticking t = variant->t;

	EXPECT_EQ(0, in_child(measure_ticks, &t));
}

static void tick_on(const void *arg)
{
	const struct ticking *t = arg;

	become(t->uid);
	pin_to_cpu(0);
	for (unsigned int i = 0; i < t->contexts; i++)
		make_tick(&ticking_gs[i], t);
}

/* In a child: an ordinary user's tick comes as it should, on the same CPU. */
static int measure_one(void *arg)
{
	struct ticking t = { UID_GOOD, 1, 1, GSCHED_MIN_RUN };
	unsigned long ticks;
	int64_t start, took;

	(void)arg;
	tick_on(&t);
	start = now_ns();
	ticks = sum_of(1, "ticks");
	sleep_ns(2 * NSEC_PER_SEC);
	ticks = sum_of(1, "ticks") - ticks;
	took = now_ns() - start;
	note("%lu looks in %lld ms", ticks, (long long)(took / NSEC_PER_MSEC));
	must(4 * ticks >= (unsigned long)(took / NSEC_PER_MSEC));
	return 0;
}

TEST_F_TIMEOUT(ticks, leave_others_theirs, 60)
{
	struct ticking t = variant->t;
	struct guest bad;

	guest_start(&bad, tick_on, &t);
	ASSERT_TRUE(guest_is_ready(&bad));
	EXPECT_EQ(0, in_child(measure_one, NULL));
	guest_kill(&bad);
}

/*
 * Contexts' first looks, all on the CPU 0, all asked for at the same time. Return: when the
 * last of them has come.
 */
static int64_t wait_for_first_ticks(unsigned int contexts, __u32 procs)
{
	int64_t start;

	for (unsigned int i = 0; i < contexts; i++) {
		gs_start(&ticking_gs[i], procs, procs, 2, 0);
		must(gs_times(&ticking_gs[i], 0, GSCHED_MIN_TIME) == 0);
	}
	pin_to_cpu(0);
	start = now_ns();
	for (unsigned int i = 0; i < contexts; i++)
		gs_wake(&ticking_gs[i]);
	pin_to_cpu(nr_cpus() - 1);
	must(eventually(gs_counter(&ticking_gs[contexts - 1], "ticks") != 0));
	return now_ns() - start;
}

/*
 * In a child: contexts that have never been looked at come one after the other, too. A look
 * is expected to cost at least 200 ns for each P.
 */
static int measure_first_ticks(void *arg)
{
	int64_t took, cost = MAX_TICKING * GSCHED_MAX_PROCS * 200LL;

	(void)arg;
	become(UID_BAD);
	took = wait_for_first_ticks(MAX_TICKING, GSCHED_MAX_PROCS);
	note("the last look comes after %lld ms", (long long)(took / NSEC_PER_MSEC));
	must(took >= 15 * cost);	/* 20, but for what is granted at once */
	return 0;
}

/* In a child: does it help to begin anew? Each context has booked one more look. */
static int measure_debt(void *arg)
{
	int64_t took;

	(void)arg;
	become(UID_BAD);
	wait_for_first_ticks(MAX_TICKING, GSCHED_MAX_PROCS);
	for (unsigned int i = 0; i < MAX_TICKING; i++)
		gs_stop(&ticking_gs[i]);
	must(module_unused());
	took = wait_for_first_ticks(1, 1);
	note("the next look comes after %lld ms", (long long)(took / NSEC_PER_MSEC));
	must(took >= 20 * NSEC_PER_MSEC);
	return 0;
}

FIXTURE(new_ticks) {
};

FIXTURE_SETUP(new_ticks)
{
	ASSERT_TRUE(module_unused());
	device_open_to_all();
}

FIXTURE_TEARDOWN(new_ticks)
{
	device_as_before();
	EXPECT_TRUE(module_unused());
}

TEST_F_TIMEOUT(new_ticks, take_their_share, 60)
{
	EXPECT_EQ(0, in_child(measure_first_ticks, NULL));
}

TEST_F_TIMEOUT(new_ticks, are_not_forgotten, 60)
{
	EXPECT_EQ(0, in_child(measure_debt, NULL));
}

/* --------------------------------------------------------------------- sweeps */

#define SWEEPING	800
#define HIST		"/sys/kernel/tracing/instances/kmod_exhaust"
#define HIST_EVENT	HIST "/events/workqueue/workqueue_execute_start"
#define HIST_TRIGGER	HIST_EVENT "/trigger"

static void *be_m(void *arg);

static bool count_work(void)
{
	if (mkdir(HIST, 0700))
		return false;
	if (access(HIST_EVENT "/hist", R_OK)) {
		rmdir(HIST);
		return false;
	}
	write_file(HIST_TRIGGER, "hist:keys=function.sym");
	return true;
}

/* How many sweeps there have been. */
static long sweeps(void)
{
	char line[256], *hits;
	long n = 0;
	FILE *f = fopen(HIST_EVENT "/hist", "re");

	must(f);
	while (fgets(line, sizeof(line), f)) {
		hits = strstr(line, "hitcount:");
		if (strstr(line, " gs_sweep ") && hits)
			n = atol(hits + 9);
	}
	fclose(f);
	return n;
}

static int watch_and_leave(void *arg)
{
	static struct gs gs[SWEEPING];
	static __u32 slot[SWEEPING];
	const struct rlimit files = { SWEEPING + 100, SWEEPING + 100 };
	int event = eventfd(0, 0);
	long before;

	(void)arg;
	must(event >= 0);
	must(setrlimit(RLIMIT_NOFILE, &files) == 0);
	for (int i = 0; i < SWEEPING; i++) {
		gs_start(&gs[i], 1, 1, 1, 1);
		start_thread(be_m, &gs[i]);
		must(eventually(!gs_fd_register(&gs[i], event, &slot[i])));
	}
	sleep_ns(NSEC_PER_SEC);
	before = sweeps();
	must(before);
	sleep_ns(NSEC_PER_SEC);
	note("%ld sweeps a second", sweeps() - before);
	for (int i = 0; i < SWEEPING; i++)
		must(gs_fd_unregister(&gs[i], slot[i]) == 0);
	sleep_ns(2 * NSEC_PER_SEC);
	before = sweeps();
	sleep_ns(NSEC_PER_SEC);
	note("%ld when nothing is watched", sweeps() - before);
	must(sweeps() == before);
	return 0;
}

FIXTURE(sweeps) {
	bool counted;
};

FIXTURE_SETUP(sweeps)
{
	self->counted = count_work();
}

FIXTURE_TEARDOWN(sweeps)
{
	if (!self->counted)
		return;
	write_file(HIST_TRIGGER, "!hist:keys=function.sym");
	EXPECT_EQ(0, rmdir(HIST));
}

/* Many who each pay for looks at nothing. */
TEST_F_TIMEOUT(sweeps, end_with_the_last_slot, 60)
{
	if (!self->counted)
		SKIP(return, "no histograms of work items in tracefs");
	EXPECT_EQ(0, in_child(watch_and_leave, NULL));
}

/* ---------------------------------------------------------------------- slots */

#define SLOTS_PARAM	"/sys/module/gsched/parameters/slots_per_user"
#define FEW_SLOTS	1000

static long slots_before;

static long slots_allowed(void)
{
	long value = -1;
	FILE *f = fopen(SLOTS_PARAM, "re");

	must(f);
	must(fscanf(f, "%ld", &value) == 1);
	fclose(f);
	return value;
}

FIXTURE(slots) {
};

FIXTURE_SETUP(slots)
{
	char text[32];

	ASSERT_TRUE(module_unused());
	device_open_to_all();
	slots_before = slots_allowed();
	ASSERT_LT(0, slots_before);
	snprintf(text, sizeof(text), "%d", FEW_SLOTS);
	write_file(SLOTS_PARAM, text);
}

FIXTURE_TEARDOWN(slots)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", slots_before);
	write_file(SLOTS_PARAM, text);
	device_as_before();
	EXPECT_TRUE(module_unused());
}

/* One file under many numbers, as many as the context lets. Return: how many. */
static int fill_slots(struct gs *gs, int last_error)
{
	int base = eventfd(0, 0), err = 0, n, fd;
	__u32 slot;

	for (n = 0; !err; n++) {
		fd = dup(base);
		must(fd >= 0);
		err = gs_fd_register(gs, fd, &slot);
	}
	must(err == last_error);
	return n - 1;
}

/* The slots of all his contexts together are a user's. */
static void fill_contexts(const void *arg)
{
	static struct gs gs[3];
	struct actor *m[3];
	int n = 0;

	become(*(const uid_t *)arg);
	for (int i = 0; i < 3; i++) {
		gs_start(&gs[i], 1, 1, 1, FEW_SLOTS * 2 / 5);
		m[i] = actor_start_m(&gs[i]);
		n += fill_slots(&gs[i], -ENOSPC);
	}
	must(m[2]);
	must(n == FEW_SLOTS);
	/* One that is given back can be had again. */
	must(gs_fd_unregister(&gs[0], gs[0].setup.first_slot) == 0);
	must(fill_slots(&gs[2], -ENOSPC) == 1);
}

TEST_F(slots, are_the_users)
{
	uid_t bad = UID_BAD, good = UID_GOOD;
	struct guest g, h;

	guest_start(&g, fill_contexts, &bad);
	ASSERT_TRUE(guest_is_ready(&g));
	EXPECT_EQ(0, in_child(use_context_as, &good));
	guest_start(&h, fill_contexts, &good);
	EXPECT_TRUE(guest_is_ready(&h));
	guest_kill(&h);
	guest_kill(&g);
}

/* Those of the dead count no more. */
TEST_F(slots, come_back)
{
	uid_t bad = UID_BAD;
	struct guest g;

	for (int i = 0; i < 3; i++) {
		guest_start(&g, fill_contexts, &bad);
		EXPECT_TRUE(guest_is_ready(&g));
		guest_kill(&g);
		EXPECT_TRUE(module_unused());
	}
}

/*
 * One event makes many descriptors ready, under a lock with interrupts off. Whatever
 * stands in shared memory, each of them may cost only so much: here nr_blocked says that
 * a P can be had, and all are looked through in vain.
 */
#define WALK_SLOTS	900
#define WALK_PROCS	512

static int64_t timed_walk(struct gs *gs, int event, __u32 blocked)
{
	int64_t start, best = INT64_MAX;
	__u64 one = 1;

	for (int i = 0; i < 5; i++) {
		inbox_take_all(gs, ignore_cookie, NULL);
		for (__u32 s = 0; s < WALK_SLOTS; s++)
			gs_node(gs, gs->setup.first_slot + s, GSCHED_DIR_READ)->word = 2;
		gs->shared->nr_blocked = blocked;
		start = now_ns();
		must(write(event, &one, sizeof(one)) == sizeof(one));
		if (now_ns() - start < best)
			best = now_ns() - start;
	}
	return best;
}

static int long_walk(void *arg)
{
	static struct gs gs;
	int event = eventfd(0, 0);
	struct actor *idle;
	int64_t clean, spoiled;
	__u32 slot;

	(void)arg;
	gs_start(&gs, WALK_PROCS, WALK_PROCS, WALK_PROCS + 1, WALK_SLOTS);
	must(gs_times(&gs, GSCHED_MAX_TIME, GSCHED_MAX_TIME) == 0);
	for (int i = 0; i < WALK_PROCS; i++)
		start_thread(keep_p, &gs);
	must(eventually(nr_idle(&gs) == 0));
	idle = actor_start_m(&gs);
	actor_begin_idle(idle);
	for (int i = 0; i < WALK_SLOTS; i++)
		must(gs_fd_register(&gs, dup(event), &slot) == 0);
	clean = timed_walk(&gs, event, 0);
	spoiled = timed_walk(&gs, event, 1);
	note("%d slots: %lld us, spoiled %lld us", WALK_SLOTS, (long long)clean / 1000,
	     (long long)spoiled / 1000);
	must(spoiled < 3 * clean * slowness() + NSEC_PER_MSEC);
	return 0;
}

TEST_F_TIMEOUT(slots, cost_little_each, 60)
{
	EXPECT_EQ(0, in_child(long_walk, NULL));
}

/* --------------------------------------------------------------------- memory */

#define LIMIT		(32 * MIB)
/* What is nobody's: pages kept per CPU, slabs begun, the tables of processes. */
#define UNCHARGED	(16 * MIB)
#define MANY		4000
/* Enough to show, and not to harm the machine if they are not charged: 4 MiB each. */
#define MANY_LARGE	60

/* Until there is no more. The errors are those that may be: no crash, no other. */
static bool out_of(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENOSPC || err == -EUSERS ||
	       err == -EAGAIN || err == -ENFILE;
}

static void take_contexts(void)
{
	int fd, n;

	for (n = 0; n < MANY; n++) {
		fd = gs_open();
		if (fd < 0)
			break;
	}
	must(n == MANY || out_of(-errno));
	note("%d contexts that are not set up", n);
}

static void take_ps(void)
{
	struct gsched_setup setup = {
		.nr_procs = GSCHED_MAX_PROCS, .max_procs = GSCHED_MAX_PROCS,
		.max_ms = GSCHED_MAX_MS, .max_slots = GSCHED_MAX_SLOTS,
	};
	int fd, err = 0, n;

	for (n = 0; n < MANY_LARGE && !err; n++) {
		fd = gs_open();
		err = fd < 0 ? -errno : gs_ioctl(fd, GSCHED_IOC_SETUP, &setup);
	}
	must(out_of(err));
	note("%d contexts of %d Ps", n - 1, GSCHED_MAX_PROCS);
}

static void *be_m(void *arg)
{
	__u32 id;

	gs_register_bare(arg, &id);
	for (;;)
		pause();
	return NULL;
}

static void take_ms(void)
{
	static struct gs gs;
	int err = 0, n;

	gs_start(&gs, 1, 1, GSCHED_MAX_MS, 0);
	for (n = 0; n < MANY && !err; n++)
		err = start_thread_if(be_m, &gs);
	must(!err || out_of(err));
	note("%d threads", n);
	sleep_ns(NSEC_PER_SEC / 4);
}

/* Return: 0, or -errno. Until there is an M, nothing can be registered. */
static int register_some(struct gs *gs)
{
	int event = eventfd(0, 0), err = event < 0 ? -errno : 0;
	__u32 slot;

	for (int i = 0; i < MANY && !err; i++) {
		int fd = dup(event);

		err = fd < 0 ? -errno : gs_fd_register(gs, fd, &slot);
		if (err == -ESRCH && eventually((err = gs_fd_register(gs, fd, &slot)) != -ESRCH))
			continue;
	}
	close_range(gs->fd + 1, ~0U, 0);
	return err;
}

/* The numbers are used again for the next context; the sweep needs a while. */
static void take_slots(void)
{
	static struct gs gs[MANY];
	int err = 0, n;

	for (n = 0; n < MANY && !err; n++) {
		gs[n].setup = (struct gsched_setup){
			.nr_procs = 1, .max_procs = 1, .max_ms = 1, .max_slots = MANY,
		};
		gs[n].fd = gs_open();
		err = gs[n].fd < 0 ? -errno : gs_ioctl(gs[n].fd, GSCHED_IOC_SETUP, &gs[n].setup);
		if (!err)
			err = start_thread_if(be_m, &gs[n]);
		if (!err)
			err = register_some(&gs[n]);
		/* Numbers run out first. */
		if (err == -EMFILE)
			err = 0;
	}
	must(!err || out_of(err));
	note("%d contexts, %d", n, err);
}

static void take_stacks(void)
{
	int fd = gs_open();
	char *at;

	must(fd >= 0);
	for (int n = 0; n < MANY; n++) {
		at = mmap(NULL, 1UL << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
			  fd, GSCHED_OFF_STACKS(18));
		if (at == MAP_FAILED)
			break;
		/* First read: what is nobody's own. Tables for it are. */
		for (size_t off = GSCHED_STACK_GUARD; off < 1UL << 30; off += 1UL << 18)
			(void)*(volatile char *)(at + off);
		for (size_t off = GSCHED_STACK_GUARD; off < 1UL << 30; off += 1UL << 18)
			*(volatile char *)(at + off) = 1;
	}
}

/* Before he is confined: what follows is what he can take. */
static void take(const void *arg)
{
	struct rlimit files = { MANY + 100, MANY + 100 }, tasks = { 500, 500 };

	must(setrlimit(RLIMIT_NOFILE, &files) == 0);
	must(setrlimit(RLIMIT_NPROC, &tasks) == 0);
	cgroup_enter();
	become(UID_BAD);
	((void (*)(void))arg)();
}

static long free_kib(void)
{
	return read_key("/proc/meminfo", "MemFree");
}

/* Return: the least that was free until it has done what it does, or has ended. */
static long watch(struct guest *g)
{
	struct pollfd pfd = { .fd = g->ready[0], .events = POLLIN };
	long least = free_kib(), now;

	while (poll(&pfd, 1, 2) == 0) {
		now = free_kib();
		if (now < least)
			least = now;
	}
	return least;
}

FIXTURE(memory) {
};

FIXTURE_VARIANT(memory) {
	void (*take)(void);
};

FIXTURE_VARIANT_ADD(memory, contexts) { .take = take_contexts };
FIXTURE_VARIANT_ADD(memory, ps) { .take = take_ps };
FIXTURE_VARIANT_ADD(memory, ms) { .take = take_ms };
FIXTURE_VARIANT_ADD(memory, slots) { .take = take_slots };
FIXTURE_VARIANT_ADD(memory, stacks) { .take = take_stacks };

FIXTURE_SETUP(memory)
{
	ASSERT_TRUE(module_unused());
	if (!cgroup_make())
		SKIP(_exit(SKIPPED), "no memory controller at %s", CGROUP_ROOT);
	device_open_to_all();
	cgroup_limit(LIMIT);
}

FIXTURE_TEARDOWN(memory)
{
	device_as_before();
	EXPECT_TRUE(module_unused());
	EXPECT_TRUE(eventually(rmdir(CGROUP) == 0));
}

TEST_F_TIMEOUT(memory, is_the_cgroups, 90)
{
	uid_t good = UID_GOOD;
	struct guest g;
	long before, taken;
	bool stays;

	write_file("/proc/sys/vm/drop_caches", "3");
	before = free_kib();
	guest_start(&g, take, (const void *)variant->take);
	taken = (before - watch(&g)) * 1024;
	stays = guest_is_ready(&g);
	note("%s; took %ld MiB, is charged %ld MiB", stays ? "stays" : "was killed", taken / MIB,
	     cgroup_current() / MIB);
	EXPECT_GE(LIMIT + UNCHARGED, taken);
	EXPECT_EQ(0, in_child(use_context_as, &good));
	guest_kill(&g);
	EXPECT_TRUE(module_unused());
}

KMOD_MAIN
