#![allow(clippy::needless_pass_by_value, reason = "`json!` at the call reads better without `&`")]

use serde_json::{Value, json};

use super::*;

const UID: &str = "11111111-2222-3333-4444-555555555555";

fn worker() -> Uid {
    Uid::new(UID).unwrap()
}

/// A stored pod of the worker with this status.
fn pod(status: Value) -> Value {
    json!({
        "metadata": { "name": "w1", "uid": "pod-uid" },
        "spec": { "nodeName": "node-a", "containers": [
            { "name": "side" },
            { "name": "duckdb", "env": [{ "name": "DUCKWORKER_UID", "value": UID }] } ] },
        "status": status,
    })
}

fn seen(pod: Value) -> PodSeen {
    see(&serde_json::from_value(pod).unwrap(), &worker()).unwrap()
}

fn phase_of(status: Value) -> PodPhase {
    seen(pod(status)).phase
}

/// A status in which the container `duckdb` stands so.
fn duckdb_is(phase: &str, state: Value) -> Value {
    json!({ "phase": phase, "containerStatuses": [container("duckdb", state)] })
}

fn container(name: &str, state: Value) -> Value {
    json!({ "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state })
}

fn blocked_by(status: Value) -> Option<Reason> {
    match phase_of(status) {
        PodPhase::Starting { blocked } => blocked.map(|b| b.reason),
        other => panic!("not starting: {other:?}"),
    }
}

fn ended_by(status: Value) -> Trouble {
    match phase_of(status) {
        PodPhase::Ended(why) => why,
        other => panic!("not ended: {other:?}"),
    }
}

#[test]
fn a_running_pod_is_seen_whole() {
    let status = json!({ "phase": "Running", "podIP": "10.0.0.7",
        "conditions": [{ "type": "Ready", "status": "True" }],
        "containerStatuses": [container("duckdb", json!({ "running": {} }))] });
    let seen = seen(pod(status));
    assert_eq!(seen.uid.as_str(), "pod-uid");
    assert!(seen.is_ours() && seen.serves());
    assert_eq!(seen.ip.as_deref(), Some("10.0.0.7"));
    assert_eq!(seen.node.as_deref(), Some("node-a"));
    assert_eq!(seen.phase, PodPhase::Running(Readiness::Ready));
}

#[test]
fn only_the_uid_in_the_environment_makes_it_ours() {
    let mut foreign = pod(json!({}));
    foreign["metadata"]["labels"] = json!({ "duckworker.dev/worker-uid": UID });
    foreign["metadata"]["ownerReferences"] = json!([{ "apiVersion": "duckworker.dev/v1alpha1", "kind": "DuckWorker", "name": "w1", "uid": UID }]);
    foreign["spec"]["containers"][1]["env"][0]["value"] = json!("another");
    assert_eq!(seen(foreign.clone()).whose, Whose::Foreign);

    // In a container of another name it says nothing.
    foreign["spec"]["containers"][0]["env"] = json!([{ "name": "DUCKWORKER_UID", "value": UID }]);
    assert_eq!(seen(foreign).whose, Whose::Foreign);
}

#[test]
fn a_pod_without_status_is_starting() {
    let mut pod = pod(json!(null));
    pod["spec"]["nodeName"] = json!(null);
    let seen = seen(pod);
    assert_eq!(seen.phase, PodPhase::Starting { blocked: None });
    assert_eq!((seen.node, seen.ip), (None, None));
}

#[test]
fn what_blocks_a_start_is_named() {
    let waiting = |reason: &str| duckdb_is("Pending", json!({ "waiting": { "reason": reason } }));
    for word in ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"] {
        assert_eq!(blocked_by(waiting(word)), Some(Reason::ImagePullFailed), "{word}");
    }
    for word in ["CreateContainerConfigError", "CreateContainerError"] {
        assert_eq!(blocked_by(waiting(word)), Some(Reason::ContainerConfigError), "{word}");
    }
    for word in ["ContainerCreating", "PodInitializing", "WordOfTomorrow"] {
        assert_eq!(blocked_by(waiting(word)), None, "{word}");
    }
    let unschedulable = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled",
        "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available" }] });
    assert_eq!(blocked_by(unschedulable), Some(Reason::Unschedulable));
}

