//! The shared libraries of a program, as `ldd` finds them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

/// A shared library.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Library {
    /// The file on this machine.
    pub(super) source: PathBuf,
    /// Where the loader looks for it in an image.
    pub(super) path: String,
}

/// The libraries that a program needs, with the loader itself. A static program needs none.
pub(super) fn libraries(program: &Path, folders: &[&Path]) -> Result<Vec<Library>> {
    let mut command = Command::new("ldd");
    command.arg(program).env("LC_ALL", "C");
    if !folders.is_empty() {
        command.env("LD_LIBRARY_PATH", std::env::join_paths(folders)?);
    }
    let output = command.output().context("cannot run ldd")?;
    let words = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let words = format!("{words}{}", String::from_utf8_lossy(&output.stderr));
        ensure!(words.contains("not a dynamic executable"), "ldd {}: {words}", program.display());
        return Ok(Vec::new());
    }
    parse(&words).with_context(|| format!("the libraries of {}", program.display()))
}

/// Reads ldd's lines: `name => path (address)`, or `path (address)` for the loader.
fn parse(words: &str) -> Result<Vec<Library>> {
    let mut found = Vec::new();
    for line in words.lines().map(str::trim) {
        let (name, place) = line.split_once(" => ").unwrap_or((line, line));
        if place.starts_with("not found") {
            bail!("{name} is not to be found");
        }
        if let Some((path, _address)) = place.rsplit_once(" (")
            && path.starts_with('/')
        {
            found.push(PathBuf::from(path));
        }
    }
    // A loader without a cache knows the folder of the C library, and not those of others.
    let c_library = found.iter().find(|path| is_system(path) && is_c_library(path));
    let home = c_library.and_then(|path| path.parent()).map(Path::to_owned);
    let library = |source: PathBuf| {
        let path = match (&home, source.file_name()) {
            (Some(home), Some(name)) if !is_system(&source) => home.join(name),
            _ => source.clone(),
        };
        Library { path: path.display().to_string(), source }
    };
    Ok(found.into_iter().map(library).collect())
}

fn is_system(path: &Path) -> bool {
    path.starts_with("/lib") || path.starts_with("/lib64") || path.starts_with("/usr")
}

fn is_c_library(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "libc.so.6")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "\tlinux-vdso.so.1 (0x00007f)
\tlibduckdb.so => /home/me/cache/libduckdb.so (0x00007f)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f)
";

    #[test]
    fn a_library_from_elsewhere_goes_beside_the_c_library() -> Result<()> {
        let found = parse(WORDS)?;
        let paths: Vec<_> = found.iter().map(|library| library.path.as_str()).collect();
        let beside = "/lib/x86_64-linux-gnu/libduckdb.so";
        let expected = [beside, "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(paths, expected);
        assert_eq!(found[0].source, Path::new("/home/me/cache/libduckdb.so"));
        Ok(())
    }

    #[test]
    fn a_missing_library_is_named() {
        let missing = parse("\tlibduckdb.so => not found\n").expect_err("must not be ignored");
        assert!(missing.to_string().contains("libduckdb.so"));
    }
}
