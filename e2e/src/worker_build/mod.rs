//! The reference worker, built in release. It links libduckdb, which is no crate: it is fetched
//! once and kept, so that everything else builds without it.
//!
//! | file | holds |
//! |---|---|
//! | [`library`] | libduckdb: fetched, checked, kept |
//! | [`process`] | a worker on loopback, with a certificate as the controller makes it |

mod library;
mod process;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tokio::sync::OnceCell;

pub use crate::cache::folder as cache_folder;
pub use library::libduckdb;
pub use process::WorkerProcess;

use crate::cargo::command;
use crate::controller::target_and_profile;
use crate::progress::with_progress;

/// The worker, ready to run: libduckdb lies beside it, where it is looked for.
#[derive(Clone, Debug)]
pub struct WorkerBuild {
    /// The program.
    pub binary: PathBuf,
    /// libduckdb.so.
    pub library: PathBuf,
}

/// The worker of this workspace in release, built once for each test process. Takes some minutes
/// the first time, and says so.
pub async fn worker_build() -> Result<&'static WorkerBuild> {
    static BUILD: OnceCell<WorkerBuild> = OnceCell::const_new();
    let build = || async { tokio::task::spawn_blocking(build).await? };
    BUILD.get_or_try_init(build).await
}

/// Cargo, told where libduckdb is both for linking and for running, with the target folder of the
/// running program. `CARGO` says which cargo that is, as cargo itself does.
///
/// # Errors
/// When libduckdb cannot be had.
pub fn cargo_with_libduckdb() -> Result<Command> {
    let (target, _) = target_and_profile(&env::current_exe()?)?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command_with_libduckdb(&cargo)?;
    command.env("CARGO_TARGET_DIR", target).current_dir(env!("CARGO_MANIFEST_DIR"));
    Ok(command)
}

/// Any command, told where libduckdb is.
///
/// # Errors
/// When libduckdb cannot be had.
pub fn command_with_libduckdb(program: &OsStr) -> Result<Command> {
    let folder = libduckdb()?;
    let mut search = vec![folder.clone()];
    let others = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    search.extend(env::split_paths(&others).filter(|path| !path.as_os_str().is_empty()));
    let mut command = command(program);
    command.env("DUCKDB_LIB_DIR", &folder).env("LD_LIBRARY_PATH", env::join_paths(search)?);
    Ok(command)
}

fn build() -> Result<WorkerBuild> {
    let (target, _) = target_and_profile(&env::current_exe()?)?;
    let mut command = cargo_with_libduckdb()?;
    command.args(["build", "--release", "--quiet", "--package", "duckworker-worker"]);
    let output = with_progress("Building the worker in release", || command.output());
    let output = output.context("cannot run `cargo build` for the worker")?;
    if !output.status.success() {
        bail!("the worker does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let release = target.join("release");
    let library = release.join(library::FILE);
    place(&libduckdb()?.join(library::FILE), &library)?;
    Ok(WorkerBuild { binary: release.join("duckdb-worker"), library })
}

/// Puts the library beside the program, in one step: another process may just start that.
fn place(from: &Path, to: &Path) -> Result<()> {
    let same = |a: &Path, b: &Path| anyhow::Ok(fs::metadata(a)?.len() == fs::metadata(b)?.len());
    if to.exists() && same(from, to)? {
        return Ok(());
    }
    let unfinished = to.with_extension(format!("{}.unfinished", std::process::id()));
    fs::copy(from, &unfinished).with_context(|| format!("cannot write {}", to.display()))?;
    fs::rename(&unfinished, to)?;
    Ok(())
}
