/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* stack.h: the arena that goroutines and their stacks live in. */
#ifndef GS_STACK_H
#define GS_STACK_H

#include "sched.h"

#define STACK_SHIFT	18
#define STACK_SLOT	((size_t)1 << STACK_SHIFT)
#define STACK_USABLE	(STACK_SLOT - GSCHED_STACK_GUARD)

void stack_arena_init(int device);
void stack_arena_free(void);
void stack_arena_forget(void);
struct g *stack_new(void);
uint32_t stack_count(void);
struct g *stack_g(uint32_t slot);
void *stack_low(struct g *g);
struct g *stack_guard_owner(const void *addr);
void stack_overflow(struct g *g) __attribute__((noreturn));
void stack_trim(struct g *g);

/*
 * Where the kernel has no more guards to give, a word at the stack's end shows
 * that it was overrun; looked at where the G waits and ends.
 */
#define STACK_CANARY	0x6773636865647321ULL

static inline void stack_check(struct g *g)
{
	if (unlikely(g->canary) && *g->canary != STACK_CANARY)
		stack_overflow(g);
}

#endif /* GS_STACK_H */
