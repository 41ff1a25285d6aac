// SPDX-License-Identifier: GPL-2.0
/*
 * The mappings: the four shared regions, and the stack region with its guards.
 */
#include "kmod.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define KIB	1024UL
#define MIB	(1024 * KIB)

static int map_errno(void *p)
{
	return p == MAP_FAILED ? -errno : 0;
}

/* 0 or the -errno of an mmap that is undone at once. */
static int try_map(int fd, size_t size, int prot, int flags, __u64 offset)
{
	void *p = mmap(NULL, size, prot, flags, fd, offset);
	int err = map_errno(p);

	if (!err)
		munmap(p, size);
	return err;
}

/* ----------------------------------------------------------- shared regions */

static const __u64 regions[] = {
	GSCHED_OFF_SHARED, GSCHED_OFF_PROCS, GSCHED_OFF_MS, GSCHED_OFF_SLOTS,
};

FIXTURE(shared) {
	struct gs gs;
};

FIXTURE_SETUP(shared)
{
	gs_start(&self->gs, 2, 4, 200, 4096);
}

FIXTURE_TEARDOWN(shared)
{
	gs_stop(&self->gs);
}

TEST_F(shared, flags)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++) {
		EXPECT_EQ(0, try_map(self->gs.fd, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
				     regions[i]));
		EXPECT_EQ(0, try_map(self->gs.fd, 4096, PROT_READ, MAP_SHARED, regions[i]));
		EXPECT_EQ(-EINVAL, try_map(self->gs.fd, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE,
					   regions[i])) TH_LOG("region %u", i);
		EXPECT_EQ(-EINVAL, try_map(self->gs.fd, 4096, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_NORESERVE, regions[i]))
			TH_LOG("region %u", i);
	}
}

/* Offsets that are no region, and mappings that leave theirs. */
TEST_F(shared, offsets)
{
	int fd = self->gs.fd;

	for (unsigned int r = 4; r < GSCHED_STACK_SHIFT_MIN; r++) {
		EXPECT_EQ(-EINVAL, try_map(fd, 4096, PROT_READ, MAP_SHARED, GSCHED_OFF(r)))
			TH_LOG("region %u", r);
	}
	EXPECT_EQ(-EINVAL, try_map(fd, 4096, PROT_READ, MAP_SHARED, GSCHED_OFF(31)));
	EXPECT_EQ(-EINVAL, try_map(fd, 4096, PROT_READ, MAP_SHARED, GSCHED_OFF(1 << 20)));
	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++) {
		EXPECT_EQ(-EINVAL, try_map(fd, 2 * 4096, PROT_READ, MAP_SHARED,
					   regions[i] + GSCHED_OFF(1) - 4096))
			TH_LOG("region %u and the next", i);
	}
}

/* Behind the last object there is nothing: no mapping, or no page. */
TEST_F(shared, beyond_the_objects)
{
	size_t sizes[] = {
		4096, gs_procs_size(&self->gs), gs_ms_size(&self->gs), gs_slots_size(&self->gs),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++) {
		void *p = gs_map(self->gs.fd, regions[i] + sizes[i], 4096);

		if (p == MAP_FAILED)
			continue;
		EXPECT_EQ(SIGBUS, touch_read(p)) TH_LOG("region %u", i);
		munmap(p, 4096);
	}
}

TEST_F(shared, procs_appear)
{
	struct gsched_proc *procs = self->gs.procs;

	EXPECT_EQ(0, touch_read(&procs[0]));
	EXPECT_EQ(0, touch_read(&procs[1]));
	EXPECT_EQ(SIGBUS, touch_read(&procs[2]));
	EXPECT_EQ(SIGBUS, touch_write(&procs[3]));
	ASSERT_EQ(0, gs_set_procs(&self->gs, 4));
	EXPECT_EQ(0, touch_write(&procs[2].user));
	EXPECT_EQ(0, touch_write(&procs[3].user));
	ASSERT_EQ(0, gs_set_procs(&self->gs, 1));
	EXPECT_EQ(0, touch_read(&procs[3]));
	EXPECT_EQ((__u32)GSCHED_P_DEAD, load32(&procs[3].state));
}

