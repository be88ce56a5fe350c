//! Every case: an object that is created, what is changed in it afterwards, and whether it has to
//! be refused. The same cases in the same order each time, each with a name by which it is found.

use anyhow::Result;
use serde_json::{Value, json};
use strum::IntoEnumIterator as _;

use super::field::{Field, Path, Step, fields, merge_patch, placed, unset};
use super::hostile;
use super::kind::Kind;
use super::value::{Level, specials};

/// What has to come of the creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Must {
    /// It is refused.
    Refuse,
    /// It is refused or carried out.
    Either,
    /// It is accepted, and carried out.
    Accept,
    /// It is carried out, or taken away: its owner does not exist, or does not know it.
    AcceptOrCollect,
}

/// What is changed after the creation.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// A merge patch of the object.
    pub patch: Value,
}

/// One spec, and what is done with it.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its kind.
    pub kind: Kind,
    /// Kind, field and level: `DuckWorker/spec.tenant/least`.
    pub name: String,
    /// The word that a refusal must contain.
    pub field: String,
    /// The object, with the name `NAME`, which [`Case::named`] replaces.
    pub object: Value,
    /// What is changed afterwards, one after the other.
    pub changes: Vec<Change>,
    /// What has to come of it.
    pub must: Must,
}

/// What stands in the place of the name of the object.
pub const NAME: &str = "fuzz-name";

impl Case {
    /// The object with its name, and the others that it speaks of.
    pub fn named(&self, words: &[(&str, &str)]) -> (Value, Vec<Value>) {
        let patches = self.changes.iter().map(|change| replaced(&change.patch, words)).collect();
        (replaced(&self.object, words), patches)
    }

    /// Whether this is about a field that lies in the pod template.
    pub fn is_of_template(&self) -> bool {
        self.name.contains("spec.template")
    }
}

/// The same with every text that is one of these words replaced.
fn replaced(value: &Value, words: &[(&str, &str)]) -> Value {
    match value {
        Value::String(text) => {
            let word = words.iter().find(|(word, _)| text == word);
            word.map_or_else(|| value.clone(), |(_, with)| json!(with))
        }
        Value::Array(items) => items.iter().map(|item| replaced(item, words)).collect(),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(key, value)| (key.clone(), replaced(value, words))).collect(),
        ),
        other => other.clone(),
    }
}

/// All cases.
pub fn all() -> Result<Vec<Case>> {
    let mut all = Vec::new();
    for kind in Kind::iter() {
        let schema = kind.spec_schema()?;
        all.extend(of_schema(kind, &schema));
        all.extend(hostile::cases(kind));
    }
    Ok(all)
}

/// Cases that once showed a mistake of ours.
const FOUND: [&str; 2] = [
    // The API server answers 500 to its pod, and the worker did not say so.
    "DuckWorker/spec.template.spec.runtimeClassName/least",
    // The sentence of the refusal is another one each time, and was written each time.
    "DuckWorker/spec.template.spec.resources.limits/most",
];

/// The cut that runs in `cargo test`: what once was found, and each so many-th of the others.
pub fn short() -> Result<Vec<Case>> {
    let (found, others): (Vec<Case>, Vec<Case>) =
        all()?.into_iter().partition(|case| FOUND.contains(&case.name.as_str()));
    let (of_specs, others): (Vec<Case>, Vec<Case>) =
        others.into_iter().partition(|case| case.name.contains("/spec"));
    let (deep, flat): (Vec<Case>, Vec<Case>) = of_specs.into_iter().partition(Case::is_of_template);
    let cut = deep.into_iter().step_by(67).chain(flat.into_iter().step_by(6));
    Ok(found.into_iter().chain(cut).chain(others.into_iter().step_by(3)).collect())
}

/// The cases of one kind's fields.
fn of_schema(kind: Kind, spec: &Value) -> Vec<Case> {
    let root = json!({ "type": "object", "properties": { "spec": spec } });
    let good = kind.good(NAME);
    let found = fields(&root, |path| kind.wants(path));
    found.iter().flat_map(|field| of_field(kind, &root, &good, field)).collect()
}

