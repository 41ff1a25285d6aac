// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * backtrace.c: who called whom, of goroutines and threads, running or not.
 *
 * A goroutine's stack is read directly, between its lowest byte and its struct g: that is
 * mapped and stays. Nothing is known of other stacks (a thread's, a signal's), and the
 * reason for looking may be that they are broken: they are read through the kernel,
 * which says so where there is nothing to read. Where process_vm_readv(2) is forbidden
 * such backtraces end at once.
 */
#define _GNU_SOURCE
#include <sys/uio.h>
#include <unistd.h>

#include "backtrace.h"
#include "cfi.h"
#include "group.h"
#include "proc.h"
#include "stack.h"

/* A thread's broken stack could lead around in circles. */
#define FRAMES_MOST	10000

typedef uintptr_t __attribute__((aligned(1), may_alias)) word;

/* The goroutine may run meanwhile and write there; addresses may be any. */
static __attribute__((noinline, no_sanitize_address, no_sanitize_thread)) bool
read_stack(const struct cfi_memory *memory, uintptr_t addr, uintptr_t *value)
{
	if (addr < memory->lo || addr > memory->hi - sizeof(word))
		return false;
	*value = *(const volatile word *)addr;
	return true;
}

static bool read_any(const struct cfi_memory *memory, uintptr_t addr, uintptr_t *value)
{
	struct iovec to = { value, sizeof(*value) }, from = { (void *)addr, sizeof(*value) };

	(void)memory;
	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(*value);
}

static bool inside(const struct g *g, uintptr_t addr)
{
	return g && addr <= (uintptr_t)g && (uintptr_t)g - addr < STACK_SLOT;
}

static void memory_init(struct cfi_memory *memory, struct g *g, uintptr_t sp)
{
	if (inside(g, sp))
		*memory = (struct cfi_memory){ (uintptr_t)stack_low(g), (uintptr_t)g, read_stack };
	else
		*memory = (struct cfi_memory){ 0, UINTPTR_MAX, read_any };
}

static void add(struct backtrace *b, uintptr_t pc)
{
	if (b->nr < BACKTRACE_INNER)
		b->inner[b->nr] = pc;
	else
		b->outer[b->nr % BACKTRACE_OUTER] = pc;
	b->nr++;
}

/*
 * The end: arch_entry, and before it g_start, of which nobody wants to hear. Only where
 * the goroutine's stack begins is it believed.
 */
static bool at_entry(struct backtrace *b, const struct regs *regs, const struct g *g)
{
	uintptr_t sp = regs->r[REG_NR_SP];

	if (!g || regs->r[REG_NR_PC] != (uintptr_t)arch_entry_return)
		return false;
	b->nr--;
	b->whole = sp == arch_first_sp(g) || sp == arch_first_sp(member_place(g));
	return true;
}

/* Where its function will begin. */
static bool not_begun(struct backtrace *b, const struct regs *regs, struct g *g)
{
	if (regs->r[REG_NR_PC] != (uintptr_t)arch_entry)
		return false;
	add(b, g_entry(g));
	b->whole = true;
	return true;
}

/**
 * backtrace_of - make a backtrace
 * @b:    is filled in
 * @regs: where to begin; changed
 * @g:    the goroutine, NULL: not on a goroutine's stack
 *
 * Async-signal-safe. A goroutine that is not the caller may run meanwhile: then the
 * result is nonsense, but seldom @whole.
 */
void backtrace_of(struct backtrace *b, struct regs *regs, struct g *g)
{
	enum cfi_result result = CFI_SIGNAL;
	struct cfi_memory memory;

	b->nr = 0;
	b->whole = false;
	if (g && not_begun(b, regs, g))
		return;
	memory_init(&memory, g, regs->r[REG_NR_SP]);
	while (b->nr < FRAMES_MOST) {
		bool exact = result == CFI_SIGNAL;
		uintptr_t sp = regs->r[REG_NR_SP];

		add(b, regs->r[REG_NR_PC] - !exact);
		result = cfi_step(regs, exact, &memory);
		if (result == CFI_END)
			b->whole = !g;
		if (result > CFI_SIGNAL || at_entry(b, regs, g))
			break;
		/* Towards the stack's beginning only; a signal may have changed stacks. */
		if (result == CFI_CALL && regs->r[REG_NR_SP] <= sp)
			break;
	}
}

static void print_frame(struct out *o, uintptr_t pc, struct symbol_cache *names)
{
	out_str(o, "    ");
	symbol_print(o, symbol_cached(names, pc));
	out_str(o, " [");
	out_hex(o, pc);
	out_str(o, "]\n");
}

static void print_omitted(struct out *o, uint32_t n)
{
	out_str(o, "    ... ");
	out_u64(o, n);
	out_str(o, " more ...\n");
}

/**
 * backtrace_print - a line for each frame
 * @o:     where to
 * @b:     from backtrace_of
 * @names: what has been found already
 *
 * The last line is "?" if the beginning has not been found.
 */
void backtrace_print(struct out *o, const struct backtrace *b, struct symbol_cache *names)
{
	uint32_t i, from = BACKTRACE_INNER;

	for (i = 0; i < b->nr && i < BACKTRACE_INNER; i++)
		print_frame(o, b->inner[i], names);
	/* One less than there is room for: g_start had a place, too. */
	if (b->nr > from + BACKTRACE_OUTER - 1) {
		from = b->nr - (BACKTRACE_OUTER - 1);
		print_omitted(o, from - BACKTRACE_INNER);
	}
	for (i = from; i < b->nr; i++)
		print_frame(o, b->outer[i % BACKTRACE_OUTER], names);
	if (!b->whole)
		out_str(o, "    ?\n");
}
