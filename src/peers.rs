//! The other instances, as the watch on their Leases shows them. Good enough to choose what to
//! try; what is irrevocable is decided by a consistent read in the client crate.

use std::sync::Arc;

use duckworker_client::Role;
use duckworker_client::instance::{InstanceState, lease_name, role_of, scope_of, state_of};
use duckworker_core::plan::worker::{Holder, Turn};
use duckworker_core::planted::{Bug, planted};
use duckworker_core::{Owner, OwnerStanding, Uid, WorkerStatus, rendezvous};
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::reflector::{ObjectRef, Store};

/// The instances around us.
#[derive(Clone)]
pub struct Peers {
    me: Owner,
    namespace: String,
    leases: Store<Lease>,
}

impl Peers {
    /// As seen by this instance.
    pub const fn new(me: Owner, namespace: String, leases: Store<Lease>) -> Self {
        Self { me, namespace, leases }
    }

    /// All Leases of instances.
    pub fn leases(&self) -> Vec<Arc<Lease>> {
        self.leases.state()
    }

    /// Whether rendezvous hashing names us for this object, among the live controllers.
    pub fn turn(&self, uid: &Uid) -> Turn {
        self.turn_for(uid.as_str())
    }

    /// The same for anything that has a name.
    pub fn turn_for(&self, key: &str) -> Turn {
        let leases = self.leases.state();
        let others = leases.iter().filter(|lease| is_live_controller(lease)).filter_map(holder_of);
        // We count ourselves whether or not the watch has shown our Lease yet; unless we leave.
        let leaving = self.is_leaving(&leases);
        let live: Vec<Owner> = others
            .filter(|owner| *owner != self.me)
            .chain((!leaving).then(|| self.me.clone()))
            .collect();
        match rendezvous::winner(key, &live) {
            Some(winner) if *winner == self.me => Turn::Mine,
            _ => Turn::Others,
        }
    }

    fn is_leaving(&self, leases: &[Arc<Lease>]) -> bool {
        leases
            .iter()
            .find(|lease| holder_of(lease).as_ref() == Some(&self.me))
            .is_some_and(|lease| state_of(lease) != InstanceState::Active)
    }

    /// Whether another live controller could take over what we hold.
    pub fn has_successor(&self) -> bool {
        self.leases
            .state()
            .iter()
            .any(|l| is_live_controller(l) && holder_of(l).as_ref() != Some(&self.me))
    }

    /// Live controllers that watch other namespaces than this scope, as it stands on a Lease. Whose
    /// turn it is is reckoned over all of them, so an object whose turn is theirs, and which they
    /// do not see, waits for nobody.
    pub fn strangers(&self, scope: &str) -> Vec<(Owner, String)> {
        let leases = self.leases.state();
        let stranger = |lease: &Arc<Lease>| {
            let theirs = scope_of(lease).filter(|theirs| *theirs != scope)?;
            Some((holder_of(lease)?, theirs.to_owned()))
        };
        leases.iter().filter(|lease| is_live_controller(lease)).filter_map(stranger).collect()
    }

    /// Whether an owner, by its name in a status, is a controller that is alive and stays.
    pub fn is_live_controller(&self, owner: &str) -> bool {
        let Ok(owner) = Owner::new(owner) else { return false };
        let key = ObjectRef::new(&lease_name(&owner)).within(&self.namespace);
        self.leases.get(&key).is_some_and(|lease| is_live_controller(&lease))
    }

    /// The standing of an owner, by its name in a status. A name that no Lease could bear tells
    /// nothing, and so counts as alive.
    pub fn standing(&self, owner: &str) -> OwnerStanding {
        let Ok(owner) = Owner::new(owner) else { return OwnerStanding::Live };
        let key = ObjectRef::new(&lease_name(&owner)).within(&self.namespace);
        self.leases.get(&key).map_or(OwnerStanding::Absent, |lease| state_of(&lease).into())
    }

    /// Who holds a worker.
    pub fn holder(&self, status: &WorkerStatus) -> Holder {
        let Some(owner) = status.owner() else { return Holder::Nobody };
        if *owner == self.me {
            return Holder::Me;
        }
        let key = ObjectRef::new(&lease_name(owner)).within(&self.namespace);
        match self.leases.get(&key) {
            None => Holder::Peer(OwnerStanding::Absent),
            Some(_) if planted(Bug::DeadOwnerInvisible) => Holder::Peer(OwnerStanding::Live),
            Some(lease) if role_of(&lease) == Role::Controller => {
                Holder::Peer(state_of(&lease).into())
            }
            Some(lease) => Holder::Foreign(state_of(&lease).into()),
        }
    }
}

fn is_live_controller(lease: &Lease) -> bool {
    role_of(lease) == Role::Controller && state_of(lease) == InstanceState::Active
}

fn holder_of(lease: &Arc<Lease>) -> Option<Owner> {
    let holder = lease.spec.as_ref()?.holder_identity.clone()?;
    Owner::new(holder).ok()
}
