//! Earlier incarnations of our own pod: a restarted container need not wait until somebody has
//! seen their Leases stand still.

use duckworker_core::Owner;
use kube::api::{ListParams, PostParams};

use super::lease::{InstanceState, api, role_of, state_of, with_state};
use super::{Instance, Role};
use crate::answer::{self, Answer};
use crate::connection::Connection;
use crate::error::Error;
use crate::store::CALL_DEADLINE;

impl Instance {
    /// Marks the Leases of earlier incarnations of this very pod expired, and returns whose they
    /// were. For programs only of which a pod runs one at a time: then the process before this one
    /// is dead, since its container was started anew. Outside of a pod it does nothing: a user may
    /// run as many programs as he likes.
    ///
    /// # Errors
    /// When the server does not answer or refuses. Nothing is lost: they expire by themselves.
    pub async fn expire_predecessors(
        &self,
        connection: &Connection,
        role: Role,
    ) -> Result<Vec<Owner>, Error> {
        let Some(pod) = pod_of(&self.owner) else { return Ok(Vec::new()) };
        let namespace = self.directory.namespace();
        let what = format!("expiring earlier incarnations of {pod} in {namespace}");
        let api = api(connection, namespace);
        let selector = format!(
            "{}={}",
            duckworker_api::labels::COMPONENT,
            duckworker_api::labels::CONTROL_PLANE
        );
        let params = ListParams::default().labels(&selector);
        let leases = connection.read(CALL_DEADLINE, &what, || api.list(&params)).await?;
        let post = PostParams::default();
        let mut expired = Vec::new();
        for lease in leases {
            let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
            let Some(holder) = holder.and_then(|holder| Owner::new(holder).ok()) else { continue };
            let earlier = holder != self.owner && pod_of(&holder) == Some(pod);
            let lives = state_of(&lease) != InstanceState::Expired && role_of(&lease) == role;
            if !(earlier && lives) {
                continue;
            }
            let name = lease.metadata.name.clone().unwrap_or_default();
            let marked = with_state(lease, InstanceState::Expired);
            match answer::ask(CALL_DEADLINE, api.replace(&name, &post, &marked)).await {
                Answer::Applied(_) => expired.push(holder),
                // It moved or went: somebody else saw to it, or it lives after all.
                Answer::Conflict(_) => {}
                Answer::Refused(kube::Error::Api(status)) if status.code == 404 => {}
                Answer::Refused(source) => return Err(Error::Refused { what, source }),
                Answer::Throttled(pause) => return Err(Error::Throttled { what, pause }),
                Answer::Unknown(source) => return Err(Error::Unavailable { what, source }),
            }
        }
        Ok(expired)
    }
}

/// The pod of an identity, by name and uid: all but its incarnation. None: it is no pod's.
fn pod_of(owner: &Owner) -> Option<&str> {
    let text = owner.as_str();
    let (pod, _) = text.rsplit_once('.')?;
    (!text.starts_with("user:") && pod.contains('.')).then_some(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_told_by_name_and_uid() {
        let owner = |text: &str| Owner::new(text).unwrap();
        assert_eq!(pod_of(&owner("cp-0.12345678.abc")), Some("cp-0.12345678"));
        assert_eq!(pod_of(&owner("cp.with.dots.12345678.abc")), Some("cp.with.dots.12345678"));
        assert_eq!(pod_of(&owner("user:a.b.c:abc")), None);
    }
}
