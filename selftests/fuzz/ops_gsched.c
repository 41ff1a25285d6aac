// SPDX-License-Identifier: GPL-2.0
/*
 * Operations: contexts and their ioctls.
 */
#include "fuzz.h"

/* Where an ioctl's structure lies. */
enum where {
	WHERE_BUFFER,
	WHERE_NULL,
	WHERE_READ_ONLY,
	WHERE_CUT,		/* its end is not there */
	WHERE_END,		/* its end is the page's end */
	WHERE_SHARED,		/* in the context's own shared page */
	WHERE_STACK,		/* in a stack, perhaps its first use */
	WHERE_GUARD,		/* in a stack's guard */
	NR_WHERES,
};

#define CTX	{ "ctx", ARG_INDEX, NR_CTXS }
#define FLAGS	{ "flags", ARG_FLAGS, 8 }
#define WHERE	{ "where", ARG_CHOICE, 4 * NR_WHERES }	/* mostly none of them */

/** ctx_of - the context that a number means. */
struct fuzz_ctx *ctx_of(uint64_t arg)
{
	return &world.ctx[arg % NR_CTXS];
}

static char *place(struct fuzz_ctx *ctx, uint64_t where, size_t size)
{
	switch (where) {
	case WHERE_NULL:
		return NULL;
	case WHERE_READ_ONLY:
		return world.read_only;
	case WHERE_CUT:
		return world.scratch + PAGE - size / 2;
	case WHERE_END:
		return world.scratch + PAGE - size;
	case WHERE_SHARED:
		return ctx->map[0] ? ctx->map[0] + 1024 : NULL;
	case WHERE_STACK:
		return ctx->stacks ? ctx->stacks + ctx->stacks_len - size : NULL;
	case WHERE_GUARD:
		return ctx->stacks;
	default:
		return world.scratch;
	}
}

static int call_at(struct fuzz_ctx *ctx, unsigned long cmd, uint64_t where, void *arg)
{
	size_t size = _IOC_SIZE(cmd);
	char *at;
	int ret;

	if (where == WHERE_BUFFER || where >= NR_WHERES)
		return ioctl(ctx->fd, cmd, arg);
	at = place(ctx, where, size);
	if (at)
		guarded_copy(at == world.read_only ? world.scratch : at, arg, size);
	ret = ioctl(ctx->fd, cmd, at);
	if (at)
		guarded_copy(arg, at, size);
	return ret;
}

static void op_open(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	int fd = open(GSCHED_DEVICE, a[1] & 1 ? O_RDONLY | O_CLOEXEC : O_RDWR);

	if (fd >= 0)
		ctx->fd = fd;
}

static void op_close(const uint64_t *a)
{
	close(ctx_of(a[0])->fd);
}

static void op_query(const uint64_t *a)
{
	struct gsched_query arg = { .flags = a[1], .reserved = a[2] };

	call_at(ctx_of(a[0]), GSCHED_IOC_QUERY, a[3], &arg);
}

static void op_setup(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	struct gsched_setup arg = {
		.flags = a[1], .nr_procs = a[2], .max_procs = a[3], .max_ms = a[4],
		.max_slots = a[5],
	};

	if (call_at(ctx, GSCHED_IOC_SETUP, a[6], &arg))
		return;
	ctx->max_procs = a[3];
	ctx->max_ms = a[4];
	ctx->max_slots = a[5];
}

static void op_set_procs(const uint64_t *a)
{
	struct gsched_set_procs arg = { .flags = a[1], .nr_procs = a[2] };

	call_at(ctx_of(a[0]), GSCHED_IOC_SET_PROCS, a[3], &arg);
}

static void op_register(const uint64_t *a)
{
	struct gsched_m_register arg = { .flags = a[1] };

	call_at(ctx_of(a[0]), GSCHED_IOC_M_REGISTER, a[2], &arg);
}

static void op_unregister(const uint64_t *a)
{
	ioctl(ctx_of(a[0])->fd, GSCHED_IOC_M_UNREGISTER, NULL);
}

static void op_acquire(const uint64_t *a)
{
	struct gsched_acquire arg = { .flags = a[1] };

	call_at(ctx_of(a[0]), GSCHED_IOC_ACQUIRE, a[2], &arg);
}

