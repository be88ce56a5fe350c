//! The control groups that a cluster's containers are in. The kernel keeps them when their last
//! process is gone, so somebody must remove them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

const ROOT: &str = "/sys/fs/cgroup";

/// The control group of the cluster with this state folder, by whose name it is found when the
/// cluster is dead. Each lies at the top, so that no cluster needs what another one removes.
pub(crate) fn of_cluster(state_folder: &Path) -> String {
    let name = state_folder.components().next_back();
    let name = name.map(|name| name.as_os_str().to_string_lossy()).unwrap_or_default();
    format!("duckworker-{name}")
}

/// The folders of a control group: one in the unified hierarchy, or one for each controller.
pub(crate) fn folders(group: &str) -> Vec<PathBuf> {
    let mut parents = vec![PathBuf::from(ROOT)];
    if let Ok(entries) = fs::read_dir(ROOT) {
        parents.extend(entries.flatten().map(|entry| entry.path()));
    }
    parents.into_iter().map(|parent| parent.join(group)).filter(|path| path.is_dir()).collect()
}

/// The folder of this name at any depth below another.
pub(crate) fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let folders: Vec<_> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    let found = folders.iter().find(|path| path.ends_with(name));
    found.cloned().or_else(|| folders.iter().find_map(|inner| below(inner, name)))
}

/// Removes what a dead cluster left. An error if there still are processes.
pub(crate) fn remove_of(state_folder: &Path) -> io::Result<()> {
    folders(&of_cluster(state_folder)).iter().try_for_each(|folder| remove(folder))
}

/// The files in a control group cannot be removed, and go with it.
fn remove(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
