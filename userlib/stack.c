// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * stack.c: the arena of stacks.
 *
 * A slot is 256 KiB of address space: a guard of 64 KiB at its low end (glibc's
 * alloca users go that far without a probe), the stack, and struct g at the top.
 * Slots are numbered and never given back: dead Gs wait in free lists. Slot
 * numbers map to chunks, each twice as large as the one before it up to 16 GiB,
 * mapped when the first slot in them is needed.
 *
 * With the module a chunk is one mapping whose guards cost nothing. Without it a
 * guard is made when its slot is first used, by MADV_GUARD_INSTALL (Linux 6.13);
 * before that by mprotect, which splits the mapping, so that only as many slots
 * get one as vm.max_map_count leaves room for; the others have a canary.
 *
 * No locks: the chunk table is filled by compare-and-swap, and so is the count of
 * slots. All of it runs outside sections: it maps memory and touches it first.
 *
 * If all stack tops had the same distance from their slots' ends they would share
 * a few cache sets. They are coloured by cache line.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "pin.h"
#include "stack.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif

#define CHUNKS		64
#define CHUNK_FIRST	256U		/* slots: 64 MiB */
#define CHUNK_DOUBLES	8		/* then they stay at 16 GiB */
#define COLOURS		32
#define PAGE		4096UL

enum guard_kind {
	GUARD_MODULE,
	GUARD_MADVISE,
	GUARD_MPROTECT,
};

static struct {
	int device;			/* -1: anonymous memory */
	enum guard_kind guard;
	uint32_t mprotects_left;
	uint32_t count;			/* slots in use */
	char *chunk[CHUNKS];
} arena;

static uint32_t chunk_slots(uint32_t k)
{
	return CHUNK_FIRST << (k < CHUNK_DOUBLES ? k : CHUNK_DOUBLES);
}

/* Splits a slot's number into chunk and place in it. */
static uint32_t chunk_of(uint32_t slot, uint32_t *place)
{
	uint32_t k = 0;

	while (slot >= chunk_slots(k))
		slot -= chunk_slots(k++);
	*place = slot;
	return k;
}

static char *slot_base(uint32_t slot)
{
	uint32_t place, k = chunk_of(slot, &place);
	char *base = __atomic_load_n(&arena.chunk[k], __ATOMIC_ACQUIRE);

	return base ? base + place * STACK_SLOT : NULL;
}

static struct g *slot_g(uint32_t slot, char *base)
{
	return (struct g *)(base + STACK_SLOT - slot % COLOURS * 64 - sizeof(struct g));
}

/* ------------------------------------------------------------------- chunks */