static void op_release(const uint64_t *a)
{
	ioctl(ctx_of(a[0])->fd, GSCHED_IOC_RELEASE, NULL);
}

static void op_idle(const uint64_t *a)
{
	struct gsched_idle arg = { .flags = a[1], .leave_ms = a[2], .deadline = a[4] };

	if (a[3])
		arg.deadline = now_ns() + a[3] * NSEC_PER_USEC;
	call_at(ctx_of(a[0]), GSCHED_IOC_IDLE, a[5], &arg);
}

static void op_wake(const uint64_t *a)
{
	struct gsched_wake arg = { .flags = a[1], .reserved = a[2] };

	call_at(ctx_of(a[0]), GSCHED_IOC_WAKE, a[3], &arg);
}

static void op_spawner(const uint64_t *a)
{
	struct gsched_spawner arg = { .flags = a[1] };

	call_at(ctx_of(a[0]), GSCHED_IOC_SPAWNER, a[2], &arg);
}

static void op_enqueue(const uint64_t *a)
{
	struct gsched_enqueue arg = { .flags = a[1], .proc = a[2], .cookie = a[3] };

	call_at(ctx_of(a[0]), GSCHED_IOC_ENQUEUE, a[4], &arg);
}

/* Until the pool of nodes is empty. */
static void op_enqueue_all(const uint64_t *a)
{
	struct gsched_enqueue arg = { .proc = a[1], .cookie = 7 };

	for (int i = 0; i < 300 && !ioctl(ctx_of(a[0])->fd, GSCHED_IOC_ENQUEUE, &arg); i++)
		;
}

static void slot_remember(uint32_t slot)
{
	unsigned int n = __atomic_fetch_add(&world.nr_slots, 1, __ATOMIC_RELAXED);

	__atomic_store_n(&world.slot[n % NR_SLOTS], slot, __ATOMIC_RELAXED);
}

static void op_fd_register(const uint64_t *a)
{
	struct gsched_fd arg = { .flags = a[2], .fd = fd_get(a[1]), .reserved = a[3] };

	if (!call_at(ctx_of(a[0]), GSCHED_IOC_FD_REGISTER, a[4], &arg))
		slot_remember(arg.slot);
}

/* Any number: a context, a standard descriptor, what other threads have just closed. */
static void op_fd_register_number(const uint64_t *a)
{
	struct gsched_fd arg = { .fd = a[1], .slot = a[2] };

	if (!call_at(ctx_of(a[0]), GSCHED_IOC_FD_REGISTER, 0, &arg))
		slot_remember(arg.slot);
}

static void op_fd_unregister(const uint64_t *a)
{
	struct gsched_fd arg = { .flags = a[2], .fd = a[3] };

	arg.slot = __atomic_load_n(&world.slot[a[1] % NR_SLOTS], __ATOMIC_RELAXED);
	call_at(ctx_of(a[0]), GSCHED_IOC_FD_UNREGISTER, a[4], &arg);
}

static void op_fd_unregister_number(const uint64_t *a)
{
	struct gsched_fd arg = { .slot = a[1] };

	call_at(ctx_of(a[0]), GSCHED_IOC_FD_UNREGISTER, 0, &arg);
}

static void op_times(const uint64_t *a)
{
	struct gsched_times arg = {
		.flags = a[1], .reserved = a[2], .slice_ns = a[3], .min_run_ns = a[4],
	};

	call_at(ctx_of(a[0]), GSCHED_IOC_TIMES, a[5], &arg);
}

/* An ioctl that is none, or has another size or direction; its structure is @fill. */
static void op_ioctl(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	unsigned long cmd = _IOC(a[2] % 4, GSCHED_IOC_MAGIC, a[1] & 0xff,
				 a[3] % (1U << _IOC_SIZEBITS));
	uint8_t buf[512];

	memset(buf, (int)a[4], sizeof(buf));
	if (_IOC_SIZE(cmd) > sizeof(buf))
		ioctl(ctx->fd, cmd, world.scratch);
	else
		call_at(ctx, cmd, a[5], buf);
}

