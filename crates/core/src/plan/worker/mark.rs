//! The mark on the pod of a worker whose pool allows idle pods to be evicted: busy ones are kept.
//!
//! A worker is marked busy before it is activated, and idle again after it was parked: one write
//! each way. One that a control plane claims is marked by the instance whose turn it is.

use super::is_recorded;
use super::view::{Holder, Step, Turn, View};
use crate::plan::observed::Mark;
use crate::pool::Disruption;
use crate::state::WorkerState;

/// The mark that a worker's pod shall bear; none if it bears it, or needs none.
pub(super) fn marking(view: &View<'_>) -> Option<Step> {
    if view.disruption == Disruption::Protect {
        return None;
    }
    let wanted = match view.worker.status.state {
        WorkerState::Idle | WorkerState::HotIdle => Mark::Idle,
        WorkerState::Reserved | WorkerState::Activating | WorkerState::Hot => Mark::Busy,
        // It bears the mark that it was made with; or it ends, and its pod was told so.
        _ => return None,
    };
    let pod = view.pod.filter(|pod| pod.is_ours() && is_recorded(view, pod))?;
    let lives = pod.stop.is_none() && pod.ended().is_none();
    (lives && pod.mark != Some(wanted)).then_some(Step::MarkPod(wanted))
}

/// The same for a worker that somebody else holds.
pub(super) fn foreign_marking(view: &View<'_>) -> Option<Step> {
    let held = matches!(view.holder, Holder::Foreign(_));
    marking(view).filter(|_| held && view.turn == Turn::Mine)
}
