//! Why the API server refused to create a pod (or a secret): its answer in our words.

use duckworker_core::Reason;
use duckworker_core::plan::observed::Trouble;
use kube::core::Status;

use crate::text::one_line;

/// How long the API server's sentence may be in a condition.
const SENTENCE: usize = 500;

/// A create that was refused for good: the same body would be refused again until somebody
/// changes something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A rule is in the way: a quota, a limit range, Pod Security, a policy, the schema.
    Rule(Trouble),
    /// The namespace is being deleted: nothing can be created in it any more.
    NamespaceTerminating,
}

/// The refusal in an answer; none when the answer is no refusal but a failure that may pass
/// (a time-out, an overload, a conflict).
pub fn of(answer: &Status) -> Option<Refusal> {
    let has_cause = |cause: &str| {
        let causes = answer.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|c| c.reason == cause)
    };
    if has_cause("NamespaceTerminating") {
        return Some(Refusal::NamespaceTerminating);
    }
    let reason = match answer.code {
        403 if speaks_of_quota(&answer.message) => Reason::QuotaExceeded,
        400 | 403 | 413 | 422 => Reason::PodRefused,
        _ => return None,
    };
    Some(Refusal::Rule(Trouble::new(reason, sentence(answer))))
}

/// What a server says that fails over a request, each time it is sent: an admission webhook that does
/// not answer, or an object that no rule foresaw. None when it is merely away or busy.
pub fn failure(answer: &Status) -> Option<Trouble> {
    let message = one_line(&format!("the API server fails over it: {}", answer.message), SENTENCE);
    (answer.code == 500).then(|| Trouble::new(Reason::PodRefused, message))
}

/// The server's sentence. Where it lists several causes, it lists them in another order each time.
fn sentence(answer: &Status) -> String {
    let causes = answer.details.iter().flat_map(|details| &details.causes);
    let mut causes: Vec<String> =
        causes.map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    let sentence = match answer.message.split_once(": [") {
        Some((what, _)) if causes.len() > 1 => {
            causes.sort_unstable();
            format!("{what}: {}", causes.join("; "))
        }
        _ => answer.message.clone(),
    };
    one_line(&sentence, SENTENCE)
}

/// Quota and limit range have no reason of their own in the answer; these are their sentences:
/// "exceeded quota: q, …" and "maximum memory usage per Container is …".
fn speaks_of_quota(message: &str) -> bool {
    let sentences = [
        "exceeded quota",
        "failed quota",
        "status unknown for quota",
        " usage per ",
        " limit to request ratio per ",
    ];
    sentences.iter().any(|sentence| message.contains(sentence))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(answer: Value) -> Option<Refusal> {
        of(&serde_json::from_value(answer).unwrap())
    }

    fn reason(code: u16, message: &str) -> Option<Reason> {
        match refused(json!({ "code": code, "reason": "x", "message": message }))? {
            Refusal::Rule(trouble) => Some(trouble.reason),
            Refusal::NamespaceTerminating => None,
        }
    }

    #[test]
    fn a_quota_is_told_from_a_policy() {
        let quota = "pods \"w1\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4";
        let range =
            "pods \"w1\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi";
        let security =
            "pods \"w1\" is forbidden: violates PodSecurity \"restricted:latest\": privileged (…)";
        assert_eq!(reason(403, quota), Some(Reason::QuotaExceeded));
        assert_eq!(reason(403, range), Some(Reason::QuotaExceeded));
        assert_eq!(reason(403, security), Some(Reason::PodRefused));
        assert_eq!(
            reason(422, "Pod \"w1\" is invalid: spec.hostUsers: …"),
            Some(Reason::PodRefused)
        );
    }

    #[test]
    fn causes_are_told_in_one_order() {
        let answer = |first: &str, second: &str| {
            let cause = |field: &str| json!({ "field": field, "message": "Unsupported value" });
            refused(json!({ "code": 422, "details": { "causes": [cause(first), cause(second)] },
                "message": format!("Pod \"w\" is invalid: [{first}: …, {second}: …]") }))
        };
        assert_eq!(answer("spec.a", "spec.b"), answer("spec.b", "spec.a"));
        let Some(Refusal::Rule(trouble)) = answer("spec.b", "spec.a") else { panic!("a rule") };
        let sentence = "Pod \"w\" is invalid: spec.a: Unsupported value; spec.b: Unsupported value";
        assert_eq!(trouble.message, sentence);
    }

    #[test]
    fn a_server_that_fails_over_it_is_told_and_one_that_is_away_is_not() {
        let told = |code: u16| {
            let answer = json!({ "code": code, "message": "resource name may not be empty" });
            failure(&serde_json::from_value(answer).unwrap())
        };
        assert!(told(500).is_some_and(|trouble| trouble.message.contains("may not be empty")));
        assert_eq!(told(503), None);
        assert_eq!(told(504), None);
    }

    #[test]
    fn a_dying_namespace_is_no_rule() {
        let answer = json!({ "code": 403, "reason": "Forbidden", "message": "being terminated",
            "details": { "causes": [{ "reason": "NamespaceTerminating", "field": "metadata.namespace" }] } });
        assert_eq!(refused(answer), Some(Refusal::NamespaceTerminating));
    }

    #[test]
    fn what_may_pass_is_no_refusal() {
        for code in [401, 404, 409, 429, 500, 503, 504] {
            assert_eq!(refused(json!({ "code": code, "message": "later" })), None, "{code}");
        }
    }
}
