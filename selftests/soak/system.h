/* SPDX-License-Identifier: GPL-2.0 */
/* system.h: files of the kernel's, and the groups that the soak test's processes are in. */
#ifndef SOAK_SYSTEM_H
#define SOAK_SYSTEM_H

#include <stdbool.h>
#include <sys/types.h>

/* Each worker has a control group of each of two hierarchies, if there are such. */
#define SOAK_GROUP	"/sys/fs/cgroup/soak"	/* version 2: all controllers but this: */
#define SOAK_FREEZER	"/tmp/soak-freezer"	/* version 1's freezer */

/* Write @text into the file that the format names. Return: 0, -errno. */
int sys_write(const char *text, const char *path, ...) __attribute__((format(printf, 2, 3)));

/* Read the beginning of a file as a string, "" if that fails. Return: its length, -errno. */
int sys_read(char *buf, size_t size, const char *path, ...) __attribute__((format(printf, 3, 4)));

/* The number at the start of a file, -1: there is none. */
long sys_number(const char *path, ...) __attribute__((format(printf, 1, 2)));

/* Copy a file's text to standard error as comments. */
void sys_show(const char *path, ...) __attribute__((format(printf, 1, 2)));

/* One of a process' threads; 0: it has none any more. */
pid_t sys_some_thread(pid_t pid, unsigned int *seed);

/* Call @fn for each thread of a process. */
void sys_each_thread(pid_t pid, void (*fn)(pid_t pid, pid_t tid));

/* Make the groups. They stay. */
void groups_make(unsigned int n);

/*
 * The old control groups' freezer and suspend use the same one, and Linux 6.1 warns when one
 * thaws a task that the other freezes (__thaw_task); a task that enters a group that is not
 * frozen is thawed, too. So one at a time. Return: a descriptor to be closed.
 */
int freezer_have(void);

/* The calling process is in group @i from now on. */
void groups_enter(unsigned int i);

/* Whatever was done to the groups is undone. */
void groups_reset(unsigned int n);

#endif /* SOAK_SYSTEM_H */
