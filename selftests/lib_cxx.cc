// SPDX-License-Identifier: GPL-2.0
/*
 * C++: exceptions in goroutines that wait while they are handled, and the header.
 *
 * kselftest's harness is C only, so this prints its TAP by itself. Each case is a
 * process, and a goroutine that finds a fault ends it.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#define GS_REDEFINE_ERRNO
#include <gsched.h>

#define MS 1000000LL

#define CHECK(cond) do {							\
	if (!(cond)) {								\
		std::fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
		_exit(1);							\
	}									\
} while (0)

namespace {

int procs;
gs_wg all = GS_WG_INIT;

void go(void (*fn)(void *), void *arg)
{
	CHECK(!gs_go(fn, arg));
}

struct numbered : std::runtime_error {
	explicit numbered(long n) : std::runtime_error("numbered"), n(n) {}
	long n;
};

/* Lets others run here that handle exceptions of their own. */
void others(long i)
{
	if (i % 3)
		gs_yield();
	else
		gs_sleep(i % 7 * 10000);
}

/* ------------------------------------------------------------------- in a handler */

void check_handling(long n)
{
	std::exception_ptr now = std::current_exception();

	CHECK(now);
	CHECK(std::uncaught_exceptions() == 0);
	try {
		std::rethrow_exception(now);
	} catch (const numbered &e) {
		CHECK(e.n == n);
	}
}

void rethrow_later(long n)
{
	try {
		throw numbered(n);
	} catch (const numbered &e) {
		others(n);
		CHECK(e.n == n);
		check_handling(n);
		others(n + 1);
		throw;
	}
}

void handler(void *arg)
{
	long n = reinterpret_cast<long>(arg);

	for (long i = 0; i < 50; i++) {
		CHECK(!std::current_exception());
		try {
			rethrow_later(n * 100 + i);
			CHECK(!"reached");
		} catch (const numbered &e) {
			others(i + 2);
			CHECK(e.n == n * 100 + i);
			check_handling(e.n);
		}
		CHECK(!std::current_exception());
		others(i);
	}
	gs_wg_done(&all);
}

void many(void (*fn)(void *))
{
	gs_wg_add(&all, 20);
	for (long i = 0; i < 20; i++)
		go(fn, reinterpret_cast<void *>(i));
	gs_wg_wait(&all);
}

void wait_in_handlers()
{
	many(handler);
}

/* ----------------------------------------------------------------- while unwinding */

struct waits_when_destroyed {
	long n;

	~waits_when_destroyed()
	{
		CHECK(std::uncaught_exceptions() == 1);
		others(n);
		CHECK(std::uncaught_exceptions() == 1);
		inner();
		CHECK(std::uncaught_exceptions() == 1);
	}

	/* An exception that lives and ends during the unwinding of another. */
	void inner() const
	{
		try {
			throw numbered(-n);
		} catch (const numbered &e) {
			CHECK(std::uncaught_exceptions() == 1);
			others(n + 1);
			CHECK(e.n == -n);
		}
	}
};

void unwinder(void *arg)
{
	long n = reinterpret_cast<long>(arg);

	for (long i = 0; i < 50; i++) {
		CHECK(std::uncaught_exceptions() == 0);
		try {
			waits_when_destroyed first{ n }, second{ i };

			throw numbered(n);
		} catch (const numbered &e) {
			CHECK(std::uncaught_exceptions() == 0);
			CHECK(e.n == n);
		}
	}
	gs_wg_done(&all);
}

void wait_in_destructors()
{
	many(unwinder);
}

/* --------------------------------------------------------------------------- nested */

void nest(long depth, long n)
{
	try {
		throw numbered(n + depth);
	} catch (const numbered &e) {
		others(depth);
		if (depth)
			nest(depth - 1, n);
		check_handling(n + depth);
		others(depth + 1);
		CHECK(e.n == n + depth);
	}
}

void nester(void *arg)
{
	for (long i = 0; i < 20; i++)
		nest(i % 6, reinterpret_cast<long>(arg) * 100);
	gs_wg_done(&all);
}

void wait_when_nested()
{
	many(nester);
}

/* ------------------------------------------------------------------------ migration */

gs_chan *to_mover, *from_mover;
pid_t mover_was, mover_is;

void mover(void *arg)
{
	(void)arg;
	try {
		throw numbered(1);
	} catch (const numbered &e) {
		mover_was = gettid();
		CHECK(!gs_chan_send(from_mover, nullptr));
		CHECK(gs_chan_recv(to_mover, nullptr) == 1);
		mover_is = gettid();
		check_handling(1);
		CHECK(e.n == 1);
	}
	CHECK(!std::current_exception());
	CHECK(!gs_chan_send(from_mover, nullptr));
}

