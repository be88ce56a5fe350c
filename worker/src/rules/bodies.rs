//! The JSON bodies of actions. What they hold may be secret: nothing here shows a value.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::activation::Digest;
use super::sql;

/// Bodies are small; what is larger is a mistake.
pub const LIMIT: usize = 1 << 20;

/// Why a body cannot be used. Names members, never their values.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Too many bytes.
    #[error("the body of {0} is larger than 1 MiB")]
    TooLarge(&'static str),
    /// Not a JSON object.
    #[error("the body of {0} is not a JSON object")]
    NotAnObject(&'static str),
    /// A member is missing, or is of another type.
    #[error("the body of {action} needs a member {member:?}: {wanted}")]
    Member {
        /// The action.
        action: &'static str,
        /// The member.
        member: &'static str,
        /// What it has to be.
        wanted: &'static str,
    },
}

/// A text that nobody may see: redacted by `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Its digest.
    pub fn digest(&self) -> Digest {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// The body of `ActivateTenant`.
#[derive(Debug, Clone)]
pub struct ActivateTenant {
    /// For which worker: its uid or name; any if unset.
    pub worker_id: Option<String>,
    /// How often the worker's ownership was handed out.
    pub owner_epoch: i64,
    /// Who owns it.
    pub cp_instance_id: String,
    /// The tenant.
    pub org_id: String,
    /// What to run, in order.
    pub statements: Vec<Secret>,
    /// The digest of all members that are the tenant's own.
    contents: Digest,
}

impl ActivateTenant {
    const ACTION: &'static str = "ActivateTenant";

    /// Reads the body. Members that this worker does not know are accepted: they count when two
    /// payloads are compared.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut object = object(Self::ACTION, body)?;
        let worker_id = match object.remove("worker_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id),
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(_) => return Err(Self::wrong("worker_id", "a string or a number, or none")),
        };
        let owner_epoch = object
            .remove("owner_epoch")
            .and_then(|epoch| epoch.as_i64())
            .filter(|epoch| *epoch >= 0)
            .ok_or_else(|| Self::wrong("owner_epoch", "a whole number, 0 or more"))?;
        let cp_instance_id = match object.remove("cp_instance_id") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(id)) => id,
            Some(_) => return Err(Self::wrong("cp_instance_id", "a string, or none")),
        };
        let org_id = match object.remove("org_id") {
            Some(Value::String(id)) if !id.trim().is_empty() => id,
            _ => return Err(Self::wrong("org_id", "a string that names the tenant")),
        };
        let contents = digest(&object);
        let statements = match object.remove("statements") {
            None | Some(Value::Null) => Vec::new(),
            Some(value) => Self::statements(value)?,
        };
        object.values_mut().for_each(wipe);
        Ok(Self { worker_id, owner_epoch, cp_instance_id, org_id, statements, contents })
    }

    /// The digest of what the owner wants to be in force: tenant and contents, not the owner.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update(self.org_id.as_bytes());
        hash.update([0]);
        hash.update(self.contents);
        hash.finalize().into()
    }

    /// A list of texts, or one text with statements between semicolons, such as a key of a
    /// Kubernetes secret holds. Either may hold comments and empty statements, which do not count.
    fn statements(value: Value) -> Result<Vec<Secret>, Malformed> {
        let wrong = || Self::wrong("statements", "a list of SQL texts, or one SQL text");
        match value {
            Value::String(script) => {
                let script = Zeroizing::new(script);
                Ok(sql::split(&script).map(|text| Secret::from(text.to_owned())).collect())
            }
            Value::Array(list) => list
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Ok(Secret::from(text)),
                    _ => Err(wrong()),
                })
                .collect(),
            _ => Err(wrong()),
        }
    }

    fn wrong(member: &'static str, wanted: &'static str) -> Malformed {
        Malformed::Member { action: Self::ACTION, member, wanted }
    }
}

/// The body of `CreateSession`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSession {
    /// Whose session it is, for logs.
    pub username: String,
}

impl CreateSession {
    /// Reads the body.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let action = "CreateSession";
        match object(action, body)?.remove("username") {
            Some(Value::String(username)) if !username.is_empty() => Ok(Self { username }),
            _ => Err(Malformed::Member {
                action,
                member: "username",
                wanted: "a string that is not empty",
            }),
        }
    }
}

/// The answer to `CreateSession`.
#[derive(Serialize)]
pub struct SessionCreated<'a> {
    /// What the client sends as the header of each call of the session.
    pub session_token: &'a str,
}

/// The body of `DestroySession`.
#[derive(Debug, Clone)]
pub struct DestroySession {
    /// The session.
    pub session_token: Secret,
}

impl DestroySession {
    /// Reads the body.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let action = "DestroySession";
        match object(action, body)?.remove("session_token") {
            Some(Value::String(token)) if !token.is_empty() => {
                Ok(Self { session_token: token.into() })
            }
            _ => Err(Malformed::Member {
                action,
                member: "session_token",
                wanted: "the token that CreateSession answered",
            }),
        }
    }
}

/// Checks the body of `HealthCheck`: who asks does not matter, so nothing is read from it.
pub fn health_check(body: &[u8]) -> Result<(), Malformed> {
    if body.is_empty() {
        return Ok(());
    }
    object("HealthCheck", body).map(|_| ())
}

