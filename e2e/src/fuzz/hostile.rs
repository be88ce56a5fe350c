//! Names, labels, annotations, finalizers, owners and statuses as somebody would write them who means
//! harm, or who copied a manifest without a look at it.

use duckworker_api::labels;
use serde_json::{Map, Value, json};

use super::cases::{Case, Change, Must, NAME};
use super::kind::Kind;

/// A worker that has nothing to do with all this, its pool, and the words that stand for their uids.
pub const BYSTANDER: &str = "bystander";
/// See [`BYSTANDER`].
pub const BYSTANDERS: &str = "bystanders";
/// See [`BYSTANDER`].
pub const BYSTANDER_UID: &str = "uid-of-the-bystander";
/// See [`BYSTANDER`].
pub const BYSTANDERS_UID: &str = "uid-of-the-bystanders";

/// The uid of nobody.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
/// Finalizers of somebody else.
const FOREIGN: [&str; 2] = ["example.com/first", "example.com/last"];
/// How large all annotations of an object may be together, says Kubernetes.
const ANNOTATIONS: usize = 256 * 1024;
/// A value that is no time, no name and no truth.
const GARBAGE: &str = "not a time\n{\"\u{1f986}\": [";
/// Labels and annotations of ours.
const OURS: [&str; 13] = [
    labels::WORKER_NAME,
    labels::WORKER_UID,
    labels::POOL_NAME,
    labels::BUSY,
    labels::SAFE_TO_EVICT,
    labels::TEMPLATE,
    labels::CLAIM_NAME,
    labels::COMPONENT,
    labels::INSTANCE_STATE,
    labels::INSTANCE_ROLE,
    labels::SCOPE,
    labels::EXPIRE_AT,
    labels::MOVED_ON,
];

/// Something in the metadata: how it is called, what it is, what has to come of it, and the word that
/// a refusal must contain.
struct Trick {
    name: &'static str,
    metadata: Value,
    must: Must,
    field: &'static str,
}

fn trick(name: &'static str, metadata: Value, must: Must) -> Trick {
    let field = name.split('/').next().unwrap_or_default();
    Trick { name, metadata, must, field }
}

/// The cases of a kind.
pub fn cases(kind: Kind) -> Vec<Case> {
    let mut cases: Vec<Case> = names(kind).into_iter().map(|trick| made(kind, trick)).collect();
    let forged = [forged_labels(), annotations(), finalizers(), owners()].into_iter().flatten();
    for trick in forged {
        cases.extend(later(kind, &trick));
        cases.push(made(kind, trick));
    }
    cases.push(with_a_status(kind));
    if kind == Kind::DuckWorker {
        cases.extend([member_of_a_strangers_pool(), without_its_finalizer()]);
    }
    cases
}

/// A case with this metadata from the beginning.
fn made(kind: Kind, Trick { name, metadata, must, field }: Trick) -> Case {
    let mut object = kind.good(NAME);
    merge(&mut object["metadata"], &metadata);
    let name = format!("{kind}/{name}");
    Case { kind, name, field: field.to_owned(), object, changes: Vec::new(), must }
}

/// The same put on a good object, and taken away again.
fn later(kind: Kind, Trick { name, metadata, must, field }: &Trick) -> Option<Case> {
    if *must == Must::Refuse {
        return None;
    }
    let taken = metadata.as_object()?.keys().map(|key| (key.clone(), Value::Null));
    let back = match metadata.get("finalizers") {
        Some(_) if kind == Kind::DuckWorker => json!({ "finalizers": [labels::FINALIZER] }),
        _ => Value::Object(taken.collect::<Map<String, Value>>()),
    };
    let changes =
        [metadata, &back].map(|metadata| Change { patch: json!({ "metadata": metadata }) });
    let name = format!("{kind}/{name}/changed-back");
    // A worker that has lost an owner or a label is as good as before.
    let must = if *must == Must::AcceptOrCollect { *must } else { Must::Accept };
    let object = kind.good(NAME);
    Some(Case { kind, name, field: (*field).to_owned(), object, changes: changes.to_vec(), must })
}

fn merge(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else { return };
    for (key, value) in from {
        into.insert(key.clone(), value.clone());
    }
}

