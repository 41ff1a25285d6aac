/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ways to block in the kernel, and an actor that blocks with its P outside of a
 * section.
 */
#ifndef KMOD_BLOCK_H
#define KMOD_BLOCK_H

#include "kmod.h"

#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>

struct block;

/**
 * struct way - a way to block
 * @prepare:	by the main thread before; false: not possible here
 * @block:	by the M; true: it ended as it should
 * @end:	by another thread: makes @block return; NULL: it does so by itself
 */
struct way {
	bool (*prepare)(struct block *b);
	bool (*block)(struct block *b);
	void (*end)(struct block *b);
};

struct block {
	const struct way *way;
	struct actor *who;
	int64_t began;
	__u32 proc;		/* what the M held when it was back in user mode */
	bool ok;

	int fd[2];
	int uffd;
	char *page;
	pid_t child;
	__u32 word;
	pthread_mutex_t mutex;
};

/* The actor's call: it leaves its section, blocks, and enters it again. */
static inline int act_block(struct actor *a)
{
	struct block *b = a->arg;

	b->proc = GSCHED_NONE;
	b->began = now_ns();
	section_leave(a->gs, a->id);
	b->ok = b->way->block(b);
	b->proc = load32(&a->gs->ms[a->id].proc);
	section_enter(a->gs, a->id);
	return 0;
}

static inline struct block *block_prepare(const struct way *way, struct actor *who)
{
	struct block *b = calloc(1, sizeof(*b));

	must(b);
	b->way = way;
	b->who = who;
	who->arg = b;
	return b;
}

/* ------------------------------------------------------------------- pipes */

static inline bool make_pipe(struct block *b)
{
	return pipe(b->fd) == 0;
}

static inline void write_byte(struct block *b)
{
	must(write(b->fd[1], "x", 1) == 1);
}

static inline bool read_byte(struct block *b)
{
	char byte;

	return read(b->fd[0], &byte, 1) == 1;
}

static const struct way pipe_read = { make_pipe, read_byte, write_byte };

static inline bool fill_pipe(struct block *b)
{
	static const char data[4096];

	if (!make_pipe(b))
		return false;
	fcntl(b->fd[1], F_SETFL, O_NONBLOCK);
	while (write(b->fd[1], data, sizeof(data)) > 0)
		;
	fcntl(b->fd[1], F_SETFL, 0);
	return true;
}

static inline bool write_more(struct block *b)
{
	return write(b->fd[1], "x", 1) == 1;
}

static inline void read_much(struct block *b)
{
	static char data[65536];

	must(read(b->fd[0], data, sizeof(data)) > 0);
}

static const struct way pipe_write = { fill_pipe, write_more, read_much };

#define FIFO_NAME	"kmod_block.fifo"

static inline bool make_fifo(struct block *b)
{
	(void)b;
	unlink(FIFO_NAME);
	return mkfifo(FIFO_NAME, 0600) == 0;
}

static inline bool open_for_reading(struct block *b)
{
	b->fd[0] = open(FIFO_NAME, O_RDONLY | O_CLOEXEC);
	return b->fd[0] >= 0;
}

static inline void open_for_writing(struct block *b)
{
	b->fd[1] = open(FIFO_NAME, O_WRONLY | O_CLOEXEC);
	must(b->fd[1] >= 0);
}

static const struct way fifo_open = { make_fifo, open_for_reading, open_for_writing };

/* ----------------------------------------------- sockets, events, poll, epoll */

static inline bool make_sockets(struct block *b)
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, b->fd) == 0;
}

static inline bool recv_byte(struct block *b)
{
	char byte;

	return recv(b->fd[0], &byte, 1, 0) == 1;
}

static const struct way socket_recv = { make_sockets, recv_byte, write_byte };

static inline bool make_listener(struct block *b)
{
	b->fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return b->fd[0] >= 0 && listen(b->fd[0], 8) == 0;
}

static inline bool accept_one(struct block *b)
{
	return accept(b->fd[0], NULL, NULL) >= 0;
}

static inline void connect_to_it(struct block *b)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	must(getsockname(b->fd[0], (void *)&sin, &len) == 0);
	b->fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(connect(b->fd[1], (void *)&sin, len) == 0);
}

static const struct way socket_accept = { make_listener, accept_one, connect_to_it };

static inline bool make_eventfd(struct block *b)
{
	b->fd[0] = b->fd[1] = eventfd(0, EFD_CLOEXEC);
	return b->fd[0] >= 0;
}

static inline bool read_event(struct block *b)
{
	__u64 n;

	return read(b->fd[0], &n, sizeof(n)) == sizeof(n);
}

static inline void write_event(struct block *b)
{
	__u64 one = 1;

	must(write(b->fd[1], &one, sizeof(one)) == sizeof(one));
}

