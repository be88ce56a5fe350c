//! What came of an object: whether its controller has carried out what it says, or says why not.

use serde_json::Value;

use super::kind::Kind;

/// Whether an object is where it should come to: its controller has seen this spec, and it is
/// either done or tells in a condition what it waits for.
pub fn is_carried_out(kind: Kind, object: &Value) -> bool {
    let status = &object["status"];
    let seen = status["observedGeneration"] == object["metadata"]["generation"];
    match kind {
        Kind::DuckWorker => match status["state"].as_str() {
            // Writes of the status that nothing else asks for wait for the start to end.
            Some("Spawning") => has_its_pod(status) || says_why_not(status),
            Some("Idle" | "Hot" | "HotIdle" | "Retired" | "Lost") => seen,
            _ => false,
        },
        Kind::DuckWorkerPool => seen && condition(status, "Ready").is_some_and(has_a_sentence),
        Kind::DuckWorkerClaim => {
            let waits = condition(status, "Ready").is_some_and(has_a_sentence);
            seen && (matches!(status["phase"].as_str(), Some("Ready" | "Lost" | "Failed")) || waits)
        }
        Kind::DuckTenant => seen,
    }
}

/// A pod was made, and what it waits for is the pod's to tell.
fn has_its_pod(status: &Value) -> bool {
    status["pod"]["uid"].is_string()
}

fn says_why_not(status: &Value) -> bool {
    ["PodBlocked", "NameConflict"].into_iter().any(|kind| {
        condition(status, kind).is_some_and(|c| c["status"] == "True" && has_a_sentence(c))
    })
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = status["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)
}

fn has_a_sentence(condition: &Value) -> bool {
    let words = |field: &str| condition[field].as_str().is_some_and(|text| !text.is_empty());
    condition["status"] != "Unknown" && words("reason") && words("message")
}

/// What is wrong with a refusal, if anything: it is no failure of the server, has a sentence, and
/// names the field, or one of these that it lies in.
pub fn flaw(code: u16, message: &str, field: &str, around: &str) -> Option<String> {
    if !(400..500).contains(&code) {
        return Some(format!("it was answered with {code}: {message}"));
    }
    if message.split_whitespace().count() < 3 {
        return Some(format!("the refusal has no sentence: {message:?}"));
    }
    let names_it = message.contains(field) || (!around.is_empty() && message.contains(around));
    (!names_it).then(|| format!("the refusal does not name {field}: {message}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_worker_is_idle_or_says_why_it_is_not() {
        let worker = |status: Value| json!({ "metadata": { "generation": 2 }, "status": status });
        let done = |status: Value| is_carried_out(Kind::DuckWorker, &worker(status));
        assert!(done(json!({ "state": "Idle", "observedGeneration": 2 })));
        assert!(!done(json!({ "state": "Idle", "observedGeneration": 1 })));
        assert!(!done(json!({ "state": "Pending" })));
        assert!(!done(json!({ "state": "Spawning" })));
        let blocked = json!([{ "type": "PodBlocked", "status": "True", "reason": "PodRefused",
                               "message": "no such class" }]);
        assert!(done(json!({ "state": "Spawning", "conditions": blocked })));
    }

    #[test]
    fn a_claim_that_waits_says_for_what() {
        let claim = |ready: Value| {
            json!({ "metadata": { "generation": 1 }, "status": {
                "phase": "Pending", "observedGeneration": 1, "conditions": [ready] } })
        };
        let silent =
            json!({ "type": "Ready", "status": "Unknown", "reason": "Pending", "message": "…" });
        assert!(!is_carried_out(Kind::DuckWorkerClaim, &claim(silent)));
        let waits = json!({ "type": "Ready", "status": "False", "reason": "PoolNotFound",
                            "message": "there is no pool x" });
        assert!(is_carried_out(Kind::DuckWorkerClaim, &claim(waits)));
    }

    #[test]
    fn a_refusal_is_a_sentence_about_the_field() {
        assert_eq!(flaw(422, "spec.tenant: must be a label", "tenant", ""), None);
        assert_eq!(flaw(422, "the spec cannot be changed", "tenant", "spec"), None);
        assert!(flaw(422, "the spec cannot be changed", "tenant", "").is_some());
        assert!(flaw(500, "spec.tenant: must be a label", "tenant", "").is_some());
        assert!(flaw(422, "tenant", "tenant", "").is_some());
        assert!(flaw(422, "this object is not good", "tenant", "").is_some());
    }
}
