/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * arch_x86_64.h: the switch between two stacks, and the thread's M.
 *
 * The switch is inlined and tells the compiler that every register is lost, so
 * that it saves what it needs and nothing else; rbx and rbp, which it may use in
 * ways that no clobber can undo (frame and base pointer), are kept in the
 * context. The stack pointer itself is stored as it is: nobody writes to a stack
 * that is not running, so the red zone below it needs no care, and the unwind
 * information that the compiler gives for the surrounding code stays true at the
 * label where the goroutine goes on.
 *
 * It ends in an indirect jump of its own at every place where it is inlined: a
 * `ret` would miss the return stack buffer each time, and one shared jump would
 * have one prediction for all.
 *
 * MXCSR and the x87 control word are not switched: they are the thread's.
 */
#ifndef GS_ARCH_X86_64_H
#define GS_ARCH_X86_64_H

#include <stdint.h>

struct m;

struct arch_ctx {
	void *sp;
	void *pc;
	void *bp;
	void *bx;
};

#ifdef __AVX512F__
#define ARCH_CLOBBER_AVX512						\
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",	\
	  "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29",	\
	  "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define ARCH_CLOBBER_AVX512
#endif

/*
 * A function with the switch in it must not be inlined into its callers, nor may
 * they know which registers it spares: they can be compiled for wider vectors
 * than the library (link-time optimisation puts both into one unit).
 */
#ifdef __clang__
#define ARCH_SWITCHES __attribute__((noinline))
#else
#define ARCH_SWITCHES __attribute__((noipa))
#endif

/** arch_switch - leave @from, go on in @to; returns when somebody switches back. */
static inline __attribute__((always_inline)) void
arch_switch(struct arch_ctx *from, const struct arch_ctx *to)
{
	asm volatile("leaq	1f(%%rip), %%rax\n\t"
		     "movq	%%rsp, 0(%%rdi)\n\t"
		     "movq	%%rax, 8(%%rdi)\n\t"
		     "movq	%%rbp, 16(%%rdi)\n\t"
		     "movq	%%rbx, 24(%%rdi)\n\t"
		     "movq	16(%%rsi), %%rbp\n\t"
		     "movq	24(%%rsi), %%rbx\n\t"
		     "movq	0(%%rsi), %%rsp\n\t"
		     "jmp	*8(%%rsi)\n"
		     "1:\n"
		     : "+D" (from), "+S" (to)
		     :
		     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12",
		       "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3",
		       "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
		       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "mm0", "mm1",
		       "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st", "st(1)",
		       "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)",
		       "memory", "cc" ARCH_CLOBBER_AVX512);
}

/**
 * arch_ctx_here - make @ctx say that the goroutine stands here, for backtraces
 *
 * True as long as the function does not return.
 */
static inline __attribute__((always_inline)) void arch_ctx_here(struct arch_ctx *ctx)
{
	asm volatile("leaq	1f(%%rip), %%rax\n\t"
		     "movq	%%rsp, 0(%0)\n\t"
		     "movq	%%rax, 8(%0)\n\t"
		     "movq	%%rbp, 16(%0)\n\t"
		     "movq	%%rbx, 24(%0)\n"
		     "1:\n"
		     :
		     : "r" (ctx)
		     : "rax", "memory");
}

/* switch_x86_64.S: where a new goroutine starts; calls g_start(), which never returns. */
void arch_entry(void);
extern const char arch_entry_return[];

/**
 * arch_first_sp - where a goroutine begins on the stack that ends at @top
 *
 * Nobody writes to the two highest words: they stay zero, as they were mapped. Valgrind
 * takes them for a return address, and so ends its backtraces there.
 */
static inline uintptr_t arch_first_sp(const void *top)
{
	return ((uintptr_t)top & ~15UL) - 16;
}

/** arch_ctx_init - make @ctx start a goroutine there. */
static inline void arch_ctx_init(struct arch_ctx *ctx, void *top)
{
	ctx->sp = (void *)arch_first_sp(top);
	ctx->pc = (void *)arch_entry;
	ctx->bp = (void *)0;
	ctx->bx = (void *)0;
}

/**
 * arch_m - the thread's M, NULL if it is none
 *
 * The compiler takes a thread-local variable's address for constant within a
 * function, but a function that switches can end on another thread: read it
 * afresh, by an asm that may not be moved or merged. The variable is defined in
 * switch_x86_64.S, where link-time optimisation cannot rename it.
 */
static inline __attribute__((always_inline)) struct m *arch_m(void)
{
	struct m *m;

	asm volatile("movq	gs_m_tls@gottpoff(%%rip), %0\n\t"
		     "movq	%%fs:(%0), %0"
		     : "=&r" (m));
	return m;
}

static inline void arch_set_m(struct m *m)
{
	uintptr_t offset;

	asm volatile("movq	gs_m_tls@gottpoff(%%rip), %0\n\t"
		     "movq	%1, %%fs:(%0)"
		     : "=&r" (offset)
		     : "r" (m)
		     : "memory");
}

/** arch_barrier - a full barrier (TSan does not know a fence of the compiler's). */
static inline void arch_barrier(void)
{
	asm volatile("lock; orl	$0, (%%rsp)" ::: "memory", "cc");
}

static inline void arch_pause(void)
{
	asm volatile("pause" ::: "memory");
}

#endif /* GS_ARCH_X86_64_H */
