//! Prepared statements: described when they are made, run with the values that were bound last.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::ActionCreatePreparedStatementResult;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::{IpcMessage, SchemaAsIpc};
use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::future::ready;
use tonic::Status;

use super::desk::{Desk, Prepared};
use super::results::wire_schema;
use super::status;
use super::token::random_name;
use crate::engine::describe::{self, Description};
use crate::engine::{Plan, Statement, running};

/// How many bytes of values a client may bind at a time.
const BOUND: usize = 256 << 20;

/// Prepares a statement: its handle, and what is known of its rows and parameters.
pub async fn create(
    desk: &Arc<Desk>,
    sql: String,
) -> Result<ActionCreatePreparedStatementResult, Status> {
    let (text, instance) = (sql.clone(), Arc::clone(desk.session.instance()));
    let described = running::with_connection(&desk.session, move |connection| {
        describe::describe(connection, &text, &instance.parameter_types(&text))
    });
    let Description { rows, parameters } =
        described.await.map_err(|error| status::of_engine(&error))?;
    let handle = random_name();
    desk.prepare(handle.clone(), sql)?;
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: handle.into(),
        dataset_schema: message(&wire_schema(&rows))?,
        parameter_schema: message(&parameters)?,
    })
}

/// The statement of a handle, to run with the values that were bound last.
pub fn statement(desk: &Desk, handle: &[u8]) -> Result<Statement, Status> {
    let Prepared { sql, parameters } =
        text(handle).and_then(|handle| desk.prepared(handle)).ok_or_else(unknown)?;
    Ok(Statement { sql, parameters, plan: Plan::Kept })
}

/// Binds values to the statement of a handle, for as many runs as there are rows.
pub async fn bind(
    desk: &Desk,
    handle: &[u8],
    values: PeekableFlightDataStream,
) -> Result<(), Status> {
    let values: Vec<_> = read(values).await?.into_iter().filter(|b| b.num_rows() > 0).collect();
    let bound = text(handle).is_some_and(|handle| desk.bind(handle, values));
    if bound { Ok(()) } else { Err(unknown()) }
}

/// The statement of a handle, to run with these values; with those bound last if there are none.
pub async fn with_values(
    desk: &Desk,
    handle: &[u8],
    values: PeekableFlightDataStream,
) -> Result<Statement, Status> {
    let mut statement = statement(desk, handle)?;
    let values = read(values).await?;
    if values.iter().any(|batch| batch.num_columns() > 0) {
        statement.parameters = values;
    }
    Ok(statement)
}

/// Forgets the statement of a handle.
pub fn close(desk: &Desk, handle: &[u8]) {
    // Closed twice is closed.
    let _ = text(handle).is_some_and(|handle| desk.close_prepared(handle));
}

async fn read(values: PeekableFlightDataStream) -> Result<Vec<RecordBatch>, Status> {
    let values = values
        // A message that only names the statement holds no values.
        .try_filter(|message| ready(!message.data_header.is_empty()))
        .map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(values);
    let (mut read, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = batches.try_next().await.map_err(not_arrow)? {
        bytes += batch.get_array_memory_size();
        if bytes > BOUND {
            return Err(Status::resource_exhausted(format!(
                "the values take more than {} MiB; bind fewer at a time",
                BOUND >> 20
            )));
        }
        read.push(batch);
    }
    Ok(read)
}

fn not_arrow(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => Status::invalid_argument(format!("the values cannot be read: {other}")),
    }
}

fn message(schema: &Schema) -> Result<Bytes, Status> {
    // Clients take a schema without fields for a statement without rows.
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &IpcWriteOptions::default())
        .try_into()
        .map_err(|error| status::of_arrow(&error))?;
    Ok(bytes)
}

fn text(handle: &[u8]) -> Option<&str> {
    std::str::from_utf8(handle).ok()
}

fn unknown() -> Status {
    Status::not_found("this session has no such prepared statement; it was closed, or never made")
}
