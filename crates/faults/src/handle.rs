//! What a test holds in its hand.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::call::Call;
use crate::choose::{Chance, Choose, Script};
use crate::fault::Fault;
use crate::service::FaultLayer;

/// One call that went through the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number among the counted calls, from 1; none for a call that is not counted.
    pub number: Option<u64>,
    /// The call.
    pub call: Call,
    /// What was done to it.
    pub fault: Option<Fault>,
    /// The code of the answer that the client got; none if it got none.
    pub answer: Option<u16>,
}

/// The faults of one process: give its clients [`Faults::layer`], and read here what they did.
/// Clones share everything.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Mutex<State>>,
    stopped: CancellationToken,
    released: watch::Sender<bool>,
}

type Counts = Box<dyn Fn(&Call) -> bool + Send>;

struct State {
    choose: Box<dyn Choose>,
    counts: Counts,
    records: Vec<Record>,
    counted: u64,
}

impl Faults {
    /// No fault; only records.
    pub fn none() -> Self {
        Self::by(Script::default())
    }

    /// One fault, at the k-th call (from 1).
    pub fn at(k: u64, fault: Fault) -> Self {
        Self::script([(k, fault)])
    }

    /// Faults at given calls (from 1).
    pub fn script(faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self::by(Script::new(faults))
    }

    /// With this probability at each call, one of these.
    pub fn chance(seed: u64, probability: f64, menu: Vec<Fault>) -> Self {
        Self::by(Chance::new(seed, probability, menu))
    }

    /// As somebody else chooses, who may be a closure.
    pub fn by(choose: impl Choose + 'static) -> Self {
        let state = State {
            choose: Box::new(choose),
            counts: Box::new(|_| true),
            records: Vec::new(),
            counted: 0,
        };
        Self {
            shared: Arc::new(Mutex::new(state)),
            stopped: CancellationToken::new(),
            released: watch::Sender::new(false),
        }
    }

    /// Counts only these calls; all others go through.
    #[must_use]
    pub fn counting(self, counts: impl Fn(&Call) -> bool + Send + 'static) -> Self {
        self.lock().counts = Box::new(counts);
        self
    }

    /// The layer that a client of this process gets.
    pub fn layer(&self) -> FaultLayer {
        FaultLayer::new(self.clone())
    }

    /// From now on every call goes through; held ones are let go. A stopped process stays so.
    pub fn heal(&self) {
        self.choose(Script::default());
        self.release();
    }

    /// From now on somebody else chooses. Counting goes on.
    pub fn choose(&self, choose: impl Choose + 'static) {
        self.lock().choose = Box::new(choose);
    }

    /// Lets go every held call, and those that would be held from now on.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Fires when the process is to die. Its tasks are to be aborted then; none of its calls is
    /// sent or answered any more.
    pub const fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    /// Lets the process die here and now.
    pub fn stop(&self) {
        self.stopped.cancel();
    }

    /// Every call so far, in the order of their sending.
    pub fn records(&self) -> Vec<Record> {
        self.lock().records.clone()
    }

    /// The counted calls so far.
    pub fn counted(&self) -> u64 {
        self.lock().counted
    }

    /// Enters a call and tells its place in the records and its fault.
    pub(crate) fn enter(&self, call: Call) -> (usize, Option<Fault>) {
        let mut state = self.lock();
        let number = (state.counts)(&call).then(|| {
            state.counted += 1;
            state.counted
        });
        let fault = number.and_then(|number| state.choose.choose(number, &call));
        state.records.push(Record { number, call, fault: fault.clone(), answer: None });
        (state.records.len() - 1, fault)
    }

    pub(crate) fn answered(&self, place: usize, code: u16) {
        if let Some(record) = self.lock().records.get_mut(place) {
            record.answer = Some(code);
        }
    }

    pub(crate) async fn wait_for_release(&self) {
        // An error means that no sender is left, which cannot be: self holds one.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("counted", &self.counted()).finish_non_exhaustive()
    }
}
