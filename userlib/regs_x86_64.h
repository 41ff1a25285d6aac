/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * regs_x86_64.h: registers, by the numbers that DWARF gives them, as a backtrace
 * begins with.
 */
#ifndef GS_REGS_X86_64_H
#define GS_REGS_X86_64_H

#include <stdint.h>
#include <ucontext.h>

#include "arch_x86_64.h"

enum {
	REG_NR_BX = 3,
	REG_NR_BP = 6,
	REG_NR_SP = 7,
	REG_NR_R12 = 12,
	REG_NR_PC = 16,		/* the "return address column" */
	REGS,
};

struct regs {
	uintptr_t r[REGS];
	uint32_t known;		/* a bit each */
};

static inline void regs_set(struct regs *regs, uint32_t nr, uintptr_t value)
{
	regs->r[nr] = value;
	regs->known |= 1U << nr;
}

/** regs_here - those that calls preserve, here; good while the caller runs. */
static inline __attribute__((always_inline)) void regs_here(struct regs *regs)
{
	asm volatile("leaq	0(%%rip), %%rax\n\t"
		     "movq	%%rax, 128(%0)\n\t"
		     "movq	%%rbx, 24(%0)\n\t"
		     "movq	%%rbp, 48(%0)\n\t"
		     "movq	%%rsp, 56(%0)\n\t"
		     "movq	%%r12, 96(%0)\n\t"
		     "movq	%%r13, 104(%0)\n\t"
		     "movq	%%r14, 112(%0)\n\t"
		     "movq	%%r15, 120(%0)"
		     :
		     : "r" (regs->r)
		     : "rax", "memory");
	regs->known = 1U << REG_NR_PC | 1U << REG_NR_BX | 1U << REG_NR_BP | 1U << REG_NR_SP |
		      0xfU << REG_NR_R12;
}

/** regs_of_ctx - of a goroutine that does not run. */
static inline void regs_of_ctx(struct regs *regs, const struct arch_ctx *ctx)
{
	regs->known = 0;
	regs_set(regs, REG_NR_PC, (uintptr_t)ctx->pc);
	regs_set(regs, REG_NR_SP, (uintptr_t)ctx->sp);
	regs_set(regs, REG_NR_BP, (uintptr_t)ctx->bp);
	regs_set(regs, REG_NR_BX, (uintptr_t)ctx->bx);
}

/** regs_of_signal - where a signal has interrupted the thread; @uc: the handler's third. */
static inline void regs_of_signal(struct regs *regs, const ucontext_t *uc)
{
	static const uint8_t from[REGS] = {
		REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
	};

	regs->known = 0;
	for (uint32_t i = 0; i < REGS; i++)
		regs_set(regs, i, uc->uc_mcontext.gregs[from[i]]);
}

#endif /* GS_REGS_X86_64_H */