fn of_field(kind: Kind, root: &Value, good: &Value, field: &Field<'_>) -> Vec<Case> {
    let case = |level: Level, object: Value, must: Must| Case {
        kind,
        name: format!("{kind}/{}/{level}", field.path),
        field: field.path.name().to_owned(),
        object,
        changes: Vec::new(),
        must,
    };
    let mut cases = Vec::new();
    let present = is_there(good, &field.path);
    if present || field.required {
        let without = unset(good, root, &field.path);
        let must = if field.required { Must::Refuse } else { Must::Either };
        cases.push(case(Level::Unset, without, must));
    }
    let specials = specials(field.schema, field.path.name());
    for special in &specials {
        let must = if special.level.must_be_refused() { Must::Refuse } else { Must::Either };
        // A null in a list or in a map is no field that was left out.
        let in_place = !matches!(field.path.0.last(), Some(Step::Key(_)));
        if special.value.is_null() && in_place {
            continue;
        }
        let object = placed(good, root, &field.path, special.value.clone());
        cases.push(case(special.level, object, must));
    }
    let good_value = at(good, &field.path);
    let other = [Level::Most, Level::Least].into_iter().find_map(|level| {
        let special = specials.iter().find(|special| special.level == level)?;
        (good_value != Some(&special.value)).then_some(&special.value)
    });
    if let Some(other) = other.filter(|_| is_changed(kind, &field.path)) {
        let altered = placed(good, root, &field.path, other.clone());
        let patches = [merge_patch(good, &altered), merge_patch(&altered, good)];
        let changes = patches.map(|patch| Change { patch }).to_vec();
        let back = case(Level::ChangedBack, good.clone(), Must::Accept);
        cases.push(Case { changes, ..back });
    }
    cases
}

/// Whether a change of it is tried: a pod template cannot be changed, so one field of it is enough.
fn is_changed(kind: Kind, path: &Path) -> bool {
    kind != Kind::DuckWorker || path.below("template").is_none_or(|path| path.depth() <= 1)
}

fn is_there(object: &Value, path: &Path) -> bool {
    at(object, path).is_some_and(|value| !value.is_null())
}

fn at<'a>(object: &'a Value, path: &Path) -> Option<&'a Value> {
    let mut value = object;
    for step in &path.0 {
        value = match step {
            Step::Key(name) => value.get(name)?,
            Step::Item => value.get(0)?,
            Step::Entry => value.as_object()?.values().next()?,
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_and_every_kind_has_cases() {
        let all = all().unwrap();
        let names: BTreeSet<&str> = all.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for kind in Kind::iter() {
            assert!(all.iter().filter(|case| case.kind == kind).count() > 30, "{kind}");
        }
        let again = super::all().unwrap();
        assert!(all.iter().zip(&again).all(|(one, other)| one.name == other.name));
    }

    #[test]
    fn a_field_is_tried_at_each_level() {
        let all = all().unwrap();
        let levels: Vec<&str> = all
            .iter()
            .filter_map(|case| case.name.strip_prefix("DuckWorkerPool/spec.replicas/"))
            .collect();
        let expected =
            ["unset", "null", "least", "most", "wrong-type", "below", "above", "changed-back"];
        assert_eq!(levels, expected);
    }

    #[test]
    fn a_field_that_must_be_there_is_missed() {
        let all = all().unwrap();
        let case =
            all.iter().find(|case| case.name == "DuckWorkerClaim/spec.tenant/unset").unwrap();
        assert_eq!(case.must, Must::Refuse);
        assert!(case.object["spec"].get("tenant").is_none());
    }

    #[test]
    fn a_change_is_taken_back() {
        let all = all().unwrap();
        let name = "DuckWorker/spec.drainTimeoutSeconds/changed-back";
        let case = all.iter().find(|case| case.name == name).unwrap();
        let patches: Vec<&Value> = case
            .changes
            .iter()
            .map(|change| &change.patch["spec"]["drainTimeoutSeconds"])
            .collect();
        assert_eq!(patches, [&json!(86_400), &json!(5)]);
    }

    #[test]
    fn the_short_cut_tries_every_kind_and_is_short() {
        let short = short().unwrap();
        assert!(FOUND.iter().all(|found| short.iter().any(|case| case.name == *found)));
        assert!((60..250).contains(&short.len()), "{}", short.len());
        for kind in Kind::iter() {
            assert!(short.iter().any(|case| case.kind == kind), "{kind}");
        }
    }

    #[test]
    fn names_are_put_in() {
        let all = all().unwrap();
        let case = all.iter().find(|case| case.kind == Kind::DuckWorkerClaim).unwrap();
        let (object, _) = case.named(&[(NAME, "f7")]);
        assert_eq!(object["metadata"]["name"], "f7");
    }
}
