//! For the tests of the rules: histories in a line or two.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use duckworker_api::labels;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::check::{Checker, Report};
use crate::line::{Change, LEASES, Line, Operation, Outcome, SECRETS, Version, WORKERS};
use crate::world::{Calm, Settings};

/// A history that is told step by step.
pub struct Story {
    lines: Vec<Line>,
    revision: u64,
    now: Timestamp,
    author: Option<String>,
    workers: BTreeMap<String, Value>,
    children: BTreeMap<(String, String), Value>,
    leases: BTreeMap<String, Value>,
    others: BTreeSet<String>,
}

/// The next version of a worker.
pub struct Telling<'a> {
    story: &'a mut Story,
    worker: Value,
    record: Option<(String, String)>,
    id: Option<String>,
    reason: Option<String>,
}

impl Story {
    pub fn new() -> Self {
        Self {
            lines: Vec::new(),
            revision: 0,
            now: Timestamp::UNIX_EPOCH,
            author: None,
            workers: BTreeMap::new(),
            children: BTreeMap::new(),
            leases: BTreeMap::new(),
            others: BTreeSet::new(),
        }
    }

    /// Who writes from now on.
    pub fn author(&mut self, by: &str) {
        self.author = Some(by.to_owned());
    }

    /// Time passes, in seconds.
    pub fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// The next version of a worker begins, which until now is Pending.
    pub fn worker(&mut self, name: &str) -> Telling<'_> {
        if !self.workers.contains_key(name) {
            let worker = json!({
                "metadata": { "name": name, "uid": name, "finalizers": [labels::FINALIZER] },
                "spec": {}, "status": { "state": "Pending" },
            });
            self.workers.insert(name.to_owned(), worker.clone());
            self.push(WORKERS, Change::Created, worker);
        }
        let worker = self.workers[name].clone();
        Telling { story: self, worker, record: None, id: None, reason: None }
    }

    /// A version of a pool (`workerpools`), a claim (`workerclaims`) or a tenant (`tenants`), whose
    /// name is its uid.
    pub fn object(&mut self, kind: &str, name: &str, mut object: Value) {
        let collection = format!("duck{kind}.duckworker.dev");
        object["metadata"] = json!({ "name": name, "uid": name });
        let is_new = self.others.insert(format!("{kind}/{name}"));
        self.push(&collection, if is_new { Change::Created } else { Change::Updated }, object);
    }

    /// It goes.
    pub fn remove(&mut self, kind: &str, name: &str) {
        let object = json!({ "metadata": { "name": name, "uid": name } });
        self.push(&format!("duck{kind}.duckworker.dev"), Change::Deleted, object);
    }

    /// A worker's object goes.
    pub fn remove_worker(&mut self, name: &str) {
        let worker = self.workers.remove(name).unwrap_or_default();
        self.push(WORKERS, Change::Deleted, worker);
    }

    /// A pod or a secret of a worker is made. Returns its uid.
    pub fn child(&mut self, collection: &str, worker: &str) -> String {
        let uid = format!("{collection}-{}", self.revision);
        let secret = self.children.get(&(SECRETS.to_owned(), worker.to_owned()));
        let mut env = vec![json!({ "name": labels::UID_ENV, "value": worker })];
        if let Some(secret) = secret {
            let uid = &secret["metadata"]["uid"];
            env.push(json!({ "name": labels::SECRET_UID_ENV, "value": uid }));
        }
        let token = STANDARD.encode("0123456789abcdef0123456789abcdef");
        let mut child = json!({
            "metadata": { "name": worker, "uid": uid, "labels": { labels::WORKER_UID: worker } },
        });
        if collection == SECRETS {
            child["data"] = json!({ labels::TOKEN_KEY: token });
        } else {
            child["spec"] = json!({ "containers": [{ "name": "duckdb", "env": env }] });
        }
        self.children.insert((collection.to_owned(), worker.to_owned()), child.clone());
        self.push(collection, Change::Created, child);
        uid
    }

    /// It goes.
    pub fn delete(&mut self, collection: &str, worker: &str) {
        let key = (collection.to_owned(), worker.to_owned());
        let child = self.children.remove(&key).unwrap_or_default();
        self.push(collection, Change::Deleted, child);
    }

    /// An instance's Lease is written with this state.
    pub fn lease(&mut self, owner: &str, state: &str) {
        let change =
            if self.leases.contains_key(owner) { Change::Updated } else { Change::Created };
        let lease = json!({
            "metadata": { "name": owner, "uid": format!("lease-{owner}"), "labels": {
                labels::COMPONENT: labels::CONTROL_PLANE, labels::INSTANCE_STATE: state,
            } },
            "spec": { "holderIdentity": owner },
        });
        self.leases.insert(owner.to_owned(), lease.clone());
        self.push(LEASES, change, lease);
    }

    /// The janitor's Lease is taken.
    pub fn janitor(&mut self, owner: &str) {
        let lease = json!({
            "metadata": { "name": "janitor", "uid": "lease-of-janitor",
                          "labels": { labels::COMPONENT: "janitor" } },
            "spec": { "holderIdentity": owner },
        });
        self.push(LEASES, Change::Created, lease);
    }

    /// What a client says.
    pub fn operation(&mut self, worker: &str, outcome: Outcome, refuted: &[&str]) {
        self.lines.push(Line::Operation(Operation {
            owner: "a".to_owned(),
            worker: worker.to_owned(),
            transition: "ready".to_owned(),
            tenant: None,
            epoch: None,
            outcome,
            refuted: refuted.iter().map(|&id| id.to_owned()).collect(),
        }));
    }

    /// What a client says that had a lease of this epoch.
    pub fn operation_at(&mut self, worker: &str, epoch: i64, outcome: Outcome) {
        self.operation(worker, outcome, &[]);
        if let Some(Line::Operation(operation)) = self.lines.last_mut() {
            operation.epoch = Some(epoch);
        }
    }

    /// What a claimer says.
    pub fn claim(&mut self, worker: &str, tenant: &str, outcome: Outcome) {
        self.lines.push(Line::Operation(Operation {
            owner: "b".to_owned(),
            worker: worker.to_owned(),
            transition: "claim_hot_idle".to_owned(),
            tenant: Some(tenant.to_owned()),
            epoch: None,
            outcome,
            refuted: vec![],
        }));
    }

    fn push(&mut self, collection: &str, change: Change, object: Value) {
        self.revision += 1;
        self.lines.push(Line::Version(Version {
            revision: self.revision,
            at: self.now,
            change,
            collection: collection.to_owned(),
            by: self.author.clone(),
            object,
        }));
    }

    /// Checks, and wants this rule to be among those that broke.
    pub fn broke(&self, rule: &str) {
        assert_broke(&Checker::check(Settings::default(), &self.lines), rule);
    }

    /// Checks, and wants this rule not to be among those that broke.
    pub fn kept(&self, rule: &str) {
        let report = Checker::check(Settings::default(), &self.lines);
        assert!(report.iter().all(|violation| violation.rule != rule), "{rule}: {report:#?}");
    }

    /// Checks, with a minute of quiet at the end, and wants no rule to be broken.
    pub fn kept_all(&self) {
        let quiet_since = self.now - SignedDuration::from_secs(60);
        let calm = Some(Calm { quiet_since, end: self.now });
        let report = Checker::check(Settings { calm, ..Settings::default() }, &self.lines);
        assert!(report.is_empty(), "{report:#?}");
    }

    /// The same as [`Story::broke`], with a quiet end.
    pub fn broke_when_calm(&self, rule: &str) {
        assert_broke(&self.checked_when_calm(), rule);
    }

    /// The same as [`Story::kept`], with a quiet end.
    pub fn kept_when_calm(&self, rule: &str) {
        let report = self.checked_when_calm();
        assert!(report.iter().all(|violation| violation.rule != rule), "{rule}: {report:#?}");
    }

    fn checked_when_calm(&self) -> Report {
        let quiet_since = self.now - SignedDuration::from_secs(60);
        let calm = Some(Calm { quiet_since, end: self.now });
        Checker::check(Settings { calm, ..Settings::default() }, &self.lines)
    }
}

