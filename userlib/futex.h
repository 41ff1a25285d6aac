/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/* futex.h: sleeping on a word. Callers look at their condition again afterwards. */
#ifndef GS_FUTEX_H
#define GS_FUTEX_H

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/** futex_wait - sleep while *@word is @val; @deadline: CLOCK_MONOTONIC, 0: none. */
static inline void futex_wait(uint32_t *word, uint32_t val, int64_t deadline)
{
	struct timespec ts = {
		.tv_sec = deadline / 1000000000,
		.tv_nsec = deadline % 1000000000,
	};

	syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, val,
		deadline ? &ts : NULL, NULL, FUTEX_BITSET_MATCH_ANY);
}

/** futex_wake - wake up to @n threads that sleep on @word. */
static inline void futex_wake(uint32_t *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n);
}

#endif /* GS_FUTEX_H */
