//! A line now and then while something takes long, for a person who waits.

use std::io::Write as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How often.
const PERIOD: Duration = Duration::from_secs(15);

/// Tells a person who waits. The macros for this would be held back by the test runner until the
/// test has failed.
pub(crate) fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// Says what is begun, that it still goes on, and how long it took. What takes no second is not
/// worth a line.
pub(crate) fn with_progress<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (done, finished) = channel::<()>();
    let text = what.to_owned();
    let reporter = thread::spawn(move || {
        let started = Instant::now();
        let mut wait = Duration::from_secs(1);
        while finished.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            match wait {
                PERIOD => say(&format!("  {text}: {} s …", started.elapsed().as_secs())),
                _ => say(&format!("{text} …")),
            }
            wait = PERIOD;
        }
        if wait == PERIOD {
            say(&format!("{text}: done ({} s)", started.elapsed().as_secs()));
        }
    });
    let result = work();
    drop(done);
    // It only writes lines.
    let _ = reporter.join();
    result
}
