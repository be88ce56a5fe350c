//! Java: `flight-sql-jdbc-driver` from Maven. It cannot be told another server name than the one
//! that it connects to, so the JVM gets a hosts file of the test's own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::tools::{made_once, run, sources};
use crate::{check_memory, worker};

const DRIVER: &str = "flight-sql-jdbc-driver";
const VERSION: &str = "18.3.0";

fn driver() -> Result<PathBuf> {
    let folder = made_once(&format!("{DRIVER}-{VERSION}"), |folder| {
        let artifact = format!("-Dartifact=org.apache.arrow:{DRIVER}:{VERSION}");
        let output = format!("-DoutputDirectory={}", folder.display());
        run(Command::new("mvn").args(["--quiet", "dependency:copy"]).args([artifact, output]))?;
        Ok(())
    })?;
    Ok(folder.join(format!("{DRIVER}-{VERSION}.jar")))
}

#[tokio::test]
async fn the_jdbc_driver_of_java() -> Result<()> {
    let worker = worker().await?;
    let before = worker.memory("VmRSS")?;
    let folder = TempDir::new()?;
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, format!("127.0.0.1 {}\n", worker.server_name()))?;
    let mut check = Command::new("java");
    check
        .args(["--add-opens=java.base/java.nio=ALL-UNNAMED", "-Xmx1g"])
        .arg(format!("-Djdk.net.hosts.file={}", hosts.display()))
        .arg("--class-path")
        .arg(driver()?)
        .arg(sources().join("Check.java"))
        .env("WORKER_NAME", worker.server_name())
        .env("WORKER_PORT", worker.address().port().to_string())
        .env("WORKER_CERTIFICATE", worker.certificate_file())
        .env("WORKER_TOKEN", worker.credentials().token());
    let said = tokio::task::spawn_blocking(move || run(&mut check)).await??;
    println!("{said}");
    ensure!(said.ends_with("all checks passed\n"), "the checks did not end");
    check_memory(&worker, before)
}
