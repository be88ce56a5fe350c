//! One process, as a task: a controller or a control plane.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Parser as _;
use duckworker::args::{Args, Command};
use duckworker::observe::metrics::Metrics;
use duckworker::observe::readiness::Readiness;
use duckworker::operate::{Ground, operate};
use duckworker::settings::Settings;
use duckworker_client::{Connection, Dice};
use duckworker_faults::choose::Chance;
use duckworker_faults::{Call, Choose, Fault, Faults, Meanwhile, Verb};
use duckworker_sim::{SimCluster, User};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::operations::Operations;
use crate::plane;

/// The namespace of everything.
pub const NAMESPACE: &str = "default";
/// How probable it is that a call goes wrong.
const TROUBLE: f64 = 0.03;
/// A request that is held on its way arrives so late: a namesake may stand there by then.
pub const LONG_AFTER: Duration = Duration::from_secs(15);

/// A controller, or a control plane.
pub struct Process {
    faults: Faults,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Process {
    /// Starts a controller in a pod of this name; its network is as bad as its seed says.
    pub fn start(
        cluster: &SimCluster,
        pod: &str,
        seed: u64,
        operations: &Operations,
    ) -> Result<Self> {
        let faults = Faults::by(Trouble::new(seed));
        let uid = cluster.chance(&format!("{pod} {seed}")).uid();
        let user = User::in_pod(NAMESPACE, "duckworker", pod, &uid);
        let connection = Connection::over(cluster.service(user, &faults), NAMESPACE)
            .with_dice(Dice::seeded(seed));
        let ground = Ground {
            connection,
            metrics: Arc::new(Metrics::new()),
            readiness: Readiness::default(),
            protocol: None,
            listener: operations.of(pod),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(operate(settings()?, ground, stop.clone()));
        Ok(Self { faults, stop, task })
    }

    /// Starts a control plane in a pod of this name.
    pub fn start_plane(
        cluster: &SimCluster,
        pod: &str,
        seed: u64,
        operations: &Operations,
    ) -> Self {
        let (faults, task) = plane::start(cluster, pod, seed, operations);
        Self { faults, stop: CancellationToken::new(), task }
    }

    /// Ends it as SIGKILL does.
    pub fn kill(&self) {
        self.faults.stop();
        self.task.abort();
    }

    /// Tells it to leave, as SIGTERM does.
    pub fn leave(&self) {
        self.stop.cancel();
    }

    /// From now on its network is good.
    pub fn heal(&self) {
        self.faults.heal();
    }

    /// How it ended.
    pub async fn end(&mut self) -> String {
        match (&mut self.task).await {
            Ok(Ok(())) => "it left".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => error.to_string(),
        }
    }

    /// The calls that it still waits for.
    pub fn unanswered(&self) -> Vec<String> {
        let records = self.faults.records();
        let waiting = records.iter().filter(|record| record.answer.is_none());
        waiting.map(|record| format!("{} ({:?})", record.call, record.fault)).collect()
    }

    /// From now on nothing that it sends arrives, for so long.
    pub fn cut_off(&self, time: Duration, seed: u64) {
        let faults = self.faults.clone();
        faults.choose(|_: u64, _: &Call| Some(Fault::LoseRequest));
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            faults.choose(Trouble::new(seed));
        });
    }

    /// The next of its calls that is such a one suffers this fault; all others go as this seed says.
    pub fn strike(&self, is_it: impl Fn(&Call) -> bool + Send + 'static, fault: Fault, seed: u64) {
        let (mut fault, mut trouble) = (Some(fault), Trouble::new(seed));
        self.faults.choose(move |number: u64, call: &Call| {
            let usual = trouble.choose(number, call);
            if is_it(call) { fault.take().or(usual) } else { usual }
        });
    }

    /// It died in the middle of a call, and does nothing any more.
    pub fn has_died(&self) -> bool {
        self.faults.stopped().is_cancelled()
    }

    /// The writes of statuses that the API server's own rules refused: there are none, since we
    /// decide by the same table.
    pub fn refused(&self) -> Vec<String> {
        let records = self.faults.records();
        let kinds = ["duckworkers/status", "duckworkerpools/status"];
        let refused = records.iter().filter(|record| {
            let is_status = kinds.iter().any(|kind| record.call.is(Verb::Update, kind));
            record.answer == Some(422) && is_status
        });
        refused
            .map(|record| format!("R1: the API server's rules refused {}", record.call))
            .collect()
    }

    /// It ended, by itself or not.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

/// What goes wrong on the way of one process to the API server.
pub struct Trouble {
    chance: Chance,
    /// Whether lists and the beginnings of watches may hang for ever, too.
    reads_hang: bool,
}

impl Trouble {
    /// As this seed says.
    pub fn new(seed: u64) -> Self {
        let mut menu = Fault::survivable(Duration::from_secs(2));
        // While its sender looks whether it arrived, before it tries again, and when nobody thinks of
        // it any more.
        let millis = [2, 4, 300].map(Duration::from_millis);
        for delay in millis.into_iter().chain([LONG_AFTER]) {
            menu.push(Fault::Late(delay, Meanwhile::Breaks));
            menu.push(Fault::Late(delay, Meanwhile::Silent));
        }
        let reads_hang = std::env::var_os("DUCKWORKER_SIM_HANGING_READS").is_some();
        Self { chance: Chance::new(seed, TROUBLE, menu), reads_hang }
    }
}

impl Choose for Trouble {
    fn choose(&mut self, number: u64, call: &Call) -> Option<Fault> {
        let fault = self.chance.choose(number, call)?;
        let silent =
            matches!(fault, Fault::Hang | Fault::HangAfter | Fault::Late(_, Meanwhile::Silent));
        let reads = matches!(call.verb, Verb::List | Verb::Watch);
        // A mark of another's Lease that arrives so late is no harm, but looks like one of somebody
        // who was cut off himself.
        let late_mark = matches!(fault, Fault::Late(LONG_AFTER, _)) && call.resource == "leases";
        let survives = self.reads_hang || !(silent && reads);
        (survives && !late_mark).then_some(fault)
    }
}

fn settings() -> Result<Settings> {
    let flags = [
        "duckworker",
        "controller",
        "--namespace",
        NAMESPACE,
        "--lease-namespace",
        NAMESPACE,
        "--admin-address",
        "127.0.0.1:0",
    ];
    let Command::Controller(args) = Args::try_parse_from(flags)?.command;
    Ok(args.settings()?)
}