/** any_ioctls - each ioctl once, on a descriptor that may be anything. */
void any_ioctls(int fd)
{
	static const unsigned long cmds[] = {
		GSCHED_IOC_QUERY, GSCHED_IOC_SETUP, GSCHED_IOC_SET_PROCS, GSCHED_IOC_M_REGISTER,
		GSCHED_IOC_RELEASE, GSCHED_IOC_WAKE, GSCHED_IOC_ENQUEUE, GSCHED_IOC_FD_REGISTER,
		GSCHED_IOC_FD_UNREGISTER, GSCHED_IOC_TIMES, GSCHED_IOC_M_UNREGISTER,
	};
	uint64_t buf[8];

	for (unsigned int i = 0; i < NR_ELEMS(cmds); i++) {
		memset(buf, 0, sizeof(buf));
		ioctl(fd, cmds[i], buf);
	}
}

static void op_ioctl_all(const uint64_t *a)
{
	any_ioctls(ctx_of(a[0])->fd);
}

static void op_fdinfo(const uint64_t *a)
{
	char path[64], buf[4096];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ctx_of(a[0])->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
}

const struct op gsched_ops[] = {
	{ "open", 8, { CTX, { "read_only", ARG_CHOICE, 2 } }, op_open },
	{ "close", 4, { CTX }, op_close },
	{ "query", 2, { CTX, FLAGS, { "reserved", ARG_FLAGS, 2 }, WHERE }, op_query },
	{ "setup", 10, { CTX, FLAGS, { "procs", ARG_COUNT, 4 }, { "max_procs", ARG_COUNT, 6 },
	  { "max_ms", ARG_COUNT, 8 }, { "max_slots", ARG_COUNT, 80 }, WHERE }, op_setup },
	{ "set_procs", 12, { CTX, FLAGS, { "procs", ARG_COUNT, 6 }, WHERE }, op_set_procs },
	{ "register", 24, { CTX, FLAGS, WHERE }, op_register },
	{ "unregister", 10, { CTX }, op_unregister },
	{ "acquire", 24, { CTX, FLAGS, WHERE }, op_acquire },
	{ "release", 12, { CTX }, op_release },
	{ "idle", 20, { CTX, FLAGS, { "leave_ms", ARG_CHOICE, 8 }, { "in", ARG_USEC, 3000 },
	  { "deadline", ARG_FLAGS, 2 }, WHERE }, op_idle },
	{ "wake", 12, { CTX, FLAGS, { "reserved", ARG_FLAGS, 2 }, WHERE }, op_wake },
	{ "spawner", 8, { CTX, FLAGS, WHERE }, op_spawner },
	{ "enqueue", 16, { CTX, FLAGS, { "proc", ARG_INDEX, 4 }, { "cookie", ARG_VALUE, 0 },
	  WHERE }, op_enqueue },
	{ "enqueue_all", 2, { CTX, { "proc", ARG_INDEX, 4 } }, op_enqueue_all },
	{ "fd_register", 24, { CTX, { "fd", ARG_INDEX, NR_FDS }, FLAGS,
	  { "reserved", ARG_FLAGS, 2 }, WHERE }, op_fd_register },
	{ "fd_register_number", 4, { CTX, { "fd", ARG_COUNT, 16 }, { "slot", ARG_FLAGS, 2 } },
	  op_fd_register_number },
	{ "fd_unregister", 12, { CTX, { "slot", ARG_INDEX, NR_SLOTS }, FLAGS,
	  { "fd", ARG_FLAGS, 2 }, WHERE }, op_fd_unregister },
	{ "fd_unregister_number", 2, { CTX, { "slot", ARG_VALUE, 0 } }, op_fd_unregister_number },
	{ "times", 6, { CTX, FLAGS, { "reserved", ARG_FLAGS, 2 }, { "slice", ARG_COUNT, 2000000 },
	  { "min_run", ARG_COUNT, 500000 }, WHERE }, op_times },
	{ "ioctl", 4, { CTX, { "nr", ARG_COUNT, 16 }, { "dir", ARG_COUNT, 4 },
	  { "size", ARG_COUNT, 64 }, { "fill", ARG_FLAGS, 2 }, WHERE }, op_ioctl },
	{ "ioctl_all", 2, { CTX }, op_ioctl_all },
	{ "fdinfo", 3, { CTX }, op_fdinfo },
};

const unsigned int nr_gsched_ops = NR_ELEMS(gsched_ops);
