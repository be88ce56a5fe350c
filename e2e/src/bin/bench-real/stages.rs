//! The stages between apply and Hot, from the audit log and the worker's own.

use std::time::Duration;

use duckworker_e2e::AuditEvent;
use duckworker_e2e::bench::figures::{median, millis, percentile, table};
use jiff::Timestamp;

/// Each stage, and whether the controller is what it waits for.
const STAGES: [(&str, Whose); 9] = [
    ("our writes until the pod is created", Whose::Ours),
    ("the scheduler binds it", Whose::Others),
    ("the kubelet makes its sandbox", Whose::Others),
    ("the container is created and started", Whose::Others),
    ("the process begins to serve", Whose::Others),
    ("health check, and our write of Idle", Whose::Ours),
    ("our writes of Reserved and Activating", Whose::Ours),
    ("the worker activates the tenant", Whose::Others),
    ("our write of Hot", Whose::Ours),
];

/// Who is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Others,
}

/// When each stage of one worker ended; the first is when it was applied.
pub struct Moments([Timestamp; STAGES.len() + 1]);

impl Moments {
    /// Of one worker, from the calls about it; none while some are missing.
    pub fn of(events: &[AuditEvent], namespace: &str, name: &str, log: &str) -> Option<Self> {
        let done = |event: &&AuditEvent| {
            event.namespace() == namespace
                && event.stage == "ResponseComplete"
                && event.code().is_some_and(|code| code < 300)
        };
        let calls: Vec<&AuditEvent> = events.iter().filter(done).collect();
        let named = |verb: &str, resource: &str| {
            let is_it = |event: &&&AuditEvent| {
                event.verb == verb && event.resource() == resource && event.name() == name
            };
            calls.iter().copied().filter(|event| is_it(&event)).collect::<Vec<_>>()
        };
        let created = named("create", "duckworkers").first()?.stage_timestamp;
        let pod = named("create", "pods").first()?.stage_timestamp;
        let bound = named("create", "pods/binding").first()?.stage_timestamp;
        // The kubelet tells of each step by an Event: the image is there, created, started.
        let told = |event: &&&AuditEvent| {
            event.verb == "create"
                && event.resource() == "events"
                && event.user.username.starts_with("system:node:")
                && event.name().rsplit_once('.').is_some_and(|(pod, _)| pod == name)
        };
        let steps: Vec<_> = calls.iter().filter(told).collect();
        let [pulled, _, started] = steps.get(..3)? else { return None };
        let (serving, activated) = (logged(log, "serving")?, logged(log, "activated")?);
        let writes = named("update", "duckworkers/status");
        let [.., idle, _, activating, hot] = &writes[..] else { return None };
        Some(Self([
            created,
            pod,
            bound,
            pulled.request_received_timestamp,
            started.request_received_timestamp,
            serving,
            idle.stage_timestamp,
            activating.stage_timestamp,
            activated,
            hot.stage_timestamp,
        ]))
    }

    fn stages(&self) -> impl Iterator<Item = Duration> {
        let apart = |pair: &[Timestamp]| pair[1].duration_since(pair[0]);
        self.0.windows(2).map(move |pair| Duration::try_from(apart(pair)).unwrap_or_default())
    }
}

/// When the worker logged a line with this message.
fn logged(log: &str, message: &str) -> Option<Timestamp> {
    let line = log.lines().find(|line| line.contains(message))?;
    let stamp = line.split_whitespace().find(|word| word.contains('T') && word.ends_with('Z'))?;
    stamp.parse().ok()
}

/// All stages of all workers.
#[derive(Default)]
pub struct Stages {
    times: [Vec<Duration>; STAGES.len()],
    own: Vec<Duration>,
}

impl Stages {
    /// One more worker.
    pub fn enter(&mut self, moments: &Moments) {
        let mut own = Duration::ZERO;
        for ((all, (_, whose)), time) in self.times.iter_mut().zip(STAGES).zip(moments.stages()) {
            all.push(time);
            if whose == Whose::Ours {
                own += time;
            }
        }
        self.own.push(own);
    }

    /// What the controller adds.
    pub fn own(&self) -> Duration {
        median(&self.own)
    }

    /// As a table.
    pub fn show(&self) {
        let row = |name: &str, times: &[Duration]| {
            let cells =
                [median(times), percentile(times, 0.9)].map(|t| format!("{:.0}", millis(t)));
            [vec![name.to_owned()], cells.to_vec()].concat()
        };
        let mut rows: Vec<_> =
            STAGES.iter().zip(&self.times).map(|((name, _), times)| row(name, times)).collect();
        rows.push(row("ours, in all", &self.own));
        table(&["apply → Hot with a real DuckDB, ms", "p50", "p90"], &rows);
    }
}
