// SPDX-License-Identifier: GPL-2.0
/*
 * Ms: how they begin, and all the ways in which they, their process or their
 * context end.
 */
#include "kmod.h"

#include <sched.h>
#include <spawn.h>
#include <sys/socket.h>

/* ------------------------------------------------------ register, unregister */

FIXTURE(m) {
	struct gs gs;
};

FIXTURE_SETUP(m)
{
	gs_start(&self->gs, 1, 2, 4, 4);
}

FIXTURE_TEARDOWN(m)
{
	gs_stop(&self->gs);
}

TEST_F(m, register_twice)
{
	__u32 id, again;
	struct gs other;

	gs_start(&other, 1, 1, 1, 0);
	ASSERT_EQ(0, gs_register(&self->gs, &id));
	EXPECT_GT(4U, id);
	EXPECT_EQ(-EBUSY, gs_register(&self->gs, &again));
	EXPECT_EQ(-EBUSY, gs_register(&other, &again));
	EXPECT_EQ(-ESRCH, gs_unregister(&other));
	EXPECT_EQ(0, gs_unregister(&self->gs));
	EXPECT_EQ(-ESRCH, gs_unregister(&self->gs));
	EXPECT_EQ(0, gs_register(&other, &id));
	EXPECT_EQ(-EBUSY, gs_register(&self->gs, &again));
	gs_stop(&other);
}

TEST_F(m, starts_without_proc)
{
	__u32 id;

	ASSERT_EQ(0, gs_register_bare(&self->gs, &id));
	EXPECT_EQ(GSCHED_NONE, load32(&self->gs.ms[id].proc));
	EXPECT_EQ(0U, load32(&self->gs.ms[id].in_sched));
	EXPECT_EQ(0ULL, load64(&self->gs.ms[id].cookie));
	EXPECT_EQ(1U, load32(&self->gs.shared->nr_idle));
}

TEST_F(m, no_more_than_max_ms)
{
	struct actor *a[5];
	bool seen[4] = { false };

	for (int i = 0; i < 4; i++) {
		a[i] = actor_start_m(&self->gs);
		ASSERT_GT(4U, a[i]->id);
		EXPECT_FALSE(seen[a[i]->id]);
		seen[a[i]->id] = true;
	}
	a[4] = actor_start(&self->gs);
	EXPECT_EQ(-ENOSPC, actor_do(a[4], act_register));
	EXPECT_EQ(0, actor_do(a[2], act_unregister));
	EXPECT_EQ(0, actor_do(a[4], act_register));
	EXPECT_EQ(a[2]->id, a[4]->id);
	EXPECT_EQ(-ENOSPC, actor_do(a[2], act_register));
}

/* The next M under a number does not inherit what the last one left there. */
TEST_F(m, ids_are_reused_clean)
{
	struct gsched_m *ms = self->gs.ms;
	__u32 id;

	for (unsigned int i = 0; i < scaled(500); i++) {
		must(gs_register_bare(&self->gs, &id) == 0);
		must(id < 4);
		must(ms[id].in_sched == 0 && ms[id].proc == GSCHED_NONE && ms[id].cookie == 0);
		ms[id].in_sched = 3;
		ms[id].proc = 1;
		ms[id].cookie = 99;
		must(gs_unregister(&self->gs) == 0);
	}
}

TEST_F(m, unregister_gives_proc_up)
{
	struct actor *a, *b;

	a = actor_start_m(&self->gs);
	b = actor_start_m(&self->gs);
	ASSERT_EQ(0, actor_do(a, act_acquire));
	actor_begin_acquire(b);
	EXPECT_EQ(0, actor_do(a, act_unregister));
	EXPECT_EQ(0, actor_end(b));
	EXPECT_EQ(0U, b->proc);
	EXPECT_EQ(0, actor_do(b, act_unregister));
	EXPECT_EQ(1U, load32(&self->gs.shared->nr_idle));
}

TEST_F(m, thread_exit_gives_proc_up)
{
	struct actor *a, *b;

	a = actor_start_m(&self->gs);
	b = actor_start_m(&self->gs);
	ASSERT_EQ(0, actor_do(a, act_acquire));
	actor_begin_acquire(b);
	actor_exit(a);
	EXPECT_EQ(0, actor_end(b));
	EXPECT_EQ(b->id, load32(&self->gs.procs[b->proc].owner));
	actor_exit(b);
	EXPECT_TRUE(eventually(load32(&self->gs.shared->nr_idle) == 1));
	EXPECT_EQ((__u32)GSCHED_P_IDLE, load32(&self->gs.procs[0].state));
}

