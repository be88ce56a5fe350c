"""The ADBC driver for Flight SQL against a worker: what it may, and what is refused."""

import datetime
import decimal
import os
import threading

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pyarrow
from adbc_driver_flightsql import DatabaseOptions

URI = os.environ["WORKER_URI"]
TOKEN = os.environ["WORKER_TOKEN"]
NAME = os.environ["WORKER_NAME"]
with open(os.environ["WORKER_CERTIFICATE"]) as file:
    CERTIFICATE = file.read()


def connect(token=TOKEN, certificate=CERTIFICATE, name=NAME, autocommit=True):
    options = {
        DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}",
        DatabaseOptions.TLS_ROOT_CERTS.value: certificate,
        DatabaseOptions.TLS_OVERRIDE_HOSTNAME.value: name,
    }
    return flightsql.connect(URI, db_kwargs=options, autocommit=autocommit)


def refused(work, *words):
    try:
        work()
    except adbc_driver_manager.Error as error:
        assert any(word in str(error) for word in words), error
        return
    raise AssertionError(f"was not refused; expected one of {words}")


def one(cursor, query, parameters=None):
    cursor.execute(query, parameters)
    return cursor.fetchone()


def queries():
    with connect() as connection, connection.cursor() as cursor:
        assert one(cursor, "SELECT 40 + 2") == (42,)
        row = one(cursor, "SELECT 1.25::DECIMAL(9, 2), DATE '2020-02-29', [1, NULL], {'a': 'ü'}, NULL")
        assert row[0] == decimal.Decimal("1.25"), row
        assert row[1] == datetime.date(2020, 2, 29), row
        assert (row[2], row[3], row[4]) == ([1, None], {"a": "ü"}, None), row
        zoned = one(cursor, "SELECT TIMESTAMPTZ '2020-06-01 12:00:00+02', INTERVAL 3 DAY")
        assert zoned[0].astimezone(datetime.timezone.utc).hour == 10, zoned
        cursor.execute("SELECT i FROM range(100000) t(i)")
        assert cursor.fetch_arrow_table().num_rows == 100000
        refused(lambda: cursor.execute("SELEC 1"), "syntax error")
        assert one(cursor, "SELECT 'still here'") == ("still here",)


def prepared():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE t (id BIGINT PRIMARY KEY, name VARCHAR, seen TIMESTAMPTZ)")
        noon = datetime.datetime(2020, 6, 1, 12, tzinfo=datetime.timezone.utc)
        cursor.executemany("INSERT INTO t VALUES (?, ?, ?)", [(1, "a", noon), (2, None, None)])
        assert one(cursor, "SELECT count(*) FROM t") == (2,)
        row = one(cursor, "SELECT id, seen FROM t WHERE name = ? AND id < ?", ("a", 10))
        assert row[0] == 1 and row[1] == noon, row
        assert one(cursor, "SELECT ? + 1, ?", (41, "x")) == (42, "x")
        refused(lambda: cursor.executemany("INSERT INTO t VALUES (?, ?, ?)", [(3, "c", None), (1, "d", None)]),
                "Duplicate key")
        assert one(cursor, "SELECT count(*) FROM t") == (2,), "all or nothing"


def transactions():
    with connect() as reader, reader.cursor() as outside:
        outside.execute("CREATE OR REPLACE TABLE accounts (a INT)")
        outside.fetchall()
        with connect(autocommit=False) as writer, writer.cursor() as cursor:
            for finish, rows in ((writer.rollback, 0), (writer.commit, 1)):
                cursor.execute("INSERT INTO accounts VALUES (1)")
                cursor.fetchall()
                assert one(outside, "SELECT count(*) FROM accounts") == (0,)
                finish()
                assert one(outside, "SELECT count(*) FROM accounts") == (rows,)


def catalog():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE orders (id BIGINT NOT NULL, tags VARCHAR[])")
        cursor.fetchall()
        info = connection.adbc_get_info()
        assert "DuckDB" in info["vendor_name"] and info["vendor_version"] == "v1.5.6", info
        assert "TABLE" in connection.adbc_get_table_types()
        schema = connection.adbc_get_table_schema("orders", db_schema_filter="main")
        assert schema.names == ["id", "tags"], schema
        assert schema.field("id").type == pyarrow.int64(), schema
        objects = connection.adbc_get_objects(depth="all", table_name_filter="orders").read_all().to_pylist()
        tables = [
            (catalog["catalog_name"], schema["db_schema_name"], table["table_name"],
             [column["column_name"] for column in table["table_columns"]])
            for catalog in objects
            for schema in catalog["catalog_db_schemas"] or []
            for table in schema["db_schema_tables"] or []
        ]
        assert tables == [("memory", "main", "orders", ["id", "tags"])], tables


def strangers():
    refused(lambda: connect(token="wrong").cursor().execute("SELECT 1"), "UNAUTHENTICATED", "Unauthenticated")
    refused(lambda: connect(token="").cursor().execute("SELECT 1"), "UNAUTHENTICATED", "Unauthenticated")
    refused(lambda: connect(name="w2.data.duckworker").cursor().execute("SELECT 1"), "w2.data.duckworker")


def cancellation():
    with connect() as connection, connection.cursor() as cursor:
        timer = threading.Timer(1.0, cursor.adbc_cancel)
        timer.start()
        endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
        refused(lambda: one(cursor, endless), "CANCELLED", "Cancelled", "cancelled", "canceled")
        timer.join()
    with connect() as connection, connection.cursor() as cursor:
        assert one(cursor, "SELECT 1") == (1,)


def large():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT repeat('x', 1000) || i AS text FROM range(1000000) t(i)")
        rows = size = 0
        for batch in cursor.fetch_record_batch():
            rows += batch.num_rows
            size += batch.nbytes
        assert rows == 1_000_000 and size > 1_000_000_000, (rows, size)
        print(f"streamed {size >> 20} MiB")


for check in (queries, prepared, transactions, catalog, strangers, cancellation, large):
    check()
    print(f"{check.__name__}: ok", flush=True)
print("all checks passed")
