/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * g.h: a goroutine.
 *
 * struct g stands at the top of its stack slot and lives as long as the slot,
 * which is for ever: a dead G waits in a free list for its next life. A pointer
 * to a G may therefore be read at any time, but means something only while its
 * holder knows why the G cannot end.
 *
 * field    written by                            read by
 * ctx,     the M that leaves the G               the M that goes on in it
 *  caught
 * next     who holds the G (queue, free list)    the same
 * state,   the M that runs the G, or who makes   dumps, as hints
 *  why,     it ready
 *  since
 * prof     as state; see profile.c                profile.c
 * others   gs_go, before the G is published      its own M, dumps
 */
#ifndef GS_G_H
#define GS_G_H

#include <stdbool.h>
#include <stdint.h>

#include "arch_x86_64.h"
#include "gsched.h"
#include "sanitize.h"

#define G_NAME_LEN 16

/* What a G has done, up to @since; whole words, see profile.c. */
struct g_record {
	uint32_t run;			/* the profile; 0: none */
	uint32_t state;			/* since @since */
	uint64_t id;			/* of the G */
	uintptr_t fn;			/* it was started with */
	int64_t since;
	int64_t cpu;			/* while executing: its thread's CPU time then */
	struct gs_times times;
};

struct g_prof {
	uint32_t seq;
	struct g_record record;
};

/* See pin.h. */
struct pin {
	uint32_t word;
	uint32_t depth;
	struct g *next, *prev;
};

/* What the C++ runtime calls __cxa_eh_globals, see catch.h. */
struct caught {
	void *exceptions;		/* caught, and still being handled */
	unsigned int uncaught;
};

struct g {
	/* One cache line: all that a switch touches. */
	struct arch_ctx ctx;
	struct g *next;
	uint64_t id;
	uint8_t state;
	uint8_t why;
	bool pinned;			/* see pin.h */
	bool has_caught;		/* @caught is not zero */
	uint32_t since;			/* when it began to wait, see coarse.h */
	uint64_t *canary;		/* where no guard could be had, else NULL */

	void (*fn)(void *arg);
	void *arg;
	struct member *member;		/* of a group, see group.h, or NULL */
	struct once_run *once_runs;	/* gs_once_do()s in progress, see once.c */
	char name[G_NAME_LEN];
	uint32_t slot;
	struct pin pin;
	struct caught caught;
	struct san_ctx san;
	struct g_prof prof;
} __attribute__((aligned(64)));

/*
 * g_prefetch - @g runs soon, if it is a G at all
 *
 * Its context, and the end of its stack, where it stands if its calls are not
 * deep: with many Gs that is what a switch waits for.
 */
static inline void g_prefetch(struct g *g)
{
	uintptr_t at = (uintptr_t)g;

	__builtin_prefetch((void *)at);
	__builtin_prefetch((void *)(at - 64));
	__builtin_prefetch((void *)(at - 128));
}

#endif /* GS_G_H */
