//! The soak: old and new builds of the controller side by side for a long time, with everyday work and
//! with faults. Each version of each object is recorded and must keep the rules; after each fault
//! everything must come right again, and how long that takes is measured; in the end everything is
//! deleted, and nothing may be left.
//!
//! | file | holds |
//! |---|---|
//! | [`schedule`] | which faults come, from the seed alone |
//! | [`strike`] | how each is brought about |
//! | [`fleet`] | the replicas, and what starts them again |
//! | [`plane`] | a foreign control plane |
//! | [`traffic`] | claims and dedicated workers that come and go |
//! | [`sight`] | what is to be seen, and the history |
//! | [`site`] | the cluster, and what is on it before the first fault |
//! | [`ending`] | everything is deleted |
//! | [`report`] | what came of it |

pub mod ending;
pub mod fleet;
pub mod plane;
pub mod report;
pub mod schedule;
pub mod sight;
pub mod site;
pub mod strike;
pub mod traffic;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use duckworker_client::InstanceSettings;
use duckworker_history::Calm;
use duckworker_history::rest::unrest;
use duckworker_history::world::World;
use tokio::sync::OwnedRwLockWriteGuard;

use crate::TestNamespace;
use report::Report;
use schedule::{LONGEST_OUTAGE, Round, Schedule};
use site::{Inhabitants, Site};
use strike::Target;
use traffic::Traffic;

/// How long everything may take to come right. A worker's own plan knows of no such time; nothing that
/// a fault leads to takes longer than a Lease, a grace and a few starts.
const LIMIT: Duration = Duration::from_secs(90);

/// How many replicas of the new build there are.
const NEW: usize = 2;

/// The times of Leases.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From one renewal to the next.
    pub renew: Duration,
    /// An instance that could not renew for so long stops acting.
    pub pause: Duration,
    /// An instance that did not renew for so long is dead.
    pub expire: Duration,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What all chance comes from, but for that of the machine.
    pub seed: u64,
    /// No round begins after so long.
    pub time: Duration,
    /// Nor after so many.
    pub rounds: usize,
    /// For so long nothing may be written in the end.
    pub quiet: Duration,
    /// The other build of the controller; without one the same plays its part.
    pub old: Option<PathBuf>,
    /// How many of its replicas there are, beside [`NEW`] of the new one.
    pub old_count: usize,
    /// The times of Leases.
    pub times: Times,
    /// Where the history is put, if anybody wants it. Tokens of workers stand in it.
    pub record: Option<PathBuf>,
}

impl Plan {
    /// A soak of this length.
    pub fn long(seed: u64, time: Duration) -> Self {
        let second = Duration::from_secs;
        Self {
            seed,
            time,
            rounds: usize::MAX,
            quiet: second(20),
            old: None,
            old_count: 2,
            times: Times { renew: second(1), pause: second(3), expire: second(5) },
            record: None,
        }
    }

    /// The cut that runs in `cargo test`: each kind of fault at least once.
    pub fn short(seed: u64) -> Self {
        let times = Times {
            renew: Duration::from_millis(500),
            pause: Duration::from_secs(2),
            expire: Duration::from_secs(3),
        };
        let quiet = Duration::from_secs(5);
        let old_count = 1;
        let rounds = schedule::ROUNDS_FOR_ALL;
        Self { rounds, quiet, old_count, times, ..Self::long(seed, Duration::from_mins(3)) }
    }
}

