//! The two claims: each keeps the cap and the version that a `DuckTenant` of that name asks for,
//! whoever claims.

use duckworker_core::worker::ClaimRef;
use duckworker_core::{Image, Miss, Tenant, Transition};

use super::{Ask, Claimed, DECISIONS, Won, WorkerLifecycle};
use crate::error::Error;
use crate::outcome::{Origin, Outcome};
use crate::tenants::TenantStore;
use crate::tenants::places::Placed;
use crate::token::{WorkerLease, WorkerSnapshot};

type Taken = Result<Outcome<WorkerLease>, Error>;

impl WorkerLifecycle {
    /// Takes an idle worker for a tenant, once and for all: Idle → Reserved. Misses with
    /// [`Miss::Capacity`] when the tenant has all that it may have, with [`Miss::Assignment`] when
    /// it is pinned to another version.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn claim_idle(
        &self,
        seen: &WorkerSnapshot,
        tenant: Tenant,
        claim: Option<ClaimRef>,
        origin: Origin,
    ) -> Taken {
        let transition = Transition::ClaimIdle { tenant: tenant.clone(), claim };
        let store = self.tenants();
        let mut seen = self.newest(seen).await?;
        for _ in 0..DECISIONS {
            let placed = self.places.idle(&store, &seen, &tenant).await?;
            // Entered with this version, or with a newer one that we have not seen.
            let bound = match &placed {
                Ok(place) => place.base().is_some(),
                Err(miss) => *miss == Miss::Moved,
            };
            let taken = self.take_placed(&seen, placed, &transition, origin).await?;
            let Outcome::Missed(miss) = taken else { return Ok(taken) };
            if !bound {
                return Ok(taken);
            }
            // What missed on the very version may win on the next: somebody edited a label.
            let key = seen.key();
            let now = self.store.observe(&key.namespace, &key.name).await?;
            let Some(now) = now.filter(|now| now.key().uid == key.uid) else { return Ok(taken) };
            let status = &now.worker().status;
            if status.tenant.is_some() || status.state.is_condemned() {
                if status.tenant.as_ref() != Some(&tenant) {
                    self.places.withdraw(key, &tenant);
                }
                return Ok(taken);
            }
            if miss != Miss::Moved {
                return Ok(taken);
            }
            seen = now;
        }
        Ok(Outcome::Missed(Miss::Moved))
    }

    /// Takes back a parked worker for the tenant that it served: `HotIdle` → Reserved. Misses with
    /// [`Miss::Capacity`] when the tenant holds more than it may have, with [`Miss::Assignment`]
    /// when it is pinned to another version.
    ///
    /// # Errors
    /// [`Error::Undecided`] leaves the write remembered; the next call on this worker settles it.
    pub async fn claim_hot_idle(
        &self,
        seen: &WorkerSnapshot,
        tenant: Tenant,
        version: Option<Image>,
        claim: Option<ClaimRef>,
        origin: Origin,
    ) -> Taken {
        let placed = self.places.parked(&self.tenants(), seen, &tenant).await?;
        let transition = Transition::ClaimHotIdle { tenant, version, claim };
        self.take_placed(seen, placed, &transition, origin).await
    }

    async fn take_placed(
        &self,
        seen: &WorkerSnapshot,
        placed: Placed,
        transition: &Transition,
        origin: Origin,
    ) -> Taken {
        let key = seen.key();
        let ask = |right| Ask { key, right, transition, origin };
        match placed {
            Ok(place) => {
                let ask = ask(Claimed::Placed(&place));
                Ok(self.attempt(&ask, Some(seen.stored())).await?.and_then(Won::lease))
            }
            Err(miss) => {
                self.tell(&ask(Claimed::Instance), Some(Err(miss)), None, &[]);
                Ok(Outcome::Missed(miss))
            }
        }
    }

    fn tenants(&self) -> TenantStore {
        TenantStore::new(self.store.clone(), self.instance.clone())
    }
}
