/* SPDX-License-Identifier: GPL-2.0 */
/* futex.h: a word that one thread sets and another waits for. */
#ifndef BENCH_FUTEX_H
#define BENCH_FUTEX_H

#include "measure.h"

#include <linux/futex.h>
#include <sys/syscall.h>

/* Until *@word is set; clears it. */
static inline void futex_wait_for(uint32_t *word)
{
	while (!__atomic_exchange_n(word, 0, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static inline void futex_send(uint32_t *word)
{
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#endif /* BENCH_FUTEX_H */
