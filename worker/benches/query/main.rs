//! Flight SQL against DuckDB in process: the same queries on the same data, by turns.
//!
//! The worker is a process of its own, reached over TLS on loopback; in process the rows come as
//! Arrow as well. Both read the same file and leave memory and threads to DuckDB. The last line is
//! `query_ratio=… scan_ratio=…`: the total time of the queries that take the engine 200 ms and more as
//! a multiple of that in process, and the rows a second of a scan as a part of that in process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "it ends when it fails")]

mod data;
#[path = "../../tests/protocol/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests need more of it")]
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use duckdb::{AccessMode, Config, Connection};
use futures::TryStreamExt as _;
use tempfile::TempDir;

use crate::support::{Client, Worker};

/// A query that takes the engine less says more about the way to it.
const WORTH_COUNTING: Duration = Duration::from_millis(200);

/// How often each side runs each query.
const ROUNDS: usize = 7;

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("data.duckdb");
    let made = Instant::now();
    data::make(&file);
    println!("made {} rows in {:.0} s", data::LINES, made.elapsed().as_secs_f64());
    let path = file.to_string_lossy().into_owned();
    let worker = Worker::start(&["--database", &path, "--setting", "access_mode=READ_ONLY"]).await;
    let mut sides = Sides { in_process: open(&file), over_flight: worker.client().await };

    let queries = sides.compare(&data::QUERIES).await;
    let scans = sides.compare(&data::SCANS).await;
    print(&queries, &scans);
    let counted: Vec<_> = queries.iter().filter(|q| q.process() >= WORTH_COUNTING).collect();
    println!("{} of {} queries take 200 ms and more in process\n", counted.len(), queries.len());
    assert!(!counted.is_empty(), "this machine is too fast for these queries");
    let total = |side: fn(&Compared) -> Duration| counted.iter().map(|q| side(q)).sum::<Duration>();
    let query_ratio =
        total(Compared::flight).as_secs_f64() / total(Compared::process).as_secs_f64();
    let scan_ratio = rate(&scans[0], Compared::flight) / rate(&scans[0], Compared::process);
    println!("query_ratio={query_ratio:.2} scan_ratio={scan_ratio:.2}");
}

fn open(file: &Path) -> Connection {
    let config = Config::default().access_mode(AccessMode::ReadOnly).unwrap();
    Connection::open_with_flags(file, config).unwrap()
}

struct Sides {
    in_process: Connection,
    over_flight: Client,
}

/// The times of one query on both sides.
struct Compared {
    name: &'static str,
    rows: usize,
    process: Vec<Duration>,
    flight: Vec<Duration>,
}

impl Compared {
    fn process(&self) -> Duration {
        median(&self.process)
    }

    fn flight(&self) -> Duration {
        median(&self.flight)
    }
}

impl Sides {
    async fn compare(&mut self, queries: &[data::Query]) -> Vec<Compared> {
        let mut compared = Vec::new();
        for data::Query { name, sql } in queries {
            // The first time reads the file.
            let expected = self.process(sql);
            assert_eq!(self.flight(sql).await, expected, "{name}: the sides differ");
            let (mut process, mut flight) = (Vec::new(), Vec::new());
            for round in 0..ROUNDS {
                // Neither side always goes first.
                for turn in [round % 2, (round + 1) % 2] {
                    let started = Instant::now();
                    if turn == 0 {
                        self.process(sql);
                        process.push(started.elapsed());
                    } else {
                        self.flight(sql).await;
                        flight.push(started.elapsed());
                    }
                }
            }
            compared.push(Compared { name, rows: expected, process, flight });
        }
        compared
    }

    /// All rows as Arrow, one chunk at a time, as over the wire.
    fn process(&self, sql: &str) -> usize {
        let mut statement = self.in_process.prepare(sql).unwrap();
        let _ = statement.stream_arrow([]).unwrap();
        let mut rows = 0;
        while let Some(chunk) = statement.step().unwrap() {
            rows += RecordBatch::from(chunk).num_rows();
        }
        rows
    }

    async fn flight(&mut self, sql: &str) -> usize {
        let info = self.over_flight.sql.execute(sql.to_owned(), None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let mut batches = self.over_flight.sql.do_get(ticket).await.unwrap();
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await.unwrap() {
            rows += batch.num_rows();
        }
        rows
    }
}

fn print(queries: &[Compared], scans: &[Compared]) {
    println!(
        "\n{:<28} {:>10} {:>12} {:>12} {:>7}",
        "query", "rows", "in process", "Flight", "ratio"
    );
    for compared in queries.iter().chain(scans) {
        let (process, flight) = (compared.process(), compared.flight());
        println!(
            "{:<28} {:>10} {:>9.0} ms {:>9.0} ms {:>7.2}",
            compared.name,
            compared.rows,
            millis(process),
            millis(flight),
            flight.as_secs_f64() / process.as_secs_f64(),
        );
    }
    for scan in scans {
        let millions = |side| rate(scan, side) / 1e6;
        println!(
            "{}: {:.1} million rows/s in process, {:.1} over Flight",
            scan.name,
            millions(Compared::process),
            millions(Compared::flight)
        );
    }
    println!();
}

fn rate(scan: &Compared, side: fn(&Compared) -> Duration) -> f64 {
    f64::from(u32::try_from(scan.rows).unwrap()) / side(scan).as_secs_f64()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
