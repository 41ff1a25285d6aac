// SPDX-License-Identifier: GPL-2.0
/*
 * How many Ps: GSCHED_MAXPROCS, the CPUs, the control groups' limit, and following the
 * last two while the program runs.
 */
#include "lib_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <sys/syscall.h>
#include <sys/wait.h>

#include "../userlib/cgroup.h"

/*
 * A limit lowers the number only where there are more than two CPUs. Here there are as
 * many as the test wants; 0: as there are.
 */
static int fake_cpus;

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	long n;
	int i;

	if (!__atomic_load_n(&fake_cpus, __ATOMIC_RELAXED)) {
		n = syscall(SYS_sched_getaffinity, pid, size, set);
		if (n < 0)
			return -1;
		memset((char *)set + n, 0, size - n);
		return 0;
	}
	memset(set, 0, size);
	for (i = 0; i < __atomic_load_n(&fake_cpus, __ATOMIC_RELAXED); i++)
		CPU_SET_S(i, size, set);
	return 0;
}

/* ------------------------------------------------- control groups of our own */

static char root[64];

static void put(const char *path, const char *text, size_t len)
{
	char full[PATH_MAX];
	char *s;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (s = full + strlen(root) + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		mkdir(full, 0755);
		*s = '/';
	}
	f = fopen(full, "w");
	if (!f || fwrite(text, 1, len, f) != len || fclose(f)) {
		perror(full);
		_exit(1);
	}
}

static void file(const char *path, const char *text)
{
	put(path, text, strlen(text));
}

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char below[PATH_MAX];

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			remove_tree(below);
		else
			unlink(below);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

#define MOUNT_V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1 "31 23 0:27 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"

FIXTURE(tree) { struct cpu_limit l; };

FIXTURE_SETUP(tree)
{
	strcpy(root, "/tmp/gsched.cpus.XXXXXX");
	ASSERT_TRUE(mkdtemp(root));
	cgroup_root = root;
	cgroup_reset();
	memset(&self->l, 0, sizeof(self->l));
}

FIXTURE_TEARDOWN(tree)
{
	remove_tree(root);
	cgroup_root = "";
}

/* In the tree. */
static const char *path_of(const char *path)
{
	static char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return full;
}

#define EXPECT_LIMIT(q, p) do {						\
	EXPECT_TRUE(cgroup_cpu_limit(&self->l));			\
	EXPECT_EQ(q, self->l.quota);					\
	EXPECT_EQ(p, self->l.period);					\
} while (0)

#define EXPECT_NONE() EXPECT_FALSE(cgroup_cpu_limit(&self->l))

TEST_F(tree, nothing_is_there)
{
	EXPECT_NONE();
	file("/proc/self/cgroup", "");
	file("/proc/self/mountinfo", "");
	EXPECT_NONE();
}

