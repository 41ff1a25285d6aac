// SPDX-License-Identifier: GPL-2.0
/*
 * The ladder: the ways in which the module finds task_work_add(), hence the hold. The
 * module lies as gsched.ko in the working directory; each test loads it in its way, and
 * afterwards it is loaded as before.
 */
#include "kmod_block.h"

#define MODULE_FILE	"gsched.ko"
#define HOLD_FILE	"/sys/module/gsched/parameters/hold"

static int load_with(const char *args)
{
	int fd = open(MODULE_FILE, O_RDONLY | O_CLOEXEC), err;

	must(fd >= 0);
	err = syscall(SYS_finit_module, fd, args, 0) ? -errno : 0;
	close(fd);
	if (!err)
		must(eventually(access(GSCHED_DEVICE, F_OK) == 0));
	return err;
}

static bool unload(void)
{
	return eventually(syscall(SYS_delete_module, "gsched", O_NONBLOCK) == 0);
}

static __u64 features(void)
{
	struct gsched_query q = { 0 };
	int fd = gs_open();

	must(fd >= 0);
	must(gs_ioctl(fd, GSCHED_IOC_QUERY, &q) == 0);
	close(fd);
	return q.features & (GSCHED_FEAT_HANDOFF | GSCHED_FEAT_HOLD | GSCHED_FEAT_PREEMPT);
}

#define ALL	(GSCHED_FEAT_HANDOFF | GSCHED_FEAT_HOLD | GSCHED_FEAT_PREEMPT)

static bool exported(const char *symbol)
{
	char line[256], name[160];
	bool found = false;
	FILE *f = fopen("/proc/kallsyms", "re");

	must(f);
	snprintf(name, sizeof(name), " __ksymtab_%s", symbol);
	while (!found && fgets(line, sizeof(line), f)) {
		char *at = strstr(line, name);

		found = at && strcspn(at + strlen(name), "\n\t ") == 0;
	}
	fclose(f);
	return found;
}

/* Each test in a process of its own: the contexts must be gone before it unloads. */
FIXTURE(ladder) {
};

FIXTURE_SETUP(ladder)
{
	ASSERT_TRUE(module_unused());
	ASSERT_TRUE(unload());
}

FIXTURE_TEARDOWN(ladder)
{
	EXPECT_TRUE(module_refs() < 0 || unload());
	EXPECT_EQ(0, load_with(""));
	EXPECT_EQ(ALL, features());
}

static int use_with_hold(void *arg)
{
	struct actor *a, *t;
	struct block *b;
	struct gs gs;

	(void)arg;
	gs_start(&gs, 1, 1, 4, 0);
	a = actor_start_m(&gs);
	t = actor_start_m(&gs);
	b = block_prepare(&pipe_read, a);
	must(make_pipe(b));
	lose_p_and_be_held(a, t);
	let_it_happen();
	must(!actor_ended(a));
	must(actor_do(t, act_release) == 0);
	must(actor_end(a) == 0);
	must(b->proc == 0);
	return 0;
}

/* The M goes on without a P, and says so: it has to acquire one. */
static int use_without_hold(void *arg)
{
	struct actor *a, *t;
	struct block *b;
	struct gs gs;

	(void)arg;
	gs_start(&gs, 1, 1, 4, 0);
	a = actor_start_m(&gs);
	t = actor_start_m(&gs);
	b = block_prepare(&pipe_read, a);
	must(make_pipe(b));
	lose_p(a, t);
	must(actor_end(a) == 0);
	must(b->proc == GSCHED_NONE);
	actor_begin_acquire(a);
	must(actor_do(t, act_release) == 0);
	must(actor_end(a) == 0);
	must(a->proc == 0);
	return 0;
}

/* A hog loses its P, or keeps it. */
static int use_hog(void *arg)
{
	bool preempts = *(bool *)arg;
	struct actor *a, *t;
	struct block *b;
	struct gs gs;

	gs_start(&gs, 1, 1, 4, 0);
	a = actor_start_m(&gs);
	t = actor_start_m(&gs);
	b = block_prepare(&spin, a);
	must(actor_do(a, act_acquire) == 0);
	actor_begin(a, act_block);
	actor_begin(t, act_acquire);
	if (preempts) {
		must(actor_end(t) == 0);
		must(actor_do(t, act_release) == 0);
	} else {
		sleep_ns(20 * GSCHED_SLICE);
		must(!actor_ended(t));
	}
	futex_wake(b);
	must(actor_end(a) == 0);
	must(b->proc == 0);
	return 0;
}

static void check_rung(struct __test_metadata *_metadata, const char *args, bool hold)
{
	ASSERT_EQ(0, load_with(args));
	EXPECT_EQ(hold ? ALL : GSCHED_FEAT_HANDOFF, features());
	EXPECT_EQ(0, in_child(hold ? use_with_hold : use_without_hold, NULL));
	EXPECT_EQ(0, in_child(use_hog, &hold));
}

TEST_F(ladder, auto)
{
	check_rung(_metadata, "hold=auto", true);
}

TEST_F(ladder, export)
{
	if (!exported("task_work_add")) {
		EXPECT_EQ(-ENOENT, load_with("hold=export"));
		SKIP(return, "this kernel does not export it");
	}
	check_rung(_metadata, "hold=export", true);
}

TEST_F(ladder, kprobe)
{
	check_rung(_metadata, "hold=kprobe", true);
}

TEST_F(ladder, none)
{
	check_rung(_metadata, "hold=none", false);
}

TEST_F(ladder, nonsense)
{
	static const char *const args[] = {
		"hold=nonsense", "hold=", "hold=exports", "hold=auto,none", "hold=NONE",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(args); i++) {
		EXPECT_EQ(-EINVAL, load_with(args[i])) TH_LOG("%s", args[i]);
		EXPECT_EQ(-1, module_refs());
	}
}

/* It says what it is, and does not let itself be told. */
TEST_F(ladder, parameter_is_read_only)
{
	char text[16] = "";
	int fd;

	ASSERT_EQ(0, load_with("hold=kprobe"));
	EXPECT_GT(0, open(HOLD_FILE, O_WRONLY | O_CLOEXEC));
	fd = open(HOLD_FILE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_LT(0, read(fd, text, sizeof(text) - 1));
	EXPECT_EQ(0, strcmp(text, "kprobe\n"));
	close(fd);
}

/* A rung is left as it was found: each can follow on each, many times. */
TEST_F_TIMEOUT(ladder, up_and_down, 100)
{
	static const char *const args[] = { "hold=auto", "hold=kprobe", "hold=none", "" };

	for (int i = 0; i < 8; i++) {
		ASSERT_EQ(0, load_with(args[(i * 7) % 4]));
		ASSERT_EQ(0, in_child((i * 7) % 4 == 2 ? use_without_hold : use_with_hold, NULL));
		ASSERT_TRUE(unload());
	}
}

int main(int argc, char **argv)
{
	if (access(MODULE_FILE, R_OK) || module_refs() < 0)
		ksft_exit_skip("no %s here, or it is not loaded\n", MODULE_FILE);
	return test_harness_run(argc, argv);
}
