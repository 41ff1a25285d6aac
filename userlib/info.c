// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * info.c: what is in force, and why.
 *
 * Reasons are given to the program as pointers, good until the runtime ends, but
 * may change meanwhile. So each text that was ever in force is kept, once; there are
 * few. The list only grows while the runtime runs: who adds looks first and then
 * puts its text before what it has seen, by compare-and-swap.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpus.h"
#include "debug.h"
#include "dump.h"
#include "info.h"
#include "runtime.h"

struct text {
	struct text *next;
	char s[];
};

static struct text *texts;
static const char *backend_why;

/* --------------------------------------------------------------------- texts */

static struct text *text_find(struct text *t, const char *s)
{
	while (t && strcmp(t->s, s))
		t = t->next;
	return t;
}

static struct text *text_new(const char *s)
{
	size_t size = strlen(s) + 1;
	struct text *t = malloc(sizeof(*t) + size);

	if (t)
		memcpy(t->s, s, size);
	return t;
}

/**
 * info_text - a text that is good until the runtime ends
 * @fmt: as printf's; cut to 127 bytes
 *
 * Not in a section.
 */
const char *info_text(const char *fmt, ...)
{
	struct text *first = __atomic_load_n(&texts, __ATOMIC_ACQUIRE), *old, *t = NULL;
	char s[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	do {
		old = text_find(first, s);
		if (old) {
			free(t);
			return old->s;
		}
		if (!t)
			t = text_new(s);
		if (!t)
			return "not known: out of memory";
		t->next = first;
	} while (!__atomic_compare_exchange_n(&texts, &first, t, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	return t->s;
}

/** info_reset - for a new runtime. */
void info_reset(void)
{
	struct text *t;

	while ((t = texts)) {
		texts = t->next;
		free(t);
	}
	backend_why = NULL;
}

/* ------------------------------------------------------------------- reasons */

/** info_backend_why - @why is the reason for this backend; good until the runtime ends. */
void info_backend_why(const char *why)
{
	backend_why = why;
}

/* Settings of GSCHED_DEBUG, as one has to write them, and what else there is. */
static const char *features_told(uint32_t flags, const char *other)
{
	static const struct {
		uint32_t flag;
		const char *word;
	} words[] = {
		{ GSCHED_SETUP_NO_HANDOFF, "nohandoff" },
		{ GSCHED_SETUP_NO_HOLD, "nohold" },
		{ GSCHED_SETUP_NO_PREEMPT, "nopreempt" },
	};
	char s[64];
	int n = 0;

	if (!flags)
		return other;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (flags & words[i].flag)
			n += snprintf(s + n, sizeof(s) - n, "%s%s", n ? "," : "", words[i].word);
	return info_text("GSCHED_DEBUG=%s%s%s", s, *other ? "; " : "", other);
}

static const char *features_why(void)
{
	uint32_t flags = settings.setup_flags;

	if (rt.features == (GS_FEAT_HANDOFF | GS_FEAT_HOLD | GS_FEAT_PREEMPT))
		return "";
	if (rt.backend != &module_backend)
		return "the portable backend has none of them";
	if (rt.features & GS_FEAT_HOLD || flags & GSCHED_SETUP_NO_HOLD)
		return features_told(flags, "");
	return features_told(flags, "the module cannot use the kernel's task_work_add");
}

int gs_info(struct gs_info *info, size_t size)
{
	if (size != sizeof(*info) || !runtime_enter())
		return -EINVAL;
	*info = (struct gs_info){
		.backend = rt.backend->name,
		.backend_why = backend_why,
		.features_why = features_why(),
		.features = rt.features,
		.threads = __atomic_load_n(&rt_nr_ms, __ATOMIC_RELAXED),
		.goroutines = g_count(),
	};
	info->procs = cpus_procs(&info->procs_why);
	runtime_leave();
	return 0;
}
