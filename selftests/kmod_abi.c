// SPDX-License-Identifier: GPL-2.0
/*
 * The ABI: layouts, and for every ioctl one wrong thing at a time with the errno
 * that <linux/gsched.h> promises for it.
 *
 * A table describes the calls. For each there is a state in which it succeeds
 * (struct bench), so that an error can only come from what the test has spoilt.
 */
#include "kmod.h"

#include <dirent.h>
#include <spawn.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

/* ----------------------------------------------------------------- layouts */

#define LAYOUT(type, field, offset, size)					\
	_Static_assert(offsetof(struct type, field) == (offset) &&		\
		       sizeof(((struct type *)0)->field) == (size),		\
		       #type "." #field)
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)

SIZE(gsched_shared, 4096);
LAYOUT(gsched_shared, nr_procs, 0, 4);
LAYOUT(gsched_shared, tick_on, 4, 4);
LAYOUT(gsched_shared, nr_idle, 8, 4);
LAYOUT(gsched_shared, nr_blocked, 12, 4);
LAYOUT(gsched_shared, tick_next, 16, 8);
LAYOUT(gsched_shared, nr_spinning, 64, 4);
LAYOUT(gsched_shared, global_len, 128, 4);

SIZE(gsched_proc, 4096);
LAYOUT(gsched_proc, state, 0, 4);
LAYOUT(gsched_proc, attention, 4, 4);
LAYOUT(gsched_proc, owner, 8, 4);
LAYOUT(gsched_proc, steps, 64, 8);
LAYOUT(gsched_proc, next_when, 72, 8);
LAYOUT(gsched_proc, head, 128, 8);
LAYOUT(gsched_proc, tail, 192, 4);
LAYOUT(gsched_proc, runnext, 200, 8);
LAYOUT(gsched_proc, inbox, 256, 4);
LAYOUT(gsched_proc, ring, 512, 2048);
LAYOUT(gsched_proc, user, 2560, 1536);

SIZE(gsched_m, 64);
LAYOUT(gsched_m, in_sched, 0, 4);
LAYOUT(gsched_m, proc, 4, 4);
LAYOUT(gsched_m, cookie, 8, 8);
LAYOUT(gsched_m, reserved, 16, 48);

SIZE(gsched_node, 32);
LAYOUT(gsched_node, word, 0, 8);
LAYOUT(gsched_node, cookie, 8, 8);
LAYOUT(gsched_node, next, 16, 4);
LAYOUT(gsched_node, proc, 20, 4);
LAYOUT(gsched_node, events, 24, 4);
LAYOUT(gsched_node, reserved, 28, 4);
SIZE(gsched_slot, 64);
LAYOUT(gsched_slot, node, 0, 64);

SIZE(gsched_query, 40);
LAYOUT(gsched_query, flags, 0, 4);
LAYOUT(gsched_query, reserved, 4, 4);
LAYOUT(gsched_query, features, 8, 8);
LAYOUT(gsched_query, now_ns, 16, 8);
LAYOUT(gsched_query, max_procs, 24, 4);
LAYOUT(gsched_query, max_ms, 28, 4);
LAYOUT(gsched_query, max_slots, 32, 4);
LAYOUT(gsched_query, page_size, 36, 4);

SIZE(gsched_setup, 24);
LAYOUT(gsched_setup, flags, 0, 4);
LAYOUT(gsched_setup, nr_procs, 4, 4);
LAYOUT(gsched_setup, max_procs, 8, 4);
LAYOUT(gsched_setup, max_ms, 12, 4);
LAYOUT(gsched_setup, max_slots, 16, 4);
LAYOUT(gsched_setup, first_slot, 20, 4);

SIZE(gsched_set_procs, 8);
LAYOUT(gsched_set_procs, flags, 0, 4);
LAYOUT(gsched_set_procs, nr_procs, 4, 4);

SIZE(gsched_m_register, 8);
LAYOUT(gsched_m_register, flags, 0, 4);
LAYOUT(gsched_m_register, id, 4, 4);

SIZE(gsched_acquire, 8);
LAYOUT(gsched_acquire, flags, 0, 4);
LAYOUT(gsched_acquire, proc, 4, 4);

SIZE(gsched_times, 24);
LAYOUT(gsched_times, flags, 0, 4);
LAYOUT(gsched_times, reserved, 4, 4);
LAYOUT(gsched_times, slice_ns, 8, 8);
LAYOUT(gsched_times, min_run_ns, 16, 8);

SIZE(gsched_idle, 24);
LAYOUT(gsched_idle, flags, 0, 4);
LAYOUT(gsched_idle, leave_ms, 4, 4);
LAYOUT(gsched_idle, deadline, 8, 8);
LAYOUT(gsched_idle, reason, 16, 4);
LAYOUT(gsched_idle, proc, 20, 4);

SIZE(gsched_wake, 8);
LAYOUT(gsched_wake, flags, 0, 4);
LAYOUT(gsched_wake, reserved, 4, 4);

SIZE(gsched_spawner, 8);
LAYOUT(gsched_spawner, flags, 0, 4);
LAYOUT(gsched_spawner, reason, 4, 4);

SIZE(gsched_enqueue, 16);
LAYOUT(gsched_enqueue, flags, 0, 4);
LAYOUT(gsched_enqueue, proc, 4, 4);
LAYOUT(gsched_enqueue, cookie, 8, 8);

SIZE(gsched_fd, 16);
LAYOUT(gsched_fd, flags, 0, 4);
LAYOUT(gsched_fd, fd, 4, 4);
LAYOUT(gsched_fd, slot, 8, 4);
LAYOUT(gsched_fd, reserved, 12, 4);

