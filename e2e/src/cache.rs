//! The folder that keeps what takes long to make or to fetch.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::progress::{say, with_progress};

/// Returns the folder of this name in the cache, after filling it if it was never filled here.
/// `what` says what is in it; `fill` gets an empty folder, which bears its final name only when it
/// is complete. Processes that ask at the same time wait for one of them.
pub(crate) fn kept(
    name: &str,
    what: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let cache = folder()?;
    let kept = cache.join(name);
    if kept.exists() {
        return Ok(kept);
    }
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    if lock.try_lock().is_err() {
        say(&format!("Another process makes {what}; waiting for it …"));
        lock.lock()?;
    }
    if kept.exists() {
        return Ok(kept);
    }
    let unfinished = cache.join(format!("{name}.unfinished"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir(&unfinished)?;
    let doing = format!("Making {what}, to be kept in {}", kept.display());
    with_progress(&doing, || fill(&unfinished)).with_context(|| format!("cannot make {what}"))?;
    fs::rename(&unfinished, &kept)?;
    Ok(kept)
}

/// Where everything is kept: `DUCKWORKER_CACHE`, else `duckworker` in the user's cache folder.
///
/// # Errors
/// When the environment names no such place.
pub fn folder() -> Result<PathBuf> {
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
