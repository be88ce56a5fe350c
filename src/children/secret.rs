//! The secret of a worker, and the credentials in it.

use std::collections::BTreeMap;

use duckworker_api::labels;
use duckworker_core::WorkerKey;
use duckworker_core::names::{InvalidName, Uid};
use duckworker_core::plan::observed::{SecretSeen, Whose};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::identity;
use super::tls::Credentials;

/// Builds `<name>-rpc`.
///
/// Immutable, so that the certificate and the worker's uid in it cannot be swapped: the uid is
/// the proof of whose secret it is. Type `Opaque`, since `kubernetes.io/tls` secrets are picked up
/// by tools that renew certificates.
pub fn build(worker: &WorkerKey, credentials: &Credentials) -> Secret {
    let entries = [
        (labels::TOKEN_KEY, credentials.token()),
        (labels::CERTIFICATE_KEY, credentials.certificate()),
        (labels::PRIVATE_KEY_KEY, credentials.private_key()),
        (labels::UID_KEY, worker.uid.as_str()),
    ];
    let data: BTreeMap<_, _> = entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec())))
        .collect();
    Secret {
        metadata: identity::metadata(worker, identity::secret_name(&worker.name)),
        type_: Some("Opaque".to_owned()),
        immutable: Some(true),
        data: Some(data),
        ..Secret::default()
    }
}

/// What there is to see of a secret that bears the name of a worker's.
///
/// # Errors
/// When it has no uid: it was never stored.
pub fn see(secret: &Secret, worker: &Uid) -> Result<SecretSeen, InvalidName> {
    Ok(SecretSeen {
        uid: Uid::new(secret.metadata.uid.as_deref().unwrap_or_default())?,
        whose: whose(secret, worker),
        deletion: secret.metadata.deletion_timestamp.as_ref().map(|at| at.0),
    })
}

/// Whose secret it is. A mutable one proves nothing, so it is nobody's of ours.
pub fn whose(secret: &Secret, worker: &Uid) -> Whose {
    let named = entry(secret, labels::UID_KEY) == Some(worker.as_str());
    if named && secret.immutable == Some(true) { Whose::Ours } else { Whose::Foreign }
}

/// The credentials in a worker's secret; none when one of them is missing or no text.
pub fn credentials(secret: &Secret) -> Option<Credentials> {
    Some(Credentials::new(
        entry(secret, labels::TOKEN_KEY)?.to_owned(),
        entry(secret, labels::CERTIFICATE_KEY)?.to_owned(),
        entry(secret, labels::PRIVATE_KEY_KEY)?.to_owned(),
    ))
}

fn entry<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    std::str::from_utf8(&secret.data.as_ref()?.get(key)?.0).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key() -> WorkerKey {
        let uid = Uid::new("11111111-2222-3333-4444-555555555555").unwrap();
        WorkerKey { namespace: "data".to_owned(), name: "w1".to_owned(), uid }
    }

    fn credentials_of_test() -> Credentials {
        Credentials::new("token".to_owned(), "certificate".to_owned(), "key".to_owned())
    }

    fn stored(secret: Secret) -> Secret {
        let mut secret = secret;
        secret.metadata.uid = Some("secret-uid".to_owned());
        secret
    }

    #[test]
    fn the_secret_is_immutable_and_names_its_worker() {
        let secret: Value = serde_json::to_value(build(&key(), &credentials_of_test())).unwrap();
        assert_eq!(secret["metadata"]["name"], "w1-rpc");
        assert_eq!(secret["metadata"]["namespace"], "data");
        assert_eq!(secret["metadata"]["labels"]["duckworker.dev/worker-uid"], key().uid.as_str());
        assert_eq!(secret["metadata"]["ownerReferences"][0]["kind"], "DuckWorker");
        assert_eq!(secret["type"], "Opaque");
        assert_eq!(secret["immutable"], true);
        let keys: Vec<_> = secret["data"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["bearer-token", "tls.crt", "tls.key", "worker-uid"]);
    }

    #[test]
    fn credentials_come_back() {
        let secret = build(&key(), &credentials_of_test());
        let back = credentials(&secret).unwrap();
        assert_eq!(
            (back.token(), back.certificate(), back.private_key()),
            ("token", "certificate", "key")
        );
        assert!(credentials(&Secret::default()).is_none());
    }

    #[test]
    fn a_namesake_is_told_from_the_workers_own() {
        let ours = stored(build(&key(), &credentials_of_test()));
        assert_eq!(see(&ours, &key().uid).unwrap().whose, Whose::Ours);

        let other = Uid::new("other").unwrap();
        assert_eq!(see(&ours, &other).unwrap().whose, Whose::Foreign, "of a predecessor");

        let mut mutable = ours.clone();
        mutable.immutable = None;
        assert_eq!(see(&mutable, &key().uid).unwrap().whose, Whose::Foreign, "could be changed");

        let forged: Secret = serde_json::from_value(json!({
            "metadata": { "name": "w1-rpc", "uid": "x", "labels": ours.metadata.labels,
                          "ownerReferences": ours.metadata.owner_references },
            "immutable": true, "data": {},
        }))
        .unwrap();
        assert_eq!(see(&forged, &key().uid).unwrap().whose, Whose::Foreign, "labels are no proof");
    }
}
