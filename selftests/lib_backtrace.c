// SPDX-License-Identifier: GPL-2.0
/*
 * Backtraces of running and parked goroutines and of threads, compared with what libgcc's
 * unwinder says and with what the test has called; of broken stacks; names of functions.
 */
#include "lib_check.h"

#include <alloca.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <unwind.h>

#include "../userlib/backtrace.h"
#include "../userlib/stack.h"

#define NOINLINE __attribute__((noinline, noclone))
/* Behind a call: so that it is none at the function's end, a jump. */
#define STAY() asm volatile("" ::: "memory")

/* ------------------------------------------------------- the same as libgcc finds */

struct theirs {
	int nr;
	uintptr_t pc[128];
};

static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *arg)
{
	struct theirs *t = arg;
	int exact;
	uintptr_t pc = _Unwind_GetIPInfo(context, &exact);

	if (t->nr == 128 || !pc)
		return _URC_END_OF_STACK;
	t->pc[t->nr++] = pc - !exact;
	return _URC_NO_REASON;
}

static volatile int compared;

/*
 * The first frame is this function, at two places. Theirs goes on through the library's
 * first two functions below a goroutine.
 */
static NOINLINE void compare(void)
{
	struct theirs theirs = { 0 };
	struct backtrace ours;
	struct regs regs;
	int beginning = gs_id() ? 2 : 0;

	regs_here(&regs);
	backtrace_of(&ours, &regs, g_self());
	_Unwind_Backtrace(note, &theirs);
	CHECK(ours.whole);
	CHECK_EQ(theirs.nr - beginning, ours.nr);
	CHECK(ours.nr <= BACKTRACE_INNER);
	for (uint32_t i = 1; i < ours.nr; i++)
		CHECK_EQ(theirs.pc[i], ours.inner[i]);
	compared = compared + 1;
}

static NOINLINE void with_alloca(int n)
{
	volatile char *p = alloca(n);

	p[0] = 1;
	compare();
	p[0] = 2;
}

static NOINLINE void with_alignment(int n)
{
	volatile char aligned[128] __attribute__((aligned(64)));
	volatile char *p = alloca(n);

	aligned[n % 128] = 1;
	p[0] = 1;
	compare();
	p[0] = aligned[n % 128];
}

static int by_qsort(const void *a, const void *b)
{
	if (!compared)
		compare();
	return *(const int *)a - *(const int *)b;
}

static void on_signal(int sig)
{
	(void)sig;
	compare();
}

/* Registers that calls preserve must come back from where each frame has put them. */
static NOINLINE long many_registers(long a, long b, long c, long d, long e, int depth)
{
	long f = a * b, g = c * d, h = e * a;

	if (depth)
		f += many_registers(b, c, d, e, a, depth - 1);
	else
		with_alignment(33);
	STAY();
	return a + b + c + d + e + f + g + h;
}

static void compare_all(void)
{
	int numbers[] = { 3, 1, 2 };

	compared = 0;
	qsort(numbers, 3, sizeof(int), by_qsort);
	compare();
	with_alloca(100);
	with_alignment(77);
	many_registers(1, 2, 3, 4, 5, 6);
	CHECK_EQ(5, compared);
}

static void compare_in_handler(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	CHECK_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	compared = 0;
	raise(SIGUSR1);
	CHECK_EQ(1, compared);
}

TEST_GO(as_libgcc_in_goroutines)
{
	compare_all();
}

TEST(as_libgcc_in_threads)
{
	compare_all();
}

/* On the thread's stack, and from a stack of signals to the thread's. */
TEST(as_libgcc_in_handlers)
{
	static char memory[1 << 16];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) };

	if (SANITIZED)
		SKIP(return, "the sanitizer calls handlers in its own way");
	compare_in_handler(0);
	ASSERT_EQ(0, sigaltstack(&stack, NULL));
	compare_in_handler(SA_ONSTACK);
}

/* ------------------------------------------------------------- parked goroutines */

static gs_chan *never;
static struct g *parked;

static void set_parked(struct g *g)
{
	__atomic_store_n(&parked, g, __ATOMIC_RELEASE);
}

static void wait_parked(void)
{
	struct g *g;

	while (!(g = __atomic_load_n(&parked, __ATOMIC_ACQUIRE)) ||
	       __atomic_load_n(&g->state, __ATOMIC_ACQUIRE) != G_WAITING)
		gs_yield();
	/* WAITING comes before its M has left it. */
	gs_sleep(MS);
}

static NOINLINE void left(unsigned int way, int depth);

static NOINLINE void turn(unsigned int way, int depth)
{
	if (!depth)
		gs_chan_recv(never, NULL);
	else
		left(way, depth);
	STAY();
}

