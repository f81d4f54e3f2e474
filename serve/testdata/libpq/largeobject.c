/* Uses a large object in every way that libpq has, and prints what comes of it. Arguments: a connection string. */
#include <libpq-fe.h>
#include <libpq/libpq-fs.h>
#include <stdio.h>
#include <string.h>

static void sql(PGconn *conn, const char *text)
{
	PGresult *r = PQexec(conn, text);
	printf("%s: %s\n", text, PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK ? PQcmdStatus(r) : PQerrorMessage(conn));
	PQclear(r);
}

int main(int argc, char **argv)
{
	char buffer[64];
	PGconn *conn = PQconnectdb(argv[1]);
	if (argc < 2 || PQstatus(conn) != CONNECTION_OK) {
		printf("%s", PQerrorMessage(conn));
		return 1;
	}
	sql(conn, "BEGIN");
	Oid oid = lo_create(conn, 4711471);
	printf("lo_create %u\n", oid);
	int fd = lo_open(conn, oid, INV_READ | INV_WRITE);
	printf("lo_open %d\n", fd);
	printf("lo_write %d\n", lo_write(conn, fd, "hello, large world", 18));
	printf("lo_lseek %d\n", lo_lseek(conn, fd, 7, SEEK_SET));
	printf("lo_tell %d\n", lo_tell(conn, fd));
	memset(buffer, 0, sizeof buffer);
	printf("lo_read %d", lo_read(conn, fd, buffer, 5));
	printf(" %s\n", buffer);
	printf("lo_lseek64 %lld\n", (long long) lo_lseek64(conn, fd, -5, SEEK_END));
	printf("lo_tell64 %lld\n", (long long) lo_tell64(conn, fd));
	printf("lo_truncate %d\n", lo_truncate(conn, fd, 10));
	printf("lo_truncate64 %d\n", lo_truncate64(conn, fd, 5));
	printf("lo_close %d\n", lo_close(conn, fd));
	printf("lo_open of none %d %s", lo_open(conn, 4711472, INV_READ), PQerrorMessage(conn));
	sql(conn, "SELECT 1");
	sql(conn, "ROLLBACK");
	oid = lo_creat(conn, INV_READ | INV_WRITE);
	printf("lo_creat %d\n", oid != 0);
	printf("lo_unlink %d\n", lo_unlink(conn, oid));
	printf("lo_unlink again %d\n", lo_unlink(conn, oid));
	sql(conn, "SELECT 1");
	PQfinish(conn);
	return 0;
}
