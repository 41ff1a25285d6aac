// SPDX-License-Identifier: GPL-2.0
/*
 * SQLite: two writers that wait for each other with a busy timeout, and commit with
 * fsync(); the others read. The database is in ./disk if that is there (a guest's
 * ext4 on a virtio disk), else in /tmp.
 */
#include "lib_blocking.h"

#define WRITERS		2
#define COMMITS		20
#define READS		10
#define PAUSE		(20 * MS)
#define BUSY_MS		20000

#if __has_include(<sqlite3.h>)

#include <sqlite3.h>

static char dir[64], path[96];

static void failed(sqlite3 *db, const char *what)
{
	fprintf(stderr, "# %s: %s\n", what, sqlite3_errmsg(db));
	_exit(1);
}

static void run_sql(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		failed(db, sql);
}

static int number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *q;
	int n;

	if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK ||
	    sqlite3_step(q) != SQLITE_ROW)
		failed(db, sql);
	n = sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	return n;
}

static sqlite3 *open_db(void)
{
	sqlite3 *db;

	if (sqlite3_open(path, &db) != SQLITE_OK)
		failed(db, path);
	CHECK_EQ(SQLITE_OK, sqlite3_busy_timeout(db, BUSY_MS));
	run_sql(db, "PRAGMA synchronous = FULL");
	return db;
}

/* Two rows in a transaction: who reads never sees one of them alone. */
static void write_rows(int writer)
{
	sqlite3 *db = open_db();
	char sql[128];
	int i;

	snprintf(sql, sizeof(sql), "BEGIN IMMEDIATE; INSERT INTO t VALUES (%d);"
		 "INSERT INTO t VALUES (%d); COMMIT", writer, -writer);
	for (i = 0; i < COMMITS; i++)
		run_sql(db, sql);
	CHECK_EQ(SQLITE_OK, sqlite3_close(db));
}

static void read_rows(void)
{
	sqlite3 *db = open_db();
	int i, n, before = 0;

	for (i = 0; i < READS; i++) {
		n = number(db, "SELECT count(*) FROM t");
		CHECK(n % 2 == 0 && n >= before);
		CHECK_EQ(0, number(db, "SELECT coalesce(sum(w), 0) FROM t"));
		before = n;
		usleep(PAUSE / 1000);
	}
	CHECK_EQ(SQLITE_OK, sqlite3_close(db));
}

static void one(int i)
{
	if (i < WRITERS)
		write_rows(i + 1);
	else
		read_rows();
}

static void all(void)
{
	sqlite3 *db = open_db();

	run_sql(db, "PRAGMA journal_mode = WAL; CREATE TABLE t (w INTEGER)");
	crowd_run("sqlite", crowd_size(), one, (crowd_size() - WRITERS) * READS * PAUSE);
	CHECK_EQ(WRITERS * COMMITS * 2, number(db, "SELECT count(*) FROM t"));
	CHECK_EQ(1, number(db, "SELECT count(*) FROM pragma_integrity_check "
			   "WHERE integrity_check = 'ok'"));
	CHECK_EQ(SQLITE_OK, sqlite3_close(db));
}

/* The writers alone, with a rollback journal: each commit is four flushes and more. */
static void writers(void)
{
	sqlite3 *db = open_db();

	run_sql(db, "CREATE TABLE t (w INTEGER)");
	crowd_run("sqlite, two writers", WRITERS, one, 0);
	CHECK_EQ(WRITERS * COMMITS * 2, number(db, "SELECT count(*) FROM t"));
	CHECK_EQ(SQLITE_OK, sqlite3_close(db));
}

FIXTURE(database) { char unused; };

FIXTURE_SETUP(database)
{
	self->unused = 0;
	snprintf(dir, sizeof(dir), "%s/sqlite.XXXXXX", access("disk", W_OK) ? "/tmp" : "disk");
	ASSERT_TRUE(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/db", dir);
}

FIXTURE_TEARDOWN(database)
{
	static const char *const suffix[] = { "", "-wal", "-shm", "-journal" };
	char name[128];
	unsigned int i;

	self->unused = 0;
	for (i = 0; i < sizeof(suffix) / sizeof(*suffix); i++) {
		snprintf(name, sizeof(name), "%s%s", path, suffix[i]);
		unlink(name);
	}
	rmdir(dir);
}

TEST_F(database, two_writers_and_readers)
{
	EXPECT_EQ(0, run_on(1, all));
}

TEST_F(database, two_writers)
{
	EXPECT_EQ(0, run_on(1, writers));
}

#else

TEST(database)
{
	SKIP(return, "built without SQLite's headers");
}

#endif

TEST_HARNESS_MAIN
