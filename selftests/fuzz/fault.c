// SPDX-License-Identifier: GPL-2.0
/*
 * Touching memory that may not be there: the signal ends the attempt.
 */
#include "fuzz.h"

static __thread sigjmp_buf fault_jump;
static __thread volatile sig_atomic_t fault_armed;

static void on_fault(int sig)
{
	if (!fault_armed)
		_exit(128 + sig);
	siglongjmp(fault_jump, 1);
}

static void on_signal(int sig)
{
	(void)sig;
}

/** fault_init - signals that end nothing but a sleep, or an attempt. */
void fault_init(void)
{
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	struct sigaction other = { .sa_handler = on_signal };

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGUSR1, &other, NULL);
	sigaction(SIGUSR2, &other, NULL);
	sigaction(SIGALRM, &other, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

/** fault_guard - call @fn. Return: false: a fault has ended it. */
bool fault_guard(void (*fn)(void *arg), void *arg)
{
	if (sigsetjmp(fault_jump, 0)) {
		fault_armed = 0;
		return false;
	}
	fault_armed = 1;
	fn(arg);
	fault_armed = 0;
	return true;
}

struct copy {
	void *to;
	const void *from;
	size_t n;
};

static void copy(void *arg)
{
	struct copy *c = arg;

	memcpy(c->to, c->from, c->n);
}

/** guarded_copy - memcpy(). Return: false: some of it is not there. */
bool guarded_copy(void *to, const void *from, size_t n)
{
	struct copy c = { to, from, n };

	return fault_guard(copy, &c);
}
