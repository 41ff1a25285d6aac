// SPDX-License-Identifier: LGPL-2.1 OR MIT
/*
 * sqlite_workers: goroutines that take jobs from a channel and put the results into an
 * SQLite database, while another goroutine prints a line each 100 ms.
 *
 *   sqlite_workers DATABASE [WORKERS [JOBS]]
 *
 * Each worker has a connection of its own, as each thread of an ordinary program would.
 * sqlite3_step() locks, sleeps and waits for the disk: with the module a worker in it
 * hands its P on, and the line comes in time, on a single P too.
 *
 *   cc -O2 -o sqlite_workers sqlite_workers.c -lgsched -lsqlite3 -pthread
 */
#include <stdio.h>
#include <stdlib.h>

#include <gsched.h>
#include <sqlite3.h>

#define BUSY_MS		10000

static const char *path;
static gs_chan *jobs;
static gs_wg workers = GS_WG_INIT;
static long done;

static void die(const char *what, sqlite3 *db)
{
	fprintf(stderr, "sqlite_workers: %s: %s\n", what, sqlite3_errmsg(db));
	exit(1);
}

static void execute(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		die(sql, db);
}

static sqlite3 *open_database(void)
{
	sqlite3 *db;

	if (sqlite3_open(path, &db) != SQLITE_OK)
		die(path, db);
	/* Who finds the database locked sleeps and tries again, for so long. */
	sqlite3_busy_timeout(db, BUSY_MS);
	return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		die(sql, db);
	return stmt;
}

static void worker(void *arg)
{
	sqlite3 *db = open_database();
	sqlite3_stmt *insert = prepare(db, "INSERT INTO results VALUES (?, ?)");
	long job;

	(void)arg;
	while (gs_chan_recv(jobs, &job) == 1) {
		sqlite3_bind_int64(insert, 1, job);
		sqlite3_bind_int64(insert, 2, job * job);
		if (sqlite3_step(insert) != SQLITE_DONE)
			die("INSERT", db);
		sqlite3_reset(insert);
		__atomic_add_fetch(&done, 1, __ATOMIC_RELAXED);
	}
	sqlite3_finalize(insert);
	sqlite3_close(db);
	gs_wg_done(&workers);
}

static void report(void *arg)
{
	int64_t begin = gs_now(), next = begin;

	(void)arg;
	for (;;) {
		next += 100000000;
		gs_sleep_until(next);
		printf("%6.1f ms: %ld jobs done\n", (gs_now() - begin) / 1e6,
		       __atomic_load_n(&done, __ATOMIC_RELAXED));
	}
}

static int run(int argc, char **argv)
{
	int nr_workers = argc > 2 ? atoi(argv[2]) : 8;
	long nr_jobs = argc > 3 ? atol(argv[3]) : 200;
	sqlite3 *db = open_database();

	execute(db, "PRAGMA journal_mode = WAL");
	execute(db, "CREATE TABLE IF NOT EXISTS results (job INTEGER, square INTEGER)");
	jobs = gs_chan_new(sizeof(long), 0);
	gs_go(report, NULL);
	gs_wg_add(&workers, nr_workers);
	for (int i = 0; i < nr_workers; i++)
		gs_go(worker, NULL);
	for (long job = 1; job <= nr_jobs; job++)
		gs_chan_send(jobs, &job);
	gs_chan_close(jobs);
	gs_wg_wait(&workers);
	printf("%ld jobs done by %d workers on %d Ps, %s backend\n", done, nr_workers,
	       gs_set_maxprocs(0), gs_backend());
	gs_chan_unref(jobs);
	sqlite3_close(db);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: sqlite_workers DATABASE [WORKERS [JOBS]]\n");
		return 2;
	}
	path = argv[1];
	return gs_main(run, argc, argv) ? 1 : 0;
}
