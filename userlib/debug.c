// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * debug.c: the environment variable GSCHED_DEBUG: settings that programs do not need,
 * but people who look into them do. <gsched.h> describes each.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/gsched.h>

#include "debug.h"

#define MAX_MS		10000		/* as Go */
#define LEAVE_MS	5000
#define NS_PER_MS	1000000ULL
#define MAX_INTERVAL	1000000		/* ms */

struct settings settings;

/* A part of the string: one setting, or its value. */
struct word {
	const char *s;
	size_t len;
};

/*
 * Not strtod: it obeys the locale. In millionths, cut after the sixth decimal place.
 * Return: false: no decimal number, or far too large.
 */
static bool parse_millionths(struct word w, uint64_t *value)
{
	uint64_t unit = NS_PER_MS, n = 0;
	bool point = false, digit = false;

	for (size_t i = 0; i < w.len; i++) {
		char c = w.s[i];

		if (c == '.' && !point) {
			point = true;
			continue;
		}
		if (c < '0' || c > '9' || n > UINT64_MAX / 100)
			return false;
		digit = true;
		if (point)
			unit /= 10;
		n = point ? n + (c - '0') * unit : n * 10 + (c - '0') * unit;
	}
	*value = n;
	return digit;
}

static bool parse_time(struct word w, uint64_t *ns)
{
	return parse_millionths(w, ns) && *ns >= GSCHED_MIN_TIME && *ns <= GSCHED_MAX_TIME;
}

static bool parse_count(struct word w, uint32_t least, uint32_t most, uint32_t *n)
{
	uint64_t v;

	if (memchr(w.s, '.', w.len) || !parse_millionths(w, &v))
		return false;
	v /= NS_PER_MS;
	*n = v;
	return v >= least && v <= most;
}

/* The value of "@key=value". */
static bool has_value(struct word w, const char *key, struct word *value)
{
	size_t len = strlen(key);

	if (w.len <= len || memcmp(w.s, key, len) || w.s[len] != '=')
		return false;
	*value = (struct word){ w.s + len + 1, w.len - len - 1 };
	return true;
}

static bool set_flag(struct word w)
{
	static const struct {
		const char *key;
		uint32_t flag;
	} flags[] = {
		{ "nohandoff", GSCHED_SETUP_NO_HANDOFF },
		{ "nohold", GSCHED_SETUP_NO_HOLD },
		{ "nopreempt", GSCHED_SETUP_NO_PREEMPT },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (w.len != strlen(flags[i].key) || memcmp(w.s, flags[i].key, w.len))
			continue;
		settings.setup_flags |= flags[i].flag;
		return true;
	}
	return false;
}

static bool set(struct word w)
{
	struct word v;

	if (has_value(w, "slice", &v))
		return parse_time(v, &settings.slice_ns);
	if (has_value(w, "minrun", &v))
		return parse_time(v, &settings.min_run_ns);
	if (has_value(w, "maxms", &v))
		return parse_count(v, 1, GSCHED_MAX_MS, &settings.max_ms);
	if (has_value(w, "leave", &v))
		return parse_count(v, 0, MAX_INTERVAL, &settings.leave_ms);
	if (has_value(w, "schedtrace", &v))
		return parse_count(v, 0, MAX_INTERVAL, &settings.schedtrace_ms);
	if (has_value(w, "scheddetail", &v))
		return parse_count(v, 0, 1, &settings.scheddetail);
	if (has_value(w, "sigquit", &v))
		return parse_count(v, 0, 1, &settings.sigquit);
	if (has_value(w, "leaks", &v))
		return parse_count(v, 0, 1, &settings.leaks);
	if (has_value(w, "profile", &v))
		return parse_count(v, 0, 1, &settings.profile);
	return set_flag(w);
}

static bool times_fit(void)
{
	uint64_t slice = settings.slice_ns ? settings.slice_ns : GSCHED_SLICE;
	uint64_t min_run = settings.min_run_ns ? settings.min_run_ns : GSCHED_MIN_RUN;

	return min_run <= slice;
}

/** settings_read - set @settings. Return: 0, or -EINVAL; then it has said why. */
int settings_read(void)
{
	const char *s = getenv("GSCHED_DEBUG");

	settings = (struct settings){ .max_ms = MAX_MS, .leave_ms = LEAVE_MS };
	while (s && *s) {
		struct word w = { s, strcspn(s, ",") };

		if (w.len && !set(w)) {
			fprintf(stderr, "gsched: GSCHED_DEBUG: not understood: %.*s\n", (int)w.len,
				w.s);
			return -EINVAL;
		}
		s += w.len;
		s += *s == ',';
	}
	if (!times_fit()) {
		fputs("gsched: GSCHED_DEBUG: minrun is longer than slice\n", stderr);
		return -EINVAL;
	}
	return 0;
}
