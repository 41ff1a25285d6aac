// SPDX-License-Identifier: GPL-2.0
/*
 * libcurl's easy interface against nginx, which sends a page in two parts and lets
 * PAUSE pass between them.
 */
#include "lib_blocking.h"

#define PAUSE		(400 * MS)
#define PAGE_SIZE	3000
#define FIRST_PART	2048

#if __has_include(<curl/curl.h>)

#include <arpa/inet.h>
#include <ftw.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <curl/curl.h>

static char dir[] = "/tmp/lib_blocking_curl.XXXXXX";
static char page[PAGE_SIZE];
static int port;

/* ------------------------------------------------------------------------ nginx */

static FILE *create(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fopen(path, "w");
}

static bool write_page(void)
{
	FILE *f = create("page");
	int i;

	for (i = 0; i < PAGE_SIZE; i++)
		page[i] = ' ' + i * 7 % 95;
	return f && fwrite(page, PAGE_SIZE, 1, f) == 1 && !fclose(f);
}

/* No file of it lies outside of @dir, and nothing in it needs root. */
static bool write_conf(void)
{
	static const char *const temp[] = { "client_body", "proxy", "fastcgi", "uwsgi", "scgi" };
	FILE *f = create("nginx.conf");
	unsigned int i;

	if (!f)
		return false;
	fprintf(f, "daemon off;\nmaster_process off;\npid %s/pid;\nevents { }\n", dir);
	fprintf(f, "http {\n\taccess_log off;\n");
	for (i = 0; i < sizeof(temp) / sizeof(*temp); i++)
		fprintf(f, "\t%s_temp_path %s/%s;\n", temp[i], dir, temp[i]);
	/* After a part nginx waits for as long as the rate asks for. */
	fprintf(f, "\tsendfile on;\n\tsendfile_max_chunk %d;\n", FIRST_PART);
	fprintf(f, "\tserver {\n\t\tlisten 127.0.0.1:%d;\n\t\troot %s;\n", port, dir);
	fprintf(f, "\t\tlocation /page { limit_rate %lld; }\n", FIRST_PART * 1000 * MS / PAUSE);
	fprintf(f, "\t\tlocation /short { return 200 \"%s\"; }\n\t}\n}\n", "at once");
	return !fclose(f);
}

static void nginx(void)
{
	char conf[64], log[64];

	snprintf(conf, sizeof(conf), "%s/nginx.conf", dir);
	snprintf(log, sizeof(log), "%s/log", dir);
	execlp("nginx", "nginx", "-e", log, "-c", conf, NULL);
}

static int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	if (bind(fd, (struct sockaddr *)&a, len) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		return 0;
	close(fd);
	return ntohs(a.sin_port);
}

static bool accepts(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = !connect(fd, (struct sockaddr *)&a, sizeof(a));

	close(fd);
	return ok;
}

/* Return: false if it ended, or does not listen after ten seconds. */
static bool wait_for(pid_t server)
{
	int i;

	for (i = 0; i < 1000 && !accepts(); i++) {
		if (waitpid(server, NULL, WNOHANG))
			return false;
		usleep(10000);
	}
	return i < 1000;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static bool in_path(const char *program)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	return system(command) == 0;
}

/* ----------------------------------------------------------------------- fetching */

struct body {
	size_t len;
	bool wrong;
	char text[PAGE_SIZE];
};

static size_t take(char *data, size_t size, size_t n, void *arg)
{
	struct body *b = arg;

	if (size * n > sizeof(b->text) - b->len)
		return 0;		/* which ends the transfer */
	memcpy(b->text + b->len, data, size * n);
	b->len += size * n;
	return size * n;
}

static long fetch(CURL *curl, const char *path, struct body *b)
{
	char url[64];
	long status = 0;
	CURLcode err;

	b->len = 0;
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/%s", port, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, b);
	err = curl_easy_perform(curl);
	if (err) {
		fprintf(stderr, "# %s: %s\n", url, curl_easy_strerror(err));
		CHECK(0);
	}
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* A slow page, and a short one on the same connection. */
static void one(int i)
{
	CURL *curl = curl_easy_init();
	struct body b;

	(void)i;
	CHECK(curl);
	CHECK_EQ(200, fetch(curl, "page", &b));
	CHECK_EQ(PAGE_SIZE, b.len);
	CHECK(memcmp(b.text, page, PAGE_SIZE) == 0);
	CHECK_EQ(200, fetch(curl, "short", &b));
	CHECK_EQ(strlen("at once"), b.len);
	CHECK(memcmp(b.text, "at once", b.len) == 0);
	CHECK_EQ(404, fetch(curl, "none", &b));
	curl_easy_cleanup(curl);
}

static void all(void)
{
	/* A server counts its time from the clock of its last event. */
	crowd_run("curl_easy_perform", crowd_size(), one, crowd_size() * PAUSE * 9 / 10);
}

TEST(curl_easy)
{
	pid_t server;

	if (!in_path("nginx"))
		SKIP(return, "no nginx in PATH");
	ASSERT_TRUE(mkdtemp(dir));
	port = free_port();
	ASSERT_TRUE(port && write_page() && write_conf());
	ASSERT_EQ(0, chmod(dir, 0755));
	ASSERT_EQ(0, curl_global_init(CURL_GLOBAL_DEFAULT));
	server = server_start(nginx);
	EXPECT_TRUE(wait_for(server)) {
		fprintf(stderr, "# nginx does not start; see %s/log\n", dir);
		return;
	}
	EXPECT_EQ(0, run_on(1, all));
	server_stop(server);
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#else

TEST(curl_easy)
{
	SKIP(return, "built without libcurl's headers");
}

#endif

TEST_HARNESS_MAIN
