//! The API server's record of requests: who asked for what, and what was answered. It holds no
//! contents. It tells what was asked, not what is true: a request that was cut off may be missing.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
    io::Errno,
};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::wait::PATIENCE;

/// How soon the watching thread notices that nobody listens any more.
const LISTENER_CHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// How long changes are gathered before the log is read again.
const GATHER: Duration = Duration::from_millis(20);

/// How much of the log is read at once to find the end of its last line.
const PIECE: usize = 4096;

/// The audit log of one API server.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

/// A moment in an audit log: what the API server received before it does not count, even if it was
/// answered later. A watch may tell of a write before its event is written.
#[derive(Clone, Copy, Debug)]
pub struct AuditMark {
    place: u64,
    moment: Timestamp,
}

impl AuditLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The log file: one JSON object on each line.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// This moment.
    #[allow(clippy::disallowed_methods, reason = "API servers under test run on this machine")]
    pub fn mark(&self) -> Result<AuditMark> {
        // First the place: what is received from the moment on is written behind it.
        let place = self.end()?;
        Ok(AuditMark { place, moment: Timestamp::now() })
    }

    /// The present end of the log; a line that is half written lies behind it.
    fn end(&self) -> Result<u64> {
        let mut file = self.open()?;
        let mut end = file.metadata()?.len();
        let mut piece = [0; PIECE];
        while end > 0 {
            let begin = end.saturating_sub(PIECE as u64);
            let piece = &mut piece[..usize::try_from(end - begin)?];
            file.seek(SeekFrom::Start(begin))?;
            file.read_exact(piece)?;
            if let Some(newline) = piece.iter().rposition(|byte| *byte == b'\n') {
                return Ok(begin + newline as u64 + 1);
            }
            end = begin;
        }
        Ok(0)
    }

    /// The events of requests since a mark. The last request may still be missing: its event is
    /// written when the answer is already on its way. To be sure of one, use
    /// [`AuditLog::await_events`].
    pub fn since(&self, mut mark: AuditMark) -> Result<Vec<AuditEvent>> {
        self.read_on(&mut mark)
    }

    /// The same, and moves the mark's place behind what was read.
    fn read_on(&self, mark: &mut AuditMark) -> Result<Vec<AuditEvent>> {
        let mut text = String::new();
        let mut file = self.open()?;
        file.seek(SeekFrom::Start(mark.place))?;
        file.read_to_string(&mut text)?;
        // The last line may be half written.
        let complete = text.rfind('\n').map_or("", |end| &text[..=end]);
        mark.place += complete.len() as u64;
        let event = |line: &str| -> Result<AuditEvent> {
            serde_json::from_str(line)
                .with_context(|| format!("{}: not an audit event: {line}", self.path.display()))
        };
        let mut events = complete.lines().map(event).collect::<Result<Vec<_>>>()?;
        events.retain(|event| event.request_received_timestamp >= mark.moment);
        Ok(events)
    }

    /// Waits until the events since a mark fulfil a condition, and returns them. `what` completes
    /// the sentence "the audit log does not show …" in the error.
    pub async fn await_events(
        &self,
        mark: AuditMark,
        what: &str,
        condition: impl Fn(&[AuditEvent]) -> bool,
    ) -> Result<Vec<AuditEvent>> {
        let mut changes = self.changes()?;
        let (mut rest, mut events) = (mark, Vec::new());
        let seen = async {
            loop {
                events.append(&mut self.read_on(&mut rest)?);
                if condition(&events) {
                    return anyhow::Ok(events);
                }
                changes.recv().await.context("the audit log cannot be watched")?;
                // The log of a busy server changes without end, and the controller of a test may
                // run on this very thread.
                tokio::time::sleep(GATHER).await;
            }
        };
        match tokio::time::timeout(PATIENCE, seen).await {
            Ok(events) => events,
            Err(_) => bail!("the audit log does not show {what} after {} s", PATIENCE.as_secs()),
        }
    }

    fn open(&self) -> Result<File> {
        File::open(&self.path).with_context(|| format!("no audit log {}", self.path.display()))
    }

    /// A channel on which something comes after each change of the log.
    fn changes(&self) -> Result<mpsc::Receiver<()>> {
        let changes = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(&changes, &self.path, inotify::WatchFlags::MODIFY)
            .with_context(|| format!("cannot watch {}", self.path.display()))?;
        // One place is enough: a reader reads all that is new.
        let (sender, receiver) = mpsc::channel(1);
        thread::Builder::new().name("audit".into()).spawn(move || watch(&changes, &sender))?;
        Ok(receiver)
    }
}

