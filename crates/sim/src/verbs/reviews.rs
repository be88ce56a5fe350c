//! Questions that store nothing: who am I, what may I.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::user::User;

/// Answers a review by its path, if it is one.
pub fn review(path: &str, body: &[u8], user: &User) -> Option<Result<Value, Failure>> {
    let status = match path {
        "/apis/authentication.k8s.io/v1/selfsubjectreviews" => json!({ "userInfo": user.info() }),
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        | "/apis/authorization.k8s.io/v1/subjectaccessreviews" => json!({ "allowed": true }),
        _ => return None,
    };
    let question: Result<Value, _> = serde_json::from_slice(body);
    Some(question.map_err(|error| Failure::bad_request(error.to_string())).map(|mut review| {
        review["metadata"] = json!({});
        review["status"] = status;
        review
    }))
}
