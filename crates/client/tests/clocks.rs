//! Wrong clocks, slow ones, late answers and outages: nobody is taken for dead who is not, and
//! whoever may be taken for dead has stopped before. On the simulated API server, whose time passes
//! only as far as somebody sleeps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use common::{NAMESPACE, Plane, scene};
use duckworker_client::instance::{Expiry, InstanceState, lease_name, state_of};
use duckworker_client::{Connection, Error, Instance, InstanceSettings, Origin, Role, WorkerLease};
use duckworker_core::Note;
use duckworker_faults::{Call, Fault, Faults, Verb};
use duckworker_sim::{SimCluster, User};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ListParams, PostParams};
use tokio::time::{Instant, sleep, sleep_until};

/// From one look of a watcher to the next, as a controller does it.
const LOOK: Duration = Duration::from_millis(250);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Longer than any instance may drain in these tests.
const NEVER: Duration = Duration::from_hours(24);

/// An instance that watches over the Leases of the others.
struct Watcher {
    plane: Plane,
    expiry: Expiry,
    leases: Vec<Arc<Lease>>,
    marked: Vec<String>,
}

impl Watcher {
    async fn register(cluster: &SimCluster, name: &str) -> Result<Self> {
        let plane = Plane::register(cluster, name).await?;
        let instance = Arc::clone(plane.lifecycle.instance());
        let expiry = Expiry::new(plane.connection.clone(), instance, NEVER);
        Ok(Self { plane, expiry, leases: Vec::new(), marked: Vec::new() })
    }

    /// Looks as often as a controller does, until then. While the server does not answer it sees
    /// what it saw before, as a watch cache does.
    async fn look_until(&mut self, end: Instant) {
        let api: Api<Lease> = Api::namespaced(self.plane.connection.client.clone(), NAMESPACE);
        while Instant::now() < end {
            if let Ok(list) = api.list(&ListParams::default()).await {
                self.leases = list.items.into_iter().map(Arc::new).collect();
            }
            for due in self.expiry.look(&self.leases) {
                let name = due.lease.metadata.name.clone().unwrap_or_default();
                let marked = self.expiry.mark(&due).await;
                self.marked.extend(matches!(marked, Ok(true)).then_some(name));
            }
            sleep(LOOK).await;
        }
    }

    async fn look_for(&mut self, time: Duration) {
        self.look_until(Instant::now() + time).await;
    }
}

/// A program of any make: it renews its Lease by itself, with the stamps that a test gives it.
struct Foreign {
    leases: Api<Lease>,
    name: String,
}

impl Foreign {
    async fn register(cluster: &SimCluster) -> Result<Self> {
        let user = User::in_pod(NAMESPACE, "duckworker", "foreign", "33333333-c");
        let connection = Connection::over(cluster.service(user, &Faults::none()), NAMESPACE);
        let settings = InstanceSettings::default();
        let registered = Instance::register(&connection, NAMESPACE, Role::ControlPlane, settings);
        let (instance, _never_run) = registered.await?;
        let leases = Api::namespaced(connection.client.clone(), NAMESPACE);
        Ok(Self { leases, name: lease_name(instance.owner()) })
    }

    async fn renew(&self, stamp: Timestamp) -> Result<()> {
        let mut lease = self.leases.get(&self.name).await?;
        lease.spec.as_mut().context("a spec")?.renew_time = Some(MicroTime(stamp));
        self.leases.replace(&self.name, &PostParams::default(), &lease).await?;
        Ok(())
    }

    async fn state(&self) -> Result<InstanceState> {
        Ok(state_of(&self.leases.get(&self.name).await?))
    }
}

fn is_renewal(call: &Call) -> bool {
    call.is(Verb::Update, "leases")
}

