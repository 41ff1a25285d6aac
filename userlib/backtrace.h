/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* backtrace.h: who called whom. */
#ifndef GS_BACKTRACE_H
#define GS_BACKTRACE_H

#include "g.h"
#include "out.h"
#include "regs_x86_64.h"
#include "symbols.h"

/* Of a deep one the innermost and the outermost frames are kept. */
#define BACKTRACE_INNER	32
#define BACKTRACE_OUTER	16

/*
 * Addresses lie inside the instruction that was running or that called, never behind
 * it: what stands there in the source is the line meant.
 */
struct backtrace {
	uint32_t nr;				/* frames, kept or not */
	bool whole;				/* up to where the goroutine or thread began */
	uintptr_t inner[BACKTRACE_INNER];
	uintptr_t outer[BACKTRACE_OUTER];	/* frame i, from INNER on, is at i % OUTER */
};

void backtrace_of(struct backtrace *b, struct regs *regs, struct g *g);
void backtrace_print(struct out *o, const struct backtrace *b, struct symbol_cache *names);

#endif /* GS_BACKTRACE_H */
