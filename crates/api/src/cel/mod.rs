//! The rules that the API server itself enforces, for every client in any language: CEL
//! expressions in the CRDs, those about the status of a worker made from the table.
//!
//! | room | holds |
//! |---|---|
//! | [`status`] | rules about changes: of the status, on `.status`; of what joins it to the spec, at the root |
//! | [`spec`] | rules about the spec and the name, judged once, when the worker is created |
//! | [`tenant`] | rules about a `DuckTenant` |
//! | [`pool`] | rules about a `DuckWorkerPool` |
//! | [`claim`] | rules about a `DuckWorkerClaim` |
//!
//! Every rule of a worker runs at each write of its status, and what it costs there is the number of fields
//! that it looks up. So the checks of one kind share one rule, which looks up each field once and
//! binds it to a short name, and the sentence is found only when the rule has failed. A rule about
//! the spec must never refuse a write of the status of an old object: it holds its tongue once
//! there is an old object to compare with.

pub mod claim;
pub mod pool;
pub mod spec;
pub mod status;
pub mod tenant;

use kube::core::{Message, Rule};

/// One thing that must hold, and what the user reads when it does not.
pub(crate) struct Check {
    /// The expression.
    pub holds: String,
    /// The sentence, as an expression.
    pub otherwise: String,
}

impl Check {
    /// With a plain sentence.
    pub(crate) fn new(holds: impl Into<String>, otherwise: &str) -> Self {
        Self { holds: holds.into(), otherwise: quote(otherwise) }
    }

    /// With a sentence that an expression makes.
    pub(crate) fn explained(holds: impl Into<String>, otherwise: impl Into<String>) -> Self {
        Self { holds: holds.into(), otherwise: otherwise.into() }
    }
}

/// All of them hold.
pub(crate) fn all_hold(checks: &[Check]) -> String {
    let each: Vec<String> = checks.iter().map(|check| format!("({})", check.holds)).collect();
    each.join(" && ")
}

/// The sentence of the first that does not.
pub(crate) fn first_sentence(checks: &[Check]) -> String {
    checks.iter().rev().fold(quote("refused"), |others, check| {
        format!("!({}) ? ({}) : {others}", check.holds, check.otherwise)
    })
}

/// Evaluates to `expression` in which `name` stands for `value`, for a true-or-false expression.
/// The rules of a CRD have no other way to look up something once.
pub(crate) fn bind(name: &str, value: &str, expression: &str) -> String {
    format!("[{value}].all({name}, {expression})")
}

/// The same for an expression that makes a text.
pub(crate) fn bind_text(name: &str, value: &str, expression: &str) -> String {
    format!("[{value}].map({name}, {expression})[0]")
}

/// Binds every name, each of which may use those before it, by [`bind`] or [`bind_text`].
pub(crate) fn bind_all<T: AsRef<str>>(
    names: &[(&str, T)],
    bind: fn(&str, &str, &str) -> String,
    expression: String,
) -> String {
    let inward = names.iter().rev();
    inward.fold(expression, |inner, (name, value)| bind(name, value.as_ref(), &inner))
}

/// A rule that is judged at each write.
pub(crate) fn judged(checks: &[Check]) -> Rule {
    Rule::new(all_hold(checks)).message(Message::Expression(first_sentence(checks)))
}

/// A rule that is judged only when the object is created. The judged fields cannot change later.
pub(crate) fn at_creation(checks: &[Check]) -> Rule {
    Rule::new(format!("oldSelf.hasValue() || ({})", all_hold(checks)))
        .optional_old_self(true)
        .message(Message::Expression(first_sentence(checks)))
}

/// A CEL list of texts.
pub(crate) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = items.into_iter().map(|item| quote(&item.to_string())).collect();
    format!("[{}]", quoted.join(", "))
}

/// A CEL text.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "\\'"))
}
