//! Whose worker it is.
//!
//! A worker serves one tenant in its life. Its owner may change, and each change raises the epoch:
//! the worker keeps the highest that it has seen and refuses whoever comes with a lower one, so
//! that an owner which was replaced cannot take the worker back.

use std::collections::HashSet;

use thiserror::Error;

use super::bodies::{ActivateTenant, Secret};

/// The digest of a statement or of a whole payload. What is compared later need not be kept, and a
/// digest gives no secret away.
pub type Digest = [u8; 32];

/// Why an activation is refused. No message repeats what the payload holds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A later owner was here.
    #[error("the epoch {offered} is lower than {highest}, the highest seen by this worker")]
    LowerEpoch {
        /// The epoch of the caller.
        offered: i64,
        /// The highest epoch seen.
        highest: i64,
    },
    /// The payload is for another worker.
    #[error("the activation is for another worker; look up the address of yours again")]
    OtherWorker,
    /// The worker belongs to another tenant for the rest of its life.
    #[error("this worker belongs to another tenant; take another worker")]
    OtherTenant,
    /// The same owner has activated it with other contents.
    #[error("this worker was activated at the epoch {0} with another payload; raise the epoch")]
    OtherPayload(i64),
    /// A worker that ends takes no tenant.
    #[error("this worker is draining and takes no tenant; take another worker")]
    Draining,
}

/// What an accepted activation has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is done already: the same payload came twice.
    Nothing,
    /// Run these statements of the payload, in this order, then call [`Assignment::finish`].
    Run(Vec<usize>),
}

/// An activation whose texts were digested: what the rules need to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// For which worker; any if unset.
    pub worker: Option<String>,
    /// The epoch of the owner.
    pub epoch: i64,
    /// The tenant.
    pub tenant: String,
    /// All that the payload says.
    pub payload: Digest,
    /// Each of its statements.
    pub statements: Vec<Digest>,
}

impl Offer {
    /// Digests an activation.
    pub fn of(body: &ActivateTenant) -> Self {
        Self {
            worker: body.worker_id.clone(),
            epoch: body.owner_epoch,
            tenant: body.org_id.clone(),
            payload: body.digest(),
            statements: body.statements.iter().map(Secret::digest).collect(),
        }
    }
}

/// The names by which this worker is known to its owner: uid and name, where it was told them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity(pub Vec<String>);

impl Identity {
    fn is(&self, worker: Option<&str>) -> bool {
        worker.is_none_or(|worker| self.0.is_empty() || self.0.iter().any(|name| name == worker))
    }
}

/// Whether the process takes new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// It does.
    #[default]
    Serving,
    /// It was told to end and finishes what runs.
    Draining,
}

/// What the worker remembers of its owners.
#[derive(Debug, Clone, Default)]
pub struct Assignment {
    highest_epoch: i64,
    tenant: Option<String>,
    active: Option<Active>,
}

/// The activation that is in force.
#[derive(Debug, Clone, Default)]
struct Active {
    epoch: i64,
    payload: Digest,
    statements: HashSet<Digest>,
}

impl Assignment {
    /// Whether a tenant's activation is in force.
    pub fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// The tenant that it belongs to, from its first activation on, even a failed one.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The highest epoch seen; 0 before the first.
    pub fn highest_epoch(&self) -> i64 {
        self.highest_epoch
    }