static const struct way eventfd_wait = { make_eventfd, read_event, write_event };

static inline bool poll_one(struct block *b)
{
	struct pollfd pfd = { .fd = b->fd[0], .events = POLLIN };

	return poll(&pfd, 1, -1) == 1;
}

static const struct way poll_pipe = { make_pipe, poll_one, write_byte };

static inline bool epoll_one(struct block *b)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	bool ok = epoll_ctl(ep, EPOLL_CTL_ADD, b->fd[0], &ev) == 0 &&
		  epoll_wait(ep, &ev, 1, -1) == 1;

	close(ep);
	return ok;
}

static const struct way epoll_pipe = { make_pipe, epoll_one, write_byte };

/* ------------------------------------------------------- time, futex, signals */

#define NAP_NS	(200 * NSEC_PER_MSEC)

static inline bool nothing_to_prepare(struct block *b)
{
	return b;
}

static inline bool take_a_nap(struct block *b)
{
	struct timespec ts = { 0, NAP_NS };

	(void)b;
	return nanosleep(&ts, NULL) == 0;
}

static const struct way nap = { nothing_to_prepare, take_a_nap, NULL };

static inline long futex_call(__u32 *word, int op, __u32 value)
{
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static inline bool futex_wait(struct block *b)
{
	while (!load32(&b->word))
		futex_call(&b->word, FUTEX_WAIT, 0);
	return true;
}

static inline void futex_wake(struct block *b)
{
	__atomic_store_n(&b->word, 1, __ATOMIC_SEQ_CST);
	must(futex_call(&b->word, FUTEX_WAKE, 1) >= 0);
}

static const struct way futex = { nothing_to_prepare, futex_wait, futex_wake };

static inline bool spin_until_told(struct block *b)
{
	while (!load32(&b->word))
		;
	return true;
}

/* No block at all: a hog. */
static const struct way spin = { nothing_to_prepare, spin_until_told, futex_wake };

static inline bool lock_mutex(struct block *b)
{
	pthread_mutex_init(&b->mutex, NULL);
	return pthread_mutex_lock(&b->mutex) == 0;
}

static inline bool lock_pi_mutex(struct block *b)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&b->mutex, &attr);
	return pthread_mutex_lock(&b->mutex) == 0;
}

static inline bool use_mutex(struct block *b)
{
	return pthread_mutex_lock(&b->mutex) == 0 && pthread_mutex_unlock(&b->mutex) == 0;
}

static inline void unlock_mutex(struct block *b)
{
	must(pthread_mutex_unlock(&b->mutex) == 0);
}

static const struct way mutex = { lock_mutex, use_mutex, unlock_mutex };
static const struct way pi_mutex = { lock_pi_mutex, use_mutex, unlock_mutex };

static inline bool wait_for_signal(struct block *b)
{
	sigset_t set;

	(void)b;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return sigwaitinfo(&set, NULL) == SIGUSR2;
}

/* Once it sleeps, that is, or the signal would find it without the mask. */
static inline void send_signal(struct block *b)
{
	must(eventually(thread_state(getpid(), b->who->tid) == 'S'));
	pthread_kill(b->who->thread, SIGUSR2);
}

static const struct way sigwait_one = { nothing_to_prepare, wait_for_signal, send_signal };

/* ------------------------------------------------------------------- files */

#define FILE_NAME	"kmod_block.file"

static inline bool make_locked_file(struct block *b, bool (*lock)(int fd))
{
	for (int i = 0; i < 2; i++)
		b->fd[i] = open(FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return b->fd[0] >= 0 && b->fd[1] >= 0 && lock(b->fd[1]);
}

static inline bool flock_fd(int fd)
{
	return flock(fd, LOCK_EX) == 0;
}

static inline bool make_flocked_file(struct block *b)
{
	return make_locked_file(b, flock_fd);
}

static inline bool flock_other(struct block *b)
{
	return flock_fd(b->fd[0]);
}

static inline void drop_flock(struct block *b)
{
	must(flock(b->fd[1], LOCK_UN) == 0);
}

static const struct way flock_file = { make_flocked_file, flock_other, drop_flock };

static inline bool ofd_lock_fd(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLKW, &fl) == 0;
}

static inline bool make_ofd_locked_file(struct block *b)
{
	return make_locked_file(b, ofd_lock_fd);
}

static inline bool ofd_lock_other(struct block *b)
{
	return ofd_lock_fd(b->fd[0]);
}

static inline void drop_ofd_lock(struct block *b)
{
	struct flock fl = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	must(fcntl(b->fd[1], F_OFD_SETLK, &fl) == 0);
}

static const struct way fcntl_lock = { make_ofd_locked_file, ofd_lock_other, drop_ofd_lock };

