// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * cgroup.c: the CPU limit of the process's control groups.
 *
 * Version 2 has a file cpu.max in every group, version 1 cpu.cfs_quota_us and
 * cpu.cfs_period_us in the hierarchy of the controller "cpu"; both versions may be
 * mounted. A limit holds for all groups below, so the least one on the way from the
 * process's group to the highest visible one is in force.
 *
 * Which directory that is, is said in two parts: /proc/self/cgroup has the group's path
 * in its hierarchy, /proc/self/mountinfo says which path of the hierarchy is mounted
 * where. Both are relative to the reader's cgroup namespace and may begin with "/.." if
 * the thing lies outside of it. Where the group is not below the mount's root nothing
 * is known.
 *
 * The files are the kernel's, but the names in them, and in tests everything, may be
 * anybody's choice: lines may be of any length and content, and no path leads out of
 * the mount. Files are read without stdio and malloc: the reader is a thread
 * that should leave no trace.
 *
 * One thread at a time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"

#define PLACES 4

/* A directory that a group of ours is mounted as. */
struct place {
	bool v2;
	size_t top;			/* length of the mount point in @dir */
	char dir[PATH_MAX];
};

const char *cgroup_root = "";

/* The process's groups, "" if it has none of that version; and where they are. */
static char path_v1[PATH_MAX], path_v2[PATH_MAX];
static struct place places[PLACES];
static unsigned int nr_places;

/* ------------------------------------------------------------------- reading */

static int open_file(const char *path)
{
	char full[PATH_MAX];
	int n = snprintf(full, sizeof(full), "%s%s", cgroup_root, path);

	if (n < 0 || n >= (int)sizeof(full))
		return -1;
	return open(full, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* Return: a NUL-terminated beginning of the file, or NULL. */
static char *read_start(const char *path, char *buf, size_t size)
{
	int fd = open_file(path);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return NULL;
	buf[n] = '\0';
	return buf;
}

struct lines {
	int fd;
	size_t pos, end;		/* the part of @buf that is still to be looked at */
	char buf[4 * PATH_MAX];
};

/* Moves what is left to the front and reads on. Return: false: nothing came. */
static bool lines_fill(struct lines *l)
{
	ssize_t n;

	memmove(l->buf, l->buf + l->pos, l->end - l->pos);
	l->end -= l->pos;
	l->pos = 0;
	n = read(l->fd, l->buf + l->end, sizeof(l->buf) - l->end);
	if (n <= 0)
		return false;
	l->end += n;
	return true;
}

/*
 * Return: the next line without its end, NULL: there is none. Lines that do not fit
 * into the buffer, and a last one without an end, are left out.
 */
static char *lines_next(struct lines *l)
{
	bool too_long = false;

	for (;;) {
		char *line = l->buf + l->pos;
		char *end = memchr(line, '\n', l->end - l->pos);

		if (end) {
			*end = '\0';
			l->pos = end + 1 - l->buf;
			if (!too_long)
				return line;
			too_long = false;
			continue;
		}
		if (l->end - l->pos == sizeof(l->buf)) {
			too_long = true;
			l->pos = l->end;
		}
		if (!lines_fill(l))
			return NULL;
	}
}

static bool lines_open(struct lines *l, const char *path)
{
	l->pos = 0;
	l->end = 0;
	l->fd = open_file(path);
	return l->fd >= 0;
}

/* Static: a thread's stack may be small. */
static struct lines lines;

/* ----------------------------------------------------------------- the groups */

/* Is @word one of the words in @list, which has commas between them? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *s = list; s; s = strchr(s, ',')) {
		s += *s == ',';
		if (!strncmp(s, word, len) && (s[len] == ',' || !s[len]))
			return true;
	}
	return false;
}

/* Return: whether it is another one than before. */
static bool set_path(char *path, const char *new)
{
	size_t len = strlen(new);

	if (len >= PATH_MAX || *new != '/') {
		new = "";
		len = 0;
	}
	if (!strcmp(path, new))
		return false;
	memcpy(path, new, len + 1);
	return true;
}

/* "ID:CONTROLLERS:PATH"; version 2 has ID 0 and no controllers. */
static const char *group_path(char *line, bool *v2)
{
	char *controllers = strchr(line, ':');
	char *path = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!path)
		return NULL;
	*controllers++ = '\0';
	*path++ = '\0';
	*v2 = !*controllers && !strcmp(line, "0");
	return *v2 || has_word(controllers, "cpu") ? path : NULL;
}

/* Return: whether the process has moved to other groups. */
static bool find_groups(void)
{
	bool found[2] = { false, false }, moved = false;
	char *line;

	if (lines_open(&lines, "/proc/self/cgroup")) {
		while ((line = lines_next(&lines))) {
			bool v2;
			const char *path = group_path(line, &v2);

			if (!path || found[v2])
				continue;
			found[v2] = true;
			moved |= set_path(v2 ? path_v2 : path_v1, path);
		}
		close(lines.fd);
	}
	if (!found[false])
		moved |= set_path(path_v1, "");
	if (!found[true])
		moved |= set_path(path_v2, "");
	return moved;
}

/* ----------------------------------------------------------------- the mounts */

static bool octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The kernel writes blanks and the like as a backslash and three octal digits. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && octal(s[2]) && octal(s[3])) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* ".." as a component. */
static bool climbs(const char *path)
{
	for (const char *s = path; (s = strstr(s, "..")); s += 2)
		if ((s == path || s[-1] == '/') && (!s[2] || s[2] == '/'))
			return true;
	return false;
}

