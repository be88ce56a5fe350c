//! The Lease of an instance.

use backon::BackoffBuilder;
use duckworker_api::labels::{COMPONENT, CONTROL_PLANE, INSTANCE_ROLE, INSTANCE_STATE};
use duckworker_core::{Owner, OwnerStanding};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use sha2::{Digest, Sha256};
use strum::{Display, EnumString};

use super::{InstanceSettings, Role};
use crate::answer::{self, Answer, Doubt};
use crate::connection::Connection;
use crate::error::Error;
use crate::store::{CALL_DEADLINE, backoff, read};

/// What a Lease says of its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum InstanceState {
    /// It works.
    Active,
    /// It leaves: its workers may be adopted.
    Draining,
    /// Somebody saw it stand still for too long. Final.
    Expired,
}

impl From<InstanceState> for OwnerStanding {
    fn from(state: InstanceState) -> Self {
        match state {
            InstanceState::Active => Self::Live,
            InstanceState::Draining => Self::Draining,
            InstanceState::Expired => Self::Expired,
        }
    }
}

/// The name of an instance's Lease: identities are too long and too colourful for object names.
pub fn lease_name(owner: &Owner) -> String {
    let digest = Sha256::digest(owner.as_str().as_bytes());
    let (head, _) = digest.split_at(8);
    let number = head.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    format!("duckworker-{number:016x}")
}

/// The state that a Lease shows. One without a readable mark counts as active: nobody may act
/// against it.
pub fn state_of(lease: &Lease) -> InstanceState {
    lease
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(INSTANCE_STATE))
        .and_then(|text| text.parse().ok())
        .unwrap_or(InstanceState::Active)
}

/// What kind of program the Lease's instance is; unmarked ones are other people's.
pub fn role_of(lease: &Lease) -> Role {
    lease
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(INSTANCE_ROLE))
        .and_then(|text| text.parse().ok())
        .unwrap_or(Role::ControlPlane)
}

/// The same Lease with another state.
pub(crate) fn with_state(mut lease: Lease, state: InstanceState) -> Lease {
    let labels = lease.metadata.labels.get_or_insert_default();
    labels.insert(INSTANCE_STATE.to_owned(), state.to_string());
    lease
}

pub(crate) fn api(connection: &Connection, namespace: &str) -> Api<Lease> {
    Api::namespaced(connection.client.clone(), namespace)
}

/// Creates the Lease of a new incarnation.
pub(super) async fn create(
    connection: &Connection,
    namespace: &str,
    owner: &Owner,
    role: Role,
    settings: InstanceSettings,
) -> Result<Lease, Error> {
    let name = lease_name(owner);
    let what = format!("creating Lease {namespace}/{name} of instance {owner}");
    let now = MicroTime(connection.clock.now());
    let labels = [
        (COMPONENT.to_owned(), CONTROL_PLANE.to_owned()),
        (INSTANCE_ROLE.to_owned(), role.to_string()),
    ];
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(owner.to_string()),
            lease_duration_seconds: i32::try_from(settings.expire.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    };
    let lease = with_state(lease, InstanceState::Active);
    let api = api(connection, namespace);
    let params = PostParams::default();
    let mut pauses = backoff().with_max_times(SENDINGS).build();
    loop {
        let doubt = match answer::ask(CALL_DEADLINE, api.create(&params, &lease)).await {
            Answer::Applied(lease) => return Ok(lease),
            Answer::Refused(source) => return Err(Error::Refused { what, source }),
            Answer::Throttled(pause) => return Err(Error::Throttled { what, pause }),
            Answer::Conflict(_) => Doubt::Moved,
            Answer::Unknown(doubt) => doubt,
        };
        // Nobody else makes this name: if it is there, our own lost call made it.
        if let Some(lease) = read(CALL_DEADLINE, &what, || api.get_opt(&name)).await? {
            return Ok(lease);
        }
        match pauses.next() {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(Error::Unavailable { what, source: doubt }),
        }
    }
}

/// How often a creation whose answer was lost is sent again. The same name makes it happen once.
const SENDINGS: usize = 4;