_Static_assert(GSCHED_IOC_QUERY == 0xc028f500, "QUERY");
_Static_assert(GSCHED_IOC_SETUP == 0xc018f501, "SETUP");
_Static_assert(GSCHED_IOC_SET_PROCS == 0x4008f502, "SET_PROCS");
_Static_assert(GSCHED_IOC_M_REGISTER == 0xc008f503, "M_REGISTER");
_Static_assert(GSCHED_IOC_M_UNREGISTER == 0x0000f504, "M_UNREGISTER");
_Static_assert(GSCHED_IOC_ACQUIRE == 0xc008f505, "ACQUIRE");
_Static_assert(GSCHED_IOC_RELEASE == 0x0000f506, "RELEASE");
_Static_assert(GSCHED_IOC_IDLE == 0xc018f507, "IDLE");
_Static_assert(GSCHED_IOC_WAKE == 0x4008f508, "WAKE");
_Static_assert(GSCHED_IOC_SPAWNER == 0xc008f509, "SPAWNER");
_Static_assert(GSCHED_IOC_ENQUEUE == 0x4010f50a, "ENQUEUE");
_Static_assert(GSCHED_IOC_FD_REGISTER == 0xc010f50b, "FD_REGISTER");
_Static_assert(GSCHED_IOC_FD_UNREGISTER == 0x4010f50c, "FD_UNREGISTER");
_Static_assert(GSCHED_IOC_TIMES == 0xc018f50d, "TIMES");

/* ------------------------------------------------------------- the calls */

union args {
	struct gsched_query query;
	struct gsched_setup setup;
	struct gsched_set_procs set_procs;
	struct gsched_m_register m_register;
	struct gsched_acquire acquire;
	struct gsched_times times;
	struct gsched_idle idle;
	struct gsched_wake wake;
	struct gsched_spawner spawner;
	struct gsched_enqueue enqueue;
	struct gsched_fd fd;
	__u8 bytes[16384];
};

enum caller {
	ANY_THREAD,
	NO_M,
	AN_M,
};

#define NO_FIELD	0xffff

static const struct call {
	const char *name;
	unsigned int cmd;
	enum caller caller;
	unsigned int known_flags;
	unsigned int reserved;		/* offset of a reserved word, or NO_FIELD */
} calls[] = {
	{ "QUERY", GSCHED_IOC_QUERY, ANY_THREAD, 0, offsetof(struct gsched_query, reserved) },
	{ "SETUP", GSCHED_IOC_SETUP, ANY_THREAD, GSCHED_SETUP_NO_HANDOFF |
	  GSCHED_SETUP_NO_HOLD | GSCHED_SETUP_NO_PREEMPT, NO_FIELD },
	{ "SET_PROCS", GSCHED_IOC_SET_PROCS, ANY_THREAD, 0, NO_FIELD },
	{ "M_REGISTER", GSCHED_IOC_M_REGISTER, NO_M, 0, NO_FIELD },
	{ "M_UNREGISTER", GSCHED_IOC_M_UNREGISTER, AN_M, 0, NO_FIELD },
	{ "ACQUIRE", GSCHED_IOC_ACQUIRE, AN_M, GSCHED_ACQUIRE_YIELD, NO_FIELD },
	{ "RELEASE", GSCHED_IOC_RELEASE, AN_M, 0, NO_FIELD },
	{ "IDLE", GSCHED_IOC_IDLE, AN_M, 0, NO_FIELD },
	{ "WAKE", GSCHED_IOC_WAKE, ANY_THREAD, 0, offsetof(struct gsched_wake, reserved) },
	{ "SPAWNER", GSCHED_IOC_SPAWNER, NO_M, GSCHED_SPAWNER_FAILED, NO_FIELD },
	{ "ENQUEUE", GSCHED_IOC_ENQUEUE, ANY_THREAD, 0, NO_FIELD },
	{ "FD_REGISTER", GSCHED_IOC_FD_REGISTER, AN_M, 0, offsetof(struct gsched_fd, reserved) },
	{ "FD_UNREGISTER", GSCHED_IOC_FD_UNREGISTER, AN_M, 0,
	  offsetof(struct gsched_fd, reserved) },
	{ "TIMES", GSCHED_IOC_TIMES, ANY_THREAD, 0, offsetof(struct gsched_times, reserved) },
};

/* @c is declared here: it cannot stand in parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
#define for_each_call(c) \
	for (const struct call *c = calls; c < calls + ARRAY_SIZE(calls); c++)

#define for_each_struct_call(c) for_each_call(c) if (_IOC_SIZE(c->cmd))
/* NOLINTEND(bugprone-macro-parentheses) */

static bool has_out(const struct call *c)
{
	return _IOC_DIR(c->cmd) & _IOC_READ;
}

/* A context in which one call with these arguments works. */
struct bench {
	struct gs gs;
	int event;
	__u32 slot;
	__u32 id;
	union args args;
};

/*
 * SPAWNER has nothing to wait for here: a timer ends it with EINTR, as it would
 * any call that sleeps where it should have failed.
 */
static void on_alarm(int sig)
{
	(void)sig;
}

static void arm_timer(void)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct itimerval tv = { { 0, 200000 }, { 0, 200000 } };

	must(sigaction(SIGALRM, &act, NULL) == 0);
	must(setitimer(ITIMER_REAL, &tv, NULL) == 0);
}

static int success(const struct call *c)
{
	return c->cmd == GSCHED_IOC_SPAWNER ? -EINTR : 0;
}

static void bench_args(struct bench *b, const struct call *c)
{
	memset(&b->args, 0, sizeof(b->args));
	switch (c->cmd) {
	case GSCHED_IOC_SETUP:
		b->args.setup = (struct gsched_setup){
			.nr_procs = 2, .max_procs = 4, .max_ms = 4, .max_slots = 16,
		};
		break;
	case GSCHED_IOC_SET_PROCS:
		b->args.set_procs.nr_procs = 2;
		break;
	case GSCHED_IOC_IDLE:
		b->args.idle.deadline = 1;
		break;
	case GSCHED_IOC_ENQUEUE:
		b->args.enqueue.cookie = GSCHED_COOKIE_MIN;
		break;
	case GSCHED_IOC_FD_REGISTER:
		b->args.fd.fd = b->event;
		break;
	case GSCHED_IOC_FD_UNREGISTER:
		b->args.fd.slot = b->slot;
		break;
	}
}

