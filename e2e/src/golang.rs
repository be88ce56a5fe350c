//! The Go modules of this repository, built on first use.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// A Go module in this repository.
pub(crate) struct GoModule {
    folder: &'static Path,
}

impl GoModule {
    pub(crate) fn new(folder: &'static str) -> Self {
        Self { folder: Path::new(folder) }
    }

    /// The text of its `go.mod`.
    pub(crate) fn description(&self) -> Result<String> {
        let path = self.folder.join("go.mod");
        fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))
    }

    /// Sixteen hex digits over names, contents and the compiler's version: all that decides what
    /// is built.
    pub(crate) fn digest(&self) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(self.go_version()?);
        for file in source_files(self.folder)? {
            let content = fs::read(&file)?;
            hash.update(file.strip_prefix(self.folder)?.as_os_str().as_encoded_bytes());
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

    /// Builds a program of the module that needs nothing of the machine it runs on.
    pub(crate) fn build(&self, package: &str, linker_flags: &str, output: &Path) -> Result<()> {
        let flags = format!("-s -w {linker_flags}");
        let done = Command::new("go")
            .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &flags, "-o"])
            .arg(output)
            .arg(package)
            .current_dir(self.folder)
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .output()
            .context("cannot run `go build`")?;
        if !done.status.success() {
            let words = String::from_utf8_lossy(&done.stderr);
            bail!("`go build {package}` in {} failed:\n{words}", self.folder.display());
        }
        Ok(())
    }

    fn go_version(&self) -> Result<String> {
        let output =
            Command::new("go").args(["env", "GOVERSION"]).current_dir(self.folder).output();
        match output {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            Ok(output) => bail!("`go env` failed: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => Err(error).context(
                "parts of the embedded cluster are built with Go: cannot run `go`. \
                 Install Go 1.26 or later",
            ),
        }
    }
}

/// All files that decide what is built, in a fixed order.
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