TEST_F(tree, v2)
{
	file("/proc/self/cgroup", "0::/a/b\n");
	file("/proc/self/mountinfo", "1 1 8:1 / / rw - ext4 /dev/sda rw\n" MOUNT_V2);
	EXPECT_NONE();
	file("/sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
	EXPECT_LIMIT(150000, 100000);
	EXPECT_STREQ("cpu.max", self->l.file);
	file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	EXPECT_NONE();
}

/* The least on the way up; as a fraction, not the least quota. */
TEST_F(tree, v2_ancestors)
{
	file("/proc/self/cgroup", "0::/a/b/c\n");
	file("/proc/self/mountinfo", MOUNT_V2);
	file("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
	EXPECT_LIMIT(300000, 100000);
	file("/sys/fs/cgroup/a/b/cpu.max", "100000 20000\n");
	EXPECT_LIMIT(300000, 100000);
	file("/sys/fs/cgroup/a/b/c/cpu.max", "40000 20000\n");
	EXPECT_LIMIT(40000, 20000);
	file("/sys/fs/cgroup/cpu.max", "10000 10000\n");
	EXPECT_LIMIT(10000, 10000);
	/* Nobody's ancestor. */
	file("/sys/fs/cgroup/a/x/cpu.max", "1000 100000\n");
	file("/sys/fs/cpu.max", "1000 100000\n");
	EXPECT_LIMIT(10000, 10000);
}

TEST_F(tree, v2_process_moves)
{
	file("/proc/self/cgroup", "0::/a\n");
	file("/proc/self/mountinfo", MOUNT_V2);
	file("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
	file("/sys/fs/cgroup/b/cpu.max", "500000 100000\n");
	EXPECT_LIMIT(300000, 100000);
	file("/proc/self/cgroup", "0::/b\n");
	EXPECT_LIMIT(500000, 100000);
	file("/proc/self/cgroup", "0::/\n");
	EXPECT_NONE();
	/* Its group has been removed under it. */
	file("/proc/self/cgroup", "0::/a/gone (deleted)\n");
	EXPECT_LIMIT(300000, 100000);
	file("/proc/self/cgroup", "");
	EXPECT_NONE();
}

TEST_F(tree, v1)
{
	file("/proc/self/cgroup", "5:memory:/m\n4:cpuset:/s\n3:cpu,cpuacct:/a/b\n1:name=systemd:/x\n");
	file("/proc/self/mountinfo",
	     "9 1 0:9 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n" MOUNT_V1);
	file("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "250000\n");
	EXPECT_NONE();
	file("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "50000\n");
	EXPECT_LIMIT(250000, 50000);
	EXPECT_STREQ("cpu.cfs_quota_us", self->l.file);
	file("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000\n");
	file("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
	EXPECT_LIMIT(100000, 100000);
	file("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
	EXPECT_LIMIT(250000, 50000);
}

/* Version 1 for the controller, version 2 for systemd. */
TEST_F(tree, both_versions)
{
	file("/proc/self/cgroup", "3:cpuacct,cpu:/one\n0::/two\n");
	file("/proc/self/mountinfo", MOUNT_V1
	     "30 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	file("/sys/fs/cgroup/cpu/one/cpu.cfs_quota_us", "300000");
	file("/sys/fs/cgroup/cpu/one/cpu.cfs_period_us", "100000");
	EXPECT_LIMIT(300000, 100000);
	file("/sys/fs/cgroup/unified/two/cpu.max", "200000 100000");
	EXPECT_LIMIT(200000, 100000);
	file("/sys/fs/cgroup/cpu/one/cpu.cfs_quota_us", "100000");
	EXPECT_LIMIT(100000, 100000);
}

/* Only a part of the hierarchy is mounted, as in containers. */
TEST_F(tree, mounted_in_part)
{
	file("/proc/self/cgroup", "0::/docker/1234/x\n");
	file("/proc/self/mountinfo",
	     "30 23 0:26 /docker/1234 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	file("/sys/fs/cgroup/x/cpu.max", "120000 100000\n");
	EXPECT_LIMIT(120000, 100000);
	file("/sys/fs/cgroup/cpu.max", "110000 100000\n");
	EXPECT_LIMIT(110000, 100000);
	/* Another one whose name begins like ours. */
	file("/proc/self/cgroup", "0::/docker/12345/x\n");
	EXPECT_NONE();
	file("/proc/self/cgroup", "0::/docker/1234\n");
	EXPECT_LIMIT(110000, 100000);
	file("/proc/self/cgroup", "0::/\n");
	EXPECT_NONE();
}

/* What lies outside of the cgroup namespace begins with "/..". */
TEST_F(tree, namespaces)
{
	file("/proc/self/mountinfo", "30 23 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	file("/sys/fs/cgroup/x/cpu.max", "100000 100000\n");
	file("/sys/fs/cpu.max", "100000 100000\n");
	file("/cpu.max", "100000 100000\n");
	file("/proc/self/cgroup", "0::/\n");
	EXPECT_NONE();
	file("/proc/self/cgroup", "0::/../x\n");
	EXPECT_NONE();
	file("/proc/self/cgroup", "0::/../../x\n");
	EXPECT_LIMIT(100000, 100000);
	file("/proc/self/cgroup", "0::/../../../x\n");
	EXPECT_NONE();
	file("/proc/self/mountinfo", MOUNT_V2);
	file("/proc/self/cgroup", "0::/../..\n");
	EXPECT_NONE();
	file("/proc/self/cgroup", "0::/a/../..\n");
	EXPECT_NONE();
	/* Two dots are a name's right. */
	file("/proc/self/cgroup", "0::/a..b\n");
	file("/sys/fs/cgroup/a..b/cpu.max", "90000 100000\n");
	EXPECT_LIMIT(90000, 100000);
}

TEST_F(tree, odd_names)
{
	file("/proc/self/cgroup", "0::/a b:c,cpu\\040\n");
	file("/proc/self/mountinfo",
	     "30 23 0:26 / /mnt/with\\040blank\\011and\\134 rw - cgroup2 cgroup2 rw\n");
	file("/mnt/with blank\tand\\/a b:c,cpu\\040/cpu.max", "170000 100000\n");
	EXPECT_LIMIT(170000, 100000);
	/* A mount that is not one of ours, but talks like it. */
	file("/proc/self/cgroup", "0::/x\n");
	file("/proc/self/mountinfo",
	     "30 23 0:26 / /-\\040cgroup2 rw - tmpfs cgroup2 rw,cgroup2\n"
	     "31 23 0:26 / /y rw,cpu - cgroup cpu rw,xcpu,cpux,cpuset\n");
	file("/- cgroup2/x/cpu.max", "100000 100000\n");
	file("/y/x/cpu.max", "100000 100000\n");
	EXPECT_NONE();
}

TEST_F(tree, garbage_for_a_limit)
{
	static const char *const bad[] = {
		"", "\n", " ", "max", "100000", "100000 ", "100000 \n", "100000x 100000",
		"-1 100000", "100000 -1", "100000 0", "0 100000", "0 0", " 100000 100000",
		"100000  100000", "100000\t100000", "100000 100000x", "1e5 100000",
		"0x10000 100000", "+1 1", "max max", "\xff\xff \xff",
	};
	unsigned int i;

	file("/proc/self/cgroup", "0::/a\n");
	file("/proc/self/mountinfo", MOUNT_V2);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		file("/sys/fs/cgroup/a/cpu.max", bad[i]);
		EXPECT_NONE() { TH_LOG("\"%s\"", bad[i]); }
	}
	put("/sys/fs/cgroup/a/cpu.max", "100000\0 100000", 14);
	EXPECT_NONE();
	file("/sys/fs/cgroup/a/cpu.max", "99999999999999999999999999999999 100000\n");
	EXPECT_LIMIT(UINT32_MAX, 100000);
	file("/sys/fs/cgroup/a/cpu.max", "100000 99999999999999999999999999999999\n");
	EXPECT_LIMIT(100000, UINT32_MAX);
	/* None of what they are called. */
	unlink(path_of("/sys/fs/cgroup/a/cpu.max"));
	mkdir(path_of("/sys/fs/cgroup/a/cpu.max"), 0755);
	EXPECT_NONE();
	rmdir(path_of("/sys/fs/cgroup/a/cpu.max"));
	mkfifo(path_of("/sys/fs/cgroup/a/cpu.max"), 0644);
	EXPECT_NONE();
}

/* Without the zero at the end. */
static void put_text(char *to, const char *from)
{
	while (*from)
		*to++ = *from++;
}

/* A line of @len bytes, and behind it @rest. */
static size_t fill(char *buf, size_t len, const char *begin, const char *end, const char *rest)
{
	memset(buf, 'x', len);
	put_text(buf, begin);
	put_text(buf + len - strlen(end), end);
	put_text(buf + len, rest);
	buf[len + strlen(rest)] = '\0';
	return len;
}

/* Too long, cut, empty, not a line at all: what is good beside it still counts. */
TEST_F(tree, garbage_for_lines)
{
	static const size_t lengths[] = { 100, 4095, 4096, 4097, 16383, 16384, 16385, 16400,
					  32768, 70000 };
	static char text[200000];
	unsigned int i;
	size_t n;

	file("/sys/fs/cgroup/a/cpu.max", "130000 100000\n");
	for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		fill(text, lengths[i], "0:", "\n",
		     "::\n:\n\n0::\n0::relative\n7:cpu\n0::/a\n");
		file("/proc/self/cgroup", text);
		fill(text, lengths[i], "1 1 0:1 / /", " rw - overlay overlay rw\n",
		     "\n \n- - -\n1 2 3 4 5 6\n1 2 3 4 5 -\n1 2 3 4 5 - cgroup2\n"
		     "1 2 3 4 5 - cgroup\n1 2 3 4 5 - cgroup x\n" MOUNT_V2 "30 23 0:26 /");
		file("/proc/self/mountinfo", text);
		/* "0::" is the first of its kind: a group of no name. */
		EXPECT_NONE();
		file("/proc/self/cgroup", "x\n0::/a\n");
		EXPECT_LIMIT(130000, 100000);
		cgroup_reset();
	}
	n = fill(text, 5000, "0::/", "\n", "");
	put("/proc/self/cgroup", text, n);
	EXPECT_NONE();
	/* The end of a line that is too long is no line. */
	file("/proc/self/cgroup", "0::/a\n");
	n = fill(text, 16384, "", "", "30 23 0:26 / /no rw - cgroup2 cgroup2 rw\n");
	file("/proc/self/mountinfo", text);
	file("/no/a/cpu.max", "100000 100000\n");
	EXPECT_NONE();
	file("/proc/self/mountinfo", text + n);
	cgroup_reset();
	EXPECT_LIMIT(100000, 100000);
}

/* Whatever the files hold, nothing but a limit or none comes of it. */
TEST_F(tree, random_bytes)
{
	static const char alphabet[] = "0:/. cpu,-\n\\01max12group";
	unsigned int r = test_seed();
	char text[3000];
	int i, j;

	file("/sys/fs/cgroup/a/cpu.max", "130000 100000\n");
	for (i = 0; i < 300; i++) {
		for (j = 0; j < (int)sizeof(text); j++)
			text[j] = rnd(&r) % 8 ? alphabet[rnd(&r) % (sizeof(alphabet) - 1)] :
						(char)rnd(&r);
		put("/proc/self/cgroup", text, rnd(&r) % sizeof(text));
		put("/proc/self/mountinfo", text, rnd(&r) % sizeof(text));
		put("/sys/fs/cgroup/a/cpu.max", text, rnd(&r) % 20);
		if (cgroup_cpu_limit(&self->l))
			EXPECT_TRUE(self->l.quota && self->l.period);
		file("/proc/self/cgroup", "0::/a\n");
		file("/proc/self/mountinfo", MOUNT_V2);
		cgroup_reset();
		if (cgroup_cpu_limit(&self->l))
			EXPECT_TRUE(self->l.quota && self->l.period);
	}
}

/* ------------------------------------------------------------ the number of Ps */

static int cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return CPU_COUNT(&set);
}

static int own_number(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return gs_set_maxprocs(0);
}

/* From here on the process is in the group /a, its limit is @text. */
static void limit(const char *text)
{
	file("/sys/fs/cgroup/a/cpu.max", text);
}

static void tree_of_one(void)
{
	file("/proc/self/cgroup", "0::/a\n");
	file("/proc/self/mountinfo", MOUNT_V2);
	unsetenv("GSCHED_MAXPROCS");
}

TEST_F(tree, default_number)
{
	int n;

	tree_of_one();
	EXPECT_EQ(cpus(), gs_main(own_number, 0, NULL));
	fake_cpus = 1;
	limit("10000 100000");
	EXPECT_EQ(1, gs_main(own_number, 0, NULL));
	fake_cpus = 2000;
	EXPECT_EQ(2, gs_main(own_number, 0, NULL));
	limit("max 100000");
	EXPECT_EQ(1024, gs_main(own_number, 0, NULL));
	n = 6;
	fake_cpus = n;
	EXPECT_EQ(n, gs_main(own_number, 0, NULL));
	limit("150000 100000");
	EXPECT_EQ(2, gs_main(own_number, 0, NULL));
	limit("200001 100000");
	EXPECT_EQ(3, gs_main(own_number, 0, NULL));
	limit("1000 100000");
	EXPECT_EQ(2, gs_main(own_number, 0, NULL));
	limit("100000000 1000");
	EXPECT_EQ(n, gs_main(own_number, 0, NULL));
	limit("10000 100000");
	setenv("GSCHED_MAXPROCS", "5", 1);
	EXPECT_EQ(5, gs_main(own_number, 0, NULL));
	setenv("GSCHED_MAXPROCS", "5000", 1);
	EXPECT_EQ(1024, gs_main(own_number, 0, NULL));
	setenv("GSCHED_MAXPROCS", "-3", 1);
	EXPECT_EQ(2, gs_main(own_number, 0, NULL));
}

static const char *why(void)
{
	struct gs_info info;

	CHECK_EQ(0, gs_info(&info, sizeof(info)));
	return info.procs_why;
}

/* A goroutine that works, so that the runtime is not idle. */
static void await_number(int n)
{
	int64_t end = gs_now() + 30000 * MS;

	while (gs_set_maxprocs(0) != n) {
		CHECK(gs_now() < end);
		gs_yield();
	}
}

static int follow(int argc, char **argv)
{
	const char *old;

	(void)argc;
	(void)argv;
	CHECK_EQ(6, gs_set_maxprocs(0));
	CHECK(!strcmp("CPU affinity", why()));
	limit("250000 100000");
	await_number(3);
	old = why();
	CHECK(!strcmp("cgroup cpu.max 250000/100000", old));
	__atomic_store_n(&fake_cpus, 1, __ATOMIC_RELAXED);
	await_number(1);
	CHECK(!strcmp("CPU affinity", why()));
	limit("max 100000");
	__atomic_store_n(&fake_cpus, 5, __ATOMIC_RELAXED);
	await_number(5);
	CHECK(!strcmp("CPU affinity", why()));
	/* Good until the runtime ends. */
	CHECK(!strcmp("cgroup cpu.max 250000/100000", old));
	return 0;
}

TEST_F(tree, follows)
{
	tree_of_one();
	fake_cpus = 6;
	EXPECT_EQ(0, gs_main(follow, 0, NULL));
}

/* taskset -a, a cpuset: all threads at once. */
static void set_all_threads(const cpu_set_t *set)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;

	CHECK(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			CHECK(!sched_setaffinity(atoi(e->d_name), sizeof(*set), set) ||
			      errno == ESRCH);
	closedir(d);
}

static int follow_real_affinity(int argc, char **argv)
{
	cpu_set_t all, one;
	int i = 0;

	(void)argc;
	(void)argv;
	CHECK_EQ(0, sched_getaffinity(0, sizeof(all), &all));
	while (!CPU_ISSET(i, &all))
		i++;
	CPU_ZERO(&one);
	CPU_SET(i, &one);
	set_all_threads(&one);
	await_number(1);
	return 0;
}

TEST_F(tree, follows_the_real_affinity)
{
	if (cpus() < 2)
		SKIP(return, "one CPU");
	unsetenv("GSCHED_MAXPROCS");
	EXPECT_EQ(0, gs_main(follow_real_affinity, 0, NULL));
}

/* The limit of an idle program is looked at when it has something to do again. */
static void *while_idle(void *arg)
{
	(void)arg;
	usleep(1200000);
	limit("250000 100000");
	usleep(1200000);
	CHECK_EQ(6, gs_set_maxprocs(0));
	return NULL;
}

static int idle_then_busy(int argc, char **argv)
{
	pthread_t thread;

	(void)argc;
	(void)argv;
	CHECK_EQ(0, pthread_create(&thread, NULL, while_idle, NULL));
	gs_sleep(2600 * MS);
	CHECK_EQ(0, pthread_join(thread, NULL));
	await_number(3);
	return 0;
}

TEST_F(tree, idle_programs_are_left_alone)
{
	tree_of_one();
	fake_cpus = 6;
	EXPECT_EQ(0, gs_main(idle_then_busy, 0, NULL));
}

/* Works while the number would change. */
static int stay(void)
{
	int64_t end = gs_now() + 1150 * MS;

	limit("250000 100000");
	while (gs_now() < end)
		gs_yield();
	return gs_set_maxprocs(0);
}

/* To the number that it is already is a decision, too. */
static int pin(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	CHECK_EQ(6, gs_set_maxprocs(-1));
	CHECK(!strcmp("CPU affinity", why()));
	CHECK_EQ(6, gs_set_maxprocs(6));
	CHECK(!strcmp("gs_set_maxprocs()", why()));
	CHECK_EQ(6, stay());
	return 0;
}

static int pinned(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	CHECK(!strcmp("GSCHED_MAXPROCS", why()));
	CHECK_EQ(4, stay());
	return 0;
}

TEST_F(tree, pinned)
{
	tree_of_one();
	fake_cpus = 6;
	EXPECT_EQ(0, gs_main(pin, 0, NULL));
	setenv("GSCHED_MAXPROCS", "4", 1);
	EXPECT_EQ(0, gs_main(pinned, 0, NULL));
}

static int for_ever(int argc, char **argv)
{
	(void)argv;
	gs_chan_recv(NULL, NULL);
	return argc;
}

static int at_once(int argc, char **argv)
{
	(void)argv;
	return argc;
}

/* The thread that looks is not taken for one that might help, nor a former one's. */
TEST_F(tree, deadlocks_are_found)
{
	int status;
	pid_t pid;

#ifdef __SANITIZE_THREAD__
	SKIP(return, "TSan has a thread of its own, which might help");
#endif
	tree_of_one();
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		for (int i = 0; i < 20; i++)
			CHECK_EQ(0, gs_main(at_once, 0, NULL));
		alarm(30 * slowness());
		_exit(gs_main(for_ever, 0, NULL));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGABRT, WTERMSIG(status));
}

/* ------------------------------------------------------------- a real kernel's */

static void put_real(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	CHECK(fd >= 0);
	CHECK_EQ(strlen(text), write(fd, text, strlen(text)));
	close(fd);
}

static char group[PATH_MAX];

static int follow_kernel(int argc, char **argv)
{
	int n = cpus();

	(void)argc;
	(void)argv;
	CHECK_EQ(n, gs_set_maxprocs(0));
	put_real(group, "cpu.max", "150000 100000");
	await_number(2);
	put_real(group, "cpu.max", "max 100000");
	await_number(n);
	CHECK(!strcmp("CPU affinity", why()));
	return 0;
}

static int number_and_why(int argc, char **argv)
{
	(void)argv;
	CHECK_EQ(argc, gs_set_maxprocs(0));
	CHECK(!strcmp("cgroup cpu.max 300000/100000", why()));
	return 0;
}

/* Mounts a hierarchy of its own: not on machines that are in use. */
TEST(cgroup2_of_the_kernel)
{
	char dir[] = "/tmp/gsched.cgroup.XXXXXX";

	cgroup_root = "";
	cgroup_reset();
	if (access("/dev/gsched", F_OK))
		SKIP(return, "not in a test machine");
	ASSERT_TRUE(mkdtemp(dir));
	if (mount("none", dir, "cgroup2", 0, NULL))
		SKIP(return, "no cgroup2");
	put_real(dir, "cgroup.subtree_control", "+cpu");
	snprintf(group, sizeof(group), "%s/t", dir);
	ASSERT_EQ(0, mkdir(group, 0755));
	put_real(group, "cgroup.procs", "0");
	unsetenv("GSCHED_MAXPROCS");
	fake_cpus = 6;
	EXPECT_EQ(0, gs_main(follow_kernel, 0, NULL));
	put_real(group, "cpu.max", "300000 100000");
	EXPECT_EQ(0, gs_main(number_and_why, 3, NULL));
	put_real(dir, "cgroup.procs", "0");
	rmdir(group);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

TEST_HARNESS_MAIN