static NOINLINE void right(unsigned int way, int depth)
{
	volatile char room[200];

	room[depth] = 1;
	turn(way >> 1, depth - 1);
	room[depth] = room[0];
}

static NOINLINE void left(unsigned int way, int depth)
{
	if (way & 1)
		right(way, depth);
	else
		turn(way >> 1, depth - 1);
	STAY();
}

struct walk {
	unsigned int way;
	int depth;
};

static void walker(void *arg)
{
	struct walk *w = arg;

	set_parked(g_self());
	turn(w->way, w->depth);
	STAY();
}

static void park_walker(struct walk *w)
{
	never = gs_chan_new(0, 0);
	set_parked(NULL);
	go(walker, w);
	wait_parked();
}

static void unpark_walker(void)
{
	gs_chan_close(never);
	gs_chan_unref(never);
	while (__atomic_load_n(&parked->state, __ATOMIC_ACQUIRE) != G_DEAD)
		gs_yield();
}

static void trace_parked(struct backtrace *b)
{
	struct regs regs;

	regs_of_ctx(&regs, &parked->ctx);
	backtrace_of(b, &regs, parked);
}

static uintptr_t frame(struct backtrace *b, uint32_t i)
{
	return i < BACKTRACE_INNER ? b->inner[i] : b->outer[i % BACKTRACE_OUTER];
}

static bool is(struct backtrace *b, uint32_t i, const char *name)
{
	struct symbol s;

	symbol_find(&s, frame(b, i));
	return s.name && !strcmp(s.name, name);
}

/* From the outermost frame inwards: the way that was taken. */
static void check_way(struct backtrace *b, const struct walk *w)
{
	uint32_t i = b->nr;
	unsigned int way = w->way;

	CHECK(b->whole);
	CHECK(is(b, --i, "walker"));
	for (int d = 0; d < w->depth; d++, way >>= 1) {
		CHECK(is(b, --i, "turn"));
		CHECK(is(b, --i, "left"));
		if (way & 1)
			CHECK(is(b, --i, "right"));
	}
	CHECK(is(b, --i, "turn"));
	CHECK(i > 0);
	CHECK(is(b, 0, "park"));
}

TEST_GO(parked_ways)
{
	unsigned int seed = test_seed();
	struct backtrace b;

	for (int i = 0; i < 30; i++) {
		struct walk w = { .way = rnd(&seed), .depth = rnd(&seed) % 6 };

		park_walker(&w);
		trace_parked(&b);
		check_way(&b, &w);
		unpark_walker();
	}
}

static void print_to(char *buf, size_t room, const struct backtrace *b)
{
	struct symbol_cache names = { 0 };
	FILE *f = tmpfile();
	struct out o;
	ssize_t n;

	CHECK(f);
	out_init(&o, fileno(f));
	backtrace_print(&o, b, &names);
	CHECK_EQ(0, out_flush(&o));
	n = pread(fileno(f), buf, room - 1, 0);
	CHECK(n >= 0);
	buf[n] = '\0';
	fclose(f);
}

