//! `crdgen` writes the CRDs, the admission policies and the samples; `crdgen --check` only says
//! which of them are stale.

use std::path::Path;
use std::process::ExitCode;

use duckworker_api::generated::{self, GenerateError};

fn main() -> ExitCode {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => generated::write(&top).map(|()| ExitCode::SUCCESS),
        ["--check"] => check(&top),
        _ => {
            eprintln!("usage: crdgen [--check]");
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("crdgen: {error}");
        ExitCode::FAILURE
    })
}

fn check(top: &Path) -> Result<ExitCode, GenerateError> {
    let stale = generated::stale(top)?;
    for path in &stale {
        eprintln!("{path} is stale: run `cargo run -p duckworker-api --bin crdgen`");
    }
    Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