TEST_F(shared, ms_appear)
{
	struct actor *a[65];

	EXPECT_EQ(SIGBUS, touch_read(&self->gs.ms[0]));
	for (unsigned int i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = actor_start_m(&self->gs);
	for (unsigned int i = 0; i < ARRAY_SIZE(a); i++) {
		EXPECT_GT(200U, a[i]->id);
		EXPECT_EQ(0, touch_read(&self->gs.ms[a[i]->id]));
	}
	EXPECT_EQ(SIGBUS, touch_read(&self->gs.ms[199]));
}

TEST_F(shared, slots_appear)
{
	__u32 first = self->gs.setup.first_slot, end = first + 4096, slot, id;
	int event = eventfd(0, 0);

	EXPECT_EQ(SIGBUS, touch_read(&self->gs.slots[end - 1]));
	ASSERT_EQ(0, gs_register(&self->gs, &id));
	ASSERT_EQ(0, gs_fd_register(&self->gs, event, &slot));
	EXPECT_EQ(0, touch_read(&self->gs.slots[slot]));
	EXPECT_EQ(SIGBUS, touch_read(&self->gs.slots[end - 1]));
}

TEST_F(shared, fresh_values)
{
	struct gsched_shared *sh = self->gs.shared;
	struct gsched_proc *p = self->gs.procs;

	EXPECT_EQ(2U, load32(&sh->nr_procs));
	EXPECT_EQ(2U, load32(&sh->nr_idle));
	EXPECT_EQ(0U, load32(&sh->nr_spinning));
	EXPECT_EQ(0U, load32(&sh->global_len));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ((__u32)GSCHED_P_IDLE, load32(&p[i].state));
		EXPECT_EQ(GSCHED_NONE, load32(&p[i].owner));
		EXPECT_EQ(0U, load32(&p[i].attention));
		EXPECT_EQ(0U, load32(&p[i].inbox));
		EXPECT_EQ(0ULL, load64(&p[i].runnext));
	}
}

/* No mapping sees another context's memory, all of the same see the same. */
TEST_F(shared, aliases)
{
	struct gsched_proc *again = gs_map(self->gs.fd, GSCHED_OFF_PROCS + 4096, 4096);
	struct gs other;

	ASSERT_NE(MAP_FAILED, (void *)again);
	gs_start(&other, 2, 2, 1, 0);
	self->gs.procs[1].user[5] = 77;
	EXPECT_EQ(77, again->user[5]);
	EXPECT_EQ(0, other.procs[1].user[5]);
	gs_stop(&other);
}

TEST_F(shared, no_growth)
{
	void *p;

	p = mremap(self->gs.procs, 4096, 2 * 4096, MREMAP_MAYMOVE);
	EXPECT_EQ(-EFAULT, map_errno(p));
	p = mremap(self->gs.shared, 4096, 2 * 4096, MREMAP_MAYMOVE);
	EXPECT_EQ(-EFAULT, map_errno(p));
}

static int read_all_regions(void *arg)
{
	struct gs *gs = arg;
	void *where[] = { gs->shared, gs->procs, gs->ms, gs->slots };

	for (unsigned int i = 0; i < ARRAY_SIZE(where); i++)
		must(touch_read(where[i]) == SIGSEGV);
	return 0;
}

TEST_F(shared, not_inherited)
{
	__u32 id;

	ASSERT_EQ(0, gs_register(&self->gs, &id));
	EXPECT_EQ(0, in_child(read_all_regions, &self->gs));
	EXPECT_EQ(0, touch_write(&self->gs.procs[0].user));
}

static int map_in_child(void *arg)
{
	int fd = *(int *)arg;

	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++)
		must(try_map(fd, 4096, PROT_READ, MAP_SHARED, regions[i]) == -EPERM);
	must(try_map(fd, 1 << 18, PROT_READ, MAP_PRIVATE, GSCHED_OFF_STACKS(18)) == -EPERM);
	return 0;
}

/* Another process gets no view of the owner's scheduler. */
TEST_F(shared, not_mapped_by_others)
{
	EXPECT_EQ(0, in_child(map_in_child, &self->gs.fd));
}