static char *map_anonymous(size_t size)
{
	/* One slot more, to align: a slot's base is found by masking. */
	char *raw = mmap(NULL, size + STACK_SLOT, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *base;

	if (raw == MAP_FAILED)
		return NULL;
	base = (char *)(((uintptr_t)raw + STACK_SLOT - 1) & ~(STACK_SLOT - 1));
	if (base > raw)
		munmap(raw, base - raw);
	munmap(base + size, raw + STACK_SLOT - base);
	/* Else the first touch of one stack would fill eight. */
	madvise(base, size, MADV_NOHUGEPAGE);
	return base;
}

static char *map_chunk(size_t size)
{
	char *base = map_anonymous(size);

	if (!base || arena.device < 0)
		return base;
	if (mmap(base, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
		 arena.device, GSCHED_OFF_STACKS(STACK_SHIFT)) != MAP_FAILED)
		return base;
	munmap(base, size);
	return NULL;
}

static bool chunk_map(uint32_t k)
{
	size_t size = chunk_slots(k) * STACK_SLOT;
	char *base, *none = NULL;

	if (__atomic_load_n(&arena.chunk[k], __ATOMIC_ACQUIRE))
		return true;
	base = map_chunk(size);
	if (!base)
		return false;
	if (!__atomic_compare_exchange_n(&arena.chunk[k], &none, base, false,
					 __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		munmap(base, size);
	return true;
}

/* ------------------------------------------------------------------- guards */

static bool guard_by_mprotect(char *base)
{
	uint32_t left = __atomic_load_n(&arena.mprotects_left, __ATOMIC_RELAXED);

	do {
		if (!left)
			return false;
	} while (!__atomic_compare_exchange_n(&arena.mprotects_left, &left, left - 1, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return !mprotect(base, GSCHED_STACK_GUARD, PROT_NONE);
}

static bool guard_slot(char *base)
{
	switch (arena.guard) {
	case GUARD_MODULE:
		return true;
	case GUARD_MADVISE:
		if (!madvise(base, GSCHED_STACK_GUARD, MADV_GUARD_INSTALL))
			return true;
		break;
	case GUARD_MPROTECT:
		break;
	}
	return guard_by_mprotect(base);
}

/* Half of the mappings that the process may have, two for each guard. */
static uint32_t mprotect_budget(void)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned int n = 0;

	if (f) {
		if (fscanf(f, "%u", &n) != 1)
			n = 0;
		fclose(f);
	}
	return n / 4;
}

static bool have_guard_install(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	bool have;

	if (page == MAP_FAILED)
		return false;
	have = !madvise(page, PAGE, MADV_GUARD_INSTALL);
	munmap(page, PAGE);
	return have;
}

/* ------------------------------------------------------------------- slots */

/**
 * stack_arena_init - decide where stacks come from
 * @device: a descriptor of /dev/gsched that offers GSCHED_FEAT_STACKS, or -1
 */
void stack_arena_init(int device)
{
	arena.device = device;
	arena.mprotects_left = mprotect_budget();
	if (device >= 0)
		arena.guard = GUARD_MODULE;
	else
		arena.guard = have_guard_install() ? GUARD_MADVISE : GUARD_MPROTECT;
}

/** stack_arena_forget - leave everything as it is, and begin anew. */
void stack_arena_forget(void)
{
	memset(&arena, 0, sizeof(arena));
}

static struct g *slot_init(uint32_t slot)
{
	char *base = slot_base(slot);
	struct g *g = slot_g(slot, base);

	g->slot = slot;
	san_g_new(&g->san, base + GSCHED_STACK_GUARD, g);
	__atomic_store_n(&g->state, G_DEAD, __ATOMIC_RELAXED);
	if (!guard_slot(base)) {
		g->canary = (uint64_t *)(base + GSCHED_STACK_GUARD);
		*g->canary = STACK_CANARY;
	}
	/* The page in which it will push its first frames. */
	*((volatile char *)g - 256) = 0;
	return g;
}

/**
 * stack_new - a G that has never lived
 *
 * Outside sections. Return: it, zeroed but for what stack.c keeps there, or NULL.
 */
struct g *stack_new(void)
{
	uint32_t slot = __atomic_load_n(&arena.count, __ATOMIC_RELAXED);

	do {
		uint32_t place, k = chunk_of(slot, &place);

		if (k >= CHUNKS || !chunk_map(k))
			return NULL;
	} while (!__atomic_compare_exchange_n(&arena.count, &slot, slot + 1, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return slot_init(slot);
}

/** stack_count - slots 0 .. stack_count() - 1 are or will soon be in use. */
uint32_t stack_count(void)
{
	return __atomic_load_n(&arena.count, __ATOMIC_RELAXED);
}

/** stack_g - the G in a slot; its id is 0 if it has not lived yet. */
struct g *stack_g(uint32_t slot)
{
	return slot_g(slot, slot_base(slot));
}

/** stack_low - the lowest byte that @g's stack may use. */
void *stack_low(struct g *g)
{
	return (char *)((uintptr_t)g & ~(STACK_SLOT - 1)) + GSCHED_STACK_GUARD;
}

/** stack_guard_owner - the G into whose guard @addr points, or NULL. */
struct g *stack_guard_owner(const void *addr)
{
	uint32_t first = 0;

	for (uint32_t k = 0; k < CHUNKS; k++) {
		char *base = __atomic_load_n(&arena.chunk[k], __ATOMIC_ACQUIRE);
		size_t off = (uintptr_t)addr - (uintptr_t)base;

		if (base && off < chunk_slots(k) * STACK_SLOT) {
			uint32_t slot = first + off / STACK_SLOT;

			if (off % STACK_SLOT >= GSCHED_STACK_GUARD || slot >= stack_count())
				return NULL;
			return stack_g(slot);
		}
		first += chunk_slots(k);
	}
	return NULL;
}

/** stack_trim - give back all pages of a dead G's stack but the highest two. */
void stack_trim(struct g *g)
{
	char *low = stack_low(g);
	char *high = (char *)(((uintptr_t)g & ~(PAGE - 1)) - PAGE);

	if (g->canary)
		low += PAGE;
	madvise(low, high - low, MADV_DONTNEED);
}

static bool abandoned(struct g *g)
{
	return __atomic_load_n(&g->id, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&g->state, __ATOMIC_RELAXED) != G_DEAD;
}

/* Of a chunk's slots, @first to @end. Return: whether it must stay. */
static bool chunk_keep(uint32_t first, uint32_t end)
{
	bool keep = false;

	for (uint32_t i = first; i < end; i++) {
		struct g *g = stack_g(i);

		san_g_free(&g->san, stack_low(g), g);
		if (abandoned(g)) {
			pin_for_ever(g);
			keep = true;
		}
	}
	for (uint32_t i = first; keep && i < end; i++)
		if (!abandoned(stack_g(i)))
			stack_trim(stack_g(i));
	return keep;
}

/**
 * stack_arena_free - unmap the stacks; no G runs any more
 *
 * Where Gs wait that have not ended they stay: what they wait for points there.
 */
void stack_arena_free(void)
{
	uint32_t count = stack_count(), first = 0;

	for (uint32_t k = 0; k < CHUNKS && arena.chunk[k]; k++) {
		uint32_t end = first + chunk_slots(k);

		if (!chunk_keep(first, end < count ? end : count))
			munmap(arena.chunk[k], chunk_slots(k) * STACK_SLOT);
		first = end;
	}
	stack_arena_forget();
}
