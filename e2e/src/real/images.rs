//! The images that tests run on a real node.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::image::Image;
use crate::{
    cache::kept, controller::controller_binary, golang::GoModule, worker_build::worker_build,
};

/// The image that holds a pod's namespaces open.
pub(super) const PAUSE: &str = "duckworker.invalid/pause:dev";
/// The image of a stand-in for a worker.
pub const STUB: &str = "duckworker.invalid/stub:dev";
/// The image of the reference worker.
pub const WORKER: &str = "duckworker.invalid/duckdb-worker:dev";
/// The image of the controller, under the very name that `config/` gives it.
pub const CONTROLLER: &str = concat!("ghcr.io/duckworker/duckworker:", env!("CARGO_PKG_VERSION"));

/// Blocks while it is built for the first time.
pub(super) fn pause() -> Result<Image> {
    Ok(Image::scratch(PAUSE).file(program("pause")?, "/pause").entrypoint(["/pause"]))
}

/// A worker to all appearances, for workers whose protocol is None: it serves HTTP, and can be told
/// to exit (`POST /exit?code=3`) or to take more memory than it may (`POST /eat`).
///
/// # Errors
/// When it cannot be built.
pub async fn stub() -> Result<Image> {
    stub_as(STUB).await
}

/// The same under another name, such as that of the image in a sample.
///
/// # Errors
/// When it cannot be built.
pub async fn stub_as(name: &str) -> Result<Image> {
    let program = tokio::task::spawn_blocking(|| program("stub")).await??;
    Ok(Image::scratch(name).file(program, "/stub").entrypoint(["/stub"]))
}

/// The controller: this workspace's `duckworker`, where the Dockerfile has it.
///
/// # Errors
/// When it cannot be built.
pub async fn controller() -> Result<Image> {
    let (source, path) = (controller_binary().await?, "/usr/local/bin/duckworker");
    Ok(Image::scratch(CONTROLLER).program(source, path, &[])?.entrypoint([path]))
}

/// The reference worker, with its DuckDB.
///
/// # Errors
/// When it cannot be built.
pub async fn worker() -> Result<Image> {
    worker_as(WORKER).await
}

/// The same under another name, such as that of the image in a sample.
///
/// # Errors
/// When it cannot be built.
pub async fn worker_as(name: &str) -> Result<Image> {
    let build = worker_build().await?;
    let folder = build.library.parent().context("libduckdb lies nowhere")?;
    let path = "/usr/local/bin/duckdb-worker";
    Ok(Image::scratch(name).program(&build.binary, path, &[folder])?.entrypoint([path]))
}

/// One of the small programs in `e2e/pods`.
fn program(name: &str) -> Result<PathBuf> {
    let module = GoModule::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pods"));
    let folder = kept(&format!("pods-{}", module.digest()?), "programs for pods", |folder| {
        ["pause", "stub"].iter().try_for_each(|program| {
            module.build(&format!("./{program}"), "", &folder.join(program))
        })
    })?;
    Ok(folder.join(name))
}
