//! Label and field selectors.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::{Expression, SelectorExt};
use serde_json::Value;

use crate::failure::Failure;
use crate::kinds::Kind;

/// A selector of objects; the default one selects all.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    labels: Vec<Expression>,
    fields: Vec<(String, bool, String)>,
}

impl Selection {
    /// Parses what a request says.
    pub fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Failure> {
        let labels = split(labels).into_iter().map(label).collect::<Result<_, _>>()?;
        let fields = split(fields).into_iter().map(|text| field(kind, text));
        Ok(Self { labels, fields: fields.collect::<Result<_, _>>()? })
    }

    /// It selects all.
    pub const fn is_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// It names one object, which the server then looks up instead of looking through all.
    pub fn names_one(&self) -> bool {
        self.fields.iter().any(|(pointer, equal, _)| pointer == "/metadata/name" && *equal)
    }

    /// Whether it selects this object.
    pub fn selects(&self, object: &Value) -> bool {
        let fields = self.fields.iter().all(|(pointer, equal, wanted)| {
            let found = object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            (found == wanted) == *equal
        });
        fields && (self.labels.is_empty() || self.matches_labels(object))
    }

    fn matches_labels(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels: BTreeMap<String, String> =
            labels.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect();
        self.labels.iter().all(|expression| expression.matches(&labels))
    }
}

/// Splits at commas that are in no parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn label(text: &str) -> Result<Expression, Failure> {
    let owned = |part: &str| part.trim().to_owned();
    if let Some(list) = text.strip_suffix(')') {
        let (head, values) = list.split_once('(').ok_or_else(|| unreadable(text))?;
        let values: BTreeSet<String> = values.split(',').map(owned).collect();
        return match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => Ok(Expression::In(owned(key), values)),
            [key, "notin"] => Ok(Expression::NotIn(owned(key), values)),
            _ => Err(unreadable(text)),
        };
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(Expression::NotEqual(owned(key), owned(value)));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Expression::Equal(owned(key), owned(value)));
    }
    match text.strip_prefix('!') {
        Some(key) => Ok(Expression::DoesNotExist(owned(key))),
        None if text.contains(char::is_whitespace) => Err(unreadable(text)),
        None => Ok(Expression::Exists(owned(text))),
    }
}

fn field(kind: &Kind, text: &str) -> Result<(String, bool, String), Failure> {
    let unequal = text.split_once("!=");
    let pair = unequal.or_else(|| text.split_once("==")).or_else(|| text.split_once('='));
    let (path, value) = pair.ok_or_else(|| unreadable(text))?;
    let known = match path {
        "metadata.name" | "metadata.namespace" => true,
        "spec.nodeName" | "status.phase" | "spec.restartPolicy" => kind.plural == "pods",
        "type" => kind.plural == "secrets",
        _ => kind.selectable.iter().any(|selectable| selectable == path),
    };
    if !known {
        return Err(Failure::bad_request(format!("field label not supported: {path}")));
    }
    let pointer = format!("/{}", path.replace('.', "/"));
    Ok((pointer, unequal.is_none(), value.trim().to_owned()))
}

fn unreadable(text: &str) -> Failure {
    Failure::bad_request(format!("unable to parse requirement: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kinds;
    use serde_json::json;

    fn selects(labels: &str, fields: &str) -> bool {
        let kinds = Kinds::builtin();
        let pods = kinds.get("", "pods").unwrap();
        let pod = json!({
            "metadata": { "name": "p", "labels": { "app": "duck", "tier": "x" } },
            "spec": { "nodeName": "n" }
        });
        Selection::parse(pods, labels, fields).unwrap().selects(&pod)
    }

    #[test]
    fn labels_select() {
        for yes in
            ["", "app=duck", "app==duck,tier", "app in (duck, goose),!x", "x notin (y)", "x!=y"]
        {
            assert!(selects(yes, ""), "{yes}");
        }
        for no in ["app=goose", "!app", "x", "app notin (duck)", "x in (y)", "app!=duck"] {
            assert!(!selects(no, ""), "{no}");
        }
    }

    #[test]
    fn fields_select() {
        assert!(selects("", "metadata.name=p,spec.nodeName!=other"));
        assert!(!selects("", "metadata.name=q"));
        let kinds = Kinds::builtin();
        let refused = Selection::parse(kinds.get("", "secrets").unwrap(), "", "spec.nodeName=x");
        assert_eq!(refused.unwrap_err().code, 400);
    }
}
