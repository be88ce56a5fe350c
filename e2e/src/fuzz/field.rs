//! The fields that a schema has, and where in an object each of them stands.

use std::fmt;

use serde_json::{Map, Value, json};

/// One step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A field of this name.
    Key(String),
    /// The first item of a list.
    Item,
    /// A value of a map.
    Entry,
}

/// The way to a field, from the object on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    fn with(&self, step: Step) -> Self {
        Self([self.0.as_slice(), &[step]].concat())
    }

    /// The name of the field, or of what it is an item or a value of.
    pub fn name(&self) -> &str {
        let mut names = self.0.iter().rev().filter_map(|step| match step {
            Step::Key(name) => Some(name.as_str()),
            Step::Item | Step::Entry => None,
        });
        names.next().unwrap_or_default()
    }

    /// How many names deep it stands.
    pub fn depth(&self) -> usize {
        self.0.iter().filter(|step| matches!(step, Step::Key(_))).count()
    }

    /// The same from the field of this name on; none if it does not lie below one.
    pub fn below(&self, name: &str) -> Option<Self> {
        let key = Step::Key(name.to_owned());
        let last = self.0.iter().rposition(|step| *step == key)?;
        Some(Self(self.0[last + 1..].to_vec()))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(name) if number == 0 => f.write_str(name)?,
                Step::Key(name) => write!(f, ".{name}")?,
                Step::Item => f.write_str("[0]")?,
                Step::Entry => f.write_str("{}")?,
            }
        }
        Ok(())
    }
}

/// A field of a schema.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// Where it stands.
    pub path: Path,
    /// What may stand there.
    pub schema: &'a Value,
    /// Whether its object must have it.
    pub required: bool,
}

/// The fields of the object that a schema describes, at any depth for which `wanted` holds, in the
/// order of the schema: an object before its fields.
pub fn fields(schema: &Value, wanted: impl Fn(&Path) -> bool) -> Vec<Field<'_>> {
    let mut found = Vec::new();
    walk(&Field { path: Path::default(), schema, required: true }, &wanted, &mut found);
    found
}

fn walk<'a>(field: &Field<'a>, wanted: &impl Fn(&Path) -> bool, found: &mut Vec<Field<'a>>) {
    for below in below(field) {
        if wanted(&below.path) {
            found.push(below.clone());
            walk(&below, wanted, found);
        }
    }
}

fn below<'a>(field: &Field<'a>) -> Vec<Field<'a>> {
    let required = field.schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    let mut found: Vec<Field<'a>> = properties(field.schema)
        .into_iter()
        .flatten()
        .map(|(name, schema)| Field {
            path: field.path.with(Step::Key(name.clone())),
            schema,
            required: required.iter().any(|required| required == name),
        })
        .collect();
    let inner = |step, key| {
        let schema = field.schema.get(key).filter(|schema| schema.is_object())?;
        Some(Field { path: field.path.with(step), schema, required: false })
    };
    found.extend(inner(Step::Item, "items"));
    found.extend(inner(Step::Entry, "additionalProperties"));
    found
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

/// The key of the one value that a map gets.
const ENTRY: &str = "example.com/key";

/// An object with a value at a path. What is missing on the way there is made as small as its
/// schema allows.
pub fn placed(object: &Value, schema: &Value, path: &Path, value: Value) -> Value {
    let mut changed = object.clone();
    *reach(&mut changed, schema, &path.0) = value;
    changed
}

/// An object without what stands at a path, with all that is on the way there.
pub fn unset(object: &Value, schema: &Value, path: &Path) -> Value {
    let mut changed = object.clone();
    let Some((Step::Key(name), way)) = path.0.split_last() else { return changed };
    if let Some(fields) = reach(&mut changed, schema, way).as_object_mut() {
        fields.remove(name);
    }
    changed
}

fn reach<'v>(at: &'v mut Value, schema: &Value, way: &[Step]) -> &'v mut Value {
    let Some((step, rest)) = way.split_first() else { return at };
    match step {
        Step::Key(name) => {
            let below = &schema["properties"][name];
            if !at.is_object() {
                *at = json!({});
            }
            let below_value = &mut at[name];
            if below_value.is_null() {
                *below_value = super::value::sound(below, name, 0);
            }
            reach(below_value, below, rest)
        }
        Step::Item => {
            let items = &schema["items"];
            if at.as_array().is_none_or(Vec::is_empty) {
                *at = json!([super::value::sound(items, "item", 0)]);
            }
            reach(&mut at[0], items, rest)
        }
        Step::Entry => {
            if !at.is_object() {
                *at = json!({});
            }
            reach(&mut at[ENTRY], &schema["additionalProperties"], rest)
        }
    }
}

/// The merge patch that makes one object of another. Lists are replaced as a whole.
pub fn merge_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (from, to) else { return to.clone() };
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let mut patch: Map<String, Value> = gone.map(|key| (key.clone(), Value::Null)).collect();
    for (key, new) in new {
        match old.get(key) {
            Some(old) if old == new => {}
            Some(old) if old.is_object() => drop(patch.insert(key.clone(), merge_patch(old, new))),
            _ => drop(patch.insert(key.clone(), new.clone())),
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({ "type": "object", "required": ["list"], "properties": {
            "list": { "type": "array", "items": {
                "type": "object", "required": ["name"], "properties": {
                    "name": { "type": "string" }, "size": { "type": "integer" } } } },
            "map": { "type": "object", "additionalProperties": { "type": "string" } },
        } })
    }

    #[test]
    fn every_field_is_found_with_its_path() {
        let schema = schema();
        let found = fields(&schema, |_| true);
        let paths: Vec<String> = found.iter().map(|field| field.path.to_string()).collect();
        assert_eq!(paths, ["list", "list[0]", "list[0].name", "list[0].size", "map", "map{}"]);
        let required: Vec<&str> =
            found.iter().filter(|field| field.required).map(|field| field.path.name()).collect();
        assert_eq!(required, ["list", "name"]);
    }

    #[test]
    fn what_is_not_wanted_is_not_entered() {
        let schema = schema();
        assert_eq!(fields(&schema, |path| path.depth() < 2).len(), 4);
    }

    #[test]
    fn a_value_is_placed_with_what_its_surroundings_need() {
        let schema = schema();
        let size = fields(&schema, |_| true).swap_remove(3).path;
        let placed = placed(&json!({}), &schema, &size, json!(3));
        assert_eq!(placed["list"][0]["size"], 3);
        assert!(placed["list"][0]["name"].is_string(), "{placed}");
        let name = fields(&schema, |_| true).swap_remove(2).path;
        let unset = unset(&placed, &schema, &name);
        assert_eq!(unset, json!({ "list": [{ "size": 3 }] }));
    }

    #[test]
    fn the_patch_of_two_objects_leads_from_one_to_the_other() {
        let old = json!({ "a": { "b": 1, "c": 2 }, "l": [1, 2] });
        let new = json!({ "a": { "b": 1, "d": 3 }, "l": [2] });
        let patch = merge_patch(&old, &new);
        assert_eq!(patch, json!({ "a": { "c": null, "d": 3 }, "l": [2] }));
    }

    #[test]
    fn the_place_below_a_field_is_told() {
        let schema = schema();
        let all = fields(&schema, |_| true);
        assert_eq!(all[3].path.below("list").unwrap().to_string(), "[0].size");
        assert_eq!(all[4].path.below("list"), None);
    }
}