    /// Judges an activation. When it is accepted, epoch and tenant are kept from now on, whatever
    /// becomes of its statements: some of them may have run.
    ///
    /// A statement that is in force already (the same text, run with success by the activation
    /// before) is not run again, so that a new owner can send what the last one sent and a refresh
    /// of credentials need not repeat an `ATTACH`.
    pub fn begin(
        &mut self,
        offer: &Offer,
        identity: &Identity,
        phase: Phase,
    ) -> Result<Step, Refusal> {
        self.check(offer, identity)?;
        let same_epoch = self.active.as_ref().filter(|active| active.epoch == offer.epoch);
        match same_epoch {
            Some(active) if active.payload == offer.payload => return Ok(Step::Nothing),
            Some(active) => return Err(Refusal::OtherPayload(active.epoch)),
            None if phase == Phase::Draining && self.active.is_none() => {
                return Err(Refusal::Draining);
            }
            None => {}
        }
        self.highest_epoch = offer.epoch;
        self.tenant = Some(offer.tenant.clone());
        let missing = offer.statements.iter().enumerate().filter(|(_, digest)| {
            self.active.as_ref().is_none_or(|active| !active.statements.contains(*digest))
        });
        Ok(Step::Run(missing.map(|(index, _)| index).collect()))
    }

    /// Its statements ran: the activation is in force.
    pub fn finish(&mut self, offer: &Offer) {
        self.active = Some(Active {
            epoch: offer.epoch,
            payload: offer.payload,
            statements: offer.statements.iter().copied().collect(),
        });
    }

    /// A statement failed. What was in force before stays so, but for the statements that the new
    /// payload no longer holds: those that ran meanwhile may have undone them.
    pub fn fail(&mut self, offer: &Offer) {
        if let Some(active) = &mut self.active {
            active.statements.retain(|digest| offer.statements.contains(digest));
        }
    }

