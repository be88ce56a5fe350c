//! Results on their way to the client. A statement runs when it is asked for by `GetFlightInfo`,
//! so that its schema is the true one; its rows wait, a few batches of them, until `DoGet` comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::encode::{FlightDataEncoder, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use prost::Message as _;
use tokio::task::AbortHandle;
use tonic::Status;

use super::desk::Desk;
use super::status;
use super::token::random_name;
use crate::engine::{Cause, EngineError, Rows, Statement, StopHandle};

/// About how large a message may be, unless a single row is larger: many clients take no more than
/// four megabytes unless they are told to.
const MESSAGE: usize = 2 << 20;
/// How many results of a session may wait: a client that never fetches one is told so.
const RESULTS: usize = 100;

/// A result that nobody has fetched yet.
pub struct Waiting {
    stream: FlightDataEncoder,
    _expiry: Expiry,
}

/// Ends the wait for the client, unless it comes before.
struct Expiry(AbortHandle);

impl Drop for Expiry {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The results of a session: those that wait, and those that are being sent.
pub struct WaitingResults {
    /// None once the session has ended.
    waiting: Mutex<Option<HashMap<String, Waiting>>>,
    stoppable: Mutex<HashMap<String, StopHandle>>,
}

impl Default for WaitingResults {
    fn default() -> Self {
        Self { waiting: Mutex::new(Some(HashMap::new())), stoppable: Mutex::default() }
    }
}

impl WaitingResults {
    pub(super) fn take(&self, ticket: &str) -> Option<Waiting> {
        lock(&self.waiting).as_mut()?.remove(ticket)
    }

    /// Drops those that wait; from now on none can.
    pub(super) fn close(&self) {
        // Taken out first: dropping a result stops its statement, which need not hold the lock.
        let dropped = lock(&self.waiting).take();
        drop(dropped);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        lock(&self.waiting).as_ref().map_or(0, HashMap::len)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An error when the session ended while the statement began: nobody could fetch the result.
    fn add(&self, ticket: String, waiting: Waiting, stop: StopHandle) -> Result<(), EngineError> {
        let mut stoppable = lock(&self.stoppable);
        stoppable.retain(|_, stop| !stop.is_over());
        let mut results = lock(&self.waiting);
        let results = results.as_mut().ok_or(EngineError::Stopped(Cause::SessionEnded))?;
        stoppable.insert(ticket.clone(), stop);
        results.insert(ticket, waiting);
        Ok(())
    }

    /// Stops a result, waiting or on its way. Whether there was such a one.
    pub fn cancel(&self, ticket: &str, cause: Cause) -> bool {
        let stop = lock(&self.stoppable).remove(ticket);
        let stopped = stop.is_some_and(|stop| stop.stop(cause));
        self.take(ticket).is_some() || stopped
    }
}

/// Runs a statement, and tells the client where its rows will be.
pub async fn begin(
    desk: &Arc<Desk>,
    statement: Statement,
    descriptor: FlightDescriptor,
    patience: Duration,
) -> Result<FlightInfo, Status> {
    if desk.results.len() >= RESULTS {
        return Err(Status::resource_exhausted(format!(
            "{RESULTS} results of this session wait to be fetched; fetch or cancel some"
        )));
    }
    let rows = Rows::of(&desk.session, statement).await.map_err(|e| status::of_engine(&e))?;
    let stop = rows.stop_handle();
    let encoded = encoded(rows.schema(), rows_stream(rows).boxed());
    let schema = encoded.known_schema().unwrap_or_else(|| Arc::new(Schema::empty()));
    let handle = random_name();
    let ticket = TicketStatementQuery { statement_handle: handle.clone().into() };
    let info = info(&schema, ticket.as_any().encode_to_vec(), descriptor)?;
    let expiry = expire(desk, handle.clone(), patience);
    let waiting = Waiting { stream: encoded, _expiry: expiry };
    desk.results.add(handle, waiting, stop).map_err(|e| status::of_engine(&e))?;
    Ok(info)
}

/// The rows, as messages.
pub fn fetch(
    desk: &Desk,
    ticket: &TicketStatementQuery,
) -> Result<BoxStream<'static, Result<arrow_flight::FlightData, Status>>, Status> {
    let waiting = std::str::from_utf8(&ticket.statement_handle).ok().and_then(|t| desk.take(t));
    let waiting = waiting.ok_or_else(|| {
        Status::not_found(
            "this result does not wait on this session: it was fetched, cancelled or dropped \
             after a while; run the statement again",
        )
    })?;
    Ok(messages(waiting.stream))
}

/// A batch that is there already, as messages.
pub fn of_batch(
    batch: RecordBatch,
) -> BoxStream<'static, Result<arrow_flight::FlightData, Status>> {
    let schema = batch.schema();
    messages(encoded(schema, stream::iter([Ok(batch)]).boxed()))
}

/// The schema as it goes over the wire: without dictionaries, which are sent as their values.
pub fn wire_schema(schema: &SchemaRef) -> SchemaRef {
    let encoder = encoded(SchemaRef::clone(schema), stream::empty().boxed());
    encoder.known_schema().unwrap_or_else(|| SchemaRef::clone(schema))
}

/// Tells the client where to fetch: here.
pub fn info(
    schema: &Schema,
    ticket: Vec<u8>,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo::new().try_with_schema(schema).map_err(|e| status::of_arrow(&e))?;
    Ok(info.with_endpoint(endpoint).with_descriptor(descriptor))
}

fn encoded(
    schema: SchemaRef,
    batches: BoxStream<'static, Result<RecordBatch, FlightError>>,
) -> FlightDataEncoder {
    FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_max_flight_data_size(MESSAGE)
        .build(batches)
}

fn rows_stream(rows: Rows) -> impl futures::Stream<Item = Result<RecordBatch, FlightError>> {
    rows.map(|batch| batch.map_err(|error| status::of_engine(&error).into()))
}

fn messages(
    encoder: FlightDataEncoder,
) -> BoxStream<'static, Result<arrow_flight::FlightData, Status>> {
    encoder.map(|message| message.map_err(Status::from)).boxed()
}

/// A result that nobody fetches would hold its session for ever.
fn expire(desk: &Arc<Desk>, ticket: String, patience: Duration) -> Expiry {
    let desk = Arc::downgrade(desk);
    let task = tokio::spawn(async move {
        tokio::time::sleep(patience).await;
        if let Some(unclaimed) = desk.upgrade().and_then(|desk| desk.take(&ticket)) {
            tracing::info!("nobody fetched a result; it was dropped");
            drop(unclaimed);
        }
    });
    Expiry(task.abort_handle())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::super::desk::Origin;
    use super::*;
    use crate::engine::session::Patience;
    use crate::engine::{EngineSettings, Instance, Session};

    #[tokio::test]
    async fn a_result_that_comes_when_its_session_has_ended_is_refused() {
        let instance = Instance::open(&EngineSettings::default()).unwrap();
        let patience = Patience { statement: None, busy: Duration::from_secs(1) };
        let desk = Desk::new(Session::open(&instance, patience).unwrap(), Origin::Action);
        let statement = || Statement::plain("SELECT 1");
        let wait = Duration::from_mins(1);
        begin(&desk, statement(), FlightDescriptor::default(), wait).await.unwrap();
        desk.results.close();
        assert!(desk.results.is_empty());
        let refused = begin(&desk, statement(), FlightDescriptor::default(), wait).await;
        assert_eq!(refused.unwrap_err().code(), Code::Cancelled);
        assert!(desk.results.is_empty());
    }
}
