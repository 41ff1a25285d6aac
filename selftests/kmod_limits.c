// SPDX-License-Identifier: GPL-2.0
/*
 * What a process may take: memory is charged to its memory cgroup, the number of
 * contexts to its user. And what fdinfo tells of a context.
 */
#include "kmod_cgroup.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

/* ------------------------------------------------------------------- cgroup */

FIXTURE(cgroup) {
};

FIXTURE_SETUP(cgroup)
{
	ASSERT_TRUE(module_unused());
	if (!cgroup_make())
		SKIP(_exit(SKIPPED), "no memory controller at %s", CGROUP_ROOT);
	write_file(CGROUP "/memory.max", "max");
}

FIXTURE_TEARDOWN(cgroup)
{
	write_file(CGROUP_ROOT "/cgroup.procs", "0");
	EXPECT_TRUE(module_unused());
	EXPECT_TRUE(eventually(rmdir(CGROUP) == 0));
}

/* How much a step adds to what is charged. */
static long charged(void (*step)(struct gs *gs), struct gs *gs)
{
	long before;

	cgroup_enter();
	before = cgroup_current();
	step(gs);
	return cgroup_current() - before;
}

static void step_many_procs(struct gs *gs)
{
	gs_start(gs, GSCHED_MAX_PROCS, GSCHED_MAX_PROCS, 1, 0);
}

TEST_F(cgroup, procs_are_charged)
{
	struct gs gs;

	EXPECT_LE(GSCHED_MAX_PROCS * 4096L - SLACK, charged(step_many_procs, &gs));
	gs_stop(&gs);
}

static void step_raise_procs(struct gs *gs)
{
	must(gs_set_procs(gs, GSCHED_MAX_PROCS) == 0);
}

TEST_F(cgroup, raised_procs_are_charged)
{
	struct gs gs;

	gs_start(&gs, 1, GSCHED_MAX_PROCS, 1, 0);
	EXPECT_LE(GSCHED_MAX_PROCS * 4096L - SLACK, charged(step_raise_procs, &gs));
	gs_stop(&gs);
}

#define MANY_SLOTS	30000

/* One file under many numbers: dup itself costs the table of descriptors only. */
static void step_many_slots(struct gs *gs)
{
	int base = eventfd(0, 0), fd;
	__u32 slot;

	for (int i = 0; i < MANY_SLOTS; i++) {
		fd = dup(base);
		must(fd >= 0);
		must(gs_fd_register(gs, fd, &slot) == 0);
	}
}

TEST_F_TIMEOUT(cgroup, slots_are_charged, 60)
{
	struct rlimit limit;
	struct gs gs;
	__u32 id;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < MANY_SLOTS + 100)
		SKIP(return, "too few descriptors");
	gs_start(&gs, 1, 1, 1, MANY_SLOTS);
	ASSERT_EQ(0, gs_register(&gs, &id));
	/* The shared words alone are 64 bytes each, and the kernel's more. */
	EXPECT_LE(MANY_SLOTS * 128L, charged(step_many_slots, &gs));
	ASSERT_EQ(0, gs_unregister(&gs));
	gs_stop(&gs);
}

#define STACK_SIZE	(1UL << 18)
#define STACKS		4000UL

static char *stacks;

static void step_touch_stacks(struct gs *gs)
{
	stacks = mmap(NULL, STACKS * STACK_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_NORESERVE, gs->fd, GSCHED_OFF_STACKS(18));
	must(stacks != MAP_FAILED);
	for (size_t i = 1; i <= STACKS; i++)
		stacks[i * STACK_SIZE - 8] = 1;
}

TEST_F(cgroup, stacks_are_charged)
{
	struct gs gs;

	gs_start(&gs, 1, 1, 1, 0);
	EXPECT_LE((long)STACKS * 4096 - SLACK, charged(step_touch_stacks, &gs));
	munmap(stacks, STACKS * STACK_SIZE);
	gs_stop(&gs);
}

/* Freed with the context, though from a work item. */
static int use_much(void *arg)
{
	struct gs gs;

	(void)arg;
	cgroup_enter();
	step_many_procs(&gs);
	return 0;
}

static bool little_charged(long before)
{
	return cgroup_current() < before + SLACK;
}

TEST_F(cgroup, uncharged_at_the_end)
{
	long before;

	EXPECT_EQ(0, in_child(use_much, NULL));
	EXPECT_TRUE(module_unused());
	before = cgroup_current();
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(0, in_child(use_much, NULL));
	}
	EXPECT_TRUE(eventually(little_charged(before)));
}

/*
 * Only the child is in the group, lest the OOM killer take the test.
 *
 * As much as there is: ends with -ENOMEM, or killed. What a context costs beside
 * its pages does not matter, there are four megabytes of them.
 */
