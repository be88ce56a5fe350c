//! One simulation in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, thread};

use anyhow::{Context as _, Result, anyhow, bail};
use duckworker_sim::simulate;
use serde::{Deserialize, Serialize};

use crate::scene;

/// Where the child finds its order, and puts the outcome.
const FOLDER: &str = "DUCKWORKER_SIM_FOLDER";

/// What to play.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The seed.
    pub seed: u64,
    /// How many things happen.
    pub events: u64,
    /// The bug that is planted, by its name.
    pub planted: Option<String>,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// How long it was, in simulated seconds.
    pub seconds: f64,
    /// How often each transition happened.
    pub transitions: BTreeMap<String, usize>,
    /// How many claims got a worker.
    pub served: usize,
    /// How many numbers pools gave to workers.
    pub seats: usize,
    pub entered: usize,
    /// What went wrong.
    pub violations: Vec<String>,
    /// Every change, and what the scene did, in order.
    pub story: Vec<String>,
    /// A digest of every version.
    pub digest: String,
}

impl Order {
    /// A seed, and as many events as are usual.
    pub fn new(seed: u64) -> Self {
        let events = crate::trials::number("DUCKWORKER_SIM_EVENTS", scene::EVENTS);
        Self { seed, events: events.unwrap_or(scene::EVENTS), planted: None }
    }

    /// Plays it.
    pub fn run(&self) -> Result<Outcome> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("order"), serde_json::to_vec(self)?)?;
        let mut command = Command::new(env::current_exe()?);
        command
            .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::null());
        if let Some(planted) = &self.planted {
            command.env("DUCKWORKER_PLANTED", planted);
        }
        let output = command.output().context("cannot start a simulation")?;
        match fs::read(folder.path().join("outcome")) {
            Ok(outcome) => {
                let outcome: Outcome = serde_json::from_slice(&outcome)?;
                let log = env::var_os("DUCKWORKER_SIM_LOG");
                if let Some(copy) = log.filter(|_| !outcome.violations.is_empty()) {
                    fs::copy(folder.path().join("log"), copy).context("it kept no log")?;
                }
                Ok(outcome)
            }
            Err(_) => Ok(Outcome {
                violations: vec![format!("it died: {}", end_of(&output.stdout, &output.stderr))],
                ..Outcome::default()
            }),
        }
    }
}

fn end_of(stdout: &[u8], stderr: &[u8]) -> String {
    let text = [stdout, stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Plays the order that stands in the folder.
pub fn play_as_told() -> Result<()> {
    let folder = env::var(FOLDER).context("this is started by the other tests")?;
    let folder = Path::new(&folder);
    let order: Order = serde_json::from_slice(&fs::read(folder.join("order"))?)?;
    if env::var_os("DUCKWORKER_SIM_LOG").is_some() {
        let level = tracing_subscriber::EnvFilter::new("duckworker=debug,duckworker_client=debug");
        let log = std::sync::Mutex::new(fs::File::create(folder.join("log"))?);
        tracing_subscriber::fmt().with_env_filter(level).with_ansi(false).with_writer(log).init();
    }
    duckworker_still::hold(order.seed);
    // A new thread has drawn nothing yet.
    let (seed, events) = (order.seed, order.events);
    let play = move || simulate(seed, |cluster| scene::play(cluster, seed, events));
    let outcome = match thread::spawn(play).join() {
        Ok(outcome) => outcome??,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            bail!(anyhow!("a panic: {}", text.unwrap_or_default()));
        }
    };
    fs::write(folder.join("outcome"), serde_json::to_vec(&outcome)?)?;
    Ok(())
}
