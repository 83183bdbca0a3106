// A database whose index is shared memory: sqlite.c insert|check FILE. insert makes
// 10,000 rows in a hundred transactions and says after each how many rows are safe;
// now and then another process counts them. check asks the database whether it is whole.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static sqlite3 *db;

static void die(const char *what)
{
	printf("%s: %s\n", what, sqlite3_errmsg(db));
	exit(1);
}

static void run(const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		die(sql);
}

static const char *ask(const char *sql)
{
	static char answer[100];
	sqlite3_stmt *s;
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
		die(sql);
	snprintf(answer, sizeof answer, "%s", sqlite3_column_text(s, 0));
	sqlite3_finalize(s);
	return answer;
}

static void open_db(const char *path)
{
	if (sqlite3_open(path, &db) != SQLITE_OK)
		die(path);
	sqlite3_busy_timeout(db, 10000);
}

static void insert(const char *path)
{
	char sql[200];
	open_db(path);
	printf("journal %s\n", ask("PRAGMA journal_mode=WAL"));
	run("PRAGMA synchronous=FULL");
	run("CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)");
	for (int i = 0; i < 10000; i += 100) {
		run("BEGIN");
		for (int k = i; k < i + 100; k++) {
			snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%d, 'row %d of a table that is not small')", k, k);
			run(sql);
		}
		run("COMMIT");
		printf("%d safe\n", i + 100);
		fflush(stdout);
		if (i % 2000 == 0 && !fork()) {
			open_db(path); // the parent's connection is not this process's to use
			printf("another process counts %s\n", ask("SELECT count(*) FROM t"));
			fflush(stdout);
			_exit(0);
		}
		if (i % 2000 == 0)
			wait(NULL);
	}
	sqlite3_close(db);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "insert")) {
		insert(argv[2]);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "check")) {
		open_db(argv[2]);
		printf("%s\n", ask("PRAGMA integrity_check"));
		printf("%s\n", ask("SELECT count(*) FROM t"));
		return 0;
	}
	return 2;
}
