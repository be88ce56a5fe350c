//! libduckdb, out of the package that DuckDB publishes for Node: the one registry that has the
//! shared library prebuilt, for the version that the `duckdb` crate speaks to.

use std::env;
use std::env::consts::ARCH;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::cache::kept;

/// The name of the library.
pub(super) const FILE: &str = "libduckdb.so";
/// The version of the package; its first part is DuckDB's.
const VERSION: &str = "1.5.6-r.1";

/// One package: for which processor, its name, the digest of its archive.
struct Package {
    processor: &'static str,
    name: &'static str,
    sha256: &'static str,
}

const PACKAGES: [Package; 2] = [
    Package {
        processor: "x86_64",
        name: "@duckdb/node-bindings-linux-x64",
        sha256: "1b9f82478539bb9a1d1df44bd103121a12ae52142c07158dc52b97d2ec1d69ff",
    },
    Package {
        processor: "aarch64",
        name: "@duckdb/node-bindings-linux-arm64",
        sha256: "3a45a6305b3235a781ed9de25aa795a3862acd042782d1f864e1bdb656de212b",
    },
];

/// The folder that holds libduckdb.so: `DUCKDB_LIB_DIR` if that is set, else one in the cache,
/// fetched by npm the first time. Processes that ask at the same time wait for one fetch.
///
/// # Errors
/// When it can neither be found nor fetched.
pub fn libduckdb() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("DUCKDB_LIB_DIR").map(PathBuf::from) {
        ensure!(folder.join(FILE).exists(), "DUCKDB_LIB_DIR={} has no {FILE}", folder.display());
        return Ok(folder);
    }
    let package = PACKAGES.iter().find(|package| package.processor == ARCH);
    let package = package.with_context(|| {
        format!("no prebuilt {FILE} is known for {ARCH}; set DUCKDB_LIB_DIR to a folder with one")
    })?;
    let name = format!("libduckdb-{VERSION}-{ARCH}");
    kept(&name, "libduckdb, by npm", |folder| fetch(package, folder))
}

fn fetch(package: &Package, folder: &Path) -> Result<()> {
    let unfinished = folder.join("unfinished");
    fs::create_dir(&unfinished)?;
    let specifier = format!("{}@{VERSION}", package.name);
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", &specifier]).current_dir(&unfinished);
    run(pack).context(
        "npm cannot fetch libduckdb; install Node, or set DUCKDB_LIB_DIR to a folder with \
         libduckdb.so of DuckDB 1.5.6",
    )?;
    let archive = fs::read_dir(&unfinished)?.next().context("npm fetched nothing")??.path();
    let found = sha256(&archive)?;
    ensure!(
        found == package.sha256,
        "{specifier} is not what it was: its SHA-256 is {found}, not {}",
        package.sha256
    );
    let mut unpack = Command::new("tar");
    unpack.arg("-xzf").arg(&archive).current_dir(&unfinished);
    run(unpack)?;
    fs::rename(unfinished.join("package").join(FILE), folder.join(FILE))?;
    fs::remove_dir_all(&unfinished)?;
    Ok(())
}

fn run(mut command: Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn sha256(file: &Path) -> Result<String> {
    let digest = Sha256::digest(fs::read(file)?);
    Ok(digest.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}