/* The kernel goes on writing into pages that nobody maps any more. */
TEST_F(shared, unmap_in_use)
{
	struct actor *a, *b;
	__u32 id, proc;

	ASSERT_EQ(0, gs_register(&self->gs, &id));
	a = actor_start_m(&self->gs);
	b = actor_start_m(&self->gs);
	ASSERT_EQ(0, actor_do(a, act_acquire));
	actor_begin_idle(b);
	gs_unmap_all(&self->gs);
	EXPECT_EQ(0, gs_enqueue(&self->gs, GSCHED_NONE, 7));
	EXPECT_EQ(0, actor_end(b));
	EXPECT_EQ(0, actor_do(a, act_release));
	EXPECT_EQ(0, gs_acquire(&self->gs, 0, &proc));
	EXPECT_EQ(0, gs_set_procs(&self->gs, 4));
	gs_map_all(&self->gs);
	EXPECT_EQ(4U, load32(&self->gs.shared->nr_procs));
}

/* Mappings outlive the descriptor. */
TEST_F(shared, mapped_after_close)
{
	__u32 id;
	int spare;

	ASSERT_EQ(0, gs_register(&self->gs, &id));
	close(self->gs.fd);
	spare = open("/dev/null", O_RDWR);	/* takes the number that teardown closes */
	EXPECT_EQ(self->gs.fd, spare);
	EXPECT_EQ(0, touch_write(&self->gs.procs[0].user));
	EXPECT_EQ(0, touch_write(&self->gs.ms[id].cookie));
	EXPECT_EQ(2U, load32(&self->gs.shared->nr_procs));
}

TEST(shared_before_setup)
{
	int fd = gs_open();

	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++) {
		EXPECT_EQ(-ENXIO, try_map(fd, 4096, PROT_READ, MAP_SHARED, regions[i]))
			TH_LOG("region %u", i);
	}
	close(fd);
}

/* ------------------------------------------------------------------- stacks */

#define STACK_PROT	(PROT_READ | PROT_WRITE)
#define STACK_FLAGS	(MAP_PRIVATE | MAP_NORESERVE)

static char *map_stacks_at(int fd, unsigned int shift, size_t size, __u64 offset)
{
	char *p = mmap(NULL, size, STACK_PROT, STACK_FLAGS, fd,
		       GSCHED_OFF_STACKS(shift) + offset);

	must(p != MAP_FAILED);
	return p;
}

static char *map_stacks(int fd, unsigned int shift, size_t size)
{
	return map_stacks_at(fd, shift, size, 0);
}

/* The guard begins at the slot's base, and ends where the usable part begins. */
static bool guarded(char *slot, size_t size)
{
	return touch_read(slot) == SIGSEGV && touch_write(slot) == SIGSEGV &&
	       touch_write(slot + GSCHED_STACK_GUARD / 2) == SIGSEGV &&
	       touch_write(slot + GSCHED_STACK_GUARD - 1) == SIGSEGV &&
	       touch_write(slot + GSCHED_STACK_GUARD) == 0 &&
	       touch_write(slot + size - 1) == 0;
}

FIXTURE(stacks) {
	int fd;		/* never set up: stacks need no SETUP */
};

