//! The parts of the bench.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use duckworker_e2e::bench::figures::{median, millis, per, percentile, table};
use duckworker_e2e::bench::ground::Ground;
use kube::ResourceExt;

use crate::Args;
use crate::arrivals::{self, poisson};
use crate::knee::{self, Ratchet};
use crate::load::{Load, Outcome, Tenants, play};
use crate::raw::{RawClaims, Sample};
use crate::site::{Reuse, Site, enough};
use crate::stages::Stages;
use crate::traffic;
use crate::writes::Writes;

/// How many tenants share the workers.
const TENANTS: u32 = 20;
/// The width of a row of the tables.
const WINDOW: Duration = Duration::from_secs(10);
/// How many idle workers the ratchet begins with.
const KNEE_POOL: usize = 400;
/// How long the same writes are made raw, at most.
const RAW: Duration = Duration::from_secs(20);

/// What went wrong, over all parts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Claims that were never Ready.
    pub lost: usize,
    /// Workers of two live claims, and claims of two workers.
    pub doubles: usize,
}

/// The figures of a part.
#[derive(Debug, Default)]
pub struct Figures {
    /// The times of all claims after the warm-up, for each rate or for the only one.
    pub times: Vec<Vec<Duration>>,
    /// The controller's own writes for each claim, at the first rate.
    pub writes: f64,
    /// The highest rate that holds.
    pub knee: Option<f64>,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.lost += outcome.lost();
        self.doubles += outcome.doubles;
    }
}

/// Twenty tenants and parked workers, at each rate; and the same writes raw.
pub async fn reuse(
    ground: &Ground,
    args: &Args,
    tally: &mut Tally,
) -> Result<(Figures, RawClaims)> {
    let mut figures = Figures::default();
    let mut raw = None;
    for &rate in &args.rates {
        let rate = f64::from(rate);
        println!("Reuse, {rate:.0} claims a second …");
        let site = Site::open(ground, Reuse::SameTenant, enough(rate, args.hold())?).await?;
        if raw.is_none() {
            raw = Some(RawClaims::open(ground, Sample::take(&site).await?).await?);
        }
        let (outcome, writes, workers) = at(&site, args, rate, Tenants::Shared(TENANTS)).await?;
        tally.add(&outcome);
        writes.show(outcome.served.len());
        if figures.times.is_empty() {
            figures.writes = writes.of_reuse(&outcome.served, &workers);
        }
        figures.times.push(outcome.since(args.warm_up()));
        site.close().await?;
        let raw = raw.as_ref().context("just made")?;
        let time = Duration::from_secs(args.seconds).min(RAW);
        let raw = raw.play(&poisson(1, rate, time)).await?;
        table(&["the same writes, ms", "claims", "p50", "p90", "p99"], &[row("raw", &raw)]);
    }
    figures.knee =
        ratchet(ground, args, tally, Reuse::SameTenant, args.rates.first().copied()).await?;
    Ok((figures, raw.context("no rates are given")?))
}

/// Each claim of another tenant, at the first rate.
pub async fn new(ground: &Ground, args: &Args, tally: &mut Tally) -> Result<Figures> {
    let first = args.rates.first().copied();
    let rate = f64::from(first.context("no rates are given")?);
    println!("New tenants, {rate:.0} claims a second …");
    let site = Site::open(ground, Reuse::Never, enough(rate, args.hold())?).await?;
    let (outcome, writes, _) = at(&site, args, rate, Tenants::New).await?;
    tally.add(&outcome);
    writes.show(outcome.served.len());
    site.close().await?;
    Ok(Figures {
        times: vec![outcome.since(args.warm_up())],
        writes: per(writes.own(), outcome.served.len()),
        knee: ratchet(ground, args, tally, Reuse::Never, first).await?,
    })
}