/* Return: the rest of @path below @root, beginning with '/' or empty; NULL: it is not. */
static const char *below(const char *path, const char *root)
{
	size_t len = strlen(root);

	if (len == 1)
		len = 0;		/* "/" */
	if (strncmp(path, root, len) || (path[len] && path[len] != '/'))
		return NULL;
	path += len;
	return climbs(path) ? NULL : path;
}

static void add_place(bool v2, char *root, char *mount)
{
	struct place *p = places + nr_places;
	const char *path = v2 ? path_v2 : path_v1;
	int n;

	unescape(root);
	unescape(mount);
	if (!*path || nr_places == PLACES)
		return;
	path = below(path, root);
	if (!path)
		return;
	n = snprintf(p->dir, sizeof(p->dir), "%s%s", mount, path);
	if (n < 0 || n >= (int)sizeof(p->dir))
		return;
	p->v2 = v2;
	p->top = strlen(mount);
	nr_places++;
}

/* "ID PARENT DEVICE ROOT MOUNT-POINT OPTIONS [TAG]... - TYPE SOURCE SUPER-OPTIONS" */
static void look_at_mount(char *line)
{
	char *word[5], *type, *options;

	for (int i = 0; i < 5; i++) {
		word[i] = strsep(&line, " ");
		if (!word[i] || !line)
			return;
	}
	do {
		type = strsep(&line, " ");
		if (!type || !line)
			return;
	} while (strcmp(type, "-"));
	type = strsep(&line, " ");
	strsep(&line, " ");
	options = strsep(&line, " ");
	if (!strcmp(type, "cgroup2"))
		add_place(true, word[3], word[4]);
	else if (!strcmp(type, "cgroup") && options && has_word(options, "cpu"))
		add_place(false, word[3], word[4]);
}

static void find_places(void)
{
	char *line;

	nr_places = 0;
	if (!lines_open(&lines, "/proc/self/mountinfo"))
		return;
	while ((line = lines_next(&lines)))
		look_at_mount(line);
	close(lines.fd);
}

/* ----------------------------------------------------------------- the limits */

/*
 * A number in decimal, at most UINT32_MAX (more than 4000 seconds are no limit). What
 * follows it is up to the caller. Return: false: none.
 */
static bool parse_number(const char **s, uint32_t *n)
{
	uint64_t v = 0;
	const char *begin = *s;

	for (; **s >= '0' && **s <= '9'; (*s)++) {
		v = v * 10 + (uint64_t)(**s - '0');
		if (v > UINT32_MAX)
			v = UINT32_MAX;
	}
	*n = (uint32_t)v;
	return *s != begin;
}

static bool at_end(const char *s)
{
	return !*s || *s == '\n';
}

static bool read_v2(const char *dir, struct cpu_limit *l)
{
	char path[PATH_MAX + 16], buf[64];
	const char *s;

	snprintf(path, sizeof(path), "%s/cpu.max", dir);
	s = read_start(path, buf, sizeof(buf));
	l->file = "cpu.max";
	return s && parse_number(&s, &l->quota) && *s++ == ' ' &&
	       parse_number(&s, &l->period) && at_end(s);
}

static bool read_number(const char *dir, const char *name, uint32_t *n)
{
	char path[PATH_MAX + 32], buf[64];
	const char *s;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	s = read_start(path, buf, sizeof(buf));
	return s && parse_number(&s, n) && at_end(s);
}

/* No limit is a quota of -1, and so not a number here. */
static bool read_v1(const char *dir, struct cpu_limit *l)
{
	l->file = "cpu.cfs_quota_us";
	return read_number(dir, "cpu.cfs_quota_us", &l->quota) &&
	       read_number(dir, "cpu.cfs_period_us", &l->period);
}

static bool less(const struct cpu_limit *a, const struct cpu_limit *b)
{
	return (uint64_t)a->quota * b->period < (uint64_t)b->quota * a->period;
}

/* Return: whether there is one that can be seen. */
static bool to_parent(char *dir, size_t top)
{
	char *slash = strrchr(dir + top, '/');

	if (slash)
		*slash = '\0';
	return slash;
}

/* From a group up to the mount point. */
static void least_of(const struct place *p, struct cpu_limit *least)
{
	char dir[PATH_MAX];

	memcpy(dir, p->dir, strlen(p->dir) + 1);
	do {
		struct cpu_limit l;

		if ((p->v2 ? read_v2(dir, &l) : read_v1(dir, &l)) && l.quota && l.period &&
		    (!least->period || less(&l, least)))
			*least = l;
	} while (to_parent(dir, p->top));
}

/**
 * cgroup_cpu_limit - the limit that is in force now
 * @limit: filled in
 *
 * Where the groups are mounted is looked for when the process is in others than
 * last time: the list of mounts may be long, and reading it holds others up.
 *
 * Return: whether there is one.
 */
bool cgroup_cpu_limit(struct cpu_limit *limit)
{
	if (find_groups())
		find_places();
	*limit = (struct cpu_limit){ 0 };
	for (unsigned int i = 0; i < nr_places; i++)
		least_of(places + i, limit);
	return limit->period;
}

/** cgroup_reset - forget where the groups are mounted. */
void cgroup_reset(void)
{
	path_v1[0] = '\0';
	path_v2[0] = '\0';
	nr_places = 0;
}
