//! The Go binary with all parts of Kubernetes: built on first use, then kept in a cache folder.

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// The Go module of the binary, in this repository.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster");
/// How often the first build says that it is still going on.
const PROGRESS: Duration = Duration::from_secs(15);

/// Returns the path of the binary, after building it if these sources were never built here.
///
/// Blocks for about five minutes the first time, and says so on standard error. Processes that ask
/// at the same time wait for one build.
pub fn duckcluster() -> Result<PathBuf> {
    let sources = source_files(Path::new(SOURCES))?;
    let go = go_version()?;
    let folder = cache_folder()?.join(format!("cluster-{}", digest(&sources, &go)?));
    let binary = folder.join("duckcluster");
    if binary.exists() {
        return Ok(binary);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let lock = File::create(folder.join("lock"))?;
    if lock.try_lock().is_err() {
        say("Another process builds the embedded cluster; waiting for it …");
        lock.lock()?;
    }
    if !binary.exists() {
        build(&folder, &binary)?;
    }
    Ok(binary)
}

/// Tells a person who waits. The macros for this would be held back by the test runner until the
/// test has failed.
pub(crate) fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// Builds to a temporary name first, so that a file of the final name is always complete.
fn build(folder: &Path, binary: &Path) -> Result<()> {
    let version = kubernetes_version()?;
    say(&format!(
        "Building the embedded cluster (Kubernetes {version} and etcd, from Go modules).\n\
         This takes about 5 minutes the first time on 2 cores; the result is kept in\n\
         {}",
        folder.display()
    ));
    let unfinished = folder.join("duckcluster.unfinished");
    let started = Instant::now();
    let (done, finished) = mpsc::channel::<()>();
    let progress = thread::spawn(move || {
        while finished.recv_timeout(PROGRESS) == Err(mpsc::RecvTimeoutError::Timeout) {
            say(&format!("  still building, {} s …", started.elapsed().as_secs()));
        }
    });
    let output = go_build(&version, &unfinished).output();
    drop(done);
    let _ = progress.join();
    let output = output.context("cannot run `go build`")?;
    if !output.status.success() {
        bail!("`go build` in {SOURCES} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    // `kubectl` is a part of the binary as well; a link of that name makes it usable in a shell.
    let kubectl = folder.join("kubectl");
    if !kubectl.exists() {
        std::os::unix::fs::symlink("duckcluster", kubectl)?;
    }
    fs::rename(&unfinished, binary)?;
    say(&format!("The embedded cluster is built ({} s).", started.elapsed().as_secs()));
    Ok(())
}

fn go_build(version: &str, output: &Path) -> Command {
    let package = "k8s.io/component-base/version";
    let (major, minor) = major_and_minor(version);
    let flags = format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} \
         -X {package}.gitMinor={minor}"
    );
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &flags, "-o"])
        .arg(output)
        .arg(".")
        .current_dir(SOURCES)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null());
    command
}

/// The version of Kubernetes as `go.mod` demands it, such as `v1.36.3`.
fn kubernetes_version() -> Result<String> {
    let path = Path::new(SOURCES).join("go.mod");
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    text.lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .map(|version| version.trim().to_owned())
        .with_context(|| format!("{} does not require k8s.io/kubernetes", path.display()))
}

/// `v1.36.3` → (`1`, `36`).
fn major_and_minor(version: &str) -> (&str, &str) {
    let mut parts = version.trim_start_matches('v').split('.');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn go_version() -> Result<String> {
    let output = Command::new("go").args(["env", "GOVERSION"]).current_dir(SOURCES).output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => bail!("`go env` failed: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => Err(error).context(
            "the embedded cluster is built with Go: cannot run `go`. Install Go 1.26 or later",
        ),
    }
}

/// Where everything is kept that takes long to fetch or to build.
pub fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("DUCKWORKER_CACHE") {
        return Ok(folder.into());
    }
    let base = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => Path::new(&home).join(".cache"),
        (None, None) => bail!("neither DUCKWORKER_CACHE, XDG_CACHE_HOME nor HOME is set"),
    };
    Ok(base.join("duckworker"))
}

/// All files that decide what the binary is, in a fixed order.
fn source_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            files.extend(source_files(&path)?);
        } else if matches!(extension, Some("go" | "mod" | "sum")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Sixteen hex digits over names, contents and the compiler's version.
fn digest(files: &[PathBuf], go: &str) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(go);
    for file in files {
        let content = fs::read(file)?;
        hash.update(file.strip_prefix(SOURCES)?.as_os_str().as_encoded_bytes());
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    let hex = hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok(hex[..16].to_owned())
}
