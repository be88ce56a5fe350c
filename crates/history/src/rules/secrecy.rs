//! S17: tokens and keys of workers stand in their secrets and nowhere else.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use duckworker_api::labels::{PRIVATE_KEY_KEY, TOKEN_KEY};
use serde_json::Value;

use crate::check::{Report, Rule, Step};
use crate::line::{SECRETS, name_of};
use crate::seen::made_for;

/// What is shorter than this proves nothing.
const TELLING: usize = 16;

/// Every secret word, and whose it is.
#[derive(Debug, Default)]
pub struct Secrecy(BTreeMap<String, String>);

impl Rule for Secrecy {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        let object = &step.version.object;
        if step.version.collection == SECRETS {
            if made_for(object).is_some() {
                self.learn(object);
            }
            return;
        }
        if let Some(owner) = self.find(object) {
            step.breaks(report, "S17", format!("shows what stands in the secret {owner}"));
        }
    }
}

impl Secrecy {
    fn learn(&mut self, secret: &Value) {
        for key in [TOKEN_KEY, PRIVATE_KEY_KEY] {
            let encoded = secret["data"][key].as_str().unwrap_or_default();
            let decoded = STANDARD.decode(encoded).unwrap_or_default();
            let Ok(text) = String::from_utf8(decoded) else { continue };
            let all = words(&text).filter(|word| !word.contains("PRIVATE"));
            let all = all.chain(words(encoded));
            self.0.extend(all.map(|word| (word.to_owned(), name_of(secret))));
        }
    }

    fn find(&self, value: &Value) -> Option<&String> {
        if self.0.is_empty() {
            return None;
        }
        match value {
            Value::String(text) => words(text).find_map(|word| self.0.get(word)),
            Value::Array(values) => values.iter().find_map(|value| self.find(value)),
            Value::Object(fields) => fields.values().find_map(|value| self.find(value)),
            _ => None,
        }
    }
}

/// The pieces of a text that could be a token or a line of a key.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_' | '-');
    text.split(move |c| !inner(c)).filter(|word| word.len() >= TELLING)
}

#[cfg(test)]
mod tests {
    use crate::story::Story;

    #[test]
    fn a_token_in_a_status_is_seen() {
        let mut story = Story::new();
        story.worker("w").owned("a", 1, "Spawning");
        story.child("secrets", "w");
        story.worker("w").set("endpoint", "see token=0123456789abcdef0123456789abcdef!").again();
        story.broke("S17");
    }
}
