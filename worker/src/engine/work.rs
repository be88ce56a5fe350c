//! What the blocking thread of a statement does.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use duckdb::{Connection, params_from_iter};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::batches::Gathering;
use super::failure::{Cause, EngineError};
use super::parameters;
use super::session::{Order, Session};
use crate::rules::sql;

/// A statement to run.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its text; the rows of the last one are the answer when it holds several.
    pub sql: String,
    /// Values for its parameters: it runs once for each row. Without any it runs once.
    pub parameters: Vec<RecordBatch>,
    /// Whether the engine keeps the plan for the next time.
    pub plan: Plan,
}

/// What becomes of a statement's plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Made for this run: it sees what has changed since, such as files.
    Fresh,
    /// Kept for as long as the session has room, since the client prepared the statement.
    Kept,
}

impl Statement {
    /// A statement without parameters.
    pub fn plain(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), parameters: Vec::new(), plan: Plan::Fresh }
    }
}

/// Where the rows of a statement go.
pub(super) struct Output {
    begun: Option<oneshot::Sender<Result<SchemaRef, EngineError>>>,
    batches: mpsc::Sender<Result<RecordBatch, EngineError>>,
}

impl Output {
    pub(super) fn new(
        begun: oneshot::Sender<Result<SchemaRef, EngineError>>,
        batches: mpsc::Sender<Result<RecordBatch, EngineError>>,
    ) -> Self {
        Self { begun: Some(begun), batches }
    }

    fn begin(&mut self, schema: &SchemaRef) {
        if let Some(begun) = self.begun.take() {
            // Whoever is gone by now needs no schema; the first batch finds that out.
            let _ = begun.send(Ok(SchemaRef::clone(schema)));
        }
    }

    /// Waits while the client is slower than the engine, until the statement is told to stop.
    fn send(&self, batch: RecordBatch, order: &Order) -> Result<(), EngineError> {
        Handle::current().block_on(async {
            tokio::select! {
                sent = self.batches.send(Ok(batch)) => {
                    sent.map_err(|_| EngineError::Stopped(Cause::Client))
                }
                stopped = order.told_to_stop() => Err(stopped),
            }
        })
    }

    /// Says how it ended, where somebody listens.
    pub(super) fn finish(mut self, result: Result<(), EngineError>) {
        match (result, self.begun.take()) {
            (Err(error), Some(begun)) => {
                let _ = begun.send(Err(error));
            }
            (Err(error), None) => {
                let _ = self.batches.blocking_send(Err(error));
            }
            (Ok(()), _) => {}
        }
    }
}

/// Runs a statement once for each row of parameters, and sends the rows of all runs.
pub(super) fn query(
    connection: &Connection,
    statement: &Statement,
    order: &Order,
    output: &mut Output,
) -> Result<(), EngineError> {
    with_prepared(connection, statement, |prepared| {
        parameters::each_row(&statement.parameters, |values| {
            order.check()?;
            // Begins the run. Its iterator would panic on an error that comes late: `step` tells it.
            let _ = prepared.stream_arrow(params_from_iter(values))?;
            let schema = prepared.schema();
            output.begin(&schema);
            let mut gathering = Gathering::new(&schema);
            while let Some(chunk) = prepared.step()? {
                order.check()?;
                if let Some(batch) = gathering.add(chunk)? {
                    output.send(batch, order)?;
                }
            }
            // A stream that was interrupted may end as if it were complete.
            order.check()?;
            if let Some(batch) = gathering.rest()? {
                output.send(batch, order)?;
            }
            Ok(())
        })
    })
}

/// Whether the runs of a statement are in a transaction that was begun for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// It was: all runs or none.
    Ours,
    /// It was not: there is one run, or the client is in a transaction.
    NotOurs,
}

/// Begins a transaction for a statement with several runs, unless the client is in one.
pub(super) fn begin(connection: &Connection, statement: &Statement) -> Transaction {
    let runs: usize = statement.parameters.iter().map(RecordBatch::num_rows).sum();
    if runs > 1 && connection.execute_batch("BEGIN TRANSACTION").is_ok() {
        Transaction::Ours
    } else {
        Transaction::NotOurs
    }
}

/// Ends it. Nothing can stop this part.
pub(super) fn end<T>(
    connection: &Connection,
    transaction: Transaction,
    result: Result<T, EngineError>,
) -> Result<T, EngineError> {
    match (transaction, result) {
        (Transaction::NotOurs, result) => result,
        (Transaction::Ours, Ok(value)) => {
            connection.execute_batch("COMMIT")?;
            Ok(value)
        }
        (Transaction::Ours, Err(error)) => {
            // The error that matters is the first.
            let _ = connection.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

/// Runs a statement once for each row of parameters; how many rows it changed.
pub(super) fn change(
    connection: &Connection,
    statement: &Statement,
    order: &Order,
) -> Result<i64, EngineError> {
    let mut changed = 0;
    with_prepared(connection, statement, |prepared| {
        parameters::each_row(&statement.parameters, |values| {
            order.check()?;
            let rows = prepared.execute(params_from_iter(values))?;
            changed += i64::try_from(rows).unwrap_or(i64::MAX);
            Ok(())
        })
    })?;
    Ok(changed)
}

fn with_prepared(
    connection: &Connection,
    statement: &Statement,
    work: impl FnOnce(&mut duckdb::Statement<'_>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    match statement.plan {
        Plan::Fresh => work(&mut connection.prepare(&statement.sql)?),
        Plan::Kept => {
            let mut prepared = connection.prepare_cached(&statement.sql)?;
            let result = work(&mut prepared);
            if result.is_err() {
                // Kept, it would keep the rest of its result as well.
                prepared.discard();
            }
            result
        }
    }
}

/// Keeps in mind whether the session is in a transaction now. A commit that failed has ended it
/// too.
pub(super) fn note_transaction<T>(
    session: &Session,
    statement: &Statement,
    result: &Result<T, EngineError>,
) {
    for part in sql::split(&statement.sql) {
        match sql::opens_transaction(part) {
            Some(true) if result.is_ok() => session.note_transaction(true),
            Some(false) => session.note_transaction(false),
            _ => {}
        }
    }
}
