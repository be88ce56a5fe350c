//! The rules that the API server itself enforces on a `DuckWorker`, for every client in any
//! language: CEL expressions in the CRD, those about the status made from the table.
//!
//! | room | holds |
//! |---|---|
//! | [`status`] | rules about the status, at the root: they compare it with the stored one |
//! | [`spec`] | rules about the spec and the name, judged once, when the worker is created |
//!
//! Every rule runs at each write of the status, so each is a few comparisons and one look-up in a
//! constant list. A rule about the spec must never refuse a write of the status of an old object:
//! it holds its tongue once there is an old object to compare with.

pub mod spec;
pub mod status;

use kube::core::{Message, Rule};

/// A rule and the sentence that a user reads when it refuses him.
pub(crate) fn rule(expression: impl Into<String>, sentence: &str) -> Rule {
    Rule::new(expression).message(sentence)
}

/// A rule whose sentence is itself an expression; the plain sentence stands in where that one
/// cannot be evaluated.
pub(crate) fn explained(expression: impl Into<String>, sentence: String) -> Rule {
    Rule::new(expression).message(Message::Expression(sentence))
}

/// A rule that is judged only when the object is created. The judged field cannot change later.
pub(crate) fn at_creation(expression: &str, sentence: &str) -> Rule {
    rule(format!("oldSelf.hasValue() || ({expression})"), sentence).optional_old_self(true)
}

/// A CEL list of texts.
pub(crate) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = items.into_iter().map(|item| quote(&item.to_string())).collect();
    format!("[{}]", quoted.join(", "))
}

/// A CEL text. Ours hold neither quotes nor backslashes.
pub(crate) fn quote(text: &str) -> String {
    format!("'{text}'")
}
