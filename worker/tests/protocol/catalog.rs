//! What clients that speak to databases in general ask for.

use arrow::array::AsArray as _;
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};

use crate::support::{Client, Worker, count, shown, together};

async fn filled(worker: &Worker) -> Client {
    let mut client = worker.client().await;
    let script = "CREATE SCHEMA sales; \
        CREATE TABLE sales.orders (id BIGINT PRIMARY KEY, price DECIMAL(9, 2) NOT NULL, tags VARCHAR[]); \
        CREATE TABLE order_s (a INT, b INT, PRIMARY KEY (b, a)); \
        CREATE VIEW recent AS SELECT * FROM sales.orders; \
        CREATE TEMP TABLE mine (a INT); ATTACH ':memory:' AS lake; CREATE TABLE lake.t (x TIMESTAMPTZ)";
    client.change(script).await.unwrap();
    client
}

#[tokio::test]
async fn catalogs_and_schemas() {
    let worker = Worker::start(&[]).await;
    let mut client = filled(&worker).await;
    let info = client.sql.get_catalogs().await.unwrap();
    let catalogs = shown(&client.fetch(info).await.unwrap());
    assert!(catalogs.contains("memory") && catalogs.contains("lake"), "{catalogs}");
    assert!(!catalogs.contains("system"), "{catalogs}");
    let query = CommandGetDbSchemas {
        catalog: Some("memory".to_owned()),
        db_schema_filter_pattern: Some("s%".to_owned()),
    };
    let info = client.sql.get_db_schemas(query).await.unwrap();
    let schemas = client.fetch(info).await.unwrap();
    assert_eq!(count(&schemas), 1, "{}", shown(&schemas));
    assert!(shown(&schemas).contains("sales"));
}

#[tokio::test]
async fn tables_by_pattern_and_type() {
    let worker = Worker::start(&[]).await;
    let mut client = filled(&worker).await;
    let mut names = async |name: Option<&str>, types: &[&str]| {
        let query = CommandGetTables {
            table_name_filter_pattern: name.map(str::to_owned),
            table_types: types.iter().map(|&t| t.to_owned()).collect(),
            ..CommandGetTables::default()
        };
        let info = client.sql.get_tables(query).await.unwrap();
        let rows = client.fetch(info).await.unwrap();
        let all = together(&rows);
        let names = all.column(2).as_string::<i32>();
        (0..all.num_rows()).map(|row| names.value(row).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(None, &["TABLE"]).await, ["t", "order_s", "orders"]);
    assert_eq!(names(None, &["VIEW"]).await, ["recent"]);
    assert_eq!(names(None, &["LOCAL TEMPORARY"]).await, ["mine"]);
    assert_eq!(names(Some("order%"), &[]).await, ["order_s", "orders"]);
    assert_eq!(names(Some("order\\_s"), &[]).await, ["order_s"], "an escaped pattern");
}

#[tokio::test]
async fn tables_with_the_schemas_of_their_columns() {
    let worker = Worker::start(&[]).await;
    let mut client = filled(&worker).await;
    let query = CommandGetTables {
        include_schema: true,
        table_name_filter_pattern: Some("orders".to_owned()),
        ..CommandGetTables::default()
    };
    let info = client.sql.get_tables(query).await.unwrap();
    let rows = together(&client.fetch(info).await.unwrap());
    assert_eq!(rows.num_rows(), 1);
    let bytes = rows.column(4).as_binary::<i32>().value(0).to_vec();
    let schema = arrow::datatypes::Schema::try_from(IpcMessage(bytes.into())).unwrap();
    let described: Vec<_> = schema
        .fields()
        .iter()
        .map(|f| {
            let name = f.metadata().get("ARROW:FLIGHT:SQL:TYPE_NAME").cloned().unwrap_or_default();
            format!("{} {} {}", f.name(), f.is_nullable(), name)
        })
        .collect();
    assert_eq!(described, ["id false BIGINT", "price false DECIMAL(9,2)", "tags true VARCHAR[]"]);
}

#[tokio::test]
async fn keys() {
    let worker = Worker::start(&[]).await;
    let mut client = filled(&worker).await;
    let query = CommandGetPrimaryKeys {
        catalog: None,
        db_schema: Some("main".to_owned()),
        table: "order_s".to_owned(),
    };
    let info = client.sql.get_primary_keys(query).await.unwrap();
    let schema = info.clone().try_decode_schema().unwrap();
    let rows = together(&client.fetch(info).await.unwrap());
    let names = rows.column(3).as_string::<i32>();
    assert_eq!((names.value(0), names.value(1), rows.num_rows()), ("b", "a", 2));
    let types = |schema: &arrow::datatypes::Schema| {
        schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>()
    };
    assert_eq!(types(&schema), types(&rows.schema()));

    let table = || "orders".to_owned();
    let exported = CommandGetExportedKeys { table: table(), ..Default::default() };
    let imported = CommandGetImportedKeys { table: table(), ..Default::default() };
    let cross = CommandGetCrossReference { pk_table: table(), ..Default::default() };
    for info in [
        client.sql.get_exported_keys(exported).await.unwrap(),
        client.sql.get_imported_keys(imported).await.unwrap(),
        client.sql.get_cross_reference(cross).await.unwrap(),
    ] {
        assert_eq!(count(&client.fetch(info).await.unwrap()), 0);
    }
}

#[tokio::test]
async fn what_the_server_is() {
    let worker = Worker::start(&[]).await;
    let mut client = worker.client().await;
    let wanted = vec![SqlInfo::FlightSqlServerName, SqlInfo::FlightSqlServerVersion];
    let info = client.sql.get_sql_info(wanted).await.unwrap();
    assert_eq!(count(&client.fetch(info).await.unwrap()), 2);
    let info = client.sql.get_table_types().await.unwrap();
    assert_eq!(count(&client.fetch(info).await.unwrap()), 3);
    let query = CommandGetXdbcTypeInfo { data_type: None };
    let info = client.sql.get_xdbc_type_info(query).await.unwrap();
    assert_eq!(count(&client.fetch(info).await.unwrap()), 14);
}
