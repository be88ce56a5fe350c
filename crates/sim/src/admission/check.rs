//! Checks a value against a structural schema. The sentences are the API server's.

use std::collections::BTreeSet;

use serde_json::Value;

use super::node::Node;
use crate::failure::Cause;

/// Where a value stands, and what the sentence about it calls it: the whole path, or below a
/// field that is new in a replacement, the path from there.
#[derive(Clone, Default)]
struct Place {
    path: String,
    said: String,
}

impl Place {
    fn field(&self, name: &str, siblings: Option<&Value>) -> Self {
        let join = |parent: &str| {
            if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
        };
        let is_new = siblings.is_some_and(|old| old.is_object() && old.get(name).is_none());
        let said = if is_new { name.to_owned() } else { join(&self.said) };
        Self { path: join(&self.path), said }
    }

    fn item(&self, index: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), said: format!("{}[{index}]", self.said) }
    }

    fn invalid(&self, value: &Value, why: &str) -> Cause {
        Cause::invalid(&self.path, value, &format!("{} in body {why}", self.said))
    }
}

/// What is wrong with a whole object. Its metadata are judged elsewhere.
pub fn root(node: &Node, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let top = Place::default();
    for (name, schema) in &node.properties {
        if matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        match new.get(name) {
            Some(field) => {
                let before = old.and_then(|old| old.get(name));
                value(schema, field, before, &top.field(name, old), &mut causes);
            }
            None if node.required.contains(name) => causes.push(Cause::required(name, "")),
            None => {}
        }
    }
    causes
}

/// What is wrong with one value. One that was there before is left in peace.
fn value(node: &Node, new: &Value, old: Option<&Value>, place: &Place, causes: &mut Vec<Cause>) {
    if old == Some(new) || (new.is_null() && node.nullable) {
        return;
    }
    if !has_type(node, new) {
        causes.push(Cause::type_invalid(&place.path, &place.said, new, &node.kind));
        return;
    }
    if !node.values.is_empty() && !node.values.contains(new) {
        causes.push(Cause::unsupported(&place.path, new, &node.values));
    }
    match new {
        Value::Object(_) => object(node, new, old, place, causes),
        Value::Array(items) => list(node, items, old, place, causes),
        Value::String(text) => string(node, text, new, place, causes),
        Value::Number(number) => {
            if let Some(why) = number.as_f64().and_then(|number| out_of_range(node, number)) {
                causes.push(place.invalid(new, &why));
            }
        }
        _ => {}
    }
}

fn has_type(node: &Node, value: &Value) -> bool {
    if node.int_or_string {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match node.kind.as_str() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn object(node: &Node, new: &Value, old: Option<&Value>, place: &Place, causes: &mut Vec<Cause>) {
    let fields = new.as_object().into_iter().flatten();
    for (name, field) in fields {
        let inside = node.properties.get(name).or(node.additional.as_deref());
        if let Some(schema) = inside {
            let before = old.and_then(|old| old.get(name));
            value(schema, field, before, &place.field(name, old), causes);
        }
    }
    for name in node.required.iter().filter(|name| new.get(name).is_none()) {
        causes.push(Cause::required(place.field(name, None).path, ""));
    }
    let count = new.as_object().map_or(0, serde_json::Map::len);
    if let Some(most) = node.entries.most.filter(|most| count as u64 > *most) {
        let why = format!("should have at most {most} properties");
        causes.push(place.invalid(&count.into(), &why));
    }
}

fn list(node: &Node, items: &[Value], old: Option<&Value>, place: &Place, causes: &mut Vec<Cause>) {
    if let Some(most) = node.count.most.filter(|most| items.len() as u64 > *most) {
        causes.push(Cause::too_many(&place.path, items.len(), most));
    }
    if let Some(least) = node.count.least.filter(|least| (items.len() as u64) < *least) {
        let why = format!("should have at least {least} items");
        causes.push(place.invalid(&items.len().into(), &why));
    }
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let place = place.item(index);
        if let Some(schema) = &node.items {
            value(schema, item, counterpart(node, item, old), &place, causes);
        }
        if let Some(key) = identity(node, item)
            && !seen.insert(key.to_string())
        {
            causes.push(Cause::duplicate(place.path, &key));
        }
    }
}

/// By what an item is told apart from its siblings, if it must be.
fn identity(node: &Node, item: &Value) -> Option<Value> {
    if node.is_set {
        return Some(item.clone());
    }
    if node.list_keys.is_empty() {
        return None;
    }
    let keys = node.list_keys.iter();
    Some(keys.filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect())
}

/// The same item before: by its keys, else none, since plain lists are compared as a whole.
fn counterpart<'a>(node: &Node, item: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    let key = identity(node, item)?;
    old?.as_array()?.iter().find(|before| identity(node, before).as_ref() == Some(&key))
}

fn string(node: &Node, text: &str, new: &Value, place: &Place, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(most) = node.length.most.filter(|most| length > *most) {
        causes.push(Cause::too_long(&place.path, most));
    }
    if let Some(least) = node.length.least.filter(|least| length < *least) {
        causes.push(place.invalid(new, &format!("should be at least {least} chars long")));
    }
    if let Some(pattern) = node.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
        causes.push(place.invalid(new, &format!("should match '{pattern}'")));
    }
    if node.format == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
        causes.push(place.invalid(new, &format!("must be of type date-time: {new}")));
    }
}

fn out_of_range(node: &Node, number: f64) -> Option<String> {
    if let Some(least) = node.range.least.filter(|least| number < *least) {
        return Some(format!("should be greater than or equal to {least}"));
    }
    let most = node.range.most.filter(|most| number > *most)?;
    Some(format!("should be less than or equal to {most}"))
}
