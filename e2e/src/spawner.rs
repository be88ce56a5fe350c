//! The one thread that starts all child processes.
//!
//! A child asks the kernel to be killed when its parent dies, and for the kernel the parent is the
//! thread that started it. Tests run on short-lived threads, so a thread that lives as long as the
//! process starts the children for them.

use std::{
    io,
    process::{Child, Command},
    sync::{LazyLock, mpsc},
    thread,
};

/// The variable that tells `duckcluster` which process it must not outlive.
const PARENT: &str = "DUCKCLUSTER_PARENT";

type Job = (Command, mpsc::Sender<io::Result<Child>>);

static SPAWNER: LazyLock<io::Result<mpsc::Sender<Job>>> = LazyLock::new(|| {
    let (jobs, inbox) = mpsc::channel::<Job>();
    thread::Builder::new().name("spawner".into()).spawn(move || {
        for (mut command, reply) in inbox {
            // Nobody waits for the answer only when the asking thread has panicked.
            let _ = reply.send(command.spawn());
        }
    })?;
    Ok(jobs)
});

/// Starts a `duckcluster` command that dies together with this process.
pub(crate) fn spawn_tied(mut command: Command) -> io::Result<Child> {
    command.env(PARENT, std::process::id().to_string());
    let stopped = || io::Error::other("the thread that starts processes has stopped");
    let jobs = SPAWNER.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    let (reply, answer) = mpsc::channel();
    jobs.send((command, reply)).map_err(|_| stopped())?;
    answer.recv().map_err(|_| stopped())?
}
