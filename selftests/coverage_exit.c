// SPDX-License-Identifier: GPL-2.0
/*
 * coverage_exit.c: what a process has counted is written down before it ends by
 * _exit(), abort() or a signal that it raises. The linker (--wrap) leads these calls
 * here; exit() writes by itself.
 */
void __gcov_dump(void);
void __real__exit(int status) __attribute__((noreturn));
void __real_abort(void) __attribute__((noreturn));
int __real_raise(int sig);
void __wrap__exit(int status) __attribute__((noreturn));
void __wrap_abort(void) __attribute__((noreturn));
int __wrap_raise(int sig);

/* Further calls of it in a process do nothing; threads that go on do not matter. */
void __wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}

void __wrap_abort(void)
{
	__gcov_dump();
	__real_abort();
}

int __wrap_raise(int sig)
{
	__gcov_dump();
	return __real_raise(sig);
}
