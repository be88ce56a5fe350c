//! Refusals, worded as the API server words them.

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::store::Key;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason; empty where the API server gives none.
    pub reason: &'static str,
    /// The sentence for people.
    pub message: String,
    /// Name, group, kind, uid and causes.
    pub details: Option<Value>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// The field, `spec.connection.port`.
    pub field: String,
    /// `FieldValueInvalid` and the like.
    pub reason: &'static str,
    /// The sentence, `Invalid value: 0: must be …`.
    pub message: String,
}

impl Cause {
    /// A value that may not be.
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", shown(value));
        Self { field: field.into(), reason: "FieldValueInvalid", message }
    }

    /// A value that must be there.
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message =
            if why.is_empty() { "Required value".into() } else { format!("Required value: {why}") };
        Self { field: field.into(), reason: "FieldValueRequired", message }
    }

    /// A change that may not be made.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        let message = format!("Forbidden: {why}");
        Self { field: field.into(), reason: "FieldValueForbidden", message }
    }

    /// The same thing twice.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        let message = format!("Duplicate value: {}", shown(value));
        Self { field: field.into(), reason: "FieldValueDuplicate", message }
    }

    /// More than there may be.
    pub fn too_many(field: impl Into<String>, count: usize, most: u64) -> Self {
        let message = format!("Too many: {count}: must have at most {most} items");
        Self { field: field.into(), reason: "FieldValueTooMany", message }
    }

    /// Longer than it may be.
    pub fn too_long(field: impl Into<String>, most: u64) -> Self {
        let message = format!("Too long: may not be more than {most} bytes");
        Self { field: field.into(), reason: "FieldValueTooLong", message }
    }

    /// None of the values that it may have.
    pub fn unsupported(field: impl Into<String>, value: &Value, supported: &[Value]) -> Self {
        let supported: Vec<String> = supported.iter().map(shown).collect();
        let message = format!(
            "Unsupported value: {}: supported values: {}",
            shown(value),
            supported.join(", ")
        );
        Self { field: field.into(), reason: "FieldValueNotSupported", message }
    }

    /// A value of another type.
    pub fn type_invalid(field: &str, said: &str, value: &Value, wanted: &str) -> Self {
        let found = quoted(type_of(value));
        let message =
            format!("Invalid value: {found}: {said} in body must be of type {wanted}: {found}");
        Self { field: field.to_owned(), reason: "FieldValueTypeInvalid", message }
    }

    /// Whether the API server checks no CEL rules when it finds this.
    pub fn blocks_rules(&self) -> bool {
        matches!(
            self.reason,
            "FieldValueRequired"
                | "FieldValueTooLong"
                | "FieldValueTooMany"
                | "FieldValueDuplicate"
                | "FieldValueTypeInvalid"
        )
    }
}

fn shown(value: &Value) -> String {
    value.to_string()
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        let mut details = json!({ "kind": kind.plural });
        if !name.is_empty() {
            details["name"] = name.into();
        }
        if !kind.group.is_empty() {
            details["group"] = kind.group.clone().into();
        }
        self.details = Some(details);
        self
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 404 for an object.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.qualified());
        Self::new(404, "NotFound", message).about(kind, name)
    }

    /// 404 for a path.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 409 for a create.
    pub fn already_exists(kind: &Kind, name: &str, deleting: bool) -> Self {
        let going = if deleting { "object is being deleted: " } else { "" };
        let message = format!("{going}{} \"{name}\" already exists", kind.qualified());
        Self::new(409, "AlreadyExists", message).about(kind, name)
    }

    /// 409 for an update or a delete.
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.qualified());
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// 409 for a precondition of a delete, which names the kind where others name the resource.
    pub fn precondition(kind: &Kind, name: &str, why: &str) -> Self {
        let what = kind.qualified_kind();
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        let mut failure = Self::new(409, "Conflict", message).about(kind, name);
        failure.set_kind(&kind.kind);
        failure
    }

    /// 422 for a replacement that says no version, which names the resource where others name the
    /// kind.
    pub fn no_version(kind: &Kind, name: &str) -> Self {
        let why = "must be specified for an update";
        let cause = Cause::invalid("metadata.resourceVersion", &0.into(), why);
        let mut failure = Self::invalid(kind, name, vec![cause]);
        failure.message = failure.message.replacen(&kind.qualified_kind(), &kind.qualified(), 1);
        failure.set_kind(&kind.plural);
        failure
    }

    fn set_kind(&mut self, kind: &str) {
        if let Some(details) = &mut self.details {
            details["kind"] = kind.into();
        }
    }

    /// 409: somebody else wrote it in between.
    pub fn stale(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(kind, name, why)
    }

    /// 409: another object of the same name, or none.
    pub fn other_uid(kind: &Kind, (namespace, name): &Key, wanted: &str, found: &str) -> Self {
        let folder = if kind.is_custom() { format!("{}/", kind.group) } else { String::new() };
        let key = format!("/registry/{folder}{}/{namespace}/{name}", kind.plural);
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object \
             meta: {found}"
        );
        Self::conflict(kind, name, &why)
    }

    /// 403.
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.qualified());
        Self::new(403, "Forbidden", message).about(kind, name)
    }

    /// 410: that version is no more.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 415.
    pub fn unsupported_media() -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json",
        )
    }

    /// 422 for fields.
    pub fn invalid(kind: &Kind, name: &str, mut causes: Vec<Cause>) -> Self {
        causes.dedup();
        let sentences: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let why = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {why}", kind.qualified_kind());
        let mut failure = Self::new(422, "Invalid", message).about(kind, name);
        let causes: Vec<Value> = causes
            .iter()
            .map(|c| json!({ "reason": c.reason, "message": c.message, "field": c.field }))
            .collect();
        if let Some(details) = &mut failure.details {
            details["kind"] = kind.kind.as_str().into();
            details["causes"] = causes.into();
        }
        failure
    }

    /// 422 for a patch that cannot be applied.
    pub fn unprocessable() -> Self {
        let why = "the server rejected our request due to an error in our request";
        Self { details: Some(json!({})), ..Self::new(422, "Invalid", why) }
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// 504: a version that is not there yet.
    pub fn too_large_version(wanted: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {wanted}, current: {current}");
        let mut failure = Self::new(504, "Timeout", message);
        failure.details = Some(json!({
            "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }],
            "retryAfterSeconds": 1,
        }));
        failure
    }

    /// The body: a `metav1.Status`.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            body["details"] = details.clone();
        }
        body
    }
}
