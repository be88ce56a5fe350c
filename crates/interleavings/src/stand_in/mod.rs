//! What the files under test ask of the rest of their crates: as little of it as they need.

pub mod server;
pub mod store;

/// The locks that threads share: shuttle's.
pub mod sync {
    pub use shuttle::sync::{Mutex, PoisonError};
}

/// Where chance comes from.
pub mod dice {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The ids of writes must differ; which they are is no matter.
    #[derive(Clone, Default)]
    pub struct Dice(Arc<AtomicU64>);

    impl Dice {
        pub fn roll(&self) -> u64 {
            self.0.fetch_add(1, Ordering::Relaxed)
        }
    }
}

/// Who we are: one that is always in office, and alone.
pub mod instance {
    use duckworker_core::{Owner, OwnerStanding};

    use crate::error::Error;

    /// An instance.
    #[derive(Debug)]
    pub struct Instance(pub Owner);

    /// The standing of others.
    #[derive(Debug)]
    pub struct Directory;

    impl Instance {
        pub const fn owner(&self) -> &Owner {
            &self.0
        }

        #[allow(clippy::unused_self, reason = "as at home")]
        pub const fn directory(&self) -> &Directory {
            &Directory
        }

        #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as at home")]
        pub fn in_office(&self, _: impl FnOnce() -> String) -> Result<(), Error> {
            Ok(())
        }
    }

    impl Directory {
        #[allow(clippy::unused_self, clippy::unused_async, reason = "as at home")]
        pub async fn standing(&self, _: &Owner) -> Result<OwnerStanding, Error> {
            Ok(OwnerStanding::Live)
        }
    }
}

/// Seats of pools: no worker here has a pool.
pub mod pools {
    use duckworker_core::Uid;

    #[derive(Debug)]
    pub struct Seat(Uid);

    impl Seat {
        pub const fn worker(&self) -> &Uid {
            &self.0
        }
    }
}

/// Pods and secrets: nobody here has any.
pub mod children {
    use crate::error::Error;
    use crate::lifecycle::WorkerLifecycle;
    use crate::token::DeletePermit;

    pub struct Children;

    impl Children {
        pub fn new(_: WorkerLifecycle) -> Self {
            Self
        }

        #[allow(clippy::unused_self, clippy::unused_async, reason = "as at home")]
        pub async fn clean_up(&self, permit: DeletePermit) -> Result<(), Error> {
            drop(permit);
            Ok(())
        }
    }
}

/// Tenants: none has a cap.
pub mod tenants {
    use std::sync::Arc;

    use crate::instance::Instance;
    use crate::store::WorkerStore;

    pub struct TenantStore;

    impl TenantStore {
        pub fn new(_: WorkerStore, _: Arc<Instance>) -> Self {
            Self
        }
    }

    pub mod places {
        use duckworker_core::{Miss, Tenant, Uid, Version, WorkerKey};

        use super::TenantStore;
        use crate::error::Error;
        use crate::token::WorkerSnapshot;

        #[derive(Debug)]
        pub struct Place(Uid, Tenant);

        impl Place {
            pub fn is_for(&self, worker: &Uid, tenant: &Tenant) -> bool {
                self.0 == *worker && self.1 == *tenant
            }

            #[allow(clippy::unused_self, reason = "as at home")]
            pub const fn base(&self) -> Option<&Version> {
                None
            }
        }

        pub type Placed = Result<Place, Miss>;

        #[derive(Default)]
        pub struct Places;

        #[allow(clippy::unused_self, clippy::unused_async, reason = "as at home")]
        impl Places {
            pub async fn idle(
                &self,
                _: &TenantStore,
                worker: &WorkerSnapshot,
                tenant: &Tenant,
            ) -> Result<Placed, Error> {
                Ok(Ok(Place(worker.key().uid.clone(), tenant.clone())))
            }

            pub async fn parked(
                &self,
                store: &TenantStore,
                worker: &WorkerSnapshot,
                tenant: &Tenant,
            ) -> Result<Placed, Error> {
                self.idle(store, worker, tenant).await
            }

            pub fn withdraw(&self, _: &WorkerKey, _: &Tenant) {}
        }
    }
}
