//! Data and queries after TPC-H, whose generator the library does not hold: the tables of orders
//! and their lines, made by formulas, the same every time.

use std::path::Path;

use duckdb::Connection;

/// How many lines there are.
pub const LINES: u32 = 10_000_000;

/// A query and what it is like.
pub struct Query {
    /// What it is like.
    pub name: &'static str,
    /// Its text.
    pub sql: &'static str,
}

/// Queries that take the engine some time.
pub const QUERIES: [Query; 7] = [
    Query {
        name: "summary of lines (Q1)",
        sql: "SELECT flag, status, sum(quantity) AS q, sum(price) AS p, \
              sum(price * (1 - discount)) AS d, sum(price * (1 - discount) * (1 + tax)) AS c, \
              avg(quantity), avg(price), avg(discount), count(*) FROM line \
              WHERE shipped <= DATE '1998-09-02' GROUP BY ALL ORDER BY ALL",
    },
    Query {
        name: "largest open orders (Q3)",
        sql: "SELECT l.order_id, sum(price * (1 - discount)) AS revenue, ordered, priority \
              FROM orders o JOIN line l ON l.order_id = o.id \
              WHERE ordered < DATE '1995-03-15' AND shipped > DATE '1995-03-15' \
              GROUP BY ALL ORDER BY revenue DESC LIMIT 10",
    },
    Query {
        name: "orders with late lines (Q4)",
        sql: "SELECT priority, count(*) FROM orders o WHERE EXISTS \
              (SELECT 1 FROM line l WHERE l.order_id = o.id AND l.committed < l.received) \
              GROUP BY ALL ORDER BY ALL",
    },
    Query {
        name: "large customers (Q18)",
        sql: "SELECT customer, id, total, sum(quantity) FROM orders o JOIN line l ON l.order_id = o.id \
              WHERE id IN (SELECT order_id FROM line GROUP BY order_id HAVING sum(quantity) > 180) \
              GROUP BY ALL ORDER BY total DESC, id LIMIT 100",
    },
    Query {
        name: "running totals (window)",
        sql: "SELECT max(s) FROM (SELECT sum(price) OVER (PARTITION BY order_id ORDER BY number) AS s \
              FROM line WHERE order_id < 800000)",
    },
    Query {
        name: "texts that match",
        sql: "SELECT priority, count(*) FROM orders WHERE regexp_matches(comment, '1[0-9]*7.*a') \
              GROUP BY ALL ORDER BY ALL",
    },
    Query {
        name: "a sorted result, 500 000 rows",
        sql: "SELECT id, customer, ordered, total FROM orders ORDER BY total DESC, id LIMIT 500000",
    },
];

/// Queries that are nothing but their rows.
pub const SCANS: [Query; 1] = [Query {
    name: "scan of 10 million rows",
    sql: "SELECT order_id, number, quantity, shipped FROM line",
}];

/// Writes the tables into a new database file.
pub fn make(file: &Path) {
    let script = format!(
        "CREATE TABLE orders AS SELECT i AS id, hash(i) % 150000 AS customer, \
           DATE '1992-01-01' + (hash(i, 1) % 2400)::INT AS ordered, \
           (hash(i, 2) % 50000000 / 100)::DECIMAL(12, 2) AS total, \
           ['1-URGENT', '2-HIGH', '3-MEDIUM', '4-LOW', '5-NONE'][1 + (hash(i, 3) % 5)::INT] AS priority, \
           md5(i::VARCHAR) AS comment FROM range({orders}) t(i); \
         CREATE TABLE line AS SELECT i // 4 AS order_id, (i % 4)::INT AS number, \
           (1 + hash(i, 4) % 50)::DECIMAL(12, 2) AS quantity, \
           (hash(i, 5) % 10000000 / 100)::DECIMAL(12, 2) AS price, \
           (hash(i, 6) % 11 / 100)::DECIMAL(12, 2) AS discount, \
           (hash(i, 7) % 9 / 100)::DECIMAL(12, 2) AS tax, \
           ['A', 'N', 'R'][1 + (hash(i, 8) % 3)::INT] AS flag, \
           ['F', 'O'][1 + (hash(i, 9) % 2)::INT] AS status, \
           DATE '1992-01-01' + (hash(i, 10) % 2500)::INT AS shipped, \
           DATE '1992-01-01' + (hash(i, 11) % 2500)::INT AS committed, \
           DATE '1992-01-01' + (hash(i, 12) % 2500)::INT AS received FROM range({LINES}) t(i);",
        orders = LINES / 4,
    );
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(&script).unwrap();
    connection.close().map_err(|(_, error)| error).unwrap();
}