FIXTURE_SETUP(stacks)
{
	self->fd = gs_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(stacks)
{
	close(self->fd);
}

TEST_F(stacks, errors)
{
	int fd = self->fd;
	__u64 off = GSCHED_OFF_STACKS(18);

	EXPECT_EQ(0, try_map(fd, MIB, STACK_PROT, STACK_FLAGS, off));
	EXPECT_EQ(0, try_map(fd, MIB, STACK_PROT, MAP_PRIVATE, off));
	EXPECT_EQ(-EINVAL, try_map(fd, MIB, STACK_PROT, MAP_SHARED, off));
	EXPECT_EQ(-EINVAL, try_map(fd, MIB, STACK_PROT, MAP_SHARED | MAP_NORESERVE, off));
	EXPECT_EQ(-EINVAL, try_map(fd, MIB, STACK_PROT, STACK_FLAGS, GSCHED_OFF_STACKS(16)));
	EXPECT_EQ(-EINVAL, try_map(fd, MIB, STACK_PROT, STACK_FLAGS, GSCHED_OFF_STACKS(31)));
	EXPECT_EQ(-EINVAL, try_map(fd, 2 * MIB, STACK_PROT, STACK_FLAGS,
				   off + GSCHED_OFF(1) - MIB));
	EXPECT_EQ(0, try_map(fd, MIB, STACK_PROT, STACK_FLAGS, off + GSCHED_OFF(1) - MIB));
}

/* MAP_SHARED refused also where MAP_SHARED_VALIDATE asks. */
TEST_F(stacks, shared_validate)
{
	EXPECT_NE(0, try_map(self->fd, MIB, STACK_PROT, MAP_SHARED_VALIDATE | MAP_NORESERVE,
			     GSCHED_OFF_STACKS(18)));
}

TEST_F(stacks, guards_of_all_shifts)
{
	for (int shift = GSCHED_STACK_SHIFT_MIN; shift <= GSCHED_STACK_SHIFT_MAX; shift++) {
		size_t size = 1UL << shift;
		char *base = map_stacks(self->fd, shift, 3 * size);

		for (int i = 0; i < 3; i++) {
			EXPECT_TRUE(guarded(base + i * size, size)) TH_LOG("shift %d", shift);
		}
		munmap(base, 3 * size);
	}
}

/* Guards follow from the place in the region, not in the mapping. */
TEST_F(stacks, guards_by_offset)
{
	size_t size = 1UL << 18;
	char *far = map_stacks_at(self->fd, 18, 2 * size, 1000 * size);
	char *half = map_stacks_at(self->fd, 18, 2 * size, size / 2);

	EXPECT_TRUE(guarded(far, size));
	EXPECT_TRUE(guarded(far + size, size));
	EXPECT_EQ(0, touch_write(half));
	EXPECT_TRUE(guarded(half + size / 2, size));
}

TEST_F(stacks, guards_after_partial_unmap)
{
	size_t size = 1UL << 18;
	char *base = map_stacks(self->fd, 18, 4 * size);

	ASSERT_EQ(0, munmap(base + size + 4096, size));
	EXPECT_TRUE(guarded(base, size));
	EXPECT_EQ(SIGSEGV, touch_write(base + 2 * size - 1));
	EXPECT_EQ(SIGSEGV, touch_write(base + 2 * size + GSCHED_STACK_GUARD - 1));
	EXPECT_EQ(0, touch_write(base + 2 * size + GSCHED_STACK_GUARD));
	EXPECT_TRUE(guarded(base + 3 * size, size));
}

TEST_F(stacks, guards_after_move)
{
	size_t size = 1UL << 18;
	char *base = map_stacks(self->fd, 18, 2 * size);
	char *to = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	base[size - 1] = 'x';
	ASSERT_EQ(to, mremap(base, 2 * size, 2 * size, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ('x', to[size - 1]);
	EXPECT_TRUE(guarded(to, size));
	EXPECT_TRUE(guarded(to + size, size));
}

TEST_F(stacks, no_growth)
{
	char *base = map_stacks(self->fd, 18, MIB);

	EXPECT_EQ(-EFAULT, map_errno(mremap(base, MIB, 2 * MIB, MREMAP_MAYMOVE)));
}

/* Populating stops at the guard; it neither fails the mmap nor fills guards. Locked? No. */
TEST_F(stacks, populate_and_lock)
{
	size_t size = 1UL << 18;
	char *base = mmap(NULL, 4 * size, STACK_PROT, STACK_FLAGS | MAP_POPULATE, self->fd,
			  GSCHED_OFF_STACKS(18));

	ASSERT_NE(MAP_FAILED, (void *)base);
	EXPECT_TRUE(guarded(base, size));
	mlock(base, size);
	EXPECT_EQ(0, mlock(base + GSCHED_STACK_GUARD, size - GSCHED_STACK_GUARD));
	EXPECT_EQ(0, read_key("/proc/self/status", "VmLck:"));
	EXPECT_TRUE(guarded(base + size, size));
}

TEST_F(stacks, zero_and_dontneed)
{
	size_t size = 1UL << 18;
	char *base = map_stacks(self->fd, 18, size);
	static const char zero[4096];

	for (size_t at = GSCHED_STACK_GUARD; at < size; at += 4096) {
		EXPECT_EQ(0, memcmp(base + at, zero, 4096));
		memset(base + at, 0x5a, 4096);
	}
	ASSERT_EQ(0, madvise(base, size, MADV_DONTNEED));
	for (size_t at = GSCHED_STACK_GUARD; at < size; at += 4096) {
		EXPECT_EQ(0, memcmp(base + at, zero, 4096));
	}
	EXPECT_TRUE(guarded(base, size));
}

TEST_F(stacks, dontneed_gives_pages_back)
{
	size_t size = 64 * MIB;
	char *base = map_stacks(self->fd, 26, size);
	long before, full, after;

	before = read_key("/proc/self/status", "RssAnon:");
	memset(base + MIB, 1, size - MIB);
	full = read_key("/proc/self/status", "RssAnon:");
	madvise(base, size, MADV_DONTNEED);
	after = read_key("/proc/self/status", "RssAnon:");
	EXPECT_LE(before + 60 * 1024, full);
	EXPECT_GE(before + 4 * 1024, after);
}

/* Reading does not spoil a zero page that other stacks read too. */
TEST_F(stacks, pages_are_private)
{
	size_t size = 1UL << 17;
	char *base = map_stacks(self->fd, 17, 256 * size);

	for (int i = 0; i < 256; i++) {
		EXPECT_EQ(0, base[(i + 1) * size - 1]);
	}
	for (int i = 0; i < 256; i++)
		base[(i + 1) * size - 1] = i;
	for (int i = 0; i < 256; i++) {
		EXPECT_EQ((char)i, base[(i + 1) * size - 1]);
	}
}

struct stack_pair {
	char *touched;
	char *fresh;
};

static int use_inherited(void *arg)
{
	struct stack_pair *p = arg;

	must(p->touched[100] == 'p');
	must(touch_write(p->fresh) == 0);
	p->touched[100] = 'c';
	must(touch_write(p->touched - GSCHED_STACK_GUARD) == SIGSEGV);
	return 0;
}

TEST_F(stacks, inherited_by_fork)
{
	size_t size = 1UL << 18;
	char *base = map_stacks(self->fd, 18, 2 * size);
	struct stack_pair p = { base + GSCHED_STACK_GUARD, base + 2 * size - 4096 };

	p.touched[100] = 'p';
	EXPECT_EQ(0, in_child(use_inherited, &p));
	EXPECT_EQ('p', p.touched[100]);
	EXPECT_EQ(0, *p.fresh);
}

/* ---------------------------------------- what the kernel does with the pages */

TEST_F(stacks, system_calls_use_fresh_pages)
{
	size_t size = 1UL << 18;
	char *base = map_stacks(self->fd, 18, size), *top = base + size;
	char buf[16] = "not zero";
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(6, write(pipefd[1], "hello", 6));
	EXPECT_EQ(6, read(pipefd[0], top - 4096, 6));
	EXPECT_STREQ("hello", top - 4096);
	EXPECT_EQ(8, write(pipefd[1], top - 2 * 4096, 8));
	EXPECT_EQ(8, read(pipefd[0], buf, sizeof(buf)));
	EXPECT_EQ(0, buf[0]);

	EXPECT_EQ(6, write(pipefd[1], "guard", 6));
	EXPECT_EQ(-1, read(pipefd[0], base, 6));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, write(pipefd[1], base + 4096, 6));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(stacks, other_processes_reach_fresh_pages)
{
	size_t size = 1UL << 18;
	char *base = map_stacks(self->fd, 18, size);
	char in[] = "written", out[8] = "";
	struct iovec local = { in, sizeof(in) }, remote = { base + size - 64, sizeof(in) };
	struct iovec back = { out, sizeof(out) };
	int mem = open("/proc/self/mem", O_RDWR);

	EXPECT_EQ(8, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_STREQ(in, base + size - 64);
	EXPECT_EQ(8, process_vm_readv(getpid(), &back, 1, &remote, 1, 0));
	EXPECT_STREQ(in, out);
	remote.iov_base = base + size - 8192;
	EXPECT_EQ(8, process_vm_readv(getpid(), &back, 1, &remote, 1, 0));
	EXPECT_EQ(0, out[0]);
	remote.iov_base = base;
	EXPECT_EQ(-1, process_vm_readv(getpid(), &back, 1, &remote, 1, 0));
	EXPECT_EQ(-1, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));

	ASSERT_LE(0, mem);
	EXPECT_EQ(8, pwrite(mem, in, 8, (off_t)(base + size - 3 * 4096)));
	EXPECT_STREQ(in, base + size - 3 * 4096);
	EXPECT_EQ(-1, pwrite(mem, in, 8, (off_t)base));
	close(mem);
}

struct futex_word {
	uint32_t *word;
	int op_flag;
};

static long futex(uint32_t *word, int op, uint32_t val)
{
	struct timespec limit = { 10, 0 };

	return syscall(SYS_futex, word, op, val, &limit, NULL, 0);
}

static void *wake_when_waiting(void *arg)
{
	struct futex_word *f = arg;
	int64_t end = now_ns() + PATIENCE_NS;

	while (futex(f->word, FUTEX_WAKE | f->op_flag, 1) == 0)
		must(now_ns() < end);
	return NULL;
}

static void check_futex(uint32_t *word, int op_flag)
{
	struct futex_word f = { word, op_flag };
	pthread_t thread;

	must(pthread_create(&thread, NULL, wake_when_waiting, &f) == 0);
	must(futex(word, FUTEX_WAIT | op_flag, 0) == 0);
	must(pthread_join(thread, NULL) == 0);
}

/* On pages that nobody has touched before, and on touched ones. */
TEST_F(stacks, futex)
{
	size_t size = 1UL << 18;
	char *base = map_stacks(self->fd, 18, size);

	check_futex((uint32_t *)(base + size - 4096), 0);
	check_futex((uint32_t *)(base + size - 8192), FUTEX_PRIVATE_FLAG);
	base[size - 64] = 0;
	check_futex((uint32_t *)(base + size - 64), 0);
	check_futex((uint32_t *)(base + size - 64), FUTEX_PRIVATE_FLAG);
}

/* A thread runs on it: deep frames, system calls, then its end. */
static void *eat_stack(void *arg)
{
	char frame[100 * 1024];

	memset(frame, 1, sizeof(frame));
	must(write(*(int *)arg, frame, 4096) == 4096);
	return NULL;
}

TEST_F(stacks, as_thread_stacks)
{
	size_t size = 1UL << 18;
	char *base = map_stacks(self->fd, 18, 32 * size);
	int null = open("/dev/null", O_WRONLY);
	pthread_t thread[32];

	for (int i = 0; i < 32; i++) {
		pthread_attr_t attr;

		pthread_attr_init(&attr);
		ASSERT_EQ(0, pthread_attr_setstack(&attr, base + i * size + GSCHED_STACK_GUARD,
						   size - GSCHED_STACK_GUARD));
		ASSERT_EQ(0, pthread_create(&thread[i], &attr, eat_stack, &null));
	}
	for (int i = 0; i < 32; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	}
}

/* First touches from several threads at once, in the same slots. */
struct toucher {
	char *base;
	size_t size;
	unsigned int seed;
};

static void *touch_randomly(void *arg)
{
	struct toucher *t = arg;

	for (unsigned int i = 0; i < 4000; i++) {
		size_t slot = rnd(&t->seed, 512);
		size_t at = GSCHED_STACK_GUARD + rnd(&t->seed, t->size - GSCHED_STACK_GUARD);
		char *byte = t->base + slot * t->size + at;

		__atomic_fetch_add(byte, 1, __ATOMIC_RELAXED);
		if (rnd(&t->seed, 64) == 0)
			madvise(t->base + slot * t->size, t->size, MADV_DONTNEED);
	}
	return NULL;
}

TEST_F(stacks, concurrent_first_touch)
{
	size_t size = 1UL << 17;
	char *base = map_stacks(self->fd, 17, 512 * size);
	unsigned int seed = test_seed();
	struct toucher t[4];
	pthread_t thread[4];

	for (int i = 0; i < 4; i++) {
		t[i] = (struct toucher){ base, size, seed + i };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, touch_randomly, &t[i]));
	}
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	}
	for (int i = 0; i < 512; i += 51) {
		EXPECT_TRUE(guarded(base + i * size, size));
	}
}

