//! What one version reads and writes back, every other version finds as it was.
#![allow(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

use duckworker_api::worker::DuckWorkerStatus;
use duckworker_api::{DuckWorker, parse, wire};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

proptest! {
    #[test]
    fn a_status_survives_unchanged(status in status()) {
        let stored: DuckWorkerStatus = serde_json::from_value(status.clone()).unwrap();
        let parsed = parse::worker(&object(&status)).unwrap();
        let written = wire::status(&parsed.status, Some(&stored));
        prop_assert_eq!(serde_json::to_value(written).unwrap(), serde_json::to_value(stored).unwrap());
    }

    #[test]
    fn what_a_newer_version_added_is_kept(status in status(), field in "x[a-z]{1,8}", value in any::<i32>()) {
        let mut status = status;
        for place in ["/claim", "/pod", "/writes", "/transitions/0", ""] {
            if let Some(part) = status.pointer_mut(place).and_then(Value::as_object_mut) {
                part.insert(field.clone(), json!({ "is": value }));
            }
        }
        let stored: DuckWorkerStatus = serde_json::from_value(status.clone()).unwrap();
        let parsed = parse::worker(&object(&status)).unwrap();
        let written = serde_json::to_value(wire::status(&parsed.status, Some(&stored))).unwrap();
        prop_assert_eq!(written, status);
    }
}

#[test]
fn an_unknown_state_is_left_alone() {
    let status =
        json!({ "state": "Hibernating", "writes": { "seq": 1, "ids": ["id-of-write-1"] } });
    let error = parse::worker(&object(&status)).unwrap_err();
    assert!(error.to_string().contains("left alone"), "{error}");
}

fn object(status: &Value) -> DuckWorker {
    serde_json::from_value(json!({
        "apiVersion": "duckworker.dev/v1alpha1",
        "kind": "DuckWorker",
        "metadata": { "name": "w", "namespace": "n", "uid": "uid-of-w" },
        "spec": { "template": { "spec": { "containers": [{ "name": "duckdb", "image": "i" }] } } },
        "status": status,
    }))
    .unwrap()
}

const OWNED: [&str; 9] =
    ["Spawning", "Idle", "Reserved", "Activating", "Hot", "HotIdle", "Draining", "Retired", "Lost"];

fn status() -> impl Strategy<Value = Value> {
    let known = (
        prop::sample::select(&OWNED[..]),
        1_i64..1_000_000,
        option::of("[a-z]{1,20}"),
        option::of(("[a-z]{1,20}", "[a-z0-9-]{8,36}")),
        prop::collection::vec("[a-z0-9]{8,36}", 1..=5),
        prop::collection::vec(transition(), 0..=5),
        option::of((0_i64..2_000_000_000, 0_i64..2_000_000_000)),
        option::of("[a-z0-9-]{8,36}"),
        option::of("[a-z.]{1,40}:[0-9]{1,4}"),
        prop::collection::vec(condition(), 0..=3),
    );
    known.prop_map(
        |(state, epoch, tenant, claim, ids, transitions, times, pod, endpoint, conditions)| {
            let mut status = Map::new();
            let mut put = |name: &str, value: Option<Value>| {
                value.map(|value| status.insert(name.to_owned(), value));
            };
            put("state", Some(json!(state)));
            put("owner", Some(json!("user:a:1")));
            put("ownerEpoch", Some(json!(epoch)));
            put("tenant", tenant.map(Value::from));
            put("claim", claim.map(|(name, uid)| json!({ "name": name, "uid": uid })));
            put("writes", Some(json!({ "seq": epoch, "ids": ids })));
            put("transitions", (!transitions.is_empty()).then(|| json!(transitions)));
            put("stateSince", times.map(|(since, _)| time(since)));
            put("idleSince", times.map(|(_, idle)| time(idle)));
            put("pod", pod.map(|uid| json!({ "name": "w", "uid": uid, "ip": "10.0.0.1" })));
            put("endpoint", endpoint.map(Value::from));
            put("conditions", (!conditions.is_empty()).then(|| json!(conditions)));
            Value::Object(status)
        },
    )
}

fn time(second: i64) -> Value {
    json!(jiff::Timestamp::from_second(second).unwrap().to_string())
}

/// Of this version or of a newer one.
fn transition() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(&["adopt_new", "ready", "hibernate"][..]);
    (name, 0_i64..100, 0_i64..2_000_000_000, option::of("[A-Z][a-z]{1,10}")).prop_map(
        |(name, epoch, at, reason)| {
            let mut entry =
                json!({ "name": name, "by": "user:a:1", "epoch": epoch, "at": time(at) });
            if let Some(reason) = reason {
                entry["reason"] = json!(reason);
            }
            entry
        },
    )
}

fn condition() -> impl Strategy<Value = Value> {
    ("[A-Z][a-z]{1,10}", "[ -~]{0,30}", 0_i64..2_000_000_000).prop_map(|(kind, message, since)| {
        json!({
            "type": kind,
            "status": "True",
            "reason": "Because",
            "message": message,
            "lastTransitionTime": time(since),
        })
    })
}
