//! What a controller costs that has many workers and nothing to do.
//!
//! Workers, with their secrets and pods, are written as they stand at rest: to start ten thousand on
//! simulated nodes takes long on two cores, and nothing here asks whether they run. A live
//! instance of the library owns them. A controller starts: the time until it is ready is set against
//! raw lists of the same kinds, decoded and kept, by turns. Then it may write nothing but Leases. Then
//! the owner dies, the controller adopts all of them, and again it may write nothing. The last line is
//! `rss_mb=… sync_ratio=… writes_at_rest=0 lists_at_rest=0`: the greater memory of the two rests, and
//! what was written and listed in them.

mod fleet;
mod lists;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use duckworker_client::connection::PROGRAM;
use duckworker_e2e::bench::calls::Calls;
use duckworker_e2e::bench::figures::{median, millis, ratio, table};
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::{AuditEvent, ClusterOptions, ControllerProcess, controller_binary};

use crate::fleet::Fleet;

/// Measures a controller at rest: memory, start, writes
#[derive(Parser)]
struct Args {
    /// How many workers there are
    #[arg(long, default_value_t = 10_000)]
    workers: usize,
    /// How often the start is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each rest is watched
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Without a write for so long, nothing is under way.
const QUIET: Duration = Duration::from_secs(3);

/// What a rest showed.
struct Rest {
    rss: u64,
    peak: u64,
    writes: usize,
    lists: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // Nothing schedules the pods: they are told to run.
    let options = ClusterOptions { scheduler: false, simulated_nodes: 0, ..Default::default() };
    let ground = Ground::prepare(options).await?;
    controller_binary().await?;
    let fleet = Fleet::open(&ground).await?;
    println!("Writing {} workers, with pods and secrets …", args.workers);
    let begun = Instant::now();
    fleet.make(args.workers).await?;
    println!("… done after {} s", begun.elapsed().as_secs());

    let (controller, starts, lists) = Box::pin(starts(&ground, &fleet, &args)).await?;
    let foreign = rest(&ground, &controller, args.seconds).await?;
    println!("The owner dies …");
    let begun = Instant::now();
    fleet.orphan(args.workers).await?;
    println!("… all adopted after {} s", begun.elapsed().as_secs());
    settle(&ground).await?;
    let own = rest(&ground, &controller, args.seconds).await?;
    controller.stop().await?;

    let shown = |times: &Vec<Duration>| -> Vec<String> {
        times.iter().map(|time| format!("{:.0}", millis(*time))).collect()
    };
    let rows = [("controller ready", &starts), ("raw lists", &lists)]
        .map(|(name, times)| std::iter::once(name.to_owned()).chain(shown(times)).collect());
    let rounds: Vec<_> = (1..=args.rounds).map(|round| format!("{round}")).collect();
    let head = std::iter::once("time, in ms").chain(rounds.iter().map(String::as_str));
    table(&head.collect::<Vec<_>>(), &rows);
    let head = ["at rest", "MB", "peak MB", "writes", "lists"];
    table(&head, &[foreign.row("another's workers"), own.row("its own workers")]);
    println!(
        "rss_mb={} sync_ratio={:.2} writes_at_rest={} lists_at_rest={}",
        foreign.rss.max(own.rss),
        ratio(median(&starts), median(&lists)),
        foreign.writes + own.writes,
        foreign.lists + own.lists,
    );
    Ok(())
}

/// Starts the controller and lists raw, by turns. The last controller, and the times.
async fn starts(
    ground: &Ground,
    fleet: &Fleet<'_>,
    args: &Args,
) -> Result<(ControllerProcess, Vec<Duration>, Vec<Duration>)> {
    let namespace = &fleet.namespace.name;
    // The first of anything is slow.
    let (_, objects) = Box::pin(lists::time(ground, namespace)).await?;
    println!("{objects} objects; starting a controller …");
    let (mut starts, mut lists, mut last) = (Vec::new(), Vec::new(), None);
    for round in 0..args.rounds {
        let begun = Instant::now();
        let controller = ground.controller("controller", &ground.account, namespace).await?;
        starts.push(begun.elapsed());
        // What it does beside may not slow the lists.
        controller.component().pause()?;
        lists.push(Box::pin(lists::time(ground, namespace)).await?.0);
        controller.component().resume()?;
        if round + 1 < args.rounds {
            controller.stop().await?;
        } else {
            last = Some(controller);
        }
    }
    Ok((last.context("no rounds")?, starts, lists))
}

/// Waits until the Events about what was just done are written: until nothing was for a while.
async fn settle(ground: &Ground) -> Result<()> {
    loop {
        let mark = ground.cluster.audit().mark()?;
        tokio::time::sleep(QUIET).await;
        if written(&ground.cluster.audit().since(mark)?, ground.account.name()).is_empty() {
            return Ok(());
        }
    }
}

/// The controller's requests.
fn asked<'a>(events: &'a [AuditEvent], user: &'a str) -> impl Iterator<Item = &'a AuditEvent> {
    events.iter().filter(move |event| {
        event.user.username == user
            && event.user_agent == PROGRAM
            && event.stage == "ResponseComplete"
    })
}

/// Its writes, other than those of Leases.
fn written(events: &[AuditEvent], user: &str) -> Vec<AuditEvent> {
    let writes = asked(events, user).filter(|e| e.is_write() && e.resource() != "leases");
    writes.cloned().collect()
}

async fn rest(ground: &Ground, controller: &ControllerProcess, seconds: u64) -> Result<Rest> {
    let mark = ground.cluster.audit().mark()?;
    println!("Resting for {seconds} s …");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let events = ground.cluster.audit().since(mark)?;
    let user = ground.account.name();
    let pid = controller.component().pid().context("the controller has ended")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let written = written(&events, user);
    if let Some(event) = written.first() {
        println!("It wrote, for one: {} {}", event.verb, event.request_uri);
        Calls::of(&written, user, event.namespace()).show(written.len());
    }
    Ok(Rest {
        rss: megabytes(&status, "VmRSS")?,
        peak: megabytes(&status, "VmHWM")?,
        writes: written.len(),
        lists: asked(&events, user).filter(|event| event.verb == "list").count(),
    })
}

fn megabytes(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.with_context(|| format!("no {name}"))?.parse::<u64>()? / 1024)
}

impl Rest {
    fn row(&self, name: &str) -> Vec<String> {
        let figures = [self.rss, self.peak].map(|mb| mb.to_string());
        let counts = [self.writes, self.lists].map(|count| count.to_string());
        [vec![name.to_owned()], figures.to_vec(), counts.to_vec()].concat()
    }
}
