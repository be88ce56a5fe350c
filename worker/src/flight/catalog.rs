//! What is in the databases, asked of the engine on the client's own session, so that it sees what
//! it has not committed yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, FieldRef, Schema};
use arrow_flight::sql::metadata::GetTablesBuilder;
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables,
};
use duckdb::Connection;
use tonic::Status;

use super::desk::Desk;
use super::status;
use crate::engine::describe::fields_of_types;
use crate::engine::{EngineError, running};

/// The types of tables, as clients know them.
pub const TABLE_TYPES: [&str; 3] = ["LOCAL TEMPORARY", "TABLE", "VIEW"];

/// The key under which clients look for a column's type in SQL.
const TYPE_NAME: &str = "ARROW:FLIGHT:SQL:TYPE_NAME";

const CATALOGS: &str = "SELECT database_name FROM duckdb_databases() WHERE NOT internal";

const SCHEMAS: &str = "SELECT database_name, schema_name FROM duckdb_schemas() \
    WHERE database_name IN (SELECT database_name FROM duckdb_databases() WHERE NOT internal)";

/// The filters are the builder's; those on names are here as well, so that few columns are read.
const TABLES: &str = "SELECT table_catalog, table_schema, table_name, \
    CASE table_type WHEN 'BASE TABLE' THEN 'TABLE' ELSE table_type END \
    FROM information_schema.tables \
    WHERE table_catalog = coalesce($1, table_catalog) AND table_schema LIKE coalesce($2, '%') ESCAPE '\\' \
    AND table_name LIKE coalesce($3, '%') ESCAPE '\\'";

const COLUMNS: &str = "SELECT database_name, schema_name, table_name, column_name, data_type, \
    is_nullable FROM duckdb_columns() \
    WHERE database_name = coalesce($1, database_name) AND schema_name LIKE coalesce($2, '%') ESCAPE '\\' \
    AND table_name LIKE coalesce($3, '%') ESCAPE '\\' ORDER BY table_oid, column_index";

const PRIMARY_KEYS: &str = "SELECT database_name AS catalog_name, schema_name AS db_schema_name, \
    table_name, unnest(constraint_column_names) AS column_name, \
    unnest(range(1, len(constraint_column_names) + 1))::INTEGER AS key_sequence, \
    constraint_name AS key_name FROM duckdb_constraints() \
    WHERE constraint_type = 'PRIMARY KEY' AND database_name = coalesce($1, database_name) \
    AND schema_name = coalesce($2, schema_name) AND table_name = $3";

type Names = [String; 3];

/// All databases.
pub async fn catalogs(desk: &Desk, query: CommandGetCatalogs) -> Result<RecordBatch, Status> {
    let names = look(desk, |connection| texts::<1>(connection, CATALOGS, [None; 3])).await?;
    let mut builder = query.into_builder();
    for [name] in names {
        builder.append(name);
    }
    builder.build().map_err(flight)
}

/// Schemas, filtered.
pub async fn schemas(desk: &Desk, query: CommandGetDbSchemas) -> Result<RecordBatch, Status> {
    let names = look(desk, |connection| texts::<2>(connection, SCHEMAS, [None; 3])).await?;
    let mut builder = query.into_builder();
    for [catalog, schema] in names {
        builder.append(catalog, schema);
    }
    builder.build().map_err(flight)
}

/// Tables and views, filtered; with their columns where the client asks for these.
pub async fn tables(desk: &Desk, query: CommandGetTables) -> Result<RecordBatch, Status> {
    look(desk, move |connection| {
        let filters = [
            query.catalog.as_deref(),
            query.db_schema_filter_pattern.as_deref(),
            query.table_name_filter_pattern.as_deref(),
        ];
        let tables = texts::<4>(connection, TABLES, filters)?;
        let schemas =
            if query.include_schema { columns(connection, filters)? } else { BTreeMap::new() };
        Ok((query.into_builder(), tables, schemas))
    })
    .await
    .and_then(|(builder, tables, schemas)| build_tables(builder, tables, &schemas))
}

fn build_tables(
    mut builder: GetTablesBuilder,
    tables: Vec<[String; 4]>,
    schemas: &BTreeMap<Names, Schema>,
) -> Result<RecordBatch, Status> {
    let none = Schema::empty();
    for [catalog, schema, name, kind] in tables {
        let names = [catalog, schema, name];
        let columns = schemas.get(&names).unwrap_or(&none);
        let [catalog, schema, name] = names;
        builder.append(catalog, schema, name, kind, columns).map_err(flight)?;
    }
    builder.build().map_err(flight)
}

/// The columns of a table's primary key.
pub async fn primary_keys(
    desk: &Desk,
    query: CommandGetPrimaryKeys,
) -> Result<RecordBatch, Status> {
    look(desk, move |connection| {
        let mut prepared = connection.prepare(PRIMARY_KEYS)?;
        let _ =
            prepared.query_arrow(duckdb::params![query.catalog, query.db_schema, query.table])?;
        let schema = prepared.schema();
        let mut batches = Vec::new();
        while let Some(chunk) = prepared.step()? {
            batches.push(RecordBatch::from(chunk));
        }
        Ok(arrow::compute::concat_batches(&schema, &batches)?)
    })
    .await
}

/// The Arrow schemas of all tables that pass. Each type is asked for once.
fn columns(
    connection: &Connection,
    filters: [Option<&str>; 3],
) -> Result<BTreeMap<Names, Schema>, EngineError> {
    let columns = texts::<6>(connection, COLUMNS, filters)?;
    let mut types: Vec<_> = columns.iter().map(|column| column[4].as_str()).collect();
    types.sort_unstable();
    types.dedup();
    let fields: HashMap<String, FieldRef> = if types.is_empty() {
        HashMap::new()
    } else {
        let schema = fields_of_types(connection, &types)?;
        types.iter().map(|name| (*name).to_owned()).zip(schema.fields().iter().cloned()).collect()
    };
    let mut tables: BTreeMap<Names, Vec<Field>> = BTreeMap::new();
    for [catalog, schema, table, name, data_type, nullable] in columns {
        if let Some(field) = fields.get(&data_type) {
            let nullable = nullable == "true";
            let mut metadata = field.metadata().clone();
            metadata.insert(TYPE_NAME.to_owned(), data_type);
            let field = field.as_ref().clone().with_name(name).with_nullable(nullable);
            let fields = tables.entry([catalog, schema, table]).or_default();
            fields.push(field.with_metadata(metadata));
        }
    }
    Ok(tables.into_iter().map(|(names, fields)| (names, Schema::new(fields))).collect())
}

/// The rows of a question about the catalog, as texts.
fn texts<const N: usize>(
    connection: &Connection,
    question: &str,
    filters: [Option<&str>; 3],
) -> Result<Vec<[String; N]>, EngineError> {
    let mut prepared =
        connection.prepare(&format!("SELECT columns(*)::VARCHAR FROM ({question})"))?;
    let filters = &filters[..prepared.parameter_count()];
    let rows = prepared.query_map(duckdb::params_from_iter(filters), |row| {
        let mut texts = [const { String::new() }; N];
        for (index, text) in texts.iter_mut().enumerate() {
            *text = row.get(index)?;
        }
        Ok(texts)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

async fn look<T: Send + 'static>(
    desk: &Desk,
    work: impl FnOnce(&Connection) -> Result<T, EngineError> + Send + 'static,
) -> Result<T, Status> {
    let session = Arc::clone(&desk.session);
    running::with_connection(&session, work).await.map_err(|error| status::of_engine(&error))
}

fn flight(error: arrow_flight::error::FlightError) -> Status {
    Status::from(error)
}