/// The answer to `HealthCheck`.
#[allow(clippy::struct_excessive_bools, reason = "the protocol has them")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Whether the engine answers queries.
    pub healthy: bool,
    /// Whether it was told to end.
    pub draining: bool,
    /// How many sessions `CreateSession` began that have not ended.
    pub sessions: usize,
    /// How many statements run, or have results that are still being sent.
    pub active_queries: usize,
    /// Whether the engine broke: only a new process helps.
    pub instance_invalidated: bool,
    /// How many connections without a session of their own have run a statement.
    pub connections: usize,
    /// Whether a tenant's activation is in force.
    pub activated: bool,
    /// The highest epoch seen.
    pub owner_epoch: i64,
    /// How long ago the engine last answered `SELECT 1`, in milliseconds. Long while it is busy;
    /// to look at, not to act on.
    pub probe_age_ms: u64,
    /// How long the process has run, in seconds.
    pub uptime_seconds: u64,
    /// The version of DuckDB.
    pub engine_version: String,
}

fn object(action: &'static str, body: &[u8]) -> Result<Map<String, Value>, Malformed> {
    if body.len() > LIMIT {
        return Err(Malformed::TooLarge(action));
    }
    // The parser's message could quote the body.
    serde_json::from_slice(body).map_err(|_| Malformed::NotAnObject(action))
}

/// Maps are ordered by key, so the same contents have the same digest in any order.
fn digest(object: &Map<String, Value>) -> Digest {
    let text = Zeroizing::new(Value::Object(object.clone()).to_string());
    Sha256::digest(text.as_bytes()).into()
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(object) => object.values_mut().for_each(wipe),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn activate(body: &Value) -> Result<ActivateTenant, Malformed> {
        ActivateTenant::read(body.to_string().as_bytes())
    }

    fn texts(activation: &ActivateTenant) -> Vec<&str> {
        activation.statements.iter().map(Secret::text).collect()
    }

    #[test]
    fn statements_are_a_list_or_a_script() {
        let list =
            json!({ "owner_epoch": 1, "org_id": "blue", "statements": ["SET a = 1", "b;c"] });
        assert_eq!(texts(&activate(&list).unwrap()), ["SET a = 1", "b;c"]);
        let script = "-- first\nATTACH 'a;b' AS x;\n\nSET y = 1;";
        let script = json!({ "owner_epoch": 1, "org_id": "blue", "statements": script });
        assert_eq!(
            texts(&activate(&script).unwrap()),
            ["-- first\nATTACH 'a;b' AS x", "SET y = 1"]
        );
        let none = json!({ "owner_epoch": 1, "org_id": "blue" });
        assert!(texts(&activate(&none).unwrap()).is_empty());
    }

    #[test]
    fn a_payload_is_compared_without_its_owner() {
        let payload = |epoch: i64, instance: &str, key: &str| {
            let body = json!({ "owner_epoch": epoch, "cp_instance_id": instance, "org_id": "blue",
                               "statements": [], "more": { "key": key } });
            activate(&body).unwrap().digest()
        };
        assert_eq!(payload(1, "a", "k"), payload(2, "b", "k"));
        assert_ne!(payload(1, "a", "k"), payload(1, "a", "other"));
    }

    #[test]
    fn a_malformed_body_is_refused_by_member_and_quotes_nothing() {
        let secret = "hunter2";
        let bodies = [
            json!([secret]),
            json!({ "org_id": "blue", "statements": secret }),
            json!({ "owner_epoch": -1, "org_id": "blue", "x": secret }),
            json!({ "owner_epoch": 1.5, "org_id": "blue", "x": secret }),
            json!({ "owner_epoch": 1, "statements": secret }),
            json!({ "owner_epoch": 1, "org_id": " ", "statements": secret }),
            json!({ "owner_epoch": 1, "org_id": "blue", "statements": [1, secret] }),
            json!({ "owner_epoch": 1, "org_id": "blue", "worker_id": [secret] }),
            json!({ "owner_epoch": 1, "org_id": "blue", "cp_instance_id": { "a": secret } }),
        ];
        for body in bodies {
            let error = activate(&body).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(secret), "{error}");
        }
        assert!(ActivateTenant::read(b"{\"owner_epoch\": hunter2").is_err());
        assert_eq!(
            ActivateTenant::read(&vec![b' '; LIMIT + 1]).unwrap_err(),
            Malformed::TooLarge("ActivateTenant")
        );
    }

    #[test]
    fn debug_shows_no_statement() {
        let body = json!({ "owner_epoch": 1, "org_id": "blue",
                           "statements": ["CREATE SECRET (KEY 'hunter2')"], "more": "hunter3" });
        let shown = format!("{:?}", activate(&body).unwrap());
        assert!(!shown.contains("hunter") && shown.contains("redacted"), "{shown}");
        let body = br#"{ "session_token": "hunter2" }"#;
        assert!(!format!("{:?}", DestroySession::read(body).unwrap()).contains("hunter"));
    }

    #[test]
    fn a_worker_may_be_named_by_number() {
        let body = json!({ "worker_id": 7, "owner_epoch": 1, "org_id": "blue" });
        assert_eq!(activate(&body).unwrap().worker_id.as_deref(), Some("7"));
    }

    #[test]
    fn the_health_check_needs_no_body() {
        assert_eq!(health_check(b""), Ok(()));
        assert_eq!(health_check(br#"{"owner_epoch": -3, "worker_id": "x"}"#), Ok(()));
        assert!(health_check(b"?").is_err());
    }

    #[test]
    fn a_session_needs_a_name() {
        assert_eq!(CreateSession::read(br#"{"username":"ann"}"#).unwrap().username, "ann");
        assert!(CreateSession::read(b"{}").is_err());
        assert!(CreateSession::read(br#"{"username":""}"#).is_err());
        assert!(DestroySession::read(br#"{"session_token":5}"#).is_err());
    }
}