static void bench_start(struct bench *b, const struct call *c)
{
	__u32 keeper_slot;

	memset(b, 0, sizeof(*b));
	b->event = eventfd(0, EFD_NONBLOCK);
	if (c->cmd == GSCHED_IOC_SETUP) {
		b->gs.fd = gs_open();
		must(b->gs.fd >= 0);
	} else {
		gs_start(&b->gs, 2, 4, 4, 16);
		if (c->caller != NO_M)
			must(gs_register(&b->gs, &b->id) == 0);
		if (c->cmd == GSCHED_IOC_FD_UNREGISTER) {
			must(gs_fd_register(&b->gs, b->event, &keeper_slot) == 0);
			b->slot = keeper_slot;
		}
	}
	bench_args(b, c);
}

static void bench_stop(struct bench *b)
{
	if (b->gs.shared) {
		gs_unregister(&b->gs);
		gs_unmap_all(&b->gs);
	}
	close(b->gs.fd);
	close(b->event);
}

static int bench_call(struct bench *b, unsigned int cmd, void *arg)
{
	return gs_ioctl(b->gs.fd, cmd, arg);
}

/* The call with a size other than its own. */
static unsigned int resized(const struct call *c, unsigned int size)
{
	return _IOC(_IOC_DIR(c->cmd), GSCHED_IOC_MAGIC, _IOC_NR(c->cmd), size);
}

/* Make the call with one thing spoilt already; it must give @want. */
static int bench_try(const struct call *c, unsigned int cmd,
		     void (*spoil)(struct bench *b, unsigned int n), unsigned int n)
{
	struct bench b;
	int err;

	bench_start(&b, c);
	if (spoil)
		spoil(&b, n);
	err = bench_call(&b, cmd, &b.args);
	bench_stop(&b);
	return err;
}

FIXTURE(abi) {
};

FIXTURE_SETUP(abi)
{
	arm_timer();
}

FIXTURE_TEARDOWN(abi)
{
}

/* The measure of all that follows: nothing spoilt, no error. */
TEST_F(abi, good_calls)
{
	for_each_call(c) {
		EXPECT_EQ(success(c), bench_try(c, c->cmd, NULL, 0))
			TH_LOG("%s", c->name);
	}
}

static void spoil_out_fields(struct bench *b, unsigned int nr)
{
	switch (nr) {
	case _IOC_NR(GSCHED_IOC_QUERY):
		memset(&b->args.query.features, 0xff, sizeof(b->args.query) - 8);
		break;
	case _IOC_NR(GSCHED_IOC_SETUP):
		b->args.setup.first_slot = ~0U;
		break;
	case _IOC_NR(GSCHED_IOC_M_REGISTER):
		b->args.m_register.id = ~0U;
		break;
	case _IOC_NR(GSCHED_IOC_ACQUIRE):
		b->args.acquire.proc = ~0U;
		break;
	case _IOC_NR(GSCHED_IOC_IDLE):
		b->args.idle.reason = ~0U;
		b->args.idle.proc = ~0U;
		break;
	case _IOC_NR(GSCHED_IOC_SPAWNER):
		b->args.spawner.reason = ~0U;
		break;
	}
}

TEST_F(abi, out_fields_are_not_read)
{
	for_each_struct_call(c) {
		EXPECT_EQ(success(c), bench_try(c, c->cmd, spoil_out_fields, _IOC_NR(c->cmd)))
			TH_LOG("%s", c->name);
	}
}

/* ---------------------------------------------------------------- commands */

TEST_F(abi, unknown_commands)
{
	static const unsigned int dirs[] = {
		_IOC_NONE, _IOC_READ, _IOC_WRITE, _IOC_READ | _IOC_WRITE,
	};
	struct bench b;

	bench_start(&b, &calls[0]);
	for (unsigned int nr = ARRAY_SIZE(calls); nr < 256; nr++) {
		for (unsigned int d = 0; d < ARRAY_SIZE(dirs); d++) {
			unsigned int cmd = _IOC(dirs[d], GSCHED_IOC_MAGIC, nr, 8);

			EXPECT_EQ(-ENOTTY, bench_call(&b, cmd, &b.args))
				TH_LOG("nr %u dir %u", nr, dirs[d]);
		}
	}
	EXPECT_EQ(-ENOTTY, bench_call(&b, 0, &b.args));
	EXPECT_EQ(-ENOTTY, bench_call(&b, ~0U, &b.args));
	bench_stop(&b);
}

TEST_F(abi, wrong_magic)
{
	for_each_call(c) {
		unsigned int cmd = c->cmd ^ (1U << _IOC_TYPESHIFT);

		EXPECT_EQ(-ENOTTY, bench_try(c, cmd, NULL, 0)) TH_LOG("%s", c->name);
	}
}

TEST_F(abi, wrong_direction)
{
	for_each_call(c) {
		for (unsigned int dir = 0; dir < 4; dir++) {
			unsigned int cmd = _IOC(dir, GSCHED_IOC_MAGIC, _IOC_NR(c->cmd),
						_IOC_SIZE(c->cmd));

			if (cmd == c->cmd)
				continue;
			EXPECT_EQ(-ENOTTY, bench_try(c, cmd, NULL, 0))
				TH_LOG("%s dir %u", c->name, dir);
		}
	}
}

/* ------------------------------------------------------------------- sizes */

TEST_F(abi, shorter_structure)
{
	for_each_struct_call(c) {
		for (unsigned int size = 0; size < _IOC_SIZE(c->cmd); size++) {
			EXPECT_EQ(-EINVAL, bench_try(c, resized(c, size), NULL, 0))
				TH_LOG("%s size %u", c->name, size);
		}
	}
}