/* The number of a thread that is gone serves again, in the end. */
TEST_F(m, thread_exit_frees_id)
{
	for (unsigned int i = 0; i < scaled(100); i++) {
		struct actor *a;

		a = actor_start(&self->gs);
		must(eventually(actor_do(a, act_register) == 0));
		must(actor_do(a, act_acquire) == 0);
		actor_exit(a);
	}
}

/* The closed context of which the thread still is an M does not bind it. */
TEST_F(m, registers_again_after_its_context_is_closed)
{
	struct gs other;
	__u32 id, proc;

	ASSERT_EQ(0, gs_register(&self->gs, &id));
	ASSERT_EQ(0, gs_acquire(&self->gs, 0, &proc));
	close(self->gs.fd);
	gs_start(&other, 1, 1, 1, 0);
	EXPECT_EQ(0, gs_register(&other, &id));
	EXPECT_EQ(0, gs_acquire(&other, 0, &proc));
	EXPECT_EQ(0, gs_unregister(&other));
	self->gs.fd = other.fd;
}

/* -------------------------------------------------------------------- exec */

struct exec_plan {
	bool keep_fd;		/* the context goes through the exec */
	bool from_thread;	/* not by the leader: the leader dies of it */
	bool leader_waits;	/* and it sleeps in ACQUIRE meanwhile */
};

static void exec_helper(int fd, bool keep)
{
	char num[16];

	snprintf(num, sizeof(num), "%d", keep ? fd : -1);
	if (keep)
		fcntl(fd, F_SETFD, 0);
	execl("/proc/self/exe", "kmod_m", "--after-exec", num, NULL);
	_exit(126);
}

static int act_exec(struct actor *a)
{
	exec_helper(a->gs->fd, a->flags);
	return 0;
}

/* The child's part: an M with a P, another that waits for one, and then exec. */
static int run_exec_plan(void *arg)
{
	struct exec_plan *plan = arg;
	struct actor *waiting, *doer;
	__u32 id, proc;
	struct gs gs;

	gs_start(&gs, 1, 1, 4, 0);
	waiting = actor_start_m(&gs);
	doer = actor_start_m(&gs);
	must(actor_do(doer, act_acquire) == 0);
	actor_begin_acquire(waiting);
	must(gs_register(&gs, &id) == 0);
	if (!plan->from_thread) {
		must(actor_do(doer, act_release) == 0);
		must(actor_end(waiting) == 0);
		actor_begin_acquire(doer);
		exec_helper(gs.fd, plan->keep_fd);
	}
	doer->flags = plan->keep_fd;
	actor_begin(doer, act_exec);
	if (plan->leader_waits)
		gs_acquire(&gs, 0, &proc);
	pause();
	return 1;
}

/* The helper's part, in the same process. */
static int after_exec(int old)
{
	struct gsched_query query = { 0 };
	__u32 id, proc;
	struct gs gs;

	if (old >= 0) {
		must(gs_ioctl(old, GSCHED_IOC_QUERY, &query) == -EPERM);
		must(gs_ioctl(old, GSCHED_IOC_M_UNREGISTER, NULL) == -EPERM);
		must(gs_ioctl(old, GSCHED_IOC_RELEASE, NULL) == -EPERM);
		close(old);
	}
	must(module_unused());
	gs_start(&gs, 1, 1, 1, 0);
	must(gs_register(&gs, &id) == 0);
	must(gs_acquire(&gs, 0, &proc) == 0);
	must(proc == 0);
	return 0;
}

FIXTURE(process) {
};

FIXTURE_SETUP(process)
{
	ASSERT_TRUE(module_unused());
}

FIXTURE_TEARDOWN(process)
{
	EXPECT_TRUE(module_unused());
}

TEST_F(process, exec)
{
	for (int i = 0; i < 8; i++) {
		struct exec_plan plan = { i & 1, i & 2, i & 4 };

		EXPECT_EQ(0, in_child(run_exec_plan, &plan)) TH_LOG("plan %d", i);
	}
}