fn assert_broke(report: &Report, rule: &str) {
    assert!(report.iter().any(|violation| violation.rule == rule), "{rule}: {report:#?}");
}

impl Telling<'_> {
    /// It belongs to this pool.
    pub fn of_pool(mut self, pool: &str) -> Self {
        self.worker["metadata"]["ownerReferences"] =
            json!([{ "kind": "DuckWorkerPool", "uid": pool }]);
        self
    }

    /// Sets a field of the status; `claim` sets its uid.
    pub fn set(mut self, field: &str, value: &str) -> Self {
        let value = if field == "claim" { json!({ "uid": value }) } else { json!(value) };
        self.worker["status"][field] = value;
        self
    }

    /// Takes a field of the status away.
    pub fn without(mut self, field: &str) -> Self {
        if let Some(status) = self.worker["status"].as_object_mut() {
            status.remove(field);
        }
        self
    }

    /// The finalizer goes, and nothing else is written.
    pub fn let_go(mut self) {
        self.worker["metadata"]["finalizers"] = json!([]);
        let name = self.worker["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.story.workers.insert(name, self.worker.clone());
        self.story.push(WORKERS, Change::Updated, self.worker);
    }

    pub fn pod(mut self, uid: &str) -> Self {
        self.worker["status"]["pod"] = json!({ "uid": uid });
        self
    }

    pub fn deleting(mut self) -> Self {
        self.worker["metadata"]["deletionTimestamp"] = json!(self.story.now.to_string());
        self
    }

    /// With this record of a transition.
    pub fn by(mut self, owner: &str, transition: &str) -> Self {
        self.record = Some((owner.to_owned(), transition.to_owned()));
        self
    }

    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }

    pub fn write(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// It stands like this from now on.
    pub fn owned(mut self, owner: &str, epoch: i64, state: &str) {
        let status = &mut self.worker["status"];
        let since = self.story.now.to_string();
        if status["state"] != state {
            status["stateSince"] = json!(since);
        }
        status["state"] = json!(state);
        status["owner"] = json!(owner);
        status["ownerEpoch"] = json!(epoch);
        self.again();
    }

    /// Another write, of the same state.
    pub fn again(mut self) {
        let revision = self.story.revision;
        let status = &mut self.worker["status"];
        if let Some((by, name)) = self.record {
            let reason = self.reason;
            status["transitions"] =
                json!([{ "name": name, "by": by, "reason": reason, "epoch": revision }]);
        }
        let seq = status["writes"]["seq"].as_i64().unwrap_or(0) + 1;
        let id = self.id.unwrap_or_else(|| format!("write-{revision}"));
        status["writes"] = json!({ "seq": seq, "ids": [id] });
        let name = self.worker["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.story.workers.insert(name, self.worker.clone());
        self.story.push(WORKERS, Change::Updated, self.worker);
    }
}
