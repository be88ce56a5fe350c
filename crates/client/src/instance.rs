//! Who we are. An instance is a Lease in the API server, renewed every few seconds; its identity
//! is what the API server vouches for plus a random incarnation, and is never used again.

mod directory;
mod expiry;
mod heartbeat;
mod identity;
mod lease;
mod predecessors;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use duckworker_core::Owner;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::Error;

pub use directory::Directory;
pub use expiry::{Cause, Due, Expiry};
pub use heartbeat::Heartbeat;
pub use identity::vouched_identity;
pub use lease::{InstanceState, lease_name, role_of, scope_of, state_of};

/// The times of an instance. Their order is what keeps two from owning the same worker, for
/// clocks whose rates differ by up to a quarter: renew < pause < expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceSettings {
    /// From one renewal to the next.
    pub renew: Duration,
    /// After sending the last successful renewal, an instance stops writing.
    pub pause: Duration,
    /// After seeing no change of a Lease, others mark it expired.
    pub expire: Duration,
}

impl Default for InstanceSettings {
    fn default() -> Self {
        Self {
            renew: Duration::from_secs(5),
            pause: Duration::from_secs(15),
            expire: Duration::from_secs(20),
        }
    }
}

/// What kind of program an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum Role {
    /// One of the controller's replicas: it makes pods, adopts and cleans up.
    Controller,
    /// A control plane that claims workers through the library and holds sessions on them.
    ControlPlane,
}

/// Whether this incarnation may still act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Office {
    /// It may.
    Active,
    /// It may, but takes nothing new and hands over what it has.
    Draining,
    /// Its Lease is marked expired or gone: it ends. For ever.
    Over,
}

/// A registered instance: its Lease exists. Renew it by running the [`Heartbeat`].
#[derive(Debug)]
pub struct Instance {
    owner: Owner,
    settings: InstanceSettings,
    directory: Directory,
    office: watch::Sender<Office>,
    renewal_sent: Mutex<Instant>,
}

impl Instance {
    /// Registers a new incarnation: asks the API server who we are and creates the Lease.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn register(
        connection: &Connection,
        lease_namespace: &str,
        role: Role,
        settings: InstanceSettings,
    ) -> Result<(Arc<Self>, Heartbeat), Error> {
        Self::register_watching(connection, lease_namespace, role, settings, None).await
    }

    /// The same for one that tells the others which namespaces it watches: see
    /// [`scope_of`].
    ///
    /// # Errors
    /// As [`Self::register`].
    pub async fn register_watching(
        connection: &Connection,
        lease_namespace: &str,
        role: Role,
        settings: InstanceSettings,
        scope: Option<&str>,
    ) -> Result<(Arc<Self>, Heartbeat), Error> {
        let owner = vouched_identity(connection).await?;
        let sent = Instant::now();
        let lease = lease::create(connection, lease_namespace, &owner, role, settings, scope);
        let lease = lease.await?;
        let instance = Arc::new(Self {
            directory: Directory::new(connection.clone(), lease_namespace),
            owner,
            settings,
            office: watch::Sender::new(Office::Active),
            renewal_sent: Mutex::new(sent),
        });
        let heartbeat = Heartbeat::new(connection.clone(), Arc::clone(&instance), lease);
        Ok((instance, heartbeat))
    }

    /// The identity.
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The times.
    pub const fn settings(&self) -> InstanceSettings {
        self.settings
    }

    /// The standing of other instances.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Follows whether this incarnation may still act.
    pub fn office(&self) -> watch::Receiver<Office> {
        self.office.subscribe()
    }

    /// Announces that this instance leaves: with its next renewal its peers adopt its workers.
    pub fn start_draining(&self) {
        self.office.send_if_modified(|office| {
            let active = *office == Office::Active;
            if active {
                *office = Office::Draining;
            }
            active
        });
    }

    /// Whether a write may be sent now.
    pub(crate) fn in_office(&self, what: impl FnOnce() -> String) -> Result<(), Error> {
        let why = if *self.office.borrow() == Office::Over {
            "over"
        } else if self.last_renewal().elapsed() > self.settings.pause {
            "not renewed"
        } else {
            return Ok(());
        };
        Err(Error::NotInOffice { what: what(), why })
    }

    /// When the last successful renewal was sent.
    pub(crate) fn last_renewal(&self) -> Instant {
        *self.renewal_sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn renewed(&self, sent: Instant) {
        *self.renewal_sent.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    pub(crate) fn end(&self) {
        self.office.send_replace(Office::Over);
    }
}
