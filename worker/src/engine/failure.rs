//! What can go wrong with a statement.

use std::time::Duration;

use arrow::error::ArrowError;
use thiserror::Error;

use crate::rules::failure::Failure;

/// Why a statement was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its client cancelled it or went away.
    Client,
    /// It took longer than allowed.
    TimedOut(Duration),
    /// Nobody came for its result.
    Unclaimed(Duration),
    /// Its session ended.
    SessionEnded,
    /// The process ends.
    ShuttingDown,
}

/// Why a statement gave no result.
#[derive(Debug, Clone, Error)]
pub enum EngineError {
    /// The engine says no. The message may quote the statement: it is for the client who wrote
    /// that, never for a log.
    #[error("{message}")]
    Failed {
        /// What it means.
        failure: Failure,
        /// DuckDB's own words.
        message: String,
    },
    /// It was stopped.
    #[error("{}", stopped(*.0))]
    Stopped(Cause),
    /// Something else runs on its session for so long that waiting is given up.
    #[error(
        "the session is busy with another statement for {} s; read its result to the end or close \
         it, or use another connection", .0.as_secs()
    )]
    Busy(Duration),
    /// A parameter is of a type that cannot be bound.
    #[error("parameters of the type {0} cannot be bound; cast the value, or pass it as text")]
    Parameter(String),
    /// The thread of the statement died.
    #[error("the statement ended without a result")]
    Died,
}

impl EngineError {
    /// A name for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Failed { failure, .. } => failure.name(),
            Self::Stopped(_) => "stopped",
            Self::Busy(_) => "busy",
            Self::Parameter(_) => "parameter",
            Self::Died => "died",
        }
    }
}

impl From<duckdb::Error> for EngineError {
    fn from(error: duckdb::Error) -> Self {
        let message = match error {
            duckdb::Error::DuckDBFailure(_, Some(message)) => unwrapped(message),
            unknown @ duckdb::Error::FromSqlConversionFailure(..) => {
                let message = unknown.to_string();
                return Self::Failed { failure: Failure::Unsupported, message };
            }
            other => other.to_string(),
        };
        Self::Failed { failure: Failure::of(&message), message }
    }
}

impl From<ArrowError> for EngineError {
    fn from(error: ArrowError) -> Self {
        Self::Failed { failure: Failure::Unsupported, message: error.to_string() }
    }
}

/// An error that comes while a result is made is wrapped in one about the result. The inner one is
/// what happened.
fn unwrapped(message: String) -> String {
    match message.split_once("closed pending query result\nError: ") {
        Some((_, inner)) => inner.to_owned(),
        None => message,
    }
}

fn stopped(cause: Cause) -> String {
    match cause {
        Cause::Client => "the statement was cancelled".to_owned(),
        Cause::TimedOut(limit) => {
            format!("the statement took longer than the {} s allowed", limit.as_secs_f64())
        }
        Cause::Unclaimed(limit) => {
            format!("nobody fetched the result within {} s", limit.as_secs_f64())
        }
        Cause::SessionEnded => "the session ended".to_owned(),
        Cause::ShuttingDown => "the worker ends".to_owned(),
    }
}
