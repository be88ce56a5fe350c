//! Explores the model and says how far it came: `duckworker-model [DEPTH]`.

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use duckworker_model::{Bounds, Fleet, not_reached};
use stateright::{Checker as _, Model as _};

/// How far from a faultless life the checker goes.
const DEPTH: usize = 9;

fn main() -> ExitCode {
    let depth = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(DEPTH);
    let bounds = Bounds {
        workers: 2,
        crashes: 1,
        expiries: 1,
        doubles: 1,
        deaths: 1,
        claims: 2,
        deletions: true,
        late: true,
    };
    let one = Bounds { workers: 1, claims: 3, ..bounds };
    let well = [explore("one worker", one, depth), explore("two workers", bounds, depth - 2)];
    if well == [true, true] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn explore(name: &str, bounds: Bounds, depth: usize) -> bool {
    let begun = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let fleet = Fleet { bounds };
    let checker = fleet.checker().threads(threads).target_max_depth(depth).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let broken = discoveries.get("the rules hold");
    if let Some(path) = broken {
        println!("{path}");
        println!("broken: {:?}", path.last_state().broken);
    }
    let wanted = fleet.properties().len() - 1;
    let missing = not_reached(&checker);
    println!(
        "{name}: states: {}, depth: {}, seconds: {:.0}, rules broken: {}, reached: {} of {}{}",
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64(),
        usize::from(broken.is_some()),
        wanted - missing.len(),
        wanted,
        if missing.is_empty() { String::new() } else { format!(", not: {missing:?}") },
    );
    broken.is_none() && missing.is_empty()
}
