//! When a pod or a secret cannot be made: what the worker says about it, and when it is tried
//! again. The worker is abandoned by the plan when its start-up time is over, not before: quotas
//! are raised, policies mended, namesakes removed.

use duckworker_client::answer::Doubt;
use duckworker_client::{Error, Origin, WorkerLease};
use duckworker_core::conditions::{Condition, ConditionStatus, ConditionType};
use duckworker_core::plan::observed::Trouble;
use duckworker_core::plan::worker::{blocked_note_of, startup_left};
use duckworker_core::{Note, Reason};

use super::act::{Progress, RECHECK};
use super::context::Context;
use super::sight::Sight;
use crate::children::BuildError;
use crate::children::refusal::{self, Refusal};
use crate::observe::EventReason;

/// What came of a creation.
pub enum Made<T> {
    /// It is there.
    Yes(T),
    /// It is not, and this is when to go on.
    No(Progress),
}

/// Judges a creation: done, an error to be tried again as such, or a refusal that the worker
/// shows in a condition.
///
/// # Errors
/// Those that are nobody's fault and pass: the server is busy or away.
pub async fn judge<T>(
    context: &Context,
    sight: &Sight,
    lease: &WorkerLease,
    made: Result<T, Error>,
) -> Result<Made<T>, Error> {
    let error = match made {
        Ok(made) => return Ok(Made::Yes(made)),
        Err(error) => error,
    };
    if let Error::Foreign { kind, name, .. } = &error {
        let message = format!(
            "a {kind} named {name} exists and is not this worker's; it is left alone: delete it, or create the worker under another name"
        );
        let condition = Condition::new(
            ConditionType::NameConflict,
            ConditionStatus::True,
            Reason::NameConflict.to_string(),
            message.clone(),
            context.clock.now(),
        );
        let known = sight.snapshot.worker().status.conditions.iter();
        let news = !known.into_iter().any(|old| old.says_the_same(&condition));
        let note = news.then(|| Note { conditions: vec![condition], ..Note::default() });
        return tell(context, sight, lease, note, EventReason::NameConflict, &message, error)
            .await
            .map(Made::No);
    }
    let refusal = match &error {
        Error::Refused { source: kube::Error::Api(status), .. } => refusal::of(status),
        // Sent several times, and each time the server itself failed over it.
        Error::Unavailable { source: Doubt::Answer(kube::Error::Api(status)), .. } => {
            refusal::failure(status).map(Refusal::Rule)
        }
        _ => None,
    };
    match refusal {
        // Nothing can be made here any more; the deletion of the namespace does the rest.
        Some(Refusal::NamespaceTerminating) => Ok(Made::No(Progress::Rest)),
        Some(Refusal::Rule(trouble)) => {
            let note = blocked_note_of(sight.snapshot.worker(), &trouble, context.clock.now());
            tell(context, sight, lease, note, EventReason::PodRefused, &trouble.message, error)
                .await
                .map(Made::No)
        }
        None => Err(error),
    }
}

/// The template cannot become a pod: only an object older than our rules has such a one.
///
/// # Errors
/// When the condition cannot be written.
pub async fn unbuildable(
    context: &Context,
    sight: &Sight,
    lease: &WorkerLease,
    why: &BuildError,
) -> Result<Progress, Error> {
    let trouble = Trouble::new(Reason::PodRefused, why.to_string());
    let worker = sight.snapshot.worker();
    if let Some(note) = blocked_note_of(worker, &trouble, context.clock.now()) {
        context.observer.event(&sight.snapshot, EventReason::PodRefused, &trouble.message);
        let _ = context.lifecycle.note(lease, note, Origin::Spawn).await?;
    }
    Ok(Progress::Wait(startup_left(worker, context.clock.now()).unwrap_or(RECHECK)))
}

async fn tell(
    context: &Context,
    sight: &Sight,
    lease: &WorkerLease,
    note: Option<Note>,
    event: EventReason,
    message: &str,
    error: Error,
) -> Result<Progress, Error> {
    // A sentence that is another one each time, by the order of its parts or a number in it, would
    // be written, wake us, be asked for and written again.
    let woken = context.requeue.pauses(&lease.key().uid);
    let known = &sight.snapshot.worker().status.conditions;
    let note = note.filter(|note| !(woken && only_rephrases(known, note)));
    if let Some(note) = note {
        context.observer.event(&sight.snapshot, event, message);
        let _ = context.lifecycle.note(lease, note, Origin::Spawn).await?;
    }
    // Not past the end of the start-up time: then the worker is abandoned.
    let left = startup_left(sight.snapshot.worker(), context.clock.now()).unwrap_or(RECHECK);
    let pause = context.requeue.failed(&lease.key().uid, error.class());
    Ok(Progress::Wait(pause.min(left)))
}

/// Whether a note says what the status says, in other words.
fn only_rephrases(known: &[Condition], note: &Note) -> bool {
    note.conditions.iter().all(|new| {
        known
            .iter()
            .any(|old| (&old.kind, old.status, &old.reason) == (&new.kind, new.status, &new.reason))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(reason: &str, message: &str) -> Condition {
        let (kind, holds) = (ConditionType::PodBlocked, ConditionStatus::True);
        Condition::new(kind, holds, reason, message, jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn another_sentence_for_the_same_reason_is_no_news_and_another_reason_is() {
        let known = [blocked("PodRefused", "a, b")];
        let says = |reason, message| Note {
            conditions: vec![blocked(reason, message)],
            ..Note::default()
        };
        assert!(only_rephrases(&known, &says("PodRefused", "b, a")));
        assert!(!only_rephrases(&known, &says("QuotaExceeded", "a, b")));
        assert!(!only_rephrases(&[], &says("PodRefused", "a, b")));
    }
}
