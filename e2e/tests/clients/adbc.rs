//! Python: `adbc-driver-flightsql`, in a virtual environment of the test's own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::tools::{made_once, run, sources};
use crate::{check_memory, worker};

const REQUIREMENTS: [&str; 3] =
    ["adbc-driver-flightsql==1.13.0", "adbc-driver-manager==1.13.0", "pyarrow==26.0.1"];

fn python() -> Result<PathBuf> {
    let folder = made_once("python-adbc-1.13.0", |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")))?;
        let pip = folder.join("venv/bin/pip");
        run(Command::new(pip)
            .args(["install", "--quiet", "--only-binary", ":all:"])
            .args(REQUIREMENTS))?;
        Ok(())
    })?;
    Ok(folder.join("venv/bin/python"))
}

#[tokio::test]
async fn the_adbc_driver_of_python() -> Result<()> {
    let worker = worker().await?;
    let before = worker.memory("VmRSS")?;
    let mut check = Command::new(python()?);
    check
        .arg(sources().join("check.py"))
        .env("WORKER_URI", format!("grpc+tls://{}", worker.address()))
        .env("WORKER_NAME", worker.server_name())
        .env("WORKER_CERTIFICATE", worker.certificate_file())
        .env("WORKER_TOKEN", worker.credentials().token());
    let said = tokio::task::spawn_blocking(move || run(&mut check)).await??;
    println!("{said}");
    ensure!(said.ends_with("all checks passed\n"), "the checks did not end");
    check_memory(&worker, before)
}