TEST_F(abi, longer_structure_zero)
{
	static const unsigned int more[] = { 1, 4, 8, 64, 4096 };

	for_each_struct_call(c) {
		for (unsigned int i = 0; i < ARRAY_SIZE(more); i++) {
			EXPECT_EQ(success(c), bench_try(c, resized(c, _IOC_SIZE(c->cmd) + more[i]),
							NULL, 0))
				TH_LOG("%s and %u", c->name, more[i]);
		}
		EXPECT_EQ(success(c), bench_try(c, resized(c, _IOC_SIZEMASK), NULL, 0))
			TH_LOG("%s longest", c->name);
	}
}

static void spoil_byte(struct bench *b, unsigned int offset)
{
	b->args.bytes[offset] = 1;
}

TEST_F(abi, longer_structure_nonzero)
{
	for_each_struct_call(c) {
		unsigned int size = _IOC_SIZE(c->cmd);

		EXPECT_EQ(-E2BIG, bench_try(c, resized(c, size + 1), spoil_byte, size))
			TH_LOG("%s first", c->name);
		EXPECT_EQ(-E2BIG, bench_try(c, resized(c, size + 64), spoil_byte, size + 63))
			TH_LOG("%s last", c->name);
		EXPECT_EQ(-E2BIG, bench_try(c, resized(c, _IOC_SIZEMASK), spoil_byte,
					    _IOC_SIZEMASK - 1))
			TH_LOG("%s longest", c->name);
	}
}

/* The kernel must not write behind the structure that it knows. */
TEST_F(abi, longer_structure_tail_kept)
{
	struct gsched_query *q;
	struct bench b;

	bench_start(&b, &calls[0]);
	q = &b.args.query;
	ASSERT_EQ(0, bench_call(&b, resized(&calls[0], sizeof(*q) + 64), q));
	for (unsigned int i = sizeof(*q); i < sizeof(*q) + 128; i++) {
		EXPECT_EQ(0, b.args.bytes[i]);
	}
	EXPECT_NE(0U, q->max_procs);
	bench_stop(&b);
}

/* ---------------------------------------------------------------- pointers */

static char *two_pages(void)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED);
	must(mprotect(p + 4096, 4096, PROT_NONE) == 0);
	return p;
}

TEST_F(abi, bad_pointers)
{
	char *page = two_pages();

	for_each_struct_call(c) {
		unsigned int size = _IOC_SIZE(c->cmd);
		void *bad[] = {
			NULL,
			(void *)8,
			page + 4096,
			(void *)-4096L,
			(void *)(1UL << 63),
			(void *)((1UL << 47) - 4096),
		};
		struct bench b;

		bench_start(&b, c);
		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
			EXPECT_EQ(-EFAULT, bench_call(&b, c->cmd, bad[i]))
				TH_LOG("%s at %p", c->name, bad[i]);
		}
		for (unsigned int in = 4; in < size; in += 4) {
			memcpy(page + 4096 - in, &b.args, in);
			EXPECT_EQ(-EFAULT, bench_call(&b, c->cmd, page + 4096 - in))
				TH_LOG("%s, %u of %u bytes there", c->name, in, size);
		}
		bench_stop(&b);
	}
}

/* The structure itself is there, the zeroes behind it are not. */
TEST_F(abi, bad_tail)
{
	char *page = two_pages();

	for_each_struct_call(c) {
		unsigned int size = _IOC_SIZE(c->cmd);
		struct bench b;

		bench_start(&b, c);
		memcpy(page + 4096 - size, &b.args, size);
		EXPECT_EQ(-EFAULT, bench_call(&b, resized(c, size + 64), page + 4096 - size))
			TH_LOG("%s", c->name);
		bench_stop(&b);
	}
}

/* The call fails, and then it has done nothing: it works afterwards. */
TEST_F(abi, read_only_out)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)page);
	for_each_call(c) {
		struct bench b;

		if (!has_out(c))
			continue;
		bench_start(&b, c);
		memcpy(page, &b.args, _IOC_SIZE(c->cmd));
		ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
		EXPECT_EQ(-EFAULT, bench_call(&b, c->cmd, page)) TH_LOG("%s", c->name);
		EXPECT_EQ(success(c), bench_call(&b, c->cmd, &b.args))
			TH_LOG("%s after its failure", c->name);
		ASSERT_EQ(0, mprotect(page, 4096, PROT_READ | PROT_WRITE));
		bench_stop(&b);
	}
}

/* What is only read may be read-only. */
TEST_F(abi, read_only_in)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)page);
	for_each_struct_call(c) {
		struct bench b;

		if (has_out(c))
			continue;
		bench_start(&b, c);
		memcpy(page, &b.args, _IOC_SIZE(c->cmd));
		ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
		EXPECT_EQ(success(c), bench_call(&b, c->cmd, page)) TH_LOG("%s", c->name);
		ASSERT_EQ(0, mprotect(page, 4096, PROT_READ | PROT_WRITE));
		bench_stop(&b);
	}
}

/* ---------------------------------------------------------- flags, reserved */

static void spoil_flag(struct bench *b, unsigned int bit)
{
	*(__u32 *)b->args.bytes |= 1U << bit;
}

TEST_F(abi, unknown_flags)
{
	for_each_struct_call(c) {
		for (unsigned int bit = 0; bit < 32; bit++) {
			if (c->known_flags & (1U << bit))
				continue;
			EXPECT_EQ(-EINVAL, bench_try(c, c->cmd, spoil_flag, bit))
				TH_LOG("%s bit %u", c->name, bit);
		}
	}
}

TEST_F(abi, known_flags)
{
	for_each_struct_call(c) {
		for (unsigned int bit = 0; bit < 32; bit++) {
			if (!(c->known_flags & (1U << bit)))
				continue;
			EXPECT_EQ(success(c), bench_try(c, c->cmd, spoil_flag, bit))
				TH_LOG("%s bit %u", c->name, bit);
		}
	}
}

