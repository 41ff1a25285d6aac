// SPDX-License-Identifier: GPL-2.0
/*
 * Operations: mappings of a context, and what stands in the shared pages.
 */
#include "fuzz.h"

#include <sched.h>
#include <sys/uio.h>
#include <linux/futex.h>

#define CTX	{ "ctx", ARG_INDEX, NR_CTXS }
#define REGION	{ "region", ARG_INDEX, NR_REGIONS }

static const uint64_t region_off[NR_REGIONS] = {
	GSCHED_OFF_SHARED, GSCHED_OFF_PROCS, GSCHED_OFF_MS, GSCHED_OFF_SLOTS,
};

static size_t pages(size_t size)
{
	size = (size + PAGE - 1) & ~(PAGE - 1);
	/* Who asks SETUP for more than it gives still gets mappings of some size. */
	return size && size < (64UL << 20) ? size : PAGE;
}

static size_t region_len(const struct fuzz_ctx *ctx, unsigned int region)
{
	switch (region) {
	case 1:
		return pages(ctx->max_procs * sizeof(struct gsched_proc));
	case 2:
		return pages(ctx->max_ms * sizeof(struct gsched_m));
	case 3:
		return pages((128 + (size_t)ctx->max_slots) * sizeof(struct gsched_slot));
	default:
		return PAGE;
	}
}

static void map_region(struct fuzz_ctx *ctx, unsigned int region, int prot, int flags)
{
	size_t len = region_len(ctx, region);
	char *p = mmap(NULL, len, prot, flags, ctx->fd, (off_t)region_off[region]);

	if (p == MAP_FAILED)
		return;
	ctx->len[region] = len;
	__atomic_store_n(&ctx->map[region], p, __ATOMIC_RELEASE);
}

