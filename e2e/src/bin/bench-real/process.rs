//! What a worker's process takes by itself, outside of any container.

use std::time::Duration;

use anyhow::Result;
use duckworker_e2e::bench::figures::median;
use duckworker_e2e::real::images;
use duckworker_e2e::worker_build::WorkerProcess;

/// How often it is started.
const STARTS: usize = 5;

const MEGABYTE: u64 = 1_000_000;

/// A worker alone.
pub struct Alone {
    /// Its image, as it is sent to a node, in megabytes.
    pub image_mb: u64,
    /// What it has in memory while nobody asks it anything, in megabytes.
    pub resident_mb: u64,
    /// From its start until it serves.
    pub start: Duration,
}

/// Measures it.
pub async fn measure() -> Result<Alone> {
    let mut image = Counted(0);
    images::worker().await?.write(&mut image)?;
    let (mut starts, mut resident) = (Vec::new(), 0);
    for _ in 0..STARTS {
        let worker = WorkerProcess::start("w.bench.duckworker", &[]).await?;
        starts.push(worker.started_in());
        resident = worker.memory("VmRSS")?.max(resident);
    }
    Ok(Alone {
        image_mb: image.0 / MEGABYTE,
        resident_mb: resident / MEGABYTE,
        start: median(&starts),
    })
}

/// Counts what is written to it.
struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