TEST_F(abi, reserved_fields)
{
	for_each_struct_call(c) {
		if (c->reserved == NO_FIELD)
			continue;
		for (unsigned int i = 0; i < 4; i++) {
			EXPECT_EQ(-EINVAL, bench_try(c, c->cmd, spoil_byte, c->reserved + i))
				TH_LOG("%s byte %u", c->name, i);
		}
	}
}

/* The slot is the kernel's answer to one call, the descriptor no matter of the other. */
TEST_F(abi, unused_fd_fields)
{
	struct bench b;

	bench_start(&b, &calls[_IOC_NR(GSCHED_IOC_FD_REGISTER)]);
	b.args.fd.slot = 1;
	EXPECT_EQ(-EINVAL, bench_call(&b, GSCHED_IOC_FD_REGISTER, &b.args));
	bench_stop(&b);
	bench_start(&b, &calls[_IOC_NR(GSCHED_IOC_FD_UNREGISTER)]);
	b.args.fd.fd = b.event;
	EXPECT_EQ(-EINVAL, bench_call(&b, GSCHED_IOC_FD_UNREGISTER, &b.args));
	bench_stop(&b);
}

/* ------------------------------------------------------------------ ranges */

static int try_setup(__u32 nr_procs, __u32 max_procs, __u32 max_ms, __u32 max_slots)
{
	struct gsched_setup arg = {
		.nr_procs = nr_procs,
		.max_procs = max_procs,
		.max_ms = max_ms,
		.max_slots = max_slots,
	};
	int fd = gs_open();
	int err = gs_ioctl(fd, GSCHED_IOC_SETUP, &arg);

	close(fd);
	return err;
}

TEST_F(abi, setup_ranges)
{
	EXPECT_EQ(0, try_setup(1, 1, 1, 0));
	EXPECT_EQ(-EINVAL, try_setup(0, 1, 1, 0));
	EXPECT_EQ(-EINVAL, try_setup(2, 1, 1, 0));
	EXPECT_EQ(-EINVAL, try_setup(~0U, 1, 1, 0));
	EXPECT_EQ(-EINVAL, try_setup(1, 0, 1, 0));
	EXPECT_EQ(0, try_setup(1, GSCHED_MAX_PROCS, 1, 0));
	EXPECT_EQ(0, try_setup(GSCHED_MAX_PROCS, GSCHED_MAX_PROCS, 1, 0));
	EXPECT_EQ(-EINVAL, try_setup(1, GSCHED_MAX_PROCS + 1, 1, 0));
	EXPECT_EQ(-EINVAL, try_setup(1, ~0U, 1, 0));
	EXPECT_EQ(-EINVAL, try_setup(1, 1, 0, 0));
	EXPECT_EQ(0, try_setup(1, 1, GSCHED_MAX_MS, 0));
	EXPECT_EQ(-EINVAL, try_setup(1, 1, GSCHED_MAX_MS + 1, 0));
	EXPECT_EQ(-EINVAL, try_setup(1, 1, ~0U, 0));
	EXPECT_EQ(0, try_setup(1, 1, 1, GSCHED_MAX_SLOTS));
	EXPECT_EQ(-EINVAL, try_setup(1, 1, 1, GSCHED_MAX_SLOTS + 1));
	EXPECT_EQ(-EINVAL, try_setup(1, 1, 1, ~0U));
}

/* A setup that was refused leaves the context as it was. */
TEST_F(abi, setup_after_refusal)
{
	struct gsched_setup bad = { .nr_procs = 2, .max_procs = 1, .max_ms = 1 };
	struct gsched_setup good = { .nr_procs = 1, .max_procs = 1, .max_ms = 1 };
	int fd = gs_open();

	EXPECT_EQ(-EINVAL, gs_ioctl(fd, GSCHED_IOC_SETUP, &bad));
	EXPECT_EQ(0, gs_ioctl(fd, GSCHED_IOC_SETUP, &good));
	EXPECT_EQ(-EBUSY, gs_ioctl(fd, GSCHED_IOC_SETUP, &good));
	EXPECT_EQ(-EBUSY, gs_ioctl(fd, GSCHED_IOC_SETUP, &good));
	close(fd);
}

TEST_F(abi, set_procs_ranges)
{
	struct gs gs;

	gs_start(&gs, 2, 4, 1, 0);
	EXPECT_EQ(-EINVAL, gs_set_procs(&gs, 0));
	EXPECT_EQ(-EINVAL, gs_set_procs(&gs, 5));
	EXPECT_EQ(-EINVAL, gs_set_procs(&gs, ~0U));
	EXPECT_EQ(2U, load32(&gs.shared->nr_procs));
	EXPECT_EQ(0, gs_set_procs(&gs, 1));
	EXPECT_EQ(1U, load32(&gs.shared->nr_procs));
	EXPECT_EQ(0, gs_set_procs(&gs, 4));
	EXPECT_EQ(4U, load32(&gs.shared->nr_procs));
	gs_stop(&gs);
}

TEST_F(abi, enqueue_ranges)
{
	struct gs gs;

	gs_start(&gs, 2, 2, 1, 0);
	EXPECT_EQ(-EINVAL, gs_enqueue(&gs, 0, 0));
	EXPECT_EQ(-EINVAL, gs_enqueue(&gs, 0, 1));
	EXPECT_EQ(0, gs_enqueue(&gs, 0, 2));
	EXPECT_EQ(0, gs_enqueue(&gs, 1, ~0ULL));
	EXPECT_EQ(-EINVAL, gs_enqueue(&gs, 2, 2));
	EXPECT_EQ(-EINVAL, gs_enqueue(&gs, GSCHED_NONE - 1, 2));
	EXPECT_EQ(0, gs_enqueue(&gs, GSCHED_NONE, 2));
	gs_stop(&gs);
}

