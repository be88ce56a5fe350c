//! The Lease of an instance.

use backon::BackoffBuilder;
use duckworker_api::labels::{COMPONENT, CONTROL_PLANE, INSTANCE_ROLE, INSTANCE_STATE, SCOPE};
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
use crate::store::CALL_DEADLINE;

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

/// What the Lease's instance watches: namespaces, sorted, with commas between, or `*`. None: it
/// does not say.
pub fn scope_of(lease: &Lease) -> Option<&str> {
    lease.metadata.annotations.as_ref()?.get(SCOPE).map(String::as_str)
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
    scope: Option<&str>,
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
            annotations: scope.map(|scope| [(SCOPE.to_owned(), scope.to_owned())].into()),
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
    let mut pauses = connection.backoff().with_max_times(SENDINGS).build();
    loop {
        let doubt = match answer::ask(CALL_DEADLINE, api.create(&params, &lease)).await {
            Answer::Applied(lease) => return Ok(lease),
            Answer::Refused(source) => return Err(Error::Refused { what, source }),
            Answer::Throttled(pause) => return Err(Error::Throttled { what, pause }),
            Answer::Conflict(_) => Doubt::Moved,
            Answer::Unknown(doubt) => doubt,
        };
        // If it is there and says our name, our own lost call made it: nobody else has that name.
        if let Some(lease) = connection.read(CALL_DEADLINE, &what, || api.get_opt(&name)).await? {
            let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
            if holder == Some(owner.as_str()) {
                return Ok(lease);
            }
            return Err(Error::Foreign { what, kind: "Lease", name });
        }
        match pauses.next() {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(Error::Unavailable { what, source: doubt }),
        }
    }
}

/// How often a creation whose answer was lost is sent again. The same name makes it happen once.
const SENDINGS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use duckworker_faults::Faults;
    use duckworker_sim::User;
    use kube::api::{Patch, PatchParams};
    use serde_json::json;

    #[test]
    fn an_odd_or_long_name_makes_a_valid_one_and_always_the_same() {
        let long = "x".repeat(240);
        let odd = [
            "p.12345678.a",
            "user:system:serviceaccount:team-a:etl:a",
            "user:Ada_Löve/lace@example.com:a",
            "user:-:a",
            &format!("{long}.12345678.a"),
            &format!("{long}.12345678.b"),
        ];
        let mut names = Vec::new();
        for text in odd {
            let name = lease_name(&Owner::new(text).unwrap());
            assert!(duckworker_core::names::is_dns_label(&name), "{text}: {name}");
            assert_eq!(name, lease_name(&Owner::new(text).unwrap()));
            names.push(name);
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), odd.len(), "two share a name");
    }

    #[test]
    fn a_lease_of_our_name_is_ours_only_if_it_says_so() {
        let scene = async |cluster: duckworker_sim::SimCluster| {
            let service = cluster.service(User::named("me"), &Faults::none());
            let connection = Connection::over(service, "default");
            let owner = Owner::new("user:me:one").unwrap();
            let times = InstanceSettings::default();
            let create = async || {
                create(&connection, "default", &owner, Role::ControlPlane, times, None).await
            };
            let made = create().await.unwrap();
            // The answer was lost, and the creation is sent again: the same Lease.
            assert_eq!(create().await.unwrap().metadata.uid, made.metadata.uid);
            let other = Patch::Merge(json!({ "spec": { "holderIdentity": "user:other:one" } }));
            let leases = api(&connection, "default");
            let name = lease_name(&owner);
            leases.patch(&name, &PatchParams::default(), &other).await.unwrap();
            let refused = create().await.unwrap_err();
            assert!(matches!(refused, Error::Foreign { kind: "Lease", .. }), "{refused}");
        };
        duckworker_sim::simulate(1, scene).unwrap();
    }
}