fn names(kind: Kind) -> Vec<Trick> {
    let most = match kind {
        Kind::DuckWorker => 57,
        Kind::DuckWorkerPool => 38,
        Kind::DuckWorkerClaim => 248,
        Kind::DuckTenant => 63,
    };
    let named = |name: String| json!({ "name": name });
    // Not two kinds with one name: their pods and secrets would meet.
    let letter = kind.to_string().to_lowercase();
    let long = |length: usize| letter.chars().cycle().take(length).collect::<String>();
    let dots = if kind == Kind::DuckWorkerClaim { Must::Accept } else { Must::Refuse };
    vec![
        trick("name/longest", named(long(most)), Must::Accept),
        trick("name/too-long", named(long(most + 1)), Must::Refuse),
        trick("name/much-too-long", named(long(254)), Must::Refuse),
        trick("name/dots", named("a.b.c".to_owned()), dots),
        trick("name/upper-case", named("Duck".to_owned()), Must::Refuse),
        trick("name/empty", named(String::new()), Must::Refuse),
        trick("name/path", named("../duck".to_owned()), Must::Refuse),
        trick("name/wrong-type", json!({ "name": 5 }), Must::Refuse),
    ]
}

fn forged_labels() -> Vec<Trick> {
    let with = |labels: Value| json!({ "labels": labels });
    let longest = format!("{}/{}", "x".repeat(253), "y".repeat(63));
    let ours: Map<String, Value> = OURS.iter().map(|key| ((*key).to_owned(), json!("x"))).collect();
    let bystanders = json!({ labels::WORKER_NAME: BYSTANDER, labels::WORKER_UID: BYSTANDER_UID });
    vec![
        trick(
            "labels/of-a-strangers-pool",
            with(json!({ labels::POOL_NAME: BYSTANDERS })),
            Must::Accept,
        ),
        trick("labels/of-the-bystander", with(bystanders), Must::Accept),
        trick("labels/all-of-ours", with(Value::Object(ours)), Must::Accept),
        trick("labels/longest", with(json!({ longest: "z".repeat(63) })), Must::Accept),
        trick("labels/value-too-long", with(json!({ "a": "z".repeat(64) })), Must::Refuse),
        trick("labels/malformed-key", with(json!({ "a b": "c" })), Must::Refuse),
        trick("labels/malformed-value", with(json!({ "a": GARBAGE })), Must::Refuse),
        trick("labels/wrong-type", with(json!({ "a": 5 })), Must::Refuse),
    ]
}

fn annotations() -> Vec<Trick> {
    let with = |annotations: Value| json!({ "annotations": annotations });
    let ours: Map<String, Value> =
        OURS.iter().map(|key| ((*key).to_owned(), json!(GARBAGE))).collect();
    let filled = |length: usize| with(json!({ "example.com/large": "x".repeat(length) }));
    let kubectls = json!({ "kubectl.kubernetes.io/last-applied-configuration": GARBAGE });
    vec![
        trick("annotations/all-of-ours", with(Value::Object(ours)), Must::Accept),
        // What the good object has is counted, too.
        trick("annotations/largest", filled(ANNOTATIONS - 100), Must::Accept),
        trick("annotations/too-large", filled(ANNOTATIONS), Must::Refuse),
        trick("annotations/of-kubectl", with(kubectls), Must::Accept),
        trick("annotations/wrong-type", with(json!({ "a": ["b"] })), Must::Refuse),
    ]
}

fn finalizers() -> Vec<Trick> {
    let with = |finalizers: &[&str]| json!({ "finalizers": finalizers });
    let [first, last] = FOREIGN;
    let ours = labels::FINALIZER;
    vec![
        trick("finalizers/ours", with(&[ours]), Must::Accept),
        trick("finalizers/ours-first", with(&[ours, last]), Must::Accept),
        trick("finalizers/ours-between", with(&[first, ours, last]), Must::Accept),
        trick("finalizers/ours-twice", with(&[ours, first, ours]), Must::Accept),
        trick("finalizers/foreign", with(&[first]), Must::Accept),
        trick("finalizers/of-the-garbage-collector", with(&["orphan", ours]), Must::Accept),
        trick("finalizers/without-a-domain", with(&["mine"]), Must::Accept),
        trick("finalizers/malformed", with(&["not a name"]), Must::Refuse),
    ]
}

fn owner(kind: &str, name: &str, uid: &str) -> Value {
    let version = if kind == "Namespace" { "v1" } else { "duckworker.dev/v1alpha1" };
    json!({ "apiVersion": version, "kind": kind, "name": name, "uid": uid })
}

fn controlling(mut owner: Value) -> Value {
    owner["controller"] = json!(true);
    owner["blockOwnerDeletion"] = json!(true);
    owner
}