/// Passes changes on until nobody listens any more.
fn watch(changes: &OwnedFd, listener: &mpsc::Sender<()>) {
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut reader = inotify::Reader::new(changes, &mut buffer);
    while !listener.is_closed() {
        let mut fds = [PollFd::new(changes, PollFlags::IN)];
        match poll(&mut fds, Some(&LISTENER_CHECK)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        if reader.next().is_err() {
            return;
        }
        // A full channel says the same already.
        let _ = listener.try_send(());
    }
}

/// One request and its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// The id of the request.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// `ResponseComplete`, `ResponseStarted` (of a watch) or `Panic`.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The path and query of the request.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Who asked.
    pub user: AuditUser,
    /// As whom it was asked, if the user impersonated somebody.
    pub impersonated_user: Option<AuditUser>,
    /// The program that asked.
    #[serde(default)]
    pub user_agent: String,
    /// The object or the list that was asked for; none for paths such as `/readyz`.
    pub object_ref: Option<AuditObject>,
    /// The answer.
    pub response_status: Option<AuditResponse>,
    /// What the server's parts noted about it, such as whether it was authorized.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// When the request came in.
    pub request_received_timestamp: Timestamp,
    /// When the stage was reached.
    pub stage_timestamp: Timestamp,
}

impl AuditEvent {
    /// The status code of the answer.
    pub fn code(&self) -> Option<u16> {
        self.response_status.as_ref()?.code
    }

    /// The resource with its subresource, such as `pods` or `pods/status`; empty for other paths.
    pub fn resource(&self) -> String {
        let Some(object) = &self.object_ref else {
            return String::new();
        };
        match object.subresource.as_str() {
            "" => object.resource.clone(),
            subresource => format!("{}/{subresource}", object.resource),
        }
    }

    /// The namespace of the object; empty if it has none.
    pub fn namespace(&self) -> &str {
        self.object_ref.as_ref().map_or("", |object| &object.namespace)
    }

    /// The name of the object; empty for lists, and for objects named by the server.
    pub fn name(&self) -> &str {
        self.object_ref.as_ref().map_or("", |object| &object.name)
    }

    /// Whether the user lacked the right; other refusals with code 403 are of admission.
    pub fn lacked_the_right(&self) -> bool {
        let decision = self.annotations.get("authorization.k8s.io/decision");
        decision.is_some_and(|decision| decision == "forbid")
    }

    /// Whether the request may have changed something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// Who made a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuditUser {
    /// The user name.
    pub username: String,
    /// The groups of the user.
    pub groups: Vec<String>,
    /// More about the user; a token bound to a pod carries the pod's name and uid.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a request was about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AuditObject {
    /// The resource, in the plural.
    pub resource: String,
    /// The subresource, or empty.
    pub subresource: String,
    /// The namespace, or empty.
    pub namespace: String,
    /// The name, or empty.
    pub name: String,
    /// The uid if the request named it, or empty.
    pub uid: String,
    /// The group of the API, empty for the core one.
    pub api_group: String,
}

/// How a request was answered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuditResponse {
    /// The status code.
    pub code: Option<u16>,
    /// The reason of a refusal, such as `Conflict`.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_mark_stands_before_a_line_that_is_half_written() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let log = AuditLog::new(folder.path().join("audit.log"));
        for (text, end) in [("", 0), ("half", 0), ("one\nhalf", 4), ("one\ntwo\n", 8)] {
            fs::write(log.path(), text)?;
            assert_eq!(log.end()?, end, "{text:?}");
        }
        fs::write(log.path(), format!("one\n{}", "x".repeat(2 * PIECE)))?;
        assert_eq!(log.end()?, 4);
        Ok(())
    }

    #[test]
    fn what_was_received_before_the_mark_does_not_count_and_nothing_is_read_twice() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let log = AuditLog::new(folder.path().join("audit.log"));
        fs::write(log.path(), "an older line\n")?;
        let mut mark = log.mark()?;
        let event = |id: &str, received: Timestamp| {
            let event = serde_json::json!({ "auditID": id, "stage": "ResponseComplete",
                "verb": "get", "requestURI": "/", "user": { "username": "a" },
                "requestReceivedTimestamp": received, "stageTimestamp": received });
            format!("{event}\n")
        };
        let mut file = fs::OpenOptions::new().append(true).open(log.path())?;
        let before = mark.moment - Duration::from_millis(1);
        write!(file, "{}{}", event("late", before), event("new", mark.moment))?;
        let ids = |events: &[AuditEvent]| events.iter().map(|e| e.audit_id.clone()).collect();
        let read: Vec<_> = ids(&log.read_on(&mut mark)?);
        assert_eq!(read, ["new"]);
        write!(file, "{}", event("newer", mark.moment))?;
        let read: Vec<_> = ids(&log.read_on(&mut mark)?);
        assert_eq!(read, ["newer"]);
        Ok(())
    }
}
