//! The ratchet: the rate rises step by step until claims wait longer and longer.

use std::time::Duration;

use anyhow::Result;
use duckworker_e2e::bench::figures::{median, millis, percentile, table};

use crate::arrivals::poisson;
use crate::load::{Load, Outcome, Tenants, play};
use crate::site::Site;

/// A step holds while nine of ten claims of its second half are Ready after this long.
const PATIENT: Duration = Duration::from_millis(500);

/// How the rate rises.
pub struct Ratchet {
    /// The first rate.
    pub from: f64,
    /// How much is added each time.
    pub step: f64,
    /// How long each is kept up.
    pub time: Duration,
    /// How long claims are held.
    pub hold: Duration,
}

/// The highest rate before the first that did not hold, and all outcomes.
pub async fn find(
    site: &Site<'_>,
    tenants: Tenants,
    ratchet: &Ratchet,
) -> Result<(f64, Vec<Outcome>)> {
    let (mut knee, mut rate, mut rows, mut all) = (0.0, ratchet.from, Vec::new(), Vec::new());
    loop {
        let arrivals = poisson(rate.to_bits(), rate, ratchet.time);
        let prefix = format!("k{rate:.0}");
        let outcome = play(site, &Load { prefix, arrivals, tenants, hold: ratchet.hold }).await?;
        let times = outcome.since(ratchet.time / 2);
        let wait = percentile(&times, 0.9);
        let shown = |time| format!("{:.0}", millis(time));
        let cells = [median(&times), wait, percentile(&times, 0.99)].map(shown);
        rows.push([vec![format!("{rate:.0}/s")], cells.to_vec()].concat());
        all.push(outcome);
        if wait > PATIENT {
            break;
        }
        (knee, rate) = (rate, rate + ratchet.step);
        // Otherwise what one step left behind would be charged to the next.
        site.rest().await?;
    }
    table(&["ratchet, ms to Ready, second half", "p50", "p90", "p99"], &rows);
    Ok((knee, all))
}
