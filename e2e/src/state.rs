//! The folder with the state of one cluster: in memory, locked while in use, gone afterwards.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context as _, Result};
use rustix::{fs::statvfs, process::getuid};

use crate::control_group;

/// The file in a state folder whose lock says that a cluster uses it.
const LOCK: &str = "lock";
/// Space that a cluster may need in memory: its store, its logs and its audit log.
const ROOM_BYTES: u64 = 1 << 30;

/// A state folder. Dropping it removes it; if the process dies first, a child removes it.
pub(crate) struct StateFolder {
    path: PathBuf,
    sweeper: Option<(ChildStdin, Child)>,
    _lock: File,
}

impl StateFolder {
    /// Makes a new folder, after removing those that dead processes left behind.
    pub(crate) fn create() -> Result<Self> {
        let root = root();
        // Access tokens lie in there.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
        // Between its creation and its locking a folder looks abandoned.
        let guard = File::create(root.join(LOCK))?;
        guard.lock()?;
        remove_abandoned(&root);
        let path = root.join(format!("{:08x}", rand::random::<u32>()));
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let lock = File::create(path.join(LOCK))?;
        lock.lock()?;
        let sweeper = sweeper(&path)?;
        Ok(Self { path, sweeper: Some(sweeper), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The process id of the child that removes the folder.
    pub(crate) fn sweeper_pid(&self) -> Option<u32> {
        self.sweeper.as_ref().map(|(_, child)| child.id())
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if let Some((stdin, mut child)) = self.sweeper.take() {
            // The end of its input is the sweeper's sign to start.
            drop(stdin);
            let _ = child.wait();
        }
    }
}

/// Starts the child that removes the folder when this process is gone or drops the pipe.
///
/// It is the one child that is not tied to this process, and a shell because it lies idle in memory
/// all the time.
fn sweeper(path: &Path) -> Result<(ChildStdin, Child)> {
    let mut command = Command::new("sh");
    command.args(["-c", include_str!("sweep.sh"), "sweep"]).arg(path);
    command.arg(control_group::of_cluster(path));
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().context("cannot start a shell")?;
    let stdin = child.stdin.take().context("the sweeper has no standard input")?;
    Ok((stdin, child))
}

/// Memory if there is enough of it, otherwise the disk; one folder per person.
fn root() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let roomy = statvfs(memory).is_ok_and(|fs| fs.f_bavail * fs.f_frsize >= ROOM_BYTES);
    let base = if roomy && writable(memory) { memory.to_owned() } else { std::env::temp_dir() };
    base.join(format!("duckworker-{}", getuid().as_raw()))
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Removes the folders whose lock nobody holds. Failures do not matter: the next start tries again.
fn remove_abandoned(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for folder in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let in_use = match File::open(folder.join(LOCK)) {
            Ok(lock) => matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        };
        if !in_use && control_group::remove_of(&folder).is_ok() {
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_in_use_survive() -> Result<()> {
        let root = std::env::temp_dir().join(format!("{:08x}", rand::random::<u32>()));
        let (used, abandoned, lockless) = (root.join("a"), root.join("b"), root.join("c"));
        for folder in [&used, &abandoned, &lockless] {
            fs::create_dir_all(folder)?;
        }
        let lock = File::create(used.join(LOCK))?;
        lock.lock()?;
        File::create(abandoned.join(LOCK))?;
        remove_abandoned(&root);
        assert!(used.exists() && !abandoned.exists() && !lockless.exists());
        drop(lock);
        remove_abandoned(&root);
        assert!(!used.exists());
        fs::remove_dir(root)?;
        Ok(())
    }
}
