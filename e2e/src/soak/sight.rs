//! What is to be seen of the namespace, live: every version as the recorder tells it, the world that
//! they make, and all of them kept for the end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use duckworker_history::line::{LEASES, WORKERS, uid_of};
use duckworker_history::world::World;
use duckworker_history::{Calm, Checker, Line, Settings, Version, Violation};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::recorder::{self, Recorder};

/// Looks on, from the namespace's beginning.
pub struct Sight {
    shared: Arc<Shared>,
    over: CancellationToken,
    looking: JoinHandle<Result<()>>,
}

struct Shared {
    seen: Mutex<Seen>,
    news: watch::Sender<()>,
}

#[derive(Default)]
struct Seen {
    world: World,
    tape: Vec<Taped>,
    /// When anything but a Lease was last written.
    loud: Option<Timestamp>,
}

/// A version as text, which takes a fifth of the memory.
struct Taped {
    revision: u64,
    at: Timestamp,
    line: Box<str>,
}

/// A history that is over.
pub struct Tape(Vec<Taped>);

impl Sight {
    /// Begins.
    pub fn begin(recorder: Recorder) -> Self {
        let shared = Arc::new(Shared { seen: Mutex::default(), news: watch::Sender::new(()) });
        let over = CancellationToken::new();
        let looking = tokio::spawn(look(recorder, Arc::clone(&shared), over.clone()));
        Self { shared, over, looking }
    }

    /// The world as it stands.
    pub fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.shared.lock().world)
    }

    /// Waits until nothing is wrong any more.
    ///
    /// # Errors
    /// What is still wrong after `limit`.
    pub async fn until_nothing(
        &self,
        limit: Duration,
        wrong: impl Fn(&World) -> Vec<String>,
    ) -> Result<()> {
        let (mut news, end) = (self.shared.news.subscribe(), Instant::now() + limit);
        loop {
            news.mark_unchanged();
            let left = self.read(&wrong);
            if left.is_empty() {
                return Ok(());
            }
            match timeout_at(end, news.changed()).await {
                Ok(changed) => changed.context("nobody looks on any more")?,
                Err(_) => bail!("after {limit:?}: {}", left.join("; ")),
            }
        }
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// When it is not so after `limit`.
    pub async fn until(
        &self,
        limit: Duration,
        what: &str,
        is_so: impl Fn(&World) -> bool,
    ) -> Result<()> {
        let wrong = |world: &World| if is_so(world) { vec![] } else { vec![format!("not {what}")] };
        self.until_nothing(limit, wrong).await
    }

    /// Waits until nothing but Leases was written for so long. Returns that time.
    ///
    /// # Errors
    /// When something is written again and again until `limit`.
    #[allow(clippy::disallowed_methods, reason = "versions bear the time at which they were seen")]
    pub async fn quiet(&self, time: Duration, limit: Duration) -> Result<Calm> {
        let (mut news, end) = (self.shared.news.subscribe(), Instant::now() + limit);
        loop {
            news.mark_unchanged();
            let now = Timestamp::now();
            let quiet_since = self.shared.lock().loud.unwrap_or(now);
            let passed = Duration::try_from(now.duration_since(quiet_since)).unwrap_or_default();
            if passed >= time {
                // The version that was written then is not a part of the quiet.
                let quiet_since = quiet_since.checked_add(Duration::from_nanos(1))?;
                return Ok(Calm { quiet_since, end: now });
            }
            if Instant::now() >= end {
                bail!("something is written all the time, {limit:?} after all was well");
            }
            // Leases move all the time; what is awaited is that nothing else does.
            let _ = tokio::time::timeout(time.saturating_sub(passed), news.changed()).await;
        }
    }

    /// Ends, and hands out the whole history.
    ///
    /// # Errors
    /// When it has a gap.
    pub async fn end(self) -> Result<Tape> {
        self.over.cancel();
        self.looking.await??;
        let mut tape = std::mem::take(&mut self.shared.lock().tape);
        tape.sort_by_key(|taped| taped.revision);
        Ok(Tape(tape))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, version: Version) -> Result<()> {
        let mut seen = self.lock();
        seen.world.take(&version);
        if version.collection != LEASES {
            seen.loud = Some(version.at);
        }
        let (revision, at) = (version.revision, version.at);
        let line = serde_json::to_string(&Line::Version(version))?.into_boxed_str();
        seen.tape.push(Taped { revision, at, line });
        drop(seen);
        self.news.send_replace(());
        Ok(())
    }
}

async fn look(mut recorder: Recorder, shared: Arc<Shared>, over: CancellationToken) -> Result<()> {
    loop {
        tokio::select! {
            version = recorder.next() => shared.take(version.context("the watches broke")?)?,
            () = over.cancelled() => break,
        }
    }
    let rest = recorder.finish().await.context("the recording has a gap")?;
    rest.into_iter().try_for_each(|version| shared.take(version))
}

impl Tape {
    /// Past all rules; and past those of the end, at the calm that there was. So late may a write
    /// of the dead land.
    ///
    /// # Errors
    /// When a line cannot be read back.
    pub fn check(&self, calm: Option<Calm>, late: Duration) -> Result<BTreeSet<Violation>> {
        let settings = Settings { late, ..recorder::settings() };
        let mut all = Checker::new(settings.clone());
        let mut until_calm = Checker::new(Settings { calm, ..settings });
        for taped in &self.0 {
            let line: Line = serde_json::from_str(&taped.line)?;
            if calm.is_some_and(|calm| taped.at <= calm.end) {
                until_calm.take(&line);
            }
            all.take(&line);
        }
        Ok(until_calm.finish().into_iter().chain(all.finish()).collect())
    }

    /// How many recorded transitions workers made.
    ///
    /// # Errors
    /// When a line cannot be read back.
    pub fn transitions(&self) -> Result<usize> {
        let mut seen = BTreeSet::new();
        for taped in &self.0 {
            let Line::Version(version) = serde_json::from_str(&taped.line)? else { continue };
            let newest = &version.object["status"]["transitions"][0];
            if version.collection == WORKERS && newest.is_object() {
                seen.insert((uid_of(&version.object).to_owned(), newest.to_string()));
            }
        }
        Ok(seen.len())
    }

    /// How many versions there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As `just check-history` reads it. Tokens of workers stand in it.
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.0.iter().map(|taped| &*taped.line).collect();
        lines.join("\n")
    }
}
