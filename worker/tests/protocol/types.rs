//! Every type of the engine arrives as it is in process.

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use tonic::Code;

use crate::support::{Client, Worker, refused, together};

/// What the engine gives in this very process.
fn in_process(query: &str) -> RecordBatch {
    let connection = duckdb::Connection::open_in_memory().unwrap();
    let mut statement = connection.prepare(query).unwrap();
    let batches: Vec<_> = statement.query_arrow([]).unwrap().collect();
    together(&batches)
}

async fn assert_same(client: &mut Client, query: &str) {
    let over_wire = together(&client.rows(query).await.unwrap());
    let expected = in_process(query);
    for (ours, theirs) in over_wire.columns().iter().zip(expected.columns()) {
        if holds_dictionary(theirs.data_type()) {
            for row in 0..theirs.len() {
                let text = |column| array_value_to_string(column, row).unwrap();
                assert_eq!(text(ours), text(theirs), "{query}");
            }
        } else {
            assert_eq!(ours.to_data(), theirs.to_data(), "{query}");
        }
    }
    assert_eq!(over_wire.num_columns(), expected.num_columns());
}

/// Enumerations are sent as texts: clients differ in what they make of dictionaries.
fn holds_dictionary(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(..) => true,
        DataType::List(field) | DataType::FixedSizeList(field, _) | DataType::Map(field, _) => {
            holds_dictionary(field.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| holds_dictionary(field.data_type())),
        _ => false,
    }
}

#[tokio::test]
async fn values_of_all_types_and_nulls() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let queries = [
        "SELECT true AS a, NULL::BOOLEAN AS b",
        "SELECT 1::TINYINT, -1::SMALLINT, 2::INT, 3::BIGINT, 170141183460469231731687303715884105727::HUGEINT",
        "SELECT 1::UTINYINT, 2::USMALLINT, 3::UINTEGER, 18446744073709551615::UBIGINT",
        "SELECT 1.5::FLOAT, 'nan'::DOUBLE, '-inf'::DOUBLE, -0.0::DOUBLE",
        "SELECT 1.23::DECIMAL(4,2), -12345678901234567890.12345678::DECIMAL(38,8), NULL::DECIMAL(9,1)",
        "SELECT DATE '0001-01-01', DATE '9999-12-31', TIME '23:59:59.999999'",
        "SELECT TIMESTAMP '1969-12-31 23:59:59.5', TIMESTAMP_S '2020-01-01', TIMESTAMP_NS '2020-01-01 00:00:00.123456789'",
        "SELECT TIMESTAMPTZ '2020-06-01 12:00:00+05:30' AS zoned, NULL::TIMESTAMPTZ AS none",
        "SELECT INTERVAL '1 year 2 months 3 days 4 hours 5.000006 seconds', -INTERVAL 1 DAY, NULL::INTERVAL",
        "SELECT 'ü€𝄞', '', NULL::VARCHAR, repeat('x', 13)",
        "SELECT '\\x00\\xFF'::BLOB, NULL::BLOB",
        "SELECT uuid '6d3d2541-710b-4bde-b3af-4711738636bf', NULL::UUID",
        "SELECT [1, NULL, 3], []::INT[], NULL::INT[], [[1], NULL, []]",
        "SELECT {'a': 1, 'b': {'c': [NULL, 'x']}}, NULL::STRUCT(a INT)",
        "SELECT MAP {'k': [1], 'l': NULL}, NULL::MAP(VARCHAR, INT)",
        "SELECT [1, 2, 3]::INT[3], NULL::INT[2]",
        "SELECT 'b'::ENUM('a', 'b') AS e, ['a']::ENUM('a', 'b')[] AS es, NULL::ENUM('x') AS n",
        "SELECT union_value(num := 5) AS u",
        "SELECT '10101'::BIT AS bits, 12::VARINT AS big",
        "SELECT CASE WHEN i % 3 = 0 THEN NULL ELSE i END AS i, [i, NULL] AS l FROM range(5000) t(i)",
    ];
    for query in queries {
        assert_same(&mut client, query).await;
    }
}

#[tokio::test]
async fn huge_texts_pass() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client_of_large_messages().await;
    let rows = client.rows("SELECT repeat('x', 100000000) || i AS t FROM range(3) t(i)").await;
    let rows = rows.unwrap();
    let lengths: Vec<usize> = rows
        .iter()
        .flat_map(|batch| {
            let texts = batch.column(0).as_string::<i32>();
            (0..texts.len()).map(|row| texts.value(row).len()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(lengths, [100_000_001; 3]);
    worker.assert_healthy().await;
}

#[tokio::test]
async fn a_type_that_arrow_does_not_have_is_refused_with_a_status() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let (code, message) = refused(client.rows("SELECT 5::VARIANT AS v").await);
    assert_eq!(code, Code::Unimplemented, "{message}");
    worker.assert_healthy().await;
}
