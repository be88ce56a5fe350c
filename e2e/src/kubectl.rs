//! kubectl, out of the same binary as the cluster.

use std::{
    ffi::OsString,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::spawner::spawn_tied;

/// What a kubectl command printed, and how it ended.
#[derive(Clone, Debug)]
pub struct KubectlOutput {
    /// The command, for messages.
    pub command: String,
    /// Whether it ended with status 0.
    pub success: bool,
    /// What it printed to standard output.
    pub stdout: String,
    /// What it printed to standard error.
    pub stderr: String,
}

impl KubectlOutput {
    /// The standard output of a command that succeeded; an error with its words if it failed.
    pub fn ok(self) -> Result<String> {
        if !self.success {
            bail!("`{}` failed:\n{}{}", self.command, self.stdout, self.stderr);
        }
        Ok(self.stdout)
    }

    /// The standard error of a command that was meant to fail; an error if it succeeded.
    pub fn refused(self) -> Result<String> {
        if self.success {
            bail!("`{}` succeeded:\n{}", self.command, self.stdout);
        }
        Ok(self.stderr)
    }
}

/// Runs kubectl with a kubeconfig, feeding it `input`.
pub(crate) async fn kubectl(
    duckcluster: &Path,
    kubeconfig: &Path,
    cache: &Path,
    args: &[&str],
    input: &str,
) -> Result<KubectlOutput> {
    let mut command = Command::new(duckcluster);
    command
        .arg("kubectl")
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        // What it learns about one cluster must not be believed of the next on the same port.
        .env("KUBECACHEDIR", cache)
        // A person's own preferences stay out of the tests.
        .env("KUBERC", OsString::from("off"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = input.to_owned();
    let shown = format!("kubectl {}", args.join(" "));
    let output = tokio::task::spawn_blocking(move || run(command, &input))
        .await?
        .with_context(|| format!("cannot run `{shown}`"))?;
    Ok(KubectlOutput {
        command: shown,
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs a command to its end, feeding it `input`.
pub(crate) fn run(command: Command, input: &str) -> Result<Output> {
    let mut child = spawn_tied(command)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input closes it, which is no failure.
        let _ = stdin.write_all(input.as_bytes());
    }
    Ok(child.wait_with_output()?)
}
