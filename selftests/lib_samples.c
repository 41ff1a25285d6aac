// SPDX-License-Identifier: GPL-2.0
/* The samples do what they say: each is run, and what it prints is looked at. */
#include "lib_check.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define OUT_SIZE	8192
#define ARGS_MOST	8
#define PATIENCE	(20000 * MS)	/* only bounds how long a failure takes */

/* ---------------------------------------------------------------- running a sample */

struct sample {
	char path[PATH_MAX];
	pid_t pid;
	int in, out;			/* its standard input and output */
	char text[OUT_SIZE];		/* what it has printed */
	int status;			/* its exit status, when it has ended */
};

/* Built beside the tests, or copied there. */
static bool find_sample(struct sample *s, const char *name)
{
	static const char *const places[] = { "../samples", "../../samples", "samples", "." };
	char self[PATH_MAX / 2];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	CHECK(n > 0);
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (unsigned int i = 0; i < sizeof(places) / sizeof(*places); i++) {
		snprintf(s->path, sizeof(s->path), "%s/%s/%s", self, places[i], name);
		if (!access(s->path, X_OK))
			return true;
	}
	return false;
}

static void start(struct sample *s, char **argv)
{
	int in[2], out[2];

	CHECK_EQ(0, pipe(in));
	CHECK_EQ(0, pipe(out));
	s->pid = fork();
	CHECK(s->pid >= 0);
	if (!s->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_DFL);
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		for (int i = 0; i < 2; i++) {
			close(in[i]);
			close(out[i]);
		}
		execv(s->path, argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	s->in = in[1];
	s->out = out[0];
}

/* Reads all that it prints, until it ends. */
static void finish(struct sample *s)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(s->out, s->text + len, sizeof(s->text) - 1 - len)) > 0)
		len += n;
	s->text[len] = '\0';
	close(s->out);
	CHECK_EQ(s->pid, waitpid(s->pid, &s->status, 0));
	s->status = WIFEXITED(s->status) ? WEXITSTATUS(s->status) : -WTERMSIG(s->status);
}

static void write_input(struct sample *s, const char *text)
{
	CHECK_EQ((ssize_t)strlen(text), write(s->in, text, strlen(text)));
}

FIXTURE(samples) { struct sample s; };

FIXTURE_SETUP(samples)
{
	/* They are not built with the sanitizers. */
	if (SANITIZED || !find_sample(&self->s, "hello"))
		SKIP(return, "no samples here");
	signal(SIGPIPE, SIG_IGN);
}

FIXTURE_TEARDOWN(samples) { (void)self; }

#define ARGV(...) ((char *[]){ __VA_ARGS__, NULL })

/* The sample that argv[0] names, with @input, or (NULL) an input that never comes. */
static void run(struct sample *s, const char *input, char **argv)
{
	CHECK(find_sample(s, argv[0]));
	start(s, argv);
	if (input) {
		write_input(s, input);
		close(s->in);
	}
	finish(s);
	if (!input)
		close(s->in);
}

/* ------------------------------------------------------------------- those that end */

TEST_F(samples, hello)
{
	run(&self->s, "", ARGV("hello"));
	EXPECT_EQ(0, self->s.status);
	EXPECT_NE(NULL, strstr(self->s.text, "hello from Ada\n"));
	EXPECT_NE(NULL, strstr(self->s.text, "hello from Barbara\n"));
	EXPECT_NE(NULL, strstr(self->s.text, "hello from Grace\n"));
}

TEST_F(samples, sieve)
{
	run(&self->s, "", ARGV("sieve", "12"));
	EXPECT_STREQ("2\n3\n5\n7\n11\n13\n17\n19\n23\n29\n31\n37\n", self->s.text);
	EXPECT_EQ(0, self->s.status);
}

TEST_F(samples, ring)
{
	run(&self->s, "", ARGV("ring", "2000", "5"));
	EXPECT_NE(NULL, strstr(self->s.text, "2000 goroutines, "));
	EXPECT_NE(NULL, strstr(self->s.text, ": the number is 10000\n"));
	EXPECT_EQ(0, self->s.status);
}

TEST_F(samples, worker_pool)
{
	run(&self->s, "", ARGV("worker_pool", "100000"));
	EXPECT_STREQ("below 100000: 77031, after 351 numbers at 1\n", self->s.text);
	EXPECT_EQ(0, self->s.status);
}

