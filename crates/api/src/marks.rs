//! The mark on a pod, busy or idle, in both directions. It says the same thing twice: in a label,
//! which a budget can select, and in the annotation that the cluster autoscaler reads.

use duckworker_core::plan::observed::Mark;
use kube::core::ObjectMeta;

use crate::labels::{BUSY, SAFE_TO_EVICT};

/// The value of the label [`BUSY`].
pub const fn label(mark: Mark) -> &'static str {
    match mark {
        Mark::Busy => "true",
        Mark::Idle => "false",
    }
}

/// The value of the annotation [`SAFE_TO_EVICT`].
pub const fn annotation(mark: Mark) -> &'static str {
    match mark {
        Mark::Busy => "false",
        Mark::Idle => "true",
    }
}

/// Puts the mark on.
pub fn put_on(meta: &mut ObjectMeta, mark: Mark) {
    let (labels, annotations) = (&mut meta.labels, &mut meta.annotations);
    labels.get_or_insert_default().insert(BUSY.to_owned(), label(mark).to_owned());
    annotations
        .get_or_insert_default()
        .insert(SAFE_TO_EVICT.to_owned(), annotation(mark).to_owned());
}

/// The mark that is on; none if there is none, or if its two halves differ.
pub fn read(meta: &ObjectMeta) -> Option<Mark> {
    let busy = meta.labels.as_ref()?.get(BUSY)?;
    let safe = meta.annotations.as_ref()?.get(SAFE_TO_EVICT)?;
    [Mark::Busy, Mark::Idle]
        .into_iter()
        .find(|mark| busy == label(*mark) && safe == annotation(*mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_put_on() {
        let mut meta = ObjectMeta::default();
        assert_eq!(read(&meta), None);
        for mark in [Mark::Busy, Mark::Idle] {
            put_on(&mut meta, mark);
            assert_eq!(read(&meta), Some(mark));
        }
        meta.labels.as_mut().unwrap().insert(BUSY.to_owned(), "true".to_owned());
        assert_eq!(read(&meta), None, "its halves differ");
    }
}
