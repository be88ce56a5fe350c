//! A session: one connection to the engine, on which one statement runs at a time.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use duckdb::{Connection, InterruptHandle};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, SetOnce};

use super::failure::{Cause, EngineError};
use super::instance::Instance;

/// How often a statement that was told to stop is told again: the engine forgets an interrupt that
/// comes before it has begun.
const REMINDER: Duration = Duration::from_millis(20);

/// How long statements may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a statement, from its start until its last row is sent; for ever if unset.
    pub statement: Option<Duration>,
    /// For the statement before it on the same session.
    pub busy: Duration,
}

/// A connection, with what its client began on it.
pub struct Session {
    pub(super) instance: Arc<Instance>,
    pub(super) patience: Patience,
    connection: Arc<AsyncMutex<Connection>>,
    interrupt: Arc<InterruptHandle>,
    running: Mutex<Option<Arc<Order>>>,
    ended: OnceLock<Cause>,
    statements: AtomicUsize,
    in_transaction: AtomicBool,
}

/// One statement's run, and whether it was told to stop.
#[derive(Debug)]
pub(super) struct Order {
    number: u64,
    stopped: SetOnce<Cause>,
}

impl Order {
    pub(super) fn new() -> Arc<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { number, stopped: SetOnce::new() })
    }

    /// Returns the error to end with when it is told to stop.
    pub(super) async fn told_to_stop(&self) -> EngineError {
        EngineError::Stopped(*self.stopped.wait().await)
    }

    /// An error when it was told to stop.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        self.stopped.get().map_or(Ok(()), |cause| Err(EngineError::Stopped(*cause)))
    }
}

/// Counts a statement from its start until its result is sent or dropped.
pub(super) struct Counted(Arc<Session>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.statements.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Session {
    /// Opens a connection.
    pub fn open(instance: &Arc<Instance>, patience: Patience) -> Result<Arc<Self>, EngineError> {
        let connection = instance.connect()?;
        Ok(Arc::new(Self {
            instance: Arc::clone(instance),
            patience,
            interrupt: connection.interrupt_handle(),
            connection: Arc::new(AsyncMutex::new(connection)),
            running: Mutex::new(None),
            ended: OnceLock::new(),
            statements: AtomicUsize::new(0),
            in_transaction: AtomicBool::new(false),
        }))
    }

    /// The engine that it is a connection to.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// How many of its statements run, or have results that were not sent to the end.
    pub fn statements(&self) -> usize {
        self.statements.load(Ordering::Relaxed)
    }

    /// Whether it is in a transaction.
    pub fn is_in_transaction(&self) -> bool {
        self.in_transaction.load(Ordering::Relaxed)
    }

    /// Ends it: what runs is stopped, and nothing begins any more. Its connection is closed when
    /// the last statement has let go of it.
    pub fn end(self: &Arc<Self>, cause: Cause) {
        // Before the look at what runs: a statement that begins meanwhile sees it.
        let _ = self.ended.set(cause);
        let running = self.lock_running().clone();
        if let Some(order) = running {
            self.stop(&order, cause);
        }
    }

    /// Waits for its turn.
    pub(super) async fn turn(&self) -> Result<OwnedMutexGuard<Connection>, EngineError> {
        let turn = Arc::clone(&self.connection).lock_owned();
        let turn = tokio::time::timeout(self.patience.busy, turn).await;
        turn.map_err(|_| EngineError::Busy(self.patience.busy))
    }

    pub(super) fn count(self: &Arc<Self>) -> Counted {
        self.statements.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(self))
    }

    pub(super) fn note_transaction(&self, is_open: bool) {
        self.in_transaction.store(is_open, Ordering::Relaxed);
    }

    /// Runs something on the thread that it is called on, such that it can be stopped meanwhile.
    /// What failed because it was stopped says so.
    pub(super) fn run<T>(
        &self,
        order: &Arc<Order>,
        work: impl FnOnce() -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        *self.lock_running() = Some(Arc::clone(order));
        // Looked at only now that `end` would find the statement: one that had its turn before the
        // end and comes here after it would run with nobody to stop it.
        let may_run = self.ended.get().map_or(Ok(()), |cause| Err(EngineError::Stopped(*cause)));
        let result = may_run.and_then(|()| order.check()).and_then(|()| work());
        *self.lock_running() = None;
        result.map_err(|error| match order.check() {
            Err(stopped) => stopped,
            Ok(()) => self.instance.note(error),
        })
    }

    /// Tells a statement to stop. Once it has ended this does nothing: the next one on the same
    /// connection is not hit.
    pub(super) fn stop(self: &Arc<Self>, order: &Arc<Order>, cause: Cause) {
        if order.stopped.set(cause).is_err() || !self.interrupt_if_running(order) {
            return;
        }
        let (session, order) = (Arc::clone(self), Arc::clone(order));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                while session.interrupt_if_running(&order) {
                    tokio::time::sleep(REMINDER).await;
                }
            });
        }
    }

    fn interrupt_if_running(&self, order: &Order) -> bool {
        // Held while interrupting, so that the statement cannot end in between.
        let running = self.lock_running();
        let is_running = running.as_ref().is_some_and(|now| now.number == order.number);
        if is_running {
            self.interrupt.interrupt();
        }
        is_running
    }

    fn lock_running(&self) -> std::sync::MutexGuard<'_, Option<Arc<Order>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineSettings;

    #[test]
    fn nothing_begins_on_a_session_that_has_ended() {
        let instance = Instance::open(&EngineSettings::default()).unwrap();
        let patience = Patience { statement: None, busy: Duration::ZERO };
        let session = Session::open(&instance, patience).unwrap();
        let order = Order::new();
        session.run(&order, || Ok(())).unwrap();
        session.end(Cause::SessionEnded);
        let result = session.run::<()>(&order, || unreachable!("nobody could stop it"));
        assert!(matches!(result, Err(EngineError::Stopped(Cause::SessionEnded))));
    }
}
