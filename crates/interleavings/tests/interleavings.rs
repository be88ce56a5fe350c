//! A cut through all checks; `just interleavings` goes deep.

use duckworker_interleavings::checks;

/// In so many orders each.
const SCHEDULES: usize = 300;

#[test]
fn every_check_holds_in_every_order_that_is_tried() {
    for check in checks::all() {
        let explored = check.explore(SCHEDULES);
        assert_eq!(explored, Ok(SCHEDULES), "{}: {}", check.structure, check.name);
    }
}
