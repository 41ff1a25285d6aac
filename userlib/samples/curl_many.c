// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * curl_many: fetch URLs with libcurl's easy interface, each in a goroutine.
 *
 *   curl_many URL...
 *
 * curl_easy_perform() blocks, resolves names and speaks TLS as it always does, and
 * knows nothing of goroutines. With the module a goroutine that blocks in it hands its
 * P on, so the transfers run at the same time, on a single P too; on the portable
 * backend as many run at the same time as there are Ps.
 *
 *   cc -O2 -o curl_many curl_many.c -lgsched -lcurl -pthread
 *
 * Exit status 0: every transfer succeeded, with a status code below 400.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>
#include <gsched.h>

struct transfer {
	const char *url;
	CURLcode err;
	long status;
	size_t bytes;
	int64_t ns;
};

static gs_wg running = GS_WG_INIT;

static size_t count_bytes(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	(void)data;
	t->bytes += size * n;
	return size * n;
}

static CURLcode perform(CURL *curl, struct transfer *t)
{
	CURLcode err;

	curl_easy_setopt(curl, CURLOPT_URL, t->url);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	/* As in any program with threads: libcurl shall not use signals. */
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	err = curl_easy_perform(curl);
	if (!err)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &t->status);
	return err;
}

static void transfer(void *arg)
{
	struct transfer *t = arg;
	CURL *curl = curl_easy_init();
	int64_t begin = gs_now();

	t->err = curl ? perform(curl, t) : CURLE_OUT_OF_MEMORY;
	t->ns = gs_now() - begin;
	curl_easy_cleanup(curl);
	gs_wg_done(&running);
}

static bool print(const struct transfer *t)
{
	if (t->err)
		printf("%s: %s\n", t->url, curl_easy_strerror(t->err));
	else
		printf("%s: status code %ld, %zu bytes, %.1f ms\n", t->url, t->status, t->bytes,
		       t->ns / 1e6);
	return !t->err && t->status < 400;
}

static int run(int argc, char **argv)
{
	struct transfer *t = calloc(argc, sizeof(*t));
	int64_t begin = gs_now();
	int failed = 0;

	if (!t)
		return 1;
	for (int i = 1; i < argc; i++) {
		t[i].url = argv[i];
		gs_wg_add(&running, 1);
		if (gs_go(transfer, &t[i])) {
			fprintf(stderr, "curl_many: cannot start a goroutine\n");
			return 1;
		}
	}
	gs_wg_wait(&running);
	for (int i = 1; i < argc; i++)
		failed += !print(&t[i]);
	printf("%d transfers, %d failed; %.1f ms on %d Ps, %s backend\n", argc - 1, failed,
	       (gs_now() - begin) / 1e6, gs_set_maxprocs(0), gs_backend());
	free(t);
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: curl_many URL...\n");
		return 2;
	}
	/* While there is one thread only. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return 1;
	status = gs_main(run, argc, argv);
	curl_global_cleanup();
	return status < 0 ? 1 : status;
}
