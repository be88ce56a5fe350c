//! The controller under test, as a process of its own.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::PoisonError,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::sync::OnceCell;

use crate::{
    cargo::cargo, cluster::Cluster, component::Component, identity::Identity,
    progress::with_progress,
};

/// How long a controller may take to stop by itself.
const GRACE: Duration = Duration::from_secs(30);

/// A running `duckworker` process. It dies with the test process.
pub struct ControllerProcess {
    component: Component,
}

impl ControllerProcess {
    /// Starts `duckworker ARGS…` with the rights of an identity, after building the program once.
    /// `name` stands in messages and in the name of the log file.
    pub async fn start(
        cluster: &Cluster,
        name: &str,
        identity: &Identity,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Self> {
        let program = controller_binary().await?;
        Self::start_program(cluster, name, program, identity, args, env)
    }

    /// Starts any program in the same way, such as an older version of the controller.
    pub fn start_program(
        cluster: &Cluster,
        name: &str,
        program: &Path,
        identity: &Identity,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Self> {
        let log = cluster.layout.log(&format!("{name}-{:08x}", rand::random::<u32>()));
        let mut component = Component::new(name, &cluster.duckcluster, log)
            .args([OsString::from("run"), OsString::from("--"), program.into()])
            .args(args)
            .env("KUBECONFIG", identity.kubeconfig());
        for (key, value) in env {
            component = component.env(key, value);
        }
        cluster.remember_controller(&component);
        component.start()?;
        Ok(Self { component })
    }

    /// The process: kill it, pause it, start it again, look at its log.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// Ends the process as Kubernetes does (SIGTERM), and waits. An error if it does not end by
    /// itself, or ends with a failure.
    pub async fn stop(&self) -> Result<()> {
        if !self.component.stop(GRACE).await? {
            return Err(self.component.death().context("the controller did not stop well"));
        }
        Ok(())
    }
}

impl Cluster {
    /// Makes a controller's log a part of the report on a failed test.
    fn remember_controller(&self, component: &Component) {
        let mut controllers = self.controllers.lock().unwrap_or_else(PoisonError::into_inner);
        controllers.push((component.name().to_owned(), component.log().to_owned()));
    }

    /// Name and log file of each controller that was started on this cluster.
    pub(crate) fn controllers(&self) -> Vec<(String, PathBuf)> {
        self.controllers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The `duckworker` program of this workspace, built once for each test process.
pub async fn controller_binary() -> Result<&'static Path> {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    let build = || async { tokio::task::spawn_blocking(|| build(&CONTROLLER)).await? };
    Ok(BINARY.get_or_try_init(build).await?)
}

/// The example `control-plane`, built once for each test process.
pub async fn example_binary() -> Result<&'static Path> {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    let build = || async { tokio::task::spawn_blocking(|| build(&EXAMPLE)).await? };
    Ok(BINARY.get_or_try_init(build).await?)
}

/// A program of this workspace: what cargo is told, and where it then is.
struct Program {
    select: [&'static str; 2],
    path: &'static str,
}

const CONTROLLER: Program = Program { select: ["--bin", "duckworker"], path: "duckworker" };
const EXAMPLE: Program =
    Program { select: ["--example", "control-plane"], path: "examples/control-plane" };

/// Builds with the profile of the running test, into the same folder, so that nothing is built
/// twice.
fn build(program: &Program) -> Result<PathBuf> {
    let (target, profile) = target_and_profile(&env::current_exe()?)?;
    let mut command = cargo();
    command
        .args(["build", "--quiet", "--package", "duckworker"])
        .args(program.select)
        // Selected beside it, so that both get the same features: nothing is compiled twice.
        .args(["--package", env!("CARGO_PKG_NAME")])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile == "release" {
        command.arg("--release");
    }
    let what = format!("Building {}", program.path);
    let output = with_progress(&what, || command.output()).context("cannot run `cargo build`")?;
    if !output.status.success() {
        bail!("{} does not build:\n{}", program.path, String::from_utf8_lossy(&output.stderr));
    }
    Ok(target.join(profile).join(program.path))
}

/// `…/target/debug/deps/harness-0123` → (`…/target`, `debug`); the same without `deps`.
pub(crate) fn target_and_profile(program: &Path) -> Result<(PathBuf, String)> {
    let mut folder = program.parent();
    if let Some(inner) = folder.filter(|f| f.ends_with("deps") || f.ends_with("examples")) {
        folder = inner.parent();
    }
    let parts = folder.and_then(|folder| Some((folder.parent()?, folder.file_name()?.to_str()?)));
    let (target, profile) = parts
        .with_context(|| format!("{} is not in a target folder of cargo", program.display()))?;
    Ok((target.to_owned(), profile.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_is_found_from_tests_and_programs() -> Result<()> {
        for program in ["/t/debug/deps/harness-1", "/t/debug/demo", "/t/debug/examples/e"] {
            let found = target_and_profile(Path::new(program))?;
            assert_eq!(found, (PathBuf::from("/t"), "debug".to_owned()), "{program}");
        }
        assert!(target_and_profile(Path::new("demo")).is_err());
        Ok(())
    }
}
