//! The JSON bodies of actions: the names are those that duckgres's workers speak, too.

use duckworker_client::{Credentials, WorkerLease};
use duckworker_core::plan::health::Finding;
use duckworker_core::{Tenant, Worker};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The answer to `HealthCheck`, as far as anything follows from it. What a worker leaves out is
/// taken as the harmless value, but for `healthy`.
#[derive(Debug, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "the protocol has them")]
struct Health {
    healthy: bool,
    #[serde(default)]
    draining: bool,
    #[serde(default)]
    instance_invalidated: bool,
}

/// What an answer to `HealthCheck` means.
pub fn finding(answer: &[u8]) -> Finding {
    match serde_json::from_slice::<Health>(answer) {
        Ok(health) if health.instance_invalidated => Finding::Broken,
        Ok(health) if health.draining => Finding::Stopping,
        Ok(health) if health.healthy => Finding::Healthy,
        _ => Finding::Failed,
    }
}

/// What a worker is told to serve a tenant.
pub struct Activation<'a> {
    /// The worker.
    pub worker: &'a Worker,
    /// By which right: the worker refuses an epoch below the highest it has seen.
    pub lease: &'a WorkerLease,
    /// For whom.
    pub tenant: &'a Tenant,
    /// The members of the tenant's activation secret.
    pub credentials: Option<&'a Credentials>,
}

impl Activation<'_> {
    /// The body. Our own members win over those of the secret. A member that holds a JSON array or
    /// object goes as that, any other as text.
    pub fn body(&self) -> Vec<u8> {
        let mut body = Map::new();
        for (name, bytes) in self.credentials.iter().flat_map(|given| &given.members) {
            body.insert(name.clone(), member(bytes));
        }
        let epoch = self.lease.epoch().get();
        body.insert("worker_id".to_owned(), self.worker.key.uid.as_str().into());
        body.insert("owner_epoch".to_owned(), epoch.into());
        body.insert("cp_instance_id".to_owned(), self.lease.owner().as_str().into());
        body.insert("org_id".to_owned(), self.tenant.as_str().into());
        Value::Object(body).to_string().into_bytes()
    }
}

fn member(bytes: &[u8]) -> Value {
    let structured = serde_json::from_slice(bytes).ok();
    structured
        .filter(|value: &Value| value.is_array() || value.is_object())
        .unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned().into())
}

/// The number that follows the word "statement" in a worker's complaint.
pub fn failed_statement(complaint: &str) -> Option<u32> {
    let mut words = complaint.split_whitespace();
    words.find(|word| *word == "statement")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_health_check_is_believed_by_its_gravest_word() {
        let found = |answer: Value| finding(answer.to_string().as_bytes());
        assert_eq!(found(json!({ "healthy": true })), Finding::Healthy);
        assert_eq!(found(json!({ "healthy": false })), Finding::Failed);
        assert_eq!(found(json!({ "healthy": true, "draining": true })), Finding::Stopping);
        let broken = json!({ "healthy": false, "draining": true, "instance_invalidated": true });
        assert_eq!(found(broken), Finding::Broken);
        assert_eq!(found(json!({ "healthy": true, "sessions": 3, "new": {} })), Finding::Healthy);
        assert_eq!(finding(b"OK"), Finding::Failed);
        assert_eq!(found(json!({})), Finding::Failed);
    }

    #[test]
    fn of_a_complaint_only_the_number_is_read() {
        let complaint = "the activation statement 2 of 3 failed (catalog)";
        assert_eq!(failed_statement(complaint), Some(2));
        assert_eq!(failed_statement("no such table: hunter2"), None);
        assert_eq!(failed_statement("the last statement"), None);
        assert_eq!(failed_statement("statement SELECT 'hunter2'"), None);
    }

    #[test]
    fn members_of_the_secret_keep_their_shape() {
        assert_eq!(member(b"[\"SELECT 1\"]"), json!(["SELECT 1"]));
        assert_eq!(member(b"{\"a\":1}"), json!({ "a": 1 }));
        assert_eq!(member(b"SELECT 1; SELECT 2"), json!("SELECT 1; SELECT 2"));
        assert_eq!(member(b"17"), json!("17"), "a password may look like a number");
    }
}
