//! What the clients need beside this workspace: fetched by the languages' own tools, kept in the
//! cache folder.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use duckworker_e2e::worker_build::cache_folder;

/// Makes a folder once for all test processes: `make` fills it and is not called again.
pub fn made_once(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = cache_folder()?.join(name);
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let mark = folder.join("complete");
    if !mark.exists() {
        // Not by a macro: the test runner would hold that back.
        let _ = writeln!(std::io::stderr(), "Fetching {name} into {} …", folder.display());
        make(&folder)?;
        File::create(mark)?;
    }
    Ok(folder)
}

/// Runs a program to its end; what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed:\n{said}\n{complaint}", command.get_program().display());
    }
    Ok(said)
}

/// The folder of this test's own files.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}
