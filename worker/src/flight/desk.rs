//! A session, with what its client has prepared on it and what waits for the client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use tonic::Status;

use super::results::{Waiting, WaitingResults};
use crate::engine::{Cause, Session};
use crate::rules::admission::Standing;

/// How many statements a session may have prepared: a client that never closes one is told so.
const PREPARED: usize = 1000;

/// Whether `CreateSession` began the session or a connection's first statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `CreateSession`.
    Action,
    /// The first statement of a connection.
    Connection,
}

/// A prepared statement.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its text.
    pub sql: String,
    /// The values that were bound last.
    pub parameters: Vec<RecordBatch>,
}

/// What one client has on the worker.
pub struct Desk {
    /// Its connection to the engine.
    pub session: Arc<Session>,
    origin: Origin,
    prepared: Mutex<HashMap<String, Prepared>>,
    transaction: Mutex<Option<String>>,
    pub(super) results: WaitingResults,
}

impl Desk {
    /// A desk with nothing on it.
    pub fn new(session: Arc<Session>, origin: Origin) -> Arc<Self> {
        Arc::new(Self {
            session,
            origin,
            prepared: Mutex::default(),
            transaction: Mutex::default(),
            results: WaitingResults::default(),
        })
    }

    /// What the session is to a drain.
    pub fn standing(&self) -> Standing {
        match self.origin {
            Origin::Action => Standing::Explicit,
            Origin::Connection if self.session.is_in_transaction() => Standing::InTransaction,
            Origin::Connection => Standing::Idle,
        }
    }

    /// Ends everything on it.
    pub fn end(&self, cause: Cause) {
        self.session.end(cause);
        self.results.close();
        lock(&self.prepared).clear();
    }

    /// Keeps a prepared statement under this handle.
    pub fn prepare(&self, handle: String, sql: String) -> Result<(), Status> {
        let mut prepared = lock(&self.prepared);
        if prepared.len() >= PREPARED {
            return Err(Status::resource_exhausted(format!(
                "the session has {PREPARED} prepared statements already; close some"
            )));
        }
        prepared.insert(handle, Prepared { sql, parameters: Vec::new() });
        Ok(())
    }

    /// A prepared statement as it is now.
    pub fn prepared(&self, handle: &str) -> Option<Prepared> {
        lock(&self.prepared).get(handle).cloned()
    }

    /// Binds values to a prepared statement. Whether there is such a one.
    pub fn bind(&self, handle: &str, parameters: Vec<RecordBatch>) -> bool {
        let mut prepared = lock(&self.prepared);
        let found = prepared.get_mut(handle);
        found.map(|statement| statement.parameters = parameters).is_some()
    }

    /// Forgets a prepared statement. Whether there was such a one.
    pub fn close_prepared(&self, handle: &str) -> bool {
        lock(&self.prepared).remove(handle).is_some()
    }

    /// Remembers the transaction that `BeginTransaction` began.
    pub fn begin_transaction(&self, id: String) {
        *lock(&self.transaction) = Some(id);
    }

    /// Forgets that transaction, if it is this one.
    pub fn end_transaction(&self, id: &[u8]) -> Result<(), Status> {
        self.check_transaction(Some(id))?;
        *lock(&self.transaction) = None;
        Ok(())
    }

    /// An error when a statement names a transaction that is not open on this session.
    pub fn check_transaction(&self, id: Option<&[u8]>) -> Result<(), Status> {
        let open = lock(&self.transaction);
        let is_open = open.as_deref().map(str::as_bytes);
        match id.filter(|id| !id.is_empty()) {
            Some(id) if is_open != Some(id) => {
                Err(Status::not_found("this transaction is not open on this session"))
            }
            _ => Ok(()),
        }
    }

    /// Takes a result that waits.
    pub(super) fn take(&self, ticket: &str) -> Option<Waiting> {
        self.results.take(ticket)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