/* ---------------------------------------------------------------- children */

static int be_a_new_process(void *arg)
{
	struct gs *old = arg, gs;
	__u32 id, proc;

	must(gs_register(old, &id) == -EPERM);
	gs_start(&gs, 1, 1, 1, 0);
	must(gs_acquire(&gs, 0, &proc) == -ESRCH);
	must(gs_register(&gs, &id) == 0);
	must(gs_acquire(&gs, 0, &proc) == 0);
	return 0;
}

TEST_F(m, fork_of_an_m)
{
	__u32 id, proc;

	ASSERT_EQ(0, gs_register(&self->gs, &id));
	ASSERT_EQ(0, gs_acquire(&self->gs, 0, &proc));
	EXPECT_EQ(0, in_child(be_a_new_process, &self->gs));
	EXPECT_EQ(id, load32(&self->gs.procs[0].owner));
	EXPECT_EQ(0, gs_release(&self->gs));
	EXPECT_EQ(1U, load32(&self->gs.shared->nr_idle));
}

static int close_it(void *arg)
{
	return close(*(int *)arg);
}

/* A child's close is none of the owner's. */
static void check_alive(struct gs *gs, struct actor *idle)
{
	must(!actor_ended(idle));
	must(sleeps_in(idle->tid, GSCHED_IOC_IDLE));
	must(gs_set_procs(gs, 1) == 0);
}

TEST_F(m, children_that_close)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	posix_spawn_file_actions_t fa;
	char *argv[] = { "kmod_m", "--nothing", NULL };
	struct actor *idle;
	pid_t pid;

	idle = actor_start_m(&self->gs);
	actor_begin_idle(idle);

	ASSERT_EQ(0, in_child(close_it, &self->gs.fd));
	check_alive(&self->gs, idle);

	pid = clone(close_it, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
		    &self->gs.fd);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, child_wait(pid));
	check_alive(&self->gs, idle);

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addclose(&fa, self->gs.fd);
	ASSERT_EQ(0, posix_spawn(&pid, "/proc/self/exe", &fa, NULL, argv, environ));
	ASSERT_EQ(0, child_wait(pid));
	check_alive(&self->gs, idle);

	/* Close-on-exec in the child. */
	ASSERT_EQ(0, posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ));
	ASSERT_EQ(0, child_wait(pid));
	check_alive(&self->gs, idle);

	EXPECT_EQ(0, gs_wake(&self->gs));
	EXPECT_EQ(0, actor_end(idle));
}

/* Nor is that of a thread which closes its own copy of the descriptor. */
static int act_close_own_copy(struct actor *a)
{
	return unshare(CLONE_FILES) ? -errno : close(a->gs->fd);
}

TEST_F(m, thread_with_its_own_table_closes)
{
	struct actor *idle = actor_start_m(&self->gs), *closer = actor_start(&self->gs);

	actor_begin_idle(idle);
	ASSERT_EQ(0, actor_do(closer, act_close_own_copy));
	check_alive(&self->gs, idle);
	actor_exit(closer);
	check_alive(&self->gs, idle);
	EXPECT_EQ(0, gs_wake(&self->gs));
	EXPECT_EQ(0, actor_end(idle));
}

/* The child inherits the table of descriptors, and dies. */
static int die_soon(void *arg)
{
	(void)arg;
	raise(SIGKILL);
	return 0;
}

TEST_F(m, children_that_die)
{
	struct actor *idle;

	idle = actor_start_m(&self->gs);
	actor_begin_idle(idle);
	EXPECT_EQ(128 + SIGKILL, in_child(die_soon, NULL));
	check_alive(&self->gs, idle);
	EXPECT_EQ(0, gs_wake(&self->gs));
	EXPECT_EQ(0, actor_end(idle));
}

/* ------------------------------------------------------- ends by force */

/* One thread in each state that an M, or the spawner, can be in. */
static void fill_states(struct gs *gs, struct actor *a[6])
{
	gs_start(gs, 1, 1, 8, 0);
	a[0] = actor_start_m(gs);
	must(actor_do(a[0], act_acquire) == 0);
	a[1] = actor_start_m(gs);
	actor_begin_acquire(a[1]);
	a[2] = actor_start_m(gs);
	actor_begin_idle(a[2]);
	a[3] = actor_start_m(gs);
	a[3]->deadline = now_ns() + 3600 * NSEC_PER_SEC;
	actor_begin_idle(a[3]);
	a[4] = actor_start_m(gs);
	a[5] = actor_start(gs);
	actor_begin_spawner(a[5]);
}