/* vm.sh -d puts a file system on a disk there. */
#define DISK_FILE	"disk/kmod_block.file"
#define DISK_SIZE	(256 << 10)

static inline bool make_disk_file(struct block *b)
{
	static char data[DISK_SIZE];

	b->fd[0] = open(DISK_FILE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return b->fd[0] >= 0 && write(b->fd[0], data, sizeof(data)) == sizeof(data);
}

/* Others may have written it before, then there is nothing to wait for; but not each time. */
static inline bool sync_file(struct block *b)
{
	for (int i = 0; i < 8; i++)
		if (pwrite(b->fd[0], &i, sizeof(i), 0) != sizeof(i) || fsync(b->fd[0]))
			return false;
	return true;
}

static const struct way fsync_disk = { make_disk_file, sync_file, NULL };

/* A mapped file that is on the disk only. */
static inline bool map_cold_file(struct block *b)
{
	if (!make_disk_file(b) || fsync(b->fd[0]))
		return false;
	must(posix_fadvise(b->fd[0], 0, 0, POSIX_FADV_DONTNEED) == 0);
	b->page = mmap(NULL, DISK_SIZE, PROT_READ, MAP_SHARED, b->fd[0], 0);
	return b->page != MAP_FAILED && madvise(b->page, DISK_SIZE, MADV_RANDOM) == 0;
}

/* One of the reads at least is not done before the M has gone to sleep. */
static inline bool touch_pages(struct block *b)
{
	for (size_t i = 0; i < DISK_SIZE; i += 4096)
		if (((volatile char *)b->page)[i])
			return false;
	return true;
}

static const struct way major_fault = { map_cold_file, touch_pages, NULL };

/* ------------------------------------------------------------------- faults */

static inline bool make_missing_page(struct block *b)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	b->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)b->page;
	b->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	return b->uffd >= 0 && make_pipe(b) && ioctl(b->uffd, UFFDIO_API, &api) == 0 &&
	       ioctl(b->uffd, UFFDIO_REGISTER, &reg) == 0;
}

static inline void supply_page(struct block *b)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)b->page, 4096 } };
	struct uffd_msg msg;

	must(read(b->uffd, &msg, sizeof(msg)) == sizeof(msg));
	must(ioctl(b->uffd, UFFDIO_ZEROPAGE, &zero) == 0);
}

static inline bool touch_page(struct block *b)
{
	return *(volatile char *)b->page == 0;
}

static const struct way userfault = { make_missing_page, touch_page, supply_page };

static inline bool write_page(struct block *b)
{
	return write(b->fd[1], b->page, 1) == 1;
}

static const struct way userfault_in_write = { make_missing_page, write_page, supply_page };

/* ---------------------------------------------------------------- processes */

/* Also a child's body: it ends when it is told. */
static inline int end_when_told(void *arg)
{
	struct block *b = arg;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return read(b->fd[0], &byte, 1) != 1;
}

static inline bool make_child(struct block *b)
{
	if (!make_pipe(b))
		return false;
	b->child = child_start(end_when_told, b);
	return true;
}

static inline bool wait_for_child(struct block *b)
{
	return child_wait(b->child) == 0;
}

static const struct way waitpid_child = { make_child, wait_for_child, write_byte };

/* The M sleeps until its child ends or executes something. */
static inline bool vfork_child(struct block *b)
{
	static char stack[1 << 16] __attribute__((aligned(16)));

	b->child = clone(end_when_told, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
			 b);
	return b->child > 0 && child_wait(b->child) == 0;
}

static const struct way vfork_and_wait = { make_pipe, vfork_child, write_byte };

static inline bool run_sleep(struct block *b)
{
	char *argv[] = { "sleep", "0.2", NULL };

	return posix_spawnp(&b->child, "sleep", NULL, NULL, argv, environ) == 0 &&
	       child_wait(b->child) == 0;
}

static const struct way spawn_and_wait = { nothing_to_prepare, run_sleep, NULL };

/* ------------------------------------------------------------------- losing a P */

/*
 * @a, which is to read from a pipe, blocks there and loses P 0 to @t, which keeps it
 * in a section; then the call of @a ends.
 */
static inline void lose_p(struct actor *a, struct actor *t)
{
	struct gs *gs = a->gs;

	must(actor_do(a, act_acquire) == 0);
	actor_begin(a, act_block);
	must(eventually(nr_blocked(gs) == 1));
	must(actor_do(t, act_acquire) == 0);
	must(owner_of_proc(gs, 0) == t->id);
	write_byte(a->arg);
}

static inline void lose_p_and_be_held(struct actor *a, struct actor *t)
{
	lose_p(a, t);
	must(eventually(m_is(a->gs, a->id, "held")));
}

#endif /* KMOD_BLOCK_H */