fn owners() -> Vec<Trick> {
    let with = |owners: Vec<Value>| json!({ "ownerReferences": owners });
    let bystander = owner("DuckWorker", BYSTANDER, BYSTANDER_UID);
    let bystanders = owner("DuckWorkerPool", BYSTANDERS, BYSTANDERS_UID);
    let mut unknown = owner("Nothing", "nothing", NOBODY);
    unknown["apiVersion"] = json!("example.com/v1");
    let many = (0..64).map(|_| bystander.clone()).collect();
    let absent = owner("DuckWorkerPool", "nowhere", NOBODY);
    vec![
        trick("ownerReferences/absent", with(vec![absent.clone()]), Must::AcceptOrCollect),
        trick(
            "ownerReferences/absent-controller",
            with(vec![controlling(absent.clone())]),
            Must::AcceptOrCollect,
        ),
        trick(
            "ownerReferences/namesake",
            with(vec![owner("DuckWorker", BYSTANDER, NOBODY)]),
            Must::AcceptOrCollect,
        ),
        trick(
            "ownerReferences/cluster-wide",
            with(vec![owner("Namespace", "default", NOBODY)]),
            Must::AcceptOrCollect,
        ),
        trick("ownerReferences/bystander", with(vec![bystander.clone()]), Must::Accept),
        // The pool deletes a worker that says it is its own, has no number, and was not begun.
        trick(
            "ownerReferences/strangers-pool",
            with(vec![controlling(bystanders.clone())]),
            Must::AcceptOrCollect,
        ),
        trick("ownerReferences/unknown-kind", with(vec![unknown]), Must::Accept),
        trick("ownerReferences/many", with(many), Must::Accept),
        trick(
            "ownerReferences/two-controllers",
            with(vec![controlling(bystander), controlling(bystanders)]),
            Must::Refuse,
        ),
        trick(
            "ownerReferences/no-uid",
            with(vec![owner("DuckWorker", BYSTANDER, "")]),
            Must::Refuse,
        ),
    ]
}

/// As if it had a life behind it.
fn with_a_status(kind: Kind) -> Case {
    let status = match kind {
        Kind::DuckWorker => json!({ "state": "Hot", "owner": "me.1", "ownerEpoch": 7,
            "pod": { "name": BYSTANDER, "uid": BYSTANDER_UID }, "secretName": "bystander-rpc" }),
        Kind::DuckWorkerPool => json!({ "observedGeneration": 9, "replicas": 3,
            "ordinals": { "next": 3, "taken": [{ "ordinal": 2, "uid": BYSTANDER_UID }] } }),
        Kind::DuckWorkerClaim => json!({ "phase": "Ready", "observedGeneration": 1,
            "worker": { "name": BYSTANDER, "uid": BYSTANDER_UID, "ownerEpoch": 1 } }),
        Kind::DuckTenant => json!({ "observedGeneration": 9, "used": 1, "ledger": [{
            "workerUid": BYSTANDER_UID, "worker": BYSTANDER, "baseVersion": "1", "by": "me.1",
            "at": "2026-01-01T00:00:00Z" }] }),
    };
    let mut case = made(kind, trick("status/forged", json!({}), Must::Accept));
    case.object["status"] = status;
    case
}

/// A worker that says of itself that a pool made it, in every way in which a pool says it.
fn member_of_a_strangers_pool() -> Case {
    let owner = controlling(owner("DuckWorkerPool", BYSTANDERS, BYSTANDERS_UID));
    let metadata = json!({
        "ownerReferences": [owner],
        "labels": { labels::POOL_NAME: BYSTANDERS, labels::TEMPLATE: "x" },
    });
    made(Kind::DuckWorker, trick("ownerReferences/forged-member", metadata, Must::AcceptOrCollect))
}

/// Somebody takes our finalizer away by hand, which needs the right to it.
fn without_its_finalizer() -> Case {
    let patch = json!({ "metadata": { "finalizers": [] } });
    let case = made(Kind::DuckWorker, trick("finalizers/taken-away", json!({}), Must::Accept));
    Case { changes: vec![Change { patch }], ..case }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tricks_are_played_from_the_beginning_and_later() {
        let cases = cases(Kind::DuckWorker);
        let case = |name: &str| cases.iter().find(|case| case.name == name).unwrap();
        let first = case("DuckWorker/labels/of-the-bystander");
        assert_eq!(first.object["metadata"]["labels"][labels::WORKER_UID], BYSTANDER_UID);
        assert_eq!(first.object["metadata"]["name"], NAME);
        let later = case("DuckWorker/labels/of-the-bystander/changed-back");
        assert_eq!(later.changes.len(), 2);
        assert_eq!(later.changes[1].patch["metadata"]["labels"], Value::Null);
        assert!(!cases.iter().any(|case| case.name == "DuckWorker/labels/wrong-type/changed-back"));
    }

    #[test]
    fn what_is_too_long_is_a_little_too_long() {
        let cases = cases(Kind::DuckWorkerPool);
        let length = |name: &str| {
            let case = cases.iter().find(|case| case.name.ends_with(name)).unwrap();
            case.object["metadata"]["name"].as_str().unwrap().len()
        };
        assert_eq!((length("/longest"), length("/too-long")), (38, 39));
    }
}