TEST_F(samples, pipeline)
{
	run(&self->s, "1\n2\n3\n4\n5\n6\n7\n8\n9\n-10\n", ARGV("pipeline"));
	EXPECT_STREQ("the sum of the squares is 385\n", self->s.text);
	EXPECT_EQ(0, self->s.status);
}

/* A stage fails while another waits for input that never comes. */
TEST_F(samples, pipeline_fails)
{
	struct sample *s = &self->s;

	CHECK(find_sample(s, "pipeline"));
	start(s, ARGV("pipeline"));
	write_input(s, "1\ntwo\n");
	finish(s);
	EXPECT_STREQ("line 2: not a number: two\nfailed: Invalid argument\n", s->text);
	EXPECT_EQ(1, s->status);
}

/* ----------------------------------------------------------------------------- chat */

static int chat_connect(const struct sockaddr_un *addr, socklen_t len, const char *name)
{
	struct timeval tv = { .tv_sec = PATIENCE / 1000000000 };
	int64_t end = gs_now() + PATIENCE;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	/* It may not listen yet. */
	while (connect(fd, (const struct sockaddr *)addr, len)) {
		CHECK(errno == ECONNREFUSED && gs_now() < end);
		usleep(10000);
	}
	CHECK(dprintf(fd, "%s\n", name) > 0);
	return fd;
}

static void chat_hears(int fd, const char *line)
{
	char got[256] = "";
	size_t len = strlen(line);

	CHECK_EQ((ssize_t)len, recv(fd, got, len, MSG_WAITALL));
	if (strcmp(line, got)) {
		fprintf(stderr, "# \"%s\" instead of \"%s\"\n", got, line);
		_exit(1);
	}
}

TEST_F(samples, chat_server)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char address[64], line[256];
	int ada, bob, eve, i;
	socklen_t len;

	snprintf(address, sizeof(address), "@gsched-chat-%d", getpid());
	/* In the abstract namespace: a null byte in the @'s place. */
	memcpy(addr.sun_path + 1, address + 1, strlen(address) - 1);
	len = offsetof(struct sockaddr_un, sun_path) + strlen(address);
	CHECK(find_sample(&self->s, "chat_server"));
	start(&self->s, ARGV("chat_server", "unix", address));

	ada = chat_connect(&addr, len, "Ada");
	chat_hears(ada, "* Ada comes, 1 here\n");
	bob = chat_connect(&addr, len, "Bob");
	chat_hears(ada, "* Bob comes, 2 here\n");
	chat_hears(bob, "* Bob comes, 2 here\n");
	/* Who never reads, and goes without a word, stops nobody; a socket holds less. */
	eve = chat_connect(&addr, len, "Eve");
	chat_hears(ada, "* Eve comes, 3 here\n");
	chat_hears(bob, "* Eve comes, 3 here\n");
	for (i = 0; i < 1500; i++) {
		snprintf(line, sizeof(line), "Ada: %0200d\n", i);
		CHECK(dprintf(ada, "%s", line + strlen("Ada: ")) > 0);
		chat_hears(bob, line);
		chat_hears(ada, line);
	}
	close(eve);
	chat_hears(ada, "* Eve goes, 2 here\n");
	chat_hears(bob, "* Eve goes, 2 here\n");
	CHECK_EQ(1, dprintf(bob, "\n"));
	chat_hears(ada, "* Bob goes, 1 here\n");
	EXPECT_EQ(0, recv(bob, &i, 1, 0));
	kill(self->s.pid, SIGTERM);
	close(self->s.in);
	finish(&self->s);
	EXPECT_EQ(-SIGTERM, self->s.status);
}

/* -------------------------------------------------------------------------- crawling */

#define TREE	31			/* pages /1 to /31, each with links to two more */

static struct site {
	int listener;
	pid_t pid;
	char url[64];
	int *now, *most;		/* requests at the same time */
} site;

static void answer(int fd, const char *path)
{
	int n = atoi(path + 1);

	if (!strcmp(path, "/never")) {
		gs_sleep(PATIENCE);
	} else if (!strcmp(path, "/never_and_1")) {
		dprintf(fd, "HTTP/1.0 200 OK\r\n\r\n<a href=\"/never\"><a href=\"/1\">");
	} else if (n >= 1 && n <= TREE) {
		gs_sleep(2 * MS);
		dprintf(fd, "HTTP/1.0 200 OK\r\n\r\n<a href=\"/1\">the first</a>"
			"<a href=\"http://localhost/elsewhere\">"
			"<a href=\"/%d#there\">left</a> <a href=\"/%d\">right</a>",
			2 * n > TREE ? 1 : 2 * n, 2 * n > TREE ? n : 2 * n + 1);
	} else {
		dprintf(fd, "HTTP/1.0 404 Not Found\r\n\r\n");
	}
}