/* All four, as a library does. */
static void op_map(const uint64_t *a)
{
	for (unsigned int i = 0; i < NR_REGIONS; i++)
		map_region(ctx_of(a[0]), i, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void op_map_region(const uint64_t *a)
{
	int prot = a[2] ? (int)a[2] & 7 : PROT_READ | PROT_WRITE;

	map_region(ctx_of(a[0]), a[1] % NR_REGIONS, prot, a[3] & 1 ? MAP_PRIVATE : MAP_SHARED);
}

/* Any offset, any length: is nobody let out of a region? */
static void op_map_any(const uint64_t *a)
{
	size_t len = (1 + a[3] % 64) * PAGE;
	off_t off = (off_t)(GSCHED_OFF(a[1] % 40) + (a[2] & ~(PAGE - 1)));
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       (a[4] & 1 ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE,
		       ctx_of(a[0])->fd, off);
	char byte;

	if (p == MAP_FAILED)
		return;
	for (size_t i = 0; i < len; i += PAGE)
		guarded_copy(&byte, p + i, 1);
	munmap(p, len);
}

static void op_unmap(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	unsigned int region = a[1] % NR_REGIONS;

	if (ctx->map[region])
		munmap(ctx->map[region], ctx->len[region]);
}

static void op_mremap(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	unsigned int region = a[1] % NR_REGIONS;
	size_t old = a[2] & 1 ? 0 : ctx->len[region];
	char *p;

	if (!ctx->map[region])
		return;
	p = mremap(ctx->map[region], old, (1 + a[3] % 8) * PAGE,
		   a[4] % 3 == 2 ? MREMAP_MAYMOVE | MREMAP_DONTUNMAP : (int)(a[4] % 3));
	if (p != MAP_FAILED)
		ctx->map[region] = p;
}

static void op_mprotect(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	unsigned int region = a[1] % NR_REGIONS;

	if (ctx->map[region])
		mprotect(ctx->map[region], ctx->len[region], (int)a[2] & 7);
}

static const int advices[] = {
	MADV_DONTNEED, MADV_NORMAL, MADV_WILLNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK,
	MADV_DOFORK, MADV_MERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DODUMP,
	MADV_WIPEONFORK, MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
	25 /* MADV_COLLAPSE */,
};

static void op_madvise(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	unsigned int region = a[1] % (NR_REGIONS + 1);
	int advice = advices[a[2] % NR_ELEMS(advices)];

	if (region < NR_REGIONS && ctx->map[region])
		madvise(ctx->map[region], ctx->len[region], advice);
	else if (ctx->stacks)
		madvise(ctx->stacks, ctx->stacks_len < 1U << 20 ? ctx->stacks_len : 1U << 20,
			advice);
}

static void op_mlock(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	unsigned int region = a[1] % NR_REGIONS;

	if (ctx->map[region])
		mlock(ctx->map[region], ctx->len[region]);
}

/* ------------------------------------------------------------ shared words */

struct field {
	uint16_t offset;
	uint16_t size;
};

#define FIELD(type, name) { offsetof(struct type, name), sizeof(((struct type *)0)->name) }

static const struct field shared_fields[] = {
	FIELD(gsched_shared, nr_spinning), FIELD(gsched_shared, global_len),
	FIELD(gsched_shared, nr_blocked), FIELD(gsched_shared, nr_idle),
	FIELD(gsched_shared, tick_on), FIELD(gsched_shared, tick_next),
	FIELD(gsched_shared, nr_procs),
};

static const struct field proc_fields[] = {
	FIELD(gsched_proc, tail), FIELD(gsched_proc, steps), FIELD(gsched_proc, next_when),
	FIELD(gsched_proc, runnext), FIELD(gsched_proc, head), FIELD(gsched_proc, inbox),
	FIELD(gsched_proc, attention), FIELD(gsched_proc, state), FIELD(gsched_proc, owner),
};

static const struct field m_fields[] = {
	FIELD(gsched_m, in_sched), FIELD(gsched_m, proc), FIELD(gsched_m, cookie),
};

static const struct field node_fields[] = {
	FIELD(gsched_node, word), FIELD(gsched_node, cookie), FIELD(gsched_node, next),
	FIELD(gsched_node, proc), FIELD(gsched_node, events),
};

static const struct {
	const struct field *field;
	size_t nr, size;
} layout[NR_REGIONS] = {
	{ shared_fields, NR_ELEMS(shared_fields), sizeof(struct gsched_shared) },
	{ proc_fields, NR_ELEMS(proc_fields), sizeof(struct gsched_proc) },
	{ m_fields, NR_ELEMS(m_fields), sizeof(struct gsched_m) },
	{ node_fields, NR_ELEMS(node_fields), sizeof(struct gsched_node) },
};

static char *word_at(const uint64_t *a, size_t *size)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	unsigned int region = a[1] % NR_REGIONS;
	const struct field *f = &layout[region].field[a[3] % layout[region].nr];
	char *map = __atomic_load_n(&ctx->map[region], __ATOMIC_ACQUIRE);

	*size = f->size;
	return map ? map + (a[2] * layout[region].size) % ctx->len[region] + f->offset : NULL;
}

/* Store @value, or @usec from now, into a word. */
static void op_poke(const uint64_t *a)
{
	uint64_t value = a[5] ? now_ns() + a[5] * NSEC_PER_USEC : a[4];
	size_t size;
	char *at = word_at(a, &size);

	if (at)
		guarded_copy(at, &value, size);
}

static void add_word(void *at)
{
	__atomic_fetch_add((uint32_t *)at, 1, __ATOMIC_SEQ_CST);
}

static void op_add(const uint64_t *a)
{
	size_t size;
	char *at = word_at(a, &size);

	for (uint64_t i = 0; at && i < 1 + a[4] % 8; i++)
		fault_guard(add_word, at);
}

/* Anything anywhere in a region, for a while. */
static void op_scribble(const uint64_t *a)
{
	int64_t end = now_ns() + (int64_t)(a[2] % 20000) * NSEC_PER_USEC;
	unsigned int region = a[1] % NR_REGIONS;
	uint64_t seed = a[3] | 1, word[6], value;
	size_t size;
	char *at;

	do {
		word[0] = a[0];
		word[1] = region;
		word[2] = rnd(&seed, 16);
		word[3] = rnd(&seed, 16);
		value = rnd(&seed, 2) ? rnd(&seed, 4) : rnd64(&seed);
		at = word_at(word, &size);
		if (!at || !guarded_copy(at, &value, size))
			return;
	} while (now_ns() < end);
}

/* What a library does: a G parks, unless the descriptor is ready. */
static void park(void *arg)
{
	struct gsched_node *node = arg;
	uint64_t nil = __atomic_exchange_n(&node->word, GSCHED_WORD_NIL, __ATOMIC_SEQ_CST);

	nil = GSCHED_WORD_NIL;
	__atomic_compare_exchange_n(&node->word, &nil, 5, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
}

static void op_park(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	uint32_t slot = __atomic_load_n(&world.slot[a[1] % NR_SLOTS], __ATOMIC_RELAXED);
	size_t off = slot * sizeof(struct gsched_slot) + a[2] % 2 * sizeof(struct gsched_node);

	if (ctx->map[3] && off < ctx->len[3])
		fault_guard(park, ctx->map[3] + off);
}

/* The inbox is taken; its nodes are given back, as far as the links lead. */
struct take {
	struct fuzz_ctx *ctx;
	struct gsched_proc *p;
};

static void take(void *arg)
{
	struct take *t = arg;
	struct gsched_node *nodes = (struct gsched_node *)t->ctx->map[3];
	uint32_t link = __atomic_exchange_n(&t->p->inbox, 0, __ATOMIC_SEQ_CST);

	for (int i = 0; i < 1000 && link && link * sizeof(*nodes) <= t->ctx->len[3]; i++) {
		struct gsched_node *node = &nodes[link - 1];

		link = node->next;
		__atomic_store_n(&node->cookie, 0, __ATOMIC_RELEASE);
	}
}

static void op_take(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	struct take t = { .ctx = ctx };
	size_t off = a[1] * sizeof(struct gsched_proc);

	if (!ctx->map[1] || !ctx->map[3] || off >= ctx->len[1])
		return;
	t.p = (struct gsched_proc *)(ctx->map[1] + off);
	fault_guard(take, &t);
}

/* Computes, making steps or not, in a section or not. */
struct hog {
	struct gsched_proc *p;
	int64_t end;
};

static void hog(void *arg)
{
	struct hog *h = arg;

	while (now_ns() < h->end)
		if (h->p)
			__atomic_fetch_add(&h->p->steps, 1, __ATOMIC_RELAXED);
}

static void op_compute(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	struct hog h = { .end = now_ns() + (int64_t)(a[3] % 20000) * NSEC_PER_USEC };
	size_t off = a[2] * sizeof(struct gsched_proc);

	if (a[1] & 1 && ctx->map[1] && off < ctx->len[1])
		h.p = (struct gsched_proc *)(ctx->map[1] + off);
	fault_guard(hog, &h);
}

/* The words as something that other parts of the kernel work on. */
static void op_use(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	char *p = a[1] % 5 == 4 ? ctx->stacks : ctx->map[a[1] % 5];
	struct timespec ts = { .tv_nsec = 1000000 };
	struct iovec iov = { p, 256 };
	int fd = fd_get(a[3]);

	switch (p ? a[2] % 8 : 8) {
	case 0:
		syscall(SYS_futex, p, FUTEX_WAIT, 0, &ts, NULL, 0);
		break;
	case 1:
		syscall(SYS_futex, p, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		break;
	case 2:
		vmsplice(fd, &iov, 1, SPLICE_F_NONBLOCK);
		break;
	case 3:
		vmsplice(fd, &iov, 1, SPLICE_F_NONBLOCK | SPLICE_F_GIFT);
		break;
	case 4:
		process_vm_readv(getpid(), &iov, 1, &iov, 1, 0);
		break;
	case 5:
		syscall(SYS_futex, p, FUTEX_LOCK_PI_PRIVATE, 0, &ts, NULL, 0);
		break;
	case 6:
		process_vm_writev(getpid(), &iov, 1, &iov, 1, 0);
		break;
	case 7:
		syscall(SYS_mincore, p, PAGE, world.scratch);
		break;
	}
}

/* ------------------------------------------------------------------- stacks */

static void op_stacks(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	unsigned int shift = GSCHED_STACK_SHIFT_MIN + a[1] % 6;
	size_t len = (1 + a[2] % 16) << shift;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, ctx->fd,
		       (off_t)GSCHED_OFF_STACKS(shift));

	if (p == MAP_FAILED)
		return;
	ctx->stacks = p;
	ctx->stacks_len = len;
}

static void op_touch(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);
	char byte = 1;
	char *at;

	if (!ctx->stacks)
		return;
	at = ctx->stacks + a[1] * PAGE % ctx->stacks_len;
	if (a[2] & 1)
		guarded_copy(at, &byte, 1);
	else
		guarded_copy(&byte, at, 1);
}

static void op_stacks_free(const uint64_t *a)
{
	struct fuzz_ctx *ctx = ctx_of(a[0]);

	if (ctx->stacks)
		munmap(ctx->stacks, ctx->stacks_len);
}

const struct op mem_ops[] = {
	{ "map", 8, { CTX }, op_map },
	{ "map_region", 4, { CTX, REGION, { "prot", ARG_FLAGS, 8 }, { "private", ARG_CHOICE, 2 } },
	  op_map_region },
	{ "map_any", 2, { CTX, { "region", ARG_COUNT, 32 }, { "offset", ARG_VALUE, 0 },
	  { "pages", ARG_COUNT, 16 }, { "shared", ARG_CHOICE, 2 } }, op_map_any },
	{ "unmap", 2, { CTX, REGION }, op_unmap },
	{ "mremap", 2, { CTX, REGION, { "dup", ARG_CHOICE, 2 }, { "pages", ARG_COUNT, 8 },
	  { "flags", ARG_CHOICE, 3 } }, op_mremap },
	{ "mprotect", 2, { CTX, REGION, { "prot", ARG_COUNT, 8 } }, op_mprotect },
	{ "madvise", 4, { CTX, { "region", ARG_INDEX, NR_REGIONS + 1 },
	  { "advice", ARG_INDEX, NR_ELEMS(advices) } }, op_madvise },
	{ "mlock", 1, { CTX, REGION }, op_mlock },
	{ "poke", 24, { CTX, REGION, { "index", ARG_INDEX, 4 }, { "field", ARG_INDEX, 10 },
	  { "value", ARG_VALUE, 0 }, { "in", ARG_USEC, 2000 } }, op_poke },
	{ "add", 12, { CTX, REGION, { "index", ARG_INDEX, 4 }, { "field", ARG_INDEX, 10 },
	  { "times", ARG_CHOICE, 8 } }, op_add },
	{ "scribble", 8, { CTX, REGION, { "for", ARG_USEC, 4000 }, { "seed", ARG_VALUE, 0 } },
	  op_scribble },
	{ "park", 16, { CTX, { "slot", ARG_INDEX, NR_SLOTS }, { "dir", ARG_CHOICE, 2 } }, op_park },
	{ "take", 10, { CTX, { "proc", ARG_INDEX, 4 } }, op_take },
	{ "compute", 20, { CTX, { "step", ARG_CHOICE, 2 }, { "proc", ARG_INDEX, 4 },
	  { "for", ARG_USEC, 6000 } }, op_compute },
	{ "use", 4, { CTX, { "region", ARG_INDEX, NR_REGIONS + 1 }, { "how", ARG_INDEX, 8 },
	  { "fd", ARG_INDEX, NR_FDS } }, op_use },
	{ "stacks", 3, { CTX, { "shift", ARG_INDEX, 6 }, { "nr", ARG_INDEX, 16 } }, op_stacks },
	{ "touch", 5, { CTX, { "page", ARG_COUNT, 64 }, { "write", ARG_CHOICE, 2 } }, op_touch },
	{ "stacks_free", 1, { CTX }, op_stacks_free },
};

const unsigned int nr_mem_ops = NR_ELEMS(mem_ops);
