//! A statement that runs: its schema at once, its batches as the client takes them.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::failure::{Cause, EngineError};
use super::session::{Counted, Order, Session};
use super::work::{self, Statement};

/// How many batches may wait for the client. With a batch of a few megabytes this bounds the
/// memory of a result; the engine rests when they are full.
const WAITING: usize = 2;

/// The rows of a statement. Dropping it stops the statement.
pub struct Rows {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch, EngineError>>,
    stopper: Arc<Stopper>,
}

/// Tells a statement to stop, from elsewhere, for as long as there is one.
#[derive(Clone)]
pub struct StopHandle(Weak<Stopper>);

impl StopHandle {
    /// Whether there was something to stop.
    pub fn stop(&self, cause: Cause) -> bool {
        self.0.upgrade().inspect(|stopper| stopper.stop(cause)).is_some()
    }

    /// Whether the statement is over and its result gone.
    pub fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Rows {
    /// Runs a statement until it has begun to answer, or has failed.
    pub async fn of(session: &Arc<Session>, statement: Statement) -> Result<Self, EngineError> {
        let stopper = Arc::new(Stopper::new(session));
        let turn = session.turn().await?;
        stopper.limit_time();
        let (begun, schema) = oneshot::channel();
        let (sender, batches) = mpsc::channel(WAITING);
        let (session, order) = (Arc::clone(session), Arc::clone(&stopper.order));
        tokio::task::spawn_blocking(move || {
            let mut output = work::Output::new(begun, sender);
            let result =
                session.run(&order, || work::query(&turn, &statement, &order, &mut output));
            work::note_transaction(&session, &statement, &result);
            // Whoever waits for the end of the result may run the next statement at once.
            drop(turn);
            output.finish(result);
        });
        match schema.await {
            Ok(Ok(schema)) => Ok(Self { schema, batches, stopper }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(EngineError::Died),
        }
    }

    /// The schema of every batch.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// What stops the statement; what is left of the stream then says why.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::downgrade(&self.stopper))
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_recv(context)
    }
}

/// Runs a statement to its end, for the number of rows that it changed.
pub async fn change(session: &Arc<Session>, statement: Statement) -> Result<i64, EngineError> {
    let stopper = Stopper::new(session);
    let turn = session.turn().await?;
    stopper.limit_time();
    let (session, order) = (Arc::clone(session), Arc::clone(&stopper.order));
    let changed = tokio::task::spawn_blocking(move || {
        let transaction = work::begin(&turn, &statement);
        let result = session.run(&order, || work::change(&turn, &statement, &order));
        let result = work::end(&turn, transaction, result).map_err(|e| session.instance.note(e));
        work::note_transaction(&session, &statement, &result);
        result
    });
    changed.await.map_err(|_| EngineError::Died)?
}

/// Runs something of ours on the session's connection, such as a look at the catalog.
pub async fn with_connection<T: Send + 'static>(
    session: &Arc<Session>,
    work: impl FnOnce(&duckdb::Connection) -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let stopper = Stopper::new(session);
    let turn = session.turn().await?;
    stopper.limit_time();
    let (session, order) = (Arc::clone(session), Arc::clone(&stopper.order));
    tokio::task::spawn_blocking(move || session.run(&order, || work(&turn)))
        .await
        .map_err(|_| EngineError::Died)?
}

/// Stops its statement when it is dropped, which does nothing to one that has ended, or when the
/// statement's time is over.
struct Stopper {
    session: Arc<Session>,
    order: Arc<Order>,
    limit: std::sync::OnceLock<AbortHandle>,
    _counted: Counted,
}

impl Stopper {
    fn new(session: &Arc<Session>) -> Self {
        Self {
            session: Arc::clone(session),
            order: Order::new(),
            limit: std::sync::OnceLock::new(),
            _counted: session.count(),
        }
    }

    fn limit_time(&self) {
        let Some(limit) = self.session.patience.statement else { return };
        let (session, order) = (Arc::clone(&self.session), Arc::clone(&self.order));
        let task = tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            session.stop(&order, Cause::TimedOut(limit));
        });
        let _ = self.limit.set(task.abort_handle());
    }

    fn stop(&self, cause: Cause) {
        self.session.stop(&self.order, cause);
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        if let Some(limit) = self.limit.get() {
            limit.abort();
        }
        self.stop(Cause::Client);
    }
}