/* ---------------------------------------------------------------- core dump */

#define CORE_ARENA	(256 * MIB)
#define CORE_SHIFT	18
#define CORE_MARK	"a mark that the core dump must contain"

static int dump_core(void *arg)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char *base = map_stacks(gs_open(), CORE_SHIFT, CORE_ARENA);

	(void)arg;
	for (size_t top = 1UL << CORE_SHIFT; top <= CORE_ARENA; top += 64UL << CORE_SHIFT)
		memcpy(base + top - 64, CORE_MARK, sizeof(CORE_MARK));
	must(setrlimit(RLIMIT_CORE, &unlimited) == 0);
	must(chdir("/mnt/core") == 0);
	write_file("/proc/self/coredump_filter", "0x3f");
	signal(SIGABRT, SIG_DFL);
	abort();
}

static bool contains(const char *buf, size_t len, const char *what)
{
	return memmem(buf, len, what, strlen(what));
}

/* Look only at what is there: the file is as large as the arena, and sparse. */
static bool file_contains(int fd, const char *what)
{
	static char buf[1 << 20];
	off_t at = 0, hole;
	ssize_t n;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		hole = lseek(fd, at, SEEK_HOLE);
		n = hole - at < (off_t)sizeof(buf) ? hole - at : (off_t)sizeof(buf);
		n = pread(fd, buf, n, at);
		if (n <= 0)
			return false;
		if (contains(buf, n, what))
			return true;
		at += n;
	}
	return false;
}

