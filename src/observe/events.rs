//! Kubernetes Events: for what a person would ask about, never for routine transitions, which
//! `kubectl describe` shows out of the status.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use strum::{Display, EnumIter, IntoStaticStr};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::text::one_line;

/// Who we are to readers of Events.
const CONTROLLER: &str = "duckworker.dev/controller";

/// The API server takes 1024 bytes; a character has up to four.
const MESSAGE: usize = 256;

/// What the API server takes for the name of a reporting instance.
const INSTANCE: usize = 128;

/// How many Events may wait. More in one go is a fleet in trouble: its state tells, not its Events.
const QUEUE: usize = 256;

/// How long the API server may take for one.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long the process may take for the last ones when it ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Every reason that an Event of ours can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumIter, IntoStaticStr)]
pub enum EventReason {
    /// The worker ran and is gone.
    WorkerLost,
    /// The worker did not start, or its tenant could not be activated.
    WorkerAbandoned,
    /// The worker's pod was told to stop by somebody else: it finishes its sessions and ends.
    WorkerDrained,
    /// Another instance looks after the worker now; its pod was not touched.
    WorkerAdopted,
    /// The worker's owner died and its sessions with it; the worker is ended.
    WorkerOrphaned,
    /// The worker is of a version that this one cannot read; it is left alone.
    WorkerUnreadable,
    /// The worker's object has grown so large that its status cannot be written.
    StatusTooLarge,
    /// Pod or secret of the worker's name are somebody else's.
    NameConflict,
    /// The API server refuses the pod: a quota, Pod Security, a policy.
    PodRefused,
    /// The pod does not start: its image, no node for it, its configuration.
    PodBlocked,
    /// The worker's secret was deleted or replaced by hand; the worker is drained.
    SecretLost,
    /// The worker does not end though its time to drain is over.
    DrainStuck,
    /// The worker's node does not answer; its pod is not touched until the node is gone.
    NodeUnreachable,
    /// Workers of the pool do not start; the next is tried after a pause.
    WorkersFail,
    /// A change of the pool's template stands still for too long.
    RolloutFailed,
    /// A control-plane instance has not renewed its Lease and counts as dead.
    InstanceExpired,
}

impl EventReason {
    /// How `kubectl describe` shows it.
    pub const fn severity(self) -> EventType {
        match self {
            Self::WorkerAdopted => EventType::Normal,
            _ => EventType::Warning,
        }
    }

    /// What was done about it, in a word: the API wants one.
    pub const fn action(self) -> &'static str {
        match self {
            Self::WorkerLost => "MarkLost",
            Self::WorkerAbandoned => "Abandon",
            Self::WorkerAdopted => "Adopt",
            Self::WorkerOrphaned => "Retire",
            Self::SecretLost | Self::WorkerDrained => "Drain",
            Self::InstanceExpired => "Expire",
            Self::WorkerUnreadable | Self::StatusTooLarge | Self::NameConflict => "LeaveAlone",
            Self::PodRefused | Self::PodBlocked | Self::WorkersFail => "Spawn",
            Self::DrainStuck | Self::NodeUnreachable | Self::RolloutFailed => "Wait",
        }
    }
}

/// Tells Events. Never fails and never waits, so that no decision hangs on the Events API.
#[derive(Debug, Clone)]
pub struct Events {
    queue: mpsc::Sender<Told>,
}

#[derive(Debug)]
struct Told {
    regarding: ObjectReference,
    reason: EventReason,
    message: String,
}

impl Events {
    /// The teller, and the writer that must run for anything to be written. `instance` is the
    /// identity of this process.
    pub fn new(client: Client, instance: &str) -> (Self, EventWriter) {
        let reporter = Reporter {
            controller: CONTROLLER.to_owned(),
            instance: Some(instance.chars().take(INSTANCE).collect()),
        };
        let (events, queue) = Self::channel();
        (events, EventWriter { recorder: Recorder::new(client, reporter), queue })
    }

    fn channel() -> (Self, mpsc::Receiver<Told>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { queue: sender }, receiver)
    }

    /// Says what happened to an object, in a sentence without secrets. What does not fit in the
    /// queue is logged and dropped.
    pub fn tell(&self, regarding: ObjectReference, reason: EventReason, message: &str) {
        let told = Told { regarding, reason, message: one_line(message, MESSAGE) };
        if let Err(error) = self.queue.try_send(told) {
            let (mpsc::error::TrySendError::Full(told) | mpsc::error::TrySendError::Closed(told)) =
                error;
            told.log("event dropped: too many at once");
        }
    }
}

impl Told {
    fn log(&self, what: &'static str) {
        warn!(
            kind = self.regarding.kind,
            namespace = self.regarding.namespace,
            name = self.regarding.name,
            reason = %self.reason,
            event = self.message,
            "{what}"
        );
    }

    fn event(&self) -> Event {
        Event {
            type_: self.reason.severity(),
            reason: self.reason.to_string(),
            note: Some(self.message.clone()),
            action: self.reason.action().to_owned(),
            secondary: None,
        }
    }
}

/// Writes what was told, one after the other.
pub struct EventWriter {
    recorder: Recorder,
    queue: mpsc::Receiver<Told>,
}

impl EventWriter {
    /// Writes until `stop`, or until nobody can tell anything any more. What waits at `stop` is
    /// still written, if that takes but a moment.
    pub async fn run(mut self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.write_all()).await.is_none() {
            // What is queued can still be received, nothing more can be sent.
            self.queue.close();
            let _ = timeout(LAST_WORDS, self.write_all()).await;
        }
    }

    async fn write_all(&mut self) {
        while let Some(told) = self.queue.recv().await {
            self.write(&told).await;
        }
    }

    async fn write(&self, told: &Told) {
        let event = told.event();
        match timeout(DEADLINE, self.recorder.publish(&event, &told.regarding)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "event refused");
                told.log("event not written");
            }
            Err(_) => told.log("event not written in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    fn worker() -> ObjectReference {
        ObjectReference {
            kind: Some("DuckWorker".to_owned()),
            name: Some("w1".to_owned()),
            namespace: Some("data".to_owned()),
            ..ObjectReference::default()
        }
    }

    #[test]
    fn reasons_are_words_that_the_api_takes() {
        for reason in EventReason::iter() {
            let word = reason.to_string();
            assert!(word.len() <= 128 && word.chars().all(|c| c.is_ascii_alphabetic()), "{word}");
            assert!(!reason.action().is_empty());
        }
    }

    #[tokio::test]
    async fn messages_are_one_bounded_line() {
        let (events, mut queue) = Events::channel();
        events.tell(worker(), EventReason::WorkerLost, &format!("a\nb {}", "ü".repeat(2000)));
        let event = queue.recv().await.unwrap().event();
        let note = event.note.unwrap();
        assert!(note.starts_with("a b ü") && note.len() <= 1024, "{note}");
        assert_eq!(event.reason, "WorkerLost");
    }

    #[tokio::test]
    async fn a_full_queue_stops_nobody() {
        let (events, mut queue) = Events::channel();
        for _ in 0..2 * QUEUE {
            events.tell(worker(), EventReason::PodRefused, "exceeded quota");
        }
        drop(events);
        let mut written = 0;
        while queue.recv().await.is_some() {
            written += 1;
        }
        assert_eq!(written, QUEUE);
    }
}
