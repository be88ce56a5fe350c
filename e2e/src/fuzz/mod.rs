//! Spec fuzzing: every field of every kind at, below and beyond its limits, of the wrong type, changed
//! and changed back; and names, labels, annotations, finalizers, owners and statuses that mean harm.
//! Each is refused with a sentence or carried out; nobody beside it notices; the controller comes
//! to rest; and nothing is left when it is deleted.
//!
//! | file | holds |
//! |---|---|
//! | [`kind`] | the kinds, a good object of each |
//! | [`field`] | the fields of a schema, and values put into an object |
//! | [`value`] | what a field is tried with |
//! | [`cases`] | every case of every kind, each with a name |
//! | [`hostile`] | those about names, labels, annotations, finalizers, owners, statuses |
//! | [`verdict`] | whether an object is carried out, and a refusal good |
//! | [`play`] | one case on the API server |
//! | [`bystanders`] | workers that must not notice |
//! | [`calm`] | how much the controller asks for and writes |
//! | [`run`] | all cases, in batches |
//! | [`tally`] | what came of them |

mod bystanders;
mod calm;
pub mod cases;
mod field;
mod hostile;
mod kind;
mod play;
mod run;
mod tally;
mod value;
mod verdict;

pub use cases::{Case, all, short};
pub use run::{Pace, fuzz};
pub use tally::Tally;
