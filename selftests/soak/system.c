// SPDX-License-Identifier: GPL-2.0
/* Files of the kernel's, and control groups: see system.h. */
#include "soak.h"
#include "system.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int open_path(int flags, const char *path, va_list args)
{
	char name[256];

	vsnprintf(name, sizeof(name), path, args);
	return open(name, flags | O_CLOEXEC);
}

int sys_write(const char *text, const char *path, ...)
{
	va_list args;
	int fd, err;

	va_start(args, path);
	fd = open_path(O_WRONLY, path, args);
	va_end(args);
	if (fd < 0)
		return -errno;
	err = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int read_fd(int fd, char *buf, size_t size)
{
	ssize_t n = 0;
	size_t len = 0;

	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	buf[len] = '\0';
	return n < 0 ? -errno : (int)len;
}

int sys_read(char *buf, size_t size, const char *path, ...)
{
	va_list args;
	int fd, n;

	buf[0] = '\0';
	va_start(args, path);
	fd = open_path(O_RDONLY, path, args);
	va_end(args);
	if (fd < 0)
		return -errno;
	n = read_fd(fd, buf, size);
	close(fd);
	return n;
}

long sys_number(const char *path, ...)
{
	char buf[64] = "", *end;
	va_list args;
	long n;
	int fd;

	va_start(args, path);
	fd = open_path(O_RDONLY, path, args);
	va_end(args);
	if (fd < 0)
		return -1;
	read_fd(fd, buf, sizeof(buf));
	close(fd);
	n = strtol(buf, &end, 10);
	return end == buf ? -1 : n;
}

void sys_show(const char *path, ...)
{
	static char buf[16384];
	va_list args;
	char *save;
	int fd;

	va_start(args, path);
	fd = open_path(O_RDONLY, path, args);
	va_end(args);
	if (fd < 0)
		return;
	read_fd(fd, buf, sizeof(buf));
	close(fd);
	for (char *line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		fprintf(stderr, "#     %s\n", line);
}

/* ------------------------------------------------------------------- threads */

static DIR *tasks_open(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	return opendir(path);
}

/* The next thread, 0 after the last. */
static pid_t tasks_next(DIR *dir)
{
	struct dirent *e;
	pid_t tid = 0;

	while (!tid && (e = readdir(dir)))
		tid = strtol(e->d_name, NULL, 10);
	return tid;
}

pid_t sys_some_thread(pid_t pid, unsigned int *seed)
{
	DIR *dir = tasks_open(pid);
	pid_t tid, some = 0;
	unsigned int n = 0;

	if (!dir)
		return 0;
	while ((tid = tasks_next(dir)))
		if (rnd(seed, ++n) == 0)
			some = tid;
	closedir(dir);
	return some;
}

void sys_each_thread(pid_t pid, void (*fn)(pid_t pid, pid_t tid))
{
	DIR *dir = tasks_open(pid);
	pid_t tid;

	if (!dir)
		return;
	while ((tid = tasks_next(dir)))
		fn(pid, tid);
	closedir(dir);
}

/* -------------------------------------------------------------------- groups */

static const char *const controllers[] = { "+cpuset", "+cpu", "+memory", "+pids" };

/* What a kernel lacks is left out. */
static void delegate(const char *group)
{
	for (unsigned int i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
		sys_write(controllers[i], "%s/cgroup.subtree_control", group);
}

void groups_make(unsigned int n)
{
	char path[64];

	delegate("/sys/fs/cgroup");
	mkdir(SOAK_GROUP, 0755);
	delegate(SOAK_GROUP);
	mkdir(SOAK_FREEZER, 0755);
	if (access(SOAK_FREEZER "/tasks", F_OK))
		mount("freezer", SOAK_FREEZER, "cgroup", 0, "freezer");
	for (unsigned int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), SOAK_GROUP "/%u", i);
		mkdir(path, 0755);
		snprintf(path, sizeof(path), SOAK_FREEZER "/%u", i);
		mkdir(path, 0755);
	}
}

int freezer_have(void)
{
	int fd = open("/run/soak.freezer", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	flock(fd, LOCK_EX);
	return fd;
}

void groups_enter(unsigned int i)
{
	int fd = freezer_have();

	sys_write("0", SOAK_FREEZER "/%u/cgroup.procs", i);
	close(fd);
	sys_write("0", SOAK_GROUP "/%u/cgroup.procs", i);
}

void groups_reset(unsigned int n)
{
	char all[64];

	sys_read(all, sizeof(all), "/sys/devices/system/cpu/online");
	for (unsigned int i = 0; i < n; i++) {
		sys_write("0", SOAK_GROUP "/%u/cgroup.freeze", i);
		sys_write("max", SOAK_GROUP "/%u/memory.max", i);
		sys_write("max", SOAK_GROUP "/%u/memory.high", i);
		sys_write("max", SOAK_GROUP "/%u/cpu.max", i);
		sys_write(all, SOAK_GROUP "/%u/cpuset.cpus", i);
		sys_write("THAWED", SOAK_FREEZER "/%u/freezer.state", i);
	}
}