static int take_all(void *arg)
{
	struct gsched_setup setup = {
		.nr_procs = GSCHED_MAX_PROCS, .max_procs = GSCHED_MAX_PROCS, .max_ms = 1,
	};
	int fd, err = 0;

	(void)arg;
	cgroup_enter();
	cgroup_limit(cgroup_current() + 16 * MIB);
	for (int i = 0; i < 16; i++) {
		fd = gs_open();
		if (fd < 0) {
			must(errno == ENOMEM);
			return 42;
		}
		err = gs_ioctl(fd, GSCHED_IOC_SETUP, &setup);
		if (err)
			break;
	}
	must(err == -ENOMEM);
	/* The one that failed was undone, and can be smaller. */
	setup.nr_procs = 1;
	setup.max_procs = 1;
	err = gs_ioctl(fd, GSCHED_IOC_SETUP, &setup);
	must(err == 0 || err == -ENOMEM);
	return 42;
}

static bool stopped_by_limit(int status)
{
	return status == 42 || status == 128 + SIGKILL;
}

/* What a failed SETUP has left broken shows when its memory is used again. */
static void use_memory_again(void)
{
	for (int i = 0; i < 200; i++) {
		struct gs gs;

		gs_start(&gs, 1, 1, 1, 1);
		gs_stop(&gs);
	}
}

TEST_F(cgroup, limit_stops_procs)
{
	EXPECT_TRUE(stopped_by_limit(in_child(take_all, NULL)));
	EXPECT_TRUE(module_unused());
	use_memory_again();
}

static int touch_all(void *arg)
{
	struct gs gs;

	(void)arg;
	cgroup_enter();
	gs_start(&gs, 1, 1, 1, 0);
	cgroup_limit(cgroup_current() + 8 * MIB);
	step_touch_stacks(&gs);
	return 0;
}

TEST_F(cgroup, limit_stops_stacks)
{
	EXPECT_EQ(128 + SIGKILL, in_child(touch_all, NULL));
}

/* -------------------------------------------------------------------- users */

static int setup_one(int *fd)
{
	struct gsched_setup setup = { .nr_procs = 1, .max_procs = 1, .max_ms = 1 };

	*fd = gs_open();
	must(*fd >= 0);
	return gs_ioctl(*fd, GSCHED_IOC_SETUP, &setup);
}

#define TOO_MANY	8000

static int make_too_many(int fds[TOO_MANY])
{
	int err = 0, n;

	for (n = 0; n < TOO_MANY; n++) {
		err = setup_one(&fds[n]);
		if (err)
			break;
	}
	must(err == -EUSERS);
	return n;
}

static int be_too_many(void *arg)
{
	static int fds[TOO_MANY];
	int n, err;

	if (arg)
		must(setuid(*(uid_t *)arg) == 0);
	n = make_too_many(fds);
	must(n >= 64);
	close(fds[0]);
	/* Freed from a work item; the context that was refused can be set up then. */
	must(eventually((err = gs_ioctl(fds[n], GSCHED_IOC_SETUP, &(struct gsched_setup){
		.nr_procs = 1, .max_procs = 1, .max_ms = 1 })) == 0));
	must(setup_one(&fds[0]) == -EUSERS);
	return 0;
}

FIXTURE(users) {
	mode_t mode;
};

FIXTURE_SETUP(users)
{
	struct rlimit limit;
	struct stat st;

	ASSERT_TRUE(module_unused());
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < TOO_MANY + 100)
		SKIP(_exit(SKIPPED), "too few descriptors");
	must(stat(GSCHED_DEVICE, &st) == 0);
	self->mode = st.st_mode;
	must(chmod(GSCHED_DEVICE, 0666) == 0);
}

FIXTURE_TEARDOWN(users)
{
	chmod(GSCHED_DEVICE, self->mode);
	EXPECT_TRUE(module_unused());
}

TEST_F_TIMEOUT(users, too_many_contexts, 60)
{
	uid_t uid = 1000;

	EXPECT_EQ(0, in_child(be_too_many, &uid));
}

/* One user's contexts are not another's. */
TEST_F_TIMEOUT(users, others_are_free, 60)
{
	static int fds[TOO_MANY];
	uid_t uid = 1000;
	int n = make_too_many(fds);

	EXPECT_EQ(0, in_child(be_too_many, &uid));
	for (int i = 0; i <= n; i++)
		close(fds[i]);
}

/* ------------------------------------------------------------------- fdinfo */

