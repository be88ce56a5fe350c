//! Nothing is left of a cluster, however its test process ends.

use std::{
    io::{BufRead as _, BufReader},
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use duckworker_e2e::{Cluster, ClusterOptions};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

#[tokio::test]
async fn nothing_is_left_after_a_stop() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::api_only()).await?;
    let processes = cluster.pids().into_iter().map(open).collect::<Result<Vec<_>>>()?;
    let folder = cluster.state_folder().to_owned();
    cluster.stop();
    for process in &processes {
        ensure!(has_ended(process, 0)?);
    }
    ensure!(!folder.exists());
    Ok(())
}

#[test]
fn nothing_is_left_after_a_sigkill() -> Result<()> {
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_hold-cluster")).stdout(Stdio::piped()).spawn()?;
    let output = BufReader::new(child.stdout.take().context("no output")?);
    let line = output.lines().next().context("the child process started no cluster")??;
    let (folder, pids) = line.split_once(' ').context("no processes")?;
    let folder = PathBuf::from(folder);
    let processes = pids
        .split(' ')
        .map(|pid| open(pid.parse()?))
        .collect::<Result<Vec<_>>>()
        .context("a process was gone before the kill")?;
    ensure!(processes.len() == 7, "etcd, API server, three parts, sweeper, controller: {pids}");
    ensure!(folder.exists());

    child.kill()?;
    child.wait()?;
    for process in &processes {
        ensure!(has_ended(process, 10)?, "one of {pids} lives on");
    }
    ensure!(!folder.exists());
    Ok(())
}

fn open(pid: u32) -> Result<OwnedFd> {
    let pid = Pid::from_raw(pid.try_into()?).context("no process id")?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Whether a process ends within so many seconds.
fn has_ended(process: &OwnedFd, seconds: i64) -> Result<bool> {
    let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit))? == 1)
}
