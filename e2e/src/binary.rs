//! The Go binary with all parts of Kubernetes: built on first use, then kept in a cache folder.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{cache::kept, golang::GoModule, progress::say};

/// Returns the path of the binary, after building it if these sources were never built here.
///
/// Blocks for about five minutes the first time, and says so on standard error. Processes that ask
/// at the same time wait for one build.
pub fn duckcluster() -> Result<PathBuf> {
    let module = GoModule::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cluster"));
    let name = format!("cluster-{}", module.digest()?);
    let folder = kept(&name, "the embedded cluster", |folder| {
        let version = kubernetes_version(&module)?;
        say(&format!(
            "Building the embedded cluster (Kubernetes {version} and etcd, from Go modules).\n\
             The first time this takes about 5 minutes on 2 cores."
        ));
        module.build(".", &version_flags(&version), &folder.join("duckcluster"))?;
        // kubectl is a part of the binary; a link of that name makes it usable in a shell.
        Ok(std::os::unix::fs::symlink("duckcluster", folder.join("kubectl"))?)
    })?;
    Ok(folder.join("duckcluster"))
}

/// What makes the parts say which version they are.
fn version_flags(version: &str) -> String {
    let package = "k8s.io/component-base/version";
    let (major, minor) = major_and_minor(version);
    format!(
        "-X {package}.gitVersion={version} -X {package}.gitMajor={major} \
         -X {package}.gitMinor={minor}"
    )
}

/// The version of Kubernetes as `go.mod` demands it, such as `v1.36.3`.
fn kubernetes_version(module: &GoModule) -> Result<String> {
    module
        .description()?
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .map(|version| version.trim().to_owned())
        .context("the module of the embedded cluster does not require k8s.io/kubernetes")
}

/// `v1.36.3` → (`1`, `36`).
fn major_and_minor(version: &str) -> (&str, &str) {
    let mut parts = version.trim_start_matches('v').split('.');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}