static void expect_times(struct __test_metadata *_metadata, struct gs *gs, __u64 slice,
			 __u64 min_run)
{
	struct gsched_times t = { 0 };

	EXPECT_EQ(0, gs_ioctl(gs->fd, GSCHED_IOC_TIMES, &t));
	EXPECT_EQ(slice, t.slice_ns);
	EXPECT_EQ(min_run, t.min_run_ns);
}

TEST_F(abi, times)
{
	struct gsched_times t = { .slice_ns = GSCHED_MAX_TIME, .min_run_ns = GSCHED_MIN_TIME };
	struct gs gs;

	gs_start(&gs, 1, 1, 1, 0);
	expect_times(_metadata, &gs, GSCHED_SLICE, GSCHED_MIN_RUN);
	EXPECT_EQ(0, gs_ioctl(gs.fd, GSCHED_IOC_TIMES, &t));
	EXPECT_EQ(GSCHED_SLICE, t.slice_ns);
	EXPECT_EQ(GSCHED_MIN_RUN, t.min_run_ns);
	expect_times(_metadata, &gs, GSCHED_MAX_TIME, GSCHED_MIN_TIME);
	EXPECT_EQ(0, gs_times(&gs, 0, GSCHED_MAX_TIME));
	expect_times(_metadata, &gs, GSCHED_MAX_TIME, GSCHED_MAX_TIME);
	EXPECT_EQ(0, gs_times(&gs, GSCHED_MIN_TIME, GSCHED_MIN_TIME));
	expect_times(_metadata, &gs, GSCHED_MIN_TIME, GSCHED_MIN_TIME);
	EXPECT_EQ(0, gs_times(&gs, GSCHED_SLICE, 0));
	expect_times(_metadata, &gs, GSCHED_SLICE, GSCHED_MIN_TIME);
	gs_stop(&gs);
}

/* What is refused changes nothing, the other field included. */
TEST_F(abi, times_ranges)
{
	static const struct { __u64 slice, min_run; } bad[] = {
		{ GSCHED_MIN_TIME - 1, GSCHED_MIN_TIME }, { 1, 0 },
		{ GSCHED_MAX_TIME + 1, 2 * GSCHED_MIN_RUN }, { ~0ULL, 0 },
		{ 2 * GSCHED_SLICE, GSCHED_MIN_TIME - 1 }, { 0, 1 },
		{ 0, GSCHED_SLICE + 1 }, { 0, ~0ULL },
		{ 2 * GSCHED_SLICE, 2 * GSCHED_SLICE + 1 },
		{ GSCHED_MIN_RUN - 1, 0 },	/* the minimum run as it is is longer */
	};
	struct gs gs;

	gs_start(&gs, 1, 1, 1, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, gs_times(&gs, bad[i].slice, bad[i].min_run)) TH_LOG("%u", i);
		expect_times(_metadata, &gs, GSCHED_SLICE, GSCHED_MIN_RUN);
	}
	gs_stop(&gs);
}

TEST_F(abi, fd_unregister_ranges)
{
	struct bench b;
	__u32 end;

	bench_start(&b, &calls[_IOC_NR(GSCHED_IOC_FD_UNREGISTER)]);
	end = b.gs.setup.first_slot + b.gs.setup.max_slots;
	EXPECT_LE(b.gs.setup.first_slot, b.slot);
	EXPECT_GT(end, b.slot);
	for (__u32 slot = 0; slot < end + 4; slot++) {
		if (slot == b.slot)
			continue;
		EXPECT_EQ(-ENOENT, gs_fd_unregister(&b.gs, slot)) TH_LOG("%u", slot);
	}
	EXPECT_EQ(-ENOENT, gs_fd_unregister(&b.gs, GSCHED_NONE));
	EXPECT_EQ(0, gs_fd_unregister(&b.gs, b.slot));
	EXPECT_EQ(-ENOENT, gs_fd_unregister(&b.gs, b.slot));
	bench_stop(&b);
}

/* ---------------------------------------------------- wrong state or caller */

TEST_F(abi, before_setup)
{
	for_each_call(c) {
		struct bench b;
		int fd = gs_open();

		if (c->cmd == GSCHED_IOC_QUERY || c->cmd == GSCHED_IOC_SETUP) {
			close(fd);
			continue;
		}
		bench_start(&b, c);
		EXPECT_EQ(-ENXIO, gs_ioctl(fd, c->cmd, &b.args)) TH_LOG("%s", c->name);
		close(fd);
		bench_stop(&b);
	}
}

TEST_F(abi, not_an_m)
{
	static const unsigned int cmds[] = {
		GSCHED_IOC_M_UNREGISTER, GSCHED_IOC_ACQUIRE, GSCHED_IOC_RELEASE, GSCHED_IOC_IDLE,
	};
	union args args = { 0 };
	struct gs gs, other;
	__u32 id;

	gs_start(&gs, 1, 1, 1, 0);
	gs_start(&other, 1, 1, 1, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
		EXPECT_EQ(-ESRCH, gs_ioctl(gs.fd, cmds[i], &args)) TH_LOG("%u", i);
	}

	/* An M of another context is none of this one. */
	ASSERT_EQ(0, gs_register(&other, &id));
	for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
		EXPECT_EQ(-ESRCH, gs_ioctl(gs.fd, cmds[i], &args)) TH_LOG("%u", i);
	}
	EXPECT_EQ(0, gs_unregister(&other));
	gs_stop(&other);
	gs_stop(&gs);
}

TEST_F(abi, after_close)
{
	for_each_call(c) {
		struct bench b;
		int dupfd;

		if (c->cmd == GSCHED_IOC_SETUP)
			continue;
		bench_start(&b, c);
		dupfd = dup(b.gs.fd);
		ASSERT_LE(0, dupfd);
		ASSERT_EQ(0, close(b.gs.fd));
		EXPECT_EQ(-ESHUTDOWN, gs_ioctl(dupfd, c->cmd, &b.args)) TH_LOG("%s", c->name);
		EXPECT_EQ(-ESHUTDOWN, gs_ioctl(dupfd, c->cmd, &b.args)) TH_LOG("%s", c->name);
		b.gs.fd = dupfd;
		bench_stop(&b);
	}
}

