//! cargo, run by a program that cargo itself runs.

use std::{env, ffi::OsStr, process::Command};

/// A command without what cargo tells the running program of its package. A build script may ask
/// to be run again when that changes: ring's does, and then half of the workspace is built anew.
pub(crate) fn command(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(told) {
            command.env_remove(name);
        }
    }
    command
}

/// The cargo that runs us, or the one that is to be found: `CARGO` says so, as cargo itself does.
pub(crate) fn cargo() -> Command {
    command(&env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
