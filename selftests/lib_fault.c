// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults that wait: many goroutines fault on two Ps while one computes. With the
 * module all faults are under way at the same time, and the computing goroutine keeps
 * its P, as if each of those who fault were a thread of its own.
 *
 * Faults wait for userfaultfd, which runs anywhere and counts them, and for a disk:
 * /dev/slow, see vm.sh.
 */
#include "lib_blocking.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define PAGE		4096L
#define ROUNDS		5
#define ROUND		(300 * MS)

/* ------------------------------------------------- who computes, and who faults */

static int stop;
static long work, faults;

static bool stopping(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* Yields now and then, and so is behind all others where those keep the Ps. */
static void compute(void *arg)
{
	unsigned int r = 1;
	int i;

	while (!stopping()) {
		for (i = 0; i < 10000; i++)
			rnd(&r);
		asm volatile("" :: "r"(r));
		work++;
		gs_yield();
	}
	gs_wg_done(arg);
}

/* A mapping that is cold: no page of it is touched twice. */
static struct {
	const volatile unsigned char *start;
	long pages, next;
	void (*check)(long page, unsigned char seen);
} cold;

/* The pages in no order, each once: @pages is a power of two. */
static bool touch_next(void)
{
	long i = __atomic_fetch_add(&cold.next, 1, __ATOMIC_RELAXED);
	long page = i * 40503 % cold.pages;

	if (i >= cold.pages)
		return false;
	cold.check(page, cold.start[page * PAGE]);
	__atomic_add_fetch(&faults, 1, __ATOMIC_RELAXED);
	return true;
}

static void fault_in_goroutine(void *arg)
{
	while (!stopping())
		CHECK(touch_next());
	gs_wg_done(arg);
}

static void *fault_in_thread(void *arg)
{
	(void)arg;
	while (!stopping())
		CHECK(touch_next());
	return NULL;
}

/* Readers of one kind beside the computing goroutine. */
struct figures {
	long work, faults;
};

static struct figures with_goroutines(int n)
{
	gs_wg wg = GS_WG_INIT;
	int i;

	work = faults = stop = 0;
	gs_wg_add(&wg, n + 1);
	go(compute, &wg);
	for (i = 0; i < n; i++)
		go(fault_in_goroutine, &wg);
	gs_sleep(ROUND);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
	return (struct figures){ work, faults };
}

static struct figures with_threads(int n)
{
	gs_wg wg = GS_WG_INIT;
	pthread_t t[64];
	int i;

	work = faults = stop = 0;
	gs_wg_add(&wg, 1);
	for (i = 0; i < n; i++)
		CHECK_EQ(0, pthread_create(t + i, NULL, fault_in_thread, NULL));
	go(compute, &wg);
	gs_sleep(ROUND);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gs_wg_wait(&wg);
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	return (struct figures){ work, faults };
}

static void add(struct figures *sum, struct figures f)
{
	sum->work += f.work;
	sum->faults += f.faults;
}

/*
 * In turn, so that whatever else runs on the machine disturbs both: the threads are
 * what the goroutines are measured by.
 */
static void compare(const char *what, int n)
{
	struct figures g = { 0 }, t = { 0 };
	int i, less;

	for (i = 0; i < ROUNDS; i++) {
		add(&t, with_threads(n));
		add(&g, with_goroutines(n));
	}
	printf("# %s: beside %d goroutines that fault %ld work, %ld faults; beside as many threads %ld, %ld\n",
	       what, n, g.work, g.faults, t.work, t.faults);
	fflush(stdout);
	/*
	 * Without hand-off it is next to nothing; emulated machines wander by a third, and what
	 * a slow kernel checks in each hand-off threads do not pay.
	 */
	less = slowness() > 1 ? 4 : 2;
	CHECK(g.work >= t.work / less);
	CHECK(g.faults >= t.faults / less);
}

/* ------------------------------------------------------------------- userfaultfd */

#define UFFD_PAGES	32768L
#define UFFD_READERS	32
#define UFFD_DELAY	(50 * MS)

static struct {
	int fd;
	unsigned long first;
	struct {
		int64_t due;
		unsigned long page;
	} queue[1024];
	unsigned int head, tail;
	int most;		/* faults at the same time, since reset */
} uffd;

static bool uffd_queued(unsigned long page)
{
	unsigned int i;

	for (i = uffd.head; i != uffd.tail; i++)
		if (uffd.queue[i % 1024].page == page)
			return true;
	return false;
}

/*
 * Who waits for a page and is woken by something else waits again, which is another
 * message, or none if it has not been read yet.
 */
static void uffd_take(void)
{
	struct uffd_msg msg;
	unsigned long page;
	int waiting;

	if (read(uffd.fd, &msg, sizeof(msg)) != sizeof(msg)) {
		CHECK_EQ(EAGAIN, errno);
		return;
	}
	CHECK_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
	page = msg.arg.pagefault.address / PAGE * PAGE;
	if (uffd_queued(page))
		return;
	uffd.queue[uffd.tail % 1024].due = gs_now() + UFFD_DELAY;
	uffd.queue[uffd.tail % 1024].page = page;
	waiting = ++uffd.tail - uffd.head;
	if (waiting > __atomic_load_n(&uffd.most, __ATOMIC_RELAXED))
		__atomic_store_n(&uffd.most, waiting, __ATOMIC_RELAXED);
}

/* Each page is filled with its number. */
static void uffd_serve(void)
{
	static unsigned char contents[PAGE] __attribute__((aligned(PAGE)));
	struct uffdio_copy copy = {
		.dst = uffd.queue[uffd.head++ % 1024].page,
		.src = (unsigned long)contents,
		.len = PAGE,
	};

	memset(contents, (copy.dst - uffd.first) / PAGE % 251, PAGE);
	CHECK_EQ(0, ioctl(uffd.fd, UFFDIO_COPY, &copy));
}

static void *uffd_thread(void *arg)
{
	struct pollfd p = { .fd = uffd.fd, .events = POLLIN };
	struct timespec t = { 0 };
	int64_t wait;

	(void)arg;
	for (;;) {
		wait = 1000 * MS - 1;
		if (uffd.head != uffd.tail)
			wait = uffd.queue[uffd.head % 1024].due - gs_now();
		if (wait <= 0) {
			uffd_serve();
			continue;
		}
		t.tv_nsec = wait;
		if (ppoll(&p, 1, &t, NULL) > 0)
			uffd_take();
	}
	return NULL;
}

static void check_uffd(long page, unsigned char seen)
{
	CHECK_EQ(page % 251, seen);
}

static bool uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *p = mmap(NULL, UFFD_PAGES * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	uffd.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (uffd.fd < 0)
		return false;
	CHECK(p != MAP_FAILED);
	CHECK_EQ(0, ioctl(uffd.fd, UFFDIO_API, &api));
	reg.range.start = uffd.first = (unsigned long)p;
	reg.range.len = UFFD_PAGES * PAGE;
	CHECK_EQ(0, ioctl(uffd.fd, UFFDIO_REGISTER, &reg));
	cold.start = p;
	cold.pages = UFFD_PAGES;
	cold.check = check_uffd;
	return true;
}

static void userfaults(void)
{
	pthread_t t;

	CHECK_EQ(0, pthread_create(&t, NULL, uffd_thread, NULL));
	with_goroutines(UFFD_READERS);	/* which makes the threads */
	__atomic_store_n(&uffd.most, 0, __ATOMIC_RELAXED);
	with_goroutines(UFFD_READERS);
	printf("# %d goroutines on 2 Ps: up to %d faults at the same time\n", UFFD_READERS,
	       uffd.most);
	fflush(stdout);
	CHECK(uffd.most >= UFFD_READERS * 3 / 4 / (slowness() > 1 ? 3 : 1));
	compare("userfaultfd", UFFD_READERS);
}

TEST(userfaults_are_handed_off)
{
	if (!uffd_open())
		SKIP(return, "userfaultfd: %s", strerror(errno));
	RUN_ON_MODULE(2, userfaults);
}

/* -------------------------------------------------------------------------- a disk */

#define DISK_READERS	16

static void check_zero(long page, unsigned char seen)
{
	(void)page;
	CHECK_EQ(0, seen);
}

static int disk_open(void)
{
	int fd = open("/dev/slow", O_RDONLY | O_CLOEXEC);
	off_t size;
	void *p;

	if (fd < 0)
		return -1;
	size = lseek(fd, 0, SEEK_END);
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	/* Nothing is read ahead. */
	CHECK_EQ(0, madvise(p, size, MADV_RANDOM));
	CHECK_EQ(0, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	cold.start = p;
	cold.pages = size / PAGE;
	cold.check = check_zero;
	return fd;
}

static void disk_faults(void)
{
	struct rusage before, after;
	struct figures one;

	getrusage(RUSAGE_SELF, &before);
	one = with_goroutines(1);
	getrusage(RUSAGE_SELF, &after);
	printf("# one goroutine: %ld faults\n", one.faults);
	CHECK(one.faults > 0);
	CHECK(after.ru_majflt - before.ru_majflt >= one.faults);
	compare("disk", DISK_READERS);
}

TEST(disk_faults_are_handed_off)
{
	if (disk_open() < 0)
		SKIP(return, "no /dev/slow, see vm.sh");
	RUN_ON_MODULE(2, disk_faults);
}

TEST_HARNESS_MAIN