/* The dup is the one that is closed, or is replaced. */
TEST_F(abi, after_close_of_dup)
{
	struct gsched_query query = { 0 };
	int fd = gs_open(), dupfd = dup(fd);

	EXPECT_EQ(0, gs_ioctl(fd, GSCHED_IOC_QUERY, &query));
	close(dupfd);
	EXPECT_EQ(-ESHUTDOWN, gs_ioctl(fd, GSCHED_IOC_SETUP, &(struct gsched_setup){
		.nr_procs = 1, .max_procs = 1, .max_ms = 1 }));
	close(fd);

	fd = gs_open();
	dupfd = dup(fd);
	must(dup2(STDERR_FILENO, dupfd) == dupfd);
	memset(&query, 0, sizeof(query));
	EXPECT_EQ(-ESHUTDOWN, gs_ioctl(fd, GSCHED_IOC_QUERY, &query));
	close(fd);
	close(dupfd);
}

/* Every call on @fd, in a process that does not own it: 0 if all gave EPERM. */
static int all_eperm(void *arg)
{
	int fd = *(int *)arg, bad = 0;

	for_each_call(c) {
		struct bench b = { .event = STDERR_FILENO };
		int err;

		bench_args(&b, c);
		err = gs_ioctl(fd, c->cmd, &b.args);
		if (err != -EPERM) {
			fprintf(stderr, "# %s: %d instead of -EPERM\n", c->name, err);
			bad = 1;
		}
	}
	return bad;
}

TEST_F(abi, fork_child)
{
	struct gs gs;
	int fresh = gs_open();

	gs_start(&gs, 2, 4, 4, 16);
	EXPECT_EQ(0, in_child(all_eperm, &gs.fd));
	EXPECT_EQ(0, in_child(all_eperm, &fresh));
	EXPECT_EQ(0, gs_set_procs(&gs, 1));
	close(fresh);
	gs_stop(&gs);
}

/* vfork by hand: the child has the parent's memory and another thread group. */
static int vfork_all_eperm(void *arg)
{
	return all_eperm(arg);
}

TEST_F(abi, vfork_child)
{
	static char stack[1 << 17] __attribute__((aligned(16)));
	struct gs gs;
	pid_t pid;

	gs_start(&gs, 2, 4, 4, 16);
	pid = clone(vfork_all_eperm, stack + sizeof(stack),
		    CLONE_VM | CLONE_VFORK | SIGCHLD, &gs.fd);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, child_wait(pid));
	EXPECT_EQ(0, gs_set_procs(&gs, 1));
	gs_stop(&gs);
}

static void exec_all_eperm(int fd)
{
	char num[16];

	snprintf(num, sizeof(num), "%d", fd);
	fcntl(fd, F_SETFD, 0);
	execl("/proc/self/exe", "kmod_abi", "--all-eperm", num, NULL);
	_exit(126);
}

static int open_and_exec(void *arg)
{
	struct gs gs;

	(void)arg;
	gs_start(&gs, 2, 4, 4, 16);
	exec_all_eperm(gs.fd);
	return 1;
}

/* The thread group stays, the address space does not. */
TEST_F(abi, after_exec)
{
	EXPECT_EQ(0, in_child(open_and_exec, NULL));
}

TEST_F(abi, spawned_child)
{
	char num[16], *argv[] = { "kmod_abi", "--all-eperm", num, NULL };
	struct gs gs;
	pid_t pid;

	gs_start(&gs, 2, 4, 4, 16);
	fcntl(gs.fd, F_SETFD, 0);
	snprintf(num, sizeof(num), "%d", gs.fd);
	ASSERT_EQ(0, posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ));
	EXPECT_EQ(0, child_wait(pid));
	EXPECT_EQ(0, gs_set_procs(&gs, 1));
	gs_stop(&gs);
}

/* ------------------------------------------------------------------- query */

TEST_F(abi, query)
{
	struct gsched_query q = { 0 };
	int64_t before = now_ns();
	int fd = gs_open();

	ASSERT_EQ(0, gs_ioctl(fd, GSCHED_IOC_QUERY, &q));
	EXPECT_LE(before, (int64_t)q.now_ns);
	EXPECT_GE(now_ns(), (int64_t)q.now_ns);
	EXPECT_EQ(GSCHED_FEAT_READY | GSCHED_FEAT_STACKS,
		  q.features & (GSCHED_FEAT_READY | GSCHED_FEAT_STACKS));
	EXPECT_EQ(0ULL, q.features & ~(GSCHED_FEAT_READY | GSCHED_FEAT_STACKS |
				       GSCHED_FEAT_HANDOFF | GSCHED_FEAT_HOLD |
				       GSCHED_FEAT_PREEMPT));
	EXPECT_EQ((__u32)GSCHED_MAX_PROCS, q.max_procs);
	EXPECT_EQ((__u32)GSCHED_MAX_MS, q.max_ms);
	EXPECT_EQ(GSCHED_MAX_SLOTS, q.max_slots);
	EXPECT_EQ((__u32)sysconf(_SC_PAGESIZE), q.page_size);
	EXPECT_EQ(0U, q.flags);
	EXPECT_EQ(0U, q.reserved);
	close(fd);
}

static int64_t query_now(void)
{
	struct gsched_query q = { 0 };
	int fd = gs_open();

	must(fd >= 0);
	must(gs_ioctl(fd, GSCHED_IOC_QUERY, &q) == 0);
	close(fd);
	return q.now_ns;
}

/* The child's clock is 5000 s ahead of the kernel's. */
static int in_time_namespace(void *arg)
{
	int64_t ahead;

	(void)arg;
	ahead = now_ns() - query_now();
	return !(ahead > 4999 * NSEC_PER_SEC && ahead < 5100 * NSEC_PER_SEC);
}

