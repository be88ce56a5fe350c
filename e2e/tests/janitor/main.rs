//! The janitor: what stands about that should not is ended, and nothing else is touched.

mod claimers;
mod instances;
mod leaders;
mod steps;
mod strays;
mod workers;

use std::time::Duration;

use anyhow::Result;
use duckworker::settings::Settings;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::in_process::quick_settings;
use serde_json::{Value, json};

/// Settings under which a janitor has something to do within a second.
fn eager(ns: &TestNamespace<'_>) -> Result<Settings> {
    let mut settings = quick_settings(&ns.name)?;
    let times = &mut settings.janitor;
    times.interval = Duration::from_millis(200);
    times.orphan_grace = Duration::from_millis(500);
    times.stranded_grace = Duration::from_secs(1);
    times.stuck_spawning = Duration::from_secs(1);
    times.stuck_activating = Duration::from_secs(1);
    times.stuck_margin = Duration::from_secs(1);
    Ok(settings)
}

/// The same worker with this field in its spec.
fn with(mut worker: Value, field: &str, value: i64) -> Value {
    worker["spec"][field] = json!(value);
    worker
}
