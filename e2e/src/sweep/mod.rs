//! The crash sweep: a controller dies before and after each of its API calls, and another one goes
//! on; each of its writes loses its answer, comes late, or comes twice. Every time the end must be
//! that of an undisturbed run, with as many objects made and deleted, and nothing left.
//!
//! | file | holds |
//! |---|---|
//! | [`flow`] | what is swept: parts of the life of a worker, a pool and a claim |
//! | [`single`] | the one worker of a run |
//! | [`pooled`] | its pool and its claim |
//! | [`point`] | which of an instance's calls |
//! | [`subject`] | a controller instance under faults |
//! | [`census`] | what was made and deleted, as a watch saw it |
//! | [`ending`] | what is left at the end, without what may differ |
//! | [`case`] | one run, disturbed or not |
//! | [`plan`] | which cases there are, from two undisturbed runs |
//! | [`judge`] | what a disturbed run must have in common with an undisturbed one |
//! | [`tally`] | running them, many at once, and the last line |

pub mod case;
pub mod census;
pub mod ending;
pub mod flow;
pub mod judge;
pub mod plan;
pub mod point;
pub mod pooled;
pub mod single;
pub mod subject;
pub mod tally;

pub use flow::Flow;
pub use plan::Depth;
pub use tally::{Tally, sweep};
