//! Who asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

/// A user as the API server vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: Arc<str>,
    /// Its groups.
    pub groups: Vec<String>,
    /// What else the token says.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user of this name.
    pub fn named(name: &str) -> Self {
        let groups = vec!["system:authenticated".to_owned()];
        Self { name: name.into(), groups, extra: BTreeMap::new() }
    }

    /// A service account whose token is bound to a pod, as the pod's own token is.
    pub fn in_pod(namespace: &str, account: &str, pod: &str, pod_uid: &str) -> Self {
        let mut user = Self::named(&format!("system:serviceaccount:{namespace}:{account}"));
        user.groups.push("system:serviceaccounts".to_owned());
        user.groups.push(format!("system:serviceaccounts:{namespace}"));
        let mut say = |what: &str, value: &str| {
            let key = format!("authentication.kubernetes.io/{what}");
            user.extra.insert(key, vec![value.to_owned()]);
        };
        say("pod-name", pod);
        say("pod-uid", pod_uid);
        user
    }

    /// The pod whose token it has.
    pub fn pod(&self) -> Option<&str> {
        self.says("pod-name")
    }

    fn says(&self, what: &str) -> Option<&str> {
        let values = self.extra.get(&format!("authentication.kubernetes.io/{what}"))?;
        values.first().map(String::as_str)
    }

    /// How histories name it: `<name>`, or `<name>/<pod>.<first 8 of its uid>` with a pod's token.
    pub fn author(&self) -> Arc<str> {
        let (Some(pod), Some(uid)) = (self.pod(), self.says("pod-uid")) else {
            return Arc::clone(&self.name);
        };
        let uid: String = uid.chars().take(8).collect();
        format!("{}/{pod}.{uid}", self.name).into()
    }

    /// `userInfo`, as reviews and policies show it.
    pub fn info(&self) -> Value {
        let mut info = json!({ "username": &*self.name, "groups": self.groups });
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}
