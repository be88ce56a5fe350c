use serde_json::{Value, json};

use super::CustomSchema;

fn schema() -> CustomSchema {
    CustomSchema::new(json!({
        "type": "object",
        "required": ["spec"],
        "x-kubernetes-validations": [
            { "rule": "oldSelf.hasValue() || !has(self.spec.name) || self.spec.name != 'no'",
              "message": "not no at creation", "optionalOldSelf": true },
            { "rule": "!has(oldSelf.status) || has(self.status)", "message": "status stays" },
            { "rule": "!has(oldSelf.status) || self.status.n >= oldSelf.status.n",
              "message": "n never falls" }
        ],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "type": "object" },
            "spec": {
                "type": "object",
                "required": ["port"],
                "properties": {
                    "port": { "type": "integer", "minimum": 1, "maximum": 65535 },
                    "mode": { "type": "string", "enum": ["A", "B"], "default": "A" },
                    "name": { "type": "string", "maxLength": 3, "pattern": "^[a-z]+$" },
                    "quantity": { "x-kubernetes-int-or-string": true },
                    "open": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                    "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                    "list": {
                        "type": "array", "maxItems": 2, "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["type"],
                        "items": { "type": "object", "properties": { "type": { "type": "string" } } }
                    }
                }
            },
            "status": {
                "type": "object", "default": { "state": "Pending" },
                "properties": {
                    "state": { "type": "string" },
                    "n": { "type": "integer", "default": 0 }
                }
            }
        }
    }))
}

fn causes(new: &Value, old: Option<&Value>) -> Vec<String> {
    let causes = schema().check(new, old);
    causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

#[test]
fn unknown_fields_go_and_defaults_come() {
    let mut object = json!({
        "kind": "X", "extra": 1, "metadata": { "name": "x", "odd": 1 },
        "spec": { "port": 1, "odd": 1, "mode": null, "open": { "odd": 1 }, "labels": { "a": "b" } },
        "status": null
    });
    schema().fill(&mut object);
    assert_eq!(
        object,
        json!({
            "kind": "X", "metadata": { "name": "x", "odd": 1 },
            "spec": { "port": 1, "mode": "A", "open": { "odd": 1 }, "labels": { "a": "b" } },
            "status": { "state": "Pending", "n": 0 }
        })
    );
    assert_eq!(schema().default_status(), Some(json!({ "state": "Pending", "n": 0 })));
}

#[test]
fn every_limit_has_its_sentence() {
    let spec = |spec: Value| causes(&json!({ "spec": spec }), None);
    assert!(spec(json!({ "port": 1 })).is_empty());
    assert_eq!(causes(&json!({}), None)[0], "spec: Required value");
    assert_eq!(spec(json!({}))[0], "spec.port: Required value");
    assert_eq!(
        spec(json!({ "port": 0 })),
        ["spec.port: Invalid value: 0: spec.port in body should be greater than or equal to 1"]
    );
    assert_eq!(
        spec(json!({ "port": "x" }))[0],
        "spec.port: Invalid value: \"string\": spec.port in body must be of type integer: \"string\""
    );
    assert_eq!(
        spec(json!({ "port": 1, "mode": "C" })),
        ["spec.mode: Unsupported value: \"C\": supported values: \"A\", \"B\""]
    );
    assert_eq!(
        spec(json!({ "port": 1, "name": "abcd" }))[0],
        "spec.name: Too long: may not be more than 3 bytes"
    );
    assert_eq!(
        spec(json!({ "port": 1, "name": "A" })),
        ["spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"]
    );
    assert!(spec(json!({ "port": 1, "quantity": 5 })).is_empty());
    assert!(spec(json!({ "port": 1, "quantity": "5Gi" })).is_empty());
    let twice = json!([{ "type": "a" }, { "type": "a" }]);
    assert_eq!(
        spec(json!({ "port": 1, "list": twice }))[0],
        "spec.list[1]: Duplicate value: {\"type\":\"a\"}"
    );
}

#[test]
fn what_did_not_change_is_not_judged_again() {
    let old = json!({ "spec": { "port": 0 } });
    assert!(causes(&old, Some(&old)).is_empty());
    let new = json!({ "spec": { "port": 0, "mode": "B" } });
    assert!(causes(&new, Some(&old)).is_empty());
    assert_eq!(causes(&new, None).len(), 1);
}

#[test]
fn rules_see_the_old_object() {
    let object = |n: i64| json!({ "spec": { "port": 1 }, "status": { "state": "X", "n": n } });
    assert!(causes(&object(1), None).is_empty());
    assert!(causes(&object(2), Some(&object(1))).is_empty());
    assert_eq!(causes(&object(0), Some(&object(1))), ["<nil>: Invalid value: n never falls"]);
    let named = json!({ "spec": { "port": 1, "name": "no" } });
    assert_eq!(causes(&named, None), ["<nil>: Invalid value: not no at creation"]);
    assert!(causes(&named, Some(&named)).is_empty());
    let bare = json!({ "spec": { "port": 1 } });
    assert!(
        causes(&bare, Some(&object(1)))[0].contains("no such key")
            || causes(&bare, Some(&object(1))).iter().any(|cause| cause.contains("status stays"))
    );
}

#[test]
fn items_with_keys_are_compared_by_them() {
    let schema = CustomSchema::new(json!({
        "type": "object",
        "properties": { "status": { "type": "object", "properties": { "seats": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
            "items": {
                "type": "object",
                "properties": { "n": { "type": "integer" }, "who": { "type": "string" } },
                "x-kubernetes-validations": [
                    { "rule": "!has(oldSelf.who) || self.who == oldSelf.who", "message": "set once" }
                ]
            }
        } } } }
    }));
    let seats = |seats: Value| json!({ "status": { "seats": seats } });
    let old = seats(json!([{ "n": 0, "who": "a" }, { "n": 1, "who": "b" }]));
    let first_gone = seats(json!([{ "n": 1, "who": "b" }, { "n": 2, "who": "c" }]));
    assert!(schema.check(&first_gone, Some(&old)).is_empty());
    let other = seats(json!([{ "n": 1, "who": "c" }]));
    let causes = schema.check(&other, Some(&old));
    let told: Vec<_> =
        causes.iter().map(|cause| (cause.field.as_str(), cause.message.as_str())).collect();
    assert_eq!(told, [("status.seats[0]", "Invalid value: set once")]);
}
