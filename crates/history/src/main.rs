//! `duckworker-history FILE…`: checks recorded histories, a file each. With `--calm-since TIME`
//! everything must have come right, and nothing may be written any more after that time.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::ExitCode;

use duckworker_history::{Calm, Checker, Line, Settings};
use jiff::Timestamp;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<usize, Failure> {
    let mut quiet_since = None;
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--calm-since" {
            let time = arguments.next().ok_or("--calm-since needs a time")?;
            quiet_since = Some(time.parse::<Timestamp>()?);
        } else {
            files.push(argument);
        }
    }
    if files.is_empty() {
        return Err("usage: duckworker-history [--calm-since TIME] FILE…".into());
    }
    let (mut versions, mut operations, mut violations) = (0, 0, 0);
    for file in &files {
        let lines = read(file).map_err(|error| format!("{file}: {error}"))?;
        let calm =
            quiet_since.and_then(|quiet_since| Some(Calm { quiet_since, end: end_of(&lines)? }));
        let mut checker = Checker::new(Settings { calm, ..Settings::default() });
        for line in &lines {
            checker.take(line);
        }
        let (more_versions, more_operations) = checker.counts();
        (versions, operations) = (versions + more_versions, operations + more_operations);
        for violation in checker.finish() {
            println!("{file}: {violation}");
            violations += 1;
        }
    }
    println!("versions: {versions}, operations: {operations}, violations: {violations}");
    Ok(violations)
}

fn read(file: &str) -> Result<Vec<Line>, Failure> {
    let lines = BufReader::new(File::open(file)?).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

fn end_of(lines: &[Line]) -> Option<Timestamp> {
    lines.iter().rev().find_map(|line| match line {
        Line::Version(version) => Some(version.at),
        Line::Operation(_) => None,
    })
}
