import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

/** The JDBC driver for Flight SQL against a worker: what it may, and what is refused. */
public class Check {
    private static final String NAME = System.getenv("WORKER_NAME");
    private static final String PORT = System.getenv("WORKER_PORT");
    private static final String TOKEN = System.getenv("WORKER_TOKEN");

    private interface Work {
        void run() throws SQLException;
    }

    public static void main(String[] args) throws Exception {
        check("queries", Check::queries);
        check("prepared", Check::prepared);
        check("catalog", Check::catalog);
        check("strangers", Check::strangers);
        check("large", Check::large);
        System.out.println("all checks passed");
    }

    private static void check(String name, Work work) throws SQLException {
        work.run();
        System.out.println(name + ": ok");
    }

    private static Connection connect(String host, String token) throws SQLException {
        Properties properties = new Properties();
        properties.put("useEncryption", "true");
        properties.put("useSystemTrustStore", "false");
        properties.put("tlsRootCerts", System.getenv("WORKER_CERTIFICATE"));
        properties.put("token", token);
        return DriverManager.getConnection("jdbc:arrow-flight-sql://" + host + ":" + PORT, properties);
    }

    private static Connection connect() throws SQLException {
        return connect(NAME, TOKEN);
    }

    private static void queries() throws SQLException {
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            try (ResultSet rows = statement.executeQuery(
                    "SELECT 42 AS answer, 'ü' AS text, 1.25::DECIMAL(9, 2) AS price, NULL::INT AS none, "
                            + "DATE '2020-02-29' AS day, [1, 2] AS list, true AS flag")) {
                expect(rows.next(), "a row");
                equal(rows.getInt("answer"), 42);
                equal(rows.getString("text"), "ü");
                equal(rows.getBigDecimal("price").toPlainString(), "1.25");
                expect(rows.getObject("none") == null && rows.wasNull(), "null");
                equal(rows.getDate("day").toString(), "2020-02-29");
                expect(rows.getArray("list") != null, "a list");
                expect(rows.getBoolean("flag"), "true");
                equal(rows.getMetaData().getColumnCount(), 7);
                expect(!rows.next(), "one row");
            }
            statement.executeUpdate("CREATE OR REPLACE TABLE jdbc (id BIGINT PRIMARY KEY, name VARCHAR)");
            equal(statement.executeUpdate("INSERT INTO jdbc VALUES (1, 'a'), (2, NULL)"), 2);
            try (ResultSet rows = statement.executeQuery("SHOW TABLES")) {
                expect(rows.next(), "tables can be shown");
            }
            refused("syntax error", () -> statement.executeQuery("SELEC 1"));
            equal(numbers(statement.executeQuery("SELECT i FROM range(100000) t(i)")), 100000);
        }
    }

    private static void prepared() throws SQLException {
        try (Connection connection = connect()) {
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc VALUES (?, ?)")) {
                insert.setLong(1, 3);
                insert.setString(2, "c");
                equal(insert.executeUpdate(), 1);
            }
            String query = "SELECT name FROM jdbc WHERE id >= ? ORDER BY id";
            try (PreparedStatement select = connection.prepareStatement(query)) {
                select.setLong(1, 3);
                try (ResultSet rows = select.executeQuery()) {
                    expect(rows.next(), "a row");
                    equal(rows.getString(1), "c");
                    expect(!rows.next(), "one row");
                }
                select.setLong(1, 1);
                try (ResultSet rows = select.executeQuery()) {
                    expect(rows.next() && rows.next() && rows.next(), "three rows");
                }
            }
        }
    }

    private static void catalog() throws SQLException {
        try (Connection connection = connect()) {
            DatabaseMetaData about = connection.getMetaData();
            expect(about.getDatabaseProductName().contains("DuckDB"), about.getDatabaseProductName());
            equal(about.getDatabaseProductVersion(), "v1.5.6");
            equal(about.getIdentifierQuoteString(), "\"");
            expect(names(about.getCatalogs(), "TABLE_CAT").contains("memory"), "catalogs");
            expect(names(about.getSchemas(), "TABLE_SCHEM").contains("main"), "schemas");
            String[] types = {"TABLE"};
            List<String> tables = names(about.getTables(null, "main", "jd%", types), "TABLE_NAME");
            equal(tables, List.of("jdbc"));
            List<String> columns = names(about.getColumns(null, "main", "jdbc", "%"), "COLUMN_NAME");
            equal(columns, List.of("id", "name"));
            equal(names(about.getPrimaryKeys(null, "main", "jdbc"), "COLUMN_NAME"), List.of("id"));
            expect(names(about.getTableTypes(), "TABLE_TYPE").contains("VIEW"), "table types");
            equal(names(about.getImportedKeys(null, "main", "jdbc"), "PKCOLUMN_NAME"), List.of());
        }
    }

    private static void strangers() {
        refused("authoriz|unauthenticated|UNAUTHENTICATED|missing or wrong", () -> {
            try (Connection connection = connect(NAME, "wrong");
                    Statement statement = connection.createStatement()) {
                statement.executeQuery("SELECT 1");
            }
        });
        // The address is right, but the certificate does not bear this name.
        refused("127.0.0.1|UNAVAILABLE|SSL|io exception", () -> {
            try (Connection connection = connect("127.0.0.1", TOKEN);
                    Statement statement = connection.createStatement()) {
                statement.executeQuery("SELECT 1");
            }
        });
    }

    private static void large() throws SQLException {
        try (Connection connection = connect(); Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(
                        "SELECT repeat('x', 1000) || i AS text FROM range(1000000) t(i)")) {
            long size = 0;
            while (rows.next()) {
                size += rows.getString(1).length();
            }
            expect(size > 1_000_000_000L, size + " bytes");
            System.out.println("streamed " + (size >> 20) + " MiB");
        }
    }

    private static int numbers(ResultSet rows) throws SQLException {
        int count = 0;
        while (rows.next()) {
            equal(rows.getLong(1), (long) count);
            count++;
        }
        rows.close();
        return count;
    }

    private static List<String> names(ResultSet rows, String column) throws SQLException {
        List<String> names = new ArrayList<>();
        while (rows.next()) {
            names.add(rows.getString(column));
        }
        rows.close();
        return names;
    }

    private static void refused(String words, Work work) {
        try {
            work.run();
        } catch (SQLException refusal) {
            StringBuilder said = new StringBuilder();
            for (Throwable cause = refusal; cause != null; cause = cause.getCause()) {
                said.append(cause).append('\n');
            }
            expect(said.toString().matches("(?s).*(" + words + ").*"), said.toString());
            return;
        }
        throw new AssertionError("was not refused; expected " + words);
    }

    private static void expect(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static void equal(Object found, Object expected) {
        expect(found.equals(expected), "found " + found + ", expected " + expected);
    }
}
