//! One child process: a part of the cluster, or a controller under test.

use std::{
    ffi::OsString,
    fs::File,
    io::Read as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::sync::watch;

use crate::spawner::spawn_tied;

/// How many lines of a log an error message shows.
const TAIL_LINES: usize = 15;

/// One child process that can be stopped, killed, paused and started again, with its log in a file.
///
/// It never outlives the test process, however that ends.
pub struct Component {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    log: PathBuf,
    running: Mutex<Option<Running>>,
}

/// A child process, and the thread that waits for its end.
struct Running {
    pid: u32,
    /// Names this very process, even if its id is used again.
    pidfd: OwnedFd,
    ended: watch::Receiver<bool>,
    waiter: JoinHandle<std::io::Result<ExitStatus>>,
}

impl Running {
    fn new(mut child: Child) -> Result<Self> {
        let pid = child.id();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let (end, ended) = watch::channel(false);
        let waiter = thread::Builder::new().name(format!("wait-{pid}")).spawn(move || {
            let status = child.wait();
            end.send_replace(true);
            status
        })?;
        Ok(Self { pid, pidfd, ended, waiter })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, signal)?)
    }

    /// Waits until the process has ended.
    fn wait(self) -> Result<ExitStatus> {
        let status = self.waiter.join().map_err(|_| anyhow!("the waiting thread panicked"))?;
        Ok(status?)
    }
}

impl Component {
    /// Describes a process; `start` starts it. Its output is appended to the file `log`.
    pub(crate) fn new(name: &str, program: &Path, log: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            log,
            running: Mutex::new(None),
        }
    }

    /// Adds arguments.
    pub(crate) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Its name, as messages show it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log, each after its name.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(|running| running.pid)
    }

    /// Starts the process; an error if it runs already.
    pub fn start(&self) -> Result<()> {
        let mut running = self.lock();
        if running.is_some() {
            bail!("{} runs already", self.name);
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot open the log {}", self.log.display()))?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = spawn_tied(command)
            .with_context(|| format!("cannot start {} ({})", self.name, self.program.display()))?;
        let child = Running::new(child)
            .with_context(|| format!("cannot watch the process of {}", self.name))?;
        *running = Some(child);
        Ok(())
    }

    /// Stops the process in place (SIGSTOP): to its peers it hangs.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends the process at once (SIGKILL), as a crash does. Nothing happens if it is not running.
    pub fn kill(&self) -> Result<()> {
        let Some(running) = self.lock().take() else {
            return Ok(());
        };
        // It may have ended by itself just now.
        let _ = running.signal(Signal::KILL);
        running.wait().with_context(|| format!("cannot await the end of {}", self.name))?;
        Ok(())
    }

    /// Asks the process to end (SIGTERM), and kills it if it takes longer than `grace`.
    /// Returns whether it ended by itself, with success.
    pub async fn stop(&self, grace: Duration) -> Result<bool> {
        self.signal(Signal::TERM)?;
        let ended = tokio::time::timeout(grace, self.exited()).await.is_ok();
        let Some(running) = self.lock().take() else {
            return Ok(false);
        };
        if !ended {
            let _ = running.signal(Signal::KILL);
        }
        let status = running.wait()?;
        Ok(ended && status.success())
    }

    /// The same without a runtime, for destructors.
    pub(crate) fn end(&self, grace: Duration) -> Result<()> {
        let Some(running) = self.lock().take() else {
            return Ok(());
        };
        let _ = running.signal(Signal::TERM);
        let limit = Timespec { tv_sec: grace.as_secs().try_into()?, tv_nsec: 0 };
        if poll(&mut [PollFd::new(&running.pidfd, PollFlags::IN)], Some(&limit)) != Ok(1) {
            let _ = running.signal(Signal::KILL);
        }
        running.wait().with_context(|| format!("cannot await the end of {}", self.name))?;
        Ok(())
    }

    /// Kills the process and starts it again, with the same arguments.
    pub fn restart(&self) -> Result<()> {
        self.kill()?;
        self.start()
    }

    /// Returns when the process has ended, at once if it is not running.
    pub async fn exited(&self) {
        let ended = self.lock().as_ref().map(|running| running.ended.clone());
        if let Some(mut ended) = ended {
            // The sender is gone only after it has said so.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }

    /// Whether the process has ended, or was never started.
    pub fn has_ended(&self) -> bool {
        self.lock().as_ref().is_none_or(|running| *running.ended.borrow())
    }

    /// The error for a process that should run and has ended: with its last words.
    pub(crate) fn death(&self) -> anyhow::Error {
        let log = self.log.display();
        anyhow!("{} has ended; the last lines of {log}:\n{}", self.name, self.log_tail(TAIL_LINES))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let running = self.lock();
        let running = running.as_ref().with_context(|| format!("{} is not running", self.name))?;
        running.signal(signal).with_context(|| format!("cannot signal {}", self.name))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The last lines of a file, which may hold anything.
pub(crate) fn tail(path: &Path, lines: usize) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut last: Vec<_> = text.lines().rev().take(lines).collect();
    last.reverse();
    Ok(last.join("\n"))
}