    fn check(&self, offer: &Offer, identity: &Identity) -> Result<(), Refusal> {
        if offer.epoch < self.highest_epoch {
            let (offered, highest) = (offer.epoch, self.highest_epoch);
            return Err(Refusal::LowerEpoch { offered, highest });
        }
        if !identity.is(offer.worker.as_deref()) {
            return Err(Refusal::OtherWorker);
        }
        match &self.tenant {
            Some(tenant) if *tenant != offer.tenant => Err(Refusal::OtherTenant),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTACH: Digest = [1; 32];
    const KEY: Digest = [2; 32];
    const NEW_KEY: Digest = [3; 32];

    fn offer(epoch: i64, tenant: &str, statements: &[Digest]) -> Offer {
        let mut payload = [0; 32];
        for statement in statements {
            payload[0] += 10 * statement[0];
        }
        Offer {
            worker: None,
            epoch,
            tenant: tenant.to_owned(),
            payload,
            statements: statements.to_vec(),
        }
    }

    fn begin(assignment: &mut Assignment, offer: &Offer) -> Result<Step, Refusal> {
        assignment.begin(offer, &Identity::default(), Phase::Serving)
    }

    /// Activated for `blue` at this epoch with these statements.
    fn activated(epoch: i64, statements: &[Digest]) -> Assignment {
        let mut assignment = Assignment::default();
        let offer = offer(epoch, "blue", statements);
        let all = (0..statements.len()).collect();
        assert_eq!(begin(&mut assignment, &offer), Ok(Step::Run(all)));
        assignment.finish(&offer);
        assignment
    }

    #[test]
    fn the_first_activation_runs_everything() {
        let assignment = activated(1, &[ATTACH, KEY]);
        assert!(assignment.is_active());
        assert_eq!(assignment.tenant(), Some("blue"));
        assert_eq!(assignment.highest_epoch(), 1);
    }

    #[test]
    fn the_same_payload_twice_is_fine() {
        let mut assignment = activated(3, &[ATTACH]);
        assert_eq!(begin(&mut assignment, &offer(3, "blue", &[ATTACH])), Ok(Step::Nothing));
    }

    #[test]
    fn a_lower_epoch_is_refused_for_ever() {
        let mut assignment = activated(3, &[ATTACH]);
        let refusal = Refusal::LowerEpoch { offered: 2, highest: 3 };
        assert_eq!(begin(&mut assignment, &offer(2, "blue", &[ATTACH])), Err(refusal));
    }

    #[test]
    fn an_epoch_counts_even_when_its_activation_failed() {
        let mut assignment = Assignment::default();
        let failing = offer(5, "blue", &[ATTACH]);
        assert_eq!(begin(&mut assignment, &failing), Ok(Step::Run(vec![0])));
        assignment.fail(&failing);
        assert!(!assignment.is_active());
        let refusal = Refusal::LowerEpoch { offered: 4, highest: 5 };
        assert_eq!(begin(&mut assignment, &offer(4, "blue", &[ATTACH])), Err(refusal));
        assert_eq!(begin(&mut assignment, &failing), Ok(Step::Run(vec![0])), "tried again");
    }

    #[test]
    fn another_tenant_is_refused_at_any_epoch() {
        let mut assignment = activated(3, &[]);
        for epoch in [3, 4, 100] {
            let refused = begin(&mut assignment, &offer(epoch, "red", &[]));
            assert_eq!(refused, Err(Refusal::OtherTenant));
        }
        assert_eq!(assignment.highest_epoch(), 3, "a refused epoch does not count");
        let mut failed = Assignment::default();
        let first = offer(1, "blue", &[ATTACH]);
        assert!(begin(&mut failed, &first).is_ok());
        failed.fail(&first);
        assert_eq!(begin(&mut failed, &offer(2, "red", &[])), Err(Refusal::OtherTenant));
    }

    #[test]
    fn the_same_epoch_with_other_contents_is_refused() {
        let mut assignment = activated(3, &[ATTACH]);
        let refused = begin(&mut assignment, &offer(3, "blue", &[NEW_KEY]));
        assert_eq!(refused, Err(Refusal::OtherPayload(3)));
    }

    #[test]
    fn a_higher_epoch_takes_over_and_runs_what_is_new() {
        let mut assignment = activated(3, &[ATTACH, KEY]);
        let next = offer(4, "blue", &[ATTACH, NEW_KEY]);
        assert_eq!(begin(&mut assignment, &next), Ok(Step::Run(vec![1])));
        assignment.finish(&next);
        let back = offer(5, "blue", &[ATTACH, KEY]);
        assert_eq!(begin(&mut assignment, &back), Ok(Step::Run(vec![1])), "not in force any more");
    }

    #[test]
    fn a_failed_refresh_keeps_the_worker_active() {
        let mut assignment = activated(3, &[ATTACH, KEY]);
        let next = offer(4, "blue", &[ATTACH, NEW_KEY]);
        assert_eq!(begin(&mut assignment, &next), Ok(Step::Run(vec![1])));
        assignment.fail(&next);
        assert!(assignment.is_active());
        assert_eq!(begin(&mut assignment, &next), Ok(Step::Run(vec![1])), "tried again");
        let old = offer(5, "blue", &[ATTACH, KEY]);
        assert_eq!(begin(&mut assignment, &old), Ok(Step::Run(vec![1])), "KEY may be undone");
    }

    #[test]
    fn a_payload_for_another_worker_is_refused() {
        let identity = Identity(vec!["uid-1".to_owned(), "w1".to_owned()]);
        for (worker, accepted) in
            [(None, true), (Some("uid-1"), true), (Some("w1"), true), (Some("w2"), false)]
        {
            let mut offer = offer(1, "blue", &[]);
            offer.worker = worker.map(str::to_owned);
            let answer = Assignment::default().begin(&offer, &identity, Phase::Serving);
            assert_eq!(answer.is_ok(), accepted, "{worker:?}");
        }
    }

    #[test]
    fn a_draining_worker_takes_no_tenant_but_a_refresh() {
        let none = Identity::default();
        let refused = Assignment::default().begin(&offer(1, "blue", &[]), &none, Phase::Draining);
        assert_eq!(refused, Err(Refusal::Draining));
        let mut assignment = activated(3, &[KEY]);
        let refresh = assignment.begin(&offer(4, "blue", &[NEW_KEY]), &none, Phase::Draining);
        assert_eq!(refresh, Ok(Step::Run(vec![0])));
    }
}
