//! The replicas of the controller, old and new builds side by side, and what starts them again when
//! they end, as a kubelet does.

use std::path::Path;
use std::sync::Mutex as StdMutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use duckworker_core::OwnerStanding;
use duckworker_history::line::LEASES;
use duckworker_history::seen::{holder, instance_state};
use duckworker_history::world::World;
use futures::future::try_join_all;
use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use super::Times;
use crate::{Cluster, Component, ControllerProcess, install};

/// What a kubelet waits, at the least, before it starts a container again.
const BACK_OFF: Duration = Duration::from_millis(300);
/// What stands in the log of a process that panicked.
const PANIC: &str = "panicked at";

/// One replica.
pub struct Replica {
    name: String,
    process: ControllerProcess,
    /// When its present process was started: Leases from before are of those that have died.
    born: StdMutex<Timestamp>,
    /// Whoever holds this may end it; nobody else starts it again meanwhile.
    hand: Mutex<()>,
}

/// All replicas.
pub struct Fleet {
    replicas: Vec<Replica>,
    /// How often one ended without being told to.
    ended: AtomicUsize,
}

/// A replica that is held by somebody who does something to it.
pub struct InHand<'a> {
    replica: &'a Replica,
    _hand: MutexGuard<'a, ()>,
}

impl Fleet {
    /// Starts so many of each build, for one namespace.
    ///
    /// # Errors
    /// When an account is missing or a program does not start.
    pub async fn start(
        cluster: &Cluster,
        namespace: &str,
        times: &Times,
        builds: &[(&str, &Path, usize)],
    ) -> Result<Self> {
        let flags = times.flags(namespace);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut replicas = Vec::new();
        for (build, program, count) in builds {
            for number in 1..=*count {
                let name = format!("{build}-{number}");
                let born = StdMutex::new(now());
                let (process, _) = install::replica_of(cluster, &name, program, &flags).await?;
                replicas.push(Replica { name, process, born, hand: Mutex::default() });
            }
        }
        Ok(Self { replicas, ended: AtomicUsize::default() })
    }

    /// Takes one in hand.
    pub async fn take(&self, pick: usize) -> InHand<'_> {
        let replica = &self.replicas[pick % self.replicas.len()];
        InHand { replica, _hand: replica.hand.lock().await }
    }

    /// Starts those again that end by themselves. Never returns, unless one cannot be started.
    ///
    /// # Errors
    /// When one cannot be started.
    pub async fn supervise(&self) -> Result<()> {
        try_join_all(self.replicas.iter().map(|replica| self.nurse(replica))).await.map(drop)
    }

    async fn nurse(&self, replica: &Replica) -> Result<()> {
        loop {
            replica.component().exited().await;
            let hand = InHand { replica, _hand: replica.hand.lock().await };
            if replica.component().has_ended() {
                self.ended.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(BACK_OFF).await;
                hand.start_again()?;
            }
        }
    }

    /// How often one ended without being told to: its Lease was over, say.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }

    /// What is not as it should be: a replica that is not there yet.
    pub fn absent(&self, world: &World) -> Vec<String> {
        let absent = self.replicas.iter().filter(|replica| {
            let born = replica.born();
            !incarnations(world, &replica.name).any(|(_, lives, since)| lives && since >= born)
        });
        absent.map(|replica| format!("{} has no live Lease", replica.name)).collect()
    }

    /// Whether this owner is an earlier incarnation of a replica, though its Lease may not say so yet.
    pub fn has_died(&self, world: &World, owner: &str) -> bool {
        self.replicas.iter().any(|replica| {
            let born = replica.born();
            incarnations(world, &replica.name).any(|(o, _, since)| o == owner && since < born)
        })
    }

    /// Tells all to leave, one after the other.
    ///
    /// # Errors
    /// When one does not end well.
    pub async fn stop(&self) -> Result<()> {
        for replica in &self.replicas {
            let _hand = replica.hand.lock().await;
            let stopped = replica.process.stop().await;
            stopped.with_context(|| format!("{} does not leave well", replica.name))?;
        }
        Ok(())
    }

    /// What those say that panicked.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn panics(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for replica in &self.replicas {
            let log = std::fs::read(replica.component().log())?;
            let text = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = text.lines().collect();
            for (number, _) in lines.iter().enumerate().filter(|(_, line)| line.contains(PANIC)) {
                // What was done stands before it, and why it panicked after it.
                let around = &lines[number.saturating_sub(3)..lines.len().min(number + 3)];
                found.push(format!("{}: {}", replica.name, around.join(" / ")));
            }
        }
        Ok(found)
    }
}

impl Replica {
    fn component(&self) -> &Component {
        self.process.component()
    }

    fn born(&self) -> Timestamp {
        *self.born.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InHand<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.replica.name
    }

    /// Its process.
    pub fn process(&self) -> &ControllerProcess {
        &self.replica.process
    }

    /// Starts it again, as another incarnation. It may still run.
    ///
    /// # Errors
    /// When the program does not start.
    pub fn start_again(&self) -> Result<()> {
        *self.replica.born.lock().unwrap_or_else(PoisonError::into_inner) = now();
        self.replica.component().restart()
    }
}

/// The incarnations of a pod: owner, whether it lives, and since when.
pub fn incarnations<'a>(
    world: &'a World,
    pod: &'a str,
) -> impl Iterator<Item = (&'a str, bool, Timestamp)> {
    world.all(LEASES).filter_map(move |(_, lease)| {
        let standing = instance_state(&lease.value)?;
        let owner = holder(&lease.value)?;
        let is_its = owner.strip_prefix(pod).is_some_and(|rest| rest.starts_with('.'));
        is_its.then_some((owner, standing == OwnerStanding::Live, lease.created.1))
    })
}

/// The clock of the recorder.
#[allow(clippy::disallowed_methods, reason = "versions bear the time at which they were seen")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
