// SPDX-License-Identifier: GPL-2.0
/*
 * Process 1 of the guest that vm.sh boots.
 *
 *   1. run /vm/rc: mounts, settings, insmod
 *   2. run the command of /vm/argv (NUL-terminated strings), with stdout and
 *      stderr in one pipe, and copy that pipe to OUT_PORT as it comes
 *   3. run /vm/end STATUS: rmmod, and collect what goes back to the host
 *   4. copy /vm/end.tar to END_PORT, and leave QEMU
 *
 * Both ports are QEMU's isa-debugcon: a byte written there is a byte in the
 * chardev behind it. A serial line would add a line discipline, an interrupt
 * each 16 bytes, and be slower.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUT_PORT	0xe9
#define END_PORT	0xea
#define EXIT_PORT	0xf4	/* isa-debug-exit */

#define TEST_DIR	"/test"
#define NOFILE		200000

static void leave(void)
{
	outl(0, EXIT_PORT);
	for (;;)
		pause();
}

static void die(const char *what)
{
	fprintf(stderr, "vm init: %s: %s\n", what, strerror(errno));
	leave();
}

static void port_write(unsigned short port, const char *buf, size_t len)
{
	asm volatile("rep outsb" : "+S"(buf), "+c"(len) : "d"(port) : "memory");
}

/* Copy what can be read now; false at the end of the file. */
static int copy_some(int fd, unsigned short port)
{
	static char buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0)
		port_write(port, buf, n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Exit status as the shell gives it. */
static int status_of(int wstatus)
{
	return WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 128 + WTERMSIG(wstatus);
}

/* Run a script with the console as its output. */
static int run_script(const char *path, const char *arg)
{
	int wstatus;
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		execl("/bin/sh", "sh", path, arg, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &wstatus, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	return status_of(wstatus);
}

static char **read_argv(void)
{
	static char buf[1 << 20];
	static char *argv[65536];
	int fd = open("/vm/argv", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
	int argc = 0;

	if (len <= 0)
		die("/vm/argv");
	close(fd);
	for (char *p = buf; p < buf + len; p += strlen(p) + 1)
		argv[argc++] = p;
	return argv;
}

static void child(char **argv, int out)
{
	struct rlimit nofile = { NOFILE, NOFILE };
	int null = open("/dev/null", O_RDONLY);

	setsid();
	setrlimit(RLIMIT_NOFILE, &nofile);
	if (chdir(TEST_DIR) || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	close(null);
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Collect every dead child; true when PID was among them. */
static int reap(pid_t pid, int *status)
{
	int wstatus, found = 0;
	pid_t dead;

	while ((dead = waitpid(-1, &wstatus, WNOHANG)) > 0) {
		if (dead == pid) {
			*status = status_of(wstatus);
			found = 1;
		}
	}
	return found;
}

/*
 * Relay the command's output until it ends. What others still hold of the pipe
 * by then does not keep us: only what is in it already is copied.
 */
static int run_command(char **argv)
{
	struct signalfd_siginfo info;
	struct pollfd pfd[2];
	int pipefd[2], status = 0;
	sigset_t chld, old;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &chld, &old))
		die("sigprocmask");
	if (pipe2(pipefd, O_CLOEXEC) || fcntl(pipefd[0], F_SETFL, O_NONBLOCK))
		die("pipe");
	pfd[0] = (struct pollfd){ .fd = pipefd[0], .events = POLLIN };
	pfd[1] = (struct pollfd){ .events = POLLIN };
	pfd[1].fd = signalfd(-1, &chld, SFD_CLOEXEC);
	pid = fork();
	if (pfd[1].fd < 0 || pid < 0)
		die("signalfd or fork");
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		child(argv, pipefd[1]);
	}
	close(pipefd[1]);

	for (;;) {
		if (poll(pfd, 2, -1) < 0)
			die("poll");
		if (pfd[0].revents && !copy_some(pipefd[0], OUT_PORT))
			pfd[0].fd = -1;	/* the command closed its output */
		if (pfd[1].revents && read(pfd[1].fd, &info, sizeof(info)) > 0 &&
		    reap(pid, &status))
			break;
	}
	while (poll(pfd, 1, 0) > 0 && copy_some(pipefd[0], OUT_PORT))
		;
	return status;
}

/* The kernel opens none of the three where it has no console that can be opened. */
static void reserve_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(void)
{
	char arg[16];
	int status, fd;

	reserve_standard_descriptors();
	if (iopl(3))
		die("iopl");
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "dumb", 1);
	if (run_script("/vm/rc", NULL))
		leave();	/* no end.tar: vm.sh knows, the console tells why */
	status = run_command(read_argv());
	snprintf(arg, sizeof(arg), "%d", status);
	run_script("/vm/end", arg);
	fd = open("/vm/end.tar", O_RDONLY);
	while (fd >= 0 && copy_some(fd, END_PORT))
		;
	leave();
}