static bool file_is(const char *path, const char *text)
{
	char line[256] = "";
	FILE *f = fopen(path, "re");
	bool same;

	must(f);
	same = fgets(line, sizeof(line), f) && !strcmp(line, text);
	fclose(f);
	return same;
}

TEST_F(stacks, core_dump_does_not_fill_the_arena)
{
	struct stat st;
	int core;

	if (!file_is("/proc/sys/kernel/core_pattern", "core\n") ||
	    !file_is("/proc/sys/kernel/core_uses_pid", "0\n"))
		SKIP(return, "core dumps do not go to ./core");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		SKIP(return, "no mount namespace");
	mkdir("/mnt", 0755);
	mkdir("/mnt/core", 0755);
	ASSERT_EQ(0, mount("core", "/mnt/core", "tmpfs", 0, "size=256m"));

	EXPECT_EQ(128 + SIGABRT, in_child(dump_core, NULL));
	core = open("/mnt/core/core", O_RDONLY);
	ASSERT_LE(0, core);
	ASSERT_EQ(0, fstat(core, &st));
	EXPECT_LT((off_t)CORE_ARENA, st.st_size);
	EXPECT_GT(16L * 1024 * 1024 / 512, st.st_blocks);
	EXPECT_TRUE(file_contains(core, CORE_MARK));
	close(core);
}

/* --------------------------------------------------------------- 200,000 */

/* A page, its share of a page table, and room for the rest of the machine. */
static unsigned int stacks_that_fit(void)
{
	long kib = read_key("/proc/meminfo", "MemAvailable:") - 100 * 1024;
	const char *s = getenv("KMOD_STACKS");
	long fit = kib * 10 / 56;

	if (s)
		return atoi(s);
	return fit < 1000 ? 1000 : fit > 200000 ? 200000 : fit;
}

TEST_F_TIMEOUT(stacks, many, 120)
{
	size_t size = 1UL << 18;
	unsigned int n = stacks_that_fit();
	char *base = map_stacks(self->fd, 18, n * size);
	int64_t start = now_ns();

	ASSERT_NE(0U, n);
	for (unsigned int i = 0; i < n; i++)
		base[(i + 1) * size - 64] = i;
	printf("# %u stacks, %lld ns each\n", n, (long long)(now_ns() - start) / n);
	fflush(stdout);
	for (unsigned int i = 0; i < n; i++)
		must(base[(i + 1) * size - 64] == (char)i);
	for (unsigned int i = 0; i < n; i += n / 100)
		must(guarded(base + i * size, size));
	must(guarded(base + (n - 1) * size, size));
}

KMOD_MAIN