TEST_F(abi, query_in_time_namespace)
{
	if (unshare(CLONE_NEWTIME))
		SKIP(return, "no time namespaces");
	write_file("/proc/self/timens_offsets", "monotonic 5000 0\n");
	EXPECT_EQ(0, in_child(in_time_namespace, NULL));
}

/* ------------------------------------------------------------------ device */

TEST_F(abi, device)
{
	struct stat st;
	unsigned int major, minor;
	FILE *f;

	ASSERT_EQ(0, stat(GSCHED_DEVICE, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	f = fopen("/sys/class/misc/gsched/dev", "r");
	ASSERT_NE(NULL, f);
	ASSERT_EQ(2, fscanf(f, "%u:%u", &major, &minor));
	fclose(f);
	EXPECT_EQ(10U, major);
	EXPECT_EQ(major(st.st_rdev), major);
	EXPECT_EQ(minor(st.st_rdev), minor);
}

/* Nothing but ioctl and mmap; and what poll and epoll make of it. */
TEST_F(abi, no_read_or_write)
{
	char byte = 0;
	int fd = gs_open();

	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
}

/* Two opens are two contexts. */
TEST_F(abi, contexts_are_independent)
{
	struct gs a, b;

	gs_start(&a, 1, 2, 1, 0);
	gs_start(&b, 2, 2, 1, 0);
	EXPECT_EQ(1U, load32(&a.shared->nr_procs));
	EXPECT_EQ(2U, load32(&b.shared->nr_procs));
	gs_stop(&a);
	EXPECT_EQ(0, gs_set_procs(&b, 1));
	gs_stop(&b);
}

/* ------------------------------------------------------------ 32-bit callers */

/*
 * int 0x80 enters the kernel as a 32-bit program does, so the ioctl goes through
 * compat_ioctl, with an address below 4 GiB.
 */
static long int80(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("int $0x80" : "=a" (ret) : "a" (nr), "b" (a), "c" (b), "d" (c)
		     : "r8", "r9", "r10", "r11", "memory");
	return (int)ret;
}

#define NR32_GETPID	20
#define NR32_IOCTL	54
#define NR32_MMAP2	192

static int try_int80(void *arg)
{
	(void)arg;
	return int80(NR32_GETPID, 0, 0, 0) != getpid();
}

TEST_F(abi, compat)
{
	union args *low = mmap(NULL, sizeof(*low), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)low);
	if (in_child(try_int80, NULL))
		SKIP(return, "no 32-bit system calls");
	for_each_call(c) {
		struct bench b;

		bench_start(&b, c);
		*low = b.args;
		EXPECT_EQ(success(c), (int)int80(NR32_IOCTL, b.gs.fd, c->cmd, (long)low))
			TH_LOG("%s", c->name);
		if (_IOC_SIZE(c->cmd)) {
			EXPECT_EQ(-EFAULT, (int)int80(NR32_IOCTL, b.gs.fd, c->cmd, 8))
				TH_LOG("%s", c->name);
		}
		bench_stop(&b);
	}
}

/* mmap2, whose offset is a number of pages, from a 32-bit caller. */
static long int80_mmap(long size, long prot, long flags, long fd, long page)
{
	long ret = NR32_MMAP2;

	asm volatile("push %%rbp\n\tmov %[page], %%rbp\n\tint $0x80\n\tpop %%rbp"
		     : "+a" (ret)
		     : "b" (0L), "c" (size), "d" (prot), "S" (flags), "D" (fd), [page] "r" (page)
		     : "r8", "r9", "r10", "r11", "memory");
	return (int)ret;
}

TEST_F(abi, compat_mmap)
{
	struct gsched_shared *sh;
	struct gs gs;
	char *stack;
	long addr;

	if (in_child(try_int80, NULL))
		SKIP(return, "no 32-bit system calls");
	gs_start(&gs, 3, 3, 1, 0);
	addr = int80_mmap(4096, PROT_READ, MAP_SHARED, gs.fd, GSCHED_OFF_SHARED >> 12);
	ASSERT_FALSE(addr < 0 && addr > -4096);
	sh = (void *)(unsigned long)(unsigned int)addr;
	EXPECT_EQ(3U, load32(&sh->nr_procs));
	addr = int80_mmap(1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, gs.fd,
			  GSCHED_OFF_STACKS(18) >> 12);
	ASSERT_FALSE(addr < 0 && addr > -4096);
	stack = (void *)(unsigned long)(unsigned int)addr;
	EXPECT_EQ(SIGSEGV, touch_write(stack));
	EXPECT_EQ(0, touch_write(stack + GSCHED_STACK_GUARD));
	gs_stop(&gs);
}

/* The results arrive where a 32-bit caller looks for them. */
TEST_F(abi, compat_results)
{
	union args *low = mmap(NULL, sizeof(*low), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int64_t before = now_ns();
	int fd = gs_open();

	ASSERT_NE(MAP_FAILED, (void *)low);
	if (in_child(try_int80, NULL))
		SKIP(return, "no 32-bit system calls");
	EXPECT_EQ(0, (int)int80(NR32_IOCTL, fd, GSCHED_IOC_QUERY, (long)low));
	EXPECT_EQ((__u32)GSCHED_MAX_PROCS, low->query.max_procs);
	EXPECT_LE(before, (int64_t)low->query.now_ns);
	EXPECT_EQ(-ENOTTY, (int)int80(NR32_IOCTL, fd, _IO(GSCHED_IOC_MAGIC, 99), (long)low));
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--all-eperm")) {
		int fd = atoi(argv[2]);

		return all_eperm(&fd);
	}
	if (access(GSCHED_DEVICE, F_OK))
		ksft_exit_skip("there is no %s\n", GSCHED_DEVICE);
	return test_harness_run(argc, argv);
}
