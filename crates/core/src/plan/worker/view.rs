//! What the plan of a worker may know, and the steps that it names.

use std::time::Duration;

use jiff::Timestamp;

use crate::names::Tenant;
use crate::plan::observed::{Mark, PodSeen};
use crate::pool::Disruption;
use crate::reason::Reason;
use crate::right::OwnerStanding;
use crate::transition::Note;
use crate::worker::Worker;

/// Who looks after the worker now, from the asking instance's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The asker holds its lease.
    Me,
    /// Nobody yet.
    Nobody,
    /// Another controller instance.
    Peer(OwnerStanding),
    /// A control plane that claimed it through the library.
    Foreign(OwnerStanding),
}

/// Whether the asker is the one that rendezvous hashing names for this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is.
    Mine,
    /// Another live instance is.
    Others,
}

/// What is known of the claim that a worker names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimStanding {
    /// It names none.
    None,
    /// The claim is there and wants it.
    Wants,
    /// The claim is gone, or has ended, or has another worker. Another one of the tenant may have
    /// the worker.
    GoneAndReused,
    /// The same, and nobody may.
    GoneForGood,
}

/// Whether a worker's tenant may have workers of its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantStanding {
    /// It may, or the worker has none.
    Welcome,
    /// It is not declared any more, and the pool serves declared tenants only.
    Gone,
}

/// Whether a worker's pool names it, without which it is not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatStanding {
    /// It belongs to no pool, or has been started.
    NotNeeded,
    /// Its pool names it.
    Taken,
    /// Its pool does not name it, or not yet.
    Missing,
}

/// Whether our finalizer is on the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finalizer {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// What is known of the worker's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretStanding {
    /// This process has not made it.
    NotMade,
    /// This process made it, or it is recorded and there.
    There,
    /// It is recorded, and gone.
    Vanished,
}

/// What the health check says. With protocol None the pod's readiness is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers, or nothing needs to answer.
    Healthy,
    /// Not asked yet, or no answer yet.
    Unknown,
}

/// What is known of the node that the pod is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeStanding {
    /// It takes pods, or the pod has none yet.
    Open,
    /// It is being emptied: an administrator cordoned it.
    Cordoned,
    /// Its Node object is gone, or marked out of service: nothing runs there any more.
    Gone,
}

/// Everything that the plan may know.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The worker.
    pub worker: &'a Worker,
    /// Whether our finalizer is on it.
    pub finalizer: Finalizer,
    /// Who holds it.
    pub holder: Holder,
    /// Whose turn it is when nobody does.
    pub turn: Turn,
    /// Whether its pool names it.
    pub seat: SeatStanding,
    /// The claim that it names.
    pub claim: ClaimStanding,
    /// Whether its tenant may have it.
    pub tenant: TenantStanding,
    /// The pod of its name.
    pub pod: Option<&'a PodSeen>,
    /// The pod's node.
    pub node: NodeStanding,
    /// Whether its pool lets idle pods be evicted.
    pub disruption: Disruption,
    /// Its secret.
    pub secret: SecretStanding,
    /// Its health.
    pub health: Health,
    /// The API server's time.
    pub now: Timestamp,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Put the finalizer on.
    AddFinalizer,
    /// Take the new worker.
    AdoptNew,
    /// Take the worker of a dead or leaving owner.
    Adopt,
    /// Make its secret.
    MakeSecret,
    /// Make its pod.
    MakePod,
    /// Write down what was seen.
    Note(Note),
    /// Ask its health check.
    Probe,
    /// It runs.
    Ready(Note),
    /// It is dedicated: claim it for its tenant.
    ClaimDedicated(Tenant),
    /// Begin the activation.
    Activate,
    /// Carry the activation out, then go to Hot.
    FinishActivation,
    /// Its claim is gone: park it for its tenant.
    Release,
    /// The same, before it was activated again.
    Park,
    /// Mark its pod, for those who would evict it.
    MarkPod(Mark),
    /// Let it finish and exit.
    Drain(Reason),
    /// Start or activation failed.
    Abandon(Reason),
    /// It ran and is gone.
    MarkLost(Reason),
    /// The same, for a worker that somebody else owns: by snapshot.
    RetireLost(Reason),
    /// Tell its pod to stop, and give it this long.
    StopPod(Duration),
    /// Its node will never say that the pod has stopped: remove the pod's object at once.
    ForcePod,
    /// Its pod is gone: sweep its secrets, then retire it.
    RetireDrained,
    /// It is over and its pod is gone: sweep its secrets, then let go of the object if it is
    /// being deleted.
    Finish,
    /// Delete the object: it has been readable for long enough, or its owner shall drain it.
    DeleteObject,
    /// Nothing until something changes, or until this time has passed.
    Wait(Duration),
    /// Nothing until something changes.
    Rest,
}