static void read_fdinfo(int fd, char *text, size_t size)
{
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", getppid(), fd);
	f = fopen(path, "re");
	must(f);
	n = fread(text, 1, size - 1, f);
	text[n] = 0;
	fclose(f);
}

/* What comes after @key in its line, as a number. */
static long number_in_line(const char *text, const char *line, const char *key)
{
	const char *at = strstr(text, line), *end, *found;

	if (!at)
		return -1;
	end = strchr(at, '\n');
	found = strstr(at, key);
	if (!end || !found || found > end)
		return -1;
	return atol(found + strlen(key));
}

static bool in_line(const char *text, const char *line, const char *what)
{
	const char *at = strstr(text, line), *found = at ? strstr(at, what) : NULL;

	return found && found < strchr(at, '\n');
}

/* Another process reads it: the reader is a child of the test. */
static int check_fdinfo(void *arg)
{
	char text[8192];

	read_fdinfo(*(int *)arg, text, sizeof(text));
	printf("%s", text);
	must(number_in_line(text, "procs:", "procs:\t") == 3);
	must(number_in_line(text, "procs:", "idle=") == 2);
	must(number_in_line(text, "ms:", "ms:\t") == 3);
	must(number_in_line(text, "ms:", "idle=") == 1);
	must(number_in_line(text, "ms:", "waiting=") == 0);
	must(number_in_line(text, "ms:", "max=") == 8);
	must(number_in_line(text, "slots:", "slots:\t") == 1);
	must(number_in_line(text, "slots:", "max=") == 16);
	must(number_in_line(text, "spinning:", "spinning:\t") == 1);
	must(number_in_line(text, "global:", "global:\t") == 7);
	must(in_line(text, "p0:", "state=run") || in_line(text, "p1:", "state=run") ||
	     in_line(text, "p2:", "state=run"));
	must(number_in_line(text, "p1:", "queue=") == 5);
	must(number_in_line(text, "p2:", "runnext=") == 1);
	must(number_in_line(text, "p2:", "inbox=") == 1);
	must(number_in_line(text, "p2:", "readies=") == 1);
	must(in_line(text, "m0:", "tid="));
	must(strstr(text, "state=idle"));
	must(number_in_line(text, "counters:", "idles=") == 1);
	return 0;
}

TEST(fdinfo)
{
	struct actor *idle;
	struct gs gs;
	__u32 id, slot;

	gs_start(&gs, 3, 3, 8, 16);
	ASSERT_EQ(0, gs_register(&gs, &id));
	ASSERT_EQ(0, actor_do(actor_start_m(&gs), act_acquire));
	idle = actor_start_m(&gs);
	actor_begin_idle(idle);
	ASSERT_EQ(0, gs_fd_register(&gs, eventfd(0, 0), &slot));
	gs.shared->nr_spinning = 1;
	gs.shared->global_len = 7;
	gs.procs[1].head = 10;
	gs.procs[1].tail = 15;
	gs.procs[2].runnext = 99;
	ASSERT_EQ(0, gs_enqueue(&gs, 2, 5));
	EXPECT_EQ(0, in_child(check_fdinfo, &gs.fd));
}

static int check_fdinfo_before_setup(void *arg)
{
	char text[8192];

	read_fdinfo(*(int *)arg, text, sizeof(text));
	must(strstr(text, "pos:"));
	return 0;
}

TEST(fdinfo_before_setup)
{
	int fd = gs_open();

	EXPECT_EQ(0, in_child(check_fdinfo_before_setup, &fd));
	close(fd);
}

/* Read while everything changes. */
static void *read_all_the_time(void *arg)
{
	char path[64], text[8192];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", *(int *)arg);
	for (unsigned int i = 0; i < scaled(300); i++) {
		FILE *f = fopen(path, "re");

		must(f);
		must(fread(text, 1, sizeof(text), f) > 0);
		fclose(f);
	}
	return NULL;
}

TEST(fdinfo_while_running)
{
	pthread_t reader;
	unsigned int seed = test_seed();
	int event = eventfd(0, 0);
	struct gs gs;
	__u32 id, proc, slot;

	gs_start(&gs, 2, 8, 8, 16);
	ASSERT_EQ(0, pthread_create(&reader, NULL, read_all_the_time, &gs.fd));
	while (pthread_tryjoin_np(reader, NULL)) {
		must(gs_register(&gs, &id) == 0);
		must(gs_acquire(&gs, 0, &proc) == 0);
		must(gs_set_procs(&gs, 1 + rnd(&seed, 8)) == 0);
		must(gs_fd_register(&gs, event, &slot) == 0);
		must(gs_fd_unregister(&gs, slot) == 0);
		must(gs_unregister(&gs) == 0);
	}
	gs_stop(&gs);
}

KMOD_MAIN
