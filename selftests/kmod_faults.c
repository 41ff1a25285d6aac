// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation and each copy from and to user space fails in turn: in every call of
 * the device, one more thing with each try, until the call comes through without a
 * fault. What asks twice before it fails (the tables' nodes) is starved instead: from some
 * number of bytes on there is no more. A call that fails says -ENOMEM or -EFAULT, leaves
 * everything as it was, and succeeds when it is made again; no memory is lost.
 *
 * The tests print where in the module something was made to fail ("site KIND SYMBOL+OFFSET"):
 * faults.sh sees whether that is everywhere.
 */
#include "kmod.h"
#include "faults.h"

#include <netinet/in.h>
#include <linux/userfaultfd.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define MOST_FAULTS	2000		/* in one call */
#define ROUNDS		5		/* of which each would lose a page at least */
#define SLACK_PAGES	4
#define SKIPPED		255		/* the harness's exit status for a skipped test */

/* ------------------------------------------------------------- one call */

/* What a call is made on. */
struct world {
	struct gs gs;		/* fd -1: none */
	struct actor *other;	/* another thread, NULL: none */
	__u32 id, proc, reason, slot;
	int fd[4];		/* -1: none */
	void *map;
	size_t size;
};

/**
 * struct op - a call
 * @name:	for messages
 * @prepare:	makes what it is made on
 * @call:	makes it: 0 or -errno
 * @check:	after success; NULL: nothing to see
 * @left:	what the call may say when it is made again after -EFAULT, beside 0: it was
 *		done, and its result could not be stored
 * @keeps:	with -EFAULT it may have been done, see <linux/gsched.h>
 * @starves:	it may also be left without slab memory: it has no page faults
 */
struct op {
	const char *name;
	void (*prepare)(struct world *w);
	int (*call)(struct world *w);
	bool (*check)(struct world *w);
	int left;
	bool keeps;
	bool starves;
};

static void world_init(struct world *w)
{
	*w = (struct world){ .gs.fd = -1, .fd = { -1, -1, -1, -1 } };
}

/* The context goes with its descriptor; the other thread stays, as it may sleep. */
static void world_end(struct world *w)
{
	if (w->map)
		munmap(w->map, w->size);
	for (int i = 0; i < 4; i++)
		if (w->fd[i] >= 0)
			close(w->fd[i]);
	if (w->gs.shared)
		gs_unmap_all(&w->gs);
	if (w->gs.fd >= 0)
		close(w->gs.fd);
	if (w->other)
		actor_exit(w->other);
}

static void no_context(struct world *w)
{
	(void)w;
}

static void context_before_setup(struct world *w)
{
	w->gs.fd = gs_open();
	must(w->gs.fd >= 0);
	w->gs.setup = (struct gsched_setup){
		.nr_procs = 3, .max_procs = 8, .max_ms = 8, .max_slots = 64,
	};
}

static void context(struct world *w)
{
	gs_start(&w->gs, 3, 8, 8, 64);
}

static void context_with_m(struct world *w)
{
	context(w);
	must(gs_register(&w->gs, &w->id) == 0);
}

static void context_with_owner(struct world *w)
{
	context_with_m(w);
	must(gs_acquire(&w->gs, 0, &w->proc) == 0);
}

static int do_open(struct world *w)
{
	w->gs.fd = gs_open();
	return w->gs.fd < 0 ? -errno : 0;
}

static int do_close(struct world *w)
{
	int err = close(w->gs.fd) ? -errno : 0;

	w->gs.fd = -1;
	return err;
}

static int do_query(struct world *w)
{
	struct gsched_query q = { 0 };

	return gs_ioctl(w->gs.fd, GSCHED_IOC_QUERY, &q);
}

static int do_setup(struct world *w)
{
	return gs_ioctl(w->gs.fd, GSCHED_IOC_SETUP, &w->gs.setup);
}

static bool was_set_up(struct world *w)
{
	gs_map_all(&w->gs);
	return w->gs.setup.first_slot && load32(&w->gs.shared->nr_procs) == w->gs.setup.nr_procs;
}

/* Tables of more than a page: what kmalloc() does not have, vmalloc() gives. */
static void context_large(struct world *w)
{
	context_before_setup(w);
	w->gs.setup.max_procs = GSCHED_MAX_PROCS;
	w->gs.setup.max_ms = GSCHED_MAX_MS;
	w->gs.setup.max_slots = GSCHED_MAX_SLOTS;
}

static int do_set_procs(struct world *w)
{
	return gs_set_procs(&w->gs, 8);
}

static bool has_procs(struct world *w)
{
	for (__u32 i = 0; i < 8; i++)
		if (touch_write(&w->gs.procs[i]))
			return false;
	return load32(&w->gs.shared->nr_procs) == 8;
}

static int do_register(struct world *w)
{
	return gs_register_bare(&w->gs, &w->id);
}

static bool is_registered(struct world *w)
{
	return gs_unregister(&w->gs) == 0;
}

/* The first number needs no memory for its table. */
static void context_with_another_m(struct world *w)
{
	context(w);
	w->other = actor_start_m(&w->gs);
}

static int do_unregister(struct world *w)
{
	return gs_unregister(&w->gs);
}

static int do_acquire(struct world *w)
{
	return gs_acquire(&w->gs, 0, &w->proc);
}

static bool has_proc(struct world *w)
{
	return w->proc < 3 && owner_of_proc(&w->gs, w->proc) == w->id &&
	       gs_release(&w->gs) == 0 && nr_idle(&w->gs) == 3;
}

static int do_release(struct world *w)
{
	return gs_release(&w->gs);
}

static void context_with_work(struct world *w)
{
	context_with_owner(w);
	must(gs_enqueue(&w->gs, 0, 77) == 0);
	must(take_spinning(&w->gs) == 0);
}

static int do_idle(struct world *w)
{
	return gs_idle(&w->gs, 0, &w->reason, &w->proc);
}

static bool looks_for_work(struct world *w)
{
	return w->reason == GSCHED_IDLE_WORK && take_spinning(&w->gs) == 1 && has_proc(w);
}

static int do_wake(struct world *w)
{
	return gs_wake(&w->gs);
}

/* A P is idle and no M: the spawner is asked for one. */
static void context_that_wants_an_m(struct world *w)
{
	context(w);
	must(gs_wake(&w->gs) == 0);
}

static int do_spawner(struct world *w)
{
	return gs_spawner(&w->gs, 0, &w->reason);
}

static bool shall_spawn(struct world *w)
{
	return w->reason == GSCHED_SPAWN_M;
}

static int do_enqueue(struct world *w)
{
	return gs_enqueue(&w->gs, 0, 5);
}

static int do_times(struct world *w)
{
	return gs_times(&w->gs, 20 * NSEC_PER_MSEC, 2 * NSEC_PER_MSEC);
}

static bool had_first_times(struct world *w)
{
	struct gsched_times t = { 0 };

	return gs_ioctl(w->gs.fd, GSCHED_IOC_TIMES, &t) == 0 &&
	       t.slice_ns == 20 * NSEC_PER_MSEC;
}

static void eventfd_to_watch(struct world *w)
{
	context_with_m(w);
	w->fd[0] = eventfd(0, EFD_CLOEXEC);
	must(w->fd[0] >= 0);
}

/* Its master has one wait queue, the slave two. */
static void tty_to_watch(struct world *w)
{
	char name[64];

	context_with_m(w);
	w->fd[1] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	must(w->fd[1] >= 0 && grantpt(w->fd[1]) == 0 && unlockpt(w->fd[1]) == 0);
	must(ptsname_r(w->fd[1], name, sizeof(name)) == 0);
	w->fd[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	must(w->fd[0] >= 0);
}

static void socket_to_watch(struct world *w)
{
	context_with_m(w);
	w->fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(w->fd[0] >= 0);
}

/* A number for which the table needs more levels. */
static void high_number_to_watch(struct world *w)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	context_with_m(w);
	w->fd[0] = fcntl(fd, F_DUPFD_CLOEXEC, 150000);
	must(w->fd[0] >= 0);
	close(fd);
}

/* A number that is watched, and means another file by now. */
static void number_with_another_file(struct world *w)
{
	eventfd_to_watch(w);
	must(gs_fd_register(&w->gs, w->fd[0], &w->slot) == 0);
	w->fd[1] = eventfd(1, EFD_CLOEXEC);
	must(dup3(w->fd[1], w->fd[0], O_CLOEXEC) == w->fd[0]);
}

static int do_fd_register(struct world *w)
{
	return gs_fd_register(&w->gs, w->fd[0], &w->slot);
}

static bool is_watched(struct world *w)
{
	__u32 again;

	return gs_fd_register(&w->gs, w->fd[0], &again) == -EEXIST && again == w->slot &&
	       gs_fd_unregister(&w->gs, w->slot) == 0;
}

static void watched(struct world *w)
{
	eventfd_to_watch(w);
	must(gs_fd_register(&w->gs, w->fd[0], &w->slot) == 0);
}

static int do_fd_unregister(struct world *w)
{
	return gs_fd_unregister(&w->gs, w->slot);
}

static void context_set_up_unmapped(struct world *w)
{
	context_before_setup(w);
	must(do_setup(w) == 0);
}

static int do_map(struct world *w, int prot, int flags, __u64 offset, size_t size)
{
	void *p = mmap(NULL, size, prot, flags, w->gs.fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	w->map = p;
	w->size = size;
	return 0;
}

/* A fault in a page fault is none: the kernel tries again. */
static int do_map_and_touch(struct world *w)
{
	int err = do_map(w, PROT_READ | PROT_WRITE, MAP_SHARED, GSCHED_OFF_PROCS, 3 * 4096);

	for (int i = 0; !err && i < 3; i++)
		err = touch_write((char *)w->map + i * 4096L) ? -EIO : 0;
	return err;
}

#define STACK_SHIFT	18
#define STACK_SIZE	(1UL << STACK_SHIFT)
#define STACKS		4

static int do_map_stacks(struct world *w)
{
	int err = do_map(w, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
			 GSCHED_OFF_STACKS(STACK_SHIFT), STACKS * STACK_SIZE);

	for (unsigned long i = 1; !err && i <= STACKS; i++)
		err = touch_write((char *)w->map + i * STACK_SIZE - 8) ? -EIO : 0;
	return err;
}

static bool stacks_are_guarded(struct world *w)
{
	char *p = w->map;

	return touch_write(p + STACK_SIZE) == SIGSEGV && touch_write(p + STACK_SIZE - 1) == 0;
}

static void touched_stacks(struct world *w)
{
	context(w);
	must(do_map_stacks(w) == 0);
	memset((char *)w->map + STACK_SIZE - 4096, 1, 4096);
}

/* The child sees them as they are, and can write to its own. */
static int do_fork(struct world *w)
{
	volatile char *p = (char *)w->map + STACK_SIZE - 1;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (*p != 1)
			_exit(1);
		*p = 2;
		_exit(42);
	}
	must(child_wait(pid) == 42);
	return *p == 1 ? 0 : -EIO;
}

/* To open it says -ENOENT where procfs has no memory. */
static void context_with_fdinfo(struct world *w)
{
	char path[64];

	context(w);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", w->gs.fd);
	w->fd[0] = open(path, O_RDONLY | O_CLOEXEC);
	must(w->fd[0] >= 0);
}

static int do_fdinfo(struct world *w)
{
	char text[8192];

	return pread(w->fd[0], text, sizeof(text), 0) < 0 ? -errno : 0;
}

/* ------------------------------------------------------- every fault in turn */

/* A line of fdinfo that counts events, or tells of a P that was made for SET_PROCS to come. */
static bool is_no_state(const char *line)
{
	static const char *const words[] = {
		"counters:", "handoffs:", "holds:", "preempts:", "state=dead",
	};

	for (int i = 0; i < 5; i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

static void snapshot(struct world *w, char *text, size_t size)
{
	char path[64], line[512];
	size_t len = 0;
	FILE *f;

	text[0] = '\0';
	if (w->gs.fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", w->gs.fd);
	f = fopen(path, "re");
	must(f);
	while (fgets(line, sizeof(line), f)) {
		if (!is_no_state(line))
			len += snprintf(text + len, size - len, "%s", line);
		must(len < size);
	}
	fclose(f);
}

static int open_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* The sites are printed once each. */
static void tell_site(const struct fault *f)
{
	static char told[256][sizeof(f->kind) + sizeof(f->site)];
	static unsigned int n;

	must(n < 256);
	snprintf(told[n], sizeof(told[n]), "%s %s", f->kind, f->site);
	for (unsigned int i = 0; i < n; i++)
		if (!strcmp(told[i], told[n]))
			return;
	note("site %s", told[n++]);
}

#define fail(op, f, err, ...) do {						\
	note("%s: %s at %s: %d", (op)->name, (f)->kind, (f)->site, err);	\
	note(__VA_ARGS__);							\
	_exit(1);								\
} while (0)

/* The call has failed: it is clean, everything is as before, and it can be made again. */
static void check_failure(const struct op *op, struct world *w, const struct fault *f, int err,
			  const char *before)
{
	static char after[16384];
	bool done = op->keeps && err == -EFAULT;
	int again;

	if (err != -ENOMEM && err != -EFAULT)
		fail(op, f, err, "it should be -ENOMEM or -EFAULT");
	snapshot(w, after, sizeof(after));
	if (strcmp(before, after) && !done)
		fail(op, f, err, "before:\n%sand after:\n%s", before, after);
	again = op->call(w);
	if (again && !(done && again == op->left))
		fail(op, f, err, "once more: %d", again);
}

/* A world in which the call can be made; its state is in @before. */
static void begin_try(const struct op *op, struct world *w, char *before, size_t size)
{
	world_init(w);
	op->prepare(w);
	snapshot(w, before, size);
}

/* What the call has left, with or without the fault @f. */
static void end_try(const struct op *op, struct world *w, const struct fault *f, int err,
		    const char *before, unsigned int *failed)
{
	if (err) {
		check_failure(op, w, f, err, before);
		++*failed;
	}
	if (op->check && !op->check(w))
		fail(op, f, err, "it does not work");
	world_end(w);
}

/* Return: the fault did not happen, as the call has not so much that can fail. */
static bool try_fault(const struct op *op, unsigned int nth, unsigned int *failed)
{
	static char before[16384];
	struct fault f;
	struct world w;
	unsigned int left;
	int err;

	begin_try(op, &w, before, sizeof(before));
	must(faults_arm(nth));
	err = op->call(&w);
	left = faults_disarm();
	f = faults_last();
	if (!left && f.site[0])
		tell_site(&f);
	must(!err || !left);
	end_try(op, &w, &f, err, before, failed);
	return left;
}

#define SPACE_STEP	200	/* less than a node of a table takes */
#define MOST_SPACE	(64 * 1024)

/* Return: there was enough. */
static bool try_space(const struct op *op, unsigned int space, unsigned int *failed)
{
	static char before[16384];
	struct fault f;
	struct world w;
	int err;

	begin_try(op, &w, before, sizeof(before));
	must(faults_starve(space));
	err = op->call(&w);
	must(faults_feed());
	f = faults_last();
	if (f.site[0])
		tell_site(&f);
	end_try(op, &w, &f, err, before, failed);
	return !f.kind[0];
}

static void every_space(const struct op *op)
{
	unsigned int space = 0, failed = 0;

	while (!try_space(op, space, &failed)) {
		space += SPACE_STEP;
		must(space < MOST_SPACE);
	}
	note("%s: %u bytes are enough, with less %u failures", op->name, space, failed);
}

static int every_fault(void *arg)
{
	const struct op *op = arg;
	unsigned int nth = 1, failed = 0;
	int files;

	must(faults_init());
	files = open_files();
	while (!try_fault(op, nth, &failed))
		must(nth++ < MOST_FAULTS);
	if (op->starves)
		every_space(op);
	must(open_files() == files);
	note("%s: %u faults, %u seen by the caller", op->name, nth - 1, failed);
	return 0;
}

/* --------------------------------------------------------------- lost memory */

#define CGROUP_ROOT	"/sys/fs/cgroup"
#define CGROUP		CGROUP_ROOT "/kmod_faults"

static bool cgroup_make(void)
{
	int fd = open(CGROUP_ROOT "/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	bool on = fd >= 0 && write(fd, "+memory", 7) == 7;

	if (fd >= 0)
		close(fd);
	return on && (mkdir(CGROUP, 0755) == 0 || errno == EEXIST);
}

/* In pages. A limit, even if it is lifted at once, collects what the CPUs hold in stock. */
static long cgroup_pages(void)
{
	long bytes = -1;
	FILE *f;

	write_file(CGROUP "/memory.high", "0");
	write_file(CGROUP "/memory.high", "max");
	f = fopen(CGROUP "/memory.current", "re");
	must(f);
	must(fscanf(f, "%ld", &bytes) == 1);
	fclose(f);
	return bytes / 4096;
}

static int rounds(const struct op *op, int n)
{
	write_file(CGROUP "/cgroup.procs", "0");
	for (int i = 0; i < n; i++) {
		int status = in_child(every_fault, (void *)op);

		if (status)
			note("%s: ends with %d", op->name, status);
		must(status == 0);
	}
	return 0;
}

static int one_round(void *arg)
{
	return rounds(arg, 1);
}

static int more_rounds(void *arg)
{
	return rounds(arg, scaled(ROUNDS));
}

static bool pages_are_back(long before)
{
	return cgroup_pages() <= before + SLACK_PAGES;
}

FIXTURE(faults) {
	bool cgroup;
};

FIXTURE_VARIANT(faults) {
	struct op op;
};

FIXTURE_SETUP(faults)
{
	if (!faults_init())
		SKIP(_exit(SKIPPED), "this kernel has no fault injection");
	if (!cgroup_make())
		SKIP(_exit(SKIPPED), "no memory controller at %s", CGROUP_ROOT);
	ASSERT_TRUE(module_unused());
}

FIXTURE_TEARDOWN(faults)
{
	EXPECT_TRUE(module_unused());
	EXPECT_TRUE(eventually(rmdir(CGROUP) == 0));
	faults_end();
}

#define OP(id, ...) FIXTURE_VARIANT_ADD(faults, id) { .op = { #id, __VA_ARGS__ } }

OP(open, no_context, do_open, NULL, 0, false, false);
OP(close, context_before_setup, do_close, NULL, 0, false, false);
OP(query, context_before_setup, do_query, NULL, 0, false, false);
OP(setup, context_before_setup, do_setup, was_set_up, 0, false, false);
OP(setup_large, context_large, do_setup, was_set_up, 0, false, false);
OP(set_procs, context, do_set_procs, has_procs, 0, false, false);
OP(m_register, context, do_register, is_registered, 0, false, true);
OP(m_register_second, context_with_another_m, do_register, is_registered, 0, false, true);
OP(m_unregister, context_with_m, do_unregister, NULL, 0, false, false);
OP(acquire, context_with_m, do_acquire, has_proc, 0, true, false);
OP(release, context_with_owner, do_release, NULL, 0, false, false);
OP(idle, context_with_work, do_idle, looks_for_work, 0, true, false);
OP(wake, context, do_wake, NULL, 0, false, false);
OP(spawner, context_that_wants_an_m, do_spawner, shall_spawn, 0, false, false);
OP(enqueue, context, do_enqueue, NULL, 0, false, false);
OP(times, context, do_times, had_first_times, 0, true, false);
OP(fd_register, eventfd_to_watch, do_fd_register, is_watched, -EEXIST, true, true);
OP(fd_register_tty, tty_to_watch, do_fd_register, is_watched, -EEXIST, true, false);
OP(fd_register_socket, socket_to_watch, do_fd_register, is_watched, -EEXIST, true, false);
OP(fd_register_high, high_number_to_watch, do_fd_register, is_watched, -EEXIST, true, true);
OP(fd_register_again, number_with_another_file, do_fd_register, is_watched, -EEXIST, true,
   true);
OP(fd_unregister, watched, do_fd_unregister, NULL, 0, false, false);
OP(mmap, context_set_up_unmapped, do_map_and_touch, NULL, 0, false, false);
OP(mmap_stacks, context_before_setup, do_map_stacks, stacks_are_guarded, 0, false, false);
OP(fork_with_stacks, touched_stacks, do_fork, NULL, 0, false, false);
OP(fdinfo, context_with_fdinfo, do_fdinfo, NULL, 0, false, false);

TEST_F_TIMEOUT(faults, each, 300)
{
	struct op op = variant->op;
	long before;

	/* What is lost in one round only is not of the failures' doing. */
	ASSERT_EQ(0, in_child(one_round, &op));
	ASSERT_TRUE(module_unused());
	before = cgroup_pages();
	ASSERT_EQ(0, in_child(more_rounds, &op));
	ASSERT_TRUE(module_unused());
	EXPECT_TRUE(eventually(pages_are_back(before)))
		TH_LOG("%ld pages charged before, %ld after", before, cgroup_pages());
}

/* ------------------------------------------------------ results with no place */

/*
 * The memory of the arguments goes while the call sleeps: what it has to say gets lost,
 * and must not be lost for others. Needs no fault injection.
 */
#define ARG_PAGE	4096UL

static void *vanishing;
static int stall_fd = -1;	/* a userfaultfd: who touches the page waits, until it is closed */

FIXTURE(vanishing) {
	struct gs gs;
};

FIXTURE_SETUP(vanishing)
{
	vanishing = mmap(NULL, ARG_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	ASSERT_NE(MAP_FAILED, vanishing);
}

FIXTURE_TEARDOWN(vanishing)
{
	gs_stop(&self->gs);
}

static int act_spawner_in_vain(struct actor *a)
{
	return gs_ioctl(a->gs->fd, GSCHED_IOC_SPAWNER, vanishing);
}

static int act_idle_in_vain(struct actor *a)
{
	return gs_ioctl(a->gs->fd, GSCHED_IOC_IDLE, vanishing);
}

/* The call has proved that it can store its result; from now on it waits with that. */
static void hold_result(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)vanishing, ARG_PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	stall_fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	must(stall_fd >= 0);
	must(ioctl(stall_fd, UFFDIO_API, &api) == 0);
	must(ioctl(stall_fd, UFFDIO_REGISTER, &reg) == 0);
	must(madvise(vanishing, ARG_PAGE, MADV_DONTNEED) == 0);
}

static bool result_is_held(void)
{
	struct uffd_msg msg;

	return read(stall_fd, &msg, sizeof(msg)) == sizeof(msg);
}

static void lose_result(void)
{
	must(munmap(vanishing, ARG_PAGE) == 0);
	if (stall_fd >= 0)
		close(stall_fd);	/* who waits tries again */
}

TEST_F(vanishing, request_without_a_taker)
{
	struct gs *gs = &self->gs;
	struct actor *a, *b;

	gs_start(gs, 1, 1, 2, 0);
	a = actor_start(gs);
	b = actor_start(gs);
	actor_begin_sleep(a, act_spawner_in_vain, GSCHED_IOC_SPAWNER);
	lose_result();
	ASSERT_EQ(0, gs_wake(gs));
	EXPECT_EQ(-EFAULT, actor_end(a));
	actor_begin(b, act_spawner);
	EXPECT_EQ(0, actor_end(b));
	EXPECT_EQ(GSCHED_SPAWN_M, b->reason);
	EXPECT_EQ(1, gs_counter(gs, "spawns"));
}

/* Those who wait because there can be no more Ms ask only once. */
TEST_F(vanishing, cap_without_a_listener)
{
	struct gs *gs = &self->gs;
	struct actor *a, *b;

	gs_start(gs, 1, 1, 1, 0);
	actor_start_m(gs);
	a = actor_start(gs);
	b = actor_start(gs);
	actor_begin_sleep(a, act_spawner_in_vain, GSCHED_IOC_SPAWNER);
	lose_result();
	EXPECT_EQ(-EAGAIN, gs_wake(gs));
	EXPECT_EQ(-EFAULT, actor_end(a));
	actor_begin(b, act_spawner);
	EXPECT_EQ(0, actor_end(b));
	EXPECT_EQ(GSCHED_SPAWN_CAP, b->reason);
	EXPECT_EQ(-EAGAIN, gs_wake(gs));
	actor_begin_spawner(b);
	EXPECT_TRUE(stays_asleep(b, GSCHED_IOC_SPAWNER));
}

/* What could not be said is old by now: somebody waits for the M that is asked for. */
TEST_F(vanishing, request_beside_an_older_one)
{
	struct gs *gs = &self->gs;
	struct actor *a, *b, *m;

	gs_start(gs, 1, 1, 1, 0);
	m = actor_start_m(gs);
	a = actor_start(gs);
	b = actor_start(gs);
	actor_begin_sleep(a, act_spawner_in_vain, GSCHED_IOC_SPAWNER);
	hold_result();
	EXPECT_EQ(-EAGAIN, gs_wake(gs));	/* there can be no more Ms */
	ASSERT_TRUE(eventually(result_is_held()));
	ASSERT_EQ(0, actor_do(m, act_unregister));
	ASSERT_EQ(0, gs_wake(gs));
	lose_result();
	EXPECT_EQ(-EFAULT, actor_end(a));
	actor_begin(b, act_spawner);
	EXPECT_EQ(0, actor_end(b));
	EXPECT_EQ(GSCHED_SPAWN_M, b->reason);
}

/* A search for work that nobody knows of would keep others from being woken. */
TEST_F(vanishing, search_without_a_searcher)
{
	struct gs *gs = &self->gs;
	struct actor *m;

	gs_start(gs, 1, 1, 2, 0);
	m = actor_start_m(gs);
	actor_begin_sleep(m, act_idle_in_vain, GSCHED_IOC_IDLE);
	lose_result();
	ASSERT_EQ(0, gs_enqueue(gs, 0, 5));
	EXPECT_EQ(-EFAULT, actor_end(m));
	EXPECT_EQ(0, load32(&gs->shared->nr_spinning));
	/* It has its P, which its next call gives up; the work is still there. */
	EXPECT_EQ(m->id, owner_of_proc(gs, 0));
	ASSERT_EQ(0, actor_do(m, act_idle));
	EXPECT_EQ(GSCHED_IDLE_WORK, m->reason);
	EXPECT_EQ(1, take_spinning(gs));
}

/* Who comes while the search seems to go on wakes nobody. The tick is a second away. */
TEST_F(vanishing, search_that_others_rely_on)
{
	struct gs *gs = &self->gs;
	struct actor *m, *other;
	int64_t lost;

	gs_start(gs, 2, 2, 2, 0);
	ASSERT_EQ(0, gs_times(gs, GSCHED_MAX_TIME, GSCHED_MAX_TIME));
	other = actor_start_m(gs);
	m = actor_start_m(gs);
	actor_begin_sleep(other, act_idle, GSCHED_IOC_IDLE);
	actor_begin_sleep(m, act_idle_in_vain, GSCHED_IOC_IDLE);
	hold_result();
	ASSERT_EQ(0, gs_enqueue(gs, 0, 5));
	ASSERT_TRUE(eventually(result_is_held()));
	ASSERT_EQ(1, load32(&gs->shared->nr_spinning));
	ASSERT_EQ(0, gs_enqueue(gs, 1, 6));
	EXPECT_TRUE(sleeps_in(other->tid, GSCHED_IOC_IDLE));
	lost = now_ns();
	lose_result();
	EXPECT_EQ(-EFAULT, actor_end(m));
	EXPECT_EQ(0, actor_end(other));
	EXPECT_EQ(GSCHED_IDLE_WORK, other->reason);
	EXPECT_LT(other->ended - lost, GSCHED_MAX_TIME / 2);
	EXPECT_EQ(1, take_spinning(gs));
}

/* ------------------------------------------------------------- loading it */

#define MODULE_FILE	"gsched.ko"
#define MANY		1000000U

static int load(const char *parameters)
{
	int fd = open(MODULE_FILE, O_RDONLY | O_CLOEXEC), err;

	must(fd >= 0);
	err = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return err;
}

static void unload(void)
{
	must(module_unused());
	must(syscall(SYS_delete_module, "gsched", O_NONBLOCK) == 0);
}

/* How much there is that can fail, the kernel's part included. */
static unsigned int count_in_load(const char *parameters)
{
	unsigned int left;

	must(faults_arm(MANY));
	must(load(parameters) == 0);
	left = faults_disarm();
	unload();
	return MANY - left;
}

static bool fails_in_module(const char *parameters, unsigned int nth)
{
	struct fault f;
	int err;

	must(faults_arm(nth));
	err = load(parameters);
	faults_disarm();
	f = faults_last();
	if (f.site[0]) {
		tell_site(&f);
		/* A probe that cannot be had is one way less to find a function. */
		if (err && err != -ENOMEM && err != -ENOENT)
			fail(&(struct op){ .name = "load" }, &f, err, "%s", parameters);
	}
	if (!err)
		unload();
	must(module_refs() < 0);
	return f.site[0];
}

/* So many that are not the module's, after some that are: those before are the loader's. */
#define LOADERS_OWN	20

/*
 * Backwards: the module's own part is the last but for a few notifications, and what the
 * kernel's loader does about its own failures is not our subject. Between them the kernel
 * may allocate something for the module; and no two loads are quite the same.
 */
static void load_with_faults(struct __test_metadata *_metadata, const char *parameters)
{
	unsigned int nth, seen = 0, others = 0;

	for (nth = count_in_load(parameters); nth && others < LOADERS_OWN; nth--) {
		if (fails_in_module(parameters, nth)) {
			seen++;
			others = 0;
		} else if (seen) {
			others++;
		}
	}
	note("load %s: %u faults", parameters, seen);
	EXPECT_LE(16, seen);	/* the source pages of stacks alone */
}

FIXTURE(slow) {
};

FIXTURE_SETUP(slow)
{
	ASSERT_TRUE(module_unused());
}

FIXTURE_TEARDOWN(slow)
{
	faults_end();
}

TEST_F_TIMEOUT(slow, load, 300)
{
	if (!faults_init())
		SKIP(return, "this kernel has no fault injection");
	if (access(MODULE_FILE, R_OK))
		SKIP(return, "no %s here", MODULE_FILE);
	unload();
	load_with_faults(_metadata, "");
	load_with_faults(_metadata, "hold=kprobe");
	ASSERT_EQ(0, load(""));
	EXPECT_TRUE(eventually(access(GSCHED_DEVICE, F_OK) == 0));
}

KMOD_MAIN