impl Times {
    /// The flags of a replica for one namespace.
    fn flags(&self, namespace: &str) -> Vec<String> {
        let millis = |time: Duration| format!("{}ms", time.as_millis());
        let text = |flag: &str, value: &str| [flag.to_owned(), value.to_owned()];
        [
            text("--namespace", namespace),
            text("--lease-namespace", namespace),
            text("--lease-renew", &millis(self.renew)),
            text("--lease-pause", &millis(self.pause)),
            text("--lease-expire", &millis(self.expire)),
            text("--shutdown-grace", "10s"),
            text("--refresh-interval", "500ms"),
            text("--janitor-interval", "1s"),
            text("--stuck-activating", "10s"),
            text("--stuck-margin", "5s"),
            text("--orphan-grace", "3s"),
            text("--stranded-grace", "10s"),
            text("--instance-retention", "10s"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// How late a write may land after its sender was marked expired. It was allowed `expire - pause`
    /// before that, and held for as long as a server is away or its process stands still; as much
    /// again is given to a busy machine.
    fn late(&self) -> Duration {
        LONGEST_OUTAGE.max(self.frozen()) + self.expire.saturating_sub(self.pause)
    }

    /// How long a process stands still: until its Lease is long over.
    fn frozen(&self) -> Duration {
        self.expire + Duration::from_secs(1)
    }

    /// The same for a control plane.
    const fn instance(&self) -> InstanceSettings {
        InstanceSettings { renew: self.renew, pause: self.pause, expire: self.expire }
    }
}

/// Soaks. What came of it is told, however bad it is.
///
/// # Errors
/// When the soak itself fails: a part of the cluster does not start, a user's request is refused.
pub async fn soak(plan: &Plan) -> Result<Report> {
    let site = Site::start().await?;
    site.cluster.with_namespace("soak", async |ns| Box::pin(run(&site, ns, plan)).await).await
}

async fn run(site: &Site, ns: &TestNamespace<'_>, plan: &Plan) -> Result<Report> {
    let inhabitants = site.inhabit(ns, plan).await?;
    let mut report = Report::default();
    let traffic = Traffic {
        client: site.client()?,
        namespace: &ns.name,
        sight: &inhabitants.sight,
        work: Arc::clone(&inhabitants.work),
        seed: plan.seed,
    };
    let calm = {
        let life = async {
            let (calm, still) = tokio::select! {
                calm = work(site, ns, plan, &inhabitants, &mut report) => calm?,
                () = traffic.flow() => bail!("everyday work has no end"),
            };
            inhabitants.plane.leave().await;
            drop(still);
            let (client, sight) = (&traffic.client, &inhabitants.sight);
            report.leaked = ending::delete_all(client, &ns.name, sight).await?;
            report.leaked.extend(ending::leases(sight, plan.old_count + NEW).await);
            Ok(calm)
        };
        tokio::select! {
            calm = life => calm?,
            ended = inhabitants.fleet.supervise() => bail!("no replica is started again: {ended:?}"),
        }
    };
    let Inhabitants { sight, fleet, .. } = inhabitants;
    fleet.stop().await?;
    report.leaked.extend(ending::leases(&sight, 0).await);
    report.violations.extend(fleet.panics()?);
    report.ended = fleet.ended();
    report.judge(&sight.end().await?, plan, calm)?;
    Ok(report)
}

/// All rounds, and the calm after them.
async fn work(
    site: &Site,
    ns: &TestNamespace<'_>,
    plan: &Plan,
    all: &Inhabitants,
    report: &mut Report,
) -> Result<(Option<Calm>, Option<OwnedRwLockWriteGuard<()>>)> {
    rounds(site, ns, plan, all, report).await?;
    Ok(calm(plan, all, report).await)
}

/// One round after the other, as long as everything comes right and there is time.
async fn rounds(
    site: &Site,
    ns: &TestNamespace<'_>,
    plan: &Plan,
    all: &Inhabitants,
    report: &mut Report,
) -> Result<()> {
    let target = Target {
        ns,
        client: site.client()?,
        sight: &all.sight,
        fleet: &all.fleet,
        plane: &all.plane,
        times: &plan.times,
    };
    drop(settle(all).await?);
    let begun = Instant::now();
    for (number, round) in Schedule::new(plan.seed).take(plan.rounds).enumerate() {
        if begun.elapsed() >= plan.time {
            break;
        }
        let what = play(&target, &round, report).await?;
        let over = Instant::now();
        // Nobody does everyday work until all is well.
        match settle(all).await {
            Ok(_still) => report.converged(number, plan.seed, &what, over.elapsed()),
            Err(error) => {
                report.not_converged(number, plan.seed, &what, &error);
                break;
            }
        }
    }
    Ok(())
}

/// The faults of a round, after a while of everyday work.
async fn play(target: &Target<'_>, round: &Round, report: &mut Report) -> Result<String> {
    tokio::time::sleep(round.breath).await;
    let mut what = Vec::new();
    for fault in &round.faults {
        what.push(target.strike(fault).await?);
        report.faults += 1;
    }
    Ok(what.join(", then "))
}

/// Holds the everyday work, and waits until all is well.
async fn settle(all: &Inhabitants) -> Result<OwnedRwLockWriteGuard<()>> {
    let still = Arc::clone(&all.work).write_owned().await;
    all.sight.until_nothing(LIMIT, |world| amiss(world, all)).await?;
    Ok(still)
}

/// What is not as it should be: by the rules of rest, or since somebody has died whose Lease does not
/// say so yet.
fn amiss(world: &World, all: &Inhabitants) -> Vec<String> {
    let mut amiss: Vec<String> = unrest(world).iter().map(ToString::to_string).collect();
    amiss.extend(all.fleet.absent(world));
    for (uid, worker) in world.workers() {
        let owner = worker.owner.as_deref().filter(|_| worker.is_active());
        let is_dead =
            |owner: &&str| all.fleet.has_died(world, owner) || all.plane.has_died(world, owner);
        if let Some(owner) = owner.filter(is_dead) {
            amiss.push(format!("{} ({uid}) is owned by {owner}, which has died", worker.name));
        }
    }
    amiss
}

/// The end of all faults: all is well, and nothing is written any more. Everyday work is held from now
/// on. No calm: it did not come to that.
async fn calm(
    plan: &Plan,
    all: &Inhabitants,
    report: &mut Report,
) -> (Option<Calm>, Option<OwnedRwLockWriteGuard<()>>) {
    if report.is_stuck() {
        return (None, None);
    }
    let quiet = async {
        let still = settle(all).await?;
        let calm = all.sight.quiet(plan.quiet, plan.quiet + LIMIT).await?;
        anyhow::Ok((calm, still))
    };
    match quiet.await {
        Ok((calm, still)) => (Some(calm), Some(still)),
        Err(error) => {
            report.violations.push(format!("L7: {error:#}"));
            (None, None)
        }
    }
}
