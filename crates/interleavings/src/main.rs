//! `duckworker-interleavings [SCHEDULES]`: every check in so many orders. The last line is the result.

use std::collections::BTreeSet;
use std::process::ExitCode;

use duckworker_interleavings::checks;

/// Unless told.
const SCHEDULES: usize = 10_000;

fn main() -> ExitCode {
    let told = std::env::args().nth(1);
    let Ok(schedules) = told.map_or(Ok(SCHEDULES), |text| text.parse()) else {
        eprintln!("usage: duckworker-interleavings [SCHEDULES]");
        return ExitCode::from(2);
    };
    let (mut all, mut failures, mut structures) = (0, 0, BTreeSet::new());
    for check in checks::all() {
        structures.insert(check.structure);
        match check.explore(schedules) {
            Ok(explored) => {
                println!("{}: {}: {explored} schedules", check.structure, check.name);
                all += explored;
            }
            Err(what) => {
                println!("{}: {}: FAILED: {what}", check.structure, check.name);
                failures += 1;
            }
        }
    }
    println!(
        "interleavings: {all} schedules, structures: {}, failures: {failures}",
        structures.len()
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