/*
 * The caller keeps a thread for itself. If it is that on which the other one handles its
 * exception, then the other one finishes on another thread.
 */
bool moved()
{
	bool same;

	go(mover, nullptr);
	CHECK(gs_chan_recv(from_mover, nullptr) == 1);
	CHECK(!gs_lock_thread());
	same = gettid() == mover_was;
	CHECK(!std::current_exception());
	CHECK(!gs_chan_send(to_mover, nullptr));
	CHECK(gs_chan_recv(from_mover, nullptr) == 1);
	CHECK(!std::current_exception());
	CHECK(!gs_unlock_thread());
	if (same)
		CHECK(mover_is != mover_was);
	return same;
}

void handle_on_another_thread()
{
	int times = 0;

	to_mover = gs_chan_new(0, 0);
	from_mover = gs_chan_new(0, 0);
	for (int i = 0; i < 100000 && times < 20; i++)
		times += moved();
	CHECK(times == 20);
}

/* --------------------------------------------------------------- one begins, one ends */

void innocent(void *arg)
{
	(void)arg;
	CHECK(!std::current_exception());
	CHECK(std::uncaught_exceptions() == 0);
	gs_yield();
	CHECK(!std::current_exception());
	gs_wg_done(&all);
}

void leaves_in_handler(void *arg)
{
	(void)arg;
	try {
		throw numbered(2);
	} catch (const numbered &e) {
		others(e.n);
		gs_wg_done(&all);
		gs_goexit();
	}
}

/* Of the thread's goroutines only one handles it; the next on its stack does not. */
void begin_and_end()
{
	for (int i = 0; i < 100; i++) {
		gs_wg_add(&all, 3);
		try {
			throw numbered(i);
		} catch (const numbered &) {
			go(innocent, nullptr);
			gs_yield();
			check_handling(i);
		}
		go(leaves_in_handler, nullptr);
		gs_yield();
		go(innocent, nullptr);
		gs_wg_wait(&all);
		CHECK(!std::current_exception());
	}
}

/* --------------------------------------------------------------------------- pinned */

void pinned_handler(void *arg)
{
	CHECK(!gs_lock_thread());
	handler(arg);
	CHECK(!gs_unlock_thread());
}

void wait_on_own_thread()
{
	many(pinned_handler);
}

/* ------------------------------------------------------------------------- uncaught */

[[noreturn]] void on_terminate()
{
	_exit(42);
}

void throws(void *arg)
{
	(void)arg;
	gs_yield();
	throw numbered(3);
}

void uncaught()
{
	std::set_terminate(on_terminate);
	go(throws, nullptr);
	for (;;)
		gs_yield();
}

/* ---------------------------------------------------------------------------- errno */

void errno_is_the_threads()
{
	errno = ENOENT;
	CHECK(*gs_errno_location() == ENOENT);
	gs_yield();
	errno = 0;
	CHECK(close(-1) == -1 && errno == EBADF);
}

/* ---------------------------------------------------------------------------- cases */

struct test {
	const char *name;
	void (*body)();
	int status;
};

const std::vector<test> tests = {
	{ "wait_in_handlers", wait_in_handlers, 0 },
	{ "wait_in_destructors", wait_in_destructors, 0 },
	{ "wait_when_nested", wait_when_nested, 0 },
	{ "handle_on_another_thread", handle_on_another_thread, 0 },
	{ "begin_and_end", begin_and_end, 0 },
	{ "wait_on_own_thread", wait_on_own_thread, 0 },
	{ "uncaught_terminates", uncaught, 42 },
	{ "errno", errno_is_the_threads, 0 },
};

const test *current;

int body(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	current->body();
	return 0;
}

/* Return: its exit status, -1 if it was killed. */
int run(const test &t)
{
	int status;
	pid_t pid;

	std::fflush(nullptr);
	pid = fork();
	if (!pid) {
		alarm(60);
		setenv("GSCHED_MAXPROCS", std::to_string(procs).c_str(), 1);
		current = &t;
		_exit(gs_main(body, 0, nullptr));
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

} /* namespace */

int main()
{
	const int counts[] = { 1, 2, 4 };
	int nr = 0, failed = 0;

	std::printf("TAP version 13\n1..%zu\n", tests.size() * 3);
	for (int n : counts) {
		procs = n;
		for (const test &t : tests) {
			int status = run(t);

			if (status != t.status)
				std::printf("# status %d, not %d\n", status, t.status);
			std::printf("%sok %d procs.%d.%s\n", status == t.status ? "" : "not ",
				    ++nr, n, t.name);
			failed += status != t.status;
		}
	}
	return failed ? 1 : 0;
}
