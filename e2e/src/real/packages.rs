//! The programs of a real node, out of Debian's packages: fetched and unpacked into the cache
//! folder. Nothing is installed on the machine.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::cache::kept;
use crate::progress::say;

/// What is fetched. libseccomp2 is what runc needs beside the C library.
const PACKAGES: [&str; 4] = ["containerd", "runc", "containernetworking-plugins", "libseccomp2"];

/// The unpacked packages.
#[derive(Clone, Debug)]
pub(super) struct Packages {
    folder: PathBuf,
}

impl Packages {
    /// Fetches them, if that was never done here: some 35 MB. Blocks.
    pub(super) fn fetch() -> Result<Self> {
        let release = release().context("cannot tell which system this is")?;
        let name = format!("node-{release}-{}", std::env::consts::ARCH);
        let folder = kept(&name, "the programs of a real node", |folder| {
            say("Fetching Debian's packages of containerd, runc and CNI plugins (35 MB) …");
            download(folder).and_then(|()| unpack(folder))
        })?;
        Ok(Self { folder })
    }

    /// A program among them.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf> {
        let places = ["usr/bin", "usr/sbin"].map(|place| self.folder.join(place).join(name));
        let found = places.into_iter().find(|path| path.exists());
        found.with_context(|| format!("no {name} in {}", self.folder.display()))
    }

    /// The folder of the network plugins.
    pub(super) fn network_plugins(&self) -> PathBuf {
        self.folder.join("usr/lib/cni")
    }

    /// A search path for programs: these, then the machine's own.
    pub(super) fn search_path(&self) -> Result<OsString> {
        let own = ["usr/bin", "usr/sbin"].map(|place| self.folder.join(place));
        let machine = std::env::var_os("PATH").unwrap_or_default();
        Ok(std::env::join_paths(own.into_iter().chain(std::env::split_paths(&machine)))?)
    }

    /// A search path for their shared libraries.
    pub(super) fn library_path(&self) -> Result<OsString> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(self.folder.join("usr/lib"))? {
            let path = entry?.path();
            if path.is_dir() && path.to_string_lossy().ends_with("-linux-gnu") {
                folders.push(path);
            }
        }
        Ok(std::env::join_paths(folders)?)
    }
}

/// Name and version of the system, such as `debian-12`: its packages fit no other.
fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release")?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    Ok(format!("{}-{}", field("ID").context("no ID")?, field("VERSION_ID").unwrap_or_default()))
}

/// Downloads by the machine's own lists, or, where these are missing or too old, by lists that are
/// fetched for this alone.
fn download(folder: &Path) -> Result<()> {
    let by_own_lists = apt(folder, &["download"], &PACKAGES)?;
    if by_own_lists.status.success() {
        return Ok(());
    }
    say("  (not by the machine's own package lists; fetching fresh ones)");
    let state = folder.join("apt");
    fs::create_dir_all(state.join("lists/partial"))?;
    let lists = format!("Dir::State::Lists={}", state.join("lists").display());
    let cache = format!("Dir::Cache={}", state.display());
    let private = ["-o", &lists, "-o", &cache];
    for command in [&["update"][..], &[&["download"], &PACKAGES[..]].concat()] {
        let output = apt(folder, &private, command)?;
        if !output.status.success() {
            bail!("apt-get {}: {}", command[0], String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(fs::remove_dir_all(state)?)
}

fn apt(folder: &Path, options: &[&str], arguments: &[&str]) -> Result<Output> {
    Command::new("apt-get")
        // Its own user for downloads may not write into the cache folder.
        .args(["--quiet", "-o", "APT::Sandbox::User=root"])
        .args(options)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("a real node needs Debian's packages: cannot run apt-get")
}

fn unpack(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let package = entry?.path();
        if package.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let output = Command::new("dpkg-deb").arg("--extract").arg(&package).arg(folder).output();
        let output = output.context("cannot run dpkg-deb")?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("dpkg-deb --extract {}: {words}", package.display());
        }
        fs::remove_file(package)?;
    }
    Ok(())
}