/// Many at one moment, on a full pool: the time by which nine of ten are Ready, and the raw one.
pub async fn burst(
    ground: &Ground,
    args: &Args,
    raw: &RawClaims,
    tally: &mut Tally,
) -> Result<Option<(Duration, Duration)>> {
    if args.burst == 0 {
        return Ok(None);
    }
    println!("A burst of {} claims …", args.burst);
    let site = Site::open(ground, Reuse::Never, args.burst).await?;
    let arrivals = arrivals::burst(args.burst);
    let (prefix, hold) = ("b".to_owned(), args.hold());
    let load = Load { prefix, arrivals: arrivals.clone(), tenants: Tenants::New, hold };
    let outcome = play(&site, &load).await?;
    tally.add(&outcome);
    site.rest().await?;
    site.close().await?;
    let (ours, raw) = (outcome.since(Duration::ZERO), raw.play(&arrivals).await?);
    let rows = [row("claims", &ours), row("raw", &raw)];
    table(&["a burst, ms to Ready", "claims", "p50", "p90", "p99"], &rows);
    Ok(Some((percentile(&ours, 0.9), percentile(&raw, 0.9))))
}

/// Plays one rate, and shows its windows. The outcome, the controller's writes, and the names of
/// the workers that were there before.
async fn at(
    site: &Site<'_>,
    args: &Args,
    rate: f64,
    tenants: Tenants,
) -> Result<(Outcome, Writes, BTreeSet<String>)> {
    let before = site.rest().await?.iter().map(ResourceExt::name_any).collect();
    let audit = site.namespace.cluster.audit();
    let mark = audit.mark()?;
    let arrivals = poisson(rate.to_bits(), rate, args.time());
    let load = Load { prefix: "c".to_owned(), arrivals, tenants, hold: args.hold() };
    let outcome = play(site, &load).await?;
    site.rest().await?;
    let (events, namespace) = (audit.since(mark)?, &site.namespace.name);
    show(&outcome, args);
    let source = if matches!(tenants, Tenants::New) { "Warm" } else { "HotIdle" };
    let settled = outcome.by_source(source).filter(|claim| claim.due >= args.warm_up());
    Stages::of(&events, namespace).show(settled, outcome.begun);
    traffic::show(&events, outcome.served.len());
    let writes = Writes::of(events, &site.account, namespace);
    Ok((outcome, writes, before))
}

async fn ratchet(
    ground: &Ground,
    args: &Args,
    tally: &mut Tally,
    reuse: Reuse,
    from: Option<u32>,
) -> Result<Option<f64>> {
    if args.knee_seconds == 0 {
        return Ok(None);
    }
    println!("The ratchet, reuse {reuse:?} …");
    let site = Site::open(ground, reuse, KNEE_POOL).await?;
    let tenants = match reuse {
        Reuse::SameTenant => Tenants::Shared(TENANTS),
        Reuse::Never => Tenants::New,
    };
    let ratchet = Ratchet {
        from: f64::from(from.unwrap_or(args.knee_step)),
        step: f64::from(args.knee_step),
        time: Duration::from_secs(args.knee_seconds),
        hold: args.hold(),
    };
    let (knee, outcomes) = knee::find(&site, tenants, &ratchet).await?;
    for outcome in &outcomes {
        tally.add(outcome);
    }
    site.close().await?;
    Ok(Some(knee))
}

fn show(outcome: &Outcome, args: &Args) {
    let (mut from, mut rows) = (Duration::ZERO, Vec::new());
    while from < args.time() {
        let is_warm = from >= args.warm_up();
        let until = if is_warm { from + WINDOW } else { args.warm_up() };
        let name = if is_warm { "" } else { ", warm-up" };
        let times = outcome.between(from, until);
        let sources = ["HotIdle", "Warm", "Cold"];
        let sources = sources.map(|source| outcome.of_source(source, from, until).to_string());
        let label = format!("from {} s{name}", from.as_secs());
        rows.push([row(&label, &times), sources.to_vec()].concat());
        from = until;
    }
    let head = ["due, ms to Ready", "claims", "p50", "p90", "p99", "HotIdle", "Warm", "Cold"];
    table(&head, &rows);
}

fn row(name: &str, times: &[Duration]) -> Vec<String> {
    let cells = [median(times), percentile(times, 0.9), percentile(times, 0.99)];
    let cells = cells.map(|time| format!("{:.0}", millis(time)));
    [vec![name.to_owned(), times.len().to_string()], cells.to_vec()].concat()
}
