//! The crash sweep: a controller dies before and after each of its API calls, and another one goes
//! on; each of its writes loses its answer, comes late, or comes twice. Every time the end must be
//! that of an undisturbed run, with as many pods and secrets made and deleted, and nothing left.
//!
//! | file | holds |
//! |---|---|
//! | [`flow`] | the parts of a worker's life that are swept |
//! | [`subject`] | a controller instance under faults |
//! | [`census`] | what was made and deleted, as a watch saw it |
//! | [`ending`] | what is left at the end, without what may differ |
//! | [`case`] | one run, disturbed or not |
//! | [`plan`] | which cases there are, from two undisturbed runs |
//! | [`tally`] | running them, many at once, and the last line |

pub mod case;
pub mod census;
pub mod ending;
pub mod flow;
pub mod plan;
pub mod subject;
pub mod tally;

pub use flow::Flow;
pub use plan::Depth;
pub use tally::{Tally, sweep};