static void serve(void *arg)
{
	int fd = (int)(intptr_t)arg, now, most;
	char text[1024], path[64];
	size_t len = 0;
	ssize_t n;

	now = __atomic_add_fetch(site.now, 1, __ATOMIC_RELAXED);
	most = __atomic_load_n(site.most, __ATOMIC_RELAXED);
	while (now > most &&
	       !__atomic_compare_exchange_n(site.most, &most, now, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
	do {
		n = gs_read(fd, text + len, sizeof(text) - 1 - len);
		len += n > 0 ? n : 0;
		text[len] = '\0';
	} while (n > 0 && !strstr(text, "\r\n\r\n"));
	if (sscanf(text, "GET %63s ", path) == 1)
		answer(fd, path);
	/* Before the other side may go on. */
	__atomic_sub_fetch(site.now, 1, __ATOMIC_RELAXED);
	gs_close(fd);
}

static int serve_all(int argc, char **argv)
{
	int fd;

	(void)argc;
	(void)argv;
	while ((fd = gs_accept(site.listener, NULL, NULL)) >= 0)
		go(serve, (void *)(intptr_t)fd);
	return 0;
}

static void site_start(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	site.now = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(site.now != MAP_FAILED);
	site.most = site.now + 1;
	site.listener = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(0, bind(site.listener, (struct sockaddr *)&addr, len));
	CHECK_EQ(0, listen(site.listener, 128));
	CHECK_EQ(0, getsockname(site.listener, (struct sockaddr *)&addr, &len));
	snprintf(site.url, sizeof(site.url), "http://127.0.0.1:%d", ntohs(addr.sin_port));
	site.pid = fork();
	CHECK(site.pid >= 0);
	if (!site.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(gs_main(serve_all, 0, NULL));
	}
	close(site.listener);
}

static void site_stop(void)
{
	kill(site.pid, SIGKILL);
	CHECK_EQ(site.pid, waitpid(site.pid, NULL, 0));
}

static char *url(const char *path)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s%s", site.url, path);
	return text;
}

TEST_F(samples, crawler)
{
	char line[32];
	int i;

	site_start();
	run(&self->s, "", ARGV("crawler", "-j", "3", url("/1")));
	EXPECT_EQ(0, self->s.status);
	for (i = 1; i <= TREE; i++) {
		snprintf(line, sizeof(line), "200 /%d\n", i);
		EXPECT_NE(NULL, strstr(self->s.text, line));
	}
	EXPECT_NE(NULL, strstr(self->s.text, "\n31 pages, 0 failed\n"));
	/* As many at once as allowed. */
	EXPECT_GE(3, *site.most);
	EXPECT_LE(2, *site.most);

	run(&self->s, "", ARGV("crawler", "-n", "5", url("/1")));
	EXPECT_EQ(0, self->s.status);
	EXPECT_NE(NULL, strstr(self->s.text, "\n5 pages, 0 failed\n"));

	run(&self->s, "", ARGV("crawler", url("/nowhere")));
	EXPECT_EQ(1, self->s.status);
	EXPECT_STREQ("404 /nowhere\n0 pages, 1 failed\n", self->s.text);
	site_stop();
}

/* The deadline ends what waits for an answer, and what waits for its turn. */
TEST_F(samples, crawler_deadline)
{
	int64_t begin;

	site_start();
	begin = gs_now();
	run(&self->s, "", ARGV("crawler", "-j", "1", "-t", "1", url("/never_and_1")));
	EXPECT_LE(begin + 1000 * MS, gs_now());
	/* Else it would have waited for the page's own deadline. */
	EXPECT_GT(begin + 9000 * MS, gs_now());
	EXPECT_EQ(1, self->s.status);
	EXPECT_NE(NULL, strstr(self->s.text, "200 /never_and_1\n"));
	EXPECT_NE(NULL, strstr(self->s.text, "; the time was over\n"));
	site_stop();
}

TEST_HARNESS_MAIN
