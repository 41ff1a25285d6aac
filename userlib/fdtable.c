// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * fdtable.c: from a descriptor's number to its entry, without a lock.
 *
 * Two levels: a fixed array of chunks, and chunks of entries that come into being
 * at the first use of one of their numbers and stay. A chunk is published by one
 * compare-and-swap (release), found by one load (acquire). Chunks are mapped, not
 * allocated, so entries that nobody uses cost no memory.
 */
#include <sys/mman.h>

#include "fdtable.h"
#include "sysio.h"

#define CHUNK_ENTRIES	1024
#define NR_CHUNKS	4096		/* for four million descriptors */
#define CHUNK_BYTES	(CHUNK_ENTRIES * sizeof(struct gs_fd))

static struct gs_fd *chunks[NR_CHUNKS];

/**
 * fd_find - a descriptor's entry, if it has one
 * @fd: the number, any
 *
 * Return: the entry or NULL.
 */
struct gs_fd *fd_find(int fd)
{
	unsigned int i = (unsigned int)fd / CHUNK_ENTRIES;
	struct gs_fd *chunk;

	if (fd < 0 || i >= NR_CHUNKS)
		return NULL;
	chunk = __atomic_load_n(&chunks[i], __ATOMIC_ACQUIRE);
	return chunk ? &chunk[fd % CHUNK_ENTRIES] : NULL;
}

/**
 * fd_get - a descriptor's entry, made if necessary
 * @fd: the number, any
 *
 * Outside sections. Return: the entry, or NULL: no memory, or no possible number.
 */
struct gs_fd *fd_get(int fd)
{
	struct gs_fd *e = fd_find(fd), *chunk, *none = NULL;
	unsigned int i = (unsigned int)fd / CHUNK_ENTRIES;

	if (e || fd < 0 || i >= NR_CHUNKS)
		return e;
	chunk = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (chunk == MAP_FAILED)
		return NULL;
	if (!__atomic_compare_exchange_n(&chunks[i], &none, chunk, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		munmap(chunk, CHUNK_BYTES);
	return fd_find(fd);
}

static void chunk_close(int first, const struct gs_fd *chunk)
{
	for (int i = 0; i < CHUNK_ENTRIES; i++)
		if (fd_closing(chunk + i))
			sys_close(first + i);
}

/**
 * fdtable_end - close what gs_close has been called for, and nobody has closed yet
 *
 * For the end of the runtime, when no other thread runs library code: the last user of
 * such a descriptor, who would have closed it, has left.
 */
void fdtable_end(void)
{
	for (int i = 0; i < NR_CHUNKS; i++)
		if (chunks[i])
			chunk_close(i * CHUNK_ENTRIES, chunks[i]);
}

/**
 * fdtable_reset - forget everything: the backend and its slots are gone
 *
 * For the end of the runtime, when no other thread runs library code. The chunks stay
 * mapped, their pages become zero again.
 */
void fdtable_reset(void)
{
	unsigned int i;

	for (i = 0; i < NR_CHUNKS; i++)
		if (chunks[i])
			madvise(chunks[i], CHUNK_BYTES, MADV_DONTNEED);
}