#[test]
fn an_init_container_blocks_too() {
    let status = |state: Value| {
        json!({ "phase": "Pending",
        "initContainerStatuses": [container("init", state)],
        "containerStatuses": [container("duckdb", json!({ "waiting": { "reason": "PodInitializing" } }))] })
    };
    let pull =
        status(json!({ "waiting": { "reason": "ErrImagePull", "message": "no such image" } }));
    let PodPhase::Starting { blocked: Some(trouble) } = phase_of(pull) else { panic!() };
    assert_eq!(trouble.message, r#"container "init" waits: ErrImagePull: no such image"#);
    let crash = status(json!({ "terminated": { "exitCode": 3 } }));
    assert_eq!(blocked_by(crash), Some(Reason::Crashed));
}

#[test]
fn ready_is_what_the_kubelet_says() {
    let running = duckdb_is("Running", json!({ "running": {} }));
    assert_eq!(phase_of(running), PodPhase::Running(Readiness::NotReady));
    // A simulated node may report no containers at all.
    let bare = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    assert_eq!(phase_of(bare), PodPhase::Running(Readiness::Ready));
}

#[test]
fn a_dead_duckdb_is_seen_behind_a_living_sidecar() {
    let status = json!({ "phase": "Running", "containerStatuses": [
        container("side", json!({ "running": {} })),
        container("duckdb", json!({ "terminated": { "exitCode": 1, "reason": "Error" } })) ] });
    let why = ended_by(status);
    assert_eq!(why, Trouble::new(Reason::Crashed, r#"container "duckdb" ended with exit code 1"#));
}

#[test]
fn how_it_ended_is_named() {
    let killed =
        duckdb_is("Failed", json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } }));
    assert_eq!(ended_by(killed).reason, Reason::OutOfMemory);

    let mut evicted = duckdb_is("Failed", json!({ "terminated": { "exitCode": 137 } }));
    evicted["reason"] = json!("Evicted");
    evicted["message"] = json!("The node was low on resource: memory.");
    assert_eq!(
        ended_by(evicted),
        Trouble::new(Reason::Evicted, "Evicted: The node was low on resource: memory.")
    );

    let turned_away = json!({ "phase": "Failed", "reason": "OutOfcpu" });
    assert_eq!(ended_by(turned_away).reason, Reason::Unschedulable);

    let collected = json!({ "phase": "Failed", "conditions": [
        { "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC" }] });
    assert_eq!(ended_by(collected), Trouble::new(Reason::NodeLost, "DeletionByPodGC"));

    let done =
        duckdb_is("Succeeded", json!({ "terminated": { "exitCode": 0, "reason": "Completed" } }));
    assert_eq!(ended_by(done).reason, Reason::Crashed);
}

#[test]
fn last_words_of_a_container_are_not_repeated() {
    let status = duckdb_is(
        "Failed",
        json!({ "terminated": { "exitCode": 1, "reason": "Error", "message": "token=hunter2" } }),
    );
    assert!(!ended_by(status).message.contains("hunter2"));
}

#[test]
fn a_pod_that_was_told_to_stop_says_by_whom() {
    let mut deleted = pod(duckdb_is("Running", json!({ "running": {} })));
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    deleted["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
    let plain = seen(deleted.clone());
    assert!(!plain.serves());
    let stop = plain.stop.unwrap();
    assert_eq!(stop.why.reason, Reason::PodDeleted);
    assert_eq!(stop.by.to_string(), "2026-01-02T03:04:05Z");

    deleted["status"]["conditions"] = json!([{ "type": "DisruptionTarget", "status": "True",
        "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting" }]);
    let why = seen(deleted).stop.unwrap().why;
    let wanted = "EvictionByEvictionAPI: Eviction API: evicting";
    assert_eq!(why, Trouble::new(Reason::Evicted, wanted));
}

#[test]
fn sentences_are_bounded() {
    let long = "x".repeat(10_000);
    let status =
        duckdb_is("Pending", json!({ "waiting": { "reason": "ErrImagePull", "message": long } }));
    let PodPhase::Starting { blocked: Some(trouble) } = phase_of(status) else { panic!() };
    assert_eq!(trouble.message.chars().count(), SENTENCE);
}