/// A write of its owner; whether it may be sent at all.
async fn may_write(plane: &Plane, lease: &WorkerLease) -> Result<bool> {
    match plane.lifecycle.note(lease, Note::default(), Origin::Library).await {
        Ok(_) => Ok(true),
        Err(Error::NotInOffice { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn a_stamp_that_is_an_hour_off_or_jumps_marks_nobody_and_keeps_nobody_alive() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let mut watcher = Watcher::register(&cluster, "watcher").await?;
        let foreign = Foreign::register(&cluster).await?;
        let now = || cluster.now();
        // Behind, ahead, to and fro, and standing still: it renews, so it lives.
        let frozen = now();
        for offset in [-HOUR, HOUR, -HOUR, HOUR * 24 * 365, -HOUR, HOUR] {
            foreign.renew(now().checked_add(offset)?).await?;
            watcher.look_for(Duration::from_secs(5)).await;
            foreign.renew(frozen).await?;
            watcher.look_for(Duration::from_secs(5)).await;
        }
        ensure!(watcher.marked.is_empty(), "{:?}", watcher.marked);
        // Its last stamp lies far ahead: it is dead all the same, 20 s later and not before.
        foreign.renew(now().checked_add(HOUR)?).await?;
        watcher.look_for(Duration::from_secs(19)).await;
        ensure!(foreign.state().await? == InstanceState::Active, "too early");
        watcher.look_for(Duration::from_secs(2)).await;
        ensure!(watcher.marked == [foreign.name.clone()], "{:?}", watcher.marked);
        ensure!(foreign.state().await? == InstanceState::Expired);
        Ok(())
    })
}

/// The times of an instance whose clock is a quarter slower than the watcher's, told in the
/// watcher's time.
fn slow_clock() -> InstanceSettings {
    let times = InstanceSettings::default();
    let slow = |time: Duration| time * 5 / 4;
    InstanceSettings {
        renew: slow(times.renew),
        pause: slow(times.pause),
        expire: slow(times.expire),
    }
}

#[test]
fn a_clock_that_is_a_quarter_slow_and_late_answers_mark_nobody() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let mut watcher = Watcher::register(&cluster, "watcher").await?;
        let slow = Plane::register_with(&cluster, "slow", slow_clock()).await?;
        // Requests and answers take 2 s each, every third answer is lost on its way.
        let late = |number: u64, _: &Call| {
            let lost = number.is_multiple_of(3);
            Some(if lost { Fault::HangAfter } else { Fault::Slow(Duration::from_secs(2)) })
        };
        slow.counts(is_renewal).choose(late);
        watcher.look_for(Duration::from_mins(5)).await;
        ensure!(watcher.marked.is_empty(), "{:?}", watcher.marked);
        let renewals = slow.faults.records().iter().filter(|r| is_renewal(&r.call)).count();
        ensure!(renewals > 20, "it renewed {renewals} times");
        Ok(())
    })
}

#[test]
fn who_is_marked_has_stopped_before_though_its_clock_is_a_quarter_slow() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let mut watcher = Watcher::register(&cluster, "watcher").await?;
        let slow = Plane::register_with(&cluster, "slow", slow_clock()).await?;
        let lease = slow.reserved("w-1", "acme").await?;
        watcher.look_for(Duration::from_secs(20)).await;
        slow.counts(is_renewal).choose(|_, _: &Call| Some(Fault::LoseRequest));
        let mut wrote_last = Instant::now();
        let cut_off = Instant::now();
        while watcher.marked.is_empty() {
            watcher.look_for(LOOK).await;
            if may_write(&slow, &lease).await? {
                wrote_last = Instant::now();
            }
            ensure!(cut_off.elapsed() < Duration::from_mins(1), "it is never marked");
        }
        let between = wrote_last.elapsed();
        ensure!(wrote_last > cut_off && between >= Duration::from_secs(1), "{between:?}");
        ensure!(!may_write(&slow, &lease).await?, "it is over");
        Ok(())
    })
}

#[test]
fn an_instance_pauses_by_the_sending_of_its_last_renewal_and_goes_on_after_one() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let plane = Plane::register(&cluster, "plane").await?;
        let lease = plane.reserved("w-1", "acme").await?;
        // The next renewal is sent, and answered 4 s later; those after it are lost.
        let renewals = plane.counts(is_renewal);
        let before = renewals.counted();
        renewals.choose(move |number, _: &Call| {
            let next = number == before + 1;
            Some(if next { Fault::Slow(Duration::from_secs(2)) } else { Fault::LoseRequest })
        });
        while renewals.counted() == before {
            sleep(Duration::from_millis(1)).await;
        }
        let sent = Instant::now();
        let pause = InstanceSettings::default().pause;
        sleep_until(sent + pause - Duration::from_millis(50)).await;
        ensure!(may_write(&plane, &lease).await?, "it paused too early");
        sleep_until(sent + pause + Duration::from_millis(50)).await;
        ensure!(!may_write(&plane, &lease).await?, "counted from the answer, not from the sending");
        // Nobody has marked it meanwhile: the next renewal wins, and it goes on.
        renewals.heal();
        sleep(Duration::from_secs(2)).await;
        ensure!(may_write(&plane, &lease).await?, "it does not go on");
        Ok(())
    })
}

#[test]
fn an_outage_of_a_minute_expires_nobody() -> Result<()> {
    scene(async |cluster: SimCluster| {
        let mut first = Watcher::register(&cluster, "first").await?;
        let mut second = Watcher::register(&cluster, "second").await?;
        let plane = Plane::register(&cluster, "plane").await?;
        let mut both = async |time| {
            let end = Instant::now() + time;
            tokio::join!(first.look_until(end), second.look_until(end));
            first.marked.iter().chain(&second.marked).cloned().collect::<Vec<_>>()
        };
        // Outages of every length about a Lease's own times, and the one of a minute last.
        for seconds in [8, 12, 17, 23, 60] {
            both(Duration::from_secs(10)).await;
            cluster.set_down(true);
            both(Duration::from_secs(seconds)).await;
            cluster.set_down(false);
            let marked = both(Duration::from_secs(45)).await;
            ensure!(marked.is_empty(), "after {seconds} s: {marked:?}");
        }
        // They all live, and one that dies now is still noticed.
        let name = lease_name(plane.lifecycle.instance().owner());
        drop(plane);
        let marked = both(Duration::from_secs(30)).await;
        ensure!(marked == [name], "{marked:?}");
        Ok(())
    })
}
