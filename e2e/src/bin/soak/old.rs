//! An older version of the controller, built from git.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::install::project_root;

/// Builds the controller as it was at a revision, the newest tag unless told, and returns the program.
/// None: there is no tag.
pub fn build(revision: Option<&str>) -> Result<Option<PathBuf>> {
    let Some(revision) = revision.map(str::to_owned).or_else(newest_tag) else { return Ok(None) };
    let commit = git(&["rev-parse", "--short=12", &format!("{revision}^{{commit}}")])?;
    let this = std::env::current_exe()?;
    let folder = this.parent().context("this program is in a folder")?;
    let profile = Path::new(folder.file_name().context("a profile")?);
    let target = folder.parent().context("a target folder")?.join("old");
    let program = target.join(format!("duckworker-{commit}-{}", profile.display()));
    if program.exists() {
        return Ok(Some(program));
    }
    println!("Building the controller of {revision} ({commit}) …");
    let sources = tempfile::tempdir()?;
    // Not a worktree: that would leave traces in the repository if we were killed.
    tar::Archive::new(&*run_git(&["archive", &commit])?).unpack(sources.path())?;
    let built = compile(sources.path(), &target, profile)?;
    std::fs::rename(&built, &program).with_context(|| format!("no {}", built.display()))?;
    Ok(Some(program))
}

fn newest_tag() -> Option<String> {
    git(&["describe", "--tags", "--abbrev=0"]).ok().filter(|tag| !tag.is_empty())
}

/// In a target folder of its own: cargo tells packages of one name and version apart by where they
/// stand in their workspace only, so both versions would overwrite each other's parts.
fn compile(sources: &Path, target: &Path, profile: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "duckworker", "--bin", "duckworker"]);
    command.arg("--target-dir").arg(target).current_dir(sources);
    if profile == Path::new("release") {
        command.arg("--release");
    }
    ensure!(command.status().context("cannot run cargo")?.success(), "it does not build");
    Ok(target.join(profile).join("duckworker"))
}

fn git(args: &[&str]) -> Result<String> {
    Ok(String::from_utf8_lossy(&run_git(args)?).trim().to_owned())
}

fn run_git(args: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("git").args(args).current_dir(project_root()).output();
    let output = output.context("cannot run git")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {}", args.join(" "), error.trim());
    Ok(output.stdout)
}
