//! One write until it is decided. The same bytes are sent again and again, so that the version in
//! them makes it exactly once; a new write is never begun while this one may still land.

use std::sync::Arc;

use backon::BackoffBuilder;
use duckworker_api::wire;
use duckworker_core::planted::{Bug, planted};
use duckworker_core::{Version, WorkerKey, WorkerStatus, WriteId};
use tokio::time::Instant;

use crate::answer::{self, Answer, Doubt};
use crate::dice::Dice;
use crate::error::Error;
use crate::store::{StatusBody, Stored, WorkerStore};

/// How long one caller waits for a doubtful write, in deadlines of a call: half a minute as a
/// rule. The write stays remembered after that.
const PATIENCE: u32 = 6;
/// Up to so many later writes leave our id readable in `writes`.
const DECIDABLE: i64 = 4;

/// A write that was begun.
#[derive(Debug)]
pub(crate) struct Attempt {
    key: WorkerKey,
    body: Vec<u8>,
    id: WriteId,
    base: Version,
    seq: i64,
    /// Whether an earlier sending may have been applied, or may be applied yet.
    sent: Sent,
    what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Never,
    Once,
}

/// How a write ended.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is there; this is the worker now.
    Landed(Arc<Stored>),
    /// It is not there and cannot land any more. Decide again on what is there now.
    Failed(Arc<Stored>),
    /// Too many writes came after it to tell. Whoever moved it saw our state: a miss.
    Overwritten(Arc<Stored>),
    /// The worker is gone.
    Gone,
}

impl Attempt {
    /// Prepares the write of a new status over the one that was read.
    pub(crate) fn new(
        dice: &Dice,
        stored: &Stored,
        mut status: WorkerStatus,
        what: String,
    ) -> Result<Self, Error> {
        let id = WriteId::from_bits(dice.roll());
        if !planted(Bug::NoNewWriteId) {
            status.writes = status.writes.with(id.clone());
        }
        let wire = wire::status(&status, stored.wire());
        let body = serde_json::to_vec(&StatusBody::new(stored, &wire)).map_err(|source| {
            Error::Refused { what: what.clone(), source: kube::Error::SerdeError(source) }
        })?;
        Ok(Self {
            key: stored.worker.key.clone(),
            body,
            id,
            base: stored.version.clone(),
            seq: status.writes.seq,
            sent: Sent::Never,
            what,
        })
    }

    /// Sends it until it is decided, or until the caller's patience ends ([`Error::Undecided`]:
    /// the attempt must then be kept and settled before anything else).
    pub(crate) async fn settle(&mut self, store: &WorkerStore) -> Result<Verdict, Error> {
        let time = store.deadline() * PATIENCE;
        let patience = Instant::now() + time;
        let mut pauses = store.connection().backoff().without_max_times().build();
        loop {
            // From here on it may land, also when this future is dropped.
            let in_doubt = std::mem::replace(&mut self.sent, Sent::Once) == Sent::Once;
            let mut pause = pauses.next().unwrap_or_default();
            let doubt = match store.put(&self.key, &self.body).await {
                Answer::Applied(stored) => return Ok(Verdict::Landed(stored)),
                // One too large is refused for what it is: no sending of it was ever applied.
                Answer::Refused(source) if !in_doubt || answer::is_too_large(&source) => {
                    return self.refused(source);
                }
                Answer::Throttled(pause) if !in_doubt => {
                    self.sent = Sent::Never;
                    return Err(Error::Throttled { what: self.what.clone(), pause });
                }
                Answer::Unknown(doubt) => Some(doubt),
                // Who moved it? We ourselves, if this or an earlier sending arrived before (there
                // are things between us and the server that send twice), or somebody else. And
                // what is refused now may have been taken before, or be on its way yet.
                Answer::Conflict(_) | Answer::Refused(_) => None,
                Answer::Throttled(asked) => {
                    pause = pause.max(asked);
                    None
                }
            };
            match self.look(store).await {
                Ok(Some(verdict)) => return Ok(verdict),
                Err(error) if Instant::now() >= patience => return Err(error),
                Ok(None) | Err(_) => {}
            }
            if Instant::now() >= patience {
                let source = doubt.unwrap_or(Doubt::Deadline(time));
                return Err(Error::Undecided { what: self.what.clone(), source });
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn refused(&mut self, source: kube::Error) -> Result<Verdict, Error> {
        self.sent = Sent::Never;
        match &source {
            kube::Error::Api(status) if status.code == 404 => Ok(Verdict::Gone),
            _ => Err(Error::Refused { what: self.what.clone(), source }),
        }
    }

    /// The id that it is known by.
    pub(crate) const fn id(&self) -> &WriteId {
        &self.id
    }

    /// Nothing of it can be on its way.
    pub(crate) fn is_settled(&self) -> bool {
        self.sent == Sent::Never
    }

    /// A consistent read tells whether our id is there. `None`: not yet, and it may still land.
    async fn look(&self, store: &WorkerStore) -> Result<Option<Verdict>, Error> {
        let Some(stored) = store.read(&self.key.namespace, &self.key.name).await? else {
            return Ok(Some(Verdict::Gone));
        };
        if stored.worker.key.uid != self.key.uid {
            return Ok(Some(Verdict::Gone));
        }
        let writes = &stored.worker.status.writes;
        if writes.ids.contains(&self.id) && !planted(Bug::OwnWriteNotRecognised) {
            return Ok(Some(Verdict::Landed(Arc::new(stored))));
        }
        if stored.version == self.base && !planted(Bug::NotYetIsNever) {
            return Ok(None);
        }
        let decidable = writes.seq - self.seq <= DECIDABLE;
        let stored = Arc::new(stored);
        Ok(Some(if decidable { Verdict::Failed(stored) } else { Verdict::Overwritten(stored) }))
    }
}
