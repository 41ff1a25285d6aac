/* SPDX-License-Identifier: LGPL-2.1 OR MIT */
/*
 * sanitize.h: what ThreadSanitizer, AddressSanitizer and valgrind must be told about
 * stacks that are switched by hand. The first two need a build of their own. Valgrind
 * runs what is there: where its header is known at build time, a new stack costs some
 * instructions that do nothing elsewhere.
 */
#ifndef GS_SANITIZE_H
#define GS_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#if defined(__SANITIZE_THREAD__)
#define GS_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define GS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GS_TSAN 1
#elif __has_feature(address_sanitizer)
#define GS_ASAN 1
#endif
#endif

#ifdef GS_TSAN

#include <string.h>
#include <sanitizer/tsan_interface.h>

struct san_ctx {
	void *fiber;
	unsigned int lives;
};

/* The thread's own stack. */
static inline void san_thread_start(struct san_ctx *s)
{
	s->fiber = __tsan_get_current_fiber();
}

/*
 * Making a fiber takes a millisecond, so a G keeps its own; but each life leaves a
 * few frames that were never returned from.
 */
static inline void san_g_start(struct san_ctx *s, void *lo, void *hi)
{
	(void)lo;
	(void)hi;
	if (s->fiber && ++s->lives < 1000)
		return;
	if (s->fiber)
		__tsan_destroy_fiber(s->fiber);
	s->fiber = __tsan_create_fiber(0);
	s->lives = 0;
}

/* The stack is about to be unmapped. */
static inline void san_g_free(struct san_ctx *s, void *lo, void *hi)
{
	(void)lo;
	(void)hi;
	if (s->fiber)
		__tsan_destroy_fiber(s->fiber);
}

/* TSan knows nothing of mremap: what comes to the old place next would race with us. */
static inline void *san_mremap(void *old, size_t old_size, size_t new_size)
{
	void *p = mmap(NULL, new_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	if (p != MAP_FAILED) {
		memcpy(p, old, old_size);
		munmap(old, old_size);
	}
	return p;
}

static inline void san_switch(struct san_ctx *from, struct san_ctx *to, bool dying)
{
	(void)from;
	(void)dying;
	__tsan_switch_to_fiber(to->fiber, 0);
}

static inline void san_switched(struct san_ctx *self)
{
	(void)self;
}

#elif defined(GS_ASAN)

#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

struct san_ctx {
	const void *lo;
	size_t size;
	void *fake;
};

/* Declared by pthread.h with _GNU_SOURCE only. */
int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr);

static inline void san_thread_start(struct san_ctx *s)
{
	pthread_attr_t attr;
	void *lo;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &lo, &s->size);
	pthread_attr_destroy(&attr);
	s->lo = lo;
}

/* Frames that a goroutine left by ending in them are still poisoned. */
static inline void san_g_start(struct san_ctx *s, void *lo, void *hi)
{
	s->lo = lo;
	s->size = (char *)hi - (char *)lo;
	s->fake = NULL;
	__asan_unpoison_memory_region(lo, s->size);
}

/* The stack is about to be unmapped: what comes there next is not poisoned. */
static inline void san_g_free(struct san_ctx *s, void *lo, void *hi)
{
	(void)s;
	__asan_unpoison_memory_region(lo, (char *)hi - (char *)lo);
}

static inline void san_switch(struct san_ctx *from, struct san_ctx *to, bool dying)
{
	__sanitizer_start_switch_fiber(dying ? NULL : &from->fake, to->lo, to->size);
}

static inline void san_switched(struct san_ctx *self)
{
	__sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
}

#else

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

struct san_ctx {
	unsigned int stack;		/* valgrind's number */
};

/*
 * Without this valgrind would take a switch between neighbouring slots for a
 * frame of that size. A slot's stack is the same in all lives.
 */
static inline void san_g_new(struct san_ctx *s, void *lo, void *hi)
{
#ifdef VALGRIND_STACK_REGISTER
	s->stack = VALGRIND_STACK_REGISTER(lo, hi);
#else
	(void)s;
	(void)lo;
	(void)hi;
#endif
}

static inline void san_g_free(struct san_ctx *s, void *lo, void *hi)
{
	(void)s;
	(void)lo;
	(void)hi;
#ifdef VALGRIND_STACK_DEREGISTER
	VALGRIND_STACK_DEREGISTER(s->stack);
#endif
}

#define san_thread_start(s)		((void)(s))
#define san_g_start(s, lo, hi)		((void)(s), (void)(lo), (void)(hi))
#define san_switch(from, to, dying)	((void)(from), (void)(to), (void)(dying))
#define san_switched(self)		((void)(self))

#endif

#if defined(GS_TSAN) || defined(GS_ASAN)
/* They are told of each life. */
#define san_g_new(s, lo, hi)		((void)(s), (void)(lo), (void)(hi))
#endif

#ifndef GS_TSAN
#define san_mremap(old, old_size, new_size)	mremap(old, old_size, new_size, MREMAP_MAYMOVE)
#endif

#endif /* GS_SANITIZE_H */