static int spin_with_proc(struct actor *a)
{
	for (;;)
		load32(&a->gs->procs[0].state);
	return 0;
}

static int live_in_all_states(void *arg)
{
	struct actor *a[6];
	struct gs gs;

	fill_states(&gs, a);
	actor_begin(a[0], spin_with_proc);
	must(write(*(int *)arg, "r", 1) == 1);
	pause();
	return 0;
}

TEST_F(process, killed)
{
	int ready[2];
	char byte;

	ASSERT_EQ(0, pipe(ready));
	for (int i = 0; i < 5; i++) {
		pid_t pid = child_start(live_in_all_states, &ready[1]);

		ASSERT_EQ(1, read(ready[0], &byte, 1));
		kill(pid, SIGKILL);
		EXPECT_EQ(128 + SIGKILL, child_wait(pid));
	}
}

static int exit_in_all_states(void *arg)
{
	struct actor *a[6];
	struct gs gs;

	(void)arg;
	fill_states(&gs, a);
	actor_begin(a[0], spin_with_proc);
	return 0;
}

TEST_F(process, exits)
{
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(0, in_child(exit_in_all_states, NULL));
	}
}

/* Stopped and continued, nobody loses his place. */
TEST_F(process, stopped_and_continued)
{
	int ready[2], status;
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe(ready));
	pid = child_start(live_in_all_states, &ready[1]);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	for (int i = 0; i < 5; i++) {
		kill(pid, SIGSTOP);
		ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
		ASSERT_TRUE(WIFSTOPPED(status));
		kill(pid, SIGCONT);
		ASSERT_EQ(pid, waitpid(pid, &status, WCONTINUED));
		ASSERT_TRUE(WIFCONTINUED(status));
	}
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, child_wait(pid));
}

static void check_shutdown(struct gs *gs, struct actor *a[6])
{
	must(actor_end(a[1]) == -ESHUTDOWN);
	must(actor_end(a[2]) == -ESHUTDOWN);
	must(actor_end(a[3]) == -ESHUTDOWN);
	must(actor_end(a[5]) == -ESHUTDOWN);
	for (int i = 0; i < 6; i++) {
		must(actor_do(a[i], act_acquire) == -ESHUTDOWN);
		must(actor_do(a[i], act_idle) == -ESHUTDOWN);
		must(actor_do(a[i], act_release) == -ESHUTDOWN);
		must(actor_do(a[i], act_spawner) == -ESHUTDOWN);
	}
	must(gs_wake(gs) == -ESHUTDOWN);
	must(gs_enqueue(gs, 0, 2) == -ESHUTDOWN);
	for (int i = 0; i < 6; i++)
		actor_exit(a[i]);
}

TEST_F(process, closed_while_they_sleep)
{
	struct actor *a[6];
	struct gs gs;
	int dupfd;

	fill_states(&gs, a);
	dupfd = dup(gs.fd);
	close(gs.fd);
	gs.fd = dupfd;
	check_shutdown(&gs, a);
	gs_stop(&gs);
}

/* The last descriptor goes: those who sleep still hold the file. */
TEST_F(process, closed_for_good_while_they_sleep)
{
	struct actor *a[6];
	struct gs gs;

	fill_states(&gs, a);
	close(gs.fd);
	EXPECT_EQ(-ESHUTDOWN, actor_end(a[1]));
	EXPECT_EQ(-ESHUTDOWN, actor_end(a[2]));
	EXPECT_EQ(-ESHUTDOWN, actor_end(a[3]));
	EXPECT_EQ(-ESHUTDOWN, actor_end(a[5]));
	EXPECT_EQ(-EBADF, actor_do(a[0], act_release));
	gs_unmap_all(&gs);
	for (int i = 0; i < 6; i++)
		actor_exit(a[i]);
}

/* A child holds a copy of the descriptor: the owner's end still is the end. */
static int hold_until_told(void *arg)
{
	char byte;

	return read(*(int *)arg, &byte, 1) != 1;
}

