//! Whether a test of real pods ran. Where no real node is to be had, it must not look as if it did.

use std::process::{ExitCode, Termination};

use anyhow::{Result, bail};
use tokio::sync::OnceCell;

use super::{images, obstacle};
use crate::{Cluster, ClusterOptions, TestNamespace, progress::say, recorder::Recorder};

/// With `1` in this variable of the environment, a test of real pods that cannot run fails.
const REQUIRED: &str = "DUCKWORKER_REQUIRE_REAL_NODE";

/// What a test of real pods returns.
#[must_use]
#[derive(Debug)]
pub enum Ran {
    /// It did.
    Yes,
    /// It could not, for this reason.
    Not(String),
}

impl Ran {
    /// Runs a test if there can be a real node on this machine.
    ///
    /// # Errors
    /// Those of the test; and that there can be none, where one is required.
    pub async fn if_possible(test: impl AsyncFnOnce() -> Result<()>) -> Result<Self> {
        // Asked once: else each test would try to fetch packages again.
        static OBSTACLE: OnceCell<Option<String>> = OnceCell::const_new();
        let found = OBSTACLE.get_or_try_init(|| tokio::task::spawn_blocking(obstacle)).await?;
        match found {
            None => test().await.map(|()| Self::Yes),
            Some(why) if std::env::var(REQUIRED).is_ok_and(|value| value == "1") => {
                bail!("{REQUIRED}=1, but there can be no real node here: {why}")
            }
            Some(why) => Ok(Self::Not(why.clone())),
        }
    }
}

impl Termination for Ran {
    /// The test runner knows no third outcome, so the notice goes past it to a person's terminal.
    fn report(self) -> ExitCode {
        if let Self::Not(why) = self {
            let thread = std::thread::current();
            let test = thread.name().unwrap_or("a test").to_owned();
            say(&format!("\nNOT RUN, though counted as passed: {test}. No real node: {why}"));
        }
        ExitCode::SUCCESS
    }
}

impl Cluster {
    /// The one cluster with a real node that all tests of this process share. It has a simulated
    /// node as well, the resource definitions, and the stub's image.
    ///
    /// # Errors
    /// When it did not start.
    pub async fn shared_real() -> Result<&'static Self> {
        static SHARED: OnceCell<Result<Cluster, String>> = OnceCell::const_new();
        let shared = SHARED
            .get_or_init(|| async {
                let options = ClusterOptions { real_node: true, ..ClusterOptions::default() };
                let started = async {
                    let cluster = Self::start(options).await?;
                    cluster.install_crds().await?;
                    // By itself the garbage collector learns of a new kind within half a minute.
                    cluster.controller_manager()?.restart()?;
                    cluster.real_node()?.load(&images::stub().await?).await?;
                    anyhow::Ok(cluster)
                };
                started.await.map_err(|error| format!("{error:#}"))
            })
            .await;
        let shared = shared.as_ref();
        shared.map_err(|error| anyhow::anyhow!("the shared cluster did not start: {error}"))
    }
}

/// Runs a test in a namespace of [`Cluster::shared_real`]. Its history is recorded, and must keep
/// the rules.
///
/// # Errors
/// Whatever the test fails with, or the rules that its history breaks.
pub async fn real_scenario(
    name: &str,
    body: impl AsyncFnOnce(&TestNamespace<'_>) -> Result<()>,
) -> Result<Ran> {
    let checked = async |ns: &TestNamespace<'_>| {
        Recorder::over(&ns.client, &ns.name, async || body(ns).await).await
    };
    Ran::if_possible(async || Cluster::shared_real().await?.with_namespace(name, checked).await)
        .await
}
