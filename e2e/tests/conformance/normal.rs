//! Takes out of answers what may differ between two servers: versions and uids are numbered in
//! the order in which they were first seen, times are only there or not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::play::Line;
use crate::script::What;

/// Normalises a whole play.
pub fn normalise(lines: &[Line]) -> Vec<Line> {
    let mut names = Names::default();
    lines.iter().map(|line| names.line(line)).collect()
}

#[derive(Default)]
struct Names {
    versions: BTreeMap<String, usize>,
    uids: BTreeMap<String, usize>,
    made: BTreeMap<String, usize>,
}

impl Names {
    fn line(&mut self, line: &Line) -> Line {
        let mut answer = line.answer.clone();
        let is_list = answer["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        if is_list {
            // The revision of all objects of the server, ours and others'.
            answer["metadata"]["resourceVersion"] = json!("any");
            if answer["metadata"]["continue"].is_string() {
                answer["metadata"]["continue"] = json!("any");
            }
        }
        if line.what == Some(What::Pod) {
            simplify_pods(&mut answer);
        }
        self.value(&mut answer);
        if answer["kind"] == "Status" && answer["message"].is_string() {
            let message = answer["message"].as_str().unwrap_or_default();
            answer["message"] = self.message(message).into();
        }
        if line.code == 400 {
            // These sentences show the request as the server's own parser prints it.
            answer["message"] = json!("any");
        }
        sort_causes(&mut answer);
        // The request bears versions and uids of its own server.
        Line { request: self.message(&line.request), answer, ..line.clone() }
    }

    fn value(&mut self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("managedFields");
                for (name, field) in fields.iter_mut() {
                    match (name.as_str(), field.as_str()) {
                        ("resourceVersion", Some(text)) if text != "any" => {
                            *field = numbered(&mut self.versions, 'v', text).into();
                        }
                        ("uid", Some(text)) => {
                            *field = numbered(&mut self.uids, 'u', text).into();
                        }
                        ("name", Some(text)) if text.starts_with("made-") => {
                            *field = numbered(&mut self.made, 'm', text).into();
                        }
                        ("creationTimestamp" | "deletionTimestamp", Some(_)) => {
                            *field = json!("set");
                        }
                        _ => self.value(field),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            _ => {}
        }
    }

    /// Puts numbers for the uids and versions in a text.
    fn message(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (uid, number) in &self.uids {
            text = text.replace(uid, &format!("u{number}"));
        }
        for (name, number) in &self.made {
            text = text.replace(name, &format!("m{number}"));
        }
        let word = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.';
        let words = text.split_inclusive(word).map(|word| {
            let (bare, end) = word.split_at(word.trim_end_matches(self::end).len());
            match self.versions.get(bare) {
                Some(number) => format!("v{number}{end}"),
                None => word.to_owned(),
            }
        });
        let text: String = words.collect();
        // A version that was never shown: another request's answer did not tell it.
        match text.split_once("in record (") {
            Some((start, end)) if end.starts_with(|c: char| c.is_ascii_digit()) => {
                let end = end.trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{start}in record (any{end}")
            }
            _ => text,
        }
    }
}

/// What is wrong with fields comes in any order, and of metadata more than once.
fn sort_causes(answer: &mut Value) {
    let Some(causes) = answer.pointer_mut("/details/causes").and_then(Value::as_array_mut) else {
        return;
    };
    causes.sort_by_key(ToString::to_string);
    causes.dedup();
    answer["message"] = json!("told by the causes");
}

fn end(c: char) -> bool {
    !c.is_ascii_alphanumeric()
}

fn numbered(known: &mut BTreeMap<String, usize>, letter: char, text: &str) -> String {
    let next = known.len();
    format!("{letter}{}", known.entry(text.to_owned()).or_insert(next))
}

/// Pods get more defaults than any simulator needs: only what Duckworker reads is compared.
fn simplify_pods(answer: &mut Value) {
    if let Some(items) = answer["items"].as_array_mut() {
        items.iter_mut().for_each(simplify_pod);
    }
    if answer.get("object").is_some() {
        simplify_pod(&mut answer["object"]);
    }
    if answer["kind"] == "Pod" {
        simplify_pod(answer);
    }
}

fn simplify_pod(pod: &mut Value) {
    let Some(fields) = pod.as_object_mut() else { return };
    if let Some(spec) = fields.get_mut("spec") {
        *spec = json!({
            "restartPolicy": spec["restartPolicy"],
            "grace": spec["terminationGracePeriodSeconds"],
        });
    }
    if let Some(status) = fields.get_mut("status").filter(|status| status.is_object()) {
        *status = json!({ "phase": status["phase"] });
    }
}