struct heir {
	int orders[2];
	pid_t pid;
};

static int leave_an_heir(void *arg)
{
	struct heir *heir = arg;
	struct actor *a[6];
	struct gs gs;

	fill_states(&gs, a);
	must(child_start(hold_until_told, &heir->orders[0]) > 0);
	return 0;
}

TEST_F(process, survived_by_a_copy_of_its_descriptor)
{
	struct heir heir;

	ASSERT_EQ(0, pipe(heir.orders));
	ASSERT_EQ(0, in_child(leave_an_heir, &heir));
	let_it_happen();
	EXPECT_LT(0, module_refs());
	ASSERT_EQ(1, write(heir.orders[1], "x", 1));
}

/* --------------------------------------------------------- the leader is gone */

static void *use_without_leader(void *arg)
{
	pthread_t leader = *(pthread_t *)arg;
	struct actor *a;
	struct gs gs;
	__u32 id, proc;

	must(pthread_join(leader, NULL) == 0);
	gs_start(&gs, 1, 1, 4, 1);
	must(gs_register(&gs, &id) == 0);
	a = actor_start_m(&gs);
	actor_begin_idle(a);
	must(gs_wake(&gs) == 0);
	must(actor_end(a) == 0);
	must(actor_do(a, act_release) == 0);
	must(gs_acquire(&gs, 0, &proc) == 0);
	_exit(0);
}

static int leader_goes(void *arg)
{
	static pthread_t self;
	pthread_t thread;

	(void)arg;
	self = pthread_self();
	must(pthread_create(&thread, NULL, use_without_leader, &self) == 0);
	pthread_exit(NULL);
}

TEST_F(process, context_made_after_the_leader_has_gone)
{
	EXPECT_EQ(0, in_child(leader_goes, NULL));
}

static struct gs inherited;

static void *use_leaders_context(void *arg)
{
	struct gs *gs = &inherited;
	__u32 id, proc;

	must(pthread_join(*(pthread_t *)arg, NULL) == 0);
	must(gs_register(gs, &id) == 0);
	must(gs_acquire(gs, 0, &proc) == 0);	/* the leader held it */
	must(gs_set_procs(gs, 2) == 0);
	must(touch_write(&gs->procs[1].user) == 0);
	_exit(0);
}

static int opener_goes(void *arg)
{
	static pthread_t self;
	pthread_t thread;
	__u32 id, proc;

	(void)arg;
	self = pthread_self();
	gs_start(&inherited, 1, 2, 4, 1);
	must(gs_register(&inherited, &id) == 0);
	must(gs_acquire(&inherited, 0, &proc) == 0);
	must(pthread_create(&thread, NULL, use_leaders_context, &self) == 0);
	pthread_exit(NULL);
}

TEST_F(process, opener_goes_and_the_rest_goes_on)
{
	EXPECT_EQ(0, in_child(opener_goes, NULL));
}

/* ------------------------------------------------------- descriptor passing */

static void send_fd(int sock, int fd)
{
	char byte = 'f', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	must(sendmsg(sock, &msg, 0) == 1);
}

static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd;

	must(recvmsg(sock, &msg, 0) == 1);
	must(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static int send_context(void *arg)
{
	int sock = *(int *)arg;
	struct gs gs;

	gs_start(&gs, 1, 1, 1, 0);
	send_fd(sock, gs.fd);
	return 0;
}

TEST_F(process, descriptor_received_from_another)
{
	struct gsched_query query = { 0 };
	int sock[2], fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	ASSERT_EQ(0, in_child(send_context, &sock[1]));
	fd = receive_fd(sock[0]);
	EXPECT_EQ(-EPERM, gs_ioctl(fd, GSCHED_IOC_QUERY, &query));
	EXPECT_EQ(-EPERM, gs_ioctl(fd, GSCHED_IOC_RELEASE, NULL));
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--after-exec"))
		return after_exec(atoi(argv[2]));
	if (argc == 2 && !strcmp(argv[1], "--nothing"))
		return 0;
	if (access(GSCHED_DEVICE, F_OK))
		ksft_exit_skip("there is no %s\n", GSCHED_DEVICE);
	return test_harness_run(argc, argv);
}