static int lines(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

/* Too many for all to be kept: the innermost and the outermost are. */
TEST_GO(deep)
{
	struct walk w = { .way = ~0U, .depth = 60 };
	struct backtrace b;
	char buf[8192], more[32];
	int kept = BACKTRACE_INNER + BACKTRACE_OUTER - 1;

	park_walker(&w);
	trace_parked(&b);
	CHECK(b.whole);
	/* 32 of the turns go right; park and the like; walker. */
	CHECK(b.nr > 32 + 60 * 2 + 2 && b.nr < 32 + 60 * 2 + 10);
	print_to(buf, sizeof(buf), &b);
	CHECK_EQ(kept + 1, lines(buf));
	snprintf(more, sizeof(more), "    ... %d more ...\n", (int)b.nr - kept);
	CHECK(strstr(buf, more));
	CHECK(!strncmp(buf, "    park+0x", 11));
	CHECK(strstr(strstr(buf, more), "    walker+0x"));
	CHECK(!strstr(buf, "g_start"));
	CHECK(!strstr(buf, "?"));
	unpark_walker();
}

static void never_run(void *arg)
{
	(void)arg;
}

/* It has no stack yet, but a function. */
TEST(not_begun)
{
	struct arch_ctx ctx;
	struct backtrace b;
	struct regs regs;
	struct g g = { .fn = never_run };

	arch_ctx_init(&ctx, &g);
	regs_of_ctx(&regs, &ctx);
	backtrace_of(&b, &regs, &g);
	EXPECT_EQ(1, b.nr);
	EXPECT_TRUE(b.whole);
	EXPECT_EQ((uintptr_t)never_run, b.inner[0]);
}

/* ---------------------------------------------------------------- broken stacks */

#define JUNK 4096

static unsigned int junk_seed;
static uintptr_t *junk;

/* Whatever a walk could take for something sensible: code, its own stack, small, anything. */
static uintptr_t junk_word(void)
{
	static void *const code[] = {
		gs_dump, gs_yield, compare, walker, backtrace_of, many_registers, qsort, arch_entry,
	};
	uintptr_t r = rnd(&junk_seed);

	switch (rnd(&junk_seed) % 5) {
	case 0:
	case 1:
		return (uintptr_t)code[r % 8] + rnd(&junk_seed) % 200;
	case 2:
		return (uintptr_t)junk + r % (JUNK * 8);
	case 3:
		return r % 1000;
	default:
		return r << 40 | (uintptr_t)rnd(&junk_seed) << 20 | rnd(&junk_seed);
	}
}

static void broken(void *arg)
{
	uintptr_t words[JUNK];

	for (int i = 0; i < JUNK; i++)
		words[i] = junk_word();
	junk = words;
	set_parked(g_self());
	gs_chan_recv(arg, NULL);
	STAY();
}

TEST_GO(broken_stacks)
{
	struct backtrace b;
	struct regs regs;
	uint64_t frames = 0;

	junk_seed = test_seed();
	never = gs_chan_new(0, 0);
	set_parked(NULL);
	go(broken, never);
	wait_parked();
	for (int i = 0; i < TIMES(20000); i++) {
		regs.known = 0;
		for (int r = 0; r < REGS; r++)
			regs_set(&regs, r, junk_word());
		regs_set(&regs, REG_NR_SP, (uintptr_t)junk + rnd(&junk_seed) % (JUNK * 8));
		regs_set(&regs, REG_NR_PC, (uintptr_t)compare + rnd(&junk_seed) % 4000);
		backtrace_of(&b, &regs, parked);
		frames += b.nr;
		if (i % 16 == 0)
			junk[rnd(&junk_seed) % JUNK] = junk_word();
	}
	/* They did go somewhere. */
	CHECK(frames > (uint64_t)TIMES(20000) * 101 / 100);
	unpark_walker();
}

/* A thread's: it ends where nothing can be read, and does not go around for ever. */
TEST(broken_thread_stack)
{
	struct backtrace b;
	struct regs regs;

	regs_here(&regs);
	regs_set(&regs, REG_NR_SP, 0x1000);
	regs_set(&regs, REG_NR_BP, 0x1000);
	backtrace_of(&b, &regs, NULL);
	EXPECT_EQ(1, b.nr);
	EXPECT_FALSE(b.whole);
}

/* ------------------------------------------------------------------------- names */

static bool name_is(const void *pc, const char *name)
{
	char buf[128];

	symbol_name((uintptr_t)pc, buf, sizeof(buf));
	if (strcmp(buf, name))
		printf("# %s, not %s\n", buf, name);
	return !strcmp(buf, name);
}

TEST(names)
{
	void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static char data[16];
	char buf[64], want[64];

	EXPECT_TRUE(name_is(never_run, "never_run"));
	EXPECT_TRUE(name_is((char *)walker + 2, "walker+0x2"));
	EXPECT_TRUE(name_is(gs_dump, "gs_dump"));
	/* Of a file without .symtab: what it exports. */
	EXPECT_TRUE(name_is(dlsym(RTLD_NEXT, "lfind"), "lfind"));
	/* No function: the module. */
	symbol_name((uintptr_t)data, buf, sizeof(buf));
	EXPECT_EQ(0, strncmp(buf, "lib_backtrace+0x", 16)) TH_LOG("%s", buf);
	/* No module either. */
	snprintf(want, sizeof(want), "%p", page);
	EXPECT_TRUE(name_is(page, want));
	EXPECT_TRUE(name_is(NULL, "0x0"));
	EXPECT_TRUE(name_is((void *)~0UL, "0xffffffffffffffff"));
	munmap(page, 4096);
}

TEST(names_are_cut)
{
	char buf[8];

	memset(buf, '#', sizeof(buf));
	EXPECT_STREQ("never", symbol_name((uintptr_t)never_run, buf, 6));
	EXPECT_EQ('#', buf[6]);
	EXPECT_STREQ("", symbol_name((uintptr_t)never_run, buf, 1));
	EXPECT_STREQ("0x0", symbol_name(0, buf, 4));
	EXPECT_STREQ("0x", symbol_name(0, buf, 3));
	EXPECT_STREQ("walker+", symbol_name((uintptr_t)walker + 2, buf, 8));
}

TEST_HARNESS_MAIN
