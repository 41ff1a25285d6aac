// SPDX-License-Identifier: GPL-2.0
/*
 * Unloading and loading the module. It lies as gsched.ko in the working directory;
 * without it there is nothing to load again, and the tests are skipped.
 */
#include "kmod.h"

#include <sys/eventfd.h>
#include <sys/prctl.h>

#define MODULE_FILE	"gsched.ko"

static int unload(void)
{
	return syscall(SYS_delete_module, "gsched", O_NONBLOCK) ? -errno : 0;
}

static int load(void)
{
	int fd = open(MODULE_FILE, O_RDONLY | O_CLOEXEC), err;

	must(fd >= 0);
	err = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return err;
}

/* devtmpfs makes the node after the module has been loaded. */
static void load_again(void)
{
	must(load() == 0);
	must(eventually(access(GSCHED_DEVICE, F_OK) == 0));
}

static bool unloads(void)
{
	return eventually(unload() == 0);
}

FIXTURE(unload) {
};

FIXTURE_SETUP(unload)
{
	ASSERT_TRUE(module_unused());
}

FIXTURE_TEARDOWN(unload)
{
	/* The tests that come later need it. */
	if (module_refs() < 0)
		load_again();
}

TEST_F(unload, many_times)
{
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, unload());
		EXPECT_EQ(-1, module_refs());
		EXPECT_TRUE(eventually(access(GSCHED_DEVICE, F_OK) != 0));
		EXPECT_EQ(-ENOENT, unload());
		load_again();
		EXPECT_EQ(-EEXIST, load());
	}
}

TEST_F(unload, not_while_open)
{
	int fd = gs_open();

	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(fd);
	EXPECT_TRUE(unloads());
}

TEST_F(unload, not_while_mapped)
{
	struct gs gs;
	char *stack;

	gs_start(&gs, 1, 1, 1, 0);
	stack = mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, gs.fd,
		     GSCHED_OFF_STACKS(18));
	ASSERT_NE(MAP_FAILED, (void *)stack);
	EXPECT_EQ(0, touch_write(stack + (1 << 17)));
	close(gs.fd);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	gs_unmap_all(&gs);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	EXPECT_EQ(0, touch_write(stack + (1 << 18) - 1));
	munmap(stack, 1 << 18);
	EXPECT_TRUE(unloads());
}

/* The scheduler calls into the module for as long as the thread is an M. */
TEST_F(unload, not_while_a_thread_is_an_m)
{
	struct actor *m;
	struct gs gs;

	gs_start(&gs, 1, 1, 2, 0);
	m = actor_start_m(&gs);
	gs_stop(&gs);
	let_it_happen();
	EXPECT_EQ(-EWOULDBLOCK, unload());
	actor_exit(m);
	EXPECT_TRUE(unloads());
}

/* ------------------------------------------------- directly after processes end */

static int sleep_in_idle(struct actor *a)
{
	__u32 slot;

	must(gs_fd_register(a->gs, eventfd(0, 0), &slot) == 0);
	return act_idle(a);
}

static int live_until_killed(void *arg)
{
	struct gs gs;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	gs_start(&gs, 1, 1, 8, 8);
	actor_begin_sleep(actor_start_m(&gs), sleep_in_idle, GSCHED_IOC_IDLE);
	must(actor_do(actor_start_m(&gs), act_acquire) == 0);
	actor_begin_acquire(actor_start_m(&gs));
	actor_begin_spawner(actor_start(&gs));
	must(write(*(int *)arg, "r", 1) == 1);
	pause();
	return 0;
}

/* As soon as the count allows it, with what the end has left still under way. */
TEST_F_TIMEOUT(unload, after_kills, 60)
{
	int ready[2];
	char byte;

	ASSERT_EQ(0, pipe(ready));
	for (unsigned int i = 0; i < scaled(10); i++) {
		pid_t pid = child_start(live_until_killed, &ready[1]);

		must(read(ready[0], &byte, 1) == 1);
		kill(pid, SIGKILL);
		must(child_wait(pid) == 128 + SIGKILL);
		while (unload())
			sched_yield();
		load_again();
	}
}

static int register_and_return(void *arg)
{
	struct gs gs;
	__u32 id, proc;

	(void)arg;
	gs_start(&gs, 1, 1, 2, 8);
	must(gs_register(&gs, &id) == 0);
	must(gs_acquire(&gs, 0, &proc) == 0);
	return 0;
}

TEST_F_TIMEOUT(unload, after_exits, 60)
{
	for (unsigned int i = 0; i < scaled(10); i++) {
		pid_t pid[4];

		for (int j = 0; j < 4; j++)
			pid[j] = child_start(register_and_return, NULL);
		for (int j = 0; j < 4; j++)
			must(child_wait(pid[j]) == 0);
		while (unload())
			sched_yield();
		load_again();
	}
}

/* Opening races with unloading: either there is a device, or there is none. */
static int open_and_close(void *arg)
{
	int fd;

	for (;;) {
		fd = gs_open();
		must(fd >= 0 || errno == ENOENT || errno == ENODEV || errno == ENXIO);
		if (fd >= 0)
			close(fd);
	}
	return arg != NULL;
}

TEST_F_TIMEOUT(unload, against_opens, 60)
{
	pid_t pid = child_start(open_and_close, NULL);

	for (unsigned int i = 0; i < scaled(5); i++) {
		while (unload())
			sched_yield();
		load_again();
	}
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, child_wait(pid));
}

int main(int argc, char **argv)
{
	if (access(MODULE_FILE, R_OK) || module_refs() < 0)
		ksft_exit_skip("no %s here, or it is not loaded\n", MODULE_FILE);
	return test_harness_run(argc, argv);
}
